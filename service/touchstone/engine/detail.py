"""A closer look: the most suspicious places of a pair, at twice the scale.

The frame of 640 pixels holds half or less of what a good photograph shows. Letters of
small print, a screen's dots and the edge of a stroke are told apart at its own
resolution; looking at all of it would take four times as long, so the comparator is
shown a mosaic of the few places that it found most suspicious.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.comparator import Comparator, Differences
from touchstone.engine.image import Pixels, resized
from touchstone.engine.normalisation import Map
from touchstone.engine.pair import AlignedPair
from touchstone.engine.registration import Registration

# The stubs do not know maps of two channels.
_cv2: Any = cv2

ZOOM = 2
"""Detail pixels per pixel of the compared frame."""
TILE_PX = 160
"""Side of a place, in detail pixels."""
_ROWS, _COLUMNS = 2, 3
LEAST_RESOLUTION = 1.25
"""Photo pixels per frame pixel below which a closer look shows nothing more."""

Place: TypeAlias = tuple[int, int]
"""(left, top) of a tile in the deviation map, which is half the frame."""
_MAP_PX = TILE_PX // (2 * ZOOM)


@dataclass(frozen=True, slots=True)
class Detail:
    """What was seen from close by."""

    differences: Differences
    """Of all the places together."""
    places: tuple[Place, ...]

    def merged(self, far: Map) -> Map:
        """Put what was seen from close by in the place of most of ``far``."""
        merged = far.copy()
        size = _MAP_PX, _MAP_PX
        side = TILE_PX // 2
        for number, (left, top) in enumerate(self.places):
            row, column = divmod(number, _COLUMNS)
            part = self.differences.map[
                row * side : (row + 1) * side, column * side : (column + 1) * side
            ]
            near = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
            window = np.s_[top : top + _MAP_PX, left : left + _MAP_PX]
            merged[window] = np.maximum(near, _DOUBT * far[window])
        return merged


_DOUBT = np.float32(0.6)
"""Of a deviation seen from afar, what is left of it where none is seen from near."""


@dataclass(frozen=True, slots=True)
class CloserLook:
    """A photo and its reference, as they are before either is made small."""

    photo: Pixels
    registration: Registration
    reference: Pixels
    """(h, w, 3), the whole print, at least `ZOOM` times the frame."""

    def shows_more(self, frame_px: tuple[int, int]) -> bool:
        """Say whether photo and reference have more to show than a frame holds.

        Args:
            frame_px: (width, height) of the frame.
        """
        found = self.registration
        in_photo = found.photo_px_per_reference_px * found.reference_size_px[0]
        least = min(in_photo, float(self.reference.shape[1]))
        return least >= LEAST_RESOLUTION * frame_px[0]

    def at(
        self, pair: AlignedPair, suspicion: Map, comparator: Comparator
    ) -> Detail | None:
        """Look at the most suspicious places of ``pair``.

        Args:
            pair: of the same photo and reference.
            suspicion: (h // 2, w // 2) of the frame.
            comparator: that looks.

        Returns:
            None where the frame is narrower than a place.
        """
        places = most_suspicious(suspicion, pair.valid)
        if not places:
            return None
        shown = self.mosaic(pair, places)
        return Detail(comparator.differences(shown), places)

    def mosaic(self, pair: AlignedPair, places: Sequence[Place]) -> AlignedPair:
        """Lay what is seen at ``places`` beside each other, as one pair."""
        height, width = pair.valid.shape
        detailed = resized(self.reference, (ZOOM * width, ZOOM * height))
        tiles = [self._tile(pair, detailed, place) for place in places]
        expected, seen, valid = (mosaic([tile[n] for tile in tiles]) for n in range(3))
        return replace(pair, expected=expected, seen=seen, valid=valid)

    def _tile(
        self, pair: AlignedPair, detailed: Pixels, place: Place
    ) -> tuple[Pixels, Pixels, Map]:
        height, width = pair.valid.shape
        left, top = (side * 2 * ZOOM for side in place)
        window = np.s_[top : top + TILE_PX, left : left + TILE_PX]
        expected = pair.light.over(
            np.ascontiguousarray(detailed[window]),
            corner=(left / (ZOOM * width), top / (ZOOM * height)),
            step=1 / (ZOOM * width),
        )
        seen, covered = self._seen(pair, place)
        span = TILE_PX // ZOOM
        x, y = left // ZOOM, top // ZOOM
        coarse = pair.valid[y : y + span, x : x + span]
        valid = coarse.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1) * covered
        return expected, seen, np.asarray(valid, np.float32)

    def _seen(self, pair: AlignedPair, place: Place) -> tuple[Pixels, Map]:
        """Draw the photo where `pair` has it, and where that lies within the photo."""
        height, width = pair.valid.shape
        xs, ys = np.meshgrid(*(_STEPS + 2 * side for side in place))
        at = np.column_stack([xs.ravel(), ys.ravel()])
        column = np.clip(at[:, 0], 0, width - 1).astype(int)
        row = np.clip(at[:, 1], 0, height - 1).astype(int)
        at = at + pair.alignment.shift[row, column]
        whole = self.registration.reference_size_px
        in_photo = self.registration.points_in_photo(
            at * np.array([whole[0] / width, whole[1] / height])
        )
        grid = in_photo.reshape(*xs.shape, 2).astype(np.float32) - np.float32(0.5)
        sampled = _cv2.resize(
            grid, (_GRID * _STEP_PX,) * 2, interpolation=cv2.INTER_LINEAR
        )[_STEP_PX : _STEP_PX + TILE_PX, _STEP_PX : _STEP_PX + TILE_PX]
        sampled = np.ascontiguousarray(sampled)
        seen = _cv2.remap(
            self.photo,
            sampled,
            None,
            interpolation=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        high = (self.photo.shape[1] - 0.5, self.photo.shape[0] - 0.5)
        covered = cv2.inRange(sampled, (-0.5, -0.5), high) > 0
        return np.asarray(seen, np.uint8), np.asarray(covered, np.float32)


_STEP_PX = 8
_GRID = TILE_PX // _STEP_PX + 2
_STEPS = (np.arange(-1, _GRID - 1) + 0.5) * _STEP_PX / ZOOM
"""Where the transform is computed, in frame pixels from a tile's corner: between, it is
interpolated. One step more on each side."""


def most_suspicious(suspicion: Map, valid: Map) -> tuple[Place, ...]:
    """Choose places that do not overlap much, the most suspicious first.

    Args:
        suspicion: (h // 2, w // 2) of the frame.
        valid: (h, w), above 0 where compared.
    """
    height, width = suspicion.shape
    if min(height, width) < _MAP_PX:
        return ()
    smooth = cv2.boxFilter(suspicion, -1, (5, 5))
    inside = valid[1 : 2 * height : 2, 1 : 2 * width : 2] > 0
    left = np.where(inside, smooth, -1).astype(np.float32)
    places: list[Place] = []
    for _ in range(_ROWS * _COLUMNS):
        _, peak, _, (x, y) = cv2.minMaxLoc(left)
        if peak < 0:
            break
        place = (
            min(max(0, x - _MAP_PX // 2), width - _MAP_PX),
            min(max(0, y - _MAP_PX // 2), height - _MAP_PX),
        )
        places.append(place)
        left[place[1] : place[1] + _MAP_PX, place[0] : place[0] + _MAP_PX] = -1
    return tuple(places)


def mosaic(tiles: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Lay tiles beside and below each other; what is left over is empty."""
    first = tiles[0]
    laid = np.zeros(
        (_ROWS * TILE_PX, _COLUMNS * TILE_PX, *first.shape[2:]), first.dtype
    )
    for number, tile in enumerate(tiles):
        row, column = divmod(number, _COLUMNS)
        laid[
            row * TILE_PX : (row + 1) * TILE_PX,
            column * TILE_PX : (column + 1) * TILE_PX,
        ] = tile
    return laid

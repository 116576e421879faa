"""Photo to the part of it that shows the package face.

A small network says for every cell of the photo whether print of the face lies there,
where corners are, and whether a face is shown at all. A quad is laid around what it
marks. Prepared here as it was for training.

Points are (x, y) in photo px, pixel centres at +0.5.
"""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import Pixels, resized
from touchstone.engine.onnx import NetworkManifest, OnnxNetwork
from touchstone.errors import ModelError

FRAME_PX = (256, 192)
"""(width, height) of what the network sees: photos that stand are turned to lie."""
CELL_PX = 4
"""Side of the square of frame pixels to which the network gives one answer."""
MAPS = 2
"""Log odds of print, and of a corner, for each cell."""
FRAME_GREY = 128
"""Around photos of another shape than the frame."""
LOCALISATION_VERSION = "1"

Quad: TypeAlias = NDArray[np.float32]
"""(4, 2) corners, clockwise as seen, the first nearest the photo's upper left."""


@dataclass(frozen=True, slots=True)
class Face:
    """Where a package face lies in a photo."""

    quad: Quad
    """In photo px; corners may lie outside of a photo that cuts the package off."""
    confidence: float
    """0 to 1, that a face is there and that this is its place; 0 is the whole photo."""


class Localiser(Protocol):
    """Finds the package face in a photo."""

    @property
    def digest(self) -> str:
        """SHA-256 of the model file, lower-case hex."""

    @property
    def provider(self) -> str:
        """What really runs the model: ``cpu`` or ``cuda``."""

    def locate(self, pixels: Pixels) -> Face:
        """Find the face in ``pixels``, (h, w, 3) RGB of any size."""


class LocaliserManifest(NetworkManifest):
    """What stands beside the localiser's file and says which file it is."""

    __slots__ = ()
    called = "localiser"


def span_of(face: Face, pixels: Pixels) -> tuple[int, int, int, int] | None:
    """Return (left, top, right, bottom) of the part of the photo that shows ``face``.

    With surroundings, as the quad may be off. None where no face was found with any
    certainty, or where the part is as good as the whole.
    """
    if face.confidence < POSSIBLE:
        return None
    height, width = pixels.shape[:2]
    reach = _SURROUNDINGS * float(np.ptp(face.quad, axis=0).max())
    low, high = face.quad.min(axis=0) - reach, face.quad.max(axis=0) + reach
    left, top = (int(max(0.0, side)) for side in low)
    right, bottom = min(width, int(high[0]) + 1), min(height, int(high[1]) + 1)
    is_part = (right - left) * (bottom - top) < _MOST_OF_IT * width * height
    is_large = min(right - left, bottom - top) >= _LEAST_SPAN_PX
    return (left, top, right, bottom) if is_part and is_large else None


_SURROUNDINGS = 0.12
_MOST_OF_IT = 0.8
_LEAST_SPAN_PX = 48


def whole_photo(pixels: Pixels) -> Face:
    """Return the whole of ``pixels`` as the face, with no confidence."""
    height, width = pixels.shape[:2]
    return Face(_rectangle(0, 0, width, height), 0.0)


def _rectangle(left: float, top: float, right: float, bottom: float) -> Quad:
    corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return np.array(corners, np.float32)


# --- photo to frame -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Framed:
    """A photo as the network sees it."""

    canvas: Pixels
    """(192, 256, 3)"""
    frame_from_photo: NDArray[np.float32]
    """(2, 3), affine."""
    inside: tuple[slice, slice]
    """Rows and columns of the canvas that the photo takes."""

    def to_photo(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take (n, 2) frame px to photo px."""
        back = cv2.invertAffineTransform(self.frame_from_photo)
        return np.asarray(points @ back[:, :2].T + back[:, 2], np.float32)

    def to_frame(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take (n, 2) photo px to frame px."""
        matrix = self.frame_from_photo
        return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], np.float32)


def framed(pixels: Pixels) -> Framed:
    """Letterbox ``pixels`` (h, w, 3), or (h, w) of one channel, into the frame.

    What stands is turned a quarter to lie: the network is trained on every rotation,
    and the frame is used as far as it goes.
    """
    height, width = pixels.shape[:2]
    stands = height > width
    long, short = max(height, width), min(height, width)
    scale = min(FRAME_PX[0] / long, FRAME_PX[1] / short)
    taken = max(1, round(long * scale)), max(1, round(short * scale))
    small = resized(pixels, taken[::-1] if stands else taken)
    if stands:
        small = np.ascontiguousarray(np.rot90(small))
    left, top = (FRAME_PX[0] - taken[0]) // 2, (FRAME_PX[1] - taken[1]) // 2
    canvas = np.full((*FRAME_PX[::-1], *pixels.shape[2:]), FRAME_GREY, np.uint8)
    inside = slice(top, top + taken[1]), slice(left, left + taken[0])
    canvas[inside] = small
    sx, sy = taken[0] / long, taken[1] / short
    if stands:  # x of the frame is y of the photo, y is its width less x
        matrix = [[0, sx, left], [-sy, 0, top + sy * width]]
    else:
        matrix = [[sx, 0, left], [0, sy, top]]
    return Framed(canvas, np.array(matrix, np.float32), inside)


# --- the network's answer to a quad ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What the network says of one frame, as log odds."""

    printed: NDArray[np.float32]
    """(48, 64): that print of the face lies in each cell."""
    corners: NDArray[np.float32]
    """(48, 64): that a corner of the face does."""
    shown: float
    """That a face is shown at all."""


def face_of(answer: Answer, frame: Framed, pixels: Pixels) -> Face:
    """Lay a quad around what ``answer`` marks; the whole photo if that is nothing."""
    outline = _largest_outline(answer.printed, frame)
    if outline is None:
        return whole_photo(pixels)
    quad = quad_around(outline)
    if quad is None:
        return whole_photo(pixels)
    quad = _drawn_to_corners(quad, answer.corners)
    confidence = _odds(answer.shown) * _agreement(quad, answer.printed, frame)
    return Face(ordered(frame.to_photo(quad)), float(confidence))


_LEAST_AREA_PX = 64.0
"""In the frame: four cells."""


def _largest_outline(
    printed: NDArray[np.float32], frame: Framed
) -> NDArray[np.float32] | None:
    """Return the hull, (n, 2) frame px, of the largest region that is marked."""
    fine = cv2.resize(printed, FRAME_PX, interpolation=cv2.INTER_LINEAR)
    marked = np.zeros(fine.shape, np.uint8)
    marked[frame.inside] = fine[frame.inside] > 0
    found, _ = cv2.findContours(marked, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = max(found, key=cv2.contourArea, default=None)
    if largest is None or cv2.contourArea(largest) < _LEAST_AREA_PX:
        return None
    hull = cv2.convexHull(largest).reshape(-1, 2).astype(np.float32)
    # The contour runs through the centres of its pixels: their outer edges count.
    middle = hull.mean(axis=0)
    return np.asarray(hull + 0.5 + np.sign(hull - middle) * 0.5, np.float32)


_MOST_AREA = 1.35
"""Of the quad to that of the hull: one that is larger was led astray by two edges that
are almost parallel."""


def quad_around(hull: NDArray[np.float32]) -> Quad | None:
    """Return the quad of about least area around a convex hull, (n, 2); None for none.

    Edges are taken away one by one, each so that its neighbours, prolonged, add least
    (OpenCV's ``approxPolyN``). What a photo cuts off is thereby completed.
    """
    area = float(cv2.contourArea(hull))
    if area < _LEAST_AREA_PX:
        return None
    box = np.asarray(cv2.boxPoints(cv2.minAreaRect(hull)), np.float32)
    try:
        found = cv2.approxPolyN(hull[:, None], 4, None, -1.0, True)
    except cv2.error:
        return box
    quad = np.asarray(found, np.float32).reshape(-1, 2)
    if quad.shape != (4, 2) or not np.isfinite(quad).all():
        return box
    if float(cv2.contourArea(quad)) > _MOST_AREA * area:
        return box
    return quad


_REACH_CELLS = 2
_CORNER_ODDS = -1.0
"""Log odds from which a cell draws a corner to itself."""


def _drawn_to_corners(quad: Quad, corners: NDArray[np.float32]) -> Quad:
    """Move each corner to where the network sees one beside it."""
    rows, columns = corners.shape
    drawn = quad.copy()
    for number, (x, y) in enumerate(quad / CELL_PX):
        row, column = int(y), int(x)
        top, left = max(0, row - _REACH_CELLS), max(0, column - _REACH_CELLS)
        bottom, right = row + _REACH_CELLS + 1, column + _REACH_CELLS + 1
        near = corners[top : min(bottom, rows), left : min(right, columns)]
        if near.size == 0 or near.max() < _CORNER_ODDS:
            continue
        weight = np.exp(near - near.max())
        ys, xs = np.mgrid[: near.shape[0], : near.shape[1]]
        total = float(weight.sum())
        drawn[number] = (
            (left + 0.5 + float((weight * xs).sum()) / total) * CELL_PX,
            (top + 0.5 + float((weight * ys).sum()) / total) * CELL_PX,
        )
    return drawn if cv2.isContourConvex(drawn) else quad


def _agreement(quad: Quad, printed: NDArray[np.float32], frame: Framed) -> float:
    """Return how well the quad and what is marked cover each other, 0 to 1."""
    odds = 1 / (1 + np.exp(-np.clip(printed, -30, 30)))
    filled = np.zeros(FRAME_PX[::-1], np.float32)
    cv2.fillConvexPoly(filled, np.round(quad - 0.5).astype(np.int32), 1.0)
    rows, columns = frame.inside
    filled[: rows.start], filled[rows.stop :] = 0, 0
    filled[:, : columns.start], filled[:, columns.stop :] = 0, 0
    size = printed.shape[1], printed.shape[0]
    share = cv2.resize(filled, size, interpolation=cv2.INTER_AREA)
    both = float((odds * share).sum())
    return both / max(1e-6, float(odds.sum() + share.sum()) - both)


def _odds(log_odds: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(log_odds, -30, 30))))


def ordered(quad: NDArray[np.float32]) -> Quad:
    """Put corners clockwise as seen, the one nearest the upper left first."""
    middle = quad.mean(axis=0)
    angles = np.arctan2(quad[:, 1] - middle[1], quad[:, 0] - middle[0])
    turned = quad[np.argsort(angles, kind="stable")]
    return np.asarray(np.roll(turned, -int(turned.sum(axis=1).argmin()), axis=0))


# --- the network ----------------------------------------------------------------------


class OnnxLocaliser(OnnxNetwork):
    """A locating network in ONNX Runtime, loaded from the bytes it is named by."""

    @staticmethod
    def from_bytes(
        model: bytes, manifest: LocaliserManifest, *, provider: str = "auto"
    ) -> "OnnxLocaliser":
        """Load ``model`` if it is the file that ``manifest`` names.

        Args:
            model: the ONNX file.
            manifest: what it must be.
            provider: ``auto`` (CUDA where it works, else CPU), ``cpu`` or ``cuda``.

        Raises:
            ModelError: altered file, unusable model, or provider not to be had.
        """
        localiser = OnnxLocaliser(
            model, manifest.sha256, called="localiser", provider=provider
        )
        localiser._try()
        return localiser

    def _try(self) -> None:
        """Refuse now what would fail, or answer nonsense, with every photo."""
        blank = np.full((*FRAME_PX[::-1], 3), FRAME_GREY, np.uint8)
        try:
            self.answer(blank)
        except ModelError:
            raise
        except Exception as error:  # ORT raises its own untyped pybind exceptions
            raise ModelError(
                f"The localiser cannot be fed as it must be: {error}"
            ) from error

    def answer(self, canvas: Pixels) -> Answer:
        """Run the network on one frame, (192, 256, 3).

        Raises:
            ModelError: the network's answer is not two maps and a number.
        """
        maps, shown = self._session.run(None, {self._input: canvas[None]})
        maps, shown = np.asarray(maps, np.float32), np.asarray(shown, np.float32)
        cells = FRAME_PX[1] // CELL_PX, FRAME_PX[0] // CELL_PX
        if maps.shape != (1, MAPS, *cells) or shown.size != 1:
            raise ModelError("The localiser gives no two maps of cells and one number.")
        if not (np.isfinite(maps).all() and np.isfinite(shown).all()):
            raise ModelError("The localiser answered with what is no number.")
        return Answer(maps[0, 0], maps[0, 1], float(shown.ravel()[0]))

    def locate(self, pixels: Pixels) -> Face:
        """Find the face in ``pixels``, (h, w, 3) RGB of any size."""
        frame = framed(pixels)
        return face_of(self.answer(frame.canvas), frame, pixels)


# --- the face, cut out ----------------------------------------------------------------

POSSIBLE = 0.2
"""Confidence from which a face is worth looking at by itself."""
MARGIN = 0.04
"""Surroundings that are kept about a face, as a share of its sides: a quad that is a
little too small would else cut off print."""
_CUT_OUT_SIDE_PX = 448


def face_alone(pixels: Pixels, face: Face) -> Pixels | None:
    """Return the face as it is searched with; None where it is none to go by."""
    return None if face.confidence < POSSIBLE else cut_out(pixels, face.quad)


def cut_out(pixels: Pixels, quad: Quad, *, margin: float = MARGIN) -> Pixels:
    """Return the face as a rectangle, seen from before, its long side at most 448 px.

    Args:
        pixels: (h, w, 3).
        quad: of the face, clockwise; the first corner becomes the upper left.
        margin: surroundings to keep, as a share of each side.
    """
    sides = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    width, height = float(sides[0] + sides[2]) / 2, float(sides[1] + sides[3]) / 2
    fit = min(1.0, _CUT_OUT_SIDE_PX / max(width, height, 1.0))
    size = max(8, round(width * fit)), max(8, round(height * fit))
    # Shrunk before it is warped: sampling every third pixel would alias.
    seen = pixels
    if fit < 1:
        full = (
            max(1, round(pixels.shape[1] * fit)),
            max(1, round(pixels.shape[0] * fit)),
        )
        seen = resized(pixels, full)
    scale = np.array(
        [seen.shape[1] / pixels.shape[1], seen.shape[0] / pixels.shape[0]], np.float32
    )
    dx, dy = size[0] * margin, size[1] * margin
    inner = _rectangle(dx, dy, dx + size[0], dy + size[1]) - np.float32(0.5)
    matrix = cv2.getPerspectiveTransform(quad * scale - np.float32(0.5), inner)
    outer = (round(size[0] + 2 * dx), round(size[1] + 2 * dy))
    # OpenCV moves four channels in less time than three, to the same values.
    drawn = cv2.warpPerspective(
        cv2.cvtColor(seen, cv2.COLOR_RGB2RGBA),
        matrix,
        outer,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(FRAME_GREY,) * 4,
    )
    return np.asarray(cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB), np.uint8)

"""A reference and a photo of it, made to differ by the print alone.

Light, tone and the smooth rest of the misregistration are estimated from the pair
itself and taken out; where nothing can be said is left out.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.alignment import Alignment, align, half_size
from touchstone.engine.image import Pixels, darkest, grey, moved_by
from touchstone.engine.normalisation import Cast, Light, Map, relight

Mask: TypeAlias = NDArray[np.bool_]
"""(height, width)"""


@dataclass(frozen=True, slots=True)
class AlignedPair:
    """A reference and a photo of it that differ by the print alone, as far as known."""

    expected: Pixels
    """(h, w, 3): the reference under the photo's light."""
    seen: Pixels
    """(h, w, 3): the photo, laid over it to a fraction of a pixel."""
    valid: Map
    """(h, w): 1 where compared, else 0."""
    alignment: Alignment
    """What was left to follow after registration, and what stands out of it."""
    light: Light
    """What tone and light made of the reference."""
    cast: Cast
    """How the photo's colour differed as a whole, before that was taken out."""
    washed: float = 0.0
    """Share of the face that is burnt out so that print cannot be told from none."""


def aligned_pair(
    reference: Pixels,
    photo: Pixels,
    covered: Mask,
    *,
    variable: Mask | None = None,
    is_bent: bool = False,
) -> AlignedPair:
    """Take out of a pair what the photograph did to it.

    Args:
        reference: (h, w, 3).
        photo: (h, w, 3), in the reference's frame.
        covered: (h, w), where the photo shows the reference.
        variable: (h, w), where units differ by design (lot, expiry): not compared.
        is_bent: whether the face bends away from the camera, so that its far sides
            may be out of reach; on a flat face whatever is not found has changed.
    """
    valid, washed = _comparable(reference, photo, covered, variable)
    relit = relight(reference, photo, valid)
    found = align(grey(relit.expected), grey(photo), valid, is_bent=is_bent)
    seen = moved_by(photo, found.shift)
    if is_bent:
        valid = np.asarray(valid * found.is_supported, np.float32)
    return AlignedPair(
        expected=relit.expected,
        seen=seen,
        valid=valid,
        alignment=found,
        light=relit.light,
        cast=relit.cast,
        washed=washed,
    )


def drawn_larger(
    pair: AlignedPair, reference: Pixels, photo: Pixels, *, is_bent: bool = False
) -> AlignedPair:
    """Draw a pair larger, where both pictures have more to show.

    Light and where to look are those of the smaller pair; what is a fraction of a pixel
    there is more than one here, so that the rest is followed once more.

    Args:
        pair: as `aligned_pair` made it, (h, w).
        reference: the reference at the larger size, (height, width, 3).
        photo: the photo in the reference's frame at that size, (height, width, 3).
        is_bent: as it was for ``pair``.
    """
    size = reference.shape[1], reference.shape[0]
    expected = pair.light.on(reference)
    shift, valid = laid_at(size, pair.alignment.shift, pair.valid)
    near = moved_by(grey(photo), shift)
    found = align(grey(expected), near, valid, is_bent=is_bent, is_followed=True)
    shift += found.shift
    return replace(
        pair,
        expected=expected,
        seen=moved_by(photo, shift),
        valid=valid,
        alignment=replace(found, shift=shift),
    )


def laid_at(
    size_px: tuple[int, int], shift: NDArray[np.float32], valid: Map
) -> tuple[NDArray[np.float32], Map]:
    """Return how a pair lies, and where it is compared, in a frame of another size.

    Args:
        size_px: (width, height) of that frame.
        shift: (h, w, 2), see `Alignment`.
        valid: (h, w), 1 where compared, else 0.

    Returns:
        (height, width, 2), in pixels of that frame, and (height, width).
    """
    grown = cv2.resize(shift, size_px, interpolation=cv2.INTER_LINEAR)
    scale = np.float32(size_px[0] / valid.shape[1])
    compared = cv2.resize(valid, size_px, interpolation=cv2.INTER_NEAREST)
    return np.asarray(grown, np.float32) * scale, np.asarray(compared, np.float32)


@dataclass(frozen=True, slots=True)
class HalvedPair:
    """An aligned pair at half its size."""

    expected: Pixels
    """(h // 2, w // 2, 3)"""
    seen: Pixels
    """(h // 2, w // 2, 3)"""
    valid: Map
    """(h // 2, w // 2): 1 where all of it is compared, else 0."""


def halved(pair: AlignedPair) -> HalvedPair:
    """Make a pair half as wide and half as high."""
    height, width = pair.valid.shape
    half = half_size(width, height)
    expected, seen = (
        np.asarray(cv2.resize(one, half, interpolation=cv2.INTER_AREA), np.uint8)
        for one in (pair.expected, pair.seen)
    )
    share = cv2.resize(pair.valid, half, interpolation=cv2.INTER_AREA)
    return HalvedPair(expected, seen, (share > _ALL_OF_IT).astype(np.float32))


_ALL_OF_IT = 0.99

_BURNT = 250
_BURNT_REACH = np.ones((9, 9), np.uint8)
_BORDER_SHARE = 0.012


_MIN_GLARE_SHARE = 0.01


def _glare(reference: Pixels, photo: Pixels) -> tuple[NDArray[np.uint8], float]:
    """Find wide patches that are burnt out where the reference is not white.

    Small ones are not excused: print erased from white board looks the same. Nor can a
    wide one be told from erased print where the white board around it is burnt out as
    well: of those the share of the face is returned, so that nothing is cleared there.

    Returns:
        1 in each patch (h, w), and the share that may be print or none.
    """
    is_burnt = darkest(photo) >= _BURNT
    least_px = _MIN_GLARE_SHARE * is_burnt.size
    if np.count_nonzero(is_burnt) < least_px:  # none can be wide
        return np.zeros(is_burnt.shape, np.uint8), 0.0
    printed = darkest(reference)
    burnt = is_burnt & (printed < _BURNT - 40)
    if np.count_nonzero(burnt) < least_px:
        return np.zeros(burnt.shape, np.uint8), 0.0
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        burnt.astype(np.uint8), connectivity=8
    )
    wide = stats[:count, cv2.CC_STAT_AREA] >= least_px
    wide[0] = False  # the background
    washed = 0.0
    for number in np.flatnonzero(wide):
        patch = labels == number
        around = cv2.dilate(patch.astype(np.uint8), _AROUND_GLARE) > 0
        board = around & ~patch & (printed >= _WHITE)
        if board.any() and is_burnt[board].mean() > _BURNT_BOARD:
            washed += float(patch.mean())
    return np.asarray(wide[labels], np.uint8), washed


_AROUND_GLARE = np.ones((21, 21), np.uint8)
_WHITE = 225
_BURNT_BOARD = 0.3


def _comparable(
    reference: Pixels, photo: Pixels, covered: Mask, variable: Mask | None
) -> tuple[Map, float]:
    """1 where compared: covered, not burnt out, not variable, off the very edge.

    And the share that is washed out, see `_glare`.
    """
    burnt, washed = _glare(reference, photo)
    blocked = ~covered | (cv2.dilate(burnt, _BURNT_REACH) > 0)
    if variable is not None:
        blocked |= variable
    valid = (~blocked).astype(np.float32)
    # The fold of the carton and the shadow beside it belong to no print.
    border = max(2, round(_BORDER_SHARE * max(valid.shape)))
    valid[:border] = valid[-border:] = 0
    valid[:, :border] = valid[:, -border:] = 0
    return valid, washed

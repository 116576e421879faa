"""The dots of a reprint: a screen in the photo that the reference has not.

What is printed again through a coarse screen looks right at every place, and repeats
itself at the screen's pitch all over the face. Too weak for the eye at any place, such
a wave stands out of the mean power spectrum of many tiles (Welch, 1967): a peak, and,
as screens are square, one a quarter of a turn from it. Power, not phase: a tile need
not lie to the pixel.
"""

import cv2
import numpy as np

from touchstone.engine.comparison import Comparison
from touchstone.engine.identification import resolution
from touchstone.engine.image import Pixels, grey, moved_by, resized
from touchstone.engine.normalisation import Luma, Map
from touchstone.engine.rectification import rectify
from touchstone.engine.reference import Reference
from touchstone.engine.registration import Registration

_TILE = 96
"""Side in pixels: dozens of dots; bends and folds are longer."""
_STEP = _TILE // 2
_MOST_TILES = 32
_LEAST_TILES = 4
_COMPARED = 0.97
"""Share of a tile that both pictures must show."""
_COARSEST, _FINEST = 0.1, 0.5
"""Cycles per pixel."""
_AROUND, _AMID = 11, 3
"""Frequencies across: of what a peak is held against, and of the peak."""
_FINER, _MOST_SCALE = 1.1, 2.2
"""Pixels that the face is drawn with per pixel of the photo, so that a wave nearly as
fine as these is kept, and at most per pixel of the compared frame."""
_PRINT = 0.2
"""Cycles per pixel of the compared frame: what repeats itself less often is print."""


def dots_seen(
    photo: Pixels,
    registration: Registration,
    reference: Reference,
    comparison: Comparison,
) -> float:
    """Tell how far a screen stands out of the face, see `dots`.

    Args:
        photo: of any size.
        registration: of the photo.
        reference: what it is of.
        comparison: of both.
    """
    finer = _FINER * resolution(registration)
    scale = min(max(finer, 1.0), _MOST_SCALE)
    height, width = comparison.valid.shape
    size = round(width * scale), round(height * scale)
    drawn, _ = rectify(grey(photo), registration, size)
    shift = cv2.resize(comparison.shift, size, interpolation=cv2.INTER_LINEAR)
    valid = cv2.resize(comparison.valid, size, interpolation=cv2.INTER_NEAREST)
    finest = reference.framed if reference.larger is None else reference.larger
    return dots(
        resized(grey(finest), size),
        moved_by(drawn, np.asarray(shift, np.float32) * np.float32(scale)),
        np.asarray(valid, np.float32),
        coarsest=_PRINT / scale,
    )


def dots(expected: Luma, seen: Luma, valid: Map, *, coarsest: float) -> float:
    """Tell how far a screen stands out of what is seen and not of what should be.

    Args:
        expected: (h, w).
        seen: (h, w), laid over it.
        valid: (h, w), 1 where both can be compared.
        coarsest: what repeats itself less often is print; cycles per pixel.

    Returns:
        natural logarithm of power over that of the frequencies around it, the mean of
        a peak and of where another is a quarter of a turn on: 0.4 is usual; 0 where too
        little of the face can be compared.
    """
    corners = _tiles(valid)
    if len(corners) < _LEAST_TILES:
        return 0.0
    printed, shown = (_standing_out(one, corners) for one in (expected, seen))
    # The first row and column have no counterpart across the middle.
    left = (shown - np.maximum(printed, 0))[1:, 1:]
    axis = np.arange(1 - _STEP, _STEP) / _TILE
    often = np.hypot(axis[:, None], axis)
    is_asked = (often > max(coarsest, _COARSEST)) & (often < _FINEST)
    return float(((left + np.rot90(left)) / 2)[is_asked].max())


def _tiles(valid: Map) -> list[tuple[int, int]]:
    """Return (top, left) of tiles that are compared, spread over the face."""
    shares = cv2.blur(valid, (_TILE, _TILE))
    height, width = (max(0, side - _TILE + 1) for side in valid.shape)
    middles = shares[_STEP : _STEP + height : _STEP, _STEP : _STEP + width : _STEP]
    found = np.argwhere(middles > _COMPARED) * _STEP
    every = max(1, -(-len(found) // _MOST_TILES))
    return [(int(top), int(left)) for top, left in found[::every]]


def _standing_out(luma: Luma, corners: list[tuple[int, int]]) -> Map:
    """(tile, tile): log mean spectrum over what lies around; 0 in the middle."""
    window = cv2.createHanningWindow((_TILE, _TILE), cv2.CV_32F)
    logs = np.zeros((_TILE, _STEP + 1), np.float32)
    for top, left in corners:
        tile = luma[top : top + _TILE, left : left + _TILE].astype(np.float32)
        waves = cv2.dft((tile - tile.mean()) * window, flags=cv2.DFT_COMPLEX_OUTPUT)
        half = waves[:, : _STEP + 1]
        logs += cv2.log(half[..., 0] ** 2 + half[..., 1] ** 2 + 1)
    # The other half is the same, turned by half a turn.
    other = np.roll(logs[::-1, -2:0:-1], 1, axis=0)
    spectrum = np.fft.fftshift(np.hstack([logs, other])) / np.float32(len(corners))
    wide, near = (
        cv2.boxFilter(spectrum, -1, (side, side), normalize=False)
        for side in (_AROUND, _AMID)
    )
    return np.asarray(
        spectrum - (wide - near) / np.float32(_AROUND**2 - _AMID**2), np.float32
    )

"""The dots of a reprint: a screen in the photo that the reference has not.

What is printed again through a coarse screen looks right at every place, and repeats
itself at the screen's pitch all over the face. Too weak for the eye at any place, such
a wave stands out of the spectrum of many tiles together (after Welch, 1967; the mean of
logarithms, so that none counts for more than others): a peak, and, as screens are
square, one a quarter of a turn from it. Power, not phase: a tile need not lie to the
pixel.
"""

import cv2
import numpy as np

from touchstone.engine.comparison import Comparison
from touchstone.engine.identification import resolution
from touchstone.engine.image import Pixels, grey, moved_by, resized
from touchstone.engine.normalisation import Luma, Map
from touchstone.engine.pair import laid_at
from touchstone.engine.rectification import rectify
from touchstone.engine.reference import Reference
from touchstone.engine.registration import Registration

_TILE = 96
"""Side in pixels: dozens of dots; bends and folds are longer."""
_STEP = _TILE // 2
_MOST_TILES = 32
_LEAST_TILES = 12
"""Of fewer the mean is so uneven that noise passes for a screen."""
_COMPARED = 0.97
"""Share of a tile that can be compared."""
_COARSEST, _FINEST = 0.1, 0.5
"""Cycles per pixel, of a screen; a finer one no pixels hold."""
_PRINT = 0.2
"""Cycles per pixel of the compared frame: what repeats itself less often is print."""
_AROUND, _AMID = 11, 3
"""Frequencies across: of what a peak is held against, and of the peak."""
_FINER = 1.1
"""Drawn pixels per pixel of the photo: a wave nearly as fine as these is kept."""
_MOST_SCALE = 2.2
"""Drawn pixels per pixel of the compared frame."""
USUAL = 0.4
"""What half of the genuine faces have; said where nothing is known."""


def dots_seen(
    photo: Pixels,
    registration: Registration,
    reference: Reference,
    comparison: Comparison,
) -> float:
    """Look for a screen in the face, drawn as finely as the photo shows it; see `dots`.

    Args:
        photo: of any size.
        registration: of the photo.
        reference: what it is of.
        comparison: of both.
    """
    scale = min(max(_FINER * resolution(registration), 1.0), _MOST_SCALE)
    height, width = comparison.valid.shape
    size = round(width * scale), round(height * scale)
    drawn, _ = rectify(grey(photo), registration, size)
    shift, valid = laid_at(size, comparison.shift, comparison.valid)
    return dots(
        resized(grey(reference.pixels), size),
        moved_by(drawn, shift),
        valid,
        coarsest=_PRINT / scale,
        finest=_FINEST * min(1.0, max(reference.pixels.shape) / max(size)),
    )


def dots(
    expected: Luma,
    seen: Luma,
    valid: Map,
    *,
    coarsest: float = _COARSEST,
    finest: float = _FINEST,
) -> float:
    """Tell how far a screen stands out of what is seen and not of what should be.

    Args:
        expected: (h, w).
        seen: (h, w), laid over it.
        valid: (h, w), 1 where both can be compared.
        coarsest: what repeats itself less often is print; cycles per pixel.
        finest: what ``expected`` can hold, cycles per pixel: of a finer screen it says
            nothing, though it be of the genuine print.

    Returns:
        natural logarithm of power over that of the frequencies around it, the mean of
        a peak and of where another is a quarter of a turn on; `USUAL` where too little
        can be compared.
    """
    corners = _tiles(valid)
    if len(corners) < _LEAST_TILES:
        return USUAL
    printed, shown = (_standing_out(one, corners) for one in (expected, seen))
    # Drawn from the photo's pixels a wave of the print lies a frequency off, or two.
    near = cv2.dilate(printed, np.ones((_AMID, _AMID), np.uint8))
    # The first row and column have no counterpart across the middle.
    left = (shown - np.maximum(near, 0))[1:, 1:]
    axis = np.arange(1 - _STEP, _STEP) / _TILE
    often = np.hypot(axis[:, None], axis)
    is_asked = (often > max(coarsest, _COARSEST)) & (often < finest)
    asked = ((left + np.rot90(left)) / 2)[is_asked]
    return float(asked.max()) if asked.size else USUAL


def _tiles(valid: Map) -> list[tuple[int, int]]:
    """Return (top, left) of tiles that are compared, spread over the face."""
    shares = cv2.blur(valid, (_TILE, _TILE))
    height, width = (max(0, side - _TILE + 1) for side in valid.shape)
    middles = shares[_STEP : _STEP + height : _STEP, _STEP : _STEP + width : _STEP]
    found = np.argwhere(middles > _COMPARED) * _STEP
    count = min(len(found), _MOST_TILES)
    chosen = np.linspace(0, len(found) - 1, count).round().astype(int)
    return [(int(top), int(left)) for top, left in found[chosen]]


def _standing_out(luma: Luma, corners: list[tuple[int, int]]) -> Map:
    """(tile, tile): log spectrum over what lies around; that of frequency 0 amid."""
    window = cv2.createHanningWindow((_TILE, _TILE), cv2.CV_32F)
    logs = np.zeros((_TILE, _STEP + 1), np.float32)
    for top, left in corners:
        tile = luma[top : top + _TILE, left : left + _TILE].astype(np.float32)
        waves = cv2.dft((tile - tile.mean()) * window, flags=cv2.DFT_COMPLEX_OUTPUT)
        half = waves[:, : _STEP + 1]
        logs += cv2.log(half[..., 0] ** 2 + half[..., 1] ** 2 + 1)
    logs /= np.float32(len(corners))
    # The other half is the same, turned by half a turn.
    other = np.roll(logs[::-1, -2:0:-1], 1, axis=0)
    spectrum = np.pad(np.fft.fftshift(np.hstack([logs, other])), _AROUND, mode="wrap")
    wide, near = (
        cv2.boxFilter(spectrum, -1, (side, side), normalize=False)
        for side in (_AROUND, _AMID)
    )
    out = spectrum - (wide - near) / np.float32(_AROUND**2 - _AMID**2)
    return np.asarray(out[_AROUND:-_AROUND, _AROUND:-_AROUND], np.float32)

"""What the spectrum of a face tells: dots that its print has, detail that it lacks.

What is printed again through a coarse screen looks right at every place, and repeats
itself at the screen's pitch all over the face. Too weak for the eye at any place, such
a wave stands out of the spectrum of many tiles together (after Welch, 1967; the mean of
logarithms, so that none counts for more than others): a peak, and, as screens are
square, one a quarter of a turn from it.

A copy of a scan lacks the finest detail, and so does a photo, but each in its own way:
told by how much of the reference's detail the photo has, coarse, middle and fine (what
print, lens and phone transfer, by the cross-spectrum: Bendat and Piersol, 2010, 6.1),
and how much power it has beside.
"""

from dataclasses import dataclass
from functools import lru_cache

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
_PLAIN = (0.03, 0.075)
"""Cycles per pixel of the compared frame: detail that every photo shows."""
BANDS = {"coarse": (0.075, 0.165), "middle": (0.21, 0.30), "fine": (0.345, 0.435)}
"""Cycles per pixel of the compared frame."""


_USUAL = 0.6


@dataclass(frozen=True, slots=True)
class Spectra:
    """Of a photo against its reference."""

    dots: float = _USUAL
    """How far a screen stands out of what is seen and not of what should be: natural
    logarithm of power over that of the frequencies around it, the mean of a peak and of
    where another is a quarter of a turn on."""
    transfer: tuple[float, ...] = (0.0,) * len(BANDS)
    """Of each of `BANDS`: natural logarithm of the share of the reference's detail that
    the photo has, over that of what every photo shows."""
    power: tuple[float, ...] = (0.0,) * len(BANDS)
    """Of each of `BANDS`: natural logarithm of the power that the photo has, noise and
    all, over that of the reference under the same light."""

    def measurements(self) -> dict[str, float]:
        """Return every number by name."""
        return {
            "dots": self.dots,
            **{
                f"{kind}_{band}": value
                for kind, values in (("transfer", self.transfer), ("power", self.power))
                for band, value in zip(BANDS, values, strict=True)
            },
        }


def spectra_of(
    photo: Pixels,
    registration: Registration,
    reference: Reference,
    comparison: Comparison,
) -> Spectra:
    """Look at the face drawn as finely as the photo shows it.

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
    shift = cv2.resize(comparison.shift, size, interpolation=cv2.INTER_LINEAR)
    valid = cv2.resize(comparison.valid, size, interpolation=cv2.INTER_NEAREST)
    return compared_spectra(
        resized(grey(reference.pixels), size),
        moved_by(drawn, np.asarray(shift, np.float32) * np.float32(scale)),
        np.asarray(valid, np.float32),
        scale=scale,
        finest=_FINEST * min(1.0, max(reference.pixels.shape) / max(size)),
    )


def compared_spectra(
    expected: Luma,
    seen: Luma,
    valid: Map,
    *,
    scale: float = 1.0,
    finest: float = _FINEST,
) -> Spectra:
    """Compare the spectra of two lumas; as usual where too little can be compared.

    Args:
        expected: (h, w).
        seen: (h, w), laid over it.
        valid: (h, w), 1 where both can be compared.
        scale: their pixels per pixel of the compared frame, 1 or more.
        finest: cycles per pixel that ``expected`` can hold: of a finer screen it says
            nothing, though it be of the genuine print.
    """
    corners = _tiles(valid)
    if len(corners) < _LEAST_TILES:
        return Spectra()
    mean = _mean(expected, seen, corners)
    often = _frequencies()[:, : _STEP + 1] * np.float32(scale)
    transfer, power = [], []
    for least, most in (_PLAIN, *BANDS.values()):
        inside = (often >= least) & (often < most)
        printed = float(mean.printed[inside].sum()) + 1
        transfer.append(abs(float(mean.shared[inside].sum())) / printed)
        power.append(float(mean.shown[inside].sum()) / printed)
    plain = _log(transfer[0])
    return Spectra(
        dots=_dots(mean, coarsest=_PRINT / scale, finest=finest),
        transfer=tuple(_log(one) - plain for one in transfer[1:]),
        power=tuple(_log(one) - 2 * plain for one in power[1:]),
    )


def _log(share: float) -> float:
    return float(np.log(share + _NEARLY_NONE))


_NEARLY_NONE = 1e-3


def _tiles(valid: Map) -> list[tuple[int, int]]:
    """Return (top, left) of tiles that are compared, spread over the face."""
    shares = cv2.blur(valid, (_TILE, _TILE))
    height, width = (max(0, side - _TILE + 1) for side in valid.shape)
    middles = shares[_STEP : _STEP + height : _STEP, _STEP : _STEP + width : _STEP]
    found = np.argwhere(middles > _COMPARED) * _STEP
    count = min(len(found), _MOST_TILES)
    chosen = np.linspace(0, len(found) - 1, count).round().astype(int)
    return [(int(top), int(left)) for top, left in found[chosen]]


@dataclass(frozen=True, slots=True)
class _Mean:
    """Over the tiles, (tile, tile / 2 + 1): frequencies as the transform has them."""

    printed: Map
    """Power of what should be."""
    shown: Map
    """Power of what is seen."""
    shared: Map
    """Of the product of both, what is in phase."""
    printed_log: Map
    shown_log: Map
    """Means of logarithms: no tile counts for more, as it has more print."""


def _mean(expected: Luma, seen: Luma, corners: list[tuple[int, int]]) -> _Mean:
    sums = [np.zeros((_TILE, _STEP + 1), np.float32) for _ in range(5)]
    for corner in corners:
        one, other = (_waves(luma, corner) for luma in (expected, seen))
        powers = [cv2.add(w[0] * w[0], w[1] * w[1]) for w in (one, other)]
        sums[0] += powers[0]
        sums[1] += powers[1]
        sums[2] += one[0] * other[0] + one[1] * other[1]
        sums[3] += cv2.log(powers[0] + 1)
        sums[4] += cv2.log(powers[1] + 1)
    return _Mean(*(total / np.float32(len(corners)) for total in sums))


def _waves(luma: Luma, corner: tuple[int, int]) -> list[Map]:
    """Return the real and the imaginary part of a tile's transform."""
    top, left = corner
    tile = luma[top : top + _TILE, left : left + _TILE].astype(np.float32)
    waves = cv2.dft((tile - tile.mean()) * _window(), flags=cv2.DFT_COMPLEX_OUTPUT)
    return [np.ascontiguousarray(waves[:, : _STEP + 1, part]) for part in (0, 1)]


@lru_cache(maxsize=1)
def _window() -> Map:
    return np.asarray(cv2.createHanningWindow((_TILE, _TILE), cv2.CV_32F), np.float32)


@lru_cache(maxsize=1)
def _frequencies() -> Map:
    """(tile, tile) cycles per pixel, as the transform has them."""
    along = np.fft.fftfreq(_TILE).astype(np.float32)
    return np.hypot(along[:, None], along)


def _dots(mean: _Mean, *, coarsest: float, finest: float) -> float:
    printed, shown = (_standing_out(one) for one in (mean.printed_log, mean.shown_log))
    # Drawn from the photo's pixels a wave of the print lies a frequency off, or two.
    near = cv2.dilate(printed, np.ones((_AMID, _AMID), np.uint8))
    # The first row and column have no counterpart across the middle.
    left = (shown - np.maximum(near, 0))[1:, 1:]
    often = np.fft.fftshift(_frequencies())[1:, 1:]
    is_asked = (often > max(coarsest, _COARSEST)) & (often < finest)
    asked = ((left + np.rot90(left)) / 2)[is_asked]
    return float(asked.max()) if asked.size else _USUAL


def _standing_out(logs: Map) -> Map:
    """(tile, tile): log spectrum over what lies around; that of frequency 0 amid."""
    # The other half is the same, turned by half a turn.
    other = np.roll(logs[::-1, -2:0:-1], 1, axis=0)
    spectrum = np.pad(np.fft.fftshift(np.hstack([logs, other])), _AROUND, mode="wrap")
    wide, near = (
        cv2.boxFilter(spectrum, -1, (side, side), normalize=False)
        for side in (_AROUND, _AMID)
    )
    left = spectrum - (wide - near) / np.float32(_AROUND**2 - _AMID**2)
    return np.asarray(left[_AROUND:-_AROUND, _AROUND:-_AROUND], np.float32)

"""Specialised measurements of an aligned, relit pair, because none sees every forgery.

- *structure*: luma outside the tolerance band of what the other picture spans within
  a pixel;
- *correlation*: local correlation that no small shift restores;
- *geometry*: displacement that the smooth residual flow does not explain;
- *colour*: chroma that differs after the light's low frequencies are taken out.

Each is a map in units of what is usual: 1 is the edge of that. Sizes are in pixels of
the pictures given, which are half as wide as the compared frame.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.alignment import Alignment
from touchstone.engine.image import Pixels
from touchstone.engine.normalisation import Luma, Map, smooth

CHANNELS = ("structure", "correlation", "geometry", "colour")

# --- structure ------------------------------------------------------------------------

_BAND = np.ones((3, 3), np.uint8)
_SHADE_SIGMA_PX = 7.0
_SHADE_SHRINK = 2
_USUAL_LUMA = np.float32(7)
_EDGE_SWING = 25
_MIN_EDGE_PX = 75


def structure(expected: Luma, seen: Luma, valid: Map) -> Map:
    """Luma outside the band that the other picture spans within a pixel."""
    seen = _unshaded(expected, seen, valid)
    high_e, low_e = cv2.dilate(expected, _BAND), cv2.erode(expected, _BAND)
    high_s, low_s = cv2.dilate(seen, _BAND), cv2.erode(seen, _BAND)
    # Unsigned subtraction stops at 0: each is how far one lies outside the other.
    above = cv2.max(cv2.subtract(seen, high_e), cv2.subtract(low_e, seen))
    below = cv2.max(cv2.subtract(expected, high_s), cv2.subtract(low_s, expected))
    beyond = cv2.max(above, below)
    swing = cv2.boxFilter(cv2.subtract(high_e, low_e), -1, (3, 3))
    share = _usual_share(beyond, swing, valid)
    usual = swing.astype(np.float32) * share + _USUAL_LUMA
    return np.asarray(cv2.boxFilter(beyond / usual, -1, (5, 5)), np.float32)


def _unshaded(expected: Luma, seen: Luma, valid: Map) -> Luma:
    """Folds and gloss shade on the scale of centimetres, print on that of strokes."""
    height, width = seen.shape
    small = max(8, width // _SHADE_SHRINK), max(8, height // _SHADE_SHRINK)
    e, s, v = (
        np.asarray(cv2.resize(x, small, interpolation=cv2.INTER_AREA), np.float32)
        for x in (expected, seen, valid)
    )
    shade = smooth([s - e], v, _SHADE_SIGMA_PX / _SHADE_SHRINK)[0]
    full = cv2.resize(shade, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.subtract(seen, full, dtype=cv2.CV_8U), np.uint8)


def _usual_share(beyond: NDArray[Any], swing: NDArray[Any], valid: Map) -> np.float32:
    """How far this very photo strays at edges, as a share of their swing.

    A photo a little softer or less well laid than another strays at all of its
    edges; what a forger changed strays at few.
    """
    at_edges = (swing > _EDGE_SWING) & (valid > 0)
    if at_edges.sum() < _MIN_EDGE_PX:
        return np.float32(0.25)
    shares = beyond[at_edges].astype(np.float32) / swing[at_edges]
    return np.float32(min(0.8, max(0.12, 1.5 * float(np.quantile(shares, 0.8)))))


# --- correlation ----------------------------------------------------------------------

_SHIFTS = ((1, 0), (-1, 0), (0, 1), (0, -1))
_NCC_WINDOW = (9, 9)
_CALM = np.float32(90)
"""Variance added to both sides: patches without contrast correlate by definition."""
_USUAL_DECORRELATION = np.float32(0.25)
_TEXTURED = np.float32(200)


def correlation(expected: Luma, seen: Luma, valid: Map) -> Map:
    """1 - local correlation at the best of five shifts, in units of this photo's."""
    e, s = expected.astype(np.float32), seen.astype(np.float32)
    mean_e, var_e = _moments(e)
    mean_s, var_s = _moments(s)
    best = _joint(e, s) - mean_e * mean_s
    for dx, dy in _SHIFTS:
        shifted = _moved(e, dx, dy)
        joint = _joint(shifted, s) - _moved(mean_e, dx, dy) * mean_s
        best = cv2.max(best, joint)
    scale = cv2.sqrt((var_e + _CALM) * (var_s + _CALM))
    lack = np.maximum(1 - (best + _CALM) / scale, 0)
    textured = ((var_e > _TEXTURED) & (valid > 0))[::2, ::2]
    own = 0.0
    if textured.sum() >= _MIN_EDGE_PX // 4:
        own = float(np.median(lack[::2, ::2][textured]))
    return np.asarray(lack / (_USUAL_DECORRELATION + np.float32(2 * own)), np.float32)


def _joint(x: Map, y: Map) -> Map:
    return np.asarray(cv2.boxFilter(cv2.multiply(x, y), -1, _NCC_WINDOW), np.float32)


def _moments(values: Map) -> tuple[Map, Map]:
    mean = np.asarray(cv2.boxFilter(values, -1, _NCC_WINDOW), np.float32)
    variance = np.maximum(_joint(values, values) - mean * mean, 0)
    return mean, np.asarray(variance, np.float32)


def _moved(values: Map, dx: int, dy: int) -> Map:
    """Shift by one pixel; the row that is left over repeats."""
    moved = np.empty_like(values)
    if dx:
        moved[:, max(0, dx) : values.shape[1] + min(0, dx)] = values[
            :, max(0, -dx) : values.shape[1] + min(0, -dx)
        ]
        edge = 0 if dx > 0 else -1
        moved[:, edge] = values[:, edge]
    else:
        moved[max(0, dy) : values.shape[0] + min(0, dy)] = values[
            max(0, -dy) : values.shape[0] + min(0, -dy)
        ]
        edge = 0 if dy > 0 else -1
        moved[edge] = values[edge]
    return moved


# --- geometry and colour --------------------------------------------------------------

_USUAL_STRAY_PX = np.float32(1.2)


def geometry(alignment: Alignment) -> Map:
    """Displacement of places against their surroundings, in units of this photo's."""
    usual = _USUAL_STRAY_PX + np.float32(2 * alignment.level)
    return np.asarray(alignment.stray / usual, np.float32)


_USUAL_CHROMA = np.float32(6)
_CHROMA_WINDOW = np.ones((3, 3), np.uint8)


def colour(expected: Pixels, seen: Pixels) -> Map:
    """Chroma difference outside a small neighbourhood's band, in units of 6 (Lab)."""
    beyond = np.zeros(expected.shape[:2], np.float32)
    for band, values in zip(_chroma(expected), _chroma(seen), strict=True):
        above = cv2.subtract(values, cv2.dilate(band, _CHROMA_WINDOW))
        below = cv2.subtract(cv2.erode(band, _CHROMA_WINDOW), values)
        outside = np.maximum(cv2.max(above, below), 0)
        beyond += outside * outside
    wide = cv2.boxFilter(cv2.sqrt(beyond), -1, (5, 5))
    return np.asarray(wide / _USUAL_CHROMA, np.float32)


def _chroma(rgb: Pixels) -> tuple[Map, Map]:
    """CIE a*, b* (each (h, w)), softened."""
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab = np.asarray(cv2.GaussianBlur(lab, (0, 0), 1.0), np.float32)
    return (
        np.asarray(cv2.extractChannel(lab, 1), np.float32),
        np.asarray(cv2.extractChannel(lab, 2), np.float32),
    )

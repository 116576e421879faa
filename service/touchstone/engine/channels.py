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
from touchstone.engine.image import Pixels, magnitude
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
    relative = cv2.divide(beyond.astype(np.float32), usual)
    return np.asarray(cv2.boxFilter(relative, -1, (5, 5)), np.float32)


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
    # One pixel in four tells as much.
    beyond, swing, valid = (one[::2, ::2] for one in (beyond, swing, valid))
    at_edges = (swing > _EDGE_SWING) & (valid > 0)
    count = int(np.count_nonzero(at_edges))
    if 4 * count < _MIN_EDGE_PX:
        return np.float32(0.25)
    shares = beyond[at_edges] / swing[at_edges].astype(np.float32)
    at = int(0.8 * (count - 1))
    return np.float32(min(0.8, max(0.12, 1.5 * float(np.partition(shares, at)[at]))))


# --- correlation ----------------------------------------------------------------------

_SHIFTS = ((1, 0), (-1, 0), (0, 1), (0, -1))
_NCC_WINDOW = (5, 5)
"""Of pixels that are twice as wide: sums over a neighbourhood are smooth."""
_CALM = np.float32(90)
"""Variance added to both sides: patches without contrast correlate by definition."""
_USUAL_DECORRELATION = np.float32(0.25)
_TEXTURED = np.float32(200)


def correlation(expected: Luma, seen: Luma, valid: Map) -> Map:
    """1 - local correlation at the best of five shifts, in units of this photo's."""
    e, s = expected.astype(np.float32), seen.astype(np.float32)
    mean_s, var_s = _moments(s)
    mean_e, var_e = _moments(e)
    best = _local_mean(cv2.multiply(e, s)) - mean_e * mean_s
    for dx, dy in _SHIFTS:
        shifted = _moved(e, dx, dy)
        joint = _local_mean(cv2.multiply(shifted, s))
        best = cv2.max(best, joint - _local_mean(shifted) * mean_s)
    scale = cv2.sqrt((var_e + _CALM) * (var_s + _CALM))
    lack = np.maximum(1 - (best + _CALM) / scale, 0)
    inside = valid[::2, ::2][: lack.shape[0], : lack.shape[1]]
    textured = (var_e > _TEXTURED) & (inside > 0)
    own = 0.0
    if textured.sum() >= _MIN_EDGE_PX // 4:
        own = float(np.median(lack[textured]))
    relative = lack / (_USUAL_DECORRELATION + np.float32(2 * own))
    return np.asarray(cv2.resize(relative, valid.shape[::-1]), np.float32)


def _local_mean(values: NDArray[Any]) -> Map:
    """(h // 2, w // 2): the mean around each four pixels of (h, w)."""
    height, width = values.shape
    small = max(1, width // 2), max(1, height // 2)
    halved = cv2.resize(values, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.boxFilter(halved, -1, _NCC_WINDOW), np.float32)


def _moments(values: Map) -> tuple[Map, Map]:
    mean = _local_mean(values)
    variance = np.maximum(_local_mean(cv2.multiply(values, values)) - mean * mean, 0)
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
    beyond = []
    for band, values in zip(_chroma(expected), _chroma(seen), strict=True):
        # Unsigned subtraction stops at 0: what lies within the band is none.
        above = cv2.subtract(values, cv2.dilate(band, _CHROMA_WINDOW))
        below = cv2.subtract(cv2.erode(band, _CHROMA_WINDOW), values)
        beyond.append(cv2.max(above, below).astype(np.float32))
    wide = cv2.boxFilter(magnitude(*beyond), -1, (5, 5))
    return np.asarray(wide / _USUAL_CHROMA, np.float32)


def _chroma(rgb: Pixels) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """CIE a*, b* (each (h, w)), softened."""
    _, a, b = cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB))
    a, b = (cv2.GaussianBlur(one, (5, 5), 1.0) for one in (a, b))
    return np.asarray(a, np.uint8), np.asarray(b, np.uint8)

"""How much a photograph can carry: sharpness, glare, exposure, contrast."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import Pixels, grey, resized


@dataclass(frozen=True, slots=True)
class Quality:
    """How much a photograph can carry; measured, not judged."""

    sharpness: float
    """Mean gradient over the strongest edges, relative to their contrast: 0 to 1.
    A step edge blurred over n pixels gives about 1/n."""
    glare_fraction: float
    """Share of the looked-at area that is burnt out (all channels at least 250)."""
    dark_fraction: float
    """Share of the looked-at area below luma 16."""
    contrast: float
    """Spread of luma between its 5th and 95th percentile, 0 to 1."""


def measure_quality(pixels: Pixels, mask: NDArray[np.bool_] | None = None) -> Quality:
    """Measure sharpness, glare, exposure and contrast where ``mask`` is true.

    Looked at with a long side of at most 640 px, so that sharpness means the same
    for every photo.
    """
    if max(pixels.shape[:2]) > _QUALITY_SIDE_PX:
        scale = _QUALITY_SIDE_PX / max(pixels.shape[:2])
        size = (
            max(1, round(pixels.shape[1] * scale)),
            max(1, round(pixels.shape[0] * scale)),
        )
        pixels = resized(pixels, size)
        if mask is not None:
            small = cv2.resize(
                mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST
            )
            mask = np.asarray(small > 0, bool)
    luma = grey(pixels)
    inside = None if mask is None else mask.view(np.uint8)
    tones = _histogram(luma, inside)
    area = float(tones.sum())
    if area < _MIN_AREA_PX:
        return Quality(0.0, 0.0, 1.0, 0.0)
    return Quality(
        sharpness=_edge_sharpness(luma, inside),
        glare_fraction=_burnt_px(pixels, luma, inside) / area
        if tones[_BURNT:].any()
        else 0.0,
        dark_fraction=float(tones[:_DARK].sum()) / area,
        contrast=(_quantile(tones, 0.95) - _quantile(tones, 0.05)) / 255.0,
    )


def _burnt_px(
    pixels: Pixels, luma: NDArray[np.uint8], inside: NDArray[np.uint8] | None
) -> int:
    # No channel is darker than the luma at most: there is nothing to count elsewhere.
    x, y, width, height = cv2.boundingRect(cv2.inRange(luma, (_BURNT,), (255,)))
    part = np.s_[y : y + height, x : x + width]
    burnt = cv2.inRange(pixels[part], (_BURNT,) * 3, (255,) * 3)
    if inside is not None:
        burnt = cv2.bitwise_and(burnt, inside[part])
    return cv2.countNonZero(burnt)


_QUALITY_SIDE_PX = 640
_MIN_AREA_PX = 256
_BURNT = 250
_DARK = 16
_EDGE_WINDOW_PX = 9


_LEAST_RANGE = 40
_STRONGEST = 0.75


def _edge_sharpness(luma: NDArray[np.uint8], inside: NDArray[np.uint8] | None) -> float:
    """Measure the steepest step against the local contrast, at the strongest edges."""
    smooth = cv2.GaussianBlur(luma, (3, 3), 0)
    # Differences over two pixels; byte arithmetic, an eighth of the cost of floats.
    step = np.zeros_like(luma)
    step[:, 1:-1] = cv2.absdiff(smooth[:, 2:], smooth[:, :-2])
    step[1:-1] = cv2.max(step[1:-1], cv2.absdiff(smooth[2:], smooth[:-2]))
    window = np.ones((_EDGE_WINDOW_PX, _EDGE_WINDOW_PX), np.uint8)
    local_range = cv2.subtract(cv2.dilate(smooth, window), cv2.erode(smooth, window))
    candidates = cv2.inRange(local_range, (_LEAST_RANGE + 1,), (255,))
    if inside is not None:
        candidates = cv2.bitwise_and(candidates, candidates, mask=inside)
    if cv2.countNonZero(candidates) < _MIN_AREA_PX:
        return 0.0
    # Over a window neighbours are alike: one in four tells as much.
    chosen = candidates[::2, ::2] > 0
    if not chosen.any():
        return 0.0
    steps = cv2.dilate(step, window)[::2, ::2][chosen]
    ranges = local_range[::2, ::2][chosen]
    ratio = steps * np.float32(0.5) / ranges
    at = int(_STRONGEST * (ratio.size - 1))
    return float(np.partition(ratio, at)[at])


def _histogram(
    luma: NDArray[np.uint8], mask: NDArray[np.uint8] | None
) -> NDArray[np.float32]:
    """Count the pixels of each tone, (256,)."""
    counts = cv2.calcHist([luma], [0], mask, [256], [0, 256])
    return np.asarray(counts, np.float32).ravel()


def _quantile(counts: NDArray[np.float32], share: float) -> float:
    """Return the tone below or at which ``share`` of what was counted lies."""
    below = np.cumsum(counts, dtype=np.float64)
    return float(np.searchsorted(below, share * below[-1]))

"""What is enrolled of a print when nobody has its artwork: a scan, a catalogue picture.

Such references are smaller and softer than the print, sharpened again, and of another
tone and colour: whoever made them set levels by eye.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone_training.simulator.optics import recompressed

Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""

_SIDES_PX = (260, 1400)
_MOST_CUT = 0.02
CHANNEL_BEND = 0.06
"""Standard deviation of what each channel's curve has of its own, log of its power."""
_LUMA = (0.299, 0.587, 0.114)


def scanned(pixels: Image, rng: np.random.Generator) -> Image:
    """Scan a print: other levels, colours, detail; from 260 px to its own size.

    Args:
        pixels: the print.
        rng: source of chance.
    """
    smaller = _shrunk(pixels, rng)
    toned = cv2.LUT(_recoloured(smaller, rng), _levels(rng))
    if rng.random() < 0.7:  # noqa: PLR2004 (most are sharpened for the screen)
        amount, reach = rng.uniform(0.1, 1.2), rng.uniform(0.6, 1.2)
        soft = cv2.GaussianBlur(toned, (0, 0), reach)
        toned = cv2.addWeighted(toned, 1 + amount, soft, -amount, 0)
    quality = int(rng.integers(62, 97))
    return np.asarray(recompressed(np.asarray(toned, np.uint8), quality), np.uint8)


def trimmed(
    pixels: Image, rng: np.random.Generator
) -> tuple[Image, tuple[float, float]]:
    """Cut a scan out by hand: half of its sides lose up to 2 % of it.

    Args:
        pixels: the scan.
        rng: source of chance.

    Returns:
        what is left, and where its upper left corner was.
    """
    cuts = rng.uniform(0, _MOST_CUT, 4) * rng.integers(0, 2, 4)
    height, width = pixels.shape[:2]
    left, top = round(cuts[0] * width), round(cuts[1] * height)
    right, bottom = round(cuts[2] * width), round(cuts[3] * height)
    kept = pixels[top : height - bottom, left : width - right]
    return np.ascontiguousarray(kept), (float(left), float(top))


def _shrunk(pixels: Image, rng: np.random.Generator) -> Image:
    height, width = pixels.shape[:2]
    low, high = np.log(_SIDES_PX)
    scale = min(1.0, float(np.exp(rng.uniform(low, high))) / max(height, width))
    size = max(8, round(width * scale)), max(8, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _recoloured(pixels: Image, rng: np.random.Generator) -> Image:
    grey = np.tile(np.array(_LUMA), (3, 1))
    cross = rng.normal(0, 0.03, (3, 3))
    vivid = float(np.exp(rng.normal(0.05, 0.15)))
    matrix = grey + vivid * (np.eye(3) - grey) + cross
    matrix /= matrix.sum(axis=1, keepdims=True)  # white stays white
    return np.asarray(cv2.transform(pixels, matrix.astype(np.float32)), np.uint8)


def _levels(rng: np.random.Generator) -> NDArray[np.uint8]:
    """(1, 256, 3): a tone curve a channel; black and white are clipped or held back."""
    black, white = rng.uniform(-0.05, 0.07), rng.uniform(0.9, 1.04)
    bend, contrast = np.exp(rng.normal(0, 0.16)), rng.uniform(-0.2, 0.6)
    own = np.exp(rng.normal(0, CHANNEL_BEND, 3))
    level = np.clip((np.linspace(0, 1, 256) - black) / (white - black), 0, 1)
    curve = level[:, None] ** (bend * own)
    curve = curve + contrast * curve * (1 - curve) * (2 * curve - 1)
    return np.asarray(np.clip(curve * 255 + 0.5, 0, 255), np.uint8)[None]

"""Smooth noise, of which surfaces, pictures and uneven light are grown."""

import cv2
import numpy as np
from numpy.typing import NDArray

_Field = NDArray[np.float32]


def smooth_noise(
    rng: np.random.Generator, size_px: tuple[int, int], *, cells: tuple[int, int]
) -> _Field:
    """Smooth noise in about [-1, 1], shape (height, width).

    Args:
        rng: source of chance.
        size_px: (width, height) of the result.
        cells: bumps across and down; unequal counts stretch the bumps.
    """
    grid = rng.uniform(-1, 1, (max(2, cells[1] + 3), max(2, cells[0] + 3)))
    width, height = size_px
    # A margin of one and a half cells is cut off: there the spline only replicates.
    rows, columns = grid.shape
    sx, sy = (columns - 3) / width, (rows - 3) / height
    matrix = np.array([[sx, 0, 1], [0, sy, 1]], np.float64)
    return np.asarray(
        cv2.warpAffine(
            grid.astype(np.float32),
            matrix,
            size_px,
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )


def fractal_noise(
    rng: np.random.Generator,
    size_px: tuple[int, int],
    *,
    cells: int = 4,
    octaves: int = 4,
) -> _Field:
    """Sum of ever finer and fainter smooth noise, about [-1, 1]; (height, width)."""
    total = np.zeros((size_px[1], size_px[0]), np.float32)
    ratio = size_px[1] / size_px[0]
    for octave in range(octaves):
        across = cells * 2**octave
        if across > min(size_px):
            break
        bumps = (across, max(2, round(across * ratio)))
        total += smooth_noise(rng, size_px, cells=bumps) / 2**octave
    return np.asarray(total / 2, np.float32)

"""Smooth functions over a picture: what bends of low order are made of."""

import numpy as np
from numpy.typing import NDArray


def monomials(
    points: NDArray[np.floating], size_px: tuple[int, int]
) -> NDArray[np.float64]:
    """(n, 10) monomials up to the third order, of coordinates in [-1, 1].

    The affine part is among them: the homography was fitted to the part that looked
    flat, and is slightly off for the whole.
    """
    unit = np.asarray(points, np.float64) / np.array(size_px) * 2 - 1
    x, y = unit[:, 0], unit[:, 1]
    one = np.ones_like(x)
    xx, xy, yy = x * x, x * y, y * y
    return np.column_stack([one, x, y, xx, xy, yy, xx * x, xx * y, x * yy, yy * y])

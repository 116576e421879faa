"""Smooth functions over a picture: what bends of low order are made of."""

import math

import numpy as np
from numpy.typing import NDArray

_CUBIC = 3


def monomials(
    points: NDArray[np.floating], size_px: tuple[int, int], *, order: int = _CUBIC
) -> NDArray[np.float64]:
    """(n, terms) monomials up to ``order``, of coordinates in [-1, 1].

    The affine part is among them: the homography was fitted to the part that looked
    flat, and is slightly off for the whole. Those of a lower order come first.
    """
    unit = np.asarray(points, np.float64) / np.array(size_px) * 2 - 1
    x, y = (_powers(axis, order) for axis in unit.T)
    return np.column_stack(
        [
            x[total - down] * y[down]
            for total in range(order + 1)
            for down in range(total + 1)
        ]
    )


def _powers(values: NDArray[np.float64], order: int) -> list[NDArray[np.float64]]:
    powers = [np.ones_like(values)]
    for _ in range(order):
        powers.append(powers[-1] * values)
    return powers


def order_of(terms: int) -> int:
    """Return the order up to which there are so many monomials.

    Raises:
        ValueError: there is none.
    """
    order = math.isqrt(8 * terms + 1) // 2 - 1
    if order < 0 or (order + 1) * (order + 2) != 2 * terms:
        raise ValueError(f"no polynomial in x and y has {terms} terms")
    return order

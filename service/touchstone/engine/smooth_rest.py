"""What places of a grid follow together: the smooth rest of their shifts.

A robust polynomial of low order, and a wide average of the small rests that it leaves.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import lengths


@dataclass(frozen=True, slots=True)
class Smooth:
    """What the certain places of a grid follow."""

    shifts: NDArray[np.float32]
    """(rows, columns, 2), half-size pixels."""
    is_wavy: bool
    """Whether the face bends more than a polynomial of low order does."""


def smooth_rest(
    shifts: NDArray[np.float32],
    certain: NDArray[np.bool_],
    basis: NDArray[np.float64],
    *,
    is_bent: bool,
) -> Smooth:
    """Follow what the certain places have in common.

    Args:
        shifts: (rows, columns, 2), half-size pixels.
        certain: (rows, columns), some of them.
        basis: (rows * columns, 10), monomials of where they lie.
        is_bent: whether the face is known to bend.
    """
    coefficients = _robust_fit(
        basis[certain.ravel()], shifts[certain].astype(np.float64)
    )
    smooth = (basis @ coefficients).astype(np.float32).reshape(shifts.shape)
    # The median: elements that moved are fewer than half of the places.
    usual = middle(lengths(shifts - smooth)[certain])
    is_wavy = is_bent or usual > _WAVY_PX
    for average in _BENT if is_wavy else _FLAT:
        smooth = smooth + _wide_average(shifts - smooth, certain, average)
    return Smooth(smooth, is_wavy)


def followed_on(
    smooth: Smooth, shifts: NDArray[np.float32], certain: NDArray[np.bool_]
) -> Smooth:
    """Follow, over the shortest way, what has become certain since."""
    last = (_BENT if smooth.is_wavy else _FLAT)[-1]
    further = _wide_average(shifts - smooth.shifts, certain, last)
    return Smooth(smooth.shifts + further, smooth.is_wavy)


def middle(values: NDArray[np.float32]) -> float:
    """Return the (upper) median of ``values``, of which there must be some."""
    middle = values.size // 2
    return float(np.partition(values, middle)[middle])


_FIT_ROUNDS = 8
_FIT_SCALE_PX = 0.5
_FIT_RIDGE = 0.3


def _robust_fit(
    basis: NDArray[np.float64], shifts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit (10, 2) coefficients; the scale of what is an outlier shrinks each round."""
    ridge = _FIT_RIDGE * np.diag([0.0, 0.1, 0.1] + [1.0] * 7)
    coefficients = np.zeros((10, 2))
    coefficients[0] = np.median(shifts, axis=0)
    # Turned to rows as long as there are places: NumPy is slow on short ones.
    by_term, by_axis = np.ascontiguousarray(basis.T), np.ascontiguousarray(shifts.T)
    for number in range(_FIT_ROUNDS):
        scale = max(_FIT_SCALE_PX, 4.0 * 0.6**number)
        gaps = by_axis - coefficients.T @ by_term
        squares = (gaps[0] ** 2 + gaps[1] ** 2) / scale**2
        robust = 1 / (1 + squares) ** 2
        weighted = by_term * robust
        coefficients = np.linalg.solve(
            weighted @ by_term.T + ridge, weighted @ by_axis.T
        )
    return np.asarray(coefficients, np.float64)


@dataclass(frozen=True, slots=True)
class _Average:
    """Over what the rest is averaged, and how far off it may be."""

    sigma_cells: float
    most_px: float  # in half-size pixels


_FLAT = (_Average(6.0, 1.0),)
_BENT = (_Average(6.0, 4.0), _Average(4.0, 3.0), _Average(2.5, 2.0))
"""From wide to narrow: each brings more of a wave within reach of the next, and an
element that moved by 2 % (6 of these pixels) is in reach of none."""
_WAVY_PX = 0.2
"""Half-size pixels that half of the places lie off the polynomial by: on flat faces
0.04 to 0.15, hardly more where elements moved, on pouches 0.2 to 0.7."""
_FINE_PRIOR = 0.5


def _wide_average(
    rest: NDArray[np.float32], is_certain: NDArray[np.bool_], average: _Average
) -> NDArray[np.float32]:
    """(rows, columns, 2): wide average of small rests; large ones are elements."""
    small = is_certain & (lengths(rest) < average.most_px)
    prior = _FINE_PRIOR / (2 * np.pi * average.sigma_cells**2)
    return averaged(rest, small, prior=prior, sigma_cells=average.sigma_cells)[0]


def averaged(
    shifts: NDArray[np.float32],
    kept: NDArray[np.bool_],
    *,
    prior: float,
    sigma_cells: float = 0.0,
    window: tuple[int, int] = (0, 0),
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Average around each place of a grid over those places that are kept.

    Args:
        shifts: (rows, columns, 2).
        kept: (rows, columns).
        prior: how much no shift at all weighs beside them.
        sigma_cells: of the Gaussian that weighs them; 0: by the window.
        window: places (across, down) that it covers; (0, 0): by sigma.

    Returns:
        (rows, columns, 2); (rows, columns), the share, so weighed, that is kept.
    """
    weight = kept.astype(np.float32)
    sums = cv2.merge([shifts[..., 0] * weight, shifts[..., 1] * weight, weight])
    wide = cv2.GaussianBlur(sums, window, sigma_cells)
    mean = wide[..., :2] / (wide[..., 2:] + np.float32(prior))
    return np.asarray(mean, np.float32), np.asarray(wide[..., 2], np.float32)

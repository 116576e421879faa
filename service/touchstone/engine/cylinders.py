"""A label wound round a bottle, as a camera sees it.

Print at x on a flat sheet lies at the angle ``a x`` of a cylinder: its place in space
is (sin a x, cos a x, y), and any projective camera maps (sin a x, cos a x, y, 1) to the
photo by one 3 by 4 matrix. Where the sheet begins on the cylinder and how that lies
before the camera are all in the matrix; only the angle that the sheet takes is not. So
a dozen numbers follow a label to its far sides, where a polynomial that was fitted to
its middle runs away.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cylinder:
    """Where the points of a print lie that is wound on a cylinder."""

    photo_from_wound: _Array
    """(3, 4): maps (sin a u, cos a u - 1, v, 1), with u and v from -1/2 to 1/2."""
    angle: float
    """Radians of the cylinder that the whole print takes."""
    is_upright: bool
    """Whether it is wound along the reference's x; else along its y."""

    def points_in_photo(
        self, points_in_reference: NDArray[np.floating], size_px: tuple[int, int]
    ) -> _Array:
        """Map (n, 2) points of a reference of ``size_px`` to the photo."""
        lifted = _wound(points_in_reference, size_px, self.angle, self.is_upright)
        return _projected(self.photo_from_wound, lifted)


_ANGLES = (0.6, 1.1, 1.6, 2.1, 2.7)
"""Radians; a label that takes more than half of its bottle is not seen whole."""
_FINER = 0.25
_FIRST_ROUNDS, _LAST_ROUNDS = 6, 10
_DAMPING = 1e-4
_LEAST_MATCHES = 12
_REACH = 8.0
"""How far (in thresholds) a match may lie from the fit of one round to take part."""


def fit_cylinder(
    homography: _Array,
    matches: tuple[NDArray[np.floating], NDArray[np.floating]],
    *,
    size_px: tuple[int, int],
    threshold_px: float,
) -> tuple[Cylinder, NDArray[np.bool_]] | None:
    """Fit a cylinder to matches, growing from where the homography holds.

    Args:
        homography: (3, 3), of the reference to the photo, for the part that looks flat.
        matches: (n, 2) points of the reference, and of the photo.
        size_px: (width, height) of the reference.
        threshold_px: distance in the photo within which a match fits.

    Returns:
        what explains the most matches, and which, (n,); None where none was fitted.
    """
    in_reference, in_photo = (np.asarray(one, np.float64) for one in matches)
    view = _View.of(homography, in_photo, size_px, threshold_px)
    tried = []
    for is_upright in (True, False):
        for angle in _ANGLES:
            lifted = _wound(in_reference, size_px, angle, is_upright)
            start = view.start(angle, is_upright)
            tried.append(
                (*view.fitted(start, lifted, _FIRST_ROUNDS), angle, is_upright)
            )
    score, matrix, angle, is_upright = max(tried, key=lambda one: one[0])
    best = (score, matrix, angle)
    for other in (angle - _FINER, angle + _FINER):
        lifted = _wound(in_reference, size_px, other, is_upright)
        start = view.start(other, is_upright)
        best = max(
            best, (*view.fitted(start, lifted, _LAST_ROUNDS), other), key=lambda b: b[0]
        )
    _, matrix, angle = best
    lifted = _wound(in_reference, size_px, angle, is_upright)
    _, matrix = view.fitted(matrix, lifted, _LAST_ROUNDS)
    found = Cylinder(view.in_pixels(matrix), float(angle), is_upright)
    gaps = found.points_in_photo(in_reference, size_px) - in_photo
    fits = np.asarray(np.hypot(*gaps.T) < threshold_px, np.bool_)
    return (found, fits) if np.isfinite(found.photo_from_wound).all() else None


@dataclass(frozen=True, slots=True)
class _View:
    """Matches in units in which numbers are near one."""

    homography: _Array  # of u, v to the scaled photo
    in_photo: _Array  # (n, 2), scaled
    back: _Array  # (3, 3): the scaled photo to pixels
    threshold: float

    @staticmethod
    def of(
        homography: _Array, in_photo: _Array, size_px: tuple[int, int], threshold: float
    ) -> "_View":
        width, height = size_px
        middle = in_photo.mean(axis=0)
        scale = max(float(np.abs(in_photo - middle).mean()), 1e-6)
        back = np.array([[scale, 0, middle[0]], [0, scale, middle[1]], [0, 0, 1.0]])
        to_reference = np.array(
            [[width, 0, width / 2], [0, height, height / 2], [0, 0, 1.0]]
        )
        unit = np.linalg.solve(back, homography @ to_reference)
        return _View(
            unit / unit[2, 2], (in_photo - middle) / scale, back, threshold / scale
        )

    def start(self, angle: float, is_upright: bool) -> _Array:
        """(3, 4): a cylinder that is laid on the flat print along its middle."""
        x, y, one = self.homography.T
        along, across = (x, y) if is_upright else (y, x)
        return np.column_stack([along / angle, np.zeros(3), across, one])

    def fitted(
        self, matrix: _Array, lifted: _Array, rounds: int
    ) -> tuple[float, _Array]:
        """Re-weighted Gauss-Newton from ``matrix``; (how much it explains, (3, 4))."""
        for _ in range(rounds):
            weights, step = self._step(matrix, lifted)
            if not np.isfinite(step).all():
                return 0.0, matrix
            matrix = matrix + step
        weights, _ = self._step(matrix, lifted)
        return float(weights.sum()), matrix

    def _step(self, matrix: _Array, lifted: _Array) -> tuple[_Array, _Array]:
        image = lifted @ matrix.T
        depth = np.where(np.abs(image[:, 2]) < 1e-6, 1e-6, image[:, 2])  # noqa: PLR2004 (no division by nothing)
        seen = image[:, :2] / depth[:, None]
        gaps = self.in_photo - seen
        distance = np.hypot(*gaps.T) / self.threshold
        weights = (distance < _REACH) / (1 + distance**2)
        if np.count_nonzero(weights) < _LEAST_MATCHES:
            return weights, np.full((3, 4), np.nan)
        # d seen / d matrix: lifted / depth for its own row, -seen times that for the
        # last, whose lower right stays one.
        scaled = lifted / depth[:, None]
        normal, right = np.zeros((12, 12)), np.zeros(12)
        plain = scaled.T @ (scaled * weights[:, None])
        for axis in (0, 1):
            own = np.s_[4 * axis : 4 * axis + 4]
            at = seen[:, axis]
            crossed = -scaled.T @ (scaled * (weights * at)[:, None])
            normal[own, own] = plain
            normal[own, 8:] = normal[8:, own] = crossed
            normal[8:, 8:] += scaled.T @ (scaled * (weights * at * at)[:, None])
            pull = weights * gaps[:, axis]
            right[own] = scaled.T @ pull
            right[8:] -= scaled.T @ (pull * at)
        normal, right = normal[:11, :11], right[:11]
        ridge = _DAMPING * (np.diag(normal) + weights.mean())
        step = np.append(np.linalg.solve(normal + np.diag(ridge), right), 0.0)
        return weights, step.reshape(3, 4)

    def in_pixels(self, matrix: _Array) -> _Array:
        """Return ``matrix`` with the photo's pixels for what it maps to."""
        return np.asarray(self.back @ matrix, np.float64)


def _wound(
    points: NDArray[np.floating],
    size_px: tuple[int, int],
    angle: float,
    is_upright: bool,
) -> _Array:
    unit = np.asarray(points, np.float64) / np.array(size_px) - 0.5
    along, across = unit.T if is_upright else unit.T[::-1]
    turn = angle * along
    return np.column_stack(
        [np.sin(turn), np.cos(turn) - 1, across, np.ones_like(across)]
    )


def _projected(matrix: _Array, lifted: _Array) -> _Array:
    image = lifted @ matrix.T
    return np.asarray(image[:, :2] / image[:, 2:], np.float64)

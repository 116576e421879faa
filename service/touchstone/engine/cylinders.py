"""A label wound round a bottle, as a camera sees it.

Print at x on a flat sheet lies at the angle ``a x`` of a cylinder: its place in space
is (sin a x, cos a x, y), and any projective camera maps (sin a x, cos a x, y, 1) to the
photo by one 3 by 4 matrix. Where the sheet begins on the cylinder and how that lies
before the camera are all in the matrix; only the angle that the sheet takes is not. So
a dozen numbers follow a label to its far sides, where a polynomial that was fitted to
its middle runs away.
"""

from dataclasses import dataclass, replace

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


_ANGLES = (0.8, 1.5, 2.3)
"""Radians; a label that takes more than half of its bottle is not seen whole."""
_FINER = 0.35
_FIRST_ROUNDS, _LAST_ROUNDS = 5, 8
_ASKED = 160
"""Matches by which the angle is chosen; all of them fit what is chosen."""
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
    step = -(-len(in_reference) // _ASKED)
    asked = view.every(step)

    def tried(angle: float, is_upright: bool) -> tuple[float, _Array, float, bool]:
        lifted = _wound(in_reference[::step], size_px, angle, is_upright)
        start = asked.start(angle, is_upright)
        return *asked.fitted(start, lifted, _FIRST_ROUNDS), angle, is_upright

    best = max(
        (tried(angle, upright) for upright in (True, False) for angle in _ANGLES),
        key=lambda one: one[0],
    )
    finer = (tried(best[2] + change, best[3]) for change in (-_FINER, _FINER))
    _, matrix, angle, is_upright = max((best, *finer), key=lambda one: one[0])
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

    def every(self, step: int) -> "_View":
        """Return the same with every ``step``-th match."""
        return replace(self, in_photo=self.in_photo[::step])

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
        nothing = np.zeros_like(scaled)
        slopes = np.concatenate(
            [
                np.concatenate([scaled, nothing, -seen[:, :1] * scaled], axis=1),
                np.concatenate([nothing, scaled, -seen[:, 1:] * scaled], axis=1),
            ]
        )[:, :11]
        weighted = slopes * np.concatenate([weights, weights])[:, None]
        normal = slopes.T @ weighted
        right = weighted.T @ gaps.T.ravel()
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

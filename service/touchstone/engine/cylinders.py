"""A label wound round a bottle, as a camera sees it.

Print at x on a flat sheet lies at the angle ``a x`` of a cylinder: its place in space
is (sin a x, cos a x, y), and any projective camera maps (sin a x, cos a x, y, 1) to the
photo by one 3 by 4 matrix. Where the sheet begins on the cylinder and how that lies
before the camera are all in the matrix; only the angle that the sheet takes is not. So
a dozen numbers follow a label to its far sides, where a polynomial that was fitted to
its middle runs away.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[np.float64]
_Way: TypeAlias = tuple[float, bool]
"""The angle that a print takes, and whether it is wound along its x."""


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

    def best_of(ways: Sequence[_Way]) -> tuple[float, _Array, _Way]:
        lifted = np.stack([_wound(in_reference[::step], size_px, *w) for w in ways])
        starts = np.stack([asked.start(*way) for way in ways])
        explained, matrices = asked.fitted(starts, lifted, _FIRST_ROUNDS)
        best = int(explained.argmax())
        return float(explained[best]), matrices[best], ways[best]

    coarse = best_of([(angle, way) for way in (True, False) for angle in _ANGLES])
    angle, is_upright = coarse[2]
    finer = best_of([(angle + change, is_upright) for change in (-_FINER, _FINER)])
    _, matrix, (angle, is_upright) = max(coarse, finer, key=lambda one: one[0])
    lifted = _wound(in_reference, size_px, angle, is_upright)
    matrix = view.fitted(matrix[None], lifted[None], _LAST_ROUNDS)[1][0]
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
        self, matrices: _Array, lifted: _Array, rounds: int
    ) -> tuple[_Array, _Array]:
        """Re-weighted Gauss-Newton from several starts at once.

        Args:
            matrices: (starts, 3, 4).
            lifted: (starts, 4, n), the points as each of them is wound.
            rounds: how many steps.

        Returns:
            how much each explains, (starts,), 0 where too little; (starts, 3, 4).
        """
        is_lost = np.zeros(len(matrices), bool)
        for _ in range(rounds):
            steps = self._steps(matrices, lifted)
            is_lost |= ~np.isfinite(steps).all(axis=(1, 2))
            matrices = np.where(is_lost[:, None, None], matrices, matrices + steps)
        weights = self._seen(matrices, lifted)[-1]
        return np.where(is_lost, 0.0, np.nan_to_num(weights.sum(axis=1))), matrices

    def _seen(
        self, matrices: _Array, lifted: _Array
    ) -> tuple[_Array, _Array, _Array, _Array]:
        """(starts, 1, n) depths; (starts, 2, n) places, and gaps; (starts, n) weights.

        Arrays end with the points: NumPy is slow on short rows.
        """
        image = matrices @ lifted
        depth = image[:, 2:]
        depth = np.where(np.abs(depth) < 1e-6, 1e-6, depth)  # noqa: PLR2004 (no division by nothing)
        seen = image[:, :2] / depth
        gaps = self.in_photo.T - seen
        squares = (gaps[:, 0] ** 2 + gaps[:, 1] ** 2) / self.threshold**2
        return depth, seen, gaps, (squares < _REACH**2) / (1 + squares)

    def _steps(self, matrices: _Array, lifted: _Array) -> _Array:
        """(starts, 3, 4); no numbers where too few matches lie near."""
        depth, seen, gaps, weights = self._seen(matrices, lifted)
        is_lost = np.count_nonzero(weights, axis=1) < _LEAST_MATCHES
        # d seen / d matrix: lifted / depth for its own row, -seen times that for the
        # last, whose lower right stays one.
        own = lifted / depth
        slopes = np.concatenate([own, -seen[:, :1] * own, -seen[:, 1:] * own], axis=1)
        weighted = slopes * weights[:, None]
        normal, right = _normal(
            weighted @ slopes.swapaxes(1, 2), weighted @ gaps.swapaxes(1, 2)
        )
        diagonal = np.arange(12)
        normal[:, diagonal, diagonal] *= 1 + _DAMPING
        normal[:, diagonal, diagonal] += _DAMPING * weights.mean(axis=1, keepdims=True)
        normal[is_lost] = np.eye(12)
        steps = np.zeros((len(matrices), 12))
        steps[:, :11] = np.linalg.solve(normal[:, :11, :11], right[:, :11])[..., 0]
        steps[is_lost] = np.nan
        return steps.reshape(-1, 3, 4)

    def in_pixels(self, matrix: _Array) -> _Array:
        """Return ``matrix`` with the photo's pixels for what it maps to."""
        return np.asarray(self.back @ matrix, np.float64)


def _normal(products: _Array, pulls: _Array) -> tuple[_Array, _Array]:
    """(starts, 12, 12) and (starts, 12, 1): of both axes of the photo together.

    Args:
        products: (starts, 12, 12) of slopes, for x in terms of its own row of the
            matrix, of y's, and of the last row for each.
        pulls: (starts, 12, 2) of slopes and gaps along x and y.
    """
    own, x, y = slice(4), slice(4, 8), slice(8, 12)
    normal = np.zeros_like(products)
    normal[:, own, own] = normal[:, x, x] = products[:, own, own]
    for row, last in ((own, x), (x, y)):
        normal[:, row, y] = products[:, own, last]
        normal[:, y, row] = products[:, last, own]
    normal[:, y, y] = products[:, x, x] + products[:, y, y]
    last_pull = pulls[:, x, :1] + pulls[:, y, 1:]
    return normal, np.concatenate([pulls[:, own, :1], pulls[:, own, 1:], last_pull], 1)


def _wound(
    points: NDArray[np.floating],
    size_px: tuple[int, int],
    angle: float,
    is_upright: bool,
) -> _Array:
    """(4, n): (n, 2) points of a print of ``size_px``, wound on a cylinder."""
    unit = np.asarray(points, np.float64) / np.array(size_px) - 0.5
    along, across = unit.T if is_upright else unit.T[::-1]
    turn = angle * along
    return np.stack([np.sin(turn), np.cos(turn) - 1, across, np.ones_like(across)])


def _projected(matrix: _Array, lifted: _Array) -> _Array:
    image = matrix @ lifted
    return np.asarray((image[:2] / image[2:]).T, np.float64)

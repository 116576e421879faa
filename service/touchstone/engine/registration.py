"""Photo and reference to the transform between them, or why there is none.

Frames: points are (x, y) in pixels with pixel centres at +0.5, so a picture of
width w spans 0 to w and scaling a picture scales its points. Transforms are named
``destination_from_source``.

Two steps. A homography from local features: ORB first (a twelfth of SIFT's cost at
the same success on print), SIFT where ORB is in doubt; USAC_MAGSAC with a fixed seed.
Then a *bend*: a cylinder, as of a label round a bottle, where that explains as much; a
polynomial displacement of low order where it does not, as of a creased pouch. Both have
few degrees of freedom on purpose: a logo moved by 2 % must survive registration as a
difference.
"""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.cylinders import Cylinder, fit_cylinder
from touchstone.engine.features import (
    MIN_MATCHES,
    Features,
    Method,
    PhotoMatcher,
    Points,
)
from touchstone.engine.polynomials import monomials, order_of

Homography: TypeAlias = NDArray[np.float64]
"""(3, 3)"""


@dataclass(frozen=True, slots=True)
class Bend:
    """Smooth displacement after the homography, in the photo's pixels.

    ``coefficients`` is (terms, 2) over `polynomials.monomials`, of as high an order as
    it has terms for, of reference coordinates scaled to [-1, 1].
    """

    coefficients: NDArray[np.float64]

    def displacement(
        self, points_in_reference: NDArray[np.floating], size_px: tuple[int, int]
    ) -> NDArray[np.float64]:
        """Return (n, 2) displacements in photo pixels for (n, 2) reference points."""
        order = order_of(len(self.coefficients))
        basis = monomials(points_in_reference, size_px, order=order)
        return np.asarray(basis @ self.coefficients, np.float64)


@dataclass(frozen=True, slots=True)
class Registration:
    """Where the reference lies in the photo, and how well that is supported."""

    photo_from_reference: Homography
    bend: Bend | Cylinder | None
    """What the face does beyond the homography; None where it is flat."""
    method: Method
    inliers: int
    matches: int
    residual_px: float
    """Median distance of the inliers after the transform, in photo pixels; as the
    counts before it, of the features, before it was carried on (`propagation`)."""
    coverage: float
    """Share of a 6 by 6 grid over the reference that holds an inlier, 0 to 1."""
    reference_size_px: tuple[int, int]
    photo_size_px: tuple[int, int]

    @property
    def photo_px_per_reference_px(self) -> float:
        """Linear scale at the reference's centre: above 1 the photo sees more."""
        corners = _corners(self.reference_size_px)
        mapped = project(self.photo_from_reference, corners)
        area = cv2.contourArea(mapped.astype(np.float32))
        width, height = self.reference_size_px
        return float(np.sqrt(max(area, 0.0) / (width * height)))

    def points_in_photo(
        self, points_in_reference: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Map (n, 2) reference points to the photo, bend included."""
        if isinstance(self.bend, Cylinder):
            return self.bend.points_in_photo(
                points_in_reference, self.reference_size_px
            )
        mapped = project(self.photo_from_reference, points_in_reference)
        if self.bend is not None:
            mapped = mapped + self.bend.displacement(
                points_in_reference, self.reference_size_px
            )
        return mapped


@dataclass(frozen=True, slots=True)
class NotRegistered:
    """Why a reference could not be laid over the photo: a value, not an error."""

    reason: str
    """``too_few_features``, ``too_few_matches``, ``no_consensus``, ``implausible``."""
    inliers: int = 0


_GRID = 6


def register(
    matcher: PhotoMatcher, reference: Features, *, seed: int = 0
) -> Registration | NotRegistered:
    """Lay ``reference`` over the photo of ``matcher``.

    Returns `NotRegistered` when too few features agree on one plausible transform.
    The same inputs and seed give the same answer.
    """
    # 1. Match. 2. Homography by consensus. 3. Is it a possible view of a package?
    # 4. Bend, if that explains clearly more of the matches.
    photo = matcher.photo
    if min(len(photo.points), len(reference.points)) < MIN_MATCHES:
        return NotRegistered("too_few_features")
    in_reference, in_photo = matcher.match(reference)
    if len(in_reference) < MIN_MATCHES:
        return NotRegistered("too_few_matches")
    threshold = INLIER_SHARE * max(photo.size_px)
    found = _consensus(in_reference, in_photo, threshold_px=threshold, seed=seed)
    if found is None:
        return NotRegistered("no_consensus")
    homography, is_inlier = found
    if not _is_plausible(homography, reference.size_px, photo.size_px):
        return NotRegistered("implausible", int(is_inlier.sum()))
    bend, is_inlier = _fit_bend(
        homography,
        (in_reference, in_photo),
        is_inlier,
        size_px=reference.size_px,
        threshold_px=threshold,
    )
    plain = Registration(
        photo_from_reference=homography,
        bend=bend,
        method=reference.method,
        inliers=int(is_inlier.sum()),
        matches=len(in_reference),
        residual_px=0.0,
        coverage=_coverage(in_reference[is_inlier], reference.size_px),
        reference_size_px=reference.size_px,
        photo_size_px=photo.size_px,
    )
    gaps = plain.points_in_photo(in_reference[is_inlier]) - in_photo[is_inlier]
    residual = float(np.median(np.linalg.norm(gaps, axis=1)))
    return replace(plain, residual_px=residual)


# 3 px at 960: the setting under which SIFT and ORB were compared on real photos.
INLIER_SHARE = 3 / 960


def _consensus(
    source: Points, target: Points, *, threshold_px: float, seed: int
) -> tuple[Homography, NDArray[np.bool_]] | None:
    parameters: Any = cv2.UsacParams()
    parameters.randomGeneratorState = seed
    parameters.confidence = 0.999
    parameters.maxIterations = 3000
    parameters.threshold = threshold_px
    parameters.score = cv2.SCORE_METHOD_MAGSAC
    parameters.loMethod = cv2.LOCAL_OPTIM_SIGMA
    parameters.loIterations = 10
    parameters.loSampleSize = 50
    try:
        found: tuple[Any, Any] = cv2.findHomography(source, target, parameters)
    except cv2.error:  # degenerate point sets make USAC throw
        return None
    homography, mask = found
    if homography is None or mask is None:
        return None
    inliers = mask.ravel() > 0
    if inliers.sum() < MIN_MATCHES:
        return None
    return np.asarray(homography, np.float64), inliers


def project(
    homography: Homography, points: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Map (n, 2) points through a (3, 3) homography."""
    lifted = points @ homography[:, :2].T + homography[:, 2]
    return np.asarray(lifted[:, :2] / lifted[:, 2:], np.float64)


def _corners(size_px: tuple[int, int]) -> NDArray[np.float64]:
    width, height = size_px
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)


def _is_plausible(
    homography: Homography, reference_px: tuple[int, int], photo_px: tuple[int, int]
) -> bool:
    """Tell whether a rigid package could be seen so.

    It must be convex, not mirrored, in front of the camera, neither a speck nor far
    larger than the photo, and no side shorter than an eighth of the one opposite.
    """
    corners = _corners(reference_px)
    depth = np.column_stack([corners, np.ones(4)]) @ homography[2]
    if float(depth.min()) * float(depth.max()) <= 0:  # a corner behind the camera
        return False
    quad = project(homography, corners)
    edges = np.roll(quad, -1, axis=0) - quad
    following = np.roll(edges, -1, axis=0)
    turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    if np.any(turns <= 0):
        return False
    lengths = np.linalg.norm(edges, axis=1)
    opposite = np.roll(lengths, 2)
    area = cv2.contourArea(quad.astype(np.float32)) / (photo_px[0] * photo_px[1])
    return bool(np.all(lengths * 8 > opposite) and 0.002 < area < 30)  # noqa: PLR2004


def _coverage(points: NDArray[np.floating], size_px: tuple[int, int]) -> float:
    return int(np.count_nonzero(_by_cell(points, size_px))) / _GRID**2


def _by_cell(
    points: NDArray[np.floating], size_px: tuple[int, int]
) -> NDArray[np.intp]:
    """Count (n, 2) points in each cell of the face, (cells,)."""
    cells = (points / np.array(size_px) * _GRID).astype(int).clip(0, _GRID - 1)
    return np.bincount(cells[:, 1] * _GRID + cells[:, 0], minlength=_GRID**2)


_BEND_REACH = 8.0
"""How far (in inlier thresholds) a match may lie from the homography to be bent."""
_BEND_MIN_INLIERS = 40
_BEND_GAIN = 1.04
"""The bend must explain this many times the homography's matches to be believed."""
_LEFT_OUT = 0.1
"""Share of the face whose matches the homography leaves out, from which it may be of a
bottle's middle alone."""
_MATCHED = 3
"""Matches in a cell of the face that are hardly all by chance."""
_WOUND_GAIN = 1.15
"""What a cylinder alone must explain: chance matches are many, and everywhere."""
_BEND_RIDGE = 1e-3
_BEND_ROUNDS = 12


def _fit_bend(
    homography: Homography,
    matches: tuple[Points, Points],
    is_inlier: NDArray[np.bool_],
    *,
    size_px: tuple[int, int],
    threshold_px: float,
) -> tuple[Bend | Cylinder | None, NDArray[np.bool_]]:
    """Fit the bend, if any, that explains clearly more matches than the homography."""
    before = int(is_inlier.sum())
    if before < _BEND_MIN_INLIERS:
        return None, is_inlier
    bent = _fit_polynomial(
        homography, matches, before, size_px=size_px, threshold_px=threshold_px
    )
    least = before * _BEND_GAIN
    if bent is None:
        in_reference, _ = matches
        is_matched = _by_cell(in_reference, size_px) >= _MATCHED
        is_held = _by_cell(in_reference[is_inlier], size_px) > 0
        if np.mean(is_matched & ~is_held) < _LEFT_OUT:
            return None, is_inlier
        # Nothing near from where to grow: a bottle whose print is matched in its middle
        # and at a far side, and not between.
        least = before * _WOUND_GAIN
    else:
        least = max(least, float(bent[1].sum()))
    wound = fit_cylinder(
        homography, matches, size_px=size_px, threshold_px=threshold_px
    )
    # With fewer numbers it explains as much: that is what the face is, and what lies
    # between its matches, or beyond them, follows.
    if wound is not None and wound[1].sum() >= least:
        return wound
    return bent or (None, is_inlier)


def _fit_polynomial(
    homography: Homography,
    matches: tuple[Points, Points],
    before: int,
    *,
    size_px: tuple[int, int],
    threshold_px: float,
) -> tuple[Bend, NDArray[np.bool_]] | None:
    """Fit a polynomial bend; None unless it explains clearly more than ``before``."""
    in_reference, in_photo = matches
    gaps = in_photo - project(homography, in_reference)
    reach = _BEND_REACH * threshold_px
    distance = np.hypot(*gaps.T)
    if (distance < reach).sum() < _BEND_GAIN * before:  # nothing from where to grow
        return None
    basis = monomials(in_reference, size_px)
    coefficients = np.zeros((basis.shape[1], 2))
    unit = np.eye(basis.shape[1])
    # It grows from the part that looked flat: what lies near the bend of one round
    # takes part in the next, so that the far sides of a bottle are reached.
    for _ in range(_BEND_ROUNDS):
        near = distance < reach
        weights = near / (1 + (distance / threshold_px) ** 2)
        weighted = basis * weights[:, None]
        ridge = _BEND_RIDGE * float(np.count_nonzero(near)) * unit
        coefficients = np.linalg.solve(basis.T @ weighted + ridge, weighted.T @ gaps)
        distance = np.hypot(*(gaps - basis @ coefficients).T)
    bent = np.asarray(distance < threshold_px, np.bool_)
    return (Bend(coefficients), bent) if bent.sum() >= _BEND_GAIN * before else None

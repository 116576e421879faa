"""Candidates to the references that really lie in the photo, the likeliest first.

The embedding proposes, registration disposes: global vectors of cluttered photos put
the right reference among the first few dozen, local features find it there. What
registers is then looked at: siblings and a shared logo register too, so agreement of
structure and colour over the whole face counts beside the number of inliers.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from touchstone.engine.image import Pixels, resized
from touchstone.engine.registration import (
    PHOTO_SIDE_PX,
    Features,
    Method,
    PhotoMatcher,
    Registration,
    detect,
    rectify,
    register,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reference that the photo may show."""

    label: int
    similarity: float
    """Cosine of the embeddings, -1 to 1."""
    features: Mapping[Method, Features]
    """Computed at enrolment."""
    is_counterfeit: bool = False
    """Known counterfeits are always looked at, however many genuine lie nearer."""


@dataclass(frozen=True, slots=True)
class Match:
    """A candidate laid over the photo."""

    label: int
    similarity: float
    registration: Registration
    agreement: float
    """Mean local correlation of the rectified photo with the reference, -1 to 1."""
    chroma_gap: float
    """Mean chroma difference in log units, light taken out; 0 is none."""

    def measurements(self) -> dict[str, float]:
        """Return what tells a true match from a false one, by name."""
        return {
            "similarity": self.similarity,
            "log_inliers": math.log(self.registration.inliers),
            "coverage": self.registration.coverage,
            "agreement": self.agreement,
            "chroma_gap": self.chroma_gap,
            "is_sift": float(self.registration.method is Method.SIFT),
        }


IDENTIFICATION_VERSION = "1"

FIRST_LOOK = 5
"""Candidates registered before asking whether one of them is beyond doubt."""
_SURE_INLIERS = 60
_SURE_COVERAGE = 0.3
_PICTURED = 6
"""How many registered candidates are looked at in pixels."""


def match(
    photo: Pixels,
    candidates: Sequence[Candidate],
    picture_of: Callable[[int], Pixels],
    *,
    rank: Callable[[Mapping[str, float]], float],
    seed: int = 0,
) -> list[Match]:
    """Register ``candidates`` to ``photo``, best first by ``rank`` of measurements.

    ORB on the nearest few; all candidates if none of them is beyond doubt; SIFT on
    all where ORB leaves doubt. ``picture_of`` gives a reference's pixels by label.
    """
    fakes = [one for one in candidates[FIRST_LOOK:] if one.is_counterfeit]
    first = [*candidates[:FIRST_LOOK], *fakes]
    by_orb = _matcher(photo, candidates, Method.ORB)
    found = _register_all(by_orb, first, seed)
    if not _is_sure(found):
        rest = [one for one in candidates[FIRST_LOOK:] if not one.is_counterfeit]
        found |= _register_all(by_orb, rest, seed)
    if not _is_sure(found):
        by_sift = _matcher(photo, candidates, Method.SIFT)
        for label, registration in _register_all(by_sift, candidates, seed).items():
            before = found.get(label)
            if before is None or registration.inliers >= before.inliers:
                found[label] = registration
    strongest = sorted(found.items(), key=lambda item: (-item[1].inliers, item[0]))
    similarity = {candidate.label: candidate.similarity for candidate in candidates}
    known_fakes = {one.label for one in candidates if one.is_counterfeit}
    pictured = [
        (label, registration)
        for number, (label, registration) in enumerate(strongest)
        if number < _PICTURED or label in known_fakes
    ]
    matches = [
        _looked_at(photo, picture_of(label), registration, label, similarity[label])
        for label, registration in pictured
    ]
    return sorted(matches, key=lambda m: (-rank(m.measurements()), m.label))


def nearest_unmatched(
    candidates: Sequence[Candidate], matches: Sequence[Match]
) -> Candidate | None:
    """Return the nearest candidate that could not be laid over the photo."""
    matched = {one.label for one in matches}
    rest = [one for one in candidates if one.label not in matched]
    return max(rest, key=lambda one: (one.similarity, -one.label), default=None)


def _matcher(
    photo: Pixels, candidates: Sequence[Candidate], method: Method
) -> PhotoMatcher | None:
    """Find the photo's features once; None where no candidate has such features."""
    if not any(method in one.features for one in candidates):
        return None
    return PhotoMatcher(detect(photo, method, max_side_px=PHOTO_SIDE_PX))


def _register_all(
    matcher: PhotoMatcher | None, candidates: Sequence[Candidate], seed: int
) -> dict[int, Registration]:
    found: dict[int, Registration] = {}
    if matcher is None:
        return found
    method = matcher.photo.method
    for candidate in candidates:
        if method not in candidate.features:
            continue
        outcome = register(matcher, candidate.features[method], seed=seed)
        if isinstance(outcome, Registration):
            found[candidate.label] = outcome
    return found


def _is_sure(found: Mapping[int, Registration]) -> bool:
    return any(
        one.inliers >= _SURE_INLIERS and one.coverage >= _SURE_COVERAGE
        for one in found.values()
    )


_LOOK_SIDE_PX = 160
_LIGHT_SIGMA_PX = 24
_WINDOW_SIGMA_PX = 4


def _looked_at(
    photo: Pixels,
    reference: Pixels,
    registration: Registration,
    label: int,
    similarity: float,
) -> Match:
    width, height = registration.reference_size_px
    scale = _LOOK_SIDE_PX / max(width, height)
    size = max(8, round(width * scale)), max(8, round(height * scale))
    seen, covered = rectify(photo, registration, size)
    agreement, chroma_gap = _agreement(resized(reference, size), seen, covered)
    return Match(label, similarity, registration, agreement, chroma_gap)


def _agreement(
    reference: Pixels, seen: Pixels, covered: np.ndarray
) -> tuple[float, float]:
    """Return (mean local correlation, mean chroma gap), light taken out."""
    weight = covered.astype(np.float32)
    if weight.sum() < _LOOK_SIDE_PX:
        return 0.0, 1.0
    log_reference = np.log(reference.astype(np.float32) + 4)
    log_seen = np.log(seen.astype(np.float32) + 4)
    gap = log_seen - log_reference
    sigma = (0, 0), _LIGHT_SIGMA_PX
    known = cv2.GaussianBlur(weight, *sigma) + 1e-6
    light = cv2.GaussianBlur(gap * weight[..., None], *sigma) / known[..., None]
    rest = gap - light
    chroma = rest - rest.mean(axis=2, keepdims=True)
    chroma_gap = np.sqrt((chroma**2).sum(axis=2))
    correlation, contrast = _correlation(
        log_reference.mean(axis=2), log_seen.mean(axis=2)
    )
    told = weight * contrast
    return (
        float((correlation * told).sum() / max(1e-6, float(told.sum()))),
        float((chroma_gap * weight).sum() / weight.sum()),
    )


def _correlation(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local correlation of two planes, and the contrast of the first as weight."""

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (0, 0), _WINDOW_SIGMA_PX)

    mean_x, mean_y = mean(x), mean(y)
    variance_x = np.maximum(mean(x * x) - mean_x**2, 1e-3)
    variance_y = np.maximum(mean(y * y) - mean_y**2, 1e-3)
    covariance = mean(x * y) - mean_x * mean_y
    return covariance / np.sqrt(variance_x * variance_y), np.sqrt(variance_x)

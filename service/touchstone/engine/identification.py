"""Candidates to the references that really lie in the photo, the likeliest first.

The embedding proposes, registration disposes: global vectors of cluttered photos put
the right reference among the first few dozen, local features find it there. What
registers is then looked at: siblings and a shared logo register too, so agreement of
structure and colour over the whole face counts beside the number of inliers.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.features import (
    FACE_SIDE_PX,
    PHOTO_SIDE_PX,
    Features,
    Method,
    PhotoMatcher,
    Span,
    detect,
)
from touchstone.engine.flow import MIN_SIDE_PX
from touchstone.engine.image import Pixels, grey, lengths, moved_by, resized
from touchstone.engine.rectification import rectify
from touchstone.engine.reference import Reference, frame_of
from touchstone.engine.registration import Registration, register

# The stubs do not know dense inverse search.
_cv2: Any = cv2


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
    coverage: float
    """Share of the face over which inliers are spread, 0 to 1."""
    followed: float
    """`agreement` once more, looked at closer, after what lies a little off its place
    was followed there, -1 to 1: a face bends, another face is another print."""

    @property
    def resolution(self) -> float:
        """Photo pixels per pixel of the compared frame: below 1 the photo sees less."""
        return resolution(self.registration)

    def measurements(self) -> dict[str, float]:
        """Return what tells a true match from a false one, by name."""
        return {
            "similarity": self.similarity,
            "log_inliers": math.log(self.registration.inliers),
            "coverage": self.coverage,
            "agreement": self.agreement,
            "followed": self.followed,
            "chroma_gap": self.chroma_gap,
            "is_sift": float(self.registration.method is Method.SIFT),
            # A photo that sees more of it must show more of it.
            "resolution": self.resolution,
        }


def resolution(registration: Registration) -> float:
    """Return the photo's pixels per pixel of the frame in which it is compared."""
    width, _ = frame_of(registration.reference_size_px)
    to_frame = registration.reference_size_px[0] / width
    return registration.photo_px_per_reference_px * to_frame


IDENTIFICATION_VERSION = "8"

FIRST_LOOK = 5
"""Candidates registered before asking whether one of them is beyond doubt."""
_SURE_INLIERS = 60
_SURE_COVERAGE = 0.15
_LEADING_INLIERS = 40
_FAR_BEFORE = 4
"""With so many times the inliers of the second, fewer are enough."""
_SPARED_VOTES = 0.5
"""With one beyond doubt, others are registered too from this share of its votes on:
a sibling of the same artwork has about as many."""
_VOTED = 8
"""How many, by votes, are registered of those beyond the first few."""
_PICTURED = 6
"""How many registered candidates are looked at in pixels."""


def match(
    photo: Pixels,
    candidates: Sequence[Candidate],
    reference_of: Callable[[int], Reference],
    *,
    rank: Callable[[Mapping[str, float]], float],
    face: Span | None = None,
    seed: int = 0,
) -> list[Match]:
    """Register ``candidates`` to ``photo``, best first by ``rank`` of measurements.

    ORB on the nearest few, in the part of the photo that shows the ``face``, if that is
    known; where none of them is beyond doubt, on the likeliest of the rest, then in the
    whole photo, then SIFT on the likeliest of all. ``reference_of`` gives a reference
    by label.
    """
    fakes = [one for one in candidates[FIRST_LOOK:] if one.is_counterfeit]
    first = [*candidates[:FIRST_LOOK], *fakes]
    by_orb = _matcher(photo, candidates, Method.ORB, face)
    found = _register_likeliest(by_orb, first, seed)
    if not _is_sure(found.values(), tried=len(first)):
        rest = [one for one in candidates[FIRST_LOOK:] if not one.is_counterfeit]
        found |= _register_likeliest(by_orb, rest, seed)
    further = [(Method.ORB, None)] if face is not None else []
    for method, part in [*further, (Method.SIFT, None)]:
        if _is_sure(found.values(), tried=len(candidates)):
            break
        matcher = _matcher(photo, candidates, method, part)
        for label, own in _register_likeliest(matcher, candidates, seed).items():
            before = found.get(label)
            if before is None or own.inliers >= before.inliers:
                found[label] = own
    strongest = sorted(found.items(), key=lambda item: (-item[1].inliers, item[0]))
    similarity = {candidate.label: candidate.similarity for candidate in candidates}
    known_fakes = {one.label for one in candidates if one.is_counterfeit}
    pictured = [
        (label, registration)
        for number, (label, registration) in enumerate(strongest)
        if number < _PICTURED or label in known_fakes
    ]
    matches = [
        _looked_at(photo, reference_of(label), registration, similarity[label])
        for label, registration in pictured
    ]
    return sorted(matches, key=lambda m: (-rank(m.measurements()), m.label))


def nearest(candidates: Sequence[Candidate]) -> Candidate | None:
    """Return the candidate that looks most like the photo."""
    return max(candidates, key=lambda one: (one.similarity, -one.label), default=None)


def _matcher(
    photo: Pixels, candidates: Sequence[Candidate], method: Method, part: Span | None
) -> PhotoMatcher | None:
    """Find the photo's features once; None where no candidate has such features."""
    if not any(method in one.features for one in candidates):
        return None
    side = PHOTO_SIDE_PX if part is None else FACE_SIDE_PX
    return PhotoMatcher(detect(photo, method, max_side_px=side, within=part))


def _register_likeliest(
    matcher: PhotoMatcher | None, candidates: Sequence[Candidate], seed: int
) -> dict[int, Registration]:
    """Register those with the most votes, and known counterfeits whatever theirs."""
    found: dict[int, Registration] = {}
    if matcher is None:
        return found
    method = matcher.photo.method
    polled = [
        (matcher.votes(one.features[method]), one)
        for one in candidates
        if method in one.features
    ]
    polled.sort(key=lambda poll: (-poll[0], poll[1].label))
    enough = 0.0
    for number, (votes, candidate) in enumerate(polled):
        is_spared = number >= _VOTED or votes < enough
        if is_spared and not candidate.is_counterfeit:
            continue
        outcome = register(matcher, candidate.features[method], seed=seed)
        if isinstance(outcome, Registration):
            found[candidate.label] = outcome
            if _is_sure([outcome], tried=1):
                enough = max(enough, _SPARED_VOTES * votes)
    return found


def _is_sure(registrations: Collection[Registration], *, tried: int) -> bool:
    """Tell whether one is beyond doubt: by itself, or far before all others tried."""
    best = max(
        (one.inliers for one in registrations if one.coverage >= _SURE_COVERAGE),
        default=0,
    )
    second = sorted([0, 0, *(one.inliers for one in registrations)])[-2]
    is_far_before = tried > 1 and best >= _FAR_BEFORE * second
    return best >= (_LEADING_INLIERS if is_far_before else _SURE_INLIERS)


_LOOK_SIDE_PX = 160
_LIGHT_SIGMA_PX = 24
_LIGHT_STEP_PX = 4
"""The light is smooth: it is looked for in a picture so many times smaller."""
_WINDOW_PX = 9
"""Averaged over twice, about as a Gaussian of 4 pixels would."""
_LEAST_VARIANCE = np.float32(1e-3)
_LOG = np.log(np.arange(256, dtype=np.float32) + 4)
_CHROMA_AXES = np.array([[1, -1, 0], [1, 1, -2]], np.float32) / np.sqrt(
    np.array([[2], [6]], np.float32)
)
"""Two directions at right angles to grey; the length along them is the chroma."""
_GREY_AXIS = np.full((1, 3), 1 / 3, np.float32)


def _looked_at(
    photo: Pixels,
    reference: Reference,
    registration: Registration,
    similarity: float,
) -> Match:
    large = _size_of(registration, _CLOSER_SIDE_PX, unit=_BLOCK_PX, least=MIN_SIDE_PX)
    seen, covered = rectify(photo, registration, large)
    framed, face_share = resized(reference.framed, large), 1.0
    if reference.ground is not None:
        ground = cv2.resize(
            reference.ground.astype(np.uint8), large, interpolation=cv2.INTER_NEAREST
        )
        covered &= ground == 0
        face_share -= float(reference.ground.mean())
    size = _size_of(registration, _LOOK_SIDE_PX, unit=1, least=8)
    shown = cv2.resize(covered.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    agreement, chroma_gap = _agreement(
        resized(framed, size), resized(seen, size), shown
    )
    return Match(
        reference.label,
        similarity,
        registration,
        agreement,
        chroma_gap,
        coverage=min(1.0, registration.coverage / face_share),
        followed=_followed(framed, seen, covered),
    )


def _size_of(
    registration: Registration, side_px: int, *, unit: int, least: int
) -> tuple[int, int]:
    """Return the (width, height) of a face whose long side is about ``side_px``.

    Both are whole multiples of ``unit`` pixels, and ``least`` pixels or more.
    """
    sides = registration.reference_size_px
    width, height = (
        unit * max(-(-least // unit), round(side * side_px / max(sides) / unit))
        for side in sides
    )
    return width, height


def _agreement(
    reference: Pixels, seen: Pixels, weight: np.ndarray
) -> tuple[float, float]:
    """Return (mean local correlation, mean chroma gap), light taken out."""
    area = float(weight.sum())
    if area < _LOOK_SIDE_PX:
        return 0.0, 1.0
    log_reference, log_seen = cv2.LUT(reference, _LOG), cv2.LUT(seen, _LOG)
    gap = cv2.transform(cv2.subtract(log_seen, log_reference), _CHROMA_AXES)
    rest = cv2.subtract(gap, _light(gap, weight))
    chroma_gap = lengths(rest)
    greys = [cv2.transform(one, _GREY_AXIS) for one in (log_reference, log_seen)]
    agreement = _mean_correlation(greys[0], greys[1], weight, _local_mean)
    return agreement, _dot(chroma_gap, weight) / area


_CLOSER_SIDE_PX = 384
_MOST_FOLLOWED_PX = 15
_BLOCK_PX = 12
"""Correlated block by block, which is several times faster than around each pixel."""
_SMOOTH_PX = (21, 21)
_EVEN_PX = (41, 41)
_EVEN_SPREAD, _LEAST_SPREAD = 36, 5


def _followed(reference: Pixels, seen: Pixels, covered: NDArray[np.bool_]) -> float:
    """Return the mean local correlation after dense flow was followed, smoothed."""
    weight = _block_mean(covered.astype(np.float32))
    if not weight.any():
        return 0.0
    search = _cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    search.setVariationalRefinementIterations(0)
    expected, shown = grey(reference), grey(seen)
    flow = search.calc(_evened(expected), _evened(shown), None)
    limited = np.clip(flow, -_MOST_FOLLOWED_PX, _MOST_FOLLOWED_PX)
    shift = np.asarray(cv2.blur(limited, _SMOOTH_PX), np.float32)
    return _mean_correlation(
        cv2.LUT(expected, _LOG),
        cv2.LUT(moved_by(shown, shift), _LOG),
        weight,
        _block_mean,
    )


def _evened(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Even out light and contrast, so that the flow follows print and no shadow."""
    mean = cv2.blur(luma, _EVEN_PX)
    spread = cv2.blur(cv2.absdiff(luma, mean), _EVEN_PX).astype(np.float32)
    gap = luma.astype(np.float32) - mean
    even = 127 + _EVEN_SPREAD * gap / (spread + _LEAST_SPREAD)
    return np.asarray(np.clip(even, 0, 255), np.uint8)


def _dot(values: np.ndarray, weights: np.ndarray) -> float:
    return float(np.dot(values.ravel(), weights.ravel()))


def _light(gap: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return what changes slowly of ``gap``, (h, w, 2), where ``weight`` is known."""
    height, width = weight.shape
    first, second = cv2.split(gap)
    known = [cv2.multiply(first, weight), cv2.multiply(second, weight), weight]
    small = cv2.resize(
        cv2.merge(known),
        (-(-width // _LIGHT_STEP_PX), -(-height // _LIGHT_STEP_PX)),
        interpolation=cv2.INTER_AREA,
    )
    first, second, share = cv2.split(
        cv2.GaussianBlur(small, (0, 0), _LIGHT_SIGMA_PX / _LIGHT_STEP_PX)
    )
    share += 1e-6
    light = cv2.merge([cv2.divide(first, share), cv2.divide(second, share)])
    return cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)


def _mean_correlation(
    expected: np.ndarray,
    seen: np.ndarray,
    weight: np.ndarray,
    mean: Callable[[np.ndarray], np.ndarray],
) -> float:
    """Mean local correlation of two planes, weighed by how much is printed.

    ``mean`` is taken around each place, or of blocks; ``weight`` has its size.
    """
    correlation, contrast = _correlation(expected, seen, mean)
    told = cv2.multiply(weight, contrast)
    return _dot(correlation, told) / max(1e-6, float(told.sum()))


def _correlation(
    x: np.ndarray, y: np.ndarray, mean: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Local correlation of two planes, and the contrast of the first as weight."""
    mean_x, mean_y = mean(x), mean(y)
    variance_x = np.maximum(mean(x * x) - mean_x**2, _LEAST_VARIANCE)
    variance_y = np.maximum(mean(y * y) - mean_y**2, _LEAST_VARIANCE)
    covariance = mean(x * y) - mean_x * mean_y
    contrast = cv2.sqrt(variance_x)
    return covariance / (contrast * cv2.sqrt(variance_y)), contrast


def _local_mean(plane: np.ndarray) -> np.ndarray:
    window = (_WINDOW_PX, _WINDOW_PX)
    return cv2.blur(cv2.blur(plane, window), window)


def _block_mean(plane: np.ndarray) -> np.ndarray:
    size = plane.shape[1] // _BLOCK_PX, plane.shape[0] // _BLOCK_PX
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)

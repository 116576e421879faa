"""Photo and reference to the transform between them, or why there is none.

Frames: points are (x, y) in pixels with pixel centres at +0.5, so a picture of
width w spans 0 to w and scaling a picture scales its points. Transforms are named
``destination_from_source``.

Two steps. A homography from local features: ORB first (a twelfth of SIFT's cost at
the same success on print), SIFT where ORB is in doubt; USAC_MAGSAC with a fixed seed.
Then a *bend*: a polynomial displacement of low order for cartons, bottles and
pouches. It has few degrees of freedom on purpose: a logo moved by 2 % must survive
registration as a difference.
"""

import io
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias

import cv2
import faiss
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import Pixels, grey, resized

# Their stubs do not know faiss's Python wrappers nor OpenCV's optional classes.
_faiss: Any = faiss
_cv2: Any = cv2

Points: TypeAlias = NDArray[np.float32]
"""(n, 2)"""
Homography: TypeAlias = NDArray[np.float64]
"""(3, 3)"""


class Method(StrEnum):
    """A kind of local feature."""

    ORB = "orb"
    SIFT = "sift"


FEATURES_VERSION = "1"
"""Changes when stored features of an older code could not be matched with new ones."""

PHOTO_SIDE_PX = 960
"""Long side at which features are looked for in a photo."""
REFERENCE_SIDE_PX = 720
"""The same for a reference: the package fills only a part of most photos."""
MAX_FEATURES = 1000


@dataclass(frozen=True, slots=True)
class Features:
    """Local features of one picture, in the frame of that picture."""

    method: Method
    points: Points
    descriptors: NDArray[np.uint8] | NDArray[np.float32]
    """ORB: (n, 32) uint8, binary. SIFT: (n, 128) float32, RootSIFT, unit length."""
    size_px: tuple[int, int]
    """(width, height) of the picture."""


def pack_features(features: Iterable[Features]) -> bytes:
    """Serialise the features of one picture (all methods) for keeping."""
    arrays: dict[str, Any] = {}
    for one in features:
        # Half precision keeps SIFT matches to the last one, at half the size.
        is_binary = one.method is Method.ORB
        kept = one.descriptors if is_binary else one.descriptors.astype(np.float16)
        arrays[f"{one.method}_points"] = one.points
        arrays[f"{one.method}_descriptors"] = kept
        arrays[f"{one.method}_size"] = np.array(one.size_px, np.int64)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def unpack_features(data: bytes) -> dict[Method, Features]:
    """Read what `pack_features` wrote."""
    found: dict[Method, Features] = {}
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        for method in Method:
            if f"{method}_points" not in arrays:
                continue
            descriptors = arrays[f"{method}_descriptors"]
            if method is Method.SIFT:
                descriptors = descriptors.astype(np.float32)
            width, height = (int(side) for side in arrays[f"{method}_size"])
            found[method] = Features(
                method, arrays[f"{method}_points"], descriptors, (width, height)
            )
    return found


@dataclass(frozen=True, slots=True)
class Bend:
    """Smooth displacement after the homography, in the photo's pixels.

    ``coefficients`` is (terms, 2) over the monomials of `monomials`, of reference
    coordinates scaled to [-1, 1].
    """

    coefficients: NDArray[np.float64]

    def displacement(
        self, points_in_reference: NDArray[np.floating], size_px: tuple[int, int]
    ) -> NDArray[np.float64]:
        """Return (n, 2) displacements in photo pixels for (n, 2) reference points."""
        basis = monomials(points_in_reference, size_px)
        return np.asarray(basis @ self.coefficients, np.float64)


@dataclass(frozen=True, slots=True)
class Registration:
    """Where the reference lies in the photo, and how well that is supported."""

    photo_from_reference: Homography
    bend: Bend | None
    method: Method
    inliers: int
    matches: int
    residual_px: float
    """Median distance of the inliers after the transform, in photo pixels."""
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


def detect(
    pixels: Pixels,
    method: Method,
    *,
    max_side_px: int,
    max_features: int = MAX_FEATURES,
) -> Features:
    """Find local features in ``pixels``, worked on at ``max_side_px``."""
    height, width = pixels.shape[:2]
    scale = min(2.0, max_side_px / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    luma = grey(pixels)
    if size != (width, height):
        luma = resized(luma, size)
    try:
        keypoints, descriptors = _DETECT[method](luma, max_features)
    except cv2.error:  # a strip too narrow for the detector's pyramid
        keypoints, descriptors = (), None
    if descriptors is None or not keypoints:
        empty = np.empty((0, 32), np.uint8) if method is Method.ORB else _NO_SIFT
        return Features(method, np.empty((0, 2), np.float32), empty, (width, height))
    if method is Method.SIFT:
        descriptors = _root_sift(descriptors)
    points = np.asarray(cv2.KeyPoint.convert(keypoints), np.float32) + np.float32(0.5)
    to_full = np.array([width / size[0], height / size[1]], np.float32)
    return Features(method, points * to_full, descriptors, (width, height))


def _orb(luma: NDArray[np.uint8], max_features: int) -> tuple[Any, Any]:
    """Detect ORB at the highest contrast that gives enough.

    Noise alone has thousands of faint corners, and scoring them takes longer than all
    the rest; the best thousand are hardly ever among them.
    """
    for threshold in _FAST_THRESHOLDS:
        detector: Any = _cv2.ORB_create(nfeatures=max_features, fastThreshold=threshold)
        keypoints, descriptors = detector.detectAndCompute(luma, None)
        if len(keypoints) >= _ENOUGH * max_features:
            break
    return keypoints, descriptors


def _sift(luma: NDArray[np.uint8], max_features: int) -> tuple[Any, Any]:
    detector: Any = _cv2.SIFT_create(nfeatures=max_features, contrastThreshold=0.02)
    return detector.detectAndCompute(luma, None)  # type: ignore[no-any-return]


_FAST_THRESHOLDS = (20, 8)
_ENOUGH = 0.9
_DETECT: dict[Method, Callable[[NDArray[np.uint8], int], tuple[Any, Any]]] = {
    Method.ORB: _orb,
    Method.SIFT: _sift,
}
_NO_SIFT = np.empty((0, 128), np.float32)


def _root_sift(descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Hellinger kernel (Arandjelovic and Zisserman, CVPR 2012)."""
    total = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-9)
    return np.asarray(np.sqrt(descriptors / total), np.float32)


class PhotoMatcher:
    """One photo's features, indexed once and matched with many references."""

    def __init__(self, photo: Features) -> None:
        self.photo = photo
        self._index: Any = None
        if len(photo.points) >= _MIN_MATCHES:
            if photo.method is Method.ORB:
                self._index = _faiss.IndexBinaryFlat(256)
            else:
                self._index = _faiss.IndexFlatL2(128)
            self._index.add(photo.descriptors)

    def match(self, reference: Features) -> tuple[Points, Points]:
        """Return matched (reference points, photo points), each (n, 2).

        A match is kept when the second best is clearly worse (Lowe's ratio), and
        only the best of all that end in one photo point.
        """
        nothing = np.empty((0, 2), np.float32)
        if self._index is None or len(reference.points) < _MIN_MATCHES:
            return nothing, nothing
        distances, found = self._index.search(reference.descriptors, 2)
        ratio = _RATIO[reference.method]
        kept = np.flatnonzero(distances[:, 0] <= ratio * distances[:, 1])
        order = kept[np.argsort(distances[kept, 0], kind="stable")]
        _, first = np.unique(found[order, 0], return_index=True)
        rows = order[np.sort(first)]
        return reference.points[rows], self.photo.points[found[rows, 0]]

    def votes(self, reference: Features) -> int:
        """Count the clear matches among every fourth feature of ``reference``.

        A quarter of the cost of `match`, and enough to tell which references are worth
        it: on real photos the right one is among the first few by votes.
        """
        if self._index is None or len(reference.points) < _MIN_MATCHES:
            return 0
        # Features lie in the order of their scales: a stride takes some of each.
        asked = np.ascontiguousarray(reference.descriptors[::_VOTING_STRIDE])
        distances, found = self._index.search(asked, 2)
        clear = distances[:, 0] <= _CLEAR_RATIO[reference.method] * distances[:, 1]
        return len(set(found[clear, 0].tolist()))


# Hamming distances; squared L2 for SIFT (0.81 = 0.9 squared).
_RATIO = {Method.ORB: 0.9, Method.SIFT: 0.81}
_CLEAR_RATIO = {Method.ORB: 0.8, Method.SIFT: 0.64}
_VOTING_STRIDE = 4
_MIN_MATCHES = 8
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
    if min(len(photo.points), len(reference.points)) < _MIN_MATCHES:
        return NotRegistered("too_few_features")
    in_reference, in_photo = matcher.match(reference)
    if len(in_reference) < _MIN_MATCHES:
        return NotRegistered("too_few_matches")
    threshold = _INLIER_SHARE * max(photo.size_px)
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
_INLIER_SHARE = 3 / 960


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
    if inliers.sum() < _MIN_MATCHES:
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
    cells = (points / np.array(size_px) * _GRID).astype(int).clip(0, _GRID - 1)
    occupied = np.bincount(cells[:, 1] * _GRID + cells[:, 0])
    return int(np.count_nonzero(occupied)) / _GRID**2


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


_BEND_REACH = 8.0
"""How far (in inlier thresholds) a match may lie from the homography to be bent."""
_BEND_MIN_INLIERS = 40
_BEND_GAIN = 1.04
"""The bend must explain this many times the homography's matches to be believed."""
_BEND_RIDGE = 1e-3
_BEND_ROUNDS = 12


def _fit_bend(
    homography: Homography,
    matches: tuple[Points, Points],
    is_inlier: NDArray[np.bool_],
    *,
    size_px: tuple[int, int],
    threshold_px: float,
) -> tuple[Bend | None, NDArray[np.bool_]]:
    """Fit the bend by re-weighted least squares on all matches near the homography."""
    before = int(is_inlier.sum())
    if before < _BEND_MIN_INLIERS:
        return None, is_inlier
    in_reference, in_photo = matches
    gaps = in_photo - project(homography, in_reference)
    reach = _BEND_REACH * threshold_px
    distance = np.linalg.norm(gaps, axis=1)
    if (distance < reach).sum() < _BEND_GAIN * before:  # nothing from where to grow
        return None, is_inlier
    basis = monomials(in_reference, size_px)
    coefficients = np.zeros((basis.shape[1], 2))
    # It grows from the part that looked flat: what lies near the bend of one round
    # takes part in the next, so that the far sides of a bottle are reached.
    for _ in range(_BEND_ROUNDS):
        near = distance < reach
        weights = near / (1 + (distance / threshold_px) ** 2)
        weighted = basis * weights[:, None]
        ridge = _BEND_RIDGE * float(near.sum()) * np.eye(basis.shape[1])
        coefficients = np.linalg.solve(basis.T @ weighted + ridge, weighted.T @ gaps)
        distance = np.linalg.norm(gaps - basis @ coefficients, axis=1)
    bent = distance < threshold_px
    if bent.sum() < _BEND_GAIN * before:
        return None, is_inlier
    return Bend(coefficients), bent


def rectify(
    pixels: Pixels, registration: Registration, size_px: tuple[int, int]
) -> tuple[Pixels, NDArray[np.bool_]]:
    """Draw the photo in the reference's frame, at ``size_px`` (width, height).

    Returns:
        pixels: (height, width, 3), and where the photo really covers the reference:
        (height, width).
    """
    # cv2 puts pixel centres on integers, here they lie at one half.
    blocks = _block_map(registration, size_px) - np.float32(0.5)
    sampled_at = _between(blocks, size_px)
    covered = _faces_camera(blocks, size_px)
    height, width = pixels.shape[:2]
    low, high = (-0.5, -0.5), (width - 0.5, height - 0.5)
    first, last = blocks.min(axis=(0, 1)), blocks.max(axis=(0, 1))
    if np.any(first < low) or np.any(last > high):
        covered &= cv2.inRange(sampled_at, low, high) > 0
    shrink = _shrink(registration, size_px)
    if shrink > _ALIAS_SHRINK:  # much finer than the output
        halvings = int(math.log2(shrink))
        pixels, origin = _reduced(pixels, first, last, halvings)
        left = shrink / (1 << halvings)
        if left > _ALIAS_SHRINK:
            pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), 0.4 * left), np.uint8)
        sampled_at = (sampled_at - origin) / np.float32(1 << halvings)
        sampled_at -= np.float32(0.5)
    warped = _cv2.remap(
        pixels,
        sampled_at,
        None,
        interpolation=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, np.uint8), covered


def _reduced(
    pixels: Pixels, first: NDArray[np.float32], last: NDArray[np.float32], halvings: int
) -> tuple[Pixels, NDArray[np.float32]]:
    """Halve the part of ``pixels`` from ``first`` to ``last``, ``halvings`` times.

    Returns:
        what is left, and where its corner lies in ``pixels``, in cv2's coordinates.
    """
    divisor = 1 << halvings
    left, right = _span(first[0], last[0], pixels.shape[1], divisor)
    top, bottom = _span(first[1], last[1], pixels.shape[0], divisor)
    part = pixels[top:bottom, left:right]
    size = max(1, part.shape[1] // divisor), max(1, part.shape[0] // divisor)
    return resized(part, size), np.array([left - 0.5, top - 0.5], np.float32)


def _span(first: float, last: float, side: int, divisor: int) -> tuple[int, int]:
    """Return the ends of whole blocks of ``divisor`` pixels that hold what is asked."""
    low = min(max(0, math.floor(first) - divisor), max(0, side - divisor))
    blocks = min(math.ceil((last + divisor - low) / divisor), (side - low) // divisor)
    return low, low + max(1, blocks) * divisor


def _shrink(registration: Registration, size_px: tuple[int, int]) -> float:
    """Return how many photo pixels lie along one pixel of the output."""
    to_reference = registration.reference_size_px[0] / size_px[0]
    return registration.photo_px_per_reference_px * to_reference


_ALIAS_SHRINK = 1.5

_LEAST_FACING = 0.4
"""Where a bottle turns away, the photo holds less than this share of the detail that
it holds elsewhere; what is drawn there is stretched, and nothing can be said."""


def _faces_camera(
    blocks: NDArray[np.float32], size_px: tuple[int, int]
) -> NDArray[np.bool_]:
    inner = blocks[1:-1, 1:-1]
    if min(inner.shape[:2]) < 3:  # noqa: PLR2004 (too small to have a far side)
        return np.ones(size_px[::-1], bool)
    along = _length(blocks[1:-1, 2:] - blocks[1:-1, :-2])
    down = _length(blocks[2:, 1:-1] - blocks[:-2, 1:-1])
    facing = (along > _LEAST_FACING * np.median(along)) & (
        down > _LEAST_FACING * np.median(down)
    )
    if facing.all():
        return np.ones(size_px[::-1], bool)
    width, height = size_px
    grown = facing.repeat(_MAP_STEP_PX, axis=0).repeat(_MAP_STEP_PX, axis=1)
    return np.ascontiguousarray(grown[:height, :width])


def _length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.magnitude(*cv2.split(vectors)), np.float32)


_MAP_STEP_PX = 8


def _block_map(
    registration: Registration, size_px: tuple[int, int]
) -> NDArray[np.float32]:
    """(rows, columns, 2): the photo point of the centre of each block of the output.

    Blocks are 8 pixels wide, and there is one ring of them beyond the edge.
    """
    width, height = size_px
    columns, rows = -(-width // _MAP_STEP_PX), -(-height // _MAP_STEP_PX)
    step_x = _MAP_STEP_PX * registration.reference_size_px[0] / width
    step_y = _MAP_STEP_PX * registration.reference_size_px[1] / height
    xs, ys = np.meshgrid(
        (np.arange(-1, columns + 1) + 0.5) * step_x,
        (np.arange(-1, rows + 1) + 0.5) * step_y,
    )
    coarse = registration.points_in_photo(np.column_stack([xs.ravel(), ys.ravel()]))
    return coarse.reshape(rows + 2, columns + 2, 2).astype(np.float32)


def _between(
    blocks: NDArray[np.float32], size_px: tuple[int, int]
) -> NDArray[np.float32]:
    """(height, width, 2): the photo point of each output pixel's centre.

    The transform is interpolated between blocks: it is smooth, and 64 times cheaper.
    """
    width, height = size_px
    rows, columns = blocks.shape[:2]
    fine = _cv2.resize(
        blocks,
        (columns * _MAP_STEP_PX, rows * _MAP_STEP_PX),
        interpolation=cv2.INTER_LINEAR,
    )
    inner = slice(_MAP_STEP_PX, _MAP_STEP_PX + height)
    return np.asarray(fine[inner, _MAP_STEP_PX : _MAP_STEP_PX + width], np.float32)

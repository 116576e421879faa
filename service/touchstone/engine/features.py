"""Local features of a picture, and which of them two pictures share.

ORB, at a twelfth of SIFT's cost with the same success on print, and SIFT where ORB is
in doubt. Points are (x, y) in pixels with pixel centres at +0.5.
"""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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
Span: TypeAlias = tuple[int, int, int, int]
"""(left, top, right, bottom) of a part of a picture, pixels."""


class Method(StrEnum):
    """A kind of local feature."""

    ORB = "orb"
    SIFT = "sift"


FEATURES_VERSION = "1"
"""Changes when stored features of an older code could not be matched with new ones."""

PHOTO_SIDE_PX = 960
"""Long side at which features are looked for in a photo."""
FACE_SIDE_PX = 680
"""The same in the part of a photo where the package face was found."""
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


def detect(
    pixels: Pixels,
    method: Method,
    *,
    max_side_px: int,
    max_features: int = MAX_FEATURES,
    within: Span | None = None,
) -> Features:
    """Find local features in ``pixels``, or ``within`` a part, at ``max_side_px``."""
    full = pixels.shape[1], pixels.shape[0]
    left, top, right, bottom = within or (0, 0, *full)
    pixels = pixels[top:bottom, left:right]
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
        return Features(method, np.empty((0, 2), np.float32), empty, full)
    if method is Method.SIFT:
        descriptors = _root_sift(descriptors)
    points = np.asarray(cv2.KeyPoint.convert(keypoints), np.float32) + np.float32(0.5)
    to_full = np.array([width / size[0], height / size[1]], np.float32)
    points = points * to_full + np.array([left, top], np.float32)
    return Features(method, points, descriptors, full)


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


@dataclass(frozen=True, slots=True)
class _Polled:
    """What a poll of one reference found."""

    reference: Features
    """Kept, so that no other comes to have its identity."""
    distances: NDArray[Any]
    found: NDArray[Any]


class PhotoMatcher:
    """One photo's features, indexed once and matched with many references."""

    def __init__(self, photo: Features) -> None:
        self.photo = photo
        self._index: Any = None
        self._polled: dict[int, _Polled] = {}
        if len(photo.points) >= MIN_MATCHES:
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
        if self._index is None or len(reference.points) < MIN_MATCHES:
            return nothing, nothing
        distances, found = self._nearest(reference)
        ratio = _RATIO[reference.method]
        kept = np.flatnonzero(distances[:, 0] <= ratio * distances[:, 1])
        order = kept[np.argsort(distances[kept, 0], kind="stable")]
        _, first = np.unique(found[order, 0], return_index=True)
        rows = order[np.sort(first)]
        return reference.points[rows], self.photo.points[found[rows, 0]]

    def _nearest(self, reference: Features) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return (distances, photo features), each (n, 2), of all of ``reference``.

        What a poll of it has found already is not looked for again.
        """
        polled = self._polled.pop(id(reference), None)
        if polled is None:
            return self._index.search(reference.descriptors, 2)  # type: ignore[no-any-return]
        is_asked = np.zeros(len(reference.points), bool)
        is_asked[::_VOTING_STRIDE] = True
        rest = self._index.search(reference.descriptors[~is_asked], 2)
        nearest = []
        for known, new in zip((polled.distances, polled.found), rest, strict=True):
            every = np.empty((len(is_asked), 2), new.dtype)
            every[is_asked], every[~is_asked] = known, new
            nearest.append(every)
        return nearest[0], nearest[1]

    def votes(self, reference: Features) -> int:
        """Count the clear matches among every fourth feature of ``reference``.

        A quarter of the cost of `match`, and enough to tell which references are worth
        it: on real photos the right one is among the first few by votes.
        """
        if self._index is None or len(reference.points) < MIN_MATCHES:
            return 0
        # Features lie in the order of their scales: a stride takes some of each.
        asked = np.ascontiguousarray(reference.descriptors[::_VOTING_STRIDE])
        distances, found = self._index.search(asked, 2)
        if (
            reference.method is Method.ORB
        ):  # other distances depend on what else is asked
            self._polled[id(reference)] = _Polled(reference, distances, found)
        clear = distances[:, 0] <= _CLEAR_RATIO[reference.method] * distances[:, 1]
        return len(set(found[clear, 0].tolist()))


# Hamming distances; squared L2 for SIFT (0.81 = 0.9 squared).
_RATIO = {Method.ORB: 0.9, Method.SIFT: 0.81}
_CLEAR_RATIO = {Method.ORB: 0.8, Method.SIFT: 0.64}
_VOTING_STRIDE = 4
MIN_MATCHES = 8
"""Fewer agreeing features lay nothing over anything."""

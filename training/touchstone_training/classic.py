"""The classic pipeline, as a peer: SIFT, FLANN, homography by RANSAC, SSIM.

As OpenCV's feature-homography tutorial and Wang et al. (IEEE TIP 13(4), 2004) give it:
what a capable engineer would build in a week, at its documented settings.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import Pixels, grey, resized

_cv2: Any = cv2

SIDE_PX = 1008
"""Long side at which both pictures are worked on."""
_RATIO = 0.7
_MIN_MATCHES = 8
_RANSAC_PX = 5.0
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


@dataclass(frozen=True, slots=True)
class ClassicFeatures:
    """SIFT of one picture at working size."""

    luma: NDArray[np.uint8]
    points: NDArray[np.float32]
    descriptors: NDArray[np.float32]


def classic_features(pixels: Pixels) -> ClassicFeatures:
    """Detect SIFT with OpenCV's defaults."""
    scale = min(1.0, SIDE_PX / max(pixels.shape[:2]))
    size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
    luma = grey(resized(pixels, size))
    keypoints, descriptors = _cv2.SIFT_create().detectAndCompute(luma, None)
    points = np.array([k.pt for k in keypoints], np.float32).reshape(-1, 2)
    if descriptors is None:
        descriptors = np.empty((0, 128), np.float32)
    return ClassicFeatures(luma, points, descriptors)


def classic_compare(photo: ClassicFeatures, reference: ClassicFeatures) -> float:
    """Return the mean SSIM of the photo warped to the reference; -1 without one."""
    if min(len(photo.points), len(reference.points)) < _MIN_MATCHES:
        return -1.0
    flann = _cv2.FlannBasedMatcher({"algorithm": 1, "trees": 5}, {"checks": 50})
    pairs = flann.knnMatch(reference.descriptors, photo.descriptors, k=2)
    good = [a for a, b in pairs if a.distance < _RATIO * b.distance]
    if len(good) < _MIN_MATCHES:
        return -1.0
    source = photo.points[[m.trainIdx for m in good]]
    target = reference.points[[m.queryIdx for m in good]]
    homography, _ = _cv2.findHomography(source, target, cv2.RANSAC, _RANSAC_PX)
    if homography is None:
        return -1.0
    height, width = reference.luma.shape
    warped = cv2.warpPerspective(photo.luma, homography, (width, height))
    return _ssim(reference.luma, np.asarray(warped, np.uint8))


def classic_similarity(photo: Pixels, reference: Pixels) -> float:
    """Return the peer's similarity of a photo to a reference, -1 to 1."""
    return classic_compare(classic_features(photo), classic_features(reference))


def _ssim(x: NDArray[np.uint8], y: NDArray[np.uint8]) -> float:
    a, b = x.astype(np.float32), y.astype(np.float32)

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float32)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    joint = mean(a * b) - mean_a * mean_b
    top = (2 * mean_a * mean_b + _C1) * (2 * joint + _C2)
    bottom = (mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2)
    return float((top / bottom).mean())

"""How the face stands before the camera, and whether its proportions can be right."""

import math

import numpy as np

from touchstone.engine.registration import Registration

_FOCAL_SHARES = np.geomspace(0.65, 2.2, 13)
"""Focal lengths of phones, wide to twofold zoom, as shares of the photo's long side."""
_MOST_SKEW = 0.02
"""Cosine between the face's sides: a focal length that gives more is not the one."""


def aspect_gap(registration: Registration) -> float:
    """Return how far the face's proportions are from the reference's, at the least.

    |log ratio|; 0 where some plausible focal length explains the view by perspective
    alone. The two axes of a flat face, seen by a camera with square pixels and its
    axis in the middle of the photo, are the first two columns of K^-1 H (Zhang, PAMI
    22(11), 2000): perpendicular, and as long as each other if the proportions are
    those of the reference. A face that bends tells nothing: 0.
    """
    if registration.bend is not None:
        return 0.0
    width, height = registration.photo_size_px
    homography = registration.photo_from_reference
    centred = homography - np.outer((width / 2, height / 2, 0.0), homography[2])
    gaps, skews = [], []
    for share in _FOCAL_SHARES:
        focal = share * max(width, height)
        across, down = (centred[:, n] / (focal, focal, 1.0) for n in range(2))
        long, tall = (float(np.linalg.norm(side)) for side in (across, down))
        gaps.append(math.log(max(tall, 1e-12) / max(long, 1e-12)))
        skews.append(abs(float(across @ down)) / max(long * tall, 1e-12))
    fits = [gap for gap, skew in zip(gaps, skews, strict=True) if skew <= _MOST_SKEW]
    possible = fits or [gaps[int(np.argmin(skews))]]
    if min(possible) <= 0 <= max(possible):
        return 0.0
    return float(min(abs(gap) for gap in possible))

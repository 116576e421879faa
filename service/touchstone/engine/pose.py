"""How the face stands before the camera, and whether its proportions can be right."""

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
    # (2, 13): the lengths of both axes for every focal length at once.
    focal = _FOCAL_SHARES * max(width, height)
    in_plane, beyond = centred[:2, :2].T, centred[2, :2, None]
    squares = (in_plane**2).sum(axis=1)[:, None] / focal**2 + beyond**2
    long, tall = np.maximum(np.sqrt(squares), 1e-12)
    gaps = np.log(tall / long)
    product = (in_plane[0] @ in_plane[1]) / focal**2 + beyond[0] * beyond[1]
    skews = np.abs(product) / np.maximum(long * tall, 1e-12)
    fits = skews <= _MOST_SKEW
    possible = gaps[fits] if fits.any() else gaps[[skews.argmin()]]
    if possible.min() <= 0 <= possible.max():
        return 0.0
    return float(np.abs(possible).min())

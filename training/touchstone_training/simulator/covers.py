"""Pieces that are laid over one another to make the scene before the lens."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_Field = NDArray[np.float32]
_Pixels = NDArray[np.uint8]
_Matrix = NDArray[np.float64]

_LEAST_PX = 2


@dataclass(frozen=True, slots=True)
class Cover:
    """A piece of the photo at ``left, top``: pixels (h, w, 3), alpha (h, w, 1)."""

    left: int
    top: int
    pixels: _Pixels
    alpha: _Field

    @property
    def rows(self) -> slice:
        """The rows of the photo that it takes."""
        return slice(self.top, self.top + self.alpha.shape[0])

    @property
    def columns(self) -> slice:
        """The columns of the photo that it takes."""
        return slice(self.left, self.left + self.alpha.shape[1])


def warped_cover(
    face: _Pixels, photo_from_face: _Matrix, size_px: tuple[int, int]
) -> Cover | None:
    """A flat face (h, w, 3) seen through a homography; None outside the photo.

    Args:
        face: RGB pixels.
        photo_from_face: (3, 3), pixel centres at +0.5.
        size_px: (width, height) of the photo.
    """
    height, width = face.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    seen = np.asarray(cv2.perspectiveTransform(corners[None], photo_from_face))[0]
    low = np.clip(np.floor(seen.min(axis=0) - 2), 0, size_px)
    high = np.clip(np.ceil(seen.max(axis=0) + 2), 0, size_px)
    (left, top), (right, bottom) = low.astype(int), high.astype(int)
    if right - left < _LEAST_PX or bottom - top < _LEAST_PX:
        return None
    # OpenCV warps by pixel indices, whose centres are at 0 instead of +0.5.
    centred = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    local = np.array([[1, 0, -left - 0.5], [0, 1, -top - 0.5], [0, 0, 1]])
    matrix = local @ photo_from_face @ centred
    window = (int(right - left), int(bottom - top))
    pixels = cv2.warpPerspective(face, matrix, window, borderMode=cv2.BORDER_REPLICATE)
    solid = np.ones((height, width), np.float32)
    alpha = cv2.warpPerspective(solid, matrix, window)[..., None]
    return Cover(
        int(left),
        int(top),
        np.asarray(pixels, np.uint8),
        np.asarray(alpha, np.float32),
    )

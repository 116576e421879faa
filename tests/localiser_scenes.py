"""What the localiser's tests photograph: printed marks, and one on a carton."""

import cv2
import numpy as np
from numpy.typing import NDArray
from small_world import printed_mark

from touchstone_training.data import Image, Picture
from touchstone_training.localiser.scenes import REAL, Materials, Scene


def artworks() -> list[np.ndarray]:
    return [printed_mark(seed, size_px=(160, 120)) for seed in range(6)]


def materials() -> Materials:
    table = np.full((90, 120, 3), (90, 110, 100), np.uint8)
    return Materials(artworks(), artworks(), [table])


def pictures() -> list[Picture]:
    drawn = [
        Picture(f"design:{500_000 + n}", "", "artwork", printed_mark(n))
        for n in range(14)
    ]
    table = np.full((90, 120, 3), (90, 110, 100), np.uint8)
    return [
        *drawn,
        Picture("none:0", "", "backdrop", table),
        Picture("gsd:Arla-1", "", "photo", table),
    ]


def carton_in_a_photo() -> tuple[Image, Image, NDArray[np.float32]]:
    """A reference on white, a photo of its face, and where that lies in the photo."""
    face = printed_mark(5, size_px=(240, 320))
    reference = np.full((480, 480, 3), 255, np.uint8)
    reference[80:400, 120:360] = face
    quad = np.array([[150, 60], [420, 90], [400, 460], [140, 430]], np.float32)
    corners = np.array([[0, 0], [240, 0], [240, 320], [0, 320]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, quad)
    photo = np.full((500, 600, 3), (90, 110, 100), np.uint8)
    cv2.warpPerspective(
        face, matrix, (600, 500), dst=photo, borderMode=cv2.BORDER_TRANSPARENT
    )
    return reference, photo, quad


def real_scene() -> Scene:
    _, photo, quad = carton_in_a_photo()
    small = np.array(cv2.resize(photo, (300, 250), interpolation=cv2.INTER_AREA), "u1")
    small[:, :150] //= 2  # the left half lies in shadow
    printed = np.zeros((250, 300), np.uint8)
    cv2.fillConvexPoly(printed, np.round(quad / 2).astype(np.int32), 255)
    return Scene(small, printed, quad / np.float32(2), REAL, is_whole=True)

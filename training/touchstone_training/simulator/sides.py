"""The side faces of a carton that come into view when it is held at an angle."""

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone_training.simulator.cameras import Camera, frame_corners
from touchstone_training.simulator.covers import Cover, warped_cover

_Pixels = NDArray[np.uint8]
_Matrix = NDArray[np.float64]

_OUTWARD = np.array([[0, -1, 0], [1, 0, 0], [0, 1, 0], [-1, 0, 0]], np.float64)
"""Top, right, bottom, left: the order of the edges between a frame's corners."""

_LEAST_AREA_PX = 4.0
_TEXTURE_SIDE_PX = 240
_TUCKED = 0.99
"""The inner rim lies under the front face, so that no gap shows between them."""


def _strips(artwork: _Pixels, depth_px: int) -> list[_Pixels]:
    # The print runs on over each edge; first axis is depth, second along the edge.
    turned = artwork.transpose(1, 0, 2)
    return [
        artwork[:depth_px],
        turned[::-1][:depth_px],
        artwork[::-1, ::-1][:depth_px],
        turned[:depth_px, ::-1],
    ]


def _side_print(
    strip: _Pixels, rng: np.random.Generator, *, contrast: float
) -> _Pixels:
    # A side is quieter than the front: its own colour, with a trace of print.
    scale = min(1.0, _TEXTURE_SIDE_PX / max(strip.shape[:2]))
    size = (
        max(2, round(strip.shape[1] * scale)),
        max(2, round(strip.shape[0] * scale)),
    )
    small = cv2.resize(np.ascontiguousarray(strip), size, interpolation=cv2.INTER_AREA)
    edge = np.median(small[: max(1, size[1] // 12)], axis=(0, 1))
    mixed = edge + contrast * (small.astype(np.float32) - edge)
    shade = rng.uniform(0.5, 0.95)
    fall = np.linspace(1, rng.uniform(0.75, 1.0), size[1], dtype=np.float32)
    return np.asarray(np.clip(mixed * fall[:, None, None] * shade, 0, 255), np.uint8)


def side_faces(
    artwork: _Pixels,
    camera: Camera,
    frame_px: tuple[float, float],
    *,
    photo_px: tuple[int, int],
    depth: float,
    rng: np.random.Generator,
) -> tuple[Cover, ...]:
    """The side faces that the camera sees, to be laid before the front.

    Args:
        artwork: the front, (H, W, 3) RGB; the sides continue its edges.
        camera: what sees the package.
        frame_px: (width, height) of the front.
        photo_px: (width, height) of the photo.
        depth: depth of the carton as a share of its shorter side.
        rng: chance of shade and print.
    """
    deep = depth * min(frame_px)
    strips = _strips(artwork, max(2, min(round(deep), min(artwork.shape[:2]) // 2)))
    front = frame_corners(frame_px) * [_TUCKED, _TUCKED, 1.0]
    back = frame_corners(frame_px, deep)
    contrast = float(rng.uniform(0, 0.6))
    found = []
    for index, (strip, outward) in enumerate(zip(strips, _OUTWARD, strict=True)):
        after = (index + 1) % len(strips)
        corners = np.stack([front[index], front[after], back[after], back[index]])
        if not camera.sees(corners[0], outward):
            continue
        face = _side_print(strip, rng, contrast=contrast)
        height, width = face.shape[:2]
        flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        seen = camera.project(corners).astype(np.float32)
        if cv2.contourArea(seen) > _LEAST_AREA_PX:
            matrix = np.asarray(cv2.getPerspectiveTransform(flat, seen), np.float64)
            found.append(warped_cover(face, matrix, photo_px))
    return tuple(cover for cover in found if cover is not None)

"""Prints with a border that repeats itself, as guilloche does."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scenes import Pixels

WIDTH_PX = 44


@dataclass(frozen=True, slots=True)
class Mesh:
    """A border of fine diamonds."""

    period_px: float
    """Across the border; along it, the mesh repeats itself after half of it."""

    def around(self, face: Pixels) -> Pixels:
        """Draw the border over the edges of a print, (h, w, 3)."""
        ys, xs = np.indices(face.shape[:2], np.float32)
        turn = np.float32(2 * np.pi / self.period_px)
        level, upright = (
            np.sin(turn * (along + across / 2)) * np.sin(turn * (along - across / 2))
            for along, across in ((xs, ys), (ys, xs))
        )
        is_upright = (xs < WIDTH_PX) | (xs >= face.shape[1] - WIDTH_PX)
        mesh = np.clip(128 + 150 * np.where(is_upright, upright, level), 40, 230)
        drawn = np.where(on_border(face)[..., None], mesh[..., None], face)
        inner = (face.shape[1] - WIDTH_PX, face.shape[0] - WIDTH_PX)
        framed = cv2.rectangle(
            drawn.astype(np.uint8), (WIDTH_PX, WIDTH_PX), inner, (20, 20, 20), 3
        )
        return np.asarray(framed, np.uint8)


def on_border(face: Pixels, *, clear_px: int = 0) -> NDArray[np.bool_]:
    """(h, w): whether a pixel lies on the border, ``clear_px`` inside of the edge."""
    height, width = face.shape[:2]
    mask = np.zeros((height, width), bool)
    mask[clear_px : height - clear_px, clear_px : width - clear_px] = True
    mask[WIDTH_PX:-WIDTH_PX, WIDTH_PX:-WIDTH_PX] = False
    return mask


def seen_askew(
    face: Pixels, dx: float, dy: float, *, tilt: float
) -> tuple[Pixels, NDArray[np.float64]]:
    """See a print a little displaced, turned and tilted.

    Returns:
        (h, w, 3) what is seen; (h, w, 2) where it has what lies at (x, y), less (x, y).
    """
    height, width = face.shape[:2]
    moved = np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]], np.float64)
    tilted = np.eye(3) + tilt * np.array(
        [[4e-3, 3e-3, 0], [2e-3, -3e-3, 0], [6e-6, -4e-6, 0]]
    )
    transform = moved @ tilted
    seen = cv2.warpPerspective(
        face,
        transform,
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    ys, xs = np.indices((height, width), np.float64)
    ends = np.dstack([xs, ys, np.ones_like(xs)]) @ transform.T
    shifts = ends[..., :2] / ends[..., 2:] - np.dstack([xs, ys])
    return np.asarray(seen, np.uint8), shifts

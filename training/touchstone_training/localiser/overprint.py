"""A scene with another face printed over its own, in the same light."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import resized
from touchstone.engine.localisation import Quad
from touchstone_training.data import Image
from touchstone_training.localiser.scenes import Scene

_REACH_SHARE = 0.1
"""Of the photo's longer side: within it of any print lies bare paper."""
_LEAST_SHADE, _MOST_SHADE = 0.4, 1.6
_WHITE = 215.0
"""Level at which paper is printed as it is."""
_EDGE_SIGMA_PX = 0.7
"""About as soft as a photo is that was shrunk to a scene's size."""
_DRAWN = 6


def overprinted(scene: Scene, artwork: Image, rng: np.random.Generator) -> Scene:
    """Print ``artwork``, (h, w, 3), over the face of ``scene``.

    It is stretched to the quad, its longer side along the longer one, either way up,
    and shaded as the paper there is. Hands over the face are printed over.
    """
    if scene.quad is None:
        return scene
    stands = aspect_of(scene.quad) < 1
    is_turned = stands != (artwork.shape[0] > artwork.shape[1])
    turns = 2 * int(rng.integers(2)) + int(is_turned)
    laid = _laid(np.ascontiguousarray(np.rot90(artwork, turns)), scene)
    lit = cv2.GaussianBlur(laid, (0, 0), _EDGE_SIGMA_PX) * _light(scene)[..., None]
    soft = cv2.GaussianBlur(scene.printed, (0, 0), _EDGE_SIGMA_PX) / np.float32(255)
    mixed = scene.pixels + soft[..., None] * (lit - scene.pixels)
    return replace(scene, pixels=np.clip(mixed, 0, 255).astype(np.uint8))


def _laid(artwork: Image, scene: Scene) -> Image:
    """Return the artwork as it lies in the scene, going on beyond its edges."""
    quad = np.asarray(scene.quad, np.float32)
    wide, tall = (max(2, round(side)) for side in _sides(quad))
    # Shrunk before it is warped: sampling every third pixel would alias.
    near = min(wide, artwork.shape[1]), min(tall, artwork.shape[0])
    small = resized(artwork, near)
    wide, tall = near
    corners = np.array([[0, 0], [wide, 0], [wide, tall], [0, tall]], np.float32)
    half = np.float32(0.5)  # OpenCV warps by pixel indices
    matrix = cv2.getPerspectiveTransform(corners - half, quad - half)
    height, width = scene.pixels.shape[:2]
    return np.asarray(
        cv2.warpPerspective(
            small, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE
        ),
        np.uint8,
    )


def _light(scene: Scene) -> NDArray[np.float32]:
    """Return how light the paper is, (h, w), 1 where white is white.

    By the brightest nearby: what is printed there now must not shine through.
    """
    luma = cv2.cvtColor(scene.pixels, cv2.COLOR_RGB2GRAY)
    luma[scene.printed == 0] = 0
    reach = 2 * round(_REACH_SHARE * max(luma.shape) / 2) + 1
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    paper = cv2.GaussianBlur(cv2.dilate(luma, window), (0, 0), reach / 3)
    shade = np.clip(paper / np.float32(_WHITE), _LEAST_SHADE, _MOST_SHADE)
    return np.asarray(shade, np.float32)


def _sides(quad: Quad) -> tuple[float, float]:
    """Return the mean width and height of a quad, along its sides."""
    sides = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    return float(sides[0] + sides[2]) / 2, float(sides[1] + sides[3]) / 2


def aspect_of(quad: Quad) -> float:
    """Return the width of a quad by its height, both along its sides."""
    width, height = _sides(quad)
    return width / max(1e-6, height)


def of_nearest_shape(
    scenes: Sequence[Scene], artwork: Image, rng: np.random.Generator
) -> Scene:
    """Draw a few of ``scenes``, and return the one that stretches ``artwork`` least."""
    wanted = abs(np.log(artwork.shape[1] / artwork.shape[0]))
    drawn = [scenes[int(n)] for n in rng.integers(len(scenes), size=_DRAWN)]

    def stretched(scene: Scene) -> float:
        if scene.quad is None:
            return float("inf")
        return float(abs(abs(np.log(aspect_of(scene.quad))) - wanted))

    return min(drawn, key=stretched)

"""A scene with another face printed over its own, in the same light."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from touchstone.engine.localisation import Quad
from touchstone_training.data import Image
from touchstone_training.localiser.scenes import Scene

_SHADE_SHARE = 0.08
"""Sigma of what is taken for shade, as a share of the photo's longer side: print varies
over less, light over more."""
_LEAST_SHADE, _MOST_SHADE = 0.4, 1.8
_EDGE_SIGMA_PX = 0.7


def overprinted(scene: Scene, artwork: Image, rng: np.random.Generator) -> Scene:
    """Print ``artwork``, (h, w, 3), over the face of ``scene``.

    It is stretched to the quad, its longer side along the longer one, either way up,
    shaded as what lay there was, and as soft. Hands over the face are printed over.
    """
    if scene.quad is None:
        return scene
    height, width = scene.pixels.shape[:2]
    stands = aspect_of(scene.quad) < 1
    turns = 2 * int(rng.integers(2)) + int(
        stands != (artwork.shape[0] > artwork.shape[1])
    )
    turned = np.ascontiguousarray(np.rot90(artwork, turns))
    tall, wide = turned.shape[:2]
    corners = np.array([[0, 0], [wide, 0], [wide, tall], [0, tall]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, scene.quad)
    laid = cv2.warpPerspective(
        turned,
        matrix,
        (width, height),
        flags=cv2.INTER_AREA,
        borderMode=cv2.BORDER_REPLICATE,
    )
    luma = cv2.cvtColor(scene.pixels, cv2.COLOR_RGB2GRAY).astype(np.float32) + 1
    inside = (scene.printed > 0).astype(np.float32)
    sigma = _SHADE_SHARE * max(height, width)
    near = cv2.GaussianBlur(inside, (0, 0), sigma) + np.float32(1e-3)
    shade = cv2.GaussianBlur(luma * inside, (0, 0), sigma) / near
    usual = float(np.median(luma[inside > 0])) if inside.any() else 128.0
    light = np.clip(shade / usual, _LEAST_SHADE, _MOST_SHADE)
    exposure = np.clip(usual / 150, 0.5, 1.2)
    lit = cv2.GaussianBlur(laid, (0, 0), _EDGE_SIGMA_PX) * (light * exposure)[..., None]
    soft = cv2.GaussianBlur(scene.printed, (0, 0), _EDGE_SIGMA_PX) / np.float32(255)
    mixed = scene.pixels + soft[..., None] * (lit - scene.pixels)
    return replace(scene, pixels=np.clip(mixed, 0, 255).astype(np.uint8))


def aspect_of(quad: Quad) -> float:
    """Return the width of a quad by its height, both along its sides."""
    sides = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    return float((sides[0] + sides[2]) / max(1e-6, sides[1] + sides[3]))


def of_nearest_shape(
    scenes: Sequence[Scene], artwork: Image, rng: np.random.Generator
) -> Scene:
    """Draw a few of ``scenes``, and return the one that stretches ``artwork`` least.

    Raises:
        ValueError: there is none.
    """
    wanted = abs(np.log(artwork.shape[1] / artwork.shape[0]))
    drawn = [scenes[int(n)] for n in rng.integers(len(scenes), size=_DRAWN)]

    def stretched(scene: Scene) -> float:
        if scene.quad is None:
            return np.inf
        return float(abs(abs(np.log(aspect_of(scene.quad))) - wanted))

    return min(drawn, key=stretched)


_DRAWN = 6

"""A scene with another face printed over its own, in the same light."""

from dataclasses import replace

import cv2
import numpy as np

from touchstone_training.data import Image
from touchstone_training.localiser.scenes import Scene

_SHADE_SHARE = 0.08
"""Sigma of what is taken for shade, as a share of the photo's longer side: print varies
over less, light over more."""
_LEAST_SHADE, _MOST_SHADE = 0.4, 1.8
_EDGE_SIGMA_PX = 0.7


def overprinted(scene: Scene, artwork: Image, rng: np.random.Generator) -> Scene:
    """Print ``artwork``, (h, w, 3), over the face of ``scene``, any quarter turned.

    It is stretched to the quad, shaded as what lay there was, and as soft. Hands over
    the face are printed over, too.
    """
    if scene.quad is None:
        return scene
    height, width = scene.pixels.shape[:2]
    turned = np.ascontiguousarray(np.rot90(artwork, int(rng.integers(4))))
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

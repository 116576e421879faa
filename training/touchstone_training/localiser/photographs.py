"""Real photographs as scenes: where a face lies in them, its registration tells.

No simulator draws a shop as it is. Products are few, though, and what they look like
must not be what a face is known by: most of the faces are printed over with others.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from touchstone.catalogue import WORKING_SIDE_PX
from touchstone.engine.extent import ground_of
from touchstone.engine.image import decode
from touchstone.engine.localisation import ordered, quad_around
from touchstone.engine.registration import Registration
from touchstone_training.comparator.aligned import Known
from touchstone_training.data import Image, Item, shrunk
from touchstone_training.localiser.scenes import REAL, Scene

SIDE_PX = 336
"""Longer side of a scene's photo: what a simulated one has at most."""
_SURE_INLIERS = 60
_LEAST_IN_PHOTO = 0.6
"""Share of the face that must lie in the photo."""


def photographed(items: Sequence[Item]) -> Iterator[Scene]:
    """Yield a scene of each photo over which its product's reference can be laid.

    Args:
        items: references and photos of products that may be trained on.
    """
    known = {
        item.product_id: Known.of(_decoded(item), [])
        for item in items
        if item.kind == "reference"
    }
    photos = [one for one in items if one.kind == "photo" and one.product_id in known]
    for item in track(photos, description="Real photographs"):
        pixels, reference = _decoded(item), known[item.product_id]
        found = reference.registered(pixels)
        if found is not None and found.inliers >= _SURE_INLIERS:
            scene = scene_of(pixels, reference.reference.pixels, found)
            if scene is not None:
                yield scene


def scene_of(photo: Image, reference: Image, found: Registration) -> Scene | None:
    """Return what of ``photo`` the face of ``reference`` takes; None for too little.

    Args:
        photo: (h, w, 3); the scene's is shrunk to `SIDE_PX`.
        reference: (h, w, 3), with or without plain ground around the face.
        found: where it lies in the photo.
    """
    small = shrunk(photo, SIDE_PX)
    height, width = small.shape[:2]
    scale = np.array([width / photo.shape[1], height / photo.shape[0]])
    hull = _outline(reference)
    outline = (found.points_in_photo(hull) * scale).astype(np.float32)
    printed = np.zeros((height, width), np.uint8)
    cv2.fillPoly(printed, [np.round(outline - 0.5).astype(np.int32)], 255)
    area = float(cv2.contourArea(outline))
    quad = quad_around(np.asarray(cv2.convexHull(outline), np.float32).reshape(-1, 2))
    if quad is None or cv2.countNonZero(printed) < _LEAST_IN_PHOTO * area:
        return None
    is_whole = bool((quad >= 0).all() and (quad <= (width, height)).all())
    return Scene(small, printed, ordered(quad), REAL, is_whole)


def _outline(reference: Image) -> NDArray[np.float64]:
    """Return the hull of the face, (n, 2), in the reference's px."""
    height, width = reference.shape[:2]
    ground = ground_of(reference, (width, height))
    if ground is None:
        corners = [[0, 0], [width, 0], [width, height], [0, height]]
        return np.array(corners, np.float64)
    face = (~ground).astype(np.uint8)
    parts, _ = cv2.findContours(face, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    hull = cv2.convexHull(max(parts, key=cv2.contourArea))
    return np.asarray(hull.reshape(-1, 2) + 0.5, np.float64)


def _decoded(item: Item) -> Image:
    return decode(item.path.read_bytes(), max_side_px=WORKING_SIDE_PX).pixels

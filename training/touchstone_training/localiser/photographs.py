"""Real photographs as scenes: where a face lies in them, its registration tells.

No simulator draws a shop as it is. Products are few, though, and what they look like
must not be what a face is known by: most of the faces are printed over with others.
"""

from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from touchstone.engine.localisation import ordered
from touchstone.engine.registration import Registration
from touchstone_training.comparator.aligned import Known, decoded
from touchstone_training.data import Image, Item, shrunk
from touchstone_training.localiser.scenes import REAL, Scene, lies_within

SIDE_PX = 336
"""Longer side of a scene's photo: what a simulated one has at most."""
_SURE_INLIERS = 60
_LEAST_IN_PHOTO = 0.6
"""Share of the face that must lie in the photo."""

Corners = tuple[tuple[float, float], ...]

_MILK = ((0.405, 0.150), (0.686, 0.150), (0.685, 0.984), (0.413, 1.0))
_YOGHURT = ((0.278, 0.0), (0.793, 0.045), (0.793, 0.967), (0.291, 1.0))
_CREAM = ((0.296, 0.0), (0.816, 0.020), (0.814, 0.975), (0.301, 1.0))
FRONTS: Mapping[str, Corners] = {
    "gsd:Arla-Ecological-Medium-Fat-Milk": _MILK,
    "gsd:Arla-Lactose-Medium-Fat-Milk": _MILK,
    "gsd:Arla-Medium-Fat-Milk": _MILK,
    "gsd:Arla-Sour-Milk": _MILK,
    "gsd:Arla-Standard-Milk": _MILK,
    "gsd:Arla-Mild-Vanilla-Yoghurt": _YOGHURT,
    "gsd:Arla-Natural-Mild-Low-Fat-Yoghurt": _YOGHURT,
    "gsd:Arla-Natural-Yoghurt": _YOGHURT,
    "gsd:Arla-Sour-Cream": _CREAM,
}
"""Corners of the front in the catalogue picture, clockwise from the upper left, as
shares of its sides; marked by eye. These pictures show a side and the gable as well,
which lie elsewhere in a photo. (Photos of the tenth show another artwork.)"""

_TROPICANA = ((0.310, 0.143), (0.598, 0.145), (0.597, 0.998), (0.314, 0.968))
HELD_OUT_FRONTS: Mapping[str, Corners] = {
    "gsd:Alpro-Blueberry-Soyghurt": (
        (0.413, 0.225), (0.715, 0.203), (0.708, 0.945), (0.412, 0.968)
    ),
    "gsd:Alpro-Fresh-Soy-Milk": (
        (0.362, 0.145), (0.668, 0.145), (0.667, 0.980), (0.368, 1.0)
    ),
    "gsd:Alpro-Shelf-Soy-Milk": (
        (0.340, 0.170), (0.698, 0.145), (0.697, 0.950), (0.345, 0.990)
    ),
    "gsd:Alpro-Vanilla-Soyghurt": (
        (0.432, 0.215), (0.715, 0.200), (0.707, 0.885), (0.433, 0.905)
    ),
    "gsd:Bravo-Apple-Juice": (
        (0.400, 0.150), (0.696, 0.150), (0.695, 0.845), (0.400, 0.872)
    ),
    "gsd:Tropicana-Apple-Juice": _TROPICANA,
    "gsd:Tropicana-Golden-Grapefruit": _TROPICANA,
    "gsd:Tropicana-Juice-Smooth": _TROPICANA,
    "gsd:Tropicana-Mandarin-Morning": _TROPICANA,
    "gsd:Valio-Vanilla-Yoghurt": (
        (0.320, 0.155), (0.600, 0.160), (0.600, 1.0), (0.325, 0.985)
    ),
}  # fmt: skip
"""The same of the brands that are held out: checkpoints are chosen by these, and none
is trained on. (No photo of the eleventh can be laid over its reference.)"""
LEFT_OUT = frozenset(
    {
        "test/Alpro-Fresh-Soy-Milk_006.jpg",
        "train/Alpro-Blueberry-Soyghurt_010.jpg",
        "train/Alpro-Fresh-Soy-Milk_005.jpg",
        "train/Alpro-Fresh-Soy-Milk_010.jpg",
        "train/Alpro-Shelf-Soy-Milk_016.jpg",
        "train/Alpro-Vanilla-Soyghurt_018.jpg",
        # Several equal fronts stand beside each other.
        "train/Alpro-Shelf-Soy-Milk_011.jpg",
        "train/Tropicana-Golden-Grapefruit_015.jpg",
        "train/Tropicana-Mandarin-Morning_016.jpg",
    }
)
"""Photos of held-out brands that registration lays the face wrongly over, and others
that tell nothing: seen by eye."""


def photographed(
    items: Sequence[Item], fronts: Mapping[str, Corners]
) -> Iterator[Scene]:
    """Yield a scene of each photo over which its product's reference can be laid.

    Args:
        items: references and photos.
        fronts: of the products, where the face lies in the reference.
    """
    known = {
        item.product_id: Known.of(decoded(item), [])
        for item in items
        if item.kind == "reference" and item.product_id in fronts
    }
    photos = [
        one
        for one in items
        if one.kind == "photo" and one.product_id in known and not _is_left_out(one)
    ]
    for item in track(photos, description="Real photographs"):
        pixels, reference = decoded(item), known[item.product_id]
        found = reference.registered(pixels)
        if found is not None and found.inliers >= _SURE_INLIERS:
            size = np.array(reference.reference.size_px)
            scene = scene_of(pixels, np.array(fronts[item.product_id]) * size, found)
            if scene is not None:
                yield scene


def _is_left_out(item: Item) -> bool:
    return "/".join((*item.path.parts[-3:-2], item.path.name)) in LEFT_OUT


def scene_of(
    photo: Image, front: NDArray[np.floating], found: Registration
) -> Scene | None:
    """Return what of ``photo`` the face takes; None where too little is in it.

    Args:
        photo: (h, w, 3); the scene's is shrunk to `SIDE_PX`.
        front: (4, 2) corners of the face in the reference's px, clockwise.
        found: where the reference lies in the photo.
    """
    small = shrunk(photo, SIDE_PX)
    height, width = small.shape[:2]
    scale = np.array([width / photo.shape[1], height / photo.shape[0]])
    quad = (found.points_in_photo(front) * scale).astype(np.float32)
    printed = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(printed, np.round(quad - 0.5).astype(np.int32), 255)
    area = float(cv2.contourArea(quad))
    is_there = cv2.countNonZero(printed) >= max(1.0, _LEAST_IN_PHOTO * area)
    if not is_there or not cv2.isContourConvex(quad):
        return None
    return Scene(small, printed, ordered(quad), REAL, lies_within(quad, small))

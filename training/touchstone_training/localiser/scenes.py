"""Training scenes: a photograph of a package amid clutter, and where its face lies.

Made by the project's own simulator, small, as the localiser sees photos small. Some
scenes show no package, some one that the photo cuts off.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.localisation import Quad, ordered, quad_around
from touchstone_training.data import Image, chance
from touchstone_training.localiser.clutter import cluttered, stained
from touchstone_training.simulator.photography import (
    Conditions,
    SimulatedPhoto,
    photograph,
)

_SIZES_PX = ((320, 240), (320, 240), (240, 320), (272, 272), (336, 192), (192, 336))
NO_PACKAGE = 0.12
_CUT_OFF = 0.2
_ANY_ROTATION = 0.7
_SHOP, _BEFORE_SHELF = 0.3, 0.45
"""Share of scenes before a shelf, and how much of the photo a package before it fills:
one that is as far as the shelf is one of it."""
_BARE = 0.12
"""Share of scenes on a surface with nothing else on it."""
_LEAST_SHARE, _LEAST_SEEN = 0.02, 0.45
"""Of the photo, and of the face: less is no face that could be examined."""
_ATTEMPTS = 6


REAL = "real"
"""The shape of what was not simulated."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A photo, and where the face lies in it."""

    pixels: Image
    printed: NDArray[np.uint8]
    """(h, w): how much of each pixel the print takes, 255 is all."""
    quad: Quad | None
    """Corners in photo px; None where no package is shown."""
    shape: str
    """One of ``surfaces.SHAPES``, `REAL`, or ``none``."""
    is_whole: bool
    """Whether all corners lie in the photo."""


@dataclass(frozen=True, slots=True)
class Materials:
    """What scenes are made of."""

    artworks: Sequence[Image]
    """Whose faces are photographed."""
    strewn: Sequence[Image]
    """Artworks that lie about."""
    backdrops: Sequence[Image]


def draw_scene(
    materials: Materials,
    rng: np.random.Generator,
    *,
    size_px: tuple[int, int] | None = None,
    shape: str | None = None,
    is_stained: bool = True,
    no_package: float = NO_PACKAGE,
) -> Scene:
    """Draw a scene.

    Args:
        materials: what it is made of.
        rng: source of chance.
        size_px: (width, height) of the photo; drawn when absent.
        shape: one of ``surfaces.SHAPES``; any, or no package at all, when absent.
        is_stained: print some faces in other tones.
        no_package: share of scenes without one, where ``shape`` is absent.
    """
    size = size_px or _SIZES_PX[int(rng.integers(len(_SIZES_PX)))]
    if shape is None and chance(rng, no_package):
        return _without_package(materials, rng, size)

    def photo_of(taken: Conditions) -> SimulatedPhoto:
        return _photo(materials, rng, size, taken, is_stained=is_stained)

    for _ in range(_ATTEMPTS):
        scene = _scene_of(photo_of(_conditions(rng, shape)))
        if scene is not None:
            return scene
    middling = replace(_conditions(rng, shape), fill=0.7, offset=(0.0, 0.0))
    scene = _scene_of(photo_of(middling))
    return scene or _without_package(materials, rng, size)


def _conditions(rng: np.random.Generator, shape: str | None) -> Conditions:
    drawn = Conditions.sample(
        rng,
        difficulty=float(rng.uniform(0.1, 1.0)),
        any_rotation=chance(rng, _ANY_ROTATION),
        shape=shape,
    )
    kind = rng.random()
    if kind < 0.25:  # noqa: PLR2004 (a quarter is far away, a sixth nearer than near)
        fill = rng.uniform(0.25, 0.5)
    else:
        fill = rng.uniform(0.5, 1.0) if kind < 0.83 else rng.uniform(1.0, 1.6)  # noqa: PLR2004
    reach = 1.8 if chance(rng, _CUT_OFF) else 0.9
    offset = float(rng.uniform(-reach, reach)), float(rng.uniform(-reach, reach))
    return replace(
        drawn,
        fill=float(fill),
        offset=offset,
        fingers=int(rng.integers(1, 5)) if chance(rng, 0.3) else drawn.fingers,
    )


def _photo(
    materials: Materials,
    rng: np.random.Generator,
    size_px: tuple[int, int],
    taken: Conditions,
    *,
    is_stained: bool,
) -> SimulatedPhoto:
    artwork = materials.artworks[int(rng.integers(len(materials.artworks)))]
    if is_stained and chance(rng, 0.5):
        artwork = stained(artwork, rng)
    behind = (1.3 * size_px[0], 1.3 * size_px[1])
    background = cluttered(
        rng,
        (round(behind[0]), round(behind[1])),
        artworks=materials.strewn,
        backdrops=materials.backdrops,
        most_fill=0.55 * min(1.0, taken.fill),
        is_shop=taken.fill > _BEFORE_SHELF and chance(rng, _SHOP),
    )
    return photograph(
        artwork,
        rng,
        conditions=taken,
        size_px=size_px,
        backgrounds=() if chance(rng, _BARE) else [background],
    )


def _scene_of(photo: SimulatedPhoto) -> Scene | None:
    """Return the scene, or None where too little of the face is to be seen."""
    quad = face_quad(photo)
    if quad is None:
        return None
    height, width = photo.pixels.shape[:2]
    seen = float(photo.print_share.sum()) / 255
    whole = max(1.0, float(cv2.contourArea(quad)))
    # A face nearer than near is seen in part only: it counts where it fills the photo.
    is_seen = seen > _LEAST_SEEN * min(whole, 0.9 * height * width)
    if seen < _LEAST_SHARE * height * width or not is_seen:
        return None
    return Scene(
        photo.pixels,
        photo.print_share,
        quad,
        photo.conditions.shape,
        lies_within(quad, photo.pixels),
    )


def lies_within(quad: Quad, pixels: Image) -> bool:
    """Tell whether all corners lie in the photo."""
    height, width = pixels.shape[:2]
    return bool((quad >= 0).all() and (quad <= (width, height)).all())


def face_quad(photo: SimulatedPhoto) -> Quad | None:
    """Return the corners of a flat face, else the quad around what is seen of it."""
    if photo.conditions.shape in {"flat", "carton"}:
        return _flat_quad(photo)
    marked = (photo.print_share > 127).astype(np.uint8)  # noqa: PLR2004 (half)
    found, _ = cv2.findContours(marked, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not found:
        return None
    largest = max(found, key=cv2.contourArea)
    hull = cv2.convexHull(largest).reshape(-1, 2).astype(np.float32) + np.float32(0.5)
    quad = quad_around(hull)
    return None if quad is None else ordered(quad)


def _flat_quad(photo: SimulatedPhoto) -> Quad:
    width, height = photo.artwork_px
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    seen = cv2.perspectiveTransform(corners[None], photo.photo_from_artwork)[0]
    return ordered(seen.astype(np.float32))


def _without_package(
    materials: Materials, rng: np.random.Generator, size_px: tuple[int, int]
) -> Scene:
    """Photograph what lies about, with the package far outside of the photo."""
    aside = (float(rng.choice([-12, 12])), float(rng.choice([-12, 12])))
    taken = replace(
        _conditions(rng, None), fill=0.4, offset=aside, sticker=False, fingers=0
    )
    photo = photograph(
        materials.artworks[int(rng.integers(len(materials.artworks)))],
        rng,
        conditions=taken,
        size_px=size_px,
        backgrounds=_without_faces(materials, rng, size_px),
    )
    empty = np.zeros(photo.pixels.shape[:2], np.uint8)
    return Scene(photo.pixels, empty, None, "none", is_whole=False)


def _without_faces(
    materials: Materials, rng: np.random.Generator, size_px: tuple[int, int]
) -> Sequence[Image]:
    """Backgrounds on which no whole package lies: surfaces, pictures, small patches."""
    if not materials.backdrops or chance(rng, 0.4):
        return ()
    if chance(rng, 0.5):
        return materials.backdrops
    behind = cluttered(
        rng,
        (round(1.3 * size_px[0]), round(1.3 * size_px[1])),
        artworks=materials.strewn,
        backdrops=materials.backdrops,
        most_fill=0.12,
        is_shop=chance(rng, _SHOP),
    )
    return [behind]

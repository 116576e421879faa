"""Simulated phone photographs of printed packages.

A flat artwork becomes a package (flat print, carton, bottle label or pouch) that lies
or stands before a background, under uneven light, seen by a hand-held phone. Nothing is
read from disk and chance comes only from the generator that is passed in, so the same
seed gives the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone_training.simulator import optics
from touchstone_training.simulator.backdrops import backdrop
from touchstone_training.simulator.cameras import Pose
from touchstone_training.simulator.covers import Cover
from touchstone_training.simulator.occlusions import finger, sticker
from touchstone_training.simulator.surfaces import Placed, place

__all__ = ["Conditions", "Image", "SimulatedPhoto", "photograph", "to_jpeg"]

Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""

to_jpeg = optics.to_jpeg

_REFERENCE_SIDE_PX = 1600
"""Blur and noise are stated for a photo of this long side, and scaled from it."""

_SHAPE_SHARES = {"flat": 0.2, "carton": 0.45, "cylinder": 0.15, "pouch": 0.2}


@dataclass(frozen=True, slots=True)
class Conditions:
    """How one photograph was taken; everything that a report may want to slice by.

    Angles are in degrees. ``fill`` is the larger of the package's extents as a share
    of the photo's. ``defocus_px``, ``motion_px`` and ``noise`` (deviation at mid grey,
    linear) hold for a long side of 1600 px and are scaled to the photo's size.
    """

    rotation_deg: float = 0.0
    tilt_deg: float = 0.0
    yaw_deg: float = 0.0
    fill: float = 0.8
    offset: tuple[float, float] = (0.0, 0.0)
    focal: float = 1.2
    shape: str = "flat"
    bend: float = 0.8
    depth: float = 0.0
    light_colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    exposure: float = 1.0
    light_gradient: float = 0.0
    light_direction_deg: float = 0.0
    vignette: float = 0.0
    glare: float = 0.0
    shadow: float = 0.0
    defocus_px: float = 0.0
    motion_px: float = 0.0
    motion_deg: float = 0.0
    noise: float = 0.0
    contrast: float = 0.4
    sharpening: float = 0.0
    jpeg_quality: int = 92
    fingers: int = 0
    sticker: bool = False

    @staticmethod
    def sample(
        rng: np.random.Generator,
        *,
        difficulty: float = 0.5,
        any_rotation: bool = False,
        shape: str | None = None,
    ) -> "Conditions":
        """Draw conditions.

        Args:
            rng: source of chance.
            difficulty: 0 is a careful inspector, 1 a hard photograph in the field.
            any_rotation: turn the package by any angle, instead of mostly upright.
            shape: one of ``surfaces.SHAPES``; drawn when absent.
        """
        hard = float(np.clip(difficulty, 0, 1))
        kinds = list(_SHAPE_SHARES)
        drawn = str(rng.choice(kinds, p=list(_SHAPE_SHARES.values())))
        turn = _rotation_deg(rng, hard, any_rotation=any_rotation)
        slant = rng.normal(0, 5 + 13 * hard, 2).clip(-16 - 30 * hard, 16 + 30 * hard)
        warmth, green = rng.normal(0, 0.03 + 0.07 * hard), rng.normal(0, 0.015)
        return Conditions(
            rotation_deg=turn,
            tilt_deg=float(slant[0]),
            yaw_deg=float(slant[1]),
            fill=float(rng.uniform(0.62 - 0.3 * hard, 0.93 + 0.17 * hard)),
            offset=(float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.7, 0.7))),
            focal=float(rng.uniform(0.85, 1.5)),
            shape=shape or drawn,
            bend=float(rng.uniform(0.5, 1.15)),
            depth=float(rng.uniform(0.1, 0.6)),
            light_colour=(
                float(1 + warmth),
                float(1 + green),
                float(1 - warmth * rng.uniform(0.8, 1.3)),
            ),
            exposure=float(2 ** rng.normal(0.08, 0.12 + 0.3 * hard)),
            light_gradient=float(rng.uniform(0, 0.3 + 0.7 * hard)),
            light_direction_deg=float(rng.uniform(0, 360)),
            vignette=float(rng.uniform(0, 0.25)),
            glare=_sometimes(rng, 0.15 + 0.45 * hard, high=0.25 + 0.9 * hard),
            shadow=_sometimes(rng, 0.15 + 0.35 * hard, high=0.3 + 0.4 * hard),
            defocus_px=float(rng.gamma(1.5, 0.35 + 0.9 * hard)),
            motion_px=_sometimes(rng, 0.1 + 0.3 * hard, high=3 + 9 * hard),
            motion_deg=float(rng.uniform(0, 180)),
            noise=float(rng.uniform(0.001, 0.006 + 0.022 * hard)),
            contrast=float(rng.uniform(0.1, 0.9)),
            sharpening=float(rng.uniform(0.1, 1.0)),
            jpeg_quality=int(rng.integers(round(82 - 35 * hard), 97)),
            fingers=int(rng.integers(1, 3)) if rng.random() < 0.12 + 0.3 * hard else 0,
            sticker=bool(rng.random() < 0.02 + 0.1 * hard),
        )


def _sometimes(rng: np.random.Generator, share: float, *, high: float) -> float:
    amount = float(rng.uniform(0.15, 1.0)) * high
    return amount if rng.random() < share else 0.0


def _rotation_deg(
    rng: np.random.Generator, hard: float, *, any_rotation: bool
) -> float:
    if any_rotation:
        return float(rng.uniform(-180, 180))
    small = float(np.clip(rng.normal(0, 3 + 6 * hard), -20, 20))
    quarter = float(rng.choice([90, 180, 270]))
    return small + (quarter if rng.random() < 0.04 + 0.12 * hard else 0.0)


@dataclass(frozen=True, slots=True)
class SimulatedPhoto:
    """A photograph, and where the artwork lies in it.

    ``photo_from_artwork`` (3, 3) maps artwork px to photo px, pixel centres at +0.5;
    for bent shapes it is the homography that fits best.
    """

    pixels: Image
    photo_from_artwork: NDArray[np.float64]
    conditions: Conditions
    print_share: NDArray[np.uint8]
    """(H, W): how much of each pixel the print takes, 255 is all, covered or not."""
    artwork_px: tuple[int, int]
    """(width, height) of what was photographed."""


def photograph(
    artwork: Image,
    rng: np.random.Generator,
    *,
    conditions: Conditions | None = None,
    size_px: tuple[int, int] = (1600, 1200),
    backgrounds: Sequence[Image] = (),
    difficulty: float = 0.5,
) -> SimulatedPhoto:
    """Photograph the artwork as a package.

    Args:
        artwork: (H, W, 3) RGB, the flat print.
        rng: source of chance; the same state gives the same photo.
        conditions: how the photo is taken; drawn at ``difficulty`` when absent.
        size_px: (width, height) of the photo.
        backgrounds: real background pictures; procedural surfaces when empty.
        difficulty: 0 to 1, see ``Conditions.sample``.
    """
    taken = conditions or Conditions.sample(rng, difficulty=difficulty)
    placed = place(artwork, _pose(taken), size_px, rng=rng)
    lamp = optics.enlarged(optics.light_field(_lamp(taken), rng, size_px), size_px)
    light = optics.to_linear(backdrop(rng, size_px, images=backgrounds))
    light *= lamp
    light *= _contact_shadow(placed, rng, size_px)
    glare = optics.glare_field(rng, size_px, strength=taken.glare)
    _lay(light, placed, lamp=lamp, glare=optics.enlarged(glare, size_px))
    artwork_px = (artwork.shape[1], artwork.shape[0])
    for cover in _covers(placed, taken, rng, size_px=size_px, artwork_px=artwork_px):
        _lay_cover(light, cover, lamp)
    pixels = _developed(light, taken, rng)
    shown = np.zeros(pixels.shape[:2], np.uint8)
    shown[placed.front.rows, placed.front.columns] = placed.printed * np.float32(255)
    return SimulatedPhoto(pixels, placed.photo_from_artwork, taken, shown, artwork_px)


def _pose(taken: Conditions) -> Pose:
    return Pose(
        rotation_deg=taken.rotation_deg,
        tilt_deg=taken.tilt_deg,
        yaw_deg=taken.yaw_deg,
        fill=taken.fill,
        offset=taken.offset,
        focal=taken.focal,
        shape=taken.shape,
        bend=taken.bend,
        depth=taken.depth,
    )


def _lamp(taken: Conditions) -> optics.Lamp:
    return optics.Lamp(
        colour=taken.light_colour,
        exposure=taken.exposure,
        gradient=taken.light_gradient,
        direction_deg=taken.light_direction_deg,
        vignette=taken.vignette,
        shadow=taken.shadow,
    )


def _contact_shadow(
    placed: Placed, rng: np.random.Generator, size_px: tuple[int, int]
) -> NDArray[np.float32]:
    # A narrow dark rim where the package touches, and a wide soft one to one side.
    width, height = optics.coarse_size(size_px)
    mask = np.zeros((size_px[1], size_px[0]), np.float32)
    for piece in (*placed.sides, placed.front):
        under = mask[piece.rows, piece.columns]
        np.maximum(under, piece.alpha[..., 0], out=under)
    coarse = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
    shift = rng.normal(0, 0.02, 2) * width
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    wide = cv2.warpAffine(coarse, matrix, (width, height))
    wide = cv2.GaussianBlur(wide, (0, 0), width * rng.uniform(0.012, 0.05))
    rim = cv2.GaussianBlur(coarse, (0, 0), max(0.6, width * 0.006))
    dark = 1 - rng.uniform(0.2, 0.6) * wide - rng.uniform(0.1, 0.35) * rim
    return optics.enlarged(np.clip(dark, 0.08, 1), size_px)[..., None]


def _lay(
    light: NDArray[np.float32],
    placed: Placed,
    *,
    lamp: NDArray[np.float32],
    glare: NDArray[np.float32],
) -> None:
    for side in placed.sides:
        _lay_cover(light, side, lamp)
    rows, columns = placed.front.rows, placed.front.columns
    front = optics.to_linear(placed.front.pixels)
    front *= lamp[rows, columns]
    front *= placed.shade
    front += glare[rows, columns, None] * placed.gloss
    under = light[rows, columns]
    front -= under
    front *= placed.front.alpha
    under += front


def _covers(
    placed: Placed,
    taken: Conditions,
    rng: np.random.Generator,
    *,
    size_px: tuple[int, int],
    artwork_px: tuple[int, int],
) -> list[Cover]:
    found: list[Cover | None] = []
    if taken.sticker:
        matrix = placed.photo_from_artwork
        found.append(
            sticker(rng, size_px, photo_from_artwork=matrix, artwork_px=artwork_px)
        )
    box = np.array([[0, 0], artwork_px], np.float64)
    ends = cv2.perspectiveTransform(box[None], placed.photo_from_artwork)[0]
    span = float(np.abs(ends[1] - ends[0]).max())
    skin = int(rng.integers(5))
    for _ in range(taken.fingers):
        # A tip rests just inside a side of the package, where a hand would hold it.
        along, inward = rng.uniform(0.1, 0.9), rng.uniform(-0.02, 0.09)
        side = int(rng.integers(4))
        edge = inward if side < 2 else 1 - inward  # noqa: PLR2004 - two near, two far
        share = np.array([along, edge] if side % 2 else [edge, along])
        spot = (share * np.array(artwork_px))[None, None]
        target = cv2.perspectiveTransform(spot, placed.photo_from_artwork)[0, 0]
        thickness = span * rng.uniform(0.08, 0.16)
        place_at = (float(target[0]), float(target[1]))
        found.append(
            finger(rng, size_px, target=place_at, thickness_px=thickness, skin=skin)
        )
    return [cover for cover in found if cover is not None]


def _lay_cover(
    light: NDArray[np.float32], cover: Cover, lamp: NDArray[np.float32]
) -> None:
    over = optics.to_linear(cover.pixels) * lamp[cover.rows, cover.columns]
    under = light[cover.rows, cover.columns]
    under += cover.alpha * (over - under)


def _developed(
    light: NDArray[np.float32], taken: Conditions, rng: np.random.Generator
) -> Image:
    scale = max(light.shape[:2]) / _REFERENCE_SIDE_PX
    kernel = optics.lens_kernel(
        taken.defocus_px * scale, taken.motion_px * scale, taken.motion_deg
    )
    light = optics.blurred(light, kernel)
    # A smaller photo averages the sensor's pixels, which halves noise for half a side.
    light = optics.add_noise(light, rng, sigma=taken.noise * min(1.0, scale**0.5))
    pixels = optics.develop(light, contrast=taken.contrast, sharpening=taken.sharpening)
    return optics.recompressed(pixels, taken.jpeg_quality)

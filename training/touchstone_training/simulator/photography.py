"""Simulated phone photographs of printed packages.

A flat artwork becomes a package (flat print, carton, bottle label or pouch) that lies
or stands before a background, under uneven light, seen by a hand-held phone. Nothing is
read from disk and chance comes only from the generator that is passed in, so the same
seed gives the same bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone_training.simulator import optics, phones
from touchstone_training.simulator.backdrops import backdrop
from touchstone_training.simulator.cameras import Pose
from touchstone_training.simulator.conditions import Conditions
from touchstone_training.simulator.covers import Cover
from touchstone_training.simulator.noise import smooth_noise
from touchstone_training.simulator.occlusions import SKINS, finger, sticker
from touchstone_training.simulator.surfaces import Placed, place

__all__ = ["Conditions", "Image", "SimulatedPhoto", "photograph", "to_jpeg"]

Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""

to_jpeg = optics.to_jpeg

_REFERENCE_SIDE_PX = 1600
"""Blur and noise are stated for a photo of this long side, and scaled from it."""

_STRIP_ROWS = 48


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
    compress: bool = True,
) -> SimulatedPhoto:
    """Photograph the artwork as a package.

    Args:
        artwork: (H, W, 3) RGB, the flat print.
        rng: source of chance; the same state gives the same photo.
        conditions: how the photo is taken; drawn at ``difficulty`` when absent.
        size_px: (width, height) of the photo.
        backgrounds: real background pictures; procedural surfaces when empty.
        difficulty: 0 to 1, see ``Conditions.sample``.
        compress: pass the pixels through JPEG; not needed where ``to_jpeg`` follows.
    """
    taken = conditions or Conditions.sample(rng, difficulty=difficulty)
    placed = place(artwork, _pose(taken), size_px, rng=rng)
    lamp = optics.light_field(_lamp(taken), rng, size_px)
    behind = backdrop(rng, size_px, images=backgrounds)
    shadowed = lamp * _contact_shadow(placed, rng, size_px)
    light = _scenery(behind, shadowed, size_px)
    glare = optics.glare_field(rng, size_px, strength=taken.glare)
    sheen = taken.varnish * (0.6 + 0.4 * smooth_noise(rng, (8, 8), cells=(2, 2)))
    full_lamp = _Lamp(lamp, size_px, taken.light_colour)
    glints = partial(
        optics.add_glints,
        rng=rng.spawn(1)[0],
        count=taken.glints,
        scale=max(size_px) / _REFERENCE_SIDE_PX,
        colour=taken.light_colour,
    )
    _lay(light, placed, full_lamp, glare=glare, sheen=sheen, glints=glints)
    artwork_px = (artwork.shape[1], artwork.shape[0])
    for cover in _covers(placed, taken, rng, size_px=size_px, artwork_px=artwork_px):
        _lay_cover(light, cover, full_lamp)
    pixels = _developed(light, taken, rng, compress=compress)
    return SimulatedPhoto(
        pixels, placed.photo_from_artwork, taken, placed.shown(size_px), artwork_px
    )


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


@dataclass(frozen=True, slots=True)
class _Lamp:
    """A coarse field of light over a photo of ``size_px``, read anywhere."""

    field: NDArray[np.float32]
    size_px: tuple[int, int]
    colour: tuple[float, float, float]

    def at(
        self, grid: tuple[NDArray[np.float64], NDArray[np.float64]]
    ) -> NDArray[np.float32]:
        """The light at photo points."""
        return _read(self.field, grid, self.size_px)

    def over(self, cover: Cover) -> NDArray[np.float32]:
        """The light on every pixel of a cover, (h, w, 3)."""
        rows, columns = cover.alpha.shape[:2]
        share = optics.coarse_size((columns, rows))
        x = np.linspace(0.5, columns - 0.5, share[0]) + cover.left
        y = np.linspace(0.5, rows - 0.5, share[1]) + cover.top
        field = self.at((np.tile(x, (share[1], 1)), np.tile(y[:, None], share[0])))
        return optics.enlarged(field, (columns, rows))


def _read(
    field: NDArray[np.float32],
    grid: tuple[NDArray[np.float64], NDArray[np.float64]],
    size_px: tuple[int, int],
) -> NDArray[np.float32]:
    # A coarse field at photo points.
    height, width = field.shape[:2]
    x = (grid[0] * (width / size_px[0]) - 0.5).astype(np.float32)
    y = (grid[1] * (height / size_px[1]) - 0.5).astype(np.float32)
    found = cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


def _scenery(
    behind: Image, lamp: NDArray[np.float32], size_px: tuple[int, int]
) -> NDArray[np.float32]:
    # Light from what lies behind the package, at the photo's size.
    light = optics.to_linear(behind)
    light *= optics.enlarged(lamp, (behind.shape[1], behind.shape[0]))
    is_whole = (behind.shape[1], behind.shape[0]) == size_px
    return light if is_whole else optics.enlarged(light, size_px)


def _contact_shadow(
    placed: Placed, rng: np.random.Generator, size_px: tuple[int, int]
) -> NDArray[np.float32]:
    # A narrow dark rim where the package touches, and a wide soft one to one side;
    # (h, w, 1) on the coarse lattice of light.
    width, height = optics.coarse_size(size_px)
    coarse = np.zeros((height, width), np.float32)
    for piece in (*placed.sides, placed.front):
        _mark(coarse, piece, size_px)
    coarse = np.asarray(cv2.GaussianBlur(coarse, (0, 0), 0.5), np.float32)
    shift = rng.normal(0, 0.02, 2) * width
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    wide = cv2.warpAffine(coarse, matrix, (width, height))
    wide = cv2.GaussianBlur(wide, (0, 0), width * rng.uniform(0.012, 0.05))
    rim = cv2.GaussianBlur(coarse, (0, 0), max(0.6, width * 0.006))
    dark = 1 - rng.uniform(0.2, 0.6) * wide - rng.uniform(0.1, 0.35) * rim
    return np.clip(dark, 0.08, 1).astype(np.float32)[..., None]


def _mark(coarse: NDArray[np.float32], piece: Cover, size_px: tuple[int, int]) -> None:
    # Where a piece lies, at the middle of each coarse cell.
    places = []
    for cells, extent, start, length in zip(
        coarse.shape,
        (size_px[1], size_px[0]),
        (piece.top, piece.left),
        piece.alpha.shape[:2],
        strict=True,
    ):
        at = ((np.arange(cells) + 0.5) * extent / cells).astype(int) - start
        inside = np.flatnonzero((at >= 0) & (at < length))
        places.append((inside, at[inside]))
    if all(len(inside) for inside, _ in places):
        (rows, v), (columns, u) = places
        seen = piece.alpha[..., 0][np.ix_(v, u)]
        under = coarse[np.ix_(rows, columns)]
        coarse[np.ix_(rows, columns)] = np.maximum(under, seen)


def _lay(
    light: NDArray[np.float32],
    placed: Placed,
    lamp: _Lamp,
    *,
    glare: NDArray[np.float32],
    sheen: NDArray[np.float32],
    glints: Callable[[NDArray[np.float32]], None],
) -> None:
    for side in placed.sides:
        _lay_cover(light, side, lamp)
    front, window = placed.front, placed.window
    grid = window.coarse_grid()
    lit = lamp.at(grid)
    # Varnish and foil throw some of the lamp's own light back, whatever is printed.
    veil = cv2.resize(sheen, (lit.shape[1], lit.shape[0]))
    mirrored = _read(glare, grid, lamp.size_px) * placed.gloss + veil
    over = optics.to_linear(front.pixels)
    over *= window.refine(lit * placed.shade[..., None])
    if mirrored.max() > 0:
        shine = window.refine(mirrored)
        over += cv2.merge([shine * np.float32(part) for part in lamp.colour])
    glints(over)
    _blend(light, front, over)


def _blend(light: NDArray[np.float32], cover: Cover, over: NDArray[np.float32]) -> None:
    under = light[cover.rows, cover.columns]
    alpha = cover.alpha[..., 0]
    under[:] = cv2.blendLinear(over, np.ascontiguousarray(under), alpha, 1 - alpha)


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
    skin = int(rng.integers(SKINS))
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


def _lay_cover(light: NDArray[np.float32], cover: Cover, lamp: _Lamp) -> None:
    linear = optics.to_linear(cover.pixels)
    _blend(light, cover, np.asarray(cv2.multiply(linear, lamp.over(cover)), np.float32))


def _developed(
    light: NDArray[np.float32],
    taken: Conditions,
    rng: np.random.Generator,
    *,
    compress: bool,
) -> Image:
    scale = max(light.shape[:2]) / _REFERENCE_SIDE_PX
    kernel = optics.lens_kernel(
        taken.defocus_px * scale, taken.motion_px * scale, taken.motion_deg
    )
    light = optics.blurred(light, kernel)
    light = phones.evened(light, taken.phone)
    # A smaller photo averages the sensor's pixels, which halves noise for half a side.
    sigma = taken.noise * min(1.0, scale**0.5)
    height, width = light.shape[:2]
    noise = optics.drawn_noise(rng, (width, height)) if sigma > 0 else light
    pixels = np.empty(light.shape, np.uint8)
    # Row by row of a strip that stays in the processor's cache.
    for top in range(0, height, _STRIP_ROWS):
        strip = slice(top, top + _STRIP_ROWS)
        part = light[strip]
        if sigma > 0:
            part = optics.add_noise(part, noise[strip], sigma=sigma)
        pixels[strip] = phones.toned(part, contrast=taken.contrast, phone=taken.phone)
    pixels = phones.finished(pixels, sharpening=taken.sharpening, phone=taken.phone)
    return optics.recompressed(pixels, taken.jpeg_quality) if compress else pixels

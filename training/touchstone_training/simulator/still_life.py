"""Procedural photo-like pictures: fruit, leaves, grains, pills, gears, devices, cream.

Everything is a height or normal field lit from the upper left, with an opacity, so that
a face carries continuous tone next to its line work.
"""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import magnitude
from touchstone_training.simulator.elements import Colour
from touchstone_training.simulator.noise import fractal_noise
from touchstone_training.simulator.photos import SCENES, scene

_Field = NDArray[np.float32]
_Pixels = NDArray[np.uint8]

_LIGHT = np.array([-0.45, -0.6, 0.66], np.float32)
_GREEN: Colour = (70, 130, 50)
_FIRST_TONE_SHARE = 0.77
_WORK_SIDE_PX = 360


class _Canvas:
    """Float RGB and opacity, (h, w, 3) and (h, w), in 0..255 and 0..1."""

    def __init__(self, size_px: tuple[int, int]) -> None:
        self.size_px = size_px
        self.colour = np.zeros((size_px[1], size_px[0], 3), np.float32)
        self.alpha = np.zeros((size_px[1], size_px[0]), np.float32)

    def window(
        self, centre: tuple[float, float], reach: float
    ) -> tuple[slice, slice, _Field, _Field]:
        """Slices around ``centre`` and the offsets x, y from it, in px."""
        left, right = (
            int(np.clip(centre[0] + s * reach, 0, self.size_px[0])) for s in (-1, 1)
        )
        top, bottom = (
            int(np.clip(centre[1] + s * reach, 0, self.size_px[1])) for s in (-1, 1)
        )
        x = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(centre[0])
        y = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(centre[1])
        return slice(top, bottom), slice(left, right), x, y

    def over(self, rows: slice, columns: slice, colour: _Field, alpha: _Field) -> None:
        """Lay colour (h, w, 3) with opacity (h, w) over what is there."""
        under = self.colour[rows, columns]
        under += alpha[..., None] * (colour - under)
        below = self.alpha[rows, columns]
        below += alpha * (1 - below)


def _turned(
    x: _Field, y: _Field, radii: tuple[float, float], *, turn: float
) -> tuple[_Field, _Field, _Field]:
    # Coordinates along the two axes of an ellipse, and the distance in its radii.
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    a = np.asarray((x * c + y * s) / np.float32(radii[0]), np.float32)
    b = np.asarray((y * c - x * s) / np.float32(radii[1]), np.float32)
    return a, b, np.asarray(np.sqrt(a * a + b * b), np.float32)


def _ellipsoid(
    canvas: _Canvas,
    centre: tuple[float, float],
    radii: tuple[float, float],
    *,
    turn: float,
    colour: _Field,
    colour2: _Field | None = None,
    gloss: float = 0.5,
) -> None:
    rows, columns, x, y = canvas.window(centre, max(radii) * 1.8)
    # The shadow first: a soft dark ellipse, shifted away from the lamp.
    shift = np.float32(0.12 * min(radii))
    far = _turned(x - shift, y - shift * np.float32(1.3), radii, turn=turn)[2]
    shade = np.clip(1.25 - far, 0, 0.5) * 0.7
    canvas.over(rows, columns, np.zeros((*far.shape, 3), np.float32), shade)
    a, b, distance = _turned(x, y, radii, turn=turn)
    z = np.sqrt(np.clip(1 - distance * distance, 0, 1))
    c, s = float(np.cos(turn)), float(np.sin(turn))
    slope = (a * c - b * s) * _LIGHT[0] + (a * s + b * c) * _LIGHT[1]
    facing = np.clip(slope + z * _LIGHT[2], 0, 1)
    mirror = cv2.pow(facing, 30) * (gloss * 200)
    body = colour if colour2 is None else np.where(a[..., None] > 0, colour2, colour)
    lit = body * (0.35 + 0.8 * facing[..., None]) + mirror[..., None]
    alpha = np.clip((1 - distance) * min(radii) + 0.5, 0, 1)
    lit = np.clip(lit, 0, 255).astype(np.float32)
    canvas.over(rows, columns, lit, alpha.astype(np.float32))


def _varied(rng: np.random.Generator, colour: Colour, amount: float) -> _Field:
    shifted = np.asarray(colour, np.float32) * rng.uniform(1 - amount, 1 + amount, 3)
    return np.clip(shifted, 0, 255).astype(np.float32)


def _toned(rng: np.random.Generator, first: Colour, second: Colour) -> Colour:
    return first if rng.random() < _FIRST_TONE_SHARE else second


def _spots(
    rng: np.random.Generator, size_px: tuple[int, int], count: int, spread: float
) -> list[tuple[float, float]]:
    # Farthest first, so that nearer things (lower in the picture) overlap them.
    middle = np.array(size_px) / 2
    points = rng.normal(0, spread, (count, 2)).clip(-0.7, 0.7) * middle + middle
    return sorted(((float(x), float(y)) for x, y in points), key=lambda p: p[1])


def _fruit(
    canvas: _Canvas, rng: np.random.Generator, colour: Colour, colour2: Colour
) -> None:
    side = min(canvas.size_px)
    for spot in _spots(rng, canvas.size_px, int(rng.integers(2, 5)), 0.4):
        _blade(canvas, spot, side * rng.uniform(0.3, 0.5), rng=rng, colour=_GREEN)
    radius = side * rng.uniform(0.16, 0.3)
    for spot in _spots(rng, canvas.size_px, int(rng.integers(4, 10)), 0.34):
        tone = _varied(rng, _toned(rng, colour, colour2), 0.12)
        across, down = radius * rng.uniform(0.85, 1.1, 2)
        radii = (float(across), float(down))
        _ellipsoid(canvas, spot, radii, turn=rng.uniform(0, 3), colour=tone)


def _grain(
    canvas: _Canvas, rng: np.random.Generator, colour: Colour, colour2: Colour
) -> None:
    radius = min(canvas.size_px) * rng.uniform(0.05, 0.1)
    for spot in _spots(rng, canvas.size_px, 80, 0.34):
        _ellipsoid(
            canvas,
            spot,
            (radius * rng.uniform(0.8, 1.3), radius * rng.uniform(0.45, 0.75)),
            turn=rng.uniform(0, 3),
            colour=_varied(rng, _toned(rng, colour, colour2), 0.18),
            gloss=0.15,
        )


def _pills(
    canvas: _Canvas, rng: np.random.Generator, colour: Colour, colour2: Colour
) -> None:
    long = min(canvas.size_px) * rng.uniform(0.2, 0.32)
    short = long * rng.uniform(0.42, 0.95)
    for spot in _spots(rng, canvas.size_px, int(rng.integers(2, 7)), 0.4):
        _ellipsoid(
            canvas,
            spot,
            (long, short),
            turn=rng.uniform(0, 3),
            colour=_varied(rng, colour, 0.03),
            colour2=_varied(rng, colour2, 0.03),
            gloss=0.8,
        )


def _blade(
    canvas: _Canvas,
    centre: tuple[float, float],
    length: float,
    *,
    rng: np.random.Generator,
    colour: Colour,
) -> None:
    rows, columns, x, y = canvas.window(centre, length)
    narrow = rng.uniform(0.28, 0.45)
    radii = (length * 0.9, length * narrow)
    along, across, _ = _turned(x, y, radii, turn=rng.uniform(0, 2 * np.pi))
    across = across + 0.3 * along * along
    rim = np.clip(1 - along * along, 0, 1) ** 0.9
    veins = np.abs((along * 7 - np.abs(across) * 2.2) % 1 - 0.5)
    facing = 0.75 + 0.25 * across / (rim + 0.2)
    facing -= 0.12 * np.clip((veins - 0.42) * 20, 0, 1)
    facing -= 0.25 * np.exp(-((across / 0.05) ** 2))
    alpha = np.clip((rim - np.abs(across)) * length * narrow + 0.5, 0, 1)
    tone = _varied(rng, colour, 0.15) * np.clip(facing, 0.2, 1.3)[..., None]
    canvas.over(rows, columns, tone.astype(np.float32), alpha.astype(np.float32))


def _leaf(
    canvas: _Canvas, rng: np.random.Generator, colour: Colour, colour2: Colour
) -> None:
    side = min(canvas.size_px)
    for index, spot in enumerate(_spots(rng, canvas.size_px, 9, 0.35)):
        tone = colour if index % 3 else colour2
        _blade(canvas, spot, side * rng.uniform(0.3, 0.55), rng=rng, colour=tone)


def _gear(
    canvas: _Canvas, rng: np.random.Generator, colour: Colour, _colour2: Colour
) -> None:
    radius = min(canvas.size_px) * 0.46
    centre = (canvas.size_px[0] / 2, canvas.size_px[1] / 2)
    rows, columns, x, y = canvas.window(centre, radius * 1.1)
    angle = np.arctan2(y, x)
    distance = np.sqrt(x * x + y * y) / np.float32(radius)
    rim = 0.9 + 0.08 * np.tanh(4 * np.sin(angle * int(rng.integers(9, 28))))
    hole, web = rng.uniform(0.15, 0.3), rng.uniform(0.5, 0.7)
    bolts = np.cos(angle * int(rng.integers(3, 8))) - 0.55
    pocket = (bolts > 0) & (distance > hole + 0.08) & (distance < web)
    # Turned metal: the highlight depends on the angle, finely ringed by the lathe.
    sheen = 0.55 + 0.35 * np.cos(2 * angle + 0.8) + 0.1 * np.sin(distance * 160)
    step = 0.25 * np.sign(web - distance)
    tone = np.clip(sheen + step * np.cos(angle + 0.9), 0.1, 1.1)
    tone = np.where(pocket, tone * 0.35, tone)
    steel = np.array([174, 177, 182], np.float32)
    tint = steel * 0.85 + np.asarray(colour, np.float32) * 0.15
    alpha = np.clip((rim - distance) * radius + 0.5, 0, 1)
    alpha *= np.clip((distance - hole) * radius + 0.5, 0, 1)
    shaded = (tone[..., None] * tint).astype(np.float32)
    canvas.over(rows, columns, shaded, alpha.astype(np.float32))


def _slab(
    canvas: _Canvas,
    box: tuple[float, float, float, float],
    *,
    radius: float,
    tone: _Field,
) -> None:
    height, width = canvas.alpha.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    dx = np.abs(x - (box[0] + box[2] / 2)) - (box[2] / 2 - radius)
    dy = np.abs(y - (box[1] + box[3] / 2)) - (box[3] / 2 - radius)
    outside = magnitude(np.maximum(dx, 0), np.maximum(dy, 0))
    inside = radius - outside - np.minimum(np.maximum(dx, dy), 0)
    alpha = np.clip(inside + 0.5, 0, 1)
    bevel = 1 + 0.5 * np.exp(-np.clip(inside, 0, None) / (0.02 * width + 1))
    shine = 0.75 + 0.45 * np.clip((x - y * 0.6) / width, 0, 1)
    lit = np.clip(tone * (bevel * shine)[..., None], 0, 255).astype(np.float32)
    full = slice(0, height), slice(0, width)
    canvas.over(*full, lit, alpha.astype(np.float32))


def _device(
    canvas: _Canvas, rng: np.random.Generator, colour: Colour, colour2: Colour
) -> None:
    width, height = canvas.size_px
    wide, tall = width * rng.uniform(0.4, 0.8), height * rng.uniform(0.55, 0.85)
    left, top = (width - wide) / 2, (height - tall) / 2
    radius = min(wide, tall) * rng.uniform(0.06, 0.3)
    body = np.array([52, 54, 60], np.float32) * np.float32(rng.uniform(0.5, 4))
    _slab(canvas, (left, top, wide, tall), radius=radius, tone=np.clip(body, 0, 235))
    m = min(wide, tall) * rng.uniform(0.08, 0.2)
    screen = (left + m, top + m, wide - 2 * m, (tall - 2 * m) * rng.uniform(0.4, 1.0))
    inner = np.asarray(colour, np.float32)
    _slab(canvas, screen, radius=min(radius, screen[3] / 2) * 0.5, tone=inner)
    for i in range(int(rng.integers(1, 4))):
        spot = (left + wide * (0.3 + 0.2 * i), top + tall - m * 0.6)
        dot = min(wide, tall) * 0.04
        shade = np.asarray(colour2, np.float32)
        _ellipsoid(canvas, spot, (dot, dot), turn=0.0, colour=shade)


def _swirl(
    canvas: _Canvas, rng: np.random.Generator, colour: Colour, colour2: Colour
) -> None:
    width, height = canvas.size_px
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    u, v = x / width * 2 - 1, y / height * 2 - 1
    noise = fractal_noise(rng, canvas.size_px, cells=3, octaves=2)
    arms = int(rng.integers(1, 4))
    wound = np.arctan2(v, u) * arms + np.hypot(u, v) * 7 + noise * 2.5
    folds = np.sin(wound).astype(np.float32)
    down, across = np.gradient(folds * np.float32(min(width, height) * 0.05))
    facing = np.clip(0.8 - 0.5 * down - 0.35 * across, 0.35, 1.2)
    share = (folds * 0.25 + 0.5)[..., None]
    tone = np.asarray(colour, np.float32) * share
    tone = tone + np.asarray(colour2, np.float32) * (1 - share)
    mirror = np.clip(facing - 1.0, 0, 1)[..., None] * 300
    lit = np.clip(tone * facing[..., None] + mirror, 0, 255).astype(np.float32)
    edge = np.hypot(u, v) + 0.12 * noise
    alpha = np.clip((0.9 - edge) * width * 0.3 + 0.5, 0, 1).astype(np.float32)
    canvas.over(slice(0, height), slice(0, width), lit, alpha)


_PICTURES: dict[str, Callable[[_Canvas, np.random.Generator, Colour, Colour], None]] = {
    "fruit": _fruit,
    "grain": _grain,
    "pills": _pills,
    "leaf": _leaf,
    "gear": _gear,
    "device": _device,
    "swirl": _swirl,
}


def still_life(
    size_px: tuple[int, int],
    variant: str,
    seed: int,
    *,
    colours: tuple[Colour, Colour],
) -> tuple[_Pixels, _Pixels]:
    """Draw one picture.

    Args:
        size_px: (width, height).
        variant: fruit, grain, pills, leaf, gear, device, swirl, or one of ``SCENES``.
        seed: shape and places.
        colours: main and second colour.

    Returns:
        RGB (height, width, 3) and opacity (height, width), both uint8.
    """
    # Drawn once at one size: a smaller face shows the same picture, only smaller.
    share = _WORK_SIDE_PX / max(size_px)
    work = max(8, round(size_px[0] * share)), max(8, round(size_px[1] * share))
    drawn = _drawn(work, variant, seed, colours)
    way = cv2.INTER_AREA if share > 1 else cv2.INTER_CUBIC
    enlarged = cv2.resize(drawn, size_px, interpolation=way)
    pixels, alpha = enlarged[..., :3], enlarged[..., 3]
    if share < 1:
        # A cut-out's edge stays as sharp as the press makes it.
        steep = (np.arange(256) - 127.5) * min(4.0, 1 / share) + 127.5
        alpha = cv2.LUT(alpha, np.clip(steep, 0, 255).astype(np.uint8))
    return with_grain(np.asarray(pixels, np.uint8), seed), np.ascontiguousarray(
        alpha, np.uint8
    )


@lru_cache(maxsize=64)
def _drawn(
    size_px: tuple[int, int],
    variant: str,
    seed: int,
    colours: tuple[Colour, Colour],
) -> _Pixels:
    # RGB and opacity, (h, w, 4).
    rng = np.random.default_rng(seed)
    canvas = _Canvas(size_px)
    if variant in SCENES:
        canvas.colour = scene(size_px, variant, rng, colours=colours)
        canvas.alpha += 1
    else:
        _PICTURES[variant](canvas, rng, *colours)
    alpha = np.clip(canvas.alpha, 0, 1)[..., None] * 255
    both = np.concatenate([np.clip(canvas.colour, 0, 255), alpha], axis=2)
    return both.astype(np.uint8)


@lru_cache(maxsize=1)
def _grain_tile() -> NDArray[np.int16]:
    tile = np.random.default_rng(0).normal(0, 2.5, (512, 512))
    return np.round(tile).astype(np.int16)


def with_grain(pixels: _Pixels, seed: int) -> _Pixels:
    """Film grain over a picture (h, w, 3)."""
    height, width = pixels.shape[:2]
    tile = np.roll(_grain_tile(), (seed % 509, seed % 503), axis=(0, 1))
    side = tile.shape[0]
    grain = np.tile(tile, (height // side + 1, width // side + 1))[:height, :width]
    return np.asarray(cv2.add(pixels, cv2.merge([grain] * 3), dtype=cv2.CV_8U))

"""Procedural surfaces behind a package: wood, cloth, concrete, table, tiles, shelf.

All textures are grown from smooth noise at half of the photo's size or less.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone_training.simulator.noise import fractal_noise, smooth_noise
from touchstone_training.simulator.photos import scene

_Field = NDArray[np.float32]
_Pixels = NDArray[np.uint8]
_Colour = NDArray[np.float64]

_WORK_SIDE_PX = 720


def _tinted(field: NDArray[np.floating], dark: _Colour, light: _Colour) -> _Field:
    share = np.clip(field.astype(np.float32) * 0.5 + 0.5, 0, 1)[..., None]
    a = np.asarray(dark, np.float32)
    b = np.asarray(light, np.float32)
    return np.asarray(a + share * (b - a), np.float32)


def _wood(rng: np.random.Generator, size_px: tuple[int, int]) -> _Field:
    width, height = size_px
    grain = smooth_noise(rng, size_px, cells=(3, max(8, height // 5)))
    warp = smooth_noise(rng, size_px, cells=(2, 3))
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    rings = np.sin((rows * rng.uniform(10, 30) + warp * 2.5) * 2 * np.pi)
    tone = 0.45 * grain + 0.3 * rings
    planks = int(rng.integers(1, 6))
    lines = np.abs(((rows * planks + rng.random()) % 1) - 0.5)
    gap = np.clip((lines - 0.49) * 100, 0, 1) * np.ones((1, width), np.float32)
    base = np.array([rng.uniform(110, 205), 0, 0])
    base[1] = base[0] * rng.uniform(0.66, 0.82)
    base[2] = base[0] * rng.uniform(0.40, 0.66)
    planked = _tinted(tone, base * 0.72, base * 1.12) * (1 - 0.6 * gap[..., None])
    return np.asarray(planked, np.float32)


def _cloth(rng: np.random.Generator, size_px: tuple[int, int]) -> _Field:
    width, height = size_px
    pitch = rng.uniform(2.5, 5.0)
    xs = np.sin(np.arange(width, dtype=np.float32) * (2 * np.pi / pitch))[None, :]
    ys = np.sin(np.arange(height, dtype=np.float32) * (2 * np.pi / pitch))[:, None]
    folds = smooth_noise(rng, size_px, cells=(4, 3))
    speckle = rng.standard_normal((height, width), dtype=np.float32)
    base = rng.uniform(40, 225) * rng.uniform(0.8, 1.15, 3)
    tone = 0.25 * xs * ys + 0.5 * folds + 0.12 * speckle
    return _tinted(tone, base * 0.75, base * 1.15)


def _concrete(rng: np.random.Generator, size_px: tuple[int, int]) -> _Field:
    speckle = rng.standard_normal((size_px[1], size_px[0]), dtype=np.float32)
    tone = 0.8 * fractal_noise(rng, size_px, cells=5, octaves=5) + 0.14 * speckle
    base = rng.uniform(95, 190) * rng.uniform(0.95, 1.05, 3)
    return _tinted(tone, base * 0.7, base * 1.2)


def _table(rng: np.random.Generator, size_px: tuple[int, int]) -> _Field:
    tone = 0.35 * smooth_noise(rng, size_px, cells=(2, 2))
    tone += 0.03 * rng.standard_normal((size_px[1], size_px[0]), dtype=np.float32)
    base = rng.uniform(50, 235) * rng.uniform(0.88, 1.08, 3)
    return _tinted(tone, base * 0.85, base * 1.1)


def _tiles(rng: np.random.Generator, size_px: tuple[int, int]) -> _Field:
    width, height = size_px
    pitch = rng.uniform(0.18, 0.6) * width
    xs = np.abs((np.arange(width) / pitch + rng.random()) % 1 - 0.5)[None, :]
    ys = np.abs((np.arange(height) / pitch + rng.random()) % 1 - 0.5)[:, None]
    joint = np.clip((np.maximum(xs, ys) - 0.485) * 120, 0, 1).astype(np.float32)
    base = rng.uniform(90, 225) * rng.uniform(0.9, 1.08, 3)
    face = _tinted(fractal_noise(rng, size_px, cells=6), base * 0.85, base * 1.1)
    tiled = face * (1 - joint[..., None] * rng.uniform(0.2, 0.5))
    return np.asarray(tiled, np.float32)


def _shelf(rng: np.random.Generator, size_px: tuple[int, int]) -> _Field:
    width, height = size_px
    scene = np.full((height, width, 3), rng.uniform(25, 90), np.float32)
    left = -int(rng.integers(0, max(2, width // 10)))
    while left < width:
        wide = int(rng.uniform(0.1, 0.3) * width) + 2
        top = int(rng.uniform(0.02, 0.35) * height)
        colour = rng.uniform(30, 235, 3).astype(np.float32)
        a, b = max(left, 0), min(left + wide, width)
        scene[top:, a:b] = colour
        band = top + int(rng.uniform(0.1, 0.4) * height)
        tall = band + int(rng.uniform(0.05, 0.25) * height)
        scene[band:tall, a:b] = rng.uniform(60, 250, 3)
        left += wide + int(rng.integers(1, 6))
    board = int(rng.uniform(0.8, 0.97) * height)
    scene[board:] = rng.uniform(90, 225)
    softness = width * rng.uniform(0.006, 0.02)
    return np.asarray(cv2.GaussianBlur(scene, (0, 0), softness), np.float32)


def _picture(rng: np.random.Generator, size_px: tuple[int, int]) -> _Field:
    # A patterned cloth, a stone, a meadow, a shop's poster: out of focus at times.
    variant = str(rng.choice(_PICTURED))
    tones = rng.integers(40, 225, (2, 3))
    first, second = ((int(r), int(g), int(b)) for r, g, b in tones)
    drawn = scene(size_px, variant, rng, colours=(first, second))
    softness = size_px[0] * rng.uniform(0.0, 0.006)
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), max(0.3, softness)), np.float32)


_PICTURED = ("cloth", "stone", "landscape", "bokeh", "heap", "cloth", "stone")
_TEXTURES: tuple[Callable[[np.random.Generator, tuple[int, int]], _Field], ...] = (
    _wood,
    _wood,
    _cloth,
    _concrete,
    _table,
    _table,
    _tiles,
    _shelf,
    _picture,
    _picture,
)


def _procedural(rng: np.random.Generator, size_px: tuple[int, int]) -> _Pixels:
    share = min(0.5, _WORK_SIDE_PX / max(size_px))
    half = (max(8, round(size_px[0] * share)), max(8, round(size_px[1] * share)))
    texture = _TEXTURES[int(rng.integers(len(_TEXTURES)))](rng, half)
    if rng.integers(2) and half[0] > 1:
        texture = texture[:, ::-1]
    return np.ascontiguousarray(np.clip(texture, 0, 255).astype(np.uint8))


def _cropped(
    image: _Pixels, rng: np.random.Generator, size_px: tuple[int, int]
) -> _Pixels:
    height, width = image.shape[:2]
    zoom = min(width / size_px[0], height / size_px[1]) * rng.uniform(0.5, 1.0)
    wide, tall = max(1, int(size_px[0] * zoom)), max(1, int(size_px[1] * zoom))
    x = int(rng.integers(0, max(1, width - wide + 1)))
    y = int(rng.integers(0, max(1, height - tall + 1)))
    part = image[y : y + tall, x : x + wide]
    if rng.integers(2):
        part = part[:, ::-1]
    way = cv2.INTER_AREA if zoom > 1 else cv2.INTER_LINEAR
    return np.asarray(
        cv2.resize(np.ascontiguousarray(part), size_px, interpolation=way)
    )


def backdrop(
    rng: np.random.Generator,
    size_px: tuple[int, int],
    *,
    images: Sequence[_Pixels] = (),
) -> _Pixels:
    """What lies behind the package, (height, width, 3) RGB.

    Procedural surfaces come at a part of the photo's size, to be enlarged: what is out
    of focus carries no finer detail.

    Args:
        rng: source of chance.
        size_px: (width, height) of the photo.
        images: real backgrounds; a random crop of one is taken. Without any, one of
            the procedural surfaces is grown.
    """
    if not images:
        return _procedural(rng, size_px)
    return _cropped(images[int(rng.integers(len(images)))], rng, size_px)

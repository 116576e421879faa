"""Artworks composed of openly licensed pictures, marks and invented words.

The procedural designs of ``artwork`` are graphic; many real packages carry
photographs. A collage has layers, each drawn from its own seed: a sibling is the same
list of seeds with one or two of them exchanged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from touchstone_training.data import Image, chance

Mask: TypeAlias = NDArray[np.uint8]
"""(H, W) opacity of a one-colour mark."""

_SYLLABLES = ("ba", "ce", "do", "fi", "gu", "la", "me", "no", "pi", "ra", "se", "vu")
_DOSES = ("10 mg", "20 mg", "50 ml", "100 ml", "500 g", "1 L", "N 30", "SPF 50", "x 24")


@dataclass(frozen=True, slots=True)
class Materials:
    """What collages are made of."""

    pictures: Sequence[Image]
    marks: Sequence[Mask]
    fonts: Sequence[Path]


_Draw: TypeAlias = Callable[[Image, np.random.Generator, Materials], Image]


def collage(
    seed: int, materials: Materials, *, variant: int = 0, long_side_px: int = 320
) -> Image:
    """Draw the collage of ``seed``.

    Args:
        seed: the design.
        materials: pictures, marks and fonts to draw with.
        variant: 0 is the design itself, any other number one of its siblings.
        long_side_px: longer side of the result.
    """
    rng = np.random.default_rng(seed)
    aspect = float(rng.choice([0.45, 0.7, 0.75, 1.0, 1.4, 2.0]))
    width = long_side_px if aspect >= 1 else round(long_side_px * aspect)
    height = round(long_side_px / aspect) if aspect >= 1 else long_side_px
    layers = [_ground, *_chosen_layers(rng)]
    seeds = [int(number) for number in rng.integers(0, 2**31, len(layers))]
    if variant:
        seeds = _exchanged(seeds, np.random.default_rng((seed, variant)))
    canvas = np.zeros((height, width, 3), np.uint8)
    for draw, layer_seed in zip(layers, seeds, strict=True):
        canvas = draw(canvas, np.random.default_rng(layer_seed), materials)
    return canvas


def _chosen_layers(rng: np.random.Generator) -> list[_Draw]:
    counts = ((_inset, 0, 3), (_band, 0, 4), (_mark, 0, 3), (_words, 2, 6))
    return [
        draw
        for draw, fewest, most in counts
        for _ in range(int(rng.integers(fewest, most + 1)))
    ]


def _exchanged(seeds: list[int], rng: np.random.Generator) -> list[int]:
    changed = list(seeds)
    count = int(rng.integers(1, 3))
    for place in rng.choice(len(seeds), min(count, len(seeds)), replace=False):
        changed[int(place)] = int(rng.integers(0, 2**31))
    return changed


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(0, 256, 3)
    if chance(rng, 0.3):
        red = green = blue = rng.choice([10, 40, 235, 250])
    return int(red), int(green), int(blue)


def _box(canvas: Image, rng: np.random.Generator) -> tuple[int, int, int, int]:
    height, width = canvas.shape[:2]
    wide = max(8, int(width * rng.uniform(0.15, 0.85)))
    tall = max(8, int(height * rng.uniform(0.1, 0.6)))
    return (
        int(rng.integers(0, max(1, width - wide + 1))),
        int(rng.integers(0, max(1, height - tall + 1))),
        min(wide, width),
        min(tall, height),
    )


def _crop(picture: Image, rng: np.random.Generator, size_px: tuple[int, int]) -> Image:
    height, width = picture.shape[:2]
    zoom = min(width / size_px[0], height / size_px[1]) * rng.uniform(0.35, 1)
    wide, tall = max(1, int(size_px[0] * zoom)), max(1, int(size_px[1] * zoom))
    left = int(rng.integers(0, width - wide + 1))
    top = int(rng.integers(0, height - tall + 1))
    part = np.ascontiguousarray(picture[top : top + tall, left : left + wide])
    if chance(rng, 0.5):  # another hue: one picture gives many
        hsv = cv2.cvtColor(part, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(int) + int(rng.integers(180))) % 180
        part = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)
    return np.asarray(cv2.resize(part, size_px, interpolation=cv2.INTER_AREA), np.uint8)


def _ground(canvas: Image, rng: np.random.Generator, materials: Materials) -> Image:
    height, width = canvas.shape[:2]
    if materials.pictures and chance(rng, 0.4):
        picture = materials.pictures[int(rng.integers(len(materials.pictures)))]
        return _crop(picture, rng, (width, height))
    first = np.array(_colour(rng), np.float32)
    second = first if chance(rng, 0.5) else np.array(_colour(rng), np.float32)
    along = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    blend = (first * (1 - along) + second * along).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(blend, canvas.shape))


def _inset(canvas: Image, rng: np.random.Generator, materials: Materials) -> Image:
    if not materials.pictures:
        return canvas
    x, y, wide, tall = _box(canvas, rng)
    picture = materials.pictures[int(rng.integers(len(materials.pictures)))]
    part = _crop(picture, rng, (wide, tall))
    if chance(rng, 0.4):
        inside = cv2.ellipse(
            np.zeros((tall, wide), np.uint8),
            (wide // 2, tall // 2), (wide // 2, tall // 2), 0, 0, 360, 255, -1,
        )  # fmt: skip
        part = np.where(inside[..., None] > 0, part, canvas[y : y + tall, x : x + wide])
    canvas[y : y + tall, x : x + wide] = part
    return canvas


def _band(canvas: Image, rng: np.random.Generator, _: Materials) -> Image:
    x, y, wide, tall = _box(canvas, rng)
    corners = np.array(
        [[x, y], [x + wide, y], [x + wide, y + tall], [x, y + tall]], np.float32
    )
    corners += rng.normal(0, 0.1, (4, 2)) * (wide, tall) * (chance(rng, 0.5))
    cv2.fillPoly(canvas, [corners.astype(np.int32)], _colour(rng), cv2.LINE_AA)
    return canvas


def _mark(canvas: Image, rng: np.random.Generator, materials: Materials) -> Image:
    if not materials.marks:
        return canvas
    x, y, wide, tall = _box(canvas, rng)
    side = min(wide, tall)
    mark = materials.marks[int(rng.integers(len(materials.marks)))]
    if chance(rng, 0.5):  # trademarks stay their owners': not as they are drawn
        mark = np.ascontiguousarray(mark[:, ::-1])
    size = side, max(4, int(side * rng.uniform(0.7, 1)))
    opacity = cv2.resize(mark, size, interpolation=cv2.INTER_AREA)[..., None] / 255
    part = canvas[y : y + size[1], x : x + side]
    canvas[y : y + size[1], x : x + side] = part + opacity * (
        np.array(_colour(rng)) - part.astype(float)
    )
    return canvas


def _words(canvas: Image, rng: np.random.Generator, materials: Materials) -> Image:
    if not materials.fonts:
        return canvas
    height, width = canvas.shape[:2]
    size = int(max(7, height * rng.choice([0.03, 0.04, 0.06, 0.1, 0.15])))
    lines = int(rng.integers(1, 6)) if size < height * 0.05 else 1
    text = "\n".join(_line(rng) for _ in range(lines))
    font_path = materials.fonts[int(rng.integers(len(materials.fonts)))]
    picture = PillowImage.fromarray(canvas)
    ImageDraw.Draw(picture).multiline_text(
        (rng.uniform(0, 0.5) * width, rng.uniform(0, 0.9) * height),
        text,
        fill=_colour(rng),
        font=ImageFont.truetype(str(font_path), size),
    )
    return np.array(picture)


def _line(rng: np.random.Generator) -> str:
    words = [
        "".join(rng.choice(_SYLLABLES, int(rng.integers(2, 5))))
        for _ in range(int(rng.integers(1, 4)))
    ]
    line = " ".join(words)
    styled = (line.upper(), line.title(), line)[int(rng.integers(3))]
    return f"{styled} {rng.choice(_DOSES)}" if chance(rng, 0.3) else styled

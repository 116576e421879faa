"""Holograms, warning diamonds and graded scales: drawn marks of more than one ink."""

import colorsys
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone_training.simulator import marks, patterns
from touchstone_training.simulator.marks import Pen, ring
from touchstone_training.simulator.noise import smooth_noise

Mask = NDArray[np.uint8]
Pixels = NDArray[np.uint8]
_Draw = Callable[[Pen], None]

_FLAT = "flat"
_HUES = 256


def _spectrum(*, saturation: float) -> NDArray[np.uint8]:
    hues = [
        colorsys.hsv_to_rgb(i / _HUES, saturation, 0.9 + 0.1 * np.sin(i / 9))
        for i in range(_HUES)
    ]
    return (np.array(hues) * 255).astype(np.uint8)[:, None]


def hologram(size_px: tuple[int, int], variant: str, seed: int) -> tuple[Pixels, Mask]:
    """A foil patch that splits light, RGB (h, w, 3) and its shape (h, w).

    ``flat`` is what a copier makes of one: its grey, without the colours.
    """
    rng = np.random.default_rng(seed)
    width, height = size_px
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    turn = float(rng.uniform(0, np.pi))
    bend = cv2.resize(smooth_noise(rng, (64, 64), cells=(2, 2)), size_px)
    phase = x * float(np.cos(turn)) + y * float(np.sin(turn))
    phase = phase * float(rng.uniform(1.5, 4)) + bend * np.float32(0.4)
    figure = patterns.pattern(size_px, str(rng.choice(_FIGURES)), seed)
    mark, _ = marks.logo(size_px, seed)
    lift = np.where(figure > 127, np.float32(0.33), 0) + np.where(mark > 127, 0.5, 0)  # noqa: PLR2004
    steps = np.asarray(((phase + lift) % 1) * 255, np.uint8)
    saturation = 0.06 if variant == _FLAT else float(rng.uniform(0.35, 0.6))
    pixels = cv2.LUT(cv2.merge([steps] * 3), _spectrum(saturation=saturation))
    shade = 0.85 + 0.3 * np.sin(phase * 11)
    lit = np.clip(pixels * shade[..., None], 0, 255).astype(np.uint8)
    pen = Pen(size_px)
    sides = (40, 40, 6, 4)[int(rng.integers(4))]
    pen.polygon(ring(sides, radius=0.99, turn=np.pi / sides))
    return lit, pen.masks()[0]


_FIGURES = ("lattice", "dots", "rosettes", "waves")


def _flame(pen: Pen) -> None:
    t = np.linspace(0, 2 * np.pi, 60)
    body = np.c_[0.26 * np.sin(t) * (1.2 - 0.5 * np.cos(t)), 0.05 - 0.4 * np.cos(t)]
    pen.polygon(body, ink=1)
    pen.polygon(body * 0.45 + np.array([0.05, 0.16]), ink=1, fill=0)
    pen.line(np.array([[-0.3, 0.5], [0.3, 0.5]]), 0.08, ink=1)


def _exclamation(pen: Pen) -> None:
    bar = [[-0.1, -0.5], [0.1, -0.5], [0.05, 0.15], [-0.05, 0.15]]
    pen.polygon(np.array(bar), ink=1)
    pen.disc(np.array([0, 0.36]), 0.1, ink=1)


def _skull(pen: Pen) -> None:
    pen.disc(np.array([0, -0.2]), 0.28, ink=1)
    jaw = [[-0.15, 0.0], [0.15, 0.0], [0.13, 0.2], [-0.13, 0.2]]
    pen.polygon(np.array(jaw), ink=1)
    for x in (-0.11, 0.11):
        pen.disc(np.array([x, -0.18]), 0.08, ink=1, fill=0)
    pen.line(np.array([[-0.4, 0.22], [0.4, 0.5]]), 0.09, ink=1)
    pen.line(np.array([[0.4, 0.22], [-0.4, 0.5]]), 0.09, ink=1)


def _fish(pen: Pen) -> None:
    t = np.linspace(0, 2 * np.pi, 40)
    pen.polygon(np.c_[0.3 * np.cos(t) + 0.08, 0.14 * np.sin(t) + 0.3], ink=1)
    pen.polygon(np.array([[-0.2, 0.3], [-0.42, 0.14], [-0.42, 0.46]]), ink=1)
    pen.line(np.array([[-0.05, 0.1], [-0.05, -0.6]]), 0.08, ink=1)
    for y, reach in ((-0.45, 0.3), (-0.25, 0.22), (-0.35, -0.28)):
        pen.line(np.array([[-0.05, y + 0.15], [-0.05 + reach, y - 0.1]]), 0.06, ink=1)


def _drops(pen: Pen) -> None:
    for x, y in ((-0.3, -0.2), (0.15, -0.25)):
        pen.line(np.array([[x - 0.2, y - 0.25], [x + 0.12, y - 0.1]]), 0.16, ink=1)
        pen.disc(np.array([x + 0.1, y + 0.12]), 0.06, ink=1)
        pen.disc(np.array([x + 0.06, y + 0.32]), 0.05, ink=1)
    pen.line(np.array([[-0.45, 0.36], [0.45, 0.36]]), 0.14, ink=1)


def _body(pen: Pen) -> None:
    pen.disc(np.array([0, -0.4]), 0.15, ink=1)
    trunk = [[-0.3, -0.18], [0.3, -0.18], [0.24, 0.5], [-0.24, 0.5]]
    pen.polygon(np.array(trunk), ink=1)
    star = ring(12, radius=1.0) * np.where(np.arange(12) % 2, 0.07, 0.2)[:, None]
    pen.polygon(star + np.array([0, 0.1]), ink=1, fill=0)


_HAZARDS: dict[str, _Draw] = {
    "flame": _flame,
    "exclamation": _exclamation,
    "skull": _skull,
    "fish": _fish,
    "drops": _drops,
    "body": _body,
}
HAZARDS = tuple(_HAZARDS)


def hazard(size_px: tuple[int, int], variant: str) -> tuple[Mask, Mask, Mask]:
    """A warning diamond: its rim, its field and the sign in it, each (h, w)."""
    rim = Pen(size_px)
    rim.polygon(ring(4, radius=0.99))
    rim.polygon(ring(4, radius=0.82), ink=1)
    sign = Pen(size_px)
    _HAZARDS[variant](sign)
    outer, inner = rim.masks()
    return outer, inner, sign.masks()[1]


def arrow(size_px: tuple[int, int], *, point: float = 0.5) -> Mask:
    """A bar whose right end is a point, ``point`` heights deep."""
    width, height = size_px
    mask = np.zeros((height, width), np.uint8)
    tip = max(0.0, width - height * point)
    outline = np.array(
        [[0, 0], [tip, 0], [width, height / 2], [tip, height], [0, height]]
    )
    points = np.round((outline - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(mask, [points], 255, cv2.LINE_AA, shift=4)
    return mask

"""Invented logo marks, pictograms, patterns and seals, drawn from a variant and a seed.

Each function returns coverage masks, (height, width) uint8, drawn three times larger
and averaged, so that edges are as smooth as a printer's.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
_Points = NDArray[np.float64]
_Draw = Callable[["Pen", np.random.Generator], None]

_OVER = 3
_SMALL_PX = 500


class Pen:
    """Draws two inks on a unit square that is centred on the origin, y down."""

    def __init__(self, size_px: tuple[int, int]) -> None:
        # Small marks are drawn larger and averaged; on large ones smooth edges suffice.
        self._size = size_px
        over = _OVER if max(size_px) <= _SMALL_PX else 1
        self._full = (size_px[0] * over, size_px[1] * over)
        self._side = min(self._full)
        self._inks = [
            np.zeros((self._full[1], self._full[0]), np.uint8) for _ in range(2)
        ]

    def _px(self, points: _Points) -> NDArray[np.int32]:
        # OpenCV counts pixel centres from 0 and takes sixteenths of a px.
        centre = np.array(self._full) / 2 - 0.5
        return np.round((points * self._side / 2 + centre) * 16).astype(np.int32)

    def polygon(self, points: _Points, *, ink: int = 0, fill: int = 255) -> None:
        """Fill a polygon, (N, 2) in [-1, 1]; ``fill`` 0 cuts it out."""
        cv2.fillPoly(self._inks[ink], [self._px(points)], fill, cv2.LINE_AA, shift=4)

    def line(self, points: _Points, width: float, *, ink: int = 0) -> None:
        """A stroke of ``width`` (share of half the side) through (N, 2) points."""
        thick = max(1, round(width * self._side / 2))
        way = cv2.LINE_AA
        path = [self._px(points)]
        cv2.polylines(self._inks[ink], path, False, 255, thick, way, shift=4)

    def disc(
        self, centre: _Points, radius: float, *, ink: int = 0, fill: int = 255
    ) -> None:
        """Fill a disc."""
        self.polygon(ring(64, radius=radius) + centre, ink=ink, fill=fill)

    def masks(self) -> tuple[Mask, Mask]:
        """Both inks at the size asked for."""
        first, second = (
            ink
            if self._full == self._size
            else cv2.resize(ink, self._size, interpolation=cv2.INTER_AREA)
            for ink in self._inks
        )
        return np.asarray(first), np.asarray(second)


def ring(count: int, *, radius: float = 1.0, turn: float = 0.0) -> _Points:
    """``count`` points on a circle, (count, 2), the first at the top."""
    angle = np.arange(count) / count * 2 * np.pi + turn - np.pi / 2
    return np.asarray(np.c_[np.cos(angle), np.sin(angle)] * radius)


def _leaf(length: float, width: float, turn: float) -> _Points:
    t = np.linspace(0, np.pi, 24)
    half = np.c_[np.sin(t) * width, -(1 - np.cos(t)) / 2 * length]
    shape = np.r_[half, half[::-1] * [-1, 1]]
    c, s = np.cos(turn), np.sin(turn)
    return np.asarray(shape @ np.array([[c, s], [-s, c]]))


def _petals(pen: Pen, rng: np.random.Generator) -> None:
    count = int(rng.integers(3, 9))
    width = rng.uniform(0.14, 0.34)
    for i in range(count):
        leaf = _leaf(0.95, width, 2 * np.pi * i / count)
        pen.polygon(leaf, ink=i % 2 if count % 2 == 0 else 0)
    pen.disc(np.zeros(2), rng.uniform(0.1, 0.22), ink=1)


def _overlap(pen: Pen, rng: np.random.Generator) -> None:
    shift = rng.uniform(0.25, 0.4)
    sides = int(rng.choice([4, 6, 40]))
    turn = rng.uniform(0, 1)
    pen.polygon(ring(sides, radius=0.62, turn=turn) + np.array([-shift, 0]))
    pen.polygon(ring(sides, radius=0.62, turn=turn) + np.array([shift, 0]), ink=1)
    if rng.integers(2):
        pen.polygon(
            ring(sides, radius=0.3, turn=turn) + np.array([shift, 0]), ink=1, fill=0
        )


def _arcs(pen: Pen, rng: np.random.Generator) -> None:
    start, reach = rng.uniform(0, 2 * np.pi), rng.uniform(2.5, 5.2)
    for i in range(int(rng.integers(2, 5))):
        angle = np.linspace(start, start + reach, 60) + i * rng.uniform(0.2, 0.9)
        radius = 0.9 - 0.24 * i
        arc = np.c_[np.cos(angle), np.sin(angle)] * radius
        pen.line(arc, 0.13, ink=i % 2)


def _hexagon(pen: Pen, rng: np.random.Generator) -> None:
    sides = int(rng.integers(3, 8))
    pen.polygon(ring(sides, radius=0.98))
    pen.polygon(ring(sides, radius=0.98 - rng.uniform(0.16, 0.3)), fill=0)
    pen.polygon(ring(sides, radius=rng.uniform(0.3, 0.5), turn=np.pi / sides), ink=1)


def _shield(pen: Pen, rng: np.random.Generator) -> None:
    t = np.linspace(0, np.pi, 30)
    lower = np.c_[np.cos(t) * 0.8, np.sin(t) ** 0.8 * 0.95]
    pen.polygon(np.r_[[[-0.8, -0.85], [0.8, -0.85]], lower])
    pen.polygon(_leaf(1.2, 0.3, rng.uniform(-0.5, 0.5)) + np.array([0, 0.55]), fill=0)
    pen.polygon(_leaf(0.8, 0.18, rng.uniform(-0.5, 0.5)) + np.array([0, 0.4]), ink=1)


def _bolt(pen: Pen, rng: np.random.Generator) -> None:
    pen.disc(np.zeros(2), 0.97)
    lean = rng.uniform(0.05, 0.3)
    bolt = np.array(
        [
            [lean, -0.75],
            [-0.45, 0.1],
            [-0.02, 0.1],
            [-lean, 0.75],
            [0.45, -0.12],
            [0, -0.12],
        ]
    )
    pen.polygon(bolt, fill=0)
    pen.polygon(bolt * 0.82, ink=1)


def _waves(pen: Pen, rng: np.random.Generator) -> None:
    x = np.linspace(-0.95, 0.95, 60)
    count, phase = int(rng.integers(2, 5)), rng.uniform(0, 6)
    for i in range(count):
        y = 0.2 * np.sin(x * rng.uniform(3, 4.5) + phase) + (i - (count - 1) / 2) * 0.45
        pen.line(np.c_[x, y], 0.2, ink=i % 2)


def _peaks(pen: Pen, rng: np.random.Generator) -> None:
    tip = rng.uniform(-0.25, 0.15)
    pen.polygon(np.array([[-0.98, 0.75], [tip, -0.85], [0.6, 0.75]]))
    pen.polygon(np.array([[-0.1, 0.75], [0.5, -0.3], [0.98, 0.75]]), ink=1)
    pen.disc(np.array([0.62, -0.62]), rng.uniform(0.12, 0.24), ink=1)


def _bars(pen: Pen, rng: np.random.Generator) -> None:
    count = int(rng.integers(3, 6))
    slant = rng.uniform(-0.35, 0.35)
    for i, tall in enumerate(rng.uniform(0.4, 0.95, count)):
        left = -0.9 + 1.8 * i / count
        right = left + 1.25 / count
        quad = [
            [left, tall],
            [right, tall],
            [right + slant, -tall],
            [left + slant, -tall],
        ]
        pen.polygon(np.clip(np.array(quad), -1, 1), ink=i % 2)


_LOGOS: tuple[_Draw, ...] = (
    _petals, _overlap, _arcs, _hexagon, _shield, _bolt, _waves, _peaks, _bars,
)  # fmt: skip


def logo(size_px: tuple[int, int], seed: int) -> tuple[Mask, Mask]:
    """An invented mark in two inks."""
    rng = np.random.default_rng(seed)
    pen = Pen(size_px)
    _LOGOS[int(rng.integers(len(_LOGOS)))](pen, rng)
    return pen.masks()


def _recycle(pen: Pen, _rng: np.random.Generator) -> None:
    for i in range(3):
        angle = np.linspace(0.25, 1.75, 20) + i * 2 * np.pi / 3
        pen.line(np.c_[np.cos(angle), np.sin(angle)] * 0.68, 0.2)
        end = np.array([np.cos(angle[-1] + 0.1), np.sin(angle[-1] + 0.1)]) * 0.68
        pen.polygon(ring(3, radius=0.3, turn=angle[-1] + np.pi) + end)


def _umbrella(pen: Pen, _rng: np.random.Generator) -> None:
    t = np.linspace(np.pi, 2 * np.pi, 40)
    pen.polygon(np.c_[np.cos(t), np.sin(t)] * 0.85)
    pen.line(np.array([[0, -0.9], [0, 0.7], [0.2, 0.85], [0.35, 0.6]]), 0.1)
    pen.line(np.array([[-0.9, 0.9], [0.95, 0.9]]), 0.06)


def _no_bin(pen: Pen, _rng: np.random.Generator) -> None:
    pen.line(np.array([[-0.5, -0.4], [-0.35, 0.8], [0.35, 0.8], [0.5, -0.4]]), 0.1)
    pen.line(np.array([[-0.65, -0.45], [0.65, -0.45]]), 0.12)
    pen.line(np.array([[-0.85, 0.85], [0.85, -0.85]]), 0.09)
    pen.line(np.array([[-0.85, -0.85], [0.85, 0.85]]), 0.09)


def _sun(pen: Pen, _rng: np.random.Generator) -> None:
    pen.disc(np.zeros(2), 0.42)
    for p in ring(8):
        pen.line(np.array([p * 0.6, p * 0.95]), 0.12)


def _warning(pen: Pen, _rng: np.random.Generator) -> None:
    pen.polygon(ring(3, radius=1.0) + np.array([0, 0.2]))
    pen.polygon(ring(3, radius=0.74) + np.array([0, 0.2]), fill=0)
    pen.line(np.array([[0, -0.25], [0, 0.28]]), 0.14)
    pen.disc(np.array([0, 0.48]), 0.08)


def _fragile(pen: Pen, _rng: np.random.Generator) -> None:
    bowl = [
        [-0.5, -0.9],
        [0.5, -0.9],
        [0.42, -0.1],
        [0.1, 0.15],
        [-0.1, 0.15],
        [-0.42, -0.1],
    ]
    pen.polygon(np.array(bowl))
    pen.line(np.array([[0, 0.1], [0, 0.8]]), 0.12)
    pen.line(np.array([[-0.45, 0.85], [0.45, 0.85]]), 0.14)


def _month_jar(pen: Pen, _rng: np.random.Generator) -> None:
    pen.polygon(np.array([[-0.7, -0.2], [0.7, -0.2], [0.7, 0.9], [-0.7, 0.9]]))
    pen.polygon(
        np.array([[-0.56, -0.06], [0.56, -0.06], [0.56, 0.76], [-0.56, 0.76]]), fill=0
    )
    pen.line(np.array([[-0.7, -0.5], [0.6, -0.9]]), 0.16)
    pen.line(np.array([[-0.3, 0.15], [0, 0.55], [0.3, 0.15]]), 0.1)


def _conformity(pen: Pen, _rng: np.random.Generator) -> None:
    angle = np.linspace(0.9, 5.4, 40)
    arc = np.c_[np.cos(angle), np.sin(angle)]
    pen.line(arc * 0.6 + [-0.35, 0], 0.16)
    pen.line(arc * 0.6 + [0.6, 0], 0.16)
    pen.line(np.array([[0.05, 0], [0.45, 0]]), 0.14)


def _fork(pen: Pen, _rng: np.random.Generator) -> None:
    pen.line(np.array([[-0.4, -0.9], [-0.4, 0.9]]), 0.14)
    for x in (-0.6, -0.2):
        pen.line(np.array([[x, -0.9], [x, -0.4], [-0.4, -0.2]]), 0.09)
    pen.polygon(np.array([[0.25, -0.9], [0.6, -0.7], [0.6, 0.1], [0.42, 0.1]]))
    pen.line(np.array([[0.45, 0], [0.45, 0.9]]), 0.14)


_PICTOGRAMS: dict[str, _Draw] = {
    "recycle": _recycle,
    "umbrella": _umbrella,
    "no_bin": _no_bin,
    "sun": _sun,
    "warning": _warning,
    "fragile": _fragile,
    "jar": _month_jar,
    "conformity": _conformity,
    "fork": _fork,
}
PICTOGRAMS = tuple(_PICTOGRAMS)


def pictogram(size_px: tuple[int, int], variant: str) -> Mask:
    """One of ``PICTOGRAMS`` in one ink."""
    pen = Pen(size_px)
    _PICTOGRAMS[variant](pen, np.random.default_rng(0))
    return pen.masks()[0]


def seal(size_px: tuple[int, int], seed: int) -> tuple[Mask, Mask]:
    """A rosette with a toothed rim (first ink) and an inner ring (second ink)."""
    rng = np.random.default_rng(seed)
    pen = Pen(size_px)
    teeth = int(rng.integers(14, 40))
    depth = rng.uniform(0.03, 0.14)
    radii = np.where(np.arange(teeth * 2) % 2, 0.99, 0.99 - depth)
    pen.polygon(ring(teeth * 2) * radii[:, None])
    angle = np.linspace(0, 2 * np.pi, 120)
    inner = np.c_[np.cos(angle), np.sin(angle)] * (0.86 - depth)
    pen.line(inner, 0.04, ink=1)
    return pen.masks()


def swoosh(size_px: tuple[int, int], variant: str, seed: int) -> Mask:
    """A band whose upper edge is a wave, a slope or an arc, or a ribbon across."""
    rng = np.random.default_rng(seed)
    pen = Pen(size_px)
    ratio = np.array(size_px) / min(size_px)
    x = np.linspace(-1, 1, 80)
    depth, phase = rng.uniform(0.08, 0.28), rng.uniform(0, 2 * np.pi)
    edges = {
        "wave": -1 + depth + depth * np.sin(x * rng.uniform(1.5, 3.5) + phase),
        "slope": -1 + depth * (1 + x * (1 if seed % 2 else -1)),
        "arc": -1 + 2 * depth * x * x,
    }
    if variant == "ribbon":
        ends = np.array([[-1, 0.2], [1, -1], [1, -0.2], [-1, 1]])
        pen.polygon(ends * ([1, 1] if seed % 2 else [-1, 1]) * ratio * 1.002)
        return pen.masks()[0]
    edge = np.c_[x, edges.get(variant, edges["wave"])]
    pen.polygon(np.r_[edge, [[1, 1], [-1, 1]]] * ratio * 1.002)
    return pen.masks()[0]

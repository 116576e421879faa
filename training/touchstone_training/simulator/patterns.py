"""Ornaments and security patterns as coverage masks."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone_training.simulator.marks import Pen

Mask = NDArray[np.uint8]
_Plane = NDArray[np.float32]

_TILES: dict[str, Callable[[_Plane, _Plane], _Plane]] = {
    # One period of an ornament over u, v in [0, 1): how far inside the ink, in periods.
    "dots": lambda u, v: 0.38 - np.hypot(u - 0.5, v - 0.5),
    "stripes": lambda u, v: 0.25 - np.abs(u - 0.5) + 0 * v,
    "waves": lambda u, v: 0.22 - np.abs((u + 0.35 * np.sin(v * 2 * np.pi)) % 1 - 0.5),
    "lattice": lambda u, v: 0.08 - np.minimum(np.abs(u - 0.5), np.abs(v - 0.5)),
    "scales": lambda u, v: np.maximum(
        0.07 - np.abs(np.hypot(u - 0.5, v * 2 % 1) - 0.5),
        0.07 - np.abs(np.hypot(np.abs(u - 0.5) - 0.5, (v * 2 + 1) % 2) - 0.5),
    ),
    "weave": lambda u, v: np.where(
        (np.floor(u * 2) + np.floor(v * 2)) % 2 > 0,
        0.17 - np.abs(u * 2 % 1 - 0.5),
        0.17 - np.abs(v * 2 % 1 - 0.5),
    ),
    "rosettes": lambda u, v: (
        0.03
        - np.abs(
            np.hypot(u - 0.5, v - 0.5)
            - 0.3
            - 0.1 * np.cos(6 * np.arctan2(v - 0.5, u - 0.5))
        )
    ),
}
_PERIOD = {"waves": (1.0, 2.0), "scales": (1.0, 1.0), "rosettes": (2.0, 2.0)}


def pattern(size_px: tuple[int, int], variant: str, seed: int) -> Mask:
    """An even ornament: guilloche, border, rays, or a tile repeated."""
    rng = np.random.default_rng(seed)
    side = min(size_px)
    pitch = side * float(rng.uniform(0.05, 0.12))
    turn = float(rng.uniform(0, np.pi))
    if variant == "border":
        return _border(size_px, rng)
    if variant == "rays":
        return _rays(size_px, rng)
    if variant in _TILES:
        return _tiled(size_px, variant, pitch_px=pitch, turn=turn)
    return _guilloche(size_px, rng)


def _tiled(
    size_px: tuple[int, int], variant: str, *, pitch_px: float, turn: float
) -> Mask:
    # One period drawn with smooth edges, then repeated, turned and scaled.
    across, down = (pitch_px * p for p in _PERIOD.get(variant, (1.0, 1.0)))
    wide, tall = max(4, round(across)), max(4, round(down))
    u = np.linspace(0, 1, wide, endpoint=False, dtype=np.float32)[None, :]
    v = np.linspace(0, 1, tall, endpoint=False, dtype=np.float32)[:, None]
    inside = _TILES[variant](u, v) * across + 0.5
    tile = np.asarray(np.clip(inside * 255, 0, 255), np.uint8)
    c, s = np.cos(turn), np.sin(turn)
    zoom = np.array([wide / across, tall / down])
    matrix = np.array([[c, s, 0], [-s, c, 0]]) * zoom[:, None]
    # Shifted so that every source coordinate is positive, which wrapping needs.
    far = np.abs(matrix[:, :2]) @ np.array(size_px)
    matrix[:, 2] = np.ceil(far / (wide, tall)) * (wide, tall)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(tile, matrix, size_px, flags=flags, borderMode=cv2.BORDER_WRAP)
    )


def _border(size_px: tuple[int, int], rng: np.random.Generator) -> Mask:
    # Waves along the four sides that cross one another.
    pen = Pen(size_px)
    ratio = np.array(size_px) / min(size_px)
    depth = float(rng.uniform(0.05, 0.08))
    inner = ratio - 0.02 - depth
    around = 4 * float(inner.sum())
    waves = round(around / float(rng.uniform(0.1, 0.2)))
    t = np.linspace(0, 1, 1600)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) * inner
    sides = np.r_[0, np.cumsum(np.abs(np.diff(corners, axis=0)).sum(axis=1))]
    base = np.c_[
        np.interp(t * sides[-1], sides, corners[:, 0]),
        np.interp(t * sides[-1], sides, corners[:, 1]),
    ]
    out = base / np.abs(base / inner).max(axis=1, keepdims=True) / inner
    for phase in np.linspace(0, 2 * np.pi, int(rng.integers(3, 7)), endpoint=False):
        wave = np.sin(t * waves * 2 * np.pi + phase)[:, None]
        pen.line(base + out * wave * depth, 0.008)
    for gap in (depth, -depth):
        rim = corners + np.sign(corners) * gap
        pen.line(rim, 0.012)
    return pen.masks()[0]


def _rays(size_px: tuple[int, int], rng: np.random.Generator) -> Mask:
    pen = Pen(size_px)
    ratio = np.array(size_px) / min(size_px)
    middle = np.array([0.0, ratio[1] * rng.uniform(-0.4, 1.4)])
    count = int(rng.integers(12, 40))
    reach = 2.5 * float(ratio.max())
    for index in range(count):
        turn = (np.array([-0.25, 0.25]) + index) * 2 * np.pi / count
        ends = np.c_[np.cos(turn), np.sin(turn)] * reach
        pen.polygon(np.r_[[middle], ends + middle])
    return pen.masks()[0]


def _guilloche(size_px: tuple[int, int], rng: np.random.Generator) -> Mask:
    pen = Pen(size_px)
    ratio = np.array(size_px) / min(size_px)
    x = np.linspace(-1, 1, 240)
    waves, beat = rng.uniform(2, 5), rng.uniform(6, 13)
    for phase in np.linspace(0, 2 * np.pi, 14, endpoint=False):
        envelope = 0.45 + 0.3 * np.sin(waves * x * np.pi + phase / 2)
        y = envelope * np.sin(beat * x + phase)
        pen.line(np.c_[x, y] * ratio, 0.012)
    return pen.masks()[0]

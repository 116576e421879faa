"""Procedural full pictures, as packages print them: landscapes, close-ups, textures.

Each is a field of colour grown from noise, lit and out of focus in places, (h, w, 3)
float32 in 0..255. They are drawn at one working size and enlarged by the caller.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone_training.simulator.elements import Colour
from touchstone_training.simulator.noise import fractal_noise, smooth_noise

_Field = NDArray[np.float32]
_Size = tuple[int, int]
_Scene = Callable[[np.random.Generator, _Size, _Field, _Field], _Field]


def _axes(size_px: _Size) -> tuple[_Field, _Field]:
    x = np.linspace(0, 1, size_px[0], dtype=np.float32)[None, :]
    y = np.linspace(0, 1, size_px[1], dtype=np.float32)[:, None]
    return x, y


def _mixed(a: _Field, b: _Field, share: _Field) -> _Field:
    share = np.clip(share, 0, 1)[..., None]
    return np.asarray(a + (b - a) * share, np.float32)


def _shade(height: _Field, *, strength: float) -> _Field:
    # Light from the upper left on a height field whose slopes are in px.
    across = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3)
    down = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3)
    return np.asarray(1 - strength * (0.6 * across + 0.8 * down), np.float32)


def _soft(field: _Field, radius_px: float) -> _Field:
    return np.asarray(cv2.GaussianBlur(field, (0, 0), max(0.5, radius_px)), np.float32)


def _colour(rng: np.random.Generator, base: tuple[float, float, float]) -> _Field:
    return np.asarray(np.array(base) * rng.uniform(0.8, 1.2, 3), np.float32)


def _landscape(
    rng: np.random.Generator, size_px: _Size, first: _Field, second: _Field
) -> _Field:
    x, y = _axes(size_px)
    sky = _mixed(_colour(rng, (70, 130, 200)), _colour(rng, (225, 225, 215)), y + 0 * x)
    clouds = fractal_noise(rng, size_px, cells=3, octaves=5)
    out = _mixed(sky, np.full(3, 250, np.float32), clouds * 2.2 - 0.2)
    layers = int(rng.integers(3, 6))
    horizon = rng.uniform(0.3, 0.55)
    near = _colour(rng, (96, 128, 48)) * 0.7 + first * 0.3
    for index in range(layers):
        depth = (index + 1) / layers
        ridge = smooth_noise(rng, (size_px[0], 1), cells=(2 + 2 * index, 1))[0]
        edge = horizon + (1 - horizon) * 0.8 * depth**1.5 - 0.12 * (1.2 - depth) * ridge
        texture = fractal_noise(rng, size_px, cells=6 + 8 * index, octaves=4)
        tone = _mixed(_colour(rng, (150, 175, 195)), near, np.full_like(texture, depth))
        lit = (
            tone * (0.85 + 0.35 * texture * depth + 0.25 * (y - edge[None]))[..., None]
        )
        share = np.clip((y - edge[None]) * size_px[1] * 0.7, 0, 1)
        out = _mixed(out, np.asarray(lit, np.float32), share)
    return out + 0.06 * (second - out)


def _bokeh(
    rng: np.random.Generator, size_px: _Size, first: _Field, second: _Field
) -> _Field:
    x, y = _axes(size_px)
    out = _mixed(first * 0.35, second * 0.7, y * 0.8 + 0.2 * x)
    side = min(size_px)
    for _ in range(int(rng.integers(30, 70))):
        centre = rng.uniform(-0.1, 1.1, 2) * size_px
        radius = side * rng.uniform(0.03, 0.13)
        tone = (first, second, np.full(3, 245, np.float32))[int(rng.integers(3))]
        share = np.float32(rng.uniform(0.1, 0.45))
        low = np.clip(centre - radius - 2, 0, size_px).astype(int)
        high = np.clip(centre + radius + 2, 0, size_px).astype(int)
        part = out[low[1] : high[1], low[0] : high[0]]
        if part.size:
            disc = np.zeros(part.shape[:2], np.float32)
            at = ((centre - low) * 16).astype(int)
            cv2.circle(disc, at.tolist(), int(radius * 16), 1.0, -1, cv2.LINE_AA, 4)
            part += (disc * share)[..., None] * (tone - part)
    return _soft(out, side * rng.uniform(0.004, 0.012))


def _liquid(
    rng: np.random.Generator, size_px: _Size, first: _Field, second: _Field
) -> _Field:
    warp = fractal_noise(rng, size_px, cells=3, octaves=3)
    x, y = _axes(size_px)
    turn = rng.uniform(0, 6)
    phase = (x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn))) * 9 + warp * 5
    folds = np.sin(phase).astype(np.float32) + 0.35 * np.sin(phase * 2.3 + 1)
    light = _shade(_soft(folds * np.float32(min(size_px) / 30), 2), strength=0.3)
    out = (
        _mixed(first, second, folds * 0.35 + 0.5) * np.clip(light, 0.4, 1.4)[..., None]
    )
    mirror = np.clip(light - 1.25, 0, 1) ** 1.5 * 700
    return np.asarray(out + mirror[..., None], np.float32)


def _heap(
    rng: np.random.Generator, size_px: _Size, first: _Field, second: _Field
) -> _Field:
    # Beans, pellets or sweets that fill the picture: discs under one another.
    width, height = size_px
    radius = min(size_px) * rng.uniform(0.035, 0.08)
    long = rng.uniform(1.0, 1.7)
    lit = np.zeros((height, width, 3), np.float32)
    count = int(1.6 * width * height / (radius * radius * long * 2.2))
    for _ in range(min(count, 900)):
        spot = rng.uniform(-0.03, 1.03, 2) * size_px
        tone = (first if rng.random() < 0.7 else second) * rng.uniform(0.75, 1.2)  # noqa: PLR2004
        turn = float(rng.uniform(0, 180))
        for shrink, shift, shade in _BEAN:
            axes = (radius * long * shrink, radius * shrink)
            place = spot - radius * shift
            box = ((float(place[0]), float(place[1])), (axes[0] * 2, axes[1] * 2), turn)
            colour = [float(min(255.0, v * shade)) for v in tone]
            cv2.ellipse(lit, box, colour, -1, cv2.LINE_AA)
    return _soft(lit, radius * 0.09)


_BEAN = (
    (1.12, -0.12, 0.18), (1.0, 0.0, 0.62), (0.86, 0.08, 0.82), (0.66, 0.16, 1.0),
    (0.4, 0.27, 1.2), (0.16, 0.38, 1.75),
)  # fmt: skip
"""Size, shift to the lamp and brightness of the discs that shade one bean."""


def _stone(
    rng: np.random.Generator, size_px: _Size, first: _Field, second: _Field
) -> _Field:
    height = fractal_noise(rng, size_px, cells=5, octaves=6)
    grit = rng.standard_normal((size_px[1], size_px[0]), dtype=np.float32)
    light = _shade(height * 26 + _soft(grit, 1.0), strength=0.16)
    tone = _colour(rng, (168, 164, 158)) * 0.8 + first * 0.2
    veins = np.exp(-((height * 9) ** 2))
    out = tone * np.clip(light, 0.3, 1.5)[..., None]
    return _mixed(out, second * 0.8, veins * np.float32(rng.uniform(0, 0.4)))


def _cloth(
    rng: np.random.Generator, size_px: _Size, first: _Field, second: _Field
) -> _Field:
    x, y = _axes(size_px)
    folds = fractal_noise(rng, size_px, cells=2, octaves=3)
    light = _shade(folds * np.float32(min(size_px) / 5), strength=0.35)
    pitch = rng.uniform(50, 110)
    threads = np.sin(x * pitch * 2 * np.pi + folds * 6) * np.sin(
        y * pitch * 2 * np.pi * size_px[1] / size_px[0] + folds * 6
    )
    out = _mixed(first, second, 0.5 + 0.5 * folds) * (0.9 + 0.1 * threads)[..., None]
    return np.asarray(out * np.clip(light, 0.35, 1.4)[..., None], np.float32)


def _tread(
    rng: np.random.Generator, size_px: _Size, first: _Field, second: _Field
) -> _Field:
    # A tyre's tread or any ribbed black rubber, seen at a slant.
    x, y = _axes(size_px)
    slant = rng.uniform(0.2, 1.2)
    u = (x - 0.5) / (0.55 + 0.9 * y) * rng.uniform(5, 8)
    v = np.float32(rng.uniform(8, 14)) / (0.4 + y) + np.abs(u) * np.float32(slant)
    blocks = np.minimum(np.abs(u % 1 - 0.5), np.abs(v % 1 - 0.5)) * 2
    height = np.clip((blocks - 0.1) * 6, 0, 1).astype(np.float32)
    grit = fractal_noise(rng, size_px, cells=30, octaves=3)
    light = _shade(_soft(height, 1.2) * 6 + grit, strength=0.13)
    tone = 24 + 46 * height + 18 * height * (1 - y)
    out = (tone * np.clip(light, 0.2, 2.2))[..., None] * np.ones(3, np.float32)
    glow = np.exp(-(((y - 0.1) / 0.3) ** 2)) * np.float32(0.35)
    return _mixed(np.asarray(out, np.float32), first * 0.5 + second * 0.3, glow + 0 * x)


def _bricks(
    rng: np.random.Generator, size_px: _Size, first: _Field, second: _Field
) -> _Field:
    # Toy bricks from above: coloured squares with a round stud on each.
    width, height = size_px
    side = max(12, int(min(size_px) * rng.uniform(0.09, 0.16)))
    columns, rows = width // side + 2, height // side + 2
    tones = np.stack([first, second, *rng.uniform(30, 235, (3, 3))]).astype(np.float32)
    cells = tones[rng.integers(0, len(tones), (rows // 2 + 1, columns // 2 + 1))]
    flat = np.kron(cells, np.ones((2 * side, 2 * side, 1), np.float32))[:height, :width]
    y = (np.arange(height, dtype=np.float32) / side % 1 - 0.5)[:, None]
    x = (np.arange(width, dtype=np.float32) / side % 1 - 0.5)[None, :]
    stud = np.clip((0.32 - np.hypot(x, y)) * side * 0.5, 0, 1)
    rim = np.clip((np.maximum(np.abs(x), np.abs(y)) - 0.46) * 20, 0, 1) * 0.25
    light = _shade(_soft(np.asarray(stud, np.float32), 1.5) * 3, strength=0.16)
    gloss = np.clip(0.4 - np.hypot(x + 0.12, y + 0.14) * 2.2, 0, 1)
    wash = 1 + 0.25 * smooth_noise(rng, size_px, cells=(2, 2))
    out = flat * ((light - rim) * wash)[..., None] + (gloss * 90)[..., None]
    return np.asarray(out, np.float32)


def _petals(
    rng: np.random.Generator, size_px: _Size, first: _Field, second: _Field
) -> _Field:
    # A macro of a flower: petals round a heart, sharp near it and soft far off.
    x, y = _axes(size_px)
    u, v = x - rng.uniform(0.35, 0.65), (y - rng.uniform(0.35, 0.65))
    v = v * np.float32(size_px[1] / size_px[0])
    angle, far = np.arctan2(v, u), np.hypot(u, v)
    noise = fractal_noise(rng, size_px, cells=4, octaves=4)
    out = _mixed(second * 0.3, _colour(rng, (90, 130, 60)), noise + 0.4)
    for ring_radius in (0.55, 0.42, 0.3):
        count = int(rng.integers(7, 15))
        lobe = np.abs(np.cos(angle * count / 2 + rng.uniform(0, 6) + noise * 0.2))
        edge = ring_radius * (0.55 + 0.45 * lobe**0.5)
        share = np.clip((edge - far) * 60, 0, 1)
        tone = (
            first
            * (0.45 + 0.6 * lobe**1.5 * (0.6 + far / ring_radius * 0.5))[..., None]
        )
        out = _mixed(out, np.asarray(tone, np.float32), share)
    heart = np.clip((0.1 + 0.01 * noise - far) * 60, 0, 1)
    seeds = np.asarray(np.array([212, 166, 44]) * (0.8 + 0.5 * noise)[..., None])
    out = _mixed(out, np.asarray(seeds, np.float32), heart)
    blurred = _soft(out, min(size_px) * 0.02)
    return _mixed(out, blurred, (far - 0.35) * 4)


_SCENES: dict[str, _Scene] = {
    "landscape": _landscape,
    "bokeh": _bokeh,
    "liquid": _liquid,
    "heap": _heap,
    "stone": _stone,
    "cloth": _cloth,
    "tread": _tread,
    "bricks": _bricks,
    "petals": _petals,
}
SCENES = tuple(_SCENES)


def scene(
    size_px: tuple[int, int],
    variant: str,
    rng: np.random.Generator,
    *,
    colours: tuple[Colour, Colour],
) -> _Field:
    """One of ``SCENES`` at (width, height) ``size_px``: (h, w, 3) float32, 0 to 255."""
    first, second = (np.asarray(c, np.float32) for c in colours)
    drawn = _SCENES[variant](rng, size_px, first, second)
    # A lens and a printer's eye: darker to the corners, more contrast in the middle.
    x, y = _axes(size_px)
    fall = 1.06 - 0.5 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    return np.asarray(np.clip(drawn * fall[..., None], 0, 255), np.float32)

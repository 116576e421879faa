"""What a press does to a picture: within tolerance, and beyond it.

``genuine_print`` is the drift that a maker accepts from run to run. The others are
faults of copying: a colour cast, a rescan of low resolution, a coarse halftone, a
picture stretched to fit.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone_training.simulator.noise import smooth_noise
from touchstone_training.simulator.optics import recompressed

Image = NDArray[np.uint8]
_Field = NDArray[np.float32]

_SCREEN_DEG = (15.0, 75.0, 0.0, 45.0)
"""Customary screen angles of cyan, magenta, yellow and black."""

_REFERENCE_SIDE_PX = 1400
_SOLID, _BARE = 0.97, 0.05
_DRIFT_DENSITY = 0.014
"""Deviation of an ink's density between runs, in logs: two runs differ by dE 1.5."""


def _scale(pixels: Image) -> float:
    return float(max(pixels.shape[:2])) / _REFERENCE_SIDE_PX


def to_lab(pixels: Image) -> _Field:
    """CIELAB (D65), float32 (h, w, 3): L* 0 to 100, a* and b* signed."""
    unit = pixels.astype(np.float32) / np.float32(255)
    return np.asarray(cv2.cvtColor(unit, cv2.COLOR_RGB2Lab), np.float32)


def from_lab(lab: _Field) -> Image:
    """CIELAB float32 (h, w, 3) back to RGB; colours out of gamut are clipped."""
    unit = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_Lab2RGB)
    return np.asarray(np.clip(unit * 255 + 0.5, 0, 255), np.uint8)


def _shifted(plane: Image, dx: float, dy: float) -> Image:
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
    size = (plane.shape[1], plane.shape[0])
    return np.asarray(
        cv2.warpAffine(plane, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    )


def genuine_print(pixels: Image, rng: np.random.Generator) -> Image:
    """Print the picture on a press that is in order.

    Dot gain of a few per cent, registration within about 0.1 mm, a colour drift of
    about dE 1.5 and paper grain: applied to genuine and counterfeit alike.
    """
    reach = 0.3 * max(0.5, _scale(pixels))
    level = np.linspace(0, 1, 256)
    density = rng.normal(0, _DRIFT_DENSITY) + rng.normal(0, _DRIFT_DENSITY, 3)
    gains = rng.uniform(0.01, 0.035) + rng.normal(0, 0.004, 3)
    white = rng.uniform(0.99, 1.0) * rng.uniform(0.996, 1.0, 3)
    planes = []
    for index in range(3):
        curve = level - gains[index] * 2.4 * level * (1 - level)
        curve = curve ** float(np.exp(density[index])) * white[index]
        table = np.clip(curve * 255 + 0.5, 0, 255).astype(np.uint8)
        dx, dy = rng.normal(0, reach, 2).clip(-2 * reach, 2 * reach)
        plane = _shifted(np.asarray(pixels[..., index], order="C"), dx, dy)
        planes.append(cv2.LUT(plane, table))
    grain = _paper(rng, (pixels.shape[1], pixels.shape[0]))
    printed = [cv2.add(plane, grain, dtype=cv2.CV_8U) for plane in planes]
    return np.asarray(cv2.merge(printed), np.uint8)


@lru_cache(maxsize=1)
def _grain_tile() -> NDArray[np.int16]:
    side = 1600
    grain = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    soft = cv2.GaussianBlur(grain, (0, 0), 0.8) * np.float32(3.0)
    return np.asarray(np.rint(soft), np.int16)


def _paper(rng: np.random.Generator, size_px: tuple[int, int]) -> NDArray[np.int16]:
    # Grain of the paper, and ink that lies unevenly across the sheet, in levels.
    width, height = size_px
    slow = smooth_noise(rng, (max(8, width // 8), max(8, height // 8)), cells=(5, 5))
    uneven = cv2.resize(slow * np.float32(1.5), size_px)
    tile = _grain_tile()
    side = tile.shape[0]
    if max(size_px) > side:
        tile = np.tile(tile, (height // side + 1, width // side + 1))
    top = int(rng.integers(tile.shape[0] - height + 1))
    left = int(rng.integers(tile.shape[1] - width + 1))
    part = tile[top : top + height, left : left + width]
    return np.asarray(cv2.add(part, uneven, dtype=cv2.CV_16S), np.int16)


def cast(pixels: Image, rng: np.random.Generator, *, severity: float) -> Image:
    """The whole print off colour: about dE 5 at severity 0.2, dE 21 at 1."""
    turn = rng.uniform(0, 2 * np.pi)
    reach = 1 + 20 * severity
    lab = to_lab(pixels)
    lightness = rng.normal(0, 3 * severity)
    shift = [lightness, reach * np.cos(turn), reach * np.sin(turn)]
    lab += np.asarray(shift, np.float32)
    lab[..., 1:] *= np.float32(1 + rng.uniform(-0.25, 0.1) * severity)
    return from_lab(lab)


def rescanned(pixels: Image, rng: np.random.Generator, *, severity: float) -> Image:
    """Scanned at low resolution, compressed and printed again."""
    height, width = pixels.shape[:2]
    factor = 1.3 + 3.2 * severity + rng.uniform(0, 0.3)
    small = (max(8, round(width / factor)), max(8, round(height / factor)))
    scan = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    scan = recompressed(np.asarray(scan), round(88 - 45 * severity))
    scan = np.asarray(cv2.GaussianBlur(scan, (0, 0), 0.4 + 0.3 * severity))
    # A scanner's own tone: blacks lifted, whites pulled down.
    lift = 1 - 0.12 * severity * rng.uniform(0.5, 1.0)
    flat = scan.astype(np.float32) * np.float32(lift) + np.float32((1 - lift) * 110)
    large = cv2.resize(flat, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(large, 0, 255), np.uint8)


def _screen(
    size_px: tuple[int, int],
    pitch_px: float,
    turn_deg: float,
    phase: NDArray[np.float64],
) -> _Field:
    # Spot function of a round dot: its level sets grow from dots to holes. Waves along
    # two turned axes, each the sum of two products of a row and a column.
    width, height = size_px
    turn = np.radians(turn_deg)
    step = 2 * np.pi / pitch_px
    across, down = step * np.cos(turn), step * np.sin(turn)
    x, y = np.arange(width), np.arange(height)
    u, v = across * x + phase[0], phase[1] - down * x
    columns = np.stack([np.cos(u), -np.sin(u), np.cos(v), -np.sin(v)])
    rows = np.stack(
        [np.cos(down * y), np.sin(down * y), np.cos(across * y), np.sin(across * y)]
    )
    field = rows.T.astype(np.float32) @ columns.astype(np.float32)
    field *= np.float32(-0.25)
    field += np.float32(0.5)
    return np.asarray(field, np.float32)


def halftoned(pixels: Image, rng: np.random.Generator, *, severity: float) -> Image:
    """Printed again through a screen whose dots can be seen.

    The pitch is 2.2 to 6 px for a long side of 1400 px; each of cyan, magenta, yellow
    and black has its own angle, as on a press.
    """
    pitch = max(2.0, (2.2 + 3.8 * severity) * _scale(pixels))
    ink = cv2.split(1 - pixels.astype(np.float32) * np.float32(1 / 255))
    black = np.minimum(np.minimum(ink[0], ink[1]), ink[2]) ** 2
    dark = 1 - np.float32(0.96) * _dots(black, pitch, _SCREEN_DEG[3], rng)
    strength = np.float32(0.15 + 0.7 * severity)
    printed = []
    for plane, turn in zip(ink, _SCREEN_DEG, strict=False):
        light = 1 - np.float32(0.96) * _dots(plane - black, pitch, turn, rng)
        light *= dark
        mixed = light * (255 * strength) + (1 - plane) * (255 * (1 - strength))
        printed.append(np.clip(mixed, 0, 255).astype(np.uint8))
    return np.asarray(cv2.merge(printed), np.uint8)


def _dots(
    plane: _Field, pitch: float, turn_deg: float, rng: np.random.Generator
) -> _Field:
    # How far one ink covers each place, 0 to 1.
    size_px = (plane.shape[1], plane.shape[0])
    screen = _screen(size_px, pitch, turn_deg, rng.uniform(0, 6.3, 2))
    edge = pitch / 1.6
    dots = np.asarray(cv2.addWeighted(plane, edge, screen, -edge, 0.5), np.float32)
    # Solids stay solid and paper stays clean at the ends of the scale.
    dots[plane > _SOLID] = 1
    dots[plane < _BARE] = 0
    return np.clip(dots, 0, 1, out=dots)


def stretched(pixels: Image, rng: np.random.Generator, *, severity: float) -> Image:
    """Stretched or squeezed along one side about the middle; the size stays."""
    change = 1 + (0.01 + 0.11 * severity) * float(rng.choice([-1, 1]))
    height, width = pixels.shape[:2]
    matrix = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    axis = int(rng.integers(2))
    matrix[axis, axis] = change
    matrix[axis, 2] = (width, height)[axis] * (1 - change) / 2
    way = cv2.INTER_CUBIC
    return np.asarray(
        cv2.warpAffine(
            pixels, matrix, (width, height), flags=way, borderMode=cv2.BORDER_REPLICATE
        )
    )


def inkjet(pixels: Image, rng: np.random.Generator, *, severity: float) -> Image:
    """Copied on an office printer: dots thrown at random, ink that bleeds, bands.

    Cyan, magenta and yellow are dithered against blue noise at 1 to 2.4 px for a long
    side of 1400 px; the paper drinks ink, so edges swell and colours lose depth.
    """
    height, width = pixels.shape[:2]
    pitch = max(1.0, (1.0 + 1.4 * severity) * _scale(pixels))
    small = max(8, round(width / pitch)), max(8, round(height / pitch))
    wet = cv2.GaussianBlur(pixels, (0, 0), 0.3 + 0.9 * severity * _scale(pixels))
    coarse = np.asarray(cv2.resize(wet, small, interpolation=cv2.INTER_AREA), np.uint8)
    dots = [
        _thrown(np.asarray(coarse[..., index], order="C"), rng, severity=severity)
        for index in range(3)
    ]
    large = cv2.resize(cv2.merge(dots), (width, height), interpolation=cv2.INTER_LINEAR)
    depth = 1 - 0.16 * severity
    table = np.clip(255 - (255 - np.arange(256)) * depth - 4 * severity, 0, 255)
    faded = cv2.LUT(wet, np.round(table).astype(np.uint8))
    share = 0.25 + 0.5 * severity
    return np.asarray(cv2.addWeighted(large, share, faded, 1 - share, 0), np.uint8)


def _thrown(plane: Image, rng: np.random.Generator, *, severity: float) -> Image:
    # White where noise exceeds the ink that is wanted; the head leaves faint bands.
    height, width = plane.shape
    noise = rng.integers(0, 256, (height, width), dtype=np.uint8)
    # Noise without slow parts, as dithering has it, spread over all levels again.
    slow = cv2.blur(noise, (3, 3))
    blue = cv2.addWeighted(noise, 1.0, slow, -1.0, 127)
    bands = rng.normal(0, 10 * severity, (height // 7 + 1, 1)).repeat(7, axis=0)
    level = np.clip(plane + bands[:height], 0, 255).astype(np.uint8)
    inked = cv2.compare(level, cv2.convertScaleAbs(blue, alpha=0.94), cv2.CMP_GT)
    return np.asarray(cv2.GaussianBlur(inked, (0, 0), 0.45), np.uint8)

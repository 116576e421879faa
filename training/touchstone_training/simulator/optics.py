"""Light, lens and sensor of a phone, and the JPEG it writes.

Light is worked on as linear float32 in [0, 1] (1 = sensor full), so that exposure,
shadow and noise act as they do in a camera; ``phones.develop`` makes pixels of it.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.errors import InvalidInputError
from touchstone_training.simulator.noise import smooth_noise

_Field = NDArray[np.float32]
_Pixels = NDArray[np.uint8]

_GAMMA = 2.2
_LINEAR: _Field = (np.linspace(0, 1, 256) ** _GAMMA).astype(np.float32)
_FIELD_STEP = 8
"""Light varies slowly: its fields are computed on every eighth pixel."""


def to_linear(pixels: _Pixels) -> _Field:
    """sRGB-like uint8 (h, w, 3) to linear light, float32 in [0, 1]."""
    return np.asarray(cv2.LUT(pixels, _LINEAR), np.float32)


def coarse_size(size_px: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of a light field for a photo of ``size_px``."""
    return (max(4, size_px[0] // _FIELD_STEP), max(4, size_px[1] // _FIELD_STEP))


def enlarged(field: _Field, size_px: tuple[int, int]) -> _Field:
    """A coarse field, (h, w) or (h, w, 3), at full ``size_px`` (width, height)."""
    return np.asarray(cv2.resize(field, size_px, interpolation=cv2.INTER_LINEAR))


@dataclass(frozen=True, slots=True)
class Lamp:
    """Light over the scene; ``colour`` is a factor for each of red, green, blue."""

    colour: tuple[float, float, float]
    exposure: float
    gradient: float
    direction_deg: float
    vignette: float
    shadow: float


def light_field(
    lamp: Lamp, rng: np.random.Generator, size_px: tuple[int, int]
) -> _Field:
    """Coarse factor of light, (h, w, 3) float32."""
    width, height = coarse_size(size_px)
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    turn = np.radians(lamp.direction_deg)
    along = (x * np.cos(turn) + y * np.sin(turn)).astype(np.float32)
    field = 2.0 ** (lamp.gradient * along)
    field *= 1 + 0.25 * lamp.gradient * smooth_noise(rng, (width, height), cells=(2, 2))
    field *= 1 - lamp.vignette * (x * x + y * y) / 2
    if lamp.shadow > 0:
        field *= 1 - lamp.shadow * _cast_shadow(rng, x, y)
    # A second lamp of another colour (a window, a screen) tints one side.
    tint = rng.uniform(-0.08, 0.08, 3).astype(np.float32) * np.float32(lamp.gradient)
    colour = np.asarray(lamp.colour, np.float32) * np.float32(lamp.exposure)
    tinted = colour * (1 + along[..., None] * tint)
    return np.asarray(field[..., None] * tinted, np.float32)


def _cast_shadow(rng: np.random.Generator, x: _Field, y: _Field) -> _Field:
    # The soft edge of a hand or phone between lamp and package.
    turn = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(turn) + y * np.sin(turn)
    across = -x * np.sin(turn) + y * np.cos(turn)
    edge = along - rng.uniform(-0.2, 0.9) - 0.3 * np.sin(across * rng.uniform(1, 3))
    soft = rng.uniform(0.04, 0.3)
    return np.asarray(1 / (1 + np.exp(-np.clip(edge / soft, -30, 30))), np.float32)


def glare_field(
    rng: np.random.Generator, size_px: tuple[int, int], *, strength: float
) -> _Field:
    """Coarse mirrored light to add, (h, w) float32: a few soft or sharp blobs."""
    width, height = coarse_size(size_px)
    ratio = width / height
    x = np.linspace(-ratio, ratio, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    field = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        turn = rng.uniform(0, np.pi)
        dx, dy = x - rng.uniform(-ratio, ratio) * 0.7, y - rng.uniform(-0.7, 0.7)
        along = (dx * np.cos(turn) + dy * np.sin(turn)) / rng.uniform(0.12, 0.7)
        across = (dy * np.cos(turn) - dx * np.sin(turn)) / rng.uniform(0.06, 0.25)
        distance = np.sqrt(along * along + across * across)
        sharpness = rng.uniform(1.5, 6.0)
        field += rng.uniform(0.4, 1.0) * np.exp(-(distance**sharpness))
    return np.asarray(strength * field, np.float32)


_GLINT_REACH = 3.0


def add_glints(
    light: _Field,
    rng: np.random.Generator,
    *,
    count: int,
    scale: float,
    colour: tuple[float, float, float],
) -> None:
    """Add small mirrored lights at random places of ``light``, (h, w, 3), in place.

    A crease of film or a bead of varnish mirrors a lamp in a spot of a few pixels,
    round or drawn out, with a soft rim, at times brighter than the sensor can tell.

    Args:
        light: linear, 1 a full sensor.
        rng: source of chance.
        count: how many.
        scale: photo pixels for one of a photo 1600 px wide.
        colour: of the lamps, red, green and blue.
    """
    height, width = light.shape[:2]
    for _ in range(count):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        thin = scale * rng.uniform(1.2, 7.0)
        long = thin * rng.uniform(1.0, 4.0)
        turn, peak = rng.uniform(0, np.pi), rng.uniform(0.1, 1.6)
        sharpness = rng.uniform(1.0, 4.0)
        reach = _GLINT_REACH * long
        left, right = max(0, int(x - reach)), min(width, int(x + reach) + 1)
        top, bottom = max(0, int(y - reach)), min(height, int(y + reach) + 1)
        if right <= left or bottom <= top:
            continue
        dx = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(x)
        dy = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(y)
        along = (dx * np.cos(turn) + dy * np.sin(turn)) / long
        across = (dy * np.cos(turn) - dx * np.sin(turn)) / thin
        spot = peak * np.exp(-((along * along + across * across) ** (sharpness / 2)))
        shine = spot[..., None] * np.array(colour)
        light[top:bottom, left:right] += shine.astype(np.float32)


def lens_kernel(defocus_px: float, motion_px: float, motion_deg: float) -> _Field:
    """Point spread of lens and hand: a disc of radius ``defocus_px`` along a line."""
    reach = int(np.ceil(defocus_px + motion_px / 2 + 0.5))
    axis = np.arange(-reach, reach + 1, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    turn = np.radians(motion_deg)
    along = x * np.cos(turn) + y * np.sin(turn)
    across = y * np.cos(turn) - x * np.sin(turn)
    beyond = np.maximum(np.abs(along) - motion_px / 2, 0)
    distance = np.sqrt(beyond * beyond + across * across)
    kernel = np.clip(defocus_px + 0.5 - distance, 0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)


def blurred(light: _Field, kernel: _Field) -> _Field:
    """Light through the lens; a kernel of one pixel leaves it as it is."""
    if kernel.max() > 0.98:  # noqa: PLR2004 - nothing to spread
        return light
    return np.asarray(
        cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    )


_NOISE_SPARE_PX = 96
_LARGEST_TILE_PX = 2048


@lru_cache(maxsize=2)
def _noise_tile(width: int, height: int) -> _Field:
    # Fine grey noise and blotchy coloured noise, (h, w, 3), to cut pictures from.
    rng = np.random.default_rng(0)
    fine = rng.standard_normal((height, width, 1), dtype=np.float32)
    small = rng.standard_normal((height // 3 + 1, width // 3 + 1, 3), dtype=np.float32)
    return np.asarray(enlarged(small, (width, height)) * np.float32(0.7) + fine)


def drawn_noise(rng: np.random.Generator, size_px: tuple[int, int]) -> _Field:
    """Noise for a photo, (h, w, 3), to be scaled by the light: see ``add_noise``.

    Luminance noise is per pixel, colour noise is blotchy: phones smooth it most. It is
    cut from one large tile at random, turned over at random.
    """
    width, height = size_px
    if max(size_px) > _LARGEST_TILE_PX:
        # The pixels of very large photos are not independent: sensors have fewer.
        half = drawn_noise(rng, ((width + 1) // 2, (height + 1) // 2))
        return enlarged(half * np.float32(1.5), size_px)
    tile = _noise_tile(width + _NOISE_SPARE_PX, height + _NOISE_SPARE_PX)
    left, top = (int(v) for v in rng.integers(0, _NOISE_SPARE_PX, 2))
    rows, columns = (int(v) for v in rng.choice([-1, 1], 2))
    part = tile[top : top + height, left : left + width]
    return np.asarray(part[::rows, ::columns], np.float32)


def add_noise(light: _Field, noise: _Field, *, sigma: float) -> _Field:
    """Shot and read noise; ``sigma`` is the deviation at mid grey (0.2), linear."""
    level = cv2.extractChannel(light, 1) * np.float32(4.25) + np.float32(0.15)
    amount = cv2.sqrt(np.maximum(level, 0)) * np.float32(sigma)
    noisy = cv2.multiply(np.ascontiguousarray(noise), cv2.merge([amount] * 3))
    return np.asarray(cv2.add(noisy, light, dst=noisy), np.float32)


def to_jpeg(pixels: _Pixels, quality: int = 88) -> bytes:
    """RGB pixels (h, w, 3) as a JPEG file, ``quality`` 1 to 100.

    Raises:
        InvalidInputError: OpenCV cannot encode the pixels.
    """
    coded, data = cv2.imencode(
        ".jpg",
        cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR),
        [cv2.IMWRITE_JPEG_QUALITY, quality],
    )
    if not coded:
        message = "the picture cannot be written as JPEG"
        raise InvalidInputError(message, field="pixels")
    return data.tobytes()


def recompressed(pixels: _Pixels, quality: int) -> _Pixels:
    """What is left of the pixels after one JPEG round trip."""
    data = np.frombuffer(to_jpeg(pixels, quality), np.uint8)
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)

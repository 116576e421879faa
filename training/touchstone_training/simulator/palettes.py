"""Harmonious colours for packages, chosen in OKLCH (Ottosson 2020, public domain)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from touchstone_training.simulator.elements import Colour

_LMS_FROM_LAB = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_RGB_FROM_LMS = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)
_LUMA = np.array([0.299, 0.587, 0.114])
_DARK_BELOW = 140.0
_SRGB_KNEE = 0.0031308


def _srgb(lightness: float, chroma: float, hue_deg: float) -> NDArray[np.float64]:
    turn = np.radians(hue_deg)
    lab = np.array([lightness, chroma * np.cos(turn), chroma * np.sin(turn)])
    linear = _RGB_FROM_LMS @ (_LMS_FROM_LAB @ lab) ** 3
    low = linear * 12.92
    high = 1.055 * np.clip(linear, 0, None) ** (1 / 2.4) - 0.055
    return np.asarray(np.where(linear < _SRGB_KNEE, low, high), np.float64)


def oklch(lightness: float, chroma: float, hue_deg: float) -> Colour:
    """An sRGB colour; chroma is lowered until the colour can be shown."""
    for share in np.linspace(1, 0, 21):
        rgb = _srgb(lightness, chroma * share, hue_deg)
        if rgb.min() >= -1e-3 and rgb.max() <= 1 + 1e-3:  # noqa: PLR2004 - rounding
            break
    r, g, b = (int(v) for v in np.clip(np.round(rgb * 255), 0, 255))
    return (r, g, b)


def blend(a: Colour, b: Colour, share: float) -> Colour:
    """``a`` moved by ``share`` of the way to ``b``."""
    r, g, bl = (round(p + (q - p) * share) for p, q in zip(a, b, strict=True))
    return (r, g, bl)


def is_dark(colour: Colour) -> bool:
    """Whether white reads better than black on it."""
    return float(np.asarray(colour) @ _LUMA) < _DARK_BELOW


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of one design; ``ink`` reads on ``ground``, ``on_main`` on ``main``."""

    ground: Colour
    ground2: Colour
    ink: Colour
    main: Colour
    main2: Colour
    accent: Colour
    paper: Colour
    dark: Colour

    def on(self, colour: Colour) -> Colour:
        """Ink that reads on ``colour``."""
        return (255, 255, 255) if is_dark(colour) else self.dark


_GROUNDS: dict[str, tuple[float, float]] = {
    "light": (0.985, 0.006),
    "tinted": (0.93, 0.04),
    "deep": (0.36, 0.11),
    "vivid": (0.66, 0.17),
    "dark": (0.21, 0.02),
    "kraft": (0.76, 0.07),
}


def palette(rng: np.random.Generator, *, ground: str) -> Palette:
    """Draw a palette over a light, tinted, deep, vivid, dark or kraft ground."""
    hue = float(rng.uniform(0, 360))
    apart = float(rng.choice([180, 150, 210, 30, -35, 120, -120]))
    other = hue + apart + float(rng.normal(0, 8))
    lightness, chroma = _GROUNDS[ground]
    ground_hue = 70.0 if ground == "kraft" else hue
    ground_colour = oklch(lightness, chroma, ground_hue)
    ground2 = oklch(
        float(np.clip(lightness + rng.uniform(-0.14, 0.06), 0.12, 0.99)),
        chroma * 1.1,
        ground_hue + float(rng.normal(0, 14)),
    )
    dark = oklch(0.24, 0.045, hue)
    main = oklch(float(rng.uniform(0.38, 0.6)), float(rng.uniform(0.1, 0.2)), hue)
    accent_lightness = float(rng.uniform(0.58, 0.8))
    accent_chroma = float(rng.uniform(0.13, 0.22))
    return Palette(
        ground=ground_colour,
        ground2=ground2,
        ink=(255, 255, 255) if is_dark(ground_colour) else dark,
        main=main,
        main2=oklch(float(rng.uniform(0.3, 0.7)), 0.15, hue + float(rng.normal(0, 25))),
        accent=oklch(accent_lightness, accent_chroma, other),
        paper=oklch(0.985, 0.008, hue),
        dark=dark,
    )

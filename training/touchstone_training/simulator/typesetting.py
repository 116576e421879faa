"""Text as coverage masks: fonts, tracking, weight, and small print set in lines."""

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from touchstone.errors import ConfigurationError

Mask = NDArray[np.uint8]

_BUNDLED = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSans-BoldOblique.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Bold.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSansMono-Bold.ttf",
    "STIXGeneral.ttf",
    "STIXGeneralBol.ttf",
)
_METRIC_EM_PX = 200.0
_CLEAN_EM_PX = 64.0
_GREATEST_OVER = 4
_LEAST_OVER_THINNED = 3
_LEADING = 1.22
_IDEOGRAPHS = range(0x3040, 0xA000)
"""Kana and Chinese characters."""
_BASELINE_SHARE = 0.42
"""Capitals stand a little above the middle, which leaves room for descenders."""


def bundled_fonts() -> tuple[Path, ...]:
    """The fonts that come with matplotlib: always there, free to redistribute.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        message = "matplotlib is not installed; its fonts draw the simulated artwork"
        raise ConfigurationError(message)
    folder = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"
    return tuple(folder / name for name in _BUNDLED)


@lru_cache(maxsize=512)
def face(font: Path, size_px: float) -> ImageFont.FreeTypeFont:
    """A font at an em size in px."""
    layout = ImageFont.Layout.BASIC
    return ImageFont.truetype(font, max(1.0, size_px), layout_engine=layout)


@lru_cache(maxsize=1 << 16)
def _unit_width(text: str, font: Path) -> float:
    # In em.
    return face(font, _METRIC_EM_PX).getlength(text) / _METRIC_EM_PX


@lru_cache(maxsize=1024)
def _unit_cap_height(font: Path) -> float:
    top, bottom = (face(font, _METRIC_EM_PX).getbbox("H")[i] for i in (1, 3))
    return float(bottom - top) / _METRIC_EM_PX


def text_width(text: str, font: Path, size_px: float, *, spacing: float = 0.0) -> float:
    """Width of a line in px; ``spacing`` is extra tracking in em.

    Measured at one large size: small sizes are hinted to whole px, and a line would
    be wider or break elsewhere in a smaller drawing of the same face.
    """
    measured = _unit_width(text, font)
    return size_px * (measured + spacing * (len(text) - 1))


def cap_height(font: Path, size_px: float) -> float:
    """Height of a capital in px."""
    return _unit_cap_height(font) * size_px


def fitting_size(
    text: str, font: Path, room_px: tuple[float, float], *, spacing: float = 0.0
) -> float:
    """The largest em size whose line is within (width, cap height) in px."""
    trial = 100.0
    wide = text_width(text, font, trial, spacing=spacing)
    tall = cap_height(font, trial)
    return trial * min(room_px[0] / max(wide, 1e-6), room_px[1] / max(tall, 1e-6))


def _pieces(
    text: str, font: Path, em_px: float, *, spacing: float
) -> list[tuple[float, str]]:
    # Words (or letters, where they are tracked) and how far each lies from the start.
    if spacing != 0:
        places = [
            text_width(text[:i], font, em_px) + spacing * em_px * i
            for i in range(len(text))
        ]
        return list(zip(places, text, strict=True))
    found = []
    x = 0.0
    space = text_width(" ", font, em_px)
    for word in text.split(" "):
        if word:
            found.append((x, word))
            x += text_width(word, font, em_px)
        x += space
    return found


def _line_mask(
    lines: Sequence[tuple[float, float, str]],
    font: Path,
    size_px: tuple[int, int],
    *,
    em_px: float,
    weight: float,
    spacing: float,
) -> Mask:
    # Small type is drawn larger and averaged, so that hinting does not move it.
    least = _LEAST_OVER_THINNED if weight < 0 else 1
    over = max(least, min(_GREATEST_OVER, int(np.ceil(_CLEAN_EM_PX / em_px))))
    sheet = PilImage.new("L", (size_px[0] * over, size_px[1] * over), 0)
    draw = ImageDraw.Draw(sheet)
    large = em_px * over
    for x, baseline, text in lines:
        for shift, piece in _pieces(text, font, large, spacing=spacing):
            draw.text(
                (x * over + shift, baseline * over),
                piece,
                fill=255,
                font=face(font, large),
                anchor="ls",
                stroke_width=max(0.0, weight) * large,
            )
    mask = np.asarray(sheet)
    if weight < 0:
        reach = max(1, round(-weight * large)) * 2 + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
        mask = np.asarray(cv2.erode(mask, kernel), np.uint8)
    if over == 1:
        return mask
    return np.asarray(cv2.resize(mask, size_px, interpolation=cv2.INTER_AREA))


def line_mask(
    text: str,
    font: Path,
    size_px: tuple[int, int],
    *,
    em_px: float,
    weight: float = 0.0,
    spacing: float = 0.0,
    align: str = "left",
) -> Mask:
    """One line, in the middle of a mask of (width, height) ``size_px``.

    Args:
        text: the line.
        font: font file.
        size_px: (width, height) of the mask.
        em_px: em size.
        weight: emboldening in em; negative thins.
        spacing: tracking in em.
        align: left, centre or right.
    """
    wide = text_width(text, font, em_px, spacing=spacing)
    slack = size_px[0] - wide
    x = {"left": 0.0, "centre": slack / 2, "right": slack}[align]
    baseline = size_px[1] / 2 + cap_height(font, em_px) * _BASELINE_SHARE
    return _line_mask(
        [(x, baseline, text)],
        font,
        size_px,
        em_px=em_px,
        weight=weight,
        spacing=spacing,
    )


def wrapped(
    text: str, font: Path, width_px: float, *, em_px: float, spacing: float = 0.0
) -> list[str]:
    """Break a paragraph into lines no wider than ``width_px``.

    Text with ideographs may break anywhere, other text at its spaces.
    """
    lines: list[str] = []
    line, wide = "", 0.0
    words, gap = text.split(), " "
    if any(ord(c) in _IDEOGRAPHS for c in text[:20]):
        words, gap = list(text), ""
    space = len(gap) * text_width(" ", font, em_px) + (1 + len(gap)) * spacing * em_px
    for word in words:
        word_px = text_width(word, font, em_px, spacing=spacing)
        if line and wide + space + word_px > width_px:
            lines.append(line)
            line, wide = word, word_px
        else:
            line, wide = f"{line}{gap}{word}".strip(), wide + space + word_px
    return [*lines, line] if line else lines


def paragraph_mask(
    text: str,
    font: Path,
    size_px: tuple[int, int],
    *,
    em_px: float,
    weight: float = 0.0,
    spacing: float = 0.0,
    align: str = "left",
) -> Mask:
    """A paragraph from the top of the mask; lines past its foot are left out."""
    lines = wrapped(text, font, size_px[0], em_px=em_px, spacing=spacing)
    placed: list[tuple[float, float, str]] = []
    for index, line in enumerate(lines):
        baseline = em_px * (0.95 + _LEADING * index)
        if baseline + 0.25 * em_px > size_px[1]:
            break
        slack = size_px[0] - text_width(line, font, em_px, spacing=spacing)
        x = {"left": 0.0, "centre": slack / 2, "right": slack}[align]
        placed.append((x, baseline, line))
    return _line_mask(
        placed, font, size_px, em_px=em_px, weight=weight, spacing=spacing
    )

"""Elements to pixels: one small painter for each kind of element."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from touchstone_training.simulator import marks, patterns, security, typesetting
from touchstone_training.simulator.codes import code_mask
from touchstone_training.simulator.elements import (
    TEXT_KINDS,
    VARIABLE_KINDS,
    Artwork,
    Box,
    Colour,
    Element,
)
from touchstone_training.simulator.palettes import blend
from touchstone_training.simulator.sheets import Sheet, composed
from touchstone_training.simulator.still_life import still_life

Mask = NDArray[np.uint8]
Pixels = NDArray[np.uint8]
_Field = NDArray[np.float32]

_SQUARE_BELOW_PX = 0.4
_RIM_EM, _SHADOW_EM = 0.045, 0.05
_WHOLE = 255


def _em(sheet: Sheet, element: Element) -> float:
    return element.size_px * sheet.scale


def _font(sheet: Sheet, element: Element) -> Path:
    return sheet.fonts[element.font % len(sheet.fonts)]


def _text(sheet: Sheet, element: Element) -> None:
    mask = _line(sheet, element, weight=element.weight)
    em = _em(sheet, element)
    if element.variant == "outlined":
        sheet.ink(element, element.colour2, _line(sheet, element, weight=_RIM_EM))
    elif element.variant == "shadowed":
        shift = max(1, round(em * _SHADOW_EM))
        shadow = np.zeros_like(mask)
        shadow[shift:, shift:] = mask[:-shift, :-shift]
        sheet.ink(element, element.colour2, shadow)
    sheet.ink(element, element.colour, mask)


def _line(sheet: Sheet, element: Element, *, weight: float) -> Mask:
    _, _, width, height = sheet.box_px(element)
    return typesetting.line_mask(
        element.text,
        _font(sheet, element),
        (width, height),
        em_px=_em(sheet, element),
        weight=weight,
        spacing=element.spacing,
        align=element.align,
    )


def _paragraph(sheet: Sheet, element: Element) -> None:
    _, _, width, height = sheet.box_px(element)
    mask = typesetting.paragraph_mask(
        element.text,
        _font(sheet, element),
        (width, height),
        em_px=_em(sheet, element),
        weight=element.weight,
        spacing=element.spacing,
        align=element.align,
    )
    sheet.ink(element, element.colour, mask)


def rounded_mask(
    size_px: tuple[int, int], radius_px: float, *, ring: float = 0
) -> Mask | None:
    """A rounded rectangle, filled, or a ring of that width in px; None if it is all."""
    width, height = size_px
    radius = min(radius_px, min(size_px) / 2)
    if radius < _SQUARE_BELOW_PX and ring <= 0:
        return None
    mask = np.zeros((height, width), np.uint8)
    _fill(mask, _rounded((0, 0, width, height), radius), _WHOLE)
    if ring > 0:
        inner = (ring, ring, width - 2 * ring, height - 2 * ring)
        if min(inner[2:]) > 0:
            _fill(mask, _rounded(inner, max(0.0, radius - ring)), 0)
    return mask


def _rounded(box: Box, radius: float) -> _Field:
    # Outline of a rounded rectangle, (N, 2).
    turn = np.linspace(0, np.pi / 2, 2 if radius < 1 else 16)
    arc = np.c_[np.cos(turn), np.sin(turn)] * radius
    x, y, w, h = box
    corners = []
    ends = ((x + w, y + h), (x, y + h), (x, y), (x + w, y))
    for quarter, (end, inward) in enumerate(
        zip(ends, ((-1, -1), (1, -1), (1, 1), (-1, 1)), strict=True)
    ):
        c, s = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarter]
        spun = arc @ np.array([[c, s], [-s, c]])
        corners.append(spun + np.array(end) + np.array(inward) * radius)
    return np.concatenate(corners).astype(np.float32)


def _fill(mask: Mask, outline: _Field, level: int) -> None:
    # OpenCV counts pixel centres from 0 and takes sixteenths of a px.
    points = np.round((outline - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(mask, [points], level, cv2.LINE_AA, shift=4)


def _share(size_px: tuple[int, int], variant: str) -> _Field:
    # How far a gradient has come, 0 to 255, (h, w).
    width, height = size_px
    x = np.linspace(0, _WHOLE, width, dtype=np.float32)[None, :]
    y = np.linspace(0, _WHOLE, height, dtype=np.float32)[:, None]
    if variant == "radial":
        small = max(4, width // 8), max(4, height // 8)
        u = np.linspace(-0.5, 0.5, small[0], dtype=np.float32)[None, :]
        v = np.linspace(-0.45, 0.55, small[1], dtype=np.float32)[:, None]
        coarse = np.hypot(u, v) * np.float32(1.4 * _WHOLE)
        return np.asarray(cv2.resize(coarse, size_px), np.float32)
    if variant == "across":
        return np.repeat(x, height, axis=0)
    if variant == "diagonal":
        return np.asarray((x + y) * np.float32(0.5))
    return np.repeat(y, width, axis=1)


def gradient(
    size_px: tuple[int, int], variant: str, *, colours: tuple[Colour, Colour]
) -> Pixels:
    """A smooth change of colour: ``down``, ``across``, ``diagonal`` or ``radial``."""
    width, height = size_px
    # Half a level of ordered dither hides the banding a press would not show.
    order = np.array([[-0.5, 0.0], [0.25, -0.25]], np.float32)
    share = _share(size_px, variant)
    share += np.tile(order, (height // 2 + 1, width // 2 + 1))[:height, :width]
    steps = cv2.convertScaleAbs(np.maximum(share, 0, out=share))
    a, b = (np.asarray(c, np.float64) for c in colours)
    ramp = a + (b - a) * np.linspace(0, 1, 256)[:, None]
    table = np.round(ramp).astype(np.uint8)[:, None]
    return np.asarray(cv2.LUT(cv2.merge([steps] * 3), table), np.uint8)


def _panel(sheet: Sheet, element: Element) -> None:
    _, _, width, height = sheet.box_px(element)
    radius = element.radius_px * sheet.scale
    if element.variant == "outline":
        ring = max(1.0, element.size_px * sheet.scale)
        mask = rounded_mask((width, height), radius, ring=ring)
        sheet.ink(element, element.colour, mask)
        return
    mask = rounded_mask((width, height), radius)
    if element.variant == "plain" or not element.variant:
        sheet.ink(element, element.colour, mask)
        return
    colours = (element.colour, element.colour2)
    sheet.lay(
        element, gradient((width, height), element.variant, colours=colours), mask
    )


def _foil(size_px: tuple[int, int], colour: Colour, seed: int) -> Pixels:
    # Embossed aluminium: a fine lattice of dots under a slow sheen.
    width, height = size_px
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    step = float(4 * np.pi / max(2.5, max(size_px) / 170))
    # The product of two slanted waves is the difference of two upright ones.
    lattice = (np.cos(y * step) - np.cos(x * step)) * np.float32(0.5 * 0.035)
    small = max(4, width // 8), max(4, height // 8)
    across = np.linspace(0, 5, small[0], dtype=np.float32)[None, :]
    down = np.linspace(0, 3, small[1], dtype=np.float32)[:, None]
    sheen = np.sin(across + down + np.float32(seed % 7)) * np.float32(0.06)
    lattice += cv2.resize(sheen, size_px)
    steps = cv2.convertScaleAbs(lattice, alpha=_WHOLE / 0.22, beta=_WHOLE / 2)
    tone = 1 + (np.arange(256) / _WHOLE - 0.5) * 0.22
    lit = np.asarray(colour, np.float64) * tone[:, None]
    table = np.clip(np.round(lit), 0, _WHOLE).astype(np.uint8)[:, None]
    return np.asarray(cv2.LUT(cv2.merge([steps] * 3), table), np.uint8)


def _background(sheet: Sheet, element: Element) -> None:
    _, _, width, height = sheet.box_px(element)
    if element.variant == "foil":
        sheet.lay(element, _foil((width, height), element.colour, element.seed), None)
    elif element.variant in {"", "plain"}:
        sheet.ink(element, element.colour, None)
    else:
        colours = (element.colour, element.colour2)
        pixels = gradient((width, height), element.variant, colours=colours)
        sheet.lay(element, pixels, None)


@lru_cache(maxsize=64)
def _svg_mask(source: str, width: int, height: int) -> Mask:
    import resvg_py  # noqa: PLC0415 - only artwork with SVG logos needs it

    text = Path(source).read_text(encoding="utf-8")
    side = min(width, height)
    data = resvg_py.svg_to_bytes(svg_string=text, width=side, height=side)
    drawn = PilImage.open(BytesIO(bytes(data))).convert("RGBA").getchannel("A")
    sheet = PilImage.new("L", (width, height), 0)
    sheet.paste(drawn, ((width - drawn.width) // 2, (height - drawn.height) // 2))
    return np.asarray(sheet)


def _traced(mask: Mask, variant: str) -> Mask:
    # A mark traced by hand: corners rounded, thin parts swollen or lost.
    if not variant.startswith("traced "):
        return mask
    sigma = max(0.3, float(variant.removeprefix("traced ")) * min(mask.shape))
    soft = cv2.GaussianBlur(mask, (0, 0), sigma).astype(np.float32)
    return np.asarray(np.clip((soft - 110) * sigma + 128, 0, 255), np.uint8)


def _logo(sheet: Sheet, element: Element) -> None:
    _, _, width, height = sheet.box_px(element)
    if element.source:
        mask = _traced(_svg_mask(element.source, width, height), element.variant)
        sheet.ink(element, element.colour, mask)
        return
    first, second = marks.logo((width, height), element.seed)
    sheet.ink(element, element.colour, _traced(first, element.variant))
    sheet.ink(element, element.colour2, _traced(second, element.variant))


def _pictogram(sheet: Sheet, element: Element) -> None:
    _, _, width, height = sheet.box_px(element)
    mask = marks.pictogram((width, height), element.variant)
    sheet.ink(element, element.colour, mask)


def _pattern(sheet: Sheet, element: Element) -> None:
    _, _, width, height = sheet.box_px(element)
    mask = patterns.pattern((width, height), element.variant, element.seed)
    sheet.ink(element, element.colour, mask)


def _swoosh(sheet: Sheet, element: Element) -> None:
    _, _, width, height = sheet.box_px(element)
    mask = marks.swoosh((width, height), element.variant, element.seed)
    colours = (element.colour, element.colour2)
    sheet.lay(element, gradient((width, height), "across", colours=colours), mask)


def _seal(sheet: Sheet, element: Element) -> None:
    _, _, width, height = sheet.box_px(element)
    first, second = marks.seal((width, height), element.seed)
    sheet.ink(element, element.colour, first)
    sheet.ink(element, element.colour2, second)
    words = element.text.split("|")
    x, y, w, h = element.box
    font = _font(sheet, element)
    step = h * 0.5 / len(words)
    for index, word in enumerate(words):
        room = (w * 0.58, step * 0.6)
        size = typesetting.fitting_size(word, font, room)
        box = (x, y + h * 0.25 + step * index, w, step)
        line = replace(element, kind="label_text", box=box, text=word, size_px=size)
        _text(sheet, replace(line, colour=element.colour2, align="centre"))


def _photo(sheet: Sheet, element: Element) -> None:
    _, _, width, height = sheet.box_px(element)
    colours = (element.colour, element.colour2)
    pixels, alpha = still_life(
        (width, height), element.variant, element.seed, colours=colours
    )
    sheet.lay(element, pixels, alpha)


def _hologram(sheet: Sheet, element: Element) -> None:
    _, _, width, height = sheet.box_px(element)
    pixels, mask = security.hologram((width, height), element.variant, element.seed)
    sheet.lay(element, pixels, mask)


def _hazard(sheet: Sheet, element: Element) -> None:
    _, _, width, height = sheet.box_px(element)
    rim, inside, sign = security.hazard((width, height), element.variant)
    sheet.ink(element, element.colour, rim)
    sheet.ink(element, (255, 255, 255), inside)
    sheet.ink(element, element.colour2, sign)


def _arrow(sheet: Sheet, element: Element) -> None:
    _, _, width, height = sheet.box_px(element)
    sheet.ink(element, element.colour, security.arrow((width, height)))


def _table(sheet: Sheet, element: Element) -> None:
    x, y, w, h = element.box
    rows = [row.split("\t") for row in element.text.split("\n")]
    step = h / len(rows)
    pale = blend(element.colour2, element.colour, 0.12)
    for index, row in enumerate(rows):
        top = y + step * index
        band = replace(element, kind="panel", box=(x, top, w, step), variant="plain")
        is_head = index == 0
        shade = element.colour if is_head else (element.colour2, pale)[index % 2]
        _panel(sheet, replace(band, colour=shade, radius_px=0.0))
        ink = element.colour2 if is_head else element.colour
        for place, cell in enumerate(row):
            box = (x + w * 0.03, top, w * 0.94, step)
            line = replace(element, kind="label_text", box=box, text=cell, colour=ink)
            _text(sheet, replace(line, align="right" if place else "left"))
    frame = replace(element, kind="panel", variant="outline", size_px=h * 0.008)
    _panel(sheet, frame)


def _barcode(sheet: Sheet, element: Element) -> None:
    _, _, width, height = sheet.box_px(element)
    sheet.ink(element, element.colour2, None)
    bars_px = round(height * 0.8)
    mask = np.zeros((height, width), np.uint8)
    margin = round(height * 0.05)
    mask[margin:bars_px] = code_mask("EAN13", element.text, (width, bars_px - margin))
    sheet.ink(element, element.colour, mask)
    x, y, w, h = element.box
    text = f"{element.text[0]} {element.text[1:7]} {element.text[7:]}"
    line = replace(element, kind="label_text", text=text, align="centre")
    box = (x, y + h * 0.81, w, h * 0.17)
    room = (w * 0.94, h * 0.12)
    em = typesetting.fitting_size(text, _font(sheet, element), room, spacing=0.06)
    _text(sheet, replace(line, box=box, size_px=em, spacing=0.06, weight=0.0))


def _code2d(sheet: Sheet, element: Element) -> None:
    _, _, width, height = sheet.box_px(element)
    sheet.ink(element, element.colour2, None)
    mask = code_mask("DataMatrix", element.text, (width, height))
    sheet.ink(element, element.colour, mask)


_Painter = Callable[[Sheet, Element], None]
_WRITTEN: dict[str, _Painter] = dict.fromkeys(
    TEXT_KINDS | (VARIABLE_KINDS - {"code2d"}), _text
)
_PAINTERS: dict[str, _Painter] = {
    **_WRITTEN,
    "background": _background,
    "panel": _panel,
    "logo": _logo,
    "paragraph": _paragraph,
    "table": _table,
    "barcode": _barcode,
    "code2d": _code2d,
    "pictogram": _pictogram,
    "pattern": _pattern,
    "swoosh": _swoosh,
    "seal": _seal,
    "photo_texture": _photo,
    "hologram": _hologram,
    "hazard": _hazard,
    "arrow": _arrow,
}


def _paint(sheet: Sheet, element: Element) -> None:
    _PAINTERS[element.kind](sheet, element)


def drawn_face(artwork: Artwork, size_px: tuple[int, int], *, scale: float) -> Pixels:
    """The face at ``size_px`` (width, height), ``scale`` px per artwork px."""
    return composed(artwork.elements, size_px, _paint, scale=scale, fonts=artwork.fonts)

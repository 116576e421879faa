"""Elements to pixels: one small painter for each kind of element."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw

from touchstone_training.simulator import marks, typesetting
from touchstone_training.simulator.elements import (
    TEXT_KINDS,
    VARIABLE_KINDS,
    Colour,
    Element,
)
from touchstone_training.simulator.palettes import blend
from touchstone_training.simulator.still_life import still_life

Mask = NDArray[np.uint8]
Pixels = NDArray[np.uint8]

_QUIET_MODULES = 9
_CRISP_PITCH_PX = 3
"""Modules at least this wide are drawn in whole px; narrower ones shaded exactly."""
_OVER = 3
_TURN_LEAST_DEG = 0.05


@dataclass(slots=True)
class Sheet:
    """The picture being painted; ``scale`` is output px per artwork px."""

    image: PilImage.Image
    scale: float
    fonts: tuple[Path, ...]

    def box_px(self, element: Element) -> tuple[int, int, int, int]:
        """x, y, width, height of an element in whole output px."""
        x, y, w, h = (v * self.scale for v in element.box)
        left, top = round(x), round(y)
        return left, top, max(1, round(x + w) - left), max(1, round(y + h) - top)

    def ink(self, element: Element, colour: Colour, mask: Mask) -> None:
        """Lay a flat colour through a mask of the element's size."""
        self._paste(element, colour, mask)

    def lay(self, element: Element, pixels: Pixels, mask: Mask) -> None:
        """Lay pixels (h, w, 3) through a mask (h, w) of the element's size."""
        self._paste(element, PilImage.fromarray(pixels), mask)

    def _paste(
        self, element: Element, what: Colour | PilImage.Image, mask: Mask
    ) -> None:
        left, top, _, _ = self.box_px(element)
        if element.opacity < 1:
            mask = (mask * np.float32(element.opacity)).astype(np.uint8)
        cover = PilImage.fromarray(mask)
        if abs(element.angle_deg) > _TURN_LEAST_DEG:
            cover = cover.rotate(element.angle_deg, PilImage.Resampling.BICUBIC)
            if isinstance(what, PilImage.Image):
                what = what.rotate(element.angle_deg, PilImage.Resampling.BICUBIC)
        height, width = mask.shape
        self.image.paste(what, (left, top, left + width, top + height), cover)


def _em(sheet: Sheet, element: Element) -> float:
    return element.size_px * sheet.scale


def _font(sheet: Sheet, element: Element) -> Path:
    return sheet.fonts[element.font % len(sheet.fonts)]


def _text(sheet: Sheet, element: Element) -> None:
    _, _, width, height = sheet.box_px(element)
    mask = typesetting.line_mask(
        element.text,
        _font(sheet, element),
        (width, height),
        em_px=_em(sheet, element),
        weight=element.weight,
        spacing=element.spacing,
        align=element.align,
    )
    sheet.ink(element, element.colour, mask)


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
) -> Mask:
    """A rounded rectangle, filled, or a ring of that width in px."""
    over = _OVER
    full = (size_px[0] * over, size_px[1] * over)
    shape = PilImage.new("L", full, 0)
    draw = ImageDraw.Draw(shape)
    box = (0, 0, full[0] - 1, full[1] - 1)
    radius = min(radius_px * over, min(full) / 2)
    if ring > 0:
        draw.rounded_rectangle(
            box, radius, outline=255, width=max(1, round(ring * over))
        )
    else:
        draw.rounded_rectangle(box, radius, fill=255)
    area = cv2.INTER_AREA
    return np.asarray(cv2.resize(np.asarray(shape), size_px, interpolation=area))


def gradient(
    size_px: tuple[int, int], variant: str, *, colours: tuple[Colour, Colour]
) -> Pixels:
    """A smooth change of colour: ``down``, ``across``, ``diagonal`` or ``radial``."""
    width, height = size_px
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    ramps: dict[str, NDArray[np.float32]] = {
        "down": y + 0 * x,
        "across": x + 0 * y,
        "diagonal": (x + y) * np.float32(0.5),
        "radial": np.hypot(x - np.float32(0.5), y - np.float32(0.45)) * np.float32(1.4),
    }
    share = np.clip(ramps.get(variant, ramps["down"]), 0, 1)[..., None]
    a, b = (np.asarray(c, np.float32) for c in colours)
    # Half a level of ordered dither hides the banding a press would not show.
    order = np.array([[0, 0.5], [0.75, 0.25]], np.float32)
    dither = np.tile(order, (height // 2 + 1, width // 2 + 1))
    blended = share * (b - a)
    blended += a
    blended += dither[:height, :width, None]
    return np.asarray(np.clip(blended, 0, 255, out=blended), np.uint8)


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
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    pitch = max(2.5, max(size_px) / 170)
    lattice = np.sin(2 * np.pi * (x + y) / pitch) * np.sin(2 * np.pi * (x - y) / pitch)
    phase = seed % 7
    sheen = np.sin(x / width * 5 + y / height * 3 + phase)
    tone = 1 + 0.035 * lattice + 0.06 * sheen
    lit = np.asarray(colour, np.float32) * tone[..., None]
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def _background(sheet: Sheet, element: Element) -> None:
    _, _, width, height = sheet.box_px(element)
    solid = np.full((height, width), 255, np.uint8)
    if element.variant == "foil":
        sheet.lay(element, _foil((width, height), element.colour, element.seed), solid)
    elif element.variant in {"", "plain"}:
        sheet.ink(element, element.colour, solid)
    else:
        colours = (element.colour, element.colour2)
        pixels = gradient((width, height), element.variant, colours=colours)
        sheet.lay(element, pixels, solid)


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
    mask = marks.pattern((width, height), element.variant, element.seed)
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


@lru_cache(maxsize=256)
def _modules(form: str, content: str) -> NDArray[np.bool_]:
    kind = getattr(zxingcpp.BarcodeFormat, form)
    code = zxingcpp.create_barcode(content, kind)
    grey = np.asarray(
        zxingcpp.write_barcode_to_image(code, scale=1, add_quiet_zones=False)
    )
    dark = grey < 128  # noqa: PLR2004 - black or white
    return dark[dark.shape[0] // 2][None] if form == "EAN13" else dark


def code_mask(form: str, content: str, size_px: tuple[int, int]) -> Mask:
    """Bars or modules of a code (``form`` names zxing's), (h, w) uint8."""
    dark = _modules(form, content)
    rows, columns = dark.shape
    quiet = _QUIET_MODULES if rows == 1 else 2
    pitch = size_px[0] / (columns + 2 * quiet)
    if rows > 1:
        pitch = min(pitch, size_px[1] / (rows + 2 * quiet))
    is_crisp = pitch >= _CRISP_PITCH_PX
    pitch = float(int(pitch)) if is_crisp else pitch
    wide = max(1, round(columns * pitch))
    tall = size_px[1] if rows == 1 else max(1, round(rows * pitch))
    large = np.kron(dark.astype(np.uint8) * 255, np.ones((_OVER, _OVER), np.uint8))
    way = cv2.INTER_NEAREST if is_crisp else cv2.INTER_AREA
    bars = cv2.resize(large, (wide, tall), interpolation=way)
    mask = np.zeros((size_px[1], size_px[0]), np.uint8)
    left, top = (size_px[0] - wide) // 2, (size_px[1] - tall) // 2
    mask[top : top + tall, left : left + wide] = bars
    return mask


def _barcode(sheet: Sheet, element: Element) -> None:
    _, _, width, height = sheet.box_px(element)
    sheet.ink(element, element.colour2, np.full((height, width), 255, np.uint8))
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
    sheet.ink(element, element.colour2, np.full((height, width), 255, np.uint8))
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
}


def paint(sheet: Sheet, element: Element) -> None:
    """Paint one element onto the sheet."""
    _PAINTERS[element.kind](sheet, element)

"""Pixels to machine-readable codes, and their text to GS1 fields."""

from dataclasses import dataclass, replace
from typing import Any

import biip
import cv2
import zxingcpp
from biip import ParseError
from biip.gs1_messages import GS1Message
from biip.gtin import Gtin

from touchstone.engine.image import Pixels, grey


@dataclass(frozen=True, slots=True)
class Code:
    """One code, as read."""

    symbology: str
    """``EAN13``, ``DataMatrix``, ``QRCode`` and so on, as zxing names them."""
    text: str
    gtin: str | None
    """GTIN-14 with a right check digit, where the text carries one."""
    lot: str | None = None
    expiry: str | None = None
    """ISO date, or YYYY-MM where the code gives no day."""
    serial: str | None = None
    box: tuple[float, float, float, float] | None = None
    """(x, y, width, height) in pixels of the picture it was read from."""
    is_check_digit_right: bool | None = None
    """None where the text has no check digit to be wrong."""


_BARS_AND_QR: Any = [
    zxingcpp.BarcodeFormat.EAN13,
    zxingcpp.BarcodeFormat.EAN8,
    zxingcpp.BarcodeFormat.UPCA,
    zxingcpp.BarcodeFormat.Code128,
    zxingcpp.BarcodeFormat.QRCode,
]
_DATA_MATRIX: Any = [zxingcpp.BarcodeFormat.DataMatrix]

# The search for DataMatrix follows every edge, those of noise too, and takes more than
# all others together. Smoothed so little it is a third quicker and finds as many, down
# to modules of 2.5 pixels; thin bars would suffer.
_DATA_MATRIX_SIGMA_PX = 0.6


def read_codes(
    pixels: Pixels, *, within: tuple[int, int, int, int] | None = None
) -> tuple[Code, ...]:
    """Read every code in ``pixels``, sorted by text so that the order is the same.

    Args:
        pixels: (h, w, 3); what is read takes time in proportion to its area.
        within: (left, top, right, bottom) of the part that is read, or all of it.
    """
    left, top, right, bottom = within or (0, 0, pixels.shape[1], pixels.shape[0])
    part = pixels[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    if not part.size:
        return ()
    luma = grey(part)
    smooth = cv2.GaussianBlur(luma, (3, 3), _DATA_MATRIX_SIGMA_PX)
    found = [*_read(luma, _BARS_AND_QR), *_read(smooth, _DATA_MATRIX)]
    origin = max(0, left), max(0, top)
    codes = [
        replace(
            parse_code(one.text, symbology=one.format.name),
            box=_box(one.position, origin),
        )
        for one in found
    ]
    return tuple(sorted(codes, key=lambda code: (code.text, code.symbology)))


def _read(luma: Any, formats: Any) -> list[Any]:
    return list(
        zxingcpp.read_barcodes(
            luma, formats=formats, try_invert=False, try_downscale=False
        )
    )


def _box(position: Any, origin: tuple[int, int]) -> tuple[float, float, float, float]:
    corners = (
        position.top_left,
        position.top_right,
        position.bottom_right,
        position.bottom_left,
    )
    xs, ys = [float(c.x) for c in corners], [float(c.y) for c in corners]
    left, top = min(xs), min(ys)
    return left + origin[0], top + origin[1], max(xs) - left, max(ys) - top


def parse_code(text: str, *, symbology: str = "") -> Code:
    """Parse ``text`` as a GTIN or a GS1 element string; never raises.

    A GS1 element string may stand as scanned, or with its identifiers in parentheses,
    as it is printed and as zxing tells it: ``(01)04006381333931(10)ABC``. Text that is
    neither is returned as it stands, with no fields.
    """
    try:
        parsed = biip.parse(_as_scanned(text))
    except ParseError:
        return Code(symbology, text, None, is_check_digit_right=_check_digit(text))
    gtin = parsed.gtin
    message = parsed.gs1_message
    fields: dict[str, str] = {}
    if message is not None:
        fields = {item.ai.ai: item.value for item in message.element_strings}
    return Code(
        symbology,
        text,
        gtin.as_gtin_14() if gtin is not None else None,
        lot=fields.get("10"),
        expiry=_date(fields.get("17")),
        serial=fields.get("21"),
        is_check_digit_right=(
            True if gtin is not None else _check_digit(fields.get("01", text))
        ),
    )


def _as_scanned(text: str) -> str:
    """Return GS1 text without its parentheses; any other text as it stands."""
    shown = "".join(text.split())
    if not shown.startswith("("):
        return text
    try:
        message = GS1Message.parse_hri(shown)
    except ParseError:
        return text
    # biip passes over what it cannot read between two fields: half is no reading.
    return message.value if message.as_hri() == shown else text


_GTIN_LENGTHS = (8, 12, 13, 14)


def _check_digit(text: str) -> bool | None:
    """GS1 General Specifications 7.9: weights 3 and 1 from the right."""
    if not text.isascii() or not text.isdigit() or len(text) not in _GTIN_LENGTHS:
        return None
    total = sum(
        int(digit) * (3 if position % 2 == 0 else 1)
        for position, digit in enumerate(reversed(text[:-1]))
    )
    return (10 - total % 10) % 10 == int(text[-1])


def _date(yymmdd: str | None) -> str | None:
    if yymmdd is None or len(yymmdd) != 6 or not yymmdd.isdigit():  # noqa: PLR2004
        return None
    year, month, day = "20" + yymmdd[:2], yymmdd[2:4], yymmdd[4:]
    return f"{year}-{month}" if day == "00" else f"{year}-{month}-{day}"


def normalised_gtin(text: str) -> str | None:
    """Return ``text`` as GTIN-14, or None when it is no GTIN."""
    try:
        return Gtin.parse(text.strip()).as_gtin_14()
    except ParseError:
        return None

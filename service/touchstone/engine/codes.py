"""Pixels to machine-readable codes, and their text to GS1 fields."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

import biip
import cv2
import numpy as np
import zxingcpp
from biip import ParseError
from biip.gs1_messages import GS1Message
from biip.gtin import Gtin
from numpy.typing import NDArray

from touchstone.engine.image import Pixels, grey, resized

Box: TypeAlias = tuple[float, float, float, float]
"""(x, y, width, height) in pixels."""
Part: TypeAlias = tuple[int, int, int, int]
"""(left, top, right, bottom) of a part of a picture; it may reach beyond."""
Corners: TypeAlias = NDArray[np.float64]
"""(4, 2): round a code; its text runs from the first to the second, or back."""


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
    corners: tuple[tuple[float, float], ...] | None = None
    """`Corners` in the picture it was read from."""
    is_check_digit_right: bool | None = None
    """None where the text has no check digit to be wrong."""

    @property
    def box(self) -> Box | None:
        """(x, y, width, height) around the corners."""
        if self.corners is None:
            return None
        xs, ys = zip(*self.corners, strict=True)
        return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


_BARS: Any = [
    zxingcpp.BarcodeFormat.EAN13,
    zxingcpp.BarcodeFormat.EAN8,
    zxingcpp.BarcodeFormat.UPCA,
    zxingcpp.BarcodeFormat.Code128,
]
_QR: Any = [zxingcpp.BarcodeFormat.QRCode]
_DATA_MATRIX: Any = [zxingcpp.BarcodeFormat.DataMatrix]

# The search for DataMatrix follows every edge, those of noise too, and takes more than
# all others together. Smoothed so little it is a third quicker and finds as many, down
# to modules of 2.5 pixels; thin bars would suffer.
_DATA_MATRIX_SIGMA_PX = 0.6


def read_codes(
    pixels: Pixels,
    *,
    within: Part | None = None,
    bars: bool = True,
    data_matrix: bool = True,
) -> tuple[Code, ...]:
    """Search ``pixels`` for every code; sorted by text so that the order is the same.

    Args:
        pixels: (h, w, 3); the search takes time in proportion to its area.
        within: the part that is searched, or all of it.
        bars: whether to search for bars, too.
        data_matrix: whether to search for DataMatrix, too.
    """
    left, top, right, bottom = within or (0, 0, pixels.shape[1], pixels.shape[0])
    left, top = max(0, left), max(0, top)
    part = pixels[top : max(0, bottom), left : max(0, right)]
    if not part.size:
        return ()
    luma = grey(part)
    found = _read(luma, _BARS + _QR if bars else _QR)
    if data_matrix:
        smooth = cv2.GaussianBlur(luma, (3, 3), _DATA_MATRIX_SIGMA_PX)
        found += _read(smooth, _DATA_MATRIX)
    return _in_order(_code(one, _shift(left, top)) for one in found)


def united(codes: Iterable[Code], more: Iterable[Code]) -> tuple[Code, ...]:
    """Return ``codes`` and those of ``more`` that say something else, in one order."""
    first = list(codes)
    known = {(code.text, code.symbology) for code in first}
    return _in_order(
        first + [code for code in more if (code.text, code.symbology) not in known]
    )


def _in_order(codes: Iterable[Code]) -> tuple[Code, ...]:
    return tuple(sorted(codes, key=lambda code: (code.text, code.symbology)))


def _read(luma: Any, formats: Any, *, is_upright: bool = False) -> list[Any]:
    return list(
        zxingcpp.read_barcodes(
            luma,
            formats=formats,
            try_rotate=not is_upright,
            try_invert=False,
            try_downscale=False,
        )
    )


def _code(found: Any, picture_from_read: NDArray[np.float64]) -> Code:
    at = found.position
    four = (at.top_left, at.top_right, at.bottom_right, at.bottom_left)
    points = np.array([(point.x, point.y) for point in four], np.float64)
    placed = cv2.perspectiveTransform(points[None], picture_from_read)[0]
    code = parse_code(found.text, symbology=found.format.name)
    return replace(code, corners=tuple((float(x), float(y)) for x, y in placed))


def _shift(x: float, y: float) -> NDArray[np.float64]:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


# --- where a code is expected ---------------------------------------------------------


def read_place(pixels: Pixels, corners: Corners, symbology: str) -> tuple[Code, ...]:
    """Read the code between ``corners``: drawn upright and finer, or else as it is.

    That takes a small part of the time of a search, and reads more: bars and QR from
    1.3 pixels a module, of which a search finds less than half, and at any turn;
    DataMatrix from 1.5 pixels in place of 2.5.

    Args:
        pixels: (h, w, 3).
        corners: (4, 2) in it, to a few pixels.
        symbology: what is expected: any bars, or else its own symbology alone.
    """
    formats = _alike(symbology)
    # Bars are the same in every row: half of the rows are enough, and none beyond.
    rows, below = (0.5, 0.0) if formats is _BARS else (2.0, 1.0)
    wide, (across, down) = _with_quiet_zone(corners, below)
    part = _around(wide)
    left, top = part[:2]
    cut = pixels[top : part[3], left : part[2]]
    if not cut.size:
        return ()
    width, height = (
        round(min(max(side, 1.0), _MAX_SIDE_PX)) for side in (2 * across, rows * down)
    )
    ends = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    # cv2 puts pixel centres on integers, here they lie at one half.
    cut_from_drawn = cv2.getPerspectiveTransform(
        np.asarray(ends - 0.5, np.float32),
        np.asarray(wide - 0.5 - (left, top), np.float32),
    )
    drawn = cv2.warpPerspective(
        grey(cut),
        cut_from_drawn,
        (width, height),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if found := _read(drawn, formats, is_upright=True):
        to_picture = _shift(left, top) @ cut_from_drawn
        return _in_order(_code(one, to_picture) for one in found)
    # Now and then the two grids fall together so that it is read as it was, only.
    is_matrix = formats is _DATA_MATRIX
    return read_codes(pixels, within=part, bars=formats is _BARS, data_matrix=is_matrix)


_MAX_SIDE_PX = 800


def _alike(symbology: str) -> Any:
    for formats in (_QR, _DATA_MATRIX):
        if symbology == formats[0].name:
            return formats
    return _BARS


def _with_quiet_zone(
    corners: Corners, below: float = 1.0
) -> tuple[Corners, tuple[float, float]]:
    """Widen ``corners`` by what readers want to see, and by what they may be off.

    Args:
        corners: (4, 2).
        below: how much of it above and below.

    Returns:
        (4, 2), and the (width, height) within.
    """
    along, down = corners[1] - corners[0], corners[3] - corners[0]
    width = max(1.0, float(np.hypot(*along)))
    height = max(1.0, float(np.hypot(*down)))
    margin = max(_QUIET_PX, _QUIET_SHARE * width)
    along, down = along * margin / width, down * margin * below / height
    outwards = np.array([-along - down, along - down, along + down, down - along])
    size = width + 2 * margin, height + 2 * margin * below
    return np.asarray(corners + outwards, np.float64), size


_QUIET_SHARE = 0.12
_QUIET_PX = 8


def _around(points: Corners) -> Part:
    points = points.clip(-_FAR_PX, _FAR_PX)
    left, top = np.floor(points.min(axis=0) - 2).clip(0).astype(int).tolist()
    right, bottom = np.ceil(points.max(axis=0) + 2).clip(0).astype(int).tolist()
    return left, top, right, bottom


_FAR_PX = 1 << 20
"""Beyond any picture."""


def search_within(
    pixels: Pixels, corners: Corners, *, beside: float, bars: bool = True
) -> tuple[Code, ...]:
    """Search what lies between ``corners`` for codes of which little is known.

    Args:
        pixels: (h, w, 3).
        corners: (4, 2) in it; not searched if no code fits between them.
        beside: how far around, as a share of the long side.
        bars: whether to search for bars, too.
    """
    low, high = corners.min(axis=0), corners.max(axis=0)
    if (high - low).min() < (_MIN_BARS_PX if bars else _MIN_CODE_PX):
        return ()
    margin = beside * (high - low).max()
    part = _around(np.array([low - margin, high + margin]))
    return read_codes(pixels, within=part, bars=bars)


_MIN_BARS_PX = 8
_MIN_CODE_PX = 32
"""A DataMatrix with a GTIN has 16 modules at least, and is found from 2 pixels each."""


def is_among(code: Code, codes: Iterable[Code]) -> bool:
    """Tell whether ``code`` was read again, be it with the serial of another unit.

    The text is the same, or the symbology and the GTIN (or that there is none) are.
    """
    return any(
        one.text == code.text
        or (one.symbology == code.symbology and one.gtin == code.gtin)
        for one in codes
    )


def is_legible(code: Code, pixels: Pixels, corners: Corners) -> bool:
    """Tell whether a search could find ``code`` between ``corners``, by its size.

    Args:
        code: as read in ``pixels``.
        pixels: (h, w, 3).
        corners: (4, 2), in a photo.
    """
    if code.corners is None or code.box is None:
        return True
    before = np.array(code.corners)
    now, then = (float(np.linalg.norm(q[2:] - q[:2])) for q in (corners, before))
    scale = now / max(1.0, then)
    if scale >= 1:
        return True
    if code.symbology in _MODULES:
        longest = scale * max(code.box[2:])
        return longest >= _MIN_MODULE_PX * _MODULES[code.symbology]
    # How many modules others have is not told. So it is tried on what they were read
    # from: no photo that sees them as small shows them better.
    left, top, right, bottom = _around(_with_quiet_zone(before)[0])
    part = pixels[top:bottom, left:right]
    if not part.size:
        return True
    width, height = (max(1, round(side * scale)) for side in part.shape[1::-1])
    again = read_codes(resized(part, (width, height)))
    return any(one.text == code.text for one in again)


_MODULES = {"EAN13": 95, "UPCA": 95, "EAN8": 67}
_MIN_MODULE_PX = 1.25
"""No search finds bars drawn finer, but by chance at exactly one pixel."""


# --- text to fields -------------------------------------------------------------------


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


@lru_cache(maxsize=1024)
def normalised_gtin(text: str) -> str | None:
    """Return ``text`` as GTIN-14, or None when it is no GTIN."""
    try:
        return Gtin.parse(text.strip()).as_gtin_14()
    except ParseError:
        return None


def gtins(codes: Iterable[Code]) -> set[str]:
    """Return the GTINs that ``codes`` carry, as GTIN-14."""
    return {code.gtin for code in codes if code.gtin is not None}


def is_foreign(codes: Iterable[Code], enrolled: str | None) -> bool | None:
    """Tell whether ``codes`` carry GTINs, and not the one enrolled.

    None where either has none.
    """
    wanted, read = normalised_gtin(enrolled or ""), gtins(codes)
    return wanted not in read if wanted is not None and read else None

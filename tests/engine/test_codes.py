import cv2
import numpy as np
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from scenes import Photograph, Pixels, photographed

from touchstone.engine.codes import (
    Code,
    is_among,
    is_foreign,
    is_legible,
    normalised_gtin,
    parse_code,
    read_codes,
    read_place,
    search_within,
    united,
)

GTIN_13 = "4006381333931"


def with_check_digit(digits: str) -> str:
    weights = [3 if at % 2 == 0 else 1 for at in range(len(digits))][::-1]
    total = sum(w * int(d) for w, d in zip(weights, digits, strict=True))
    return digits + str(-total % 10)


def label_with(text: str, kind: "zxingcpp.BarcodeFormat") -> Pixels:
    """A code amid white, (h, w, 3)."""
    code = np.array(zxingcpp.create_barcode(text, kind).to_image(scale=3), np.uint8)
    paper = cv2.copyMakeBorder(
        code, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=(255,) * 3
    )
    return np.dstack([np.asarray(paper, np.uint8)] * 3)


def test_an_ean_is_read_from_a_tilted_photo() -> None:
    shown = label_with(GTIN_13, zxingcpp.BarcodeFormat.EAN13)
    photo = photographed(shown, tilt=0.1, turn=12, zoom=1.2)
    (code,) = read_codes(photo.pixels)
    assert (code.symbology, code.text) == ("EAN13", GTIN_13)
    assert code.gtin == "0" + GTIN_13
    assert code.is_check_digit_right


def test_codes_come_in_one_order_whatever_their_place() -> None:
    first = label_with("one", zxingcpp.BarcodeFormat.QRCode)
    second = label_with("two", zxingcpp.BarcodeFormat.QRCode)
    height = min(first.shape[0], second.shape[0])
    pair = first[:height], second[:height]
    for both in (np.hstack(pair), np.hstack(pair[::-1])):
        assert [code.text for code in read_codes(both)] == ["one", "two"]


def test_a_code_says_where_it_was_read() -> None:
    shown = label_with("one", zxingcpp.BarcodeFormat.QRCode)
    aside = np.hstack([np.full_like(shown, 255), shown])
    (code,) = read_codes(aside)
    assert code.box is not None
    x, y, width, height = code.box
    assert shown.shape[1] < x < x + width < aside.shape[1]
    assert 0 < y < y + height < aside.shape[0]


def test_a_picture_without_codes_has_none() -> None:
    assert read_codes(np.full((120, 160, 3), 200, np.uint8)) == ()


def test_the_fields_of_a_gs1_code_are_read() -> None:
    code = parse_code("010400638133393117281231" + "10LOT7" + "\x1d21SER9")
    assert code.gtin == "04006381333931"
    assert code.expiry == "2028-12-31"
    assert code.lot == "LOT7"
    assert code.serial == "SER9"


SHOWN = "(01)04006381333931(17)261231(10)ABC"
"""GS1 fields as people see them below the bars, and as readers of codes tell them."""


def test_the_fields_of_a_gs1_code_are_read_in_parentheses_too() -> None:
    code = parse_code(f"{SHOWN}(21)SER9")
    assert code.text == f"{SHOWN}(21)SER9"
    assert code.gtin == "04006381333931"
    assert code.expiry == "2026-12-31"
    assert code.lot == "ABC"
    assert code.serial == "SER9"
    assert code.is_check_digit_right


def test_blanks_between_the_fields_of_a_gs1_code_mean_nothing() -> None:
    code = parse_code(" (01) 04006381333931 (10) ABC ")
    assert (code.gtin, code.lot) == ("04006381333931", "ABC")


@pytest.mark.parametrize("kind", ["DataMatrix", "Code128", "QRCode"])
def test_a_printed_gs1_code_gives_its_fields(kind: str) -> None:
    symbol = zxingcpp.create_barcode(
        SHOWN, getattr(zxingcpp.BarcodeFormat, kind), gs1=True
    )
    drawn = np.array(symbol.to_image(scale=4), np.uint8)
    paper = cv2.copyMakeBorder(drawn, 60, 60, 60, 60, cv2.BORDER_CONSTANT, value=255)
    (code,) = read_codes(np.dstack([np.asarray(paper, np.uint8)] * 3))
    assert (code.symbology, code.gtin) == (kind, "04006381333931")
    assert (code.lot, code.expiry) == ("ABC", "2026-12-31")


@pytest.mark.parametrize("text", ["(01)04006381333932(10)A", "010400638133393210A"])
def test_a_wrong_check_digit_in_a_gs1_code_is_told(text: str) -> None:
    code = parse_code(text)
    assert (code.gtin, code.lot) == (None, "A")
    assert code.is_check_digit_right is False


@pytest.mark.parametrize(
    "text",
    [
        "(01)04006381333931(x)foo",
        "(01)04006381333931(10)",
        "(01)04006381333931()",
        "(01)0400638133393199(10)ABC",
        "(01)04006381333931(17)261399",
        "(10)A(B)C(01)04006381333931",
        "(0)1(01)04006381333931",
        "see (01)04006381333931",
    ],
)
def test_text_that_is_gs1_only_in_part_gives_no_fields(text: str) -> None:
    code = parse_code(text)
    assert code.text == text
    assert (code.gtin, code.lot, code.expiry, code.serial) == (None,) * 4


@given(st.text("()0129 A17\x1d", max_size=40))
def test_any_text_in_parentheses_is_parsed_without_complaint(text: str) -> None:
    code = parse_code("(" + text)
    assert code.text == "(" + text
    assert code.gtin is None or len(code.gtin) == 14


def test_an_expiry_without_a_day_is_a_month() -> None:
    assert parse_code("010400638133393117281200").expiry == "2028-12"


def test_a_wrong_check_digit_is_told_and_gives_no_gtin() -> None:
    code = parse_code(GTIN_13[:-1] + "2")
    assert code.gtin is None
    assert code.is_check_digit_right is False


def test_text_that_is_no_gtin_has_no_check_digit() -> None:
    code = parse_code("https://example.org/?id=7")
    assert code.is_check_digit_right is None
    assert code.gtin is None


@given(st.text(max_size=60))
def test_any_text_is_parsed_without_complaint(text: str) -> None:
    code = parse_code(text)
    assert code.text == text
    assert code.gtin is None or len(code.gtin) == 14


@given(
    st.sampled_from([7, 11, 12, 13]).flatmap(
        lambda n: st.text("0123456789", min_size=n, max_size=n)
    )
)
def test_one_digit_changed_is_always_seen(digits: str) -> None:
    right = with_check_digit(digits)
    wrong = right[:-1] + str((int(right[-1]) + 1) % 10)
    assert parse_code(wrong).gtin is None
    assert parse_code(wrong).is_check_digit_right is False


@pytest.mark.parametrize(
    ("text", "gtin"),
    [
        (GTIN_13, "0" + GTIN_13),
        (f" {GTIN_13} ", "0" + GTIN_13),
        ("96385074", "00000096385074"),
        (GTIN_13[:-1] + "2", None),
        ("", None),
        ("P-1", None),
    ],
)
def test_a_gtin_has_one_form(text: str, gtin: str | None) -> None:
    assert normalised_gtin(text) == gtin


def test_only_what_lies_within_is_read_and_its_place_is_that_in_the_picture() -> None:
    first = label_with("one", zxingcpp.BarcodeFormat.QRCode)
    second = label_with("two", zxingcpp.BarcodeFormat.QRCode)
    height, width = first.shape[:2]
    both = np.hstack([first, second])
    (code,) = read_codes(both, within=(width, -5, 9 * width, 9 * height))
    (same,) = (one for one in read_codes(both) if one.text == "two")
    assert code == same


@pytest.mark.parametrize("within", [(50, 50, 50, 80), (500, 0, 600, 90), (9, 9, 3, 3)])
def test_an_empty_part_has_no_codes(within: tuple[int, int, int, int]) -> None:
    shown = label_with("one", zxingcpp.BarcodeFormat.QRCode)[:, :300]
    assert read_codes(shown, within=within) == ()


@pytest.mark.parametrize("turn", [0, 10, 90, 200])
def test_a_data_matrix_is_read_at_every_turn_that_bars_are(turn: float) -> None:
    matrix = label_with("010400638133393110LOT7", zxingcpp.BarcodeFormat.DataMatrix)
    bars = label_with(GTIN_13, zxingcpp.BarcodeFormat.EAN13)
    height = max(matrix.shape[0], bars.shape[0])
    pair = [
        cv2.copyMakeBorder(
            one, 0, height - one.shape[0], 0, 0, cv2.BORDER_CONSTANT, value=(255,) * 3
        )
        for one in (matrix, bars)
    ]
    photo = photographed(
        np.hstack(pair).astype(np.uint8), turn=turn, zoom=1.2, frame_px=(900, 900)
    )
    read = {code.symbology for code in read_codes(photo.pixels)}
    assert read == {"DataMatrix", "EAN13"}


def test_only_what_is_asked_for_is_searched() -> None:
    kinds = (zxingcpp.BarcodeFormat.QRCode, zxingcpp.BarcodeFormat.DataMatrix)
    bars = label_with(GTIN_13, zxingcpp.BarcodeFormat.EAN13)
    pair = [label_with(kind.name, kind) for kind in kinds]
    height = max(one.shape[0] for one in (bars, *pair))
    shown = np.hstack(
        [
            cv2.copyMakeBorder(
                one,
                0,
                height - one.shape[0],
                0,
                0,
                cv2.BORDER_CONSTANT,
                value=(255,) * 3,
            )
            for one in (bars, *pair)
        ]
    ).astype(np.uint8)
    for bars_too, matrix_too in ((True, False), (False, True), (False, False)):
        found = read_codes(shown, bars=bars_too, data_matrix=matrix_too)
        expected = {"QRCode"} | ({"EAN13"} if bars_too else set())
        expected |= {"DataMatrix"} if matrix_too else set()
        assert {code.symbology for code in found} == expected


# --- in places ------------------------------------------------------------------------


def the_code(pixels: Pixels) -> Code:
    (code,) = read_codes(pixels)
    return code


def corners_in(
    photo: Photograph, code: Code
) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    assert code.corners is not None
    return photo.points(np.array(code.corners))


@pytest.mark.parametrize("turn", [0, 20, 45, 90, 135, 180])
@pytest.mark.parametrize("off", [(0, 0), (5, -4)])
def test_bars_are_read_in_their_place_at_any_turn(
    turn: float, off: tuple[int, int]
) -> None:
    shown = label_with(GTIN_13, zxingcpp.BarcodeFormat.EAN13)
    photo = photographed(shown, turn=turn, tilt=0.05, zoom=0.6)
    place = corners_in(photo, the_code(shown)) + off
    (code,) = read_place(photo.pixels, place, "EAN13")
    assert code.gtin == "0" + GTIN_13


@pytest.mark.parametrize(
    ("kind", "zoom"), [("EAN13", 0.43), ("QRCode", 0.45), ("DataMatrix", 0.5)]
)
def test_a_code_too_small_for_a_search_is_read_in_its_place(
    kind: str, zoom: float
) -> None:
    form = getattr(zxingcpp.BarcodeFormat, kind)
    shown = label_with(GTIN_13 if kind == "EAN13" else SHOWN, form)
    photo = photographed(shown, turn=45, zoom=zoom)
    assert read_codes(photo.pixels) == ()
    (code,) = read_place(photo.pixels, corners_in(photo, the_code(shown)), kind)
    assert code.symbology == kind
    assert code.gtin == "0" + GTIN_13


@pytest.mark.parametrize("kind", ["EAN13", "QRCode", "DataMatrix"])
def test_a_code_read_in_its_place_says_where_it_is_in_the_picture(kind: str) -> None:
    form = getattr(zxingcpp.BarcodeFormat, kind)
    shown = label_with(GTIN_13, form)
    photo = photographed(shown, turn=30, tilt=0.1, zoom=1.2)
    place = corners_in(photo, the_code(shown))
    (code,) = read_place(photo.pixels, place, kind)
    assert code.box is not None
    around = [*place.min(axis=0), *np.ptp(place, axis=0)]
    assert code.box == pytest.approx(around, abs=6)


def test_other_bars_are_read_where_bars_are_expected_and_no_data_matrix() -> None:
    for kind, is_read in (("EAN8", True), ("Code128", True), ("DataMatrix", False)):
        shown = label_with("96385074", getattr(zxingcpp.BarcodeFormat, kind))
        place = np.array(the_code(shown).corners)
        assert bool(read_place(shown, place, "EAN13")) is is_read


@pytest.mark.parametrize("at", [-4000.0, 0.0, 4000.0])
def test_a_place_beyond_the_picture_or_without_extent_has_no_codes(at: float) -> None:
    shown = label_with(GTIN_13, zxingcpp.BarcodeFormat.EAN13)
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    for side in (0, 1, 90):
        assert read_place(shown, square * side + at, "EAN13") == ()


def test_what_was_read_before_is_not_told_again() -> None:
    known, other, more = (parse_code(text) for text in ("b", "c", "a"))
    again = parse_code("b", symbology="QRCode")
    assert united([other, known], [known, more]) == (more, known, other)
    assert united([known, known], []) == (known, known)
    assert united([known], [again]) == (known, again)


def test_what_lies_between_corners_is_searched_if_a_code_fits_there() -> None:
    shown = label_with("one", zxingcpp.BarcodeFormat.QRCode)
    beside = np.hstack([shown, label_with("two", zxingcpp.BarcodeFormat.QRCode)])
    height, width = shown.shape[:2]
    place = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    (code,) = search_within(beside, place, beside=0.1)
    assert code.text == "one"
    assert len(search_within(beside, place, beside=1.1)) == 2
    low = place * (1, 31 / height)
    assert search_within(beside, low, beside=9, bars=False) == ()
    bars = label_with(GTIN_13, zxingcpp.BarcodeFormat.EAN13)
    assert search_within(bars, low, beside=2)
    assert search_within(bars, place * (1, 7 / height), beside=2) == ()
    assert search_within(bars, place, beside=2, bars=False) == ()
    assert search_within(bars, place, beside=2)


def test_a_code_is_the_same_with_the_serial_of_another_unit() -> None:
    def unit(serial: str, gtin: str = GTIN_13) -> Code:
        return parse_code(f"010{gtin}21{serial}", symbology="DataMatrix")

    first = unit("A1")
    assert is_among(first, [unit("B2")])
    assert not is_among(first, [unit("A1", "5901234123457")])
    assert not is_among(first, [parse_code(GTIN_13, symbology="EAN13")])
    assert not is_among(first, [])


@pytest.mark.parametrize(("zoom", "expected"), [(0.3, False), (0.6, True), (1.2, True)])
@pytest.mark.parametrize("kind", ["EAN13", "QRCode"])
def test_a_code_is_legible_down_to_a_size(
    kind: str, zoom: float, *, expected: bool
) -> None:
    shown = label_with(GTIN_13, getattr(zxingcpp.BarcodeFormat, kind))
    photo = photographed(shown, turn=5, zoom=zoom)
    code = the_code(shown)
    assert is_legible(code, shown, corners_in(photo, code)) is expected
    assert bool(read_codes(photo.pixels)) is expected


@pytest.mark.parametrize(
    ("texts", "enrolled", "expected"),
    [
        ([GTIN_13], GTIN_13, False),
        (["5901234123457"], GTIN_13, True),
        (["5901234123457", GTIN_13], GTIN_13, False),
        (["5901234123457"], None, None),
        (["no number"], GTIN_13, None),
        ([], GTIN_13, None),
    ],
)
def test_codes_are_foreign_when_none_carries_the_enrolled_gtin(
    texts: list[str], enrolled: str | None, *, expected: bool | None
) -> None:
    assert is_foreign([parse_code(text) for text in texts], enrolled) is expected

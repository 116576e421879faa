import cv2
import numpy as np
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from scenes import Pixels, photographed

from touchstone.engine.codes import normalised_gtin, parse_code, read_codes

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

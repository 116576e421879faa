import re

import pytest
from fontTools.ttLib import TTFont
from hypothesis import given
from hypothesis import strategies as st
from reports.invented import ARABIC, CHINESE

from touchstone.reports.lettering import FONT_FOLDER, plain, shown, unbroken

HINDI = "कृष्ण तुलसी"
THAI = "ยาเม็ด"


@pytest.mark.parametrize(
    "name",
    [
        ARABIC,
        CHINESE,
        HINDI,
        THAI,
        "Ελλάς",
        "лекарство",
        "パナドール",
        "타이레놀",
        "می‌روم",
    ],
)
def test_a_name_that_has_a_font_is_left_as_it_is(name: str) -> None:
    assert shown(name) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a\u202egnp.exe", "a[U+202E]gnp.exe"),
        ("a\u2066b\u2069", "a[U+2066]b[U+2069]"),
        ("a\u200bb", "a[U+200B]b"),
        ("\U00013000", "[U+13000]"),
        ("\ue000", "[U+E000]"),
        ("\ud800", "[U+D800]"),
        ("a\0b", "a[U+0000]b"),
        ("a\r\n\tb", "a   b"),
        ("ア\u0300", "ア[U+0300]"),
        ("e\u0301", "e\u0301"),
    ],
)
def test_what_cannot_be_seen_or_set_is_shown_by_number(
    name: str, expected: str
) -> None:
    assert shown(name) == expected


@given(st.text(st.characters(codec="utf-8") | st.characters(categories=["Cs"])))
def test_nothing_hidden_is_ever_set(name: str) -> None:
    assert not re.search(
        "[\0-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown(name)
    )
    assert unbroken(plain(name)).isascii()


@pytest.mark.parametrize("letter", ["W", "字", "ش", "_", "\u0915\u094d"])
def test_a_long_word_gets_places_to_break_and_loses_nothing(letter: str) -> None:
    word = letter * 200
    assert unbroken(shown(word)) == word
    assert max(map(len, shown(word).split("\u200b"))) <= 24


def test_short_words_are_not_broken() -> None:
    for word in ("HU-BUD-2026-0417/3", "IMG_20261127_093000.jpg"):
        assert shown(word) == word


def test_the_table_of_letters_is_that_of_the_fonts() -> None:
    lines = (FONT_FOLDER / "coverage.txt").read_text("ascii").splitlines()
    named = {line.split()[0]: line.split()[1:] for line in lines}
    files = [
        path
        for path in FONT_FOLDER.glob("Noto*-Regular.?tf")
        if "Mono" not in path.name
    ]
    assert {path.stem for path in files} == set(named)
    for path in files:
        codes: set[int] = set()
        for piece in named[path.stem]:
            first, _, last = piece.partition("-")
            codes.update(range(int(first, 16), int(last or first, 16) + 1))
        assert codes == set(TTFont(path).getBestCmap()), path.name


def test_the_fonts_come_with_their_licence_and_are_small() -> None:
    assert "SIL OPEN FONT LICENSE" in (FONT_FOLDER / "OFL.txt").read_text("utf-8")
    size = sum(path.stat().st_size for path in FONT_FOLDER.glob("Noto*"))
    assert size < 6_100_000

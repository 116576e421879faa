import unicodedata
from pathlib import Path

import numpy as np
import pytest

from touchstone_training.simulator.artwork import design, render
from touchstone_training.simulator.counterfeits import counterfeit
from touchstone_training.simulator.coverage import LATIN, covers
from touchstone_training.simulator.elements import TEXT_KINDS
from touchstone_training.simulator.scripts import (
    SCRIPTS,
    Script,
    joined,
    phrase,
    small_print,
    word,
)
from touchstone_training.simulator.typesetting import bundled_fonts, wrapped

BY_NAME = {script.name: script for script in SCRIPTS}


def font(name: str) -> Path:
    return next(f for f in bundled_fonts() if f.name == name)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s.name)
def test_words_are_letters_of_their_script_and_the_same_for_a_seed(
    script: Script,
) -> None:
    words = [word(np.random.default_rng(seed), script) for seed in range(30)]
    assert words == [word(np.random.default_rng(seed), script) for seed in range(30)]
    assert len(set(words)) > 20
    family = unicodedata.name(script.alphabet[0]).split()[0]
    assert all(unicodedata.name(c).split()[0] in {family, "KATAKANA", "HIRAGANA", "CJK"}
               for c in "".join(words))  # fmt: skip
    if script.name != "korean":
        assert set("".join(words)) <= set(script.alphabet)


def test_arabic_letters_are_joined_and_run_from_the_right() -> None:
    # kaf, teh, beh: initial, medial, final; drawn from the left, the last comes first.
    assert joined("كتب") == "ﺐﺘﻛ"
    # Dal never joins onwards, so what follows it stands alone.
    assert joined("در") == "ﺭﺩ"


def test_small_print_has_as_many_words_as_its_script_needs() -> None:
    rng = np.random.default_rng(0)
    assert small_print(rng, BY_NAME["greek"], 3).count(".") == 3
    assert " " not in small_print(rng, BY_NAME["chinese"], 3)
    assert phrase(rng, BY_NAME["cyrillic"], 2)[0].isupper()


def test_text_without_spaces_breaks_anywhere() -> None:
    lines = wrapped("選康康品" * 5, font("DejaVuSans.ttf"), 60.0, em_px=12.0)
    assert len(lines) > 2
    assert "".join(lines) == "選康康品" * 5


def test_coverage_is_read_from_the_font() -> None:
    sans = font("DejaVuSans.ttf")
    assert covers(sans, LATIN)
    assert covers(sans, BY_NAME["cyrillic"].alphabet)
    assert not covers(sans, BY_NAME["thai"].alphabet)
    assert covers(sans, " ")


def test_a_font_that_draws_one_box_for_every_letter_covers_nothing(
    tmp_path: Path,
) -> None:
    from fontTools.ttLib import TTFont  # noqa: PLC0415 - this test alone makes a font

    with TTFont(font("DejaVuSans.ttf")) as made:
        for table in made["cmap"].tables:
            for code in table.cmap:
                if chr(code) in BY_NAME["greek"].alphabet:
                    table.cmap[code] = ".notdef"
        made.save(tmp_path / "boxes.ttf")
    assert covers(tmp_path / "boxes.ttf", LATIN)
    assert not covers(tmp_path / "boxes.ttf", BY_NAME["greek"].alphabet)


def test_no_text_is_set_in_a_font_that_lacks_its_letters() -> None:
    foreign = 0
    for seed in range(40):
        artwork = design(seed)
        for element in artwork.elements:
            if element.kind in TEXT_KINDS | {"paragraph", "table"}:
                words = element.text.replace("\n", " ").replace("\t", " ")
                assert covers(artwork.fonts[element.font], words), element
                foreign += not words.isascii() and element.kind in TEXT_KINDS
    assert foreign > 10


@pytest.mark.parametrize("kind", ["typo", "typeface", "relayout"])
def test_a_forger_of_another_script_uses_letters_that_exist(kind: str) -> None:
    def is_foreign(seed: int) -> bool:
        return any(
            e.kind == "name_text" and not e.text.isascii()
            for e in design(seed, family="part_box").elements
        )

    seed = next(seed for seed in range(200) if is_foreign(seed))
    artwork = design(seed, family="part_box")
    forged = counterfeit(
        artwork, kind, np.random.default_rng(1), severity=0.9, long_side_px=320
    )
    assert not np.array_equal(forged.pixels, render(artwork, long_side_px=320))

"""Invented words in scripts other than Latin, from small tables of syllables.

Words come out as they are drawn from left to right: Arabic letters are joined (by
Unicode's presentation forms) and reversed, and syllables of Devanagari and Thai are
chosen such that no font needs to reorder or stack them. No layout engine is needed.
"""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_CASED = frozenset({"cyrillic", "greek"})
_UNSPACED = frozenset({"chinese", "japanese"})
_FORMS = {"<isolated>": 0, "<final>": 1, "<initial>": 2, "<medial>": 3}
_FIRST_FORM, _PAST_FORMS = 0xFE80, 0xFEF5
_DUAL_JOINING_FORMS = 4
_HANGUL, _VOWELS_PER_ONSET, _CODAS_PER_VOWEL = 0xAC00, 21, 28

_CYRILLIC = ("бвгдзклмнпрстфхжшчц", "аоуиеяюы", ("", "", "н", "р", "л", "м", "й"))  # noqa: RUF001
_GREEK = ("βγδζθκλμνπρστφχψ", "αεηιουω", ("", "", "ν", "ρ", "ς"))  # noqa: RUF001
_THAI = "กขคงจชดตทนบปพมยรลวสห"
_DEVANAGARI = "कखगचजटडतदनपबमयरलवसह"
_ARABIC = "بتثجحخدرزسشصطعفقكلمنهوي"
_ALEF = "\u0627"
_CHINESE = (
    "清新天然健康美味优质特级精选有机纯正营养品牌产地中国山水茶叶谷物水果维生素"
    "片剂胶囊每日使用方法保存阴凉干燥处生产日期净含量配料表安全电器部件高级"
)
_KANA = (
    "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミメモヤヨラリレロ"
)
_HIRA = (
    "あいうえおかきくけこさしすせそたちつてとなにのはひふへほまみめもやゆよらりるれろ"
)
_KANJI = "新鮮天然健康美味品質特選有機純正栄養水果茶毎日使用方法保存生産内容量成分"


@dataclass(frozen=True, slots=True)
class Script:
    """A script: its name, and every letter its words may use."""

    name: str
    alphabet: str

    @property
    def is_right_to_left(self) -> bool:
        """Whether lines start at the right."""
        return self.name == "arabic"


def _pick(rng: np.random.Generator, letters: Sequence[str]) -> str:
    return letters[int(rng.integers(len(letters)))]


def _alphabetic(
    rng: np.random.Generator, table: tuple[str, str, tuple[str, ...]]
) -> str:
    onsets, vowels, codas = table
    syllables = int(rng.integers(2, 4))
    word = "".join(_pick(rng, onsets) + _pick(rng, vowels) for _ in range(syllables))
    return word + _pick(rng, codas)


@lru_cache(maxsize=1)
def _joined_forms() -> dict[str, tuple[str, ...]]:
    # Letter -> isolated, final and, where it joins onwards, initial and medial form.
    found: dict[str, list[str]] = {}
    for code in range(_FIRST_FORM, _PAST_FORMS):
        kind, _, letter = unicodedata.decomposition(chr(code)).partition(" ")
        if kind in _FORMS and letter:
            forms = found.setdefault(chr(int(letter, 16)), [""] * len(_FORMS))
            forms[_FORMS[kind]] = chr(code)
    return {letter: tuple(f for f in forms if f) for letter, forms in found.items()}


def joined(word: str) -> str:
    """Arabic letters in their joined forms, in the order they are drawn."""
    forms = _joined_forms()
    drawn = []
    before = False
    for index, letter in enumerate(word):
        shapes = forms[letter]
        onwards = len(shapes) == _DUAL_JOINING_FORMS and index + 1 < len(word)
        drawn.append(shapes[(2 if onwards else 0) + (1 if before else 0)])
        before = onwards
    return "".join(reversed(drawn))


def _arabic(rng: np.random.Generator) -> str:
    letters = [_pick(rng, _ARABIC)]
    for _ in range(int(rng.integers(2, 6))):
        # Lam and alef would have to become a ligature; two alefs never meet.
        is_long = letters[-1] not in "لا" and rng.integers(3) == 0
        letters.append(_ALEF if is_long else _pick(rng, _ARABIC))
    return joined("".join(letters))


def _thai(rng: np.random.Generator) -> str:
    shapes = ("{}า", "{}ี", "{}ู", "{}ิน", "เ{}", "แ{}ง", "โ{}", "{}อ", "{}ัน", "ไ{}")
    syllables = int(rng.integers(2, 5))
    return "".join(
        _pick(rng, shapes).format(_pick(rng, _THAI)) for _ in range(syllables)
    )


def _devanagari(rng: np.random.Generator) -> str:
    signs = ("", "", "ा", "ी", "ु", "े", "ो", "ं")
    syllables = int(rng.integers(2, 5))
    return "".join(
        _pick(rng, _DEVANAGARI) + _pick(rng, signs) for _ in range(syllables)
    )


def _chinese(rng: np.random.Generator) -> str:
    return "".join(_pick(rng, _CHINESE) for _ in range(int(rng.integers(2, 5))))


def _japanese(rng: np.random.Generator) -> str:
    letters = (_KANA, _HIRA, _KANJI)[int(rng.integers(3))]
    return "".join(_pick(rng, letters) for _ in range(int(rng.integers(2, 5))))


def _korean(rng: np.random.Generator) -> str:
    return "".join(
        chr(
            _HANGUL
            + (int(rng.integers(19)) * _VOWELS_PER_ONSET + int(_pick(rng, "0489")) * 2)
            * _CODAS_PER_VOWEL
            + int(rng.choice([0, 0, 4, 8, 16]))
        )
        for _ in range(int(rng.integers(2, 5)))
    )


_WORDS: dict[str, Callable[[np.random.Generator], str]] = {
    "cyrillic": lambda rng: _alphabetic(rng, _CYRILLIC),
    "greek": lambda rng: _alphabetic(rng, _GREEK),
    "arabic": _arabic,
    "thai": _thai,
    "devanagari": _devanagari,
    "chinese": _chinese,
    "japanese": _japanese,
    "korean": _korean,
}


def _flat(table: tuple[str, str, tuple[str, ...]]) -> str:
    small = "".join((table[0], table[1], *table[2]))
    return small + small.replace("ς", "").upper()


SCRIPTS: tuple[Script, ...] = (
    Script("cyrillic", _flat(_CYRILLIC)),
    Script("greek", _flat(_GREEK)),
    Script(
        "arabic",
        "".join(
            form for letter in (*_ARABIC, _ALEF) for form in _joined_forms()[letter]
        ),
    ),
    Script("thai", _THAI + "าีูิเแโอัไง"),
    Script("devanagari", _DEVANAGARI + "ाीुेों"),
    Script("chinese", _CHINESE),
    Script("japanese", _KANA + _HIRA + _KANJI),
    Script("korean", "가각낙둔랄밍순읽품한"),
)


def word(rng: np.random.Generator, script: Script) -> str:
    """An invented word, capitalised where the script has capitals."""
    made = _WORDS[script.name](rng)
    return made.capitalize() if script.name in _CASED else made


def phrase(rng: np.random.Generator, script: Script, words: int) -> str:
    """That many invented words in a line."""
    gap = "" if script.name in _UNSPACED else " "
    made = [word(rng, script)]
    made += [_WORDS[script.name](rng) for _ in range(words - 1)]
    return gap.join(reversed(made) if script.is_right_to_left else made)


def small_print(rng: np.random.Generator, script: Script, sentences: int) -> str:
    """Sentences of small print."""
    stop = {"chinese": "。", "japanese": "。", "devanagari": ""}.get(script.name, ".")
    made = [
        phrase(rng, script, int(rng.integers(4, 10))) + stop for _ in range(sentences)
    ]
    return ("" if script.name in _UNSPACED else " ").join(made)

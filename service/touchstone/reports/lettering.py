"""Text of any origin to text that can be set: nothing hidden, nothing without a font.

PDF/A takes no letter that its fonts lack, and a control character that turns the
direction of text can make a name read as another. Both are shown by number: [U+202E].
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path

FONT_FOLDER = Path(__file__).parent / "fonts"

_UNSEEN_BUT_NEEDED = frozenset("\u200c\u200d")
"""Joiners: Persian and the scripts of India are misspelt without them."""
_SPACES = frozenset("\t\n\r\x0b\x0c\x85\u2028\u2029")
_BREAK = "\u200b"
_LONGEST_WORD = 24
"""Letters that the narrowest column takes without a place to break."""
_LONGEST_CONNECTED_WORD = 40
"""The same of Arabic, whose letters are narrow and lose their shape at a break."""
_PIECE = 8


def shown(text: str) -> str:
    """Return ``text`` as it can be set and read.

    1. A letter and the marks on it are kept if one font has them all.
    2. Of what no font has, and of controls, the number is shown in brackets.
    3. Long runs get places to break, which are not seen.
    """
    if text.isascii() and text.isprintable():
        return _breakable(text)
    return _breakable("".join(_cluster(cluster) for cluster in _clusters(text)))


def plain(text: str) -> str:
    """Return ``text`` in ASCII, anything else by number: set by any font."""
    return _breakable(
        "".join(one if " " <= one <= "~" else _number(one) for one in text)
    )


def unbroken(text: str) -> str:
    """Return ``text`` without the places to break that were made."""
    return text.replace(_BREAK, "")


def _clusters(text: str) -> Iterator[str]:
    """Give letters with the marks that follow them."""
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or not _is_mark(text[at]):
            yield text[start:at]
            start = at


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter)[0] == "M" or letter in _UNSEEN_BUT_NEEDED


@lru_cache(maxsize=4096)
def _cluster(cluster: str) -> str:
    if cluster in _SPACES or not cluster:
        return " " * len(cluster)
    needed = {ord(one) for one in cluster if one not in _UNSEEN_BUT_NEEDED}
    if any(needed <= letters for letters in _fonts()):
        return cluster
    return "".join(_letter(one) for one in cluster)


def _letter(letter: str) -> str:
    """Return one letter that stands apart from what it was a cluster with."""
    has_font = any(ord(letter) in letters for letters in _fonts())
    return letter if has_font and not _is_mark(letter) else _number(letter)


def _number(letter: str) -> str:
    return f"[U+{ord(letter):04X}]"


def _breakable(text: str) -> str:
    """Let words that fit in no column break every few letters."""
    if len(text) <= _LONGEST_WORD:
        return text
    return "".join(
        _broken(piece) if len(piece) > _LONGEST_WORD else piece
        for piece in re.split("( +)", text)
    )


def _broken(word: str) -> str:
    connected = any(unicodedata.bidirectional(letter) == "AL" for letter in word)
    if connected and len(word) <= _LONGEST_CONNECTED_WORD:
        return word
    most = _LONGEST_WORD if connected else _PIECE
    pieces = [""]
    for cluster in _clusters(word):
        if len(pieces[-1]) + len(cluster) > most:
            pieces.append("")
        pieces[-1] += cluster
    return _BREAK.join(pieces)


@cache
def _fonts() -> tuple[frozenset[int], ...]:
    """Return what each font for text can show: letters alone, no controls."""
    fonts = []
    for line in (FONT_FOLDER / "coverage.txt").read_text("ascii").splitlines():
        codes: set[int] = set()
        for piece in line.split()[1:]:
            first, _, last = piece.partition("-")
            codes.update(range(int(first, 16), int(last or first, 16) + 1))
        fonts.append(frozenset(code for code in codes if _is_letter(chr(code))))
    return tuple(fonts)


def _is_letter(letter: str) -> bool:
    return unicodedata.category(letter)[0] not in "CZ" or letter in " \u00a0\u3000"

"""Text of any origin to text that can be set: nothing hidden, nothing without a font.

PDF/A takes no letter that its fonts lack, and a control character that turns the
direction of text can make a name read as another. Both are shown by number: [U+202E].
"""

import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

FONT_FOLDER = Path(__file__).parent / "fonts"

_UNSEEN_BUT_NEEDED = frozenset("\u200c\u200d")
"""Joiners: Persian and the scripts of India are misspelt without them."""
_SPACES = frozenset("\t\n\r\x0b\x0c\x85\u2028\u2029")
_BREAK = "\u200b"
_LONGEST_RUN = 16
"""Letters without a place to break, after which one is made."""


def shown(text: str) -> str:
    """Return ``text`` as it can be set and read.

    1. A letter and the marks on it are kept if one font has them all.
    2. Of what no font has, and of controls, the number is shown in brackets.
    3. Long runs get places to break, which are not seen.
    """
    return _breakable("".join(_cluster(cluster) for cluster in _clusters(text)))


def plain(text: str) -> str:
    """Return ``text`` in ASCII, anything else by number: set by any font."""
    return _breakable(
        "".join(one if " " <= one <= "~" else _number(one) for one in text)
    )


def _clusters(text: str) -> Iterator[str]:
    """Give letters with the marks that follow them."""
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or not _is_mark(text[at]):
            yield text[start:at]
            start = at


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter)[0] == "M" or letter in _UNSEEN_BUT_NEEDED


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
    run, out = 0, []
    for at, letter in enumerate(text):
        run = 0 if letter.isspace() else run + 1
        joined = at > 0 and (_is_mark(letter) or text[at - 1] in _UNSEEN_BUT_NEEDED)
        if run > _LONGEST_RUN and not joined and not _connects(letter):
            out.append(_BREAK)
            run = 1
        out.append(letter)
    return "".join(out)


def _connects(letter: str) -> bool:
    """Tell whether a break before ``letter`` would change its shape."""
    return unicodedata.bidirectional(letter) == "AL"


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

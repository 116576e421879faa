"""Which letters a font has, so that no text is set in empty boxes."""

from functools import lru_cache
from pathlib import Path
from string import ascii_letters, digits

LATIN = ascii_letters + digits + " .,:;/%-+°éüñł"


@lru_cache(maxsize=512)
def _code_points(font: Path) -> frozenset[int]:
    from fontTools.ttLib import TTFont  # noqa: PLC0415 - comes with matplotlib

    with TTFont(font, fontNumber=0, lazy=True) as opened:
        return frozenset(opened.getBestCmap() or ())


@lru_cache(maxsize=1 << 14)
def covers(font: Path, text: str) -> bool:
    """Whether the font has every letter of the text."""
    return _code_points(font).issuperset(map(ord, set(text) - {" "}))

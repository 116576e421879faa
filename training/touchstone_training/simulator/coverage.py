"""Which letters a font has, so that no text is set in empty boxes."""

from functools import lru_cache
from pathlib import Path
from string import ascii_letters, digits

from touchstone_training.simulator.typesetting import face

LATIN = ascii_letters + digits + " .,:;/%-+°éüñł"


_SAMPLE, _SAMPLE_PX = 12, 24.0


@lru_cache(maxsize=512)
def _code_points(font: Path) -> frozenset[int]:
    from fontTools.ttLib import TTFont  # noqa: PLC0415 - comes with matplotlib

    with TTFont(font, fontNumber=0, lazy=True) as opened:
        return frozenset(opened.getBestCmap() or ())


@lru_cache(maxsize=1 << 14)
def covers(font: Path, text: str) -> bool:
    """Whether the font has every letter of the text, and draws them apart.

    Some fonts promise letters for which they all draw the same empty box.
    """
    letters = sorted(set(text) - {" "})
    if not _code_points(font).issuperset(map(ord, letters)):
        return False
    if not letters:
        return True
    sample = letters[:: max(1, len(letters) // _SAMPLE)]
    return len({_drawn(font, c) for c in sample}) > len(sample) // 2


@lru_cache(maxsize=1 << 14)
def _drawn(font: Path, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = face(font, _SAMPLE_PX).getmask(letter)
    return mask.size, bytes(mask)

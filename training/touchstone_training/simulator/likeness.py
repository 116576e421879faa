"""How alike two typefaces are: a careful forger takes the nearest, a crude one any."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone_training.simulator.scripts import SCRIPTS
from touchstone_training.simulator.typesetting import line_mask, text_width

_LATIN_SAMPLE = "Rage3xg"
_SAMPLE_LETTERS = 5
_EM_PX = 40.0
_SIZE_PX = (96, 48)


@lru_cache(maxsize=4096)
def _look(font: Path, sample: str) -> NDArray[np.float32]:
    # The sample set to one width and softened, (h, w), with its true width beside it.
    wide = text_width(sample, font, _EM_PX)
    mask = line_mask(sample, font, (max(1, round(wide)), _SIZE_PX[1]), em_px=_EM_PX)
    small = cv2.resize(mask, _SIZE_PX, interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small.astype(np.float32) / 255, (0, 0), 1.2)
    return np.append(soft.ravel(), np.float32(wide / 12)).astype(np.float32)


def _sample(text: str) -> str:
    # The same few letters for all texts of a script, so that looks are drawn once.
    letters = set(text)
    for script in SCRIPTS:
        if letters & set(script.alphabet):
            return script.alphabet[:_SAMPLE_LETTERS]
    return _LATIN_SAMPLE


def nearest_first(text: str, current: Path, others: Sequence[Path]) -> list[int]:
    """Indices of ``others``, those that look most like ``current`` first.

    ``text`` says in which script they are compared.
    """
    sample = _sample(text)
    look = _look(current, sample)
    apart = [float(np.linalg.norm(_look(font, sample) - look)) for font in others]
    return sorted(range(len(others)), key=apart.__getitem__)

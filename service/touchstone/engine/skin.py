"""The colour of skin, of any tone and in any light.

In YCrCb, where tones of skin differ by their light more than by their chroma.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import Pixels

_cv2: Any = cv2  # the stubs know no picture times a colour

Mask = NDArray[np.bool_]

# Skin of any tone in YCrCb (Chai and Ngan, IEEE TCSVT 9(4), 1999).
_SKIN_LOW, _SKIN_HIGH = (30, 133, 77), (255, 178, 130)


def white_balance(usual: Pixels, shown: Pixels, face: Mask) -> NDArray[np.float32]:
    """Return what each channel must be multiplied by to see the print's own colours.

    By the middle of all places: what was changed, or lies over it, is less than half.

    Args:
        usual: (h, w, 3), the print.
        shown: (h, w, 3), the print in the photo.
        face: (h, w), which of it counts.
    """
    if not face.any():
        return np.ones(3, np.float32)
    own, lit = (one[face].astype(np.float32) for one in (usual, shown))
    gains = np.median((own + _DARK) / (lit + _DARK), axis=0)
    limited = np.clip(gains / gains.mean(), 1 / _LAMP, _LAMP)
    return np.asarray(limited, np.float32)


_DARK = 20
"""Levels below which a channel says little of the lamp."""
_LAMP = 1.25
"""What is further off white than by so much has its colour of something else."""


def skin_of(pixels: Pixels, white: NDArray[np.float32]) -> Mask:
    """Tell what has the colour of skin, as it is or in white light."""
    balanced = _cv2.multiply(pixels, (*(float(gain) for gain in white), 0.0))
    skin = np.zeros(pixels.shape[:2], bool)
    for one in (pixels, balanced):
        tones = cv2.cvtColor(one, cv2.COLOR_RGB2YCrCb)
        skin |= cv2.inRange(tones, _SKIN_LOW, _SKIN_HIGH) > 0
    return skin


ONE_COLOUR = 40
"""Levels; board that a missing element bares is lighter than the table beside it."""


def alike(beyond: Pixels, within: Pixels) -> bool:
    """Tell whether two sets of pixels, (n, 3), are of one thing in one light."""
    if not (len(beyond) and len(within)):
        return False
    gap = np.median(beyond, axis=0) - np.median(within, axis=0)
    return bool(np.abs(gap).max() <= ONE_COLOUR)


def of_one_hue(beyond: Pixels, within: Pixels) -> bool:
    """The same whatever is shaded: a finger is round, and its nail shines."""
    if not (len(beyond) and len(within)):
        return False
    tones = [
        np.median(cv2.cvtColor(one[None], cv2.COLOR_RGB2YCrCb)[0], axis=0)
        for one in (beyond, within)
    ]
    light, *chroma = np.abs(tones[0] - tones[1])
    return bool(max(chroma) <= _ONE_HUE and light <= _ONE_SHADE)


_ONE_HUE, _ONE_SHADE = 12, 80
"""Levels of chroma and of light in YCrCb."""

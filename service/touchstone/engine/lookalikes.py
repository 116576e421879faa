"""Print that looks like other print beside it, told by comparing larger pieces.

A line of small print is like the next to whoever looks at its strokes; no patch of
several lines is like another.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.normalisation import Luma, Map

_WINDOW = (17, 17)
"""Pixels over which two pictures are compared: two lines of small print."""
_NOISE = 4.0
"""Least variance, grey levels squared: paper resembles no paper."""
_PATCH_PX = 33
"""Side of what is searched for: four lines."""
_REACH_PX = 12
"""How far it is searched for, each way: a line and a half."""
_FOUND = 0.55
"""Least correlation of a patch, which may be bent and half in shade, where it lies."""
_PEAK_PX = 2
"""How far around the best the correlation is still of the same match."""
_LEAD = 0.05
"""By how much it must lead what it is elsewhere: where lines are alike as far as they
are searched for, none is the one."""


def likeness(first: Luma, second: Luma) -> Map:
    """Correlate two pictures, each place with its surroundings: (h, w), -1 to 1."""
    a, b = first.astype(np.float32), second.astype(np.float32)
    mean_a, mean_b, mean_aa, mean_bb, mean_ab = (
        cv2.blur(one, _WINDOW) for one in (a, b, a * a, b * b, a * b)
    )
    spread_a = np.maximum(mean_aa - mean_a * mean_a, _NOISE)
    spread_b = np.maximum(mean_bb - mean_b * mean_b, _NOISE)
    joint = mean_ab - mean_a * mean_b
    return np.asarray(joint / np.sqrt(spread_a * spread_b), np.float32)


def searched(
    expected: Luma,
    seen: Luma,
    places: NDArray[np.float32],
    guess: NDArray[np.float32],
    which: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Search for places everywhere around where they may lie, to whole pixels.

    Args:
        expected: (h, w).
        seen: (h, w).
        places: (rows, columns, 2), in ``expected``, (x, y), pixels.
        guess: (rows, columns, 2), by how much each may be displaced.
        which: (rows, columns), those to search for.

    Returns:
        (rows, columns, 2) displacements, the guess of what was not found;
        (rows, columns) whether each was.
    """
    height, width = seen.shape
    half, reach = _PATCH_PX // 2, _PATCH_PX // 2 + _REACH_PX
    # Beyond the edge there is what lies on it; no place that is looked for lies there.
    still, moving = (
        cv2.copyMakeBorder(one, rim, rim, rim, rim, cv2.BORDER_REPLICATE)
        for one, rim in ((expected, half), (seen, reach))
    )
    shifts, is_found = guess.copy(), np.zeros(which.shape, bool)
    for row, column in zip(*np.nonzero(which), strict=True):
        x, y = places[row, column].astype(int)
        dx, dy = np.rint(guess[row, column]).astype(int)
        left, top = np.clip(x + dx, 0, width - 1), np.clip(y + dy, 0, height - 1)
        patch = still[y : y + _PATCH_PX, x : x + _PATCH_PX]
        around = moving[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
        told = cv2.matchTemplate(around, patch, cv2.TM_CCOEFF_NORMED)
        _, best, _, (right, down) = cv2.minMaxLoc(told)
        told[
            max(0, down - _PEAK_PX) : down + _PEAK_PX + 1,
            max(0, right - _PEAK_PX) : right + _PEAK_PX + 1,
        ] = -1
        if best > _FOUND and best - float(told.max()) > _LEAD:
            shifts[row, column] = (
                left + right - _REACH_PX - x,
                top + down - _REACH_PX - y,
            )
            is_found[row, column] = True
    return shifts, is_found

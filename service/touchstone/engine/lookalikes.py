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
    """Search for places everywhere around where they may lie.

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
    half, rim = _PATCH_PX // 2, _PATCH_PX // 2 + 2 * _REACH_PX
    around = np.asarray(
        cv2.copyMakeBorder(seen, rim, rim, rim, rim, cv2.BORDER_REPLICATE), np.uint8
    )
    shifts, is_found = guess.copy(), np.zeros(which.shape, bool)
    for row, column in zip(*np.nonzero(which), strict=True):
        x, y = places[row, column].astype(int)
        dx, dy = np.rint(guess[row, column]).astype(int)
        # What lies beyond an edge resembles itself: only the picture is looked for.
        left, top = max(0, x - half), max(0, y - half)
        patch = expected[top : y + half + 1, left : x + half + 1]
        left, top = left + dx + rim - _REACH_PX, top + dy + rim - _REACH_PX
        if min(left, top) < 0:
            continue
        window = around[
            top : top + patch.shape[0] + 2 * _REACH_PX,
            left : left + patch.shape[1] + 2 * _REACH_PX,
        ]
        rest = _peak(window, patch)
        if rest is not None:
            shifts[row, column] = dx + rest[0], dy + rest[1]
            is_found[row, column] = True
    return shifts, is_found


def _peak(window: Luma, patch: Luma) -> tuple[float, float] | None:
    """Find ``patch`` in a ``window`` that is larger by the reach on all sides.

    Returns:
        (x, y) from the middle of it, to a fraction of a pixel; None where nothing
        leads, or what leads may lie beyond.
    """
    whole = 2 * _REACH_PX
    if (window.shape[0] - patch.shape[0], window.shape[1] - patch.shape[1]) != (
        whole,
        whole,
    ):
        return None  # the guess leads out of the picture
    told = cv2.matchTemplate(window, patch, cv2.TM_CCOEFF_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(told)
    if best <= _FOUND or not (0 < x < whole and 0 < y < whole):
        return None
    fine = (
        x - _REACH_PX + _vertex(*told[y, x - 1 : x + 2].tolist()),
        y - _REACH_PX + _vertex(*told[y - 1 : y + 2, x].tolist()),
    )
    near = np.s_[
        max(0, y - _PEAK_PX) : y + _PEAK_PX + 1, max(0, x - _PEAK_PX) : x + _PEAK_PX + 1
    ]
    told[near] = -1
    return fine if best - float(told.max()) > _LEAD else None


def _vertex(before: float, here: float, after: float) -> float:
    """Return where the parabola through three values has its vertex, -0.5 to 0.5."""
    bend = 2 * here - before - after
    return 0.0 if bend <= 0 else 0.5 * (after - before) / bend

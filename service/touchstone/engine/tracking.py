"""Places of one picture, found again in another near where they may lie.

By the method of Lucas and Kanade (IJCAI 1981) at the one scale, there and back: it ends
at what looks the same and lies nearest to where it starts.
"""

from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import lengths
from touchstone.engine.normalisation import Luma

_cv2: Any = cv2  # the stubs know no points that are given to start from

_LOOP_PX = 0.5
"""There and back again: more than this away, it is another place."""
_MOST_STEPS = 10
_GREY = 128


def without_shade(luma: Luma, window_px: int) -> Luma:
    """Leave the print alone, on grey: light that differs passes for a displacement."""
    shade = cv2.blur(luma, (window_px, window_px))
    return np.asarray(cv2.addWeighted(luma, 1, shade, -1, _GREY), np.uint8)


def contrast_of(sharp: Luma, window_px: int) -> Luma:
    """Return how far each place strays from grey, `without_shade`, around it."""
    strays = cv2.absdiff(sharp, np.full_like(sharp, _GREY))
    return np.asarray(cv2.blur(strays, (window_px, window_px)), np.uint8)


def found_near(
    pair: tuple[Luma, Luma],
    places: NDArray[np.float32],
    start: NDArray[np.float32],
    which: NDArray[np.bool_],
    *,
    most_px: float,
    window_px: int,
    settled_px: float,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """Find ``which`` of the places near their ``start``; the others are not found.

    Args:
        pair: (h, w) each, both `without_shade`.
        places: (rows, columns, 2), in the first, pixels.
        start: (rows, columns, 2), by how much each may be displaced in the second.
        which: (rows, columns).
        most_px: further from its start than this nothing is found.
        window_px: side of what is laid over each other.
        settled_px: a step shorter than this is the last.

    Returns:
        (rows, columns, 2) displacements, those of ``start`` where it was not looked
        for; (rows, columns) whether it was found; and (rows, columns) the mean
        difference that is left there, levels.
    """
    shifts, is_found = start.copy(), np.zeros(which.shape, bool)
    rests = np.zeros(which.shape, np.float32)
    at, near = places[which], start[which]
    if not len(at):
        return shifts, is_found, rests
    track = partial(_tracked, window_px=window_px, settled_px=settled_px)
    there, is_there, rest = track(*pair, at, at + near)
    back, is_back, _ = track(*pair[::-1], there, there - near)
    gaps = [lengths(one[None])[0] for one in (back - at, there - at - near)]
    shifts[which], rests[which] = there - at, rest
    is_found[which] = is_there & is_back & (gaps[0] < _LOOP_PX) & (gaps[1] < most_px)
    return shifts, is_found, rests


def _tracked(
    first: Luma,
    second: Luma,
    places: NDArray[np.float32],
    start: NDArray[np.float32],
    *,
    window_px: int,
    settled_px: float,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """(n, 2) where each lies, (n,) whether it was followed, and what is left there."""
    ends, status, rest = _cv2.calcOpticalFlowPyrLK(
        first,
        second,
        np.ascontiguousarray(places).reshape(-1, 1, 2),
        np.ascontiguousarray(start).reshape(-1, 1, 2),
        winSize=(window_px, window_px),
        maxLevel=0,
        criteria=(
            cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS,
            _MOST_STEPS,
            settled_px,
        ),
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    ends = np.asarray(ends.reshape(-1, 2), np.float32)
    return ends, status.ravel().astype(bool), np.asarray(rest, np.float32).ravel()

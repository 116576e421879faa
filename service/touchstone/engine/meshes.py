"""Print that repeats itself at a small shift: guilloche borders, lattices, screens.

Such a place looks the same one period on, so it cannot tell by itself where it lies:
a search from afar ends at any of its periods, and beside each other at different ones,
which tears the mesh. It is found by how little the picture differs from itself at a
shift at which it had come to differ on the way, and it is searched for from place to
place, so that all of it ends at one period.
"""

from functools import lru_cache, partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import lengths
from touchstone.engine.normalisation import Luma
from touchstone.engine.smooth_rest import averaged
from touchstone.engine.tracking import found_near, without_shade

_REACH_PX = 9
"""Longest period looked for; a longer one the flow tells apart, as its coarse pictures
still show it, and twice a shorter one lies within (of 4.5 pixels, 9 is a whole shift
and 4 or 5 is none)."""
_LEAST_PX = 3
"""Shortest period looked for; of a finer one a phone sees nothing."""
_WAYS = ((1, 0), (2, 1), (1, 1), (1, 2), (0, 1), (-1, 2), (-1, 1), (-2, 1))
"""Along what shifts are tried: borders run along the edges, lattices have periods along
many ways, and all shifts of half a disc cost three times as much."""
_ROW_STEP = 3
"""Of each so many rows one is compared, along all of it: a mesh differs along both."""
_SAME, _LIKE = 0.45, 0.6
"""How little of what a place differs on the way is left when it repeats itself, and
when it may be a rest of what does. Meshes 0.1 to 0.5, most lines of text 0.5 and more,
codes and pictures 0.7 and more."""
_MIN_CONTRAST = 6.0
"""Grey levels by which a place must differ from itself on the way: not paper, noise."""
_MIN_MESH = 64
"""Places, connected, that make a mesh of 0.03 of a face: a word of many l has fewer."""
_PATCH_PX = 15
"""Side of what is laid over each other: three periods and more."""
_found_near = partial(found_near, window_px=_PATCH_PX, settled_px=0.02)
_MOST_PX = 4.0
"""Further from where its surroundings put it nothing is looked for."""
_HOP = (7, 7)
"""Places (across, down) of which those found tell where the one amid them starts."""
_HOP_PX, _WAVY_HOP_PX = 0.5, 1.0
"""It is looked for no further from there: on a flat face a mesh that runs away from its
surroundings is another one; half of the shortest period is 1.5."""
_AMID = 0.02
"""Share of those (weighted) that must have been found: one that is two places off."""
_OWN_CELLS, _OWN_PRIOR = 0.8, 0.05
"""Over hardly more than itself each place of a mesh is followed: it is known well."""
_TRIES = 3
"""How often a place is looked for, each time from more neighbours."""
_WAVES = 120
"""Border round a face: 53 places long, found from one end and from a few more."""


def meshes(
    luma: Luma, is_textured: NDArray[np.bool_], cell_px: int
) -> NDArray[np.bool_]:
    """Tell which places of a grid lie in print that repeats itself.

    Args:
        luma: (h, w).
        is_textured: (rows, columns) of the grid; the others are not looked at.
        cell_px: its spacing, a multiple of 6; the first place lies half of it inside.

    Returns:
        (rows, columns)
    """
    shifts, half, is_tried = _shifts()
    gaps = _gaps(luma, is_textured.shape, cell_px, shifts)[:, is_textured]
    # A place that slides along itself (an edge, a bar) is as like half way: no period.
    usual = np.minimum(gaps[half], gaps.mean(axis=0))[is_tried]
    rest = np.where(usual > _MIN_CONTRAST, gaps[is_tried] / (usual + 1e-6), 1.0)
    least = np.ones(is_textured.shape, np.float32)
    least[is_textured] = rest.min(axis=0)
    is_like = least < _LIKE
    _, labels = cv2.connectedComponents(is_like.astype(np.uint8), connectivity=4)
    alike = np.bincount(labels[least < _SAME], minlength=int(labels.max()) + 1)
    return np.asarray((alike >= _MIN_MESH)[labels] & is_like, np.bool_)


@lru_cache(maxsize=1)
def _shifts() -> tuple[
    tuple[tuple[int, int], ...], NDArray[np.intp], NDArray[np.bool_]
]:
    """Shifts (x, y), the number of what lies half way to each, which may be periods."""
    kept: list[tuple[int, int]] = []
    half: list[int] = []
    for x, y in _WAYS:
        first = len(kept) - 1
        for times in range(1, int(_REACH_PX / np.hypot(x, y)) + 1):
            kept.append((times * x, times * y))
            half.append(first + (times + 1) // 2)
    is_tried = np.hypot(*np.array(kept).T) >= _LEAST_PX
    return tuple(kept), np.array(half), is_tried


def _gaps(
    luma: Luma,
    grid: tuple[int, int],
    cell_px: int,
    shifts: tuple[tuple[int, int], ...],
) -> NDArray[np.float32]:
    """(shifts, rows, columns): what each place differs from itself by, grey levels."""
    rows, columns = grid
    height, width = rows * cell_px, columns * cell_px
    reach = _REACH_PX
    padded = cv2.copyMakeBorder(
        luma[:height, :width],
        reach,
        reach + max(0, height - luma.shape[0]),
        reach,
        reach + max(0, width - luma.shape[1]),
        cv2.BORDER_REFLECT_101,
    )
    first = reach + _ROW_STEP // 2
    still = padded[first : first + height : _ROW_STEP, reach : reach + width].copy()
    # One tall picture of all shifts, so that one call averages the neighbourhoods: the
    # edges of each are repeated, for it not to see the next.
    tall = np.empty((len(shifts), rows + 2, columns), np.uint8)
    for gap, (x, y) in zip(tall, shifts, strict=True):
        top, left = first + y, reach + x
        moved = padded[top : top + height : _ROW_STEP, left : left + width]
        gap[1:-1] = _shrunk(np.asarray(cv2.absdiff(still, moved)), (columns, rows))
    tall[:, 0], tall[:, -1] = tall[:, 1], tall[:, -2]
    around = cv2.blur(tall.reshape(-1, columns), (3, 3)).reshape(tall.shape)
    return around[:, 1:-1].astype(np.float32)


def _shrunk(gap: NDArray[Any], size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """Average to the grid, in two steps: OpenCV halves many times faster."""
    height, width = gap.shape
    half = cv2.resize(gap, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(half, size_px, interpolation=cv2.INTER_AREA), np.uint8)


def followed_on_mesh(
    expected: Luma,
    seen: Luma,
    places: NDArray[np.float32],
    guess: NDArray[np.float32],
    is_mesh: NDArray[np.bool_],
    *,
    is_wavy: bool,
    is_followed: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Find the places of a mesh again, from one to the next.

    By the method of Lucas and Kanade at the one, full scale: it ends at the period that
    is nearest to where it starts. Each place starts from where its neighbours were
    found, so that all of a mesh ends at one period; the first from where its
    surroundings lie, at the place that lies nearest to that.

    Args:
        expected: (h, w).
        seen: (h, w).
        places: (rows, columns, 2), in ``expected``, pixels.
        guess: (rows, columns, 2), by how much their surroundings are displaced.
        is_mesh: (rows, columns).
        is_wavy: whether the face bends more than its surroundings can tell.
        is_followed: whether the mesh was found before, from afar: then each place lies
            less than half a period from its surroundings, and is looked for there.

    Returns:
        (rows, columns, 2) displacements, of what was not found those of the
        surroundings; (rows, columns) whether each was found, there and back.
    """
    pair = without_shade(expected, _PATCH_PX), without_shade(seen, _PATCH_PX)
    if is_followed:
        there, is_there, _ = _found_near(
            pair, places, guess, is_mesh, most_px=_WAVY_HOP_PX
        )
        return np.where(is_there[..., None], there, guess), is_there
    rest, hop_px = np.zeros_like(guess), _WAVY_HOP_PX if is_wavy else _HOP_PX
    first, is_first, _ = _found_near(pair, places, guess, is_mesh, most_px=_MOST_PX)
    nearness = np.where(is_first, lengths(first - guess), np.inf)
    is_found = np.zeros(is_mesh.shape, bool)
    tries = np.where(is_mesh, _TRIES, 0)
    for _ in range(_WAVES):
        around, share = averaged(rest, is_found, prior=1e-6, window=_HOP)
        is_next = (share > _AMID) & ~is_found & (tries > 0)
        if not is_next.any():
            left = np.where(is_found | (tries < _TRIES), np.inf, nearness)
            seed = np.unravel_index(left.argmin(), left.shape)
            if not np.isfinite(left[seed]):
                break
            rest[seed], is_found[seed] = first[seed] - guess[seed], True
            continue
        there, is_there, _ = _found_near(
            pair, places, guess + around, is_next, most_px=hop_px
        )
        is_there &= lengths(there - guess) < _MOST_PX
        tries[is_next] -= 1
        rest[is_there] = (there - guess)[is_there]
        is_found |= is_there
    return guess + rest, is_found


def rest_of_mesh(
    rest: NDArray[np.float32], is_found: NDArray[np.bool_], is_mesh: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """(rows, columns, 2): by how much a mesh is followed beside the smooth part.

    Where a mesh lies says nothing of who printed it, so that it is followed to where it
    looks the same, be that a period on.

    Args:
        rest: (rows, columns, 2), by how much each place was found beside that.
        is_found: (rows, columns), whether it was.
        is_mesh: (rows, columns).
    """
    follows, _ = averaged(
        rest, is_found & is_mesh, prior=_OWN_PRIOR, sigma_cells=_OWN_CELLS
    )
    return np.asarray(follows * is_mesh[..., None], np.float32)

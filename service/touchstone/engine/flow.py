"""Where the places of one picture lie in another: dense flow, sampled on a grid.

Dense inverse search (Kroeger et al., ECCV 2016), there and back. What it is led astray
by, print that looks alike a line further, is found by comparing what it brought
together, and searched for anew.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import lengths, moved_by
from touchstone.engine.lookalikes import likeness, searched
from touchstone.engine.normalisation import Luma, Map
from touchstone.engine.polynomials import monomials
from touchstone.engine.smooth_rest import smooth_rest

_cv2: Any = cv2

CELL = 6
"""Spacing of the sampled places, in half-size pixels."""
MIN_CORNER = 0.012
"""Least structure in both directions; an edge can slide along itself."""
MIN_VALID = 0.8
"""Share of a place's surroundings that must be compared."""
MIN_PLACES = 24
"""Fewer tell nothing of how the picture lies."""
MIN_SIDE_PX = 32
"""Below it OpenCV chooses its scales by the width alone, and reads beyond the end."""
_LOOP_PX = 0.75
"""There and back again: more than this away, the flow is a guess."""
_LIKE = 0.45
"""Correlation from which two places may show the same print."""
_NEWS_PX = 1.0
"""What lies nearer to where the rest has it tells nothing that the rest does not."""
_MIN_UNLIKE = 16
"""Places, over all of the face, from which a search pays: text, not a word of it."""


@dataclass(frozen=True, slots=True)
class Print:
    """What is the same in every round."""

    luma: Luma
    corner: Map
    """(rows, columns) of the grid."""
    is_valid: NDArray[np.bool_]
    """(rows, columns)"""
    is_mesh: NDArray[np.bool_]
    """(rows, columns)"""
    is_followed: bool
    """Whether the pair was aligned before, at a smaller size."""


@dataclass(frozen=True, slots=True)
class Places:
    """Of each place of the grid, (rows, columns)."""

    shifts: NDArray[np.float32]
    """(rows, columns, 2) half-size pixels."""
    is_textured: NDArray[np.bool_]
    is_found: NDArray[np.bool_]
    """Textured, and found there and back."""
    is_certain: NDArray[np.bool_]
    """Found, and what was found looks the same."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How finely dense inverse search looks; the rest is OpenCV's fast preset."""

    finest_scale: int
    """Halvings of the half-size picture at which it ends."""
    stride: int
    """Between patches of 8 pixels."""
    descents: int
    """Steps of each patch."""
    refinements: int
    """Of the variational kind."""


QUICK = Effort(finest_scale=2, stride=4, descents=16, refinements=2)
"""Of the preset's five refinements: what more add is lost in the smooth fit."""
FINE = Effort(finest_scale=1, stride=6, descents=8, refinements=0)
"""One scale finer halves the error on waves (patches of the quick one span 64 pixels
of the full size, as much as a crease); the rest is what measured the same without."""


def sampled(expected: Print, seen: Luma, effort: Effort) -> Places:
    """Sample the flow from ``expected`` to ``seen``, (h, w), on the grid."""
    height, width = seen.shape
    flow = _cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    flow.setFinestScale(effort.finest_scale)
    flow.setPatchStride(effort.stride)
    flow.setGradientDescentIterations(effort.descents)
    flow.setVariationalRefinementIterations(effort.refinements)
    there = flow.calc(expected.luma, seen, None)
    back = flow.calc(seen, expected.luma, None)
    shifts = np.ascontiguousarray(on_grid(there))
    landed = np.rint(grid(height, width).places + shifts).astype(np.intp)
    rows = landed[..., 1].clip(0, height - 1)
    columns = landed[..., 0].clip(0, width - 1)
    least = np.minimum(expected.corner, corner(seen))
    is_textured = (least > MIN_CORNER) & expected.is_valid
    loop = lengths(shifts + back[rows, columns])
    is_found = is_textured & (loop < _LOOP_PX)
    places = Places(shifts, is_textured, is_found, is_found)
    return _looked_at(places, expected, seen, is_searched=effort is QUICK)


def _looked_at(
    places: Places, expected: Print, seen: Luma, *, is_searched: bool
) -> Places:
    """Doubt what does not look the same, and search for it where its surroundings lie.

    Lines of text are alike enough for a descent to end one line off, there and back,
    where a corner of the face bends by more than half of one. A patch of several lines
    is like no other: it is searched for around where the rest says that it lies.
    """
    height, width = seen.shape
    moved = moved_by(seen, grown(places.shifts, (width, height)))
    # A mesh is alike at each of its periods: it is followed by itself.
    is_like = (on_grid(likeness(expected.luma, moved)) > _LIKE) | expected.is_mesh
    is_certain = places.is_found & is_like
    unlike = places.is_textured & ~is_certain & ~expected.is_mesh
    if np.count_nonzero(is_certain) < MIN_PLACES:
        return places  # little print, most of it another: what was found must do
    # What was aligned before lies nearer than a line.
    if (
        not is_searched
        or expected.is_followed
        or np.count_nonzero(unlike) < _MIN_UNLIKE
    ):
        return replace(places, is_certain=is_certain)
    lattice = grid(height, width)
    near = smooth_rest(places.shifts, is_certain, lattice.basis, is_bent=True).shifts
    unlike[1::2] = False  # their patches overlap: one in four tells as much
    unlike[:, 1::2] = False
    shifts, is_there = searched(expected.luma, seen, lattice.places, near, unlike)
    is_there &= lengths(shifts - near) > _NEWS_PX
    return replace(
        places,
        shifts=np.where(is_there[..., None], shifts, places.shifts),
        is_found=places.is_found | is_there,
        is_certain=is_certain | is_there,
    )


# --- the grid -------------------------------------------------------------------------

_T = TypeVar("_T", bound=np.generic)


def on_grid(values: NDArray[_T]) -> NDArray[_T]:
    """Return (rows, columns[, n]) of (h, w[, n]): what lies at the sampled places."""
    return values[CELL // 2 :: CELL, CELL // 2 :: CELL]


def grown(values: NDArray[np.float32], size_px: tuple[int, int]) -> NDArray[np.float32]:
    """Interpolate between the sampled places, (height, width[, n])."""
    width, height = size_px
    columns, rows = values.shape[1] * CELL, values.shape[0] * CELL
    full = cv2.resize(values, (columns, rows), interpolation=cv2.INTER_LINEAR)
    right, below = max(0, width - columns), max(0, height - rows)
    if right or below:
        full = cv2.copyMakeBorder(full, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return np.asarray(full[:height, :width], np.float32)


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the sampled places lie; the same for every pair of a size."""

    places: NDArray[np.float32]
    """(rows, columns, 2)"""
    centres: NDArray[np.float64]
    """(rows * columns, 2)"""
    basis: NDArray[np.float64]
    """(rows * columns, 10), monomials."""


@lru_cache(maxsize=64)
def grid(height: int, width: int) -> Grid:
    """Return the places of a picture of this size."""
    columns, rows = np.meshgrid(
        *(
            np.arange(CELL // 2, side, CELL, dtype=np.float32)
            for side in (width, height)
        )
    )
    places = np.dstack([columns, rows])
    centres = places.reshape(-1, 2) + np.float64(0.5)
    basis = monomials(centres, (width, height))
    for kept in (places, centres, basis):
        kept.flags.writeable = False
    return Grid(places, centres, basis)


def corner(luma: Luma) -> Map:
    """Square root of the structure tensor's smaller eigenvalue (Shi and Tomasi).

    (rows, columns) of the grid.
    """
    least = on_grid(cv2.cornerMinEigenVal(luma, 11, ksize=3))
    return np.asarray(np.sqrt(np.maximum(least, 0)), np.float32)

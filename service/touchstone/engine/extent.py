"""How far a package face reaches in its reference picture, and what lies behind it.

Catalogue pictures show a package cut out on plain ground, which is no part of the
print: in a photo a table, a shelf or a hand lies there. But plain board that runs to
the edge of an artwork looks the same. So what is plain around the print is a *ground*,
which each photo may show to be board: it does where, along the frame's edge and over
all of it, most looks as the face says that board looks in that photo.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import Pixels, resized
from touchstone.engine.normalisation import toned

_Mask = NDArray[np.bool_]

_LOOK_SIDE_PX = 320
_RING_PX = 2
_PLAIN_LEVELS = 10
_PLAIN_SIDE = 0.9
_LEAST_SIDES = 2
"""Of the four, so many must be plain: one that is may be a white strip of print."""
_SPECK_SHARE = 0.0004
_MOST_FACE = 0.88
"""Prints that run on to within a few percent of all four edges are not cut out; of
simulated artwork the print's hull covers at least 0.91, of cut-out packages at most
0.76."""
_LEAST_FACE = 0.02
_EDGE_SHARE = 0.012
"""How far the shade along the edge of a cut-out reaches into the face."""


def ground_of(picture: Pixels, size_px: tuple[int, int]) -> _Mask | None:
    """Find the plain ground around what ``picture`` shows.

    The face is the convex hull of all that is not joined to the border by pixels of the
    border's own colour.

    Args:
        picture: (h, w, 3), a reference.
        size_px: (width, height) of the mask wanted.

    Returns:
        (height, width), true on the ground and on the very edge of the face; None where
        the picture shows the face from edge to edge.
    """
    face = _face(picture)
    if face is None or not _LEAST_FACE < face.mean() < _MOST_FACE:
        return None
    small = np.pad(face, 1)  # what runs to the border ends there
    reach = max(1, round(_EDGE_SHARE * max(face.shape)))
    inner = cv2.erode(small, np.ones((2 * reach + 1,) * 2, np.uint8))[1:-1, 1:-1]
    if inner.mean() < _LEAST_FACE:  # a line of words is all edge
        return None
    return np.asarray(
        cv2.resize(inner, size_px, interpolation=cv2.INTER_NEAREST) == 0, bool
    )


def box_of_face(picture: Pixels) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of the face; of all where none stands out."""
    height, width = picture.shape[:2]
    ground = ground_of(picture, (width, height))
    if ground is None:
        return 0, 0, width, height
    reach = round((_EDGE_SHARE + 2 / _LOOK_SIDE_PX) * max(width, height))
    left, top, right, bottom = (int(end) for end in _box_within(ground, reach))
    return left, top, right, bottom


def rectangle_of(ground: _Mask) -> tuple[float, float, float, float] | None:
    """Return (left, top, right, bottom) of a face that fills a rectangle, else None.

    Args:
        ground: (h, w), see `ground_of`.
    """
    columns, rows = (~ground.all(axis=axis) for axis in (0, 1))
    if not rows.any() or ground[np.ix_(rows, columns)].mean() > _MOST_UNFILLED:
        return None
    return _box_within(ground, _EDGE_SHARE * max(ground.shape))


_MOST_UNFILLED = 0.03
"""Share of the box around a face that may be ground: corners are round, scans askew."""


def _box_within(ground: _Mask, reach: float) -> tuple[float, float, float, float]:
    """Return the box around what is no ground, which takes in the face's very edge."""
    height, width = ground.shape
    columns, rows = (np.flatnonzero(~ground.all(axis=axis)) for axis in (0, 1))
    return (
        max(0.0, columns[0] - reach),
        max(0.0, rows[0] - reach),
        min(float(width), columns[-1] + 1 + reach),
        min(float(height), rows[-1] + 1 + reach),
    )


def _face(picture: Pixels) -> NDArray[np.uint8] | None:
    """(h, w) at a small size: 1 inside the hull of what is not plain ground."""
    height, width = picture.shape[:2]
    scale = _LOOK_SIDE_PX / max(height, width)
    size = max(16, round(width * scale)), max(16, round(height * scale))
    small = resized(picture, size)
    ring = np.ones(small.shape[:2], bool)
    ring[_RING_PX:-_RING_PX, _RING_PX:-_RING_PX] = False
    colour = np.median(small[ring], axis=0)
    gap = np.abs(small.astype(np.int16) - colour.astype(np.int16)).max(axis=2)
    plain = (gap <= _PLAIN_LEVELS).astype(np.uint8)
    _, labels = cv2.connectedComponents(plain, connectivity=4)
    joined = np.unique(labels[ring & (plain > 0)])
    ground = np.isin(labels, joined) & (plain > 0)
    sides = (ground[0], ground[-1], ground[:, 0], ground[:, -1])
    if sum(side.mean() > _PLAIN_SIDE for side in sides) < _LEAST_SIDES:
        return None
    shown = cv2.morphologyEx(
        (~ground).astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)
    )
    count, labels, stats, _ = cv2.connectedComponentsWithStats(shown, connectivity=8)
    is_large = stats[:count, cv2.CC_STAT_AREA] >= _SPECK_SHARE * shown.size
    is_large[0] = False
    hull = hull_of(is_large[labels])
    return hull if hull.any() else None


def hull_of(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return 1 within the convex hull of ``mask``, (h, w); all 0 if it is empty."""
    hull = np.zeros(mask.shape, np.uint8)
    places: Any = cv2.findNonZero(mask.astype(np.uint8))
    if places is not None:
        cv2.fillConvexPoly(hull, cv2.convexHull(places), 1)
    return hull


_SHRINK = 4
_BOARD_LEVELS = 40
_BOARD_SHARE = 0.5
"""Of the ground along the frame's edge, and of all of it: where more of both looks as
in the reference, it is board, and whatever else lies on it was printed there. A table
in the tone of board fills an edge now and then, and seldom the rest."""


def backdrop(
    reference: Pixels, seen: Pixels, covered: _Mask, ground: _Mask | None
) -> _Mask | None:
    """Tell where a photo shows what lay behind the package instead of board.

    Args:
        reference: (h, w, 3).
        seen: (h, w, 3), the photo in the reference's frame.
        covered: (h, w), where the photo shows the reference's frame.
        ground: (h, w), see `ground_of`.

    Returns:
        (h, w): the ground, where it is not to be compared; None where all is.
    """
    if ground is None:
        return None
    small = (seen.shape[1] // _SHRINK, seen.shape[0] // _SHRINK)
    inside, plain = (
        cv2.resize(one.astype(np.uint8), small, interpolation=cv2.INTER_NEAREST) > 0
        for one in (covered, ground)
    )
    bare = np.asarray(inside & plain, bool)
    beside = bare.copy()
    beside[_RING_PX:-_RING_PX, _RING_PX:-_RING_PX] = False
    if not beside.any():
        return ground
    shown = resized(seen, small)
    # The face tells what board looks like in this photo; light that was fitted to the
    # ground as well would make board of any table.
    face = np.asarray(inside & ~plain, np.float32)
    as_board = toned(resized(reference, small), shown, face)
    is_board = cv2.absdiff(as_board, shown).max(axis=2) <= _BOARD_LEVELS
    shares = (float(is_board[part].mean()) for part in (beside, bare))
    return None if min(shares) >= _BOARD_SHARE else ground

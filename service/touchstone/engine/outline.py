"""Where the package ends in the photo, beside where its print says that it ends.

A copy that was stretched to fit still lies on a package of the right size: print and
outline no longer belong together, from whatever distance, slant and lens.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.extent import rectangle_of
from touchstone.engine.image import Pixels
from touchstone.engine.registration import Registration

_Field = NDArray[np.float32]
_Points = NDArray[np.float64]
_Mask = NDArray[np.bool_]
_Box = tuple[float, float, float, float]


def outline_gap(
    photo: Pixels,
    registration: Registration,
    reference: Pixels,
    shift: _Field,
    *,
    behind: _Mask | None = None,
) -> float:
    """Measure how far the face ends from where its print says that it ends.

    Args:
        photo: of any size.
        registration: of the photo.
        reference: (h, w, 3), in the compared frame.
        shift: (h, w, 2), what was followed beyond the registration, in pixels of the
            frame. A bottle that passed for flat ends where its print ends, not where
            the registration says.
        behind: (h, w), where no package is in the frame but what lies behind it, see
            `extent.backdrop`.

    Returns:
        by how much two opposite edges both lie off, both outwards or both inwards,
        while the other two lie in their place: share of the frame's long side. 0 where
        all four lie in their place, or one is not seen.
    """
    # 1. Draw strips across the four edges: a column of each lies further outwards.
    # 2. Look for a straight line in each, where the print has no edge of its own.
    # 3. Compare two opposite edges: print that was stretched is off at both by as much.
    #    A shadow, a fold or a neighbour lies at one, and what lies round a face that is
    #    not seen to end, a case or a crop, at all four.
    height, width = reference.shape[:2]
    boxes: list[_Box | None] = [(0.0, 0.0, float(width), float(height))]
    if behind is not None:  # what passed for a backdrop may be print all the same
        boxes.append(rectangle_of(behind))
    gaps = []
    for box in boxes:
        if box is None or min(box[2] - box[0], box[3] - box[1]) < _LEAST_FACE_PX:
            return 0.0
        places = _places(box)
        strips, is_inside = _photographed(photo, registration, places, shift)
        supports = _supports(strips, is_inside & ~_printed(reference, places))
        gaps.append(_gap_px(supports.max(axis=1)))
    known = [gap for gap in gaps if gap is not None]
    return max(known) / max(width, height) if len(known) == len(gaps) else 0.0


# --- strips across the edges ----------------------------------------------------------

_ROWS, _JOINED = 48, 2
_REACH_PX = 56
_OFFSETS = np.arange(-_REACH_PX, _REACH_PX + 1)
_KNOWN = np.arange(-_REACH_PX, 1, 8)
_LEAST_FACE_PX = 64
_FROM_END = 0.06
"""Corners are round, bent and held."""
_FOLLOWED_PX = 10
"""Nearer to the edge nothing was followed: it moves with what lies here."""
_FINEST = 4
_LEAST_FACING = 0.4
"""Of the detail that a photo has of the face, at the edge."""
_OUTWARDS = np.array([[0, -1], [1, 0], [0, 1], [-1, 0]], np.float64)
"""Of the upper, right, lower and left edge."""


def _places(box: _Box) -> _Points:
    """(4, rows, 2): places along each edge, in the compared frame."""
    left, top, right, bottom = box
    along = np.linspace(_FROM_END, 1 - _FROM_END, _ROWS)
    x, y = left + along * (right - left), top + along * (bottom - top)
    edges: Any = ((x, top), (right, y), (x, bottom), (left, y))
    return np.stack([np.stack(np.broadcast_arrays(*edge), axis=1) for edge in edges])


def _across(places: _Points, offsets: NDArray[Any]) -> _Points:
    """(4, rows, offsets, 2): the points so far outwards of each place."""
    ways = offsets[:, None] * _OUTWARDS[:, None, None]
    return np.asarray(places[:, :, None] + ways, np.float64)


def _photographed(
    photo: Pixels,
    registration: Registration,
    places: _Points,
    shift: _Field,
) -> tuple[_Field, _Mask]:
    """Return the strips, (4, rows, offsets, 3), and whether the photo has them."""
    inner = _across(places, _KNOWN)
    low, high = places.min(axis=(0, 1)), places.max(axis=(0, 1))
    near = np.clip(inner, low + _FOLLOWED_PX, high - _FOLLOWED_PX).astype(int)
    moved = inner + shift[near[..., 1], near[..., 0]]
    to_reference = np.array(registration.reference_size_px) / shift.shape[1::-1]
    known = registration.points_in_photo((moved * to_reference).reshape(-1, 2))
    known = known.reshape(4 * _ROWS, len(_KNOWN), 2)
    step = (known[:, -1] - known[:, -2]) / (_KNOWN[-1] - _KNOWN[-2])
    detail = registration.photo_px_per_reference_px * float(to_reference[0])
    # Where a bottle turns away, as far as the registration knows that it does, its own
    # rim is seen, not the edge of its label.
    is_facing = np.hypot(*step.T) >= _LEAST_FACING * detail
    finer = int(np.clip(round(detail), 1, _FINEST))
    parts = (np.arange(finer) - (finer - 1) / 2) / finer
    carried = _carried_on((_OFFSETS[:, None] + parts).ravel())
    # (rows, offsets), contiguous, as cv2 wants them: pixel centres on integers.
    x, y = (known[..., axis] @ carried - 0.5 for axis in (0, 1))
    height, width = photo.shape[:2]
    is_inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    is_inside &= is_facing[:, None]
    strips = _drawn(photo, x, y)
    if finer > 1:
        size_px, way = (len(_OFFSETS), 4 * _ROWS), cv2.INTER_AREA
        strips = np.asarray(cv2.resize(strips, size_px, interpolation=way), np.float32)
    return _by_edge(strips), _by_edge(is_inside[:, ::finer])


def _carried_on(offsets: _Points) -> _Points:
    """(known, offsets): how much of each point at `_KNOWN` lies at each offset.

    Between them straight, and beyond the edge as it goes up to it.
    """
    cells = (offsets - _KNOWN[0]) / (_KNOWN[1] - _KNOWN[0])
    first = np.clip(cells.astype(int), 0, len(_KNOWN) - 2)
    shares = np.zeros((len(_KNOWN), len(offsets)))
    columns = np.arange(len(offsets))
    shares[first + 1, columns] = cells - first
    shares[first, columns] = 1 - shares[first + 1, columns]
    return shares


def _drawn(picture: Pixels, x: _Points, y: _Points) -> _Field:
    """(rows, offsets, 3) of a picture."""
    at = x.astype(np.float32), y.astype(np.float32)
    way = cv2.INTER_LINEAR
    drawn = cv2.remap(picture, *at, way, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(drawn, np.float32)


def _by_edge(rows: NDArray[Any]) -> NDArray[Any]:
    """(4 * rows, ...) to (4, rows, ...)."""
    return rows.reshape(4, -1, *rows.shape[1:])


def _slopes(strips: _Field) -> _Field:
    """(4, rows, offsets - 2): how steep each row is, all but its ends."""
    flat = strips.reshape(-1, *strips.shape[2:])
    smooth = cv2.GaussianBlur(flat, (7, 1), 1.2)
    steps = cv2.absdiff(smooth[:, 2:], smooth[:, :-2])
    return _by_edge(cv2.transform(steps, _SUMMED))


_SUMMED = np.full((1, 3), 0.5, np.float32)
_PRINTED_LEVELS = 5.0
_PRINTED_REACH = np.ones((3, 7), np.uint8)
"""An edge of the print counts for its surroundings: it may lie a little off."""
_INWARDS = 0.3
"""No strip reaches further into the face than this share of it."""


def _printed(reference: Pixels, places: _Points) -> _Mask:
    """(4, rows, offsets): where the print has edges of its own; all of its middle."""
    at = _across(places, _OFFSETS[: _REACH_PX + 1]) - 0.5
    x, y = (at[..., axis].reshape(4 * _ROWS, -1) for axis in (0, 1))
    slopes = _slopes(_by_edge(_drawn(reference, x, y)))
    found = np.zeros((4, _ROWS, len(_OFFSETS)), bool)
    extent = places.max(axis=(0, 1)) - places.min(axis=(0, 1))
    for side, own in enumerate(slopes):
        near = np.asarray(cv2.dilate(own, _PRINTED_REACH))
        found[side, :, 1 : 1 + own.shape[1]] = near >= _PRINTED_LEVELS
        deepest = int(_REACH_PX - _INWARDS * extent[1 - side % 2])
        found[side, :, : max(0, deepest)] = True
    return found


# --- lines along the edges ------------------------------------------------------------

_FULL_LEVELS = np.float32(30)
"""Of all channels together, a pixel: from here on an edge is one."""
_LEAST_KNOWN = 0.3
_MARGIN = 6
"""Offsets at both ends of a strip at which no line is looked for."""
_TILTS = np.arange(-6, 7, 2)
"""By how many pixels one end of a line may lie further outwards than the other."""


def _supports(strips: _Field, is_known: _Mask) -> _Field:
    """(4, tilts, offsets): which share of each straight line is an edge, 0 to 1."""
    groups = _ROWS // _JOINED
    joined = strips.reshape(4, groups, _JOINED, *strips.shape[2:]).mean(axis=2)
    seen = is_known[..., 1:-1].reshape(4, groups, _JOINED, -1)
    known = np.asarray(seen.all(axis=2), np.float32)
    edges = np.minimum(_slopes(joined) / _FULL_LEVELS, 1) * known
    rows, at = _lines_of(groups, edges.shape[2])
    on_line, of_line = (of[:, rows, at].mean(axis=2) for of in (edges, known))
    supports = np.zeros((4, len(_TILTS), len(_OFFSETS)), np.float32)
    supports[..., 1:-1] = on_line / np.maximum(of_line, _LEAST_KNOWN)
    supports[..., :_MARGIN] = supports[..., -_MARGIN:] = 0
    return supports


def _lines_of(rows: int, offsets: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return which rows, and which offset of each, a line of every tilt goes through.

    (rows, 1) and (tilts, rows, offsets); those that leave the strip stay at its end.
    """
    along = np.arange(rows) / (rows - 1) - 0.5
    tilted = np.rint(_TILTS[:, None] * along).astype(int)
    at = np.arange(offsets) + tilted[..., None]
    return np.arange(rows)[:, None], np.clip(at, 0, offsets - 1)


_IS_EDGE = 0.4
_TOLERANCE_PX = 3


def _gap_px(edges: _Field) -> int | None:
    """Return by how many pixels two opposite ``edges``, (4, offsets), are both off.

    0 where that is not known, None where all four lie where they should.
    """
    window = np.ones((1, 2 * _TOLERANCE_PX + 1), np.uint8)
    near = np.asarray(cv2.dilate(edges, window))
    is_placed = near[:, _REACH_PX] >= _IS_EDGE
    if is_placed.all():
        return None
    gap = 0
    for one, other in ((0, 2), (1, 3)):
        both = np.minimum(near[one], near[other])
        likeliest = np.flatnonzero(both == both.max())
        is_off = both.max() >= _IS_EDGE and not (is_placed[one] or is_placed[other])
        if is_off and is_placed[1 - one] and is_placed[3 - one]:
            gap = abs(int(_OFFSETS[likeliest[len(likeliest) // 2]]))
    return gap

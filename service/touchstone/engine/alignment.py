"""The smooth rest of the misregistration between two pictures, and what stands out.

Dense optical flow at half size, there and back (`flow`). A robust polynomial of low
order through the places where both agree, and a wide average of what it leaves, is the
misregistration of lens, paper and bend: it is followed. What lies elsewhere than its
surroundings is a displaced element: it is kept as a measurement. Print that repeats
itself says neither: it is followed from place to place, beginning where its
surroundings say best where it lies.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.flow import (
    CELL,
    FINE,
    MIN_CORNER,
    MIN_PLACES,
    MIN_SIDE_PX,
    MIN_VALID,
    QUICK,
    Effort,
    Places,
    Print,
    corner,
    grid,
    grown,
    on_grid,
    sampled,
)
from touchstone.engine.image import lengths, moved_by
from touchstone.engine.meshes import followed_on_mesh, meshes, rest_of_mesh
from touchstone.engine.normalisation import Luma, Map
from touchstone.engine.smooth_rest import Smooth, followed_on, middle, smooth_rest


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where the seen picture has what the expected one has."""

    shift: NDArray[np.float32]
    """(height, width, 2): smooth displacement, expected to seen, pixels."""
    stray: Map
    """(height // 2, width // 2): how far places lie from where the smooth part puts
    them, pixels of the full size; 0 where nothing was found with certainty."""
    level: float
    """Median of what places stray in this picture, pixels."""
    is_supported: NDArray[np.bool_]
    """(height, width): false on strips along an edge in which most places were not
    found where they should be: the far side of a bottle, not a changed element."""


_SUPPORT_PX = 3.0
_ROUNDS = 3
_MESH_ROUNDS = 2
"""The second starts nearer where a bend had carried the first beyond half a period."""
_SETTLED_PX = 1.75
"""In half-size pixels: what moves less is in its place."""


def align(
    expected: Luma,
    seen: Luma,
    valid: Map,
    *,
    is_bent: bool = False,
    is_followed: bool = False,
) -> Alignment:
    """Align two lumas of one frame.

    Args:
        expected: (h, w).
        seen: (h, w).
        valid: (h, w), 1 where the pictures can be compared.
        is_bent: whether the face is known to bend: it is then followed over shorter
            ways, as no polynomial of low order is a pouch. One that shows in the flow
            that it does is followed so all the same.
        is_followed: whether it was before, from afar: what bends is in reach at once.
    """
    height, width = expected.shape
    half = half_size(width, height)
    e, s = (
        np.asarray(cv2.resize(luma, half, interpolation=cv2.INTER_AREA), np.uint8)
        for luma in (expected, seen)
    )
    v = cv2.resize(valid, half, interpolation=cv2.INTER_AREA)
    if min(e.shape) < MIN_SIDE_PX:
        return _left_alone(height, width)
    corners, is_valid = corner(e), on_grid(v) > MIN_VALID
    is_mesh = meshes(e, is_valid & (corners > MIN_CORNER), CELL)
    print_ = Print(e, corners, is_valid, is_mesh, is_followed)
    shift, moved, found = np.zeros((*e.shape, 2), np.float32), s, None
    # A quick round is enough for most flat faces. What was out of its reach, at the far
    # sides of a bend, is within a later one's, and only a fine flow follows waves.
    for number in range(1 if is_followed and is_bent else 0, _ROUNDS):
        if found is not None:
            moved = moved_by(s, shift)
        effort = FINE if number else QUICK
        further = _followed(print_, moved, effort, is_bent=is_bent)
        if further is None:
            break
        found, shift = further, shift + further.shift
        is_settled = np.abs(found.shift[::4, ::4]).max() < _SETTLED_PX
        if is_settled and (number or not found.is_wavy):
            break
    if found is None:
        return _left_alone(height, width)
    shift *= np.float32(2)
    full = cv2.resize(shift, (width, height), interpolation=cv2.INTER_LINEAR)
    return _told(found, np.asarray(full, np.float32))


def half_size(width: int, height: int) -> tuple[int, int]:
    """Return the (width, height) of a picture of this size at half of it."""
    return max(1, width // 2), max(1, height // 2)


def _left_alone(height: int, width: int) -> Alignment:
    return Alignment(
        shift=np.zeros((height, width, 2), np.float32),
        stray=np.zeros(half_size(width, height)[::-1], np.float32),
        level=0.0,
        is_supported=np.ones((height, width), bool),
    )


# --- one round, at half size ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Followed:
    shift: NDArray[np.float32]  # (h, w, 2)
    is_wavy: bool  # the face bends more than a polynomial of low order does
    places: Places  # as the flow has them
    is_telling: NDArray[np.bool_]  # (rows, columns): certain, and of no mesh
    is_held: NDArray[np.bool_]  # (rows, columns): found near where its surroundings lie
    strays: Map  # (rows, columns), full-size pixels


def _followed(
    expected: Print, seen: Luma, effort: Effort, *, is_bent: bool
) -> _Followed | None:
    """Follow the flow from ``expected`` to ``seen``; None where too little is found."""
    height, width = seen.shape
    places = sampled(expected, seen, effort)
    if np.count_nonzero(places.is_certain) < MIN_PLACES:
        return None
    basis = grid(height, width).basis
    smooth = smooth_rest(places.shifts, places.is_certain, basis, is_bent=is_bent)
    telling, again = places.is_certain & ~expected.is_mesh, places
    shifts = smooth.shifts
    if np.count_nonzero(telling) < MIN_PLACES:
        telling = places.is_certain  # a mesh alone has nothing else to go by
    elif expected.is_mesh.any():
        alone = smooth_rest(places.shifts, telling, basis, is_bent=is_bent)
        if effort is QUICK and alone.is_wavy:
            # On waves the quick flow is too far off to say which period is the one.
            smooth = Smooth(smooth.shifts, is_wavy=True)
        else:
            # Nor may the flow on a mesh lead: where it goes over from one period to
            # the next it would be followed, and tear the mesh.
            near = alone
            for _ in range(_MESH_ROUNDS):
                found = _found_again(places, near, expected, seen)
                near = followed_on(near, found.shifts, found.is_certain)
            rest = rest_of_mesh(
                found.shifts - near.shifts, found.is_certain, expected.is_mesh
            )
            smooth, shifts, again = min(
                (smooth, smooth.shifts, places),
                (alone, alone.shifts, places),
                (near, near.shifts + rest, found),
                key=lambda one: _mesh_gap(expected, seen, one[1]),
            )
    return _Followed(
        shift=grown(shifts, (width, height)),
        is_wavy=smooth.is_wavy,
        places=places,
        is_telling=telling,
        is_held=_held(places, smooth) | _held(again, smooth),
        strays=lengths(places.shifts - smooth.shifts) * np.float32(2),
    )


def _mesh_gap(expected: Print, seen: Luma, shifts: NDArray[np.float32]) -> float:
    """Tell how far the pictures differ where the print repeats itself, grey levels."""
    height, width = seen.shape
    moved = moved_by(seen, grown(shifts, (width, height)))
    gaps = on_grid(cv2.blur(cv2.absdiff(moved, expected.luma), (CELL, CELL)))
    return float(gaps[expected.is_mesh].mean())


def _held(places: Places, smooth: Smooth) -> NDArray[np.bool_]:
    strays = lengths(places.shifts - smooth.shifts)
    return np.asarray(places.is_found & (2 * strays < _SUPPORT_PX), np.bool_)


def _found_again(places: Places, smooth: Smooth, expected: Print, seen: Luma) -> Places:
    """Look for what repeats itself anew, from where the smooth part puts it."""
    mesh = expected.is_mesh
    shifts, is_there = followed_on_mesh(
        expected.luma,
        seen,
        grid(*seen.shape).places,
        smooth.shifts,
        mesh,
        is_wavy=smooth.is_wavy,
        is_followed=expected.is_followed,
    )
    return replace(
        places,
        shifts=np.where(mesh[..., None], shifts, places.shifts),
        is_found=np.where(mesh, is_there, places.is_found),
        is_certain=np.where(mesh, is_there, places.is_certain),
    )


def _told(found: _Followed, shift: NDArray[np.float32]) -> Alignment:
    """Say what stands out of the last round; ``shift``, (h, w, 2), is of them all."""
    height, width = shift.shape[:2]
    telling, strays = found.is_telling, found.strays
    is_lost = found.places.is_textured & ~found.is_held
    half = half_size(width, height)
    centres = grid(half[1], half[0]).centres
    return Alignment(
        shift=shift,
        stray=grown(_local_mean(strays, telling), half),
        level=middle(strays[telling]),
        is_supported=_supported(
            centres[found.is_held.ravel()], centres[is_lost.ravel()], (width, height)
        ),
    )


_SUPPORT_SHARE = 0.6
_SUPPORT_REACH = 0.3
"""No strip is given up that lies deeper in the picture than this share of it."""
_STRIP = 12


def _supported(
    held: NDArray[np.float64], lost: NDArray[np.float64], size_px: tuple[int, int]
) -> NDArray[np.bool_]:
    """Give up strips along each edge while most of their places are lost."""
    mask = np.ones((size_px[1], size_px[0]), bool)
    for axis, extent in enumerate(size_px):
        strips = -(-extent // (2 * _STRIP))
        kept = np.bincount((held[:, axis] / _STRIP).astype(int), minlength=strips)
        gone = np.bincount((lost[:, axis] / _STRIP).astype(int), minlength=strips)
        order = range(int(strips * _SUPPORT_REACH))
        low = _given_up([(kept[n], gone[n]) for n in order])
        high = _given_up([(kept[-1 - n], gone[-1 - n]) for n in order])
        along = mask if axis else mask.T
        along[: low * 2 * _STRIP] = False
        along[max(0, extent - high * 2 * _STRIP) :] = False
    return mask


def _given_up(strips: list[tuple[int, int]]) -> int:
    """Count strips from the edge inwards up to the last that is mostly lost."""
    last = 0
    for number, (kept, gone) in enumerate(strips, start=1):
        if gone and gone >= _SUPPORT_SHARE * (kept + gone):
            last = number
        elif kept > gone:
            break
    return last


def _local_mean(
    strays: NDArray[np.float32], is_certain: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Average over each neighbourhood; one place alone says little."""
    kept = is_certain.astype(np.float32)
    sums = cv2.merge([strays * kept, kept])
    around = cv2.boxFilter(sums, -1, (5, 5), normalize=False)
    return np.asarray(around[..., 0] / (around[..., 1] + np.float32(3.0)), np.float32)

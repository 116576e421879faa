"""Fingers over the face: what lies before the print, and is no part of it.

Left out of the comparison only where the skin goes on, in one colour, beyond the edge
of the face in the photo, as a hand that holds the package does: skin-coloured *print*
ends there.
A masked place is never free: it counts against how much could be compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.extent import hull_of
from touchstone.engine.image import Pixels, resized
from touchstone.engine.normalisation import relight
from touchstone.engine.registration import Registration
from touchstone.engine.skin import (
    ONE_COLOUR,
    Mask,
    alike,
    of_one_hue,
    skin_of,
    white_balance,
)

_SHRINK = 4
_MIN_SHARE = 0.003
_MAX_SHARE = 0.25
"""Of the face, each hand: a larger patch is for a person to look at. What all of them
hide is measured, so that a policy clears nothing where it is more than a finger."""
_ALL_SKIN = 0.95
_FAR_COLOUR = 36
_BEYOND = 0.03
"""How far beyond the edge the skin is looked for, as a share of the face."""
_GOES_ON = 0.5
_ENDS_PX = 2
_ENDS = (slice(None, _ENDS_PX), slice(-_ENDS_PX, None))


def hands(
    reference: Pixels,
    seen: Pixels,
    photo: Pixels,
    registration: Registration,
    *,
    behind: Mask | None = None,
) -> Mask:
    """Return where fingers lie over the face, (height, width) of ``seen``.

    Args:
        reference: (h, w, 3), in the compared frame.
        seen: (h, w, 3), the rectified photo.
        photo: the photo itself.
        registration: of the photo.
        behind: (h, w), where no package is in the frame but what lies behind it.
    """
    height, width = seen.shape[:2]
    small = max(8, width // _SHRINK), max(8, height // _SHRINK)
    shown, usual = resized(seen, small), resized(reference, small)
    beside = np.zeros(shown.shape[:2], bool)
    if behind is not None:
        beside = cv2.resize(behind.astype(np.uint8), small) > 0
    face = float((~beside).sum())
    white = white_balance(usual, shown, ~beside)
    skin = skin_of(shown, white)
    sides = _beyond(skin.shape, photo, registration, white)
    on_rim = _grown(beside) | _beside_skin(skin.shape, sides)
    if not _may_hold(_closed(skin & ~beside), on_rim, _MIN_SHARE * face):
        return np.zeros((height, width), bool)
    # White board in the light of a lamp has the colour of skin, but not beside what
    # that light makes of it.
    lit = relight(usual, shown, (~beside).astype(np.float32)).expected
    red, green, blue = cv2.split(cv2.absdiff(shown, lit))
    gap = cv2.max(cv2.max(red, green), blue) > _FAR_COLOUR
    found = _fingers(skin & gap & ~beside, skin, shown, beside, sides)
    if not found.any():
        return np.zeros((height, width), bool)
    grown = cv2.dilate(found, np.ones((7, 7), np.uint8))
    full = cv2.resize(grown, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(full > 0, bool)


def _closed(mask: Mask) -> NDArray[np.uint8]:
    return np.asarray(
        cv2.morphologyEx(
            mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)
        ),
        np.uint8,
    )


def _may_hold(skin: NDArray[np.uint8], on_rim: Mask, least_px: float) -> bool:
    """Tell whether any patch of ``skin`` could be a hand, whatever the light.

    What is left of a patch once the light is known lies within it: where none is large
    and lies ``on_rim``, beyond which skin goes on, the light need not be known.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(skin, connectivity=4)
    is_large = stats[:count, cv2.CC_STAT_AREA] > least_px
    is_large[0] = False  # the background
    return bool(is_large[labels[on_rim]].any())


@dataclass(frozen=True, slots=True)
class _Side:
    """What the photo shows just beyond one edge of the face, along it."""

    rim: tuple[slice, ...]
    """Which of the face's places, (rows, columns), lie along that edge."""
    across: int
    """The axis of `rim` that leads over the edge."""
    past: int
    """How many places lie past each of its two corners."""
    colours: Pixels
    """(1, n, 3), n: places along the edge and past its corners."""
    is_inside: NDArray[np.bool_]
    """(n,): whether the photo reaches there."""
    is_cut: NDArray[np.bool_]
    """(n,): whether it ends so near that it had to be looked at nearer by."""
    is_skin: NDArray[np.bool_]
    """(n,): false where it does not reach."""

    def met_by(self, mask: Mask) -> NDArray[np.bool_]:
        """(n,): where ``mask``, (rows, columns), meets the edge."""
        return np.pad(mask[self.rim].any(axis=self.across), self.past)


_RIMS = (
    ((slice(None), _ENDS[0]), 1, 0),
    ((slice(None), _ENDS[1]), 1, 1),
    ((_ENDS[0], slice(None)), 0, 0),
    ((_ENDS[1], slice(None)), 0, 1),
)
"""Left, right, top, bottom: the edge, the axis over it, where on that axis it lies."""


def _along(
    side: tuple[tuple[slice, slice], int, int], shape: tuple[int, ...], beyond: float
) -> NDArray[np.float64]:
    """Return points ``beyond`` an edge, (n, 2), all in shares of the face."""
    _, across, edge = side
    count = shape[1 - across]
    past = _past(count)
    points = np.full((count + 2 * past, 2), edge + beyond * (2 * edge - 1))
    points[:, across] = (np.arange(-past, count + past) + 0.5) / count
    return points


def _past(count: int) -> int:
    """Return how many places past a corner are looked at, of ``count`` to the next."""
    return count // _PAST


_PAST = 5
"""A finger over a corner is seen to end on either side within a fifth of the edge."""


def _beyond(
    shape: tuple[int, ...],
    photo: Pixels,
    registration: Registration,
    white: NDArray[np.float32],
) -> list[_Side]:
    """Look just beyond each edge of the face, of (rows, columns)."""
    points = [_along(side, shape, _BEYOND) for side in _RIMS]
    past = [_past(shape[1 - across]) for _, across, _ in _RIMS]
    at, is_in_photo, goes_out = _pixels_at(np.concatenate(points), photo, registration)
    is_inside = is_in_photo & goes_out
    is_cut = ~is_in_photo & goes_out
    if is_cut.any():  # a hand may hold what reaches to the photo's own edge
        nearer = [_along(side, shape, _BEYOND / 2) for side in _RIMS]
        near, *told = _pixels_at(np.concatenate(nearer), photo, registration)
        is_cut &= told[0] & told[1]
        at = np.where(is_cut[:, None], near, at)
        is_inside |= is_cut
    colours = np.zeros((1, len(at), 3), np.uint8)
    is_skin = np.zeros(len(at), bool)
    if is_inside.any():  # else the face fills the photo
        columns, rows = at[is_inside].T
        colours[0, is_inside] = photo[rows, columns]
        is_skin = is_inside & skin_of(colours, white).ravel()
    last = np.cumsum([len(one) for one in points])
    return [
        _Side(
            rim,
            across,
            more,
            colours[:, part],
            is_inside[part],
            is_cut[part],
            is_skin[part],
        )
        for (rim, across, _), more, part in zip(
            _RIMS, past, map(slice, [0, *last[:-1]], last), strict=True
        )
    ]


def _beside_skin(shape: tuple[int, ...], sides: Sequence[_Side]) -> Mask:
    """(rows, columns): true along each edge of the face where skin lies beyond it."""
    mask: Mask = np.zeros(shape[:2], bool)
    for side in sides:
        along = side.is_skin[side.past : len(side.is_skin) - side.past]
        mask[side.rim] |= np.expand_dims(along, side.across)
    return mask


def _pixels_at(
    points: NDArray[np.float64], photo: Pixels, registration: Registration
) -> tuple[NDArray[np.int_], Mask, Mask]:
    """Return where ``points``, (n, 2) shares of the face, lie in the photo.

    Returns:
        columns and rows, (n, 2); which of them the photo has; and which lie beyond the
        face: what lies beyond the rim of a bottle would be seen mirrored, on the face
        itself.
    """
    # A bend says nothing past the corners of what it was fitted to: it goes on as it
    # ends there.
    near = points.clip(-_BEYOND, 1 + _BEYOND)
    there, back, at_edge, middle = (
        registration.points_in_photo(one * np.array(registration.reference_size_px))
        for one in (near, 2 * near - points, points.clip(0, 1), np.full((1, 2), 0.5))
    )
    goes_out = ((there - at_edge) * (at_edge - middle)).sum(axis=1) > 0
    is_past = (near != points).any(axis=1)
    there[is_past] += (there - back)[is_past]
    at = np.floor(there).astype(int)
    is_in_photo = ((at >= 0) & (at < photo.shape[1::-1])).all(axis=1)
    return at, np.asarray(is_in_photo, np.bool_), np.asarray(goes_out, np.bool_)


def _fingers(
    strays: Mask, skin: Mask, shown: Pixels, beside: Mask, sides: Sequence[_Side]
) -> NDArray[np.uint8]:
    """Mark the patches of ``strays`` from which skin goes on beyond the face."""
    face = float((~beside).sum())
    found = np.zeros(strays.shape, np.uint8)
    for patch in _patches(strays, face):
        if skin[patch].mean() < _ALL_SKIN:  # words and lines: print of that colour
            continue
        if _goes_on_behind(patch, skin, beside, shown) or any(
            _goes_on(patch, skin, shown, side) for side in sides
        ):
            found[patch] = 1
    # What is left of a patch without the lines that it touches: it may be a finger over
    # print of its colour, or what is blank of a label whose words are drawn on it.
    for patch in _patches(_broad(strays), face):
        hull = hull_of(patch) > 0
        if (
            not found[patch].any()
            and np.count_nonzero(patch) >= _FINGER_LIKE * np.count_nonzero(hull)
            and skin[_within(hull)].mean() >= _UNWRITTEN
            and any(
                _goes_on(patch, skin, shown, side, strip_too=True) for side in sides
            )
        ):
            found[patch] = 1
    return found


def _patches(mask: Mask, face: float) -> Iterator[Mask]:
    """Yield what hangs together, of the size of a hand over ``face`` places."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        _closed(mask), connectivity=4
    )
    for number in range(1, count):
        if _MIN_SHARE < float(stats[number][cv2.CC_STAT_AREA]) / face < _MAX_SHARE:
            yield labels == number


def _within(mask: Mask) -> Mask:
    """Drop the rim, which is half of what lies around."""
    return cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def _broad(mask: Mask) -> Mask:
    """Drop what is narrower than a finger, and parts from one the lines it touches."""
    return np.asarray(
        cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _NARROW) > 0, bool
    )


_NARROW = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)), np.uint8)
_FINGER_LIKE = 0.75
"""Least share that a patch fills of its convex hull: a bent finger, with its nail."""
_UNWRITTEN = 0.97
"""Least share of skin in the hull: fingers over words have 0.98, labels with words of
their own up to 0.96 beside a finger that holds the package from behind."""


def _goes_on_behind(patch: Mask, skin: Mask, beside: Mask, shown: Pixels) -> bool:
    """Tell whether skin goes on where ``patch`` meets what lies behind the package."""
    beyond = _grown(patch) & beside
    if not beyond.any() or skin[beyond].mean() < _GOES_ON:
        return False
    return alike(shown[beyond & skin], shown[_grown(beyond) & patch & skin])


def _grown(mask: Mask) -> Mask:
    return cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


def _goes_on(
    patch: Mask, skin: Mask, shown: Pixels, side: _Side, *, strip_too: bool = False
) -> bool:
    """Tell whether the same skin goes on in the photo where ``patch`` meets a side.

    ``strip_too``: as a strip does *and* in one hue, as always where the photo ends so
    near that print of the face may lie there; else a strip or one colour is enough.
    """
    met = side.met_by(patch)
    along = np.count_nonzero(patch.any(axis=side.across))
    if np.count_nonzero(met) < _LEAST_MET * along:
        return False
    if side.is_skin[met].mean() < _GOES_ON:
        return False
    within = (patch & skin)[side.rim]
    is_strip = _is_strip(side, met)
    beyond, inside = side.colours[0, met & side.is_skin], shown[side.rim][within]
    if strip_too or side.is_cut[met].any():
        return is_strip and of_one_hue(beyond, inside)
    return is_strip or alike(beyond, inside)


_LEAST_MET = 0.3
"""Share of a patch's extent along an edge that meets it: no finger hangs by a point."""


def _is_strip(side: _Side, met: NDArray[np.bool_]) -> bool:
    """Tell whether the skin beyond is about as wide as what meets it: a finger.

    The nail, and what lies in the finger's own shadow, has another colour than the
    finger has there. A table goes on to both sides, seams and grain between.

    Args:
        side: of the face.
        met: (n,), where a patch meets it, beyond which there is some skin.
    """
    tone = np.median(side.colours[0, met & side.is_skin], axis=0)
    gaps = np.abs(side.colours[0] - tone).max(axis=1)
    is_alike = side.is_skin & (gaps <= ONE_COLOUR)
    ends = np.flatnonzero(np.diff(is_alike, prepend=False, append=False))
    touched = [(a, b) for a, b in ends.reshape(-1, 2) if met[a:b].any()]
    if not touched:
        return False
    first, last = touched[0][0], touched[-1][1]
    wide = last - first
    if wide > _STRIP_WIDTH * np.count_nonzero(met):
        return False
    return all(
        _ends(side, is_alike, beside)
        for beside in (slice(max(0, first - wide), first), slice(last, last + wide))
    )


def _ends(side: _Side, is_alike: NDArray[np.bool_], beside: slice) -> bool:
    """Tell whether what is alike is seen to end ``beside`` it, along a side."""
    is_past = np.ones(len(is_alike), bool)
    is_past[side.past : len(is_alike) - side.past] = False
    is_seen, past = side.is_inside[beside], is_past[beside]
    # Past a corner the photo may end: what it shows there must do.
    if not is_seen.any() or not is_seen[~past].all():
        return False
    return bool(is_alike[beside][is_seen].mean() < _BESIDE)


_STRIP_WIDTH = 2.0
"""Of what meets the edge: fingers widen, and lie across it at a slant."""
_BESIDE = 0.25
"""Share of as much again on either side that may be of the strip's own colour."""

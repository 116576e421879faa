"""Fingers over the face: what lies before the print, and is no part of it.

Left out of the comparison only where the skin goes on, in one colour, beyond the edge
of the face in the photo, as a hand that holds the package does: skin-coloured *print*
ends there.
A masked place is never free: it counts against how much could be compared.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import Pixels, resized
from touchstone.engine.normalisation import relight
from touchstone.engine.registration import Registration

Mask = NDArray[np.bool_]

# Skin of any tone in YCrCb (Chai and Ngan, IEEE TCSVT 9(4), 1999).
_SKIN_LOW, _SKIN_HIGH = (30, 133, 77), (255, 178, 130)
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
    shown = resized(seen, small)
    skin = _skin(shown)
    beside = np.zeros(skin.shape, bool)
    if behind is not None:
        beside = cv2.resize(behind.astype(np.uint8), small) > 0
    face = float((~beside).sum())
    on_rim = _grown(beside) | _skin_beyond(skin.shape, photo, registration)
    if not _may_hold(_closed(skin & ~beside), on_rim, _MIN_SHARE * face):
        return np.zeros((height, width), bool)
    # White board in the light of a lamp has the colour of skin, but not beside what
    # that light makes of it.
    usual = resized(reference, small)
    lit = relight(usual, shown, (~beside).astype(np.float32)).expected
    red, green, blue = cv2.split(cv2.absdiff(shown, lit))
    gap = cv2.max(cv2.max(red, green), blue) > _FAR_COLOUR
    mask = _closed(skin & gap & ~beside)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    found = np.zeros(mask.shape, np.uint8)
    for number in range(1, count):
        share = float(stats[number][cv2.CC_STAT_AREA]) / face
        if not _MIN_SHARE < share < _MAX_SHARE:
            continue
        patch = labels == number
        if skin[patch].mean() < _ALL_SKIN:  # words and lines: print of that colour
            continue
        if _goes_on_behind(patch, skin, beside, shown) or _goes_on(
            patch, skin, shown, photo, registration
        ):
            found[patch] = 1
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


def _skin_beyond(
    shape: tuple[int, ...], photo: Pixels, registration: Registration
) -> Mask:
    """(rows, columns): true along each edge of the face where skin lies beyond it."""
    rows, columns = shape
    low, high = -_BEYOND, 1 + _BEYOND
    down, across = (np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns
    points = np.concatenate(
        [
            np.column_stack([np.full(rows, low), down]),
            np.column_stack([np.full(rows, high), down]),
            np.column_stack([across, np.full(columns, low)]),
            np.column_stack([across, np.full(columns, high)]),
        ]
    )
    x, y, inside = _pixels_at(points, photo, registration)
    is_skin = np.zeros(len(points), bool)
    if not inside.any():  # the face fills the photo
        return np.zeros((rows, columns), bool)
    is_skin[inside] = _skin(photo[y[inside], x[inside]].reshape(1, -1, 3)).ravel()
    left, right, top, bottom = np.split(
        is_skin, np.cumsum([rows, rows, columns]).tolist()
    )
    rim: Mask = np.zeros((rows, columns), bool)
    rim[:, :_ENDS_PX] |= left[:, None]
    rim[:, -_ENDS_PX:] |= right[:, None]
    rim[:_ENDS_PX] |= top
    rim[-_ENDS_PX:] |= bottom
    return rim


def _pixels_at(
    points: NDArray[np.float64], photo: Pixels, registration: Registration
) -> tuple[NDArray[np.int_], NDArray[np.int_], Mask]:
    """Return where ``points``, (n, 2) shares of the face, lie in the photo.

    Returns:
        columns and rows, (n,), and which of them the photo has.
    """
    there, at_edge, middle = (
        registration.points_in_photo(one * np.array(registration.reference_size_px))
        for one in (points, points.clip(0, 1), np.array([[0.5, 0.5]]))
    )
    x, y = np.floor(there).astype(int).T
    height, width = photo.shape[:2]
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    # What lies beyond the rim of a bottle would be seen mirrored, on the face itself.
    goes_out = ((there - at_edge) * (at_edge - middle)).sum(axis=1) > 0
    return x, y, inside & goes_out


def _skin(pixels: Pixels) -> Mask:
    tones = cv2.inRange(
        cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb), _SKIN_LOW, _SKIN_HIGH
    )
    return np.asarray(tones > 0, bool)


def _goes_on_behind(patch: Mask, skin: Mask, beside: Mask, shown: Pixels) -> bool:
    """Tell whether skin goes on where ``patch`` meets what lies behind the package."""
    beyond = _grown(patch) & beside
    if not beyond.any() or skin[beyond].mean() < _GOES_ON:
        return False
    return _alike(shown[beyond & skin], shown[_grown(beyond) & patch & skin])


def _grown(mask: Mask) -> Mask:
    return cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


def _alike(beyond: Pixels, within: Pixels) -> bool:
    """Tell whether two sets of pixels, (n, 3), are of one thing in one light."""
    if not (len(beyond) and len(within)):
        return False
    gap = np.median(beyond, axis=0) - np.median(within, axis=0)
    return bool(np.abs(gap).max() <= _ONE_COLOUR)


_ONE_COLOUR = 40
"""Levels; board that a missing element bares is lighter than the table beside it."""


def _goes_on(
    patch: Mask,
    skin: Mask,
    shown: Pixels,
    photo: Pixels,
    registration: Registration,
) -> bool:
    """Tell whether the photo shows skin just beyond where ``patch`` meets an edge."""
    rows, columns = patch.shape
    low, high = -_BEYOND, 1 + _BEYOND
    left, right = (np.flatnonzero(patch[:, part].any(1)) for part in _ENDS)
    top, bottom = (np.flatnonzero(patch[part].any(0)) for part in _ENDS)
    beyond = [
        *((low, (y + 0.5) / rows) for y in left),
        *((high, (y + 0.5) / rows) for y in right),
        *(((x + 0.5) / columns, low) for x in top),
        *(((x + 0.5) / columns, high) for x in bottom),
    ]
    if not beyond:
        return False
    x, y, inside = _pixels_at(np.array(beyond), photo, registration)
    if inside.mean() < _GOES_ON:
        return False
    around = np.ascontiguousarray(photo[y[inside], x[inside]].reshape(1, -1, 3))
    beyond_is_skin = _skin(around)
    if beyond_is_skin.mean() < _GOES_ON:
        return False
    rim = np.ones(patch.shape, bool)
    rim[_ENDS_PX:-_ENDS_PX, _ENDS_PX:-_ENDS_PX] = False
    return _alike(around[beyond_is_skin], shown[patch & rim & skin])

"""Counterfeits planted into real photographs, through the registration.

The change is made on the reference, put under the photo's light and focus, and its
*difference* is added to the photo where registration says that this print lies: nothing
else of the photo is touched, so that only the print changes.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import Pixels, grey
from touchstone.engine.normalisation import match_blur, relight
from touchstone.engine.pair import aligned_pair
from touchstone.engine.rectification import rectify
from touchstone.engine.reference import Reference, frame_of
from touchstone.engine.registration import Registration, project
from touchstone.errors import InvalidInputError
from touchstone_training.simulator.counterfeits import plant

_Field = NDArray[np.float32]
"""(h, w, 3) signed levels."""
_Points = NDArray[np.float64]
"""(n, 2)"""

_TRIES = 6
_COVERED_LEAST = 0.9
"""Share of a change that the photo must show, or another place is sought."""
_SEEN_LEVELS = 4
_SEEN_PX = 20
"""A change of fewer photo pixels, or weaker, is none that a photo could show."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A real photo with a change that was never in front of the camera."""

    pixels: Pixels
    """The photo, of the size it had."""
    box: tuple[float, float, float, float]
    """Of the change, in pixels of the enrolled image."""


def plant_into(
    photo: Pixels,
    registration: Registration,
    reference: Reference,
    kind: str,
    rng: np.random.Generator,
    *,
    severity: float,
) -> Planted | None:
    """Plant one of ``planting.LOCAL_KINDS`` into a photo of ``reference``.

    Args:
        photo: (h, w, 3).
        registration: of the reference to the photo.
        reference: what the photo shows.
        kind: of the counterfeit.
        rng: source of chance.
        severity: above 0 (subtle) to 1 (crude).

    Returns:
        None where no change was found that this photo would show.
    """
    # To change the print and nothing else, we must:
    #
    # 1. Change the reference, where the photo covers it.
    # 2. Learn the photo's light, focus and smooth misfit from what was not changed.
    # 3. Carry the difference, so lit and so soft, into the photo.
    frame = frame_of(reference.size_px)
    seen, covered = rectify(photo, registration, frame)
    for _ in range(_TRIES):
        try:
            forged = plant(reference.framed, kind, rng, severity=severity)
        except InvalidInputError:  # so plain that nothing of it can be changed
            return None
        changed = cv2.absdiff(reference.framed, forged.pixels).max(axis=2) > 0
        if (changed & covered).sum() < _COVERED_LEAST * changed.sum():
            continue
        known = covered & ~_around(changed)
        difference = photographed_difference(
            reference.framed,
            forged.pixels,
            seen,
            known,
            is_bent=bool(registration.bend),
        )
        pixels = added(photo, difference, registration)
        apart = cv2.absdiff(pixels, photo).max(axis=2)
        if (apart > _SEEN_LEVELS).sum() >= _SEEN_PX:
            scale = reference.size_px[0] / frame[0]
            x, y, w, h = (scale * side for side in forged.changed_boxes[0])
            return Planted(pixels, (x, y, w, h))
    return None


def _around(changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where a change may show through the windows that light is learned in."""
    reach = np.ones((17, 17), np.uint8)
    return np.asarray(cv2.dilate(changed.astype(np.uint8), reach) > 0)


def photographed_difference(
    genuine: Pixels,
    forged: Pixels,
    seen: Pixels,
    known: NDArray[np.bool_],
    *,
    is_bent: bool = False,
) -> _Field:
    """Return what ``forged`` would have changed in a photo of ``genuine``.

    Args:
        genuine: (h, w, 3), the reference.
        forged: (h, w, 3), the same with a change.
        seen: (h, w, 3), the photo in the frame of the reference.
        known: (h, w), covered by the photo and not changed.
        is_bent: whether the face bends away from the camera.

    Returns:
        (h, w, 3) signed levels, in the frame of ``seen``.
    """
    pair = aligned_pair(genuine, seen, known, is_bent=is_bent)
    valid = known.astype(np.float32)
    # Only what is known teaches the light, so both pictures get the same.
    lit, lit_forged = (relight(one, seen, valid).expected for one in (genuine, forged))
    difference = lit_forged.astype(np.float32) - lit.astype(np.float32)
    difference[~_around(np.any(genuine != forged, axis=2))] = 0
    _, _, softer_px = match_blur(grey(pair.expected), grey(pair.seen), pair.valid)
    if softer_px > _POINT_PX:
        difference = np.asarray(
            cv2.GaussianBlur(difference, (0, 0), softer_px), np.float32
        )
    # What is expected at x is seen at x + shift.
    height, width = known.shape
    xs, ys = np.meshgrid(np.arange(width), np.arange(height))
    grid = np.dstack([xs, ys]).astype(np.float32) - pair.alignment.shift
    return np.asarray(
        cv2.remap(difference, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR), np.float32
    )


_POINT_PX = 0.2


def added(photo: Pixels, difference: _Field, registration: Registration) -> Pixels:
    """Add ``difference``, in the frame of the reference, to ``photo`` where it lies."""
    ys, xs = np.nonzero(np.abs(difference).max(axis=2) > 0.5)  # noqa: PLR2004 (half a level)
    if not len(xs):
        return photo.copy()
    height, width = difference.shape[:2]
    to_reference = np.array(registration.reference_size_px) / (width, height)
    spots = (np.column_stack([xs, ys]) + 0.5) * to_reference
    in_photo = registration.points_in_photo(spots)
    low = np.floor(in_photo.min(axis=0) - 2).astype(int)
    high = np.ceil(in_photo.max(axis=0) + 2).astype(int)
    left, top = np.maximum(low, 0).tolist()
    right, bottom = np.minimum(high, photo.shape[1::-1]).tolist()
    if right <= left or bottom <= top:
        return photo.copy()
    columns, rows = np.meshgrid(np.arange(left, right), np.arange(top, bottom))
    points = np.column_stack([columns.ravel(), rows.ravel()]) + 0.5
    at = points_in_reference(registration, points) / to_reference - 0.5
    grid = at.reshape(bottom - top, right - left, 2).astype(np.float32)
    finer = 1 / (registration.photo_px_per_reference_px * float(to_reference[0]))
    if finer > 1:  # more pixels here than the photo has: average them as it would
        difference = np.asarray(cv2.GaussianBlur(difference, (0, 0), 0.4 * finer))
    patch = cv2.remap(difference, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR)
    out = photo.copy()
    part = out[top:bottom, left:right].astype(np.float32) + patch
    out[top:bottom, left:right] = np.clip(part + 0.5, 0, 255).astype(np.uint8)
    return out


_ROUNDS = 8
_BEYOND = 0.05


def points_in_reference(registration: Registration, points: _Points) -> _Points:
    """Map (n, 2) photo points to the reference: the inverse of `points_in_photo`.

    The bend is undone by fixed-point iteration: it is slow against the homography.
    """
    back = np.linalg.inv(registration.photo_from_reference)
    found = project(back, points)
    if registration.bend is None:
        return found
    size = np.array(registration.reference_size_px, np.float64)
    for _ in range(_ROUNDS):
        # A polynomial says nothing beyond the face that it was fitted to.
        inside = np.clip(found, -_BEYOND * size, (1 + _BEYOND) * size)
        bent = registration.bend.displacement(inside, registration.reference_size_px)
        found = project(back, points - bent)
    return found

"""Counterfeits planted into real photographs, through the registration.

The change is made on the reference, put under the photo's light and focus, and its
*difference* is added to the photo where registration says that this print lies: nothing
else of the photo is touched, so that only the print changes. Where the reference is
coarser than the photo, ink that was taken away leaves traces of its edges.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.evidence import laid_over
from touchstone.engine.image import Pixels, grey
from touchstone.engine.normalisation import match_blur, relight
from touchstone.engine.pair import AlignedPair, Mask, aligned_pair
from touchstone.engine.reference import Reference
from touchstone.engine.registration import Registration, project
from touchstone.errors import InvalidInputError
from touchstone_training.simulator.counterfeits import plant
from touchstone_training.simulator.planting import LOCAL_KINDS

_Field = NDArray[np.float32]
"""(h, w, 3) signed levels."""
_Points = NDArray[np.float64]
"""(n, 2)"""

_TRIES = 20
_COVERED_LEAST = 0.9
_AGREEING_LEAST = 0.75
"""Share of a place that the photo must cover, and its correlation with the print there,
or another place is sought: a change on a hand before the package is none."""
_SEEN_LEVELS = 12
_SEEN_PX = 60
"""A change of fewer photo pixels, or weaker, is none that a photo could show."""


SEVERITIES = (0.15, 1.0)
"""Of what is planted, from hardly to plainly."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A real photo with a change that was never in front of the camera."""

    pixels: Pixels
    """The photo, of the size it had."""
    box: tuple[float, float, float, float]
    """Of the change, in pixels of the enrolled image."""
    kind: str
    severity: float


def plant_each(
    name: str, photo: Pixels, registration: Registration, reference: Reference
) -> Iterator[Planted]:
    """Plant one change of each of ``planting.LOCAL_KINDS`` into a photo, in turn.

    A set of real photos is small: one change in each would leave to chance how well
    they are told. Severity and place hang on ``name`` and kind alone, so that a photo
    that is not registered changes no other.

    Args:
        name: of the photo.
        photo: see `plant_into`.
        registration: see `plant_into`.
        reference: see `plant_into`.

    Yields:
        Those that this photo would show.
    """
    print_ = _Print.of(photo, registration, reference)
    for kind in LOCAL_KINDS:
        rng = np.random.default_rng(zlib.crc32(f"{name}:{kind}".encode()))
        severity = float(rng.uniform(*SEVERITIES))
        planted = print_.changed(kind, rng, severity=severity)
        if planted is not None:
            yield planted


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
    print_ = _Print.of(photo, registration, reference)
    return print_.changed(kind, rng, severity=severity)


@dataclass(frozen=True, slots=True)
class _Print:
    """A print as a photo shows it: what every change of it goes by."""

    photo: Pixels
    reference: Reference
    registration: Registration
    """Carried on over the face."""
    seen: Pixels
    covered: Mask
    pair: AlignedPair

    @classmethod
    def of(
        cls, photo: Pixels, registration: Registration, reference: Reference
    ) -> "_Print":
        laid = laid_over(photo, registration, reference)
        pair = aligned_pair(
            reference.framed,
            laid.seen,
            laid.covered,
            is_bent=laid.registration.bend is not None,
        )
        return cls(photo, reference, laid.registration, laid.seen, laid.covered, pair)

    def changed(
        self, kind: str, rng: np.random.Generator, *, severity: float
    ) -> Planted | None:
        """Return the photo with a change, see `plant_into`."""
        # To change the print and nothing else, we must:
        #
        # 1. Change the reference.
        # 2. Learn from what was not changed how the photo shows it: light, focus,
        #    misfit.
        # 3. Look elsewhere if this place is hidden, or the change too faint to be seen.
        # 4. Carry the difference, so lit and so soft, into the photo.
        genuine = self.reference.framed
        for _ in range(_TRIES):
            try:
                forged = plant(genuine, kind, rng, severity=severity)
            except InvalidInputError:  # so plain that nothing of it can be changed
                return None
            difference = photographed_difference(
                genuine, forged.pixels, self.seen, self.covered, self.pair
            )
            if difference is None:
                continue
            pixels = added(self.photo, difference, self.registration)
            apart = cv2.absdiff(pixels, self.photo).max(axis=2)
            if (apart > _SEEN_LEVELS).sum() >= _SEEN_PX:
                scale = self.reference.size_px[0] / self.seen.shape[1]
                x, y, w, h = (scale * side for side in forged.changed_boxes[0])
                return Planted(pixels, (x, y, w, h), kind, severity)
        return None


def photographed_difference(
    genuine: Pixels, forged: Pixels, seen: Pixels, covered: Mask, pair: AlignedPair
) -> _Field | None:
    """Return what ``forged`` would have changed in a photo of ``genuine``.

    Args:
        genuine: (h, w, 3), the reference.
        forged: (h, w, 3), the same with a change.
        seen: (h, w, 3), the photo in the frame of the reference.
        covered: (h, w), where the photo shows the reference.
        pair: ``genuine`` and ``seen``, aligned.

    Returns:
        (h, w, 3) signed levels, in the frame of ``seen``; None where the photo does
        not show the place of the change.
    """
    changed = np.any(genuine != forged, axis=2).astype(np.uint8)
    around = np.asarray(cv2.dilate(changed, _AROUND) > 0)
    if (covered & around).sum() < _COVERED_LEAST * around.sum():
        return None
    # Only what is covered and not changed teaches the light: both get the same.
    valid = (covered & ~around).astype(np.float32)
    lit, lit_forged = (relight(one, seen, valid).expected for one in (genuine, forged))
    _, _, softer_px = match_blur(grey(pair.expected), grey(pair.seen), pair.valid)
    place = _place(softened(lit, softer_px), pair.seen, around)
    if place is None:
        return None
    apart = lit_forged.astype(np.float32) - lit.astype(np.float32)
    difference = softened(apart * place.gains, softer_px)
    difference[~around] = 0
    # What is expected at x is seen at x + offset + shift.
    height, width = covered.shape
    xs, ys = np.meshgrid(np.arange(width), np.arange(height))
    grid = np.dstack([xs, ys]).astype(np.float32) - pair.alignment.shift
    return np.asarray(
        cv2.remap(
            difference,
            grid[..., 0] - np.float32(place.dx),
            grid[..., 1] - np.float32(place.dy),
            cv2.INTER_LINEAR,
        ),
        np.float32,
    )


_AROUND = np.ones((17, 17), np.uint8)
"""Where a change may show through the windows that light is learned in."""
_POINT_PX = 0.2


def softened(pixels: NDArray[Any], sigma: float) -> NDArray[Any]:
    """Blur ``pixels`` as the photo is softer than the reference, if it is."""
    if sigma <= _POINT_PX:
        return pixels.copy()
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma))


@dataclass(frozen=True, slots=True)
class _Place:
    """How a piece of the print lies in the photo, beyond the smooth alignment."""

    dx: float
    dy: float
    gains: NDArray[np.float32]
    """(3,): contrast of each colour in the photo, over what the light explains."""


_REACH_PX = 6
_GAINS = (0.4, 2.0)


def _place(expected: Pixels, seen: Pixels, around: Mask) -> _Place | None:
    """Find what is expected ``around`` a change in the aligned photo nearby.

    None where the photo does not agree: a hand or glare lies before the print.
    """
    ys, xs = np.flatnonzero(around.any(axis=1)), np.flatnonzero(around.any(axis=0))
    height, width = around.shape
    left, right = max(int(xs[0]), _REACH_PX), min(int(xs[-1]) + 1, width - _REACH_PX)
    top, bottom = max(int(ys[0]), _REACH_PX), min(int(ys[-1]) + 1, height - _REACH_PX)
    if min(right - left, bottom - top) < 2 * _REACH_PX:
        return None
    template, mask = expected[top:bottom, left:right], around[top:bottom, left:right]
    beyond = seen[
        top - _REACH_PX : bottom + _REACH_PX, left - _REACH_PX : right + _REACH_PX
    ]
    if grey(template)[mask].std() < 1:
        return None
    match = np.nan_to_num(
        cv2.matchTemplate(
            grey(beyond),
            grey(template),
            cv2.TM_CCOEFF_NORMED,
            mask=mask.astype(np.uint8),
        ),
        nan=-1.0,
        posinf=-1.0,
    )
    row, column = np.unravel_index(int(match.argmax()), match.shape)
    if match[row, column] < _AGREEING_LEAST:
        return None
    found = beyond[row : row + mask.shape[0], column : column + mask.shape[1]]
    dx = column + _peak(match[row], int(column)) - _REACH_PX
    dy = row + _peak(match[:, column], int(row)) - _REACH_PX
    return _Place(float(dx), float(dy), _contrast(template[mask], found[mask]))


def _contrast(
    expected: NDArray[np.uint8], seen: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return (3,) slopes of ``seen`` over ``expected``, both (n, 3)."""
    x, y = (one.astype(np.float64) - one.mean(axis=0) for one in (expected, seen))
    slopes = ((x * y).sum(axis=0) + _PRIOR) / ((x * x).sum(axis=0) + _PRIOR)
    return np.asarray(np.clip(slopes, *_GAINS), np.float32)


_PRIOR = 1e3
"""Squared levels: a colour that hardly varies says nothing of its contrast."""


def _peak(values: NDArray[Any], at: int) -> float:
    """Return how far from ``at`` a parabola through three values has its peak."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, here, after = (float(v) for v in values[at - 1 : at + 2])
    bend = before - 2 * here + after
    return (before - after) / (2 * bend) if bend < 0 else 0.0


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


_ROUNDS = 24
_BEYOND = 0.05


def points_in_reference(registration: Registration, points: _Points) -> _Points:
    """Map (n, 2) photo points to the reference: the inverse of `points_in_photo`.

    The bend is undone by fixed-point iteration: it is slow against the homography.
    """
    there = registration.photo_from_reference
    back = np.asarray(np.linalg.inv(there), np.float64)
    found = project(back, points)
    if registration.bend is None:
        return found
    size = np.array(registration.reference_size_px, np.float64)
    for _ in range(_ROUNDS):
        # A bend says nothing beyond the face that it was fitted to.
        inside = np.clip(found, -_BEYOND * size, (1 + _BEYOND) * size)
        bent = registration.points_in_photo(inside) - project(there, inside)
        found = project(back, points - bent)
    return found

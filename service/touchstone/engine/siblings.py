"""Which of several siblings a photo shows: looked at only where their prints differ.

Variants of one artwork register alike and are alike nearly everywhere: what is measured
over the whole face drowns what tells them apart, a strength, a flavour, a code.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.alignment import align
from touchstone.engine.evidence import Evidence
from touchstone.engine.image import Pixels, grey, moved_by
from touchstone.engine.normalisation import Map, relight
from touchstone.engine.reference import mask_of
from touchstone.engine.registration import Registration, project

_cv2: Any = cv2
_Mask: TypeAlias = NDArray[np.bool_]

MOST_LOG10_ODDS = 3.0
"""Between two prints: however much of them differs, a photo is one observation."""


def told_apart(examined: Sequence[Evidence]) -> list[Evidence]:
    """Say of each how much better it fits the photo than the others, as `preference`.

    Args:
        examined: of one photo, the matches in doubt; known counterfeits among them are
            left as they are: a print is not the likelier genuine for being no copy.
    """
    sums = [0.0] * len(examined)
    genuine = [n for n, one in enumerate(examined) if not one.reference.is_counterfeit]
    for place, first in enumerate(genuine):
        for second in genuine[place + 1 :]:
            odds = _log10_odds(examined[first], examined[second])
            sums[first] += odds / 2
            sums[second] -= odds / 2
    return [
        replace(one, preference=total)
        for one, total in zip(examined, sums, strict=True)
    ]


def _log10_odds(one: Evidence, other: Evidence) -> float:
    """Return log10 odds of ``one`` against ``other``; 0 where nothing tells."""
    # 1. Draw the other's print in the frame of the one; none if it lies elsewhere.
    # 2. Give both the photo's light; follow the rest of the misregistration.
    # 3. Where the two differ, see which the photo is nearer to, shifted a little.
    drawn = _drawn_in(one.frame_px, one, other)
    if drawn is None:
        return 0.0
    valid = _comparable(one, other)
    if not valid.any():
        return 0.0
    ours, theirs = (
        relight(print_, one.seen, valid).expected
        for print_ in (one.reference.framed, drawn)
    )
    is_bent = one.match.registration.bend is not None
    shift = align(grey(ours), grey(one.seen), valid, is_bent=is_bent).shift
    seen = moved_by(one.seen, shift)
    total = 0.0
    differing = _differing(ours, theirs, valid)
    for box in _places(differing):
        told = differing[box]
        gaps = [_gap(print_[box], told, seen, box) for print_ in (ours, theirs)]
        if min(gaps) > (_NEITHER * _USUAL_LEVELS) ** 2 * told.sum():
            continue  # something lies over it, or it is another print altogether
        total += (gaps[1] - gaps[0]) / (2 * _USUAL_LEVELS**2 * _SHARED_PX)
    most = MOST_LOG10_ODDS
    return min(most, max(-most, total / math.log(10)))


_USUAL_LEVELS = 18.0
"""What a genuine photo strays from what is expected, levels."""
_NEITHER = 2.5
"""So many times as much, at the better of the two, and the photo shows neither."""
_SHARED_PX = 12.0
"""Neighbouring pixels stray together: so many count as one."""


def _comparable(one: Evidence, other: Evidence) -> Map:
    """1 where ``one`` was compared and nothing of ``other`` varies by unit."""
    varies = mask_of(
        other.reference.variable_regions, other.reference.size_px, one.frame_px
    )
    valid = one.comparison.valid
    return valid if varies is None else np.asarray(valid * ~varies, np.float32)


# --- the other's print, in the frame of the one ---------------------------------------

_SAME_PLACE = 0.12
_SAME_LAYOUT = 0.03


def _drawn_in(frame: tuple[int, int], one: Evidence, other: Evidence) -> Pixels | None:
    """Draw the print of ``other`` where it lies over ``one``'s; None if elsewhere."""
    width, height = other.frame_px
    scaled = np.diag([frame[0] / width, frame[1] / height, 1.0])
    through = _through(one.match.registration, frame) @ np.linalg.inv(
        _through(other.match.registration, other.frame_px)
    )
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    apart = project(through, corners) - project(scaled, corners)
    stray = float(np.linalg.norm(apart, axis=1).max()) / max(frame)
    if not stray < _SAME_PLACE:
        return None
    # Variants of one artwork have one layout, and two registrations are off by more.
    ways = [scaled, through] if stray < _SAME_LAYOUT else [through]
    drawn = [_warped(other.reference.framed, way, frame) for way in ways]
    usual = grey(one.reference.framed)
    return max(drawn, key=lambda print_: _likeness(usual, grey(print_)))


def _through(registration: Registration, frame: tuple[int, int]) -> NDArray[np.float64]:
    """(3, 3): the photo to the frame, the bend of both faces left out."""
    width, height = registration.reference_size_px
    to_frame = np.diag([frame[0] / width, frame[1] / height, 1.0])
    return np.asarray(
        to_frame @ np.linalg.inv(registration.photo_from_reference), np.float64
    )


def _warped(
    print_: Pixels, matrix: NDArray[np.float64], frame: tuple[int, int]
) -> Pixels:
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # cv2 counts from centres
    centred = np.linalg.inv(half) @ matrix @ half
    return np.asarray(
        _cv2.warpPerspective(
            print_, centred, frame, flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )  # fmt: skip


def _likeness(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return -float(cv2.norm(one, other, cv2.NORM_L1))


# --- where they differ ----------------------------------------------------------------

_DIFFERENT_LEVELS = 20
_LEAST_PX = 24
_MOST_PLACES = 16
_JOINED = np.ones((9, 9), np.uint8)
_SEARCH_PX = 3


def _differing(ours: Pixels, theirs: Pixels, valid: Map) -> _Mask:
    gap = cv2.blur(cv2.absdiff(ours, theirs), (3, 3)).max(axis=2)
    found = np.asarray((gap > _DIFFERENT_LEVELS) & (valid > 0), bool)
    found[:_SEARCH_PX] = found[-_SEARCH_PX:] = False
    found[:, :_SEARCH_PX] = found[:, -_SEARCH_PX:] = False
    return found


def _places(differing: _Mask) -> list[tuple[slice, slice]]:
    """Boxes around what differs, those with the most of it first."""
    joined = cv2.dilate(differing.astype(np.uint8), _JOINED)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    areas = np.bincount(labels[differing], minlength=count)
    order = np.argsort(-areas[:count], kind="stable")[:_MOST_PLACES]
    height, width = differing.shape
    boxes = []
    for number in order.tolist():
        if number == 0 or areas[number] < _LEAST_PX:
            continue
        x, y, w, h = (int(v) for v in stats[number][:4])
        rows = slice(max(_SEARCH_PX, y), min(height - _SEARCH_PX, y + h))
        columns = slice(max(_SEARCH_PX, x), min(width - _SEARCH_PX, x + w))
        boxes.append((rows, columns))
    return boxes


def _gap(print_: Pixels, told: _Mask, seen: Pixels, box: tuple[slice, slice]) -> float:
    """Sum of squared levels between ``print_`` and what is seen, at the best shift."""
    rows, columns = box
    around = seen[
        rows.start - _SEARCH_PX : rows.stop + _SEARCH_PX,
        columns.start - _SEARCH_PX : columns.stop + _SEARCH_PX,
    ]
    mask = cv2.merge([told.astype(np.float32)] * 3)
    gaps = cv2.matchTemplate(
        around.astype(np.float32), print_.astype(np.float32), cv2.TM_SQDIFF, mask=mask
    )
    return float(np.maximum(gaps, 0).min()) / 3

"""A registration that holds on a part of the face is carried on over all of it."""

import functools

import cv2
import numpy as np
import pytest
from blind import BLIND
from examined import laid_by, reference
from numpy.typing import NDArray
from scenes import TABLE, Pixels, photographed, printed

from touchstone.engine.cylinders import Cylinder
from touchstone.engine.evidence import examine
from touchstone.engine.identification import Match
from touchstone.engine.propagation import _halved, _Print, carried_on
from touchstone.engine.rectification import rectify
from touchstone.engine.reference import frame_of
from touchstone.engine.registration import Registration

FACE = printed(1, size_px=(600, 400))
PHOTO_PX = (960, 720)
LAID = np.array([[1.3, 0, 90], [0, 1.3, 100], [0, 0, 1.0]])
"""Of the part of each face that lies flat."""


def carried(photo: Pixels, first: Registration) -> Registration:
    frame = frame_of(FACE.size_px)
    framed = np.asarray(cv2.resize(FACE.pixels, frame), np.uint8)
    seen, covered = rectify(photo, first, frame)
    return carried_on(photo, first, framed, seen, covered)[0]


def flat() -> Registration:
    return laid_by(LAID, FACE.size_px, PHOTO_PX)


def lifted(points: NDArray[np.float64], by_px: float) -> NDArray[np.float64]:
    """Where points of the print lie in a photo of it, of which the right side rises."""
    at = points @ LAID[:2, :2].T + LAID[:2, 2]
    away = np.clip(points[:, 0] / FACE.size_px[0] - 0.3, 0, None) / 0.7
    at[:, 1] -= by_px * away**2
    at[:, 0] -= by_px / 4 * away**2
    return np.asarray(at, np.float64)


@functools.cache
def seen_at(by_px: float) -> NDArray[np.float32]:
    """(h, w, 2): which point of the print lies at each pixel of that photo."""
    xs, ys = np.meshgrid(np.arange(PHOTO_PX[0]) + 0.5, np.arange(PHOTO_PX[1]) + 0.5)
    seen = np.column_stack([xs.ravel(), ys.ravel()])
    back = (seen - LAID[:2, 2]) / 1.3
    for _ in range(12):
        back -= (lifted(back, by_px) - seen) / 1.3
    return np.asarray(back.reshape(*xs.shape, 2) - 0.5, np.float32)


def photo_of(pixels: Pixels, by_px: float) -> Pixels:
    at = seen_at(by_px)
    drawn = cv2.remap(
        pixels,
        at[..., 0],
        at[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=TABLE,
    )
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), 0.7), np.uint8)


def over_the_face() -> NDArray[np.float64]:
    width, height = FACE.size_px
    xs, ys = np.meshgrid(
        np.linspace(0.05, 0.95, 13) * width, np.linspace(0.05, 0.95, 9) * height
    )
    return np.column_stack([xs.ravel(), ys.ravel()])


def gaps_px(found: Registration, by_px: float) -> NDArray[np.float64]:
    points = over_the_face()
    gaps = found.points_in_photo(points) - lifted(points, by_px)
    return np.asarray(np.hypot(*gaps.T), np.float64)


@pytest.mark.parametrize("by_px", [24.0, 48.0, 72.0])
def test_a_face_that_rises_is_followed_to_its_end(by_px: float) -> None:
    before = flat()
    found = carried(photo_of(FACE.pixels, by_px), before)
    assert gaps_px(before, by_px).max() > 0.7 * by_px
    # A photo pixel or two: the rest is followed by the alignment.
    assert np.median(gaps_px(found, by_px)) < 2.0
    assert gaps_px(found, by_px).max() < max(5.0, 0.2 * by_px)


def test_a_face_that_lies_right_is_left_as_it_is() -> None:
    before = flat()
    assert carried(photo_of(FACE.pixels, 0.0), before) is before


def test_a_bottle_is_one_though_its_middle_passed_for_flat() -> None:
    photo = photographed(FACE, bend=0.8, zoom=1.1, frame_px=PHOTO_PX)
    # What is tangent to it along its middle.
    middle = np.diag([0.8 / np.sin(0.8), 1, 1])
    middle[0, 2] = FACE.size_px[0] / 2 * (1 - middle[0, 0])
    before = laid_by(photo.photo_from_print @ middle, FACE.size_px, PHOTO_PX)
    found = carried(photo.pixels, before)
    assert isinstance(found.bend, Cylinder)
    points = over_the_face()
    gaps = found.points_in_photo(points) - photo.points(points)
    assert np.hypot(*gaps.T).max() < 4.0


@pytest.mark.parametrize("dx", [5, 12])
def test_an_element_that_was_moved_stays_moved_on_a_face_that_rises(dx: int) -> None:
    number = FACE.first("block", after=6)
    photo = photo_of(FACE.moved(number, dx=dx, dy=0).pixels, 48.0)
    found = carried(photo, flat())
    # The print lies where it should, and the element beside it: by 7 and 16 of these
    # pixels, of which hardly any is followed.
    x, y, width, height = FACE.elements[number].box
    centre = np.array([[x + width / 2, y + height / 2]])
    gap = np.hypot(*(found.points_in_photo(centre) - lifted(centre, 48.0)).T)
    assert gap < 0.4 * 1.3 * dx
    assert np.median(gaps_px(found, 48.0)) < 2.0


def test_what_is_bent_out_of_the_photo_is_not_laid_right() -> None:
    print_ = _Print.of(_halved(np.asarray(cv2.resize(FACE.pixels, (640, 428)))))
    told = print_.is_printed
    every, none = np.ones((428, 640), bool), np.zeros((428, 640), bool)
    assert print_.laid(told, print_.luma, every) == 1.0
    assert print_.laid(told, print_.luma, none) == 0.0


def test_a_stretched_print_is_told_by_the_part_that_is_flat() -> None:
    # A bend says nothing of proportions: what was flat before it was bent does.
    stretched = np.asarray(cv2.resize(FACE.pixels, None, fx=1.12, fy=1))[:, :600]
    photo = photo_of(np.ascontiguousarray(stretched), 30.0)
    first = laid_by(LAID @ np.diag([1.12, 1, 1]), FACE.size_px, PHOTO_PX)
    known = Match(1, 0.9, first, 0.9, 0.1, 1.0, 0.9)
    found = examine(photo, known, reference(FACE), BLIND)
    assert found.match.registration.bend is not None
    assert found.aspect_gap > 0.05


def test_what_was_laid_in_an_examination_is_laid_so_again() -> None:
    photo, face = photo_of(FACE.pixels, 48.0), reference(FACE)
    known = Match(1, 0.9, flat(), 0.9, 0.1, 1.0, 0.9)
    again = examine(photo, known, face, BLIND, is_laid=True)
    assert again.match.registration is known.registration
    assert examine(photo, known, face, BLIND).match.registration.bend is not None


def test_another_print_is_bent_to_nothing() -> None:
    other = printed(7, size_px=FACE.size_px)
    before = flat()
    assert carried(photo_of(other.pixels, 0.0), before) is before


def test_nothing_is_found_on_a_photo_without_the_face() -> None:
    before = flat()
    blank = np.full((PHOTO_PX[1], PHOTO_PX[0], 3), TABLE, np.uint8)
    assert carried(blank, before) is before


def test_a_face_too_narrow_to_tell_is_left_as_it_is() -> None:
    framed = np.asarray(cv2.resize(FACE.pixels, (640, 48)), np.uint8)
    photo, before = photo_of(FACE.pixels, 48.0), flat()
    seen, covered = rectify(photo, before, (640, 48))
    assert carried_on(photo, before, framed, seen, covered)[0] is before


def test_the_same_photo_is_carried_to_the_same_numbers() -> None:
    photo, points = photo_of(FACE.pixels, 48.0), over_the_face()
    first, second = (carried(photo, flat()).points_in_photo(points) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - flat().points_in_photo(points)).max() > 24

"""Counterfeits planted into photographs: where the change lands; the rest stays."""

import cv2
import numpy as np
import pytest
from small_world import photographed, printed_mark

from touchstone.engine.features import (
    PHOTO_SIDE_PX,
    REFERENCE_SIDE_PX,
    Method,
    PhotoMatcher,
    detect,
)
from touchstone.engine.image import Pixels
from touchstone.engine.pair import aligned_pair
from touchstone.engine.rectification import rectify
from touchstone.engine.reference import Reference, frame_of
from touchstone.engine.registration import Bend, Registration, register
from touchstone_training.benchmark.planted import (
    SEVERITIES,
    added,
    photographed_difference,
    plant_each,
    plant_into,
    points_in_reference,
)
from touchstone_training.simulator.planting import LOCAL_KINDS

FACE = printed_mark(5, size_px=(640, 480))
REFERENCE = Reference(0, FACE, (640, 480), is_counterfeit=False)
PHOTO = photographed(FACE, seed=2)


@pytest.fixture(scope="module")
def registration() -> Registration:
    matcher = PhotoMatcher(detect(PHOTO, Method.ORB, max_side_px=PHOTO_SIDE_PX))
    reference = detect(FACE, Method.ORB, max_side_px=REFERENCE_SIDE_PX)
    found = register(matcher, reference)
    assert isinstance(found, Registration)
    return found


@pytest.mark.parametrize("kind", LOCAL_KINDS)
def test_a_change_lands_where_its_box_lies_and_nowhere_else(
    kind: str, registration: Registration
) -> None:
    rng = np.random.default_rng(4)
    forged = plant_into(PHOTO, registration, REFERENCE, kind, rng, severity=0.8)
    assert forged is not None
    changed = cv2.absdiff(forged.pixels, PHOTO).max(axis=2) > 12
    assert changed.sum() >= 60
    ys, xs = np.nonzero(changed)
    in_photo = np.column_stack([xs, ys]).astype(np.float64) + 0.5
    spots = points_in_reference(registration, in_photo)
    x, y, w, h = forged.box
    margin = 0.03 * 640
    inside = (
        (spots[:, 0] > x - margin)
        & (spots[:, 0] < x + w + margin)
        & (spots[:, 1] > y - margin)
        & (spots[:, 1] < y + h + margin)
    )
    assert inside.all()


def test_a_planted_change_looks_as_if_it_had_been_printed(
    registration: Registration,
) -> None:
    forged_face = FACE.copy()
    forged_face[200:240, 300:360] = FACE[200:240, 300:360][:, ::-1]
    seen, covered = rectify(PHOTO, registration, frame_of(REFERENCE.size_px))
    pair = aligned_pair(REFERENCE.framed, seen, covered)
    difference = photographed_difference(
        REFERENCE.framed, forged_face, seen, covered, pair
    )
    assert difference is not None
    planted = added(PHOTO, difference, registration)
    really = photographed(forged_face, seed=2)
    spots = (slice(195, 245), slice(295, 365))
    known = frame_of(REFERENCE.size_px)
    shown, before, wanted = (
        rectify(one, registration, known)[0][spots].astype(np.float32)
        for one in (planted, PHOTO, really)
    )
    assert np.abs(shown - wanted).mean() < 0.35 * np.abs(before - wanted).mean()


def test_no_change_leaves_the_photo_as_it_was(registration: Registration) -> None:
    nothing = np.zeros((480, 640, 3), np.float32)
    assert np.array_equal(added(PHOTO, nothing, registration), PHOTO)


def test_the_same_seed_plants_the_same(registration: Registration) -> None:
    pictures: list[Pixels] = []
    for _ in range(2):
        rng = np.random.default_rng(9)
        one = plant_into(PHOTO, registration, REFERENCE, "typo", rng, severity=0.5)
        assert one is not None
        pictures.append(one.pixels)
    assert np.array_equal(pictures[0], pictures[1])


def test_a_photo_gets_one_change_of_each_kind_by_its_name(
    registration: Registration,
) -> None:
    first, again, other = (
        list(plant_each(name, PHOTO, registration, REFERENCE))
        for name in ("shelf:a.jpg", "shelf:a.jpg", "shelf:b.jpg")
    )
    assert [one.kind for one in first] == list(LOCAL_KINDS)
    assert all(SEVERITIES[0] <= one.severity <= SEVERITIES[1] for one in first)
    assert len({one.severity for one in (*first, *other)}) == 2 * len(LOCAL_KINDS)
    for one, same in zip(first, again, strict=True):
        assert (one.box, one.severity) == (same.box, same.severity)
        assert np.array_equal(one.pixels, same.pixels)


def test_nothing_is_planted_on_a_hand_before_the_print(
    registration: Registration,
) -> None:
    hidden = np.full_like(PHOTO, 150)
    rng = np.random.default_rng(1)
    assert plant_into(hidden, registration, REFERENCE, "typo", rng, severity=1) is None


def test_nothing_is_planted_on_a_print_that_shows_nothing(
    registration: Registration,
) -> None:
    blank = Reference(0, np.full_like(FACE, 255), (640, 480), is_counterfeit=False)
    rng = np.random.default_rng(1)
    assert (
        plant_into(PHOTO, registration, blank, "moved_element", rng, severity=1) is None
    )


def test_the_way_back_from_the_photo_undoes_the_bend(
    registration: Registration,
) -> None:
    coefficients = np.zeros((10, 2))
    coefficients[3] = (6.0, -4.0)  # bends with the square of x
    bent = Registration(
        photo_from_reference=registration.photo_from_reference,
        bend=Bend(coefficients),
        method=registration.method,
        inliers=registration.inliers,
        matches=registration.matches,
        residual_px=registration.residual_px,
        coverage=registration.coverage,
        reference_size_px=registration.reference_size_px,
        photo_size_px=registration.photo_size_px,
    )
    points = np.random.default_rng(0).uniform((10, 10), (630, 470), (50, 2))
    back = points_in_reference(bent, bent.points_in_photo(points))
    assert np.abs(back - points).max() < 0.01

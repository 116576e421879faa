from dataclasses import replace

import numpy as np
import pytest
from examined import by_inliers, candidate, matches, reference
from scenes import Pixels, photographed, printed

from touchstone.engine import identification
from touchstone.engine.features import (
    FACE_SIDE_PX,
    Features,
    Method,
    PhotoMatcher,
    detect,
)
from touchstone.engine.identification import Candidate, match
from touchstone.engine.registration import Registration, register


def test_the_print_in_the_photo_comes_first_and_lies_where_it_is() -> None:
    photo = photographed(printed(2), tilt=0.15, turn=-30, zoom=1.0)
    best = matches(photo.pixels, [1, 2, 3])[0]
    assert best.label == 2
    corners = np.array([[0, 0], [480, 0], [480, 320], [0, 320]], np.float64)
    gaps = best.registration.points_in_photo(corners) - photo.points(corners)
    assert np.linalg.norm(gaps, axis=1).max() < 5
    assert best.agreement > 0.9


def test_a_colour_variant_registers_as_well_and_is_told_by_its_colour() -> None:
    # Grey features alone swap the flavours of one design.
    face = printed(1)
    sibling = face
    for number, element in enumerate(face.elements):
        red, green, blue = element.colour
        sibling = sibling.recoloured(number, (blue, red, green))
    (right,) = matches(photographed(face).pixels, [1])
    (wrong,) = matches(photographed(sibling).pixels, [1])
    assert wrong.registration.inliers > 60
    assert wrong.chroma_gap > 2 * right.chroma_gap


def test_what_lies_a_little_off_is_followed_and_another_print_is_none() -> None:
    # A registration a little off, as where a face bends; and the same of other prints.
    photo = photographed(printed(2)).pixels
    (right,) = matches(photo, [2])
    off = np.array([[1.0, 0, 5], [0, 1, 5], [0, 0, 1]])
    laid = replace(
        right.registration,
        photo_from_reference=off @ right.registration.photo_from_reference,
    )
    looks = {
        seed: identification._looked_at(photo, reference(printed(seed)), laid, 0.5)
        for seed in (2, 1, 3, 5)
    }
    assert looks[2].agreement < 0.7
    assert looks[2].followed > 0.85
    assert all(looks[seed].followed < 0.5 for seed in (1, 3, 5))
    assert looks[2].measurements()["followed"] == looks[2].followed


def test_a_photo_of_nothing_enrolled_agrees_with_nothing() -> None:
    for found in matches(photographed(printed(77)).pixels, [1, 2, 3]):
        assert found.registration.inliers < 40
        assert found.agreement < 0.6


def test_no_candidate_is_no_match() -> None:
    assert matches(photographed(printed(1)).pixels, []) == []


def test_all_candidates_are_tried_where_none_of_the_nearest_is_beyond_doubt() -> None:
    photo = photographed(printed(9)).pixels
    found = matches(photo, [1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert found[0].label == 9


def test_a_match_beyond_doubt_spares_the_rest() -> None:
    asked: list[int] = []

    class Watched(dict[Method, object]):
        def __init__(self, label: int) -> None:
            super().__init__(candidate(label).features)
            self.label = label

        def __getitem__(self, method: Method) -> object:
            asked.append(self.label)
            return super().__getitem__(method)

    watched = [
        Candidate(seed, 0.5, Watched(seed))  # type: ignore[arg-type]
        for seed in (1, 2, 3, 4, 5, 6, 7)
    ]
    match(
        photographed(printed(1)).pixels,
        watched,
        lambda label: reference(printed(label), label=label),
        rank=by_inliers,
    )
    assert set(asked) == {1, 2, 3, 4, 5}


def test_sift_finds_what_orb_leaves_in_doubt() -> None:
    found = match(
        photographed(printed(1)).pixels,
        [candidate(1, Method.SIFT), candidate(2)],
        lambda label: reference(printed(label), label=label),
        rank=by_inliers,
    )
    assert found[0].label == 1
    assert found[0].registration.method is Method.SIFT
    assert found[0].measurements()["is_sift"] == 1


def test_features_that_were_never_made_are_passed_over() -> None:
    bare = Candidate(1, 0.9, {})
    found = match(
        photographed(printed(1)).pixels,
        [bare, candidate(1)],
        lambda label: reference(printed(label), label=label),
        rank=by_inliers,
    )
    assert [one.label for one in found] == [1]


@pytest.mark.parametrize("order", [[1, 2, 3], [3, 2, 1]])
def test_the_order_of_the_candidates_changes_nothing(order: list[int]) -> None:
    photo: Pixels = photographed(printed(2), turn=15).pixels
    found = matches(photo, order)
    assert [one.measurements() for one in found] == [
        one.measurements() for one in matches(photo, [2, 1, 3])
    ]


def test_measurements_are_finite_and_named() -> None:
    (found,) = matches(photographed(printed(1), bend=0.7).pixels, [1])
    measured = found.measurements()
    assert set(measured) >= {"similarity", "log_inliers", "coverage", "agreement"}
    assert all(np.isfinite(value) for value in measured.values())


def test_a_sibling_is_registered_too_though_another_is_beyond_doubt() -> None:
    face = printed(1)
    twin = replace(candidate(1), label=10)
    found = match(
        photographed(face).pixels,
        [candidate(1), candidate(2), twin],
        lambda label: reference(printed(label % 9), label=label),
        rank=by_inliers,
    )
    assert [one.label for one in found] == [1, 10]


def test_a_known_counterfeit_is_registered_whatever_its_votes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[object] = []

    def watched(matcher: PhotoMatcher, reference: Features, *, seed: int) -> object:
        tried.append(reference)
        return register(matcher, reference, seed=seed)

    monkeypatch.setattr("touchstone.engine.identification.register", watched)
    fake = replace(candidate(3), is_counterfeit=True)
    others = [candidate(1), candidate(2), fake]
    match(
        photographed(printed(1)).pixels,
        others,
        lambda label: reference(printed(label), label=label),
        rank=by_inliers,
    )
    assert [id(one) for one in tried] == [
        id(one.features[Method.ORB]) for one in (others[0], fake)
    ]


@pytest.mark.parametrize(
    ("inliers", "coverage", "others", "tried", "is_sure"),
    [
        (60, 0.2, [50], 2, True),
        (60, 0.1, [], 2, False),
        (45, 0.2, [], 5, True),
        (45, 0.2, [11], 5, True),
        (45, 0.2, [12], 5, False),
        (45, 0.2, [], 1, False),
        (39, 0.2, [], 5, False),
    ],
)
def test_a_match_is_beyond_doubt_by_itself_or_far_before_all_others(
    inliers: int, coverage: float, others: list[int], tried: int, *, is_sure: bool
) -> None:
    known = matches(photographed(printed(1)).pixels, [1])[0].registration
    best = replace(known, inliers=inliers, coverage=coverage)
    rest = [replace(known, inliers=count, coverage=0.2) for count in others]
    assert identification._is_sure([*rest, best], tried=tried) is is_sure


def test_features_of_a_part_lie_where_they_lie_in_the_photo() -> None:
    photo = photographed(printed(2), turn=15).pixels
    height, width = photo.shape[:2]
    part = width // 5, height // 5, 4 * width // 5, 4 * height // 5
    found = detect(photo, Method.ORB, max_side_px=FACE_SIDE_PX, within=part)
    assert found.size_px == (width, height)
    assert (found.points >= part[:2]).all()
    assert (found.points <= part[2:]).all()
    registration = register(PhotoMatcher(found), candidate(2).features[Method.ORB])
    (whole,) = matches(photo, [2])
    corners = np.array([[0, 0], [480, 0], [480, 320], [0, 320]], np.float64)
    assert isinstance(registration, Registration)
    gaps = registration.points_in_photo(corners)
    gaps = gaps - whole.registration.points_in_photo(corners)
    assert np.linalg.norm(gaps, axis=1).max() < 4


def test_a_face_sought_in_the_wrong_part_is_found_in_the_whole_photo() -> None:
    photo = photographed(printed(2)).pixels
    found = match(
        photo,
        [candidate(1), candidate(2)],
        lambda label: reference(printed(label), label=label),
        rank=by_inliers,
        face=(0, 0, 60, 60),
    )
    assert found[0].label == 2
    assert found[0].registration.inliers > 60

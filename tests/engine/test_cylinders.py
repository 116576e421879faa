"""Labels round bottles: where their print lies, to the far sides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from touchstone.engine.cylinders import Cylinder, fit_cylinder
from touchstone.engine.features import Features, Method, PhotoMatcher
from touchstone.engine.occlusion import hands
from touchstone.engine.record import read_registration, registration_document
from touchstone.engine.rectification import rectify
from touchstone.engine.registration import Registration, register

SIZE = 900, 640
THRESHOLD = 4.0
_Array = NDArray[np.float64]


def camera(*, tilt: float, yaw: float, distance: float) -> _Array:
    """(3, 4): the photo's pixels of points (x, z, y, 1) beside a bottle of radius 1."""
    turn_x = np.array(
        [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    )
    turn_y = np.array(
        [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    )
    lens = np.array([[900.0, 0, 640], [0, 900.0, 480], [0, 0, 1]])
    turned = lens @ turn_x @ turn_y
    # Space is (x, y, depth); the wound sheet tells (sin, cos - 1, across, one).
    place = np.array([[1.0, 0, 0, 0], [0, 0, 1.3, 0], [0, -1.0, 0, 0]])
    place[:, 3] = np.linalg.solve(turn_x @ turn_y, [0, 0, distance])
    return np.asarray(turned @ place, np.float64)


def flat_part(found: Cylinder) -> _Array:
    """(3, 3): the homography that touches the cylinder in the middle of the print."""
    width, height = SIZE
    m, a = found.photo_from_wound, found.angle
    x, y, one = a * m[:, 0], m[:, 2], m[:, 3]
    if not found.is_upright:
        x, y = y, x
    to_unit = np.array([[1 / width, 0, -0.5], [0, 1 / height, -0.5], [0, 0, 1]])
    return np.asarray(np.column_stack([x, y, one]) @ to_unit, np.float64)


def registered(wound: Cylinder) -> Registration:
    """What registration says of a print that is wound so."""
    return Registration(
        photo_from_reference=flat_part(wound),
        bend=wound,
        method=Method.ORB,
        inliers=90,
        matches=120,
        residual_px=0.8,
        coverage=0.7,
        reference_size_px=SIZE,
        photo_size_px=(1280, 960),
    )


@settings(max_examples=25, deadline=None)
@given(
    angle=st.floats(0.7, 2.4),
    view=st.builds(
        camera,
        tilt=st.floats(-0.5, 0.5),
        yaw=st.floats(-0.35, 0.35),
        distance=st.floats(3.5, 9.0),
    ),
    is_upright=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_wound_print_is_followed_to_its_sides_among_false_matches(
    angle: float, view: _Array, is_upright: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    truth = Cylinder(view, angle, is_upright)
    points = rng.uniform(0, 1, (400, 2)) * SIZE
    seen = truth.points_in_photo(points, SIZE) + rng.normal(0, 0.7, (400, 2))
    seen[:60] += rng.uniform(-200, 200, (60, 2))
    fitted = fit_cylinder(
        flat_part(truth), (points, seen), size_px=SIZE, threshold_px=THRESHOLD
    )
    assert fitted is not None
    found, fits = fitted
    assert fits[60:].mean() > 0.97
    assert fits[:60].mean() < 0.2
    edge = np.array([(x, y) for x in (5, 895) for y in (5, 320, 635)], np.float64)
    gaps = found.points_in_photo(edge, SIZE) - truth.points_in_photo(edge, SIZE)
    assert np.hypot(*gaps.T).max() < 3 * THRESHOLD


def test_a_part_that_was_moved_is_no_part_of_the_cylinder() -> None:
    rng = np.random.default_rng(0)
    truth = Cylinder(camera(tilt=0.2, yaw=0.1, distance=3), 1.4, is_upright=True)
    points = rng.uniform(0, 1, (400, 2)) * SIZE
    is_moved = (points[:, 0] > 650) & (points[:, 1] < 150)
    shown = points + np.outer(is_moved, [30, 0])
    seen = truth.points_in_photo(shown, SIZE)
    fitted = fit_cylinder(
        flat_part(truth), (points, seen), size_px=SIZE, threshold_px=THRESHOLD
    )
    assert fitted is not None
    assert fitted[1][is_moved].mean() < 0.1
    assert fitted[1][~is_moved].mean() > 0.97


def test_a_bottle_is_known_by_print_at_its_middle_and_a_far_side() -> None:
    # Between them lies no print, so that nothing leads from the one to the other.
    rng = np.random.default_rng(3)
    truth = Cylinder(camera(tilt=0.15, yaw=0.0, distance=4), 2.3, is_upright=True)
    x = np.concatenate([rng.uniform(440, 640, 200), rng.uniform(40, 160, 80)])
    points = np.column_stack([x, rng.uniform(0, SIZE[1], len(x))])
    seen = truth.points_in_photo(points, SIZE) + rng.normal(0, 0.7, points.shape)
    seen[::6] = rng.uniform(0, 1, seen[::6].shape) * (1280, 960)
    told = rng.integers(0, 256, (len(points), 32), np.uint8)
    reference, photo = (
        Features(Method.ORB, np.asarray(places, np.float32), told, size)
        for places, size in ((points, SIZE), (seen, (1280, 960)))
    )
    found = register(PhotoMatcher(photo), reference)
    assert isinstance(found, Registration)
    assert isinstance(found.bend, Cylinder)
    gaps = found.points_in_photo(points) - truth.points_in_photo(points, SIZE)
    assert np.hypot(*gaps.T).max() < THRESHOLD


def test_where_nothing_agrees_nothing_is_claimed() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 1, (80, 2)) * SIZE
    seen = rng.uniform(0, 1, (80, 2)) * (1280, 960)
    found = fit_cylinder(
        np.eye(3), (points, seen), size_px=SIZE, threshold_px=THRESHOLD
    )
    assert found is None or found[1].sum() < 20


@pytest.mark.parametrize("is_upright", [True, False])
def test_a_record_tells_a_cylinder_in_full(is_upright: bool) -> None:
    wound = Cylinder(camera(tilt=0.2, yaw=0.1, distance=5), 1.3, is_upright=is_upright)
    kept = registered(wound)
    read = read_registration(registration_document(kept))
    corners = np.array([[0, 0], [900, 0], [450, 320], [900, 640]], np.float64)
    np.testing.assert_array_equal(
        read.points_in_photo(corners), kept.points_in_photo(corners)
    )


def laid_round(angle: float, *, yaw: float) -> Registration:
    """A label that goes round the side of a bottle, seen by a camera in front."""
    return registered(
        Cylinder(camera(tilt=0.0, yaw=yaw, distance=2), angle, is_upright=True)
    )


def test_what_lies_beyond_the_rim_is_not_shown() -> None:
    photo = np.full((960, 1280, 3), 120, np.uint8)
    _, covered = rectify(photo, laid_round(3.1, yaw=0.6), (448, 320))
    # Of the label's 3.1 radians, no more than 1.05 to each side of where the camera
    # looks are before the rim.
    ends = covered[160].nonzero()[0]
    assert len(ends) > 150
    assert np.ptp(ends) < 448 * 2.1 / 3.1


def test_print_by_the_rim_is_not_taken_for_a_hand_that_goes_on() -> None:
    # Beyond its end the label would be seen mirrored: on the very print that is asked.
    found = laid_round(2.4, yaw=0.0)
    reference = np.full((320, 448, 3), 235, np.uint8)
    reference[120:200, 150:300] = (40, 60, 120)
    seen = reference.copy()
    seen[100:180, :60] = (224, 172, 138)
    xs, ys = np.meshgrid(np.arange(0, SIZE[0] * 0.14), np.arange(200, 360))
    spots = found.points_in_photo(np.column_stack([xs.ravel(), ys.ravel()]))
    photo = np.full((960, 1280, 3), (100, 108, 116), np.uint8)
    columns, rows = np.floor(spots).astype(int).T
    photo[rows, columns] = (224, 172, 138)
    assert not hands(reference, seen, photo, found).any()

import functools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scenes import Photograph, Pixels, photographed, printed

from touchstone.engine.cylinders import Cylinder
from touchstone.engine.features import (
    PHOTO_SIDE_PX,
    REFERENCE_SIDE_PX,
    Features,
    Method,
    PhotoMatcher,
    detect,
    pack_features,
    unpack_features,
)
from touchstone.engine.image import resized
from touchstone.engine.polynomials import monomials, order_of
from touchstone.engine.rectification import rectify
from touchstone.engine.registration import (
    Bend,
    NotRegistered,
    Registration,
    project,
    register,
)

SIZE = (480, 320)


@functools.cache
def reference(seed: int, method: Method = Method.ORB) -> Features:
    return detect(printed(seed).pixels, method, max_side_px=REFERENCE_SIDE_PX)


def laid(
    seed: int, photo: Pixels, method: Method = Method.ORB
) -> Registration | NotRegistered:
    seen = detect(photo, method, max_side_px=PHOTO_SIDE_PX)
    return register(PhotoMatcher(seen), reference(seed, method))


def registered(seed: int, photo: Pixels, method: Method = Method.ORB) -> Registration:
    found = laid(seed, photo, method)
    assert isinstance(found, Registration), found
    return found


def gaps_px(found: Registration, photo: Photograph) -> NDArray[np.float64]:
    """How far a grid over the print, corners included, lies from where it is."""
    xs, ys = np.meshgrid(np.linspace(0, SIZE[0], 7), np.linspace(0, SIZE[1], 5))
    points = np.column_stack([xs.ravel(), ys.ravel()])
    gaps = found.points_in_photo(points) - photo.points(points)
    return np.asarray(np.linalg.norm(gaps, axis=1), np.float64)


# --- a known view is recovered --------------------------------------------------------


@given(
    seed=st.integers(0, 3),
    tilt=st.floats(-0.3, 0.3),
    turn=st.floats(-180, 180),
    zoom=st.floats(0.75, 1.05),
)
@settings(max_examples=10)
def test_a_known_view_is_recovered(
    seed: int, tilt: float, turn: float, zoom: float
) -> None:
    photo = photographed(
        printed(seed), tilt=tilt, turn=turn, zoom=zoom, frame_px=(640, 600)
    )
    found = registered(seed, photo.pixels)
    assert gaps_px(found, photo).max() < 0.015 * zoom * SIZE[0]
    assert found.photo_px_per_reference_px == pytest.approx(zoom, rel=0.15)
    assert found.inliers > 60
    assert found.residual_px < 2


@pytest.mark.parametrize("seed", range(3))
def test_sift_recovers_it_too(seed: int) -> None:
    photo = photographed(printed(seed), tilt=0.2, turn=33, zoom=1.0)
    found = registered(seed, photo.pixels, Method.SIFT)
    assert gaps_px(found, photo).max() < 0.015 * SIZE[0]


@pytest.mark.parametrize("bend", [0.55, 0.75])
@pytest.mark.parametrize("seed", range(3))
def test_a_print_on_a_bottle_is_followed(seed: int, bend: float) -> None:
    photo = photographed(printed(seed), bend=bend, turn=4, zoom=1.1)
    found = registered(seed, photo.pixels)
    assert isinstance(found.bend, Cylinder)
    # The edge of a bottle is seen aslant: there a pixel is many of the label's.
    gaps = gaps_px(found, photo)
    assert np.median(gaps) < 0.003 * SIZE[0]
    assert gaps.max() < 0.015 * SIZE[0]


def test_a_flat_print_is_not_bent() -> None:
    found = registered(1, photographed(printed(1), tilt=0.2).pixels)
    assert found.bend is None


def test_the_bend_does_not_follow_an_element_that_was_moved() -> None:
    face = printed(1)
    moved = face.moved(face.first("block", after=6), dx=10, dy=0)
    photo = photographed(moved, tilt=0.1, turn=5)
    assert gaps_px(registered(1, photo.pixels), photo).max() < 0.01 * SIZE[0]


# --- what is not there is not found ---------------------------------------------------


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("seed", range(3))
def test_another_print_does_not_register(seed: int, method: Method) -> None:
    outcome = laid(seed, photographed(printed(seed + 50)).pixels, method)
    # Letters are letters: a few may agree. The true print has hundreds of inliers.
    assert isinstance(outcome, NotRegistered) or (
        outcome.inliers < 25 and outcome.coverage < 0.25
    )


def test_a_blank_photo_has_too_few_features() -> None:
    outcome = laid(1, np.full((480, 640, 3), 128, np.uint8))
    assert outcome == NotRegistered("too_few_features")


def test_a_mirrored_print_does_not_register() -> None:
    mirrored = np.ascontiguousarray(printed(1).pixels[:, ::-1])
    outcome = laid(1, photographed(mirrored).pixels)
    assert isinstance(outcome, NotRegistered) or outcome.inliers < 30


# --- the same again -------------------------------------------------------------------


@pytest.mark.parametrize("method", Method)
def test_the_same_photo_and_seed_give_the_same_registration(method: Method) -> None:
    photo = photographed(printed(2), bend=0.4, turn=12).pixels
    first, second = (registered(2, photo, method) for _ in range(2))
    np.testing.assert_array_equal(
        first.photo_from_reference, second.photo_from_reference
    )
    assert first.inliers == second.inliers
    assert first.residual_px == second.residual_px
    corners = np.array([[0, 0], [900, 0], [450, 320], [900, 640]], np.float64)
    np.testing.assert_array_equal(
        first.points_in_photo(corners), second.points_in_photo(corners)
    )


def test_features_come_back_from_what_is_kept() -> None:
    kept = pack_features(reference(1, method) for method in Method)
    again = unpack_features(kept)
    assert set(again) == set(Method)
    for method, found in again.items():
        before = reference(1, method)
        assert found.size_px == before.size_px
        np.testing.assert_array_equal(found.points, before.points)
        np.testing.assert_allclose(found.descriptors, before.descriptors, atol=1e-3)
    np.testing.assert_array_equal(
        again[Method.ORB].descriptors, reference(1).descriptors
    )


def test_kept_features_match_as_fresh_ones_do() -> None:
    photo = photographed(printed(1), tilt=0.1, turn=20).pixels
    for method in Method:
        seen = PhotoMatcher(detect(photo, method, max_side_px=PHOTO_SIDE_PX))
        kept = unpack_features(pack_features([reference(1, method)]))[method]
        found = register(seen, kept)
        assert isinstance(found, Registration)
        assert found.inliers == pytest.approx(
            registered(1, photo, method).inliers, rel=0.02
        )


def test_points_are_told_in_the_frame_of_the_picture_at_any_working_size() -> None:
    face = printed(1).pixels
    doubled = np.asarray(cv2.resize(face, None, fx=2, fy=2), np.uint8)
    found = detect(doubled, Method.SIFT, max_side_px=480)
    assert found.size_px == (960, 640)
    own = detect(face, Method.SIFT, max_side_px=480)
    distances = np.linalg.norm(found.points[:, None] / 2 - own.points[None], axis=2)
    assert np.median(distances.min(axis=1)) < 0.5


@pytest.mark.parametrize(("max_side_px", "gap_px"), [(200, 0.25), (400, 0.15)])
def test_a_feature_lies_at_the_middle_of_what_it_is_of(
    max_side_px: int, gap_px: float
) -> None:
    square = np.zeros((200, 200, 3), np.uint8)
    square[90:110, 60:80] = 255  # spans 60 to 80 and 90 to 110
    found = detect(square, Method.SIFT, max_side_px=max_side_px)
    gaps = np.abs(found.points - (70, 100)).max(axis=1)
    assert gaps.min() < gap_px


# --- the frame: pixel centres at +0.5 -------------------------------------------------


def registration(homography: object, photo_px: tuple[int, int]) -> Registration:
    return Registration(
        photo_from_reference=np.array(homography, np.float64),
        bend=None,
        method=Method.ORB,
        inliers=100,
        matches=100,
        residual_px=0.0,
        coverage=1.0,
        reference_size_px=(120, 80),
        photo_size_px=photo_px,
    )


NOISE = np.random.default_rng(0).integers(0, 256, (80, 120, 3), np.uint8)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (7, 3), (20, 11)])
def test_a_whole_shift_is_undone_to_the_last_pixel(dx: int, dy: int) -> None:
    photo = np.zeros((120, 180, 3), np.uint8)
    photo[dy : dy + 80, dx : dx + 120] = NOISE
    shift = registration([[1, 0, dx], [0, 1, dy], [0, 0, 1]], (180, 120))
    seen, covered = rectify(photo, shift, (120, 80))
    np.testing.assert_array_equal(seen, NOISE)
    assert covered.all()


@pytest.mark.parametrize("scale", [2, 3])
def test_a_whole_scale_is_undone_to_the_last_pixel(scale: int) -> None:
    # Each pixel of the photo is a block of the frame that is drawn: their centres
    # agree only if both count them at +0.5.
    same = registration(np.eye(3), (120, 80))
    seen, _ = rectify(NOISE, same, (120 * scale, 80 * scale))
    middle = scale // 2
    if scale % 2:
        np.testing.assert_array_equal(seen[middle::scale, middle::scale], NOISE)
    blocks = seen.astype(float).reshape(80, scale, 120, scale, 3).mean(axis=(1, 3))
    inside = np.s_[1:-1, 1:-1]
    smooth = cv2.blur(NOISE.astype(float), (3, 3))
    assert np.abs(blocks - NOISE)[inside].mean() < np.abs(smooth - NOISE)[inside].mean()
    # No half-pixel drift: as far to the left as to the right.
    left = np.abs(blocks[:, 1:-1] - NOISE[:, :-2]).mean()
    right = np.abs(blocks[:, 1:-1] - NOISE[:, 2:]).mean()
    assert left == pytest.approx(right, rel=0.02)


def test_what_the_photo_does_not_show_is_not_covered() -> None:
    shift = registration([[1, 0, -30], [0, 1, 0], [0, 0, 1]], (120, 80))
    _, covered = rectify(NOISE, shift, (120, 80))
    assert not covered[:, :30].any()
    assert covered[:, 31:].all()


def test_a_rectified_photo_looks_like_its_print() -> None:
    photo = photographed(printed(1), tilt=0.25, turn=-25, zoom=1.0)
    seen, covered = rectify(photo.pixels, registered(1, photo.pixels), SIZE)
    gap = np.abs(seen.astype(int) - printed(1).pixels).mean(axis=2)
    assert covered.mean() > 0.98
    assert gap[covered].mean() < 6


def test_a_bend_moves_points_smoothly_and_in_photo_pixels() -> None:
    coefficients = np.zeros((10, 2))
    coefficients[0] = 3, -2
    corners = np.array([[0, 0], [120, 0], [60, 40], [120, 80]], np.float64)
    moved = Bend(coefficients).displacement(corners, (120, 80))
    np.testing.assert_allclose(moved, [[3, -2]] * 4)
    coefficients[3] = 5, 0  # x squared: nothing in the middle, all at the sides
    moved = Bend(coefficients).displacement(corners, (120, 80))
    np.testing.assert_allclose(moved[:, 0], [8, 8, 3, 8])


@pytest.mark.parametrize("order", range(7))
def test_a_bend_has_as_high_an_order_as_it_has_terms_for(order: int) -> None:
    basis = monomials(np.array([[3.0, 2.0]]), (4, 4), order=order)
    assert order_of(basis.shape[1]) == order
    # x = 0.5, y = 0: each power of x alone is there, the lower orders first.
    assert set(0.5 ** np.arange(order + 1)) <= set(basis[0])
    lower = monomials(np.array([[3.0, 2.0]]), (4, 4), order=max(0, order - 1))
    np.testing.assert_array_equal(basis[0, : lower.shape[1]], lower[0])


@pytest.mark.parametrize("terms", [0, 2, 11, 27])
def test_no_bend_has_another_number_of_terms(terms: int) -> None:
    with pytest.raises(ValueError, match=f"{terms} terms"):
        order_of(terms)


def test_a_homography_maps_points_projectively() -> None:
    mapped = project(np.diag([2.0, 3.0, 2.0]), np.array([[4.0, 2.0]]))
    np.testing.assert_allclose(mapped, [[4, 3]])


def test_the_print_in_the_photo_has_the_most_votes() -> None:
    photo = photographed(printed(2), tilt=0.1, turn=40).pixels
    matcher = PhotoMatcher(detect(photo, Method.ORB, max_side_px=PHOTO_SIDE_PX))
    votes = [matcher.votes(reference(seed, Method.ORB)) for seed in (1, 2, 3)]
    assert votes[1] > 2 * max(votes[0], votes[2])


@pytest.mark.parametrize("method", Method)
def test_a_poll_spares_work_and_changes_no_match(method: Method) -> None:
    photo = detect(photographed(printed(2)).pixels, method, max_side_px=PHOTO_SIDE_PX)
    polled, asked = PhotoMatcher(photo), reference(2, method)
    assert polled.votes(asked) > 0
    for again in range(2):  # what was polled is used once, and then looked for again
        found, plain = polled.match(asked), PhotoMatcher(photo).match(asked)
        assert len(found[0]) > again
        for one, other in zip(found, plain, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_photo_without_features_has_no_votes() -> None:
    blank = np.full((200, 300, 3), 128, np.uint8)
    matcher = PhotoMatcher(detect(blank, Method.ORB, max_side_px=PHOTO_SIDE_PX))
    assert matcher.votes(reference(1, Method.ORB)) == 0


@pytest.mark.parametrize("width", [480, 240, 120, 60])
def test_a_photo_is_drawn_in_place_however_much_finer_it_is(width: int) -> None:
    photo = photographed(printed(1), turn=20, zoom=1.6)
    found = registered(1, photo.pixels)
    height = width * 2 // 3
    drawn, covered = rectify(photo.pixels, found, (width, height))
    expected = resized(printed(1).pixels, (width, height))
    inner = covered.copy()
    inner[: height // 8] = inner[-height // 8 :] = False
    flat, other = (one[inner].astype(float).ravel() for one in (drawn, expected))
    aligned = np.corrcoef(flat, other)[0, 1]
    shifted = np.corrcoef(np.roll(drawn, 1, axis=1)[inner].ravel(), other)[0, 1]
    assert aligned > 0.96
    assert aligned > shifted

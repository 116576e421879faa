import json
import time

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from small_localiser import bright_is_print, localiser_of, manifest_of
from small_world import printed_mark

from touchstone.engine.image import Pixels
from touchstone.engine.localisation import (
    CELL_PX,
    FRAME_PX,
    POSSIBLE,
    Answer,
    Face,
    LocaliserManifest,
    OnnxLocaliser,
    cut_out,
    face_of,
    framed,
    ordered,
    quad_around,
    span_of,
    whole_photo,
)
from touchstone.errors import ModelError

Quad = NDArray[np.float32]
SIZES = ((640, 480), (480, 640), (500, 500), (1280, 300), (300, 1280), (37, 91))


def with_quad(size_px: tuple[int, int], quad: Quad) -> Pixels:
    """A dark photo with one bright quad in it."""
    photo = np.full((size_px[1], size_px[0], 3), 40, np.uint8)
    cv2.fillConvexPoly(photo, np.round(quad - 0.5).astype(np.int32), (230, 230, 230))
    return photo


def turned(degrees: float, size_px: tuple[int, int], share: float = 0.3) -> Quad:
    """A rectangle about the middle of a photo, turned."""
    side = min(size_px) * share
    corners = np.array([[-1.2, -0.8], [1.2, -0.8], [1.2, 0.8], [-1.2, 0.8]]) * side / 2
    turn = np.radians(degrees)
    turning = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(corners @ turning.T + np.array(size_px) / 2, np.float32)


def apart(one: Quad, other: Quad) -> float:
    """Mean distance of the corners, whichever comes first."""
    return float(
        min(
            np.linalg.norm(np.roll(one, n, axis=0) - other, axis=1).mean()
            for n in range(4)
        )
    )


@pytest.mark.parametrize("size_px", SIZES)
def test_what_lies_in_the_photo_lies_in_the_frame_where_it_is_said_to(
    size_px: tuple[int, int],
) -> None:
    width, height = size_px
    spot = np.array([[width * 0.7, height * 0.2]], np.float32)
    photo = np.zeros((height, width, 3), np.uint8)
    radius = max(3, round(0.05 * max(size_px)))
    cv2.circle(photo, (int(spot[0, 0]), int(spot[0, 1])), radius, (255, 255, 255), -1)
    frame = framed(photo)
    lit = np.zeros(frame.canvas.shape[:2], bool)
    lit[frame.inside] = frame.canvas[frame.inside][..., 0] > 127
    middle = np.argwhere(lit).mean(axis=0)[::-1] + 0.5
    assert np.abs(frame.to_frame(spot)[0] - middle).max() < 1.5
    assert np.allclose(frame.to_photo(frame.to_frame(spot)), spot, atol=1e-2)


@pytest.mark.parametrize("degrees", range(0, 360, 40))
@pytest.mark.parametrize("size_px", [(640, 480), (480, 640)])
def test_a_face_is_found_at_every_rotation(
    degrees: int, size_px: tuple[int, int]
) -> None:
    expected = turned(degrees, size_px, share=0.5)
    face = localiser_of(bright_is_print()).locate(with_quad(size_px, expected))
    assert apart(face.quad, expected) < 0.015 * np.hypot(*size_px)
    assert face.confidence > 0.8
    around = np.roll(face.quad, -1, axis=0) - face.quad
    following = np.roll(around, -1, axis=0)
    clockwise = around[:, 0] * following[:, 1] - around[:, 1] * following[:, 0]
    assert (clockwise > 0).all()
    assert face.quad.sum(axis=1).argmin() == 0


def test_a_corner_that_the_photo_cuts_off_is_completed() -> None:
    expected = np.array([[300, 200], [720, 200], [720, 420], [300, 420]], np.float32)
    expected[1] = (690, 170)
    photo = with_quad((640, 480), expected)
    found = localiser_of(bright_is_print()).locate(photo).quad
    # What is seen ends at the photo's edge; the upper side goes on to its slope.
    assert found[:, 0].max() <= 720
    assert np.linalg.norm(found[0] - expected[0]) < 8


def test_nothing_marked_is_the_whole_photo() -> None:
    photo = np.full((480, 640, 3), 20, np.uint8)
    face = localiser_of(bright_is_print()).locate(photo)
    assert face.confidence == 0
    assert face.quad.tolist() == [[0, 0], [640, 0], [640, 480], [0, 480]]


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (1, 4000), (4000, 1), (2, 3), (3000, 7), (480, 640), (7, 7)],
)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_degenerate_pictures_have_a_place_too(
    shape: tuple[int, int], level: int
) -> None:
    photo = np.full((*shape, 3), level, np.uint8)
    face = localiser_of(bright_is_print()).locate(photo)
    assert np.isfinite(face.quad).all()
    assert 0 <= face.confidence <= 1
    cut = cut_out(photo, face.quad)
    assert cut.ndim == 3
    assert 1 <= min(cut.shape[:2]) <= max(cut.shape[:2]) <= 500


def test_a_package_that_is_hardly_there_lowers_the_confidence() -> None:
    photo = with_quad((640, 480), turned(10, (640, 480), share=0.6))
    sure = localiser_of(bright_is_print(shown=8)).locate(photo).confidence
    unsure = localiser_of(bright_is_print(shown=-8)).locate(photo).confidence
    assert sure > 0.8
    assert unsure < POSSIBLE


def test_a_quad_that_does_not_fit_what_is_marked_lowers_the_confidence() -> None:
    frame = framed(np.zeros((192, 256, 3), np.uint8))
    cells = FRAME_PX[1] // CELL_PX, FRAME_PX[0] // CELL_PX
    printed = np.full(cells, -9, np.float32)
    corners = np.full(cells, -9, np.float32)
    printed[10:38, 10:50] = 9
    full = face_of(Answer(printed, corners, 9.0), frame, frame.canvas)
    printed[14:34, 14:50] = -9  # only a bracket of it is left
    bracket = face_of(Answer(printed, corners, 9.0), frame, frame.canvas)
    assert full.confidence > 0.9
    assert bracket.confidence < 0.6


def test_a_corner_that_is_seen_draws_the_quad_to_itself() -> None:
    frame = framed(np.zeros((192, 256, 3), np.uint8))
    cells = FRAME_PX[1] // CELL_PX, FRAME_PX[0] // CELL_PX
    printed = np.full(cells, -9, np.float32)
    corners = np.full(cells, -9, np.float32)
    printed[10:38, 10:50] = 9
    before = face_of(Answer(printed, corners, 9.0), frame, frame.canvas).quad
    corners[9, 9] = 6
    after = face_of(Answer(printed, corners, 9.0), frame, frame.canvas).quad
    assert np.abs(after[0] - 9.5 * CELL_PX).max() < 1
    assert np.abs(after[1:] - before[1:]).max() < 1e-3


def test_a_quad_is_laid_around_any_hull() -> None:
    random = np.random.default_rng(3)
    for _ in range(50):
        points = random.uniform(0, 190, (int(random.integers(4, 30)), 2))
        found = cv2.convexHull(points.astype(np.float32)).reshape(-1, 2)
        hull = np.asarray(found, np.float32)
        quad = quad_around(hull)
        if quad is None:
            assert cv2.contourArea(hull) < 64
            continue
        assert quad.shape == (4, 2)
        # A box is taken where the quad would be much larger; both hold the hull.
        inside = [cv2.pointPolygonTest(quad, p.tolist(), True) > -2 for p in hull]
        assert all(inside)
    assert quad_around(np.array([[0, 0], [5, 0], [5, 5]], np.float32)) is None


def test_the_first_corner_is_the_upper_left_whatever_came_first() -> None:
    quad = np.array([[10, 12], [90, 5], [95, 70], [4, 80]], np.float32)
    for shift in range(4):
        assert np.array_equal(ordered(np.roll(quad, shift, axis=0)), quad)
        assert np.array_equal(ordered(np.roll(quad, shift, axis=0)[::-1]), quad)


def test_what_is_cut_out_is_the_face_as_it_was_printed() -> None:
    face = printed_mark(5, size_px=(400, 300))
    quad = np.array([[150, 80], [500, 130], [470, 400], [120, 340]], np.float32)
    source = np.array([[0, 0], [400, 0], [400, 300], [0, 300]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, quad)
    photo = np.asarray(cv2.warpPerspective(face, matrix, (640, 480)), np.uint8)
    cut = cut_out(photo, quad, margin=0.0)
    again = cv2.resize(cut, (400, 300), interpolation=cv2.INTER_LINEAR)
    alike = np.corrcoef(again.ravel().astype(float), face.ravel().astype(float))[0, 1]
    assert alike > 0.95
    wider = cut_out(photo, quad, margin=0.1)
    assert wider.shape[1] == pytest.approx(1.2 * cut.shape[1], abs=2)
    assert max(cut_out(photo, quad * 4, margin=0.0).shape) <= 448


def test_a_localiser_that_was_altered_is_refused() -> None:
    model = bright_is_print()
    with pytest.raises(ModelError, match="is not the file its manifest names"):
        OnnxLocaliser.from_bytes(model + b"\0", manifest_of(model), provider="cpu")


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (b"no network", "refused the model"),
        (bright_is_print(planes=3), "no two maps"),
        (bright_is_print(shown=float("nan")), "no number"),
    ],
)
def test_a_localiser_that_answers_something_else_is_refused(
    model: bytes, reason: str
) -> None:
    with pytest.raises(ModelError, match=reason):
        localiser_of(model)


@pytest.mark.parametrize("text", ["", "[]", '{"name": "a", "version": "1"}'])
def test_a_manifest_that_names_no_file_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="localiser's manifest"):
        LocaliserManifest.from_json(text)


def test_a_manifest_is_read() -> None:
    text = json.dumps({"name": "a", "version": "1", "sha256": "f" * 64, "more": 1})
    assert LocaliserManifest.from_json(text) == LocaliserManifest("a", "1", "f" * 64)


def test_framing_and_laying_the_quad_take_little_time() -> None:
    photo = with_quad((1280, 960), turned(30, (1280, 960), share=0.5))
    localiser = localiser_of(bright_is_print())
    answer = localiser.answer(framed(photo).canvas)
    spent = []
    for _ in range(15):
        began = time.perf_counter()
        face_of(answer, framed(photo), photo)
        spent.append(time.perf_counter() - began)
    assert min(spent) < 0.004


def test_the_whole_photo_is_a_face_of_no_confidence() -> None:
    face = whole_photo(np.zeros((30, 50, 3), np.uint8))
    assert face.quad.max(axis=0).tolist() == [50, 30]
    assert face.confidence == 0


def test_a_face_is_sought_with_its_surroundings_where_one_was_found() -> None:
    photo = np.zeros((600, 800, 3), np.uint8)
    quad = np.array([[300, 200], [500, 200], [500, 400], [300, 400]], np.float32)
    left, top, right, bottom = span_of(Face(quad, 0.9), photo) or (0, 0, 0, 0)
    assert left < quad[:, 0].min()
    assert right > quad[:, 0].max()
    assert top < quad[:, 1].min()
    assert bottom > quad[:, 1].max()
    assert (right - left) * (bottom - top) < 0.2 * 600 * 800


@pytest.mark.parametrize(
    ("scale", "confidence"),
    [(1.0, 0.05), (10.0, 0.9), (0.1, 0.9)],
    ids=["nothing certain", "all of the photo", "a speck"],
)
def test_otherwise_the_whole_photo_is_looked_at(
    scale: float, confidence: float
) -> None:
    photo = np.zeros((600, 800, 3), np.uint8)
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
    quad = np.array([400, 300], np.float32) + np.float32(100 * scale) * square
    assert span_of(Face(quad, confidence), photo) is None

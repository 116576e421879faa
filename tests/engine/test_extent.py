"""What of a reference picture is package, and what only lies around it."""

import numpy as np
import pytest
from blind import BLIND
from examined import by_inliers
from scenes import Pixels, Print, photographed, printed

from touchstone.engine.evidence import Evidence, examine
from touchstone.engine.extent import backdrop, box_of_face, ground_of
from touchstone.engine.features import REFERENCE_SIDE_PX, Method, detect
from touchstone.engine.identification import Candidate, match
from touchstone.engine.reference import Reference

FACE = printed(1)
LEFT, TOP, SIDE = 160, 240, 800


def framed(face: Print, *, line: int = 6) -> Pixels:
    """A face whose print runs to its edges."""
    pixels = face.pixels.copy()
    for edge in (np.s_[:line], np.s_[-line:], np.s_[:, :line], np.s_[:, -line:]):
        pixels[edge] = (30, 60, 120)
    return pixels


def cut_out(face: Pixels, *, ground: int = 255) -> Pixels:
    """A catalogue picture: the face on plain ground."""
    picture = np.full((SIDE, SIDE, 3), ground, np.uint8)
    height, width = face.shape[:2]
    picture[TOP : TOP + height, LEFT : LEFT + width] = face
    return picture


def looked_for(picture: Pixels, photo: Pixels) -> Evidence:
    size = picture.shape[1], picture.shape[0]
    known = Reference(1, picture, size, is_counterfeit=False)
    features = {Method.ORB: detect(picture, Method.ORB, max_side_px=REFERENCE_SIDE_PX)}
    (best,) = match(
        photo, [Candidate(1, 0.5, features)], lambda _: known, rank=by_inliers
    )
    return examine(photo, best, known, BLIND)


@pytest.mark.parametrize("ground", [255, 0, 128])
def test_the_ground_is_all_around_the_face_and_nothing_of_it(ground: int) -> None:
    found = ground_of(cut_out(framed(FACE), ground=ground), (SIDE, SIDE))
    assert found is not None
    assert found[:TOP].all()
    assert found[:, :LEFT].all()
    inner = found[TOP + 16 : TOP + 320 - 16, LEFT + 16 : LEFT + 480 - 16]
    assert not inner.any()


@pytest.mark.parametrize(
    "picture",
    [
        framed(FACE),
        np.full((300, 200, 3), 255, np.uint8),
        np.random.default_rng(0).integers(0, 256, (300, 200, 3)).astype(np.uint8),
    ],
    ids=["print to the edge", "blank", "noise"],
)
def test_a_picture_without_ground_has_none(picture: Pixels) -> None:
    height, width = picture.shape[:2]
    assert ground_of(picture, (width, height)) is None
    assert box_of_face(picture) == (0, 0, width, height)


def test_the_box_holds_the_face_and_little_more() -> None:
    left, top, right, bottom = box_of_face(cut_out(framed(FACE)))
    assert LEFT - 20 < left <= LEFT
    assert TOP - 20 < top <= TOP
    assert LEFT + 480 <= right < LEFT + 500
    assert TOP + 320 <= bottom < TOP + 340


def test_a_table_behind_a_package_that_was_enrolled_cut_out_is_no_difference() -> None:
    photo = photographed(framed(FACE), turn=8).pixels
    evidence = looked_for(cut_out(framed(FACE)), photo)
    assert evidence.face_share == pytest.approx(0.24, abs=0.04)
    assert evidence.measurements()["compared_fraction"] > 0.85
    assert evidence.measurements()["coverage"] > 0.5
    assert evidence.comparison.deviation.max() < 1


def test_what_was_changed_on_such_a_package_is_seen() -> None:
    changed = framed(FACE.without(FACE.first("block")))
    evidence = looked_for(cut_out(framed(FACE)), photographed(changed, turn=8).pixels)
    assert evidence.comparison.deviation.max() > 1


def test_plain_board_at_the_edge_of_an_artwork_is_compared() -> None:
    # Board that the photo shows as plain as the artwork has it is no backdrop, and a
    # word that was printed on it is a difference.
    board = np.full((640, 900, 3), 236, np.uint8)
    board[60:380, 60:540] = framed(FACE)
    added = board.copy()
    added[500:560, 200:420] = (20, 20, 20)
    genuine, forged = (
        looked_for(board, photographed(one, zoom=0.62).pixels) for one in (board, added)
    )
    assert genuine.face_share == forged.face_share == 1
    assert genuine.comparison.deviation.max() < 1
    assert forged.comparison.deviation.max() > 1


def test_without_ground_there_is_no_backdrop() -> None:
    face = framed(FACE)
    everywhere = np.ones(face.shape[:2], bool)
    assert backdrop(face, face, everywhere, None) is None


def test_a_panel_printed_over_much_of_plain_board_is_seen() -> None:
    board = np.full((640, 900, 3), 236, np.uint8)
    board[160:480, 60:540] = framed(FACE)
    forged = board.copy()
    forged[40:600, 590:850] = (70, 20, 90)
    assert ground_of(board, (900, 640)) is not None
    evidence = looked_for(board, photographed(forged, zoom=0.62).pixels)
    assert evidence.face_share == 1
    assert evidence.comparison.deviation.max() > 1


def test_a_line_of_words_on_white_is_looked_at_whole() -> None:
    thin = np.full((900, 1200, 3), 255, np.uint8)
    thin[440:456, 200:1000] = 30
    assert ground_of(thin, (640, 480)) is None
    assert box_of_face(thin) == (0, 0, 1200, 900)


def test_a_table_in_the_tone_of_board_along_the_edge_alone_is_no_board() -> None:
    board = np.full((640, 900, 3), 236, np.uint8)
    board[160:480, 180:660] = framed(FACE)
    ground = ground_of(board, (900, 640))
    everywhere = np.ones((640, 900), bool)
    shown = board.copy()
    shown[12:-12, 12:170] = shown[12:-12, 670:-12] = (120, 90, 60)
    shown[12:150, 12:-12] = shown[490:-12, 12:-12] = (120, 90, 60)
    assert ground is not None
    assert backdrop(board, board, everywhere, ground) is None
    assert backdrop(board, shown, everywhere, ground) is not None

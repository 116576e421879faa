from typing import Any

import cv2
import numpy as np
import pytest
from examined import laid_by
from numpy.typing import NDArray

from touchstone.engine.cylinders import Cylinder
from touchstone.engine.extent import ground_of
from touchstone.engine.image import Pixels, resized
from touchstone.engine.outline import outline_gap
from touchstone.engine.reference import frame_of
from touchstone.engine.registration import Registration

FACE = (640, 400)
PHOTO = (1200, 900)
BOARD, TABLE = (235, 235, 225), (90, 70, 50)


def face(*, frame_px: int | None = None) -> Pixels:
    """Board with words and boxes on it; with a frame so far from the edge."""
    rng = np.random.default_rng(0)
    picture = np.full((FACE[1], FACE[0], 3), BOARD, np.uint8)
    for x, y in rng.integers((60, 60), (500, 320), (40, 2)):
        picture[y : y + 20, x : x + 60] = rng.integers(0, 200, 3)
    if frame_px is not None:
        corner = FACE[0] - frame_px, FACE[1] - frame_px
        cv2.rectangle(picture, (frame_px, frame_px), corner, (20, 20, 120), 6)
    return picture


def stretched(picture: Pixels, across: float, down: float = 1.0) -> Pixels:
    """Print drawn wider or narrower about its middle, on board of the same size."""
    width, height = FACE
    matrix = np.array(
        [
            [across, 0, width / 2 * (1 - across)],
            [0, down, height / 2 * (1 - down)],
        ]
    )
    drawn = cv2.warpAffine(
        picture, matrix, FACE, borderMode=cv2.BORDER_CONSTANT, borderValue=BOARD
    )
    return np.asarray(drawn, np.uint8)


LAID = np.array([[1.2, 0.1, 120.0], [-0.05, 1.3, 180.0], [5e-5, 2e-5, 1.0]])


def photographed(
    picture: Pixels, *, blur_px: float = 0.8, table: Any = TABLE, seed: int = 1
) -> Pixels:
    seen = np.empty((PHOTO[1], PHOTO[0], 3), np.uint8)
    seen[:] = table
    cv2.warpPerspective(
        picture, LAID, PHOTO, dst=seen, borderMode=cv2.BORDER_TRANSPARENT
    )
    soft = cv2.GaussianBlur(seen, (0, 0), blur_px).astype(np.float32)
    noise = np.random.default_rng(seed).normal(0, 2, soft.shape)
    return np.asarray(np.clip(soft + noise, 0, 255), np.uint8)


def registered(of_print: NDArray[np.float64] | None = None) -> Registration:
    """Where the print lies; ``of_print`` is what was done to it on its board."""
    matrix = LAID if of_print is None else LAID @ of_print
    return laid_by(matrix, FACE, PHOTO)


def widened(across: float, down: float = 1.0) -> NDArray[np.float64]:
    width, height = FACE
    return np.array(
        [
            [across, 0, width / 2 * (1 - across)],
            [0, down, height / 2 * (1 - down)],
            [0, 0, 1],
        ]
    )


def found(
    photo: Pixels,
    registration: Registration,
    picture: Pixels | None = None,
    *,
    shift: Any = (0, 0),
    is_cut_out: bool = False,
) -> float:
    picture = face() if picture is None else picture
    framed = resized(picture, frame_of((picture.shape[1], picture.shape[0])))
    moved = np.zeros((*framed.shape[:2], 2), np.float32)
    moved += np.asarray(shift, np.float32)
    behind = ground_of(picture, framed.shape[1::-1]) if is_cut_out else None
    return outline_gap(photo, registration, framed, moved, behind=behind)


def covered(photo: Pixels, *corners: tuple[float, float], colour: Any) -> Pixels:
    """Lay something over, or beside, the face; corners in pixels of the face."""
    places = cv2.perspectiveTransform(np.array([corners], np.float64), LAID)
    laid = photo.copy()
    cv2.fillPoly(laid, [np.asarray(places[0], np.int32)], colour)
    return laid


# --- proportions ----------------------------------------------------------------------


@pytest.mark.parametrize("table", [TABLE, (20, 20, 30), (180, 60, 60)])
def test_a_genuine_face_ends_where_its_print_says(table: tuple[int, int, int]) -> None:
    photo = photographed(face(), table=table)
    assert found(photo, registered()) == 0


@pytest.mark.parametrize("across", [0.92, 0.95, 1.05, 1.1])
def test_stretched_print_lies_on_a_package_of_the_right_size(across: float) -> None:
    photo = photographed(stretched(face(), across))
    gap = found(photo, registered(widened(across)))
    assert gap == pytest.approx(abs(1 / across - 1) / 2, abs=0.008)


def test_what_was_stretched_upwards_is_told_as_well() -> None:
    photo = photographed(stretched(face(), 1.0, 0.9))
    gap = found(photo, registered(widened(1.0, 0.9)))
    assert gap == pytest.approx((1 / 0.9 - 1) / 2 * FACE[1] / FACE[0], abs=0.008)


def test_a_frame_of_the_print_is_no_outline() -> None:
    # Two sides end in the colour of the table, inside a frame that is printed there.
    picture = face()
    picture[:, :28] = picture[:, -28:] = TABLE
    photo = photographed(picture)
    assert found(photo, registered(), picture) == 0
    assert found(photo, registered(), face()) == pytest.approx(28 / 640, abs=0.005)


def test_a_table_in_the_colour_of_board_tells_nothing() -> None:
    photo = photographed(stretched(face(), 1.06), table=BOARD)
    assert found(photo, registered(widened(1.06))) == 0


@pytest.mark.parametrize("away", [20, 30, 40, 48])
def test_one_edge_alone_tells_nothing(away: int) -> None:
    # Board on a table like it, whose upper and lower edges show, with something beside.
    photo = photographed(face(), table=(150, 150, 140))
    left, right = ((-90, -90), (-1, -90), (-1, 490), (-90, 490)), 640 + away
    photo = covered(photo, *left, colour=BOARD)
    beside = (640, -5), (right, -5), (right, 405), (640, 405)
    photo = covered(photo, *beside, colour=BOARD)
    assert found(photo, registered()) == 0


def on_board(picture: Pixels, across: int, down: int) -> Pixels:
    """A photo of a face on a larger piece of the same board, in one with it."""
    x, y = across, down
    around = (-x, -y), (640 + x, -y), (640 + x, 400 + y), (-x, 400 + y)
    table = np.full((PHOTO[1], PHOTO[0], 3), TABLE, np.uint8)
    photo = covered(table, *around, colour=BOARD)
    printed = photographed(picture, table=BOARD, blur_px=0.1)
    inside = np.abs(printed.astype(int) - BOARD).max(axis=2) > 20
    photo[inside] = printed[inside]
    return photo


def test_short_pieces_of_edges_are_none() -> None:
    # Two thumbs that hold the face at its sides, each along a fifth of it.
    photo = on_board(face(), 90, 0)
    for x in (-30, 670):
        way = 60 if x > 0 else -60
        thumb = (x, 150), (x + way, 150), (x + way, 230), (x, 230)
        photo = covered(photo, *thumb, colour=(190, 120, 90))
    assert found(photo, registered()) == 0


def test_marks_between_what_is_printed_are_no_edges() -> None:
    # Where print leaves little to look at, what is there is not all of an edge.
    picture = face()
    picture[:340, 10:60:6] = picture[:340, -60:-10:6] = (30, 90, 60)
    photo = on_board(picture, 90, 0)
    for x in (30, 580):
        mark = (x, 345), (x + 30, 345), (x + 30, 399), (x, 399)
        photo = covered(photo, *mark, colour=(60, 60, 60))
    assert found(photo, registered(), picture) == 0


def test_a_line_through_a_narrow_face_is_not_two_edges_of_it() -> None:
    picture = np.full((80, 640, 3), BOARD, np.uint8)
    laid = LAID @ np.array([[1.0, 0, 0], [0, 1, 160], [0, 0, 1]])
    seen = laid_by(laid, (640, 80), PHOTO)
    photo = np.full((PHOTO[1], PHOTO[0], 3), TABLE, np.uint8)
    all_board = (0, -90), (640, -90), (640, 490), (0, 490)
    line = (0, 198), (640, 198), (640, 202), (0, 202)
    photo = covered(photo, *all_board, colour=BOARD)
    photo = covered(photo, *line, colour=(40, 40, 40))
    assert found(photo, seen, picture) == 0


def test_a_face_laid_a_little_off_is_in_its_place() -> None:
    photo = photographed(face())
    assert found(photo, registered(widened(1.011))) == 0


@pytest.mark.parametrize("around", [(30, 30), (30, 10), (10, 30)])
def test_a_case_round_a_face_that_is_not_seen_to_end(around: tuple[int, int]) -> None:
    photo = on_board(face(), *around)
    assert found(photo, registered()) == 0


def test_four_edges_must_be_seen() -> None:
    # What lies over the upper edge leaves open whether all of the face is larger.
    photo = photographed(stretched(face(), 0.92))
    assert found(photo, registered(widened(0.92))) > 0.03
    over = (-90, -90), (730, -90), (730, 40), (-90, 40)
    photo = covered(photo, *over, colour=TABLE)
    assert found(photo, registered(widened(0.92))) == 0


def test_a_reference_cropped_on_all_sides_is_not_stretched() -> None:
    cut = 14
    picture = np.ascontiguousarray(face()[cut:-cut, cut:-cut])
    laid = LAID @ np.array([[1.0, 0, cut], [0, 1, cut], [0, 0, 1]])
    size = picture.shape[1], picture.shape[0]
    seen = laid_by(laid, size, PHOTO)
    assert found(photographed(face()), seen, picture) == 0


def test_what_was_followed_beyond_the_registration_counts() -> None:
    # A registration that holds in the middle alone, and what was followed from there.
    across = 1.06
    beyond = (np.arange(640) - 320) * (1 / across - 1)
    shift = np.stack([np.tile(beyond, (400, 1)), np.zeros((400, 640))], axis=2)
    photo = photographed(face())
    assert found(photo, registered(widened(across))) > 0.02
    assert found(photo, registered(widened(across)), shift=shift) == 0


@pytest.mark.parametrize("scale", [0.45, 2.6])
def test_it_is_told_in_photos_of_little_and_of_much_detail(scale: float) -> None:
    # Grain of the table, pixel by pixel, is no edge.
    picture = stretched(face(), 0.92)
    laid = np.diag([scale, scale, 1.0]) @ np.array(
        [[1, 0, 90], [0, 1, 70], [0, 0, 1.0]]
    )
    size = round(820 * scale), round(540 * scale)
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 45, (size[1], size[0], 1)) if scale > 1 else 0.0
    photo = np.empty((size[1], size[0], 3), np.uint8)
    photo[:] = np.clip(np.array(TABLE) + grain, 0, 255)
    cv2.warpPerspective(
        picture, laid, size, dst=photo, borderMode=cv2.BORDER_TRANSPARENT
    )
    matrix = laid @ widened(0.92)
    seen = laid_by(matrix, FACE, size)
    expected = (1 / 0.92 - 1) / 2
    assert found(photo, seen) == pytest.approx(expected, abs=0.008)


def test_a_cut_out_reference_ends_where_its_face_does() -> None:
    picture = np.full((640, 860, 3), 255, np.uint8)
    picture[120:520, 110:750] = np.minimum(face(), 236)
    to_face = np.array([[1.0, 0, -110], [0, 1, -120], [0, 0, 1]])

    def of(across: float) -> float:
        photo = photographed(stretched(np.minimum(face(), 236), across))
        laid = registered(widened(across) @ to_face).photo_from_reference
        seen = laid_by(laid, (860, 640), PHOTO)
        return found(photo, seen, picture, is_cut_out=True)

    assert of(1.0) < 0.003
    assert of(0.92) > 0.02


def test_a_face_that_fills_no_rectangle_has_no_straight_edges() -> None:
    picture = np.full((640, 640, 3), 255, np.uint8)
    cv2.circle(picture, (320, 320), 220, (40, 40, 160), -1)
    laid = laid_by(LAID, (640, 640), PHOTO)
    photo = photographed(face())
    assert found(photo, laid, picture, is_cut_out=True) == 0


def test_the_rim_of_a_bottle_is_no_edge_of_its_label() -> None:
    # A label round most of a bottle, of which the camera sees as far as the rim.
    angle, rim = 2.9, 1.3
    wound = np.array([[330.0, 0, 0, 600], [0, 0, 600, 450], [0, 0, 0, 1]])
    flat = np.array([[1.5, 0, 120], [0, 1.5, 150], [0, 0, 1]])
    label = Cylinder(wound, angle, is_upright=True)
    seen = laid_by(flat, FACE, PHOTO, bend=label)
    x, y = np.meshgrid(np.arange(PHOTO[0]) + 0.5, np.arange(PHOTO[1]) + 0.5)
    turned = np.arcsin(np.clip((x - 600) / 330, -1, 1))
    at = (turned / angle + 0.5) * FACE[0], ((y - 450) / 600 + 0.5) * FACE[1]
    maps = tuple(np.asarray(one - 0.5, np.float32) for one in at)
    drawn = cv2.remap(face(), maps[0], maps[1], cv2.INTER_LINEAR)
    is_label = (np.abs(turned) < rim) & (np.abs(y - 450) < 300)
    photo = np.where(is_label[..., None], drawn, np.array(TABLE, np.uint8))
    photo = np.asarray(photo, np.uint8)
    assert found(photo, seen) == 0


def test_a_face_beyond_the_photo_tells_nothing() -> None:
    away = np.array([[1.0, 0, 5000], [0, 1, 5000], [0, 0, 1]])
    assert found(photographed(face()), registered(away)) == 0

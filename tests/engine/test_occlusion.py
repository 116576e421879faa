import cv2
import numpy as np
import pytest
from examined import matches
from numpy.typing import NDArray
from scenes import TABLE, Pixels, photographed, printed

from touchstone.engine.occlusion import hands
from touchstone.engine.rectification import rectify

SKIN = (224, 172, 138)
FACE = printed(1)
FRAME = (640, 426)


def on_grey(shown: Pixels) -> Pixels:
    """Photographed on a table that is not, as wood is, of the colour of skin."""
    photo = photographed(shown, zoom=1.05).pixels.copy()
    photo[np.abs(photo.astype(int) - TABLE).max(axis=2) < 14] = (100, 108, 116)
    return photo


def covered(photo: Pixels) -> NDArray[np.bool_]:
    (found,) = matches(photo, [1])
    seen, _ = rectify(photo, found.registration, FRAME)
    reference = np.asarray(cv2.resize(FACE.pixels, FRAME), np.uint8)
    return hands(reference, seen, photo, found.registration)


def with_finger(photo: Pixels, *, tip: tuple[int, int], end: tuple[int, int]) -> Pixels:
    held = photo.copy()
    cv2.line(held, tip, end, SKIN, 44, cv2.LINE_AA)
    return held


def test_a_bare_face_has_no_hand() -> None:
    assert not covered(on_grey(FACE.pixels)).any()


def test_a_finger_that_comes_from_beyond_the_edge_is_left_out() -> None:
    photo = on_grey(FACE.pixels)
    mask = covered(with_finger(photo, tip=(150, 200), end=(0, 200)))
    assert mask[150:190, 20:80].mean() > 0.8
    assert not mask[:, 300:].any()
    assert mask.mean() < 0.1


def with_nail(photo: Pixels) -> Pixels:
    """A dark finger of which hardly more than the light nail lies over the face."""
    held = photo.copy()
    cv2.line(held, (90, 200), (0, 200), (140, 92, 66), 44, cv2.LINE_AA)
    cv2.ellipse(held, (86, 200), (24, 21), 0, 0, 360, (235, 190, 165), -1, cv2.LINE_AA)
    return held


def test_a_finger_with_its_nail_over_the_edge_is_left_out() -> None:
    mask = covered(with_nail(on_grey(FACE.pixels)))
    assert mask[140:180, 5:40].mean() > 0.8
    assert mask.mean() < 0.05


def test_a_nail_that_is_blue_in_the_light_of_the_sky_is_left_out() -> None:
    # As a phone sees it that took the sky for white: no colour of skin is left of it.
    blue = with_nail(on_grey(FACE.pixels)) * np.array([0.8, 1, 1.2])
    mask = covered(blue.clip(0, 255).astype(np.uint8))
    assert mask[140:180, 5:40].mean() > 0.8
    assert mask.mean() < 0.05


def test_a_finger_over_a_corner_is_left_out() -> None:
    photo = on_grey(FACE.pixels)
    mask = covered(with_finger(with_frame(photo), tip=(130, 98), end=(0, 84)))
    assert mask[5:40, 5:60].mean() > 0.8
    assert mask.mean() < 0.05


def with_frame(photo: Pixels) -> Pixels:
    """With a border of the colour of skin, that the finger lies over."""
    framed = photo.copy()
    cv2.rectangle(framed, (70, 75), (570, 405), SKIN, 5)
    return framed


def test_a_finger_that_the_photo_ends_beside_is_left_out() -> None:
    photo = on_grey(FACE.pixels)
    held = with_finger(photo, tip=(150, 200), end=(0, 200))
    # Of what lies beyond the face a hundredth is left.
    mask = covered(np.ascontiguousarray(held[:, 60:]))
    assert mask[150:190, 20:80].mean() > 0.8
    assert mask.mean() < 0.1


def with_lines(photo: Pixels) -> Pixels:
    """With thin lines of the colour of skin, as of words, where the finger will lie."""
    lined = photo.copy()
    for row in range(150, 256, 14):
        cv2.line(lined, (70, row), (190, row), SKIN, 3)
    return lined


def test_a_finger_that_touches_words_of_its_colour_is_left_out_without_them() -> None:
    lined = with_lines(on_grey(FACE.pixels))
    mask = covered(with_finger(lined, tip=(150, 200), end=(0, 200)))
    assert mask[150:190, 20:80].mean() > 0.8
    assert not mask[90:120, 20:80].any()
    assert mask.mean() < 0.06


@pytest.mark.parametrize("words", [["50", "mg"], ["250 mg"]])
def test_a_label_with_words_is_compared_though_a_finger_is_behind(
    words: list[str],
) -> None:
    # The pack is held from behind: what is blank of a label over it is no finger.
    labelled = FACE.pixels.copy()
    labelled[100:160, :90] = SKIN
    for line, word in enumerate(words):
        at = (4, 112 + 16 * line)
        cv2.putText(labelled, word, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 30, 120), 2)
    photo = photographed(labelled, zoom=1.05).pixels.copy()
    is_table = np.abs(photo.astype(int) - TABLE).max(axis=2) < 14
    behind = photo.copy()
    cv2.line(behind, (0, 209), (60, 209), SKIN, 62)
    photo[is_table] = (100, 108, 116)
    is_behind = is_table & (behind == SKIN).all(axis=2)
    photo[is_behind] = SKIN
    assert not covered(photo).any()


def test_words_of_the_colour_of_skin_are_compared_beside_a_table_of_it() -> None:
    assert not covered(with_lines(table("plain"))).any()
    broad = with_lines(table("plain"))
    cv2.rectangle(broad, (66, 178), (150, 222), SKIN, -1)
    assert not covered(broad).any()


def table(kind: str) -> Pixels:
    """A photo on a brown table, with nothing over the face."""
    photo = photographed(FACE.pixels, zoom=1.05).pixels.copy()
    is_table = np.abs(photo.astype(int) - TABLE).max(axis=2) < 14
    brown = np.full(photo.shape, (140, 92, 66), np.uint8)
    rng = np.random.default_rng(0)
    if kind == "grained":
        for row in range(9, len(brown), 52):
            brown[row : row + 3] = (60, 60, 66)
    elif kind == "speckled":
        is_grey = rng.random(photo.shape[:2]) < 0.1
        brown[is_grey] = (96, 96, 92)
    elif kind == "cut off by a seam":
        brown[230:] = (90, 100, 110)
    photo[is_table] = brown[is_table]
    return photo


@pytest.mark.parametrize("kind", ["plain", "grained", "speckled", "cut off by a seam"])
@pytest.mark.parametrize("size_px", [(44, 40), (84, 60)])
def test_a_light_patch_beside_a_table_of_the_colour_of_skin_is_compared(
    kind: str, size_px: tuple[int, int]
) -> None:
    # The table goes on to both sides, as no finger does: it may be bare board.
    photo, (width, height) = table(kind), size_px
    cv2.rectangle(photo, (66, 170), (66 + width, 170 + height), (235, 190, 165), -1)
    assert not covered(photo)[120:200, 2:100].any()


def test_a_patch_is_of_the_table_only_where_it_meets_it() -> None:
    photo = table("plain")
    cv2.rectangle(photo, (66, 170), (150, 230), (235, 190, 165), -1)
    cv2.rectangle(photo, (120, 170), (150, 230), (140, 92, 66), -1)  # shaded, or print
    assert not covered(photo)[120:200, 2:100].any()


def test_a_patch_of_the_colour_of_skin_within_the_face_is_print() -> None:
    photo = on_grey(FACE.pixels)
    assert not covered(with_finger(photo, tip=(300, 200), end=(360, 200))).any()


def test_print_of_the_colour_of_skin_ends_at_the_edge_and_is_compared() -> None:
    repainted = FACE.pixels.copy()
    repainted[130:180, :70] = SKIN
    assert not covered(on_grey(repainted)).any()


def test_words_on_print_of_the_colour_of_skin_are_compared_on_any_table() -> None:
    labelled = FACE.pixels.copy()
    labelled[100:190, :120] = SKIN
    for line in range(3):
        at = (4, 122 + 26 * line)
        cv2.putText(labelled, "1000 mg", at, cv2.FONT_HERSHEY_SIMPLEX, 0.8, 0, 3)
    photo = photographed(labelled, zoom=1.05).pixels.copy()
    photo[np.abs(photo.astype(int) - TABLE).max(axis=2) < 14] = SKIN
    assert not covered(photo)[160:240, 20:140].any()


def test_a_board_laid_bare_is_no_hand_though_the_table_has_a_skins_colour() -> None:
    # The board's own colour is that of skin in this light, and so is the table's.
    bare = FACE.without(FACE.first("block")).pixels
    photo = photographed(bare, zoom=1.05).pixels
    x, y, width, height = FACE.elements[FACE.first("block")].box
    scale = FRAME[0] / FACE.size_px[0]
    rows = slice(int(y * scale), int((y + height) * scale))
    columns = slice(int(x * scale), int((x + width) * scale))
    assert not covered(photo)[rows, columns].any()


@pytest.mark.parametrize("table", [210, 235])
@pytest.mark.parametrize("panel", [(200, 40, 40), (230, 200, 40)])
@pytest.mark.parametrize("wide", [60, 140, 220])
def test_a_coloured_panel_that_is_gone_makes_no_hand_of_the_board(
    table: int, panel: tuple[int, int, int], wide: int
) -> None:
    # Without it the face is whiter than its reference: no light that would do so is.
    printed_, bare = (FACE.pixels.copy() for _ in range(2))
    printed_[60:260, :wide], bare[60:260, :wide] = panel, (240, 240, 240)
    photo = photographed(bare, zoom=1.05).pixels.copy()
    photo[np.abs(photo.astype(int) - TABLE).max(axis=2) < 14] = table
    (found,) = matches(photo, [1])
    seen, _ = rectify(photo, found.registration, FRAME)
    reference = np.asarray(cv2.resize(printed_, FRAME), np.uint8)
    assert not hands(reference, seen, photo, found.registration).any()


def test_a_patch_too_large_for_a_finger_is_for_a_person_to_look_at() -> None:
    photo = on_grey(FACE.pixels)
    photo[60:420, :200] = SKIN
    assert not covered(photo).any()

import cv2
import numpy as np
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


def test_a_patch_of_the_colour_of_skin_within_the_face_is_print() -> None:
    photo = on_grey(FACE.pixels)
    assert not covered(with_finger(photo, tip=(300, 200), end=(360, 200))).any()


def test_print_of_the_colour_of_skin_ends_at_the_edge_and_is_compared() -> None:
    repainted = FACE.pixels.copy()
    repainted[130:180, :70] = SKIN
    assert not covered(on_grey(repainted)).any()


def test_a_patch_too_large_for_a_finger_is_for_a_person_to_look_at() -> None:
    photo = on_grey(FACE.pixels)
    photo[60:420, :200] = SKIN
    assert not covered(photo).any()

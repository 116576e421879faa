import subprocess
import sys
from typing import Any

import cv2
import numpy as np
import pytest
from meshed import Mesh, on_border, seen_askew
from numpy.typing import NDArray
from scenes import Pixels, printed

from touchstone.engine import alignment
from touchstone.engine.alignment import Alignment
from touchstone.engine.alignment import align as align_within
from touchstone.engine.flow import QUICK, Places, Print, corner, sampled
from touchstone.engine.image import moved_by
from touchstone.engine.normalisation import Map

_cv2: Any = cv2  # the stubs know no single map of two channels

FACE = printed(1, size_px=(640, 432))
LUMA = np.asarray(cv2.cvtColor(FACE.pixels, cv2.COLOR_RGB2GRAY), np.uint8)
EVERYWHERE = np.ones(LUMA.shape, np.float32)


def align(
    expected: NDArray[np.uint8], seen: NDArray[np.uint8], valid: Map
) -> Alignment:
    return align_within(expected, seen, valid)


def displaced(
    dx: NDArray[np.float32] | float, dy: NDArray[np.float32] | float
) -> NDArray[np.uint8]:
    """What lies at (x, y) of the expected picture lies at (x + dx, y + dy) here."""
    ys, xs = np.indices(LUMA.shape, np.float32)
    at_x, at_y = np.asarray(xs - dx, np.float32), np.asarray(ys - dy, np.float32)
    moved = cv2.remap(
        LUMA, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.uint8)


def test_equal_pictures_are_not_shifted() -> None:
    found = align(LUMA, LUMA, EVERYWHERE)
    assert np.abs(found.shift).max() < 0.1
    assert found.stray.max() < 1
    assert found.is_supported.all()


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (0, -4), (6, 5), (-2.5, 1.5)])
def test_a_shift_of_the_whole_is_followed(dx: float, dy: float) -> None:
    found = align(LUMA, displaced(dx, dy), EVERYWHERE)
    inside = found.shift[40:-40, 40:-40]
    np.testing.assert_allclose(inside.mean(axis=(0, 1)), (dx, dy), atol=0.4)
    assert np.abs(inside - (dx, dy)).max() < 1


def test_a_smooth_stretch_is_followed_and_no_element_strays() -> None:
    _, xs = np.indices(LUMA.shape, np.float32)
    stretch = np.float32(8) * ((xs / LUMA.shape[1] - np.float32(0.5)) ** 2)
    found = align(LUMA, displaced(stretch, 0), EVERYWHERE)
    gaps = np.abs(found.shift[..., 0] - stretch)[40:-40, 40:-40]
    assert gaps.mean() < 0.4
    assert found.level < 0.5


def wave(luma: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Film with slow waves, and where it has what lies at (x, y): (h, w, 2)."""
    ys, xs = np.indices(luma.shape, np.float32)
    turn = np.float32(2 * np.pi)
    ripple = np.dstack([2 * np.sin(turn * ys / 300), 3 * np.sin(turn * xs / 260)])
    at = np.dstack([xs, ys]) - ripple
    seen = _cv2.remap(luma, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    # Where (x, y) went, to the second order: the ripple at where the ripple leads.
    to = np.dstack([xs, ys]) + ripple
    went = _cv2.remap(ripple, to, None, cv2.INTER_LINEAR)
    return np.asarray(seen, np.uint8), np.asarray(went, np.float32)


@pytest.mark.parametrize("is_bent", [False, True])
def test_a_wave_is_followed_whether_or_not_the_face_was_known_to_bend(
    is_bent: bool,
) -> None:
    seen, ripple = wave(LUMA)
    found = align_within(LUMA, seen, EVERYWHERE, is_bent=is_bent)
    gaps = np.linalg.norm(found.shift - ripple, axis=2)[60:-60, 60:-60]
    assert np.sqrt(np.mean(gaps**2)) < 0.5


def test_an_element_that_moved_on_a_wave_still_strays() -> None:
    number = FACE.first("block", after=6)
    moved = FACE.moved(number, dx=13, dy=0)  # 2 % of the long side
    seen, _ = wave(np.asarray(cv2.cvtColor(moved.pixels, cv2.COLOR_RGB2GRAY), np.uint8))
    found = align(LUMA, seen, EVERYWHERE)
    x, y, width, height = FACE.elements[number].box
    there = found.stray[y // 2 : (y + height) // 2, x // 2 : (x + width) // 2]
    assert there.max() > 6
    # The print around it is followed, not the element.
    print_ = align(LUMA, wave(LUMA)[0], EVERYWHERE)
    gap = np.abs(found.shift - print_.shift)[y : y + height, x : x + width]
    assert gap.mean() < 2


def dense_text(pitch_px: int) -> NDArray[np.uint8]:
    """A leaflet: words of chance in lines as close as ``pitch_px``, two columns."""
    rng = np.random.default_rng(5)
    page = np.full((640, 432), 245, np.uint8)
    for left in (16, 228):
        for below in range(24, 630, pitch_px):
            letters = rng.choice(list("aceimnorstuvx    "), 32)
            cv2.putText(
                page,
                "".join(letters),
                (left, below),
                cv2.FONT_HERSHEY_SIMPLEX,
                pitch_px / 40,
                30,
                1,
                cv2.LINE_AA,
            )
    page[:, 412:] = 245
    return page


def with_a_bent_corner(
    page: NDArray[np.uint8], most_px: float
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A corner that rises from the table, and where it has what lies at (x, y)."""
    ys, xs = np.indices(page.shape, np.float32)
    near = np.clip(1 - (xs / 520 + ys / 600), 0, 1) ** 2 * np.float32(most_px)
    shift = np.dstack([near / 4, near])
    at = np.dstack([xs, ys]) - shift
    seen = _cv2.remap(page, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    to = np.dstack([xs, ys]) + shift
    return np.asarray(seen, np.uint8), np.asarray(
        _cv2.remap(shift, to, None, cv2.INTER_LINEAR), np.float32
    )


@pytest.mark.parametrize("most_px", [-18, -16, -12])
def test_dense_text_on_a_bent_corner_is_not_laid_a_line_off(most_px: float) -> None:
    page = dense_text(pitch_px=14)
    seen, truth = with_a_bent_corner(page, most_px)
    found = align(page, seen, np.ones(page.shape, np.float32))
    gaps = np.linalg.norm(found.shift - truth, axis=2)[30:300, 24:260]
    assert np.percentile(gaps, 95) < 1.5  # a line is 14


def test_other_text_in_the_same_lines_was_found_and_is_not_certain() -> None:
    page = dense_text(pitch_px=24)
    other = page.copy()
    other[30:330, :216] = page[318:618, :216]  # twelve lines further down
    places = sampled_of(page, other)
    is_other = np.zeros(places.is_certain.shape, bool)
    is_other[5:25, 3:15] = True
    assert places.is_found[is_other].mean() > 0.9
    assert places.is_certain[is_other].mean() < 0.7
    assert places.is_certain[30:, 3:15].mean() > 0.9


def test_a_small_label_with_other_text_is_followed_by_what_was_found() -> None:
    page = np.full((426, 640), 240, np.uint8)
    text, other = dense_text(pitch_px=18), dense_text(pitch_px=20)
    page[180:250, 200:370] = text[100:170, 20:190]
    seen = page.copy()
    seen[183:253, 202:372] = other[104:174, 26:196]
    found = align(page, seen, np.ones(page.shape, np.float32))
    assert found.level > 0 or np.abs(found.shift).max() > 0


def sampled_of(expected: NDArray[np.uint8], seen: NDArray[np.uint8]) -> Places:
    half = (expected.shape[1] // 2, expected.shape[0] // 2)
    first, second = (
        np.asarray(cv2.resize(one, half, interpolation=cv2.INTER_AREA), np.uint8)
        for one in (expected, seen)
    )
    corners = corner(first)
    print_ = Print(
        luma=first,
        corner=corners,
        is_valid=np.ones(corners.shape, bool),
        is_mesh=np.zeros(corners.shape, bool),
        is_followed=True,
    )
    return sampled(print_, second, QUICK)


def grey(face: Pixels) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), np.uint8)


@pytest.mark.parametrize("period_px", [9, 10, 12])
@pytest.mark.parametrize(
    ("dx", "dy", "tilt"),
    [(0.5, -0.3, 0), (1.5, 1, 0.5), (2, -2, 1), (-2, 2.5, 1), (3, 3, 1.5)],
)
def test_a_border_that_repeats_itself_lies_where_its_surroundings_say(
    period_px: float, dx: float, dy: float, tilt: float
) -> None:
    face = Mesh(period_px).around(FACE.pixels)
    seen, truth = seen_askew(face, dx, dy, tilt=tilt)
    found = align(grey(face), grey(seen), EVERYWHERE)
    gaps = np.linalg.norm(found.shift - truth, axis=2)
    # Half of the way to where it looks the same again, which is half a period on.
    assert np.percentile(gaps[on_border(face, clear_px=8)], 90) < period_px / 4
    cell = np.ones((25, 25), np.uint8)  # of the grid, to either side
    beside = cv2.dilate(on_border(face).astype(np.uint8), cell) > 0
    assert gaps[~beside].max() < 1.4
    assert np.percentile(gaps[~beside], 90) < 0.7


@pytest.mark.parametrize("period_px", [10, 12, 14])
def test_a_border_on_film_with_waves_is_not_torn_between_two_periods(
    period_px: float,
) -> None:
    face = grey(Mesh(period_px).around(FACE.pixels))
    seen, _ = wave(face)
    found = align(face, seen, EVERYWHERE)
    border = on_border(FACE.pixels, clear_px=12)
    before, after = (
        cv2.absdiff(picture, face)[border].mean()
        for picture in (seen, moved_by(seen, found.shift))
    )
    assert after < 0.3 * before


def test_a_border_that_slid_along_itself_is_no_stray_element() -> None:
    face, off = Mesh(10).around(FACE.pixels), Mesh(10).around(FACE.pixels)
    off[:44, 44:-44] = np.roll(off[:44, 44:-44], 2, axis=1)  # it has 5 to a period
    found = align(grey(face), grey(off), EVERYWHERE)
    assert found.stray[:20, 30:-30].max() < 1
    assert np.abs(found.shift[80:-80, 80:-80]).max() < 0.5


def test_an_element_within_a_border_that_repeats_itself_still_strays() -> None:
    number = FACE.first("block", after=13)  # the border covers none of it
    moved = FACE.moved(number, dx=8, dy=0)
    mesh = Mesh(10)
    found = align(
        grey(mesh.around(FACE.pixels)), grey(mesh.around(moved.pixels)), EVERYWHERE
    )
    x, y, width, height = FACE.elements[number].box
    assert found.stray[y // 2 : (y + height) // 2, x // 2 : (x + width) // 2].max() > 3


def test_a_picture_that_repeats_itself_all_over_is_followed_as_it_is() -> None:
    ys, xs = np.indices(LUMA.shape, np.float32)
    every = np.asarray(128 + 90 * np.sin(xs * 0.6) * np.sin(ys * 0.6), np.uint8)
    found = align(every, every, EVERYWHERE)
    assert np.abs(found.shift).max() < 0.5


def test_where_nothing_repeats_itself_no_place_is_looked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What costs more than a glance is for borders alone, and so is what it changes.
    def never(*_: object, **__: object) -> None:
        pytest.fail("a print without a border was taken for one with")

    monkeypatch.setattr(alignment, "followed_on_mesh", never)
    seen, _ = seen_askew(FACE.pixels, 2, -1, tilt=1)
    align(LUMA, grey(seen), EVERYWHERE)


def test_an_element_that_moved_strays_and_the_rest_does_not() -> None:
    number = FACE.first("block", after=6)
    moved = FACE.moved(number, dx=5, dy=0)
    luma = np.asarray(cv2.cvtColor(moved.pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    found = align(LUMA, luma, EVERYWHERE)
    x, y, width, height = FACE.elements[number].box
    there = found.stray[y // 2 : (y + height) // 2, x // 2 : (x + width) // 2]
    assert there.max() > 3
    away = found.stray.copy()
    away[
        max(0, y - 40) // 2 : (y + height + 40) // 2,
        max(0, x - 40) // 2 : (x + width + 45) // 2,
    ] = 0
    assert away.max() < 2
    assert np.median(np.abs(found.shift)) < 0.3


def test_pictures_with_nothing_in_common_are_left_where_they_are() -> None:
    blank = np.full(LUMA.shape, 200, np.uint8)
    found = align(blank, LUMA, EVERYWHERE)
    assert not found.shift.any()
    assert not found.stray.any()
    assert found.level == 0


def test_what_is_not_valid_says_nothing() -> None:
    nowhere = np.zeros(LUMA.shape, np.float32)
    found = align(LUMA, displaced(6, 0), nowhere)
    assert not found.shift.any()


def test_a_far_side_that_is_lost_is_given_up_and_an_element_is_not() -> None:
    lost = LUMA.copy()
    random = np.random.default_rng(0)
    lost[:, :96] = cv2.blur(random.integers(0, 256, (432, 96)).astype(np.uint8), (9, 9))
    found = align(LUMA, lost, EVERYWHERE)
    assert not found.is_supported[:, :40].any()
    assert found.is_supported[:, 200:-60].all()


def test_the_same_pair_gives_the_same_alignment() -> None:
    seen = displaced(2.5, -1)
    first, second = (align(LUMA, seen, EVERYWHERE) for _ in range(2))
    np.testing.assert_array_equal(first.shift, second.shift)
    np.testing.assert_array_equal(first.stray, second.stray)


def test_strips_too_low_for_the_flow_do_not_end_the_process() -> None:
    # OpenCV reads beyond the end of some; only another process can tell of that.
    code = """
import numpy as np
from touchstone.engine.alignment import align
rng = np.random.default_rng(0)
for height in range(16, 74, 2):
    for width in (160, 640):
        for side in ((height, width), (width, height)):
            luma = rng.integers(0, 256, side).astype(np.uint8)
            align(luma, luma, np.ones(side, np.float32))
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)  # noqa: S603 (ours)
    assert done.returncode == 0

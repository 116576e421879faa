"""Print that looks like other print beside it."""

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from touchstone.engine.lookalikes import likeness, searched

_Luma = NDArray[np.uint8]


def printed(seed: int = 0) -> _Luma:
    """Blots of chance: no patch is like another."""
    noise = np.random.default_rng(seed).uniform(0, 255, (160, 200))
    return stretched(cv2.GaussianBlur(noise, (0, 0), 1.5))


def stretched(values: NDArray[Any]) -> _Luma:
    low, high = float(values.min()), float(values.max())
    return np.asarray((values - low) / (high - low) * 255, np.uint8)


def lines(pitch_px: int) -> _Luma:
    """Rules across the whole page: each is like all the others."""
    page = np.full((160, 200), 240, np.uint8)
    page[::pitch_px] = page[1::pitch_px] = 40
    return page


def displaced(luma: _Luma, dx: float, dy: float) -> _Luma:
    by = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
    size = luma.shape[1], luma.shape[0]
    moved = cv2.warpAffine(luma, by, size, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def looked_for(
    expected: _Luma,
    seen: _Luma,
    places: list[tuple[int, int]],
    guess: tuple[float, float] = (0, 0),
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    at = np.array([places], np.float32)
    near = np.broadcast_to(np.array(guess, np.float32), at.shape).copy()
    shifts, found = searched(expected, seen, at, near, np.ones(at.shape[:2], bool))
    return shifts[0], found[0]


MIDDLE = [(80, 70), (100, 90), (120, 80)]
EDGES = [(3, 80), (100, 3), (196, 80), (100, 156), (3, 3), (196, 156)]


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (9, -7), (-11, 11), (4.5, 2.25)])
def test_what_is_displaced_is_found_to_a_fraction_of_a_pixel(
    dx: float, dy: float
) -> None:
    shifts, found = looked_for(printed(), displaced(printed(), dx, dy), MIDDLE)
    assert found.all()
    np.testing.assert_allclose(shifts, np.tile((dx, dy), (3, 1)), atol=0.2)


def test_it_is_looked_for_around_the_guess() -> None:
    seen = displaced(printed(), 20, -16)
    assert not looked_for(printed(), seen, MIDDLE)[1].any()
    shifts, found = looked_for(printed(), seen, MIDDLE, guess=(17.4, -12.2))
    assert found.all()
    np.testing.assert_allclose(shifts, np.tile((20, -16), (3, 1)), atol=0.2)


@pytest.mark.parametrize(("dx", "dy"), [(13, 0), (0, -14), (15, 15)])
def test_what_lies_beyond_the_reach_is_not_found_on_its_rim(
    dx: float, dy: float
) -> None:
    smooth = stretched(cv2.GaussianBlur(printed().astype(np.float32), (0, 0), 4))
    shifts, found = looked_for(smooth, displaced(smooth, dx, dy), MIDDLE)
    assert not (np.abs(shifts[found]).max(axis=1, initial=0) > 11.5).any()


@pytest.mark.parametrize("pitch_px", [6, 9])
def test_where_one_line_is_like_the_next_none_is_the_one(pitch_px: int) -> None:
    page = lines(pitch_px)
    assert not looked_for(page, displaced(page, 0, 2), MIDDLE)[1].any()


def test_a_plain_patch_is_found_nowhere() -> None:
    plain = np.full((160, 200), 200, np.uint8)
    assert not looked_for(plain, printed(), MIDDLE)[1].any()
    assert not looked_for(printed(), plain, MIDDLE)[1].any()


def test_a_place_by_an_edge_is_found_by_what_the_picture_has() -> None:
    shifts, found = looked_for(printed(), displaced(printed(), 2, 1), EDGES)
    assert found.sum() >= 4
    np.testing.assert_allclose(
        shifts[found], np.tile((2, 1), (found.sum(), 1)), atol=0.3
    )


def test_a_guess_that_leads_out_of_the_picture_finds_nothing() -> None:
    shifts, found = looked_for(printed(), printed(), EDGES, guess=(400, -400))
    assert not found.any()
    assert (shifts == (400, -400)).all()


def test_the_same_print_is_alike_in_any_light_and_another_is_not() -> None:
    dim = np.asarray(printed() * 0.5 + 60, np.uint8)
    assert likeness(printed(), dim)[20:-20, 20:-20].min() > 0.95
    assert np.abs(likeness(printed(), printed(7))[20:-20, 20:-20]).mean() < 0.25
    paper = np.full_like(dim, 230)
    assert np.abs(likeness(paper, paper)).max() < 0.1

import cv2
import numpy as np
import pytest
from examined import examined
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scenes import Pixels, photographed, printed

from touchstone.engine.normalisation import Luma
from touchstone.engine.screens import USUAL, dots

FACE = (680, 510)
EVERYWHERE = np.ones(FACE[::-1], np.float32)
MOST, TELLING = 1.3, 2.0
"""Of genuine faces, and what no noise makes."""


def board() -> Luma:
    """Print of no period: blots of many sizes."""
    rng = np.random.default_rng(0)
    blots = rng.integers(0, 256, FACE[::-1]).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(blots, (0, 0), 3), np.uint8)


def wave(often: float, turn_deg: float) -> NDArray[np.float64]:
    """Cycles per pixel, along which way."""
    turn = np.radians(turn_deg)
    y, x = np.mgrid[: FACE[1], : FACE[0]]
    along = np.cos(turn) * x + np.sin(turn) * y
    return np.asarray(np.cos(2 * np.pi * often * along), np.float64)


def screen(often: float, turn_deg: float) -> NDArray[np.float64]:
    return wave(often, turn_deg) + wave(often, turn_deg + 90)


def seen(
    picture: Luma, added: NDArray[np.float64] | float = 0.0, *, seed: int = 1
) -> Luma:
    """What a phone makes of it: another light, and noise."""
    noise = np.random.default_rng(seed).normal(0, 3, picture.shape)
    return np.clip(picture * 0.8 + 15 + added + noise, 0, 255).astype(np.uint8)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.2, 0.42), st.floats(0, 90))
def test_a_screen_that_noise_hides_stands_out(often: float, turn_deg: float) -> None:
    picture = board()
    shown = seen(picture, 1.2 * screen(often, turn_deg))
    assert dots(picture, shown, EVERYWHERE) > TELLING


@pytest.mark.parametrize("seed", range(8))
def test_noise_is_no_screen(seed: int) -> None:
    picture = board()
    shown = seen(picture, seed=seed)
    assert dots(picture, shown, EVERYWHERE) < MOST


def test_lines_along_one_way_count_half() -> None:
    picture = board()
    both, one = (
        dots(picture, seen(picture, added), EVERYWHERE)
        for added in (2.0 * screen(0.3, 20), 2.0 * wave(0.3, 20))
    )
    assert one < 0.7 * both


def test_what_the_reference_has_too_is_no_news() -> None:
    mesh = np.clip(board() + 12.0 * screen(0.3, 20), 0, 255).astype(np.uint8)
    assert dots(mesh, seen(mesh), EVERYWHERE) < MOST
    assert dots(board(), seen(mesh), EVERYWHERE) > TELLING


def test_print_that_repeats_itself_less_often_than_asked_is_none() -> None:
    picture = board()
    shown = seen(picture, 4.0 * screen(0.17, 20))
    assert dots(picture, shown, EVERYWHERE, coarsest=0.15) > TELLING
    assert dots(picture, shown, EVERYWHERE, coarsest=0.25) < MOST


def test_only_what_can_be_compared_is_looked_at() -> None:
    picture = board()
    shown = seen(picture, 2.0 * screen(0.3, 20) * (np.arange(FACE[0]) < FACE[0] / 2))
    halves = [np.zeros_like(EVERYWHERE) for _ in range(2)]
    halves[0][:, : FACE[0] // 2] = halves[1][:, FACE[0] // 2 + 60 :] = 1
    left, right = (dots(picture, shown, one) for one in halves)
    assert left > TELLING
    assert right < MOST


@pytest.mark.parametrize("size", [(8, 8), (95, 510), (96, 510), (200, 200)])
def test_too_little_to_look_at_tells_nothing(size: tuple[int, int]) -> None:
    part = np.s_[: size[0], : size[1]]
    picture, added = board()[part], 3.0 * screen(0.3, 20)[part]
    valid = np.ones(picture.shape, np.float32)
    assert dots(picture, seen(picture, added), valid) == USUAL
    nowhere = 0 * EVERYWHERE
    assert dots(board(), seen(board()), nowhere) == USUAL


@pytest.mark.parametrize("size", [(1400, 180), (1400, 300), (180, 1400), (700, 900)])
def test_all_of_a_face_is_looked_at(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(100, 156, size).astype(np.uint8)
    valid = np.ones(size, np.float32)
    y, x = np.mgrid[: size[0], : size[1]]
    added = 30 * (np.cos(1.9 * x + 0.7 * y) + np.cos(-0.7 * x + 1.9 * y))
    for place, side in zip((y, x), size, strict=True):
        for end in (0, side):
            is_near = np.abs(place - end) < side / 2
            assert dots(picture, seen(picture, added * is_near), valid) > MOST


def test_dots_finer_than_the_reference_can_hold_say_nothing() -> None:
    picture = board()
    shown = seen(picture, 2.0 * screen(0.4, 20))
    assert dots(picture, shown, EVERYWHERE, finest=0.3) < MOST
    assert dots(picture, shown, EVERYWHERE) > TELLING


def halftoned(pixels: Pixels, pitch_px: float) -> Pixels:
    """Tints of dots, as a coarse screen prints them."""
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    step = 2 * np.pi / pitch_px
    across, down = step * (0.8 * x + 0.6 * y), step * (-0.6 * x + 0.8 * y)
    spots = (2 + np.cos(across) + np.cos(down))[..., None] / 4
    tint = pixels.astype(np.float64) / 255
    inked = np.clip((tint - spots) * 2 + 0.5, 0, 1)
    return np.asarray(255 * (0.6 * tint + 0.4 * inked), np.uint8)


def told(pixels: Pixels) -> float:
    photo = photographed(pixels, tilt=0.05, turn=8, zoom=1.8, frame_px=(1200, 900))
    return examined(1, photo.pixels).measurements()["dots"]


def test_a_reprint_through_a_screen_is_told_in_a_photo() -> None:
    face = printed(1)
    assert told(face.pixels) < MOST
    assert told(halftoned(face.pixels, 3.4)) > TELLING

import cv2
import numpy as np
import pytest
from examined import examined
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scenes import Pixels, photographed, printed

from touchstone.engine.normalisation import Luma, Map
from touchstone.engine.spectra import BANDS, Spectra, compared_spectra

FACE = (680, 510)
EVERYWHERE = np.ones(FACE[::-1], np.float32)
USUAL, TELLING = 1.3, 2.0


def dots(expected: Luma, shown: Luma, valid: Map, *, scale: float = 1.4) -> float:
    return compared_spectra(expected, shown, valid, scale=scale).dots


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
    assert dots(picture, shown, EVERYWHERE) < USUAL


def test_lines_along_one_way_count_half() -> None:
    picture = board()
    both, one = (
        dots(picture, seen(picture, added), EVERYWHERE)
        for added in (2.0 * screen(0.3, 20), 2.0 * wave(0.3, 20))
    )
    assert one < 0.7 * both


def test_what_the_reference_has_too_is_no_news() -> None:
    mesh = np.clip(board() + 12.0 * screen(0.3, 20), 0, 255).astype(np.uint8)
    assert dots(mesh, seen(mesh), EVERYWHERE) < USUAL
    assert dots(board(), seen(mesh), EVERYWHERE) > TELLING


def test_print_that_repeats_itself_less_often_than_asked_is_none() -> None:
    picture = board()
    shown = seen(picture, 4.0 * screen(0.17, 20))
    assert dots(picture, shown, EVERYWHERE, scale=1.3) > TELLING
    assert dots(picture, shown, EVERYWHERE, scale=0.8) < USUAL


def test_only_what_can_be_compared_is_looked_at() -> None:
    picture = board()
    shown = seen(picture, 2.0 * screen(0.3, 20) * (np.arange(FACE[0]) < FACE[0] / 2))
    halves = [np.zeros_like(EVERYWHERE) for _ in range(2)]
    halves[0][:, : FACE[0] // 2] = halves[1][:, FACE[0] // 2 + 60 :] = 1
    left, right = (dots(picture, shown, one) for one in halves)
    assert left > TELLING
    assert right < USUAL


@pytest.mark.parametrize("size", [(8, 8), (95, 510), (96, 510), (200, 200)])
def test_too_little_to_look_at_tells_nothing(size: tuple[int, int]) -> None:
    part = np.s_[: size[0], : size[1]]
    picture, added = board()[part], 3.0 * screen(0.3, 20)[part]
    valid = np.ones(picture.shape, np.float32)
    assert compared_spectra(picture, seen(picture, added), valid) == Spectra()
    nowhere = 0 * EVERYWHERE
    assert compared_spectra(board(), seen(board()), nowhere) == Spectra()


@pytest.mark.parametrize("size", [(1400, 180), (1400, 300), (180, 1400), (700, 900)])
def test_all_of_a_face_is_looked_at(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(100, 156, size).astype(np.uint8)
    valid = np.ones(size, np.float32)
    for axis, side in enumerate(size):
        for end in (0, side):
            place = np.arange(side).reshape((-1, 1) if axis == 0 else (1, -1))
            is_near = np.abs(place - end) < side / 2
            y, x = np.mgrid[: size[0], : size[1]]
            added = np.cos(1.9 * x + 0.7 * y) + np.cos(-0.7 * x + 1.9 * y)
            shown = seen(picture, 30 * added * is_near)
            assert dots(picture, shown, valid) > USUAL


def test_dots_finer_than_the_reference_can_hold_say_nothing() -> None:
    picture = board()
    shown = seen(picture, 2.0 * screen(0.4, 20))
    told = compared_spectra(picture, shown, EVERYWHERE, scale=1.4, finest=0.3)
    assert told.dots < USUAL < dots(picture, shown, EVERYWHERE)


def blurred(picture: Luma, sigma: float) -> Luma:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def text() -> Luma:
    """Edges, which have detail of every size."""
    rng = np.random.default_rng(0)
    picture = np.full(FACE[::-1], 200, np.uint8)
    for x, y in rng.integers((0, 0), FACE, (900, 2)):
        picture[y : y + rng.integers(2, 9), x : x + rng.integers(2, 14)] = 30
    return picture


def test_what_a_picture_transfers_falls_with_its_blur() -> None:
    picture = text()
    told = [
        compared_spectra(picture, seen(blurred(picture, sigma)), EVERYWHERE)
        for sigma in (0.4, 0.8, 1.2)
    ]
    for number in range(len(BANDS)):
        assert told[0].transfer[number] > told[1].transfer[number]
    # By what a Gaussian keeps at the middle of each band, of what every photo shows.
    low, *middles = (sum(band) / 2 for band in ((0.03, 0.075), *BANDS.values()))
    for sigma, one in zip((0.8, 1.2), told[1:], strict=True):
        for middle, value in zip(middles[:2], one.transfer[:2], strict=True):
            kept = -2 * (np.pi * sigma) ** 2 * (middle**2 - low**2)
            assert value == pytest.approx(kept, abs=0.25)


def test_noise_is_power_and_transfers_nothing() -> None:
    picture = text()
    soft = blurred(picture, 1.2)
    quiet, loud = (
        np.clip(soft + np.random.default_rng(1).normal(0, sd, soft.shape), 0, 255)
        for sd in (1, 8)
    )
    few, many = (
        compared_spectra(picture, one.astype(np.uint8), EVERYWHERE)
        for one in (quiet, loud)
    )
    assert many.power[-1] > few.power[-1] + 1
    assert many.transfer[0] == pytest.approx(few.transfer[0], abs=0.05)


def test_light_and_the_grid_that_it_is_drawn_on_change_nothing() -> None:
    picture = text()
    shown = blurred(picture, 1.0)
    plain = compared_spectra(picture, shown, EVERYWHERE)
    dim = compared_spectra(picture, np.asarray(0.6 * shown + 20, np.uint8), EVERYWHERE)
    assert dim.transfer[:2] == pytest.approx(plain.transfer[:2], abs=0.05)
    assert dim.power[:2] == pytest.approx(plain.power[:2], abs=0.05)
    size = FACE[0] * 3 // 2, FACE[1] * 3 // 2
    expected, drawn, valid = (
        cv2.resize(one, size, interpolation=cv2.INTER_CUBIC)
        for one in (picture, shown, EVERYWHERE)
    )
    finer = compared_spectra(
        np.asarray(expected, np.uint8),
        np.asarray(drawn, np.uint8),
        np.asarray(valid, np.float32),
        scale=1.5,
    )
    assert finer.transfer[:2] == pytest.approx(plain.transfer[:2], abs=0.2)


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
    assert told(face.pixels) < USUAL
    assert told(halftoned(face.pixels, 3.4)) > TELLING

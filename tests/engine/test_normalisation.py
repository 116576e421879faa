"""What light and lens did to a print, taken out of a pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scenes import Pixels, printed

from touchstone.engine.normalisation import Cast, relight, toned

EVERYWHERE = np.ones((400, 560), np.float32)


def as_photographed(
    print_: Pixels, *, gain: float, flare: float, exponent: float
) -> Pixels:
    light = gain * (print_ / 255.0) ** 2.2 + flare
    return np.asarray((255 * light ** (1 / exponent)).clip(0, 255).round(), np.uint8)


def face() -> Pixels:
    """Steps from black to white, with a faint pattern on the black ones."""
    steps = np.repeat(np.linspace(0, 250, 14), 40)
    picture = np.repeat(np.tile(steps, (400, 1))[..., None], 3, axis=2)
    picture[100:200:4, 2:160] += 14
    return np.asarray(picture.round(), np.uint8)


@settings(max_examples=30, deadline=None)
@given(
    gain=st.floats(0.5, 0.95),
    flare=st.floats(0.0, 0.04),
    exponent=st.floats(1.5, 3.0),
)
def test_a_print_is_expected_as_the_camera_shows_it(
    gain: float, flare: float, exponent: float
) -> None:
    photo = as_photographed(face(), gain=gain, flare=flare, exponent=exponent)
    gap = np.abs(toned(face(), photo, EVERYWHERE).astype(float) - photo)
    assert np.median(gap) < 5
    assert gap.mean() < 6


def test_a_lens_that_scatters_light_buries_what_differs_among_the_darks() -> None:
    # A power law of levels would make a pattern of 40 levels of the 14, which the
    # photo does not show, and a genuine print would look changed.
    photo = as_photographed(face(), gain=0.7, flare=0.05, exponent=2.2)
    dark = np.s_[80:220, 2:160]
    shown, expected = (
        one[dark].astype(float) for one in (photo, toned(face(), photo, EVERYWHERE))
    )
    assert expected.std() < shown.std() + 2


def test_a_face_that_is_nearly_all_board_keeps_its_inks() -> None:
    board = np.full((400, 560, 3), 236, np.uint8)
    board[180:200, 100:200] = (20, 40, 90)
    told = toned(board, board, EVERYWHERE)
    assert np.abs(told[190, 150].astype(int) - (20, 40, 90)).max() < 40
    assert np.abs(told[20, 20].astype(int) - 236).max() < 3


@pytest.mark.parametrize("flare", [0.0, 0.02])
def test_what_little_is_printed_on_black_is_expected(flare: float) -> None:
    black = np.zeros((400, 560, 3), np.uint8)
    black[180:210, 100:210] = 120
    photo = as_photographed(black, gain=0.8, flare=flare, exponent=2.2)
    noise = np.random.default_rng(0).normal(0, 2, photo.shape)
    photo = np.asarray((photo + noise).clip(0, 255).round(), np.uint8)
    told = toned(black, photo, EVERYWHERE)
    assert abs(int(told[195, 150, 0]) - int(photo[180:210, 100:210].mean())) < 45
    assert np.abs(told[20, 20].astype(int) - photo[:150].mean()).max() < 6


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_plain_face_is_expected_plain(level: int) -> None:
    plain = np.full((400, 560, 3), level, np.uint8)
    lit: NDArray[np.uint8] = relight(plain, plain, EVERYWHERE).expected
    assert np.abs(lit.astype(int) - level).max() < 4


def _cast(*gains: float) -> Cast:
    print_ = printed(1).pixels
    everywhere = np.ones(print_.shape[:2], np.float32)
    seen = np.asarray((print_ * np.array(gains)).round(), np.uint8)
    return relight(print_, seen, everywhere).cast


def test_a_darker_photo_has_no_cast() -> None:
    cast = _cast(0.8, 0.8, 0.8)
    assert max(cast.warm, cast.green) < 0.03


@pytest.mark.parametrize("gains", [(0.98, 0.8, 0.65), (0.65, 0.8, 0.98)])
def test_warm_and_cool_lamps_are_no_green_cast(gains: tuple[float, ...]) -> None:
    cast = _cast(*gains)
    assert cast.warm == pytest.approx(0.2, abs=0.03)
    assert cast.green < 0.04


@pytest.mark.parametrize("green", [0.65, 0.98])
def test_what_lies_across_the_light_of_lamps_is_a_green_cast(green: float) -> None:
    cast = _cast(0.8, green, 0.8)
    assert cast.warm < 0.03
    assert cast.green == pytest.approx(0.2, abs=0.03)


def test_a_cast_is_told_of_gains() -> None:
    cast = Cast.of(np.array([0.5, 0.3, -0.1], np.float32))
    assert (cast.warm, cast.green) == pytest.approx((0.3, 0.1))

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from touchstone_training.simulator.phones import Phone, evened, finished, toned
from touchstone_training.simulator.photography import (
    Conditions,
    Image,
    photograph,
)
from touchstone_training.simulator.printing import to_lab

SIZE = (480, 360)
NEUTRAL = Phone()


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def scene(seed: int = 1) -> NDArray[np.float32]:
    """Linear light: soft blobs of colour, dark at the left and bright at the right."""
    blobs = seeded(seed).uniform(0.1, 1, (9, 12, 3)).astype(np.float32)
    light = np.asarray(cv2.resize(blobs, (240, 180)), np.float32)
    return light * np.linspace(0.1, 0.8, 240, dtype=np.float32)[None, :, None]


def chroma(pixels: Image) -> float:
    return float(np.linalg.norm(to_lab(pixels)[..., 1:], axis=2).mean())


def test_a_neutral_phone_changes_nothing() -> None:
    light = scene()
    assert evened(light, NEUTRAL) is light
    plain = toned(light, contrast=0.0, phone=NEUTRAL)
    expected = np.clip(light, 0, 1) ** (1 / 2.2) * 255
    assert np.abs(plain - expected).max() < 2.5
    assert finished(plain, sharpening=0.0, phone=NEUTRAL) is plain


@pytest.mark.parametrize("seed", range(10))
def test_every_phone_keeps_grey_grey(seed: int) -> None:
    phone = Phone.sample(seeded(seed), difficulty=1.0)
    assert np.allclose(phone.colour_matrix().sum(axis=1), 1, atol=1e-6)
    grey = np.full((8, 8, 3), 0.3, np.float32)
    shown = toned(grey, contrast=0.4, phone=phone)
    assert np.ptp(shown[0, 0].astype(int)) <= 1


def test_phones_differ_more_the_harder_it_is() -> None:
    def spread(difficulty: float) -> float:
        seen = []
        for seed in range(12):
            phone = Phone.sample(seeded(seed), difficulty=difficulty)
            seen.append(to_lab(toned(scene(), contrast=0.4, phone=phone)))
        middle = np.mean(seen, axis=0)
        return float(np.mean([np.linalg.norm(s - middle, axis=2).mean() for s in seen]))

    easy, hard = spread(0.0), spread(1.0)
    assert easy < 3
    assert hard > 2 * easy


def test_saturation_is_how_vivid_colours_are() -> None:
    dull, vivid = (
        chroma(toned(scene(), contrast=0.0, phone=replace(NEUTRAL, saturation=s)))
        for s in (0.7, 1.3)
    )
    assert vivid > 1.3 * dull


def test_local_tone_lifts_shadows_and_holds_back_light() -> None:
    light = scene()
    even = evened(light, replace(NEUTRAL, local_tone=0.6))
    columns = light.mean(axis=(0, 2)), even.mean(axis=(0, 2))
    assert columns[1][:40].mean() > 1.3 * columns[0][:40].mean()
    assert np.ptp(columns[1]) < np.ptp(columns[0])


def test_smearing_rubs_out_grain_and_keeps_edges() -> None:
    page = np.full((120, 120, 3), 90, np.uint8)
    page[:, 60:] = 200
    grain = seeded().normal(0, 8, page.shape)
    noisy = np.clip(page + grain, 0, 255).astype(np.uint8)
    smeared = finished(noisy, sharpening=0.0, phone=replace(NEUTRAL, smear=0.9))
    assert smeared[:, :50].std() < 0.6 * noisy[:, :50].std()
    step = smeared[:, 62:64].mean() - smeared[:, 56:58].mean()
    assert step == pytest.approx(110, abs=5)


def test_colour_detail_goes_and_brightness_stays() -> None:
    cells = seeded().integers(40, 215, (60, 80, 3), dtype=np.uint8)
    page = np.repeat(np.repeat(cells, 3, axis=0), 3, axis=1)
    halved = finished(page, sharpening=0.0, phone=replace(NEUTRAL, chroma=4.0))
    before, after = (cv2.cvtColor(p, cv2.COLOR_RGB2YCrCb) for p in (page, halved))
    assert cv2.absdiff(before[..., 0], after[..., 0]).mean() < 12
    assert after[..., 1].std() < 0.8 * before[..., 1].std()


def test_varnish_lightens_what_is_printed_dark() -> None:
    dark = np.full((300, 400, 3), 30, np.uint8)
    plain = Conditions(fill=0.95)
    seen = [
        photograph(dark, seeded(2), conditions=c, size_px=SIZE).pixels[120:240, 160:320]
        for c in (plain, replace(plain, varnish=0.08))
    ]
    assert seen[1].mean() > seen[0].mean() + 20


def test_a_photo_need_not_be_compressed_twice() -> None:
    artwork = seeded().integers(0, 255, (60, 80, 3), dtype=np.uint8)
    conditions = Conditions(fill=0.9, jpeg_quality=60)
    raw, coded = (
        photograph(
            artwork, seeded(), conditions=conditions, size_px=SIZE, compress=c
        ).pixels
        for c in (False, True)
    )
    assert not np.array_equal(raw, coded)
    assert cv2.absdiff(raw, coded).mean() < 12


@pytest.mark.parametrize("size", [(800, 600), (2000, 1500)])
def test_phones_of_all_resolutions_photograph_the_same_seed_alike(
    size: tuple[int, int],
) -> None:
    artwork = seeded().integers(0, 255, (12, 16, 3), dtype=np.uint8)
    artwork = np.asarray(cv2.resize(artwork, (640, 480), interpolation=0), np.uint8)
    pixels = photograph(artwork, seeded(3), size_px=size, difficulty=0.2).pixels
    assert pixels.shape == (size[1], size[0], 3)
    again = photograph(artwork, seeded(3), size_px=size, difficulty=0.2).pixels
    assert np.array_equal(pixels, again)

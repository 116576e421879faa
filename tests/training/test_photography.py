from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from touchstone_training.simulator.photography import (
    Conditions,
    Image,
    SimulatedPhoto,
    photograph,
    to_jpeg,
)
from touchstone_training.simulator.surfaces import SHAPES

SIZE = (480, 360)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def printed_blocks(seed: int = 3) -> Image:
    """A print of random coloured blocks: structure at one scale, everywhere."""
    cells = seeded(seed).integers(20, 236, (12, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(cells, (640, 480), interpolation=cv2.INTER_NEAREST))


def warped_back(
    photo: SimulatedPhoto, artwork: Image
) -> tuple[Image, NDArray[np.bool_]]:
    """The photo seen through the inverse homography, and where it has pixels."""
    centred = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = np.linalg.inv(centred) @ photo.photo_from_artwork @ centred
    size = (artwork.shape[1], artwork.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    back = cv2.warpPerspective(photo.pixels, matrix, size, flags=flags)
    solid = np.full(photo.pixels.shape[:2], 255, np.uint8)
    seen = cv2.warpPerspective(solid, matrix, size, flags=flags)
    return np.asarray(back, np.uint8), np.asarray(seen, np.uint8) > 250


def correlation(a: Image, b: Image, where: NDArray[np.bool_]) -> float:
    return float(np.corrcoef(a[where].ravel(), b[where].ravel())[0, 1])


def test_the_same_seed_takes_the_same_photo() -> None:
    first = photograph(printed_blocks(), seeded(5), size_px=SIZE, difficulty=1.0)
    again = photograph(printed_blocks(), seeded(5), size_px=SIZE, difficulty=1.0)
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.photo_from_artwork, again.photo_from_artwork)
    assert first.conditions == again.conditions


def test_another_seed_takes_another_photo() -> None:
    first = photograph(printed_blocks(), seeded(5), size_px=SIZE)
    other = photograph(printed_blocks(), seeded(6), size_px=SIZE)
    assert not np.array_equal(first.pixels, other.pixels)


def test_a_photo_has_the_size_asked_for() -> None:
    pixels = photograph(printed_blocks(), seeded(), size_px=(321, 203)).pixels
    assert pixels.shape == (203, 321, 3)
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_an_easy_photo_warped_back_is_the_artwork(shape: str, seed: int) -> None:
    artwork = printed_blocks()
    rng = seeded(seed)
    conditions = Conditions.sample(rng, difficulty=0.0, shape=shape)
    conditions = replace(conditions, fingers=0, sticker=False, bend=0.6)
    photo = photograph(artwork, rng, conditions=conditions, size_px=SIZE)
    back, seen = warped_back(photo, artwork)
    assert correlation(back, artwork, seen) > 0.8


def test_the_homography_says_where_a_dot_is_to_a_fraction_of_a_pixel() -> None:
    artwork = np.full((480, 640, 3), 235, np.uint8)
    at = np.array([163.0, 322.0])
    cv2.circle(artwork, (162 * 16 + 8, 321 * 16 + 8), 12 * 16, (10, 10, 10), -1, 16, 4)
    conditions = Conditions(tilt_deg=18, yaw_deg=-14, rotation_deg=23, fill=0.9)
    photo = photograph(artwork, seeded(), conditions=conditions, size_px=SIZE)
    expected = cv2.perspectiveTransform(at[None, None], photo.photo_from_artwork)[0, 0]
    grey = photo.pixels.mean(axis=2)
    x, y = (int(v) for v in expected)
    window = grey[y - 12 : y + 13, x - 12 : x + 13]
    mass = np.clip(window.max() * 0.8 - window, 0, None)
    rows, columns = np.mgrid[0:25, 0:25]
    found_x = x - 12 + (mass * columns).sum() / mass.sum() + 0.5
    found_y = y - 12 + (mass * rows).sum() / mass.sum() + 0.5
    assert np.hypot(found_x - expected[0], found_y - expected[1]) < 0.35


@pytest.mark.parametrize("fill", [0.4, 0.8])
def test_fill_is_the_larger_extent_as_a_share_of_the_photo(fill: float) -> None:
    conditions = Conditions(tilt_deg=12, yaw_deg=9, rotation_deg=40, fill=fill)
    photo = photograph(printed_blocks(), seeded(), conditions=conditions, size_px=SIZE)
    corners = np.array([[[0, 0], [640, 0], [640, 480], [0, 480]]], np.float64)
    seen = cv2.perspectiveTransform(corners, photo.photo_from_artwork)[0]
    assert (np.ptp(seen, axis=0) / np.array(SIZE)).max() == pytest.approx(
        fill, abs=0.01
    )


def test_detail_finer_than_a_pixel_turns_grey_instead_of_aliasing() -> None:
    fine = np.indices((960, 1280)).sum(axis=0) % 2 * 255
    artwork = np.repeat(fine[..., None], 3, axis=2).astype(np.uint8)
    conditions = Conditions(rotation_deg=11, fill=0.9)
    photo = photograph(artwork, seeded(), conditions=conditions, size_px=(320, 240))
    assert photo.pixels[80:160, 110:210].std() < 6


def test_a_given_background_is_what_lies_around_the_package() -> None:
    green = np.zeros((300, 400, 3), np.uint8)
    green[..., 1] = 180
    conditions = Conditions(fill=0.4)
    pixels = photograph(
        printed_blocks(), seeded(), conditions=conditions, backgrounds=[green],
        size_px=SIZE,
    ).pixels  # fmt: skip
    corner = pixels[:20, :20].reshape(-1, 3).mean(axis=0)
    assert corner[1] > 120
    assert corner[0] < 40
    assert corner[2] < 40


def test_defocus_takes_away_detail_and_noise_adds_it() -> None:
    def roughness(conditions: Conditions) -> float:
        photo = photograph(
            printed_blocks(), seeded(), conditions=conditions, size_px=SIZE
        )
        grey = cv2.cvtColor(photo.pixels, cv2.COLOR_RGB2GRAY)
        return float(np.var(cv2.Laplacian(grey, cv2.CV_64F)))

    sharp = Conditions(fill=0.9)
    assert roughness(replace(sharp, defocus_px=12.0)) < 0.5 * roughness(sharp)
    assert roughness(replace(sharp, motion_px=20.0)) < 0.8 * roughness(sharp)
    assert roughness(replace(sharp, noise=0.03)) > 1.2 * roughness(sharp)


def test_glare_brightens_and_a_shadow_darkens_the_package() -> None:
    def brightness(conditions: Conditions) -> float:
        photo = photograph(
            printed_blocks(), seeded(2), conditions=conditions, size_px=SIZE
        )
        return float(photo.pixels[90:270, 120:360].mean())

    plain = Conditions(fill=0.95)
    assert brightness(replace(plain, glare=0.8)) > brightness(plain) + 5
    assert brightness(replace(plain, shadow=0.7)) < brightness(plain) - 5


@pytest.mark.parametrize("cover", [{"fingers": 2}, {"sticker": True}])
def test_fingers_and_stickers_hide_part_of_the_package(cover: dict[str, int]) -> None:
    artwork = printed_blocks()
    plain = Conditions(fill=0.9)
    covered = replace(plain, **cover)  # type: ignore[arg-type]
    bare = photograph(artwork, seeded(4), conditions=plain, size_px=SIZE).pixels
    hidden = photograph(artwork, seeded(4), conditions=covered, size_px=SIZE).pixels
    changed = (cv2.absdiff(bare, hidden).max(axis=2) > 40).mean()
    assert 0.002 < changed < 0.5


def test_a_carton_held_at_an_angle_shows_a_side() -> None:
    artwork = printed_blocks()
    flat = Conditions(shape="carton", yaw_deg=35, fill=0.6)
    without = photograph(artwork, seeded(1), conditions=flat, size_px=SIZE).pixels
    deep = replace(flat, depth=0.5)
    pixels = photograph(artwork, seeded(1), conditions=deep, size_px=SIZE).pixels
    assert (cv2.absdiff(without, pixels).max(axis=2) > 25).mean() > 0.01


def test_a_frontal_carton_shows_no_side_over_its_front() -> None:
    artwork = printed_blocks()
    front = Conditions(shape="carton", fill=0.7, depth=0.5)
    photo = photograph(artwork, seeded(1), conditions=front, size_px=SIZE)
    back, seen = warped_back(photo, artwork)
    assert correlation(back, artwork, seen) > 0.9


def test_harder_conditions_are_harder() -> None:
    easy = [Conditions.sample(seeded(i), difficulty=0.0) for i in range(60)]
    hard = [Conditions.sample(seeded(i), difficulty=1.0) for i in range(60)]
    for field in ("defocus_px", "noise", "motion_px", "glare"):
        means = [np.mean([getattr(c, field) for c in cs]) for cs in (easy, hard)]
        assert means[0] < means[1], field
    assert min(c.fill for c in easy) > 0.55
    assert max(abs(c.tilt_deg) for c in easy) <= 16


def test_no_lamp_is_dark_and_most_are_off_white_however_careful_the_photo() -> None:
    for hard in (0.0, 1.0):
        taken = [Conditions.sample(seeded(i), difficulty=hard) for i in range(500)]
        lamps = np.log([one.light_colour for one in taken])
        assert lamps.min() > np.log(0.2)
        assert np.std(lamps[:, 0] - lamps[:, 2]) > 0.3  # red over blue
        assert np.std(lamps[:, 1]) < 0.1


@pytest.mark.parametrize("shine", [{"glare": 0.6}, {"varnish": 0.2}, {"glints": 40}])
def test_what_mirrors_a_lamp_has_its_colour(shine: dict[str, float]) -> None:
    black = np.zeros((480, 640, 3), np.uint8)
    lamp = Conditions(fill=0.95, light_colour=(1.4, 1.0, 0.6))
    shiny = replace(lamp, **shine)  # type: ignore[arg-type]
    bare, lit = (
        photograph(black, seeded(2), conditions=one, size_px=SIZE).pixels.astype(int)
        for one in (lamp, shiny)
    )
    red, _, blue = (lit - bare)[90:270, 120:360].mean(axis=(0, 1))
    assert red > 1.2 * blue


def test_packages_are_mostly_upright_unless_any_rotation_is_asked_for() -> None:
    upright = [Conditions.sample(seeded(i)).rotation_deg for i in range(100)]
    anyhow = [
        Conditions.sample(seeded(i), any_rotation=True).rotation_deg for i in range(100)
    ]
    assert np.mean(np.abs(upright) <= 20) > 0.75
    assert np.ptp(anyhow) > 300
    assert np.mean(np.abs(anyhow) <= 20) < 0.3


def test_a_jpeg_decodes_to_about_the_same_picture() -> None:
    pixels = np.asarray(cv2.GaussianBlur(printed_blocks(), (0, 0), 5), np.uint8)
    data = to_jpeg(pixels, 95)
    assert data[:2] == b"\xff\xd8"
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    back = cv2.cvtColor(np.asarray(decoded), cv2.COLOR_BGR2RGB)
    assert cv2.absdiff(np.asarray(back, np.uint8), pixels).mean() < 3
    assert len(to_jpeg(pixels, 30)) < len(data)

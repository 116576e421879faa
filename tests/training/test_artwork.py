import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import zxingcpp

from touchstone.errors import InvalidInputError
from touchstone.store import PRODUCT_CLASSES
from touchstone_training.simulator.artwork import (
    FAMILY_NAMES,
    Artwork,
    Image,
    design,
    render,
    sibling,
)
from touchstone_training.simulator.elements import TEXT_KINDS, Box
from touchstone_training.simulator.families import FAMILIES
from touchstone_training.simulator.typesetting import bundled_fonts, text_width


def has_valid_check_digit(gtin: str) -> bool:
    weights = [1, 3] * 6 + [1]
    return sum(int(d) * w for d, w in zip(gtin, weights, strict=True)) % 10 == 0


def mask_of(boxes: tuple[Box, ...], scale: float, shape: tuple[int, ...]) -> Image:
    mask = np.zeros(shape[:2], np.uint8)
    for x, y, w, h in boxes:
        left, top = int(x * scale), int(y * scale)
        mask[top : int((y + h) * scale) + 1, left : int((x + w) * scale) + 1] = 1
    return mask


def words(artwork: Artwork, kind: str) -> list[str]:
    return [e.text for e in artwork.elements if e.kind == kind]


def test_there_are_at_least_fourteen_families() -> None:
    assert len(set(FAMILY_NAMES)) >= 14


def test_elements_of_every_kind_are_drawn_somewhere() -> None:
    seen = {
        e.kind
        for family in FAMILY_NAMES
        for seed in range(6)
        for e in design(seed, family=family).elements
    }
    assert {"hologram", "hazard", "arrow", "seal", "pattern", "photo_texture"} <= seen
    assert {"table", "paragraph", "code2d", "barcode", "swoosh", "pictogram"} <= seen


def test_the_same_seed_gives_the_same_artwork_to_the_pixel() -> None:
    assert design(11) == design(11)
    first, again = (render(design(11), long_side_px=400) for _ in range(2))
    assert np.array_equal(first, again)


def test_other_seeds_give_other_brands_and_other_pictures() -> None:
    faces = [design(seed, family="pouch") for seed in range(12)]
    assert len({face.brand for face in faces}) == 12
    assert len({face.gtin for face in faces}) == 12


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_every_family_is_a_full_face_of_the_size_asked_for(family: str) -> None:
    artwork = design(7, family=family)
    pixels = render(artwork, long_side_px=360)
    assert artwork.family == family
    assert max(pixels.shape[:2]) == 360
    assert pixels.dtype == np.uint8
    assert len(artwork.elements) >= 12
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    assert grey.std() > 15


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_the_bar_code_reads_as_a_valid_gtin_of_no_company(family: str) -> None:
    artwork = design(21, family=family)
    barcode = next(e for e in artwork.elements if e.kind == "barcode")
    pixels = render(artwork, long_side_px=1400)
    scale = 1400 / max(artwork.size_px)
    x, y, w, h = (round(v * scale) for v in barcode.box)
    part = cv2.resize(pixels[y : y + h, x : x + w], None, fx=3, fy=3)
    read = zxingcpp.read_barcodes(np.asarray(part))
    assert [code.text for code in read] == [artwork.gtin]
    assert has_valid_check_digit(artwork.gtin)
    assert artwork.gtin.startswith("2")


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_specimens_differ_only_inside_the_variable_regions(family: str) -> None:
    artwork = design(5, family=family)
    first = render(artwork, long_side_px=700, variable_seed=1)
    second = render(artwork, long_side_px=700, variable_seed=2)
    changed = cv2.absdiff(first, second).max(axis=2) > 0
    regions = mask_of(
        artwork.variable_regions, 700 / max(artwork.size_px), changed.shape
    )
    assert changed.any()
    assert not changed[regions == 0].any()


def test_without_a_variable_seed_the_master_is_drawn() -> None:
    artwork = design(5)
    assert np.array_equal(
        render(artwork, long_side_px=300), render(artwork, long_side_px=300)
    )
    assert not np.array_equal(
        render(artwork, long_side_px=300),
        render(artwork, long_side_px=300, variable_seed=9),
    )


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_a_sibling_shares_brand_and_layout_but_not_strength_and_code(
    family: str,
) -> None:
    artwork = design(31, family=family)
    other = sibling(artwork, np.random.default_rng(1))
    assert other.brand == artwork.brand
    assert words(other, "brand_text") == words(artwork, "brand_text")
    assert [e.box for e in other.elements] == [e.box for e in artwork.elements]
    assert set(words(other, "strength_text")).isdisjoint(
        words(artwork, "strength_text")
    )
    assert other.gtin != artwork.gtin
    assert words(other, "barcode") == [other.gtin]
    assert has_valid_check_digit(other.gtin)


def test_siblings_look_alike() -> None:
    apart = []
    for seed in range(6):
        artwork = design(seed, family="medicine_carton")
        other = sibling(artwork, np.random.default_rng(seed))
        pair = [render(a, long_side_px=300) for a in (artwork, other)]
        apart.append((cv2.absdiff(*pair).max(axis=2) > 30).mean())
    assert 0 < np.median(apart) < 0.15


@pytest.mark.parametrize("seed", range(8))
def test_every_line_of_type_fits_its_box(seed: int) -> None:
    artwork = design(seed)
    for element in artwork.elements:
        if element.kind in TEXT_KINDS:
            font = artwork.fonts[element.font]
            wide = text_width(
                element.text, font, element.size_px, spacing=element.spacing
            )
            assert wide <= element.box[2] * 1.02, element


def test_a_smaller_rendering_is_the_larger_one_made_small() -> None:
    artwork = design(4, family="food_carton")
    large, small = (render(artwork, long_side_px=side) for side in (1200, 600))
    shrunk = cv2.resize(
        large, (small.shape[1], small.shape[0]), interpolation=cv2.INTER_AREA
    )
    assert np.corrcoef(shrunk.ravel(), small.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("effect", ["outlined", "shadowed"])
def test_letters_with_an_effect_show_both_their_colours(effect: str) -> None:
    artwork = design(4, family="cosmetic_carton")
    brand = next(e for e in artwork.elements if e.kind == "brand_text")
    ink, other = (200, 0, 10), (0, 10, 200)
    alone = replace(brand, colour=ink, colour2=other, variant=effect)
    pixels = render(replace(artwork, elements=(alone,)), long_side_px=700)
    for colour in (ink, other):
        apart = np.abs(pixels.astype(int) - colour).max(axis=2)
        assert (apart < 6).sum() > 50


def test_drawing_needs_no_package_that_only_some_faces_need() -> None:
    code = (
        "import sys, touchstone_training.simulator.counterfeits,"
        " touchstone_training.simulator.photography;"
        "print({'zxingcpp', 'fontTools', 'resvg_py', 'matplotlib', 'torch'}"
        " & set(sys.modules))"
    )
    done = subprocess.run(  # noqa: S603 - the interpreter that runs the tests
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_only_the_fonts_that_are_given_are_used() -> None:
    one = bundled_fonts()[4:5]
    artwork = design(3, fonts=one)
    assert artwork.fonts == one
    assert {e.font for e in artwork.elements} == {0}


def test_a_mark_can_come_from_an_svg_file(tmp_path: Path) -> None:
    source = tmp_path / "mark.svg"
    square = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">{}</svg>'
    source.write_text(square.format('<path d="M0 0h24v24H0z"/>'), encoding="utf-8")
    artwork = design(3, family="pouch", logos=[source])
    logo = next(e for e in artwork.elements if e.kind == "logo")
    pixels = render(artwork, long_side_px=600)
    scale = 600 / max(artwork.size_px)
    x, y = (int((logo.box[i] + logo.box[i + 2] / 2) * scale) for i in (0, 1))
    assert tuple(pixels[y, x]) == logo.colour


def test_an_unknown_family_is_refused_by_name() -> None:
    with pytest.raises(InvalidInputError, match="no such family: umbrella") as caught:
        design(1, family="umbrella")
    assert caught.value.field == "family"


def test_every_family_is_of_a_class_that_lots_know() -> None:
    classes = {FAMILIES[name].product_class for name in FAMILY_NAMES}
    assert classes <= set(PRODUCT_CLASSES) - {""}
    assert len(classes) >= 8

import numpy as np
import pytest
from scenes import Pixels, printed

from touchstone.engine.comparison import Region
from touchstone.engine.image import decode
from touchstone.engine.pictures import draw, draw_region, to_png

FACE = printed(1).pixels
REGION = Region(100, 80, 60, 40, 4.0, "structure")


def drawn(png: bytes) -> Pixels:
    assert png.startswith(b"\x89PNG")
    return decode(png).pixels


def deviation(level: float = 0.0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.full(FACE.shape[:2], level, np.float32)


def test_the_pictures_are_pngs_of_the_size_of_what_they_show() -> None:
    pictures = draw(FACE, FACE, deviation(), [])
    height, width = FACE.shape[:2]
    assert drawn(pictures.overlay_png).shape == FACE.shape
    assert drawn(pictures.deviation_png).shape == FACE.shape
    pair = drawn(pictures.pair_png)
    assert pair.shape[0] == height
    assert pair.shape[1] > 2 * width


def test_the_pair_shows_reference_and_photo_unaltered_where_nothing_differs() -> None:
    pair = drawn(draw(FACE, FACE[::-1], deviation(), []).pair_png)
    width = FACE.shape[1]
    np.testing.assert_array_equal(pair[:, :width], FACE)
    np.testing.assert_array_equal(pair[:, -width:], FACE[::-1])


def test_a_region_is_framed_in_both_pictures_of_the_pair() -> None:
    plain = drawn(draw(FACE, FACE, deviation(), []).pair_png)
    marked = drawn(draw(FACE, FACE, deviation(), [REGION]).pair_png)
    offset = plain.shape[1] - FACE.shape[1]
    for left in (REGION.x, REGION.x + offset):
        assert (marked[REGION.y, left] != plain[REGION.y, left]).any()
    np.testing.assert_array_equal(marked[200:], plain[200:])


def test_the_overlay_leaves_the_usual_as_it_was_seen_and_colours_the_rest() -> None:
    level = deviation()
    level[:, 240:] = 3
    overlay = drawn(draw(FACE, FACE, level, []).overlay_png)
    np.testing.assert_array_equal(overlay[:, :240], FACE[:, :240])
    assert np.abs(overlay[:, 240:].astype(int) - FACE[:, 240:]).mean() > 20


def test_a_higher_deviation_is_drawn_lighter() -> None:
    lightness = [
        float(drawn(draw(FACE, FACE, deviation(level), []).deviation_png).mean())
        for level in (0, 1, 2, 3)
    ]
    assert lightness == sorted(lightness)
    assert lightness[0] < lightness[-1]
    beyond = draw(FACE, FACE, deviation(100), []).deviation_png
    assert beyond == draw(FACE, FACE, deviation(3), []).deviation_png


@pytest.mark.parametrize(
    "region",
    [
        REGION,
        Region(0, 0, 5, 5, 2.0, "colour"),
        Region(475, 315, 5, 5, 2.0, "colour"),
        Region(0, 0, 480, 320, 2.0, "colour"),
    ],
)
def test_a_region_is_enlarged_with_its_surroundings(region: Region) -> None:
    pair = drawn(draw_region(FACE, FACE, region))
    half = (pair.shape[1] - 16) // 2
    np.testing.assert_array_equal(pair[:, :half], pair[:, -half:])
    assert half >= region.width
    assert pair.shape[0] >= region.height


def test_colours_are_not_swapped_on_the_way_to_png() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    np.testing.assert_array_equal(drawn(to_png(red)), red)

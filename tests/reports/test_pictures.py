import numpy as np
import pytest
from scenes import Pixels, printed

from touchstone.engine.image import decode
from touchstone.reports.pictures import montage

FACE = printed(1).pixels


def drawn(png: bytes) -> Pixels:
    assert png.startswith(b"\x89PNG")
    return decode(png).pixels


def test_each_picture_has_its_place_in_rows() -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 90)]
    pictures = [np.full((50, 50, 3), colour, np.uint8) for colour in colours]
    sheet = drawn(montage(pictures, columns=3, tile_px=100))
    assert sheet.shape == (208, 316, 3)
    centres = [(50, 50), (50, 158), (50, 266), (158, 50)]
    assert [tuple(sheet[at]) for at in centres] == colours
    assert (sheet[158, 158] == 255).all()


def test_a_picture_keeps_its_proportions() -> None:
    wide = np.zeros((40, 160, 3), np.uint8)
    sheet = drawn(montage([wide], tile_px=100))
    dark = np.argwhere(sheet[..., 0] < 128)
    height, width = dark.max(axis=0) - dark.min(axis=0) + 1
    assert (height, width) == (25, 100)


def test_a_caption_is_written_below_its_picture() -> None:
    plain = drawn(montage([FACE, FACE], tile_px=100))
    named = drawn(montage([FACE, FACE], ["1", "2"], tile_px=100))
    np.testing.assert_array_equal(named[:100], plain)
    assert (named[100:, :100] < 128).any()
    assert (named[100:, 108:] < 128).any()


def test_nothing_is_no_montage() -> None:
    with pytest.raises(ValueError, match="a picture"):
        montage([])


def test_captions_must_be_as_many_as_pictures() -> None:
    with pytest.raises(ValueError, match="a caption"):
        montage([FACE, FACE], ["1"])

from dataclasses import replace

import numpy as np
import pytest

from touchstone_training.simulator import sheets
from touchstone_training.simulator.artwork import Artwork, Image, design, render


def drawn_anew(artwork: Artwork, side: int) -> Image:
    sheets.forget()
    return render(artwork, long_side_px=side)


@pytest.mark.parametrize("seed", range(5))
def test_a_mended_face_is_the_face_drawn_anew(seed: int) -> None:
    artwork = design(seed)
    rng = np.random.default_rng(seed)
    render(artwork, long_side_px=500)
    for _ in range(4):
        elements = list(artwork.elements)
        at = int(rng.integers(1, len(elements)))
        x, y, w, h = elements[at].box
        elements[at] = replace(elements[at], box=(x + 7, y - 5, w, h))
        del elements[int(rng.integers(1, len(elements)))]
        other = replace(artwork, elements=tuple(elements))
        mended = render(other, long_side_px=500)
        whole = drawn_anew(other, 500)
        assert np.array_equal(mended, whole)
        render(artwork, long_side_px=500)


def test_elements_in_another_order_are_drawn_in_that_order() -> None:
    artwork = design(2, family="part_box")
    render(artwork, long_side_px=400)
    turned = replace(artwork, elements=artwork.elements[::-1])
    assert np.array_equal(render(turned, long_side_px=400), drawn_anew(turned, 400))


def test_writing_on_a_rendering_leaves_later_ones_alone() -> None:
    artwork = design(3)
    first = render(artwork, long_side_px=300)
    kept = first.copy()
    first[:] = 0
    assert np.array_equal(render(artwork, long_side_px=300), kept)


def test_what_is_kept_stays_within_its_budget() -> None:
    recent: sheets.Recent[bytes] = sheets.Recent(100)
    made: list[bytes] = []

    def make() -> bytes:
        made.append(b"x" * 40)
        return made[-1]

    counts = []
    for key in (1, 2, 3, 1, 3):
        recent.get(key, make, len)
        counts.append(len(made))
    assert counts == [1, 2, 3, 4, 4]

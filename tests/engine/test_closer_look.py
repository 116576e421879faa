"""A closer look, where both pictures show more than the compared frame holds."""

from typing import Any

import cv2
import numpy as np
import pytest
from blind import BlindComparator
from examined import matches
from meshed import Mesh, on_border, seen_askew
from numpy.typing import NDArray
from scenes import Pixels, photographed, printed

from touchstone.engine import meshes
from touchstone.engine.comparator import Differences
from touchstone.engine.comparison import CLOSER_SIDE_PX, COMPARISON_SIDE_PX, compare
from touchstone.engine.evidence import Evidence, examine
from touchstone.engine.image import moved_by, resized
from touchstone.engine.normalisation import relight
from touchstone.engine.pair import AlignedPair, aligned_pair, drawn_larger
from touchstone.engine.reference import Reference

FACE_PX = (960, 640)
FRAME = (640, 428)


class Watching(BlindComparator):
    """Remembers what it was shown; suspects the place ``at``, a share of the face."""

    def __init__(self, at: tuple[float, float] | None = None) -> None:
        self.shown: list[tuple[int, ...]] = []
        self._at = at

    def differences(self, pair: AlignedPair) -> Differences:
        self.shown.append(pair.valid.shape)
        found = super().differences(pair)
        if self._at is not None:
            height, width = found.map.shape
            y, x = int(self._at[1] * height), int(self._at[0] * width)
            found.map[y - 12 : y + 12, x - 12 : x + 12] = 4
        return found


def enlarged(scale: float) -> Reference:
    """The print of seed 1 as enrolled from a picture ``scale`` times as large."""
    size = round(480 * scale), round(320 * scale)
    pixels = np.asarray(cv2.resize(printed(1).pixels, size), np.uint8)
    return Reference(1, pixels, size, is_counterfeit=False)


def looked(reference: Reference, zoom: float, comparator: Watching) -> Evidence:
    photo = photographed(printed(1), tilt=0.05, turn=4.0, zoom=zoom).pixels
    (best,) = matches(photo, [1])
    return examine(photo, best, reference, comparator)


@pytest.mark.parametrize(
    ("scale", "zoom", "side_px"),
    [
        (2.0, 1.6, CLOSER_SIDE_PX),
        (2.0, 1.2, CLOSER_SIDE_PX),  # 0.9 photo pixels for each of the frame
        (2.0, 0.95, COMPARISON_SIDE_PX),  # 0.7: the photo holds no more
        (1.2, 1.6, COMPARISON_SIDE_PX),  # nor does the reference
    ],
)
def test_the_comparator_looks_as_closely_as_both_pictures_allow(
    scale: float, zoom: float, side_px: int
) -> None:
    comparator = Watching()
    evidence = looked(enlarged(scale), zoom, comparator)
    assert [max(shape) for shape in comparator.shown] == [side_px]
    assert max(evidence.frame_px) == COMPARISON_SIDE_PX
    assert evidence.measurements()["closer_look"] == (side_px == CLOSER_SIDE_PX)
    assert evidence.comparison.deviation.shape == (214, 320)


def test_what_is_suspected_from_near_is_placed_on_the_enrolled_image() -> None:
    reference, place = enlarged(2.0), (0.7, 0.3)
    comparator = Watching(place)
    (region,) = looked(reference, 1.6, comparator).regions()
    assert comparator.shown == [(640, 960)]
    assert region.x + region.width / 2 == pytest.approx(place[0] * 960, abs=8)
    assert region.y + region.height / 2 == pytest.approx(place[1] * 640, abs=8)
    assert region.deviation == pytest.approx(4, abs=0.01)


def test_measurements_of_the_frame_are_those_of_the_frame() -> None:
    far, near = (
        looked(enlarged(scale), 1.6, Watching()).measurements() for scale in (1.2, 2.0)
    )
    assert near["resolution"] == far["resolution"]
    assert near["structure_level"] == pytest.approx(far["structure_level"], abs=0.05)
    assert near["blur_px"] == pytest.approx(far["blur_px"], abs=0.4)


# --- the larger pair ------------------------------------------------------------------


def large() -> Pixels:
    return printed(4, size_px=FACE_PX).pixels


def both(
    face: Pixels, seen: Pixels, *, is_bent: bool = False
) -> tuple[AlignedPair, AlignedPair]:
    """A pair in the compared frame, and drawn larger."""
    everywhere = np.ones((FRAME[1], FRAME[0]), bool)
    pair = aligned_pair(
        resized(face, FRAME), resized(seen, FRAME), everywhere, is_bent=is_bent
    )
    return pair, drawn_larger(pair, face, seen, is_bent=is_bent)


def gap(expected: Pixels, seen: Pixels) -> float:
    """How far two faces differ in the mean, off the very edge, levels."""
    inner: Any = np.s_[60:-60, 60:-60]
    return float(cv2.absdiff(expected, seen)[inner].mean())


def dim(face: Pixels) -> Pixels:
    return np.asarray((face * 0.6 + 20).round(), np.uint8)


def test_a_larger_pair_is_laid_over_as_finely_as_it_is_drawn() -> None:
    face = large()
    seen = seen_askew(face, 4.0, -3.0, tilt=1.5)[0]
    _, larger = both(face, dim(seen))
    assert larger.expected.shape == (640, 960, 3)
    assert gap(larger.expected, dim(face)) < 5  # in the photo's light
    assert gap(larger.expected, larger.seen) < 0.25 * gap(dim(face), dim(seen))


@pytest.mark.parametrize("is_bent", [False, True])
def test_waves_are_followed_once_more_from_near(is_bent: bool) -> None:
    face = textured()
    seen = waved(face)
    pair, larger = both(face, seen, is_bent=is_bent)
    grown = cv2.resize(pair.alignment.shift, FACE_PX) * np.float32(1.5)
    from_afar = gap(face, moved_by(seen, np.asarray(grown, np.float32)))
    assert gap(face, larger.seen) < 0.8 * from_afar


def textured() -> Pixels:
    """A face with detail everywhere, of a size that tells half a pixel."""
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 1, (FACE_PX[1], FACE_PX[0])).astype(np.float32)
    fine = cv2.GaussianBlur(noise, (0, 0), 2.5)
    levels = np.clip(128 + 60 * fine / fine.std(), 0, 255)
    return np.dstack([levels.astype(np.uint8)] * 3)


def waved(face: Pixels) -> Pixels:
    """Film with short waves."""
    ys, xs = np.indices(face.shape[:2], np.float32)
    turn = np.float32(2 * np.pi)
    across, down = 3 * np.sin(turn * ys / 170), 3 * np.sin(turn * xs / 150)
    return np.asarray(cv2.remap(face, xs - across, ys - down, cv2.INTER_LINEAR))


def test_a_border_that_repeats_itself_is_found_at_once_from_near(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    face = Mesh(15).around(large())
    seen, truth = seen_askew(face, 1.2, 0.7, tilt=0.5)
    calls = []

    def counted(*given: Any, **limits: Any) -> tuple[Any, Any, Any]:
        calls.append(given)
        return find_near(*given, **limits)

    everywhere = np.ones((FRAME[1], FRAME[0]), bool)
    pair = aligned_pair(resized(face, FRAME), resized(seen, FRAME), everywhere)
    find_near = meshes._found_near
    monkeypatch.setattr(meshes, "_found_near", counted)
    larger = drawn_larger(pair, face, seen)
    gaps = np.linalg.norm(larger.alignment.shift - truth, axis=2)
    assert np.quantile(gaps[on_border(face, clear_px=12)], 0.95) < 0.5
    assert 0 < len(calls) <= 4


def test_what_is_not_compared_is_not_compared_from_near() -> None:
    covered: NDArray[np.bool_] = np.ones((FRAME[1], FRAME[0]), bool)
    covered[100:200, 300:400] = False
    face = large()
    pair = aligned_pair(resized(face, FRAME), resized(face, FRAME), covered)
    larger = drawn_larger(pair, face, face)
    assert gap(face, larger.seen) < 1
    assert not larger.valid[152:297, 452:597].any()
    assert larger.valid.mean() == pytest.approx(pair.valid.mean(), abs=0.005)


def test_light_is_the_same_on_a_print_of_any_size() -> None:
    face = large()
    small, shown = resized(face, FRAME), resized(dim(face), FRAME)
    light = relight(small, shown, np.ones(FRAME[::-1], np.float32)).light
    apart = cv2.absdiff(light.on(face), dim(face))
    assert float(apart.mean()) < 3


def test_an_element_that_moved_stands_out_from_near_as_well() -> None:
    face = printed(1)
    number = face.first("block", after=6)
    moved = face.moved(number, dx=10, dy=0)
    wide = [
        np.asarray(cv2.resize(one.pixels, FACE_PX), np.uint8) for one in (face, moved)
    ]
    framed = [resized(one, FRAME) for one in wide]
    everywhere = np.ones((FRAME[1], FRAME[0]), bool)
    pair = aligned_pair(framed[0], framed[1], everywhere)
    larger = drawn_larger(pair, wide[0], wide[1])
    x, y, width, height = (2 * side for side in face.elements[number].box)
    place = np.s_[y : y + height, x - 10 : x + width + 30]
    assert cv2.absdiff(larger.expected, larger.seen)[place].max() > 60


def test_a_comparison_without_a_larger_pair_looks_at_the_frame() -> None:
    comparator = Watching()
    face = resized(large(), FRAME)
    compare(face, face, np.ones(face.shape[:2], bool), comparator=comparator)
    assert comparator.shown == [FRAME[::-1]]

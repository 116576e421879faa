from typing import Any

import cv2
import numpy as np
import pytest
from blind import BLIND, BlindComparator
from examined import seen_through
from meshed import Mesh, on_border, seen_askew
from numpy.typing import NDArray
from scenes import Box, Pixels, Print, photographed, printed

from touchstone.engine.channels import CHANNELS
from touchstone.engine.comparator import Differences
from touchstone.engine.comparison import MEASUREMENTS, PLAIN, Comparison, Region
from touchstone.engine.comparison import compare as compare_with
from touchstone.engine.image import resized
from touchstone.engine.pair import AlignedPair

FRAME = (640, 426)
USUAL = 1.0
"""No place of an unchanged print may deviate by more than is usual, and each change
must."""
VIEW: dict[str, Any] = {"tilt": 0.1, "turn": 5.0, "zoom": 1.05}


def compare(
    reference: Pixels, photo: Pixels, covered: NDArray[np.bool_], **known: Any
) -> Comparison:
    return compare_with(reference, photo, covered, comparator=BLIND, **known)


def compared(
    reference: Print,
    questioned: Print | None = None,
    *,
    variable: NDArray[np.bool_] | None = None,
    **view: Any,
) -> Comparison:
    """Compare a photograph of ``questioned`` (else of the reference) with it."""
    shown = photographed(questioned or reference, **(VIEW | view))
    seen, covered = seen_through(shown, FRAME)
    return compare(resized(reference.pixels, FRAME), seen, covered, variable=variable)


def in_frame(box: Box) -> tuple[float, float, float, float]:
    scale = FRAME[0] / 480
    x, y, width, height = (value * scale for value in box)
    return x, y, width, height


def overlaps(region: Region, box: Box) -> bool:
    x, y, width, height = in_frame(box)
    return (
        region.x < x + width
        and x < region.x + region.width
        and region.y < y + height
        and y < region.y + region.height
    )


# --- what a photograph does is no difference ------------------------------------------


def test_a_picture_does_not_differ_from_itself() -> None:
    face = resized(printed(1).pixels, FRAME)
    same = compare(face, face, np.ones(face.shape[:2], bool))
    assert same.regions == ()
    assert same.deviation.max() < 0.5
    assert same.compared_fraction > 0.9


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    "view",
    [
        {},
        {"tilt": 0.3},
        {"light": 0.5},
        {"blur": 1.3},
        {"noise": 3.0},
        {"zoom": 0.9},
    ],
    ids=lambda view: "-".join(view) or "plain",
)
def test_an_unchanged_print_is_not_found_to_differ(
    seed: int, view: dict[str, Any]
) -> None:
    assert compared(printed(seed), **view).deviation.max() < USUAL


@pytest.mark.parametrize("gain", [0.6, 0.8])
def test_a_darker_photo_is_no_difference(gain: float) -> None:
    face = resized(printed(1).pixels, FRAME)
    dim = np.asarray(face * gain, np.uint8)
    assert compare(face, dim, np.ones(face.shape[:2], bool)).deviation.max() < 1


def test_the_colour_of_the_lamp_is_no_difference() -> None:
    face = resized(printed(1).pixels, FRAME)
    warm = np.asarray(face * np.array([1.0, 0.85, 0.72]), np.uint8)
    found = compare(face, warm, np.ones(face.shape[:2], bool))
    assert found.deviation.max() < USUAL
    assert found.measurements["warm_cast"] > 0.1
    assert found.measurements["green_cast"] < 0.04


# --- what a forger does is ------------------------------------------------------------


def changes(face: Print) -> dict[str, tuple[Print, int, set[str]]]:
    """By name: the changed print, which element, and the channels that may say so."""
    block = face.first("block", after=6)
    ring = face.first("ring", after=6)
    words = face.first("words", after=6)
    print_channels = {"structure", "correlation", "geometry"}
    return {
        "moved": (face.moved(block, dx=8, dy=0), block, print_channels),
        "missing": (face.without(ring), ring, print_channels),
        "reworded": (face.reworded(words, "QXZKVW"), words, print_channels),
        "recoloured": (face.recoloured(block, (205, 40, 60)), block, {"colour"}),
    }


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", ["moved", "missing", "reworded", "recoloured"])
def test_a_changed_element_is_found_where_it_is(seed: int, name: str) -> None:
    face = printed(seed)
    questioned, number, channels = changes(face)[name]
    found = compared(face, questioned)
    worst = found.regions[0]
    assert worst.deviation > USUAL
    assert overlaps(worst, face.elements[number].box)
    assert worst.channel in channels


@pytest.mark.parametrize("period_px", [8.0, 9.0, 11.0, 12.0, 14.0])
def test_another_mesh_is_found_and_the_same_one_is_not(period_px: float) -> None:
    inner = resized(printed(1).pixels, FRAME)
    face, other = (Mesh(period).around(inner) for period in (10.0, period_px))
    border = on_border(face)[::2, ::2]
    within = np.ones(face.shape[:2], bool)
    same, forged = (
        compare(face, seen_askew(shown, 1.5, 1.0, tilt=0.5)[0], within)
        for shown in (face, other)
    )
    assert same.deviation[border].max() < USUAL
    # A mesh a tenth finer is followed, and so excused, a part of the way.
    assert np.percentile(forged.deviation[border], 90) > 0.9 * USUAL
    assert forged.regions[0].channel in {"structure", "correlation"}


@pytest.mark.parametrize("period_px", [8.0, 9.0, 11.0, 12.0, 14.0])
def test_on_a_bent_face_another_mesh_is_found_where_the_border_can_be_told(
    period_px: float,
) -> None:
    inner = resized(printed(2).pixels, FRAME)
    face, other = (Mesh(period).around(inner) for period in (10.0, period_px))
    border = on_border(face)
    within = np.ones(face.shape[:2], bool)
    same, forged = (
        compare(face, seen_askew(shown, 3, 3, tilt=1.5)[0], within, is_bent=True)
        for shown in (face, other)
    )
    assert same.valid[border].mean() > 0.6
    assert same.deviation[border[::2, ::2]].max() < USUAL
    assert forged.deviation[border[::2, ::2]].max() > USUAL


def test_a_larger_displacement_deviates_more() -> None:
    face = printed(1)
    number = face.first("block", after=6)
    tops = [
        compared(face, face.moved(number, dx=dx, dy=0)).measurements["structure_top"]
        for dx in (0, 3, 8)
    ]
    assert tops == sorted(tops)
    assert tops[-1] > 3 * tops[0]


def test_regions_come_in_order_within_the_frame_and_name_their_channel() -> None:
    face = printed(1)
    questioned = face.without(face.first("ring", after=6)).reworded(0, "QXZKVW")
    regions = compared(face, questioned).regions
    assert [r.deviation for r in regions] == sorted(
        (r.deviation for r in regions), reverse=True
    )
    for region in regions:
        assert 0 <= region.x < region.x + region.width <= FRAME[0]
        assert 0 <= region.y < region.y + region.height <= FRAME[1]
        assert region.channel in CHANNELS


# --- where nothing can be said --------------------------------------------------------


def test_what_varies_by_design_is_not_compared() -> None:
    face = printed(1)
    number = face.first("words", after=6)
    x, y, width, height = (
        round(value) for value in in_frame(face.elements[number].box)
    )
    mask = np.zeros((FRAME[1], FRAME[0]), bool)
    mask[max(0, y - 40) : y + height + 40, max(0, x - 40) : x + width + 60] = True
    questioned = face.reworded(number, "QXZKVW")
    assert compared(face, questioned).deviation.max() > USUAL
    masked = compared(face, questioned, variable=mask)
    assert masked.deviation.max() < USUAL
    assert masked.compared_fraction < 1 - 0.9 * mask.mean()


def test_what_the_photo_does_not_cover_is_not_compared() -> None:
    found = compared(printed(1), tilt=0.0, turn=0.0, zoom=2.0)
    assert found.compared_fraction < 0.55
    assert not found.deviation[:, :50].any()


def test_the_edge_of_what_is_covered_does_not_differ() -> None:
    assert compared(printed(1), zoom=1.5).deviation.max() < USUAL
    face = resized(printed(1).pixels, FRAME)
    half = face.copy()
    half[:, 320:] = 0
    covered = np.zeros(face.shape[:2], bool)
    covered[:, :320] = True
    assert compare(face, half, covered).deviation.max() < USUAL


def test_glare_hides_and_does_not_accuse() -> None:
    face = resized(printed(1).pixels, FRAME)
    burnt = face.copy()
    cv2.circle(burnt, (300, 200), 60, (255, 255, 255), cv2.FILLED)
    found = compare(face, burnt, np.ones(face.shape[:2], bool))
    assert not found.deviation[90:110, 140:160].any()
    assert found.compared_fraction < 0.97


def test_nothing_to_compare_gives_every_measurement_and_no_region() -> None:
    face = resized(printed(1).pixels, FRAME)
    found = compare(face, face, np.zeros(face.shape[:2], bool))
    assert found.regions == ()
    assert found.compared_fraction == 0
    assert set(found.measurements) == set(MEASUREMENTS)
    assert all(np.isfinite(value) for value in found.measurements.values())


@pytest.mark.parametrize("level", [0, 128, 255])
def test_blank_pictures_are_compared_without_complaint(level: int) -> None:
    blank = np.full((120, 160, 3), level, np.uint8)
    found = compare(blank, blank, np.ones((120, 160), bool))
    assert found.regions == ()
    assert all(np.isfinite(value) for value in found.measurements.values())


# --- the same again -------------------------------------------------------------------


def test_the_same_pair_gives_the_same_comparison() -> None:
    face = printed(2)
    questioned = face.without(face.first("ring", after=6))
    first, second = (compared(face, questioned) for _ in range(2))
    assert first.measurements == second.measurements
    assert first.regions == second.regions
    np.testing.assert_array_equal(first.deviation, second.deviation)


def test_every_measurement_and_every_channel_is_named() -> None:
    found = compared(printed(1))
    assert tuple(found.measurements) == MEASUREMENTS
    assert set(found.channel_maps) == {"learned", *CHANNELS}


def test_the_comparator_puts_a_place_before_those_that_only_stray() -> None:
    class Sure(BlindComparator):
        """Says that the print was changed in the lower right, far from the ring."""

        def differences(self, pair: AlignedPair) -> Differences:
            blind = super().differences(pair)
            blind.map[-20:-10, -30:-10] = 1.5
            return blind

    face = printed(2)
    questioned = face.without(face.first("ring", after=6))
    alone = compared(face, questioned)
    strays = np.maximum.reduce([alone.channel_maps[name] for name in CHANNELS])
    assert strays.max() > PLAIN
    np.testing.assert_array_equal(alone.deviation, np.minimum(strays, PLAIN))
    seen, covered = seen_through(photographed(questioned, **VIEW), FRAME)
    reference = resized(face.pixels, FRAME)
    told = compare_with(reference, seen, covered, comparator=Sure())
    first, second = told.regions[:2]
    assert first.deviation == 1.5
    assert (first.x, first.y) == (FRAME[0] - 60, FRAME[1] - 40)
    assert second == alone.regions[0]


def on_white_board(*, is_printed: bool) -> Pixels:
    face = np.full((FRAME[1], FRAME[0], 3), 236, np.uint8)
    rng = np.random.default_rng(4)
    for x in range(30, 600, 30):
        cv2.circle(face, (x, 60 + int(rng.integers(0, 40))), 9, (40, 60, 150), -1)
    if is_printed:
        cv2.rectangle(face, (200, 180), (420, 320), (60, 50, 120), -1)
    return face


def overexposed(face: Pixels) -> Pixels:
    return np.asarray(np.clip(face * 1.1, 0, 255), np.uint8)


def test_print_erased_from_burnt_board_is_not_passed_over_in_silence() -> None:
    reference = on_white_board(is_printed=True)
    everywhere = np.ones(reference.shape[:2], bool)
    erased = overexposed(on_white_board(is_printed=False))
    found = compare(reference, erased, everywhere)
    assert found.measurements["washed_fraction"] > 0.05
    genuine = compare(reference, overexposed(reference), everywhere)
    assert genuine.measurements["washed_fraction"] == 0


def test_glare_on_dark_print_is_no_washed_out_board() -> None:
    dark = np.full((FRAME[1], FRAME[0], 3), 70, np.uint8)
    glaring = dark.copy()
    cv2.circle(glaring, (300, 200), 60, (255, 255, 255), -1)
    found = compare(dark, glaring, np.ones(dark.shape[:2], bool))
    assert found.measurements["washed_fraction"] == 0

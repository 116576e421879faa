from dataclasses import replace

import cv2
import numpy as np
import pytest
import zxingcpp
from numpy.typing import NDArray

from touchstone.errors import InvalidInputError
from touchstone_training.simulator.artwork import design, render
from touchstone_training.simulator.counterfeits import (
    KINDS,
    PLANTABLE,
    WHOLE_PRINT_KINDS,
    Counterfeit,
    Image,
    counterfeit,
    genuine_print,
    plant,
)
from touchstone_training.simulator.forgeries import missing_pattern, recoloured
from touchstone_training.simulator.likeness import nearest_first
from touchstone_training.simulator.printing import cast, inkjet, to_lab
from touchstone_training.simulator.typesetting import bundled_fonts

SIDE = 320
FAMILY_OF_SEED = {1: "medicine_carton", 3: "blister_foil"}


def seeded(seed: int | tuple[int, ...] = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def changes(before: Image, forged: Counterfeit) -> NDArray[np.bool_]:
    return np.asarray(cv2.absdiff(before, forged.pixels).max(axis=2) > 0)


def inside(forged: Counterfeit) -> NDArray[np.bool_]:
    mask = np.zeros(forged.pixels.shape[:2], bool)
    for x, y, w, h in forged.changed_boxes:
        mask[int(y) : int(y + h), int(x) : int(x + w)] = True
    return mask


def mean_delta_e(a: Image, b: Image) -> float:
    return float(np.linalg.norm(to_lab(a) - to_lab(b), axis=2).mean())


def printed_page() -> Image:
    return render(design(6, family="electronics_box"), long_side_px=SIDE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("severity", [0.2, 1.0])
def test_each_kind_changes_its_boxes_and_local_kinds_nothing_else(
    kind: str, severity: float
) -> None:
    for seed, family in FAMILY_OF_SEED.items():
        artwork = design(seed, family=family)
        forged = counterfeit(
            artwork, kind, seeded(seed), severity=severity, long_side_px=SIDE
        )
        changed = changes(render(artwork, long_side_px=SIDE), forged)
        assert forged.kind == kind
        assert forged.severity == severity
        assert forged.changed_boxes
        for x, y, w, h in forged.changed_boxes:
            assert changed[int(y) : int(y + h), int(x) : int(x + w)].any()
        assert not changed[~inside(forged)].any()


def test_whole_print_kinds_have_the_whole_picture_as_their_box() -> None:
    artwork = design(8)
    for kind in WHOLE_PRINT_KINDS:
        forged = counterfeit(artwork, kind, seeded(), long_side_px=SIDE)
        height, width = forged.pixels.shape[:2]
        assert forged.changed_boxes == ((0, 0, width, height),)


@pytest.mark.parametrize("kind", ["typeface", "relayout", "halftone", "redrawn_logo"])
def test_the_same_seed_makes_the_same_counterfeit(kind: str) -> None:
    artwork = design(9)
    first, again = (
        counterfeit(artwork, kind, seeded(4), long_side_px=SIDE) for _ in range(2)
    )
    assert np.array_equal(first.pixels, again.pixels)
    assert first.changed_boxes == again.changed_boxes


@pytest.mark.parametrize("kind", ["cast", "rescan", "aspect"])
def test_a_severer_print_fault_differs_more(kind: str) -> None:
    artwork = design(10, family="cosmetic_carton")
    genuine = render(artwork, long_side_px=SIDE)
    apart = [
        mean_delta_e(
            genuine,
            counterfeit(
                artwork, kind, seeded(3), severity=severity, long_side_px=SIDE
            ).pixels,
        )
        for severity in (0.1, 0.5, 1.0)
    ]
    assert apart[0] < apart[1] < apart[2]


def test_a_subtle_shift_is_small_and_a_crude_one_large() -> None:
    artwork = design(12, family="medicine_carton")

    def extent(severity: float) -> float:
        # Two boxes, before and after: how far apart their corners are.
        spans = []
        for seed in range(6):
            forged = counterfeit(
                artwork,
                "moved_element",
                seeded(seed),
                severity=severity,
                long_side_px=SIDE,
            )
            before, after = forged.changed_boxes[0], forged.changed_boxes[-1]
            spans.append(np.hypot(after[0] - before[0], after[1] - before[1]))
        return float(np.median(spans))

    assert extent(0.2) < 0.03 * SIDE
    assert extent(1.0) > 0.03 * SIDE


@pytest.mark.parametrize("delta_e", [6.0, 15.0, 30.0])
def test_a_recoloured_ink_is_about_as_far_off_as_asked(delta_e: float) -> None:
    for seed, colour in enumerate([(200, 30, 40), (20, 60, 160), (250, 250, 250)]):
        other = recoloured(colour, delta_e, seeded(seed))
        pair = to_lab(np.array([[colour, other]], np.uint8))
        apart = float(np.linalg.norm(pair[0, 0] - pair[0, 1]))
        assert apart == pytest.approx(delta_e, rel=0.35)


def test_a_wrong_code_reads_as_another_valid_number() -> None:
    artwork = design(14, family="bottle_label")
    forged = counterfeit(artwork, "wrong_code", seeded(), severity=0.1)
    ean13 = zxingcpp.barcode_formats_from_str("EAN13")
    (code,) = zxingcpp.read_barcodes(forged.pixels, formats=ean13)
    assert code.text != artwork.gtin
    assert sum(a != b for a, b in zip(code.text, artwork.gtin, strict=True)) <= 2


def test_a_subtle_forger_takes_a_typeface_that_looks_like_the_right_one() -> None:
    fonts = bundled_fonts()
    names = [font.name for font in fonts]
    sans = names.index("DejaVuSans.ttf")
    others = [f for i, f in enumerate(fonts) if i != sans]
    order = [others[i].name for i in nearest_first("Genuine", fonts[sans], others)]
    assert order.index("DejaVuSans-Oblique.ttf") < order.index("STIXGeneral.ttf")
    assert order.index("DejaVuSans-Oblique.ttf") < order.index(
        "DejaVuSansMono-Bold.ttf"
    )


def test_a_hologram_is_copied_flat_faint_or_not_at_all() -> None:
    artwork = design(1, family="tyre_label")
    at = next(i for i, e in enumerate(artwork.elements) if e.kind == "hologram")
    edits = set()
    for seed in range(40):
        edited = missing_pattern(artwork, seeded(seed), severity=0.5)
        mark = edited[at]
        if mark is None:
            edits.add("left out")
        elif mark.variant == "flat":
            edits.add("flat")
    assert edits == {"left out", "flat"}


def test_without_a_security_mark_none_can_be_missing() -> None:
    artwork = design(1, family="tyre_label")
    bare = replace(
        artwork,
        elements=tuple(
            e for e in artwork.elements if e.kind not in {"pattern", "hologram", "seal"}
        ),
    )
    with pytest.raises(InvalidInputError, match="no security mark"):
        counterfeit(bare, "missing_pattern", seeded(), long_side_px=SIDE)


def test_an_inkjet_copy_is_made_of_dots_and_keeps_its_colours() -> None:
    page = printed_page()
    before = to_lab(page)
    for severity, most in ((0.1, 8.0), (1.0, 20.0)):
        copy = inkjet(page, seeded(), severity=severity)
        soft = cv2.GaussianBlur(to_lab(copy), (0, 0), 6)
        apart = np.linalg.norm(soft - cv2.GaussianBlur(before, (0, 0), 6), axis=2)
        assert float(apart.mean()) < most
    rough = cv2.Laplacian(cv2.cvtColor(copy, cv2.COLOR_RGB2GRAY), cv2.CV_64F).std()
    smooth = cv2.Laplacian(cv2.cvtColor(page, cv2.COLOR_RGB2GRAY), cv2.CV_64F).std()
    assert rough > smooth


def test_units_of_one_run_differ_by_about_what_a_press_is_allowed() -> None:
    apart = []
    for seed in range(12):
        page = render(design(seed), long_side_px=SIDE)
        pair = [
            cv2.blur(to_lab(genuine_print(page, seeded((seed, n)))), (9, 9))
            for n in (1, 2)
        ]
        apart.append(float(np.median(np.linalg.norm(pair[0] - pair[1], axis=2))))
    assert 0.7 < np.median(apart) < 2.5
    assert max(apart) < 5


def test_a_genuine_print_stays_within_tolerance_and_never_comes_out_twice() -> None:
    page = printed_page()
    first, second = (genuine_print(page, seeded(seed)) for seed in (1, 2))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, genuine_print(page, seeded(1)))
    off = cast(page, seeded(1), severity=0.6)
    assert mean_delta_e(first, second) < 4
    assert mean_delta_e(page, first) < 0.5 * mean_delta_e(page, off)
    assert np.corrcoef(page.ravel(), first.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("kind", PLANTABLE)
@pytest.mark.parametrize("severity", [0.2, 1.0])
def test_a_planted_forgery_changes_the_picture_only_in_its_box(
    kind: str, severity: float
) -> None:
    page = printed_page()
    kept = page.copy()
    forged = plant(page, kind, seeded(3), severity=severity)
    assert np.array_equal(page, kept)
    assert forged.pixels.shape == page.shape
    visible = cv2.absdiff(page, forged.pixels).max(axis=2) > 8
    assert visible[inside(forged)].any()
    assert not visible[~inside(forged)].any()
    again = plant(page, kind, seeded(3), severity=severity)
    assert np.array_equal(forged.pixels, again.pixels)


def test_a_local_planted_forgery_leaves_most_of_the_picture_alone() -> None:
    page = printed_page()
    for kind in ("moved_element", "missing_element", "element_colour", "typo"):
        forged = plant(page, kind, seeded(1), severity=0.3)
        assert inside(forged).mean() < 0.35


def test_a_removed_patch_is_smoother_than_it_was() -> None:
    page = printed_page()
    forged = plant(page, "missing_element", seeded(2), severity=0.5)
    x, y, w, h = (int(v) for v in forged.changed_boxes[0])
    before, after = (
        cv2.Laplacian(
            cv2.cvtColor(picture[y : y + h, x : x + w], cv2.COLOR_RGB2GRAY), cv2.CV_64F
        ).std()
        for picture in (page, forged.pixels)
    )
    assert after < 0.7 * before


def test_an_empty_picture_cannot_be_forged_locally() -> None:
    blank = np.full((200, 300, 3), 240, np.uint8)
    with pytest.raises(InvalidInputError, match="nothing that could be changed"):
        plant(blank, "moved_element", seeded())


@pytest.mark.parametrize("severity", [0.0, -0.1, 1.1, float("nan")])
def test_a_severity_out_of_range_is_refused(severity: float) -> None:
    with pytest.raises(InvalidInputError) as caught:
        counterfeit(design(1), "typo", seeded(), severity=severity)
    assert caught.value.field == "severity"


def test_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(
        InvalidInputError, match="no such kind of counterfeit: hologram"
    ):
        counterfeit(design(1), "hologram", seeded())
    with pytest.raises(
        InvalidInputError, match="no such kind of counterfeit: wrong_code"
    ):
        plant(printed_page(), "wrong_code", seeded())

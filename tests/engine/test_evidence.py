import cv2
import numpy as np
import pytest
import zxingcpp
from blind import BLIND
from examined import examined, matches
from scenes import Pixels, photographed, printed

from touchstone.engine.codes import read_codes
from touchstone.engine.comparison import COMPARISON_SIDE_PX, MEASUREMENTS
from touchstone.engine.evidence import Evidence, examine
from touchstone.engine.features import Method
from touchstone.engine.reading import around_face
from touchstone.engine.reference import Reference

GTIN, OTHER_GTIN = "4006381333931", "5901234123457"
NEARLY = "4006381333962"


def test_every_measurement_is_named_and_finite() -> None:
    evidence = examined(1, photographed(printed(1)).pixels)
    measured = evidence.measurements()
    assert set(MEASUREMENTS) <= set(measured)
    assert set(evidence.match.measurements()) <= set(measured)
    assert all(np.isfinite(value) for value in measured.values())


def test_regions_are_told_in_the_pixels_of_the_enrolled_image() -> None:
    face = printed(1)
    number = face.first("block", after=6)
    changed = face.recoloured(number, (210, 40, 60))
    evidence = examined(1, photographed(changed, tilt=0.1, turn=5).pixels)
    x, y, width, height = face.elements[number].box
    worst = evidence.regions()[0]
    assert x - 15 < worst.x + worst.width / 2 < x + width + 15
    assert y - 15 < worst.y + worst.height / 2 < y + height + 15
    in_frame = evidence.comparison.regions[0]
    scale = COMPARISON_SIDE_PX / 480
    assert in_frame.width == pytest.approx(worst.width * scale, abs=2)
    assert max(evidence.frame_px) == COMPARISON_SIDE_PX


@pytest.mark.parametrize("turn", [0, 25])
def test_print_that_was_stretched_to_fit_is_told_by_its_package(turn: float) -> None:
    face = printed(3)
    width, height = face.size_px
    narrower = np.array([[0.92, 0, 0.04 * width], [0, 1, 0]])
    stretched = cv2.warpAffine(
        face.pixels, narrower, (width, height), borderMode=cv2.BORDER_REPLICATE
    )
    for shown, gap in ((face.pixels, 0.0), (np.asarray(stretched, np.uint8), 0.04)):
        photo = photographed(shown, turn=turn, frame_px=(800, 700)).pixels
        measured = examined(3, photo).measurements()
        expected = gap / 0.92 * width / max(width, height)
        assert measured["outline_gap"] == pytest.approx(expected, abs=0.008)


def test_a_variable_region_is_given_in_the_pixels_of_the_enrolled_image() -> None:
    face = printed(1)
    number = face.first("words", after=6)
    photo = photographed(face.reworded(number, "QXZKVW"), tilt=0.1).pixels
    x, y, width, height = face.elements[number].box
    box = (x - 25.0, y - 25.0, width + 60.0, height + 50.0)
    plain = examined(1, photo).comparison
    masked = examined(1, photo, variable_regions=(box,)).comparison
    assert plain.deviation.max() > 1
    assert masked.deviation.max() < 1
    assert masked.compared_fraction < plain.compared_fraction


def test_the_resolution_is_photo_pixels_per_pixel_of_the_compared_frame() -> None:
    for zoom in (0.7, 1.0):
        evidence = examined(1, photographed(printed(1), zoom=zoom).pixels)
        expected = zoom * 480 / COMPARISON_SIDE_PX
        assert evidence.match.resolution == pytest.approx(expected, rel=0.03)


def test_quality_is_that_of_the_face_and_not_of_the_table() -> None:
    dark_table = photographed(printed(1), zoom=0.6).pixels.copy()
    dark_table[np.abs(dark_table.astype(int) - (116, 104, 92)).max(axis=2) < 12] = 5
    evidence = examined(1, dark_table)
    assert (dark_table.max(axis=2) < 16).mean() > 0.5
    assert evidence.quality.dark_fraction < 0.2


@pytest.mark.parametrize(
    ("printed_gtin", "enrolled", "is_other"),
    [
        (GTIN, GTIN, False),
        (OTHER_GTIN, GTIN, True),
        (None, GTIN, None),
        (OTHER_GTIN, None, None),
    ],
)
def test_a_code_is_held_against_the_enrolled_gtin(
    printed_gtin: str | None, enrolled: str | None, is_other: bool | None
) -> None:
    face = printed(1).pixels.copy()
    if printed_gtin is not None:
        code = zxingcpp.create_barcode(printed_gtin, zxingcpp.BarcodeFormat.EAN13)
        bars = np.array(code.to_image(scale=2), np.uint8)[:70]
        bars = np.asarray(
            cv2.copyMakeBorder(bars, 6, 6, 6, 6, cv2.BORDER_CONSTANT, value=(255,)),
            np.uint8,
        )
        face[-bars.shape[0] :, -bars.shape[1] :] = bars[..., None]
    photo = photographed(face, tilt=0.05, turn=3, zoom=1.2).pixels
    (best,) = matches(photo, [1])
    enrolled_as = Reference(1, face, (480, 320), is_counterfeit=False, gtin=enrolled)
    assert examine(photo, best, enrolled_as, BLIND).is_gtin_other is is_other


def with_code(
    face: Pixels, text: str, kind: str = "EAN13", *, scale: int = 2, corner: int = -1
) -> Pixels:
    """``face`` with a code in its last corner (-1) or its first (0)."""
    code = zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, kind))
    drawn = np.array(code.to_image(scale=scale), np.uint8)
    drawn = np.pad(
        drawn[: 35 * scale] if kind == "EAN13" else drawn, 6, constant_values=255
    )
    shown = face.copy()
    height, width = drawn.shape
    top, left = (shown.shape[0] - height, shown.shape[1] - width) if corner else (0, 0)
    shown[top : top + height, left : left + width] = drawn[..., None]
    return shown


def test_the_code_of_a_pack_beside_it_does_not_clear_a_foreign_one() -> None:
    fake = with_code(printed(1).pixels, OTHER_GTIN)
    photo = photographed(fake, tilt=0.02, turn=1, zoom=1.0).pixels
    beside = with_code(np.full((200, 260, 3), 250, np.uint8), GTIN)
    wide = np.full((photo.shape[0], photo.shape[1] + 300, 3), 90, np.uint8)
    wide[:, : photo.shape[1]] = photo
    wide[60:260, -270:-10] = beside
    found = {code.gtin for code in read_codes(wide)}
    assert found == {f"0{GTIN}", f"0{OTHER_GTIN}"}
    (best,) = matches(wide, [1])
    enrolled = Reference(
        1, printed(1).pixels, (480, 320), is_counterfeit=False, gtin=GTIN
    )
    assert examine(wide, best, enrolled, BLIND).is_gtin_other is True


def test_the_same_photo_gives_the_same_evidence() -> None:
    photo = photographed(printed(3), bend=0.6, turn=170).pixels
    first, second = (examined(3, photo) for _ in range(2))
    assert first.measurements() == second.measurements()
    assert first.regions() == second.regions()
    assert first.match.registration.method is Method.ORB


def test_codes_are_looked_for_around_the_faces_and_within_the_photo() -> None:
    shown = photographed(printed(1), turn=20)
    (match,) = matches(shown.pixels, [1])
    left, top, right, bottom = around_face(match.registration)
    corners = shown.points(np.array([[0, 0], [480, 0], [480, 320], [0, 320]], float))
    height, width = shown.pixels.shape[:2]
    assert 0 <= left <= max(0, corners[:, 0].min())
    assert 0 <= top <= max(0, corners[:, 1].min())
    assert min(width, corners[:, 0].max()) <= right <= width
    assert min(height, corners[:, 1].max()) <= bottom <= height
    assert (right - left) * (bottom - top) < 1.6 * np.prod(np.ptp(corners, axis=0))


def read(
    shown: Pixels, enrolled: Pixels, *, zoom: float = 1.2, **fields: object
) -> Evidence:
    """What is measured when ``shown`` is photographed and held against ``enrolled``."""
    photo = photographed(shown, tilt=0.05, turn=3, zoom=zoom).pixels
    (best,) = matches(photo, [1])
    facts = {"is_counterfeit": False, "gtin": GTIN, "codes": read_codes(enrolled)}
    known = Reference(1, enrolled, (480, 320), **(facts | fields))  # type: ignore[arg-type]
    return examine(photo, best, known, BLIND)


def texts(evidence: Evidence) -> list[str]:
    return [code.text for code in evidence.codes]


FACE = printed(1).pixels


@pytest.mark.parametrize("zoom", [0.65, 0.8, 1.2])
def test_the_code_of_the_reference_is_read_in_its_place(zoom: float) -> None:
    face = with_code(FACE, GTIN)
    evidence = read(face, face, zoom=zoom)
    assert texts(evidence) == [GTIN]
    assert evidence.is_gtin_other is False


def test_a_foreign_code_in_the_place_of_the_right_one_is_seen() -> None:
    evidence = read(with_code(FACE, OTHER_GTIN), with_code(FACE, GTIN))
    assert texts(evidence) == [OTHER_GTIN]
    assert evidence.is_gtin_other is True


def test_a_code_that_was_moved_is_found() -> None:
    moved = with_code(FACE, GTIN, corner=0)
    evidence = read(moved, with_code(FACE, GTIN))
    assert texts(evidence) == [GTIN]
    assert evidence.is_gtin_other is False


def test_a_foreign_code_beside_the_right_one_changes_nothing() -> None:
    face = with_code(FACE, GTIN)
    evidence = read(with_code(face, OTHER_GTIN, corner=0), face)
    assert GTIN in texts(evidence)
    assert evidence.is_gtin_other is False


def test_a_face_without_codes_is_searched_where_it_deviates_in_a_coarse_photo() -> None:
    stuck = with_code(FACE, OTHER_GTIN, scale=3)
    evidence = read(stuck, FACE, zoom=0.7)
    assert evidence.is_gtin_other is True
    assert read(FACE, FACE, zoom=0.7).codes == ()


def test_a_large_foreign_code_is_seen_where_the_right_one_is_too_small_to_be() -> None:
    fine = with_code(FACE, GTIN, scale=1)
    stuck = with_code(FACE, OTHER_GTIN, scale=3, corner=0)
    evidence = read(stuck, fine, zoom=0.7)
    assert texts(evidence) == [OTHER_GTIN]
    assert evidence.is_gtin_other is True


@pytest.mark.parametrize("kind", ["DataMatrix", "QRCode"])
def test_the_serial_of_a_unit_is_read_in_a_region_that_varies(kind: str) -> None:
    enrolled = with_code(FACE, GTIN)
    unit = with_code(enrolled, f"010{GTIN}21SER9", kind, scale=3, corner=0)
    box = (0.0, 0.0, 110.0, 110.0)
    evidence = read(unit, enrolled, variable_regions=(box,))
    assert {code.serial for code in evidence.codes} == {None, "SER9"}
    assert evidence.is_gtin_other is False
    assert texts(read(unit, enrolled)) == [GTIN]


def test_a_foreign_code_over_a_region_that_varies_is_seen_in_a_coarse_photo() -> None:
    stuck = with_code(FACE, OTHER_GTIN, scale=3, corner=0)
    over = (0.0, 0.0, 360.0, 130.0)
    evidence = read(stuck, FACE, zoom=0.7, variable_regions=(over,))
    assert evidence.is_gtin_other is True


def test_the_whole_face_is_searched_before_a_code_is_called_foreign() -> None:
    enrolled = with_code(FACE, "no number", "QRCode", corner=0)
    unit = with_code(enrolled, GTIN).copy()
    foreign = with_code(FACE, OTHER_GTIN, "DataMatrix", scale=3, corner=0)[:80, :80]
    unit[:80, 300:380] = foreign
    varying = ((290.0, 0.0, 100.0, 90.0),)
    evidence = read(unit, enrolled, variable_regions=varying)
    assert set(texts(evidence)) == {"no number", OTHER_GTIN, GTIN}
    assert evidence.is_gtin_other is False


@pytest.mark.parametrize(("scale", "is_searched"), [(2, True), (1, False)])
def test_the_whole_face_is_searched_for_a_code_large_enough_to_be_found(
    scale: int, *, is_searched: bool
) -> None:
    enrolled = with_code(FACE, GTIN, scale=scale)
    # Too fine a code leaves no doubt where it is not read; one that is covered does.
    shown = FACE if is_searched else enrolled
    photo = photographed(shown, zoom=0.8).pixels.copy()
    mark = with_code(np.full((41, 41, 3), 255, np.uint8), "x", "QRCode", scale=1)
    photo[150:179, 94:123] = mark[6:35, 6:35]  # just beside the face
    (best,) = matches(photo, [1])
    known = Reference(
        1, enrolled, (480, 320), is_counterfeit=False, codes=read_codes(enrolled)
    )
    assert ("x" in texts(examine(photo, best, known, BLIND))) is is_searched


def test_a_foreign_code_is_seen_though_the_reference_shows_another_code_alone() -> None:
    enrolled = with_code(with_code(FACE, "brand.example", "QRCode", corner=0), GTIN)
    shown = with_code(enrolled, NEARLY)
    of_reference = [code for code in read_codes(enrolled) if code.gtin is None]
    assert [code.text for code in of_reference] == ["brand.example"]
    evidence = read(shown, enrolled, codes=tuple(of_reference))
    assert evidence.is_gtin_other is True
    assert read(enrolled, enrolled, codes=tuple(of_reference)).is_gtin_other is False


def test_a_foreign_code_in_a_low_region_that_varies_is_seen() -> None:
    plate = with_code(np.full((90, 240, 3), 250, np.uint8), OTHER_GTIN)
    shown = FACE.copy()
    shown[10:36, 20:260] = plate[-60:-34]
    varying = ((15.0, 8.0, 250.0, 30.0),)
    evidence = read(shown, FACE, codes=(), zoom=1.0, variable_regions=varying)
    assert evidence.is_gtin_other is True


def test_no_code_is_looked_for_when_there_is_nothing_to_hold_it_against() -> None:
    evidence = read(with_code(FACE, GTIN), FACE, gtin=None)
    assert evidence.codes == ()
    assert evidence.is_gtin_other is None

"""Conclusions on units of which several photos were taken: fronts and backs."""

import numpy as np
import pytest
from engine.test_printings import item
from simulated_lots import SHIPPED

from touchstone.lots.basis import Records, basis_of
from touchstone.lots.concluding import Conclusion, conclude_on
from touchstone.store import Lot, LotItem, LotState, SubmissionState

AGREES, CALLED = "consistent_with_genuine", "inconsistent_with_genuine"
FACES = ("FRONT", "BACK")


def photo(
    position: int, unit: int, face: str, finding: str, profile: bytes = b""
) -> LotItem:
    return LotItem(
        position=position,
        name=f"{unit}-{face}.jpg",
        exhibit_id=f"unit {unit}",
        state=SubmissionState.EXAMINED,
        finding=finding,
        log10_lr=-1.2 if finding == CALLED else 0.7,
        serial="",
        error="",
        photo_digest=f"{position:064x}",
        examination_id=f"e{position}",
        record_digest="d",
        product_id="P-1",
        specimen_id=face,
        profile=profile,
    )


def lot() -> Lot:
    blank = dict.fromkeys(Lot.__dataclass_fields__, "")
    return Lot(**blank | {"id": "L", "units_total": None, "state": LotState.SCORED})  # type: ignore[arg-type]


def records_of(units: list[dict[str, tuple[int, bool]]]) -> Records:
    """Record units: of each face its print source, and whether it was called."""
    rng = np.random.default_rng(1)
    items = [
        photo(
            len(FACES) * number + place,
            number,
            face,
            CALLED if unit[face][1] else AGREES,
            item(unit[face][0], rng).to_bytes(),
        )
        for number, unit in enumerate(units)
        for place, face in enumerate(FACES)
    ]
    return Records(lot(), tuple(items), ())


def concluded(units: list[dict[str, tuple[int, bool]]]) -> Conclusion:
    return conclude_on(records_of(units), SHIPPED)


def test_what_is_concluded_of_several_photos_is_found_again_by_its_basis() -> None:
    records = records_of([dict.fromkeys(FACES, (0, False))] * 6)
    assert conclude_on(records, SHIPPED).basis == basis_of(records, SHIPPED)


@pytest.mark.parametrize("face", FACES)
def test_forged_faces_are_told_whichever_face_they_are(face: str) -> None:
    other = FACES[1 - FACES.index(face)]
    said = concluded(
        [
            {face: (int(n < 20), n % 4 > 0 if n < 20 else n < 24), other: (0, False)}
            for n in range(120)
        ]
    )
    (found,) = said.printings
    assert (found.specimen_id, found.units) == (face, 20)
    assert (found.inconsistent_here, found.answered_here) == (15, 20)
    assert found.log10_lr < -3
    assert said.share.low > 0.08


def test_calls_on_backs_say_nothing_of_a_print_on_the_front() -> None:
    """A second genuine run of the front; the product's back is called too often."""
    said = concluded(
        [{"FRONT": (int(n < 20), False), "BACK": (0, n % 5 < 2)} for n in range(100)]
    )
    (found,) = said.printings
    assert (found.inconsistent, found.inconsistent_here) == (8, 0)
    assert found.log10_lr > 0


def test_what_nothing_was_told_from_is_not_counted_as_one_source() -> None:
    """All alike may be all of one source, or of two that were not told apart."""
    said = concluded([dict.fromkeys(FACES, (1, n % 3 > 0)) for n in range(60)])
    assert not any(one.is_apart for one in said.printings)
    assert 0.2 < said.share.low < 0.67

"""What a seizure is filed under: made, read, moved through its states, no others."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import exc, text
from store.world import World, drop_triggers, raw

from touchstone.errors import ConflictError, InvalidInputError, NotFoundError
from touchstone.store import (
    Case,
    CaseFields,
    CaseState,
    CustodyFields,
    Exhibit,
    ExhibitFields,
    ExhibitState,
    Lot,
    LotFields,
    LotState,
    Operation,
    OperationFields,
    OperationState,
    Seizure,
    SeizureFields,
    SeizureState,
)
from touchstone.store.filing_values import STEPS


def a_case(world: World, *, ref_no: str = "C-1", legal_hold: bool = False) -> Case:
    operation = world.store.file(
        world.officer,
        Operation,
        OperationFields(f"Pangea {ref_no}", date(2026, 6, 1), None, ("WHO", "WCO")),
    )
    draft = CaseFields(ref_no, operation_id=operation.id, legal_hold=legal_hold)
    return world.store.file(world.officer, Case, draft)


def a_seizure(world: World, case: Case) -> Seizure:
    draft = SeizureFields(
        case.id, "S-1", place="Lagos", country="NG", latitude=6.45, longitude=3.4
    )
    return world.store.file(world.officer, Seizure, draft)


def test_everything_is_filed_under_something_and_read_back(world: World) -> None:
    case = a_case(world)
    seizure = a_seizure(world, case)
    lot = world.store.file(
        world.officer, Lot, LotFields("L-1", seizure_id=seizure.id, units_total=9000)
    )
    exhibit = world.store.file(
        world.officer, Exhibit, ExhibitFields(lot.id, "E-1", unit_kind="blister")
    )
    for kind, made in ((Case, case), (Seizure, seizure), (Lot, lot)):
        assert world.store.filed(world.officer, kind, made.id) == made  # type: ignore[type-var]
    assert world.store.filed(world.officer, Exhibit, exhibit.id) == exhibit
    (operation,) = world.store.list_filed(world.officer, Operation).items
    assert operation.partners == ("WHO", "WCO")
    assert operation.starts_on == date(2026, 6, 1)
    assert world.store.list_filed(world.officer, Seizure, under=case.id).items == (
        seizure,
    )
    assert world.store.list_filed(world.officer, Lot, under=seizure.id).items == (lot,)
    assert world.store.verify_chain().ok


def test_two_of_one_number_are_refused_and_two_organisations_may_have_it(
    world: World,
) -> None:
    a_case(world)
    with pytest.raises(ConflictError, match="already"):
        world.store.file(world.officer, Case, CaseFields("C-1"))
    world.store.file(world.stranger, Case, CaseFields("C-1"))


def test_nothing_is_filed_under_anothers(world: World) -> None:
    case = a_case(world)
    for other in (world.stranger, world.operator):
        with pytest.raises(NotFoundError):
            world.store.file(other, Seizure, SeizureFields(case.id, "S-2"))
    assert world.store.filed(world.operator, Case, case.id) == case


def test_a_closed_case_takes_no_seizure(world: World) -> None:
    case = a_case(world)
    world.store.move(world.officer, Case, case.id, CaseState.CLOSED)
    with pytest.raises(ConflictError, match="closed"):
        a_seizure(world, case)


@pytest.mark.parametrize("state", list(STEPS), ids=str)
def test_only_lawful_steps_are_taken(world: World, state: object) -> None:
    kinds = {
        OperationState: Operation,
        CaseState: Case,
        SeizureState: Seizure,
        LotState: Lot,
        ExhibitState: Exhibit,
    }
    kind = kinds[type(state)]  # type: ignore[index]
    made = _made(world, kind)
    for aim in type(state):  # type: ignore[attr-defined]
        if aim in STEPS[made.state]:
            continue
        with pytest.raises(ConflictError):
            world.store.move(world.officer, kind, made.id, aim)
    for aim in sorted(STEPS[made.state])[:1]:
        moved = world.store.move(world.officer, kind, made.id, aim)
        assert moved.state == aim


def _made(world: World, kind: type) -> Operation | Case | Seizure | Lot | Exhibit:
    case = a_case(world)
    if kind is Case:
        return case
    if kind is Operation:
        return world.store.list_filed(world.officer, Operation).items[0]
    seizure = a_seizure(world, case)
    if kind is Seizure:
        return seizure
    lot = world.store.file(world.officer, Lot, LotFields("L", seizure_id=seizure.id))
    if kind is Lot:
        return lot
    return world.store.file(world.officer, Exhibit, ExhibitFields(lot.id, "E"))


def test_a_legal_hold_keeps_evidence(world: World) -> None:
    seizure = a_seizure(world, a_case(world, legal_hold=True))
    lot = world.store.file(world.officer, Lot, LotFields("L", seizure_id=seizure.id))
    exhibit = world.store.file(world.officer, Exhibit, ExhibitFields(lot.id, "E"))
    world.store.move(world.officer, Exhibit, exhibit.id, ExhibitState.SEALED)
    with pytest.raises(ConflictError, match="legal hold"):
        world.store.move(world.officer, Exhibit, exhibit.id, ExhibitState.DESTROYED)
    with pytest.raises(ConflictError, match="legal hold"):
        world.store.move(world.officer, Seizure, seizure.id, SeizureState.RELEASED)
    world.store.move(world.officer, Seizure, seizure.id, SeizureState.DETAINED)


def test_custody_is_a_chain_that_nobody_changes(world: World, url: str) -> None:
    lot = world.store.file(world.officer, Lot, LotFields("L"))
    exhibit = world.store.file(world.officer, Exhibit, ExhibitFields(lot.id, "E"))
    for act in ("seized", "sealed"):
        world.store.add_custody(
            world.officer, exhibit.id, CustodyFields(act, "Officer 17", place="Lagos")
        )
    acts = [one.act for one in world.store.custody_of(world.officer, exhibit.id)]
    assert acts == ["seized", "sealed"]
    with pytest.raises(NotFoundError):
        world.store.custody_of(world.stranger, exhibit.id)
    with raw(url) as connection:
        for change in (
            "UPDATE custody_event SET act = 'x'",
            "DELETE FROM custody_event",
        ):
            with pytest.raises(exc.IntegrityError), connection.begin_nested():
                connection.execute(text(change))
        drop_triggers(connection)
        connection.execute(text("UPDATE custody_event SET act = 'x'"))


def test_a_plan_is_put_in_force_until_the_lot_is_scored(world: World) -> None:
    lot = world.store.file(world.officer, Lot, LotFields("L"))
    for size in (5, 8):
        lot = world.store.plan_lot(world.officer, lot.id, {"sample_size": size})
    assert lot.plan == {"sample_size": 8}
    assert lot.state is LotState.SAMPLED
    world.store.move(world.officer, Lot, lot.id, LotState.SCORED)
    with pytest.raises(ConflictError):
        world.store.plan_lot(world.officer, lot.id, {"sample_size": 9})


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: OperationFields(" "), "name"),
        (lambda: OperationFields("x", date(2026, 2, 1), date(2026, 1, 1)), "ends_on"),
        (lambda: CaseFields("x", handling_code="H9"), "handling_code"),
        (lambda: CaseFields("x", source_eval="Z"), "source_eval"),
        (lambda: SeizureFields("c", "x", country="nigeria"), "country"),
        (lambda: SeizureFields("c", "x", latitude=91.0), "latitude"),
        (lambda: LotFields("x", units_total=0), "units_total"),
        (lambda: LotFields("x", product_class="weapon"), "product_class"),
        (lambda: ExhibitFields("l", "x", unit_kind="barrel"), "unit_kind"),
        (lambda: CustodyFields("", "x"), "act"),
    ],
)
def test_a_draft_that_exists_is_well_formed(make: object, field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        make()  # type: ignore[operator]
    assert caught.value.field == field


@given(st.text(max_size=20))
def test_no_reference_number_breaks_a_line(ref_no: str) -> None:
    try:
        draft = CaseFields(ref_no)
    except InvalidInputError:
        return
    assert draft.ref_no.strip()
    assert "\n" not in draft.ref_no

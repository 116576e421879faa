"""What became of a lot's photos, read back for conclusions and dashboards."""

from datetime import date

import pytest
from store.world import Clock, World, examination_draft

from touchstone.errors import NotFoundError
from touchstone.store import (
    Case,
    CaseFields,
    JobKind,
    Lot,
    LotFields,
    Operation,
    OperationFields,
    Result,
    Seizure,
    SeizureFields,
    SubmissionFields,
    SubmissionState,
)


def a_scored_lot(
    world: World, seizure: Seizure | None, *photos: tuple[str, str, str]
) -> Lot:
    """``photos``: name, finding and serial of each."""
    lot = world.store.file(
        world.officer,
        Lot,
        LotFields(
            "L",
            seizure_id=seizure.id if seizure else None,
            product_class="medicine",
        ),
    )
    drafts = [SubmissionFields(name, locator=f"file:/{name}") for name, _, _ in photos]
    world.store.submit(world.officer, lot.id, drafts)
    world.store.begin_job(world.officer, lot.id, JobKind.SCORE, examined_by={})
    told = {name: (finding, serial) for name, finding, serial in photos}
    reference_set = world.enrol().reference_set
    for leased in world.store.lease("w", limit=100):
        finding, serial = told[leased.name]
        draft = examination_draft(
            leased.name, finding=finding, reference_set_id=reference_set.id
        )
        result = Result(
            row_json="{}",
            finding=finding,
            serial=serial,
            log10_lr=-0.5,
            profile=leased.name.encode(),
        )
        assert world.store.finish(leased, result, draft)
    return lot


def a_seizure(world: World, country: str) -> Seizure:
    operations = world.store.list_filed(world.officer, Operation).items
    operation = (
        operations[0]
        if operations
        else world.store.file(
            world.officer, Operation, OperationFields("Pangea", date(2026, 6, 1))
        )
    )
    case = world.store.file(
        world.officer, Case, CaseFields(f"C-{country}", operation_id=operation.id)
    )
    return world.store.file(
        world.officer, Seizure, SeizureFields(case.id, "S", country=country)
    )


def test_items_come_in_order_with_what_a_conclusion_needs(world: World) -> None:
    lot = a_scored_lot(
        world, None, ("b", "inconclusive", ""), ("a", "insufficient_quality", "1/2")
    )
    gone = SubmissionFields("gone", problem="no file")
    world.store.submit(world.officer, lot.id, [gone])
    b, a, lacking = world.store.lot_items(world.officer, lot.id)
    assert (b.name, b.finding, b.log10_lr, b.profile) == (
        "b",
        "inconclusive",
        -0.5,
        b"b",
    )
    assert b.record_digest is not None
    assert b.product_id == "P-1"
    assert a.state is SubmissionState.QUALITY_FAILED
    assert a.serial == "1/2"
    assert lacking.state is SubmissionState.FAILED
    assert lacking.examination_id is lacking.record_digest is None


def test_a_serial_in_two_lots_of_an_organisation_is_told(world: World) -> None:
    first = a_scored_lot(world, None, ("a", "inconclusive", "x/1"))
    second = a_scored_lot(
        world, None, ("b", "inconclusive", "x/1"), ("c", "inconclusive", "")
    )
    assert world.store.serials_elsewhere(world.officer, second.id) == (
        ("x/1", first.id, "a"),
    )
    with pytest.raises(NotFoundError):
        world.store.serials_elsewhere(world.stranger, second.id)


def test_an_operation_is_summed_up_by_country_category_brand_finding_and_day(
    world: World, clock: Clock
) -> None:
    a_scored_lot(
        world,
        a_seizure(world, "NG"),
        ("a", "inconclusive", ""),
        ("b", "inconclusive", ""),
        ("c", "inconsistent_with_genuine", ""),
    )
    clock.advance(days=1)
    a_scored_lot(world, a_seizure(world, "FR"), ("d", "inconclusive", ""))
    a_scored_lot(world, None, ("e", "inconclusive", ""))  # of no operation
    (operation,) = world.store.list_filed(world.officer, Operation).items
    rows = world.store.operation_summary(world.officer, operation.id)
    assert [
        (row.country, row.category, row.finding, row.day, row.photos) for row in rows
    ] == [
        ("FR", "medicine", "inconclusive", "2026-02-01", 1),
        ("NG", "medicine", "inconclusive", "2026-01-31", 2),
        ("NG", "medicine", "inconsistent_with_genuine", "2026-01-31", 1),
    ]
    with pytest.raises(NotFoundError):
        world.store.operation_summary(world.stranger, operation.id)


# --- how long it takes yet ------------------------------------------------------------


@pytest.fixture
def long_lot(world: World) -> Lot:
    lot = world.store.file(world.officer, Lot, LotFields("L"))
    drafts = [SubmissionFields(str(number), locator="stub:") for number in range(400)]
    world.store.submit(world.officer, lot.id, drafts)
    world.store.begin_job(world.officer, lot.id, JobKind.SCORE, examined_by={})
    return lot


def go_on(world: World, clock: Clock, photos: int, *, each_s: float) -> None:
    for leased in world.store.lease("w", limit=photos):
        clock.advance(seconds=each_s)
        result = Result(row_json="{}", finding="inconclusive")
        assert world.store.finish(leased, result, examination_draft(leased.name))


def seconds_left(world: World, lot: Lot) -> int | None:
    return world.store.tally(world.officer, lot.id).seconds_left


def test_the_time_left_is_told_by_what_was_finished_of_late(
    world: World, clock: Clock, long_lot: Lot
) -> None:
    assert seconds_left(world, long_lot) is None
    go_on(world, clock, 1, each_s=2)
    assert seconds_left(world, long_lot) is None  # of one nothing can be told
    go_on(world, clock, 99, each_s=2)
    assert seconds_left(world, long_lot) == 600


def test_a_pause_does_not_count_into_the_time_left(
    world: World, clock: Clock, long_lot: Lot
) -> None:
    go_on(world, clock, 100, each_s=2)
    clock.advance(hours=10)
    assert seconds_left(world, long_lot) is None
    go_on(world, clock, 20, each_s=2)
    assert seconds_left(world, long_lot) == 280 * 2


def test_the_time_left_follows_the_number_of_workers(
    world: World, clock: Clock, long_lot: Lot
) -> None:
    go_on(world, clock, 50, each_s=4)
    assert seconds_left(world, long_lot) == 350 * 4
    go_on(world, clock, 250, each_s=0.5)
    assert seconds_left(world, long_lot) == 50


def test_what_failed_counts_into_the_time_left(
    world: World, clock: Clock, long_lot: Lot
) -> None:
    go_on(world, clock, 1, each_s=1)
    for leased in world.store.lease("w", limit=99):
        clock.advance(seconds=1)
        assert world.store.finish(leased, Result(error="defect"), None)
    assert seconds_left(world, long_lot) == 300


def test_the_time_left_grows_while_nothing_is_finished(
    world: World, clock: Clock, long_lot: Lot
) -> None:
    go_on(world, clock, 51, each_s=1)
    before = seconds_left(world, long_lot)
    clock.advance(seconds=50)
    after = seconds_left(world, long_lot)
    assert (before, after) == (349, 698)

"""Jobs and plans: what may be asked of them, when, and by whom; on both databases."""

from collections.abc import Callable

import pytest
from store.world import Clock, World, digest_of, examination_draft

from touchstone.errors import ConflictError, NotFoundError
from touchstone.store import (
    Caller,
    CustodyFields,
    Exhibit,
    ExhibitFields,
    ExhibitState,
    Job,
    JobKind,
    JobState,
    Leased,
    Lot,
    LotFields,
    LotState,
    Result,
    Role,
    SubmissionFields,
    SubmissionState,
)


def a_lot(world: World, *names: str) -> Lot:
    lot = world.store.file(world.officer, Lot, LotFields("L-1", units_total=10))
    drafts = [SubmissionFields(name, locator="stub:", identity="1") for name in names]
    world.store.submit(world.officer, lot.id, drafts)
    return lot


def a_job(world: World, lot: Lot, kind: JobKind = JobKind.SCORE) -> Job:
    return world.store.begin_job(world.officer, lot.id, kind, examined_by={})


def examine(world: World, leased: Leased) -> None:
    result = Result(row_json="{}", finding="inconclusive")
    assert world.store.finish(leased, result, examination_draft(leased.name))


def fail(world: World, leased: Leased) -> None:
    assert world.store.finish(leased, Result(error="defect"), None)


def taken(world: World) -> Job:
    job = world.store.take_job()
    assert job is not None
    return job


def end(world: World, job: Job, *, result: dict[str, object] | None) -> Job:
    """End a job as the worker does that took it."""
    caller = Caller(job.key_id, job.organisation_id, job.role)
    return world.store.end_job(
        caller, job.id, started_at=job.started_at, result=result, error="late"
    )


def state_of(world: World, lot: Lot) -> LotState:
    return world.store.filed(world.officer, Lot, lot.id).state


# --- tried again ----------------------------------------------------------------------


def test_a_report_is_not_tried_again_as_a_scoring(world: World) -> None:
    lot = a_lot(world, "a")
    a_job(world, lot)
    fail(world, *world.store.lease("w"))
    report = a_job(world, lot, JobKind.REPORT)
    done = end(world, taken(world), result={"files": {}})
    with pytest.raises(ConflictError, match="report"):
        world.store.retry_failed(world.officer, report.id)
    assert world.store.job(world.officer, report.id) == done
    assert world.store.tally(world.officer, lot.id).failed == 1


def test_no_two_scorings_of_a_lot_are_under_way(world: World) -> None:
    store, lot = world.store, a_lot(world, "a", "b")
    first = a_job(world, lot)
    fail(world, *store.lease("w", limit=1))
    store.move_job(world.officer, first.id, JobState.CANCELLED)
    second = a_job(world, lot)
    assert second.id != first.id
    store.move_job(world.officer, second.id, JobState.PAUSED)
    with pytest.raises(ConflictError, match=second.id):
        store.retry_failed(world.officer, first.id)
    assert store.lease("w") == ()  # it is paused
    store.move_job(world.officer, second.id, JobState.CANCELLED)
    retried = store.retry_failed(world.officer, first.id)
    assert retried.state is JobState.QUEUED
    assert [one.name for one in store.lease("w", limit=2)] == ["a", "b"]


def test_what_failed_is_tried_again_while_the_rest_is_under_way(world: World) -> None:
    lot = a_lot(world, "a", "b")
    job = a_job(world, lot)
    fail(world, *world.store.lease("w", limit=1))
    assert world.store.retry_failed(world.officer, job.id).state is JobState.QUEUED
    assert [one.name for one in world.store.lease("w")] == ["a", "b"]


@pytest.mark.parametrize("result", [{"files": {}}, None])
def test_a_report_that_was_cancelled_meanwhile_stays_cancelled(
    world: World, result: dict[str, object] | None
) -> None:
    report = a_job(world, a_lot(world, "a"), JobKind.REPORT)
    running = taken(world)
    cancelled = world.store.move_job(world.officer, report.id, JobState.CANCELLED)
    assert end(world, running, result=result) == cancelled
    assert world.store.job(world.officer, report.id) == cancelled


def test_who_lost_a_report_to_another_ends_it_no_more(
    world: World, clock: Clock
) -> None:
    a_job(world, a_lot(world, "a"), JobKind.REPORT)
    lost = taken(world)
    clock.advance(minutes=21)
    running = taken(world)
    assert (running.id, running.state) == (lost.id, JobState.RUNNING)
    assert end(world, lost, result=None) == running
    done = end(world, running, result={"files": {}})
    assert (done.state, done.result) == (JobState.DONE, {"files": {}})


def test_a_report_that_another_went_on_with_is_not_ended_by_the_key_before(
    world: World,
) -> None:
    # The clock stands still: here the key alone tells the two apart.
    lot = a_lot(world, "a")
    a_job(world, lot, JobKind.REPORT)
    before = taken(world)
    world.store.move_job(world.officer, before.id, JobState.PAUSED)
    other = world.key(world.authority, Role.OFFICER)
    world.store.begin_job(other, lot.id, JobKind.REPORT, examined_by={})
    running = taken(world)
    assert (running.id, running.key_id) == (before.id, other.key_id)
    assert end(world, before, result={"files": {}}) == running
    assert end(world, running, result={}).state is JobState.DONE


@pytest.mark.parametrize("state", [JobState.CANCELLED, JobState.PAUSED])
def test_what_a_worker_lost_of_a_job_that_ended_early_is_no_longer_under_way(
    world: World, clock: Clock, state: JobState
) -> None:
    store, lot = world.store, a_lot(world, "a", "b", "c")
    job = a_job(world, lot)
    lost, slow, _ = store.lease("of another machine", limit=3)
    store.move_job(world.officer, job.id, state)
    assert store.take_from_dead(lambda _: False) == 0  # it may live, and finish
    examine(world, slow)
    clock.advance(seconds=121)
    assert store.take_from_dead(lambda _: False) == 2
    told = store.tally(world.officer, lot.id).states
    assert told == {SubmissionState.EXAMINED: 1, SubmissionState.QUEUED: 2}
    result = Result(row_json="{}", finding="inconclusive")
    assert not store.finish(lost, result, examination_draft("too late"))


# --- plans and lots of which nothing was examined -------------------------------------


def test_no_plan_is_made_when_a_result_is_known(world: World) -> None:
    lot = a_lot(world, "a", "b")
    world.store.plan_lot(world.officer, lot.id, {"sample_size": 1})
    a_job(world, lot)
    one, _ = world.store.lease("w")
    world.store.plan_lot(world.officer, lot.id, {"sample_size": 2})
    examine(world, one)
    with pytest.raises(ConflictError, match="result"):
        world.store.plan_lot(world.officer, lot.id, {"sample_size": 3})
    assert world.store.filed(world.officer, Lot, lot.id).plan == {"sample_size": 2}


def test_a_lot_of_which_nothing_was_sent_is_not_scored(world: World) -> None:
    store, lot = world.store, a_lot(world)
    digest = digest_of("a")
    store.announce(world.officer, lot.id, [SubmissionFields("a", photo_digest=digest)])
    assert a_job(world, lot).state is JobState.PARTIAL
    assert state_of(world, lot) is LotState.RECEIVED
    store.plan_lot(world.officer, lot.id, {"sample_size": 1})
    store.photo_arrived(world.officer, lot.id, digest, locator="stub:")
    assert a_job(world, lot).state is JobState.QUEUED
    examine(world, *store.lease("w"))
    assert state_of(world, lot) is LotState.SCORED


# --- another organisation's -----------------------------------------------------------


def test_an_administrator_changes_nothing_of_another_organisation(
    world: World,
) -> None:
    store, lot = world.store, a_lot(world, "a", "b")
    exhibit = store.file(world.officer, Exhibit, ExhibitFields(lot.id, "E-1"))
    job = a_job(world, lot)
    fail(world, *store.lease("w", limit=1))
    by = world.operator
    custody = CustodyFields("sealed", "Officer 17")
    acts: tuple[Callable[[], object], ...] = (
        lambda: store.plan_lot(by, lot.id, {"sample_size": 1}),
        lambda: store.move(by, Lot, lot.id, LotState.SCORED),
        lambda: store.move(by, Exhibit, exhibit.id, ExhibitState.SEALED),
        lambda: store.add_custody(by, exhibit.id, custody),
        lambda: store.move_job(by, job.id, JobState.PAUSED),
        lambda: store.move_job(by, job.id, JobState.CANCELLED),
        lambda: store.retry_failed(by, job.id),
        lambda: store.withdraw_from(by, lot.id, 0),
        lambda: store.close_origin(by, lot.id),
    )
    before = (
        store.filed(by, Lot, lot.id),
        store.filed(by, Exhibit, exhibit.id),
        store.job(by, job.id),
        store.tally(by, lot.id),
    )
    for act in acts:
        with pytest.raises(NotFoundError):
            act()
    assert before == (
        store.filed(world.officer, Lot, lot.id),
        store.filed(world.officer, Exhibit, exhibit.id),
        store.job(world.officer, job.id),
        store.tally(world.officer, lot.id),
    )
    assert store.custody_of(by, exhibit.id) == ()

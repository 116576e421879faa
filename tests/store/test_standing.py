"""Work goes on only on behalf of a key that holds; on both databases."""

import pytest
from store.world import Clock, World, examination_draft

from touchstone.store import (
    Caller,
    Job,
    JobKind,
    JobState,
    Leased,
    Lot,
    LotFields,
    Result,
    Role,
    Store,
    SubmissionFields,
    SubmissionState,
)


@pytest.fixture
def lot(world: World) -> Lot:
    lot = world.store.file(world.officer, Lot, LotFields("L-1"))
    drafts = [SubmissionFields(name, locator="stub:", identity="1") for name in "abc"]
    world.store.submit(world.officer, lot.id, drafts)
    return lot


@pytest.fixture
def colleague(world: World) -> Caller:
    return world.key(world.authority, Role.ANALYST)


def begun(store: Store, by: Caller, lot: Lot, kind: JobKind = JobKind.SCORE) -> Job:
    return store.begin_job(by, lot.id, kind, examined_by={})


def finish(store: Store, leased: Leased) -> bool:
    result = Result(row_json="{}", finding="inconclusive")
    return store.finish(leased, result, examination_draft(leased.name))


def revoke(world: World, caller: Caller) -> None:
    assert caller.key_id is not None
    world.store.revoke_key(world.operator, caller.key_id)


def test_the_job_of_a_key_that_was_revoked_is_paused_and_its_photos_untouched(
    world: World, lot: Lot
) -> None:
    job = begun(world.store, world.officer, lot)
    first, second = world.store.lease("w", limit=2)
    assert world.store.may_examine(first)
    assert finish(world.store, first)
    revoke(world, world.officer)
    assert not world.store.may_examine(second)
    world.store.give_back("w")
    assert world.store.lease("w") == ()
    stopped = world.store.job(world.operator, job.id)
    assert stopped.state is JobState.PAUSED
    assert "key" in stopped.error
    tally = world.store.tally(world.operator, lot.id)
    assert tally.states == {SubmissionState.EXAMINED: 1, SubmissionState.QUEUED: 2}
    assert world.store.verify_chain().ok


@pytest.mark.parametrize("way", ["resume", "begin"])
def test_a_colleague_goes_on_with_it_on_his_own_behalf(
    world: World, lot: Lot, colleague: Caller, way: str
) -> None:
    job = begun(world.store, world.officer, lot)
    revoke(world, world.officer)
    assert world.store.lease("w") == ()
    if way == "resume":
        resumed = world.store.move_job(colleague, job.id, JobState.QUEUED)
    else:
        resumed = begun(world.store, colleague, lot)
    assert (resumed.id, resumed.key_id) == (job.id, colleague.key_id)
    assert (resumed.state, resumed.error) == (JobState.QUEUED, "")
    leases = world.store.lease("w", limit=9)
    assert {one.key_id for one in leases} == {colleague.key_id}
    assert {one.role for one in leases} == {Role.ANALYST}
    assert all(finish(world.store, one) for one in leases)
    assert world.store.job(colleague, job.id).state is JobState.DONE


def test_who_begins_it_before_a_worker_notices_goes_on_on_his_own_behalf(
    world: World, lot: Lot, colleague: Caller
) -> None:
    begun(world.store, world.officer, lot)
    (leased,) = world.store.lease("w", limit=1)
    revoke(world, world.officer)
    assert begun(world.store, colleague, lot).key_id == colleague.key_id
    assert not world.store.may_examine(leased)  # that one is of the key that ended
    world.store.give_back("w")
    assert len(world.store.lease("w")) == 3


def test_a_key_that_holds_is_not_put_out_by_a_colleague(
    world: World, lot: Lot, colleague: Caller
) -> None:
    begun(world.store, world.officer, lot)
    assert begun(world.store, colleague, lot).key_id == world.officer.key_id


def test_what_failed_is_tried_again_on_behalf_of_who_asks(
    world: World, lot: Lot, colleague: Caller
) -> None:
    job = begun(world.store, world.officer, lot)
    for leased in world.store.lease("w"):
        assert world.store.finish(leased, Result(error="defect"), None)
    revoke(world, world.officer)
    assert world.store.retry_failed(colleague, job.id).key_id == colleague.key_id
    assert len(world.store.lease("w")) == 3


def test_the_job_of_a_key_that_ran_out_is_paused(
    world: World, lot: Lot, clock: Clock
) -> None:
    key, secret = world.store.issue_key(
        world.operator,
        organisation_id=world.authority.id,
        role=Role.OFFICER,
        label="for a day",
        expires_at=clock.now.replace(hour=13),
    )
    job = begun(world.store, world.store.authenticate(secret), lot)
    assert job.key_id == key.id
    (leased,) = world.store.lease("w", limit=1)
    clock.advance(hours=1)
    assert not world.store.may_examine(leased)
    assert world.store.lease("other") == ()
    assert world.store.job_state(job.id) is JobState.PAUSED


def test_a_share_of_such_a_job_is_not_leased(world: World, lot: Lot) -> None:
    job = begun(world.store, world.officer, lot)
    ids = world.store.waiting(job.id, limit=9)
    revoke(world, world.officer)
    assert world.store.lease_these("w", job.id, ids, is_lost=bool) == ()
    assert world.store.job_state(job.id) is JobState.PAUSED


def test_one_such_job_does_not_hold_up_anothers(
    world: World, lot: Lot, colleague: Caller
) -> None:
    begun(world.store, world.officer, lot)
    revoke(world, world.officer)
    other = world.store.file(colleague, Lot, LotFields("L-2"))
    world.store.submit(colleague, other.id, [SubmissionFields("z", locator="stub:")])
    begun(world.store, colleague, other)
    assert [one.name for one in world.store.lease("w")] == ["z"]


def test_no_report_is_made_for_such_a_key(
    world: World, lot: Lot, colleague: Caller
) -> None:
    job = begun(world.store, world.officer, lot, JobKind.REPORT)
    revoke(world, world.officer)
    assert world.store.take_job() is None
    assert world.store.job_state(job.id) is JobState.PAUSED
    assert begun(world.store, colleague, lot, JobKind.REPORT).id == job.id
    taken = world.store.take_job()
    assert taken is not None
    assert taken.key_id == colleague.key_id


def test_what_the_local_command_began_has_no_key_to_lose(world: World) -> None:
    lot = world.store.file(world.operator, Lot, LotFields("L-3"))
    world.store.submit(world.operator, lot.id, [SubmissionFields("a", locator="stub:")])
    begun(world.store, world.operator, lot)
    (leased,) = world.store.lease("w")
    assert world.store.may_examine(leased)

"""The work on a lot: leased, finished once, whatever dies; on both databases."""

from dataclasses import replace
from itertools import count

import pytest
from store.world import Clock, World, digest_of, examination_draft

from touchstone.errors import ConflictError, NotFoundError
from touchstone.store import (
    MAX_ATTEMPTS,
    Caller,
    Exhibit,
    ExhibitState,
    Job,
    JobKind,
    JobState,
    Leased,
    Lot,
    LotFields,
    LotState,
    Result,
    SubmissionFields,
    SubmissionState,
)

FOUND_BY = {"policy": "p" * 64}


def photos(*names: str, **more: str) -> list[SubmissionFields]:
    return [
        SubmissionFields(name, locator=f"file:/{name}", identity="1", **more)
        for name in names
    ]


def a_lot(world: World, *names: str) -> Lot:
    lot = world.store.file(world.officer, Lot, LotFields("L-1"))
    world.store.submit(world.officer, lot.id, photos(*names))
    return lot


def a_job(world: World, lot: Lot, by: Caller | None = None) -> Job:
    return world.store.begin_job(
        by or world.officer, lot.id, JobKind.SCORE, examined_by=FOUND_BY
    )


def finish(world: World, leased: Leased, **changes: str) -> bool:
    result = Result(row_json="{}", finding="inconclusive", **changes)  # type: ignore[arg-type]
    return world.store.finish(leased, result, examination_draft(leased.name))


def test_what_is_listed_is_leased_in_order_and_finished_once(world: World) -> None:
    lot = a_lot(world, "a", "b", "c")
    job = a_job(world, lot)
    first = world.store.lease("w1", limit=2)
    second = world.store.lease("w2", limit=2)
    assert [one.name for one in first] == ["a", "b"]
    assert [one.name for one in second] == ["c"]
    assert world.store.lease("w3") == ()
    assert world.store.job(world.officer, job.id).state is JobState.RUNNING
    assert all(finish(world, one) for one in (*first, *second))
    assert not any(finish(world, one) for one in (*first, *second))
    done = world.store.job(world.officer, job.id)
    assert done.state is JobState.DONE
    assert done.finished_at is not None
    assert world.store.filed(world.officer, Lot, lot.id).state is LotState.SCORED
    assert len(world.store.list_examinations(world.officer).items) == 3
    assert world.store.verify_chain().ok


def test_a_lease_that_ran_out_is_anothers_and_the_first_finishes_nothing(
    world: World, clock: Clock
) -> None:
    a_job(world, a_lot(world, "a"))
    (slow,) = world.store.lease("slow")
    assert world.store.lease("other") == ()
    clock.advance(seconds=121)
    (taken,) = world.store.lease("other")
    assert taken.id == slow.id
    assert not finish(world, slow)
    assert finish(world, taken)
    assert len(world.store.list_examinations(world.officer).items) == 1


def test_finishing_one_renews_the_leases_of_the_rest(
    world: World, clock: Clock
) -> None:
    a_job(world, a_lot(world, "a", "b"))
    one, two = world.store.lease("w")
    clock.advance(seconds=100)
    assert finish(world, one)
    clock.advance(seconds=100)
    assert world.store.lease("other") == ()
    assert finish(world, two)


def test_what_a_dead_worker_held_goes_on_alone_and_is_given_up_in_the_end(
    world: World,
) -> None:
    lot = a_lot(world, "a", "b")
    job = a_job(world, lot)
    for attempt in range(MAX_ATTEMPTS):
        leases = world.store.lease(f"w{attempt}")
        # Together at first; what was attempted is leased alone.
        assert len(leases) == (2 if attempt == 0 else 1)
        assert leases[0].name == "a"
        assert world.store.take_from_dead(lambda name: name.startswith("w"))
    (left,) = world.store.lease("good")
    assert left.name == "b"
    assert finish(world, left)
    tally = world.store.tally(world.officer, lot.id)
    assert tally.failed == 1
    assert tally.done == tally.total == 2
    assert world.store.job(world.officer, job.id).state is JobState.PARTIAL
    a, b = world.store.results(world.officer, lot.id)
    assert "stopped its worker" in a.error
    assert (b.name, b.error, b.row_json) == ("b", "", "{}")


def test_a_lot_whose_last_photo_is_given_up_comes_to_its_end(world: World) -> None:
    job = a_job(world, a_lot(world, "a"))
    for _ in range(MAX_ATTEMPTS):
        assert world.store.lease("w")
        world.store.take_from_dead(lambda _: True)
    assert world.store.lease("w") == ()
    assert world.store.job_state(job.id) is JobState.PARTIAL


def test_what_is_given_back_was_not_attempted(world: World) -> None:
    a_job(world, a_lot(world, "a", "b"))
    for number in range(2 * MAX_ATTEMPTS):
        assert len(world.store.lease(f"w{number}")) == 2
        world.store.give_back(f"w{number}")


def test_failures_are_told_and_tried_again_when_asked(world: World) -> None:
    lot = a_lot(world, "a", "b")
    listed = SubmissionFields("gone", identity="absent", problem="no file")
    world.store.submit(world.officer, lot.id, [listed])
    job = a_job(world, lot)
    a, b = world.store.lease("w")
    assert world.store.finish(a, Result(error="defect"), None)
    assert finish(world, b)
    assert world.store.job(world.officer, job.id).state is JobState.PARTIAL
    failed = [
        one
        for one in world.store.finished_since(world.officer, lot.id, 0)
        if one.state is SubmissionState.FAILED
    ]
    assert {one.name: one.error for one in failed} == {"a": "defect", "gone": "no file"}
    assert world.store.retry_failed(world.officer, job.id).state is JobState.QUEUED
    (again,) = world.store.lease("w")
    assert again.name == "a"
    assert finish(world, again)
    assert world.store.job(world.officer, job.id).state is JobState.PARTIAL
    with pytest.raises(ConflictError, match="Nothing failed"):
        world.store.retry_failed(world.officer, job.id)


def test_paused_and_cancelled_jobs_give_no_work(world: World) -> None:
    lot = a_lot(world, "a", "b")
    job = a_job(world, lot)
    (held,) = world.store.lease("w", limit=1)
    world.store.move_job(world.officer, job.id, JobState.PAUSED)
    assert world.store.lease("other") == ()
    assert finish(world, held)  # what is in hand counts
    world.store.move_job(world.officer, job.id, JobState.QUEUED)
    assert [one.name for one in world.store.lease("other")] == ["b"]
    world.store.give_back("other")
    world.store.move_job(world.officer, job.id, JobState.CANCELLED)
    assert world.store.lease("other") == ()
    with pytest.raises(ConflictError):
        world.store.move_job(world.officer, job.id, JobState.QUEUED)


def test_the_order_of_finishing_has_no_gap_and_no_repeat(world: World) -> None:
    lot = a_lot(world, *"abcdef")
    a_job(world, lot)
    workers = count()
    while leases := world.store.lease(f"w{next(workers)}", limit=2):
        for leased in reversed(leases):
            assert finish(world, leased)
    seen: list[int] = []
    while some := world.store.finished_since(
        world.officer, lot.id, seen[-1] if seen else 0, limit=4
    ):
        seen += [one.finished_seq or 0 for one in some]
    assert seen == [1, 2, 3, 4, 5, 6]


def test_a_lot_listed_again_keeps_what_is_unchanged(world: World) -> None:
    lot = a_lot(world, "a", "b", "c")
    a_job(world, lot)
    for leased in world.store.lease("w"):
        assert finish(world, leased)
    a, b, c = photos("a", "b", "c")
    changed = [a, replace(b, identity="2"), replace(c, name="d")]
    world.store.submit(world.officer, lot.id, changed[:2], first=0)
    world.store.withdraw_from(world.officer, lot.id, 2)
    tally = world.store.tally(world.officer, lot.id)
    assert tally.states[SubmissionState.EXAMINED] == 1
    assert tally.states[SubmissionState.QUEUED] == 1
    assert tally.total == 2
    assert tally.findings == {"inconclusive": 1}
    world.store.submit(world.officer, lot.id, changed, first=0)
    assert [one.name for one in world.store.results(world.officer, lot.id)] == [
        "a",
        "b",
        "d",
    ]
    assert world.store.count_tried(world.officer, lot.id) == 1


def test_the_same_photo_sent_twice_is_one_submission(world: World) -> None:
    lot = a_lot(world)
    draft = SubmissionFields("a.jpg", photo_digest=digest_of("a"))
    first, again = (
        world.store.submit(world.officer, lot.id, [draft])[0] for _ in range(2)
    )
    assert first == again
    assert first.state is SubmissionState.AWAITING
    assert a_job(world, lot).state is JobState.PARTIAL  # it lacks a photo
    arrived = world.store.photo_arrived(
        world.officer, lot.id, digest_of("a"), locator="blob:a"
    )
    assert arrived == 1
    assert world.store.locator_of(world.officer, digest_of("a")) == "blob:a"
    assert world.store.locator_of(world.stranger, digest_of("a")) is None


def test_exhibits_are_logged_with_their_photos(world: World) -> None:
    lot = a_lot(world)
    for name in ("front", "back"):
        world.store.submit(
            world.officer, lot.id, photos(name, exhibit_no="E-1", declared_gtin="")
        )
    (exhibit,) = world.store.list_filed(world.officer, Exhibit, under=lot.id).items
    assert exhibit.exhibit_no == "E-1"
    assert exhibit.state is ExhibitState.IMAGED
    a_job(world, lot)
    for leased in world.store.lease("w"):
        assert finish(world, leased)
    assert (
        world.store.filed(world.officer, Exhibit, exhibit.id).state
        is ExhibitState.EXAMINED
    )


def test_results_of_two_states_are_told_of(world: World) -> None:
    lot = a_lot(world, "a", "b")
    job = a_job(world, lot)
    other = {"policy": "q" * 64}
    again = world.store.begin_job(
        world.officer, lot.id, JobKind.SCORE, examined_by=other
    )
    assert again.id == job.id
    assert again.examined_by == (other,)  # nothing was found by the first
    (held, _) = world.store.lease("w")
    assert finish(world, held)
    assert world.store.finders(world.officer, lot.id) == (other,)
    mixed = a_job(world, lot)
    assert mixed.examined_by == (other, FOUND_BY)


def test_another_organisation_sees_nothing_of_a_lot(world: World) -> None:
    lot = a_lot(world, "a")
    job = a_job(world, lot)
    other = world.stranger
    store = world.store
    for act in (
        lambda: store.filed(other, Lot, lot.id),
        lambda: store.submit(other, lot.id, photos("x")),
        lambda: store.withdraw_from(other, lot.id, 0),
        lambda: store.photo_arrived(other, lot.id, digest_of("a"), locator="x"),
        lambda: store.begin_job(other, lot.id, JobKind.SCORE, examined_by={}),
        lambda: store.job(other, job.id),
        lambda: store.move_job(other, job.id, JobState.CANCELLED),
        lambda: store.retry_failed(other, job.id),
        lambda: store.end_job(other, job.id, started_at=None, result={}),
        lambda: store.tally(other, lot.id),
        lambda: list(store.results(other, lot.id)),
        lambda: store.finished_since(other, lot.id, 0),
        lambda: store.finders(other, lot.id),
        lambda: store.count_tried(other, lot.id),
        lambda: store.close_origin(other, lot.id),
        lambda: store.plan_lot(other, lot.id, {}),
        lambda: store.move(other, Lot, lot.id, LotState.SCORED),
    ):
        with pytest.raises(NotFoundError):
            act()
    assert store.list_filed(other, Lot).items == ()
    assert store.list_jobs(other).items == ()


# --- shared out beforehand, as a cluster does it --------------------------------------


def test_of_what_was_shared_out_only_what_is_left_and_free_is_leased(
    world: World, clock: Clock
) -> None:
    job = a_job(world, a_lot(world, "a", "b", "c", "d"))
    ids = world.store.waiting(job.id, limit=10)
    (others,) = world.store.lease("other", limit=1)
    (done,) = world.store.lease("run/1", limit=1)
    assert finish(world, done)
    assert world.store.waiting(job.id, limit=1) == ids[2:3]

    def shared_out(worker: str) -> list[str]:
        leases = world.store.lease_these(
            worker, job.id, ids[:3], is_lost=lambda name: name.startswith("run/")
        )
        return [one.name for one in leases]

    assert shared_out("run/2") == ["c"]
    assert shared_out("run/3") == ["c"]  # handed on, although its lease has not run out
    clock.advance(seconds=121)
    assert shared_out("run/4") == ["a"]
    assert not finish(world, others)


def test_who_lost_its_share_finishes_nothing_of_it(world: World) -> None:
    job = a_job(world, a_lot(world, "a"))
    ids = world.store.waiting(job.id, limit=10)
    (slow,) = world.store.lease_these("run/1", job.id, ids, is_lost=bool)
    (taken,) = world.store.lease_these("run/2", job.id, ids, is_lost=bool)
    assert not finish(world, slow)
    assert finish(world, taken)
    assert world.store.lease_these("run/3", job.id, ids, is_lost=bool) == ()
    assert len(world.store.list_examinations(world.officer).items) == 1


def test_a_share_that_kills_its_workers_is_tried_alone_and_given_up(
    world: World,
) -> None:
    job = a_job(world, a_lot(world, "a", "b"))
    ids = world.store.waiting(job.id, limit=10)
    workers = count()

    def shared_out() -> list[str]:
        leases = world.store.lease_these(f"w{next(workers)}", job.id, ids, is_lost=bool)
        return [one.name for one in leases]

    tries = [shared_out() for _ in range(MAX_ATTEMPTS + 1)]
    assert tries == [["a", "b"], *[["a"]] * (MAX_ATTEMPTS - 1), ["b"]]


def test_a_share_of_work_that_is_paused_is_not_leased(world: World) -> None:
    job = a_job(world, a_lot(world, "a"))
    ids = world.store.waiting(job.id, limit=10)
    world.store.move_job(world.officer, job.id, JobState.PAUSED)
    assert world.store.lease_these("w", job.id, ids, is_lost=bool) == ()


def test_a_job_of_which_nothing_is_left_ends_when_a_share_is_asked_for(
    world: World,
) -> None:
    lot = a_lot(world, "a")
    job = a_job(world, lot)
    world.store.withdraw_from(world.officer, lot.id, 0)
    assert world.store.lease_these("w", job.id, (), is_lost=bool) == ()
    assert world.store.job(world.officer, job.id).state is JobState.DONE


def test_workers_that_were_stopped_are_not_counted_as_deaths(world: World) -> None:
    a_job(world, a_lot(world, "a", "b"))
    for number in range(MAX_ATTEMPTS + 1):
        assert len(world.store.lease(f"w{number}")) == 2
        assert world.store.take_from_dead(bool, untried=True) == 2


def test_a_photo_that_is_not_in_the_image_store_is_named(world: World) -> None:
    lot = world.store.file(world.officer, Lot, LotFields("L-1"))
    sent = SubmissionFields("sent", locator="blob:" + "0" * 64, identity="1")
    world.store.submit(world.officer, lot.id, [sent])
    job = a_job(world, lot)
    assert world.store.name_of_unsent(job.id) is None
    world.store.submit(world.officer, lot.id, photos("kept"))
    assert world.store.name_of_unsent(job.id) == "kept"

"""Photos that are listed again and again, in lots of any size; on both databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine, event
from store.world import World, digest_of, examination_draft, raw

from touchstone.store import (
    JobKind,
    Lot,
    LotFields,
    Result,
    Submission,
    SubmissionFields,
    SubmissionState,
)

_BY_DIGEST = "ix_submission_organisation_id_photo_digest"


def photo(name: str, **more: str) -> SubmissionFields:
    return SubmissionFields(name, locator="stub:", **{"identity": "1", **more})


def sent(name: str) -> SubmissionFields:
    return photo(name, photo_digest=digest_of(name), identity=digest_of(name))


def a_lot(world: World) -> Lot:
    return world.store.file(world.officer, Lot, LotFields("L-1"))


@contextmanager
def look_ups() -> Iterator[list[tuple[str, Any]]]:
    """Gather the queries for whole submissions that are asked meanwhile."""
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _u: Any, words: str, values: Any, _x: Any, _m: bool) -> None:
        if words.startswith("SELECT submission.id, submission.organisation_id"):
            asked.append((words, values))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_photos_are_looked_up_by_the_batch(world: World) -> None:
    lot = a_lot(world)
    drafts = [sent(f"sent {n}") for n in range(20)]
    drafts += [photo(f"kept {n}") for n in range(20)]
    with look_ups() as first:
        begun = world.store.submit(world.officer, lot.id, drafts)
    with look_ups() as second:
        again = world.store.submit(world.officer, lot.id, drafts[::-1])
    assert len({one.id for one in begun}) == len(drafts)
    assert again == begun[::-1]
    assert len(first) <= 2
    assert len(second) <= 2


def test_photos_are_looked_up_along_the_index_of_digests(
    world: World, url: str
) -> None:
    if not url.startswith("sqlite"):
        pytest.skip("PostgreSQL plans by what the table holds, which is little here")
    lot = a_lot(world)
    with look_ups() as asked:
        world.store.submit(world.officer, lot.id, [sent("a"), sent("b")])
        world.store.announce(world.officer, lot.id, [sent("b"), sent("c")])
        world.store.photo_arrived(world.officer, lot.id, digest_of("a"), locator="x")
    assert len(asked) == 3
    with raw(url) as connection:
        for words, values in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {words}", values)
            assert _BY_DIGEST in " ".join(str(row) for row in plan)


def test_what_is_the_same_photo_is_listed_once_within_a_batch_too(
    world: World,
) -> None:
    lot = a_lot(world)
    other = replace(sent("a"), identity="another")
    drafts = [sent("a"), sent("a"), other, photo("a"), photo("a"), photo("b")]
    rows = world.store.submit(world.officer, lot.id, drafts)
    assert [one.position for one in rows] == [0, 0, 1, 2, 2, 3]
    world.store.withdraw_from(world.officer, lot.id, 2)
    again = world.store.submit(world.officer, lot.id, drafts)
    assert [one.position for one in again] == [0, 0, 1, 4, 4, 5]
    elsewhere = world.store.submit(world.officer, a_lot(world).id, drafts)
    assert not {one.id for one in rows} & {one.id for one in elsewhere}


# --- numbers of finishing -------------------------------------------------------------


def score(world: World, lot: Lot) -> None:
    world.store.begin_job(world.officer, lot.id, JobKind.SCORE, examined_by={})
    workers = count()
    while leases := world.store.lease(f"w{next(workers)}"):
        for leased in leases:
            result = Result(row_json="{}", finding="inconclusive")
            assert world.store.finish(leased, result, examination_draft(leased.name))


def since(world: World, lot: Lot, seq: int) -> list[tuple[str, int | None]]:
    found = world.store.finished_since(world.officer, lot.id, seq)
    return [(one.name, one.finished_seq) for one in found]


def placed(world: World, lot: Lot, *drafts: SubmissionFields) -> list[Submission]:
    return list(world.store.submit(world.officer, lot.id, drafts, first=0))


def test_who_follows_a_lot_misses_nothing_that_is_begun_anew(world: World) -> None:
    lot = a_lot(world)
    placed(world, lot, photo("a"), photo("b"))
    score(world, lot)
    assert since(world, lot, 0) == [("a", 1), ("b", 2)]
    placed(world, lot, photo("a"), photo("b", identity="2"))
    assert since(world, lot, 0) == [("a", 1)]
    score(world, lot)
    assert since(world, lot, 2) == [("b", 3)]
    gone = SubmissionFields("b", identity="absent", problem="no file")
    placed(world, lot, photo("a"), gone)
    assert since(world, lot, 3) == [("b", 4)]
    placed(world, lot, photo("a"), gone)  # the same: no news
    assert since(world, lot, 3) == [("b", 4)]
    placed(world, lot, photo("a"), replace(gone, identity="locked"))
    assert since(world, lot, 3) == [("b", 5)]


def test_who_follows_a_lot_misses_nothing_after_a_withdrawal(world: World) -> None:
    lot = a_lot(world)
    placed(world, lot, photo("a"), photo("b"))
    score(world, lot)
    world.store.withdraw_from(world.officer, lot.id, 1)
    assert since(world, lot, 0) == [("a", 1)]
    placed(world, lot, photo("a"), photo("b"))
    score(world, lot)
    assert since(world, lot, 2) == [("b", 3)]


@pytest.mark.parametrize("declared", ["declared_product", "declared_gtin"])
def test_what_is_declared_otherwise_is_examined_anew(
    world: World, declared: str
) -> None:
    lot = a_lot(world)
    before, after = photo("a", **{declared: "1"}), photo("a", **{declared: "2"})
    placed(world, lot, before)
    score(world, lot)
    (kept,) = placed(world, lot, before)
    assert kept.state is SubmissionState.EXAMINED
    (anew,) = placed(world, lot, after)
    assert anew.state is SubmissionState.QUEUED
    assert getattr(anew, declared) == "2"


# --- listed again, elsewhere ----------------------------------------------------------


def at(place: str) -> list[SubmissionFields]:
    return [
        SubmissionFields(name, locator=f"zip:{place}#{number}", identity=name)
        for number, name in enumerate(("done", "failed", "open"))
    ]


def test_what_is_unfinished_is_read_where_it_lies_now(world: World) -> None:
    store, lot = world.store, a_lot(world)
    store.submit(world.officer, lot.id, at("here"), first=0)
    store.begin_job(world.officer, lot.id, JobKind.SCORE, examined_by={})
    done, failed = store.lease("w", limit=2)
    result = Result(row_json="{}", finding="inconclusive")
    assert store.finish(done, result, examination_draft("done"))
    assert store.finish(failed, Result(error="The archive has been changed."), None)
    for _ in range(2):
        again = store.submit(world.officer, lot.id, at("there"), first=0)
        assert [one.state for one in again] == [
            SubmissionState.EXAMINED,
            SubmissionState.QUEUED,
            SubmissionState.QUEUED,
        ]
    leases = store.lease("w")
    assert [one.locator for one in leases] == ["zip:there#1", "zip:there#2"]


def test_what_is_listed_by_its_digest_is_read_where_it_lies_now(world: World) -> None:
    store, lot = world.store, a_lot(world)
    draft = replace(sent("a"), locator="zip:here#1")
    store.submit(world.officer, lot.id, [draft])
    store.submit(world.officer, lot.id, [replace(draft, locator="zip:there#2")])
    store.begin_job(world.officer, lot.id, JobKind.SCORE, examined_by={})
    (leased,) = store.lease("w")
    assert leased.locator == "zip:there#2"

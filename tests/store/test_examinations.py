"""Examinations and idempotency keys."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from store.world import (
    Clock,
    World,
    digest_of,
    examination_draft,
    raw,
)

from touchstone.errors import (
    ConflictError,
    IdempotencyMismatchError,
)
from touchstone.store import (
    StoredResponse,
    new_id,
)

ANSWER = StoredResponse(201, (("Location", "/v1/secret"),), b"the answer")


def test_an_examination_is_read_as_it_was_recorded(world: World) -> None:
    made = world.enrol()
    store = world.store
    recorded = store.record_examination(
        world.officer,
        examination_draft(
            reference_set_id=made.reference_set.id, specimen_id=made.specimen.id
        ),
    )
    assert recorded.photo_digest == recorded.photo_digests[0] == digest_of("a photo")
    assert recorded.record_digest == digest_of(recorded.record_json)
    assert recorded.key_id == world.officer.key_id
    assert store.examination(world.officer, recorded.id) == recorded
    assert store.examination(world.operator, recorded.id) == recorded


def test_the_newest_examinations_come_first(world: World) -> None:
    store = world.store
    made = store.record_examinations(
        world.officer, [examination_draft(f"photo {number}") for number in range(5)]
    )
    newest = sorted((item.id for item in made), reverse=True)
    first = store.list_examinations(world.officer, limit=3)
    rest = store.list_examinations(world.officer, limit=3, after=first.next_cursor)
    assert [item.id for item in (*first.items, *rest.items)] == newest
    assert rest.next_cursor is None
    assert store.list_examinations(world.stranger).items == ()
    assert len(store.list_examinations(world.operator).items) == 5
    found = store.list_examinations(world.officer, photo_digest=digest_of("photo 3"))
    assert [item.photo_digest for item in found.items] == [digest_of("photo 3")]


def test_a_batch_is_recorded_whole_or_not_at_all(world: World) -> None:
    before = world.store.chain_head()
    drafts = [
        *(examination_draft(f"photo {number}") for number in range(3)),
        examination_draft("bad", reference_set_id=new_id()),
    ]
    with pytest.raises(ConflictError):
        world.store.record_examinations(world.officer, drafts)
    assert world.store.list_examinations(world.officer).items == ()
    assert world.store.chain_head() == before
    assert world.store.record_examinations(world.officer, []) == ()


def test_the_same_request_is_answered_once_and_then_again_alike(
    world: World, clock: Clock
) -> None:
    store, caller, digest = world.store, world.officer, digest_of("request")

    def begin(**changes: object) -> StoredResponse | None:
        fields = {"request_digest": digest, "now": clock.now, **changes}
        return store.begin_idempotent(caller, "key", **fields)  # type: ignore[arg-type]

    assert begin() is None
    with pytest.raises(ConflictError):
        begin()
    with pytest.raises(IdempotencyMismatchError):
        begin(request_digest=digest_of("another"))
    store.finish_idempotent(caller, "key", response=ANSWER)
    assert begin() == ANSWER
    # The first answer stays, whatever comes late.
    store.finish_idempotent(caller, "key", response=StoredResponse(500, (), b"late"))
    store.abandon_idempotent(caller, "key")
    assert begin() == ANSWER
    with pytest.raises(IdempotencyMismatchError):
        begin(request_digest=digest_of("another"))
    clock.advance(hours=24, seconds=1)
    assert begin(request_digest=digest_of("another")) is None


def test_an_abandoned_request_may_be_tried_anew(world: World, clock: Clock) -> None:
    for word in ("first", "second"):
        digest = digest_of(word)
        assert (
            world.store.begin_idempotent(
                world.officer, "key", request_digest=digest, now=clock.now
            )
            is None
        )
        world.store.abandon_idempotent(world.officer, "key")


def test_a_request_whose_worker_died_is_taken_over_after_a_minute(
    world: World, clock: Clock
) -> None:
    def begin() -> StoredResponse | None:
        return world.store.begin_idempotent(
            world.officer, "key", request_digest="a" * 64, now=clock.now
        )

    assert begin() is None
    clock.advance(seconds=59)
    with pytest.raises(ConflictError):
        begin()
    clock.advance(seconds=1)
    assert begin() is None
    with pytest.raises(ConflictError):
        begin()


def test_of_many_concurrent_requests_one_acts(world: World, clock: Clock) -> None:
    def begin(_: int) -> str:
        try:
            world.store.begin_idempotent(
                world.officer, "key", request_digest="a" * 64, now=clock.now
            )
        except ConflictError:
            return "waits"
        return "acts"

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(begin, range(8))) == ["acts", *["waits"] * 7]


def test_yesterdays_requests_are_purged(world: World, clock: Clock, url: str) -> None:
    def begin(key: str) -> None:
        world.store.begin_idempotent(
            world.officer, key, request_digest="a" * 64, now=clock.now
        )

    begin("old")
    clock.advance(hours=25)
    begin("new")
    with raw(url) as connection:
        keys = connection.scalars(text("SELECT key FROM idempotency")).all()
    assert keys == ["new"]

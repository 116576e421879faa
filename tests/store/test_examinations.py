"""Examinations and idempotency keys."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

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
    BusyError,
    ConflictError,
    IdempotencyMismatchError,
)
from touchstone.store import (
    Attempt,
    ProductFields,
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


def begun(world: World, clock: Clock, *, word: str = "request") -> Attempt:
    """The attempt that is to answer a request under "key"."""
    attempt = world.store.begin_idempotent(
        world.officer, "key", request_digest=digest_of(word), now=clock.now
    )
    assert isinstance(attempt, Attempt)
    return attempt


def test_the_same_request_is_answered_once_and_then_again_alike(
    world: World, clock: Clock
) -> None:
    store, caller, digest = world.store, world.officer, digest_of("request")

    def again(**changes: object) -> StoredResponse | Attempt:
        fields = {"request_digest": digest, "now": clock.now, **changes}
        return store.begin_idempotent(caller, "key", **fields)  # type: ignore[arg-type]

    attempt = begun(world, clock)
    with pytest.raises(ConflictError):
        again()
    with pytest.raises(IdempotencyMismatchError):
        again(request_digest=digest_of("another"))
    store.finish_idempotent(caller, attempt, response=ANSWER)
    assert again() == ANSWER
    # The first answer stays, whatever comes late.
    late = StoredResponse(500, (), b"late")
    store.finish_idempotent(caller, attempt, response=late)
    store.abandon_idempotent(caller, attempt)
    assert again() == ANSWER
    with pytest.raises(IdempotencyMismatchError):
        again(request_digest=digest_of("another"))
    clock.advance(hours=24, seconds=1)
    assert isinstance(again(request_digest=digest_of("another")), Attempt)


def test_an_abandoned_request_may_be_tried_anew(world: World, clock: Clock) -> None:
    for word in ("first", "second"):
        attempt = begun(world, clock, word=word)
        world.store.abandon_idempotent(world.officer, attempt)


def test_a_request_whose_worker_died_is_taken_over_after_a_minute(
    world: World, clock: Clock
) -> None:
    begun(world, clock)
    clock.advance(seconds=59)
    with pytest.raises(ConflictError):
        begun(world, clock)
    clock.advance(seconds=1)
    begun(world, clock)
    with pytest.raises(ConflictError):
        begun(world, clock)


def test_a_request_that_is_alive_is_not_taken_over_however_long_it_takes(
    world: World, clock: Clock
) -> None:
    attempt = begun(world, clock)
    for _ in range(10):
        clock.advance(seconds=30)
        assert world.store.keep_idempotent(world.officer, attempt, now=clock.now)
        with pytest.raises(ConflictError):
            begun(world, clock)
    clock.advance(seconds=60)
    begun(world, clock)
    assert not world.store.keep_idempotent(world.officer, attempt, now=clock.now)


def test_who_takes_over_after_the_record_was_made_is_given_that_record(
    world: World, clock: Clock
) -> None:
    store, first = world.store, begun(world, clock)
    made = store.record_examination(
        replace(world.officer, attempt=first), examination_draft()
    )
    clock.advance(seconds=60)  # and then it died
    second = begun(world, clock)
    assert second.made_id == made.id
    # Should it examine all the same, there is still one record.
    again = store.record_examination(
        replace(world.officer, attempt=second), examination_draft("another photo")
    )
    assert again == made
    assert store.list_examinations(world.officer).items == (made,)
    assert store.verify_chain().ok


def test_an_attempt_that_was_taken_over_writes_nothing_any_more(
    world: World, clock: Clock
) -> None:
    store, first = world.store, begun(world, clock)
    clock.advance(seconds=60)
    second = begun(world, clock)
    stale = replace(world.officer, attempt=first)
    for _ in range(2):  # while the second acts, and after it has answered
        before = store.chain_head()
        with pytest.raises(BusyError):
            store.record_examination(stale, examination_draft())
        with pytest.raises(BusyError):
            store.record_examinations(stale, [examination_draft()])
        store.finish_idempotent(world.officer, first, response=ANSWER)
        store.abandon_idempotent(world.officer, first)
        assert store.chain_head() == before
        store.finish_idempotent(world.officer, second, response=ANSWER)
    assert store.list_examinations(world.officer).items == ()
    # What else is written is fenced as well.
    product = ProductFields("P-1")
    with pytest.raises(BusyError):
        store.create_product(replace(world.brand, attempt=first), product)


def test_a_failure_after_the_record_leaves_the_key_with_it(
    world: World, clock: Clock
) -> None:
    attempt = begun(world, clock)
    made = world.store.record_examination(
        replace(world.officer, attempt=attempt), examination_draft()
    )
    world.store.abandon_idempotent(world.officer, attempt)
    # A beat that was under way does not bring the attempt back to life.
    assert not world.store.keep_idempotent(world.officer, attempt, now=clock.now)
    assert begun(world, clock).made_id == made.id


def test_a_record_that_is_refused_is_not_noted_with_the_key(
    world: World, clock: Clock
) -> None:
    attempt = begun(world, clock)
    acting = replace(world.officer, attempt=attempt)
    bad = examination_draft("bad", reference_set_id=new_id())
    with pytest.raises(ConflictError):
        world.store.record_examination(acting, bad)
    made = world.store.record_examination(acting, examination_draft())
    assert world.store.list_examinations(world.officer).items == (made,)


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

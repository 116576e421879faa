"""Photos that are announced before they are sent; on both databases."""

import pytest
from store.world import World, digest_of

from touchstone.errors import InvalidInputError, NotFoundError
from touchstone.store import (
    Caller,
    Exhibit,
    JobKind,
    Lot,
    LotFields,
    Result,
    SubmissionFields,
    SubmissionState,
)


def a_lot(world: World, by: Caller | None = None) -> Lot:
    return world.store.file(by or world.officer, Lot, LotFields("L-1"))


def photo(name: str, word: str | None = None, **more: str) -> SubmissionFields:
    return SubmissionFields(name, photo_digest=digest_of(word or name), **more)


def announced(
    world: World, lot: Lot, *drafts: SubmissionFields, by: Caller | None = None
) -> list[tuple[bool, SubmissionState]]:
    told = world.store.announce(by or world.officer, lot.id, drafts)
    return [(one.is_new, one.submission.state) for one in told]


AWAITED, HERE = SubmissionState.AWAITING, SubmissionState.QUEUED


def test_each_photo_is_listed_once_by_name_and_digest(world: World) -> None:
    lot = a_lot(world)
    first = announced(world, lot, photo("a"), photo("b"), photo("a"))
    assert first == [(True, AWAITED), (True, AWAITED), (False, AWAITED)]
    again = announced(world, lot, photo("b"), photo("a", "other"), photo("c", "b"))
    assert again == [(False, AWAITED), (True, AWAITED), (True, AWAITED)]
    listed = world.store.list_submissions(world.officer, lot.id).items
    assert [(one.position, one.name) for one in listed] == [
        (0, "a"),
        (1, "b"),
        (2, "a"),
        (3, "c"),
    ]


def test_what_arrives_is_queued_for_all_who_await_it_and_never_awaited_again(
    world: World,
) -> None:
    lot, other = a_lot(world), a_lot(world)
    announced(world, lot, photo("a"), photo("b", "a"), photo("c"))
    announced(world, other, photo("z", "a"))
    arrived = world.store.photo_arrived
    where = f"blob:{digest_of('a')}"
    assert arrived(world.officer, lot.id, digest_of("a"), locator=where) == 2
    assert arrived(world.officer, lot.id, digest_of("a"), locator=where) == 0
    # The other lot learns of it when it asks again.
    assert announced(world, other, photo("z", "a")) == [(False, HERE)]
    assert announced(world, other, photo("new", "a")) == [(True, HERE)]
    (leased, *_) = world.store.lease("w", limit=1) or (None,)
    assert leased is None  # no job yet
    world.store.begin_job(world.officer, lot.id, JobKind.SCORE, examined_by={})
    assert [one.locator for one in world.store.lease("w")] == [where, where]


def test_only_what_was_uploaded_is_held(world: World) -> None:
    lot = a_lot(world)
    draft = photo("a", locator="file:/tmp/a.jpg")
    world.store.submit(world.officer, lot.id, [draft])
    assert world.store.locator_of(world.officer, digest_of("a")) is None
    assert announced(world, lot, photo("b", "a")) == [(True, AWAITED)]


def test_no_digest_tells_what_another_organisation_holds(world: World) -> None:
    lot = a_lot(world)
    where = f"blob:{digest_of('a')}"
    announced(world, lot, photo("a", locator=where))
    assert world.store.locator_of(world.officer, digest_of("a")) == where
    theirs = a_lot(world, world.stranger)
    assert announced(world, theirs, photo("a"), by=world.stranger) == [(True, AWAITED)]
    assert world.store.locator_of(world.stranger, digest_of("a")) is None


def test_missing_digests_come_once_sorted_and_in_pages(world: World) -> None:
    lot = a_lot(world)
    words = [f"photo {n}" for n in range(5)]
    announced(world, lot, *map(photo, words), photo("again", words[0]))
    wanted = sorted(map(digest_of, words))
    found: list[str] = []
    after = None
    while True:
        page = world.store.list_missing(world.officer, lot.id, after=after, limit=2)
        found += page.items
        after = page.next_cursor
        if after is None:
            break
    assert found == wanted
    with pytest.raises(InvalidInputError):
        world.store.list_missing(world.officer, lot.id, after="x")


def test_submissions_come_in_order_by_state_and_in_pages(world: World) -> None:
    lot = a_lot(world)
    names = [f"{n}" for n in range(7)]
    announced(world, lot, *map(photo, names))
    where = f"blob:{digest_of('3')}"
    world.store.photo_arrived(world.officer, lot.id, digest_of("3"), locator=where)
    first = world.store.list_submissions(world.officer, lot.id, limit=4)
    rest = world.store.list_submissions(
        world.officer, lot.id, after=first.next_cursor, limit=4
    )
    assert [one.name for one in (*first.items, *rest.items)] == names
    assert rest.next_cursor is None
    queued = world.store.list_submissions(world.officer, lot.id, state=HERE)
    assert [one.name for one in queued.items] == ["3"]
    other = a_lot(world)
    with pytest.raises(InvalidInputError):
        world.store.list_submissions(world.officer, other.id, after=first.next_cursor)


def test_what_is_announced_is_logged_with_its_exhibit_and_a_digest(
    world: World,
) -> None:
    lot = a_lot(world)
    announced(world, lot, photo("a", exhibit_no="17"), photo("b"))
    (exhibit,) = world.store.list_filed(world.officer, Exhibit, under=lot.id).items
    listed = world.store.list_submissions(world.officer, lot.id).items
    assert [one.exhibit_id for one in listed] == [exhibit.id, None]
    assert announced(world, lot, photo("a")) == [(False, AWAITED)]
    kept = world.store.list_submissions(world.officer, lot.id).items
    assert kept == listed
    with pytest.raises(InvalidInputError):
        announced(world, lot, SubmissionFields("no digest"))
    assert world.store.verify_chain().ok


def test_nobody_announces_sends_or_lists_in_anothers_lot(world: World) -> None:
    store, lot = world.store, a_lot(world)
    announced(world, lot, photo("a"))
    digest = digest_of("a")
    store.check_listed(world.officer, lot.id, digest)
    with pytest.raises(NotFoundError):
        store.check_listed(world.officer, lot.id, digest_of("b"))
    # An administrator reads, but what it began would match against every reference.
    for caller in (world.stranger, world.operator):
        for act in (
            lambda by: store.announce(by, lot.id, [photo("b")]),
            lambda by: store.submit(by, lot.id, [photo("b")]),
            lambda by: store.check_listed(by, lot.id, digest),
            lambda by: store.photo_arrived(by, lot.id, digest, locator="blob:x"),
            lambda by: store.begin_job(by, lot.id, JobKind.SCORE, examined_by={}),
        ):
            with pytest.raises(NotFoundError):
                act(caller)
    for read in (store.list_submissions, store.list_missing):
        with pytest.raises(NotFoundError):
            read(world.stranger, lot.id)
        assert len(read(world.operator, lot.id).items) == 1


def test_a_number_of_finishing_is_never_given_twice(world: World) -> None:
    """Whoever follows from the last number must not miss what is tried again."""
    store, lot = world.store, a_lot(world)
    announced(world, lot, photo("a", locator="blob:a"))
    job = store.begin_job(world.officer, lot.id, JobKind.SCORE, examined_by={})

    def finish() -> list[int | None]:
        (leased,) = store.lease("w")
        assert store.finish(leased, Result(error="It cannot be read."), None)
        since = store.finished_since(world.officer, lot.id, 0)
        return [one.finished_seq for one in since]

    assert finish() == [1]
    store.retry_failed(world.officer, job.id)
    assert store.finished_since(world.officer, lot.id, 0) == ()
    assert finish() == [2]

"""What was concluded on lots: kept once for each basis, by nobody changed."""

import pytest
from sqlalchemy import exc, text
from store.world import World, digest_of, drop_triggers, raw

from touchstone.errors import ConflictError, NotFoundError
from touchstone.store import Lot, LotFields, SubmissionFields

BASIS, OTHER = digest_of("a basis"), digest_of("another")


def a_lot(world: World) -> str:
    return world.store.file(world.officer, Lot, LotFields("L")).id


def test_the_first_conclusion_on_a_basis_is_the_one_that_is_kept(world: World) -> None:
    store, officer, lot = world.store, world.officer, a_lot(world)
    assert store.kept_conclusion(officer, lot, BASIS) is None
    first = store.keep_conclusion(officer, lot, BASIS, '{"a": 1}')
    head = store.chain_head()
    assert store.keep_conclusion(officer, lot, BASIS, '{"a": 2}') == first
    assert store.chain_head() == head
    assert first.document_json == '{"a": 1}'
    assert (first.lot_id, first.key_id) == (lot, officer.key_id)
    assert store.kept_conclusion(officer, lot, BASIS) == first
    later = store.keep_conclusion(officer, lot, OTHER, '{"a": 3}')
    assert store.kept_conclusion(officer, lot, BASIS) == first
    assert store.kept_conclusion(officer, lot, OTHER) == later
    last = store.list_audit_events(world.operator, limit=1000).items[-1]
    assert (last.action, last.object_id) == ("conclusion.record", OTHER)


def test_a_basis_is_of_one_lot_alone(world: World) -> None:
    store, officer = world.store, world.officer
    lot, other = a_lot(world), a_lot(world)
    store.keep_conclusion(officer, lot, BASIS, "{}")
    assert store.kept_conclusion(officer, other, BASIS) is None
    with pytest.raises(ConflictError):
        store.keep_conclusion(officer, other, BASIS, "{}")


def test_who_does_not_see_the_lot_sees_nothing_concluded_on_it(world: World) -> None:
    store, lot = world.store, a_lot(world)
    kept = store.keep_conclusion(world.officer, lot, BASIS, "{}")
    with pytest.raises(NotFoundError):
        store.kept_conclusion(world.stranger, lot, BASIS)
    assert store.kept_conclusion(world.operator, lot, BASIS) == kept
    with pytest.raises(NotFoundError):  # it reads, and puts nothing there
        store.keep_conclusion(world.operator, lot, OTHER, "{}")


@pytest.mark.parametrize(
    "change",
    ["UPDATE conclusion SET document_json = 'forged'", "DELETE FROM conclusion"],
)
def test_nobody_changes_a_conclusion_unseen(
    world: World, url: str, change: str
) -> None:
    store = world.store
    store.keep_conclusion(world.officer, a_lot(world), BASIS, "{}")
    assert list(store.altered_conclusions()) == []
    with raw(url) as connection:
        with pytest.raises(exc.IntegrityError), connection.begin_nested():
            connection.execute(text(change))
        drop_triggers(connection)
        connection.execute(text(change))
    assert list(store.altered_conclusions()) == [BASIS]


def test_a_conclusion_that_nobody_recorded_is_found(world: World, url: str) -> None:
    store, lot = world.store, a_lot(world)
    store.keep_conclusion(world.officer, lot, BASIS, "{}")
    with raw(url) as connection:
        connection.execute(
            text(
                "INSERT INTO conclusion SELECT :basis, organisation_id, lot_id, "
                "document_json, made_at, key_id FROM conclusion"
            ),
            {"basis": OTHER},
        )
    assert list(store.altered_conclusions()) == [OTHER]


def test_photos_are_read_with_or_without_their_profiles(world: World) -> None:
    store, officer, lot = world.store, world.officer, a_lot(world)
    store.submit(officer, lot, [SubmissionFields("a.jpg", locator="stub:")])
    (whole,) = store.lot_items(officer, lot)
    (bare,) = store.lot_items(officer, lot, with_profiles=False)
    assert bare == whole
    assert bare.profile == b""

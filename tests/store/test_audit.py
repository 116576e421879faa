"""The audit log: appended with each act, never changed, and not changed unseen."""

import json
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import Connection, exc, insert, select, text
from store.world import PEPPER, World, digest_of, drop_triggers, examination_draft, raw

from touchstone.errors import NotAllowedError
from touchstone.store import AuditEvent, ChainReport, Checkpoint, SetStatus, Store
from touchstone.store.audit import GENESIS, event_hash, replace_hash
from touchstone.store.tables import AuditEventRow


def events_of(world: World) -> tuple[AuditEvent, ...]:
    return world.store.list_audit_events(world.operator, limit=1000).items


def columns(event: AuditEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in AuditEvent.__slots__}


def test_every_act_leaves_one_event_with_its_actor(world: World) -> None:
    store, brand = world.store, world.brand
    before = store.chain_head().seq
    made = world.enrol()
    set_id = made.reference_set.id
    store.grant(brand, set_id, authority_id=world.authority.id)
    store.revoke(brand, set_id, authority_id=world.authority.id)
    store.withdraw_specimen(brand, made.specimen.id)
    store.set_status(brand, set_id, status=SetStatus.WITHDRAWN)
    store.record_examination(brand, examination_draft())
    assert brand.key_id is not None
    store.revoke_key(brand, brand.key_id)
    page = store.list_audit_events(world.operator, after=str(before))
    assert [event.action for event in page.items] == [
        "product.create",
        "reference_set.create",
        "specimen.enrol",
        "grant.give",
        "grant.revoke",
        "specimen.withdraw",
        "reference_set.status",
        "examination.record",
        "key.revoke",
    ]
    assert {event.actor_key_id for event in page.items} == {brand.key_id}
    assert {event.organisation_id for event in page.items} == {brand.organisation_id}
    assert page.items[2].object_id == made.specimen.id
    assert json.loads(page.items[2].detail)["set_digest"] == made.reference_set.digest


def test_making_organisations_and_keys_is_on_the_log(world: World) -> None:
    actions = [event.action for event in events_of(world)]
    assert actions.count("organisation.create") == 5
    assert actions.count("key.issue") == 4


def test_the_chain_links_from_genesis_to_head(world: World) -> None:
    events = events_of(world)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.prev_hash for event in events] == [
        GENESIS,
        *(event.hash for event in events[:-1]),
    ]
    head = world.store.chain_head()
    assert head == Checkpoint(events[-1].seq, events[-1].hash)
    assert world.store.verify_chain(head) == ChainReport(
        events=len(events), ok=True, first_bad_seq=None, head_hash=head.hash
    )


def test_the_hash_is_the_documented_one() -> None:
    # Written out, so that whoever verifies a log without us can do it by this.
    event = AuditEvent(
        seq=7,
        at=datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC),
        actor_key_id=None,
        organisation_id="o",
        action="grant.give",
        object_type="grant",
        object_id="g",
        detail='{"é":1}',
        prev_hash="p",
        hash="",
    )
    said = (
        '{"action":"grant.give","actor_key_id":null,"at":"2026-01-31T12:00:00.000005Z"'
        ',"detail":"{\\"é\\":1}","object_id":"g","object_type":"grant",'
        '"organisation_id":"o","prev_hash":"p","seq":7}'
    )
    assert event_hash(event) == sha256(said.encode()).hexdigest()


def test_an_empty_log_is_whole(store: Store) -> None:
    assert store.verify_chain() == ChainReport(0, True, None, GENESIS)
    assert store.chain_head() == Checkpoint(0, GENESIS)


def test_only_administrators_read_the_log(world: World) -> None:
    for caller in (world.brand, world.officer):
        with pytest.raises(NotAllowedError):
            world.store.list_audit_events(caller)


def test_the_log_is_read_in_pages(world: World) -> None:
    everything = events_of(world)
    first = world.store.list_audit_events(world.operator, limit=4)
    rest = world.store.list_audit_events(world.operator, after=first.next_cursor)
    assert first.items + rest.items == everything
    assert rest.next_cursor is None


# ------------------------------------------------------------------- append-only


@pytest.mark.parametrize("table", ["examination", "audit_event"])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {table} SET {column} = 'forged'",
        "DELETE FROM {table}",
        "DELETE FROM {table} WHERE {column} = ''",
    ],
)
def test_rows_can_be_neither_changed_nor_deleted(
    world: World, url: str, table: str, change: str
) -> None:
    world.store.record_examination(world.officer, examination_draft())
    column = "finding" if table == "examination" else "action"
    statement = text(change.format(table=table, column=column))
    with raw(url) as connection:
        if change.endswith("''"):
            assert connection.execute(statement).rowcount == 0  # nothing to refuse
            return
        with pytest.raises(exc.IntegrityError, match="append-only"):
            connection.execute(statement)
        connection.rollback()
    assert world.store.verify_chain().ok
    assert list(world.store.altered_examinations()) == []


def test_sqlite_rows_cannot_be_replaced_either(sqlite_url: str) -> None:
    # PostgreSQL has no REPLACE, and its ON CONFLICT fires the UPDATE trigger.
    with Store.open(sqlite_url, pepper=PEPPER, create=False) as store:
        store.record_examination(store.ensure_local_operator(), examination_draft())
    for table in ("examination", "audit_event"):
        statement = text(f"REPLACE INTO {table} SELECT * FROM {table}")  # noqa: S608
        with raw(sqlite_url) as connection:
            with pytest.raises(exc.IntegrityError, match="append-only"):
                connection.execute(statement)
            connection.rollback()


def test_postgresql_tables_cannot_be_truncated(postgresql_url: str) -> None:
    for table in ("examination", "audit_event", "custody_event", "conclusion"):
        with raw(postgresql_url) as connection:
            with pytest.raises(exc.IntegrityError, match="append-only"):
                connection.execute(text(f"TRUNCATE {table} CASCADE"))
            connection.rollback()


# --------------------------------------------------- tampering, with full rights


def edit(connection: Connection, event: int, **changes: object) -> None:
    assignments = ", ".join(f"{name} = :{name}" for name in changes)
    connection.execute(
        text(f"UPDATE audit_event SET {assignments} WHERE seq = :at_seq"),  # noqa: S608
        {**changes, "at_seq": event},
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "key.revoke"},
        {"object_id": "another"},
        {"object_type": "another"},
        {"detail": "{}"},
        {"actor_key_id": "another"},
        {"organisation_id": None},
        {"at": "2020-01-01 00:00:00.000000"},
        {"prev_hash": "0" * 64},
        {"hash": "0" * 64},
    ],
)
def test_an_edit_of_any_column_is_found_where_it_is(
    world: World, url: str, changes: dict[str, object]
) -> None:
    with raw(url) as connection:
        drop_triggers(connection)
        edit(connection, 3, **changes)
    report = world.store.verify_chain()
    assert not report.ok
    assert (report.events, report.first_bad_seq) == (2, 3)


def delete_middle(connection: Connection) -> None:
    connection.execute(text("DELETE FROM audit_event WHERE seq = 3"))


def delete_first(connection: Connection) -> None:
    connection.execute(text("DELETE FROM audit_event WHERE seq = 1"))


def swap(connection: Connection) -> None:
    for old, new in ((3, -1), (4, 3), (-1, 4)):
        edit(connection, old, seq=new)


def insert_forged(connection: Connection) -> None:
    rows = connection.execute(select(AuditEventRow.__table__)).all()
    event = AuditEvent(*rows[-1])
    forged = AuditEvent(**{**columns(event), "seq": event.seq + 1})
    connection.execute(insert(AuditEventRow), [columns(forged)])


@pytest.mark.parametrize("tamper", [delete_middle, delete_first, swap, insert_forged])
def test_deletion_swap_and_insertion_are_found(
    world: World, url: str, tamper: Callable[[Connection], None]
) -> None:
    with raw(url) as connection:
        drop_triggers(connection)
        tamper(connection)
    assert not world.store.verify_chain().ok


def test_a_cut_or_rewritten_end_is_found_by_a_checkpoint_and_only_by_it(
    world: World, url: str
) -> None:
    checkpoint = world.store.chain_head()
    events = events_of(world)
    with raw(url) as connection:
        drop_triggers(connection)
        connection.execute(
            text("DELETE FROM audit_event WHERE seq >= :last"),
            {"last": events[-1].seq},
        )
    assert world.store.verify_chain().ok
    report = world.store.verify_chain(checkpoint)
    assert (report.ok, report.first_bad_seq) == (False, checkpoint.seq)
    # The forger writes another end, with hashes that fit.
    forged = replace_hash(
        AuditEvent(**{**columns(events[-1]), "object_id": digest_of("forged")})
    )
    with raw(url) as connection:
        connection.execute(insert(AuditEventRow), [columns(forged)])
    assert world.store.verify_chain().ok
    report = world.store.verify_chain(checkpoint)
    assert (report.ok, report.first_bad_seq) == (False, checkpoint.seq)


def test_a_checkpoint_from_before_still_fits_a_log_that_grew(world: World) -> None:
    checkpoint = world.store.chain_head()
    world.enrol()
    assert world.store.verify_chain(checkpoint).ok


def forge_finding(connection: Connection) -> None:
    connection.execute(
        text("UPDATE examination SET finding = 'consistent_with_genuine'")
    )


def forge_record(connection: Connection) -> None:
    connection.execute(
        text("UPDATE examination SET record_json = '{}', record_digest = :digest"),
        {"digest": digest_of("{}")},
    )


def forge_deletion(connection: Connection) -> None:
    connection.execute(text("DELETE FROM examination"))


@pytest.mark.parametrize("tamper", [forge_finding, forge_record, forge_deletion])
def test_an_examination_that_differs_from_the_log_is_found(
    world: World, url: str, tamper: Callable[[Connection], None]
) -> None:
    recorded = world.store.record_examination(world.officer, examination_draft())
    assert list(world.store.altered_examinations()) == []
    with raw(url) as connection:
        drop_triggers(connection)
        tamper(connection)
    assert list(world.store.altered_examinations()) == [recorded.id]


def test_an_examination_that_was_slipped_in_is_found(world: World, url: str) -> None:
    world.store.record_examination(world.officer, examination_draft())
    with raw(url) as connection:
        drop_triggers(connection)
        connection.execute(text("CREATE TEMP TABLE copy AS SELECT * FROM examination"))
        connection.execute(text("UPDATE copy SET id = 'forged'"))
        connection.execute(text("INSERT INTO examination SELECT * FROM copy"))
    assert list(world.store.altered_examinations()) == ["forged"]


def test_a_thousand_tamperings_of_a_long_log_are_all_found(
    store: Store, url: str
) -> None:
    # The promise is of 100,000 events; a tenth of that keeps this suite quick. Each
    # tampering changes one random character of one random event, in memory.
    operator = store.ensure_local_operator()
    for _ in range(10):
        store.record_examinations(operator, [examination_draft()] * 1000)
    # Of the processor: what else the machine does meanwhile is none of its time.
    started = time.process_time()
    report = store.verify_chain(store.chain_head())
    elapsed_s = time.process_time() - started
    assert report == ChainReport(10_001, True, None, store.chain_head().hash)
    assert elapsed_s < 2.0
    chance = random.Random(5)  # noqa: S311 no secret
    with raw(url) as connection:
        rows = connection.execute(
            select(AuditEventRow.__table__).order_by(AuditEventRow.seq)
        ).all()
    for _ in range(1000):
        event = AuditEvent(*chance.choice(rows))
        name = chance.choice(["action", "object_id", "detail", "prev_hash", "hash"])
        value = str(getattr(event, name))
        place = chance.randrange(len(value))
        other = chr(ord(value[place]) ^ 1)
        forged = f"{value[:place]}{other}{value[place + 1 :]}"
        tampered = AuditEvent(**{**columns(event), name: forged})
        assert tampered.hash != event_hash(tampered)

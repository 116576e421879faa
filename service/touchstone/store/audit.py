"""The audit log: a chain of hashes in which no link can be changed unseen.

``hash`` is the SHA-256 of the canonical JSON of the event's other fields, its
predecessor's hash among them::

    {"action":…,"actor_key_id":…,"at":"2026-01-31T12:00:00.000000Z","detail":"{…}",
     "object_id":…,"object_type":…,"organisation_id":…,"prev_hash":…,"seq":…}

``detail`` is itself canonical JSON, hashed as the text it is. The first event follows
``GENESIS``. Who can rewrite the database can also rewrite the whole rest of a chain:
that, and a cut-off end, show only against a checkpoint kept elsewhere.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Select, exists, insert, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from touchstone.errors import InvalidInputError
from touchstone.store.database import Database
from touchstone.store.idempotency import fence
from touchstone.store.scope import MAX_LIMIT, require_admin
from touchstone.store.tables import AuditEventRow
from touchstone.store.values import (
    AuditEvent,
    Caller,
    ChainReport,
    Checkpoint,
    Page,
    canonical_json,
)

GENESIS = "0" * 64
_BATCH = 5000
_COLUMNS = [getattr(AuditEventRow, name) for name in AuditEvent.__slots__]
_SEQ = re.compile(r"[0-9]{1,18}")


class Action(StrEnum):
    """What can be done that is worth a link of the chain."""

    CREATE_ORGANISATION = "organisation.create"
    ISSUE_KEY = "key.issue"
    REVOKE_KEY = "key.revoke"
    GRANT = "grant.give"
    REVOKE_GRANT = "grant.revoke"
    CREATE_PRODUCT = "product.create"
    COMPLETE_PRODUCT = "product.complete"
    CREATE_SET = "reference_set.create"
    SET_STATUS = "reference_set.status"
    VIEW_SET = "reference_set.view"
    ENROL_SPECIMEN = "specimen.enrol"
    WITHDRAW_SPECIMEN = "specimen.withdraw"
    EXAMINE = "examination.record"
    CREATE_OPERATION = "operation.create"
    MOVE_OPERATION = "operation.state"
    CREATE_CASE = "case.create"
    MOVE_CASE = "case.state"
    CREATE_SEIZURE = "seizure.create"
    MOVE_SEIZURE = "seizure.state"
    CREATE_LOT = "lot.create"
    MOVE_LOT = "lot.state"
    PLAN_LOT = "lot.plan"
    SUBMIT_TO_LOT = "lot.submit"
    CREATE_EXHIBIT = "exhibit.create"
    MOVE_EXHIBIT = "exhibit.state"
    CUSTODY = "exhibit.custody"
    CONCLUDE = "conclusion.record"
    CREATE_JOB = "job.create"
    MOVE_JOB = "job.state"


@dataclass(frozen=True, slots=True)
class Act:
    """What was done to what, before it has its place in the chain."""

    action: Action
    object_id: str
    detail: Mapping[str, object] = field(default_factory=dict)

    @property
    def object_type(self) -> str:
        """The word before the dot of the action."""
        return self.action.partition(".")[0]


def append(
    session: Session, acts: Sequence[Act], *, caller: Caller | None, at: datetime
) -> None:
    """Append one event for each of ``acts``, in the transaction that does them.

    The transaction must be a writing one: those are serial, so the chain cannot fork.

    Raises:
        BusyError: the caller acts in an attempt that was taken over meanwhile.
    """
    if caller is not None:
        fence(session, caller)  # here, where every verb that writes comes by
    connection = session.connection()
    head = _head(connection)
    rows: list[dict[str, object]] = []
    for act in acts:
        event = _link(act, head, caller=caller, at=at)
        rows.append({name: getattr(event, name) for name in AuditEvent.__slots__})
        head = Checkpoint(event.seq, event.hash)
    connection.execute(_INSERT, rows)


def event_hash(event: AuditEvent) -> str:
    """Return what ``event.hash`` must be."""
    at = event.at.astimezone(UTC).replace(tzinfo=None)
    text = canonical_json(
        {
            "seq": event.seq,
            "at": at.isoformat(timespec="microseconds") + "Z",
            "actor_key_id": event.actor_key_id,
            "organisation_id": event.organisation_id,
            "action": event.action,
            "object_type": event.object_type,
            "object_id": event.object_id,
            "detail": event.detail,
            "prev_hash": event.prev_hash,
        }
    )
    return sha256(text.encode()).hexdigest()


def _link(
    act: Act, head: Checkpoint, *, caller: Caller | None, at: datetime
) -> AuditEvent:
    event = AuditEvent(
        seq=head.seq + 1,
        at=at,
        actor_key_id=caller.key_id if caller else None,
        organisation_id=caller.organisation_id if caller else None,
        action=act.action.value,
        object_type=act.object_type,
        object_id=act.object_id,
        detail=canonical_json(dict(act.detail)),
        prev_hash=head.hash,
        hash="",
    )
    return replace_hash(event)


def replace_hash(event: AuditEvent) -> AuditEvent:
    """Return ``event`` with the hash that its other fields give."""
    fields = {name: getattr(event, name) for name in AuditEvent.__slots__}
    return AuditEvent(**{**fields, "hash": event_hash(event)})


# Made once, and for the connection: see `Database._querying`.
_INSERT = insert(AuditEventRow)
_LAST = (
    select(AuditEventRow.seq, AuditEventRow.hash)
    .order_by(AuditEventRow.seq.desc())
    .limit(1)
)


def _head(connection: Connection) -> Checkpoint:
    last = connection.execute(_LAST).one_or_none()
    return Checkpoint(last.seq, last.hash) if last else Checkpoint(0, GENESIS)


class Audit(Database):
    """Reading and verifying the chain; only the store's own verbs append to it."""

    def chain_head(self) -> Checkpoint:
        """Return the last link, to be written down where no one here can reach it."""
        with self._querying() as connection:
            return _head(connection)

    def verify_chain(self, checkpoint: Checkpoint | None = None) -> ChainReport:
        """Recompute every link, up to the first that does not fit.

        Args:
            checkpoint: a link written down earlier; without it a cut-off end, or an
                end rewritten with fresh hashes, cannot be told from the truth.
        """
        # The chain is whole when
        #
        # 1. the numbers run from 1 without a gap,
        # 2. each event names the hash before it,
        # 3. each event's own hash is that of what it says, and
        # 4. the link written down elsewhere is there and the same.
        query = select(*_COLUMNS).order_by(AuditEventRow.seq)
        seq, head = 0, GENESIS
        with (
            self._reading() as session,
            session.execute(query, execution_options={"yield_per": _BATCH}) as rows,
        ):
            for row in rows:
                event = AuditEvent(*row)
                fits = event.seq == seq + 1 and event.prev_hash == head
                if not fits or event.hash != event_hash(event):
                    return ChainReport(seq, False, seq + 1, head)
                seq, head = event.seq, event.hash
                if checkpoint and checkpoint.seq == seq and checkpoint.hash != head:
                    return ChainReport(seq, False, seq, head)
        if checkpoint and checkpoint.seq > seq:
            return ChainReport(seq, False, seq + 1, head)
        return ChainReport(seq, True, None, head)

    def list_audit_events(
        self, caller: Caller, *, after: str | None = None, limit: int = 100
    ) -> Page[AuditEvent]:
        """Return events in the order they happened, for administrators.

        Raises:
            NotAllowedError: the caller is no administrator.
            InvalidInputError: the cursor or the limit is out of range.
        """
        require_admin(caller)
        if after is not None and not _SEQ.fullmatch(after):
            raise InvalidInputError("The cursor is not one given.", field="after")
        if not 1 <= limit <= MAX_LIMIT:
            raise InvalidInputError("The limit is out of range.", field="limit")
        query = (
            select(AuditEventRow)
            .where(AuditEventRow.seq > int(after or 0))
            .order_by(AuditEventRow.seq)
            .limit(limit + 1)
        )
        with self._reading() as session:
            found = [row.value() for row in session.scalars(query)]
        items = tuple(found[:limit])
        return Page(items, str(items[-1].seq) if len(found) > limit else None)


def unlike_the_log(
    stream: Callable[[Select[Any]], Iterator[Any]],
    key: InstrumentedAttribute[str],
    action: Action,
    told: Callable[[Any], Mapping[str, object]],
) -> Iterator[str]:
    """Yield the keys of rows that are not what the log says was recorded.

    Changed, missing, or there without ever having been recorded. It holds the rows
    against the chain, so the chain must have been verified first.

    Args:
        stream: runs a query, row by row.
        key: of the rows, by which the log names them.
        action: that records one.
        told: what the log tells of a row.
    """
    recorded = (
        select(AuditEventRow.object_id, AuditEventRow.detail, key.class_)
        .outerjoin(key.class_, key == AuditEventRow.object_id)
        .where(AuditEventRow.action == action.value)
        .order_by(AuditEventRow.seq)
    )
    never_recorded = (
        select(key)
        .where(
            ~exists().where(
                # It leads the index.
                AuditEventRow.object_type == Act(action, "").object_type,
                AuditEventRow.object_id == key,
                AuditEventRow.action == action.value,
            )
        )
        .order_by(key)
    )
    for name, detail, row in stream(recorded):  # None for a row: an outer join
        if row is None or canonical_json(told(row)) != detail:
            yield name
    for (name,) in stream(never_recorded):
        yield name

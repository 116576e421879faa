"""Examinations: written once with their audit event, read, never changed."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from hashlib import sha256

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from touchstone.store.audit import Act, Action, append, unlike_the_log
from touchstone.store.database import Database
from touchstone.store.drafts import ExaminationDraft
from touchstone.store.idempotency import made_before, note_made
from touchstone.store.scope import checked_id, not_found, readable_by
from touchstone.store.tables import ExaminationRow
from touchstone.store.values import Caller, Examination, Page, canonical_json, new_id


class Examinations(Database):
    """Verbs on examinations; there is none to change or to delete one."""

    def record_examination(
        self, caller: Caller, draft: ExaminationDraft
    ) -> Examination:
        """Append one examination and its audit event, together.

        Under an Idempotency-Key there is one at most: the first that was recorded is
        returned, and noted with the key in the same transaction.

        Raises:
            BusyError: another attempt has taken the key over; nothing is recorded.
            ConflictError: it names a set or a specimen that does not exist.
        """
        made = examination_of(caller, draft, at=self._now())
        with self._writing() as session:
            if before := made_before(session, caller):
                return session.get_one(ExaminationRow, before).value()
            append_examinations(session, [made], caller=caller)
            note_made(session, caller, made.id)
        return made

    def record_examinations(
        self, caller: Caller, drafts: Sequence[ExaminationDraft]
    ) -> tuple[Examination, ...]:
        """Append many in one transaction: all of them, in this order, or none.

        Raises:
            ConflictError: one names a set or a specimen that does not exist.
        """
        at = self._now()
        made = tuple(examination_of(caller, draft, at=at) for draft in drafts)
        if made:
            with self._writing() as session:
                append_examinations(session, made, caller=caller)
        return made

    def examination(self, caller: Caller, examination_id: str) -> Examination:
        """Return an examination that the caller's organisation made.

        Raises:
            NotFoundError: there is none, or it is another's.
        """
        query = select(ExaminationRow).where(
            ExaminationRow.id == checked_id(examination_id),
            readable_by(caller, ExaminationRow.organisation_id),
        )
        with self._reading() as session:
            row = session.scalar(query)
        if row is None:
            raise not_found()
        return row.value()

    def list_examinations(
        self,
        caller: Caller,
        *,
        after: str | None = None,
        limit: int = 100,
        photo_digest: str | None = None,
    ) -> Page[Examination]:
        """Return the caller's organisation's examinations, the newest first.

        Args:
            caller: an administrator sees those of every organisation.
            after: the cursor of the page before; what is older comes next.
            limit: the most to return.
            photo_digest: only those whose first photograph is this.
        """
        query = select(ExaminationRow).where(
            readable_by(caller, ExaminationRow.organisation_id)
        )
        if photo_digest is not None:
            query = query.where(ExaminationRow.photo_digest == photo_digest)
        return self._page(
            query,
            ExaminationRow.id,
            value=ExaminationRow.value,
            after=after,
            limit=limit,
            newest_first=True,
        )

    def altered_examinations(self) -> Iterator[str]:
        """Yield ids of examinations of which the audit log tells otherwise."""
        yield from unlike_the_log(
            self._streaming,
            ExaminationRow.id,
            Action.EXAMINE,
            lambda row: _detail(row.value()),
        )


def examination_of(
    caller: Caller, draft: ExaminationDraft, *, at: datetime
) -> Examination:
    """Return what ``draft`` is to be recorded as, under a new id."""
    return Examination(
        id=new_id(),
        organisation_id=caller.organisation_id,
        key_id=caller.key_id,
        created_at=at,
        photo_digest=draft.photo_digests[0],
        record_digest=sha256(draft.record_json.encode()).hexdigest(),
        **{item.name: getattr(draft, item.name) for item in fields(draft)},
    )


# Made once, and for the connection: see `Database._querying`.
_INSERT = insert(ExaminationRow)


def append_examinations(
    session: Session, made: Sequence[Examination], *, caller: Caller
) -> None:
    """Record ``made`` and their audit events, in the transaction that is under way."""
    acts = [Act(Action.EXAMINE, item.id, _detail(item)) for item in made]
    session.connection().execute(_INSERT, [_columns(item) for item in made])
    append(session, acts, caller=caller, at=made[0].created_at)


def _columns(item: Examination) -> dict[str, object]:
    columns: dict[str, object] = {
        name: getattr(item, name) for name in Examination.__slots__
    }
    columns["photo_digests"] = list(item.photo_digests)
    return columns


def _detail(item: Examination) -> dict[str, object]:
    # Two digests: what was recorded, recomputed from the text that is there now, and
    # every column beside it, so that no finding can be changed under its record.
    columns = _columns(item) | {
        "created_at": item.created_at.astimezone(UTC).isoformat()
    }
    text = str(columns.pop("record_json"))
    return {
        "record_digest": sha256(text.encode()).hexdigest(),
        "row_digest": sha256(canonical_json(columns).encode()).hexdigest(),
    }

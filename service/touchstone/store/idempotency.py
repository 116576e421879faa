"""Idempotency keys: the same request twice has one effect and one answer.

After draft-ietf-httpapi-idempotency-key-header-07: a key belongs to the organisation
that sent it, is bound to one request, and is remembered for a day.

A request is answered by an *attempt*. It says now and then that it is alive; one that
has been silent for a minute is taken over by the next. What an attempt writes is
written only while it holds the key (``fence``, in the same transaction), so that one
that was taken over by mistake writes nothing any more; and what is recorded (an
examination, a lot, a line of custody) is noted with the key in the same transaction,
so that whoever takes over answers with it instead of making a second one.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from touchstone.errors import BusyError, ConflictError, IdempotencyMismatchError
from touchstone.store.database import Database
from touchstone.store.drafts import checked_digest, checked_text
from touchstone.store.tables import IdempotencyRow
from touchstone.store.values import Attempt, Caller, StoredResponse, new_id

KEPT_FOR = timedelta(hours=24)
TAKEN_OVER_AFTER = timedelta(seconds=60)
"""Of silence: whoever began it is dead by then."""


class Idempotency(Database):
    """Begin a request, then finish or abandon it."""

    def begin_idempotent(
        self, caller: Caller, key: str, *, request_digest: str, now: datetime
    ) -> StoredResponse | Attempt:
        """Take ``key`` for a request; the answer, if it was given before.

        Returns:
            Attempt: the caller must act under it (``Caller.attempt``), unless what it
                asks for is there already, then finish or abandon it.

        Raises:
            IdempotencyMismatchError: the key was used for another request.
            ConflictError: the same request is still being answered.
            InvalidInputError: the key or the digest is not well formed.
        """
        checked_text("Idempotency-Key", key, required=True)
        checked_digest("request_digest", request_digest)
        attempt = Attempt(key, new_id())
        with self._writing() as session:
            session.execute(
                delete(IdempotencyRow).where(IdempotencyRow.created_at < now - KEPT_FOR)
            )
            row = _row(session, caller, key)
            if row is not None:
                return _resume(row, attempt, request_digest=request_digest, now=now)
            row = IdempotencyRow(
                organisation_id=caller.organisation_id,
                key=key,
                request_digest=request_digest,
                created_at=now,
                attempt_id=attempt.id,
                alive_at=now,
                made_id=None,
                response_status=None,
                response_headers=[],
                response_body=b"",
            )
            session.add(row)
        return attempt

    def keep_idempotent(
        self, caller: Caller, attempt: Attempt, *, now: datetime
    ) -> bool:
        """Say that ``attempt`` is alive; whether it still holds its key."""
        with self._writing() as session:
            row = _held(session, caller, attempt)
            if row is not None:
                row.alive_at = now
            return row is not None

    def finish_idempotent(
        self, caller: Caller, attempt: Attempt, *, response: StoredResponse
    ) -> None:
        """Keep the answer; of an attempt that has lost its key nothing is kept."""
        headers: Sequence[tuple[str, str]] = response.headers
        with self._writing() as session:
            row = _held(session, caller, attempt)
            if row is not None:
                row.response_status = response.status
                row.response_headers = [[name, value] for name, value in headers]
                row.response_body = response.body

    def abandon_idempotent(self, caller: Caller, attempt: Attempt) -> None:
        """Give the key back after a failure, so that the request may be tried anew.

        Where something was recorded, the key stays with it, free to be taken.
        """
        with self._writing() as session:
            row = _held(session, caller, attempt)
            if row is None:
                return
            if row.made_id is None:
                session.delete(row)
            else:
                row.alive_at -= TAKEN_OVER_AFTER
                row.attempt_id = new_id()  # a beat under way must not revive it


def fence(session: Session, caller: Caller) -> IdempotencyRow | None:
    """Return the row of the key under which ``caller`` acts; None if under none.

    To be called in the transaction that writes.

    Raises:
        BusyError: another attempt has the key by now; nothing may be written.
    """
    if caller.attempt is None:
        return None
    row = _held(session, caller, caller.attempt)
    if row is None:
        raise BusyError(
            "Another attempt at the same request has taken over; ask for its answer."
        )
    return row


def made_before(session: Session, caller: Caller) -> str | None:
    """Return the id of what was recorded under the caller's key; None if nothing was.

    Raises:
        BusyError: another attempt has the key by now; nothing may be written.
    """
    row = fence(session, caller)
    return None if row is None else row.made_id


def note_made(session: Session, caller: Caller, made_id: str) -> None:
    """Note with the caller's key what is recorded under it, in this transaction."""
    row = fence(session, caller)
    if row is not None:
        row.made_id = made_id


def _row(session: Session, caller: Caller, key: str) -> IdempotencyRow | None:
    return session.scalar(
        select(IdempotencyRow).where(
            IdempotencyRow.organisation_id == caller.organisation_id,
            IdempotencyRow.key == key,
        )
    )


def _held(session: Session, caller: Caller, attempt: Attempt) -> IdempotencyRow | None:
    row = _row(session, caller, attempt.key)
    if row is None or row.attempt_id != attempt.id or row.response_status is not None:
        return None
    return row


def _resume(
    row: IdempotencyRow, attempt: Attempt, *, request_digest: str, now: datetime
) -> StoredResponse | Attempt:
    if row.request_digest != request_digest:
        raise IdempotencyMismatchError(
            "This Idempotency-Key was used for another request; take a new one."
        )
    if row.response_status is not None:
        headers = tuple((name, value) for name, value in row.response_headers)
        return StoredResponse(row.response_status, headers, row.response_body)
    if now - row.alive_at < TAKEN_OVER_AFTER:
        raise ConflictError("The same request is still being answered; wait for it.")
    row.attempt_id = attempt.id
    row.alive_at = now
    return replace(attempt, made_id=row.made_id)

"""Idempotency keys: the same request twice has one effect and one answer.

After draft-ietf-httpapi-idempotency-key-header-07: a key belongs to the organisation
that sent it, is bound to one request, and is remembered for a day.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from touchstone.errors import ConflictError, IdempotencyMismatchError
from touchstone.store.database import Database
from touchstone.store.drafts import checked_digest, checked_text
from touchstone.store.tables import IdempotencyRow
from touchstone.store.values import Caller, StoredResponse

KEPT_FOR = timedelta(hours=24)
TAKEN_OVER_AFTER = timedelta(seconds=60)  # whoever began it is dead by then


class Idempotency(Database):
    """Begin a request, then finish or abandon it."""

    def begin_idempotent(
        self, caller: Caller, key: str, *, request_digest: str, now: datetime
    ) -> StoredResponse | None:
        """Take ``key`` for a request; the answer, if it was given before.

        Returns:
            None: the caller must act, then finish or abandon.

        Raises:
            IdempotencyMismatchError: the key was used for another request.
            ConflictError: the same request is still being answered.
            InvalidInputError: the key or the digest is not well formed.
        """
        checked_text("Idempotency-Key", key, required=True)
        checked_digest("request_digest", request_digest)
        with self._writing() as session:
            session.execute(
                delete(IdempotencyRow).where(IdempotencyRow.created_at < now - KEPT_FOR)
            )
            row = _row(session, caller, key)
            if row is None:
                row = IdempotencyRow(
                    organisation_id=caller.organisation_id,
                    key=key,
                    request_digest=request_digest,
                    created_at=now,
                    response_status=None,
                    response_headers=[],
                    response_body=b"",
                )
                session.add(row)
                return None
            return _resume(row, request_digest=request_digest, now=now)

    def finish_idempotent(
        self, caller: Caller, key: str, *, response: StoredResponse
    ) -> None:
        """Keep the answer; the first one kept stays."""
        headers: Sequence[tuple[str, str]] = response.headers
        with self._writing() as session:
            row = _row(session, caller, key)
            if row is not None and row.response_status is None:
                row.response_status = response.status
                row.response_headers = [[name, value] for name, value in headers]
                row.response_body = response.body

    def abandon_idempotent(self, caller: Caller, key: str) -> None:
        """Give the key back after a failure, so that the request may be tried anew."""
        with self._writing() as session:
            row = _row(session, caller, key)
            if row is not None and row.response_status is None:
                session.delete(row)


def _row(session: Session, caller: Caller, key: str) -> IdempotencyRow | None:
    return session.scalar(
        select(IdempotencyRow).where(
            IdempotencyRow.organisation_id == caller.organisation_id,
            IdempotencyRow.key == key,
        )
    )


def _resume(
    row: IdempotencyRow, *, request_digest: str, now: datetime
) -> StoredResponse | None:
    if row.request_digest != request_digest:
        raise IdempotencyMismatchError(
            "This Idempotency-Key was used for another request; take a new one."
        )
    if row.response_status is not None:
        headers = tuple((name, value) for name, value in row.response_headers)
        return StoredResponse(row.response_status, headers, row.response_body)
    if now - row.created_at < TAKEN_OVER_AFTER:
        raise ConflictError("The same request is still being answered; wait for it.")
    row.created_at = now
    return None

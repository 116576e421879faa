"""Photos that are announced by their digests, so that only what lacks is sent."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from sqlalchemy import select
from sqlalchemy.orm import Session

from touchstone.errors import InvalidInputError
from touchstone.store.audit import Act, Action, append
from touchstone.store.database import Database
from touchstone.store.drafts import checked_digest
from touchstone.store.filing import found, owned
from touchstone.store.filing_drafts import SubmissionFields
from touchstone.store.filing_tables import LotRow, SubmissionRow
from touchstone.store.filing_values import Lot, Submission, SubmissionState
from touchstone.store.scope import checked_page, not_found
from touchstone.store.submitting import (
    exhibits_of,
    new_row,
    next_position,
    of_digests,
    uploaded,
)
from touchstone.store.values import Caller, Page

_Key: TypeAlias = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Announced:
    """What stands for one photo that was announced."""

    submission: Submission
    is_new: bool
    """False: the lot lists this photo under this name already, perhaps with a result.
    """


class Announcing(Database):
    """Verbs on photos that a lot lists and whoever has it may send."""

    def announce(
        self, caller: Caller, lot_id: str, drafts: Sequence[SubmissionFields]
    ) -> tuple[Announced, ...]:
        """List photos behind the last of a lot, each once by its name and digest.

        What this organisation sent before, for whatever lot, is queued at once: only
        its own, else a digest would tell whether another holds that photo.

        Args:
            caller: whose lot it is.
            lot_id: of which lot.
            drafts: with their digests; with a locator where the photo is here.

        Raises:
            NotFoundError: no such lot of the caller's.
            InvalidInputError: a draft has no digest.
        """
        for draft in drafts:
            checked_digest("sha256", draft.photo_digest or "")
        at = self._now()
        with self._writing() as session:
            lot: LotRow = owned(session, caller, Lot, lot_id)
            exhibits = exhibits_of(session, lot, drafts, at=at)
            digests = [draft.photo_digest for draft in drafts]
            held = uploaded(session, lot.organisation_id, digests)
            rows = _listed(session, lot, digests)
            position = next_position(session, lot)
            found_rows: list[tuple[SubmissionRow, bool]] = []
            for draft in drafts:
                locator = draft.locator or held.get(draft.photo_digest or "", "")
                row = rows.get(_key(draft))
                is_new = row is None
                if row is None:
                    draft = replace(  # noqa: PLW2901
                        draft, locator=locator, identity=draft.photo_digest or ""
                    )
                    row = new_row(lot, draft, position)
                    row.exhibit_id = exhibits.get(draft.exhibit_no)
                    session.add(row)
                    rows[_key(draft)], position = row, position + 1
                elif row.state is SubmissionState.AWAITING and locator:
                    row.state, row.locator = SubmissionState.QUEUED, locator
                found_rows.append((row, is_new))
            session.flush()
            act = Act(Action.SUBMIT_TO_LOT, lot.id, {"submissions": len(drafts)})
            append(session, [act], caller=caller, at=at)
            return tuple(Announced(row.value(), new) for row, new in found_rows)

    def check_listed(self, caller: Caller, lot_id: str, digest: str) -> None:
        """Refuse a photo that no submission of the caller's lot names.

        Raises:
            NotFoundError: none does, or there is no such lot of the caller's.
        """
        with self._reading() as session:
            lot: LotRow = owned(session, caller, Lot, lot_id)
            if not _listed(session, lot, [digest]):
                raise not_found()

    def list_submissions(
        self,
        caller: Caller,
        lot_id: str,
        *,
        state: SubmissionState | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[Submission]:
        """Return the submissions of a lot in the order of its manifest.

        Args:
            caller: whose lot it is.
            lot_id: of which lot.
            state: of this state alone; None for all.
            after: the cursor of the page before.
            limit: the most to return.

        Raises:
            NotFoundError: no such lot of the caller's.
            InvalidInputError: the cursor is none of this lot's.
        """
        after, limit = checked_page(after, limit)
        query = select(SubmissionRow).where(SubmissionRow.lot_id == lot_id)
        if state is not None:
            query = query.where(SubmissionRow.state == state)
        with self._reading() as session:
            found(session, caller, Lot, lot_id)
            if after is not None:
                position = session.scalar(
                    select(SubmissionRow.position).where(
                        SubmissionRow.lot_id == lot_id, SubmissionRow.id == after
                    )
                )
                if position is None:
                    raise _no_cursor()
                query = query.where(SubmissionRow.position > position)
            query = query.order_by(SubmissionRow.position).limit(limit + 1)
            rows = session.scalars(query).all()
        items = tuple(row.value() for row in rows[:limit])
        return Page(items, items[-1].id if len(rows) > limit else None)

    def list_missing(
        self, caller: Caller, lot_id: str, *, after: str | None = None, limit: int = 100
    ) -> Page[str]:
        """Return the digests of the photos that a lot awaits, each once, sorted.

        Raises:
            NotFoundError: no such lot of the caller's.
            InvalidInputError: the cursor is no digest.
        """
        _, limit = checked_page(None, limit)
        query = select(SubmissionRow.photo_digest).where(
            SubmissionRow.lot_id == lot_id,
            SubmissionRow.state == SubmissionState.AWAITING,
            SubmissionRow.photo_digest.is_not(None),
        )
        if after is not None:
            query = query.where(
                SubmissionRow.photo_digest > checked_digest("after", after)
            )
        query = query.distinct().order_by(SubmissionRow.photo_digest).limit(limit + 1)
        with self._reading() as session:
            found(session, caller, Lot, lot_id)
            digests = [str(digest) for digest in session.scalars(query)]
        return Page(tuple(digests[:limit]), _next(digests, limit))


def _next(digests: Sequence[str], limit: int) -> str | None:
    return digests[limit - 1] if len(digests) > limit else None


def _no_cursor() -> InvalidInputError:
    return InvalidInputError("The cursor is not one that was given.", field="after")


def _key(draft: SubmissionFields) -> _Key:
    return draft.name, draft.photo_digest


def _listed(
    session: Session, lot: LotRow, digests: Sequence[str | None]
) -> dict[_Key, SubmissionRow]:
    query = select(SubmissionRow).where(
        *of_digests(lot, digests),
        SubmissionRow.state != SubmissionState.WITHDRAWN,
    )
    return {(row.name, row.photo_digest): row for row in session.scalars(query)}

"""The photos of a lot, listed: those that are there, and those that are announced."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from touchstone.engine.wording import FindingKind
from touchstone.store.audit import Act, Action, append
from touchstone.store.database import Database
from touchstone.store.filing import owned
from touchstone.store.filing_drafts import Result, SubmissionFields
from touchstone.store.filing_tables import ExhibitRow, LotRow, SubmissionRow
from touchstone.store.filing_values import (
    OPEN_SUBMISSIONS,
    ExhibitState,
    Lot,
    Submission,
    SubmissionState,
)
from touchstone.store.values import Caller, new_id

_Key: TypeAlias = tuple[str, str | None, str]
"""Name, digest, identity: what makes a photo the same when it is listed again."""


class Submitting(Database):
    """Verbs on the list of a lot's photos."""

    def submit(
        self,
        caller: Caller,
        lot_id: str,
        drafts: Sequence[SubmissionFields],
        *,
        first: int | None = None,
    ) -> tuple[Submission, ...]:
        """List photos of a lot, in one transaction; return them as they stand.

        Args:
            caller: whose lot it is.
            lot_id: of which lot.
            drafts: in the order of their source.
            first: the position of the first. What stands there already under the same
                name, identity and declaration stays as it is, with its result;
                another is begun anew. None: behind the last, each that is not there
                already. What has no result yet is from then on read where it lies
                now; what could not be read where it lay is begun anew.

        Raises:
            NotFoundError: no such lot of the caller's.
        """
        at = self._now()
        with self._writing() as session:
            lot: LotRow = owned(session, caller, Lot, lot_id)
            exhibits = exhibits_of(session, lot, drafts, at=at)
            seq = next_seq(session, lot.id)
            if first is None:
                rows, begun = _appended(session, lot, drafts)
            else:
                rows, begun = _placed(session, lot, drafts, first)
            for row, draft in zip(rows, drafts, strict=True):
                row.exhibit_id = exhibits.get(draft.exhibit_no)
            failed = [row for row in begun if row.state is SubmissionState.FAILED]
            for number, row in enumerate(failed, seq):
                row.finished_seq = number
            detail = {"submissions": len(drafts)}
            append(
                session,
                [Act(Action.SUBMIT_TO_LOT, lot.id, detail)],
                caller=caller,
                at=at,
            )
            return tuple(row.value() for row in rows)

    def withdraw_from(self, caller: Caller, lot_id: str, position: int) -> None:
        """Withdraw every submission from ``position`` on: its source has shrunk.

        Raises:
            NotFoundError: no such lot of the caller's.
        """
        with self._writing() as session:
            lot = owned(session, caller, Lot, lot_id)
            session.execute(
                update(SubmissionRow)
                .where(
                    SubmissionRow.lot_id == lot.id, SubmissionRow.position >= position
                )
                # finished_seq stays: were the last number given again, whoever follows
                # from there would miss what comes of another.
                .values(state=SubmissionState.WITHDRAWN, worker="")
            )

    def photo_arrived(
        self, caller: Caller, lot_id: str, digest: str, *, locator: str
    ) -> int:
        """Queue what awaited the photo of this digest; return how many did.

        Raises:
            NotFoundError: no such lot of the caller's.
        """
        with self._writing() as session:
            lot = owned(session, caller, Lot, lot_id)
            rows = session.scalars(
                select(SubmissionRow).where(
                    *of_digests(lot, [digest]),
                    SubmissionRow.state == SubmissionState.AWAITING,
                )
            ).all()
            for row in rows:
                row.state, row.locator = SubmissionState.QUEUED, locator
            return len(rows)

    def locator_of(self, caller: Caller, digest: str) -> str | None:
        """Return where a photo that this organisation uploaded before lies, if it did.

        Only its own: else a digest would tell whether another holds that photo.
        """
        with self._reading() as session:
            return uploaded(session, caller.organisation_id, [digest]).get(digest)


FILLED = ("state", "finding", "error", "row_json", "profile", "log10_lr", "serial")
"""The columns that tell what became of a submission."""


def filled(result: Result) -> dict[str, object]:
    """Return the columns `FILLED` of what became of a submission."""
    if not result.finding:
        state = SubmissionState.FAILED
    elif result.finding == FindingKind.INSUFFICIENT_QUALITY:
        state = SubmissionState.QUALITY_FAILED
    else:
        state = SubmissionState.EXAMINED
    values = {name: getattr(result, name) for name in FILLED if name != "state"}
    return {"state": state, **values}


def fill(row: SubmissionRow, result: Result) -> None:
    """Put what became of a submission into its row."""
    for name, value in filled(result).items():
        setattr(row, name, value)
    row.leased_until = None


def of_digests(
    lot: LotRow, digests: Collection[str | None]
) -> tuple[ColumnElement[bool], ...]:
    """Return what tells the submissions of a lot that are of these photos."""
    return (
        SubmissionRow.organisation_id == lot.organisation_id,
        SubmissionRow.photo_digest.in_(digests),
        # No bare column, else SQLite would go through all photos of the lot, and not
        # along the index of organisations and digests.
        SubmissionRow.lot_id.concat("") == lot.id,
    )


def uploaded(
    session: Session, organisation_id: str, digests: Sequence[str | None]
) -> dict[str, str]:
    """Return where the photos of these digests lie that an organisation uploaded.

    No others: a file on some machine may have changed, or gone.
    """
    query = select(SubmissionRow.photo_digest, SubmissionRow.locator).where(
        SubmissionRow.organisation_id == organisation_id,
        SubmissionRow.photo_digest.in_(digests),
        SubmissionRow.locator.startswith("blob:"),
    )
    return {str(digest): locator for digest, locator in session.execute(query)}


def next_seq(session: Session, lot_id: str) -> int:
    """Return the number of the next submission of a lot to be finished."""
    # Writes are serial, so that no two take the same.
    last = session.scalar(
        select(func.max(SubmissionRow.finished_seq)).where(
            SubmissionRow.lot_id == lot_id
        )
    )
    return 1 if last is None else last + 1


def next_position(session: Session, lot: LotRow) -> int:
    """Return the position behind the last submission of a lot."""
    last = session.scalar(
        select(func.max(SubmissionRow.position)).where(SubmissionRow.lot_id == lot.id)
    )
    return 0 if last is None else last + 1


def new_row(lot: LotRow, draft: SubmissionFields, position: int) -> SubmissionRow:
    """Return the row of a photo that is to be added to a lot."""
    row = SubmissionRow(
        id=new_id(),
        organisation_id=lot.organisation_id,
        lot_id=lot.id,
        position=position,
    )
    _begin(row, draft)
    return row


def _begin(row: SubmissionRow, draft: SubmissionFields) -> None:
    row.name, row.locator, row.identity = draft.name, draft.locator, draft.identity
    row.photo_digest = draft.photo_digest
    row.declared_product = draft.declared_product
    row.declared_gtin = draft.declared_gtin
    row.attempts, row.worker = 0, ""
    row.examination_id = None  # finished_seq stays: see `withdraw_from`
    fill(row, Result(error=draft.problem))
    if not draft.problem:
        row.state = (
            SubmissionState.QUEUED if draft.locator else SubmissionState.AWAITING
        )


def _placed(
    session: Session, lot: LotRow, drafts: Sequence[SubmissionFields], first: int
) -> tuple[list[SubmissionRow], list[SubmissionRow]]:
    standing = {
        row.position: row
        for row in session.scalars(
            select(SubmissionRow).where(
                SubmissionRow.lot_id == lot.id,
                SubmissionRow.position >= first,
                SubmissionRow.position < first + len(drafts),
            )
        )
    }
    rows, begun = [], []
    for position, draft in enumerate(drafts, first):
        row = standing.get(position)
        if row is None:
            row = new_row(lot, draft, position)
            session.add(row)
            begun.append(row)
        elif not _is_same(row, draft) or _is_lost(row, draft):
            _begin(row, draft)
            begun.append(row)
        elif _is_moved(row, draft):
            row.locator = draft.locator
        rows.append(row)
    return rows, begun


def _appended(
    session: Session, lot: LotRow, drafts: Sequence[SubmissionFields]
) -> tuple[list[SubmissionRow], list[SubmissionRow]]:
    standing = _standing(session, lot, drafts)
    position = next_position(session, lot)
    rows, begun = [], []
    for draft in drafts:
        key = draft.name, draft.photo_digest, draft.identity
        if key not in standing:
            standing[key] = new_row(lot, draft, position)
            session.add(standing[key])
            begun.append(standing[key])
            position += 1
        elif _is_moved(standing[key], draft):
            standing[key].locator = draft.locator
        rows.append(standing[key])
    return rows, begun


def _standing(
    session: Session, lot: LotRow, drafts: Sequence[SubmissionFields]
) -> dict[_Key, SubmissionRow]:
    # Two queries a batch, whatever its length.
    digests = {draft.photo_digest for draft in drafts} - {None}
    names = {draft.name for draft in drafts if draft.photo_digest is None}
    by_name = (
        SubmissionRow.lot_id == lot.id,
        SubmissionRow.photo_digest.is_(None),
        SubmissionRow.name.in_(names),
    )
    return {
        (row.name, row.photo_digest, row.identity): row
        for wanted, clauses in ((digests, of_digests(lot, digests)), (names, by_name))
        if wanted
        for row in session.scalars(
            select(SubmissionRow).where(
                *clauses, SubmissionRow.state != SubmissionState.WITHDRAWN
            )
        )
    }


def _is_same(row: SubmissionRow, draft: SubmissionFields) -> bool:
    return (
        row.state is not SubmissionState.WITHDRAWN
        and row.name == draft.name
        and row.identity == draft.identity
        # It was compared with what was declared.
        and row.declared_product == draft.declared_product
        and row.declared_gtin == draft.declared_gtin
    )


def _is_moved(row: SubmissionRow, draft: SubmissionFields) -> bool:
    """Tell whether what has no result yet lies elsewhere than where it was listed."""
    is_open = row.state in OPEN_SUBMISSIONS
    return is_open and draft.locator not in ("", row.locator)


def _is_lost(row: SubmissionRow, draft: SubmissionFields) -> bool:
    """Tell whether what failed was looked for elsewhere than where it lies now."""
    is_failed = row.state is SubmissionState.FAILED and row.locator != ""
    return is_failed and draft.locator not in ("", row.locator)


def exhibits_of(
    session: Session,
    lot: LotRow,
    drafts: Sequence[SubmissionFields],
    *,
    at: datetime,
) -> dict[str, str]:
    """Return the ids of the exhibits that ``drafts`` name; logs those that are new."""
    numbers = {draft.exhibit_no for draft in drafts if draft.exhibit_no}
    if not numbers:
        return {}
    query = select(ExhibitRow).where(
        ExhibitRow.lot_id == lot.id, ExhibitRow.exhibit_no.in_(numbers)
    )
    known = {row.exhibit_no: row for row in session.scalars(query)}
    for number in sorted(numbers - known.keys()):
        known[number] = ExhibitRow(
            id=new_id(),
            organisation_id=lot.organisation_id,
            lot_id=lot.id,
            exhibit_no=number,
            unit_kind="other",
            state=ExhibitState.IMAGED,
            created_at=at,
        )
        session.add(known[number])
    session.flush()
    return {number: row.id for number, row in known.items()}

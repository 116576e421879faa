"""What a seizure is filed under: operation, case, seizure, lot, exhibit.

All five are made, read, listed and moved through their states alike; each belongs to
one organisation, which alone sees it (and the operator's administrators).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar, cast

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from touchstone.errors import ConflictError
from touchstone.store.audit import Act, Action, append
from touchstone.store.database import Database
from touchstone.store.filing_drafts import (
    CaseFields,
    CustodyFields,
    ExhibitFields,
    LotFields,
    OperationFields,
    SeizureFields,
)
from touchstone.store.filing_tables import (
    CaseRow,
    CustodyRow,
    ExhibitRow,
    LotRow,
    OperationRow,
    SeizureRow,
    SubmissionRow,
)
from touchstone.store.filing_values import (
    DONE_SUBMISSIONS,
    STEPS,
    Case,
    CaseState,
    CustodyEvent,
    Exhibit,
    ExhibitState,
    Lot,
    LotState,
    Operation,
    OperationState,
    Seizure,
    SeizureState,
)
from touchstone.store.idempotency import made_before, note_made
from touchstone.store.scope import checked_id, not_found, readable_by
from touchstone.store.values import Caller, Page, canonical_json, new_id

FiledRow: TypeAlias = OperationRow | CaseRow | SeizureRow | LotRow | ExhibitRow
FilingFields: TypeAlias = (
    OperationFields | CaseFields | SeizureFields | LotFields | ExhibitFields
)
V = TypeVar("V", Operation, Case, Seizure, Lot, Exhibit)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one of the five is kept."""

    row: type[FiledRow]
    create: Action
    move: Action
    first: StrEnum
    """The state in which it is filed."""
    above: str | None = None
    """The column that names what it is filed under."""
    unique: tuple[str, ...] = ()
    """Columns that no two of an organisation share."""


_KINDS: Mapping[type, _Kind] = {
    Operation: _Kind(
        OperationRow,
        Action.CREATE_OPERATION,
        Action.MOVE_OPERATION,
        OperationState.PLANNED,
        unique=("name",),
    ),
    Case: _Kind(
        CaseRow,
        Action.CREATE_CASE,
        Action.MOVE_CASE,
        CaseState.OPEN,
        above="operation_id",
        unique=("ref_no",),
    ),
    Seizure: _Kind(
        SeizureRow,
        Action.CREATE_SEIZURE,
        Action.MOVE_SEIZURE,
        SeizureState.REGISTERED,
        above="case_id",
        unique=("case_id", "ref_no"),
    ),
    Lot: _Kind(
        LotRow,
        Action.CREATE_LOT,
        Action.MOVE_LOT,
        LotState.RECEIVED,
        above="seizure_id",
    ),
    Exhibit: _Kind(
        ExhibitRow,
        Action.CREATE_EXHIBIT,
        Action.MOVE_EXHIBIT,
        ExhibitState.LOGGED,
        above="lot_id",
        unique=("lot_id", "exhibit_no"),
    ),
}
_PARENTS: Mapping[str, type] = {
    "operation_id": Operation,
    "case_id": Case,
    "seizure_id": Seizure,
    "lot_id": Lot,
}


class Filing(Database):
    """Verbs on what a seizure is filed under; ``kind`` is the value that is meant."""

    def file(self, caller: Caller, kind: type[V], draft: FilingFields) -> V:
        """File one operation, case, seizure, lot or exhibit.

        Raises:
            ConflictError: there is one of this name or number, or its case is closed.
            NotFoundError: it is to be filed under what is not the caller's.
        """
        about = _KINDS[kind]
        values = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(draft).items()
        }
        at = self._now()
        row = about.row(
            id=new_id(),
            organisation_id=caller.organisation_id,
            state=about.first,
            created_at=at,
            **values,
        )
        with self._writing() as session:
            if before := made_before(session, caller):
                return cast("V", found(session, caller, kind, before).value())
            _check_above(session, caller, row, about)
            _check_unique(session, row, about)
            session.add(row)
            act = Act(about.create, row.id, _detail(row))
            append(session, [act], caller=caller, at=at)
            note_made(session, caller, row.id)
        return cast("V", row.value())

    def filed(self, caller: Caller, kind: type[V], filed_id: str) -> V:
        """Return one of them.

        Raises:
            NotFoundError: there is none, or it is another's.
        """
        with self._reading() as session:
            return cast("V", found(session, caller, kind, filed_id).value())

    def list_filed(
        self,
        caller: Caller,
        kind: type[V],
        *,
        under: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[V]:
        """Return those of the caller's organisation, the newest first.

        Args:
            caller: an administrator sees those of every organisation.
            kind: of which.
            under: id of what they are filed under; None for all.
            after: the cursor of the page before; what is older comes next.
            limit: the most to return.
        """
        about = _KINDS[kind]
        row: Any = about.row
        query = select(row).where(readable_by(caller, row.organisation_id))
        if under is not None and about.above is not None:
            query = query.where(getattr(row, about.above) == checked_id(under))
        return self._page(
            query,
            row.id,
            value=row.value,
            after=after,
            limit=limit,
            newest_first=True,
        )

    def move(self, caller: Caller, kind: type[V], filed_id: str, state: StrEnum) -> V:
        """Take it to its next state.

        Raises:
            NotFoundError: there is none, or it is another's.
            ConflictError: that state does not follow, or a legal hold forbids it.
        """
        with self._writing() as session:
            row = owned(session, caller, kind, filed_id)
            if made_before(session, caller):
                return cast("V", row.value())
            before = str(row.state)
            step(session, row, state)
            act = Act(_KINDS[kind].move, row.id, {"from": before, "to": str(state)})
            append(session, [act], caller=caller, at=self._now())
            note_made(session, caller, row.id)
            return cast("V", row.value())

    def plan_lot(self, caller: Caller, lot_id: str, plan: Mapping[str, Any]) -> Lot:
        """Put a sampling plan in force; the one before is in the audit log.

        Raises:
            NotFoundError: there is none, or it is another's.
            ConflictError: a result is known already, and would have told what to draw.
        """
        with self._writing() as session:
            row = cast("LotRow", owned(session, caller, Lot, lot_id))
            if made_before(session, caller):
                return row.value()
            if has_results(session, row.id):
                raise ConflictError("A photo has a result; file another lot to plan.")
            step(session, row, LotState.SAMPLED)
            row.plan_json = canonical_json(plan)
            act = Act(Action.PLAN_LOT, row.id, {"plan": dict(plan)})
            append(session, [act], caller=caller, at=self._now())
            note_made(session, caller, row.id)
            return row.value()

    def add_custody(
        self, caller: Caller, exhibit_id: str, draft: CustodyFields
    ) -> CustodyEvent:
        """Write one line into an exhibit's chain of custody.

        Raises:
            NotFoundError: no such exhibit of the caller's.
        """
        at = self._now()
        with self._writing() as session:
            exhibit = owned(session, caller, Exhibit, exhibit_id)
            if before := made_before(session, caller):
                return session.get_one(CustodyRow, before).value()
            row = CustodyRow(
                id=new_id(),
                exhibit_id=exhibit.id,
                at=at,
                key_id=caller.key_id,
                **asdict(draft),
            )
            session.add(row)
            act = Act(Action.CUSTODY, exhibit.id, {"event": row.id, **asdict(draft)})
            append(session, [act], caller=caller, at=at)
            note_made(session, caller, row.id)
            return row.value()

    def custody_of(self, caller: Caller, exhibit_id: str) -> tuple[CustodyEvent, ...]:
        """Return an exhibit's chain of custody, from the first line on.

        Raises:
            NotFoundError: no such exhibit of the caller's.
        """
        query = (
            select(CustodyRow)
            .where(CustodyRow.exhibit_id == exhibit_id)
            .order_by(CustodyRow.id)
        )
        with self._reading() as session:
            found(session, caller, Exhibit, exhibit_id)
            return tuple(row.value() for row in session.scalars(query))


def found(session: Session, caller: Caller, kind: type, filed_id: str) -> Any:
    """Return the row of what the caller may see.

    Raises:
        NotFoundError: there is none, or it is another's.
    """
    row_type: Any = _KINDS[kind].row
    row = session.scalar(
        select(row_type).where(
            row_type.id == checked_id(filed_id),
            readable_by(caller, row_type.organisation_id),
        )
    )
    if row is None:
        raise not_found()
    return row


def owned(session: Session, caller: Caller, kind: type, filed_id: str) -> Any:
    """Return the row of what is the caller's own: what it may change or put work on.

    An administrator reads every organisation's, but its work would match against
    every reference, and its findings would stand in the other's records.

    Raises:
        NotFoundError: there is none, or it is another's.
    """
    row = found(session, caller, kind, filed_id)
    if row.organisation_id != caller.organisation_id:
        raise not_found()
    return row


def tried(lot_id: str) -> Select[str]:
    """Return the query for the ids of the photos of a lot that workers finished."""
    # What its source could not give was never examined by anything.
    return select(SubmissionRow.id).where(
        SubmissionRow.lot_id == lot_id,
        SubmissionRow.state.in_(DONE_SUBMISSIONS),
        SubmissionRow.attempts > 0,
    )


def has_results(session: Session, lot_id: str) -> bool:
    """Whether workers finished any photo of a lot."""
    return session.scalar(tried(lot_id).limit(1)) is not None


def step(session: Session, row: FiledRow, state: StrEnum) -> None:
    """Take ``row`` to ``state``, if that may follow.

    Raises:
        ConflictError: it may not, or a legal hold forbids it.
    """
    if state not in STEPS[row.state]:
        after = ", ".join(sorted(STEPS[row.state])) or "nothing"
        raise ConflictError(
            f"From {row.state} it can go to {after}, but not to {state}."
        )
    if state in _ENDS and session.scalar(_holds_of(row)):
        raise ConflictError("The case is under a legal hold; lift that first.")
    row.state = cast("Any", state)


def _check_above(session: Session, caller: Caller, row: FiledRow, about: _Kind) -> None:
    above_id = None if about.above is None else getattr(row, about.above)
    if about.above is None or above_id is None:
        return
    above = found(session, caller, _PARENTS[about.above], above_id)
    # An administrator may read every organisation's, but what is filed under another's
    # would then be neither's.
    if above.organisation_id != row.organisation_id:
        raise not_found()
    if isinstance(above, CaseRow) and above.state in _CLOSED:
        raise ConflictError("The case is closed; open it again first.")


def _check_unique(session: Session, row: FiledRow, about: _Kind) -> None:
    if not about.unique:
        return
    kind: Any = about.row
    same = [getattr(kind, name) == getattr(row, name) for name in about.unique]
    mine = kind.organisation_id == row.organisation_id
    if session.scalar(select(kind.id).where(mine, *same)) is not None:
        raise ConflictError("There is one of this name or number already.")


_CLOSED = (CaseState.CLOSED, CaseState.ARCHIVED)
_ENDS = frozenset(
    {
        CaseState.ARCHIVED,
        SeizureState.RELEASED,
        SeizureState.DESTROYED,
        ExhibitState.RETURNED,
        ExhibitState.DESTROYED,
    }
)
"""What a legal hold forbids: evidence would be gone."""


def _holds_of(row: FiledRow) -> Select[Any]:
    query = select(CaseRow.legal_hold)
    if isinstance(row, CaseRow):
        return query.where(CaseRow.id == row.id)
    if isinstance(row, SeizureRow):
        return query.where(CaseRow.id == row.case_id)
    lot_id = row.lot_id if isinstance(row, ExhibitRow) else ""
    return (
        query.join(SeizureRow, SeizureRow.case_id == CaseRow.id)
        .join(LotRow, LotRow.seizure_id == SeizureRow.id)
        .where(LotRow.id == lot_id)
    )


def _detail(row: FiledRow) -> dict[str, object]:
    # Of free text only what names the thing; the log is kept longer than the file.
    kept = ("ref_no", "name", "exhibit_no", "case_id", "seizure_id", "lot_id")
    return {name: getattr(row, name) for name in kept if hasattr(row, name)}

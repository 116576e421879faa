"""What became of the photos of a lot: counted, listed, streamed in order."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, literal, select
from sqlalchemy.orm import Session, aliased

from touchstone.store.database import Database
from touchstone.store.filing import found, tried
from touchstone.store.filing_tables import (
    CaseRow,
    LotRow,
    OperationRow,
    SeizureRow,
    SubmissionRow,
)
from touchstone.store.filing_values import (
    DONE_SUBMISSIONS,
    Lot,
    Operation,
    Submission,
    SubmissionState,
    Tally,
)
from touchstone.store.scope import readable_by
from touchstone.store.submitting import next_seq
from touchstone.store.tables import ExaminationRow, ProductRow, ReferenceSetRow
from touchstone.store.values import Caller


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one photo."""

    name: str
    error: str
    row_json: str
    """Its row as it was found; empty where it failed or has not been examined."""


@dataclass(frozen=True, slots=True)
class LotItem:
    """One photo of a lot with what a conclusion about the lot needs of it."""

    position: int
    name: str
    exhibit_id: str | None
    """The unit that it shows; None where nobody said."""
    state: SubmissionState
    finding: str
    log10_lr: float | None
    serial: str
    error: str
    photo_digest: str | None
    examination_id: str | None
    record_digest: str | None
    product_id: str | None
    specimen_id: str | None
    """The reference that the photo was compared with."""
    profile: bytes


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """How many examined photos of an operation share all of this."""

    country: str
    """Of the seizure."""
    category: str
    """Product class of the lot."""
    brand: str
    finding: str
    day: str
    """On which they were examined: YYYY-MM-DD, UTC."""
    photos: int


_MOST_ELSEWHERE = 1000
_LATE = timedelta(seconds=120)
_LATEST = 200
"""Photos, and time, that tell how fast a lot goes: before them it may have been paused,
or worked on by more or by fewer."""
_SHORT_S = 1e-3


def _pace(session: Session, lot_id: str, *, now: datetime) -> float | None:
    """Return how many photos of a lot are finished in a second, of late.

    Only what was examined tells when; the numbers count what failed as well.
    """
    latest = (
        select(SubmissionRow.finished_seq, ExaminationRow.created_at)
        .join(ExaminationRow, ExaminationRow.id == SubmissionRow.examination_id)
        .where(SubmissionRow.lot_id == lot_id, SubmissionRow.finished_seq.is_not(None))
        .order_by(SubmissionRow.finished_seq.desc())
        .limit(_LATEST)
    )
    late = [(seq, at) for seq, at in session.execute(latest) if at >= now - _LATE]
    if not late:
        return None
    seq, since = late[-1]
    finished = next_seq(session, lot_id) - 1 - (seq or 0)
    elapsed_s = max((now - since).total_seconds(), _SHORT_S)
    return finished / elapsed_s if finished else None


class Outcomes(Database):
    """Verbs that read what became of submissions."""

    def count_tried(self, caller: Caller, lot_id: str) -> int:
        """Count the photos of a lot that workers finished, whatever came of them.

        Raises:
            NotFoundError: no such lot of the caller's.
        """
        with self._reading() as session:
            found(session, caller, Lot, lot_id)
            query = select(func.count()).select_from(tried(lot_id).subquery())
            return session.scalar(query) or 0

    def tally(self, caller: Caller, lot_id: str) -> Tally:
        """Count the submissions of a lot.

        Raises:
            NotFoundError: no such lot of the caller's.
        """
        counts = (
            select(SubmissionRow.state, SubmissionRow.finding, func.count())
            .where(SubmissionRow.lot_id == lot_id)
            .group_by(SubmissionRow.state, SubmissionRow.finding)
        )
        states: dict[SubmissionState, int] = {}
        findings: dict[str, int] = {}
        with self._reading() as session:
            found(session, caller, Lot, lot_id)
            for state, finding, count in session.execute(counts):
                states[state] = states.get(state, 0) + count
                if finding and state is not SubmissionState.WITHDRAWN:
                    findings[finding] = findings.get(finding, 0) + count
            return Tally(states, findings, _pace(session, lot_id, now=self._now()))

    def results(self, caller: Caller, lot_id: str) -> Iterator[Outcome]:
        """Yield what became of each photo of a lot, in the order of its source.

        Raises:
            NotFoundError: no such lot of the caller's.
        """
        with self._reading() as session:
            found(session, caller, Lot, lot_id)
        query = (
            select(SubmissionRow.name, SubmissionRow.error, SubmissionRow.row_json)
            .where(
                SubmissionRow.lot_id == lot_id,
                SubmissionRow.state != SubmissionState.WITHDRAWN,
            )
            .order_by(SubmissionRow.position)
        )
        for row in self._streaming(query):
            yield Outcome(*row)

    def finished_since(
        self, caller: Caller, lot_id: str, seq: int, *, limit: int = 500
    ) -> tuple[Submission, ...]:
        """Return what was finished after the ``seq``-th, in the order of finishing.

        Raises:
            NotFoundError: no such lot of the caller's.
        """
        query = (
            select(SubmissionRow)
            .where(
                SubmissionRow.lot_id == lot_id,
                SubmissionRow.finished_seq > seq,
                # What is tried again keeps its number until it is finished again.
                SubmissionRow.state.in_(DONE_SUBMISSIONS),
            )
            .order_by(SubmissionRow.finished_seq)
            .limit(limit)
        )
        with self._reading() as session:
            found(session, caller, Lot, lot_id)
            return tuple(row.value() for row in session.scalars(query))

    def lot_items(
        self, caller: Caller, lot_id: str, *, with_profiles: bool = True
    ) -> Iterator[LotItem]:
        """Yield every photo of a lot that was not withdrawn, in order, streamed.

        Args:
            caller: whose lot it is.
            lot_id: of which lot.
            with_profiles: read the profiles, which are nearly all that there is to
                read; else they are empty.

        Raises:
            NotFoundError: no such lot of the caller's.
        """
        with self._reading() as session:
            found(session, caller, Lot, lot_id)
        query = (
            select(
                SubmissionRow.position,
                SubmissionRow.name,
                SubmissionRow.exhibit_id,
                SubmissionRow.state,
                SubmissionRow.finding,
                SubmissionRow.log10_lr,
                SubmissionRow.serial,
                SubmissionRow.error,
                SubmissionRow.photo_digest,
                SubmissionRow.examination_id,
                ExaminationRow.record_digest,
                ExaminationRow.product_id,
                ExaminationRow.specimen_id,
                SubmissionRow.profile if with_profiles else literal(b""),
            )
            .outerjoin(
                ExaminationRow, ExaminationRow.id == SubmissionRow.examination_id
            )
            .where(
                SubmissionRow.lot_id == lot_id,
                SubmissionRow.state != SubmissionState.WITHDRAWN,
            )
            .order_by(SubmissionRow.position)
        )
        for row in self._streaming(query):
            values: tuple[Any, ...] = tuple(row)
            yield LotItem(*values)

    def attempts_lost(self, caller: Caller, lot_id: str) -> int:
        """Count the leases of a lot that ended without a result: workers that died.

        Raises:
            NotFoundError: no such lot of the caller's.
        """
        query = select(func.coalesce(func.sum(SubmissionRow.attempts - 1), 0)).where(
            SubmissionRow.lot_id == lot_id, SubmissionRow.attempts > 1
        )
        with self._reading() as session:
            found(session, caller, Lot, lot_id)
            return int(session.scalar(query) or 0)

    def serials_elsewhere(
        self, caller: Caller, lot_id: str
    ) -> tuple[tuple[str, str, str], ...]:
        """Return serials of a lot that another lot of the organisation has too.

        Each as (serial, id of the other lot, name of the photo there), a thousand at
        most.

        Raises:
            NotFoundError: no such lot of the caller's.
        """
        mine = aliased(SubmissionRow)
        other = SubmissionRow
        withdrawn = SubmissionState.WITHDRAWN
        with self._reading() as session:
            lot = found(session, caller, Lot, lot_id)
            query = (
                select(other.serial, other.lot_id, other.name)
                .join(mine, mine.serial == other.serial)
                .where(
                    mine.lot_id == lot_id,
                    mine.organisation_id == lot.organisation_id,
                    mine.serial != "",
                    mine.state != withdrawn,
                    other.organisation_id == lot.organisation_id,
                    other.lot_id != lot_id,
                    other.state != withdrawn,
                    # The same photo in two lots is one unit seen twice.
                    other.photo_digest != mine.photo_digest,
                )
                .distinct()
                .order_by(other.serial, other.lot_id, other.name)
                .limit(_MOST_ELSEWHERE)
            )
            return tuple((a, b, c) for a, b, c in session.execute(query))

    def operation_summary(
        self, caller: Caller, operation_id: str
    ) -> tuple[SummaryRow, ...]:
        """Count what was examined in an operation, by all that a dashboard asks for.

        Raises:
            NotFoundError: no such operation of the caller's.
        """
        by = (
            SeizureRow.country,
            LotRow.product_class,
            func.coalesce(ProductRow.brand, ""),
            SubmissionRow.finding,
            func.date(ExaminationRow.created_at),
        )
        query = (
            select(*by, func.count())
            .select_from(OperationRow)
            .join(CaseRow, CaseRow.operation_id == OperationRow.id)
            .join(SeizureRow, SeizureRow.case_id == CaseRow.id)
            .join(LotRow, LotRow.seizure_id == SeizureRow.id)
            .join(SubmissionRow, SubmissionRow.lot_id == LotRow.id)
            .join(ExaminationRow, ExaminationRow.id == SubmissionRow.examination_id)
            .outerjoin(
                ReferenceSetRow, ReferenceSetRow.id == ExaminationRow.reference_set_id
            )
            .outerjoin(ProductRow, ProductRow.id == ReferenceSetRow.product_ref)
            .where(
                OperationRow.id == operation_id,
                readable_by(caller, OperationRow.organisation_id),
                SubmissionRow.state != SubmissionState.WITHDRAWN,
            )
            .group_by(*by)
            .order_by(*by)
        )
        with self._reading() as session:
            found(session, caller, Operation, operation_id)
            rows = session.execute(query).all()
        return tuple(SummaryRow(a, b, c, d, str(e), n) for a, b, c, d, e, n in rows)

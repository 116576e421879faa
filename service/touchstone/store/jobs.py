"""Jobs: work that outlasts a request; begun, paused, gone on with, cancelled."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, bindparam, or_, select, update
from sqlalchemy.orm import Session

from touchstone.errors import ConflictError
from touchstone.store.audit import Act, Action, append
from touchstone.store.database import Database
from touchstone.store.filing import found, has_results, owned, step
from touchstone.store.filing_tables import JobRow, LotRow, SubmissionRow
from touchstone.store.filing_values import (
    OPEN_SUBMISSIONS,
    PIECES,
    STEPS,
    UNFINISHED_JOBS,
    Job,
    JobKind,
    JobState,
    Lot,
    LotState,
    SubmissionState,
)
from touchstone.store.idempotency import made_before, note_made
from touchstone.store.leases import has_lapsed, stopped_if_lapsed
from touchstone.store.scope import checked_id, not_found, readable_by
from touchstone.store.values import Caller, Page, canonical_json, new_id

_GIVEN = timedelta(minutes=20)
"""For a job that is one piece of work, as a report; then it is taken for lost."""
_NEXT = {
    JobState.QUEUED: {JobState.PAUSED, JobState.CANCELLED},
    JobState.RUNNING: {JobState.PAUSED, JobState.CANCELLED},
    JobState.PAUSED: {JobState.QUEUED, JobState.CANCELLED},
}
"""What a caller may ask of a job."""


class Jobs(Database):
    """Verbs on jobs."""

    def begin_job(
        self,
        caller: Caller,
        lot_id: str,
        kind: JobKind,
        *,
        examined_by: Mapping[str, str],
    ) -> Job:
        """Begin a job, or go on with the one of this kind that is unfinished.

        What was paused, or its key no longer holds, goes on on the caller's behalf.

        Raises:
            NotFoundError: no such lot of the caller's.
        """
        at = self._now()
        with self._writing() as session:
            lot = owned(session, caller, Lot, lot_id)
            if before := made_before(session, caller):
                return session.get_one(JobRow, before).value()
            row = session.scalar(
                select(JobRow)
                .where(
                    JobRow.lot_id == lot.id,
                    JobRow.kind == kind,
                    JobRow.state.in_(UNFINISHED_JOBS),
                )
                .order_by(JobRow.id.desc())
                .limit(1)
            )
            if row is None:
                row = _new_job(caller, lot, kind, at=at)
                session.add(row)
                act = Act(Action.CREATE_JOB, row.id, {"lot_id": lot.id, "kind": kind})
                append(session, [act], caller=caller, at=at)
            elif row.state is JobState.PAUSED or has_lapsed(session, row, at=at):
                _take_over(row, caller)
                act = Act(Action.MOVE_JOB, row.id, {"to": str(row.state)})
                append(session, [act], caller=caller, at=at)
            _note_finder(session, row, examined_by)
            session.flush()
            if kind is JobKind.SCORE:
                settle(session, row.id, row.lot_id, at=at)
            note_made(session, caller, row.id)
            return row.value()

    def job(self, caller: Caller, job_id: str) -> Job:
        """Return one job.

        Raises:
            NotFoundError: there is none, or it is another's.
        """
        with self._reading() as session:
            return _job(session, caller, job_id).value()

    def job_state(self, job_id: str) -> JobState | None:
        """Return how far a job is, for the workers on it; None if there is none."""
        with self._reading() as session:
            return session.scalar(select(JobRow.state).where(JobRow.id == job_id))

    def list_jobs(
        self,
        caller: Caller,
        *,
        lot_id: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[Job]:
        """Return the caller's organisation's jobs, the newest first."""
        query = select(JobRow).where(readable_by(caller, JobRow.organisation_id))
        if lot_id is not None:
            query = query.where(JobRow.lot_id == checked_id(lot_id))
        return self._page(
            query,
            JobRow.id,
            value=JobRow.value,
            after=after,
            limit=limit,
            newest_first=True,
        )

    def finders(self, caller: Caller, lot_id: str) -> Sequence[Mapping[str, str]]:
        """Return by what the results of a lot were found, so far.

        Empty where no photo was examined yet, so that nothing can mix.

        Raises:
            NotFoundError: no such lot of the caller's.
        """
        with self._reading() as session:
            lot = found(session, caller, Lot, lot_id)
            row = session.scalar(
                select(JobRow)
                .where(JobRow.lot_id == lot.id, JobRow.kind == JobKind.SCORE)
                .order_by(JobRow.id.desc())
                .limit(1)
            )
            if row is None or not has_results(session, lot.id):
                return ()
            return tuple(row.examined_by)

    def move_job(
        self, caller: Caller, job_id: str, state: JobState, *, error: str = ""
    ) -> Job:
        """Pause a job, let it go on (``queued``), or cancel it.

        What workers have in hand they finish; after a pause or a cancellation they
        take no more. It goes on on behalf of the caller.

        Raises:
            NotFoundError: there is none, or it is another's.
            ConflictError: it is finished, or in that state already.
        """
        at = self._now()
        with self._writing() as session:
            row = _own_job(session, caller, job_id)
            if made_before(session, caller):
                return row.value()
            if state not in _NEXT.get(row.state, ()):
                raise ConflictError(f"A job that is {row.state} cannot be {state}.")
            row.state, row.error = state, error
            if state is JobState.QUEUED:
                _take_over(row, caller)
            row.finished_at = at if state is JobState.CANCELLED else None
            act = Act(Action.MOVE_JOB, row.id, {"to": str(state)})
            append(session, [act], caller=caller, at=at)
            note_made(session, caller, row.id)
            return row.value()

    def retry_failed(self, caller: Caller, job_id: str) -> Job:
        """Queue what failed once more, and the job with it.

        Only what a worker took and failed: what its source could not give stays.

        Raises:
            NotFoundError: there is none, or it is another's.
            ConflictError: nothing failed that could be tried again, the job is no
                scoring, or another scoring of the lot is under way.
        """
        at = self._now()
        with self._writing() as session:
            row = _own_job(session, caller, job_id)
            if made_before(session, caller):
                return row.value()
            _check_retriable(session, row)
            tried = session.execute(
                update(SubmissionRow)
                .where(
                    SubmissionRow.lot_id == row.lot_id,
                    SubmissionRow.state == SubmissionState.FAILED,
                    SubmissionRow.locator != "",
                )
                # finished_seq stays: were the last number given again, whoever follows
                # from there would miss what comes of it.
                .values(state=SubmissionState.QUEUED, attempts=0, worker="", error="")
                .returning(SubmissionRow.id)
            ).all()
            if not tried:
                raise ConflictError("Nothing failed that could be tried again.")
            _take_over(row, caller)
            row.finished_at = None
            detail = {"to": str(row.state), "retried": len(tried)}
            act = Act(Action.MOVE_JOB, row.id, detail)
            append(session, [act], caller=caller, at=at)
            note_made(session, caller, row.id)
            return row.value()

    def take_job(self) -> Job | None:
        """Take the oldest job that waits and is one piece of work; None if none does.

        What was taken long ago, by whoever died of it, waits again.
        """
        at = self._now()
        lost = and_(JobRow.state == JobState.RUNNING, JobRow.started_at < at - _GIVEN)
        waits = or_(JobRow.state == JobState.QUEUED, lost)
        query = select(JobRow).where(JobRow.kind.in_(PIECES), waits).order_by(JobRow.id)
        with self._reading() as session:  # mostly none: no reason to write
            if session.scalar(query.limit(1)) is None:
                return None
        with self._writing() as session:
            for row in session.scalars(query).all():
                if not stopped_if_lapsed(session, row, at=at):
                    row.state, row.started_at = JobState.RUNNING, at
                    return row.value()
        return None

    def end_job(
        self,
        caller: Caller,
        job_id: str,
        *,
        started_at: datetime | None,
        result: Mapping[str, Any] | None,
        error: str = "",
    ) -> Job:
        """End a job that is no scoring: with its result, or with why there is none.

        One that does not run stays as it is: it was cancelled or paused meanwhile. So
        does one that another took since (``started_at`` of the job as it was taken
        tells), or that goes on on behalf of another than the caller.

        Raises:
            NotFoundError: there is none, or it is another's.
        """
        at = self._now()
        with self._writing() as session:
            row = _job(session, caller, job_id)
            is_ours = (row.started_at, row.key_id) == (started_at, caller.key_id)
            if row.state is not JobState.RUNNING or not is_ours:
                return row.value()
            row.state = JobState.FAILED if result is None else JobState.DONE
            row.result_json = None if result is None else canonical_json(result)
            row.error, row.finished_at = error, at
            act = Act(Action.MOVE_JOB, row.id, {"to": str(row.state)})
            append(session, [act], caller=caller, at=at)
            return row.value()

    def lot_of_origin(self, caller: Caller, origin: str) -> Lot | None:
        """Return the newest lot that a command left unfinished; None if none did."""
        query = (
            select(LotRow)
            .where(
                LotRow.organisation_id == caller.organisation_id,
                LotRow.origin == origin,
            )
            .order_by(LotRow.id.desc())
            .limit(1)
        )
        with self._reading() as session:
            row = session.scalar(query)
        return None if row is None else row.value()

    def close_origin(self, caller: Caller, lot_id: str) -> None:
        """Say that what a command scored the lot for is written.

        The same command then begins anew.

        Raises:
            NotFoundError: no such lot of the caller's.
        """
        with self._writing() as session:
            owned(session, caller, Lot, lot_id).origin = ""


# Made once, and for the connection: see `Database._querying`. It is asked for each
# photo that is finished.
_OPEN = (
    select(SubmissionRow.id)
    .where(
        SubmissionRow.lot_id == bindparam("open_lot"),
        SubmissionRow.state.in_(OPEN_SUBMISSIONS),
    )
    .limit(1)
)


def settle(session: Session, job_id: str, lot_id: str, *, at: datetime) -> None:
    """End a scoring of which nothing is left to do, and take its lot along.

    What the session holds must have been flushed.
    """
    still_open = session.connection().execute(_OPEN, {"open_lot": lot_id})
    if still_open.one_or_none() is not None:
        return
    job = session.get_one(JobRow, job_id)
    if job.state not in UNFINISHED_JOBS:
        return
    lacks = (SubmissionState.FAILED, SubmissionState.AWAITING)
    of_lot = select(SubmissionRow.id).where(SubmissionRow.lot_id == lot_id)
    is_short = of_lot.where(SubmissionRow.state.in_(lacks)).limit(1)
    is_whole = session.scalar(is_short) is None
    job.state = JobState.DONE if is_whole else JobState.PARTIAL
    job.finished_at = at
    lot = session.get_one(LotRow, lot_id)
    # Of what was only announced, or could not be read, there is nothing to conclude;
    # its lot may still be planned.
    if has_results(session, lot.id) and LotState.SCORED in STEPS[lot.state]:
        step(session, lot, LotState.SCORED)
    act = Act(Action.MOVE_JOB, job.id, {"to": str(job.state)})
    caller = Caller(job.key_id, job.organisation_id, job.role)
    append(session, [act], caller=caller, at=at)


def _new_job(caller: Caller, lot: LotRow, kind: JobKind, *, at: datetime) -> JobRow:
    return JobRow(
        id=new_id(),
        organisation_id=lot.organisation_id,
        lot_id=lot.id,
        kind=kind,
        state=JobState.QUEUED,
        key_id=caller.key_id,
        role=caller.role,
        examined_by=[],
        result_json=None,
        error="",
        created_at=at,
        started_at=None,
        finished_at=None,
    )


def _take_over(row: JobRow, caller: Caller) -> None:
    row.state, row.error = JobState.QUEUED, ""
    row.key_id, row.role = caller.key_id, caller.role


def _note_finder(session: Session, row: JobRow, examined_by: Mapping[str, str]) -> None:
    now = dict(examined_by)
    if not has_results(session, row.lot_id):
        row.examined_by = [now]  # no result can be of another state
    elif now not in row.examined_by:
        row.examined_by = [*row.examined_by, now]


def _job(session: Session, caller: Caller, job_id: str) -> JobRow:
    row = session.scalar(
        select(JobRow).where(
            JobRow.id == checked_id(job_id),
            readable_by(caller, JobRow.organisation_id),
        )
    )
    if row is None:
        raise not_found()
    return row


def _own_job(session: Session, caller: Caller, job_id: str) -> JobRow:
    # An administrator reads every organisation's, but steers its own alone.
    row = _job(session, caller, job_id)
    if row.organisation_id != caller.organisation_id:
        raise not_found()
    return row


def _check_retriable(session: Session, job: JobRow) -> None:
    if job.kind is not JobKind.SCORE:
        raise ConflictError(f"A {job.kind} cannot be tried again; ask for a new one.")
    other = session.scalar(
        select(JobRow)
        .where(
            JobRow.lot_id == job.lot_id,
            JobRow.kind == JobKind.SCORE,
            JobRow.state.in_(UNFINISHED_JOBS),
            JobRow.id != job.id,
        )
        .limit(1)
    )
    if other is not None:
        raise ConflictError(
            f"Job {other.id} of this lot is {other.state}; "
            "retry that one, or cancel it first."
        )

"""Which photos a worker may take, and on whose behalf; see ``work``."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import BindParameter, ColumnElement, Select, exists, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from touchstone.store.audit import Act, Action, append
from touchstone.store.filing_drafts import Result
from touchstone.store.filing_tables import JobRow, LotRow, SubmissionRow
from touchstone.store.filing_values import JobKind, JobState, Leased, SubmissionState
from touchstone.store.scope import checked_id
from touchstone.store.submitting import fill, next_seq
from touchstone.store.tables import ApiKeyRow
from touchstone.store.values import Caller

T = TypeVar("T")

MAX_ATTEMPTS = 4
"""Deaths of workers over one photo, after which it is given up. Not fewer: chance
kills (a reboot, memory) may strike the same photo twice."""
LEASE = timedelta(seconds=120)
"""Renewed with each photo that is finished, of which one takes seconds."""
_GIVEN_UP = (
    f"The photo stopped its worker process {MAX_ATTEMPTS} times; it was given up."
)
_LAPSED = (
    "The API key that it was begun with holds no more: it was revoked, or has run out. "
    "Whoever resumes it goes on with it on their own behalf."
)


# --- jobs -----------------------------------------------------------------------------


def is_lapsed(
    key_id: InstrumentedAttribute[str | None] | BindParameter[str],
    at: datetime | BindParameter[datetime],
) -> ColumnElement[bool]:
    """Return the condition that a key, of a job or of a lease, holds no more.

    Asked where work is given out and before each photo: a key that is revoked must not
    go on reading references through what it left running.
    """
    return exists().where(
        ApiKeyRow.id == key_id,
        or_(ApiKeyRow.revoked_at.is_not(None), ApiKeyRow.expires_at <= at),
    )


def has_lapsed(session: Session, job: JobRow, *, at: datetime) -> bool:
    """Tell whether the key of a job holds no more."""
    query = select(JobRow.id).where(JobRow.id == job.id, is_lapsed(JobRow.key_id, at))
    return session.scalar(query) is not None


def stopped_if_lapsed(session: Session, job: JobRow, *, at: datetime) -> bool:
    """Pause a job whose key holds no more, for another to resume; tell whether so."""
    if not has_lapsed(session, job, at=at):
        return False
    job.state, job.error = JobState.PAUSED, _LAPSED
    act = Act(Action.MOVE_JOB, job.id, {"to": str(job.state), "why": "key"})
    # No key does this; it is done within the organisation.
    caller = Caller(None, job.organisation_id, job.role)
    append(session, [act], caller=caller, at=at)
    return True


def workable(job_id: str | None) -> Select[JobRow]:
    """Return the scorings that have work, the oldest first; see `Work.lease`."""
    query = select(JobRow).where(
        JobRow.kind == JobKind.SCORE,
        JobRow.state.in_((JobState.QUEUED, JobState.RUNNING)),
    )
    if job_id is not None:
        query = query.where(JobRow.id == checked_id(job_id))
    else:
        query = query.join(LotRow, LotRow.id == JobRow.lot_id).where(
            LotRow.origin == ""
        )
    return query.order_by(JobRow.id)


def of_job(query: Select[T], job_id: str) -> Select[T]:
    """Return a query of submissions, for those of a job alone."""
    return query.join(JobRow, JobRow.lot_id == SubmissionRow.lot_id).where(
        JobRow.id == checked_id(job_id)
    )


# --- photos ---------------------------------------------------------------------------


def free(
    session: Session, job: JobRow, *, now: datetime, limit: int
) -> Sequence[SubmissionRow]:
    """Return what of a job nobody holds, in order."""
    of_lot = select(SubmissionRow).where(SubmissionRow.lot_id == job.lot_id)
    # Two queries, each along its index: there may be fifty thousand that wait.
    queued = of_lot.where(SubmissionRow.state == SubmissionState.QUEUED)
    lost = of_lot.where(
        SubmissionRow.state == SubmissionState.EXAMINING,
        SubmissionRow.leased_until < now,
    )
    found_rows: list[SubmissionRow] = []
    for query in (lost, queued):
        found_rows.extend(
            session.scalars(query.order_by(SubmissionRow.position).limit(limit))
        )
    return worth_trying(session, found_rows, limit=limit)


def worth_trying(
    session: Session, found_rows: Iterable[SubmissionRow], *, limit: int
) -> Sequence[SubmissionRow]:
    """Return what of ``found_rows`` is to be tried together; give up what is not."""
    rows: list[SubmissionRow] = []
    for row in found_rows:
        if row.attempts >= MAX_ATTEMPTS:
            fill(row, Result(error=_GIVEN_UP))
            row.finished_seq = next_seq(session, row.lot_id)
            session.flush()
        else:
            rows.append(row)
    rows = rows[:limit]
    tried = [number for number, row in enumerate(rows) if row.attempts]
    # What was tried before may have killed its worker: it goes alone.
    return rows if not tried else rows[: max(1, tried[0])]


def taken(
    rows: Sequence[SubmissionRow], job: JobRow, *, worker: str, now: datetime
) -> tuple[Leased, ...]:
    """Lease ``rows`` to a worker."""
    job.error = ""
    if job.state is JobState.QUEUED:
        job.state, job.started_at = JobState.RUNNING, job.started_at or now
    for row in rows:
        row.state, row.worker = SubmissionState.EXAMINING, worker
        row.leased_until = now + LEASE
        row.attempts += 1
    return tuple(_leased(row, job) for row in rows)


def _leased(row: SubmissionRow, job: JobRow) -> Leased:
    return Leased(
        id=row.id,
        lot_id=row.lot_id,
        job_id=job.id,
        organisation_id=row.organisation_id,
        name=row.name,
        locator=row.locator,
        declared_product=row.declared_product,
        declared_gtin=row.declared_gtin,
        worker=row.worker,
        key_id=job.key_id,
        role=job.role,
    )

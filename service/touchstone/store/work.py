"""The photos of a lot as work: leased, and finished once, whatever dies.

A worker *leases* a few submissions, which are its own until the lease runs out, and
*finishes* each in the transaction that records its examination. Whoever lost a lease
meanwhile finishes nothing (the worker's name is the fence), so that a photo has one
result however often workers die, hang or are cut off. Each lease counts as an attempt
until it is finished or given back; what was attempted before is leased alone, so that
a photo that kills its worker takes no other along, and is given up in the end.
"""

from collections.abc import Callable, Collection
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased

from touchstone.store.database import Database
from touchstone.store.drafts import ExaminationDraft
from touchstone.store.examinations import append_examinations, examination_of
from touchstone.store.filing_drafts import Result
from touchstone.store.filing_tables import ExhibitRow, JobRow, SubmissionRow
from touchstone.store.filing_values import (
    OPEN_SUBMISSIONS,
    ExhibitState,
    Job,
    Leased,
    SubmissionState,
)
from touchstone.store.jobs import settle
from touchstone.store.leases import (
    LEASE,
    free,
    is_lapsed,
    of_job,
    stopped_if_lapsed,
    taken,
    workable,
    worth_trying,
)
from touchstone.store.submitting import FILLED, filled
from touchstone.store.tables import Base, Id
from touchstone.store.values import Caller


class Work(Database):
    """Verbs on submissions: what there is to examine, and what became of it."""

    # --- the worker's side ------------------------------------------------------------

    def lease(
        self,
        worker: str,
        *,
        limit: int = 4,
        job_id: str | None = None,
        fits: Callable[[Job], bool] = lambda _: True,
    ) -> tuple[Leased, ...]:
        """Take up to ``limit`` submissions for ``worker``; none if there is no work.

        Args:
            worker: a name that no other process has, now or later.
            limit: the most to take.
            job_id: of this job alone; None for the oldest that has work, but for those
                that a command works on by itself: their photos may lie where only
                that command can read them.
            fits: tells whether the worker may do a job; others are left as they are.
        """
        now = self._now()
        with self._reading() as session:  # mostly none: no reason to write
            jobs = session.scalars(workable(job_id)).all()
            if not any(fits(job.value()) for job in jobs):
                return ()
        with self._writing() as session:
            for job in session.scalars(workable(job_id)).all():
                if not fits(job.value()):
                    continue
                if stopped_if_lapsed(session, job, at=now):
                    continue
                rows = free(session, job, now=now, limit=limit)
                if rows:
                    return taken(rows, job, worker=worker, now=now)
                settle(session, job.id, job.lot_id, at=now)
        return ()

    def lease_these(
        self,
        worker: str,
        job_id: str,
        ids: Collection[str],
        *,
        is_lost: Callable[[str], bool],
        limit: int = 4,
        fits: Callable[[Job], bool] = lambda _: True,
    ) -> tuple[Leased, ...]:
        """Take up to ``limit`` of these submissions; none if none of them is left.

        For work that was shared out before: what is finished already is passed over,
        and what another holds stays with it, unless that one lost it.

        Args:
            worker: a name that no other process has, now or later.
            job_id: the job that they are of.
            ids: which submissions.
            is_lost: tells of a worker's name whether what it held was given to this
                one. Should it live all the same, it finishes nothing more of it.
            limit: the most to take.
            fits: as of `lease`.
        """
        now = self._now()
        with self._writing() as session:
            job = session.scalar(workable(job_id))
            if job is None or not fits(job.value()):
                return ()
            if stopped_if_lapsed(session, job, at=now):
                return ()
            rows = session.scalars(
                select(SubmissionRow)
                .where(
                    SubmissionRow.lot_id == job.lot_id,
                    SubmissionRow.id.in_(ids),
                    SubmissionRow.state.in_(OPEN_SUBMISSIONS),
                )
                .order_by(SubmissionRow.position)
            ).all()
            unheld = [
                row
                for row in rows
                if row.leased_until is None
                or row.leased_until < now
                or is_lost(row.worker)
            ]
            chosen = worth_trying(session, unheld, limit=limit)
            if chosen:
                return taken(chosen, job, worker=worker, now=now)
            settle(session, job.id, job.lot_id, at=now)
        return ()

    def waiting(self, job_id: str, *, limit: int) -> tuple[str, ...]:
        """Return the ids of up to ``limit`` submissions that nobody holds, in order."""
        now = self._now()
        query = (
            of_job(select(SubmissionRow.id), job_id)
            .where(
                SubmissionRow.state.in_(OPEN_SUBMISSIONS),
                or_(
                    SubmissionRow.leased_until.is_(None),
                    SubmissionRow.leased_until < now,
                ),
            )
            .order_by(SubmissionRow.position)
            .limit(limit)
        )
        with self._reading() as session:
            return tuple(session.scalars(query))

    def name_of_unsent(self, job_id: str) -> str | None:
        """Return the name of a photo, still to examine, that lies on one machine alone.

        None: all of them are in the image store.
        """
        query = (
            of_job(select(SubmissionRow.name), job_id)
            .where(
                SubmissionRow.state.in_(OPEN_SUBMISSIONS),
                SubmissionRow.locator.not_like("blob:%"),
            )
            .limit(1)
        )
        with self._reading() as session:
            return session.scalar(query)

    def note_refusal(self, job_id: str, why: str) -> None:
        """Say of a job why a worker leaves it, unless another works on it."""
        now = self._now()
        is_held = select(SubmissionRow.id).where(
            SubmissionRow.lot_id == JobRow.lot_id,
            SubmissionRow.state == SubmissionState.EXAMINING,
            SubmissionRow.leased_until >= now,
        )
        query = workable(job_id).where(~is_held.exists(), JobRow.error != why)
        with self._reading() as session:  # mostly said: no reason to write
            if session.scalar(query) is None:
                return
        with self._writing() as session:
            job = session.scalar(query)
            if job is not None:
                job.error = why

    def may_examine(self, leased: Leased) -> bool:
        """Tell, before a leased photo is begun, whether that is still rightful.

        False where the lease was lost, or where the key on whose behalf the job runs
        was revoked meanwhile: what is held is then to be given back.
        """
        asked = {
            "asked_id": leased.id,
            "asked_worker": leased.worker,
            "asked_key": leased.key_id,
            "asked_at": self._now(),
        }
        with self._querying() as connection:
            return connection.execute(_RIGHTFUL, asked).one_or_none() is not None

    def finish(
        self, leased: Leased, result: Result, draft: ExaminationDraft | None
    ) -> bool:
        """Record what became of a leased submission, with its examination, at once.

        The other leases of the same worker are renewed by it.

        Returns:
            False if the lease was lost: another has it, and nothing is recorded.
        """
        now = self._now()
        caller = Caller(leased.key_id, leased.organisation_id, leased.role)
        with self._writing() as session:
            connection = session.connection()
            held = connection.execute(
                _HELD, {"held_id": leased.id, "held_worker": leased.worker}
            ).one_or_none()
            if held is None:
                return False
            values = filled(result) | {
                "examination_id": None,
                "photo_digest": held.photo_digest,
            }
            if draft is not None:
                made = examination_of(caller, draft, at=now)
                append_examinations(session, [made], caller=caller)
                values["examination_id"] = made.id
                values["photo_digest"] = made.photo_digest
            connection.execute(_FINISH, values | {"finished_id": leased.id})
            if held.leased_until - now < LEASE / 2:
                _renew(session, leased.worker, leased.lot_id, until=now + LEASE)
            if held.exhibit_id is not None and draft is not None:
                _mark_examined(session, held.exhibit_id)
            settle(session, leased.job_id, leased.lot_id, at=now)
        return True

    def give_back(self, worker: str, *, tried: str = "") -> None:
        """Give back what ``worker`` holds, untried: it stops in good order.

        Args:
            worker: who holds it.
            tried: id of the submission that it stops over; that one was attempted.
        """
        with self._writing() as session:
            session.execute(
                update(SubmissionRow)
                .where(_held_by(worker))
                .values(
                    state=SubmissionState.QUEUED,
                    worker="",
                    leased_until=None,
                    attempts=SubmissionRow.attempts
                    - case((SubmissionRow.id == tried, 0), else_=1),
                )
            )

    def take_from_dead(
        self, is_dead: Callable[[str], bool], *, untried: bool = False
    ) -> int:
        """Free what dead workers hold, or lost long ago; return how many.

        Of work that goes on others would take it by and by; of what was cancelled
        nobody else would ever.

        Args:
            is_dead: tells of a worker's name whether it is dead for certain.
            untried: they were stopped, and died of no photo: no attempt is counted.
        """
        is_examining = SubmissionRow.state == SubmissionState.EXAMINING
        is_lost = SubmissionRow.leased_until < self._now()
        holders = select(SubmissionRow.worker, is_lost).where(is_examining).distinct()
        with self._reading() as session:
            held = session.execute(holders).all()
        dead = {name for name, _ in held if is_dead(name)}
        if not dead and not any(lost for _, lost in held):
            return 0
        with self._writing() as session:
            rows = session.scalars(
                select(SubmissionRow).where(
                    is_examining, or_(SubmissionRow.worker.in_(dead), is_lost)
                )
            ).all()
            for row in rows:
                row.attempts -= untried and row.worker in dead
                row.state, row.worker = SubmissionState.QUEUED, ""
                row.leased_until = None
            return len(rows)


def _held_by(worker: str) -> ColumnElement[bool]:
    return and_(
        SubmissionRow.state == SubmissionState.EXAMINING,
        SubmissionRow.worker == worker,
    )


def _renew(session: Session, worker: str, lot_id: str, *, until: datetime) -> None:
    session.execute(
        update(SubmissionRow)
        .where(SubmissionRow.lot_id == lot_id, _held_by(worker))
        .values(leased_until=until)
    )


def _mark_examined(session: Session, exhibit_id: str) -> None:
    session.execute(
        update(ExhibitRow)
        .where(
            ExhibitRow.id == exhibit_id,
            ExhibitRow.state.in_((ExhibitState.LOGGED, ExhibitState.IMAGED)),
        )
        .values(state=ExhibitState.EXAMINED)
    )


# Made once, and for the connection: see `Database._querying`. A photo takes a tenth of
# a second, and its bookkeeping must be small beside that.
_HELD = select(
    SubmissionRow.leased_until, SubmissionRow.exhibit_id, SubmissionRow.photo_digest
).where(
    SubmissionRow.id == bindparam("held_id"),
    SubmissionRow.state == SubmissionState.EXAMINING,
    SubmissionRow.worker == bindparam("held_worker"),
)
# By the key of the lease: another may have taken the job over since.
_RIGHTFUL = select(SubmissionRow.id).where(
    SubmissionRow.id == bindparam("asked_id"),
    SubmissionRow.state == SubmissionState.EXAMINING,
    SubmissionRow.worker == bindparam("asked_worker"),
    ~is_lapsed(bindparam("asked_key", type_=Id), bindparam("asked_at")),
)
_TABLE = Base.metadata.tables["submission"]
_OTHER = aliased(SubmissionRow)
_FINISH = (
    update(_TABLE)
    .where(_TABLE.c.id == bindparam("finished_id"))
    .values(
        # Writes are serial, so that no two take the same number.
        finished_seq=select(func.coalesce(func.max(_OTHER.finished_seq), 0) + 1)
        .where(_OTHER.lot_id == _TABLE.c.lot_id)
        .scalar_subquery(),
        leased_until=None,
        **{
            name: bindparam(name)
            for name in (*FILLED, "examination_id", "photo_digest")
        },
    )
)

"""One worker: leases photos, examines them, finishes each; the same on any machine."""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from touchstone.errors import (
    BadImageError,
    BusyError,
    InvalidInputError,
    StorageError,
    TouchstoneError,
)
from touchstone.examination import Assessment
from touchstone.lots.finders import Fitting
from touchstone.lots.names import printable
from touchstone.lots.photos import PhotoReader
from touchstone.lots.results import result_of
from touchstone.store import (
    UNFINISHED_JOBS,
    Caller,
    ExaminationDraft,
    Job,
    JobState,
    Leased,
    Result,
    Store,
    new_id,
)

T = TypeVar("T")
_LOG = logging.getLogger(__name__)

Assess: TypeAlias = Callable[[Leased, bytes], Assessment]
"""What is known of a photo, and its bytes, to what was found; raises BadImageError."""

_AT_ONCE = 4
"""Photos leased at once: what a worker that dies holds up until it is missed."""
_IDLE_S = 0.2
_LOOK_ROUND_EVERY_S = 30.0
_BUSY_S = 0.5
_BUSY_TRIES = 60
_AWAY_TRIES = 1200
"""Ten minutes: for a server of databases to be started, or another in its place."""


@dataclass(frozen=True, slots=True)
class Desk:
    """All that a worker works with."""

    store: Store
    photos: PhotoReader
    assess: Assess
    publish: Callable[[Job], Mapping[str, Any]] | None = None
    """Does a job that is one piece of work, as a report, and returns its result; None
    where nobody asks for any."""
    made_with: Mapping[str, str] = field(default_factory=dict)
    """Digest or version of what assesses, by name: jobs that were begun with another
    are left to others."""


MakeDesk: TypeAlias = Callable[[], Desk]
"""Run once in each worker; must be picklable, for workers are spawned."""


def worker_name(run: str = "") -> str:
    """Return a name that no other worker has: the fence of its leases.

    Args:
        run: of many machines, that it is of; see `is_of_run`.
    """
    return f"{_machine()}:{os.getpid()}:{run}/{new_id()}"


def is_of_run(name: str, run: str) -> bool:
    """Tell whether the worker of this name is of that run."""
    return name.rpartition(":")[2].startswith(f"{run}/")


@cache
def _machine() -> str:
    """Return where a process id means one process: host, boot and namespace.

    Containers may share a host's name and number their processes each for itself.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        space = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        return socket.gethostname()
    digits = "".join(filter(str.isdigit, space))
    return f"{socket.gethostname()}/{boot.strip()[:8]}/{digits}"


def is_dead(name: str) -> bool:
    """Tell whether the worker of this name is dead for certain: it was of this machine.

    Of others nothing is known; their leases run out.
    """
    host, _, rest = name.rpartition(":")[0].rpartition(":")
    if host != _machine() or not rest.isdigit():
        return False
    try:
        os.kill(int(rest), 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)
    return False


def free_dead(store: Store) -> None:
    """Free what dead workers of this machine hold.

    Not waited for where the database is away or busy: their leases run out.
    """
    try:
        store.take_from_dead(is_dead)
    except TouchstoneError as error:
        if not _tries(error):
            raise


def work(
    desk: Desk,
    name: str,
    *,
    job_id: str | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Examine photos until there is no more work; what is in hand is finished.

    Args:
        desk: what to work with.
        name: from `worker_name`.
        job_id: the job to work on; None for any, and then for as long as not stopped.
        is_stopping: asked before each photo.

    A photo is not begun once the key that its job was begun with holds no more.

    Raises:
        ConflictError: the job was begun with other models than the worker has.
        TouchstoneError: what stops every photo: a model, the disk, the database. What
            was leased has been given back.
    """
    fits, told_at = Fitting(desk.made_with, job_id), dict[str, float]()
    with closing(desk.photos):
        asked_at = time.monotonic()
        try:
            while not is_stopping():
                if job_id is None and time.monotonic() - asked_at > _LOOK_ROUND_EVERY_S:
                    # Else they would wait behind everybody's photos.
                    report_due(desk)
                    _patiently(partial(desk.store.take_from_dead, is_dead))
                    asked_at = time.monotonic()
                leases = _patiently(
                    partial(
                        desk.store.lease,
                        name,
                        limit=_AT_ONCE,
                        job_id=job_id,
                        fits=fits,
                    )
                )
                _tell_refused(desk.store, fits, told_at)
                if leases:
                    _finish_all(desk, leases, is_stopping)
                elif job_id is not None and not _patiently(
                    partial(_is_under_way, desk.store, job_id)
                ):
                    return
                elif job_id is not None or not report_due(desk):
                    time.sleep(_IDLE_S)  # others hold the rest, and may yet lose it
        finally:
            _let_go(desk.store, name)


def work_on(
    desk: Desk,
    name: str,
    *,
    job_id: str,
    ids: Iterable[str],
    is_lost: Callable[[str], bool],
) -> None:
    """Examine these photos of a job, as far as they are not yet; see `work`.

    Args:
        desk: what to work with.
        name: from `worker_name`.
        job_id: the job that they are of.
        ids: of the submissions that were shared out to this worker.
        is_lost: tells of a worker's name whether they were its before.

    Raises:
        ConflictError: the job was begun with other models than the worker has.
        TouchstoneError: what stops every photo. What was leased has been given back.
    """
    fits = Fitting(desk.made_with, job_id)
    left = set(ids)
    try:
        while leases := _patiently(
            partial(
                desk.store.lease_these,
                name,
                job_id,
                frozenset(left),
                is_lost=is_lost,
                limit=_AT_ONCE,
                fits=fits,
            )
        ):
            _finish_all(desk, leases, is_stopping=lambda: False)
            left -= {one.id for one in leases}
    finally:
        _let_go(desk.store, name)


def _let_go(store: Store, name: str) -> None:
    """Give back, at the end, what is left in hand."""
    try:
        store.give_back(name)
    except TouchstoneError as error:
        # Who ends waits for nothing, and must not hide why it ends: the leases run out.
        if not _tries(error):
            raise


def _tell_refused(store: Store, fits: Fitting, told_at: dict[str, float]) -> None:
    """Say at each job that was left why; now and then, not at each look.

    Again, for it is not said while another works on the job, and wiped away when
    somebody goes on with it.
    """
    now = time.monotonic()
    for job_id, why in fits.refused.items():
        if now - told_at.get(job_id, -_LOOK_ROUND_EVERY_S) >= _LOOK_ROUND_EVERY_S:
            _patiently(partial(store.note_refusal, job_id, why))
            told_at[job_id] = now
    fits.refused.clear()


def _finish_all(
    desk: Desk, leases: tuple[Leased, ...], is_stopping: Callable[[], bool]
) -> None:
    for leased in leases:
        if is_stopping():
            return
        if not _patiently(partial(desk.store.may_examine, leased)):
            _patiently(partial(desk.store.give_back, leased.worker))
            return
        try:
            result, draft = _patiently(partial(examined, desk, leased))
        except TouchstoneError as error:
            # It may be this photo alone, as an image that was altered in its store:
            # the attempt counts, so that no photo can hold up all others for ever.
            if not _is_passing(error):
                _patiently(
                    partial(desk.store.give_back, leased.worker, tried=leased.id)
                )
            raise
        _patiently(partial(desk.store.finish, leased, result, draft))


def _is_passing(error: TouchstoneError) -> bool:
    is_full = isinstance(error, StorageError) and error.is_full
    return is_full or _tries(error) > 0


def examined(desk: Desk, leased: Leased) -> tuple[Result, ExaminationDraft | None]:
    """Examine one photo: the function that every engine runs for every item.

    Returns:
        what becomes of the submission, and what to record; None where the photo could
        not be examined.

    Raises:
        TouchstoneError: what stops every photo, not this one alone.
    """
    try:
        assessment = desk.assess(leased, desk.photos.read(leased.locator))
    except (BadImageError, InvalidInputError) as error:
        return Result(error=printable(str(error))), None
    except TouchstoneError:
        raise  # it would stop every other photo too
    except Exception as error:
        # A defect that one photo brings to light costs that photo alone.
        words = printable(f"Unexpected {type(error).__name__}: {error}")
        return Result(error=words[:900]), None
    return result_of(leased.name, assessment), assessment.draft


def report_due(desk: Desk) -> bool:
    """Make one report or conclusion that a job asks for; False if none does.

    Raises:
        TouchstoneError: the database stayed away or busy for longer than is waited:
            the job is left to whoever takes it for lost.
    """
    if desk.publish is None:
        return False
    job = _patiently(desk.store.take_job)
    if job is None:
        return False
    caller = Caller(job.key_id, job.organisation_id, job.role)
    try:
        result, error = _patiently(partial(desk.publish, job)), ""
    except TouchstoneError as refusal:
        if _tries(refusal):
            raise
        result, error = None, str(refusal)
    except Exception as defect:
        # It must not stop the workers, who would only come back to it.
        result, error = None, printable(f"Unexpected {type(defect).__name__}: {defect}")
    _patiently(
        partial(
            desk.store.end_job,
            caller,
            job.id,
            started_at=job.started_at,
            result=result,
            error=error,
        )
    )
    return True


def _is_under_way(store: Store, job_id: str) -> bool:
    state = store.job_state(job_id)
    return state in UNFINISHED_JOBS and state is not JobState.PAUSED


def _patiently(act: Callable[[], T]) -> T:
    """Do ``act``, again and again while the database is busy, or its server away."""
    tried = 0
    while True:
        try:
            return act()
        except TouchstoneError as error:
            if tried >= _tries(error):
                raise
            if tried == 0 and not isinstance(error, BusyError):
                why = printable(str(error.__cause__ or error))[:400]
                _LOG.warning("A worker waits for the database: %s", why)
            tried += 1
            time.sleep(_BUSY_S)


def _tries(error: TouchstoneError) -> int:
    if isinstance(error, StorageError) and error.is_away:
        return _AWAY_TRIES
    return _BUSY_TRIES if isinstance(error, BusyError) else 0

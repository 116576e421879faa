"""A source to one row for each of its photos: listed, worked on, written."""

import fcntl
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from touchstone.errors import ConflictError, InvalidInputError, StorageError
from touchstone.lots.finders import mixing
from touchstone.lots.results import check_out, outcome_document, write_rows
from touchstone.lots.sources import Source, batches, open_source
from touchstone.lots.workers import Workers
from touchstone.lots.working import MakeDesk
from touchstone.store import (
    UNFINISHED_JOBS,
    Caller,
    JobKind,
    JobState,
    Lot,
    LotFields,
    Store,
)

_LISTED_AT_ONCE = 1000
_COUNTING_SHARE = 0.02
"""Of the time that counting the progress of a large lot may take."""


@dataclass(frozen=True, slots=True)
class LotProgress:
    """How far a lot is."""

    done: int
    total: int
    resumed: int
    """Of those done, how many were so before this run."""
    left_out: int
    """Files of the source that are no photos by their name."""


@dataclass(frozen=True, slots=True)
class LotSummary:
    """What became of a lot."""

    lot_id: str
    out: Path
    photos: int
    resumed: int
    left_out: int
    errors: int
    findings: Mapping[str, int]
    """How many photos have each finding; errors have none."""


class Crew(Protocol):
    """Those who work on a job, on one machine or on many."""

    def watched(self) -> Iterator[None]:
        """Yield now and then until all have ended.

        Raises:
            TouchstoneError: what stopped a worker, and would stop every other.
        """


class Engine(Protocol):
    """What calls a crew together for a job; ``with`` starts it, and sends it home."""

    def __call__(
        self, store: Store, make_desk: MakeDesk, *, job_id: str
    ) -> AbstractContextManager[Crew]:
        """Return the crew, not started yet."""


@dataclass(frozen=True, slots=True)
class LotScorer:
    """Scores lots on worker processes of this machine, or by another engine."""

    store: Store
    make_desk: MakeDesk
    examined_by: Mapping[str, str]
    """Digest or version of everything that finds, by name: an unfinished lot of which
    any was another is not gone on with."""
    workers: int = 1
    may_mix: bool = False
    """Whether to go on all the same: rows of two states then stand side by side."""
    engine: Engine | None = None
    """What works; None: `workers` processes of this machine."""

    def score(
        self,
        caller: Caller,
        source: Path,
        *,
        out: Path,
        progress: Callable[[LotProgress], None] | None = None,
    ) -> LotSummary:
        """Score every photo of ``source`` and write one row for each to ``out``.

        Stopped at any instant, the same call goes on where it was: what is finished
        stands in the records, once each.

        Args:
            caller: who owns the records, and whose references may be matched.
            source: folder, ``.zip``, or manifest with a column ``image``.
            out: ``.csv``, ``.jsonl`` or ``.parquet``.
            progress: told now and then.

        Raises:
            InvalidInputError: source or out cannot be used, or the lot was begun with
                other references, policy or models.
            ConflictError: another process scores into ``out``, or an unfinished lot of
                another source does.
            TouchstoneError: what stops every photo: a model, the disk, the database.
        """
        # That no photo is dropped, and none is counted twice:
        #
        # 1. List the photos, in order, before anything is examined; what is there
        #    already, unchanged, from a run that was stopped, stays as it is.
        # 2. Workers lease what is open, and record each with its examination.
        # 3. Write the results in input order, in one step; then the lot is closed, and
        #    the same call begins another.
        if self.workers < 1:
            raise InvalidInputError("workers must be 1 or more.", field="workers")
        check_out(out)
        with _alone(out), open_source(source) as photos:
            lot = self._lot(caller, source, out)
            self._check_unmixed(caller, lot.id)
            self._list(caller, lot, photos)
            resumed = self._work_through(
                caller, lot.id, progress=progress, left_out=photos.left_out
            )
            findings = write_results(self.store, caller, lot.id, out)
            self.store.close_origin(caller, lot.id)
            return LotSummary(
                lot_id=lot.id,
                out=out,
                photos=findings.total(),
                resumed=resumed,
                left_out=photos.left_out,
                errors=findings.pop("", 0),
                findings=dict(findings),
            )

    def work_through(
        self,
        caller: Caller,
        lot_id: str,
        *,
        progress: Callable[[LotProgress], None] | None = None,
    ) -> int:
        """Examine all that is open of a lot; return how much was done before.

        Raises:
            NotFoundError: no such lot of the caller's.
            InvalidInputError: it was begun with other references, policy or models.
            ConflictError: the work was paused or cancelled meanwhile.
            TouchstoneError: what stops every photo: a model, the disk, the database.
        """
        self._check_unmixed(caller, lot_id)
        return self._work_through(caller, lot_id, progress=progress, left_out=0)

    def _work_through(
        self,
        caller: Caller,
        lot_id: str,
        *,
        progress: Callable[[LotProgress], None] | None,
        left_out: int,
    ) -> int:
        job = self.store.begin_job(
            caller, lot_id, JobKind.SCORE, examined_by=self.examined_by
        )
        resumed = self.store.count_tried(caller, lot_id)
        tell = _Teller(self.store, caller, lot_id, resumed, left_out, progress)
        tell()
        if job.state in UNFINISHED_JOBS:
            engine = self.engine or partial(Workers, count=self.workers)
            with engine(self.store, self.make_desk, job_id=job.id) as crew:
                for _ in crew.watched():
                    tell()
        job = self.store.job(caller, job.id)
        if job.state in (JobState.PAUSED, JobState.CANCELLED):
            words = f"The work was {job.state} meanwhile; it is not finished."
            raise ConflictError(f"{words} {job.error}".rstrip())
        tell.at_once()
        return resumed

    def _lot(self, caller: Caller, source: Path, out: Path) -> Lot:
        origin, where = _text(out), _text(source)
        lot = self.store.lot_of_origin(caller, origin)
        if lot is None:
            draft = LotFields(out.name[-300:], origin=origin, source=where)
            return self.store.file(caller, Lot, draft)
        if lot.source != where:
            raise ConflictError(
                f"{out} is that of an unfinished lot of another source, {lot.source}: "
                f"finish that first, choose another --out, or drop it with `touchstone "
                f"lot cancel {lot.id}`."
            )
        return lot

    def _check_unmixed(self, caller: Caller, lot_id: str) -> None:
        why = mixing(self.store, caller, lot_id, self.examined_by)
        if why and not self.may_mix:
            raise InvalidInputError(
                f"{why} Go on with --mixed, or score all of it anew: into another "
                "--out, or as another lot.",
                field="out",
            )

    def _list(self, caller: Caller, lot: Lot, photos: Source) -> None:
        count = 0
        for some in batches(photos.items, _LISTED_AT_ONCE):
            self.store.submit(caller, lot.id, some, first=count)
            count += len(some)
        self.store.withdraw_from(caller, lot.id, count)


def write_results(store: Store, caller: Caller, lot_id: str, out: Path) -> Counter[str]:
    """Write one row for each photo of a lot; return how many have each finding.

    Those without one, which could not be examined, are counted under "".

    Raises:
        NotFoundError: no such lot of the caller's.
        InvalidInputError: ``out`` cannot be written so.
        StorageError: the disk refused; what was at ``out`` before is untouched.
    """
    check_out(out)
    findings: Counter[str] = Counter()

    def counted() -> Iterator[dict[str, Any]]:
        for outcome in store.results(caller, lot_id):
            document = outcome_document(outcome)
            findings[str(document["finding"])] += 1
            yield document

    write_rows(out, counted())
    return findings


@dataclass(slots=True)
class _Teller:
    """Tells how far a lot is, not more often than counting it is worth."""

    store: Store
    caller: Caller
    lot_id: str
    resumed: int
    left_out: int
    progress: Callable[[LotProgress], None] | None
    _next_at: float = 0.0
    _last: LotProgress | None = None

    def __call__(self) -> None:
        if time.monotonic() < self._next_at:
            return
        try:
            self.at_once()
        except StorageError as error:
            if not error.is_away:
                raise  # the workers wait for the database; nobody need be told of it

    def at_once(self) -> None:
        """Tell now, whatever it costs."""
        if self.progress is None:
            return
        started = time.monotonic()
        tally = self.store.tally(self.caller, self.lot_id)
        now = LotProgress(tally.done, tally.total, self.resumed, self.left_out)
        ended = time.monotonic()
        self._next_at = ended + (ended - started) / _COUNTING_SHARE
        if now != self._last:
            self._last = now
            self.progress(now)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold ``out`` for this process."""
    lock = out.with_name(f".{out.name}.lock")
    try:
        file = lock.open("ab")
    except OSError as error:
        raise StorageError(f"{lock} cannot be written: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                f"Another process is scoring into {out}: wait for it, or choose "
                "another --out."
            ) from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _text(path: Path) -> str:
    return os.fsencode(path.absolute()).decode("utf-8", "replace")

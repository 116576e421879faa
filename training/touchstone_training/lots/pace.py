"""How much of the ideal pace a lot keeps, and the memory that it takes."""

import gc
import json
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from touchstone.bootstrap import WorkerSetup, build, open_store
from touchstone.cli.options import settings_with
from touchstone.engine.rates import Validation
from touchstone.lots import (
    Importer,
    LotScorer,
    Row,
    conclude,
    row_document,
    write_results,
)
from touchstone.store import (
    JobKind,
    Lot,
    LotFields,
    Result,
    Store,
    SubmissionFields,
)

_SUBMITTED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class PaceTrial:
    """A lot's pace beside the bare work on the same photos, in the same minutes."""

    photos: int
    workers: int
    bare_per_second: float
    """Photos a second of as many processes that examine and keep nothing of it."""
    lot_per_second: float
    """Of the lot, from the start of its workers to its last result."""

    @property
    def share(self) -> float:
        """Of the bare pace that the lot kept."""
        return self.lot_per_second / self.bare_per_second


def measure_pace(
    lot_folder: Path, data: Path, *, photos: int, workers: int, rounds: int
) -> list[PaceTrial]:
    """Examine the first ``photos`` of a simulated lot bare and as a lot, in turn."""
    settings = settings_with(data)
    paths = sorted((lot_folder / "photos").iterdir())[:photos]
    trials = []
    with build(settings) as parts:
        caller = parts.store.ensure_local_operator()
        parts.enroller.enrol_csv(caller, lot_folder / "references.csv")
        parts.catalogue.save()
        scorer = LotScorer(
            parts.store, WorkerSetup(settings), parts.examined_by, workers=workers
        )
        importer = Importer(parts.store, parts.blobs, settings.max_upload_bytes)
        for number in range(rounds):
            bare = _bare(data, paths, workers)
            lot = parts.store.file(caller, Lot, LotFields(f"pace {number}"))
            chosen = lot_folder / f".pace-{number}.csv"
            names = "\n".join(str(path.absolute()) for path in paths)
            chosen.write_text(f"image\n{names}\n")
            importer.take(caller, lot, chosen)
            chosen.unlink()
            started = time.perf_counter()
            scorer.work_through(caller, lot.id)
            seconds = time.perf_counter() - started
            trials.append(PaceTrial(len(paths), workers, bare, len(paths) / seconds))
    return trials


_assess: list[object] = []


def _make(data: Path) -> None:
    _assess.append(WorkerSetup(settings_with(data))())


def _examine(path: Path) -> float:
    from touchstone.lots import Desk  # noqa: PLC0415  in the process
    from touchstone.store import Leased, Role  # noqa: PLC0415

    desk = _assess[0]
    if not isinstance(desk, Desk):
        raise TypeError("no desk")
    caller = desk.store.ensure_local_operator()
    leased = Leased(
        *("", "", "", caller.organisation_id, "", "", "", "", "", None, Role.ADMIN)
    )
    started = time.perf_counter()
    desk.assess(leased, path.read_bytes())
    return time.perf_counter() - started


def _bare(data: Path, paths: list[Path], workers: int) -> float:
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_make, initargs=(data,)
    ) as pool:
        list(pool.map(_examine, paths[: 2 * workers]))  # warm
        started = time.perf_counter()
        list(pool.map(_examine, paths))
        return len(paths) / (time.perf_counter() - started)


@dataclass(frozen=True, slots=True)
class MemoryTrial:
    """The memory of one process that does all of a lot but to look at photos."""

    photos: int
    peak_mb: float
    seconds: float


def measure_memory(data: Path, out: Path, *, photos: int) -> MemoryTrial:
    """List a lot of stubbed photos, finish each, conclude, write the rows."""
    gc.collect()
    started = time.perf_counter()
    with closing(open_store(settings_with(data))) as store:
        caller = store.ensure_local_operator()
        lot = store.file(caller, Lot, LotFields(f"{photos} stubs"))
        for some in _stubs(photos):
            store.submit(caller, lot.id, some)
        store.begin_job(caller, lot.id, JobKind.SCORE, examined_by={"stub": "1"})
        _finish_all(store)
        conclude(store, caller, lot.id, Validation())
        write_results(store, caller, lot.id, out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return MemoryTrial(photos, round(peak), round(time.perf_counter() - started, 1))


def _stubs(photos: int) -> Iterator[list[SubmissionFields]]:
    for first in range(0, photos, _SUBMITTED_AT_ONCE):
        yield [
            SubmissionFields(f"{number:06}.jpg", locator=f"stub:{number}")
            for number in range(first, min(photos, first + _SUBMITTED_AT_ONCE))
        ]


def _finish_all(store: Store) -> None:
    row = json.dumps(row_document(Row("stub", finding="inconclusive")))
    result = Result(row_json=row, finding="inconclusive", log10_lr=0.1)
    while leases := store.lease("memory", limit=100):
        for leased in leases:
            store.finish(leased, result, None)

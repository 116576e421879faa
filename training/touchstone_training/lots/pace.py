"""How much of the ideal pace a lot keeps, and the memory that it takes."""

import gc
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from touchstone.bootstrap import WorkerSetup, build, open_store
from touchstone.cli.options import settings_with
from touchstone.engine.profile import CELLS, PLANES, Profile, packed
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
    Caller,
    Enrolled,
    ExaminationDraft,
    JobKind,
    Lot,
    LotFields,
    ProductFields,
    Result,
    SetFields,
    SpecimenFields,
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
    """List a lot of stubbed photos, finish each, conclude, write the rows.

    Each photo has an examination and the profile of a print, of one source in four, so
    that they are told apart as those of a real lot.
    """
    gc.collect()
    started = time.perf_counter()
    with closing(open_store(settings_with(data))) as store:
        caller = store.ensure_local_operator()
        lot = store.file(caller, Lot, LotFields(f"{photos} stubs"))
        for some in _stubs(photos):
            store.submit(caller, lot.id, some)
        store.begin_job(caller, lot.id, JobKind.SCORE, examined_by={"stub": "1"})
        _finish_all(store, _enrolled(store, caller))
        conclude(store, caller, lot.id, Validation())
        write_results(store, caller, lot.id, out)
    return MemoryTrial(
        photos, round(_peak_mb()), round(time.perf_counter() - started, 1)
    )


def _peak_mb() -> float:
    """Return the most memory this program held; `getrusage` tells its parent's too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[0]) * 1.024e-3


def measure_memory_alone(photos: int) -> MemoryTrial:
    """Do so in a process that has loaded no more than the service has: no torch."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        done = subprocess.run(  # noqa: S603 - our own program
            [
                *(sys.executable, "-c", _ALONE),
                *(str(root / "data"), str(root / "results.csv"), str(photos)),
            ],
            stdout=subprocess.PIPE,
            check=True,
        )
    return MemoryTrial(**json.loads(done.stdout))


_ALONE = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from touchstone_training.lots.pace import measure_memory
data, out, photos = sys.argv[1:]
trial = measure_memory(Path(data), Path(out), photos=int(photos))
json.dump(asdict(trial), sys.stdout)
"""


def _stubs(photos: int) -> Iterator[list[SubmissionFields]]:
    for first in range(0, photos, _SUBMITTED_AT_ONCE):
        yield [
            SubmissionFields(f"{number:06}.jpg", locator=f"stub:{number}")
            for number in range(first, min(photos, first + _SUBMITTED_AT_ONCE))
        ]


def _enrolled(store: Store, caller: Caller) -> Enrolled:
    return store.enrol_specimen(
        caller,
        product=ProductFields("STUB", brand="Stub", name="Stub"),
        reference_set=SetFields(),
        specimen=SpecimenFields("0" * 64, width_px=640, height_px=480),
        derived={},
    )


def _finish_all(store: Store, enrolled: Enrolled) -> None:
    row = json.dumps(row_document(Row("stub", finding="inconclusive")))
    rng = np.random.default_rng(0)
    while leases := store.lease("memory", limit=100):
        for leased in leases:
            result = Result(
                row_json=row,
                finding="inconclusive",
                log10_lr=0.1,
                profile=_profile(rng).to_bytes(),
            )
            store.finish(leased, result, _draft(leased.name, enrolled))


def _profile(rng: np.random.Generator) -> Profile:
    """Draw the profile of a print; of three in ten, it changed a place."""
    planes = np.zeros((PLANES, 48, CELLS), np.float32)
    planes[0] = rng.gamma(0.3, 0.3, planes[0].shape)
    planes[1:4] = rng.normal(0, 3, planes[1:4].shape)
    planes[4] = 1
    source = max(0, int(rng.integers(10)) - 6)
    if source:
        place = np.s_[10 * source : 10 * source + 6, 8:18]
        planes[0][place] += 4 * rng.uniform(0.7, 1.2)
        planes[1][place] += 25
    return packed(planes)


def _draft(name: str, enrolled: Enrolled) -> ExaminationDraft:
    return ExaminationDraft(
        photo_digests=(sha256(name.encode()).hexdigest(),),
        finding="inconclusive",
        record_json="{}",
        model_digest="stub",
        index_digest="stub",
        policy_digest="stub",
        code_version="stub",
        provider="cpu",
        specimen_id=enrolled.specimen.id,
        reference_set_id=enrolled.reference_set.id,
        product_id="STUB",
    )

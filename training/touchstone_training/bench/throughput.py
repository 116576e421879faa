"""Photos a second with all cores: one process a core, by the clock, photos in memory.

The same photos go through the classic peer in the same processes, round by round.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from touchstone_training.bench.bed import Bed, ClassicPeer, Shot, fresh_processes
from touchstone_training.bench.figures import Figure, cores
from touchstone_training.bench.stages import CLASSIC_RATIO

GROUP = "Throughput with all cores, 1600 x 1200"
IDENTIFY_TARGET = 100.0
VERIFY_TARGET = 20.0


class Job(StrEnum):
    """What is done with a photo."""

    IDENTIFY = "identify only"
    VERIFY = "full verification, recorded"
    CLASSIC = "classic peer"


# Photos a second of the bare pipeline, and at the least it could cost: each core.
_COMPOSITE = {Job.IDENTIFY: 93.5, Job.VERIFY: 23.4, Job.CLASSIC: 2.95}
_LIMIT = {Job.IDENTIFY: 160.0, Job.VERIFY: 46.0}
_TARGET = {Job.IDENTIFY: IDENTIFY_TARGET, Job.VERIFY: VERIFY_TARGET}
_PASSES = {Job.IDENTIFY: 6, Job.VERIFY: 2, Job.CLASSIC: 1}
"""How often a round goes through the photos: each job for some seconds."""


@dataclass(frozen=True, slots=True)
class _Round:
    per_second: float
    right_share: float
    """Share of the photos for which the right product was named."""


def measure_throughput(
    bed: Bed, *, rounds: int, processes: int | None = None
) -> list[Figure]:
    """Do each job with every photo ``rounds`` times, in turn; the best round counts."""
    count = processes or cores()
    shots = bed.shots()
    done: dict[Job, list[_Round]] = {job: [] for job in Job}
    with fresh_processes(count, partial(_warm_up, bed)) as pool:
        for number in range(1, rounds + 1):
            order = list(Job) if number % 2 else list(Job)[::-1]
            for job in order:
                done[job].append(_run(pool, job, shots, salt=number))
    best = {
        job: max(kept, key=lambda one: one.per_second) for job, kept in done.items()
    }
    return [
        *(_figure(job, best[job], count) for job in Job),
        Figure(
            GROUP,
            "full verification against the classic peer",
            best[Job.VERIFY].per_second / best[Job.CLASSIC].per_second,
            "times faster",
            is_higher_better=True,
            target=CLASSIC_RATIO,
            composite=8.0,
        ),
    ]


def _figure(job: Job, best: _Round, processes: int) -> Figure:
    limit = _LIMIT.get(job)
    return Figure(
        GROUP,
        job,
        best.per_second,
        "photos/s",
        is_higher_better=True,
        target=_TARGET.get(job),
        composite=_COMPOSITE[job] * processes,
        limit=None if limit is None else limit * processes,
        note=f"{processes} processes; right product for {best.right_share:.0%}",
    )


def _run(
    pool: ProcessPoolExecutor, job: Job, shots: Sequence[Shot], *, salt: int
) -> _Round:
    numbers = list(range(len(shots))) * _PASSES[job]
    total = len(numbers)
    salts = range(salt * total, (salt + 1) * total)
    started = time.perf_counter()
    named = list(pool.map(_do, [job] * total, numbers, salts))
    elapsed_s = time.perf_counter() - started
    right = sum(
        name == shots[number].product_id
        for name, number in zip(named, numbers, strict=True)
    )
    return _Round(total / elapsed_s, right / total)


# --- in the process -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Worker:
    peer: ClassicPeer
    shots: list[Shot]

    def do(self, job: Job, number: int, salt: int) -> str:
        """Return the code of the product that was named; empty if none was."""
        shot, caller = self.shots[number], self.peer.caller
        verifier = self.peer.parts.verifier
        if job is Job.CLASSIC:
            return self.peer.best(shot.jpeg)
        if job is Job.IDENTIFY:
            found = verifier.identify(caller, shot.jpeg)
            return found[0].product.product_id if found else ""
        examined = verifier.verify(caller, [shot.unlike(salt)])
        return examined.examination.product_id


_worker: list[_Worker] = []
"""This process's own."""


def _do(job: Job, number: int, salt: int) -> str:
    return _worker[0].do(job, number, salt)


def _warm_up(bed: Bed) -> None:
    """Open the deployment and see every reference once, as a service in use has."""
    parts = bed.open()
    caller = parts.store.ensure_local_operator()
    worker = _Worker(ClassicPeer(parts, caller), bed.shots())
    for number in range(len(worker.shots)):
        for job in Job:
            worker.do(job, number, 0)
    _worker.append(worker)

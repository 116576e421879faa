"""Jobs spread over processes, in order, with a bar that shows how far they are."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Job = TypeVar("Job")
Done = TypeVar("Done")


def spread(
    work: Callable[[Job], Done], jobs: Sequence[Job], *, workers: int, description: str
) -> Iterator[Done]:
    """Yield ``work`` of each of ``jobs``, in their order.

    With one worker nothing is started: a debugger, and a test, see what happens.
    """
    console = Console(stderr=True)
    if workers == 1:
        done: Iterator[Done] = map(work, jobs)
        yield from track(
            done, total=len(jobs), description=description, console=console
        )
        return
    done = _pool(workers).map(work, jobs)
    yield from track(done, total=len(jobs), description=description, console=console)


@cache
def _pool(workers: int) -> ProcessPoolExecutor:
    """Start processes once, for all that a run spreads: each loads torch."""
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))

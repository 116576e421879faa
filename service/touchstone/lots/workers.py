"""Worker processes of one machine, made anew when one of them dies."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import SpawnContext, SpawnProcess
from types import TracebackType
from typing import Self

from touchstone.errors import ConfigurationError, TouchstoneError
from touchstone.lots.working import MakeDesk, free_dead, is_dead, work, worker_name
from touchstone.store import Store

_STARTS = 3
_STOP_S = 30.0
"""For what is in hand to be finished; a photo takes a few seconds at most."""


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    told: Connection
    """``None`` once it is ready, then perhaps the error that stopped it."""
    is_ready: bool = False


class Workers:
    """Processes that work on one job, or on whatever there is."""

    def __init__(
        self,
        store: Store,
        make_desk: MakeDesk,
        *,
        count: int,
        job_id: str | None = None,
    ) -> None:
        """Prepare them; they are started by ``with``.

        Args:
            store: where what dead workers held is freed.
            make_desk: makes in each process what it works with.
            count: of processes, 1 or more.
            job_id: the job to work on; they end with it. None: they serve any.
        """
        self._store = store
        self._make_desk = make_desk
        self._count = count
        self._job_id = job_id
        self._context: SpawnContext = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._stillborn = 0

    def __enter__(self) -> Self:
        self._store.take_from_dead(is_dead)  # of a run before that was killed
        self._workers = [self._started() for _ in range(self._count)]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def watched(self, *, every_s: float = 0.5) -> Iterator[None]:
        """Replace workers that die; yield now and then until all have ended.

        Raises:
            TouchstoneError: what stopped a worker, and would stop every other.
            ConfigurationError: they die as they start, again and again.
        """
        while self._workers:
            wait_for([one.process.sentinel for one in self._workers], every_s)
            for worker in list(self._workers):
                self._attend(worker)
            yield

    def stop(self) -> None:
        """End all: each finishes what it has in hand, and gives the rest back."""
        for worker in self._workers:
            with suppress(OSError):
                worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_STOP_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers = []
        free_dead(self._store)

    def pids(self) -> tuple[int, ...]:
        """Return the process ids, for those who watch them."""
        return tuple(one.process.pid or 0 for one in self._workers)

    def _attend(self, worker: _Worker) -> None:
        self._listen(worker)
        if worker.process.is_alive():
            return
        worker.process.join()
        self._listen(worker)  # its last words may have come after it was asked
        self._workers.remove(worker)
        if worker.process.exitcode == 0:
            return  # there is no work left
        if not worker.is_ready:
            self._stillborn += 1
            if self._stillborn >= _STARTS:
                raise ConfigurationError(
                    f"A worker process died as it started, {_STARTS} times; is there "
                    f"memory for {self._count}? Try fewer workers."
                )
        free_dead(self._store)
        self._workers.append(self._started())

    def _listen(self, worker: _Worker) -> None:
        with suppress(EOFError, OSError):
            while worker.told.poll():
                error = worker.told.recv()
                if isinstance(error, TouchstoneError):
                    raise error
                worker.is_ready, self._stillborn = True, 0

    def _started(self) -> _Worker:
        # Spawned: a fork of a process with ONNX Runtime's or a database's threads may
        # hang or share what it must not.
        told, telling = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_run, args=(self._make_desk, self._job_id, telling), daemon=True
        )
        process.start()
        telling.close()
        return _Worker(process, told)


# --- in the worker ------------------------------------------------------------------


def _run(make_desk: MakeDesk, job_id: str | None, telling: Connection) -> None:
    stopping = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to answer
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    threading.Thread(target=_die_with_parent, daemon=True).start()
    # An exception here would only be known as a dead worker: it is told, and raised
    # where the caller sees it.
    try:
        desk = make_desk()
        telling.send(None)
        work(desk, worker_name(), job_id=job_id, is_stopping=stopping.is_set)
    except TouchstoneError as error:
        telling.send(error)


def _die_with_parent() -> None:
    # A worker of a killed parent would work on, unseen.
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)

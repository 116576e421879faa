"""Photos to rows in worker processes, which may die without loss.

A photo that kills its worker (a decoder's bug, memory) must cost one row, not the
lot. When a worker dies the pool is made anew and every photo that was under way is
tried once more, alone, so that the one to blame is known.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

from touchstone.errors import (
    BadImageError,
    ConfigurationError,
    InvalidInputError,
    TouchstoneError,
)
from touchstone.examination import Assessment
from touchstone.lots.results import Row, row_of
from touchstone.lots.sources import Item, printable
from touchstone.store import ExaminationDraft

Assess: TypeAlias = Callable[[bytes], Assessment]
"""Bytes of one photo to what was found on it; raises BadImageError."""

MakeAssess: TypeAlias = Callable[[], Assess]
"""Run once in each worker; must be picklable, for workers are spawned."""

Payload: TypeAlias = Path | bytes
_STARTS = 3
_IN_HAND = 3
"""Photos handed out per worker: the next lies ready when one is done."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one photo."""

    row: Row
    draft: ExaminationDraft | None = None
    """What to record; None where the photo could not be examined."""


class Workers:
    """A pool of processes that is made anew when one of them dies."""

    def __init__(
        self, make_assess: MakeAssess, *, count: int, max_photo_bytes: int
    ) -> None:
        """Prepare the pool; nothing is started yet.

        Args:
            make_assess: makes in each worker what examines a photo.
            count: of processes, 1 or more.
            max_photo_bytes: one byte more is read of a file, never the rest.
        """
        self._make_assess = make_assess
        self._count = count
        self._max_bytes = max_photo_bytes
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def outcomes(
        self, photos: Iterable[tuple[Item, Payload]]
    ) -> Iterator[tuple[Item, Outcome]]:
        """Yield what became of each of ``photos``, as they come in.

        ``photos`` is read only a few ahead, so that memory stays bounded.

        Raises:
            TouchstoneError: what stops every photo: a model, the disk, the database.
        """
        waiting = iter(photos)
        running: dict[Future[Outcome], tuple[Item, Payload]] = {}
        while True:
            broken = self._fill(running, waiting)
            if not running and not broken:
                return
            if running:
                wait(running, return_when=FIRST_COMPLETED)
            for future in [future for future in running if future.done()]:
                photo = running.pop(future)
                try:
                    yield photo[0], future.result()
                except BrokenProcessPool:
                    broken.append(photo)
            if broken:
                yield from self._again(broken, running)

    def _fill(
        self,
        running: dict[Future[Outcome], tuple[Item, Payload]],
        waiting: Iterator[tuple[Item, Payload]],
    ) -> list[tuple[Item, Payload]]:
        while len(running) < _IN_HAND * self._count:
            photo = next(waiting, None)
            if photo is None:
                break
            try:
                running[self._submit(*photo)] = photo
            except BrokenProcessPool:
                return [photo]
        return []

    def _again(
        self,
        broken: list[tuple[Item, Payload]],
        running: dict[Future[Outcome], tuple[Item, Payload]],
    ) -> Iterator[tuple[Item, Outcome]]:
        # The death of one worker ends the pool: whatever else was under way ends too,
        # but some of it may have been finished just before.
        self._stop()
        for future, photo in running.items():
            if future.cancelled() or future.exception() is not None:
                broken.append(photo)
            else:
                yield photo[0], future.result()
        running.clear()
        for item, payload in sorted(broken, key=lambda photo: photo[0].position):
            yield item, self._alone(item, payload)

    def _alone(self, item: Item, payload: Payload) -> Outcome:
        try:
            return self._submit(item, payload).result()
        except BrokenProcessPool:
            self._stop()
            return Outcome(
                Row(item.image, error="The photo stopped its worker process twice.")
            )

    def _submit(self, item: Item, payload: Payload) -> Future[Outcome]:
        if self._pool is None:
            self._pool = self._started()
        return self._pool.submit(_examine, item.image, payload, self._max_bytes)

    def _started(self) -> ProcessPoolExecutor:
        # One that dies as it starts may have been unlucky; all of them have a cause.
        for _ in range(_STARTS):
            pool = self._new_pool()
            try:
                pool.submit(_ready).result()
            except BrokenProcessPool:
                pool.shutdown()
            except BaseException:
                pool.shutdown()
                raise
            else:
                return pool
        raise ConfigurationError(
            f"A worker process died as it started, {_STARTS} times; is there memory "
            f"for {self._count}? Try fewer workers."
        )

    def _new_pool(self) -> ProcessPoolExecutor:
        # Spawned: a fork of a process with ONNX Runtime's or a database's threads may
        # hang or share what it must not.
        return ProcessPoolExecutor(
            self._count,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(self._make_assess,),
        )

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


# --- in the worker ------------------------------------------------------------------

_assess: list[Assess] = []
_refusals: list[TouchstoneError] = []


def _start(make_assess: MakeAssess) -> None:
    threading.Thread(target=_die_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to answer
    # An exception here would only be known as a dead worker: it is kept, and raised
    # where the caller sees it.
    try:
        _assess.append(make_assess())
    except TouchstoneError as error:
        _refusals.append(error)


def _die_with_parent() -> None:
    # A worker of a killed parent would wait for work for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _ready() -> None:
    if _refusals:
        raise _refusals[0]


def _examine(image: str, payload: Payload, max_bytes: int) -> Outcome:
    _ready()
    try:
        if isinstance(payload, Path):
            payload = _file_bytes(payload, max_bytes + 1)
        assessment = _assess[0](payload)
    except (BadImageError, InvalidInputError) as error:
        return Outcome(Row(image, error=printable(str(error))))
    except TouchstoneError:
        raise  # it would stop every other photo too
    except Exception as error:
        # A defect that one photo brings to light costs that photo alone.
        return Outcome(
            Row(image, error=printable(f"Unexpected {type(error).__name__}: {error}"))
        )
    return Outcome(row_of(image, assessment), assessment.draft)


def _file_bytes(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except OSError as error:
        raise InvalidInputError(
            f"The file cannot be read: {error.strerror}."
        ) from error

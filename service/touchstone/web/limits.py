"""How much is taken on at once: a pace for each key, and places for heavy work.

Both live in the process: with several workers each has its own share.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from fastapi import Request
from starlette.exceptions import HTTPException

from touchstone.errors import BusyError
from touchstone.settings import Settings

MAX_JSON_BYTES = 1_000_000
"""Of a body without images; it is held in memory, and as objects after that."""


@dataclass(frozen=True, slots=True)
class WebLimits:
    """What one process accepts."""

    requests_per_minute: int = 6000
    """From one key, spread over time; one key may save up ``burst`` of them."""
    burst: int = 600
    places: int = 2
    """Pieces of heavy work (examining, enrolling, drawing) done at once."""
    waiting: int = 16
    """Requests that may wait for a place; fewer than the 40 threads of a worker, so
    that light requests are answered however many photos are sent."""
    patience_s: float = 30.0
    """How long one waits for a place before it is told to come again."""
    receiving: int = 4
    """Photos of lots written to the image store at once."""
    streams: int = 100
    """Jobs followed at once (``events``); each costs a look at the records a second."""
    body_timeout_s: float = 60.0
    """How long a body is waited for in all, besides what its bytes have earned."""
    body_bytes_per_s: float = 50_000.0
    """So many bytes received earn a second more: eight photos of 25 MB over a slow
    line are let in, one that drips is not."""

    @classmethod
    def chosen(cls, settings: Settings) -> Self:
        """Return what the deployment chose."""
        return cls(
            requests_per_minute=settings.requests_per_minute,
            burst=settings.burst,
            places=settings.places or os.cpu_count() or 1,
            waiting=settings.waiting,
            patience_s=settings.patience_s,
            body_timeout_s=settings.body_timeout_s,
        )


class Pace:
    """A token bucket for each key."""

    def __init__(
        self,
        limits: WebLimits,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second = limits.requests_per_minute / 60
        self._burst = limits.burst
        self._clock = clock
        self._buckets: dict[str | None, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def check(self, key_id: str | None) -> None:
        """Count one request of ``key_id``.

        Raises:
            HTTPException: 429 with ``Retry-After``: it sends more than its share.
        """
        now = self._clock()
        with self._lock:
            saved, then = self._buckets.get(key_id, (float(self._burst), now))
            saved = min(self._burst, saved + (now - then) * self._per_second)
            is_within = saved >= 1
            self._buckets[key_id] = (saved - is_within, now)
        if not is_within:
            wait_s = int((1 - saved) / self._per_second) + 1
            raise HTTPException(
                429,
                "This API key sends more requests than it may; slow down.",
                headers={"Retry-After": str(wait_s)},
            )


class Places:
    """A bounded number of places for heavy work, and a bounded queue before them."""

    def __init__(self, limits: WebLimits) -> None:
        self._places = threading.BoundedSemaphore(limits.places)
        self._queue = threading.BoundedSemaphore(limits.places + limits.waiting)
        self._patience_s = limits.patience_s

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            BusyError: the queue is full, or no place came free in time.
        """
        busy = BusyError(
            "The service has as much work as it can hold; try again.", retry_after_s=5
        )
        if not self._queue.acquire(blocking=False):
            raise busy
        try:
            if not self._places.acquire(timeout=self._patience_s):
                raise busy
            try:
                yield
            finally:
                self._places.release()
        finally:
            self._queue.release()


def heavy(request: Request) -> Iterator[None]:
    """Hold a place while the endpoint runs; a dependency."""
    places: Places = request.app.state.places
    with places.taken():
        yield

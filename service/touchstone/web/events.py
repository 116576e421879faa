"""A job as it goes on: server-sent events that lose nothing when they are cut.

The id of an event is its item's `finished_seq`, which no two items of a lot share and
no later one has a smaller of. Whoever comes back with the last id it saw
(`Last-Event-ID`, which browsers send by themselves) is told every item after that, and
none twice. https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import ServerSentEvent

from touchstone.errors import BusyError, TouchstoneError
from touchstone.store import (
    UNFINISHED_JOBS,
    Caller,
    Job,
    Store,
    Submission,
    SubmissionState,
    Tally,
)
from touchstone.web.schemas_lots import JobOut, SubmissionOut

_AT_ONCE = 200
_COUNTING_SHARE = 0.05
"""Of the time that counting the photos of a large lot may take."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """The times of a stream, in seconds."""

    poll_s: float = 0.5
    heartbeat_s: float = 5.0
    """After so long a silence a comment is sent, so that no proxy hangs up."""
    longest_s: float = 300.0
    """Then the stream ends and the client comes back, with a key that still holds."""
    patience_s: float = 30.0
    """For what is in hand of a job that was cancelled."""


class Streams:
    """A bounded number of streams in one process."""

    def __init__(self, count: int, pulse: Pulse) -> None:
        self.pulse = pulse
        self._free = threading.BoundedSemaphore(count)
        self.stopping = threading.Event()
        """Set when the service stops: every stream ends."""

    def taken(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            BusyError: none is free.
        """
        if not self._free.acquire(blocking=False):
            raise BusyError(
                "Too many jobs are followed at once; poll the job instead.",
                retry_after_s=5,
            )
        try:
            yield
        finally:
            self._free.release()


def stream(request: Request) -> Iterator[Streams]:
    """Hold a place for as long as the stream goes; a dependency."""
    streams: Streams = request.app.state.streams
    for _ in streams.taken():
        yield streams


StreamDep = Annotated[Streams, Depends(stream)]


@dataclass(frozen=True, slots=True)
class _Look:
    """What is to be told now."""

    items: tuple[Submission, ...]
    told: JobOut | None
    """The counts, where they may have changed and may be counted."""
    is_end: bool


@dataclass(slots=True)
class _Follower:
    """Looks at a job; one stream's, and in one thread at a time."""

    store: Store
    caller: Caller
    job: Job
    seq: int
    pulse: Pulse
    _told: JobOut | None = None
    _count_at: float = 0.0
    _is_changed: bool = True
    _ended_at: float | None = field(default=None)

    def look(self) -> _Look:
        """Return what came to be since the last look."""
        # The state first: of a job that is at its end all items are then there.
        job = self.store.job(self.caller, self.job.id)
        items = self.store.finished_since(
            self.caller, job.lot_id, self.seq, limit=_AT_ONCE
        )
        is_over = job.state not in UNFINISHED_JOBS and not items
        self._is_changed |= bool(items) or job.state is not self.job.state
        self.job = job
        told = None
        if is_over or (self._is_changed and time.monotonic() >= self._count_at):
            tally = self._counted()
            told = JobOut.counted(job, tally)
            is_over = is_over and self._is_settled(tally)
            self._is_changed = False
        if items:
            self.seq = items[-1].finished_seq or self.seq
        is_news = is_over or told != self._told
        self._told = told or self._told
        return _Look(items, told if is_news else None, is_over)

    def _counted(self) -> Tally:
        started = time.monotonic()
        tally = self.store.tally(self.caller, self.job.lot_id)
        ended = time.monotonic()
        self._count_at = ended + (ended - started) / _COUNTING_SHARE
        return tally

    def _is_settled(self, tally: Tally) -> bool:
        # What workers had in hand when the job was cancelled comes yet.
        self._ended_at = self._ended_at or time.monotonic()
        is_late = time.monotonic() > self._ended_at + self.pulse.patience_s
        return is_late or not tally.states.get(SubmissionState.EXAMINING)


async def followed(
    store: Store, caller: Caller, job: Job, *, seq: int, streams: Streams
) -> AsyncIterator[ServerSentEvent]:
    """Yield what becomes of a job until it ends, or the stream does.

    Args:
        store: the records, looked at in threads.
        caller: whose job it is.
        job: as it stands.
        seq: the last item that the client saw; 0 for none.
        streams: how often to look, and when to stop; the client then comes back.
    """
    pulse = streams.pulse
    follower = _Follower(store, caller, job, seq, pulse)
    started = said_at = time.monotonic()
    while not (streams.stopping.is_set() or _is_past(started + pulse.longest_s)):
        try:
            look = await run_in_threadpool(follower.look)
        except TouchstoneError:
            return  # the client comes back, and is then told why
        for event in _events(look, is_silent=_is_past(said_at + pulse.heartbeat_s)):
            yield event
            said_at = time.monotonic()
        if look.is_end:
            return
        if len(look.items) < _AT_ONCE:
            await asyncio.sleep(pulse.poll_s)


def _events(look: _Look, *, is_silent: bool) -> Iterator[ServerSentEvent]:
    for item in look.items:
        yield ServerSentEvent(
            data=SubmissionOut.of(item), event="item", id=str(item.finished_seq)
        )
    if look.told is not None:
        yield ServerSentEvent(
            data=look.told, event="end" if look.is_end else "progress"
        )
    elif is_silent and not look.items:
        yield ServerSentEvent(comment="still here")


def _is_past(moment: float) -> bool:
    return time.monotonic() >= moment

"""Jobs: work on a lot that outlasts the request; watched, paused, tried again."""

import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import IO, Annotated

from fastapi import APIRouter, Depends, Header
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from touchstone.bootstrap import Application
from touchstone.lots import outcome_document
from touchstone.store import Caller, Job, JobState, SubmissionState
from touchstone.web.auth import ApplicationDep, ExaminerDep, GuardedRoute
from touchstone.web.documented import JSON_LINES, ON_CHANGE, ON_ITEM, ON_REQUEST
from touchstone.web.events import StreamDep, followed
from touchstone.web.filters import OfLotPagingDep
from touchstone.web.limits import MAX_JSON_BYTES
from touchstone.web.pagination import PageOut, PagingDep
from touchstone.web.schemas_lots import JobOut, JobSummary, SubmissionOut

router = APIRouter(
    prefix="/v1",
    tags=["jobs"],
    route_class=GuardedRoute,
    responses=ON_REQUEST,
    max_body_size=MAX_JSON_BYTES,
)

_CHUNK = 1 << 18
_IN_MEMORY = 1 << 20
_LAST_SEQ = 2**31 - 1


@router.get("/jobs", response_model=PageOut[JobSummary], responses=ON_ITEM)
def list_jobs(
    paging: OfLotPagingDep, caller: ExaminerDep, parts: ApplicationDep
) -> PageOut[JobSummary]:
    """List the jobs of your organisation, or of one lot, newest first."""
    found = parts.store.list_jobs(
        caller, lot_id=paging.under, after=paging.after, limit=paging.limit
    )
    return paging.paged(found, JobSummary.of)


@router.get("/jobs/{job_id}", response_model=JobOut, responses=ON_ITEM)
def read_job(job_id: str, caller: ExaminerDep, parts: ApplicationDep) -> JobOut:
    """Read a job, with how far the photos of its lot are."""
    return _counted(parts, caller, parts.store.job(caller, job_id))


@router.post(
    "/jobs/{job_id}/pause", response_model=JobOut, responses=ON_ITEM | ON_CHANGE
)
def pause(job_id: str, caller: ExaminerDep, parts: ApplicationDep) -> JobOut:
    """Pause a job; photos that are in hand are finished."""
    return _moved(parts, caller, job_id, JobState.PAUSED)


@router.post(
    "/jobs/{job_id}/resume", response_model=JobOut, responses=ON_ITEM | ON_CHANGE
)
def resume(job_id: str, caller: ExaminerDep, parts: ApplicationDep) -> JobOut:
    """Let a job that was paused go on where it was."""
    return _moved(parts, caller, job_id, JobState.QUEUED)


@router.post(
    "/jobs/{job_id}/cancel", response_model=JobOut, responses=ON_ITEM | ON_CHANGE
)
def cancel(job_id: str, caller: ExaminerDep, parts: ApplicationDep) -> JobOut:
    """End a job early; what is finished keeps its results."""
    return _moved(parts, caller, job_id, JobState.CANCELLED)


@router.post(
    "/jobs/{job_id}/retry", response_model=JobOut, responses=ON_ITEM | ON_CHANGE
)
def retry(job_id: str, caller: ExaminerDep, parts: ApplicationDep) -> JobOut:
    """Examine once more the photos that failed."""
    return _counted(parts, caller, parts.store.retry_failed(caller, job_id))


@router.get(
    "/jobs/{job_id}/errors", response_model=PageOut[SubmissionOut], responses=ON_ITEM
)
def list_errors(
    job_id: str, paging: PagingDep, caller: ExaminerDep, parts: ApplicationDep
) -> PageOut[SubmissionOut]:
    """List the photos that could not be examined, each with its reason."""
    job = parts.store.job(caller, job_id)
    found = parts.store.list_submissions(
        caller,
        job.lot_id,
        state=SubmissionState.FAILED,
        after=paging.after,
        limit=paging.limit,
    )
    return paging.paged(found, SubmissionOut.of)


@router.get(
    "/jobs/{job_id}/results",
    response_class=StreamingResponse,
    responses=ON_ITEM | JSON_LINES,
)
def read_results(
    job_id: str, caller: ExaminerDep, parts: ApplicationDep
) -> StreamingResponse:
    """Download one row for each photo, in the order of listing, as JSON lines.

    The columns are those of `touchstone score`; a photo that is not examined yet has
    neither finding nor error.
    """
    job = parts.store.job(caller, job_id)
    # Written aside first: a client that reads slowly must not hold the records open.
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
    try:
        for outcome in parts.store.results(caller, job.lot_id):
            line = json.dumps(outcome_document(outcome), ensure_ascii=False) + "\n"
            file.write(line.encode("utf-8"))
    except BaseException:
        file.close()
        raise
    return StreamingResponse(_read(file), media_type="application/x-ndjson")


def _read(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while chunk := file.read(_CHUNK):
            yield chunk


def _job(job_id: str, parts: ApplicationDep, caller: ExaminerDep) -> Job:
    return parts.store.job(caller, job_id)


@router.get(
    "/jobs/{job_id}/events", response_class=EventSourceResponse, responses=ON_ITEM
)
async def follow(
    job: Annotated[Job, Depends(_job)],
    caller: ExaminerDep,
    parts: ApplicationDep,
    streams: StreamDep,
    last_event_id: Annotated[
        int,
        Header(ge=0, le=_LAST_SEQ, description="Of the last item that you were told."),
    ] = 0,
) -> AsyncIterator[ServerSentEvent]:
    """Follow a job by server-sent events: `item`, `progress`, and in the end `end`.

    The data of `item` are a photo that was finished, as in `submissions`; those of the
    others are the job. When the connection is cut, come back with `Last-Event-ID`: no
    item is missed and none told twice. A stream ends by itself after some minutes.
    """
    async for event in followed(
        parts.store, caller, job, seq=last_event_id, streams=streams
    ):
        yield event


def _moved(parts: Application, caller: Caller, job_id: str, state: JobState) -> JobOut:
    return _counted(parts, caller, parts.store.move_job(caller, job_id, state))


def _counted(parts: Application, caller: Caller, job: Job) -> JobOut:
    return JobOut.counted(job, parts.store.tally(caller, job.lot_id))

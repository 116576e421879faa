"""What is said of a whole lot: sample, conclusion, report; and for dashboards."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from fastapi.responses import JSONResponse

from touchstone.bootstrap import Application
from touchstone.errors import ConflictError, NotFoundError
from touchstone.lots import conclusion_document
from touchstone.lots.planning import planned
from touchstone.store import Caller, Job, JobKind, Lot, LotItem
from touchstone.web.auth import ApplicationDep, ExaminerDep, GuardedRoute
from touchstone.web.documented import (
    FILES,
    IN_BACKGROUND,
    ON_CHANGE,
    ON_ITEM,
    ON_REQUEST,
)
from touchstone.web.limits import MAX_JSON_BYTES, Places
from touchstone.web.schemas_conclusions import (
    REPORT_FILES,
    ConclusionOut,
    PlanIn,
    PlanOut,
    ReportFile,
    SummaryOut,
)
from touchstone.web.schemas_lots import POLL_AFTER_S, JobOut

router = APIRouter(
    prefix="/v1",
    tags=["lots"],
    route_class=GuardedRoute,
    responses=ON_REQUEST,
    max_body_size=MAX_JSON_BYTES,
)
CONCLUDED_AT_ONCE = 200
"""Photos of a lot that is concluded upon while the client waits: a second and a half of
a core, as an examination of a few photos takes. More is left to a worker's process."""


@router.post(
    "/lots/{lot_id}/sampling-plan",
    status_code=201,
    response_model=PlanOut,
    responses=ON_ITEM | ON_CHANGE,
)
def plan(
    lot_id: str,
    wanted: Annotated[PlanIn, Body()],
    caller: ExaminerDep,
    parts: ApplicationDep,
) -> PlanOut:
    """Plan how many units of a lot are examined, and draw them.

    Anybody can repeat the draw: units in the order of the SHA-256 of `seed/number`.
    A plan may be replaced until a photo has a result; the audit log keeps each.
    """
    found = parts.store.filed(caller, Lot, lot_id)
    document = planned(
        found,
        wanted.rule,
        share=wanted.share,
        confidence=wanted.confidence,
        sensitivity=wanted.sensitivity,
        seed=wanted.seed,
    )
    parts.store.plan_lot(caller, lot_id, document)
    return PlanOut.model_validate(document)


@router.get(
    "/lots/{lot_id}/conclusion",
    response_model=ConclusionOut,
    responses=ON_ITEM | ON_CHANGE | IN_BACKGROUND,
)
def read_conclusion(
    lot_id: str, caller: ExaminerDep, parts: ApplicationDep, request: Request
) -> ConclusionOut | Response:
    """Conclude on a lot from what its photos were found to be, as they stand now.

    The share of counterfeits is an interval that allows for how often the test errs,
    and for kinds of counterfeit that it may not see at all.

    What was concluded is kept, and given again until a photo, a result or the method is
    another; `basis` names all that it rests on. A lot of more than 200 photos, of
    which nothing fits yet, is concluded upon in the background: the answer is 202 and
    the job; when that is done, ask again. While photos are still being examined, fetch
    the job's file `conclusion.json` instead: that is how the lot stood when it ran.
    """
    conclusion, records = parts.concluder.kept(caller, lot_id)
    items: Sequence[LotItem] = records.items
    if conclusion is None and len(items) > CONCLUDED_AT_ONCE:
        return _begun(parts, caller, records.lot)
    if conclusion is None:
        # One conclusion is made at a time: who waits for another's must not hold one
        # of the places that verification needs too.
        turn: Places = request.app.state.concluding
        places: Places = request.app.state.places
        with turn.taken(), places.taken():
            conclusion, items = parts.concluder.conclude(caller, lot_id)
    return ConclusionOut.model_validate(conclusion_document(conclusion, items))


def _begun(parts: Application, caller: Caller, lot: Lot) -> Response:
    if caller.organisation_id != lot.organisation_id:
        # An administrator reads what is kept, but puts no work on another's lot.
        raise ConflictError(
            "This lot was not concluded upon as it stands now; "
            "its own organisation must ask for that."
        )
    job = parts.store.begin_job(
        caller, lot.id, JobKind.CONCLUSION, examined_by=parts.examined_by
    )
    told = JobOut.counted(job, parts.store.tally(caller, lot.id))
    return JSONResponse(told.model_dump(mode="json"), 202, _where(job))


def _where(job: Job) -> dict[str, str]:
    return {"Location": f"/v1/jobs/{job.id}", "Retry-After": str(POLL_AFTER_S)}


@router.post(
    "/lots/{lot_id}/report",
    status_code=202,
    response_model=JobOut,
    responses=ON_ITEM | ON_CHANGE,
)
def report(
    lot_id: str, caller: ExaminerDep, parts: ApplicationDep, response: Response
) -> JobOut:
    """Have the report of a lot made; the answer is the job that makes it.

    When it is done, fetch its `files`.
    """
    job = parts.store.begin_job(
        caller, lot_id, JobKind.REPORT, examined_by=parts.examined_by
    )
    response.headers.update(_where(job))
    return JobOut.counted(job, parts.store.tally(caller, lot_id))


@router.get(
    "/jobs/{job_id}/files/{name}",
    response_class=Response,
    tags=["jobs"],
    responses=ON_ITEM | FILES,
)
def read_file(
    job_id: str, name: ReportFile, caller: ExaminerDep, parts: ApplicationDep
) -> Response:
    """Download a file of a finished report, or of a conclusion.

    The PDF shows references beside photos: it ends with the leave to match against
    them, and each download stands in the audit log.
    """
    result = parts.store.job(caller, job_id).result or {}
    digest = result.get("files", {}).get(name.value)
    if digest is None:
        raise NotFoundError("There is no such file of this job.")
    if name is ReportFile.PDF:
        shown = set(result["reference_sets"])
        if not shown <= parts.store.visible_set_ids(caller):
            raise NotFoundError("A reference that it shows is not in reach any more.")
        parts.store.note_view(caller, shown, through={"job_id": job_id})
    return Response(
        parts.blobs.get(digest),
        media_type=REPORT_FILES[name],
        headers={"Content-Disposition": f'attachment; filename="{name.value}"'},
    )


@router.get(
    "/operations/{operation_id}/summary",
    response_model=SummaryOut,
    tags=["operations"],
    responses=ON_ITEM,
)
def summary(
    operation_id: str, caller: ExaminerDep, parts: ApplicationDep
) -> SummaryOut:
    """Count what was examined in an operation: for dashboards."""
    return SummaryOut.of(parts.store.operation_summary(caller, operation_id))

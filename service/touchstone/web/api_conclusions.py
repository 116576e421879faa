"""What is said of a whole lot: sample, conclusion, report; and for dashboards."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Response

from touchstone.errors import NotFoundError
from touchstone.lots import conclude, conclusion_document
from touchstone.lots.planning import planned
from touchstone.store import JobKind, Lot
from touchstone.web.auth import ApplicationDep, ExaminerDep, GuardedRoute
from touchstone.web.documented import FILES, ON_CHANGE, ON_ITEM, ON_REQUEST
from touchstone.web.limits import MAX_JSON_BYTES, heavy
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
_HEAVY = [Depends(heavy)]


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
    dependencies=_HEAVY,
    responses=ON_ITEM,
)
def read_conclusion(
    lot_id: str, caller: ExaminerDep, parts: ApplicationDep
) -> ConclusionOut:
    """Conclude on a lot from what its photos were found to be, as they stand now.

    The share of counterfeits is an interval that allows for how often the test errs,
    and for kinds of counterfeit that it may not see at all.
    """
    conclusion, items = conclude(parts.store, caller, lot_id, parts.validation)
    return ConclusionOut.model_validate(conclusion_document(conclusion, items))


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
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    response.headers["Retry-After"] = str(POLL_AFTER_S)
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
    """Download a file of a finished report.

    The PDF shows references beside photos: it ends with the leave to match against
    them.
    """
    result = parts.store.job(caller, job_id).result or {}
    digest = result.get("files", {}).get(name.value)
    if digest is None:
        raise NotFoundError("There is no such file of this job.")
    if name is ReportFile.PDF:
        shown = set(result["reference_sets"])
        if not shown <= parts.store.visible_set_ids(caller):
            raise NotFoundError("A reference that it shows is not in reach any more.")
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

"""Examinations: photos in, a finding with its evidence out.  <- start reading here.

The other subjects are laid out the same way: ``api_references`` for brand owners,
``api_administration`` for the operator. Bodies are thin: what is decided is decided
in the use cases.
"""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import JSONResponse

from touchstone.bootstrap import Application
from touchstone.engine.codes import parse_code
from touchstone.engine.image import DecodeLimits, decode
from touchstone.errors import BadImageError
from touchstone.examination import Examined
from touchstone.web.auth import (
    AnyoneDep,
    ApplicationDep,
    ExaminerDep,
    GuardedRoute,
)
from touchstone.web.documented import (
    ON_CHANGE,
    ON_IMAGES,
    ON_ITEM,
    ON_REQUEST,
    PNG,
)
from touchstone.web.limits import MAX_JSON_BYTES, heavy
from touchstone.web.metrics import Metrics
from touchstone.web.pagination import PageOut, PagingDep
from touchstone.web.problems import FieldError, problem_of, respond
from touchstone.web.schemas import (
    CodeIn,
    CodeOut,
    IdentificationOut,
    IdentifiedOut,
    IdentifyForm,
)
from touchstone.web.schemas_examinations import (
    ExaminationForm,
    ExaminationOut,
    ExaminationSummary,
    RegionsOut,
    ReplayOut,
    regions_of,
    url_of,
)

uploads = APIRouter(
    prefix="/v1", tags=["examinations"], route_class=GuardedRoute, responses=ON_REQUEST
)
router = APIRouter(
    prefix="/v1",
    tags=["examinations"],
    route_class=GuardedRoute,
    responses=ON_REQUEST,
    max_body_size=MAX_JSON_BYTES,
)
_HEAVY = [Depends(heavy)]


@uploads.post(
    "/examinations",
    status_code=201,
    response_model=ExaminationOut,
    dependencies=_HEAVY,
    responses=ON_IMAGES,
)
def examine(
    form: Annotated[ExaminationForm, Form(media_type="multipart/form-data")],
    caller: ExaminerDep,
    parts: ApplicationDep,
    request: Request,
    response: Response,
) -> ExaminationOut | JSONResponse:
    """Verify one item from one to eight photos of it, and record the outcome.

    Answers when the examination is done, usually within a second or two. A poor
    photo is answered with the finding `insufficient_quality` and advice, not refused;
    a file that is no usable image is refused, and then nothing is recorded.
    """
    photos = [photo.file.read() for photo in form.photos]
    recorded_id = caller.attempt and caller.attempt.made_id
    try:
        # Where an attempt died after it had recorded, its record is the answer.
        examined = (
            parts.verifier.read(caller, recorded_id)
            if recorded_id
            else parts.verifier.verify(
                caller,
                photos,
                declared_product=form.declared_product,
                declared_gtin=form.declared_gtin,
            )
        )
    except BadImageError as error:
        field = _first_refused(photos, parts.verifier.limits)
        return _refused(error, field)
    metrics: Metrics = request.app.state.metrics
    metrics.examined(examined.finding.kind)
    response.headers["Location"] = url_of(examined.examination)
    return _described(examined, parts)


@router.get("/examinations", response_model=PageOut[ExaminationSummary])
def list_examinations(
    paging: PagingDep, caller: ExaminerDep, parts: ApplicationDep
) -> PageOut[ExaminationSummary]:
    """List the examinations of your organisation, newest first."""
    found = parts.store.list_examinations(
        caller, after=paging.after, limit=paging.limit
    )
    return paging.paged(found, ExaminationSummary.of)


@router.get(
    "/examinations/{examination_id}", response_model=ExaminationOut, responses=ON_ITEM
)
def read_examination(
    examination_id: str, caller: ExaminerDep, parts: ApplicationDep
) -> ExaminationOut:
    """Read an examination as it was recorded."""
    return _described(parts.verifier.read(caller, examination_id), parts)


@router.get(
    "/examinations/{examination_id}/regions",
    response_model=RegionsOut,
    responses=ON_ITEM,
)
def read_regions(
    examination_id: str, caller: ExaminerDep, parts: ApplicationDep
) -> RegionsOut:
    """Read where photo and reference differ, most deviant first."""
    examined = parts.verifier.read(caller, examination_id)
    return RegionsOut(items=regions_of(examined))


@router.get(
    "/examinations/{examination_id}/pair.png",
    response_class=Response,
    dependencies=_HEAVY,
    responses=ON_ITEM | PNG,
)
def read_pair(
    examination_id: str, caller: ExaminerDep, parts: ApplicationDep
) -> Response:
    """Draw the photo, laid flat, beside the reference, the regions numbered.

    Drawn anew each time: it shows the reference, so it ends with the grant to it, and
    each view stands in the audit log.
    """
    return _png(parts.reviewer.pictures(caller, examination_id).pair_png)


@router.get(
    "/examinations/{examination_id}/overlay.png",
    response_class=Response,
    dependencies=_HEAVY,
    responses=ON_ITEM | PNG,
)
def read_overlay(
    examination_id: str, caller: ExaminerDep, parts: ApplicationDep
) -> Response:
    """Draw the photo, laid flat, with what deviates laid over it."""
    return _png(parts.reviewer.pictures(caller, examination_id).overlay_png)


@router.get(
    "/examinations/{examination_id}/deviation.png",
    response_class=Response,
    dependencies=_HEAVY,
    responses=ON_ITEM | PNG,
)
def read_deviation(
    examination_id: str, caller: ExaminerDep, parts: ApplicationDep
) -> Response:
    """Draw the deviation alone: dark as usual, bright at three times the usual."""
    return _png(parts.reviewer.pictures(caller, examination_id).deviation_png)


@router.get(
    "/examinations/{examination_id}/regions/{number}/pair.png",
    response_class=Response,
    dependencies=_HEAVY,
    responses=ON_ITEM | PNG,
)
def read_region_pair(
    examination_id: str, number: int, caller: ExaminerDep, parts: ApplicationDep
) -> Response:
    """Draw one region, enlarged: the reference left, the photo right."""
    return _png(parts.reviewer.region_pair(caller, examination_id, number))


@router.post(
    "/examinations/{examination_id}/replay",
    response_model=ReplayOut,
    dependencies=_HEAVY,
    responses=ON_ITEM | ON_CHANGE,
)
def replay(
    examination_id: str, caller: ExaminerDep, parts: ApplicationDep
) -> ReplayOut:
    """Examine the kept photos again and compare with the record; nothing is recorded.

    They differ where the references, the model or the policy have changed since;
    `differences` names what.
    """
    again = parts.reviewer.replay(caller, examination_id)
    return ReplayOut(is_equal=again.is_equal, differences=list(again.differences))


@uploads.post(
    "/identify",
    response_model=IdentificationOut,
    dependencies=_HEAVY,
    responses=ON_IMAGES,
)
def identify(
    form: Annotated[IdentifyForm, Form(media_type="multipart/form-data")],
    caller: ExaminerDep,
    parts: ApplicationDep,
) -> IdentificationOut:
    """Name the products that a photo may show; nothing is compared or recorded.

    The list always holds the nearest ones, however far: to know whether the photo
    shows one of them at all, have it examined.
    """
    found = parts.verifier.identify(caller, form.photo.file.read(), k=form.k)
    return IdentificationOut(items=[IdentifiedOut.of(one) for one in found])


@router.post(
    "/codes/parse", response_model=CodeOut, tags=["codes"], responses=ON_CHANGE
)
def parse(code: CodeIn, caller: AnyoneDep) -> CodeOut:
    """Read the text of a code by the GS1 rules: GTIN, lot, expiry, serial."""
    del caller
    found = parse_code(code.text)
    return CodeOut(
        gtin=found.gtin,
        lot=found.lot,
        expiry=found.expiry,
        serial=found.serial,
        is_check_digit_right=found.is_check_digit_right,
    )


def _described(examined: Examined, parts: Application) -> ExaminationOut:
    return ExaminationOut.of(examined, parts.verifier.policy)


def _png(data: bytes) -> Response:
    return Response(data, media_type="image/png")


def _refused(error: BadImageError, field: str) -> JSONResponse:
    problem = problem_of(error)
    named = FieldError(field=field, message=problem.detail)
    return respond(problem.model_copy(update={"errors": [named]}))


def _first_refused(photos: Sequence[bytes], limits: DecodeLimits) -> str:
    """Name the first photo that cannot be decoded; only asked when one cannot."""
    for number, photo in enumerate(photos):
        try:
            decode(photo, limits=limits)
        except BadImageError:
            return f"photos[{number}]"
    return "photos"

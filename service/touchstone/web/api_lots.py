"""The photos of a lot: announced by digest, sent one by one or listed, then scored.

A client first tells the digests of all that it has and then sends what lacks, so that
a folder of thousands can be dropped again and again until all of it is here.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, BinaryIO, cast

from fastapi import APIRouter, Depends, Form, Query, Request, Response, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile as Spool

from touchstone.bootstrap import Application
from touchstone.engine.codes import normalised_gtin
from touchstone.errors import (
    ConflictError,
    ImageTooLargeError,
    InvalidInputError,
)
from touchstone.lots import MANIFEST_ENDINGS, RowError, blob_locator, open_manifest
from touchstone.lots.finders import mixing
from touchstone.lots.manifests import ManifestRow
from touchstone.lots.sources import batches
from touchstone.store import (
    Announced,
    Caller,
    JobKind,
    Lot,
    SubmissionFields,
)
from touchstone.web.auth import ApplicationDep, ExaminerDep, GuardedRoute
from touchstone.web.documented import ON_CHANGE, ON_ITEM, ON_REQUEST
from touchstone.web.filters import SubmissionsPagingDep
from touchstone.web.limits import MAX_JSON_BYTES, Places, heavy
from touchstone.web.pagination import PageOut, PagingDep
from touchstone.web.problems import problem_of, respond
from touchstone.web.schemas_lots import (
    POLL_AFTER_S,
    AnnouncementIn,
    AnnouncementOut,
    ItemIn,
    JobOut,
    ManifestForm,
    ManifestOut,
    MissingOut,
    PhotoOut,
    RowErrorOut,
    SubmissionOut,
    awaited,
    draft_of,
)

uploads = APIRouter(
    prefix="/v1", tags=["lots"], route_class=GuardedRoute, responses=ON_REQUEST
)
router = APIRouter(
    prefix="/v1",
    tags=["lots"],
    route_class=GuardedRoute,
    responses=ON_REQUEST,
    max_body_size=MAX_JSON_BYTES,
)

_LISTED_AT_ONCE = 1000
_ERRORS_TOLD = 1000
_IN_MEMORY = 1 << 20
_RAW: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The photo, byte for byte.",
        "content": {
            "application/octet-stream": {
                "schema": {"type": "string", "format": "binary"}
            }
        },
    }
}


# --- photos, one by one ---------------------------------------------------------------


@router.post(
    "/lots/{lot_id}/submissions",
    status_code=201,
    response_model=AnnouncementOut,
    responses=ON_ITEM | ON_CHANGE,
)
def announce(
    lot_id: str, body: AnnouncementIn, caller: ExaminerDep, parts: ApplicationDep
) -> AnnouncementOut:
    """Announce photos of a lot by their digests; the answer says which to send.

    `awaiting`: send it to `PUT /v1/lots/{lot_id}/photos/{sha256}`. `queued`: your
    organisation sent this photo before, it need not be sent again. Anything else: this
    lot has it under this name already, and this is its result.
    """
    drafts = [_draft(number, item) for number, item in enumerate(body.items)]
    return AnnouncementOut.of(parts.store.announce(caller, lot_id, drafts))


def _draft(number: int, item: ItemIn) -> SubmissionFields:
    if item.declared_gtin and normalised_gtin(item.declared_gtin) is None:
        raise InvalidInputError(
            "This is not a GTIN: check its length and its check digit.",
            field=f"items[{number}].declared_gtin",
        )
    try:
        return draft_of(item)
    except InvalidInputError as error:
        raise InvalidInputError(
            str(error), field=f"items[{number}].{error.field}"
        ) from error


@uploads.put(
    "/lots/{lot_id}/photos/{sha256}",
    response_model=PhotoOut,
    responses=ON_ITEM | ON_CHANGE,
    openapi_extra=_RAW,
)
async def put_photo(
    lot_id: str,
    sha256: str,
    request: Request,
    caller: ExaminerDep,
    parts: ApplicationDep,
) -> PhotoOut:
    """Send a photo that was announced; it is queued at once. Again changes nothing.

    A photo that no submission of the lot names is refused before it is read.
    """
    await run_in_threadpool(parts.store.check_listed, caller, lot_id, sha256)
    limit = parts.settings.max_upload_bytes
    # On disk, for hundreds may come at once; the threads that read it are few.
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        spool = Spool(cast("BinaryIO", file), size=0)
        async for chunk in request.stream():
            await spool.write(chunk)
            if (spool.size or 0) > limit:
                raise ImageTooLargeError(f"A photo may have {limit:,} bytes.")
        await spool.seek(0)
        places: Places = request.app.state.receiving
        queued = await run_in_threadpool(
            _keep, parts, caller, lot_id, sha256, spool=spool, places=places
        )
    return PhotoOut(sha256=sha256, queued=queued)


def _keep(
    parts: Application,
    caller: Caller,
    lot_id: str,
    digest: str,
    *,
    spool: UploadFile | Spool,
    places: Places,
) -> int:
    with places.taken():
        photo = spool.file.read()
        if hashlib.sha256(photo).hexdigest() != digest:
            raise InvalidInputError("The body has another SHA-256.", field="sha256")
        parts.blobs.put(photo)
    return parts.store.photo_arrived(
        caller, lot_id, digest, locator=blob_locator(digest)
    )


@router.get(
    "/lots/{lot_id}/submissions",
    response_model=PageOut[SubmissionOut],
    responses=ON_ITEM,
)
def list_submissions(
    lot_id: str,
    paging: SubmissionsPagingDep,
    caller: ExaminerDep,
    parts: ApplicationDep,
) -> PageOut[SubmissionOut]:
    """List the photos of a lot, or those in one state, in the order of listing."""
    found = parts.store.list_submissions(
        caller, lot_id, state=paging.state, after=paging.after, limit=paging.limit
    )
    return paging.paged(found, SubmissionOut.of)


@router.get(
    "/lots/{lot_id}/missing", response_model=PageOut[MissingOut], responses=ON_ITEM
)
def list_missing(
    lot_id: str, paging: PagingDep, caller: ExaminerDep, parts: ApplicationDep
) -> PageOut[MissingOut]:
    """List the photos that were announced and have not been sent, by digest."""
    found = parts.store.list_missing(
        caller, lot_id, after=paging.after, limit=paging.limit
    )
    return paging.paged(found, lambda digest: MissingOut(sha256=digest))


# --- manifests ------------------------------------------------------------------------


@uploads.post(
    "/lots/{lot_id}/manifest",
    status_code=201,
    response_model=ManifestOut,
    dependencies=[Depends(heavy)],
    responses=ON_ITEM | ON_CHANGE,
)
def send_manifest(
    lot_id: str,
    form: Annotated[ManifestForm, Form(media_type="multipart/form-data")],
    caller: ExaminerDep,
    parts: ApplicationDep,
) -> ManifestOut | JSONResponse:
    """List the photos of a lot by a table, or send a ZIP of them.

    Each row is listed or refused by itself. The rows of a table announce photos that
    are then to be sent; the photos of a ZIP are queued at once. If no row could be
    listed the answer is 422, with the same counts.
    """
    parts.store.filed(caller, Lot, lot_id)  # a stranger's file is not even opened
    ending = PurePosixPath(form.file.filename or "").suffix.lower()
    if ending not in MANIFEST_ENDINGS:
        raise InvalidInputError(
            f"The name of the file must end in one of: {', '.join(MANIFEST_ENDINGS)}.",
            field="file",
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"manifest{ending}"
        with path.open("wb") as file:
            shutil.copyfileobj(form.file.file, file, _IN_MEMORY)
        with open_manifest(
            path, blobs=parts.blobs, max_bytes=parts.settings.max_upload_bytes
        ) as manifest:
            done = _listed(parts, caller, lot_id, manifest.rows)
            done.left_out = manifest.left_out
    if not done.failed or done.failed < done.sent:
        return done
    refusal = problem_of(InvalidInputError("No row could be listed.", field="file"))
    members = done.model_dump(mode="json")
    members["row_errors"] = members.pop("errors")  # `errors` names fields in problems
    return respond(refusal, members=members)


def _listed(
    parts: Application, caller: Caller, lot_id: str, rows: Iterable[ManifestRow]
) -> ManifestOut:
    done = ManifestOut(
        sent=0, new=0, duplicate=0, failed=0, awaiting=0, left_out=0, errors=[]
    )
    for some in batches(rows, _LISTED_AT_ONCE):
        drafts = [row for row in some if isinstance(row, SubmissionFields)]
        errors = [row for row in some if isinstance(row, RowError)]
        announced: tuple[Announced, ...] = ()
        if drafts:
            announced = parts.store.announce(caller, lot_id, drafts)
        new = sum(one.is_new for one in announced)
        done.sent += len(some)
        done.new += new
        done.duplicate += len(announced) - new
        done.failed += len(errors)
        done.awaiting += awaited(announced)
        told = errors[: _ERRORS_TOLD - len(done.errors)]
        done.errors += [RowErrorOut.of(error) for error in told]
    return done


# --- scoring --------------------------------------------------------------------------


@router.post(
    "/lots/{lot_id}/score",
    status_code=202,
    response_model=JobOut,
    responses=ON_ITEM | ON_CHANGE,
)
def score(
    lot_id: str,
    caller: ExaminerDep,
    parts: ApplicationDep,
    response: Response,
    mixed: Annotated[
        bool,
        Query(description="Go on though references, policy or models changed since."),
    ] = False,
) -> JobOut:
    """Examine what is queued of a lot; the answer is the job that does it.

    A job that is unfinished is gone on with. Photos that are sent while it runs are
    examined too; for those that come later, ask again. Watch the job at its `events`,
    or poll it.
    """
    store = parts.store
    if not store.tally(caller, lot_id).total:
        raise ConflictError("No photo of this lot has been listed.")
    examined_by = parts.examined_by
    why = mixing(store, caller, lot_id, examined_by)
    if why and not mixed:
        raise ConflictError(f"{why} Ask with ?mixed=true to go on.")
    job = store.begin_job(caller, lot_id, JobKind.SCORE, examined_by=examined_by)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    response.headers["Retry-After"] = str(POLL_AFTER_S)
    return JobOut.counted(job, store.tally(caller, lot_id))

"""What goes over the wire about the photos of a lot, and the jobs on them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

from touchstone.lots import RowError
from touchstone.store import (
    DONE_SUBMISSIONS,
    Announced,
    Job,
    JobKind,
    JobState,
    Submission,
    SubmissionFields,
    SubmissionState,
    Tally,
)
from touchstone.web.schemas import (
    AT,
    DIGEST,
    ID,
    OTHER_ID,
    RequestModel,
    Text,
    example,
    fields_of,
)

POLL_AFTER_S = 2
MAX_ITEMS = 1000
"""Photos announced in one request."""

_ITEM = {
    "name": "carton-17/front.jpg",
    "sha256": DIGEST,
    "exhibit_no": "L-1/17",
    "declared_product": "AMOX-500",
    "declared_gtin": "04006381333931",
}


class ItemIn(RequestModel):
    """A photo that is to be sent, by its digest."""

    name: Annotated[str, Field(min_length=1, max_length=1000)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", max_length=64)]
    exhibit_no: Annotated[
        Text, Field(description="An exhibit of the lot; logged if it is not yet.")
    ] = ""
    declared_product: Text = ""
    declared_gtin: Text = ""


class AnnouncementIn(RequestModel):
    """The photos that a client has of a lot."""

    model_config = ConfigDict(json_schema_extra=example(items=[_ITEM]))

    items: Annotated[list[ItemIn], Field(min_length=1, max_length=MAX_ITEMS)]


_SUBMISSION: dict[str, Any] = {
    "id": ID,
    "lot_id": OTHER_ID,
    "exhibit_id": None,
    "position": 16,
    "name": "carton-17/front.jpg",
    "sha256": DIGEST,
    "declared_product": "AMOX-500",
    "declared_gtin": "04006381333931",
    "state": "examined",
    "finished_seq": 12,
    "examination_id": OTHER_ID,
    "finding": "consistent_with_genuine",
    "error": None,
}


class SubmissionOut(BaseModel):
    """One photo of a lot, and what became of it."""

    model_config = ConfigDict(json_schema_extra=example(**_SUBMISSION))

    id: str
    lot_id: str
    exhibit_id: str | None
    position: Annotated[int, Field(description="From 0, in the order of listing.")]
    name: str
    sha256: str | None
    declared_product: str
    declared_gtin: str
    state: Annotated[SubmissionState, Field(description="`awaiting`: send the photo.")]
    finished_seq: Annotated[
        int | None, Field(description="The how-manieth of the lot to be finished.")
    ]
    examination_id: str | None
    finding: Annotated[str | None, Field(description="Null until it is examined.")]
    error: Annotated[str | None, Field(description="Why it could not be examined.")]

    @staticmethod
    def of(value: Submission) -> "SubmissionOut":
        """Describe ``value``."""
        is_done = value.state in DONE_SUBMISSIONS
        return SubmissionOut(
            id=value.id,
            lot_id=value.lot_id,
            exhibit_id=value.exhibit_id,
            position=value.position,
            name=value.name,
            sha256=value.photo_digest,
            declared_product=value.declared_product,
            declared_gtin=value.declared_gtin,
            state=value.state,
            finished_seq=value.finished_seq if is_done else None,
            examination_id=value.examination_id,
            finding=value.finding or None,
            error=value.error or None,
        )


class AnnouncedOut(BaseModel):
    """What stands for one photo that was announced."""

    is_new: Annotated[
        bool, Field(description="False: the lot lists it already; see its result.")
    ]
    submission: SubmissionOut

    @staticmethod
    def of(value: Announced) -> "AnnouncedOut":
        """Describe ``value``."""
        return AnnouncedOut(
            is_new=value.is_new, submission=SubmissionOut.of(value.submission)
        )


class AnnouncementOut(BaseModel):
    """What stands for each photo that was announced, in the order sent."""

    model_config = ConfigDict(
        json_schema_extra=example(
            sent=1,
            new=0,
            duplicate=1,
            awaiting=0,
            items=[{"is_new": False, "submission": _SUBMISSION}],
        )
    )

    sent: Annotated[int, Field(description="Always new + duplicate.")]
    new: int
    duplicate: Annotated[int, Field(description="Already in this lot.")]
    awaiting: Annotated[int, Field(description="Of those sent: photos to be sent.")]
    items: list[AnnouncedOut]

    @staticmethod
    def of(values: Sequence[Announced]) -> "AnnouncementOut":
        """Describe ``values``."""
        new = sum(one.is_new for one in values)
        return AnnouncementOut(
            sent=len(values),
            new=new,
            duplicate=len(values) - new,
            awaiting=awaited(values),
            items=[AnnouncedOut.of(one) for one in values],
        )


def awaited(values: Sequence[Announced]) -> int:
    """Count those whose photo is to be sent."""
    awaiting = SubmissionState.AWAITING
    return sum(one.submission.state is awaiting for one in values)


class PhotoOut(BaseModel):
    """A photo was taken in."""

    model_config = ConfigDict(json_schema_extra=example(sha256=DIGEST, queued=1))

    sha256: str
    queued: Annotated[
        int, Field(description="Submissions that awaited it; 0 if it was sent before.")
    ]


class MissingOut(BaseModel):
    """A photo that a lot awaits."""

    model_config = ConfigDict(json_schema_extra=example(sha256=DIGEST))

    sha256: str


class ManifestForm(BaseModel):
    """The list of a lot's photos, or a ZIP of them."""

    model_config = ConfigDict(extra="forbid")

    file: Annotated[
        UploadFile,
        Field(
            description=".csv, .jsonl or .parquet with the columns `image` and "
            "`sha256`, and perhaps `exhibit_no`, `declared_product`, `declared_gtin`; "
            "or a .zip of photos."
        ),
    ]


class RowErrorOut(BaseModel):
    """Why one row was not listed."""

    row: Annotated[int, Field(description="From 1, a table's headings not counted.")]
    field: Annotated[str, Field(description="The column, or the entry of a ZIP.")]
    message: str

    @staticmethod
    def of(value: RowError) -> "RowErrorOut":
        """Describe ``value``."""
        return RowErrorOut(row=value.row, field=value.field, message=value.message)


class ManifestOut(BaseModel):
    """What became of the rows of a manifest."""

    model_config = ConfigDict(
        json_schema_extra=example(
            sent=3,
            new=1,
            duplicate=1,
            failed=1,
            awaiting=1,
            left_out=0,
            errors=[{"row": 2, "field": "image", "message": "The cell is empty."}],
        )
    )

    sent: Annotated[int, Field(description="Always new + duplicate + failed.")]
    new: int
    duplicate: Annotated[int, Field(description="Already in this lot.")]
    failed: int
    awaiting: Annotated[int, Field(description="Of those listed: to be sent.")]
    left_out: Annotated[
        int, Field(description="Files of a ZIP that are no photos by their name.")
    ]
    errors: Annotated[
        list[RowErrorOut], Field(description="Of the first 1,000 that failed.")
    ]


# --- jobs -----------------------------------------------------------------------------

_JOB: dict[str, Any] = {
    "id": ID,
    "lot_id": OTHER_ID,
    "kind": "score",
    "state": "running",
    "error": "",
    "created_at": AT,
    "started_at": AT,
    "finished_at": None,
}
_COUNTS: dict[str, Any] = {
    "total": 300,
    "done": 101,
    "failed": 1,
    "states": {"examined": 100, "failed": 1, "queued": 195, "examining": 4},
    "findings": {"consistent_with_genuine": 97, "inconclusive": 3},
}


class JobSummary(BaseModel):
    """A job, without its counts."""

    model_config = ConfigDict(json_schema_extra=example(**_JOB))

    id: str
    lot_id: str
    kind: JobKind
    state: JobState
    error: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @staticmethod
    def of(value: Job) -> "JobSummary":
        """Describe ``value``."""
        return JobSummary(**fields_of(value, JobSummary))


class CountsOut(BaseModel):
    """How far the photos of a lot are."""

    model_config = ConfigDict(json_schema_extra=example(**_COUNTS))

    total: int
    done: Annotated[int, Field(description="With a result, failed ones too.")]
    failed: int
    states: dict[SubmissionState, int]
    findings: dict[str, int]

    @staticmethod
    def of(tally: Tally) -> "CountsOut":
        """Describe ``tally``."""
        return CountsOut(
            total=tally.total,
            done=tally.done,
            failed=tally.failed,
            states=dict(tally.states),
            findings=dict(tally.findings),
        )


class JobOut(JobSummary):
    """A job, and how far the photos of its lot are."""

    model_config = ConfigDict(
        json_schema_extra=example(
            **_JOB,
            seconds_left=240,
            counts=_COUNTS,
            examined_by=[{"touchstone": "0.1.0", "policy": DIGEST}],
        )
    )

    seconds_left: Annotated[
        int | None,
        Field(description="By the last two minutes; null while that cannot be told."),
    ]
    counts: CountsOut
    examined_by: Annotated[
        list[dict[str, str]],
        Field(description="What finds, by digest; one for each state of the service."),
    ]

    @staticmethod
    def counted(job: Job, tally: Tally) -> "JobOut":
        """Describe ``job``."""
        # Reports and conclusions are one piece: nothing tells when they end.
        is_running = job.state is JobState.RUNNING and job.kind is JobKind.SCORE
        return JobOut(
            **fields_of(job, JobSummary),
            seconds_left=tally.seconds_left if is_running else None,
            counts=CountsOut.of(tally),
            examined_by=[dict(one) for one in job.examined_by],
        )


def draft_of(item: ItemIn) -> SubmissionFields:
    """Return what the records keep of a photo that was announced.

    Raises:
        InvalidInputError: a text is not printable.
    """
    return SubmissionFields(
        item.name,
        photo_digest=item.sha256,
        exhibit_no=item.exhibit_no,
        declared_product=item.declared_product,
        declared_gtin=item.declared_gtin,
    )

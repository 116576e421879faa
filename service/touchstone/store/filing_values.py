"""What a seizure is filed under, and its work, as frozen values.

The words are the field's (operation, case, seizure, lot, exhibit, submission); each has
a life of which only certain steps are lawful: see `STEPS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from touchstone.store.values import Role


class OperationState(StrEnum):
    """The life of an operation such as Pangea."""

    PLANNED = "planned"
    OPEN = "open"
    CLOSED = "closed"


class CaseState(StrEnum):
    """The life of a case."""

    OPEN = "open"
    UNDER_REVIEW = "under_review"
    CLOSED = "closed"
    ARCHIVED = "archived"


class SeizureState(StrEnum):
    """What became of the goods."""

    REGISTERED = "registered"
    DETAINED = "detained"
    RELEASED = "released"
    DESTROYED = "destroyed"
    TRANSFERRED = "transferred"


class LotState(StrEnum):
    """How far a lot is."""

    RECEIVED = "received"
    SAMPLED = "sampled"
    SCORED = "scored"
    CONCLUDED = "concluded"


class ExhibitState(StrEnum):
    """Where one exhibit stands."""

    LOGGED = "logged"
    IMAGED = "imaged"
    EXAMINED = "examined"
    SEALED = "sealed"
    RETURNED = "returned"
    DESTROYED = "destroyed"


class SubmissionState(StrEnum):
    """Where one submitted photo stands; the item of the work on a lot."""

    AWAITING = "awaiting"
    """Announced by its digest; the photo has not been sent yet."""
    QUEUED = "queued"
    EXAMINING = "examining"
    """Leased by a worker; given back when the lease runs out."""
    EXAMINED = "examined"
    QUALITY_FAILED = "quality_failed"
    """Examined, with the finding that the photo cannot carry the answer."""
    FAILED = "failed"
    """It could not be examined; `error` says why."""
    WITHDRAWN = "withdrawn"


OPEN_SUBMISSIONS = (SubmissionState.QUEUED, SubmissionState.EXAMINING)
"""What work there is left to do."""
DONE_SUBMISSIONS = (
    SubmissionState.EXAMINED,
    SubmissionState.QUALITY_FAILED,
    SubmissionState.FAILED,
)
"""Those that have a result."""


class JobState(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    PARTIAL = "partial"
    """Done, but some of its items failed."""
    CANCELLED = "cancelled"
    FAILED = "failed"
    """Nothing came of it; `error` says why."""


UNFINISHED_JOBS = (JobState.QUEUED, JobState.RUNNING, JobState.PAUSED)


class JobKind(StrEnum):
    """What a job does."""

    SCORE = "score"
    REPORT = "report"
    CONCLUSION = "conclusion"


PIECES = (JobKind.CONCLUSION, JobKind.REPORT)
"""Jobs that are one piece of work each; the others are work on photo after photo."""


STEPS: Mapping[StrEnum, frozenset[StrEnum]] = {
    OperationState.PLANNED: frozenset({OperationState.OPEN, OperationState.CLOSED}),
    OperationState.OPEN: frozenset({OperationState.CLOSED}),
    OperationState.CLOSED: frozenset({OperationState.OPEN}),
    CaseState.OPEN: frozenset({CaseState.UNDER_REVIEW, CaseState.CLOSED}),
    CaseState.UNDER_REVIEW: frozenset({CaseState.OPEN, CaseState.CLOSED}),
    CaseState.CLOSED: frozenset({CaseState.OPEN, CaseState.ARCHIVED}),
    CaseState.ARCHIVED: frozenset(),
    SeizureState.REGISTERED: frozenset(
        {SeizureState.DETAINED, SeizureState.RELEASED, SeizureState.TRANSFERRED}
    ),
    SeizureState.DETAINED: frozenset(
        {SeizureState.RELEASED, SeizureState.DESTROYED, SeizureState.TRANSFERRED}
    ),
    SeizureState.RELEASED: frozenset(),
    SeizureState.DESTROYED: frozenset(),
    SeizureState.TRANSFERRED: frozenset(),
    LotState.RECEIVED: frozenset({LotState.SAMPLED, LotState.SCORED}),
    LotState.SAMPLED: frozenset({LotState.SAMPLED, LotState.SCORED}),
    LotState.SCORED: frozenset({LotState.SCORED, LotState.CONCLUDED}),
    LotState.CONCLUDED: frozenset({LotState.SCORED}),
    ExhibitState.LOGGED: frozenset({ExhibitState.IMAGED, ExhibitState.SEALED}),
    ExhibitState.IMAGED: frozenset({ExhibitState.EXAMINED, ExhibitState.SEALED}),
    ExhibitState.EXAMINED: frozenset({ExhibitState.SEALED, ExhibitState.RETURNED}),
    ExhibitState.SEALED: frozenset(
        {ExhibitState.EXAMINED, ExhibitState.RETURNED, ExhibitState.DESTROYED}
    ),
    ExhibitState.RETURNED: frozenset(),
    ExhibitState.DESTROYED: frozenset(),
}
"""From each state, those that may follow it."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A concerted action of several authorities, as Pangea or Opson."""

    id: str
    organisation_id: str
    name: str
    starts_on: date | None
    ends_on: date | None
    partners: tuple[str, ...]
    state: OperationState
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Case:
    """A file that seizures belong to."""

    id: str
    organisation_id: str
    operation_id: str | None
    ref_no: str
    title: str
    handling_code: str
    """Europol's H0 to H3."""
    source_eval: str
    """A, B, C or X (4 x 4 codes); empty if not evaluated."""
    info_eval: str
    """1 to 4; empty if not evaluated."""
    legal_hold: bool
    state: CaseState
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Seizure:
    """Goods that were detained in one place at one time."""

    id: str
    organisation_id: str
    case_id: str
    ref_no: str
    place: str
    country: str
    """ISO 3166-1, two letters; empty if not known."""
    latitude: float | None
    longitude: float | None
    seized_on: date | None
    legal_basis: str
    route: str
    transport: str
    concealment: str
    holder_ref: str
    """How the holder of the goods is called in the case; no personal data."""
    state: SeizureState
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Lot:
    """Units that are judged together."""

    id: str
    organisation_id: str
    seizure_id: str | None
    ref_no: str
    product_class: str
    declared_product: str
    declared_gtin: str
    batch_no: str
    expiry: str
    units_total: int | None
    state: LotState
    origin: str
    """What a command scores it for; empty where it was filed by hand."""
    source: str
    left_out: int
    """Files of the source that were no photos by their name."""
    plan: Mapping[str, Any] | None
    """The sampling plan in force, as a document."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One unit of a lot that is kept as evidence."""

    id: str
    organisation_id: str
    lot_id: str
    exhibit_no: str
    unit_kind: str
    state: ExhibitState
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CustodyEvent:
    """One line of the chain of custody; never changed."""

    id: str
    exhibit_id: str
    at: datetime
    act: str
    actor: str
    """Who handled it, as the organisation names its people."""
    place: str
    note: str
    key_id: str | None


@dataclass(frozen=True, slots=True)
class Submission:
    """One photo that was handed in of a lot, and what became of it."""

    id: str
    organisation_id: str
    lot_id: str
    exhibit_id: str | None
    position: int
    """From 0, in the order of the manifest."""
    name: str
    photo_digest: str | None
    declared_product: str
    declared_gtin: str
    state: SubmissionState
    attempts: int
    """How often a worker took it and died."""
    finished_seq: int | None
    """The how-manieth of the lot it was to be finished."""
    examination_id: str | None
    finding: str
    error: str


@dataclass(frozen=True, slots=True)
class Leased:
    """A submission that a worker may examine until its lease runs out."""

    id: str
    lot_id: str
    job_id: str
    organisation_id: str
    name: str
    locator: str
    declared_product: str
    declared_gtin: str
    worker: str
    """The fence: what another worker finishes meanwhile is kept, this is not."""
    key_id: str | None
    role: Role
    """On whose behalf the job was begun."""


@dataclass(frozen=True, slots=True)
class Job:
    """Work that outlasts the request that asked for it."""

    id: str
    organisation_id: str
    lot_id: str
    kind: JobKind
    state: JobState
    key_id: str | None
    role: Role
    examined_by: tuple[Mapping[str, str], ...]
    """Digest or version of everything that finds, by name: one for each state of the
    service that rows were found by; more than one only where mixing was asked for."""
    result: Mapping[str, Any] | None
    error: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeptConclusion:
    """What was concluded on a lot once; never changed."""

    basis: str
    """SHA-256 of all that it rests on: what rests on the same is concluded once."""
    organisation_id: str
    lot_id: str
    document_json: str
    made_at: datetime
    key_id: str | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many submissions of a lot are in each state, and of each finding."""

    states: Mapping[SubmissionState, int]
    findings: Mapping[str, int]
    """Of those examined."""
    pace: float | None = None
    """How many are finished in a second, of late; None where few were."""

    @property
    def total(self) -> int:
        """All that were not withdrawn."""
        return sum(
            count
            for state, count in self.states.items()
            if state is not SubmissionState.WITHDRAWN
        )

    @property
    def done(self) -> int:
        """Those that have a result."""
        return sum(self.states.get(state, 0) for state in DONE_SUBMISSIONS)

    @property
    def failed(self) -> int:
        """Those that could not be examined."""
        return self.states.get(SubmissionState.FAILED, 0)

    @property
    def open(self) -> int:
        """Those that a worker has or may take."""
        return sum(self.states.get(state, 0) for state in OPEN_SUBMISSIONS)

    @property
    def seconds_left(self) -> int | None:
        """Estimate how long the open ones take; None while that cannot be told."""
        return None if self.pace is None else round(self.open / self.pace)

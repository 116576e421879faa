"""The tables of what a seizure is filed under, and of the work on its photos.

::

    operation ── case_file ── seizure ── lot ─┬─ exhibit ── custody_event  (append-only)
                                              ├─ submission    (with its lease)
                                              ├─ job
                                              └─ conclusion    (append-only)
"""

import json
from datetime import date, datetime

from sqlalchemy import JSON, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from touchstone.store.columns import words
from touchstone.store.filing_values import (
    Case,
    CaseState,
    CustodyEvent,
    Exhibit,
    ExhibitState,
    Job,
    JobKind,
    JobState,
    KeptConclusion,
    Lot,
    LotState,
    Operation,
    OperationState,
    Seizure,
    SeizureState,
    Submission,
    SubmissionState,
)
from touchstone.store.tables import Base, Digest, Id
from touchstone.store.values import Role


class OperationRow(Base):
    """See ``filing_values.Operation``."""

    __tablename__ = "operation"
    __table_args__ = (UniqueConstraint("organisation_id", "name"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisation.id"))
    name: Mapped[str]
    starts_on: Mapped[date | None]
    ends_on: Mapped[date | None]
    partners: Mapped[list[str]] = mapped_column(JSON)
    state: Mapped[OperationState] = mapped_column(words(OperationState))
    created_at: Mapped[datetime]

    def value(self) -> Operation:
        """Return the row as a frozen value."""
        fields = {name: getattr(self, name) for name in Operation.__slots__}
        return Operation(**fields | {"partners": tuple(self.partners)})


class CaseRow(Base):
    """See ``filing_values.Case``; CASE itself is a word of SQL."""

    __tablename__ = "case_file"
    __table_args__ = (UniqueConstraint("organisation_id", "ref_no"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisation.id"))
    operation_id: Mapped[str | None] = mapped_column(
        ForeignKey("operation.id"), index=True
    )
    ref_no: Mapped[str]
    title: Mapped[str]
    handling_code: Mapped[str]
    source_eval: Mapped[str]
    info_eval: Mapped[str]
    legal_hold: Mapped[bool]
    state: Mapped[CaseState] = mapped_column(words(CaseState))
    created_at: Mapped[datetime]

    def value(self) -> Case:
        """Return the row as a frozen value."""
        return Case(*(getattr(self, name) for name in Case.__slots__))


class SeizureRow(Base):
    """See ``filing_values.Seizure``."""

    __tablename__ = "seizure"
    __table_args__ = (UniqueConstraint("case_id", "ref_no"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    organisation_id: Mapped[str] = mapped_column(
        ForeignKey("organisation.id"), index=True
    )
    case_id: Mapped[str] = mapped_column(ForeignKey("case_file.id"))
    ref_no: Mapped[str]
    place: Mapped[str]
    country: Mapped[str]
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    seized_on: Mapped[date | None]
    legal_basis: Mapped[str]
    route: Mapped[str]
    transport: Mapped[str]
    concealment: Mapped[str]
    holder_ref: Mapped[str]
    state: Mapped[SeizureState] = mapped_column(words(SeizureState))
    created_at: Mapped[datetime]

    def value(self) -> Seizure:
        """Return the row as a frozen value."""
        return Seizure(*(getattr(self, name) for name in Seizure.__slots__))


class LotRow(Base):
    """See ``filing_values.Lot``."""

    __tablename__ = "lot"
    __table_args__ = (
        Index(None, "organisation_id", "id"),
        Index(None, "organisation_id", "origin"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisation.id"))
    seizure_id: Mapped[str | None] = mapped_column(ForeignKey("seizure.id"), index=True)
    ref_no: Mapped[str]
    product_class: Mapped[str]
    declared_product: Mapped[str]
    declared_gtin: Mapped[str]
    batch_no: Mapped[str]
    expiry: Mapped[str]
    units_total: Mapped[int | None]
    state: Mapped[LotState] = mapped_column(words(LotState))
    origin: Mapped[str]
    source: Mapped[str]
    left_out: Mapped[int]
    plan_json: Mapped[str | None]
    created_at: Mapped[datetime]

    def value(self) -> Lot:
        """Return the row as a frozen value."""
        fields = {name: getattr(self, name) for name in Lot.__slots__ if name != "plan"}
        plan = None if self.plan_json is None else json.loads(self.plan_json)
        return Lot(**fields, plan=plan)


class ExhibitRow(Base):
    """See ``filing_values.Exhibit``."""

    __tablename__ = "exhibit"
    __table_args__ = (UniqueConstraint("lot_id", "exhibit_no"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    organisation_id: Mapped[str] = mapped_column(
        ForeignKey("organisation.id"), index=True
    )
    lot_id: Mapped[str] = mapped_column(ForeignKey("lot.id"))
    exhibit_no: Mapped[str]
    unit_kind: Mapped[str]
    state: Mapped[ExhibitState] = mapped_column(words(ExhibitState))
    created_at: Mapped[datetime]

    def value(self) -> Exhibit:
        """Return the row as a frozen value."""
        return Exhibit(*(getattr(self, name) for name in Exhibit.__slots__))


class CustodyRow(Base):
    """See ``filing_values.CustodyEvent``; triggers refuse UPDATE and DELETE."""

    __tablename__ = "custody_event"
    __table_args__ = (Index(None, "exhibit_id", "id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    exhibit_id: Mapped[str] = mapped_column(ForeignKey("exhibit.id"))
    at: Mapped[datetime]
    act: Mapped[str]
    actor: Mapped[str]
    place: Mapped[str]
    note: Mapped[str]
    key_id: Mapped[str | None] = mapped_column(Id)

    def value(self) -> CustodyEvent:
        """Return the row as a frozen value."""
        return CustodyEvent(*(getattr(self, name) for name in CustodyEvent.__slots__))


class SubmissionRow(Base):
    """See ``filing_values.Submission``.

    ``worker`` and ``leased_until`` are the lease; ``row_json`` and ``profile``, which
    are long, come last, so that SQLite need not read them for the rest.
    """

    __tablename__ = "submission"
    __table_args__ = (
        UniqueConstraint("lot_id", "position"),
        UniqueConstraint("lot_id", "finished_seq"),
        Index(None, "lot_id", "state", "position"),
        Index(None, "organisation_id", "photo_digest"),
        Index(None, "organisation_id", "serial"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisation.id"))
    lot_id: Mapped[str] = mapped_column(ForeignKey("lot.id"))
    exhibit_id: Mapped[str | None] = mapped_column(ForeignKey("exhibit.id"))
    position: Mapped[int]
    name: Mapped[str]
    locator: Mapped[str]
    identity: Mapped[str]
    photo_digest: Mapped[str | None] = mapped_column(Digest)
    declared_product: Mapped[str]
    declared_gtin: Mapped[str]
    state: Mapped[SubmissionState] = mapped_column(words(SubmissionState))
    attempts: Mapped[int]
    worker: Mapped[str]
    leased_until: Mapped[datetime | None]
    finished_seq: Mapped[int | None]
    examination_id: Mapped[str | None] = mapped_column(ForeignKey("examination.id"))
    finding: Mapped[str]
    log10_lr: Mapped[float | None]
    serial: Mapped[str]
    error: Mapped[str]
    row_json: Mapped[str]
    profile: Mapped[bytes]

    def value(self) -> Submission:
        """Return the row as a frozen value."""
        return Submission(*(getattr(self, name) for name in Submission.__slots__))


class JobRow(Base):
    """See ``filing_values.Job``."""

    __tablename__ = "job"
    __table_args__ = (Index(None, "state", "id"), Index(None, "lot_id", "id"))

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisation.id"))
    lot_id: Mapped[str] = mapped_column(ForeignKey("lot.id"))
    kind: Mapped[JobKind] = mapped_column(words(JobKind))
    state: Mapped[JobState] = mapped_column(words(JobState))
    key_id: Mapped[str | None] = mapped_column(ForeignKey("api_key.id"))
    role: Mapped[Role]
    examined_by: Mapped[list[dict[str, str]]] = mapped_column(JSON)
    result_json: Mapped[str | None]
    error: Mapped[str]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    def value(self) -> Job:
        """Return the row as a frozen value."""
        names = set(Job.__slots__) - {"result", "examined_by"}
        return Job(
            **{name: getattr(self, name) for name in names},
            examined_by=tuple(self.examined_by),
            result=None if self.result_json is None else json.loads(self.result_json),
        )


class ConclusionRow(Base):
    """See ``filing_values.KeptConclusion``; triggers refuse UPDATE and DELETE."""

    __tablename__ = "conclusion"

    basis: Mapped[str] = mapped_column(Digest, primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisation.id"))
    lot_id: Mapped[str] = mapped_column(ForeignKey("lot.id"), index=True)
    document_json: Mapped[str]
    made_at: Mapped[datetime]
    key_id: Mapped[str | None] = mapped_column(Id)

    def value(self) -> KeptConclusion:
        """Return the row as a frozen value."""
        return KeptConclusion(
            *(getattr(self, name) for name in KeptConclusion.__slots__)
        )

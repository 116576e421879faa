"""The tables, in types that SQLite and PostgreSQL both keep.

::

    organisation ─┬─ api_key
                  ├─ product ── reference_set ─┬─ specimen ── derived
                  │                            └─ access_grant
                  ├─ examination               (append-only, by trigger)
                  └─ idempotency
    audit_event                                (append-only, by trigger)
    catalogue                                  (one row of counters)

Each row class turns itself into its value. The schema itself is made by the
migrations; a test holds it against these classes.
"""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from touchstone.store.columns import Regions, UtcDateTime, words
from touchstone.store.values import (
    ApiKey,
    AuditEvent,
    Examination,
    Grant,
    Organisation,
    OrganisationKind,
    Product,
    ReferenceSet,
    Region,
    Role,
    SetStatus,
    Specimen,
    SpecimenKind,
)

Id = String(36)
Digest = String(64)


class Base(DeclarativeBase):
    """Names every constraint, so that a migration can speak of it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        int: BigInteger(),
        float: Double(),
        bytes: LargeBinary(),
        datetime: UtcDateTime(),
        OrganisationKind: words(OrganisationKind),
        Role: words(Role),
        SetStatus: words(SetStatus),
        SpecimenKind: words(SpecimenKind),
    }


class OrganisationRow(Base):
    """See ``values.Organisation``."""

    __tablename__ = "organisation"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    kind: Mapped[OrganisationKind]
    name: Mapped[str] = mapped_column(unique=True)
    country: Mapped[str | None]
    created_at: Mapped[datetime]

    def value(self) -> Organisation:
        """Return the row as a frozen value."""
        return Organisation(
            self.id, self.kind, self.name, self.country, self.created_at
        )


class ApiKeyRow(Base):
    """See ``values.ApiKey``; ``key_hash`` is the HMAC-SHA256 of the key's text."""

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    organisation_id: Mapped[str] = mapped_column(
        ForeignKey("organisation.id"), index=True
    )
    role: Mapped[Role]
    label: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)
    key_hash: Mapped[str] = mapped_column(Digest)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    def value(self) -> ApiKey:
        """Return the row as a frozen value, without the hash."""
        return ApiKey(
            id=self.id,
            organisation_id=self.organisation_id,
            role=self.role,
            label=self.label,
            prefix=self.prefix,
            created_at=self.created_at,
            expires_at=self.expires_at,
            revoked_at=self.revoked_at,
        )


class ProductRow(Base):
    """See ``values.Product``."""

    __tablename__ = "product"
    __table_args__ = (UniqueConstraint("organisation_id", "product_id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisation.id"))
    product_id: Mapped[str]
    brand: Mapped[str]
    name: Mapped[str]
    category: Mapped[str]
    gtin: Mapped[str | None]
    created_at: Mapped[datetime]

    def value(self) -> Product:
        """Return the row as a frozen value."""
        return Product(
            id=self.id,
            organisation_id=self.organisation_id,
            product_id=self.product_id,
            brand=self.brand,
            name=self.name,
            category=self.category,
            gtin=self.gtin,
            created_at=self.created_at,
        )


class ReferenceSetRow(Base):
    """See ``values.ReferenceSet``; the owner is repeated here for the scope filter."""

    __tablename__ = "reference_set"
    __table_args__ = (UniqueConstraint("product_ref", "market", "artwork_version"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    organisation_id: Mapped[str] = mapped_column(
        ForeignKey("organisation.id"), index=True
    )
    product_ref: Mapped[str] = mapped_column(ForeignKey("product.id"))
    market: Mapped[str]
    artwork_version: Mapped[str]
    status: Mapped[SetStatus]
    version: Mapped[int] = mapped_column(Integer)
    digest: Mapped[str] = mapped_column(Digest)
    created_at: Mapped[datetime]

    def value(self) -> ReferenceSet:
        """Return the row as a frozen value."""
        return ReferenceSet(
            id=self.id,
            organisation_id=self.organisation_id,
            product_ref=self.product_ref,
            market=self.market,
            artwork_version=self.artwork_version,
            status=self.status,
            version=self.version,
            digest=self.digest,
            created_at=self.created_at,
        )


class SpecimenRow(Base):
    """See ``values.Specimen``.

    ``changed`` is the reference counter at the last change of this specimen, so that
    a cache can ask for what is newer than what it holds.
    """

    __tablename__ = "specimen"
    __table_args__ = (
        UniqueConstraint("reference_set_id", "face", "kind", "image_digest"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    label: Mapped[int] = mapped_column(unique=True)
    reference_set_id: Mapped[str] = mapped_column(ForeignKey("reference_set.id"))
    face: Mapped[str]
    kind: Mapped[SpecimenKind]
    image_digest: Mapped[str] = mapped_column(Digest, index=True)
    width_px: Mapped[int] = mapped_column(Integer)
    height_px: Mapped[int] = mapped_column(Integer)
    variable_regions: Mapped[tuple[Region, ...]] = mapped_column(Regions)
    changed: Mapped[int] = mapped_column(index=True)
    created_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]

    def value(self) -> Specimen:
        """Return the row as a frozen value."""
        return Specimen(
            id=self.id,
            label=self.label,
            reference_set_id=self.reference_set_id,
            face=self.face,
            kind=self.kind,
            image_digest=self.image_digest,
            width_px=self.width_px,
            height_px=self.height_px,
            variable_regions=self.variable_regions,
            created_at=self.created_at,
            withdrawn_at=self.withdrawn_at,
        )


class DerivedRow(Base):
    """What the model with digest ``producer_digest`` computed of a specimen."""

    __tablename__ = "derived"

    specimen_id: Mapped[str] = mapped_column(
        ForeignKey("specimen.id"), primary_key=True
    )
    producer_digest: Mapped[str] = mapped_column(Text, primary_key=True)
    data: Mapped[bytes]


class GrantRow(Base):
    """See ``values.Grant``; one unrevoked grant at most per set and authority."""

    __tablename__ = "access_grant"  # GRANT is a word of SQL
    __table_args__ = (
        Index(
            "uq_access_grant_in_force",
            "authority_id",
            "reference_set_id",
            unique=True,
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    reference_set_id: Mapped[str] = mapped_column(
        ForeignKey("reference_set.id"), index=True
    )
    authority_id: Mapped[str] = mapped_column(ForeignKey("organisation.id"))
    granted_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    granted_by: Mapped[str | None] = mapped_column(ForeignKey("api_key.id"))

    def value(self) -> Grant:
        """Return the row as a frozen value."""
        return Grant(
            id=self.id,
            reference_set_id=self.reference_set_id,
            authority_id=self.authority_id,
            granted_at=self.granted_at,
            revoked_at=self.revoked_at,
            granted_by=self.granted_by,
        )


class CatalogueRow(Base):
    """The one row of counters; ``next_label`` is the label of the next specimen."""

    __tablename__ = "catalogue"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    reference_counter: Mapped[int]
    access_counter: Mapped[int]
    next_label: Mapped[int]


class ExaminationRow(Base):
    """See ``values.Examination``; triggers refuse UPDATE and DELETE."""

    __tablename__ = "examination"
    __table_args__ = (Index(None, "organisation_id", "id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisation.id"))
    key_id: Mapped[str | None] = mapped_column(ForeignKey("api_key.id"))
    created_at: Mapped[datetime]
    photo_digest: Mapped[str] = mapped_column(Digest, index=True)
    photo_digests: Mapped[list[str]] = mapped_column(JSON)
    declared_product: Mapped[str | None]
    declared_gtin: Mapped[str | None]
    finding: Mapped[str]
    product_id: Mapped[str]
    reference_set_id: Mapped[str | None] = mapped_column(ForeignKey("reference_set.id"))
    specimen_id: Mapped[str | None] = mapped_column(ForeignKey("specimen.id"))
    face: Mapped[str]
    log10_lr: Mapped[float | None]
    record_json: Mapped[str]
    record_digest: Mapped[str] = mapped_column(Digest)
    model_digest: Mapped[str]
    index_digest: Mapped[str]
    policy_digest: Mapped[str]
    code_version: Mapped[str]
    provider: Mapped[str]

    def value(self) -> Examination:
        """Return the row as a frozen value."""
        fields = {name: getattr(self, name) for name in Examination.__slots__}
        fields["photo_digests"] = tuple(self.photo_digests)
        return Examination(**fields)


class AuditEventRow(Base):
    """See ``values.AuditEvent``; triggers refuse UPDATE and DELETE.

    No foreign keys: the log outlives what it speaks of.
    """

    __tablename__ = "audit_event"
    __table_args__ = (Index(None, "object_type", "object_id"),)

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor_key_id: Mapped[str | None] = mapped_column(Id)
    organisation_id: Mapped[str | None] = mapped_column(Id)
    action: Mapped[str]
    object_type: Mapped[str]
    object_id: Mapped[str]
    detail: Mapped[str]
    prev_hash: Mapped[str] = mapped_column(Digest)
    hash: Mapped[str] = mapped_column(Digest)

    def value(self) -> AuditEvent:
        """Return the row as a frozen value."""
        return AuditEvent(*(getattr(self, name) for name in AuditEvent.__slots__))


class IdempotencyRow(Base):
    """A POST under way or answered; ``response_status`` is None while in flight.

    ``alive_at`` is when the attempt last said that it is alive, and ``made_id`` what it
    has recorded (an examination, a lot, a job), in the same transaction.
    """

    __tablename__ = "idempotency"

    organisation_id: Mapped[str] = mapped_column(
        ForeignKey("organisation.id"), primary_key=True
    )
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    request_digest: Mapped[str] = mapped_column(Digest)
    created_at: Mapped[datetime] = mapped_column(index=True)
    attempt_id: Mapped[str] = mapped_column(Id)
    alive_at: Mapped[datetime]
    # Named when examinations were all that was noted so.
    made_id: Mapped[str | None] = mapped_column("examination_id", Id)
    response_status: Mapped[int | None] = mapped_column(Integer)
    response_headers: Mapped[list[list[str]]] = mapped_column(JSON)
    response_body: Mapped[bytes]

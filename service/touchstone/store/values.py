"""The records as frozen values: what the store takes and what it returns.

Ids are UUIDv7 strings, digests lower-case hex SHA-256, times aware UTC. No value
here knows SQL, and none that leaves the store holds a secret.
"""

import json
import secrets
import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


def new_id() -> str:
    """Return a fresh UUIDv7: sorts by time of making, gives nothing away.

    RFC 9562, 5.7 with the sub-millisecond fraction of method 3 in ``rand_a``, so
    that ids made one after the other in a process also sort in that order.
    """
    milliseconds, remainder_ns = divmod(time.time_ns(), 1_000_000)
    fraction = (remainder_ns << 12) // 1_000_000
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))


def canonical_json(value: object) -> str:
    """Return the one JSON text of ``value``: sorted keys, no spaces, no NaN.

    Two equal values give equal text, so a digest of the text is a digest of the
    value.

    Raises:
        ValueError: ``value`` holds a number that JSON cannot carry.
    """
    return json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


# ------------------------------------------------------------------ who may ask


class OrganisationKind(StrEnum):
    """What an organisation is; authorities are all but ``brand`` and ``operator``."""

    BRAND = "brand"
    REGULATOR = "regulator"
    CUSTOMS = "customs"
    POLICE = "police"
    LABORATORY = "laboratory"
    OPERATOR = "operator"


AUTHORITY_KINDS = frozenset(
    {
        OrganisationKind.REGULATOR,
        OrganisationKind.CUSTOMS,
        OrganisationKind.POLICE,
        OrganisationKind.LABORATORY,
    }
)
"""Kinds that a brand owner may grant a reference set to."""


class Role(StrEnum):
    """What a key may do."""

    ADMIN = "admin"
    BRAND_OWNER = "brand_owner"
    OFFICER = "officer"
    ANALYST = "analyst"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at answering a request that came with an Idempotency-Key."""

    key: str
    id: str
    """The fence: a later attempt that takes the key over has another."""
    made_id: str | None = None
    """What an earlier attempt recorded before it died; it has to be answered with."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the tenancy scope that every verb of the store takes."""

    key_id: str | None
    """The key used; None for the local command line, which has none."""
    organisation_id: str
    role: Role
    attempt: "Attempt | None" = None
    """The attempt at a request with an Idempotency-Key that the caller is acting in;
    what it writes is written only while the attempt holds its key."""

    @property
    def is_admin(self) -> bool:
        """True for the operator's own keys, which see every organisation."""
        return self.role is Role.ADMIN


@dataclass(frozen=True, slots=True)
class Organisation:
    """A brand, an authority, a laboratory, or the operator of this service."""

    id: str
    kind: OrganisationKind
    name: str
    country: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without its secret, which is shown once and never stored."""

    id: str
    organisation_id: str
    role: Role
    label: str
    prefix: str
    """The public part of the key's text, to recognise it by."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Grant:
    """A brand owner's leave for one authority to match against one set."""

    id: str
    reference_set_id: str
    authority_id: str
    granted_at: datetime
    revoked_at: datetime | None
    granted_by: str | None
    """The key that granted it; None for the local command line."""


# ----------------------------------------------------------- what was enrolled


class SetStatus(StrEnum):
    """Only an ``active`` set is matched against."""

    DRAFT = "draft"
    ACTIVE = "active"
    WITHDRAWN = "withdrawn"


class SpecimenKind(StrEnum):
    """Whether an enrolled image shows the real print or a known fake."""

    KNOWN_GENUINE = "known_genuine"
    KNOWN_COUNTERFEIT = "known_counterfeit"


Region = tuple[int, int, int, int]
"""x, y, width, height in pixels of the enrolled image."""


@dataclass(frozen=True, slots=True)
class Product:
    """A product of one organisation, under its own code for it."""

    id: str
    organisation_id: str
    product_id: str
    """The owner's code, unique within the organisation."""
    brand: str
    name: str
    category: str
    gtin: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ReferenceSet:
    """The specimens of one product, market and artwork version."""

    id: str
    organisation_id: str
    product_ref: str
    """``Product.id``, not the owner's code."""
    market: str
    """Empty for any market."""
    artwork_version: str
    """Empty when the artwork is not versioned."""
    status: SetStatus
    version: int
    """One more with each change of the specimens."""
    digest: str
    """SHA-256 over the specimens in use; equal digest, equal references."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Specimen:
    """One enrolled image of one face."""

    id: str
    label: int
    """Dense and unique over the whole store: the id in the vector index."""
    reference_set_id: str
    face: str
    kind: SpecimenKind
    image_digest: str
    """Of the original bytes, as they lie in the blobs."""
    width_px: int
    height_px: int
    variable_regions: tuple[Region, ...]
    """Regions that differ from unit to unit: lot, expiry, serial."""
    created_at: datetime
    withdrawn_at: datetime | None


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What an enrolment made or found."""

    product: Product
    reference_set: ReferenceSet
    specimen: Specimen
    is_new: bool
    """False when this very specimen had been enrolled before."""


@dataclass(frozen=True, slots=True)
class ReferenceView:
    """A specimen with the set and the product that it speaks for."""

    specimen: Specimen
    reference_set: ReferenceSet
    product: Product

    @property
    def organisation_id(self) -> str:
        """The owner."""
        return self.product.organisation_id


@dataclass(frozen=True, slots=True)
class IndexRow:
    """What the index must know of one specimen."""

    label: int
    specimen_id: str
    reference_set_id: str
    data: bytes | None
    """What the producer asked for computed at enrolment; None if it never ran."""
    withdrawn: bool


@dataclass(frozen=True, slots=True)
class CatalogueState:
    """Two counters that only grow: equal counters, nothing changed."""

    reference_counter: int
    """Grows with each change of a specimen or of its derived data."""
    access_counter: int
    """Grows with each change of a grant, of a set's status, or a new set."""


# ------------------------------------------------------------ what was examined


@dataclass(frozen=True, slots=True)
class Examination:
    """One photograph examined: recorded once, never changed."""

    id: str
    organisation_id: str
    key_id: str | None
    created_at: datetime
    photo_digest: str
    """The first photograph's."""
    photo_digests: tuple[str, ...]
    declared_product: str | None
    declared_gtin: str | None
    finding: str
    product_id: str
    """The matched product's code; empty where nothing was matched."""
    reference_set_id: str | None
    specimen_id: str | None
    face: str
    log10_lr: float | None
    record_json: str
    """Canonical JSON of everything that was recorded."""
    record_digest: str
    """SHA-256 of ``record_json`` in UTF-8."""
    model_digest: str
    index_digest: str
    policy_digest: str
    code_version: str
    provider: str


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One link of the hash chain; see ``audit.py`` for what ``hash`` covers."""

    seq: int
    at: datetime
    actor_key_id: str | None
    organisation_id: str | None
    action: str
    object_type: str
    object_id: str
    detail: str
    """Canonical JSON."""
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A link of the chain written down elsewhere, to hold the chain against."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """Whether the audit chain is whole."""

    events: int
    ok: bool
    first_bad_seq: int | None
    """Where it first fails; one past the end when the end was cut off."""
    head_hash: str


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """An answer given once under an Idempotency-Key, to be given again."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list, and where to go on."""

    items: tuple[T, ...]
    next_cursor: str | None
    """Give it as ``after`` for the next page; None on the last."""

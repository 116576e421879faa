"""What goes over the wire: request and response models, the public contract.

Requests are strict: an unknown field or a number where text belongs is refused, not
guessed at. Responses only ever gain fields. Ids are UUIDv7 and opaque, digests are
lower-case hex SHA-256, times are UTC.
"""

from datetime import datetime
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)

from touchstone.store import (
    ApiKey,
    AuditEvent,
    Grant,
    Organisation,
    OrganisationKind,
    Product,
    ReferenceSet,
    Role,
    SetStatus,
    Specimen,
    SpecimenKind,
)

ID = "01930c0a-4b5e-7c3d-9a51-2f6d8c1e7b90"
OTHER_ID = "01930c0a-4b5f-7aa1-8c02-91d3b7f0a4c6"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
AT = "2026-11-24T10:15:00Z"

Text: TypeAlias = Annotated[str, Field(max_length=300)]
RequiredText: TypeAlias = Annotated[str, Field(min_length=1, max_length=300)]


def example(**fields: Any) -> dict[str, Any]:
    """Return the part of a model's schema that shows one example of it."""
    return {"examples": [fields]}


def _text_only(value: object) -> object:
    # In lax mode pydantic takes a number for seconds since 1970; JSON has no dates,
    # so we take text only.
    if not isinstance(value, str):
        raise ValueError("must be text: a date and time with its zone")
    return value


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


# --- organisations and keys -----------------------------------------------------------


class OrganisationIn(_Request):
    """A brand, an authority, a laboratory, or an operator of this service."""

    model_config = ConfigDict(
        json_schema_extra=example(
            kind="customs", name="Customs of Utopia", country="UT"
        )
    )

    kind: Annotated[OrganisationKind, Field(strict=False)]
    name: RequiredText
    country: Annotated[str | None, Field(max_length=300)] = None


class OrganisationOut(BaseModel):
    """An organisation."""

    model_config = ConfigDict(
        json_schema_extra=example(
            id=ID,
            kind="customs",
            name="Customs of Utopia",
            country="UT",
            created_at=AT,
        )
    )

    id: str
    kind: OrganisationKind
    name: str
    country: str | None
    created_at: datetime

    @staticmethod
    def of(value: Organisation) -> "OrganisationOut":
        """Describe ``value``."""
        return OrganisationOut(
            id=value.id,
            kind=value.kind,
            name=value.name,
            country=value.country,
            created_at=value.created_at,
        )


class ApiKeyIn(_Request):
    """A key to be issued to an organisation."""

    model_config = ConfigDict(
        json_schema_extra=example(
            organisation_id=ID,
            role="officer",
            label="Port of Utopia, shift A",
            expires_at="2027-11-24T00:00:00Z",
        )
    )

    organisation_id: RequiredText
    role: Annotated[Role, Field(strict=False)]
    label: RequiredText
    expires_at: Annotated[
        Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_text_only)]
        | None,
        Field(description="Never, if null."),
    ] = None


_KEY_EXAMPLE = {
    "id": OTHER_ID,
    "organisation_id": ID,
    "role": "officer",
    "label": "Port of Utopia, shift A",
    "prefix": "5f2b8c9d0e1a",
    "created_at": AT,
    "expires_at": None,
    "revoked_at": None,
}


class ApiKeyOut(BaseModel):
    """A key, without its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [_KEY_EXAMPLE]})

    id: str
    organisation_id: str
    role: Role
    label: str
    prefix: Annotated[str, Field(description="The key's text is `ts_PREFIX_...`.")]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    @staticmethod
    def of(value: ApiKey) -> "ApiKeyOut":
        """Describe ``value``."""
        return ApiKeyOut(**_fields(value, ApiKeyOut))


class IssuedKeyOut(ApiKeyOut):
    """A key just issued: its secret is shown this once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [_KEY_EXAMPLE | {"secret": "ts_5f2b8c9d0e1a_..."}]
        }
    )

    secret: Annotated[
        str | None,
        Field(
            description="What to send as bearer token. Shown once and not kept: null "
            "when this answer is repeated under its Idempotency-Key."
        ),
    ]


# --- references -----------------------------------------------------------------------


class ProductIn(_Request):
    """A product under its owner's code for it."""

    model_config = ConfigDict(
        json_schema_extra=example(
            product_id="AMOX-500",
            brand="Acme",
            name="Amoxicillin 500 mg, 20 capsules",
            category="medicine",
            gtin="04006381333931",
        )
    )

    product_id: RequiredText
    brand: Text = ""
    name: Text = ""
    category: Text = ""
    gtin: Annotated[str | None, Field(max_length=20)] = None


class ProductOut(BaseModel):
    """A product."""

    model_config = ConfigDict(
        json_schema_extra=example(
            id=ID,
            organisation_id=OTHER_ID,
            product_id="AMOX-500",
            brand="Acme",
            name="Amoxicillin 500 mg, 20 capsules",
            category="medicine",
            gtin="04006381333931",
            created_at=AT,
        )
    )

    id: str
    organisation_id: str
    product_id: Annotated[str, Field(description="The owner's code.")]
    brand: str
    name: str
    category: str
    gtin: str | None
    created_at: datetime

    @staticmethod
    def of(value: Product) -> "ProductOut":
        """Describe ``value``."""
        return ProductOut(**_fields(value, ProductOut))


class ReferenceSetIn(_Request):
    """A market and an artwork version of a product; empty means any."""

    model_config = ConfigDict(
        json_schema_extra=example(market="FR", artwork_version="2026-03")
    )

    market: Text = ""
    artwork_version: Text = ""


class ReferenceSetOut(BaseModel):
    """The specimens of one product, market and artwork version."""

    model_config = ConfigDict(
        json_schema_extra=example(
            id=OTHER_ID,
            product_ref=ID,
            market="FR",
            artwork_version="2026-03",
            status="active",
            version=3,
            digest=DIGEST,
            created_at=AT,
        )
    )

    id: str
    product_ref: Annotated[str, Field(description="The product's id.")]
    market: str
    artwork_version: str
    status: SetStatus
    version: Annotated[int, Field(description="One more with each change.")]
    digest: Annotated[str, Field(description="Over the specimens in use.")]
    created_at: datetime

    @staticmethod
    def of(value: ReferenceSet) -> "ReferenceSetOut":
        """Describe ``value``."""
        return ReferenceSetOut(**_fields(value, ReferenceSetOut))


_SPECIMEN_EXAMPLE = {
    "id": ID,
    "reference_set_id": OTHER_ID,
    "face": "front",
    "kind": "known_genuine",
    "image_digest": DIGEST,
    "width_px": 3024,
    "height_px": 4032,
    "variable_regions": [[1800, 3500, 900, 240]],
    "created_at": AT,
    "withdrawn_at": None,
}


class SpecimenOut(BaseModel):
    """One enrolled image of one face."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SPECIMEN_EXAMPLE]})

    id: str
    reference_set_id: str
    face: str
    kind: SpecimenKind
    image_digest: str
    width_px: int
    height_px: int
    variable_regions: Annotated[
        list[tuple[int, int, int, int]],
        Field(description="x, y, width, height in pixels of the image: lot, expiry."),
    ]
    created_at: datetime
    withdrawn_at: datetime | None

    @staticmethod
    def of(value: Specimen) -> "SpecimenOut":
        """Describe ``value``."""
        return SpecimenOut(**_fields(value, SpecimenOut))


class EnrolledOut(BaseModel):
    """What became of one image that was enrolled."""

    index: Annotated[int, Field(description="Of the image in the request, from 0.")]
    is_new: Annotated[bool, Field(description="False: it was enrolled before.")]
    specimen: SpecimenOut


class NotEnrolledOut(BaseModel):
    """Why one image was not enrolled."""

    index: Annotated[int, Field(description="Of the image in the request, from 0.")]
    name: Annotated[str, Field(description="The file name that it was sent with.")]
    problem: Annotated[
        dict[str, Any], Field(description="A problem as of RFC 9457, for this image.")
    ]


class EnrolmentOut(BaseModel):
    """What became of each image: every one is in one of the two lists."""

    model_config = ConfigDict(
        json_schema_extra=example(
            enrolled=[{"index": 0, "is_new": True, "specimen": _SPECIMEN_EXAMPLE}],
            failed=[
                {
                    "index": 1,
                    "name": "back.gif",
                    "problem": {
                        "type": "urn:touchstone:problem:unsupported-format",
                        "title": "Image format not accepted",
                        "status": 415,
                        "detail": "GIF images are not accepted; send one of: "
                        "JPEG, PNG, WEBP, AVIF.",
                    },
                }
            ],
        )
    )

    enrolled: list[EnrolledOut]
    failed: list[NotEnrolledOut]


class SharingIn(_Request):
    """Whom a reference set is shared with, from now on: these and no others."""

    model_config = ConfigDict(json_schema_extra=example(authority_ids=[ID]))

    authority_ids: Annotated[list[RequiredText], Field(max_length=1000)]


class GrantOut(BaseModel):
    """A leave to match against a set, in force until it was revoked."""

    authority_id: str
    granted_at: datetime
    revoked_at: datetime | None

    @staticmethod
    def of(value: Grant) -> "GrantOut":
        """Describe ``value``."""
        return GrantOut(**_fields(value, GrantOut))


class SharingOut(BaseModel):
    """Whom a reference set is shared with, and was."""

    model_config = ConfigDict(
        json_schema_extra=example(
            authority_ids=[ID],
            grants=[{"authority_id": ID, "granted_at": AT, "revoked_at": None}],
        )
    )

    authority_ids: Annotated[list[str], Field(description="With a grant in force.")]
    grants: Annotated[list[GrantOut], Field(description="All, oldest first.")]

    @staticmethod
    def of(grants: tuple[Grant, ...]) -> "SharingOut":
        """Describe the grants of one set."""
        return SharingOut(
            authority_ids=[g.authority_id for g in grants if g.revoked_at is None],
            grants=[GrantOut.of(grant) for grant in grants],
        )


# --- audit ----------------------------------------------------------------------------


class AuditEventOut(BaseModel):
    """One link of the hash chain of everything that changed."""

    model_config = ConfigDict(
        json_schema_extra=example(
            seq=17,
            at=AT,
            actor_key_id=ID,
            organisation_id=OTHER_ID,
            action="set_status",
            object_type="reference_set",
            object_id=OTHER_ID,
            detail={"from": "active", "to": "withdrawn"},
            prev_hash=DIGEST,
            hash=DIGEST,
        )
    )

    seq: int
    at: datetime
    actor_key_id: str | None
    organisation_id: str | None
    action: str
    object_type: str
    object_id: str
    detail: dict[str, Any]
    prev_hash: str
    hash: str


class ChainOut(BaseModel):
    """Whether the audit chain is whole."""

    model_config = ConfigDict(
        json_schema_extra=example(
            events=5120, ok=True, first_bad_seq=None, head_hash=DIGEST
        )
    )

    events: int
    ok: bool
    first_bad_seq: int | None
    head_hash: Annotated[
        str, Field(description="Keep it elsewhere, with `events`, as a checkpoint.")
    ]


_Value: TypeAlias = ApiKey | AuditEvent | Grant | Product | ReferenceSet | Specimen


def _fields(value: _Value, model: type[BaseModel]) -> dict[str, Any]:
    """Return those fields of a record that ``model`` names; no other leaves us."""
    return {name: getattr(value, name) for name in model.model_fields}

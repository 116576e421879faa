"""What goes over the wire about administration: organisations, API keys, audit."""

import json
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)

from touchstone.store import ApiKey, AuditEvent, Organisation, OrganisationKind, Role
from touchstone.web.schemas import (
    AT,
    DIGEST,
    ID,
    OTHER_ID,
    RequestModel,
    RequiredText,
    example,
    fields_of,
)


def _text_only(value: object) -> object:
    # In lax mode pydantic takes a number for seconds since 1970; JSON has no dates,
    # so we take text only.
    if not isinstance(value, str):
        # pydantic turns a ValueError, and no TypeError, into an error of the field
        raise ValueError(  # noqa: TRY004
            "must be text: a date and time with its zone"
        )
    return value


class OrganisationIn(RequestModel):
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
        return OrganisationOut(**fields_of(value, OrganisationOut))


class ApiKeyIn(RequestModel):
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


_KEY_EXAMPLE: dict[str, Any] = {
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

    model_config = ConfigDict(json_schema_extra=example(**_KEY_EXAMPLE))

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
        return ApiKeyOut(**fields_of(value, ApiKeyOut))


class IssuedKeyOut(ApiKeyOut):
    """A key just issued: its secret is shown this once."""

    model_config = ConfigDict(
        json_schema_extra=example(**_KEY_EXAMPLE | {"secret": "ts_5f2b8c9d0e1a_..."})
    )

    secret: Annotated[
        str | None,
        Field(
            description="What to send as bearer token. Shown once and not kept: null "
            "when this answer is repeated under its Idempotency-Key."
        ),
    ]


class AuditEventOut(BaseModel):
    """One link of the hash chain of everything that changed."""

    model_config = ConfigDict(
        json_schema_extra=example(
            seq=17,
            at=AT,
            actor_key_id=ID,
            organisation_id=OTHER_ID,
            action="reference_set.status",
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

    @staticmethod
    def of(value: AuditEvent) -> "AuditEventOut":
        """Describe ``value``."""
        fields = fields_of(value, AuditEventOut)
        return AuditEventOut(**fields | {"detail": json.loads(value.detail)})


class CheckpointQuery(BaseModel):
    """A checkpoint written down earlier, to hold the chain against."""

    model_config = ConfigDict(extra="forbid")

    seq: Annotated[int | None, Field(ge=1, le=2**62)] = None
    hash: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$")] = None


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

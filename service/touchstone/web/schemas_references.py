"""What goes over the wire about references: products, sets, specimens, sharing."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

from touchstone.store import (
    Grant,
    Product,
    ReferenceSet,
    SetStatus,
    Specimen,
    SpecimenKind,
)
from touchstone.web.schemas import (
    AT,
    DIGEST,
    ID,
    OTHER_ID,
    RequestModel,
    RequiredText,
    Text,
    example,
    fields_of,
)

MAX_IMAGES = 100
"""Images in one enrolment request."""


class ProductIn(RequestModel):
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
        return ProductOut(**fields_of(value, ProductOut))


class ReferenceSetIn(RequestModel):
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
        return ReferenceSetOut(**fields_of(value, ReferenceSetOut))


class SpecimensForm(BaseModel):
    """Images of one face to be enrolled."""

    model_config = ConfigDict(extra="forbid")

    images: Annotated[
        list[UploadFile],
        Field(
            min_length=1,
            max_length=MAX_IMAGES,
            description="JPEG, PNG, WebP or AVIF; flat, sharp, of the whole face.",
        ),
    ]
    face: Annotated[str, Field(min_length=1, max_length=300)] = "front"
    kind: SpecimenKind = SpecimenKind.KNOWN_GENUINE
    variable_regions: Annotated[
        str,
        Field(
            description="JSON `[[x, y, width, height], ...]` in pixels of the images: "
            "what differs from unit to unit, such as lot and expiry."
        ),
    ] = ""


_SPECIMEN_EXAMPLE: dict[str, Any] = {
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

    model_config = ConfigDict(json_schema_extra=example(**_SPECIMEN_EXAMPLE))

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
        return SpecimenOut(**fields_of(value, SpecimenOut))


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


class SharingIn(RequestModel):
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
        return GrantOut(**fields_of(value, GrantOut))


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

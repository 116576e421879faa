"""What goes over the wire: request and response models, the public contract.

Requests are strict: an unknown field, or a number where text belongs, is refused and
not guessed at. Responses only ever gain fields. Ids are UUIDv7 and opaque, digests are
lower-case hex SHA-256, times are UTC. Here is what the subjects share, and what is
asked without anything being recorded: identification and codes.
"""

from typing import Annotated, Any, TypeAlias

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

from touchstone.examination import ProductName
from touchstone.verification import Identified

ID = "01930c0a-4b5e-7c3d-9a51-2f6d8c1e7b90"
OTHER_ID = "01930c0a-4b5f-7aa1-8c02-91d3b7f0a4c6"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
AT = "2026-11-24T10:15:00Z"

PHOTO = "JPEG, PNG, WebP or AVIF; the original file, not a screenshot of it."

Text: TypeAlias = Annotated[str, Field(max_length=300)]
RequiredText: TypeAlias = Annotated[str, Field(min_length=1, max_length=300)]


def example(**fields: Any) -> dict[str, Any]:
    """Return the part of a model's schema that shows one example of it."""
    return {"examples": [fields]}


def fields_of(value: object, model: type[BaseModel]) -> dict[str, Any]:
    """Return those fields of a record that ``model`` names; no other leaves us."""
    return {name: getattr(value, name) for name in model.model_fields}


class RequestModel(BaseModel):
    """A JSON body: nothing unknown, nothing of another type."""

    model_config = ConfigDict(strict=True, extra="forbid")


class ProductNameOut(BaseModel):
    """The product whose packaging the photo was held against."""

    product_id: str
    brand: str
    name: str
    face: str
    market: str
    artwork_version: str

    @staticmethod
    def of(value: ProductName) -> "ProductNameOut":
        """Describe ``value``."""
        return ProductNameOut(
            product_id=value.product_id,
            brand=value.brand,
            name=value.name,
            face=value.face,
            market=value.market,
            artwork_version=value.artwork_version,
        )


NAME_EXAMPLE = {
    "product_id": "AMOX-500",
    "brand": "Acme",
    "name": "Amoxicillin 500 mg, 20 capsules",
    "face": "front",
    "market": "FR",
    "artwork_version": "2026-03",
}


class IdentifyForm(BaseModel):
    """A photo of something to be identified."""

    model_config = ConfigDict(extra="forbid")

    photo: Annotated[UploadFile, Field(description=PHOTO)]
    k: Annotated[int, Field(ge=1, le=20, description="At most so many products.")] = 5


class IdentifiedOut(BaseModel):
    """A product that the photo may show."""

    product: ProductNameOut
    similarity: Annotated[float, Field(description="-1 to 1, rounded on purpose.")]
    reference_set_id: str

    @staticmethod
    def of(value: Identified) -> "IdentifiedOut":
        """Describe ``value``."""
        return IdentifiedOut(
            product=ProductNameOut.of(value.product),
            similarity=value.similarity,
            reference_set_id=value.reference_set_id,
        )


class IdentificationOut(BaseModel):
    """The products nearest to the photo, nearest first; resemblance, no finding."""

    model_config = ConfigDict(
        json_schema_extra=example(
            items=[
                {
                    "product": NAME_EXAMPLE,
                    "similarity": 0.87,
                    "reference_set_id": OTHER_ID,
                }
            ]
        )
    )

    items: list[IdentifiedOut]


class CodeIn(RequestModel):
    """The text of a bar code or a 2D code."""

    model_config = ConfigDict(
        json_schema_extra=example(text="01040063813339311727123110A1B2"),
    )

    text: Annotated[str, Field(min_length=1, max_length=1000)]


class CodeOut(BaseModel):
    """What the text says by the GS1 rules; null where it says nothing."""

    model_config = ConfigDict(
        json_schema_extra=example(
            gtin="04006381333931",
            lot="A1B2",
            expiry="2027-12-31",
            serial=None,
            is_check_digit_right=True,
        )
    )

    gtin: Annotated[str | None, Field(description="GTIN-14, check digit right.")]
    lot: str | None
    expiry: Annotated[str | None, Field(description="YYYY-MM-DD, or YYYY-MM.")]
    serial: str | None
    is_check_digit_right: bool | None

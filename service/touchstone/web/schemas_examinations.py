"""What goes over the wire about examinations: findings, regions, digests, links."""

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

from touchstone.engine.comparison import Region
from touchstone.engine.policy import Policy
from touchstone.engine.wording import FindingKind
from touchstone.examination import Examined
from touchstone.store import Examination
from touchstone.verification import MAX_PHOTOS
from touchstone.web.schemas import (
    AT,
    DIGEST,
    ID,
    NAME_EXAMPLE,
    OTHER_ID,
    PHOTO,
    ProductNameOut,
    example,
)


class ExaminationForm(BaseModel):
    """One item to be verified."""

    model_config = ConfigDict(extra="forbid")

    photos: Annotated[
        list[UploadFile],
        Field(min_length=1, max_length=MAX_PHOTOS, description=f"Of one item. {PHOTO}"),
    ]
    declared_product: Annotated[
        str | None,
        Field(max_length=300, description="The product code that the item claims."),
    ] = None
    declared_gtin: Annotated[
        str | None, Field(max_length=20, description="The GTIN that it claims.")
    ] = None


class ReasonOut(BaseModel):
    """Why: a code for machines, a sentence that an officer can repeat."""

    code: str
    sentence: str


class RegionOut(BaseModel):
    """Where photo and reference differ, in pixels of the reference image."""

    number: Annotated[int, Field(description="From 1, most deviant first.")]
    x: int
    y: int
    width: int
    height: int
    frame: Annotated[str, Field(alias="in")] = "reference"
    deviation: Annotated[float, Field(description="1 is the edge of the usual.")]
    channel: Annotated[
        str, Field(description="structure, correlation, geometry or colour.")
    ]
    pair: Annotated[str, Field(description="Picture: reference left, photo right.")]

    @staticmethod
    def of(number: int, region: Region, url: str) -> "RegionOut":
        """Describe ``region``, number ``number`` of the examination at ``url``."""
        return RegionOut(
            number=number,
            x=region.x,
            y=region.y,
            width=region.width,
            height=region.height,
            deviation=region.deviation,
            channel=region.channel,
            pair=f"{url}/regions/{number}/pair.png",
        )


_REGION_EXAMPLE = {
    "number": 1,
    "x": 812,
    "y": 430,
    "width": 96,
    "height": 40,
    "in": "reference",
    "deviation": 4.31,
    "channel": "structure",
    "pair": f"/v1/examinations/{ID}/regions/1/pair.png",
}


class RegionsOut(BaseModel):
    """The regions of one examination, most deviant first."""

    model_config = ConfigDict(json_schema_extra=example(items=[_REGION_EXAMPLE]))

    items: list[RegionOut]


class DigestsOut(BaseModel):
    """SHA-256 of everything that the finding depends on, and of the record of it."""

    photos: list[str]
    reference_set: str | None
    model: str
    """Of the embedder."""
    comparator: str
    localiser: str
    """Empty where none was used."""
    index: str
    policy: str
    record: str


class DeclaredOut(BaseModel):
    """What the item claims to be, as declared with the photos."""

    product_id: str | None
    gtin: str | None


class PictureLinks(BaseModel):
    """Where the pictures of a comparison are drawn."""

    pair: str
    overlay: str
    deviation: str


class ExaminationOut(BaseModel):
    """One item examined: the finding, its strength, its reasons and its limits.

    `log10_lr` weighs two propositions: positive favours *the packaging was made by
    the process behind the reference set*, negative *it was made by another process*.
    """

    id: str
    created_at: datetime
    finding: FindingKind
    log10_lr: float | None
    lr_capped: Annotated[
        bool, Field(description="True where the validation data supports no more.")
    ]
    counterfeit_probability: Annotated[
        float | None,
        Field(description="0 to 1, at equal prior odds; null if nothing was compared."),
    ]
    strength: Annotated[str, Field(description="The likelihood ratio in words.")]
    reasons: list[ReasonOut]
    advice: Annotated[list[str], Field(description="What to do next, in order.")]
    product: ProductNameOut | None
    reference_set_id: str | None
    declared: DeclaredOut
    decisive_photo: Annotated[
        int, Field(description="The photo that the finding is about, from 0.")
    ]
    regions: Annotated[list[RegionOut], Field(description="Most deviant first.")]
    quality: Annotated[
        dict[str, float], Field(description="What the photo could carry, by name.")
    ]
    digests: DigestsOut
    code_version: str
    provider: Annotated[str, Field(description="What really ran the models.")]
    elapsed_ms: Annotated[
        float | None, Field(description="Null when read back: records hold no clock.")
    ]
    limitations: Annotated[
        list[str], Field(description="To be told with the finding, always.")
    ]
    error_rates: Annotated[
        dict[str, float] | None,
        Field(
            description="Of the evaluation behind the policy; null if another policy "
            "is in force by now."
        ),
    ]
    url: str
    pictures: Annotated[
        PictureLinks | None, Field(description="Null if nothing was compared.")
    ]

    model_config = ConfigDict(
        json_schema_extra=example(
            id=ID,
            created_at=AT,
            finding="inconsistent_with_genuine",
            log10_lr=-2.4,
            lr_capped=False,
            counterfeit_probability=0.996,
            strength="moderately strong support for H2 (another process)",
            reasons=[
                {
                    "code": "structure_differs",
                    "sentence": "Print is present or missing where the reference "
                    "differs.",
                }
            ],
            advice=["Look at the marked regions beside the reference."],
            product=NAME_EXAMPLE,
            reference_set_id=OTHER_ID,
            declared={"product_id": "AMOX-500", "gtin": None},
            decisive_photo=0,
            regions=[_REGION_EXAMPLE],
            quality={"sharpness": 0.31, "resolution": 1.8},
            digests={
                "photos": [DIGEST],
                "reference_set": DIGEST,
                "model": DIGEST,
                "comparator": DIGEST,
                "localiser": DIGEST,
                "index": DIGEST,
                "policy": DIGEST,
                "record": DIGEST,
            },
            code_version="0.1.0",
            provider="cpu",
            elapsed_ms=412.0,
            limitations=["This concerns the packaging, not its content: ..."],
            error_rates={"false_alarm": 0.001, "miss": 0.05},
            url=f"/v1/examinations/{ID}",
            pictures={
                "pair": f"/v1/examinations/{ID}/pair.png",
                "overlay": f"/v1/examinations/{ID}/overlay.png",
                "deviation": f"/v1/examinations/{ID}/deviation.png",
            },
        )
    )

    @staticmethod
    def of(examined: Examined, policy: Policy) -> "ExaminationOut":
        """Describe ``examined``; ``policy`` is the one in force."""
        examination, finding = examined.examination, examined.finding
        product = examined.product
        record = json.loads(examination.record_json)
        url = url_of(examination)
        is_current = policy.digest == examination.policy_digest
        return ExaminationOut(
            id=examination.id,
            created_at=examination.created_at,
            finding=finding.kind,
            log10_lr=finding.log10_lr,
            lr_capped=finding.is_lr_capped,
            counterfeit_probability=finding.counterfeit_probability,
            strength=finding.strength,
            reasons=[
                ReasonOut(code=reason.code, sentence=reason.sentence)
                for reason in finding.reasons
            ],
            advice=list(finding.advice),
            product=None if product is None else ProductNameOut.of(product),
            reference_set_id=examined.reference_set_id,
            declared=DeclaredOut(
                product_id=examination.declared_product,
                gtin=examination.declared_gtin,
            ),
            decisive_photo=int(record["decisive"]),
            regions=regions_of(examined),
            quality=examined.quality,
            digests=_digests(examination, record),
            code_version=examination.code_version,
            provider=examination.provider,
            elapsed_ms=examined.elapsed_ms and round(examined.elapsed_ms, 1),
            limitations=list(record["limitations"]),
            error_rates=dict(policy.error_rates) if is_current else None,
            url=url,
            pictures=None if finding.chosen is None else _pictures(url),
        )


class ExaminationSummary(BaseModel):
    """An examination in a list."""

    model_config = ConfigDict(
        json_schema_extra=example(
            id=ID,
            created_at=AT,
            finding="consistent_with_genuine",
            log10_lr=2.1,
            product_id="AMOX-500",
            face="front",
            photo_digests=[DIGEST],
            url=f"/v1/examinations/{ID}",
        )
    )

    id: str
    created_at: datetime
    finding: str
    log10_lr: float | None
    product_id: str
    face: str
    photo_digests: list[str]
    url: str

    @staticmethod
    def of(value: Examination) -> "ExaminationSummary":
        """Describe ``value`` in short."""
        return ExaminationSummary(
            id=value.id,
            created_at=value.created_at,
            finding=value.finding,
            log10_lr=value.log10_lr,
            product_id=value.product_id,
            face=value.face,
            photo_digests=list(value.photo_digests),
            url=url_of(value),
        )


class ReplayOut(BaseModel):
    """Whether the examination, made again now, gives the record that it gave."""

    model_config = ConfigDict(
        json_schema_extra=example(is_equal=False, differences=["made_by.index"])
    )

    is_equal: bool
    differences: Annotated[
        list[str], Field(description="Paths in the record whose values differ.")
    ]


def url_of(examination: Examination) -> str:
    """Return the path of ``examination`` on this server."""
    return f"/v1/examinations/{examination.id}"


def regions_of(examined: Examined) -> list[RegionOut]:
    """Describe the regions of ``examined``."""
    url = url_of(examined.examination)
    return [
        RegionOut.of(number, region, url)
        for number, region in enumerate(examined.regions, start=1)
    ]


def _digests(examination: Examination, record: dict[str, Any]) -> DigestsOut:
    photo = record["photos"][record["decisive"]]
    chosen = photo["finding"]["chosen"]
    reference_set = None
    if chosen is not None:
        reference_set = photo["examined"][chosen]["reference_set_digest"]
    return DigestsOut(
        photos=list(examination.photo_digests),
        reference_set=reference_set,
        model=examination.model_digest,
        comparator=record["made_by"].get("comparator", ""),
        localiser=record["made_by"].get("localiser", ""),
        index=examination.index_digest,
        policy=examination.policy_digest,
        record=examination.record_digest,
    )


def _pictures(url: str) -> PictureLinks:
    return PictureLinks(
        pair=f"{url}/pair.png",
        overlay=f"{url}/overlay.png",
        deviation=f"{url}/deviation.png",
    )

"""One item examined: seen photo by photo, drafted, recorded, read back."""

import json
from dataclasses import dataclass

from touchstone.engine.comparison import Region
from touchstone.engine.evidence import Evidence
from touchstone.engine.image import Photo
from touchstone.engine.record import (
    Document,
    evidence_document,
    finding_document,
    photo_document,
    read_finding,
    read_region,
)
from touchstone.engine.verdict import Finding
from touchstone.engine.wording import NOT_REGISTERED, FindingKind
from touchstone.store import Examination, ExaminationDraft, ReferenceView

LIMITATIONS = (
    "This concerns the packaging, not its content: refilled, stolen or diverted "
    "packs can look as the reference does.",
    "A worn, wet or re-labelled pack, or artwork newer than the references, can look "
    "different and yet be genuine.",
    "The finding is a machine's; it is no legal conclusion.",
)
"""What every answer must say with its finding."""


@dataclass(frozen=True, slots=True)
class ProductName:
    """What a finding names of the product that was matched."""

    product_id: str
    brand: str
    name: str
    face: str
    market: str
    artwork_version: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """What was found on one item, not yet recorded."""

    draft: ExaminationDraft
    finding: Finding
    product: ProductName | None
    regions: tuple[Region, ...]
    """In pixels of the reference image, most deviant first."""
    quality: dict[str, float]
    reference_set_id: str | None
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class Examined:
    """A recorded examination, read back."""

    examination: Examination
    finding: Finding
    product: ProductName | None
    regions: tuple[Region, ...]
    quality: dict[str, float]
    reference_set_id: str | None
    elapsed_ms: float | None
    """None when it was read from the record, which holds no clock."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One photo with all that was made of it."""

    photo: Photo
    digest: str
    photo_quality: dict[str, float]
    evidence: list[Evidence]
    views: list[ReferenceView]
    finding: Finding
    index_digest: str
    """Of the index that was searched for it."""
    lookalike: ReferenceView | None = None
    """The nearest reference that could not be laid over the photo."""

    @property
    def kind(self) -> FindingKind:
        """What was found on this photo."""
        return self.finding.kind

    @property
    def chosen(self) -> Evidence | None:
        """The evidence that the finding is about."""
        number = self.finding.chosen
        return None if number is None else self.evidence[number]

    @property
    def view(self) -> ReferenceView | None:
        """The reference that the finding is about."""
        if any(reason.code == NOT_REGISTERED for reason in self.finding.reasons):
            return self.lookalike
        number = self.finding.chosen
        return None if number is None else self.views[number]

    def quality(self) -> dict[str, float]:
        """Return what the photo could carry, by name."""
        numbers = {name: round(v, 4) for name, v in self.photo_quality.items()}
        if self.chosen is not None:
            measured = self.chosen.measurements()
            numbers |= {name: round(measured[name], 4) for name in _FACE_QUALITY}
        return numbers

    def document(self) -> Document:
        """Return all that is recorded of this photo."""
        return {
            "digest": self.digest,
            **photo_document(self.photo, self.photo_quality),
            "finding": finding_document(self.finding),
            "quality": self.quality(),
            "examined": [
                _reference_document(view) | evidence_document(evidence)
                for view, evidence in zip(self.views, self.evidence, strict=True)
            ],
        }


_FACE_QUALITY = (
    "resolution",
    "sharpness",
    "blur_px",
    "glare_fraction",
    "dark_fraction",
    "compared_fraction",
)


def _reference_document(view: ReferenceView) -> Document:
    reference_set = view.reference_set
    return {
        "label": view.specimen.label,
        "specimen_id": view.specimen.id,
        "image_digest": view.specimen.image_digest,
        "kind": str(view.specimen.kind),
        "product": name_document(name_of(view)),
        "reference_set_id": reference_set.id,
        "reference_set_version": reference_set.version,
        "reference_set_digest": reference_set.digest,
    }


def name_of(view: ReferenceView) -> ProductName:
    """Return what a finding may name of a reference."""
    return ProductName(
        product_id=view.product.product_id,
        brand=view.product.brand,
        name=view.product.name,
        face=view.specimen.face,
        market=view.reference_set.market,
        artwork_version=view.reference_set.artwork_version,
    )


def name_document(name: ProductName) -> Document:
    """Describe a name for the record."""
    return {
        "product_id": name.product_id,
        "brand": name.brand,
        "name": name.name,
        "face": name.face,
        "market": name.market,
        "artwork_version": name.artwork_version,
    }


def read_examination(examination: Examination, elapsed_ms: float | None) -> Examined:
    """Read a recorded examination back from its record."""
    record = json.loads(examination.record_json)
    finding = read_finding(record["finding"])
    photo = record["photos"][record["decisive"]]
    regions: tuple[Region, ...] = ()
    if finding.chosen is not None:
        examined = photo["examined"][finding.chosen]
        regions = tuple(read_region(one) for one in examined["regions"])
    product = record["product"]
    return Examined(
        examination=examination,
        finding=finding,
        product=None if product is None else ProductName(**product),
        regions=regions,
        quality=dict(photo["quality"]),
        reference_set_id=examination.reference_set_id,
        elapsed_ms=elapsed_ms,
    )

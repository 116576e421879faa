"""One item examined: seen photo by photo, drafted, recorded, read back."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import cv2
import faiss
import onnxruntime

from touchstone.engine.codes import normalised_gtin
from touchstone.engine.comparison import Region
from touchstone.engine.evidence import Evidence
from touchstone.engine.image import Photo
from touchstone.engine.localisation import Face
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
from touchstone.errors import InvalidInputError
from touchstone.store import (
    Examination,
    ExaminationDraft,
    ProductFields,
    ReferenceView,
)

LIMITATIONS = (
    "This concerns the packaging, not its content: refilled, stolen or diverted "
    "packs can look as the reference does.",
    "A worn, wet or re-labelled pack, or artwork newer than the references, can look "
    "different and yet be genuine.",
    "The finding is a machine's; it is no legal conclusion.",
)
"""What every answer must say with its finding."""

LIBRARIES = {
    "biip": version("biip"),
    "numpy": version("numpy"),
    "opencv": cv2.__version__,
    "pillow": version("pillow"),
    "zxing-cpp": version("zxing-cpp"),
    "onnxruntime": str(onnxruntime.__version__),
    "faiss": str(faiss.__version__),
}
"""Read once: it is what was loaded, whatever is installed later, and slow to read."""


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
    serial: str = ""
    """Of this unit, as a code on it says, its GTIN before it; empty if none does."""
    profile: bytes = b""
    """How its print differs from the reference: `engine.profile.Profile`, packed; empty
    where nobody asked for it."""


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
    face: Face
    """Where the package face was looked for."""
    lookalike: ReferenceView | None = None
    """The reference that looks most like the photo."""

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

    @property
    def serial(self) -> str:
        """The serial number that a code on the face tells, behind its GTIN."""
        codes = () if self.chosen is None else self.chosen.codes
        told = (code for code in codes if code.serial)
        return next((f"{code.gtin or ''}/{code.serial}" for code in told), "")

    @property
    def profile(self) -> bytes:
        """How the print differs from the reference, packed; empty if not compared."""
        if self.chosen is None:
            return b""
        return self.chosen.comparison.profile().to_bytes()

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
            "face": _face_document(self.face),
            "finding": finding_document(self.finding),
            "quality": self.quality(),
            "examined": [
                _reference_document(view) | evidence_document(evidence)
                for view, evidence in zip(self.views, self.evidence, strict=True)
            ],
        }


def _face_document(face: Face) -> Document:
    corners = [[round(float(value), 1) for value in corner] for corner in face.quad]
    return {"quad": corners, "confidence": round(face.confidence, 4)}


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


@dataclass(frozen=True, slots=True)
class Claim:
    """What the item claims to be."""

    product_id: str | None
    gtin: str | None

    def met_by(self, views: Sequence[ReferenceView]) -> list[bool] | None:
        """Tell of each reference whether it is what is claimed; None if nothing is."""
        if self.product_id is None and self.gtin is None:
            return None
        return [
            self.product_id in {None, view.product.product_id}
            and (self.gtin is None or self.gtin == _gtin_of(view))
            for view in views
        ]


def read_claim(product_id: str | None, gtin: str | None) -> Claim:
    """Read what an item is declared to be.

    Raises:
        InvalidInputError: a product code or a GTIN that is none.
    """
    normal = normalised_gtin(gtin) if gtin else None
    if gtin and normal is None:
        raise InvalidInputError(
            f"{gtin!r} is not a GTIN: check its length and its check digit.",
            field="declared_gtin",
        )
    if product_id:
        try:
            ProductFields(product_id)
        except InvalidInputError as error:
            raise InvalidInputError(str(error), field="declared_product") from error
    return Claim(product_id or None, normal)


def _gtin_of(view: ReferenceView) -> str | None:
    return normalised_gtin(view.product.gtin) if view.product.gtin else None

"""What the report of a lot says: frozen values, and the JSON of them.

Pictures are in the JSON by their SHA-256; they themselves are in the PDF.
"""

import hashlib
import json
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from touchstone.engine.wording import FindingKind
from touchstone.examination import LIMITATIONS

FORMAT = "touchstone-lot-report/1"
"""Names the shape of the document; another number where a field changes its meaning."""


@dataclass(frozen=True, slots=True)
class Lot:
    """The seized goods, as whoever seized them describes them; texts may be empty."""

    id: str
    reference: str
    """The number that the authority gave the lot."""
    declared_product: str
    product_class: str = ""
    batch_number: str = ""
    expiry: str = ""
    """As printed on the packages."""
    units_total: int | None = None
    seizure_place: str = ""
    seizure_date: date | None = None
    seizure_country: str = ""
    legal_basis: str = ""
    case_reference: str = ""
    handling_code: str = ""
    """Who may see this, by the authority's own code."""
    operation: str = ""


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """How the examined units were drawn from the lot."""

    rule: str
    population: int
    sample_size: int
    seed: str | None
    """The draw can be repeated from it; None where the units were not drawn by it."""
    sentence: str
    parameters: tuple[tuple[str, str], ...] = ()
    """Name and value, as they are to be read."""


@dataclass(frozen=True, slots=True)
class FindingCount:
    """How many items have a finding."""

    finding: FindingKind
    items: int


@dataclass(frozen=True, slots=True)
class Share:
    """The estimated share of counterfeits in the lot, each number from 0 to 1."""

    estimate: float
    low: float
    high: float
    confidence: float
    sentence: str
    """By which method."""


@dataclass(frozen=True, slots=True)
class Printing:
    """Items that look printed from the same artwork by the same means."""

    number: int
    items: int
    share: float
    """Of the examined items, 0 to 1."""
    summary: str
    """What was found on its items."""
    median_log10_lr: float | None
    exemplar_image: str
    exemplar_examination_id: str
    montage_png: bytes | None = None
    """Exemplars side by side."""
    deviation_png: bytes | None = None
    """Where the exemplar differs from the reference."""


@dataclass(frozen=True, slots=True)
class RepeatedSerial:
    """One serial number, read on several items."""

    serial: str
    images: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TriageItem:
    """An item that a person should look at, the most telling first."""

    rank: int
    image: str
    examination_id: str
    why: str


@dataclass(frozen=True, slots=True)
class WorstRegion:
    """Where an item differs most: reference left, questioned item right."""

    image: str
    finding: FindingKind
    log10_lr: float | None
    pair_png: bytes
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """How often the method errs, and on which data that was measured."""

    name: str
    rate: float
    low: float
    high: float
    confidence: float
    cases: int
    data: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What this report cannot say."""

    error_rates: tuple[ErrorRate, ...]
    sentences: tuple[str, ...] = ()
    """Of this lot; `LIMITATIONS`, which hold for every answer, come first."""


@dataclass(frozen=True, slots=True)
class ItemDigest:
    """One photo of the lot, and what seals it."""

    image: str
    photo_sha256: str
    record_sha256: str
    """Empty where the photo could not be read."""
    finding: FindingKind | None
    """None where the photo could not be read."""
    log10_lr: float | None


@dataclass(frozen=True, slots=True)
class MadeBy:
    """What made the findings: enough to make them again."""

    code_version: str
    models: tuple[tuple[str, str], ...]
    """Name and SHA-256."""
    policy_sha256: str
    index_sha256: str
    libraries: tuple[tuple[str, str], ...]
    """Name and version."""


@dataclass(frozen=True, slots=True)
class LotReport:
    """All that is said of a lot."""

    lot: Lot
    made_at: datetime
    """With its time zone."""
    organisation: str
    sampling: SamplingPlan | None
    counts: tuple[FindingCount, ...]
    unreadable: int
    """Photos that could not be examined."""
    share: Share | None
    homogeneity: str
    """One sentence; empty where nothing can be said."""
    printings: tuple[Printing, ...]
    repeated_serials: tuple[RepeatedSerial, ...]
    triage: tuple[TriageItem, ...]
    worst_regions: tuple[WorstRegion, ...]
    limits: Limits
    digests: tuple[ItemDigest, ...]
    made_by: MadeBy

    @property
    def examined(self) -> int:
        """How many items have a finding of any kind."""
        return sum(count.items for count in self.counts)

    @property
    def all_limits(self) -> tuple[str, ...]:
        """What holds for every answer, then what holds for this lot."""
        return (*LIMITATIONS, *self.limits.sentences)


def report_document(report: LotReport) -> dict[str, Any]:
    """Return ``report`` as JSON values, a picture as the SHA-256 of its PNG."""
    body = _plain(report)
    body["limits"]["sentences"] = list(report.all_limits)
    return {"format": FORMAT, "examined": report.examined, **body}


def report_json(report: LotReport) -> bytes:
    """Return `report_document` as bytes: the same report gives the same ones.

    All ASCII: what turns the direction of text is seen as its number.
    """
    document = report_document(report)
    return json.dumps(document, indent=1, sort_keys=True).encode("ascii") + b"\n"


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {
            field.name: _plain(getattr(value, field.name)) for field in fields(value)
        }
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return {
            "media_type": "image/png",
            "sha256": hashlib.sha256(value).hexdigest(),
            "bytes": len(value),
        }
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, StrEnum) else value

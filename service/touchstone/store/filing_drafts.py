"""What callers file, checked as it is made: a draft that exists is well formed."""

import re
from dataclasses import dataclass
from datetime import date

from touchstone.errors import InvalidInputError
from touchstone.store.drafts import checked_digest, checked_text

HANDLING_CODES = ("H0", "H1", "H2", "H3")
SOURCE_EVALUATIONS = ("", "A", "B", "C", "X")
INFO_EVALUATIONS = ("", "1", "2", "3", "4")
PRODUCT_CLASSES = (
    "",
    "personal_care",
    "medicine",
    "medical_device",
    "food",
    "alcohol",
    "toy",
    "electronics",
    "engine_part",
    "construction",
    "pesticide",
)
UNIT_KINDS = ("carton", "blister", "vial", "bottle", "label", "pouch", "part", "other")
_COUNTRY = re.compile(r"[A-Z]{2}")
_MAX_NAME = 1000
_MAX_LOCATOR = 5000
_MAX_UNITS = 10**12


def _one_of(field: str, value: str, words: tuple[str, ...]) -> None:
    if value not in words:
        listed = ", ".join(word or "(empty)" for word in words)
        raise InvalidInputError(
            f"{field} is {value!r}; it may be: {listed}.", field=field
        )


def _texts(draft: object, *fields: str) -> None:
    for field in fields:
        checked_text(field, getattr(draft, field))


@dataclass(frozen=True, slots=True)
class OperationFields:
    """An operation as it is filed."""

    name: str
    starts_on: date | None = None
    ends_on: date | None = None
    partners: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checked_text("name", self.name, required=True)
        for partner in self.partners:
            checked_text("partners", partner, required=True)
        if self.starts_on and self.ends_on and self.ends_on < self.starts_on:
            raise InvalidInputError("It ends before it starts.", field="ends_on")


@dataclass(frozen=True, slots=True)
class CaseFields:
    """A case as it is filed; ``ref_no`` is unique within the organisation."""

    ref_no: str
    title: str = ""
    operation_id: str | None = None
    handling_code: str = "H1"
    source_eval: str = ""
    info_eval: str = ""
    legal_hold: bool = False

    def __post_init__(self) -> None:
        checked_text("ref_no", self.ref_no, required=True)
        _texts(self, "title")
        _one_of("handling_code", self.handling_code, HANDLING_CODES)
        _one_of("source_eval", self.source_eval, SOURCE_EVALUATIONS)
        _one_of("info_eval", self.info_eval, INFO_EVALUATIONS)


@dataclass(frozen=True, slots=True)
class SeizureFields:
    """A seizure as it is filed."""

    case_id: str
    ref_no: str
    place: str = ""
    country: str = ""
    latitude: float | None = None
    longitude: float | None = None
    seized_on: date | None = None
    legal_basis: str = ""
    route: str = ""
    transport: str = ""
    concealment: str = ""
    holder_ref: str = ""

    def __post_init__(self) -> None:
        checked_text("ref_no", self.ref_no, required=True)
        _texts(self, "place", "legal_basis", "route", "transport")
        _texts(self, "concealment", "holder_ref")
        if self.country and not _COUNTRY.fullmatch(self.country):
            raise InvalidInputError(
                "country must be two capital letters (ISO 3166-1).", field="country"
            )
        for field, limit in (("latitude", 90.0), ("longitude", 180.0)):
            value = getattr(self, field)
            if value is not None and not -limit <= value <= limit:
                raise InvalidInputError(f"{field} is out of range.", field=field)


@dataclass(frozen=True, slots=True)
class LotFields:
    """A lot as it is filed."""

    ref_no: str
    seizure_id: str | None = None
    product_class: str = ""
    declared_product: str = ""
    declared_gtin: str = ""
    batch_no: str = ""
    expiry: str = ""
    units_total: int | None = None
    origin: str = ""
    source: str = ""
    left_out: int = 0

    def __post_init__(self) -> None:
        checked_text("ref_no", self.ref_no, required=True)
        _one_of("product_class", self.product_class, PRODUCT_CLASSES)
        _texts(self, "declared_product", "declared_gtin", "batch_no", "expiry")
        checked_text("origin", self.origin, limit=_MAX_LOCATOR)
        checked_text("source", self.source, limit=_MAX_LOCATOR)
        if self.units_total is not None and not 0 < self.units_total <= _MAX_UNITS:
            raise InvalidInputError("units_total is out of range.", field="units_total")


@dataclass(frozen=True, slots=True)
class ExhibitFields:
    """An exhibit as it is filed; ``exhibit_no`` is unique within the lot."""

    lot_id: str
    exhibit_no: str
    unit_kind: str = "carton"

    def __post_init__(self) -> None:
        checked_text("exhibit_no", self.exhibit_no, required=True)
        _one_of("unit_kind", self.unit_kind, UNIT_KINDS)


@dataclass(frozen=True, slots=True)
class CustodyFields:
    """One handling of an exhibit."""

    act: str
    actor: str
    place: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        checked_text("act", self.act, required=True)
        checked_text("actor", self.actor, required=True)
        _texts(self, "place", "note")


@dataclass(frozen=True, slots=True)
class SubmissionFields:
    """One photo of a lot, as it is listed."""

    name: str
    """What results call it."""
    locator: str = ""
    """Where its bytes are: see ``lots.photos``. Empty while they are awaited."""
    identity: str = ""
    """Changes when the photo does, so that a resumed lot sees it."""
    photo_digest: str | None = None
    exhibit_no: str = ""
    declared_product: str = ""
    declared_gtin: str = ""
    problem: str = ""
    """Why it cannot be examined, where that is known already."""

    def __post_init__(self) -> None:
        checked_text("name", self.name, limit=_MAX_NAME)
        checked_text("locator", self.locator, limit=_MAX_LOCATOR)
        checked_text("identity", self.identity)
        _texts(self, "exhibit_no", "declared_product", "declared_gtin")
        checked_text("problem", self.problem, limit=_MAX_NAME)
        if self.photo_digest is not None:
            checked_digest("photo_digest", self.photo_digest)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a submission that a worker had."""

    row_json: str = ""
    """Its row as JSON; see ``lots.results``. Empty where it failed."""
    finding: str = ""
    """Empty where it failed."""
    error: str = ""
    log10_lr: float | None = None
    serial: str = ""
    """What the codes on the pack say, where they were read."""
    profile: bytes = b""
    """How the print differs; see ``engine.homogeneity``. Empty where none was made."""

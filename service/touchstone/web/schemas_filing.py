"""What goes over the wire about filing: operations, cases, seizures, lots, exhibits."""

import re
from datetime import date, datetime
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from touchstone.store import (
    HANDLING_CODES,
    INFO_EVALUATIONS,
    PRODUCT_CLASSES,
    SOURCE_EVALUATIONS,
    UNIT_KINDS,
    Case,
    CaseState,
    CustodyEvent,
    Exhibit,
    ExhibitState,
    Lot,
    LotState,
    Operation,
    OperationState,
    Seizure,
    SeizureState,
)
from touchstone.web.schemas import (
    AT,
    ID,
    OTHER_ID,
    RequestModel,
    RequiredText,
    Text,
    example,
    fields_of,
)

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def _date_text(value: object) -> object:
    # In lax mode pydantic takes numbers for seconds since 1970; JSON has no dates.
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError("must be a date: YYYY-MM-DD")
    return value


DateText: TypeAlias = Annotated[
    date, Field(strict=False), BeforeValidator(_date_text, json_schema_input_type=date)
]


def _one_of(words: tuple[str, ...]) -> Any:
    # Only told here; what is not among them is refused where the draft is made.
    return Field(max_length=300, json_schema_extra={"enum": list(words)})


def _filed(**fields: Any) -> dict[str, Any]:
    return {"id": ID, "organisation_id": OTHER_ID, "created_at": AT, **fields}


_OPERATION: dict[str, Any] = {
    "name": "Pangea XIX",
    "starts_on": "2026-11-16",
    "ends_on": "2026-11-30",
    "partners": ["Interpol", "Police of Utopia"],
}


class OperationIn(RequestModel):
    """A concerted action of several authorities."""

    model_config = ConfigDict(json_schema_extra=example(**_OPERATION))

    name: RequiredText
    starts_on: DateText | None = None
    ends_on: DateText | None = None
    partners: Annotated[list[RequiredText], Field(max_length=200, default_factory=list)]


class OperationOut(BaseModel):
    """A concerted action of several authorities."""

    model_config = ConfigDict(
        json_schema_extra=example(**_filed(**_OPERATION, state="planned"))
    )

    id: str
    organisation_id: str
    name: str
    starts_on: date | None
    ends_on: date | None
    partners: list[str]
    state: OperationState
    created_at: datetime

    @staticmethod
    def of(value: Operation) -> "OperationOut":
        """Describe ``value``."""
        return OperationOut(**fields_of(value, OperationOut))


class OperationStateIn(RequestModel):
    """The state that an operation goes to."""

    model_config = ConfigDict(json_schema_extra=example(state="open"))

    state: Annotated[OperationState, Field(strict=False)]


_CASE: dict[str, Any] = {
    "ref_no": "2026/117",
    "title": "Capsules at the port",
    "operation_id": OTHER_ID,
    "handling_code": "H1",
    "source_eval": "A",
    "info_eval": "1",
    "legal_hold": False,
}


class CaseIn(RequestModel):
    """A file that seizures belong to."""

    model_config = ConfigDict(json_schema_extra=example(**_CASE))

    ref_no: RequiredText
    title: Text = ""
    operation_id: RequiredText | None = None
    handling_code: Annotated[str, _one_of(HANDLING_CODES)] = "H1"
    source_eval: Annotated[str, _one_of(SOURCE_EVALUATIONS)] = ""
    info_eval: Annotated[str, _one_of(INFO_EVALUATIONS)] = ""
    legal_hold: bool = False


class CaseOut(BaseModel):
    """A file that seizures belong to."""

    model_config = ConfigDict(
        json_schema_extra=example(**_filed(**_CASE, state="open"))
    )

    id: str
    organisation_id: str
    operation_id: str | None
    ref_no: Annotated[str, Field(description="Unique within the organisation.")]
    title: str
    handling_code: Annotated[str, Field(description="Europol's H0 to H3.")]
    source_eval: Annotated[str, Field(description="A, B, C, X; empty: not evaluated.")]
    info_eval: Annotated[str, Field(description="1 to 4; empty: not evaluated.")]
    legal_hold: Annotated[bool, Field(description="Nothing of it may be let go of.")]
    state: CaseState
    created_at: datetime

    @staticmethod
    def of(value: Case) -> "CaseOut":
        """Describe ``value``."""
        return CaseOut(**fields_of(value, CaseOut))


class CaseStateIn(RequestModel):
    """The state that a case goes to."""

    model_config = ConfigDict(json_schema_extra=example(state="under_review"))

    state: Annotated[CaseState, Field(strict=False)]


_SEIZURE: dict[str, Any] = {
    "case_id": OTHER_ID,
    "ref_no": "S-1",
    "place": "Port of Utopia, quay 7",
    "country": "UT",
    "latitude": 43.3,
    "longitude": 5.36,
    "seized_on": "2026-11-24",
    "legal_basis": "Customs Code, art. 12",
    "route": "sea",
    "transport": "container",
    "concealment": "behind tiles",
    "holder_ref": "holder 1",
}


class SeizureIn(RequestModel):
    """Goods that were detained in one place at one time."""

    model_config = ConfigDict(json_schema_extra=example(**_SEIZURE))

    case_id: RequiredText
    ref_no: RequiredText
    place: Text = ""
    country: Annotated[
        str, Field(max_length=2, description="ISO 3166-1, two capital letters.")
    ] = ""
    latitude: Annotated[float | None, Field(ge=-90, le=90)] = None
    longitude: Annotated[float | None, Field(ge=-180, le=180)] = None
    seized_on: DateText | None = None
    legal_basis: Text = ""
    route: Text = ""
    transport: Text = ""
    concealment: Text = ""
    holder_ref: Annotated[
        Text, Field(description="As the case calls the holder; no personal data.")
    ] = ""


class SeizureOut(BaseModel):
    """Goods that were detained in one place at one time."""

    model_config = ConfigDict(
        json_schema_extra=example(**_filed(**_SEIZURE, state="registered"))
    )

    id: str
    organisation_id: str
    case_id: str
    ref_no: Annotated[str, Field(description="Unique within the case.")]
    place: str
    country: str
    latitude: float | None
    longitude: float | None
    seized_on: date | None
    legal_basis: str
    route: str
    transport: str
    concealment: str
    holder_ref: str
    state: SeizureState
    created_at: datetime

    @staticmethod
    def of(value: Seizure) -> "SeizureOut":
        """Describe ``value``."""
        return SeizureOut(**fields_of(value, SeizureOut))


class SeizureStateIn(RequestModel):
    """The state that a seizure goes to."""

    model_config = ConfigDict(json_schema_extra=example(state="detained"))

    state: Annotated[SeizureState, Field(strict=False)]


_LOT: dict[str, Any] = {
    "ref_no": "L-1",
    "seizure_id": OTHER_ID,
    "product_class": "medicine",
    "declared_product": "AMOX-500",
    "declared_gtin": "04006381333931",
    "batch_no": "A1B2",
    "expiry": "2027-12",
    "units_total": 12000,
}


class LotIn(RequestModel):
    """Units that are judged together."""

    model_config = ConfigDict(json_schema_extra=example(**_LOT))

    ref_no: RequiredText
    seizure_id: RequiredText | None = None
    product_class: Annotated[str, _one_of(PRODUCT_CLASSES)] = ""
    declared_product: Text = ""
    declared_gtin: Text = ""
    batch_no: Text = ""
    expiry: Text = ""
    units_total: Annotated[int | None, Field(ge=1, le=10**12)] = None


class LotOut(BaseModel):
    """Units that are judged together."""

    model_config = ConfigDict(
        json_schema_extra=example(**_filed(**_LOT, state="received", plan=None))
    )

    id: str
    organisation_id: str
    seizure_id: str | None
    ref_no: str
    product_class: str
    declared_product: str
    declared_gtin: str
    batch_no: str
    expiry: str
    units_total: int | None
    state: LotState
    plan: Annotated[
        dict[str, Any] | None, Field(description="The sampling plan in force.")
    ]
    created_at: datetime

    @staticmethod
    def of(value: Lot) -> "LotOut":
        """Describe ``value``."""
        return LotOut(**fields_of(value, LotOut))


class LotStateIn(RequestModel):
    """The state that a lot goes to."""

    model_config = ConfigDict(json_schema_extra=example(state="concluded"))

    state: Annotated[LotState, Field(strict=False)]


_EXHIBIT = {"lot_id": OTHER_ID, "exhibit_no": "L-1/17", "unit_kind": "carton"}


class ExhibitIn(RequestModel):
    """One unit of a lot that is kept as evidence."""

    model_config = ConfigDict(json_schema_extra=example(**_EXHIBIT))

    lot_id: RequiredText
    exhibit_no: RequiredText
    unit_kind: Annotated[str, _one_of(UNIT_KINDS)] = "carton"


class ExhibitOut(BaseModel):
    """One unit of a lot that is kept as evidence."""

    model_config = ConfigDict(
        json_schema_extra=example(**_filed(**_EXHIBIT, state="logged"))
    )

    id: str
    organisation_id: str
    lot_id: str
    exhibit_no: Annotated[str, Field(description="Unique within the lot.")]
    unit_kind: str
    state: ExhibitState
    created_at: datetime

    @staticmethod
    def of(value: Exhibit) -> "ExhibitOut":
        """Describe ``value``."""
        return ExhibitOut(**fields_of(value, ExhibitOut))


class ExhibitStateIn(RequestModel):
    """The state that an exhibit goes to."""

    model_config = ConfigDict(json_schema_extra=example(state="sealed"))

    state: Annotated[ExhibitState, Field(strict=False)]


_CUSTODY = {
    "act": "handed over",
    "actor": "Officer 17",
    "place": "Evidence store, shelf 4",
    "note": "seal 0042 unbroken",
}


class CustodyIn(RequestModel):
    """One handling of an exhibit."""

    model_config = ConfigDict(json_schema_extra=example(**_CUSTODY))

    act: RequiredText
    actor: Annotated[
        RequiredText, Field(description="As the organisation names its people.")
    ]
    place: Text = ""
    note: Text = ""


class CustodyOut(BaseModel):
    """One line of the chain of custody; never changed."""

    model_config = ConfigDict(
        json_schema_extra=example(
            id=ID, exhibit_id=OTHER_ID, at=AT, key_id=OTHER_ID, **_CUSTODY
        )
    )

    id: str
    exhibit_id: str
    at: datetime
    act: str
    actor: str
    place: str
    note: str
    key_id: Annotated[str | None, Field(description="The API key that wrote it.")]

    @staticmethod
    def of(value: CustodyEvent) -> "CustodyOut":
        """Describe ``value``."""
        return CustodyOut(**fields_of(value, CustodyOut))


class CustodyChainOut(BaseModel):
    """The chain of custody of an exhibit, from the first line on."""

    items: list[CustodyOut]

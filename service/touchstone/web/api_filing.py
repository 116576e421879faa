"""What a seizure is filed under: operations, cases, seizures, lots, exhibits.

All five are made, listed, read and moved through their states alike.
"""

from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel

from touchstone.store import (
    Case,
    CaseFields,
    CustodyFields,
    Exhibit,
    ExhibitFields,
    Lot,
    LotFields,
    Operation,
    OperationFields,
    Seizure,
    SeizureFields,
)
from touchstone.web.auth import ApplicationDep, ExaminerDep, GuardedRoute
from touchstone.web.documented import ON_CHANGE, ON_ITEM, ON_REQUEST
from touchstone.web.filters import (
    CasesPagingDep,
    LotsPagingDep,
    OfLotPagingDep,
    SeizuresPagingDep,
)
from touchstone.web.limits import MAX_JSON_BYTES
from touchstone.web.pagination import PageOut, PagingDep
from touchstone.web.schemas_filing import (
    CaseIn,
    CaseOut,
    CaseStateIn,
    CustodyChainOut,
    CustodyIn,
    CustodyOut,
    ExhibitIn,
    ExhibitOut,
    ExhibitStateIn,
    LotIn,
    LotOut,
    LotStateIn,
    OperationIn,
    OperationOut,
    OperationStateIn,
    SeizureIn,
    SeizureOut,
    SeizureStateIn,
)

router = APIRouter(
    prefix="/v1",
    tags=["filing"],
    route_class=GuardedRoute,
    responses=ON_REQUEST,
    max_body_size=MAX_JSON_BYTES,
)


# --- operations ---------------------------------------------------------------------


@router.post(
    "/operations", status_code=201, response_model=OperationOut, responses=ON_CHANGE
)
def create_operation(
    body: OperationIn, caller: ExaminerDep, parts: ApplicationDep, response: Response
) -> OperationOut:
    """File an operation, such as a yearly one against false medicines."""
    made = parts.store.file(caller, Operation, OperationFields(**_given(body)))
    response.headers["Location"] = f"/v1/operations/{made.id}"
    return OperationOut.of(made)


@router.get("/operations", response_model=PageOut[OperationOut])
def list_operations(
    paging: PagingDep,
    caller: ExaminerDep,
    parts: ApplicationDep,
) -> PageOut[OperationOut]:
    """List the operations of your organisation, newest first."""
    found = parts.store.list_filed(
        caller, Operation, under=None, after=paging.after, limit=paging.limit
    )
    return paging.paged(found, OperationOut.of)


@router.get(
    "/operations/{operation_id}", response_model=OperationOut, responses=ON_ITEM
)
def read_operation(
    operation_id: str, caller: ExaminerDep, parts: ApplicationDep
) -> OperationOut:
    """Read one operation."""
    return OperationOut.of(parts.store.filed(caller, Operation, operation_id))


@router.post(
    "/operations/{operation_id}/state",
    response_model=OperationOut,
    responses=ON_ITEM | ON_CHANGE,
)
def move_operation(
    operation_id: str,
    body: OperationStateIn,
    caller: ExaminerDep,
    parts: ApplicationDep,
) -> OperationOut:
    """Take an operation to its next state."""
    return OperationOut.of(
        parts.store.move(caller, Operation, operation_id, body.state)
    )


# --- cases --------------------------------------------------------------------------


@router.post(
    "/cases", status_code=201, response_model=CaseOut, responses=ON_ITEM | ON_CHANGE
)
def create_case(
    body: CaseIn, caller: ExaminerDep, parts: ApplicationDep, response: Response
) -> CaseOut:
    """File a case, perhaps of an operation."""
    made = parts.store.file(caller, Case, CaseFields(**_given(body)))
    response.headers["Location"] = f"/v1/cases/{made.id}"
    return CaseOut.of(made)


@router.get("/cases", response_model=PageOut[CaseOut], responses=ON_ITEM)
def list_cases(
    paging: CasesPagingDep, caller: ExaminerDep, parts: ApplicationDep
) -> PageOut[CaseOut]:
    """List the cases of your organisation, or of one operation, newest first."""
    found = parts.store.list_filed(
        caller, Case, under=paging.under, after=paging.after, limit=paging.limit
    )
    return paging.paged(found, CaseOut.of)


@router.get("/cases/{case_id}", response_model=CaseOut, responses=ON_ITEM)
def read_case(case_id: str, caller: ExaminerDep, parts: ApplicationDep) -> CaseOut:
    """Read one case."""
    return CaseOut.of(parts.store.filed(caller, Case, case_id))


@router.post(
    "/cases/{case_id}/state", response_model=CaseOut, responses=ON_ITEM | ON_CHANGE
)
def move_case(
    case_id: str, body: CaseStateIn, caller: ExaminerDep, parts: ApplicationDep
) -> CaseOut:
    """Take a case to its next state."""
    return CaseOut.of(parts.store.move(caller, Case, case_id, body.state))


# --- seizures -----------------------------------------------------------------------


@router.post(
    "/seizures",
    status_code=201,
    response_model=SeizureOut,
    responses=ON_ITEM | ON_CHANGE,
)
def create_seizure(
    body: SeizureIn, caller: ExaminerDep, parts: ApplicationDep, response: Response
) -> SeizureOut:
    """File a seizure of a case."""
    made = parts.store.file(caller, Seizure, SeizureFields(**_given(body)))
    response.headers["Location"] = f"/v1/seizures/{made.id}"
    return SeizureOut.of(made)


@router.get("/seizures", response_model=PageOut[SeizureOut], responses=ON_ITEM)
def list_seizures(
    paging: SeizuresPagingDep, caller: ExaminerDep, parts: ApplicationDep
) -> PageOut[SeizureOut]:
    """List the seizures of your organisation, or of one case, newest first."""
    found = parts.store.list_filed(
        caller, Seizure, under=paging.under, after=paging.after, limit=paging.limit
    )
    return paging.paged(found, SeizureOut.of)


@router.get("/seizures/{seizure_id}", response_model=SeizureOut, responses=ON_ITEM)
def read_seizure(
    seizure_id: str, caller: ExaminerDep, parts: ApplicationDep
) -> SeizureOut:
    """Read one seizure."""
    return SeizureOut.of(parts.store.filed(caller, Seizure, seizure_id))


@router.post(
    "/seizures/{seizure_id}/state",
    response_model=SeizureOut,
    responses=ON_ITEM | ON_CHANGE,
)
def move_seizure(
    seizure_id: str, body: SeizureStateIn, caller: ExaminerDep, parts: ApplicationDep
) -> SeizureOut:
    """Take a seizure to its next state."""
    return SeizureOut.of(parts.store.move(caller, Seizure, seizure_id, body.state))


# --- lots ---------------------------------------------------------------------------


@router.post(
    "/lots", status_code=201, response_model=LotOut, responses=ON_ITEM | ON_CHANGE
)
def create_lot(
    body: LotIn, caller: ExaminerDep, parts: ApplicationDep, response: Response
) -> LotOut:
    """File a lot: units that are judged together, perhaps of a seizure."""
    made = parts.store.file(caller, Lot, LotFields(**_given(body)))
    response.headers["Location"] = f"/v1/lots/{made.id}"
    return LotOut.of(made)


@router.get("/lots", response_model=PageOut[LotOut], responses=ON_ITEM)
def list_lots(
    paging: LotsPagingDep, caller: ExaminerDep, parts: ApplicationDep
) -> PageOut[LotOut]:
    """List the lots of your organisation, or of one seizure, newest first."""
    found = parts.store.list_filed(
        caller, Lot, under=paging.under, after=paging.after, limit=paging.limit
    )
    return paging.paged(found, LotOut.of)


@router.get("/lots/{lot_id}", response_model=LotOut, responses=ON_ITEM)
def read_lot(lot_id: str, caller: ExaminerDep, parts: ApplicationDep) -> LotOut:
    """Read one lot."""
    return LotOut.of(parts.store.filed(caller, Lot, lot_id))


@router.post(
    "/lots/{lot_id}/state", response_model=LotOut, responses=ON_ITEM | ON_CHANGE
)
def move_lot(
    lot_id: str, body: LotStateIn, caller: ExaminerDep, parts: ApplicationDep
) -> LotOut:
    """Take a lot to its next state."""
    return LotOut.of(parts.store.move(caller, Lot, lot_id, body.state))


# --- exhibits -----------------------------------------------------------------------


@router.post(
    "/exhibits",
    status_code=201,
    response_model=ExhibitOut,
    responses=ON_ITEM | ON_CHANGE,
)
def create_exhibit(
    body: ExhibitIn, caller: ExaminerDep, parts: ApplicationDep, response: Response
) -> ExhibitOut:
    """File an exhibit of a lot."""
    made = parts.store.file(caller, Exhibit, ExhibitFields(**_given(body)))
    response.headers["Location"] = f"/v1/exhibits/{made.id}"
    return ExhibitOut.of(made)


@router.get("/exhibits", response_model=PageOut[ExhibitOut], responses=ON_ITEM)
def list_exhibits(
    paging: OfLotPagingDep, caller: ExaminerDep, parts: ApplicationDep
) -> PageOut[ExhibitOut]:
    """List the exhibits of your organisation, or of one lot, newest first."""
    found = parts.store.list_filed(
        caller, Exhibit, under=paging.under, after=paging.after, limit=paging.limit
    )
    return paging.paged(found, ExhibitOut.of)


@router.get("/exhibits/{exhibit_id}", response_model=ExhibitOut, responses=ON_ITEM)
def read_exhibit(
    exhibit_id: str, caller: ExaminerDep, parts: ApplicationDep
) -> ExhibitOut:
    """Read one exhibit."""
    return ExhibitOut.of(parts.store.filed(caller, Exhibit, exhibit_id))


@router.post(
    "/exhibits/{exhibit_id}/state",
    response_model=ExhibitOut,
    responses=ON_ITEM | ON_CHANGE,
)
def move_exhibit(
    exhibit_id: str, body: ExhibitStateIn, caller: ExaminerDep, parts: ApplicationDep
) -> ExhibitOut:
    """Take an exhibit to its next state."""
    return ExhibitOut.of(parts.store.move(caller, Exhibit, exhibit_id, body.state))


@router.post(
    "/exhibits/{exhibit_id}/custody",
    status_code=201,
    response_model=CustodyOut,
    responses=ON_ITEM | ON_CHANGE,
)
def add_custody(
    exhibit_id: str, body: CustodyIn, caller: ExaminerDep, parts: ApplicationDep
) -> CustodyOut:
    """Write a line into an exhibit's chain of custody; it cannot be taken back."""
    draft = CustodyFields(**_given(body))
    return CustodyOut.of(parts.store.add_custody(caller, exhibit_id, draft))


@router.get(
    "/exhibits/{exhibit_id}/custody", response_model=CustodyChainOut, responses=ON_ITEM
)
def read_custody(
    exhibit_id: str, caller: ExaminerDep, parts: ApplicationDep
) -> CustodyChainOut:
    """Read an exhibit's chain of custody, from the first line on."""
    chain = parts.store.custody_of(caller, exhibit_id)
    return CustodyChainOut(items=[CustodyOut.of(line) for line in chain])


def _given(body: BaseModel) -> dict[str, Any]:
    """Return the fields of a body as a draft takes them: its lists as tuples."""
    given = body.model_dump()
    return {n: tuple(v) if isinstance(v, list) else v for n, v in given.items()}

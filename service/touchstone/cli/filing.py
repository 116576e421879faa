"""``touchstone file``: operations, cases, seizures and exhibits that lots belong to."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

import typer

from touchstone.bootstrap import open_store
from touchstone.cli.options import Data, Json, settings_with
from touchstone.cli.output import emit, show, table_of
from touchstone.errors import InvalidInputError
from touchstone.store import (
    Case,
    CaseFields,
    CaseState,
    CustodyEvent,
    CustodyFields,
    Exhibit,
    ExhibitFields,
    ExhibitState,
    Operation,
    OperationFields,
    OperationState,
    Seizure,
    SeizureFields,
    SeizureState,
    Store,
)

filing = typer.Typer(
    help="Operations, cases, seizures and exhibits.", no_args_is_help=True
)
Filed: TypeAlias = Operation | Case | Seizure | Exhibit
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="YYYY-MM-DD.")]


class Kind(StrEnum):
    """What can be listed and moved."""

    OPERATION = "operation"
    CASE = "case"
    SEIZURE = "seizure"
    EXHIBIT = "exhibit"


_KINDS: dict[Kind, tuple[type, type[StrEnum]]] = {
    Kind.OPERATION: (Operation, OperationState),
    Kind.CASE: (Case, CaseState),
    Kind.SEIZURE: (Seizure, SeizureState),
    Kind.EXHIBIT: (Exhibit, ExhibitState),
}


@filing.command("operation")
def operation(
    name: Annotated[str, typer.Argument(help="Such as 'Pangea XIX'.")],
    *,
    starts_on: Day = None,
    ends_on: Day = None,
    partner: Annotated[
        list[str] | None, typer.Option(help="Who takes part; may be repeated.")
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """File an operation.

    Example: touchstone file operation 'Pangea XIX' --starts-on 2026-06-01 --partner WHO
    """
    draft = OperationFields(
        name,
        starts_on.date() if starts_on else None,
        ends_on.date() if ends_on else None,
        tuple(partner or ()),
    )
    with closing(open_store(settings_with(data))) as store:
        made = store.file(store.ensure_local_operator(), Operation, draft)
    _tell([made], json=json)


@filing.command("case")
def case(
    ref_no: Annotated[str, typer.Argument(help="Its reference number.")],
    *,
    title: Annotated[str, typer.Option(help="What it is about.")] = "",
    operation_id: Annotated[
        str | None, typer.Option("--operation", help="Id of its operation.")
    ] = None,
    handling_code: Annotated[str, typer.Option(help="H0 to H3.")] = "H1",
    legal_hold: Annotated[
        bool, typer.Option("--legal-hold", help="Nothing may be released.")
    ] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """File a case.

    Example: touchstone file case NG-2026-114 --operation ID --handling-code H2
    """
    draft = CaseFields(
        ref_no,
        title=title,
        operation_id=operation_id,
        handling_code=handling_code,
        legal_hold=legal_hold,
    )
    with closing(open_store(settings_with(data))) as store:
        made = store.file(store.ensure_local_operator(), Case, draft)
    _tell([made], json=json)


@filing.command("seizure")
def seizure(
    case_id: Annotated[str, typer.Argument(metavar="CASE", help="Id of its case.")],
    ref_no: Annotated[str, typer.Argument(help="Its reference number.")],
    *,
    place: Annotated[str, typer.Option(help="Where.")] = "",
    country: Annotated[str, typer.Option(help="ISO 3166 code, such as NG.")] = "",
    seized_on: Day = None,
    legal_basis: Annotated[str, typer.Option(help="By which law.")] = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """File a seizure under its case; `lot create --seizure` files its lots.

    Example: touchstone file seizure CASE S-1 --place Apapa --country NG
    """
    draft = SeizureFields(
        case_id,
        ref_no,
        place=place,
        country=country,
        seized_on=seized_on.date() if seized_on else None,
        legal_basis=legal_basis,
    )
    with closing(open_store(settings_with(data))) as store:
        made = store.file(store.ensure_local_operator(), Seizure, draft)
    _tell([made], json=json)


@filing.command("exhibit")
def exhibit(
    lot_id: Annotated[str, typer.Argument(metavar="LOT", help="Id of its lot.")],
    exhibit_no: Annotated[str, typer.Argument(help="Its number in the lot.")],
    *,
    unit_kind: Annotated[str, typer.Option(help="Such as carton.")] = "carton",
    data: Data = None,
    json: Json = False,
) -> None:
    """Log an exhibit of a lot.

    Example: touchstone file exhibit LOT E-1 --unit-kind blister
    """
    draft = ExhibitFields(lot_id, exhibit_no, unit_kind)
    with closing(open_store(settings_with(data))) as store:
        made = store.file(store.ensure_local_operator(), Exhibit, draft)
    _tell([made], json=json)


@filing.command("custody")
def custody(
    exhibit_id: Annotated[
        str, typer.Argument(metavar="EXHIBIT", help="Id of the exhibit.")
    ],
    *,
    act: Annotated[
        str | None, typer.Option(help="What was done, such as sealed.")
    ] = None,
    actor: Annotated[str, typer.Option(help="Who did it.")] = "",
    place: Annotated[str, typer.Option(help="Where.")] = "",
    note: Annotated[str, typer.Option(help="Anything else.")] = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Show an exhibit's chain of custody; with --act, add a line to it first.

    Example: touchstone file custody EXHIBIT --act sealed --actor 'Officer 17'
    """
    with closing(open_store(settings_with(data))) as store:
        caller = store.ensure_local_operator()
        if act is not None:
            draft = CustodyFields(act, actor, place=place, note=note)
            store.add_custody(caller, exhibit_id, draft)
        events = store.custody_of(caller, exhibit_id)
    _tell(events, json=json)


@filing.command("list")
def list_filed(
    kind: Annotated[Kind, typer.Argument(help="Of what.")],
    *,
    under: Annotated[
        str | None, typer.Option(metavar="ID", help="Filed under what.")
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """List the newest operations, cases, seizures or exhibits.

    Example: touchstone file list seizure --under CASE
    """
    value, _ = _KINDS[kind]
    with closing(open_store(settings_with(data))) as store:
        caller = store.ensure_local_operator()
        found: Any = store.list_filed(caller, value, under=under)
    _tell(found.items, json=json)


@filing.command("move")
def move(
    kind: Annotated[Kind, typer.Argument(help="What it is.")],
    filed_id: Annotated[str, typer.Argument(metavar="ID", help="Which one.")],
    state: Annotated[str, typer.Argument(help="Its next state.")],
    *,
    data: Data = None,
    json: Json = False,
) -> None:
    """Take something that was filed to its next state.

    Example: touchstone file move seizure ID detained
    """
    value, states = _KINDS[kind]
    if state not in set(states):
        words = ", ".join(states)
        raise InvalidInputError(f"A {kind} may be: {words}.", field="state")
    with closing(open_store(settings_with(data))) as store:
        moved: Any = _moved(store, value, filed_id, states(state))
    _tell([moved], json=json)


def _moved(store: Store, value: type, filed_id: str, state: StrEnum) -> object:
    caller = store.ensure_local_operator()
    return store.move(caller, value, filed_id, state)


_HIDDEN = frozenset({"organisation_id", "key_id"})


def _tell(found: Iterable[Filed | CustodyEvent], *, json: bool) -> None:
    documents = [
        {
            name: value if isinstance(value, bool | float | None) else _words(value)
            for name, value in asdict(one).items()
            if name not in _HIDDEN
        }
        for one in found
    ]
    if json:
        for document in documents:
            emit(document)
    elif documents:
        # What nothing was told of takes no column.
        told = [name for name in documents[0] if any(one[name] for one in documents)]
        show(table_of(told, [[one[name] for name in told] for one in documents]))


def _words(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)

"""``touchstone organisations`` and ``touchstone keys``: who may ask the service."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer

from touchstone.bootstrap import open_store
from touchstone.cli.options import Data, Json, settings_with
from touchstone.cli.output import emit, say, show, table_of
from touchstone.store import ApiKey, Organisation, OrganisationKind, Page, Role

organisations = typer.Typer(
    help="Brands and authorities that use the service.", no_args_is_help=True
)
keys = typer.Typer(help="API keys of the HTTP service.", no_args_is_help=True)

_T = TypeVar("_T")
_PAGE = 200


@organisations.command("create")
def create_organisation(
    name: Annotated[str, typer.Argument(help="Unique name.")],
    *,
    kind: Annotated[OrganisationKind, typer.Option(help="What it is.")],
    country: Annotated[
        str | None, typer.Option(help="ISO 3166 code, such as FR.")
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Record an organisation; its id is what `keys create` asks for.

    Example: touchstone organisations create Acme --kind brand
    """
    with closing(open_store(settings_with(data))) as store:
        made = store.create_organisation(
            store.ensure_local_operator(), kind=kind, name=name, country=country
        )
    _list(json, _ORGANISATION_COLUMNS, [_organisation(made)])


@organisations.command("list")
def list_organisations(*, data: Data = None, json: Json = False) -> None:
    """List every organisation, the oldest first."""
    with closing(open_store(settings_with(data))) as store:
        caller = store.ensure_local_operator()
        found = list(
            _all(
                lambda after: store.list_organisations(caller, after=after, limit=_PAGE)
            )
        )
    _list(json, _ORGANISATION_COLUMNS, [_organisation(one) for one in found])


@keys.command("create")
def create_key(
    *,
    organisation: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Whose key it is.",
            show_default="the local operator",
        ),
    ] = None,
    role: Annotated[Role, typer.Option(help="What it may do.")],
    label: Annotated[str, typer.Option(help="What it is for.")],
    expires_days: Annotated[
        int | None, typer.Option(min=1, help="Days it is valid.", show_default="ever")
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Issue an API key; its secret is printed this once and kept nowhere.

    Example: touchstone keys create --role admin --label laptop
    """
    expires_at = None
    if expires_days is not None:
        expires_at = datetime.now(UTC) + timedelta(days=expires_days)
    with closing(open_store(settings_with(data))) as store:
        caller = store.ensure_local_operator()
        key, secret = store.issue_key(
            caller,
            organisation_id=organisation or caller.organisation_id,
            role=role,
            label=label,
            expires_at=expires_at,
        )
    say("Keep the secret: it is shown this once.")
    if json:
        emit(_key(key) | {"secret": secret})
    else:
        typer.echo(secret)


@keys.command("list")
def list_keys(*, data: Data = None, json: Json = False) -> None:
    """List every key, without its secret."""
    with closing(open_store(settings_with(data))) as store:
        caller = store.ensure_local_operator()
        found = list(
            _all(lambda after: store.list_keys(caller, after=after, limit=_PAGE))
        )
    _list(json, _KEY_COLUMNS, [_key(one) for one in found])


@keys.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(metavar="ID", help="The key's id.")],
    *,
    data: Data = None,
    json: Json = False,
) -> None:
    """End a key at once; again changes nothing."""
    with closing(open_store(settings_with(data))) as store:
        ended = store.revoke_key(store.ensure_local_operator(), key)
    _list(json, _KEY_COLUMNS, [_key(ended)])


_ORGANISATION_COLUMNS = ("id", "kind", "name", "country", "created_at")
_KEY_COLUMNS = (
    "id",
    "organisation_id",
    "role",
    "label",
    "prefix",
    "created_at",
    "expires_at",
    "revoked_at",
)


def _organisation(value: Organisation) -> dict[str, Any]:
    return {name: _plain(getattr(value, name)) for name in _ORGANISATION_COLUMNS}


def _key(value: ApiKey) -> dict[str, Any]:
    return {name: _plain(getattr(value, name)) for name in _KEY_COLUMNS}


def _plain(value: object) -> str | None:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return None if value is None else str(value)


_HIDDEN = frozenset({"organisation_id", "created_at"})
"""Left out of tables, for want of room; in the JSON they are."""


def _list(
    json: bool, columns: tuple[str, ...], documents: list[dict[str, Any]]
) -> None:
    if not json:
        shown = [name for name in columns if name not in _HIDDEN]
        show(table_of(shown, ([one[name] for name in shown] for one in documents)))
        return
    for document in documents:
        emit(document)


def _all(page: Callable[[str | None], Page[_T]]) -> Iterator[_T]:
    found = page(None)
    yield from found.items
    while found.next_cursor is not None:
        found = page(found.next_cursor)
        yield from found.items

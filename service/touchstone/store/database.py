"""One database behind every verb: how it is opened, and what a transaction is.

Reading is a snapshot. Writing is serial: SQLite has one writer (``BEGIN IMMEDIATE``),
and on PostgreSQL an advisory lock makes it so. The audit chain needs that order
anyway, get-or-create needs no retry, and no two writers can deadlock. The price, one
commit at a time, is far above what one service can examine.
"""

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, TypeVarTuple

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Row,
    Select,
    create_engine,
    event,
    exc,
    make_url,
)
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, QueuePool

from touchstone.errors import (
    BusyError,
    ConfigurationError,
    ConflictError,
    InvalidInputError,
    StorageError,
    TouchstoneError,
)
from touchstone.store.scope import checked_page
from touchstone.store.tables import Base
from touchstone.store.values import Page

BUSY_TIMEOUT_S = 10.0
_WAL_RETRY_S = 0.005
_STREAMED_AT_ONCE = 2000
_WRITES = "touchstone_writes"
_WRITE_LOCK = 0x746F756368  # "touch": any constant no other program uses
_POOL_SIZE = 8
_POOL_OVERFLOW = 56  # together above FastAPI's 40 threads, so none waits for another

# SQLSTATE classes and codes: https://www.postgresql.org/docs/18/errcodes-appendix.html
_PG_FULL = frozenset({"53100"})
_PG_BUSY = frozenset({"40001", "40P01", "53300", "55P03", "57014", "57P03"})
_PG_STOPPED = frozenset({"57P01", "57P02"})
_PG_NO_CONNECTION = "08"
_PG_REFUSES_US = re.compile(
    r"FATAL: .*(authentication failed|no pg_hba\.conf entry|does not exist)"
    r"|no password supplied"
)
"""Classes 28 and 3D in words: of a connection that was never made, the driver knows no
SQLSTATE. A server that says it in another language passes for away."""
_SQLITE_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def utc_now() -> datetime:
    """Return the time of the machine, aware."""
    return datetime.now(UTC)


def parsed_url(url: str) -> URL:
    """Return ``url`` with the driver that is used for it.

    Raises:
        ConfigurationError: it is no URL of a SQLite file or of PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise ConfigurationError("The database URL cannot be read.") from error
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed.set(drivername="sqlite+pysqlite")
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    raise ConfigurationError(
        "The database URL must be sqlite:///FILE or postgresql://…; "
        "records kept in memory would be lost."
    )


def sqlite_file(url: URL) -> Path | None:
    """Return the file behind a SQLite URL; None for PostgreSQL."""
    if url.get_backend_name() != "sqlite" or url.database is None:
        return None
    return Path(url.database)


def connect(
    url: URL,
    *,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
    for_migration: bool = False,
) -> Engine:
    """Return an engine whose connections are durable, strict and bounded in waiting.

    Args:
        url: from ``parsed_url``.
        busy_timeout_s: how long a statement may wait for another's lock.
        for_migration: one connection, without SQLite's foreign keys: a table that is
            rebuilt is dropped on the way, which would take its children along.
    """
    # hide_parameters: an error is logged with its SQL, never with what was in it.
    options: dict[str, Any] = {"hide_parameters": True}
    if for_migration:
        options["poolclass"] = NullPool
    else:
        options.update(
            poolclass=QueuePool,
            pool_size=_POOL_SIZE,
            max_overflow=_POOL_OVERFLOW,
            pool_timeout=busy_timeout_s,
        )
    if url.get_backend_name() == "postgresql":
        milliseconds = int(busy_timeout_s * 1000)
        options["connect_args"] = {
            "options": f"-c lock_timeout={milliseconds} -c synchronous_commit=on",
        }
        # A server that was restarted must not cost the next caller an error.
        options["pool_pre_ping"] = True
    try:
        engine = create_engine(url, **options)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "PostgreSQL needs its driver: install touchstone[postgres]."
        ) from error
    if engine.dialect.name == "sqlite":
        _make_sqlite_strict(engine, busy_timeout_s, foreign_keys=not for_migration)
    event.listen(engine, "begin", _begin)
    return engine


def _make_sqlite_strict(
    engine: Engine, busy_timeout_s: float, *, foreign_keys: bool
) -> None:
    pragmas = (
        "synchronous=FULL",  # NORMAL loses the last commits when the power goes
        f"foreign_keys={'ON' if foreign_keys else 'OFF'}",
        "recursive_triggers=ON",  # or REPLACE would delete past the triggers
    )

    def configure(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        # None: the module must not begin transactions by itself, `_begin` does.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={int(busy_timeout_s * 1000)}")
        _turn_to_wal(connection, busy_timeout_s)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", configure)


def _turn_to_wal(connection: sqlite3.Connection, patience_s: float) -> None:
    # Of a file that is WAL already this takes no lock. The first time takes all of
    # the file, and there SQLite answers "busy" at once, whatever the busy timeout.
    until = time.monotonic() + patience_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF in _SQLITE_BUSY
            if not is_busy or time.monotonic() >= until:
                raise
            time.sleep(_WAL_RETRY_S)
        else:
            return


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    if connection.dialect.name == "sqlite":
        # IMMEDIATE: a reader that turns writer half-way cannot wait, only fail.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
    elif writes:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})")


def writer(engine: Engine) -> Engine:
    """Return ``engine`` such that each of its transactions is the only writer."""
    return engine.execution_options(**{_WRITES: True})


@contextmanager
def translated() -> Iterator[None]:
    """Turn every error of the database into one of ours, with a sentence to act on."""
    try:
        yield
    except exc.SQLAlchemyError as error:
        raise _translate(error) from error


def _translate(error: exc.SQLAlchemyError) -> TouchstoneError:
    if isinstance(error, exc.TimeoutError) or _is_one_of(error, _SQLITE_BUSY, _PG_BUSY):
        return BusyError("The database is busy; try again in a moment.")
    if _is_one_of(error, frozenset({sqlite3.SQLITE_FULL}), _PG_FULL):
        return StorageError("No space is left for the records.", is_full=True)
    if isinstance(error, exc.IntegrityError):
        return ConflictError("The request contradicts what is already recorded.")
    if isinstance(error, exc.DataError):
        return InvalidInputError("A value cannot be stored.")
    return StorageError(
        "The database refused or cannot be reached.", is_away=_is_away(error)
    )


def _is_away(error: exc.SQLAlchemyError) -> bool:
    cause = getattr(error, "orig", None)
    if not isinstance(error, exc.OperationalError) or hasattr(
        cause, "sqlite_errorcode"
    ):
        return False
    # None: the connection broke, or was never made.
    state = getattr(cause, "sqlstate", None)
    if state is None:
        return _PG_REFUSES_US.search(str(cause)) is None
    return state in _PG_STOPPED or state[:2] == _PG_NO_CONNECTION


def _is_one_of(
    error: exc.SQLAlchemyError, sqlite_codes: frozenset[int], sqlstates: frozenset[str]
) -> bool:
    cause = getattr(error, "orig", None)
    # The low byte is the primary code: https://www.sqlite.org/rescode.html
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in sqlite_codes
    return getattr(cause, "sqlstate", None) in sqlstates


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=Base)
V = TypeVar("V", bound=_Identified)
Ts = TypeVarTuple("Ts")


class Database:
    """Transactions over one engine; the subjects of the store build on it."""

    def __init__(self, engine: Engine, *, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._writer = writer(engine)
        self._now = clock

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with translated(), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def _querying(self) -> Iterator[Connection]:
        # As `_reading`, but without a session, which costs several times what SQLite
        # does: for columns that every verification asks for.
        with translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        # All or nothing: what is written here and its audit events commit together.
        with (
            translated(),
            Session(self._writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def _streaming(self, query: Select[*Ts]) -> Iterator[Row[*Ts]]:
        # Closed by hand, for a reader that stops half-way leaves a cursor open on the
        # server of PostgreSQL.
        options = {"yield_per": _STREAMED_AT_ONCE}
        with (
            self._reading() as session,
            session.execute(query, execution_options=options) as rows,
        ):
            yield from rows

    def _page(
        self,
        query: Select[R],
        key: InstrumentedAttribute[str],
        *,
        value: Callable[[R], V],
        after: str | None,
        limit: int,
        newest_first: bool = False,
    ) -> Page[V]:
        # Ids sort by time, so the last id of a page is its cursor: what is added
        # meanwhile neither moves an item to another page nor hides one.
        after, limit = checked_page(after, limit)
        if after is not None:
            query = query.where(key < after if newest_first else key > after)
        order = key.desc() if newest_first else key.asc()
        with self._reading() as session:
            rows = session.scalars(query.order_by(order).limit(limit + 1)).all()
        items = tuple(value(row) for row in rows[:limit])
        return Page(items, items[-1].id if len(rows) > limit else None)

    def close(self) -> None:
        """Close every connection; the store can no longer be used."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

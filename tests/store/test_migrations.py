"""The schema: up, down and up again, the same as the tables, and never half done."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from threading import Barrier

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, inspect, text
from store.world import PEPPER, raw

from touchstone.errors import BusyError, ConfigurationError, StorageError
from touchstone.store import Store, downgrade, migrate, needs_migration
from touchstone.store.database import connect, parsed_url, translated
from touchstone.store.tables import Base


def tables_of(url: str) -> set[str]:
    with raw(url) as connection:
        return set(inspect(connection).get_table_names())


def test_an_empty_database_needs_migration_and_a_migrated_one_does_not(
    empty_url: str,
) -> None:
    assert needs_migration(empty_url)
    migrate(empty_url)
    assert not needs_migration(empty_url)


def test_up_down_and_up_again(empty_url: str) -> None:
    migrate(empty_url)
    assert tables_of(empty_url) == {*Base.metadata.tables, "alembic_version"}
    downgrade(empty_url, revision="base")
    assert tables_of(empty_url) == {"alembic_version"}
    assert needs_migration(empty_url)
    migrate(empty_url)
    with Store.open(empty_url, pepper=PEPPER, create=False) as store:
        assert store.ensure_local_operator().is_admin
        assert store.verify_chain().ok


def test_migrating_twice_changes_nothing(url: str) -> None:
    with Store.open(url, pepper=PEPPER, create=True) as store:
        store.ensure_local_operator()
        before = store.chain_head()
        migrate(url)
        assert store.chain_head() == before


def test_several_may_migrate_at_once(empty_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [empty_url] * 4))
    assert not needs_migration(empty_url)


def test_many_may_open_a_fresh_sqlite_file_at_once(tmp_path: Path) -> None:
    # Turning a file to WAL takes an exclusive lock, and SQLite refuses at once there
    # instead of waiting: https://www.sqlite.org/wal.html#sometimes_queries_return_busy
    threads = 8
    start = Barrier(threads)

    def journal(url: URL) -> str:
        engine = connect(url, for_migration=True)
        start.wait(timeout=30)
        with engine.connect() as connection:
            return str(connection.scalar(text("PRAGMA journal_mode")))

    with ThreadPoolExecutor(threads) as pool:
        for number in range(20):
            url = parsed_url(f"sqlite:///{tmp_path / f'{number}.db'}")
            assert set(pool.map(journal, [url] * threads)) == {"wal"}


def test_a_file_that_stays_locked_is_waited_for_no_longer_than_said(
    tmp_path: Path,
) -> None:
    file = tmp_path / "locked.db"
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    engine = connect(parsed_url(f"sqlite:///{file}"), busy_timeout_s=0.2)
    started = time.monotonic()
    with pytest.raises(BusyError), translated(), engine.connect():
        pass
    assert 0.1 < time.monotonic() - started < 5
    holder.close()
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
    engine.dispose()


def test_the_migrated_schema_is_that_of_the_tables(url: str) -> None:
    with raw(url) as connection:
        context = MigrationContext.configure(
            connection,
            opts={"compare_type": True, "compare_server_default": True},
        )
        assert compare_metadata(context, Base.metadata) == []


def test_the_drift_test_sees_drift(url: str) -> None:
    with raw(url) as connection:
        connection.execute(text("DROP INDEX ix_specimen_changed"))
        connection.execute(text("ALTER TABLE product DROP COLUMN gtin"))
        context = MigrationContext.configure(connection)
        kinds = {
            difference[0] for difference in compare_metadata(context, Base.metadata)
        }
        connection.rollback()
    assert kinds == {"add_index", "add_column"}


def test_every_constraint_has_the_name_that_migrations_speak_of(url: str) -> None:
    with raw(url) as connection:
        found = inspect(connection)
        names = {
            constraint["name"]
            for table in Base.metadata.tables
            for constraint in (
                found.get_pk_constraint(table),
                *found.get_foreign_keys(table),
                *found.get_unique_constraints(table),
            )
        }
    expected = {
        str(constraint.name)
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
    }
    assert names == expected


def test_a_database_of_a_newer_version_is_refused(
    empty_url: str,
) -> None:
    migrate(empty_url)
    with raw(empty_url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for act in (needs_migration, migrate):
        with pytest.raises(ConfigurationError):
            act(empty_url)
    with pytest.raises(ConfigurationError):
        Store.open(empty_url, pepper=PEPPER, create=True)


def test_a_missing_database_is_made_only_when_asked(tmp_path: Path) -> None:
    file = tmp_path / "data" / "records.db"
    with pytest.raises(ConfigurationError, match="touchstone migrate"):
        Store.open(f"sqlite:///{file}", pepper=PEPPER, create=False)
    assert not file.exists()
    with Store.open(f"sqlite:///{file}", pepper=PEPPER, create=True) as store:
        store.ensure_local_operator()
        modes = {path.stat().st_mode & 0o777 for path in file.parent.iterdir()}
    assert modes == {0o600}


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://host/database"],
)
def test_a_url_that_cannot_hold_records_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Store.open(url, pepper=PEPPER, create=True)


def test_a_server_out_of_reach_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        migrate(f"postgresql://nobody@/none?host={tmp_path}")


def test_a_file_that_is_no_database_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "records.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StorageError):
        Store.open(f"sqlite:///{tmp_path / 'records.db'}", pepper=PEPPER, create=True)


def test_the_migrations_lie_inside_the_package() -> None:
    versions = files("touchstone.store").joinpath("migrations", "versions")
    assert any(item.name.startswith("v0001") for item in versions.iterdir())

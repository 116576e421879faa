"""The schema's versions: Alembic's migrations, run from here and nowhere else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from touchstone.errors import ConfigurationError, StorageError
from touchstone.store.database import (
    connect,
    parsed_url,
    sqlite_file,
    translated,
    writer,
)

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(url: str) -> None:
    """Bring the database to this version's schema; makes a SQLite file if need be.

    Safe to run twice and from several processes at once: the first does it.

    Raises:
        ConfigurationError: the database is of a newer version than this program.
        StorageError: the database cannot be reached or refuses.
    """
    _create_file(url)
    _run(url, lambda config: command.upgrade(config, "head"))


def downgrade(url: str, *, revision: str) -> None:
    """Take the schema back to ``revision``; "base" drops every table and record.

    Raises:
        ConfigurationError: ``revision`` is unknown.
        StorageError: the database cannot be reached or refuses.
    """
    _run(url, lambda config: command.downgrade(config, revision))


def needs_migration(url: str) -> bool:
    """Whether the database is missing, empty or of an older version.

    Raises:
        ConfigurationError: the database is of a newer version than this program.
        StorageError: the database cannot be reached.
    """
    file = sqlite_file(parsed_url(url))
    if file is not None and not file.exists():
        return True
    with _connection(url, writes=False) as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    scripts = ScriptDirectory(str(MIGRATIONS))
    if current is not None and current not in {
        script.revision for script in scripts.walk_revisions()
    }:
        raise ConfigurationError(
            "The database was made by a newer version of Touchstone; upgrade it here."
        )
    return current != scripts.get_current_head()


def _create_file(url: str) -> None:
    file = sqlite_file(parsed_url(url))
    if file is None or file.exists():
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # SQLite gives its WAL the mode of the file, so 0600 covers all three.
        file.touch(mode=0o600)
    except OSError as error:
        raise StorageError(f"The database {file} cannot be made.") from error


def _run(url: str, act: Callable[[Config], None]) -> None:
    with _connection(url, writes=True) as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            act(config)
        except CommandError as error:
            raise ConfigurationError(
                f"The database and this program know different schema versions: {error}"
            ) from error


@contextmanager
def _connection(url: str, *, writes: bool) -> Iterator[Connection]:
    # One transaction around all of it, so that a failed migration leaves nothing
    # half done; both backends can roll DDL back.
    engine = connect(parsed_url(url), for_migration=True)
    try:
        chosen = writer(engine) if writes else engine
        with translated(), chosen.begin() as connection:
            yield connection
    finally:
        engine.dispose()

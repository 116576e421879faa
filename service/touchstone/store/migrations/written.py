"""How migrations write columns, constraints and triggers out."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op


def identifier(name: str, *, nullable: bool = False) -> sa.Column[str]:
    """Return a column for an id."""
    return sa.Column(name, sa.String(36), nullable=nullable)


def digest(name: str, *, nullable: bool = False) -> sa.Column[str]:
    """Return a column for a SHA-256 in hex."""
    return sa.Column(name, sa.String(64), nullable=nullable)


def text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    """Return a column for text of any length."""
    return sa.Column(name, sa.Text(), nullable=nullable)


def word(name: str) -> sa.Column[str]:
    """Return a column for a word of an enumeration."""
    return sa.Column(name, sa.String(32), nullable=False)


def time(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    """Return a column for an aware time."""
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def whole(name: str, *, is_big: bool = False, nullable: bool = False) -> sa.Column[int]:
    """Return a column for a whole number."""
    kind = sa.BigInteger() if is_big else sa.Integer()
    return sa.Column(name, kind, nullable=nullable, autoincrement=False)


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    """Return the primary key of ``table``."""
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def foreign(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    """Return the constraint that ``column`` is an id of ``target``."""
    return sa.ForeignKeyConstraint(
        [column], [f"{target}.id"], name=f"fk_{table}_{column}"
    )


def unique(table: str, *columns: str) -> sa.UniqueConstraint:
    """Return the constraint that no two rows share ``columns``."""
    return sa.UniqueConstraint(*columns, name=f"uq_{table}_{'_'.join(columns)}")


def index(table: str, *columns: str) -> None:
    """Make an index of ``columns``."""
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def refuse_changes(table: str, *, key_column: str = "id") -> None:
    """Make triggers that let rows of ``table`` be added, and nothing else."""
    if op.get_bind().dialect.name == "postgresql":
        _refuse_changes_on_postgresql(table)
    else:
        _refuse_changes_on_sqlite(table, key_column)


def _refuse_changes_on_sqlite(table: str, key: str) -> None:
    refusal = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    exists = f"EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})"  # noqa: S608
    # The third: REPLACE deletes the old row without firing a DELETE trigger, unless
    # that connection has asked for recursive triggers.
    for name, when in (
        ("update", f"BEFORE UPDATE ON {table}"),
        ("delete", f"BEFORE DELETE ON {table}"),
        ("replace", f"BEFORE INSERT ON {table} WHEN {exists}"),
    ):
        op.execute(f"CREATE TRIGGER {table}_no_{name} {when} {refusal}")


def _refuse_changes_on_postgresql(table: str) -> None:
    op.execute(
        "CREATE OR REPLACE FUNCTION touchstone_refuse_change() RETURNS trigger "
        "LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME "
        "USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for name, when, each in (
        ("change", "BEFORE UPDATE OR DELETE", "ROW"),
        ("truncate", "BEFORE TRUNCATE", "STATEMENT"),
    ):
        op.execute(
            f"CREATE TRIGGER {table}_no_{name} {when} ON {table} "
            f"FOR EACH {each} EXECUTE FUNCTION touchstone_refuse_change()"
        )

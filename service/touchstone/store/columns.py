"""Column types that mean the same on SQLite and on PostgreSQL."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Enum, TypeDecorator

from touchstone.store.values import Region


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time on both backends; SQLite itself knows no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self, value: datetime | None, dialect: Dialect
    ) -> datetime | None:
        """Refuse a naive time: a guess at its zone would be a forged record."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("Times in the records are aware.")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(
        self, value: datetime | None, dialect: Dialect
    ) -> datetime | None:
        """Give the time back aware, in UTC whatever the session's zone."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            return value.replace(tzinfo=UTC)
        return value.astimezone(UTC)


class Regions(TypeDecorator[tuple[Region, ...]]):
    """Rectangles as JSON, read back as the tuples that they were."""

    impl = JSON
    cache_ok = True

    def process_result_value(
        self,
        value: Any | None,
        dialect: Dialect,  # noqa: ARG002 (the same on both)
    ) -> tuple[Region, ...] | None:
        """Give tuples: JSON knows only lists."""
        return None if value is None else tuple((x, y, w, h) for x, y, w, h in value)


def words(kind: type[StrEnum]) -> Enum:
    """Return the column type of a StrEnum.

    The value, not the name, is stored: it is what the documents speak of. No database
    enum and no CHECK: adding a word must not rewrite a table.
    """
    return Enum(
        kind,
        values_callable=lambda members: [member.value for member in members],
        native_enum=False,
        create_constraint=False,
        length=32,
    )

"""The catalogue's counters: how a cache learns, cheaply, that it is out of date."""

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from touchstone.errors import StorageError
from touchstone.store.tables import CatalogueRow
from touchstone.store.values import CatalogueState

_ONLY_ROW = 1
_LOST = "The database has lost its counters; restore a back-up."
_CURRENT = select(CatalogueRow.reference_counter, CatalogueRow.access_counter).where(
    CatalogueRow.id == _ONLY_ROW
)


def current(connection: Connection) -> CatalogueState:
    """Return the counters as this transaction sees them."""
    row = connection.execute(_CURRENT).one_or_none()
    if row is None:
        raise StorageError(_LOST)
    return CatalogueState(*row)


def references_changed(session: Session) -> int:
    """Count one more change of the references; return the new count.

    In the transaction that makes the change, which must be a writing one.
    """
    row = _row(session)
    row.reference_counter += 1
    return row.reference_counter


def access_changed(session: Session) -> None:
    """Count one more change of who may match against what."""
    _row(session).access_counter += 1


def next_label(session: Session) -> int:
    """Take the next label; a sequence would leave gaps when a transaction fails."""
    row = _row(session)
    row.next_label += 1
    return row.next_label - 1


def _row(session: Session) -> CatalogueRow:
    row = session.get(CatalogueRow, _ONLY_ROW)
    if row is None:
        raise StorageError(_LOST)
    return row

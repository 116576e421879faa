"""What verification and the catalogue read: the sets in reach, the index's rows.

Verbs that take a caller answer within that caller's *matching* scope. Those that take
none speak to the catalogue, which holds every brand's vectors at once; nothing they
return may reach an answer, a log or an export without passing a verb that does.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, select

from touchstone.store import counters
from touchstone.store.database import Database
from touchstone.store.scope import checked_id, matchable, matchable_by, not_found
from touchstone.store.tables import (
    DerivedRow,
    ExaminationRow,
    Id,
    ProductRow,
    ReferenceSetRow,
    SpecimenRow,
)
from touchstone.store.values import (
    Caller,
    CatalogueState,
    IndexRow,
    Product,
    ReferenceSet,
    ReferenceView,
    Specimen,
)

_BATCH = 5000  # rows held at once, and ids in one IN: SQLite takes 32,766 variables


class Matching(Database):
    """Reading verbs for verification and for the catalogue."""

    def catalogue_state(self) -> CatalogueState:
        """Return the counters: one row, cheap enough for each request."""
        with self._querying() as connection:
            return counters.current(connection)

    def visible_set_ids(self, caller: Caller) -> frozenset[str]:
        """Return the reference sets that the caller may match against, now."""
        query = select(ReferenceSetRow.id).where(matchable_by(caller))
        with self._reading() as session:
            return frozenset(session.scalars(query))

    def reference(self, caller: Caller, label: int) -> ReferenceView:
        """Return the reference with this label.

        Raises:
            NotFoundError: there is none that the caller may match against.
        """
        found = self.references(caller, [label])
        if label not in found:
            raise not_found()
        return found[label]

    def references(
        self, caller: Caller, labels: Sequence[int]
    ) -> dict[int, ReferenceView]:
        """Return references by label, in one query; those out of reach are absent.

        The scope stands in the query although the index was searched within it: a
        grant may have ended since, and a stale index must not leak.
        """
        query = _BY_LABEL[caller.is_admin]
        asker = {"organisation_id": caller.organisation_id}
        views: dict[int, ReferenceView] = {}
        with self._querying() as connection:
            for chunk in _chunks(labels):
                for row in connection.execute(query, {**asker, "labels": chunk}):
                    view = _view(row)
                    views[view.specimen.label] = view
        return views

    def specimens_of_set(
        self, caller: Caller, reference_set_id: str
    ) -> tuple[Specimen, ...]:
        """Return the specimens in use of a set, by label.

        Raises:
            NotFoundError: no such set that the caller may match against.
        """
        checked_id(reference_set_id)
        is_visible = select(ReferenceSetRow.id).where(
            ReferenceSetRow.id == reference_set_id, matchable_by(caller)
        )
        in_set = SpecimenRow.reference_set_id == reference_set_id
        query = _views(in_set, matchable_by(caller))
        with self._querying() as connection:
            if connection.scalar(is_visible) is None:
                raise not_found()
            return tuple(_view(row).specimen for row in connection.execute(query))

    def references_with_digest(
        self, caller: Caller, image_digest: str
    ) -> tuple[ReferenceView, ...]:
        """Return the references whose image is these very bytes: a replay, if any."""
        has_digest = SpecimenRow.image_digest == image_digest
        query = _views(has_digest, matchable_by(caller))
        with self._querying() as connection:
            return tuple(_view(row) for row in connection.execute(query))

    def iterate_index_rows(
        self,
        producer_digest: str,
        *,
        after_label: int = 0,
        limit: int = 1000,
        changed_since: int = 0,
    ) -> list[IndexRow]:
        """Return the next rows of the index, by label; empty when there are no more.

        Args:
            producer_digest: whose derived data the rows carry.
            after_label: the last label had before; labels start at 1.
            limit: the most rows to return.
            changed_since: a reference counter; only specimens changed after it.
        """
        query = (
            _with_data(producer_digest)
            .where(SpecimenRow.label > after_label, SpecimenRow.changed > changed_since)
            .order_by(SpecimenRow.label)
            .limit(limit)
        )
        with self._reading() as session:
            return [
                IndexRow(label, specimen, set_id, data, withdrawn_at is not None)
                for label, specimen, set_id, data, withdrawn_at in session.execute(
                    query
                )
            ]

    def derived(self, producer_digest: str, labels: Sequence[int]) -> dict[int, bytes]:
        """Return what a producer computed of these specimens, where it did."""
        found: dict[int, bytes] = {}
        with self._reading() as session:
            for chunk in _chunks(labels):
                query = (
                    select(SpecimenRow.label, DerivedRow.data)
                    .join(DerivedRow, DerivedRow.specimen_id == SpecimenRow.id)
                    .where(
                        SpecimenRow.label.in_(chunk),
                        DerivedRow.producer_digest == producer_digest,
                    )
                )
                found.update((label, data) for label, data in session.execute(query))
        return found

    def add_derived(self, producer_digest: str, data: Mapping[int, bytes]) -> int:
        """Keep what a producer computed later, by label; return how many were new.

        For a model that was not yet there at enrolment. What is kept already stays:
        the same producer computes the same. Unknown labels are passed over.
        """
        with self._writing() as session:
            added = 0
            for chunk in _chunks(list(data)):
                lacking = _with_data(producer_digest).where(
                    SpecimenRow.label.in_(chunk), DerivedRow.data.is_(None)
                )
                labels = [row.label for row in session.execute(lacking)]
                rows = session.scalars(
                    select(SpecimenRow).where(SpecimenRow.label.in_(labels))
                ).all()
                if rows:
                    changed = counters.references_changed(session)
                for row in rows:
                    row.changed = changed
                    session.add(
                        DerivedRow(
                            specimen_id=row.id,
                            producer_digest=producer_digest,
                            data=data[row.label],
                        )
                    )
                added += len(rows)
            return added

    def image_digests(self, labels: Sequence[int]) -> dict[int, str]:
        """Return the digests of the images of these specimens, for the catalogue."""
        found: dict[int, str] = {}
        with self._reading() as session:
            for chunk in _chunks(labels):
                query = select(SpecimenRow.label, SpecimenRow.image_digest).where(
                    SpecimenRow.label.in_(chunk)
                )
                found.update(
                    (label, digest) for label, digest in session.execute(query)
                )
        return found

    def recorded_digests(self) -> Iterator[str]:
        """Yield the digest of every blob that some record relies on, for ``fsck``.

        A digest on which several records rely may come more than once.
        """
        images = select(SpecimenRow.image_digest)
        photos = select(ExaminationRow.photo_digests)
        for (digest,) in self._streaming(images):
            yield digest
        for (digests,) in self._streaming(photos):
            yield from digests


_SPECIMEN = [getattr(SpecimenRow, name) for name in Specimen.__slots__]
_SET = [getattr(ReferenceSetRow, name) for name in ReferenceSet.__slots__]
_PRODUCT = [getattr(ProductRow, name) for name in Product.__slots__]


def _views(condition: ColumnElement[bool], reach: ColumnElement[bool]) -> Select[Any]:
    """Return the query for the columns that ``_view`` takes, by label."""
    return (
        select(*_SPECIMEN, *_SET, *_PRODUCT)
        .join(ReferenceSetRow, ReferenceSetRow.id == SpecimenRow.reference_set_id)
        .join(ProductRow, ProductRow.id == ReferenceSetRow.product_ref)
        .where(condition, SpecimenRow.withdrawn_at.is_(None), reach)
        .order_by(SpecimenRow.label)
    )


def _view(row: Sequence[Any]) -> ReferenceView:
    set_at, product_at = len(_SPECIMEN), len(_SPECIMEN) + len(_SET)
    return ReferenceView(
        Specimen(*row[:set_at]),
        ReferenceSet(*row[set_at:product_at]),
        Product(*row[product_at:]),
    )


# Made once, for each verification asks it: SQLAlchemy takes longer to build a query
# and to look it up than SQLite takes to answer it.
_BY_LABEL = {
    by_admin: _views(
        SpecimenRow.label.in_(bindparam("labels", expanding=True)),
        matchable(bindparam("organisation_id", type_=Id), by_admin=by_admin),
    )
    for by_admin in (True, False)
}


def _with_data(
    producer_digest: str,
) -> Select[int, str, str, bytes, datetime | None]:
    return select(
        SpecimenRow.label,
        SpecimenRow.id,
        SpecimenRow.reference_set_id,
        DerivedRow.data,
        SpecimenRow.withdrawn_at,
    ).outerjoin(
        DerivedRow,
        (DerivedRow.specimen_id == SpecimenRow.id)
        & (DerivedRow.producer_digest == producer_digest),
    )


def _chunks(labels: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(labels), _BATCH):
        yield labels[start : start + _BATCH]

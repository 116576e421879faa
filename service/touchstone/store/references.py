"""Products, reference sets and specimens, for those who own them.

Every verb here answers within the *reading* scope: the owner's own, and all for
administrators. A grantee matches through ``matching`` and sees nothing here.
"""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from touchstone.errors import ConflictError
from touchstone.store import counters, enrolling
from touchstone.store.audit import Act, Action, append
from touchstone.store.database import Database
from touchstone.store.drafts import ProductFields, SetFields, SpecimenFields
from touchstone.store.scope import (
    checked_id,
    not_found,
    readable_by,
    require_owner_role,
)
from touchstone.store.tables import ProductRow, ReferenceSetRow, SpecimenRow
from touchstone.store.values import (
    Caller,
    Enrolled,
    Page,
    Product,
    ReferenceSet,
    SetStatus,
    Specimen,
)


class References(Database):
    """Verbs on products, reference sets and specimens."""

    def enrol_specimen(
        self,
        caller: Caller,
        *,
        product: ProductFields,
        reference_set: SetFields,
        specimen: SpecimenFields,
        derived: Mapping[str, bytes],
    ) -> Enrolled:
        """Enrol one image whose bytes lie in the blobs already; twice is once.

        The product and the set are made on the way if need be, in the caller's own
        organisation; a set made here is active at once.

        Args:
            caller: a brand owner or an administrator.
            product: what is blank is not compared; a blank field of the product on
                record is filled in.
            reference_set: market and artwork version.
            specimen: the image.
            derived: what models computed of it, by the producer's digest.

        Raises:
            NotAllowedError: the caller may not enrol.
            ConflictError: a field differs from the product on record, the same image
                is on record with other variable regions, or the specimen or its set
                was withdrawn: bringing it back is a person's decision.
        """
        require_owner_role(caller)
        at = self._now()
        with self._writing() as session:
            owned = enrolling.product_for(session, caller, product, at=at)
            set_row = enrolling.set_for(session, caller, owned, reference_set, at=at)
            return _enrolled(
                session,
                set_row,
                enrolling.specimen_for(
                    session, caller, set_row, specimen, derived=derived, at=at
                ),
            )

    def create_product(self, caller: Caller, fields: ProductFields) -> Product:
        """Record a new product of the caller's organisation.

        Raises:
            NotAllowedError: the caller may not enrol.
            ConflictError: the organisation has a product with this code.
        """
        require_owner_role(caller)
        with self._writing() as session:
            if enrolling.product_with_code(session, caller, fields.product_id):
                raise ConflictError(
                    f"The product {fields.product_id!r} exists already."
                )
            row = enrolling.add_product(session, caller, fields, at=self._now())
            return row.value()

    def product(self, caller: Caller, product_ref: str) -> Product:
        """Return a product by its id; ``NotFoundError`` if none such is owned."""
        with self._reading() as session:
            return _owned_product(session, caller, product_ref).value()

    def product_with_code(self, caller: Caller, product_id: str) -> Product:
        """Return the product of the caller's organisation that has this code.

        Raises:
            NotFoundError: it has none.
        """
        with self._reading() as session:
            row = enrolling.product_with_code(session, caller, product_id)
        if row is None:
            raise not_found()
        return row.value()

    def list_products(
        self, caller: Caller, *, after: str | None = None, limit: int = 100
    ) -> Page[Product]:
        """Return products, oldest first."""
        query = select(ProductRow).where(
            readable_by(caller, ProductRow.organisation_id)
        )
        return self._page(
            query, ProductRow.id, value=ProductRow.value, after=after, limit=limit
        )

    def create_reference_set(
        self, caller: Caller, product_ref: str, *, fields: SetFields
    ) -> ReferenceSet:
        """Record a new set of a product; empty, and active.

        Raises:
            NotAllowedError: the caller may not enrol.
            NotFoundError: no such product of the caller's.
            ConflictError: the product has a set of this market and artwork version.
        """
        require_owner_role(caller)
        with self._writing() as session:
            product = _owned_product(session, caller, product_ref)
            if enrolling.set_with_fields(session, product, fields):
                raise ConflictError("The product has this reference set already.")
            row = enrolling.add_set(session, caller, product, fields, at=self._now())
            return row.value()

    def reference_set(self, caller: Caller, reference_set_id: str) -> ReferenceSet:
        """Return a set by its id; ``NotFoundError`` if the caller owns none such."""
        with self._reading() as session:
            return _owned_set(session, caller, reference_set_id).value()

    def list_reference_sets(
        self,
        caller: Caller,
        *,
        product_ref: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[ReferenceSet]:
        """Return sets, oldest first; those of one product if ``product_ref`` is given.

        Raises:
            NotFoundError: no such product of the caller's.
        """
        query = select(ReferenceSetRow).where(
            readable_by(caller, ReferenceSetRow.organisation_id)
        )
        if product_ref is not None:
            self.product(caller, product_ref)
            query = query.where(ReferenceSetRow.product_ref == product_ref)
        return self._page(
            query,
            ReferenceSetRow.id,
            value=ReferenceSetRow.value,
            after=after,
            limit=limit,
        )

    def set_status(
        self, caller: Caller, reference_set_id: str, *, status: SetStatus
    ) -> ReferenceSet:
        """Give a set another status: at once it is matched against, or no longer.

        Raises:
            NotAllowedError: the caller is neither brand owner nor administrator.
            NotFoundError: no such set of the caller's.
        """
        require_owner_role(caller)
        with self._writing() as session:
            row = _owned_set(session, caller, reference_set_id)
            if row.status is not status:
                detail = {"from": row.status.value, "to": status.value}
                row.status = status
                counters.access_changed(session)
                act = Act(Action.SET_STATUS, row.id, detail)
                append(session, [act], caller=caller, at=self._now())
            return row.value()

    def withdraw_reference_set(
        self, caller: Caller, reference_set_id: str
    ) -> ReferenceSet:
        """Take a set out of use; what was found by it stays on record."""
        return self.set_status(caller, reference_set_id, status=SetStatus.WITHDRAWN)

    def add_specimen(
        self,
        caller: Caller,
        reference_set_id: str,
        *,
        specimen: SpecimenFields,
        derived: Mapping[str, bytes],
    ) -> Enrolled:
        """Enrol one image into a set that is on record; twice is once.

        Raises:
            NotAllowedError: the caller may not enrol.
            NotFoundError: no such set of the caller's.
            ConflictError: as for ``enrol_specimen``.
        """
        require_owner_role(caller)
        with self._writing() as session:
            set_row = _owned_set(session, caller, reference_set_id)
            found = enrolling.specimen_for(
                session, caller, set_row, specimen, derived=derived, at=self._now()
            )
            return _enrolled(session, set_row, found)

    def specimen(self, caller: Caller, specimen_id: str) -> Specimen:
        """Return a specimen by its id; ``NotFoundError`` if none such is owned."""
        with self._reading() as session:
            return _owned_specimen(session, caller, specimen_id).value()

    def list_specimens(
        self,
        caller: Caller,
        reference_set_id: str,
        *,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[Specimen]:
        """Return the specimens of a set, withdrawn ones too, oldest first.

        Raises:
            NotFoundError: no such set of the caller's.
        """
        self.reference_set(caller, reference_set_id)
        query = select(SpecimenRow).where(
            SpecimenRow.reference_set_id == reference_set_id
        )
        return self._page(
            query, SpecimenRow.id, value=SpecimenRow.value, after=after, limit=limit
        )

    def withdraw_specimen(self, caller: Caller, specimen_id: str) -> Specimen:
        """Take a specimen out of use; again changes nothing.

        Raises:
            NotAllowedError: the caller is neither brand owner nor administrator.
            NotFoundError: no such specimen of the caller's.
        """
        require_owner_role(caller)
        with self._writing() as session:
            row = _owned_specimen(session, caller, specimen_id)
            if row.withdrawn_at is None:
                row.withdrawn_at = self._now()
                enrolling.specimen_changed(session, row)
                act = Act(Action.WITHDRAW_SPECIMEN, row.id, {"label": row.label})
                append(session, [act], caller=caller, at=row.withdrawn_at)
            return row.value()


def _enrolled(
    session: Session, set_row: ReferenceSetRow, found: tuple[SpecimenRow, bool]
) -> Enrolled:
    specimen, is_new = found
    product = session.get_one(ProductRow, set_row.product_ref)
    return Enrolled(product.value(), set_row.value(), specimen.value(), is_new)


def _owned_product(session: Session, caller: Caller, product_ref: str) -> ProductRow:
    row = session.scalar(
        select(ProductRow).where(
            ProductRow.id == checked_id(product_ref),
            readable_by(caller, ProductRow.organisation_id),
        )
    )
    if row is None:
        raise not_found()
    return row


def _owned_set(
    session: Session, caller: Caller, reference_set_id: str
) -> ReferenceSetRow:
    row = session.scalar(
        select(ReferenceSetRow).where(
            ReferenceSetRow.id == checked_id(reference_set_id),
            readable_by(caller, ReferenceSetRow.organisation_id),
        )
    )
    if row is None:
        raise not_found()
    return row


def _owned_specimen(session: Session, caller: Caller, specimen_id: str) -> SpecimenRow:
    row = session.scalar(
        select(SpecimenRow)
        .join(ReferenceSetRow, ReferenceSetRow.id == SpecimenRow.reference_set_id)
        .where(
            SpecimenRow.id == checked_id(specimen_id),
            readable_by(caller, ReferenceSetRow.organisation_id),
        )
    )
    if row is None:
        raise not_found()
    return row

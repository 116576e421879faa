"""Get-or-make for products, sets and specimens, inside a writing transaction.

Writing transactions are serial, so what is not found here is not being made elsewhere.
"""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from touchstone.errors import ConflictError
from touchstone.store import counters
from touchstone.store.audit import Act, Action, append
from touchstone.store.drafts import ProductFields, SetFields, SpecimenFields
from touchstone.store.tables import (
    DerivedRow,
    ProductRow,
    ReferenceSetRow,
    SpecimenRow,
)
from touchstone.store.values import (
    Caller,
    SetStatus,
    canonical_json,
    new_id,
)

_COMPARED = ("brand", "name", "category", "gtin")


def product_for(
    session: Session, caller: Caller, fields: ProductFields, *, at: datetime
) -> ProductRow:
    """Return the caller's product with this code, made or filled in if need be.

    Raises:
        ConflictError: a field that is not blank differs from the one on record.
    """
    row = product_with_code(session, caller, fields.product_id)
    if row is None:
        return add_product(session, caller, fields, at=at)
    filled: dict[str, object] = {}
    for name in _COMPARED:
        given, recorded = getattr(fields, name), getattr(row, name)
        if given and recorded and given != recorded:
            raise ConflictError(
                f"The {name} of product {fields.product_id!r} is on record as "
                f"{recorded!r}, not {given!r}."
            )
        if given and not recorded:
            setattr(row, name, given)
            filled[name] = given
    if filled:
        act = Act(Action.COMPLETE_PRODUCT, row.id, filled)
        append(session, [act], caller=caller, at=at)
    return row


def product_with_code(
    session: Session, caller: Caller, product_id: str
) -> ProductRow | None:
    """Return the product of the caller's organisation with this code, if any."""
    return session.scalar(
        select(ProductRow).where(
            ProductRow.organisation_id == caller.organisation_id,
            ProductRow.product_id == product_id,
        )
    )


def add_product(
    session: Session, caller: Caller, fields: ProductFields, *, at: datetime
) -> ProductRow:
    """Make a product of the caller's organisation."""
    row = ProductRow(
        id=new_id(),
        organisation_id=caller.organisation_id,
        product_id=fields.product_id,
        brand=fields.brand,
        name=fields.name,
        category=fields.category,
        gtin=fields.gtin,
        created_at=at,
    )
    session.add(row)
    session.flush()
    said = {name: getattr(fields, name) for name in ("product_id", *_COMPARED)}
    given = {name: value for name, value in said.items() if value}
    act = Act(Action.CREATE_PRODUCT, row.id, given)
    append(session, [act], caller=caller, at=at)
    return row


def set_for(
    session: Session,
    caller: Caller,
    product: ProductRow,
    fields: SetFields,
    *,
    at: datetime,
) -> ReferenceSetRow:
    """Return the product's set of this market and artwork, made if need be."""
    row = set_with_fields(session, product, fields)
    return row or add_set(session, caller, product, fields, at=at)


def set_with_fields(
    session: Session, product: ProductRow, fields: SetFields
) -> ReferenceSetRow | None:
    """Return the product's set of this market and artwork version, if any."""
    return session.scalar(
        select(ReferenceSetRow).where(
            ReferenceSetRow.product_ref == product.id,
            ReferenceSetRow.market == fields.market,
            ReferenceSetRow.artwork_version == fields.artwork_version,
        )
    )


def add_set(
    session: Session,
    caller: Caller,
    product: ProductRow,
    fields: SetFields,
    *,
    at: datetime,
) -> ReferenceSetRow:
    """Make an empty set of a product; it is the product owner's, and active."""
    row = ReferenceSetRow(
        id=new_id(),
        organisation_id=product.organisation_id,
        product_ref=product.id,
        market=fields.market,
        artwork_version=fields.artwork_version,
        status=SetStatus.ACTIVE,
        version=0,
        digest=_digest([]),
        created_at=at,
    )
    session.add(row)
    session.flush()
    counters.access_changed(session)
    detail = {
        "product_ref": product.id,
        "market": fields.market,
        "artwork_version": fields.artwork_version,
    }
    append(session, [Act(Action.CREATE_SET, row.id, detail)], caller=caller, at=at)
    return row


def specimen_for(
    session: Session,
    caller: Caller,
    set_row: ReferenceSetRow,
    fields: SpecimenFields,
    *,
    derived: Mapping[str, bytes],
    at: datetime,
) -> tuple[SpecimenRow, bool]:
    """Return the specimen of a set that shows this image, and whether it is new.

    Raises:
        ConflictError: the set or the specimen was withdrawn, or the image is on
            record with other variable regions.
    """
    if set_row.status is SetStatus.WITHDRAWN:
        raise ConflictError("The reference set was withdrawn; make it active first.")
    row = session.scalar(
        select(SpecimenRow).where(
            SpecimenRow.reference_set_id == set_row.id,
            SpecimenRow.face == fields.face,
            SpecimenRow.kind == fields.kind,
            SpecimenRow.image_digest == fields.image_digest,
        )
    )
    is_new = row is None
    if row is None:
        row = _add_specimen(session, caller, set_row, fields, at=at)
    else:
        _check_same(row, fields)
    _add_derived(session, row, derived, is_new=is_new)
    return row, is_new


def specimen_changed(session: Session, row: SpecimenRow) -> None:
    """Count the change, and give the set its next version and its new digest."""
    row.changed = counters.references_changed(session)
    session.flush()
    set_row = session.get_one(ReferenceSetRow, row.reference_set_id)
    in_use = session.execute(
        select(
            SpecimenRow.image_digest,
            SpecimenRow.face,
            SpecimenRow.kind,
            SpecimenRow.variable_regions,
        ).where(
            SpecimenRow.reference_set_id == set_row.id,
            SpecimenRow.withdrawn_at.is_(None),
        )
    )
    set_row.version += 1
    set_row.digest = _digest(
        [[image, face, kind, sorted(regions)] for image, face, kind, regions in in_use]
    )


def _add_specimen(
    session: Session,
    caller: Caller,
    set_row: ReferenceSetRow,
    fields: SpecimenFields,
    *,
    at: datetime,
) -> SpecimenRow:
    row = SpecimenRow(
        id=new_id(),
        label=counters.next_label(session),
        reference_set_id=set_row.id,
        face=fields.face,
        kind=fields.kind,
        image_digest=fields.image_digest,
        width_px=fields.width_px,
        height_px=fields.height_px,
        variable_regions=fields.variable_regions,
        changed=0,
        created_at=at,
        withdrawn_at=None,
    )
    session.add(row)
    specimen_changed(session, row)
    detail = {
        "reference_set_id": set_row.id,
        "set_version": set_row.version,
        "set_digest": set_row.digest,
        "image_digest": fields.image_digest,
        "kind": fields.kind.value,
    }
    append(session, [Act(Action.ENROL_SPECIMEN, row.id, detail)], caller=caller, at=at)
    return row


def _check_same(row: SpecimenRow, fields: SpecimenFields) -> None:
    if row.withdrawn_at is not None:
        raise ConflictError("This specimen was withdrawn; it is not brought back so.")
    if sorted(row.variable_regions) != sorted(fields.variable_regions):
        raise ConflictError(
            "This image is enrolled with other variable regions; withdraw that "
            "specimen first."
        )


def _add_derived(
    session: Session, row: SpecimenRow, derived: Mapping[str, bytes], *, is_new: bool
) -> None:
    known = session.scalars(
        select(DerivedRow.producer_digest).where(DerivedRow.specimen_id == row.id)
    )
    lacking = derived.keys() - set(known)
    session.add_all(
        DerivedRow(specimen_id=row.id, producer_digest=producer, data=derived[producer])
        for producer in sorted(lacking)
    )
    if lacking and not is_new:
        # Known image, new model: caches must fetch it, but the set is as it was.
        row.changed = counters.references_changed(session)


def _digest(entries: list[list[object]]) -> str:
    # Canonical texts are sorted, not entries: lists of mixed types have no order.
    ordered = sorted(canonical_json(entry) for entry in entries)
    return sha256(canonical_json(ordered).encode()).hexdigest()

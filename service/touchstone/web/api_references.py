"""References: a brand owner's products, reference sets, specimens, and sharing."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Response
from fastapi.responses import JSONResponse

from touchstone.bootstrap import Application
from touchstone.engine.codes import normalised_gtin
from touchstone.enrolment import parse_regions
from touchstone.errors import (
    BadImageError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
)
from touchstone.store import (
    AUTHORITY_KINDS,
    Caller,
    ProductFields,
    Region,
    SetFields,
)
from touchstone.web.auth import ApplicationDep, GuardedRoute, OwnerDep
from touchstone.web.documented import ON_CHANGE, ON_IMAGES, ON_ITEM, ON_REQUEST
from touchstone.web.limits import MAX_JSON_BYTES, heavy
from touchstone.web.pagination import PageOut, PagingDep
from touchstone.web.problems import problem_of, respond
from touchstone.web.schemas_references import (
    EnrolledOut,
    EnrolmentOut,
    NotEnrolledOut,
    ProductIn,
    ProductOut,
    ReferenceSetIn,
    ReferenceSetOut,
    SharingIn,
    SharingOut,
    SpecimenOut,
    SpecimensForm,
)

uploads = APIRouter(
    prefix="/v1", tags=["references"], route_class=GuardedRoute, responses=ON_REQUEST
)
router = APIRouter(
    prefix="/v1",
    tags=["references"],
    route_class=GuardedRoute,
    responses=ON_REQUEST,
    max_body_size=MAX_JSON_BYTES,
)

_LONGEST_NAME = 255


# --- products -------------------------------------------------------------------------


@router.post(
    "/products", status_code=201, response_model=ProductOut, responses=ON_CHANGE
)
def create_product(
    body: ProductIn, caller: OwnerDep, parts: ApplicationDep, response: Response
) -> ProductOut:
    """Record a product of your organisation."""
    if body.gtin is not None and normalised_gtin(body.gtin) is None:
        raise InvalidInputError(
            "This is not a GTIN: check its length and its check digit.", field="gtin"
        )
    product = parts.store.create_product(
        caller,
        ProductFields(
            body.product_id,
            brand=body.brand,
            name=body.name,
            category=body.category,
            gtin=body.gtin,
        ),
    )
    response.headers["Location"] = f"/v1/products/{product.id}"
    return ProductOut.of(product)


@router.get("/products", response_model=PageOut[ProductOut])
def list_products(
    paging: PagingDep, caller: OwnerDep, parts: ApplicationDep
) -> PageOut[ProductOut]:
    """List the products of your organisation, oldest first."""
    found = parts.store.list_products(caller, after=paging.after, limit=paging.limit)
    return paging.paged(found, ProductOut.of)


@router.get("/products/{product_ref}", response_model=ProductOut, responses=ON_ITEM)
def read_product(
    product_ref: str, caller: OwnerDep, parts: ApplicationDep
) -> ProductOut:
    """Read one product, by its id."""
    return ProductOut.of(parts.store.product(caller, product_ref))


# --- reference sets -------------------------------------------------------------------


@router.post(
    "/products/{product_ref}/reference-sets",
    status_code=201,
    response_model=ReferenceSetOut,
    responses=ON_ITEM | ON_CHANGE,
)
def create_reference_set(
    product_ref: str,
    body: ReferenceSetIn,
    caller: OwnerDep,
    parts: ApplicationDep,
    response: Response,
) -> ReferenceSetOut:
    """Record a reference set of a product, for a market and an artwork version."""
    made = parts.store.create_reference_set(
        caller,
        product_ref,
        fields=SetFields(market=body.market, artwork_version=body.artwork_version),
    )
    response.headers["Location"] = f"/v1/reference-sets/{made.id}"
    return ReferenceSetOut.of(made)


@router.get(
    "/products/{product_ref}/reference-sets",
    response_model=PageOut[ReferenceSetOut],
    responses=ON_ITEM,
)
def list_reference_sets(
    product_ref: str, paging: PagingDep, caller: OwnerDep, parts: ApplicationDep
) -> PageOut[ReferenceSetOut]:
    """List the reference sets of a product, oldest first."""
    found = parts.store.list_reference_sets(
        caller, product_ref=product_ref, after=paging.after, limit=paging.limit
    )
    return paging.paged(found, ReferenceSetOut.of)


@router.get(
    "/reference-sets/{reference_set_id}",
    response_model=ReferenceSetOut,
    responses=ON_ITEM,
)
def read_reference_set(
    reference_set_id: str, caller: OwnerDep, parts: ApplicationDep
) -> ReferenceSetOut:
    """Read one reference set."""
    return ReferenceSetOut.of(parts.store.reference_set(caller, reference_set_id))


@router.post(
    "/reference-sets/{reference_set_id}/withdraw",
    response_model=ReferenceSetOut,
    responses=ON_ITEM | ON_CHANGE,
)
def withdraw_reference_set(
    reference_set_id: str, caller: OwnerDep, parts: ApplicationDep
) -> ReferenceSetOut:
    """Take a set out of use at once; what was found by it stays on record."""
    return ReferenceSetOut.of(
        parts.store.withdraw_reference_set(caller, reference_set_id)
    )


# --- sharing --------------------------------------------------------------------------


@router.get(
    "/reference-sets/{reference_set_id}/sharing",
    response_model=SharingOut,
    responses=ON_ITEM,
)
def read_sharing(
    reference_set_id: str, caller: OwnerDep, parts: ApplicationDep
) -> SharingOut:
    """Read whom a reference set is shared with, and was."""
    return SharingOut.of(parts.store.grants_of(caller, reference_set_id))


@router.put(
    "/reference-sets/{reference_set_id}/sharing",
    response_model=SharingOut,
    responses=ON_ITEM | ON_CHANGE,
)
def share(
    reference_set_id: str, body: SharingIn, caller: OwnerDep, parts: ApplicationDep
) -> SharingOut:
    """Share a set with these authorities and no others, from now on.

    Officers and analysts of an authority may then match photos against the set; they
    cannot browse it. Grants that are missing here end at once.
    """
    store = parts.store
    in_force = {
        grant.authority_id
        for grant in store.grants_of(caller, reference_set_id)
        if grant.revoked_at is None
    }
    wanted = set(body.authority_ids)
    for authority_id in sorted(wanted - in_force):  # all are known before any is let in
        _check_authority(parts, caller, authority_id)
    # Whoever loses access loses it first: should the rest fail, too little is shared.
    for authority_id in sorted(in_force - wanted):
        store.revoke(caller, reference_set_id, authority_id=authority_id)
    for authority_id in sorted(wanted - in_force):
        store.grant(caller, reference_set_id, authority_id=authority_id)
    return SharingOut.of(store.grants_of(caller, reference_set_id))


def _check_authority(parts: Application, caller: Caller, authority_id: str) -> None:
    organisation = parts.store.organisation(caller, authority_id)
    if organisation.kind not in AUTHORITY_KINDS:
        raise NotFoundError("There is no such thing, or none that you may see.")


# --- specimens ------------------------------------------------------------------------


@uploads.post(
    "/reference-sets/{reference_set_id}/specimens",
    status_code=201,
    response_model=EnrolmentOut,
    dependencies=[Depends(heavy)],
    responses=ON_ITEM | ON_IMAGES,
)
def enrol(
    reference_set_id: str,
    form: Annotated[SpecimensForm, Form(media_type="multipart/form-data")],
    caller: OwnerDep,
    parts: ApplicationDep,
) -> EnrolmentOut | JSONResponse:
    """Enrol images into a reference set: many at once, one face, one kind.

    Each image is enrolled or refused by itself, and is in one of the two lists of the
    answer. The same image again changes nothing. If none could be enrolled the answer
    is 422, with the same lists.
    """
    parts.store.reference_set(caller, reference_set_id)
    regions = _regions(form.variable_regions)
    enrolled: list[EnrolledOut] = []
    failed: list[NotEnrolledOut] = []
    for index, image in enumerate(form.images):
        outcome = _enrol_one(
            parts, caller, reference_set_id, index=index, form=form, regions=regions
        )
        if isinstance(outcome, EnrolledOut):
            enrolled.append(outcome)
        else:
            name = (image.filename or "")[:_LONGEST_NAME]
            failed.append(NotEnrolledOut(index=index, name=name, problem=outcome))
    done = EnrolmentOut(enrolled=enrolled, failed=failed)
    if enrolled:
        return done
    refusal = problem_of(InvalidInputError("No image could be enrolled; see failed."))
    return respond(refusal, members=done.model_dump(mode="json"))


def _regions(text: str) -> tuple[Region, ...]:
    try:
        return parse_regions(text)
    except (OverflowError, RecursionError) as error:  # 1e400, or 50,000 brackets
        raise InvalidInputError(
            "variable_regions holds a number or a nesting beyond all measure.",
            field="variable_regions",
        ) from error


def _enrol_one(
    parts: Application,
    caller: Caller,
    reference_set_id: str,
    *,
    index: int,
    form: SpecimensForm,
    regions: tuple[Region, ...],
) -> EnrolledOut | dict[str, object]:
    """Return what was enrolled, or the problem with this image."""
    try:
        enrolled = parts.enroller.add(
            caller,
            reference_set_id,
            image=form.images[index].file.read(),
            face=form.face,
            kind=form.kind,
            variable_regions=regions,
        )
    except (BadImageError, ConflictError, InvalidInputError) as error:
        return problem_of(error).model_dump(exclude_none=True)
    return EnrolledOut(
        index=index,
        is_new=enrolled.is_new,
        specimen=SpecimenOut.of(enrolled.specimen),
    )


@router.get(
    "/reference-sets/{reference_set_id}/specimens",
    response_model=PageOut[SpecimenOut],
    responses=ON_ITEM,
)
def list_specimens(
    reference_set_id: str, paging: PagingDep, caller: OwnerDep, parts: ApplicationDep
) -> PageOut[SpecimenOut]:
    """List the specimens of a set, withdrawn ones too, oldest first."""
    found = parts.store.list_specimens(
        caller, reference_set_id, after=paging.after, limit=paging.limit
    )
    return paging.paged(found, SpecimenOut.of)


@router.get("/specimens/{specimen_id}", response_model=SpecimenOut, responses=ON_ITEM)
def read_specimen(
    specimen_id: str, caller: OwnerDep, parts: ApplicationDep
) -> SpecimenOut:
    """Read one specimen."""
    return SpecimenOut.of(parts.store.specimen(caller, specimen_id))


@router.get(
    "/specimens/{specimen_id}/image",
    response_class=Response,
    responses=ON_ITEM
    | {
        200: {
            "description": "The image, byte for byte as it was enrolled.",
            "content": {
                "application/octet-stream": {
                    "schema": {"type": "string", "format": "binary"}
                }
            },
        }
    },
)
def read_specimen_image(
    specimen_id: str, caller: OwnerDep, parts: ApplicationDep
) -> Response:
    """Download the image of a specimen, for its owner alone; the view is logged."""
    specimen = parts.store.specimen(caller, specimen_id)
    parts.store.note_view(
        caller, [specimen.reference_set_id], through={"specimen_id": specimen.id}
    )
    # Bytes that a stranger made are never shown by a browser: fixed type, attachment.
    return Response(
        parts.blobs.get(specimen.image_digest),
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{specimen.id}"'},
    )


@router.post(
    "/specimens/{specimen_id}/withdraw",
    response_model=SpecimenOut,
    responses=ON_ITEM | ON_CHANGE,
)
def withdraw_specimen(
    specimen_id: str, caller: OwnerDep, parts: ApplicationDep
) -> SpecimenOut:
    """Take a specimen out of use at once; again changes nothing."""
    return SpecimenOut.of(parts.store.withdraw_specimen(caller, specimen_id))

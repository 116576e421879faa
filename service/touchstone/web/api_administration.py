"""Administration: organisations, API keys, and the audit chain."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from touchstone.errors import InvalidInputError
from touchstone.store import Checkpoint
from touchstone.web.auth import (
    AdminDep,
    AnyoneDep,
    ApplicationDep,
    GuardedRoute,
    OwnerDep,
)
from touchstone.web.documented import ON_CHANGE, ON_ITEM, ON_REQUEST
from touchstone.web.idempotency import keep_instead
from touchstone.web.limits import MAX_JSON_BYTES
from touchstone.web.pagination import PageOut, PagingDep
from touchstone.web.schemas_administration import (
    ApiKeyIn,
    ApiKeyOut,
    AuditEventOut,
    ChainOut,
    CheckpointQuery,
    IssuedKeyOut,
    OrganisationIn,
    OrganisationOut,
)

router = APIRouter(
    prefix="/v1",
    tags=["administration"],
    route_class=GuardedRoute,
    responses=ON_REQUEST,
    max_body_size=MAX_JSON_BYTES,
)


# --- organisations --------------------------------------------------------------------


@router.post(
    "/organisations",
    status_code=201,
    response_model=OrganisationOut,
    responses=ON_CHANGE,
)
def create_organisation(
    body: OrganisationIn, caller: AdminDep, parts: ApplicationDep, response: Response
) -> OrganisationOut:
    """Record a brand, an authority, a laboratory or an operator."""
    made = parts.store.create_organisation(
        caller, kind=body.kind, name=body.name, country=body.country
    )
    response.headers["Location"] = f"/v1/organisations/{made.id}"
    return OrganisationOut.of(made)


@router.get("/organisations", response_model=PageOut[OrganisationOut])
def list_organisations(
    paging: PagingDep, caller: OwnerDep, parts: ApplicationDep
) -> PageOut[OrganisationOut]:
    """List organisations: all; for a brand owner its own and the authorities."""
    found = parts.store.list_organisations(
        caller, after=paging.after, limit=paging.limit
    )
    return paging.paged(found, OrganisationOut.of)


@router.get(
    "/organisations/{organisation_id}",
    response_model=OrganisationOut,
    responses=ON_ITEM,
)
def read_organisation(
    organisation_id: str, caller: OwnerDep, parts: ApplicationDep
) -> OrganisationOut:
    """Read one organisation, of those that you can list."""
    return OrganisationOut.of(parts.store.organisation(caller, organisation_id))


# --- API keys -------------------------------------------------------------------------


@router.post(
    "/api-keys",
    status_code=201,
    response_model=IssuedKeyOut,
    responses=ON_ITEM | ON_CHANGE,
)
def issue_key(
    body: ApiKeyIn, caller: AdminDep, parts: ApplicationDep, request: Request
) -> IssuedKeyOut:
    """Issue a key. Its secret is in this answer and nowhere else: write it down."""
    key, secret = parts.store.issue_key(
        caller,
        organisation_id=body.organisation_id,
        role=body.role,
        label=body.label,
        expires_at=body.expires_at,
    )
    known = ApiKeyOut.of(key).model_dump()
    keep_instead(request, IssuedKeyOut(**known, secret=None).model_dump_json().encode())
    return IssuedKeyOut(**known, secret=secret)


@router.get("/api-keys", response_model=PageOut[ApiKeyOut])
def list_keys(
    paging: PagingDep, caller: AdminDep, parts: ApplicationDep
) -> PageOut[ApiKeyOut]:
    """List all keys, without their secrets, oldest first."""
    found = parts.store.list_keys(caller, after=paging.after, limit=paging.limit)
    return paging.paged(found, ApiKeyOut.of)


@router.post(
    "/api-keys/{key_id}/revoke",
    response_model=ApiKeyOut,
    responses=ON_ITEM | ON_CHANGE,
)
def revoke_key(key_id: str, caller: AnyoneDep, parts: ApplicationDep) -> ApiKeyOut:
    """End a key at once: administrators any, everyone the key that they use."""
    return ApiKeyOut.of(parts.store.revoke_key(caller, key_id))


# --- audit ----------------------------------------------------------------------------


@router.get("/audit", response_model=PageOut[AuditEventOut])
def list_audit_events(
    paging: PagingDep, caller: AdminDep, parts: ApplicationDep
) -> PageOut[AuditEventOut]:
    """List everything that changed, in the order it happened."""
    found = parts.store.list_audit_events(
        caller, after=paging.after, limit=paging.limit
    )
    return paging.paged(found, AuditEventOut.of)


@router.get("/audit/verify", response_model=ChainOut)
def verify_audit(
    checkpoint: Annotated[CheckpointQuery, Query()],
    caller: AdminDep,
    parts: ApplicationDep,
) -> ChainOut:
    """Check the whole chain, against a checkpoint of yours if you give one.

    Without a checkpoint kept elsewhere, an end that was cut off and made again cannot
    be told from the truth.
    """
    del caller
    if (checkpoint.seq is None) != (checkpoint.hash is None):
        raise InvalidInputError("Give seq and hash together, or neither.", field="seq")
    against = None
    if checkpoint.seq is not None and checkpoint.hash is not None:
        against = Checkpoint(checkpoint.seq, checkpoint.hash)
    report = parts.store.verify_chain(against)
    return ChainOut(
        events=report.events,
        ok=report.ok,
        first_bad_seq=report.first_bad_seq,
        head_hash=report.head_hash,
    )

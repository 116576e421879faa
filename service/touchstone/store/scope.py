"""Who may see what, as conditions inside the query: nothing is fetched, then hidden.

Two scopes, kept apart:

- *reading* (list, get): the owner, and the operator's administrators;
- *matching* (what a photograph is held against): the owner's own sets, the sets
  granted to the caller's organisation, and for administrators all; active ones only.

An authority with a grant may match, and see what a finding names; it may not browse.
"""

from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, and_, exists, or_, true
from sqlalchemy.orm import InstrumentedAttribute

from touchstone.errors import InvalidInputError, NotAllowedError, NotFoundError
from touchstone.store.tables import GrantRow, ReferenceSetRow
from touchstone.store.values import Caller, Role, SetStatus

MAX_LIMIT = 1000


def readable_by(
    caller: Caller, owner: InstrumentedAttribute[str]
) -> ColumnElement[bool]:
    """Return the condition that the row's ``owner`` is the caller's organisation."""
    return true() if caller.is_admin else owner == caller.organisation_id


def matchable_by(caller: Caller) -> ColumnElement[bool]:
    """Return the condition that the caller may match against a reference set."""
    return matchable(caller.organisation_id, by_admin=caller.is_admin)


def matchable(
    organisation_id: str | BindParameter[str], *, by_admin: bool
) -> ColumnElement[bool]:
    """Return the condition of ``matchable_by`` for a query that is made only once.

    Such a query names the organisation by a parameter; without a value for it the
    database is not asked at all.
    """
    is_active = ReferenceSetRow.status == SetStatus.ACTIVE
    if by_admin:
        return is_active
    is_granted = exists().where(
        GrantRow.reference_set_id == ReferenceSetRow.id,
        GrantRow.authority_id == organisation_id,
        GrantRow.revoked_at.is_(None),
    )
    is_own = ReferenceSetRow.organisation_id == organisation_id
    return and_(is_active, or_(is_own, is_granted))


def require_admin(caller: Caller) -> None:
    """Refuse all but the operator's administrators.

    Raises:
        NotAllowedError: the caller is none.
    """
    if not caller.is_admin:
        raise NotAllowedError("Only an administrator may do this.")


def require_owner_role(caller: Caller) -> None:
    """Refuse those who may not change references at all, whoever's they are.

    Raises:
        NotAllowedError: the caller is neither brand owner nor administrator.
    """
    if caller.role not in (Role.BRAND_OWNER, Role.ADMIN):
        raise NotAllowedError("Only a brand owner or an administrator may do this.")


def checked_id(value: str) -> str:
    """Return ``value`` if it is an id as we make them, else answer as for no match.

    Raises:
        NotFoundError: it is not, so there can be no such thing.
    """
    if not _is_id(value):
        raise not_found()
    return value


def not_found() -> NotFoundError:
    """Return the one answer for what is unknown and for what is another's."""
    return NotFoundError("There is no such thing, or none that you may see.")


def checked_page(after: str | None, limit: int) -> tuple[str | None, int]:
    """Return the cursor and the limit of a list, checked.

    Raises:
        InvalidInputError: the cursor is none of ours, or the limit not in
            [1, ``MAX_LIMIT``].
    """
    if after is not None and not _is_id(after):
        raise InvalidInputError("The cursor is not one that was given.", field="after")
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidInputError(
            f"The limit must be between 1 and {MAX_LIMIT}.", field="limit"
        )
    return after, limit


def _is_id(value: str) -> bool:
    try:
        return str(UUID(value)) == value
    except ValueError:
        return False

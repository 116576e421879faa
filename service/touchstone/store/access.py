"""Organisations and their API keys: who may ask anything at all."""

import hmac
import re
import secrets
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine, Select, or_, select
from sqlalchemy.orm import Session

from touchstone.errors import (
    ConfigurationError,
    ConflictError,
    InvalidInputError,
    NotAuthenticatedError,
)
from touchstone.store.audit import Act, Action, append
from touchstone.store.database import Database
from touchstone.store.drafts import checked_text
from touchstone.store.scope import (
    checked_id,
    not_found,
    readable_by,
    require_admin,
)
from touchstone.store.tables import ApiKeyRow, OrganisationRow
from touchstone.store.values import (
    AUTHORITY_KINDS,
    ApiKey,
    Caller,
    Organisation,
    OrganisationKind,
    Page,
    Role,
    new_id,
)

_SECRET = re.compile(r"ts_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_SECRET_BYTES = 32
_PREFIX_BYTES = 6
_MIN_PEPPER_BYTES = 16


class Access(Database):
    """Verbs on organisations and keys."""

    def __init__(
        self, engine: Engine, *, pepper: bytes, clock: Callable[[], datetime]
    ) -> None:
        if len(pepper) < _MIN_PEPPER_BYTES:
            raise ConfigurationError(
                f"The pepper of the API keys needs {_MIN_PEPPER_BYTES} bytes or more."
            )
        super().__init__(engine, clock=clock)
        self._pepper = pepper

    def create_organisation(
        self,
        caller: Caller,
        *,
        kind: OrganisationKind,
        name: str,
        country: str | None = None,
    ) -> Organisation:
        """Record a new organisation, for administrators.

        Raises:
            NotAllowedError: the caller is no administrator.
            ConflictError: the name is taken.
            InvalidInputError: the name or the country is not printable text.
        """
        require_admin(caller)
        checked_text("name", name, required=True)
        checked_text("country", country or "")
        with self._writing() as session:
            if _organisation_named(session, name) is not None:
                raise ConflictError(f"An organisation named {name!r} exists already.")
            return self._add_organisation(
                session, caller, kind=kind, name=name, country=country
            )

    def ensure_local_operator(self, name: str = "local") -> Caller:
        """Return the caller that the command line acts as on its own data folder.

        It is an administrator without a key, of an operator organisation that is made
        on the first call. Who can open the database file is that operator already.

        Raises:
            ConflictError: the name belongs to an organisation of another kind.
        """
        with self._reading() as session:
            found = _organisation_named(session, name)
        if found is None:
            checked_text("name", name, required=True)
            with self._writing() as session:
                found = _organisation_named(session, name) or self._add_organisation(
                    session,
                    None,
                    kind=OrganisationKind.OPERATOR,
                    name=name,
                    country=None,
                )
        if found.kind is not OrganisationKind.OPERATOR:
            raise ConflictError(f"{name!r} is the name of another organisation.")
        return Caller(None, found.id, Role.ADMIN)

    def organisation(self, caller: Caller, organisation_id: str) -> Organisation:
        """Return one organisation, of those that ``list_organisations`` lists.

        Raises:
            NotFoundError: there is none, or none that the caller may see.
        """
        query = _organisations_for(caller).where(
            OrganisationRow.id == checked_id(organisation_id)
        )
        with self._reading() as session:
            row = session.scalar(query)
        if row is None:
            raise not_found()
        return row.value()

    def list_organisations(
        self, caller: Caller, *, after: str | None = None, limit: int = 100
    ) -> Page[Organisation]:
        """Return organisations, oldest first.

        Administrators see all; a brand owner its own and the authorities it may grant
        to; everyone else its own.
        """
        return self._page(
            _organisations_for(caller),
            OrganisationRow.id,
            value=OrganisationRow.value,
            after=after,
            limit=limit,
        )

    def issue_key(
        self,
        caller: Caller,
        *,
        organisation_id: str,
        role: Role,
        label: str,
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key and return it with its secret, which is shown this once.

        Raises:
            NotAllowedError: the caller is no administrator.
            NotFoundError: there is no such organisation.
            InvalidInputError: the organisation's kind may not hold that role.
        """
        require_admin(caller)
        checked_text("label", label, required=True)
        checked_id(organisation_id)
        prefix = secrets.token_hex(_PREFIX_BYTES)
        secret = f"ts_{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        with self._writing() as session:
            organisation = session.get(OrganisationRow, organisation_id)
            if organisation is None:
                raise not_found()
            _check_role(organisation.kind, role)
            row = ApiKeyRow(
                id=new_id(),
                organisation_id=organisation_id,
                role=role,
                label=label,
                prefix=prefix,
                key_hash=self._hash(secret),
                created_at=self._now(),
                expires_at=expires_at,
                revoked_at=None,
            )
            session.add(row)
            session.flush()
            detail = {"organisation_id": organisation_id, "role": role.value}
            act = Act(Action.ISSUE_KEY, row.id, {**detail, "prefix": prefix})
            append(session, [act], caller=caller, at=row.created_at)
            return row.value(), secret

    def revoke_key(self, caller: Caller, key_id: str) -> ApiKey:
        """End a key at once; revoking it again changes nothing.

        An administrator may end any key, and whoever holds a key may end that one.

        Raises:
            NotFoundError: there is no such key, or none that the caller may end.
        """
        checked_id(key_id)
        if key_id != caller.key_id and not caller.is_admin:
            raise not_found()
        with self._writing() as session:
            row = session.get(ApiKeyRow, key_id)
            if row is None:
                raise not_found()
            if row.revoked_at is None:
                row.revoked_at = self._now()
                act = Act(Action.REVOKE_KEY, key_id)
                append(session, [act], caller=caller, at=row.revoked_at)
            return row.value()

    def list_keys(
        self, caller: Caller, *, after: str | None = None, limit: int = 100
    ) -> Page[ApiKey]:
        """Return the keys of the caller's organisation; all, for administrators."""
        query = select(ApiKeyRow).where(readable_by(caller, ApiKeyRow.organisation_id))
        return self._page(
            query, ApiKeyRow.id, value=ApiKeyRow.value, after=after, limit=limit
        )

    def authenticate(self, secret: str, now: datetime | None = None) -> Caller:
        """Return the caller whose key ``secret`` is.

        Args:
            secret: the whole text of the key, ``ts_…_…``.
            now: the moment that expiry is judged at; the store's clock if not given.

        Raises:
            NotAuthenticatedError: it is unknown, expired or revoked; which of the
                three is not said.
        """
        form = _SECRET.fullmatch(secret)
        refusal = NotAuthenticatedError("The API key is not valid.")
        if form is None:
            raise refusal
        query = select(ApiKeyRow).where(ApiKeyRow.prefix == form.group(1))
        with self._reading() as session:
            row = session.scalar(query)
        # The prefix is public, the rest is compared in constant time. HMAC and not
        # argon2: 256 random bits cannot be guessed, so slowness would buy nothing.
        expected = row.key_hash if row else self._hash("")
        is_right = hmac.compare_digest(self._hash(secret), expected)
        if row is None or not is_right or row.revoked_at is not None:
            raise refusal
        if row.expires_at is not None and row.expires_at <= (now or self._now()):
            raise refusal
        return Caller(row.id, row.organisation_id, row.role)

    def _hash(self, secret: str) -> str:
        return hmac.digest(self._pepper, secret.encode(), "sha256").hex()

    def _add_organisation(
        self,
        session: Session,
        caller: Caller | None,
        *,
        kind: OrganisationKind,
        name: str,
        country: str | None,
    ) -> Organisation:
        row = OrganisationRow(
            id=new_id(), kind=kind, name=name, country=country, created_at=self._now()
        )
        session.add(row)
        session.flush()
        act = Act(Action.CREATE_ORGANISATION, row.id, {"kind": kind, "name": name})
        append(session, [act], caller=caller, at=row.created_at)
        return row.value()


def _organisation_named(session: Session, name: str) -> Organisation | None:
    row = session.scalar(select(OrganisationRow).where(OrganisationRow.name == name))
    return row.value() if row else None


def _organisations_for(caller: Caller) -> Select[OrganisationRow]:
    query = select(OrganisationRow)
    if caller.is_admin:
        return query
    is_own = OrganisationRow.id == caller.organisation_id
    if caller.role is Role.BRAND_OWNER:
        is_authority = OrganisationRow.kind.in_(AUTHORITY_KINDS)
        return query.where(or_(is_own, is_authority))
    return query.where(is_own)


def _check_role(kind: OrganisationKind, role: Role) -> None:
    # An administrator sees every brand, so no brand and no authority may have one.
    if role is Role.ADMIN and kind is not OrganisationKind.OPERATOR:
        raise InvalidInputError(
            "Only an operator's key may be an administrator's.", field="role"
        )
    if role is Role.BRAND_OWNER and kind in AUTHORITY_KINDS:
        raise InvalidInputError("An authority owns no references.", field="role")

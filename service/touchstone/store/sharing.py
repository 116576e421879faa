"""Grants: a reference set is its owner's alone until the owner says otherwise.

Who was shown pictures of one, the owner's own people too, stands in the audit log.
"""

from collections.abc import Collection, Mapping

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from touchstone.store import counters
from touchstone.store.audit import Act, Action, append
from touchstone.store.database import Database
from touchstone.store.scope import (
    checked_id,
    matchable_by,
    not_found,
    readable_by,
    require_owner_role,
)
from touchstone.store.tables import GrantRow, OrganisationRow, ReferenceSetRow
from touchstone.store.values import AUTHORITY_KINDS, Caller, Grant, new_id


class Sharing(Database):
    """Verbs on grants; each takes effect with its transaction."""

    def grant(
        self, caller: Caller, reference_set_id: str, *, authority_id: str
    ) -> Grant:
        """Let an authority match against a set; granting again changes nothing.

        Raises:
            NotAllowedError: the caller is neither brand owner nor administrator.
            NotFoundError: no such set of the caller's, or no such authority. Another
                brand is no authority, and the answer does not tell that it exists.
        """
        require_owner_role(caller)
        checked_id(authority_id)
        with self._writing() as session:
            _check_owned(session, caller, reference_set_id)
            authority = session.get(OrganisationRow, authority_id)
            if authority is None or authority.kind not in AUTHORITY_KINDS:
                raise not_found()
            row = _in_force(session, reference_set_id, authority_id)
            if row is None:
                row = GrantRow(
                    id=new_id(),
                    reference_set_id=reference_set_id,
                    authority_id=authority_id,
                    granted_at=self._now(),
                    revoked_at=None,
                    granted_by=caller.key_id,
                )
                session.add(row)
                _record(session, caller, Action.GRANT, row)
            return row.value()

    def revoke(
        self, caller: Caller, reference_set_id: str, *, authority_id: str
    ) -> Grant:
        """End a grant at once.

        Raises:
            NotAllowedError: the caller is neither brand owner nor administrator.
            NotFoundError: no such set of the caller's, or no grant in force.
        """
        require_owner_role(caller)
        checked_id(authority_id)
        with self._writing() as session:
            _check_owned(session, caller, reference_set_id)
            row = _in_force(session, reference_set_id, authority_id)
            if row is None:
                raise not_found()
            row.revoked_at = self._now()
            _record(session, caller, Action.REVOKE_GRANT, row)
            return row.value()

    def grants_of(self, caller: Caller, reference_set_id: str) -> tuple[Grant, ...]:
        """Return every grant of a set, those that ended too, oldest first.

        Raises:
            NotFoundError: no such set of the caller's.
        """
        query = (
            select(GrantRow)
            .where(GrantRow.reference_set_id == reference_set_id)
            .order_by(GrantRow.id)
        )
        with self._reading() as session:
            _check_owned(session, caller, reference_set_id)
            return tuple(row.value() for row in session.scalars(query))

    def note_view(
        self, caller: Caller, set_ids: Collection[str], *, through: Mapping[str, str]
    ) -> None:
        """Record that the caller is shown pictures of these sets; before they are.

        Args:
            caller: who is shown them.
            set_ids: every set that they show; none where they show none.
            through: what they are part of: ids by name.

        Raises:
            NotFoundError: one of them may not be seen by the caller, or not any more.
        """
        if not set_ids:
            return
        in_reach = select(ReferenceSetRow.id).where(
            ReferenceSetRow.id.in_(set_ids),
            or_(
                matchable_by(caller),
                readable_by(caller, ReferenceSetRow.organisation_id),
            ),
        )
        with self._writing() as session:
            shown = set(session.scalars(in_reach))
            if shown != set(set_ids):
                raise not_found()
            acts = [Act(Action.VIEW_SET, one, through) for one in sorted(shown)]
            append(session, acts, caller=caller, at=self._now())


def _check_owned(session: Session, caller: Caller, reference_set_id: str) -> None:
    query = select(ReferenceSetRow.id).where(
        ReferenceSetRow.id == checked_id(reference_set_id),
        readable_by(caller, ReferenceSetRow.organisation_id),
    )
    if session.scalar(query) is None:
        raise not_found()


def _in_force(
    session: Session, reference_set_id: str, authority_id: str
) -> GrantRow | None:
    return session.scalar(
        select(GrantRow).where(
            GrantRow.reference_set_id == reference_set_id,
            GrantRow.authority_id == authority_id,
            GrantRow.revoked_at.is_(None),
        )
    )


def _record(session: Session, caller: Caller, action: Action, row: GrantRow) -> None:
    counters.access_changed(session)
    detail = {
        "reference_set_id": row.reference_set_id,
        "authority_id": row.authority_id,
    }
    act = Act(action, row.id, detail)
    append(session, [act], caller=caller, at=row.revoked_at or row.granted_at)

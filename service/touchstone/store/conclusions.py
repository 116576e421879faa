"""What was concluded on lots: kept once for each basis, and never changed."""

from collections.abc import Iterator
from datetime import UTC
from hashlib import sha256

from sqlalchemy import Select, select

from touchstone.store.audit import Act, Action, append, unlike_the_log
from touchstone.store.database import Database
from touchstone.store.filing import found, owned
from touchstone.store.filing_tables import ConclusionRow, LotRow
from touchstone.store.filing_values import KeptConclusion, Lot
from touchstone.store.values import Caller


class Conclusions(Database):
    """Verbs on what was concluded on lots."""

    def kept_conclusion(
        self, caller: Caller, lot_id: str, basis: str
    ) -> KeptConclusion | None:
        """Return what was concluded on a lot on this basis; None if nothing was.

        Raises:
            NotFoundError: no such lot of the caller's.
        """
        with self._reading() as session:
            lot = found(session, caller, Lot, lot_id)
            row = session.scalar(_on(lot, basis))
        return None if row is None else row.value()

    def keep_conclusion(
        self, caller: Caller, lot_id: str, basis: str, document_json: str
    ) -> KeptConclusion:
        """Keep what was concluded on a lot, and return what is kept.

        Of several who conclude on one basis the first is kept, and all get that.

        Args:
            caller: whose lot it is.
            lot_id: on which lot.
            basis: SHA-256 of all that it rests on, the lot's id among that.
            document_json: what was concluded, as JSON.

        Raises:
            NotFoundError: no such lot of the caller's.
            ConflictError: that basis is another lot's.
        """
        at = self._now()
        with self._writing() as session:
            lot = owned(session, caller, Lot, lot_id)
            row = session.scalar(_on(lot, basis))
            if row is not None:
                return row.value()
            row = ConclusionRow(
                basis=basis,
                organisation_id=lot.organisation_id,
                lot_id=lot.id,
                document_json=document_json,
                made_at=at,
                key_id=caller.key_id,
            )
            session.add(row)
            act = Act(Action.CONCLUDE, basis, _detail(row.value()))
            append(session, [act], caller=caller, at=at)
            return row.value()

    def altered_conclusions(self) -> Iterator[str]:
        """Yield bases of conclusions of which the audit log tells otherwise."""
        yield from unlike_the_log(
            self._streaming,
            ConclusionRow.basis,
            Action.CONCLUDE,
            lambda row: _detail(row.value()),
        )


def _on(lot: LotRow, basis: str) -> Select[ConclusionRow]:
    return select(ConclusionRow).where(
        ConclusionRow.basis == basis, ConclusionRow.lot_id == lot.id
    )


def _detail(kept: KeptConclusion) -> dict[str, object]:
    return {
        "lot_id": kept.lot_id,
        "organisation_id": kept.organisation_id,
        "document_digest": sha256(kept.document_json.encode()).hexdigest(),
        "made_at": kept.made_at.astimezone(UTC).isoformat(),
        "key_id": kept.key_id,
    }

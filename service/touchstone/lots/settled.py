"""A conclusion made once and kept with the records, as long as nothing is new.

Making one of thousands of photos takes a core for the better part of a minute; finding
the one that is kept takes as long as reading the list of the photos.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from touchstone.blobs import Blobs
from touchstone.engine.homogeneity import Composition, Homogeneity
from touchstone.engine.rates import Validation
from touchstone.engine.repeats import Repeat
from touchstone.engine.share import Share
from touchstone.engine.triage import Entry
from touchstone.lots.basis import Records, basis_of, method_digest, read_records
from touchstone.lots.concluding import (
    Conclusion,
    PrintingFound,
    Tell,
    conclude_on,
    conclusion_document,
    tell_nobody,
)
from touchstone.store import Caller, Lot, LotItem, Store, canonical_json

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Concluder:
    """Concludes on lots, once for each state of their photos."""

    store: Store
    validation: Validation
    _alone: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """One at a time: who waits finds what the one before kept."""

    def __post_init__(self) -> None:
        # Now, while the sources are those that run: an upgrade may lay others there.
        method_digest()

    def kept(self, caller: Caller, lot_id: str) -> tuple[Conclusion | None, Records]:
        """Return the conclusion that is kept of a lot as it stands, if one is.

        The records come without profiles.

        Raises:
            NotFoundError: no such lot of the caller's.
        """
        records = read_records(self.store, caller, lot_id, with_profiles=False)
        return self._kept(caller, records), records

    def conclude(
        self, caller: Caller, lot_id: str, *, tell: Tell = tell_nobody
    ) -> tuple[Conclusion, Sequence[LotItem]]:
        """Return the conclusion on a lot as it stands, made now if none is kept.

        Raises:
            NotFoundError: no such lot of the caller's.
        """
        conclusion, records = self.kept(caller, lot_id)
        if conclusion is not None:
            return conclusion, records.items
        with self._alone:
            # Read anew: what is kept must be of what it was made from.
            records = read_records(self.store, caller, lot_id)
            conclusion = self._kept(caller, records) or self._made(
                caller, records, tell
            )
        return conclusion, records.items

    def _kept(self, caller: Caller, records: Records) -> Conclusion | None:
        lot, basis = records.lot, basis_of(records, self.validation)
        kept = self.store.kept_conclusion(caller, lot.id, basis)
        return None if kept is None else _read(kept.document_json, lot)

    def _made(self, caller: Caller, records: Records, tell: Tell) -> Conclusion:
        made = conclude_on(records, self.validation, tell=tell)
        lot = records.lot
        if caller.organisation_id != lot.organisation_id:
            return made  # an administrator's words do not enter another's records
        kept = self.store.keep_conclusion(caller, lot.id, made.basis, _written(made))
        return _read(kept.document_json, lot)


def publish_conclusion(
    concluder: Concluder, blobs: Blobs, caller: Caller, lot_id: str
) -> Mapping[str, Any]:
    """Conclude on a lot, and keep the document of it as a file of the job.

    Whoever asked gets that one even where photos that came meanwhile ask for another.

    Raises:
        NotFoundError: no such lot of the caller's.
        StorageError: the image store refused.
    """
    conclusion, items = concluder.conclude(caller, lot_id)
    spoken = canonical_json(conclusion_document(conclusion, items)).encode()
    files = {"conclusion.json": blobs.put(spoken)}
    return {"basis": conclusion.basis, "files": files, "reference_sets": []}


def _written(conclusion: Conclusion) -> str:
    values = asdict(conclusion)
    del values["lot"]  # it has a record of its own
    return canonical_json(values)


def _read(document_json: str, lot: Lot) -> Conclusion:
    """Return what `_written` wrote, to the bit; ``lot`` as it is filed now."""
    values: dict[str, Any] = json.loads(document_json)
    composition = values["composition"]
    return Conclusion(
        **values
        | {
            "lot": lot,
            "share": Share(**values["share"]),
            "composition": Composition(
                **composition | {"homogeneity": Homogeneity(composition["homogeneity"])}
            ),
            "printings": _several(PrintingFound, values["printings"]),
            "repeats": _several(Repeat, values["repeats"]),
            "elsewhere": tuple(tuple(one) for one in values["elsewhere"]),
            "triage": _several(Entry, values["triage"]),
        }
    )


def _several(kind: Callable[..., T], documents: Sequence[Any]) -> tuple[T, ...]:
    return tuple(
        kind(**{name: _frozen(value) for name, value in one.items()})
        for one in documents
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

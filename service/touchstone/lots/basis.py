"""What a conclusion about a lot rests on, and one digest of all of that.

Two conclusions of one basis are the same conclusion, whoever asks and whenever.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.resources import files

from touchstone import __version__
from touchstone.engine.rates import Validation
from touchstone.store import Caller, Lot, LotItem, Store, canonical_json

_UNSAID = frozenset({"state", "profile"})
"""Of a photo: how far the work on it is, of which only its result counts, and what its
examination, which is named, fixes: the two are recorded at once and never change."""
_SAID = tuple(one.name for one in fields(LotItem) if one.name not in _UNSAID)


@dataclass(frozen=True, slots=True)
class Records:
    """All that the records tell of a lot as a whole."""

    lot: Lot
    items: tuple[LotItem, ...]
    elsewhere: tuple[tuple[str, str, str], ...]
    """Serials that another lot has too: serial, lot, photo there."""


def read_records(
    store: Store, caller: Caller, lot_id: str, *, with_profiles: bool = True
) -> Records:
    """Read them; without profiles nothing can be concluded, but it takes a tenth.

    Raises:
        NotFoundError: no such lot of the caller's.
    """
    lot = store.filed(caller, Lot, lot_id)
    items = store.lot_items(caller, lot_id, with_profiles=with_profiles)
    return Records(lot, tuple(items), store.serials_elsewhere(caller, lot_id))


def basis_of(records: Records, validation: Validation) -> str:
    """Return the SHA-256 of all that a conclusion rests on, the method included.

    It is of what was read, so that photos which come meanwhile cannot be taken for
    concluded upon.
    """
    digest = hashlib.sha256()
    for line in _lines(records, validation):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _lines(records: Records, validation: Validation) -> Iterator[str]:
    lot = records.lot
    yield canonical_json([lot.id, lot.units_total, lot.plan, method_digest()])
    yield canonical_json(asdict(validation))
    yield canonical_json(records.elsewhere)
    for item in records.items:
        yield canonical_json([getattr(item, name) for name in _SAID])


@cache
def method_digest() -> str:
    """Return the digest of the method: of the sources, when first asked for."""
    # The sources themselves, and not a number beside them, which somebody would forget
    # to raise: a conclusion by another method must never pass for one by this.
    digest = hashlib.sha256(__version__.encode())
    for package in ("touchstone.engine", "touchstone.lots"):
        sources = [one for one in files(package).iterdir() if one.name.endswith(".py")]
        for source in sorted(sources, key=lambda one: one.name):
            digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()

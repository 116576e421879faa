"""Serial numbers that occur more than once: a genuine unit has its own."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UnitCode:
    """What the code of one unit says; empty where it was not read."""

    item: str
    serial: str
    gtin: str = ""
    batch: str = ""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Units that carry one serial number of one product."""

    serial: str
    gtin: str
    items: tuple[str, ...]
    """In the order given."""
    batches: tuple[str, ...]
    """Those read, each once; more than one batch contradicts itself as well."""


def repeated(codes: Iterable[UnitCode]) -> tuple[Repeat, ...]:
    """Return the serials that several items carry, in the order of first sight.

    A serial is one of its product: GS1 lets two GTINs have the same, while a second
    batch does not make it another unit. Items without a serial are left out; an item
    that was photographed several times counts once.
    """
    groups: dict[tuple[str, str], list[UnitCode]] = {}
    for code in codes:
        serial, gtin = code.serial.strip(), code.gtin.strip()
        if serial:  # a GTIN-13 is a GTIN-14 with a zero before it
            groups.setdefault((gtin.lstrip("0"), serial), []).append(code)
    repeats = []
    for (_, serial), members in groups.items():
        items = tuple(dict.fromkeys(one.item for one in members))
        if len(items) > 1:
            batches = dict.fromkeys(one.batch.strip() for one in members)
            batches.pop("", None)
            repeats.append(
                Repeat(serial, members[0].gtin.strip(), items, tuple(batches))
            )
    return tuple(repeats)

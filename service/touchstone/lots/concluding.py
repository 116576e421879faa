"""The outcomes of a lot's photos to one conclusion about the lot.

What was found on each photo is read back from the records; nothing is examined anew,
so that the same records give the same conclusion.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from touchstone.engine.homogeneity import Composition, Printing, composition
from touchstone.engine.printings import GENUINE, UNASSIGNED, printings
from touchstone.engine.profile import Profile
from touchstone.engine.rates import Validation
from touchstone.engine.repeats import Repeat, UnitCode, repeated
from touchstone.engine.share import Findings, Share, share_of_counterfeits
from touchstone.engine.triage import Entry, Exhibit, triage
from touchstone.engine.wording import FindingKind
from touchstone.store import Caller, Lot, LotItem, Store

_CALLED = frozenset(
    {FindingKind.INCONSISTENT_WITH_GENUINE, FindingKind.MATCHES_KNOWN_COUNTERFEIT}
)
_SILENT = frozenset({"", FindingKind.INSUFFICIENT_QUALITY, FindingKind.NO_REFERENCE})
"""Findings that say nothing for either side; "" where a photo could not be read."""
_MOST_TRIAGED = 50
_LEAST_PRIOR = 0.01


@dataclass(frozen=True, slots=True)
class PrintingFound:
    """Items of a lot that differ from their reference alike: one print source.

    What shows no difference of its own is of no printing: genuine ones, and
    counterfeits that differ too little to be told from them.
    """

    number: int
    """From 1, the largest first."""
    specimen_id: str
    """The reference that its items were compared with."""
    items: tuple[int, ...]
    """Positions in the lot."""
    exemplar: int
    """The item that shows it most plainly."""
    inconsistent: int
    answered: int
    median_log10_lr: float | None
    log10_lr: float
    """Of all its items together, genuine against counterfeit."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What is said of a lot as a whole."""

    lot: Lot
    photos: int
    unfinished: int
    """Of those, how many have no result yet."""
    findings: Mapping[str, int]
    unreadable: int
    share: Share
    composition: Composition
    printings: tuple[PrintingFound, ...]
    repeats: tuple[Repeat, ...]
    elsewhere: tuple[tuple[str, str, str], ...]
    """Serials that another lot has too: serial, lot, photo there."""
    triage: tuple[Entry, ...]
    """By positions in the lot, as text."""
    validation_digest: str


def conclude(
    store: Store, caller: Caller, lot_id: str, validation: Validation
) -> tuple[Conclusion, list[LotItem]]:
    """Conclude on a lot from what its photos were found to be.

    Raises:
        NotFoundError: no such lot of the caller's.
    """
    # 1. Read back what was found on each photo.
    # 2. Group the items of each reference by their print source.
    # 3. The share, from all calls and from the printings whose nature they tell.
    # 4. What the laboratory should look at, given all that.
    lot = store.filed(caller, Lot, lot_id)
    items = list(store.lot_items(caller, lot_id))
    found = _printings(items, validation)
    counted = [_as_printing(one) for one in found]
    share = share_of_counterfeits(
        _findings(items), validation, population=_population(lot, items),
        printings=counted,
    )  # fmt: skip
    grouped = {place for one in found for place in one.items}
    singles = [
        Printing(f"item {one.position}", int(_is_called(one)), 1)
        for one in items
        if _is_answered(one) and one.position not in grouped
    ]
    findings = Counter(one.finding for one in items if one.finding)
    return (
        Conclusion(
            lot=lot,
            photos=len(items),
            unfinished=sum(not one.finding and not one.error for one in items),
            findings=dict(findings),
            unreadable=sum(bool(one.error) for one in items),
            share=share,
            composition=composition([*counted, *singles], validation),
            printings=found,
            repeats=repeated(_codes(items)),
            elsewhere=store.serials_elsewhere(caller, lot_id),
            triage=_triaged(items, found, share),
            validation_digest=validation.digest,
        ),
        items,
    )


def conclusion_document(
    conclusion: Conclusion, items: Sequence[LotItem]
) -> dict[str, Any]:
    """Return a conclusion as JSON values; items by their names."""
    by_position = {one.position: one for one in items}

    def named(position: int) -> dict[str, Any]:
        one = by_position[position]
        return {"image": one.name, "examination_id": one.examination_id}

    return {
        "lot_id": conclusion.lot.id,
        "photos": conclusion.photos,
        "unfinished": conclusion.unfinished,
        "unreadable": conclusion.unreadable,
        "findings": dict(sorted(conclusion.findings.items())),
        "share": asdict(conclusion.share),
        "composition": asdict(conclusion.composition),
        "printings": [
            asdict(one)
            | {
                "items": [by_position[place].name for place in one.items],
                "exemplar": named(one.exemplar),
            }
            for one in conclusion.printings
        ],
        "repeated_serials": [asdict(one) for one in conclusion.repeats],
        "serials_in_other_lots": [
            {"serial": serial, "lot_id": lot_id, "image": image}
            for serial, lot_id, image in conclusion.elsewhere
        ],
        "triage": [asdict(one) | named(int(one.item)) for one in conclusion.triage],
        "plan": conclusion.lot.plan,
        "validation": conclusion.validation_digest,
    }


def _is_answered(item: LotItem) -> bool:
    return item.finding not in _SILENT


def _is_called(item: LotItem) -> bool:
    return item.finding in _CALLED


def _ratio(item: LotItem) -> float | None:
    """Return the log10 ratio of genuine against counterfeit, where it is answered.

    What agrees with a known counterfeit was weighed against that: it speaks the other
    way.
    """
    if item.log10_lr is None or not _is_answered(item):
        return None
    is_fake = item.finding == FindingKind.MATCHES_KNOWN_COUNTERFEIT
    return -abs(item.log10_lr) if is_fake else item.log10_lr


def _findings(items: Sequence[LotItem]) -> Findings:
    answered = [item for item in items if _is_answered(item)]
    silent = sum(
        item.finding in _SILENT and bool(item.finding or item.error) for item in items
    )
    return Findings(sum(map(_is_called, answered)), len(answered), silent)


def _population(lot: Lot, items: Sequence[LotItem]) -> int | None:
    """Units in all; where nobody counted, or fewer than photos, the lot is endless."""
    if lot.units_total is None or lot.units_total < len(items):
        return None
    return lot.units_total


def _codes(items: Sequence[LotItem]) -> list[UnitCode]:
    codes = []
    for item in items:
        gtin, _, serial = item.serial.rpartition("/")
        codes.append(UnitCode(item.name, serial, gtin))
    return codes


# --- printings ------------------------------------------------------------------------


def _printings(
    items: Sequence[LotItem], validation: Validation
) -> tuple[PrintingFound, ...]:
    told = [one for one in items if one.profile and one.specimen_id]
    told.sort(key=lambda one: (one.specimen_id or "", one.position))
    groups: list[tuple[str, int, list[LotItem]]] = []
    for specimen_id, members in groupby(told, key=lambda one: one.specimen_id or ""):
        some = list(members)
        result = printings(
            [Profile.from_bytes(one.profile) for one in some],
            [_ratio(one) for one in some],
        )
        for label, exemplar in sorted(result.exemplars.items()):
            if label in (GENUINE, UNASSIGNED):
                continue  # they share nothing that photos of one print would not
            of_it = [
                one
                for one, is_of in zip(some, result.labels, strict=True)
                if is_of == label
            ]
            groups.append((specimen_id, some[exemplar].position, of_it))
    groups.sort(key=lambda group: (-len(group[2]), group[1]))
    return tuple(
        _found(number, group, validation) for number, group in enumerate(groups, 1)
    )


def _found(
    number: int, group: tuple[str, int, list[LotItem]], validation: Validation
) -> PrintingFound:
    specimen_id, exemplar, members = group
    answered = [one for one in members if _is_answered(one)]
    called = sum(map(_is_called, answered))
    ratios = sorted(ratio for one in members if (ratio := _ratio(one)) is not None)
    return PrintingFound(
        number=number,
        specimen_id=specimen_id,
        items=tuple(one.position for one in members),
        exemplar=exemplar,
        inconsistent=called,
        answered=len(answered),
        median_log10_lr=ratios[len(ratios) // 2] if ratios else None,
        log10_lr=Printing(str(number), called, len(answered)).log10_lr(validation),
    )


def _as_printing(one: PrintingFound) -> Printing:
    silent = len(one.items) - one.answered
    return Printing(str(one.number), one.inconsistent, one.answered, silent)


def _triaged(
    items: Sequence[LotItem], found: Sequence[PrintingFound], share: Share
) -> tuple[Entry, ...]:
    of = {place: str(one.number) for one in found for place in one.items}
    exhibits = [
        Exhibit(
            str(one.position),
            _ratio(one),
            of.get(one.position),
        )
        for one in items
        if one.finding
    ]
    # Not the estimate: at the average rates of the validation it may be near 1 where
    # hardly more is known than that there are some.
    middle = (share.low + share.high) / 2
    prior = min(max(middle, _LEAST_PRIOR), 1 - _LEAST_PRIOR)
    return triage(exhibits, prior=prior, most=_MOST_TRIAGED)

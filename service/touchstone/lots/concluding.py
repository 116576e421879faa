"""The outcomes of a lot's photos to one conclusion about the lot.

What was found on each photo is read back from the records; nothing is examined anew,
so that the same records give the same conclusion.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any, TypeAlias

from touchstone.engine.homogeneity import (
    Composition,
    Printing,
    beside,
    composition,
)
from touchstone.engine.printings import GENUINE, UNASSIGNED, printings
from touchstone.engine.profile import Profile
from touchstone.engine.rates import Trials, Validation
from touchstone.engine.repeats import Repeat, UnitCode, repeated
from touchstone.engine.share import Findings, Share, share_of_counterfeits
from touchstone.engine.triage import Entry, Exhibit, triage
from touchstone.engine.wording import GRAVITY, FindingKind
from touchstone.lots.basis import Records, basis_of, read_records
from touchstone.store import Caller, Lot, LotItem, Store

_CALLED = frozenset(
    {FindingKind.INCONSISTENT_WITH_GENUINE, FindingKind.MATCHES_KNOWN_COUNTERFEIT}
)
_SILENT = frozenset({"", FindingKind.INSUFFICIENT_QUALITY, FindingKind.NO_REFERENCE})
"""Findings that say nothing for either side; "" where a photo could not be read."""
Tell: TypeAlias = Callable[[int, int], None]
"""Told of how many photos the prints are grouped, and of how many they will be."""
_GRAVITY = (*GRAVITY, "")
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
    """Positions in the lot, of photos."""
    is_apart: bool
    """Whether other items of that reference were told from it."""
    units: int
    """Packages that those show; each is counted in one printing alone."""
    exemplar: int
    """The item that shows it most plainly."""
    inconsistent: int
    answered: int
    inconsistent_here: int
    """Of all units that it printed, by their photos of its reference alone: what other
    photos of them show is not of this print."""
    answered_here: int
    median_log10_lr: float | None
    log10_lr: float
    """Of all its items together, genuine against counterfeit."""

    @property
    def counts(self) -> Printing:
        """Its units, by what was found on them."""
        silent = self.units - self.answered
        return Printing(
            str(self.number),
            self.inconsistent,
            self.answered,
            silent,
            self.specimen_id,
            Trials(self.inconsistent_here, self.answered_here),
        )


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What is said of a lot as a whole."""

    lot: Lot
    photos: int
    units: int
    """Packages that the examined photos show: photos of one exhibit are one, and so is
    the same photo twice."""
    unfinished: int
    """Of those, how many have no result yet."""
    findings: Mapping[str, int]
    """Of photos."""
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
    basis: str
    """SHA-256 of all that it rests on; see `basis`."""


def tell_nobody(done: int, total: int) -> None:
    """Tell nobody."""


def conclude(
    store: Store, caller: Caller, lot_id: str, validation: Validation
) -> tuple[Conclusion, Sequence[LotItem]]:
    """Conclude on a lot from what its photos were found to be, and keep nothing.

    Raises:
        NotFoundError: no such lot of the caller's.
    """
    records = read_records(store, caller, lot_id)
    return conclude_on(records, validation), records.items


def conclude_on(
    records: Records, validation: Validation, *, tell: Tell = tell_nobody
) -> Conclusion:
    """Conclude on a lot from its records, which must hold the profiles."""
    # 1. Which photos show one unit.
    # 2. Group the items of each reference by their print source.
    # 3. The share, from all calls and from the printings whose nature they tell.
    # 4. What the laboratory should look at, given all that.
    lot, items = records.lot, records.items
    units = _units(items)
    of_units = validation.of_units(_photos_each(items, units.values()))
    found, of_unit = _printings(items, units, tell)
    unlinked = _unlinked(items, found)
    found = _weighed(found, unlinked, of_units)
    counted = [one.counts for one in found if one.units]
    # What nothing was told from may be of two sources that were not told apart.
    apart = [one.counts for one in found if one.units and one.is_apart]
    share = share_of_counterfeits(
        _findings(units.values()),
        of_units,
        population=_population(lot, len(units)),
        printings=apart,
        unlinked=unlinked,
    )
    singles = [
        Printing(f"unit {key}", int(_is_called(one)), 1)
        for key, one in units.items()
        if _is_answered(one) and key not in of_unit
    ]
    findings = Counter(one.finding for one in items if one.finding)
    return Conclusion(
        lot=lot,
        photos=len(items),
        units=len(units),
        unfinished=sum(not one.finding and not one.error for one in items),
        findings=dict(findings),
        unreadable=sum(bool(one.error) for one in items),
        share=share,
        composition=composition([*counted, *singles], of_units),
        printings=found,
        repeats=_repeats(items),
        elsewhere=records.elsewhere,
        triage=_triaged(units, of_unit, share),
        validation_digest=validation.digest,
        basis=basis_of(records, validation),
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
        "units": conclusion.units,
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
        "basis": conclusion.basis,
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


# --- units ----------------------------------------------------------------------------


def _key(item: LotItem) -> str:
    return item.exhibit_id or item.photo_digest or f"photo {item.position}"


def _units(items: Sequence[LotItem]) -> dict[str, LotItem]:
    """Return the photo that stands for each unit that was looked at."""
    units: dict[str, LotItem] = {}
    for item in items:
        if item.finding or item.error:
            best = units.setdefault(_key(item), item)
            if _GRAVITY.index(item.finding) < _GRAVITY.index(best.finding):
                units[_key(item)] = item
    return units


def _findings(units: Iterable[LotItem]) -> Findings:
    stand = list(units)
    answered = [one for one in stand if _is_answered(one)]
    called = sum(map(_is_called, answered))
    return Findings(called, len(answered), len(stand) - len(answered))


def _photos_each(items: Iterable[LotItem], stand: Iterable[LotItem]) -> float:
    """Return how many answered photos an answered unit has, on average."""
    units = sum(map(_is_answered, stand))
    return sum(map(_is_answered, items)) / units if units else 1.0


def _population(lot: Lot, units: int) -> int | None:
    """Units in all; where nobody counted, or fewer than were seen, it is endless."""
    if lot.units_total is None or lot.units_total < units:
        return None
    return lot.units_total


def _repeats(items: Sequence[LotItem]) -> tuple[Repeat, ...]:
    names = {_key(item): item.name for item in reversed(items)}
    codes = []
    for item in items:
        gtin, _, serial = item.serial.rpartition("/")
        codes.append(UnitCode(_key(item), serial, gtin))
    return tuple(
        replace(one, items=tuple(names[key] for key in one.items))
        for one in repeated(codes)
    )


# --- printings ------------------------------------------------------------------------


def _printings(
    items: Sequence[LotItem], units: Mapping[str, LotItem], tell: Tell
) -> tuple[tuple[PrintingFound, ...], dict[str, str]]:
    """Return the printings, and the one that each unit is counted in."""
    told = [one for one in items if one.profile and one.specimen_id]
    told.sort(key=lambda one: (one.specimen_id or "", one.position))
    groups: list[tuple[str, int, list[LotItem], bool]] = []
    grouped = 0
    tell(grouped, len(told))
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
            is_apart = len(of_it) < len(some)
            groups.append((specimen_id, some[exemplar].position, of_it, is_apart))
        grouped += len(some)
        tell(grouped, len(told))
    groups.sort(key=lambda group: (-len(group[2]), group[1]))
    of_unit: dict[str, str] = {}
    found = []
    for number, (specimen_id, exemplar, of_it, is_apart) in enumerate(groups, 1):
        # Front and back of a unit may be of two printings: the larger counts it.
        keys = [key for key in dict.fromkeys(map(_key, of_it)) if key not in of_unit]
        of_unit |= dict.fromkeys(keys, str(number))
        stand = [units[key] for key in keys]
        counts = _findings(stand)
        here = _findings(_units(of_it).values())
        ratios = sorted(ratio for one in of_it if (ratio := _ratio(one)) is not None)
        found.append(
            PrintingFound(
                number=number,
                specimen_id=specimen_id,
                items=tuple(one.position for one in of_it),
                is_apart=is_apart,
                units=len(keys),
                exemplar=exemplar,
                inconsistent=counts.inconsistent,
                answered=counts.answered,
                inconsistent_here=here.inconsistent,
                answered_here=here.answered,
                median_log10_lr=ratios[len(ratios) // 2] if ratios else None,
                log10_lr=0.0,
            )
        )
    return tuple(found), of_unit


def _unlinked(
    items: Sequence[LotItem], found: Sequence[PrintingFound]
) -> list[Printing]:
    """Return the units of no printing of a reference, by their photos of that alone."""
    linked = {position for one in found for position in one.items}
    of_reference: dict[str, list[LotItem]] = {}
    for item in items:
        if item.specimen_id:
            of_reference.setdefault(item.specimen_id, []).append(item)
    rest = []
    for name, some in sorted(of_reference.items()):
        gone = {_key(one) for one in some if one.position in linked}
        units = _units([one for one in some if _key(one) not in gone])
        counts = _findings(units.values())
        rest.append(
            Printing(
                f"of none, {name}",
                counts.inconsistent,
                counts.answered,
                counts.abstained,
                name,
            )
        )
    return rest


def _weighed(
    found: Sequence[PrintingFound],
    unlinked: Sequence[Printing],
    validation: Validation,
) -> tuple[PrintingFound, ...]:
    """Weigh each printing by all of its units, beside the others of its product."""
    return tuple(
        replace(
            one,
            log10_lr=one.counts.log10_lr(beside(one.counts, unlinked, validation)),
        )
        for one in found
    )


def _triaged(
    units: Mapping[str, LotItem], of_unit: Mapping[str, str], share: Share
) -> tuple[Entry, ...]:
    exhibits = [
        Exhibit(str(one.position), _ratio(one), of_unit.get(key))
        for key, one in units.items()
        if one.finding
    ]
    # Not the estimate: at the average rates of the validation it may be near 1 where
    # hardly more is known than that there are some.
    middle = (share.low + share.high) / 2
    prior = min(max(middle, _LEAST_PRIOR), 1 - _LEAST_PRIOR)
    return triage(exhibits, prior=prior, most=_MOST_TRIAGED)

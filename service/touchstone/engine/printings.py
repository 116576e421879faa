"""The printings in a lot: which of its items come from one print source.

A bounded sample is split (`splits`); then every item goes to the centre that explains
it best. A lot of any size takes little more memory than its packed profiles.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from touchstone.engine.duels import SHOWN
from touchstone.engine.profile import Profile
from touchstone.engine.splits import LEAST_ITEMS, merged, placed, split
from touchstone.engine.typicality import Indices, Standard, Usual
from touchstone.errors import InvalidInputError

GENUINE = 0
UNASSIGNED = -1


@dataclass(frozen=True, slots=True)
class Printings:
    """Which printing each item is of."""

    labels: tuple[int, ...]
    """`GENUINE`, a printing from 1 on (the largest first), or `UNASSIGNED`."""
    exemplars: dict[int, int]
    """By label, the item that shows its printing most plainly."""


def printings(
    profiles: Sequence[Profile], log10_lrs: Sequence[float | None] | None = None
) -> Printings:
    """Group the items of one reference by their print source.

    Args:
        profiles: one for each item; kept packed, unpacked a few hundred at a time.
        log10_lrs: for each item its log10 likelihood ratio, positive for genuine, or
            None without one. They help to tell which group is the genuine one.

    Raises:
        InvalidInputError: profiles of different references, or not a ratio for each.
    """
    # To find print sources that are real, whoever came first, we must:
    #
    # 1. Put items in an order of their own.
    # 2. Learn on a sample, bounded in size, what is usual at each place.
    # 3. Split the sample while a shared difference leaves a gap.
    # 4. Settle the centres: each item of the sample to the one that explains it best.
    # 5. Say which of them is genuine.
    # 6. Assign every item, in blocks.
    told = [None] * len(profiles) if log10_lrs is None else log10_lrs
    if len(told) != len(profiles):
        raise InvalidInputError(
            f"There are {len(told)} ratios for {len(profiles)} items.",
            field="log10_lrs",
        )
    if len({one.cells for one in profiles}) > 1:
        raise InvalidInputError(
            "Items of different references cannot be of one printing; group them by "
            "reference first.",
            field="profiles",
        )
    if not profiles:
        return Printings((), {})
    ratios = np.array([np.nan if one is None else one for one in told], np.float64)
    order = np.array(_own_order(profiles), np.int64)
    sample = order[:_SAMPLE]
    usual = Usual.of([profiles[i] for i in sample])
    standard = usual.standardised([profiles[i] for i in sample])
    # Who is suspected may be the part that nothing else shows, as where half is.
    tree = split(standard, seen=[ratios[sample] < 0])
    found = placed(tree, standard).group
    into = merged(standard, found, _genuine(standard, found, ratios[sample]))
    found = into[found]
    genuine = _genuine(standard, found, ratios[sample])
    labels = np.full(len(profiles), UNASSIGNED, np.int64)
    plainness = np.zeros(len(profiles))
    for block in _blocks(order):
        places = placed(tree, usual.standardised([profiles[i] for i in block]))
        group = into[places.group]
        # Where no printing shows, none is claimed: that is where most items belong.
        is_told = (places.shown > SHOWN) & (places.margin > _DOUBT) | (group == genuine)
        labels[block] = np.where(is_told, group, UNASSIGNED)
        plainness[block] = places.margin * places.shown
    return _named(labels, plainness, order, genuine)


_SAMPLE = 1500
_BLOCK = 500


def _own_order(profiles: Sequence[Profile]) -> list[int]:
    """Return the items in the order of their digests: a draw that nobody chooses."""
    digests = [hashlib.sha256(one.packed).digest() for one in profiles]
    return sorted(range(len(profiles)), key=lambda i: digests[i])


def _blocks(order: Indices) -> Iterator[Indices]:
    for start in range(0, len(order), _BLOCK):
        yield order[start : start + _BLOCK]


# --- assigning ------------------------------------------------------------------------

_DOUBT = 0.08
"""Of the way from a border to a group's middle: nearer to it is not assigned."""


def _genuine(
    standard: Standard, labels: Indices, ratios: NDArray[np.float64]
) -> int | None:
    """Return the group that is genuine: least suspected of those that may be."""
    groups = [int(number) for number in np.unique(labels)]
    members = {number: labels == number for number in groups}
    peaks = {n: standard.suspected(standard.mean(members[n])) for n in groups}
    favoured = {n: _middle(ratios[members[n]]) for n in groups}
    may_be = [
        n
        for n in groups
        if peaks[n] < _USUAL_EDGE
        or favoured[n] > 0
        or members[n].sum() < LEAST_ITEMS  # of which no printing is claimed
    ]
    if not may_be:
        return None
    return min(may_be, key=lambda n: (-favoured[n], peaks[n]))


_USUAL_EDGE = 1.0


def _middle(ratios: NDArray[np.float64]) -> float:
    known = ratios[np.isfinite(ratios)]
    return float(np.median(known)) if known.size else 0.0


def _named(
    labels: Indices,
    plainness: NDArray[np.float64],
    order: Indices,
    genuine: int | None,
) -> Printings:
    """Number printings by size; without a genuine group all are printings."""
    found = [int(n) for n in np.unique(labels) if n not in (UNASSIGNED, genuine)]
    found.sort(key=lambda n: (-int((labels == n).sum()), n))
    names = {UNASSIGNED: UNASSIGNED}
    names |= {} if genuine is None else {genuine: GENUINE}
    names |= {old: new for new, old in enumerate(found, start=1)}
    exemplars = {
        new: int(order[np.where(labels == old, plainness, -np.inf)[order].argmax()])
        for old, new in names.items()
        if old != UNASSIGNED and (labels == old).any()
    }
    return Printings(
        tuple(names[int(n)] for n in labels), dict(sorted(exemplars.items()))
    )

"""The printings in a lot: which of its items come from one print source.

A bounded sample is split (`splits`); then every item goes to the centre that explains
it best. A lot of any size takes little more memory than its packed profiles.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from touchstone.engine.profile import Profile
from touchstone.engine.splits import (
    LEAST_ITEMS,
    SHOWN,
    Indices,
    Members,
    merged,
    split,
    telling,
)
from touchstone.engine.typicality import Numbers, Standard, Usual
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
    groups = merged(standard, split(standard))
    centres, found, means = _settled(standard, groups)
    genuine = _genuine(standard, means, found, ratios[sample])
    labels = np.full(len(profiles), UNASSIGNED, np.int64)
    plainness = np.zeros(len(profiles))
    for block in _blocks(order):
        part = usual.standardised([profiles[i] for i in block])
        nearest, nearer, shown = centres.nearest(part)
        # Where no printing shows, none is claimed: that is where most items belong.
        is_told = (shown > SHOWN) & (nearer > _DOUBT) | (nearest == genuine)
        labels[block] = np.where(is_told, nearest, UNASSIGNED)
        plainness[block] = np.minimum(nearer, 1) * shown
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

_SETTLING = 4
_DOUBT = 0.08
"""Of the way between two centres: nearer to the middle is not assigned."""


@dataclass(frozen=True, slots=True)
class _Centres:
    """What the items of each group share, where it differs from the first group."""

    aims: Numbers
    """(groups, numbers that tell)"""
    tells: Members
    """(numbers,): where any group differs from the first beyond the error of a mean."""
    reach: Numbers
    """(numbers that tell,): a place that strays further is hidden, or no print."""
    weights: Numbers
    """(numbers that tell,)"""

    @staticmethod
    def of(means: Numbers, sizes: Sequence[int], weights: Numbers) -> "_Centres":
        """Hold ``means`` to the first of them where they hardly differ from it."""
        least = [telling(size) for size in sizes]
        differs = np.abs(means - means[0]) > np.array(least)[:, None]
        tells = differs.any(axis=0)
        aims = np.where(differs, means, means[0])[:, tells].astype(np.float32)
        reach = 2 * np.abs(aims - aims[0]).max(axis=0) + 1
        return _Centres(aims, tells, np.asarray(reach, np.float32), weights[tells])

    def nearest(
        self, standard: Standard
    ) -> tuple[Indices, NDArray[np.float64], NDArray[np.float64]]:
        """Return each item's group, by how much it is nearer, and what of that shows.

        The second is 1 on the centre and 0 half way to the next, the third is 1 where
        all places show that tell the two apart.
        """
        items = np.arange(len(standard))
        if len(self.aims) == 1:
            return (
                np.zeros(len(standard), np.int64),
                np.ones(len(items)),
                np.ones(len(items)),
            )
        seen = standard.is_seen(self.tells) * self.weights
        values = np.clip(
            standard.values[:, self.tells],
            self.aims[0] - self.reach,
            self.aims[0] + self.reach,
        )
        far = np.stack(
            [(seen * (values - aim) ** 2).sum(axis=1) for aim in self.aims], axis=1
        )
        first, second = np.argsort(far, axis=1, kind="stable")[:, :2].T
        apart = ((self.aims[:, None] - self.aims[None]) ** 2)[first, second]
        shown = (seen * apart).sum(axis=1)
        nearer = (far[items, second] - far[items, first]) / np.maximum(shown, 1e-6)
        whole = np.maximum(apart @ self.weights, 1e-6)
        return first, nearer.astype(np.float64), shown / whole


def _settled(
    standard: Standard, groups: list[Indices]
) -> tuple[_Centres, Indices, Numbers]:
    """Assign the sample to the centres of its groups until nothing moves."""
    labels = np.zeros(len(standard), np.int64)
    for number, group in enumerate(groups):
        labels[group] = number
    for _ in range(_SETTLING):
        labels = np.unique(labels, return_inverse=True)[1]
        members = [labels == number for number in range(labels.max() + 1)]
        means = np.stack([standard.mean(one) for one in members])
        sizes = [int(one.sum()) for one in members]
        centres = _Centres.of(means, sizes, standard.weights)
        moved = centres.nearest(standard)[0]
        if np.array_equal(moved, labels):
            break
        labels = moved
    return centres, labels, means


def _genuine(
    standard: Standard, centres: Numbers, labels: Indices, ratios: NDArray[np.float64]
) -> int | None:
    """Return the group that is genuine: least suspected of those that may be."""
    peaks = [standard.suspected(centre) for centre in centres]
    favoured = [_middle(ratios[labels == number]) for number in range(len(centres))]
    may_be = [
        number
        for number in range(len(centres))
        if peaks[number] < _USUAL_EDGE
        or favoured[number] > 0
        or (labels == number).sum() < LEAST_ITEMS  # of which no printing is claimed
    ]
    if not may_be:
        return None
    return min(may_be, key=lambda number: (-favoured[number], peaks[number]))


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

"""Items of one reference, split wherever some share a way to differ that others lack.

What a photograph does is another in each, or comes by degrees; a print source is in an
item or is not. So a split must leave a gap, and hold for items that it was not learned
from.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from touchstone.engine.typicality import Numbers, Standard

Indices: TypeAlias = NDArray[np.int64]
Members: TypeAlias = NDArray[np.bool_]
"""(items,): whether each is one of them."""


LEAST_ITEMS = 5
"""Of one printing that can be found."""
_LEAST_SHARE = 0.01
_NEAR = 0.3
"""Cosine of what stands out in two items, beyond which they are neighbours."""
_STANDS_OUT = (1.5, 4.0)
"""In deviations: low finds prints that differ all over, high what differs in a spot."""
_SEEDS = 8
_ROUNDS = 8


def split(standard: Standard) -> list[Indices]:
    """Split items until no part of a group differs from the rest as a printing does."""
    waiting, done = [np.arange(len(standard))], []
    while waiting:
        group = waiting.pop()
        part = _printing_in(standard.of(group).beyond_their_own())
        if part is None:
            done.append(group)
        else:
            waiting += [group[part], group[~part]]
    return sorted(done, key=lambda group: (-len(group), int(group[0])))


def _printing_in(group: Standard) -> Members | None:
    """Find those of a group that are of another printing than the rest, if any."""
    least = max(LEAST_ITEMS, round(_LEAST_SHARE * len(group)))
    best, part, tried = _LEAST_EVIDENCE, None, set()
    if len(group) < 2 * least:
        return None
    for level in _STANDS_OUT:
        for seeds in _crowds(group.standing_out(level), least):
            settled = _refined(group, seeds, least)
            if settled is None or settled.tobytes() in tried:
                continue
            tried |= {settled.tobytes(), (~settled).tobytes()}
            evidence = _evidence(group, settled)
            if evidence > best:
                best, part = evidence, settled
    return part


def _crowds(outstanding: Numbers, least: int) -> Iterator[Members]:
    """Yield neighbourhoods in which items stand out alike, the densest first."""
    lengths = np.maximum(np.linalg.norm(outstanding, axis=1), 1e-6)
    unit = outstanding / lengths[:, None]
    alike = unit @ unit.T
    np.fill_diagonal(alike, 0)
    near = alike > _NEAR
    alike *= near
    is_open = np.ones(len(alike), bool)
    for _ in range(_SEEDS):
        densest = int(np.where(is_open, alike @ is_open, -1).argmax())
        crowd = near[densest] & is_open
        if crowd.sum() < least - 1:
            return
        crowd[densest] = True
        is_open &= ~crowd
        yield crowd


def _refined(group: Standard, members: Members, least: int) -> Members | None:
    """Let centres and members settle: who is nearer to the one than to the other."""
    for _ in range(_ROUNDS):
        if not least <= members.sum() <= len(members) - least:
            return None
        along, shown = _between(
            group, members, group.mean(~members), group.mean(members)
        )
        moved = (along > 0.5) & (shown > SHOWN)  # noqa: PLR2004 - half way
        if np.array_equal(moved, members):
            break
        members = moved
    is_two = least <= members.sum() <= len(members) - least
    return members if is_two else None


SHOWN = 0.2
"""Share of what tells two printings apart that an item must show to be of either."""


def telling(items: int) -> float:
    """Deviations beyond which two means of so many items tell them apart."""
    return float(max(_APART, _SURE / np.sqrt(max(1, items))))


_APART, _SURE = 1.0, 3.5


def _between(
    group: Standard, members: Members, here: Numbers, there: Numbers
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where each item lies from ``here`` (0) to ``there`` (1), and how much shows it.

    By the places alone where the two differ beyond the error of a mean of so few.
    """
    gap = there - here
    apart = np.abs(gap) > telling(int(members.sum()))
    if not apart.any():
        return np.zeros(len(group)), np.zeros(len(group))
    gap = gap[apart]
    weights = group.weights[apart] * gap * gap
    seen = group.is_seen(apart)
    reach = 2 * np.abs(gap) + 1  # a place that is hidden strays further than any print
    strays = np.clip(group.values[:, apart] - here[apart], -reach, reach)
    shown = seen @ weights
    along = (strays * seen) @ (weights / gap) / np.maximum(shown, 1e-6)
    return along, shown / weights.sum()


_LEAST_EVIDENCE = 12.0
_LEAST_GAP = 3.5
_MOST_BETWEEN = 0.35
_LEAST_SUSPECTED = 2.4
"""In deviations of half a unit: beyond the edge of what is usual."""
_PLAINLY = 1.5
_JUDGED = 0.25
_FEW = 3


def _evidence(group: Standard, members: Members) -> float:
    """Weigh a split: its gap in deviations by the root of how many it divides off.

    Each half of the items is judged by what was learned on the other. Zero where no gap
    is left there, or where the comparator suspects none of the places.
    """
    half = np.zeros(len(group), bool)
    for side in (members, ~members):
        half[np.flatnonzero(side)[1::2]] = True
    along, shown = np.zeros(len(group)), np.zeros(len(group))
    gaps = []
    for learned in (half, ~half):
        here, there = (group.mean(learned & side) for side in (~members, members))
        judged = _between(group, learned & members, here, there)
        along[~learned], shown[~learned] = (one[~learned] for one in judged)
        gaps.append(there - here)
    inside, outside = (along[side & (shown > _JUDGED)] for side in (members, ~members))
    if (
        min(len(inside), len(outside)) < _FEW
        or _suspected(group, gaps) < _LEAST_SUSPECTED
    ):
        return 0.0
    gap, between, lost = _divided(inside, outside)
    if gap < _LEAST_GAP or max(between, lost) > _MOST_BETWEEN:
        return 0.0
    fewer = min(len(inside), len(outside))
    return float(gap * np.sqrt(fewer) * (1 - between) * (1 - lost))


def _suspected(group: Standard, gaps: Sequence[Numbers]) -> float:
    """How far the few places stray that differ most, in both.

    Suspected by the comparator, or else plainly of another colour.
    """
    one, other = gaps
    shared = np.where(one * other > 0, np.minimum(np.abs(one), np.abs(other)), 0)
    suspected, *coloured = np.sort(shared.reshape(-1, group.cells))[:, -_FEW:].mean(
        axis=1
    )
    return max(float(suspected), float(max(coloured)) - _PLAINLY)


def _divided(
    inside: NDArray[np.float64], outside: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Gap in deviations; who lies midway, and on the wrong side, by the fewer."""
    top, bottom = float(np.median(inside)), float(np.median(outside))
    if top <= bottom:
        return 0.0, 1.0, 1.0
    spreads = [
        1.4826 * float(np.median(np.abs(one - middle))) + _LEAST_SPREAD
        for one, middle in ((inside, top), (outside, bottom))
    ]
    gap = (top - bottom) / float(np.sqrt(np.mean(np.square(spreads))))
    way = (np.concatenate([inside, outside]) - bottom) / (top - bottom)
    fewer = min(len(inside), len(outside))
    low, high = _MIDWAY
    between = ((way > low) & (way < high)).sum() / fewer
    half = 0.5
    wrong = (way[: len(inside)] < half).sum() + (way[len(inside) :] > half).sum()
    return gap, float(between), float(wrong / fewer)


_LEAST_SPREAD = 0.02
_MIDWAY = 0.4, 0.6


def merged(standard: Standard, groups: list[Indices]) -> list[Indices]:
    """Put together again what differs less from each other than from the first group.

    A print that hardly registers is laid over its reference in a few ways, which leave
    gaps as well.
    """
    groups = list(groups)
    while len(groups) > 2:  # noqa: PLR2004 - the first, and two to put together
        means = [standard.mean_of(group) for group in groups]
        alike = {
            (one, two): _likeness(standard, means, groups, one, two)
            for two in range(2, len(groups))
            for one in range(1, two)
        }
        one, two = min(alike, key=lambda pair: (alike[pair], pair))
        if alike[one, two] >= _OTHER:
            break
        groups[one] = np.sort(np.concatenate([groups[one], groups.pop(two)]))
    return groups


_OTHER = 0.5
"""Of the square of how far a printing lies from the first group."""


def _likeness(
    standard: Standard, means: list[Numbers], groups: list[Indices], one: int, two: int
) -> float:
    fewer = min(len(groups[one]), len(groups[two]))
    lengths = [
        float(standard.weights @ np.where(np.abs(gap) > telling(fewer), gap * gap, 0))
        for gap in (
            means[one] - means[two],
            means[one] - means[0],
            means[two] - means[0],
        )
    ]
    return lengths[0] / max(min(lengths[1:]), 1e-6)

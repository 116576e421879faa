"""Items of one reference, split wherever some share a way to differ that others lack.

What a photograph does is another in each, or comes by degrees; a print source is in an
item or is not. So a split must leave a gap, and hold for items that it was not learned
from (`gaps`). The splits are a tree, down which any item can be let.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from touchstone.engine.duels import HALF, Duel, Floats, border, telling
from touchstone.engine.gaps import Group, evidence_of
from touchstone.engine.typicality import Indices, Members, Numbers, Shared, Standard

LEAST_ITEMS = 5
"""Of one printing that can be found."""
_LEAST_SHARE = 0.01
_NEAR = 0.3
"""Cosine of what stands out in two items, beyond which they are neighbours."""
_STANDS_OUT = (1.5, 4.0)
"""In deviations: low finds prints that differ all over, high what differs in a spot."""
_SEEDS = 8
_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Split:
    """A group in two, each of which may be split again."""

    shared: Shared
    """Of the group, taken out before its items are told apart."""
    duel: Duel
    rest: "Split | None" = None
    part: "Split | None" = None
    """None is a group of its own."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where in a tree of splits items are; (items,) each."""

    group: Indices
    margin: Floats
    """By which the border of its part was passed: 0 on it, 1 as far as the middle."""
    shown: Floats
    """Share that shows of what tells there."""
    is_told: Members
    """Whether a part was found that each is of, and not only parts that it is not."""


def split(
    standard: Standard,
    items: Indices | None = None,
    seen: Sequence[Members] = (),
) -> Split | None:
    """Split items until no part of a group differs from the rest as a printing does.

    Args:
        standard: all items.
        items: those of the group; None is all.
        seen: parts that differed in a larger group, and may still: (of the group,).
    """
    group = np.arange(len(standard)) if items is None else items
    found = _found_in(standard.of(group), seen)
    if found is None:
        return None
    rest, part = (
        split(standard, group[side], [other[side] for other in found.others])
        for side in (~found.members, found.members)
    )
    return Split(found.shared, found.duel, rest, part)


def placed(tree: Split | None, standard: Standard) -> Places:
    """Let items down a tree; groups are numbered from 0, the rest of all first."""
    items = len(standard)
    if tree is None:
        whole = np.ones(items)
        return Places(np.zeros(items, np.int64), whole, whole, whole < 1)
    lies = tree.duel.lies(tree.shared.taken_from(standard))
    is_there = lies.is_there(tree.duel.line)
    group = np.zeros(items, np.int64)
    margin = np.minimum(np.abs(lies.along - tree.duel.line) / HALF, 1)
    shown, is_told = lies.shown.copy(), is_there.copy()
    first = 0
    for branch, side in ((tree.rest, ~is_there), (tree.part, is_there)):
        below = placed(branch, standard.of(np.flatnonzero(side)))
        group[side] = first + below.group
        # Who is found to be of a part is so whatever else it was hardly told not to be.
        for own, inner in ((margin, below.margin), (shown, below.shown)):
            least = np.minimum(own[side], inner)
            own[side] = np.where(below.is_told, inner, least)
        is_told[side] |= below.is_told
        first += _groups(branch)
    return Places(group, margin, shown, is_told)


def _groups(tree: Split | None) -> int:
    return 1 if tree is None else _groups(tree.rest) + _groups(tree.part)


# --- one split ------------------------------------------------------------------------


class _Found(NamedTuple):
    """Those of a group that are of another printing than the rest."""

    members: Members
    shared: Shared
    duel: Duel
    others: list[Members]
    """Other parts that differ."""


def _found_in(items: Standard, seen: Sequence[Members]) -> _Found | None:
    least = max(LEAST_ITEMS, round(_LEAST_SHARE * len(items)))
    if len(items) < 2 * least:
        return None
    shared = Shared.of(items)
    group = Group.of(shared.taken_from(items), items)
    parts: list[tuple[float, Members]] = []
    tried: set[bytes] = set()
    for one in (*seen, *_settled(group, least)):
        if one.tobytes() in tried or not _is_two(one, least):
            continue
        tried |= {one.tobytes(), (~one).tobytes()}
        evidence, part = evidence_of(group, one)
        if evidence > 0:
            parts.append((evidence, part))
    best, found = 0.0, None
    for evidence, part in parts:
        duel, agreement = _told_by(group, part)
        if evidence * agreement > best:
            best, found = evidence * agreement, (part, duel)
    if found is None:
        return None
    part, duel = found
    return _Found(part, shared, duel, [one for _, one in parts if one is not part])


def _told_by(group: Group, part: Members) -> tuple[Duel, float]:
    """Learn what tells a part, and how far that finds again those it is made of."""
    duel = group.learned(part, ~part)
    lies = duel.lies(group.items)
    duel = replace(duel, line=border(lies.along[part], lies.along[~part]))
    missed = np.count_nonzero(lies.is_there(duel.line) != part)
    fewer = min(np.count_nonzero(part), np.count_nonzero(~part))
    return duel, 1 - missed / fewer


def _settled(group: Group, least: int) -> Iterator[Members]:
    for level in _STANDS_OUT:
        for seeds in _crowds(group.items.standing_out(level), least):
            settled = _refined(group, seeds, least)
            if settled is not None:
                yield settled


def _is_two(members: Members, least: int) -> bool:
    return bool(least <= members.sum() <= len(members) - least)


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


def _refined(group: Group, members: Members, least: int) -> Members | None:
    """Let centres and members settle: who is nearer to the one than to the other."""
    for _ in range(_ROUNDS):
        if not _is_two(members, least):
            return None
        moved = group.learned(members, ~members).lies(group.items).is_there(HALF)
        if np.array_equal(moved, members):
            break
        members = moved
    return members if _is_two(members, least) else None


# --- groups that are one after all ----------------------------------------------------


def merged(standard: Standard, groups: Indices, genuine: int | None = None) -> Indices:
    """Put together again what differs less from each other than from genuine items.

    A print that hardly registers is laid over its reference in a few ways, which leave
    gaps as well.

    Args:
        standard: the items that groups were learned from.
        groups: (items,), numbered from 0.
        genuine: that of genuine items, which nothing is put into; the largest stands
            for it where none is.

    Returns:
        The new number of each.
    """
    into = np.arange(groups.max() + 1)
    while True:
        left = [int(n) for n in np.unique(into)]
        members = {n: np.isin(groups, np.flatnonzero(into == n)) for n in left}
        left.sort(key=lambda n: (n != genuine, -int(members[n].sum()), n))
        if len(left) <= 2:  # noqa: PLR2004 - the first, and two to put together
            return into
        means = {n: standard.mean(members[n]) for n in left}
        alike = {
            (one, two): _likeness(
                standard.weights,
                (means[left[0]], means[one], means[two]),
                min(int(members[one].sum()), int(members[two].sum())),
            )
            for place, two in enumerate(left[2:], 2)
            for one in left[1:place]
        }
        one, two = min(alike, key=lambda pair: (alike[pair], pair))
        if alike[one, two] >= _OTHER:
            return into
        into[into == two] = one


_OTHER = 0.8
"""Of the square of how far a printing lies from genuine items."""


def _likeness(
    weights: Numbers, means: tuple[Numbers, Numbers, Numbers], fewer: int
) -> float:
    first, one, two = means
    lengths = [
        float(weights @ np.where(np.abs(gap) > telling(fewer), gap * gap, 0))
        for gap in (one - two, one - first, two - first)
    ]
    return lengths[0] / max(min(lengths[1:]), 1e-6)

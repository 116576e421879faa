"""Whether some items of a group differ from the rest as a print source does.

Each part is judged by what was learned on others. What photographs do comes by degrees
and leaves no gap; what the comparator suspects in one genuine photo and not in the next
leaves one, but not in the colours.
"""

from dataclasses import dataclass

import numpy as np

from touchstone.engine.duels import HALF, Duel, Floats, border, inward
from touchstone.engine.typicality import Indices, Members, Numbers, Standard, mean_of

_HELD = np.float32(2)
"""Deviations to which an item is held where it is one of many that may be mixed."""


@dataclass(frozen=True, slots=True)
class _Side:
    """Items, and the sums of them all."""

    items: Standard
    values: Numbers
    seen: Numbers

    @staticmethod
    def of(items: Standard) -> "_Side":
        return _Side(items, *items.sums(np.ones(len(items), bool)))

    def mean(self, members: Members) -> Numbers:
        """As `Standard.mean`; of many, from those that are left out."""
        if 2 * np.count_nonzero(members) <= len(members):
            return self.items.mean(members)
        values, seen = self.items.sums(~members)
        return mean_of(self.values - values, self.seen - seen)


@dataclass(frozen=True, slots=True)
class Group:
    """Items to tell apart, without what all of them share."""

    items: Standard
    whole: Standard
    """The same with it: of what half of them show, a half is shared by all."""
    _own: _Side
    _held: _Side
    """The same, each number held near to none: a few that stray far weigh little."""

    @staticmethod
    def of(items: Standard, whole: Standard) -> "Group":
        """Keep both."""
        held = np.clip(items.values, -_HELD, _HELD)
        near = Standard(held, items.seen, items.spread, items.middle)
        return Group(items, whole, _Side.of(items), _Side.of(near))

    def __len__(self) -> int:
        return len(self.items)

    def learned(self, inside: Members, outside: Members) -> Duel:
        """Learn what tells some items from others, which may be of a few printings."""
        sizes = [int(np.count_nonzero(one)) for one in (inside, outside)]
        many = self._held if sizes[1] > sizes[0] else self._own
        here, there = many.mean(outside), self._own.mean(inside)
        return Duel.between(self.items, here, there, sizes[0])


_LEAST_GAP = 2.5
_LEAST_DIFFERING = 1.65
_PLAINLY_DIFFERING = 3.0
"""In deviations of half a unit or more, times the share of items off the border. No
part of a genuine lot of the simulator reached the first with both witnesses, nor the
second with one."""
_PLAINLY = 1.5
_JUDGED = 0.25
_FEW = 3
_CUTS = 3
_FOLDS = 4
_WITNESSED = 0.92
"""Chance that of an item of each side the right one lies further (area under ROC)."""


def evidence_of(group: Group, members: Members) -> tuple[float, Members]:
    """Weigh a split: its gap in deviations by the root of how many it divides off.

    Each quarter of the items is judged by what was learned on the rest. Zero where no
    gap is left there, or where not both witnesses tell the two apart: what the
    comparator suspects, which is all or nothing at some places of a genuine print, and
    the colours.

    Returns:
        The evidence, and who is on the further side of the gap.
    """
    judged = _judged(group, members)
    told = judged.shown > _JUDGED
    cut = members
    for _ in range(_CUTS):
        if min(np.count_nonzero(told & cut), np.count_nonzero(told & ~cut)) < _FEW:
            return 0.0, members
        line = border(judged.along[told & cut], judged.along[told & ~cut])
        cut = told & (judged.along > line)
    sides = told & cut, told & ~cut
    fewer = min(np.count_nonzero(side) for side in sides)
    if fewer < _FEW:
        return 0.0, members
    gap, astray = _divided(*(judged.along[side] for side in sides))
    astray += int(np.count_nonzero(members & told & ~cut))
    # Two more astray than were seen: few items leave a gap by chance.
    free = 1 - (astray + 2) / fewer
    differs = _differing(group, members) * free
    is_seen = differs > _PLAINLY_DIFFERING or (
        differs > _LEAST_DIFFERING
        and all(
            _chance(one, sides) > _WITNESSED
            for one in (judged.suspected, judged.coloured)
        )
    )
    if gap < _LEAST_GAP or not is_seen:
        return 0.0, members
    return float(gap * np.sqrt(fewer) * (1 - astray / fewer)), cut


@dataclass(frozen=True, slots=True)
class _Judged:
    """Items as judged by what was learned on others; (items,) each."""

    along: Floats
    shown: Floats
    suspected: Floats
    """As `along`, by the comparator alone."""
    coloured: Floats
    """By the colours alone."""


def _folds(members: Members) -> Indices:
    fold = np.zeros(len(members), np.int64)
    for side in (members, ~members):
        fold[side] = np.arange(np.count_nonzero(side)) % _FOLDS
    return fold


def _judged(group: Group, members: Members) -> _Judged:
    fold = _folds(members)
    along, shown, suspected, coloured = np.zeros((4, len(group)))
    is_colour = np.arange(group.items.values.shape[1]) >= group.items.cells
    for number in range(_FOLDS):
        held = fold == number
        duel = group.learned(~held & members, ~held & ~members)
        some = group.items.of(np.flatnonzero(held))
        lies = duel.lies(some)
        along[held], shown[held] = lies.along, lies.shown
        suspected[held] = duel.only(~is_colour).lies(some).along
        coloured[held] = duel.only(is_colour).lies(some).along
    return _Judged(along, shown, suspected, coloured)


def _differing(group: Group, members: Members) -> float:
    """How far the few places stray that differ most, in either half of the items.

    Suspected by the comparator, or else plainly of another colour.
    """
    half = _folds(members) % 2 == 0
    one, other = (
        _gap(group.whole, some & members, some & ~members) for some in (half, ~half)
    )
    shared = np.where(one * other > 0, np.minimum(np.abs(one), np.abs(other)), 0)
    places = np.sort(shared.reshape(-1, group.items.cells))[:, -_FEW:]
    suspected, *coloured = places.mean(axis=1)
    return max(float(suspected), float(max(coloured)) - _PLAINLY)


def _gap(items: Standard, inside: Members, outside: Members) -> Numbers:
    fewer = int(min(np.count_nonzero(inside), np.count_nonzero(outside)))
    here, there = items.mean(outside), items.mean(inside)
    return Duel.between(items, here, there, fewer).whole()


def _chance(along: Floats, sides: tuple[Members, Members]) -> float:
    """Area under the curve: a half where nothing is told (Mann and Whitney, 1947)."""
    inside, outside = along[sides[0]], np.sort(along[sides[1]])
    below = np.searchsorted(outside, inside, "left")
    up_to = np.searchsorted(outside, inside, "right")
    return float((below + up_to).mean() / 2 / len(outside))


def _divided(inside: Floats, outside: Floats) -> tuple[float, int]:
    """Gap in deviations towards each other; how many lie about the border or beyond."""
    top, bottom, into, out_of = inward(inside, outside)
    if top <= bottom:
        return 0.0, len(inside) + len(outside)
    line = border(inside, outside)
    way = np.interp(
        np.concatenate([inside, outside]), [bottom, line, top], [0.0, HALF, 1.0]
    )
    astray = (way > _MIDWAY[0]) & (way < _MIDWAY[1])
    wrong = (way < HALF) == (np.arange(len(way)) < len(inside))
    return 2 * (top - bottom) / (into + out_of), int(astray.sum() + wrong.sum())


_MIDWAY = 0.25, 0.75

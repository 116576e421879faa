"""Two printings at a time: which of both an item is of.

What tells two printings apart is another for each two of them; and a printing that few
places tell strays more than one that many do. So each two have places of their own, and
a border where both stray equally far.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from touchstone.engine.typicality import Members, Numbers, Standard

Floats = NDArray[np.float64]

SHOWN = 0.2
"""Share of what tells two printings apart that an item must show to be of either."""
HALF = 0.5
_APART, _SURE = 1.0, 3.5
_LEAST_SPREAD = 0.02
_BORDERS = 0.2, 0.6
"""Of the way between both middles: tails are longer than tenths of them tell."""
ALIKE = 0.35


def telling(items: int) -> float:
    """Deviations beyond which two means of so many items tell them apart."""
    return float(max(_APART, _SURE / np.sqrt(max(1, items))))


@dataclass(frozen=True, slots=True)
class Lies:
    """Where items lie between two groups; (items,) each."""

    along: Floats
    """From here (0) to there (1)."""
    shown: Floats
    """Share of what tells the two apart that an item shows."""
    alike: Floats
    """Cosine of how it strays from here with how there does."""

    def is_there(self, line: float) -> Members:
        """Beyond the line, and the way that those there are."""
        return (self.along > line) & (self.shown > SHOWN) & (self.alike > ALIKE)


@dataclass(frozen=True, slots=True)
class Duel:
    """How two groups are told apart."""

    here: Numbers
    """(places,)"""
    gap: Numbers
    """(places,): from here to there."""
    places: Members
    """(numbers,): where the two differ beyond the error of a mean."""
    weights: Numbers
    """(places,)"""
    line: float = HALF
    """Of the way from here to there: beyond it, items are there."""

    @staticmethod
    def between(
        standard: Standard, here: Numbers, there: Numbers, fewer: int
    ) -> "Duel":
        """Learn from the means of two groups, of ``fewer`` items the smaller."""
        gap = there - here
        places = np.abs(gap) > telling(fewer)
        return Duel(here[places], gap[places], places, standard.weights[places])

    def whole(self) -> Numbers:
        """(numbers,): the gap; 0 where it tells nothing."""
        gap = np.zeros(len(self.places), np.float32)
        gap[self.places] = self.gap
        return gap

    def only(self, numbers: Members) -> "Duel":
        """Tell by these of all numbers alone."""
        kept = numbers[self.places]
        return Duel(
            self.here[kept],
            self.gap[kept],
            self.places & numbers,
            self.weights[kept],
            self.line,
        )

    def lies(self, standard: Standard) -> Lies:
        """Where items lie, by the places alone where the two differ."""
        nothing = np.zeros(len(standard))
        if not self.gap.size:
            return Lies(nothing, nothing, nothing)
        weights = self.weights * self.gap * self.gap
        seen = standard.is_seen(self.places)
        # A place that is hidden strays further than any print.
        reach = 2 * np.abs(self.gap) + 1
        strays = np.clip(standard.values[:, self.places] - self.here, -reach, reach)
        strays *= seen
        shown = seen @ weights
        toward = strays @ (weights / self.gap)
        length = np.sqrt(np.square(strays) @ self.weights * shown)
        alike = toward / np.maximum(length, 1e-6)
        return Lies(
            np.asarray(toward / np.maximum(shown, 1e-6) * np.abs(alike), np.float64),
            np.asarray(shown / weights.sum(), np.float64),
            np.asarray(alike, np.float64),
        )


def border(inside: Floats, outside: Floats) -> float:
    """Return where both sides stray equally far, each in its own deviations."""
    if not len(inside) or not len(outside):
        return HALF
    top, bottom, into, out_of = inward(inside, outside)
    way = np.clip(out_of / (into + out_of), *_BORDERS)
    return float(bottom + way * (top - bottom))


def inward(inside: Floats, outside: Floats) -> tuple[float, float, float, float]:
    """Middles of both sides, and how far each strays towards the other."""
    low, top = np.quantile(inside, [0.1, 0.5])
    bottom, high = np.quantile(outside, [0.5, 0.9])
    into, out_of = (
        float(one) / _TENTH + _LEAST_SPREAD for one in (top - low, high - bottom)
    )
    return float(top), float(bottom), into, out_of


_TENTH = 1.2816
"""Deviations from the middle beyond which a tenth lies."""

"""Which exhibits go to the laboratory first: those that tell most of the lot.

A laboratory's answer on one exhibit speaks for its whole printing. What is to be
learned is the number of counterfeits among the examined items; each exhibit is worth
what its answer is expected to take off the variance of that number. Items of a printing
count as nearly exchangeable (beta-binomial): the first answer settles most, further
ones check that the printing is of one nature.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from touchstone.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One examined item, as far as triage needs it."""

    item: str
    log10_lr: float | None
    """Of genuine against counterfeit; None if abstained."""
    printing: str | None = None
    """Label of its print source; None if it is linked to no other item."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One exhibit of the list for the laboratory."""

    rank: int
    """1 is the first."""
    item: str
    value: float
    """Expected fall of the variance of the number of counterfeits, in units squared."""
    uncertainty: float
    """What is then left: standard deviation of that number, in units."""
    reason: str


def triage(
    exhibits: Sequence[Exhibit], *, prior: float, most: int | None = None
) -> tuple[Entry, ...]:
    """Return the exhibits in the order in which they tell most of the lot.

    Within a printing, values only fall, so that taking the greatest each time gives the
    best list of every length. Equal values keep the order of ``exhibits``; the most
    suspect item of a printing goes first, items without an answer last.

    Args:
        exhibits: all examined items.
        prior: share of counterfeits before the findings, more than 0 and less than 1.
        most: entries wanted; None for all.

    Raises:
        InvalidInputError: the prior is out of range, an item is there twice, or a log10
            likelihood ratio is no number.
    """
    _check(exhibits, prior)
    groups = _groups(exhibits, prior)
    variance = sum(group.variance(0) for group in groups)
    queue = [(-group.value(1), place, 1) for place, group in enumerate(groups)]
    heapq.heapify(queue)
    wanted = len(exhibits) if most is None else min(most, len(exhibits))
    entries: list[Entry] = []
    while len(entries) < wanted:
        value, place, number = heapq.heappop(queue)
        group = groups[place]
        variance = max(0.0, variance + value)
        entries.append(
            Entry(
                len(entries) + 1,
                group.items[number - 1],
                -value,
                math.sqrt(variance),
                group.reason(number),
            )
        )
        if number < len(group.items):
            heapq.heappush(queue, (-group.value(number + 1), place, number + 1))
    return tuple(entries)


@dataclass(frozen=True, slots=True)
class _Group:
    """A printing, or an item that is linked to none."""

    label: str | None
    items: tuple[str, ...]
    probability: float
    """That it is counterfeit."""

    def variance(self, answered: int) -> float:
        """Expected variance of its number of counterfeits after so many answers.

        Beta-binomial with _PRIOR_ITEMS of prior weight (law of total variance).
        """
        left = len(self.items) - answered
        known = _PRIOR_ITEMS + answered
        within = _PRIOR_ITEMS / (_PRIOR_ITEMS + 1)
        spread = self.probability * (1.0 - self.probability) * within
        return left * spread * (known + left) / known

    def value(self, number: int) -> float:
        """Return what the answer on the exhibit of this number takes off."""
        return self.variance(number - 1) - self.variance(number)

    def reason(self, number: int) -> str:
        """Say why, in a sentence for an officer."""
        percent = f"{min(99, max(1, round(100 * self.probability)))} %"
        if len(self.items) == 1:
            return f"It is linked to no other item, and {percent} likely counterfeit."
        name = f"the {len(self.items)} items of printing {self.label}"
        if number == 1:
            return f"It stands for {name}, which is {percent} likely counterfeit."
        return f"It checks that {name} are of one nature (exhibit {number} of them)."


_LIKENESS = 0.9
"""Correlation of the natures of two items of a printing: links are mostly right."""
_PRIOR_ITEMS = (1.0 - _LIKENESS) / _LIKENESS
_SHARED = 0.5
"""Correlation of what two items of a printing say: much of it is of the print, not of
the photo. A judgement; see `homogeneity.py` on why they are not simply added."""
_MOST_LOG10_ODDS = 6.0


def _groups(exhibits: Sequence[Exhibit], prior: float) -> list[_Group]:
    members: dict[tuple[str | None, int], list[Exhibit]] = {}
    for place, one in enumerate(exhibits):
        key = (None, place) if one.printing is None else (one.printing, -1)
        members.setdefault(key, []).append(one)
    return [
        _Group(
            label,
            tuple(one.item for one in sorted(group, key=_suspicion)),
            _probability(group, prior),
        )
        for (label, _), group in members.items()
    ]


def _suspicion(one: Exhibit) -> float:
    return math.inf if one.log10_lr is None else one.log10_lr


def _probability(group: Sequence[Exhibit], prior: float) -> float:
    """Return the probability that a printing is counterfeit.

    The sum of its items' evidence, divided by the design effect of Kish (Survey
    Sampling, 1965) for findings that are not independent.
    """
    said = [one.log10_lr for one in group if one.log10_lr is not None]
    evidence = sum(said) / (1.0 + _SHARED * max(0, len(said) - 1))
    log10_odds = math.log10(prior / (1.0 - prior)) - evidence
    bounded = min(_MOST_LOG10_ODDS, max(-_MOST_LOG10_ODDS, log10_odds))
    return 1.0 / (1.0 + math.pow(10.0, -bounded))


def _check(exhibits: Sequence[Exhibit], prior: float) -> None:
    if not 0.0 < prior < 1.0:
        raise InvalidInputError(
            "The prior must be more than 0 and less than 1.", field="prior"
        )
    if len({one.item for one in exhibits}) < len(exhibits):
        raise InvalidInputError("An item is there twice.", field="exhibits")
    if any(one.log10_lr is not None and math.isnan(one.log10_lr) for one in exhibits):
        raise InvalidInputError("A log10 LR is no number.", field="exhibits")

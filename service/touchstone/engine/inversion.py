"""Which shares of counterfeits in a population a count of calls does not refute.

A share is refuted if it would give as many calls or more (or: as many or fewer) with
too small a chance. In that chance the rates of the test are integrated over what is
known of them, exactly: calls among genuine and among counterfeit units are
beta-binomial.

Counterfeits may be called more often than any of the validation: as many of them in
the sample as there are calls explain these at any rate. So calls never prove more
than they would if the test did not err, and some share is always left.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from touchstone.engine.chances import (
    Beta,
    Chances,
    Counts,
    binomial,
    hypergeometric,
)
from touchstone.engine.sampling import MOST_UNITS


@dataclass(frozen=True, slots=True)
class Sample:
    """What a count of calls tells of its own sample: chances by counterfeits in it.

    Each is (size + 1,), for 0, 1, … counterfeits among the units of the sample.
    """

    at_most: Chances
    """Of no more calls than there were, if no genuine unit is called: some products
    give fewer false calls than the validation, and no other rate makes few calls
    likelier. Counterfeits may be of a kind that the test cannot see."""
    fewer: Chances
    """Of fewer calls, with both rates as validated."""
    calls: int
    """How many there were."""
    population: int | None
    """Units from which it was drawn; None for one without end, or nearly so."""

    @property
    def size(self) -> int:
        """Units in the sample."""
        return len(self.at_most) - 1

    @property
    def explained(self) -> float:
        """Greatest chance of as many calls or more, by any number of counterfeits.

        If it is small, the rates of the validation are not those of these units.
        """
        return 1.0 - float(self.fewer.min())

    def chances(self, share: float) -> tuple[float, float]:
        """Return both chances at a share of the population.

        That of fewer calls is at the rates of the validation or better ones.
        """
        if self.population is None:
            least, drawn = 0, binomial(self.size, share)
        else:
            marked = round(share * self.population)
            least = max(0, self.size - (self.population - marked))
            numbers = np.arange(least, min(self.size, marked) + 1)
            drawn = hypergeometric(self.population, marked, self.size, numbers)
        # Counterfeits enough to be all of the calls explain them, at whatever rate.
        short = drawn[: max(0, self.calls - least)]
        return (
            float(drawn @ self.at_most[least : least + len(drawn)]),
            float(short @ self.fewer[least : least + len(short)]),
        )


def called_by_test(
    calls: int,
    size: int,
    population: int | None,
    *,
    false_call: Beta,
    sensitivity: Beta,
    blind: float,
) -> Sample:
    """Return what ``calls`` among ``size`` units tell, by a test with such rates.

    Args:
        calls: units called inconsistent.
        size: units answered.
        population: units from which they were drawn; None for one without end.
        false_call: rate of calls among genuine units.
        sensitivity: rate of calls among counterfeits.
        blind: chance that the counterfeits are of a kind that is never called.
    """
    knots = _spread(size, _KNOTS)
    rows = np.empty((len(knots), 2))
    for row, counterfeits in zip(rows, knots.tolist(), strict=True):
        # However many of the calls were true, the others were false.
        true = sensitivity.counts(counterfeits, calls)
        false = false_call.counts(size - counterfeits, calls)[:calls]
        below = np.cumsum(np.concatenate([false, np.zeros(calls - len(false))]))
        unseen = blind + (1.0 - blind) * float(true.sum())
        # Fewer than `calls` in all: with t true ones, at most calls - 1 - t false ones.
        seen = true[:calls]
        row[:] = unseen, seen @ below[calls - 1 - np.arange(len(seen))]
    everything = np.arange(size + 1)
    at_most, fewer = (
        np.interp(everything, knots, np.clip(column, 0.0, 1.0)) for column in rows.T
    )
    # No more counterfeits than calls: surely no more true calls, between knots too.
    at_most[: calls + 1] = 1.0
    return Sample(at_most, fewer, calls, _countable(population))


def counted(counterfeits: int, size: int, population: int | None) -> Sample:
    """Return what a sample tells that holds so many counterfeits beyond doubt."""
    numbers = np.arange(size + 1)
    return Sample(
        np.asarray(numbers <= counterfeits, np.float64),
        np.asarray(numbers < counterfeits, np.float64),
        counterfeits,
        _countable(population),
    )


def _countable(population: int | None) -> int | None:
    """Return it, or None for so many that to count them costs more than it tells.

    Tables would be as long as the lot. Drawn from one without end, a sample of it tells
    slightly less, not more.
    """
    return None if population is None or population > MOST_UNITS else population


_KNOTS = 400
"""Numbers of counterfeits at which a larger sample is worked out; between them,
lines."""


def _spread(most: int, count: int) -> Counts:
    """Whole numbers from 0 to ``most``, dense at both ends."""
    angles = np.linspace(0.0, math.pi / 2, count + 1)
    places = np.round(most * np.sin(angles) ** 2).astype(np.int64)
    return np.arange(most + 1) if most <= count else np.unique(places)


@dataclass(frozen=True, slots=True)
class Curve:
    """The chances of a sample's calls over the shares that its lot may have."""

    sample: Sample
    shares: Chances = field(repr=False)
    """Ascending, from 0 to 1."""
    at_most: Chances = field(repr=False)
    fewer: Chances = field(repr=False)

    @staticmethod
    def of(sample: Sample) -> "Curve":
        """Work out the curve of a sample."""
        if sample.population is None:
            shares = np.sin(np.linspace(0.0, math.pi / 2, _SHARES + 1)) ** 2
        else:
            shares = _spread(sample.population, _SHARES) / sample.population
        rows = np.array([sample.chances(share) for share in shares.tolist()])
        return Curve(sample, shares, rows[:, 0], rows[:, 1])

    def not_refuted(self, tail: float) -> tuple[float, float]:
        """Return the least and most share that keep a chance over ``tail`` each way.

        Between the outermost shares that keep it, all are taken in, as a test that
        calls some counterfeits less often than genuine units makes gaps there.
        """
        least = np.flatnonzero(1.0 - self.fewer > tail)
        most = np.flatnonzero(self.at_most > tail)
        # Never empty: none of the lot explains few calls, all of it explains many.
        first, last = int(least[0]), int(most[-1])
        low, high = float(self.shares[first]), float(self.shares[last])
        if first > 0:
            low = self._edge(low, float(self.shares[first - 1]), tail)
        if last + 1 < len(self.shares):
            high = self._edge(high, float(self.shares[last + 1]), tail)
        return low, high

    def _edge(self, kept: float, refuted: float, tail: float) -> float:
        """Halve the gap between a kept and a refuted share; return one that is kept."""
        is_low = refuted < kept
        units = self.sample.population
        for _ in range(_HALVINGS):
            middle = (kept + refuted) / 2
            if units is not None:
                middle = round(middle * units) / units
            if middle in (kept, refuted):
                break
            at_most, fewer = self.sample.chances(middle)
            if (1.0 - fewer if is_low else at_most) > tail:
                kept = middle
            else:
                refuted = middle
        return kept


_SHARES = 200
_HALVINGS = 20

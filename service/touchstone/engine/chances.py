"""Distributions of counts, exact: binomial, hypergeometric, beta-binomial."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

_MOST_MEAN = 0.9
_LEAST_KNOWN = 0.25
"""Units that are as good as seen."""

Counts: TypeAlias = NDArray[np.int64]
Chances: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Beta:
    """What is known of a rate: as if ``a`` calls and ``b`` others had been seen."""

    a: float
    b: float

    @property
    def mean(self) -> float:
        """Expected rate."""
        return self.a / (self.a + self.b)

    def after(self, called: int, trials: int) -> "Beta":
        """Return what is known of it once so many of further trials were called."""
        return Beta(self.a + called, self.b + trials - called)

    def times(self, factor: float) -> "Beta":
        """Return what is known of so many times the rate, 1 or more.

        Mean and spread are as many times larger; of a rate that may then be all or
        nothing, hardly anything is known.
        """
        if factor == 1.0:
            return self
        mean = min(factor * self.mean, _MOST_MEAN)
        variance = self.mean * (1 - self.mean) / (self.a + self.b + 1) * factor**2
        concentration = max(mean * (1 - mean) / variance - 1, _LEAST_KNOWN)
        return Beta(mean * concentration, (1 - mean) * concentration)

    def counts(self, trials: int, most: int | None = None) -> Chances:
        """Return the probability of 0, 1, … calls, the rate unknown.

        As many as can be called, and no more than ``most``.
        """
        called = np.arange(trials + 1 if most is None else min(trials, most) + 1)
        logs = log_choose(trials, called) + self.log_sequence(called, trials - called)
        return np.asarray(np.exp(logs), np.float64)

    def log_sequence(self, called: Counts, others: Counts) -> Chances:
        """Return the log probability of one sequence with so many calls and others."""
        rising = _log_rising(self.a, int(np.max(called, initial=0)))[called]
        falling = _log_rising(self.b, int(np.max(others, initial=0)))[others]
        total = _log_rising(self.a + self.b, int(np.max(called + others, initial=0)))
        return np.asarray(rising + falling - total[called + others], np.float64)


def log_choose(total: int, taken: Counts) -> Chances:
    """Return the log of the number of ways to take so many of ``total``."""
    table = _log_rising(1.0, total)
    return np.asarray(table[total] - table[taken] - table[total - taken], np.float64)


def hypergeometric(population: int, marked: int, sample: int, drawn: Counts) -> Chances:
    """Return P(``drawn`` marked units in the sample); each number must be possible."""
    logs = (
        log_choose(marked, drawn)
        + log_choose(population - marked, sample - drawn)
        - log_choose(population, np.array([sample]))
    )
    return np.asarray(np.exp(logs), np.float64)


def binomial(trials: int, rate: float) -> Chances:
    """Return (trials + 1,): the probability of 0, 1, … at a known rate."""
    chances = np.zeros(trials + 1)
    if rate <= 0.0 or rate >= 1.0:
        chances[0 if rate <= 0.0 else trials] = 1.0
        return chances
    called = np.arange(trials + 1)
    logs = called * math.log(rate) + (trials - called) * math.log1p(-rate)
    return np.asarray(np.exp(logs + log_choose(trials, called)), np.float64)


def _log_rising(start: float, count: int) -> Chances:
    """(>= count + 1,): log of start (start + 1) … to 0, 1, … factors."""
    return _table(start, 1 << max(8, count.bit_length()))


@lru_cache(maxsize=32)
def _table(start: float, count: int) -> Chances:
    # Powers of two, so that lots of all sizes share a few tables.
    table = np.concatenate([[0.0], np.cumsum(np.log(start + np.arange(count)))])
    table.setflags(write=False)
    return table

"""What a score is worth: areas, error rates, costs, and how sure each of them is.

Scores are *suspicions*: the higher, the more a photo looks like a counterfeit.
Intervals come from a bootstrap over products: photos of one product are no independent
news.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from touchstone_training.calibration import cllr
from touchstone_training.ranking import auroc

Array: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
Rows: TypeAlias = NDArray[np.intp]

DRAWS = 300
"""Resamples of a bootstrap: the ends of a 95 % interval rest on seven of them each."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Error rates at every threshold, from flagging nothing to flagging all."""

    false_alarms: Array
    """(n,) share of genuine photos that are flagged, ascending."""
    found: Array
    """(n,) share of counterfeits that are flagged, ascending."""

    @property
    def missed(self) -> Array:
        """(n,) share of counterfeits that are not flagged, descending."""
        return 1 - self.found


def curve(suspicion: Array, is_fake: Mask) -> Curve:
    """Return the ROC of scores; equal scores are flagged together.

    Args:
        suspicion: (n,).
        is_fake: (n,), with at least one of either.
    """
    order = np.argsort(-suspicion, kind="stable")
    ranked, fake = suspicion[order], is_fake[order]
    last = np.append(ranked[1:] != ranked[:-1], True)
    found = np.cumsum(fake)[last] / fake.sum()
    false_alarms = np.cumsum(~fake)[last] / (~fake).sum()
    return Curve(np.append(0.0, false_alarms), np.append(0.0, found))


def equal_error_rate(suspicion: Array, is_fake: Mask) -> float:
    """Return where as many are missed as falsely flagged, between thresholds by line.

    NaN when there is none of either.
    """
    if is_fake.all() or not is_fake.any():
        return math.nan
    one = curve(suspicion, is_fake)
    gap = one.false_alarms - one.missed  # ascending from -1 to 1
    after = int(np.argmax(gap >= 0))
    low, high = gap[after - 1], gap[after]
    share = -low / (high - low)
    ends = one.false_alarms[after - 1], one.false_alarms[after]
    return float(ends[0] + share * (ends[1] - ends[0]))


def found_at(suspicion: Array, is_fake: Mask, *, false_alarms: float) -> float:
    """Return the share of counterfeits found at no more than this rate of false alarms.

    NaN when there is none of either.
    """
    genuine = np.sort(suspicion[~is_fake])[::-1]
    if not len(genuine) or not is_fake.any():
        return math.nan
    spared = genuine[math.floor(false_alarms * len(genuine) + 1e-9)]
    return float((suspicion[is_fake] > spared).mean())


def supports(genuine: int, *, false_alarms: float) -> bool:
    """Tell whether so many genuine photos can show so low a rate of false alarms."""
    return genuine * false_alarms >= 1 - 1e-9


def area(suspicion: Array, is_fake: Mask) -> float:
    """Return the area under the ROC; NaN when there is none of either."""
    return auroc(suspicion[is_fake], suspicion[~is_fake])


def cost(log10_lr: Array, is_fake: Mask) -> float:
    """Return Cllr (Bruemmer and du Preez, 2006); NaN when there is none of either."""
    if is_fake.all() or not is_fake.any():
        return math.nan
    return cllr(log10_lr[~is_fake], log10_lr[is_fake])


def least_cost(log10_lr: Array, is_fake: Mask) -> float:
    """Return Cllr after the best monotone recalibration: what of it is lost in ranking.

    Pool adjacent violators, both sides weighing the same; NaN when there is none.
    """
    if is_fake.all() or not is_fake.any():
        return math.nan
    weights = np.where(is_fake, 0.5 / is_fake.sum(), 0.5 / (~is_fake).sum())
    order = np.argsort(log10_lr, kind="stable")
    # Equal ratios cannot be told apart: they are one block from the start.
    starts = np.flatnonzero(np.append(True, np.diff(log10_lr[order]) != 0))
    total = np.add.reduceat(weights[order], starts)
    genuine = np.add.reduceat(np.where(is_fake, 0.0, weights)[order], starts)
    bits = 0.0
    for all_, true in _pooled(total, genuine):
        for part in (true, all_ - true):
            if part > 1e-12:  # noqa: PLR2004 (rounding; none of a class costs nothing)
                bits -= part * math.log2(part / all_)
    return float(bits)


def _pooled(total: Array, genuine: Array) -> list[tuple[float, float]]:
    """Merge neighbours until the share of the genuine never falls."""
    blocks: list[tuple[float, float]] = []
    for block in zip(total.tolist(), genuine.tolist(), strict=True):
        blocks.append(block)
        while len(blocks) > 1 and (
            blocks[-2][1] * blocks[-1][0] >= blocks[-1][1] * blocks[-2][0]
        ):
            (a, b), (c, d) = blocks[-2:]
            blocks[-2:] = [(a + c, b + d)]
    return blocks


# --- how sure -------------------------------------------------------------------------


_LEAST_PRODUCTS = 3


def resamples(
    groups: Sequence[str], *, seed: int = 0, draws: int = DRAWS
) -> list[Rows]:
    """Draw products with replacement, ``draws`` times; return the rows of each draw.

    None of fewer than three products: they say nothing of how others would differ.
    """
    rng = np.random.default_rng(seed)
    names, numbers = np.unique(np.array(groups, dtype=str), return_inverse=True)
    if len(names) < _LEAST_PRODUCTS:
        return []
    rows_of = [np.flatnonzero(numbers == n) for n in range(len(names))]
    return [
        np.concatenate([rows_of[n] for n in rng.integers(0, len(names), len(names))])
        for _ in range(draws)
    ]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval; NaN where nothing could be measured."""

    value: float
    low: float
    high: float

    def document(self) -> dict[str, object]:
        """Return it for a report."""
        return {
            "value": round(self.value, 4),
            "interval95": [round(self.low, 4), round(self.high, 4)],
        }


def estimate(
    statistic: Callable[[Array, Mask], float],
    scores: Array,
    is_fake: Mask,
    draws: Sequence[Rows],
) -> Estimate:
    """Return ``statistic`` of (scores, is_fake), with its percentile interval."""
    if not len(scores):
        return Estimate(math.nan, math.nan, math.nan)
    drawn = np.array([statistic(scores[rows], is_fake[rows]) for rows in draws])
    known = drawn[np.isfinite(drawn)]
    low, high = (
        np.quantile(known, (0.025, 0.975)).tolist() if len(known) else (math.nan,) * 2
    )
    return Estimate(statistic(scores, is_fake), low, high)


_Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval (Wilson, 1927)."""

    hits: int
    total: int

    @property
    def value(self) -> float:
        """The share itself; NaN of nothing."""
        return self.hits / self.total if self.total else math.nan

    def interval(self) -> tuple[float, float]:
        """Return the ends of the Wilson interval."""
        if not self.total:
            return math.nan, math.nan
        n, p = self.total, self.value
        middle = (p + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
        half = (
            _Z95
            / (1 + _Z95**2 / n)
            * math.sqrt(p * (1 - p) / n + _Z95**2 / (4 * n * n))
        )
        return max(0.0, middle - half), min(1.0, middle + half)


Flag: TypeAlias = tuple[str, bool]
"""Product, and whether something holds of a photo of it."""


def share_document(
    flags: Sequence[Flag], *, seed: int = 0, draws: int = DRAWS
) -> dict[str, object]:
    """Count flags, for a report, with the 95 % interval of their share.

    By a bootstrap over products; where all or none hold, which no resample could
    doubt, Wilson's for as many products as there are.
    """
    share = Share(sum(holds for _, holds in flags), len(flags))
    names, numbers = np.unique([name for name, _ in flags], return_inverse=True)
    if 0 < share.hits < share.total:
        rng = np.random.default_rng(seed)
        rows = rng.integers(0, len(names), (draws, len(names)))
        held = np.array([holds for _, holds in flags], np.float64)
        hits = np.bincount(numbers, held)[rows].sum(axis=1)
        drawn = hits / np.bincount(numbers)[rows].sum(axis=1)
        low, high = np.quantile(drawn, (0.025, 0.975)).tolist()
    else:
        low, high = Share(len(names) if share.hits else 0, len(names)).interval()
    return {
        "hits": share.hits,
        "total": share.total,
        "share": round(share.value, 4),
        "interval95": [round(low, 4), round(high, 4)],
    }


# --- calibration ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bin:
    """Photos that were told about the same probability of being counterfeit."""

    told: float
    """Mean probability that was told, at equal prior odds."""
    observed: float
    """Share of them that was counterfeit, had there been as many of both."""
    low: float
    """Lower end of the 95 % interval of ``observed``."""
    high: float
    photos: int


def reliability(log10_lr: Array, is_fake: Mask, *, bins: int = 8) -> list[Bin]:
    """Compare told probabilities of H2 with how often it was so, at equal priors.

    The interval of each bin is Wilson's on its photos, carried over to equal priors.
    """
    told = 1 / (1 + 10.0**log10_lr)
    odds = float(is_fake.sum() / max(1, (~is_fake).sum()))
    number = np.clip((told * bins).astype(int), 0, bins - 1)
    found = []
    for n in np.unique(number).tolist():
        inside = number == n
        share = Share(int(is_fake[inside].sum()), int(inside.sum()))
        observed, low, high = (
            _at_equal_priors(one, odds) for one in (share.value, *share.interval())
        )
        told_here = float(told[inside].mean())
        found.append(Bin(told_here, observed, low, high, share.total))
    return found


def _at_equal_priors(share: float, odds: float) -> float:
    """Return what ``share`` would be, had there been as many of both."""
    return share / (share + (1 - share) * odds) if share else 0.0

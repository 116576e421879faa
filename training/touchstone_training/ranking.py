"""How well one number tells two kinds apart, and groups agree with kinds."""

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def auroc(positive: NDArray[Any], negative: NDArray[Any]) -> float:
    """Area under the ROC: how often a positive exceeds a negative, ties counted half.

    NaN when there is none of either.
    """
    if not len(positive) or not len(negative):
        return math.nan
    order = np.sort(negative)
    below = np.searchsorted(order, positive, side="left")
    upto = np.searchsorted(order, positive, side="right")
    return float((below + upto).mean() / (2 * len(negative)))


def adjusted_rand_index(true: Sequence[Hashable], found: Sequence[Hashable]) -> float:
    """How well two groupings of the same items agree: 1 wholly, 0 as by chance.

    Hubert and Arabie, Journal of Classification 2 (1985).
    """
    rows, columns = (
        {name: n for n, name in enumerate(dict.fromkeys(one))} for one in (true, found)
    )
    table = np.zeros((len(rows), len(columns)))
    for one, other in zip(true, found, strict=True):
        table[rows[one], columns[other]] += 1
    pairs, by_row, by_column, every = (
        float((counts * (counts - 1) / 2).sum())
        for counts in (table, table.sum(1), table.sum(0), np.array(len(true)))
    )
    by_chance = by_row * by_column / max(every, 1.0)
    most = (by_row + by_column) / 2
    return 1.0 if most == by_chance else (pairs - by_chance) / (most - by_chance)

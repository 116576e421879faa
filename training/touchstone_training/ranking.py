"""How well one number tells two kinds apart."""

import math
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

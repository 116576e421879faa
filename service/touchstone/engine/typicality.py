"""What is usual at each place of a print, over the items of a lot.

A place that strays in many genuine photos (an edge, foil, a fold) says little when it
strays in one more. Profiles become numbers in units of what strays there usually.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.profile import PLANES, Profile

Numbers: TypeAlias = NDArray[np.float32]
Indices: TypeAlias = NDArray[np.int64]
Members: TypeAlias = NDArray[np.bool_]
"""(items,): whether each is one of them."""

_COLOURS = PLANES - 2
_KINDS = PLANES - 1
"""Kinds of numbers of a place: deviation, lightness, redness, yellowness."""
_LEAST = np.array([0.5, 2.0, 1.0, 1.0], np.float32)[:, None]
"""Least spread of each kind: units of the usual, and levels."""
_WEIGHTS = np.array([0.1, 0.5, 0.25, 0.25], np.float32)
"""Neighbouring colours stray together, so that each tells less."""
_MOST = np.float32(8)
_TO_DEVIATION = np.float32(1.4826)
_NEARLY = np.float32(1e-3)
_LIGHT_CELLS = 6.0
"""What varies slower than that is light, or the bend of a bottle."""


def rows_of(seen: NDArray[np.bool_]) -> Numbers:
    """Whether each number counts, from whether its cell was seen: (..., numbers)."""
    return np.tile(seen, (*[1] * (seen.ndim - 1), _KINDS)).astype(np.float32)


def mean_of(values: Numbers, seen: Numbers) -> Numbers:
    """(numbers,): mean of sums, held to the usual as by one item more that is so."""
    return np.asarray(values / (np.tile(seen, _KINDS) + 1), np.float32)


@dataclass(frozen=True, slots=True)
class Standard:
    """Items in deviations from what is usual; 0 where nothing was seen."""

    values: Numbers
    """(items, kinds * cells)"""
    seen: NDArray[np.bool_]
    """(items, cells)"""
    spread: Numbers
    """(cells,) of the deviation plane, in units of the usual."""
    middle: Numbers
    """(cells,) of the deviation plane, in units of the usual."""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def cells(self) -> int:
        """How many there are."""
        return int(self.seen.shape[1])

    @property
    def weights(self) -> Numbers:
        """How much each number tells: (kinds * cells,)."""
        return np.repeat(_WEIGHTS, self.cells)

    def of(self, items: NDArray[np.int64]) -> "Standard":
        """Return some of the items."""
        return Standard(self.values[items], self.seen[items], self.spread, self.middle)

    def is_seen(self, numbers: NDArray[np.bool_]) -> Numbers:
        """(items, chosen numbers): 1 where seen."""
        places = np.flatnonzero(numbers) % self.cells
        return self.seen[:, places].astype(np.float32)

    def sums(self, items: Members) -> tuple[Numbers, Numbers]:
        """Sum of some items over what was seen of each place, and how many saw it."""
        rows = np.flatnonzero(items)
        each = np.ones(len(rows), np.float32)
        return each @ self.values[rows], each @ self.seen[rows].astype(np.float32)

    def mean(self, items: Members) -> Numbers:
        """Mean of some items over what was seen of each place, held to the usual."""
        return mean_of(*self.sums(items))

    def suspected(self, centre: Numbers) -> float:
        """Most that the comparator suspects of a centre, in units of the usual."""
        raw = centre[: self.cells] * self.spread + self.middle
        return float(np.sort(raw)[-3:].mean())

    def standing_out(self, level: float) -> Numbers:
        """What strays beyond ``level`` deviations from the middle, weighted."""
        strays = np.clip(self.values - _middle(self.values), -_MOST, _MOST)
        beyond = np.sign(strays) * np.maximum(np.abs(strays) - np.float32(level), 0)
        return np.asarray(
            beyond * rows_of(self.seen) * np.sqrt(self.weights), np.float32
        )


@dataclass(frozen=True, slots=True)
class Shared:
    """What all items of a group share: no printing tells itself by it."""

    mean: Numbers
    """(numbers,)"""
    middle: Numbers
    """(numbers,): what is left of it, as plainly as each item shows the rest."""

    @staticmethod
    def of(group: Standard) -> "Shared":
        """Learn it."""
        mean = group.mean(np.ones(len(group), bool))
        nothing = np.zeros_like(mean)
        left = Shared(mean, nothing).taken_from(group)
        return Shared(mean, _middle(left.values))

    def taken_from(self, items: Standard) -> Standard:
        """Take it out of each item, as strongly as that shows it.

        A sharp photo shows the same print more plainly than a soft one: that is no
        other printing.
        """
        values = items.values.copy()
        for part in (slice(0, items.cells), slice(items.cells, None)):
            strong = np.zeros(len(self.mean), bool)
            strong[part] = np.abs(self.mean[part]) > 1
            if np.count_nonzero(strong) < _FEW:
                continue
            squares = items.weights[strong] * self.mean[strong]
            along = items.values[:, strong] @ squares
            length = items.is_seen(strong) @ (squares * self.mean[strong])
            plainness = np.clip((along + _PRIOR) / (length + _PRIOR), *_PLAINNESS)
            values[:, part] -= plainness[:, None] * self.mean[part]
        values -= self.middle
        values *= rows_of(items.seen)
        return Standard(values, items.seen, items.spread, items.middle)


_FEW = 3
_PLAINNESS = 0.6, 1.4
"""By which photos differ. More, and a print source of half of the items, which half of
what is shared is of, would be taken out whole."""
_PRIOR = np.float32(30)
"""Squared deviations of what is shared that speak as loud as that all show it alike."""


@dataclass(frozen=True, slots=True)
class Usual:
    """Middle and spread of every number over many items: (kinds, cells)."""

    middle: Numbers
    spread: Numbers

    @staticmethod
    def of(profiles: Sequence[Profile]) -> "Usual":
        """Learn it robustly, so that fewer than half may be forged alike."""
        numbers, seen = _numbers(profiles)
        counts = np.count_nonzero(seen, axis=0)
        middle = np.stack([_median(numbers[:, k], seen, counts) for k in range(_KINDS)])
        strays = np.abs(numbers - middle)
        spread = np.stack([_median(strays[:, k], seen, counts) for k in range(_KINDS)])
        return Usual(middle, np.maximum(spread * _TO_DEVIATION, _LEAST))

    def standardised(self, profiles: Sequence[Profile]) -> Standard:
        """Express profiles in units of it, each in its own noise where that is more."""
        numbers, seen = _numbers(profiles)
        numbers = (numbers - self.middle) / self.spread
        for item, is_seen in zip(numbers, seen, strict=True):
            if is_seen.any():
                own = np.abs(item[1:][:, is_seen])
                noise = np.median(own, axis=1) * _TO_DEVIATION
                item[1:] /= np.maximum(noise, 1)[:, None]
        numbers *= seen[:, None]
        values = np.clip(numbers, -_MOST, _MOST).reshape(len(numbers), -1)
        return Standard(
            np.asarray(values, np.float32), seen, self.spread[0], self.middle[0]
        )


def _numbers(
    profiles: Sequence[Profile],
) -> tuple[Numbers, NDArray[np.bool_]]:
    """(items, kinds, cells) without slow light, and (items, cells) what was seen."""
    rows, columns = profiles[0].cells
    numbers = np.empty((len(profiles), _KINDS, rows * columns), np.float32)
    seen = np.empty((len(profiles), rows * columns), bool)
    for number, profile in enumerate(profiles):
        planes = profile.planes()
        is_seen = (planes[-1] > 0).astype(np.float32)
        below = np.maximum(cv2.GaussianBlur(is_seen, (0, 0), _LIGHT_CELLS), _NEARLY)
        colours = np.ascontiguousarray(planes[1:-1].transpose(1, 2, 0))
        slow = cv2.GaussianBlur(colours, (0, 0), _LIGHT_CELLS) / below[..., None]
        planes[1:-1] = (colours - slow).transpose(2, 0, 1) * is_seen
        numbers[number] = planes[:-1].reshape(_KINDS, -1)
        seen[number] = is_seen.ravel() > 0
    return numbers, seen


def _middle(values: Numbers) -> Numbers:
    """(numbers,): lower median of (items, numbers).

    Between the two middle values there may be nothing: where half of the items are of
    one print source, and half of another.
    """
    # Float32 in rows sort fast.
    ranked = np.sort(np.ascontiguousarray(values.T), axis=1)
    return ranked[:, (len(values) - 1) // 2]


def _median(
    values: Numbers, seen: NDArray[np.bool_], counts: NDArray[np.int64]
) -> Numbers:
    """(cells,): lower median of (items, cells) over those seen; 0 where none was."""
    ranked = np.sort(np.where(seen, values, np.inf), axis=0)
    middle = ranked[np.maximum(counts - 1, 0) // 2, np.arange(values.shape[1])]
    return np.asarray(np.where(counts > 0, middle, 0), np.float32)

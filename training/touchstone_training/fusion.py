"""How measurements are weighed: logistic sums, and a mixture of them for counterfeits.

Logistic regression by Newton's method with a small ridge (Hastie, Tibshirani and
Friedman, 4.4.1), both sides weighted equally, so that the odds are a likelihood ratio
(Morrison, 2013). Terms whose direction is known may only count in that direction: more
deviation never helps.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from touchstone.engine.policy import EDGE
from touchstone.engine.spectra import BANDS
from touchstone.errors import InvalidInputError
from touchstone_training.measuring import GENUINE, Row

_Array = NDArray[np.float64]

_LOG_OFFSET = 0.05
_RIDGE = 3.0
_WAY_RIDGE = 10.0
"""Of each way there are few examples: the prior that a term says nothing is strong."""
_NEWTON_ROUNDS = 30
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class TermChoice:
    """A measurement that may enter a sum."""

    name: str
    is_log: bool = False
    direction: int = 0
    """+1: may only raise the log odds, -1: only lower them, 0: either."""
    is_held: bool = False
    """Whether it says no more beyond what nine in ten of the fitted rows have: cameras
    that no simulator knows lie there, and no print should pay for them."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted sum, as it is written to the policy."""

    choices: tuple[TermChoice, ...]
    limits: _Array
    """(2, terms): below the least and above the most each says no more."""
    mean: _Array
    std: _Array
    weights: _Array
    bias: float

    def logits(self, rows: Sequence[Mapping[str, float]]) -> _Array:
        """Return the log odds of ``rows``, (n,)."""
        held = np.clip(_matrix(rows, self.choices), *self.limits)
        x = np.clip((held - self.mean) / self.std, -EDGE, EDGE)
        return np.asarray(x @ self.weights + self.bias, np.float64)

    def document(self) -> dict[str, Any]:
        """Return it in the form of ``calibration.json``."""
        terms = [
            {
                "name": choice.name,
                "is_log": choice.is_log,
                "offset": _LOG_OFFSET if choice.is_log else 0.0,
                **self._limits_of(n),
                "mean": round(float(self.mean[n]), 6),
                "std": round(float(self.std[n]), 6),
                "weight": round(float(self.weights[n]), 6),
            }
            for n, choice in enumerate(self.choices)
        ]
        return {"terms": terms, "bias": round(self.bias, 6)}

    def _limits_of(self, number: int) -> dict[str, float]:
        least, most = (float(limit) for limit in self.limits[:, number])
        if not math.isfinite(most - least):
            return {}
        return {"least": round(least, 6), "most": round(most, 6)}


_USUAL = (0.05, 0.95)


def _limits(raw: _Array, choices: Sequence[TermChoice]) -> _Array:
    """Return (2, terms): the least and most usual of what is held to them."""
    limits = np.repeat([[-np.inf], [np.inf]], len(choices), axis=1)
    held = [choice.is_held for choice in choices]
    limits[:, held] = np.quantile(raw[:, held], _USUAL, axis=0)
    return np.asarray(limits, np.float64)


def _reach(deviations: _Array) -> _Array:
    """Return how far each column of (rows, terms) goes, all but a few rows.

    A measurement that is 0 on nearly every print has a small spread: the edge beyond
    which it says no more must not lie among those that it is there to tell.
    """
    reached = np.quantile(np.abs(deviations), _NEARLY_ALL, axis=0)
    return np.asarray(np.maximum(reached, 1e-3 * EDGE), np.float64)


_NEARLY_ALL = 0.998


def _matrix(
    rows: Sequence[Mapping[str, float]], choices: Sequence[TermChoice]
) -> _Array:
    columns = []
    for choice in choices:
        if any(choice.name not in row for row in rows):
            raise InvalidInputError(
                f"A row tells nothing of {choice.name}: measure anew, as it was made "
                "by another version."
            )
        values = np.array([row[choice.name] for row in rows], np.float64)
        if choice.is_log:
            values = np.log(np.maximum(values + _LOG_OFFSET, 1e-6))
        columns.append(values)
    return np.column_stack(columns)


def fit(
    rows: Sequence[Mapping[str, float]],
    is_positive: NDArray[np.bool_],
    choices: Sequence[TermChoice],
    *,
    ridge: float = _RIDGE,
) -> Fit:
    """Fit log odds of ``is_positive`` at equal priors, directions respected."""
    kept = list(range(len(choices)))
    raw = _matrix(rows, choices)
    limits = _limits(raw, choices)
    raw = np.clip(raw, *limits)
    mean = raw.mean(axis=0)
    std = np.maximum(raw.std(axis=0), _reach(raw - mean) / EDGE)
    x = np.clip((raw - mean) / std, -EDGE, EDGE)
    # Drop the worst term that counts against its direction, and fit again.
    while True:
        weights, bias = _logistic(x[:, kept], is_positive, ridge)
        wrong = [
            (abs(weights[n]), column)
            for n, column in enumerate(kept)
            if choices[column].direction * weights[n] < 0
        ]
        if not wrong:
            break
        kept.remove(max(wrong)[1])
    return Fit(
        tuple(choices[column] for column in kept),
        limits[:, kept],
        mean[kept],
        std[kept],
        weights,
        bias,
    )


def _logistic(
    x: _Array, is_positive: NDArray[np.bool_], ridge: float
) -> tuple[_Array, float]:
    design = np.column_stack([x, np.ones(len(x))])
    balance = np.where(
        is_positive, 0.5 / is_positive.mean(), 0.5 / (~is_positive).mean()
    )
    penalty = np.diag([ridge] * x.shape[1] + [1e-6])
    beta = np.zeros(design.shape[1])
    for _ in range(_NEWTON_ROUNDS):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        gradient = design.T @ (balance * (is_positive - p)) - penalty @ beta
        curvature = design.T @ (design * (balance * p * (1 - p))[:, None]) + penalty
        step = np.linalg.solve(curvature, gradient)
        beta += step
        if np.abs(step).max() < 1e-8:  # noqa: PLR2004 (converged)
            break
    return beta[:-1], float(beta[-1])


# --- another process, in one of several ways ------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """A way to make another print, and what may tell it from genuine ones."""

    name: str
    kinds: frozenset[str]
    """Of simulated counterfeits; none means all that no other way has."""
    terms: tuple[TermChoice, ...]
    most_log10_lr: float = math.inf
    """See `touchstone.engine.policy.Expert`."""

    def limit(self) -> dict[str, float]:
        """Return the limit as ``calibration.json`` has it, where there is one."""
        is_limited = math.isfinite(self.most_log10_lr)
        return {"most_log10_lr": self.most_log10_lr} if is_limited else {}


_PHOTO = tuple(
    TermChoice(name, is_held=True)
    for name in ("resolution", "sharpness", "inlier_residual", "compared_fraction")
)
"""How well the photo could show anything at all."""


def _told(*names: str) -> tuple[TermChoice, ...]:
    """What the comparator says."""
    return tuple(TermChoice(f"learned_{name}", direction=1) for name in names)


_NO_ACCUSATION = 0.32
"""Log10 of the highest likelihood ratio for what a photo can do by itself: coloured
light, noise and want of focus make any print look tinted, grainy and soft, and from
very near the screen of a genuine one may be seen. Two each, six for all together."""
_COLOUR = TermChoice("colour_top", is_log=True, direction=1)

WAYS = (
    Way(
        "place",
        frozenset(),
        (
            *_told("peak", "top", "place", "whole"),
            *_PHOTO,
        ),
    ),
    Way(
        "cast",
        frozenset({"cast"}),
        (
            TermChoice("warm_cast", direction=1),
            TermChoice("green_cast", direction=1),
            _COLOUR,
            *_told("cast"),
        ),
        most_log10_lr=_NO_ACCUSATION,
    ),
    Way(
        "proportion",
        frozenset({"aspect"}),
        (
            TermChoice("aspect_gap", is_log=True, direction=1),
            TermChoice("outline_gap", is_log=True, direction=1),
            *_PHOTO,
        ),
    ),
    Way(
        "screen",
        frozenset({"halftone", "inkjet"}),
        (
            TermChoice("grain", direction=1),
            TermChoice("dots", direction=1),
            *_told("screen", "whole"),
            _COLOUR,
            *_PHOTO,
        ),
        most_log10_lr=_NO_ACCUSATION,
    ),
    Way(
        "softness",
        frozenset({"rescan"}),
        (
            # Of either sign: a copy keeps the coarse and lacks the fine, and is told by
            # how steeply it falls between, as no lens does.
            *(
                TermChoice(f"{kind}_{band}")
                for kind in ("transfer", "power")
                for band in BANDS
            ),
            TermChoice("resolution", is_log=True, is_held=True),
            *_told("softness"),
        ),
        most_log10_lr=_NO_ACCUSATION,
    ),
)
"""Another process is told by what its way leaves: a reprint has another screen, a copy
another tint, a rescan has no more detail than was scanned. One sum over all of them
would dilute each by what says nothing of it. Photos of every phone and size lack detail
too: what of it, and where, tells a copy (see `spectra`), not how much."""

MOST_BY_PHOTO = math.log10(
    sum(10**way.most_log10_lr for way in WAYS if math.isfinite(way.most_log10_lr))
)
"""Log10 of the highest likelihood ratio that such ways speak for together: what accuses
must lie beyond it."""


@dataclass(frozen=True, slots=True)
class FusionFit:
    """A fitted mixture, as it is written to the policy."""

    ways: tuple[tuple[Way, float, Fit], ...]
    """Each with its share of the counterfeits, and its sum."""

    def logits(self, rows: Sequence[Mapping[str, float]]) -> _Array:
        """Return the log odds of H2 of ``rows``, (n,), see `policy.Mixture`."""
        parts = [
            np.minimum(
                math.log(share) + one.logits(rows), way.most_log10_lr * math.log(10)
            )
            for way, share, one in self.ways
        ]
        return np.asarray(np.logaddexp.reduce(parts, axis=0), np.float64)

    def document(self) -> dict[str, Any]:
        """Return it in the form of ``calibration.json``."""
        return {
            "experts": [
                {
                    "name": way.name,
                    "share": round(share, 6),
                    **way.limit(),
                    **one.document(),
                }
                for way, share, one in self.ways
            ]
        }


def fit_fusion(rows: Sequence[Row]) -> FusionFit:
    """Fit each way to make another print against the genuine photos of ``rows``."""
    kinds = np.array([row.kind for row in rows])
    of_others = frozenset().union(*(way.kinds for way in WAYS))
    is_fake = kinds != GENUINE
    ways = []
    for way in WAYS:
        is_of_it = np.isin(kinds, list(way.kinds or of_others)) & is_fake
        if not way.kinds:
            is_of_it = is_fake & ~is_of_it
        if not is_of_it.any():
            continue
        chosen = np.flatnonzero(is_of_it | ~is_fake).tolist()
        fitted = fit(
            [rows[n].measurements for n in chosen],
            is_fake[chosen],
            way.terms,
            ridge=_WAY_RIDGE,
        )
        ways.append((way, float(is_of_it.sum() / is_fake.sum()), fitted))
    return FusionFit(tuple(ways))


def out_of_fold(rows: Sequence[Row]) -> _Array:
    """Return the log odds of H2 of each row, by fits that never saw its product."""
    fold = np.array([hash_fold(row.product) for row in rows])
    logits = np.zeros(len(rows))
    for number in range(_FOLDS):
        held = np.flatnonzero(fold == number).tolist()
        if not held:
            continue
        trained_on = np.flatnonzero(fold != number).tolist()
        fitted = fit_fusion([rows[n] for n in trained_on])
        logits[held] = fitted.logits([rows[n].measurements for n in held])
    return logits


def hash_fold(product: int) -> int:
    """Spread products over the folds, whatever their numbering."""
    return (product * 2654435761 >> 8) % _FOLDS

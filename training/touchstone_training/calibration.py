"""Measurements to a policy: fit the logistic sums, set thresholds, write it all down.

Two logistic regressions, by Newton's method with a small ridge (Hastie, Tibshirani
and Friedman, 4.4.1): whether a registered candidate is the product in the photo, and
whether the print was made by another process. The second is fitted with both sides
weighted equally, so that its odds are a likelihood ratio (Morrison, 2013). Terms whose
direction is known may only count in that direction: more deviation never helps.

The likelihood ratio is capped by the rule of three: n samples without error support a
ratio of about n / 3 and no more. Thresholds are quantiles of held-back designs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from touchstone.engine.channels import CHANNELS
from touchstone_training.measuring import GENUINE, Row

_Array = NDArray[np.float64]

_LOG_OFFSET = 0.05
_RIDGE = 3.0
_NEWTON_ROUNDS = 30
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class TermChoice:
    """A measurement that may enter a sum."""

    name: str
    is_log: bool = False
    direction: int = 0
    """+1: may only raise the log odds, -1: only lower them, 0: either."""


FUSION_TERMS = (
    *(TermChoice(f"learned_{kind}", direction=1) for kind in ("peak", "top", "whole")),
    *(
        TermChoice(f"{channel}_{kind}", is_log=True, direction=1)
        for channel in CHANNELS
        for kind in ("peak", "top")
    ),
    TermChoice("cast", direction=1),
    TermChoice("aspect_gap", is_log=True, direction=1),
    TermChoice("grain"),
    TermChoice("blur_px"),
    TermChoice("resolution"),
    TermChoice("glare_fraction"),
    TermChoice("compared_fraction"),
    TermChoice("sharpness"),
    TermChoice("inlier_residual"),
)

IDENTIFICATION_TERMS = (
    TermChoice("similarity", direction=1),
    TermChoice("log_inliers", direction=1),
    TermChoice("coverage", direction=1),
    TermChoice("agreement", direction=1),
    TermChoice("chroma_gap", direction=-1),
    TermChoice("is_sift"),
)

QUALITY_LIMITS: dict[str, tuple[float, float]] = {
    # Below these a careful examiner would ask for another photo; checked against the
    # simulated photos of every difficulty, on which errors grow fast beyond them.
    "resolution": (0.55, 1e9),
    "compared_fraction": (0.6, 1.0),
    "blur_px": (-1e9, 2.5),
    "glare_fraction": (0.0, 0.35),
    "washed_fraction": (0.0, 0.005),
    "dark_fraction": (0.0, 0.7),
    "agreement": (0.35, 1.0),
}
PHOTO_LIMITS: dict[str, tuple[float, float]] = {
    "photo_side_px": (160.0, 1e9),
    "photo_sharpness": (0.12, 1e9),
    "photo_contrast": (0.10, 1e9),
    "photo_dark": (0.0, 0.85),
    "photo_glare": (0.0, 0.85),
}

BANDS = (
    (1.0, "limited"),
    (2.0, "moderate"),
    (3.0, "moderately strong"),
    (4.0, "strong"),
    (6.0, "very strong"),
    (1e9, "extremely strong"),
)
"""Verbal equivalents of |log10 LR|: ENFSI guideline for evaluative reporting (2015)."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted sum, as it is written to the policy."""

    choices: tuple[TermChoice, ...]
    mean: _Array
    std: _Array
    weights: _Array
    bias: float

    def logits(self, rows: Sequence[Mapping[str, float]]) -> _Array:
        """Return the log odds of ``rows``, (n,)."""
        x = np.clip((_matrix(rows, self.choices) - self.mean) / self.std, -4, 4)
        return np.asarray(x @ self.weights + self.bias, np.float64)

    def document(self) -> dict[str, Any]:
        """Return it in the form of ``calibration.json``."""
        terms = [
            {
                "name": choice.name,
                "is_log": choice.is_log,
                "offset": _LOG_OFFSET if choice.is_log else 0.0,
                "mean": round(float(self.mean[n]), 6),
                "std": round(float(self.std[n]), 6),
                "weight": round(float(self.weights[n]), 6),
            }
            for n, choice in enumerate(self.choices)
        ]
        return {"terms": terms, "bias": round(self.bias, 6)}


def _matrix(
    rows: Sequence[Mapping[str, float]], choices: Sequence[TermChoice]
) -> _Array:
    columns = []
    for choice in choices:
        values = np.array([row[choice.name] for row in rows], np.float64)
        if choice.is_log:
            values = np.log(np.maximum(values + _LOG_OFFSET, 1e-6))
        columns.append(values)
    return np.column_stack(columns)


def fit(
    rows: Sequence[Mapping[str, float]],
    is_positive: NDArray[np.bool_],
    choices: Sequence[TermChoice],
) -> Fit:
    """Fit log odds of ``is_positive`` at equal priors, directions respected."""
    kept = list(range(len(choices)))
    raw = _matrix(rows, choices)
    mean, std = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-3)
    x = np.clip((raw - mean) / std, -4, 4)
    # Drop the worst term that counts against its direction, and fit again.
    while True:
        weights, bias = _logistic(x[:, kept], is_positive)
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
        mean[kept],
        std[kept],
        weights,
        bias,
    )


def _logistic(x: _Array, is_positive: NDArray[np.bool_]) -> tuple[_Array, float]:
    design = np.column_stack([x, np.ones(len(x))])
    balance = np.where(
        is_positive, 0.5 / is_positive.mean(), 0.5 / (~is_positive).mean()
    )
    penalty = np.diag([_RIDGE] * x.shape[1] + [1e-6])
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


def is_usable(measured: Mapping[str, float]) -> bool:
    """Tell whether a photo passes the quality limits of the policy."""
    return all(
        least <= measured[name] <= most
        for name, (least, most) in QUALITY_LIMITS.items()
    )


def out_of_fold(rows: Sequence[Row], choices: Sequence[TermChoice]) -> _Array:
    """Return the log odds of H2 of each row, by fits that never saw its product."""
    products = np.array([row.product for row in rows])
    measured = [row.measurements for row in rows]
    is_fake = np.array([row.kind != GENUINE for row in rows])
    fold = np.array([hash_fold(product) for product in products])
    logits = np.zeros(len(rows))
    for number in range(_FOLDS):
        held = fold == number
        if not held.any():
            continue
        train = np.flatnonzero(~held)
        fitted = fit([measured[n] for n in train], is_fake[train], choices)
        logits[held] = fitted.logits([measured[n] for n in np.flatnonzero(held)])
    return logits


def hash_fold(product: int) -> int:
    """Spread products over the folds, whatever their numbering."""
    return (product * 2654435761 >> 8) % _FOLDS


def auroc(positive: _Array, negative: _Array) -> float:
    """Area under the ROC: how often a positive exceeds a negative, ties counted half.

    NaN when there is none of either.
    """
    if not len(positive) or not len(negative):
        return math.nan
    order = np.sort(negative)
    below = np.searchsorted(order, positive, side="left")
    upto = np.searchsorted(order, positive, side="right")
    return float((below + upto).mean() / (2 * len(negative)))


def cllr(log10_lr_genuine: _Array, log10_lr_fake: _Array) -> float:
    """Cost of the log likelihood ratio (Bruemmer and du Preez, 2006); 1 is no news."""
    genuine = np.log2(1 + 10.0 ** (-log10_lr_genuine)).mean()
    fake = np.log2(1 + 10.0**log10_lr_fake).mean()
    return float((genuine + fake) / 2)


@dataclass(frozen=True, slots=True)
class Targets:
    """Error rates that the thresholds are set for, on held-back designs."""

    false_alarm: float = 0.01
    """Genuine photos called inconsistent."""
    missed: float = 0.10
    """Counterfeits called consistent."""
    wrong_match: float = 0.05
    """Registered candidates of other products taken for the one in the photo."""


def policy_document(
    rows: Sequence[Row],
    identification_rows: Sequence[Mapping[str, float]],
    is_true_match: NDArray[np.bool_],
    *,
    version: str,
    targets: Targets,
    made_by: Mapping[str, Any],
) -> dict[str, Any]:
    """Return ``calibration.json`` as a document.

    Args:
        rows: of genuine and forged samples in which the reference was found.
        identification_rows: measurements of matches, true and false.
        is_true_match: (n,), for each of them.
        version: of the policy.
        targets: what the thresholds are set for.
        made_by: commit, seeds and data behind the rows, recorded as given.
    """
    usable = [row for row in rows if row.measurements and is_usable(row.measurements)]
    is_fake = np.array([row.kind != GENUINE for row in usable])
    held_back = -out_of_fold(usable, FUSION_TERMS) / math.log(10)
    genuine, fake = held_back[~is_fake], held_back[is_fake]
    fusion = fit([row.measurements for row in usable], is_fake, FUSION_TERMS)
    cap = math.log10(max(10.0, min(len(genuine), len(fake)) / 3))
    inconsistent = min(-0.3, float(np.quantile(genuine, targets.false_alarm)))
    consistent = max(0.3, float(np.quantile(fake, 1 - targets.missed)))
    matched = fit(identification_rows, is_true_match, IDENTIFICATION_TERMS)
    logits = matched.logits(identification_rows)
    accept = float(np.quantile(logits[~is_true_match], 1 - targets.wrong_match))
    # Without a registration only looks speak: as rarely wrong as one in two hundred.
    strangers = [
        row["similarity"]
        for row, true in zip(identification_rows, is_true_match, strict=True)
        if not true
    ]
    resemblance = float(np.quantile(strangers, 0.995))
    return {
        "version": version,
        "identification": {
            **matched.document(),
            "accept_logit": round(accept, 4),
            "resemblance_similarity": round(resemblance, 4),
            "sibling_margin": _SIBLING_MARGIN,
        },
        "fusion": fusion.document(),
        "thresholds": {
            "log10_lr_floor": round(-cap, 4),
            "log10_lr_cap": round(cap, 4),
            "consistent_log10_lr": round(min(consistent, cap), 4),
            "inconsistent_log10_lr": round(max(inconsistent, -cap), 4),
            "other_gtin_log10_lr": 1.5,
        },
        "quality_limits": {
            **{k: list(v) for k, v in QUALITY_LIMITS.items()},
            **_typical([row.measurements for row in usable if row.kind == GENUINE]),
        },
        "photo_limits": {k: list(v) for k, v in PHOTO_LIMITS.items()},
        "bands": [list(band) for band in BANDS],
        "error_rates": {
            "genuine_called_inconsistent": float((genuine <= inconsistent).mean()),
            "counterfeit_called_consistent": float((fake >= consistent).mean()),
        },
        "evaluation": {
            "usable_genuine": int((~is_fake).sum()),
            "usable_counterfeits": int(is_fake.sum()),
            "usable_share": round(len(usable) / max(1, len(rows)), 4),
            "auroc_out_of_fold": round(auroc(-fake, -genuine), 4),
            "cllr_out_of_fold": round(
                cllr(np.clip(genuine, -cap, cap), np.clip(fake, -cap, cap)), 4
            ),
            "true_matches": int(is_true_match.sum()),
            "false_matches": int((~is_true_match).sum()),
            "true_matches_accepted": round(
                float((logits[is_true_match] >= accept).mean()), 4
            ),
        },
        "made_by": dict(made_by),
    }


_SIBLING_MARGIN = 2.0
_TYPICAL_SHARE = 0.99


def _typical(genuine: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Bound the usual level of each channel by what genuine photos here showed.

    Beyond it a photo differs everywhere, as none did that the ratio was fitted on:
    another kind of camera, light or surface, or another print altogether. A likelihood
    ratio fitted elsewhere says nothing there (Morrison and Enzinger, 2018), so the
    answer is to ask for another photo, not to accuse.
    """
    return {
        f"{channel}_level": [
            -1e9,
            round(
                float(
                    np.quantile(
                        [row[f"{channel}_level"] for row in genuine], _TYPICAL_SHARE
                    )
                ),
                4,
            ),
        ]
        for channel in CHANNELS
    }

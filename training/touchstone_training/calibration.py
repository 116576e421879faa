"""Measurements to a policy: fit what weighs them, set thresholds, write it all down.

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
from touchstone_training.fusion import TermChoice, fit, fit_fusion, out_of_fold
from touchstone_training.measuring import GENUINE, Judged, Row
from touchstone_training.ranking import auroc
from touchstone_training.simulator.families import FAMILIES

_Array = NDArray[np.float64]

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
    "hidden_fraction": (0.0, 0.1),
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


def is_usable(measured: Mapping[str, float]) -> bool:
    """Tell whether a photo passes the quality limits of the policy."""
    return all(
        least <= measured[name] <= most
        for name, (least, most) in QUALITY_LIMITS.items()
    )


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
    missed: float = 0.02
    """Counterfeits called consistent."""
    stranger_named: float = 0.02
    """Photos of products that nobody enrolled, named as another of those enrolled, at
    most: an officer who is told of another product looks for a fault that is none."""
    unnamed: float = 0.015
    """Registered candidates that are the product in the photo, not taken for it, at
    least: the worst of them carry no answer."""


def policy_document(
    rows: Sequence[Row],
    matches: Sequence[Judged],
    *,
    version: str,
    targets: Targets,
    made_by: Mapping[str, Any],
) -> dict[str, Any]:
    """Return ``calibration.json`` as a document.

    Args:
        rows: of genuine and forged samples in which the reference was found.
        matches: true and false ones, those of strangers among them.
        version: of the policy.
        targets: what the thresholds are set for.
        made_by: commit, seeds and data behind the rows, recorded as given.
    """
    usable = [row for row in rows if row.measurements and is_usable(row.measurements)]
    is_fake = np.array([row.kind != GENUINE for row in usable])
    held_back = -out_of_fold(usable) / math.log(10)
    genuine, fake = held_back[~is_fake], held_back[is_fake]
    fusion = fit_fusion(usable)
    cap = math.log10(max(10.0, min(len(genuine), len(fake)) / 3))
    inconsistent = min(-0.3, float(np.quantile(genuine, targets.false_alarm)))
    consistent = max(0.3, float(np.quantile(fake, 1 - targets.missed)))
    rows_genuine = [row for row in usable if row.kind == GENUINE]
    classes = classes_of(
        rows_genuine,
        np.clip(genuine, -cap, cap),
        general=max(inconsistent, -cap),
        false_alarm=targets.false_alarm,
    )
    called = sum(one["genuine_called"] for one in classes.values())
    is_true_match = np.array([one.is_true for one in matches])
    measured = [one.measurements for one in matches]
    matched = fit(measured, is_true_match, IDENTIFICATION_TERMS)
    logits = matched.logits(measured)
    strangers = _best_of_strangers(matches, logits)
    at_most = 1 - targets.stranger_named
    accept = max(
        float(np.quantile(logits[is_true_match], targets.unnamed)),
        float(np.quantile(strangers, at_most)),
    )
    # Without a registration only looks speak, and are wrong as rarely.
    looks = np.array([row["similarity"] for row in measured])
    resemblance = float(np.quantile(_best_of_strangers(matches, looks), at_most))
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
        "classes": classes,
        "quality_limits": {
            **{k: list(v) for k, v in QUALITY_LIMITS.items()},
            **_typical([row.measurements for row in rows_genuine]),
        },
        "photo_limits": {k: list(v) for k, v in PHOTO_LIMITS.items()},
        "bands": [list(band) for band in BANDS],
        "error_rates": {
            "genuine_called_inconsistent": called / len(genuine),
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
            "strangers": len(strangers),
            "strangers_named": round(float((strangers >= accept).mean()), 4),
        },
        "made_by": dict(made_by),
    }


def _best_of_strangers(matches: Sequence[Judged], values: _Array) -> _Array:
    """Return the most of ``values`` over the matches of each photo of a stranger.

    Photos over which nothing could be laid are not among them: the rates are those of
    the photos that can be mistaken.
    """
    best: dict[str, float] = {}
    for one, value in zip(matches, values, strict=True):
        if one.stranger:
            best[one.stranger] = max(float(value), best.get(one.stranger, -math.inf))
    return np.array(list(best.values()))


_MIN_DESIGNS_CALLED = 3
"""Fewer would say more of themselves than of their class."""
_SURE = 0.95
_DRAWS = 2000


def classes_of(
    genuine: Sequence[Row],
    log10_lr: _Array,
    *,
    general: float,
    false_alarm: float,
) -> dict[str, dict[str, float]]:
    """Set the threshold of inconsistency for each class of products.

    It is the general one, unless the class's genuine photos surely lie below that more
    often than stated: then as far below as makes them do so as often as stated.

    Args:
        genuine: held-back genuine photos.
        log10_lr: (n,), of each of them.
        general: the threshold for all classes together.
        false_alarm: share of genuine photos that may be called inconsistent, 0 to 1.

    Returns:
        Of each class its threshold, how many genuine photos and designs it goes by, and
        how many of both are called at it.
    """
    by_class = np.array([FAMILIES[row.family].product_class for row in genuine])
    every_design = np.array([row.product for row in genuine])
    found: dict[str, dict[str, float]] = {}
    for name in sorted(set(by_class.tolist())):
        own, designs = log10_lr[by_class == name], every_design[by_class == name]
        threshold = general
        if _strays(own <= general, designs, false_alarm):
            threshold = min(general, float(np.quantile(own, false_alarm)))
        threshold = round(threshold, 4)
        is_called = own <= threshold
        found[name] = {
            "inconsistent_log10_lr": threshold,
            "genuine": len(own),
            "genuine_called": int(is_called.sum()),
            "designs": len(set(designs.tolist())),
            "designs_called": len(set(designs[is_called].tolist())),
        }
    return found


def _strays(
    is_called: NDArray[np.bool_], designs: NDArray[np.int64], share: float
) -> bool:
    """Tell whether surely more than ``share`` are called, by a bootstrap over designs.

    Photos of one design are alike: taken for independent, every fifth class whose
    genuine photos stray no further than others' would pass for one that does.
    """
    _, number = np.unique(designs, return_inverse=True)
    photos = np.bincount(number)
    called = np.bincount(number, weights=is_called)
    if np.count_nonzero(called) < _MIN_DESIGNS_CALLED:
        return False
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(photos), size=(_DRAWS, len(photos)))
    shares = called[drawn].sum(axis=1) / photos[drawn].sum(axis=1)
    return float((shares > share).mean()) >= _SURE


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

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
from touchstone.errors import InvalidInputError
from touchstone_training.fusion import (
    MOST_BY_PHOTO,
    Fit,
    TermChoice,
    fit,
    fit_fusion,
    out_of_fold,
)
from touchstone_training.measuring import GENUINE, Judged, Row, Stranger
from touchstone_training.ranking import auroc
from touchstone_training.simulator.families import FAMILIES

_Array = NDArray[np.float64]

IDENTIFICATION_TERMS = (
    TermChoice("similarity", direction=1),
    TermChoice("log_inliers", direction=1),
    TermChoice("coverage", direction=1),
    TermChoice("agreement", direction=1),
    TermChoice("followed", direction=1),
    TermChoice("chroma_gap", direction=-1),
    TermChoice("is_sift"),
    TermChoice("resolution", is_log=True, direction=-1),
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

_BEYOND = 0.05
"""By how much more than a photo can make by itself a print must differ to be called."""

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
    stranger_resembling: float = 0.01
    """The same, named by looks alone, at most."""
    stranger_doubted: float = 0.03
    """The same, told to be too small to tell, at most: it costs a closer photo and
    accuses nobody, and who has the product is told so, not that nobody has."""
    unnamed: float = 0.005
    """Registered candidates that are the product in a simulated photo, not taken for
    it, at least: the worst of them carry no answer."""


def policy_document(
    rows: Sequence[Row],
    matches: Sequence[Judged],
    strangers: Sequence[Stranger],
    *,
    version: str,
    targets: Targets,
    made_by: Mapping[str, Any],
) -> dict[str, Any]:
    """Return ``calibration.json`` as a document.

    Args:
        rows: of genuine and forged samples in which the reference was found.
        matches: true and false ones.
        strangers: photos of products that are not among the references.
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
    inconsistent = min(
        -MOST_BY_PHOTO - _BEYOND, float(np.quantile(genuine, targets.false_alarm))
    )
    consistent = max(0.3, float(np.quantile(fake, 1 - targets.missed)))
    rows_genuine = [row for row in usable if row.kind == GENUINE]
    classes = classes_of(
        rows_genuine,
        np.clip(genuine, -cap, cap),
        general=max(inconsistent, -cap),
        false_alarm=targets.false_alarm,
    )
    called = sum(one["genuine_called"] for one in classes.values())
    acceptance = fit_acceptance(matches, strangers, targets)
    return {
        "version": version,
        "identification": {
            **acceptance.sum.document(),
            "accept_logit": acceptance.accept,
            "doubt_logit": acceptance.doubt,
            "resemblance_similarity": acceptance.resemblance,
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
            **acceptance.evaluation,
        },
        "made_by": dict(made_by),
    }


@dataclass(frozen=True, slots=True)
class Acceptance:
    """When a candidate is taken for the product in the photo."""

    sum: Fit
    accept: float
    """Log odds from which it is."""
    doubt: float
    """Log odds from which it may be, where the photo is too small to tell."""
    resemblance: float
    """Cosine from which a photo is said to show what is not accepted."""
    evaluation: dict[str, float]


def fit_acceptance(
    matches: Sequence[Judged], strangers: Sequence[Stranger], targets: Targets
) -> Acceptance:
    """Fit what tells true matches from false ones, and set it by strangers.

    The rates hold for photos of products that are not among so many references as
    were laid over them; among more there is one that is nearer.

    Raises:
        InvalidInputError: there is no stranger.
    """
    if not strangers:
        raise InvalidInputError(
            "No photo was laid over other designs than its own: measure at least two "
            "designs, and without --reuse of rows of an older version."
        )
    is_true = np.array([one.is_true for one in matches])
    is_real = np.array([one.is_real for one in matches])
    measured = [one.measurements for one in matches]
    fitted = fit(measured, is_true, IDENTIFICATION_TERMS)
    logits = fitted.logits(measured)
    named = np.array([_likeliest(fitted, one.matches) for one in strangers])
    small = np.array([_likeliest(fitted, _too_small(one.matches)) for one in strangers])
    nearest = np.array([one.nearest for one in strangers])
    simulated = logits[is_true & ~is_real]
    # The next higher one: beside what is nothing at all there is nothing between.
    reached = np.quantile(named, 1 - targets.stranger_named, method="higher")
    least = float(np.quantile(simulated, targets.unnamed))
    accept = max(round(least, 4), _above(reached))
    held = np.quantile(small, 1 - targets.stranger_doubted, method="higher")
    doubt = min(accept, max(_LEAST_DOUBT, _above(held)))
    looks = _above(np.quantile(nearest, 1 - targets.stranger_resembling))
    is_alike = nearest >= looks
    real = logits[is_true & is_real]
    return Acceptance(
        fitted,
        accept,
        doubt,
        looks,
        {
            "true_matches": int(is_true.sum()),
            "false_matches": int((~is_true).sum()),
            "true_matches_accepted": _share(simulated >= accept),
            **({"real_matches_accepted": _share(real >= accept)} if len(real) else {}),
            "strangers": len(strangers),
            "stranger_products": len({one.product for one in strangers}),
            "strangers_named": _share((named >= accept) | is_alike),
            "strangers_doubted": _share(small >= doubt),
            "strangers_answered": _share(
                (named >= accept) | (small >= doubt) | is_alike
            ),
        },
    )


def _likeliest(fitted: Fit, matches: Sequence[Mapping[str, float]]) -> float:
    return float(fitted.logits(matches).max()) if matches else _NOTHING


def _too_small(matches: Sequence[Mapping[str, float]]) -> list[Mapping[str, float]]:
    least, _ = QUALITY_LIMITS["resolution"]
    return [one for one in matches if one["resolution"] < least]


_NOTHING = -1e3
_LEAST_DOUBT = -3.0
"""One in twenty: what is less likely is no reason to ask for another photo."""


def _above(reached: float) -> float:
    """Round as a policy is written, to what lies above: what is reached is accepted."""
    return round(float(reached) + 1e-4, 4)


def _share(holds: NDArray[np.bool_]) -> float:
    return round(float(holds.mean()), 4)


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

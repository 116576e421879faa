"""Observations to the document of the benchmark: every measure, beside every peer."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from touchstone.engine.policy import Policy
from touchstone_training.benchmark.observations import ALARMS, CONTROL, Observation
from touchstone_training.benchmark.peers import OURS, PEERS, scores_of
from touchstone_training.benchmark.scores import (
    DRAWS,
    Array,
    Rows,
    area,
    cost,
    equal_error_rate,
    estimate,
    found_at,
    least_cost,
    resamples,
    share_document,
    supports,
)
from touchstone_training.benchmark.simulated import SEVERITIES, third
from touchstone_training.measuring import GENUINE
from touchstone_training.simulator.counterfeits import KINDS, WHOLE_PRINT_KINDS
from touchstone_training.simulator.families import FAMILIES

Document: TypeAlias = dict[str, Any]

RATES = {"tpr_at_1_percent_fpr": 0.01, "tpr_at_0_1_percent_fpr": 0.001}


def systems_of(observations: Sequence[Observation]) -> list[str]:
    """Return us and the peers that were measured."""
    measured = {name for one in observations for name in one.peers}
    return [OURS, *(peer for peer in PEERS if peer in measured)]


def capped(observations: Sequence[Observation], policy: Policy) -> Array:
    """Return (n,) log10 likelihood ratios as they are reported: within their caps."""
    ratios = -scores_of(observations, OURS)
    return np.asarray(
        np.clip(ratios, policy.log10_lr_floor, policy.log10_lr_cap), np.float64
    )


# --- simulated ------------------------------------------------------------------------


def counterfeit_document(
    observations: Sequence[Observation], policy: Policy, *, draws: int = DRAWS
) -> Document:
    """Sum up simulated photos: genuine ones, and counterfeits of every kind.

    Systems are compared on the photos that the policy examined, the same for all;
    ``before_abstention`` is ours on every photo in which the reference was found.
    """
    examined = [one for one in observations if one.is_examined]
    found = [one for one in observations if one.log10_lr is not None]
    return {
        "photos": len(observations),
        "designs": len({one.group for one in observations}),
        "genuine": sum(not one.is_fake for one in observations),
        "genuine_examined": sum(not one.is_fake for one in examined),
        "decisions": _decisions(observations),
        "systems": {
            name: _system_document(examined, name, draws)
            for name in systems_of(observations)
        },
        "before_abstention": _estimated(area, found, OURS, draws),
        "likelihood": _likelihood(examined, policy, draws),
        "localisation": _hits([one for one in examined if _is_local(one)]),
        "per_kind": _sliced(examined, lambda one: one.kind, KINDS, draws),
        "per_severity": _sliced(
            examined,
            lambda one: third(one.severity),
            [name for name, _ in SEVERITIES],
            draws,
        ),
        "per_family": {
            family: _slice(
                [one for one in examined if one.family == family],
                [one for one in examined if one.is_fake and one.family == family],
                draws,
            )
            for family in sorted({one.family for one in observations})
        },
    }


def _is_local(one: Observation) -> bool:
    return one.is_fake and one.kind not in WHOLE_PRINT_KINDS


def _decisions(observations: Sequence[Observation]) -> Document:
    """Sum up what is answered, abstention included."""
    sides = {
        "genuine": [one for one in observations if not one.is_fake],
        "counterfeit": [one for one in observations if one.is_fake],
    }
    return {
        side: {
            "abstained": _counted(own, lambda one: not one.is_examined),
            "inconsistent": _counted(own, lambda one: one.finding in ALARMS),
            "findings": dict(Counter(one.finding for one in own)),
        }
        for side, own in sides.items()
    }


def _system_document(
    examined: Sequence[Observation], system: str, draws: int
) -> Document:
    subtle = [
        one
        for one in examined
        if not one.is_fake or third(one.severity) == SEVERITIES[0][0]
    ]
    genuine = sum(not one.is_fake for one in examined)
    document = {
        "auroc": _estimated(area, examined, system, draws),
        "auroc_subtlest_third": _estimated(area, subtle, system, draws),
        "eer": _estimated(equal_error_rate, examined, system, draws),
    }
    for name, rate in RATES.items():
        at_rate = _estimated(_finder(rate), examined, system, draws)
        is_supported = supports(genuine, false_alarms=rate)
        document[name] = at_rate | {"is_supported": is_supported}
    return document


def _finder(rate: float) -> Callable[[Array, Any], float]:
    def found(suspicion: Array, is_fake: Any) -> float:
        return found_at(suspicion, is_fake, false_alarms=rate)

    return found


def _likelihood(
    examined: Sequence[Observation], policy: Policy, draws: int
) -> Document:
    ratios = capped(examined, policy)
    is_fake = np.array([one.is_fake for one in examined], bool)
    rows = resamples([one.group for one in examined], draws=draws)
    return {
        "cllr": estimate(cost, ratios, is_fake, rows).document(),
        "cllr_min": estimate(least_cost, ratios, is_fake, rows).document(),
    }


def _estimated(
    statistic: Callable[[Array, Any], float],
    observations: Sequence[Observation],
    system: str,
    draws: int,
) -> Document:
    """Estimate on the photos for which ``system`` has a score."""
    scores = scores_of(observations, system)
    known = np.isfinite(scores)
    is_fake = np.array([one.is_fake for one in observations], bool)[known]
    groups = [
        one.group for one, is_known in zip(observations, known, strict=True) if is_known
    ]
    rows: list[Rows] = resamples(groups, draws=draws) if groups else []
    return estimate(statistic, scores[known], is_fake, rows).document()


def _sliced(
    examined: Sequence[Observation],
    name_of: Callable[[Observation], str],
    names: Sequence[str],
    draws: int,
) -> dict[str, Document]:
    """Each slice of the counterfeits against all genuine photos."""
    genuine = [one for one in examined if not one.is_fake]
    slices = {}
    for name in names:
        own = [one for one in examined if one.is_fake and name_of(one) == name]
        slices[name] = _slice([*genuine, *own], own, draws)
    return slices


def _slice(
    compared: Sequence[Observation], fakes: Sequence[Observation], draws: int
) -> Document:
    """Sum up a slice; ``compared`` holds its counterfeits and genuine photos."""
    return {
        "photos": len(fakes),
        "auroc": {
            name: _estimated(area, compared, name, draws)
            for name in systems_of(compared)
        },
        "called_inconsistent": _counted(fakes, lambda one: one.finding in ALARMS),
        "localisation": _hits([one for one in fakes if _is_local(one)]),
    }


def _hits(fakes: Sequence[Observation]) -> Document:
    return _counted(fakes, lambda one: bool(one.is_hit))


def _counted(
    observations: Sequence[Observation], holds: Callable[[Observation], bool]
) -> Document:
    return share_document([(one.group, holds(one)) for one in observations])


# --- planted --------------------------------------------------------------------------


def products_document(genuine: Sequence[Observation]) -> Document:
    """Return how false calls differ between products: most have none, some have many.

    ``per_design`` is what a lot rests on, as all of it may be of one product.
    """
    designs: dict[str, list[Observation]] = {}
    classes: dict[str, list[Observation]] = {}
    for one in genuine:
        designs.setdefault(one.group, []).append(one)
        classes.setdefault(FAMILIES[one.family].product_class, []).append(one)
    per_design: list[Document] = [
        {
            "design": design,
            "inconsistent": sum(one.finding in ALARMS for one in own),
            "answered": sum(one.is_examined for one in own),
        }
        for design, own in sorted(designs.items())
    ]
    return {
        "abstained": _counted(genuine, lambda one: not one.is_examined),
        "inconsistent": _counted(genuine, lambda one: one.finding in ALARMS),
        "designs": len(designs),
        "designs_with_false_calls": sum(
            bool(one["inconsistent"]) for one in per_design
        ),
        "most_false_calls": max(per_design, key=lambda one: int(one["inconsistent"])),
        "per_class": {
            name: {
                "designs": len({one.group for one in own}),
                "inconsistent": _counted(
                    [one for one in own if one.is_examined],
                    lambda one: one.finding in ALARMS,
                ),
            }
            for name, own in sorted(classes.items())
        },
        "per_design": per_design,
    }


def planted_document(
    observations: Sequence[Observation], *, draws: int = DRAWS
) -> Document:
    """Sum up planted counterfeits beside the photos that they were planted into.

    Every score counts, whether or not the policy abstains: most of these photos are
    unlike those that it was fitted on.
    """
    fakes = [one for one in observations if one.is_fake]
    kinds = sorted({one.kind for one in fakes})
    genuine = [one for one in observations if not one.is_fake]
    pairs = _pairs(observations)
    return {
        "photos": sum(one.kind == GENUINE for one in observations),
        "planted": len(fakes),
        "products": len({one.group for one in observations}),
        "abstained": _counted(observations, lambda one: not one.is_examined),
        "auroc": {
            name: _estimated(area, observations, name, draws)
            for name in systems_of(observations)
        },
        "above_own_control": {
            name: _above(pairs, name) for name in systems_of(observations)
        },
        "moved_by_control": _moved(observations),
        "localisation": _hits(fakes),
        "per_kind": {
            kind: {
                "photos": sum(one.kind == kind for one in fakes),
                "auroc": {
                    name: _estimated(
                        area,
                        [*genuine, *(one for one in fakes if one.kind == kind)],
                        name,
                        draws,
                    )
                    for name in systems_of(observations)
                },
                "localisation": _hits([one for one in fakes if one.kind == kind]),
            }
            for kind in kinds
        },
    }


def _photo_of(one: Observation) -> str:
    return one.name.rpartition(":")[0]


def _pairs(
    observations: Sequence[Observation],
) -> list[tuple[Observation, Observation]]:
    """Return (planted, control) of each change, if its photo has a control."""
    controls = {_photo_of(one): one for one in observations if one.kind == CONTROL}
    return [
        (one, controls[_photo_of(one)])
        for one in observations
        if one.is_fake and _photo_of(one) in controls
    ]


def _above(pairs: Sequence[tuple[Observation, Observation]], system: str) -> Document:
    """Count the changes that raised the suspicion over that of the control."""
    planted, control = (
        scores_of([pair[side] for pair in pairs], system) for side in (0, 1)
    )
    return share_document(
        [
            (pair[0].group, bool(raised > before))
            for pair, raised, before in zip(pairs, planted, control, strict=True)
            if np.isfinite(raised) and np.isfinite(before)
        ]
    )


def _moved(observations: Sequence[Observation]) -> float:
    """Return the median change of our suspicion by re-encoding alone."""
    untouched = {_photo_of(one): one for one in observations if one.kind == GENUINE}
    moved = [
        abs(one.suspicion - untouched[_photo_of(one)].suspicion)
        for one in observations
        if one.kind == CONTROL
    ]
    known = np.array([value for value in moved if np.isfinite(value)])
    return round(float(np.median(known)), 4) if len(known) else float("nan")


def without_nan(value: Any) -> Any:
    """Write what could not be measured (no photo of a kind) as null, not as NaN."""
    if isinstance(value, Mapping):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value

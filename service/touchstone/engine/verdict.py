"""Evidence and a policy to a finding with reasons; fails closed.

The two propositions: H1 *the packaging was made by the process behind reference set
R*; H2 *it was made by another process*. The finding states how much more probable
the measurements are under one than under the other (log10 of the likelihood ratio),
capped by what the validation data supports. It never says that a product is genuine.

Every threshold and weight comes from the policy; none is a literal here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from touchstone.engine.evidence import Evidence
from touchstone.engine.policy import WHOLE_PRINT, Policy
from touchstone.engine.quality import Quality
from touchstone.engine.wording import (
    NOT_REGISTERED,
    PHOTOS_DISAGREE,
    FindingKind,
    Reason,
    advice_for,
    reason_for,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome for one item."""

    kind: FindingKind
    reasons: tuple[Reason, ...]
    advice: tuple[str, ...]
    """What to do next, in order."""
    log10_lr: float | None = None
    """Positive favours H1 (made by the process behind the reference set)."""
    is_lr_capped: bool = False
    counterfeit_probability: float | None = None
    """Of H2 at equal prior odds, 0 to 1."""
    strength: str = ""
    """Verbal band of the likelihood ratio."""
    chosen: int | None = None
    """Which of the examined evidence the finding is about."""


def decide(
    examined: Sequence[Evidence],
    policy: Policy,
    *,
    photo: Mapping[str, float],
    is_declared: Sequence[bool] | None = None,
    resemblance: float = -1.0,
) -> Finding:
    """Decide on one photo from the evidence of its best matches.

    Args:
        examined: best match first; empty if nothing resembled the photo.
        policy: the calibrated policy.
        photo: measurements of the photo as a whole (`photo_measurements`).
        is_declared: for each, whether it is of the product that the item claims to
            be; None if nothing was declared.
        resemblance: similarity of the nearest candidate, laid over the photo or not;
            -1 if there is none.
    """
    # A finding of consistency must hold against every objection, so in this order:
    #
    # 1. Something enrolled must really lie in the photo.
    # 2. It must not be explained better by a known counterfeit.
    # 3. The photo must be able to carry an answer.
    # 4. The likelihood ratio must clear the calibrated threshold.
    # 5. What was found must be what the item claims to be.
    accepted = [
        number
        for number, evidence in enumerate(examined)
        if policy.rank(evidence.match.measurements()) >= policy.accept_logit
    ]
    if not accepted:
        return _nothing_accepted(examined, photo, policy, resemblance)
    genuine = [n for n in accepted if not examined[n].reference.is_counterfeit]
    known_fake = [n for n in accepted if examined[n].reference.is_counterfeit]
    fake = _better_explained_by_fake(examined, genuine, known_fake, policy)
    if fake is not None:
        return _graded(
            examined[fake],
            policy,
            fake,
            kind=FindingKind.MATCHES_KNOWN_COUNTERFEIT,
            reasons=(reason_for("known_counterfeit"),),
        )
    chosen = _likeliest(examined, genuine or known_fake, policy, is_declared)
    if not _comparable(examined, [chosen], policy):
        return _insufficient(examined, chosen, policy)
    finding = _by_likelihood(examined[chosen], policy, chosen)
    return _against_declaration(finding, is_declared, policy, examined, genuine)


def _likeliest(
    examined: Sequence[Evidence],
    numbers: Sequence[int],
    policy: Policy,
    is_declared: Sequence[bool] | None,
) -> int:
    """Return which of the matches the item is: siblings are told apart by comparing.

    What the item claims to be has the first word if it fits; another fits better only
    by noise. One that this photo cannot be compared with may be what it shows all the
    same: if only the others were asked, a sibling would answer for it, and differ.
    """
    comparable = _comparable(examined, numbers, policy)

    def identity(number: int) -> tuple[float, int]:
        return _identity(examined[number], policy), -number

    def odds(number: int) -> tuple[float, int]:
        """Log10 odds that it is this one, and made as this one is."""
        evidence = examined[number]
        return _match(evidence, policy) + _log10_lr(evidence, policy), -number

    if not comparable:
        return max(numbers, key=identity)
    least = policy.consistent_log10_lr
    fitting = [n for n in comparable if _log10_lr(examined[n], policy) >= least]
    claimed = [n for n in fitting if is_declared is not None and is_declared[n]]
    best = max(claimed or comparable, key=odds)
    if claimed or (best in fitting and examined[best].preference >= 0):
        return best
    # Another picture of a product that is compared would give no answer in its stead.
    answered = {examined[n].reference.product for n in comparable} - {""}
    hidden = [
        n
        for n in numbers
        if n not in comparable and examined[n].reference.product not in answered
    ]
    rival = max(_identity(examined[n], policy) for n in comparable)
    likelier = [n for n in hidden if _identity(examined[n], policy) > rival]
    return max(likelier, key=identity, default=best)


def _match(evidence: Evidence, policy: Policy) -> float:
    """Log10 odds that it is this one, by the match and beside its siblings."""
    found = policy.rank(evidence.match.measurements()) / math.log(10)
    return found + evidence.preference


def _identity(evidence: Evidence, policy: Policy) -> float:
    """Log10 odds that it is this one, however it was made."""
    other = policy.other_gtin_log10_lr if evidence.is_gtin_other else 0.0
    return _match(evidence, policy) - other


def _comparable(
    examined: Sequence[Evidence], numbers: Sequence[int], policy: Policy
) -> list[int]:
    return [
        n
        for n in numbers
        if not _objections(examined[n].measurements(), policy.quality_limits)
    ]


def _insufficient(examined: Sequence[Evidence], chosen: int, policy: Policy) -> Finding:
    objections = _objections(examined[chosen].measurements(), policy.quality_limits)
    return _graded(
        examined[chosen],
        policy,
        chosen,
        kind=FindingKind.INSUFFICIENT_QUALITY,
        reasons=objections,
    )


def _log10_lr(evidence: Evidence, policy: Policy) -> float:
    """Uncapped: positive favours H1."""
    value = -policy.fusion.logit(evidence.measurements()) / math.log(10)
    if evidence.is_gtin_other:
        value -= policy.other_gtin_log10_lr
    return value


def _better_explained_by_fake(
    examined: Sequence[Evidence],
    genuine: Sequence[int],
    known_fake: Sequence[int],
    policy: Policy,
) -> int | None:
    """Return the known counterfeit that fits clearly, and better than the genuine."""
    if not known_fake:
        return None
    comparable = _comparable(examined, known_fake, policy)
    if not comparable:
        return None
    best = max(comparable, key=lambda n: (_log10_lr(examined[n], policy), -n))
    fit = _log10_lr(examined[best], policy)
    rival = max((_log10_lr(examined[n], policy) for n in genuine), default=-math.inf)
    if fit >= policy.consistent_log10_lr and fit > rival:
        return best
    return None


def _objections(
    measurements: Mapping[str, float], limits: Mapping[str, tuple[float, float]]
) -> tuple[Reason, ...]:
    return tuple(
        reason_for(f"{name}_too_{'low' if measurements[name] < least else 'high'}")
        for name, (least, most) in limits.items()
        if not least <= measurements[name] <= most
    )


def _by_likelihood(evidence: Evidence, policy: Policy, chosen: int) -> Finding:
    value = _log10_lr(evidence, policy)
    if evidence.reference.is_counterfeit:
        # Only a known counterfeit lies there, and not closely: that clears nobody.
        kind, value = FindingKind.INCONCLUSIVE, min(value, 0.0)
    elif value <= policy.inconsistent_at(evidence.reference.product_class):
        kind = FindingKind.INCONSISTENT_WITH_GENUINE
    elif value >= policy.consistent_log10_lr and not evidence.is_gtin_other:
        kind = FindingKind.CONSISTENT_WITH_GENUINE
    else:
        kind = FindingKind.INCONCLUSIVE
    reasons = _image_reasons(evidence, kind, _whole_difference(evidence, policy))
    return _graded(evidence, policy, chosen, kind=kind, reasons=reasons)


def _whole_difference(evidence: Evidence, policy: Policy) -> str | None:
    """Name how the print differs as a whole, if that and not a place speaks for H2."""
    measurements = evidence.measurements()
    way = policy.fusion.likeliest(measurements)
    speaks_for_h2 = policy.fusion.logit(measurements) > 0
    return way if way in WHOLE_PRINT and speaks_for_h2 else None


def _image_reasons(
    evidence: Evidence, kind: FindingKind, whole: str | None
) -> tuple[Reason, ...]:
    reasons = []
    if evidence.is_gtin_other:
        reasons.append(reason_for("other_gtin"))
    if kind is FindingKind.CONSISTENT_WITH_GENUINE:
        return (*reasons, reason_for("agrees"))
    if whole is not None:
        reasons.append(reason_for(f"{whole}_differs"))
    channels = dict.fromkeys(region.channel for region in evidence.comparison.regions)
    reasons += [reason_for(f"{channel}_differs") for channel in channels]
    if kind is FindingKind.INCONCLUSIVE:
        reasons.append(reason_for("weak_evidence"))
    return tuple(reasons) or (reason_for("overall_difference"),)


def _against_declaration(
    finding: Finding,
    is_declared: Sequence[bool] | None,
    policy: Policy,
    examined: Sequence[Evidence],
    genuine: Sequence[int],
) -> Finding:
    if is_declared is None or finding.chosen is None or is_declared[finding.chosen]:
        return finding
    if finding.kind is not FindingKind.CONSISTENT_WITH_GENUINE:
        return finding
    claimed = [n for n in genuine if is_declared[n]]
    if claimed and not _comparable(examined, claimed, policy):
        # What it claims to be lies there, and the photo does not say that it is not.
        return _insufficient(examined, claimed[0], policy)
    return _graded(
        examined[finding.chosen],
        policy,
        finding.chosen,
        kind=FindingKind.CONSISTENT_WITH_OTHER_VARIANT,
        reasons=(reason_for("other_than_declared"),),
    )


def _graded(
    evidence: Evidence,
    policy: Policy,
    chosen: int,
    *,
    kind: FindingKind,
    reasons: tuple[Reason, ...],
) -> Finding:
    uncapped = _log10_lr(evidence, policy)
    value = min(policy.log10_lr_cap, max(policy.log10_lr_floor, uncapped))
    return Finding(
        kind=kind,
        reasons=reasons,
        advice=advice_for(kind, reasons),
        log10_lr=round(value, 4),
        is_lr_capped=value != uncapped,
        counterfeit_probability=round(1 / (1 + 10**value), 6),
        strength=_band(value, policy),
        chosen=chosen,
    )


def _band(log10_lr: float, policy: Policy) -> str:
    side = "H1 (reference process)" if log10_lr > 0 else "H2 (another process)"
    for end, words in policy.bands:
        if abs(log10_lr) <= end:
            return f"{words} support for {side}"
    return f"{policy.bands[-1][1]} support for {side}"


def photo_measurements(size_px: tuple[int, int], quality: Quality) -> dict[str, float]:
    """Return what is known of a photo before anything is found in it."""
    return {
        "photo_side_px": float(max(size_px)),
        "photo_sharpness": quality.sharpness,
        "photo_contrast": quality.contrast,
        "photo_dark": quality.dark_fraction,
        "photo_glare": quality.glare_fraction,
    }


def _nothing_accepted(
    examined: Sequence[Evidence],
    photo: Mapping[str, float],
    policy: Policy,
    resemblance: float,
) -> Finding:
    """Tell a photo that shows something else from one that cannot show what it is.

    That nothing enrolled is there can only be said of a photo that would have shown it.
    """
    if any(_may_be_it(evidence, policy) for evidence in examined):
        reasons: tuple[Reason, ...] = (reason_for("resolution_too_low"),)
    elif resemblance >= policy.resemblance_similarity:
        reasons = (reason_for(NOT_REGISTERED),)
    else:
        reasons = _objections(photo, policy.photo_limits)
    kind = FindingKind.INSUFFICIENT_QUALITY if reasons else FindingKind.NO_REFERENCE
    reasons = reasons or (reason_for("nothing_resembles"),)
    return Finding(kind, reasons, advice_for(kind, reasons))


def _may_be_it(evidence: Evidence, policy: Policy) -> bool:
    """Tell whether a photo is too small to tell that it does not show this one."""
    measured = evidence.match.measurements()
    least, _ = policy.quality_limits.get("resolution", (0.0, math.inf))
    return (
        measured["resolution"] < least and policy.rank(measured) >= policy.doubt_logit
    )


def disagreeing() -> Finding:
    """Return the finding on photos that show different products."""
    kind, reasons = FindingKind.INCONCLUSIVE, (reason_for(PHOTOS_DISAGREE),)
    return Finding(kind, reasons, advice_for(kind, reasons))

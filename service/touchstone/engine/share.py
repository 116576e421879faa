"""The share of counterfeits in a lot, from findings of a test that errs.

Rogan & Gladen (Am. J. Epidemiol. 107, 1978) correct a share for known error rates. Here
the rates are known from few trials, and the sensitivity for the counterfeits of this
very lot is one more draw from how it varies between kinds (`rates.py`). The interval
holds every share that the findings do not refute (`inversion.py`), and so covers *each*
true share, none and all included, as often as it says. A Bayesian interval is right on
average over its prior and may never hold 0 or 1; Wald's is too short (Lang & Reiczigel,
Prev. Vet. Med. 113, 2014; Bayer, Fay & Graubard, Stat. Med. 42, 2023).

What it rests on: the examined units were drawn at random; what is known of the test
holds for such photos (false calls may be as frequent as on any product of the
validation, where that tells products apart, as the shipped one does); the lot's
counterfeits are of one kind, or of several that differ less; they are called no less
often than genuine units of the product; printings are of one nature each, and photos
were not put into one for what had them called.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from touchstone.engine.homogeneity import Printing, beside, told
from touchstone.engine.inversion import Curve, Sample, called_by_test, counted
from touchstone.engine.rates import Validation, pooled
from touchstone.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Findings:
    """The examined units of a lot, by outcome."""

    inconsistent: int
    """Called inconsistent with genuine."""
    answered: int
    """With any finding but abstention, the inconsistent ones among them."""
    abstained: int = 0
    """Neither: no reference, or a photo that cannot carry a finding."""

    def __post_init__(self) -> None:
        if not 0 <= self.inconsistent <= self.answered or self.abstained < 0:
            raise InvalidInputError(
                "The findings have impossible counts.", field="findings"
            )

    @property
    def examined(self) -> int:
        """All of them."""
        return self.answered + self.abstained


@dataclass(frozen=True, slots=True)
class Share:
    """The share of counterfeits among all units of a lot, and how well it is known."""

    estimate: float | None
    """By Rogan & Gladen, at the average rates of the validation, or with printings the
    expected share; within the interval. None if unanswered, or if the validation knows
    no difference between genuine and counterfeit."""
    low: float
    high: float
    confidence: float
    """How often such an interval holds the true share, at least."""
    high_if_average: float
    """``high`` for counterfeits that are seen as often as those of the validation were
    on average. Subtler ones may be there beyond it."""
    low_at_worst: float
    """``low`` if every abstained unit were genuine."""
    high_at_worst: float
    """``high`` if every abstained unit were counterfeit."""
    method: str
    advice: str
    """What the reader should do, in a sentence."""


def share_of_counterfeits(
    findings: Findings,
    validation: Validation,
    *,
    population: int | None = None,
    printings: Sequence[Printing] = (),
    unlinked: Sequence[Printing] = (),
    confidence: float = 0.95,
) -> Share:
    """Return the share of counterfeits among all units of the lot.

    Args:
        findings: of units that were drawn at random, or of all of them.
        validation: what the test did on items whose nature was known.
        population: units in the lot; None if unknown or without end.
        printings: print sources among the examined units, where they were told apart;
            one whose nature its counts tell is counted whole. Labels are unique.
        unlinked: the units of no printing, by reference: they show how often units of
            that product are called (see `told`).
        confidence: of the interval.

    Raises:
        InvalidInputError: counts contradict one another; ``field`` names which.
    """
    # 1. Of the answered units: which shares do the calls not refute?
    # 2. Abstained units: their share follows from the odds of abstaining, or at worst.
    # 3. Printings that are told: which shares of the lot do they not refute?
    # 4. All must hold, so what may go wrong is divided between the two ways.
    _check(findings, population, printings, confidence)
    if not findings.answered:
        return Share(None, 0.0, 1.0, confidence, 1.0, 0.0, 1.0, _METHOD, _UNANSWERED)
    several = [one for one in printings if one.answered > 1]
    tail = (1.0 - confidence) / (4.0 if several else 2.0)
    sample = _answered_units(findings, validation, population)
    usual = Curve.of(
        _answered_units(findings, validation, population, is_average=True)
    ).not_refuted(tail)
    low, high = Curve.of(sample).not_refuted(tail)
    gone = findings.abstained / findings.examined
    least, most = validation.abstention_odds
    inner = _with_abstained(low, gone, least), _with_abstained(high, gone, most)
    outer = _with_abstained(low, gone, 0.0), _with_abstained(high, gone, math.inf)
    estimate = _rogan_gladen(findings, validation)
    if estimate is not None:
        estimate = _with_abstained(estimate, gone, _middle(least, most))
    if several:
        told_low, told_high = _by_printings(
            findings, validation, population, several, unlinked, tail=tail
        )
        inner = max(inner[0], told_low), min(inner[1], told_high)
        outer = max(outer[0], told_low), min(outer[1], told_high)
        estimate = _expected(findings, validation, printings, unlinked)
    # Two ways that contradict one another leave nothing: then what assumptions fail is
    # unknown, and neither may be trusted alone.
    if inner[0] > inner[1]:
        inner = inner[1], inner[0]
    outer = min(inner[0], *outer), max(inner[1], *outer)
    return Share(
        estimate if estimate is None else min(inner[1], max(inner[0], estimate)),
        *inner,
        confidence,
        min(inner[1], max(inner[0], _with_abstained(usual[1], gone, most))),
        *outer,
        _METHOD_BY_PRINTINGS if several else _METHOD,
        _advice(*inner, gone, is_explained=sample.explained > tail),
    )


# --- the answered units ---------------------------------------------------------------

_MOST_WEIGHED = 20_000
"""Larger samples count as so many with the same findings: what is not known of the test
is by far the larger part then, and the interval only gets wider."""


def _answered_units(
    findings: Findings,
    validation: Validation,
    population: int | None,
    *,
    is_average: bool = False,
) -> Sample:
    scale = min(1.0, _MOST_WEIGHED / findings.answered)
    # Of the units not examined, as many would be answered as of those that were.
    each = findings.answered / findings.examined * scale
    size = round(findings.answered * scale)
    average = pooled(validation.counterfeit)
    return called_by_test(
        round(findings.inconsistent * scale),
        size,
        None if population is None else max(size, round(population * each)),
        false_call=validation.false_call,
        sensitivity=average if is_average else validation.sensitivity,
        blind=0.0 if is_average else validation.blind,
    )


def _rogan_gladen(
    findings: Findings | Printing, validation: Validation
) -> float | None:
    false = min(1.0, pooled(validation.genuine).mean * validation.photos)
    true = pooled(validation.counterfeit).mean
    if true <= false:
        return None
    called = findings.inconsistent / findings.answered
    return min(1.0, max(0.0, (called - false) / (true - false)))


# --- the abstained units --------------------------------------------------------------


def _with_abstained(share: float, gone: float, odds: float) -> float:
    """Return the share of all units from the ``share`` of those answered.

    Of the units, ``gone`` are abstained. They are counterfeit at odds ``odds`` times
    those of answered units: 1 if photos abstain at random, 0 and infinity at worst.
    """
    if math.isinf(odds):
        silent = 1.0
    else:
        silent = share * odds / max(1e-300, share * odds + 1.0 - share)
    return min(1.0, (1.0 - gone) * share + gone * silent)  # more, by rounding


def _middle(least: float, most: float) -> float:
    """Geometric mean of two odds; 1 where they are bounds without any knowledge."""
    return math.sqrt(least * most) if least > 0 and math.isfinite(most) else 1.0


# --- printings ------------------------------------------------------------------------


def _by_printings(
    findings: Findings,
    validation: Validation,
    population: int | None,
    printings: Sequence[Printing],
    unlinked: Sequence[Printing],
    *,
    tail: float,
) -> tuple[float, float]:
    """Return the shares that printings of a told nature do not refute.

    Half of ``tail`` is for a printing that is mistaken, half for the draw of the
    sample.
    """
    known = told(printings, validation, mistaken=tail / 2, unlinked=unlinked)
    scale = min(1.0, _MOST_WEIGHED / findings.examined)
    size = round(findings.examined * scale)
    lot = None if population is None else max(size, round(population * scale))
    sizes = {one.label: one.size for one in printings}
    counterfeit = math.floor(scale * sum(sizes[one] for one in known.counterfeit))
    genuine = math.floor(scale * sum(sizes[one] for one in known.genuine))
    most = max(counterfeit, size - genuine)
    low, _ = Curve.of(counted(counterfeit, size, lot)).not_refuted(tail / 2)
    _, high = Curve.of(counted(most, size, lot)).not_refuted(tail / 2)
    return low, high


def _rest(findings: Findings, printings: Sequence[Printing]) -> Printing:
    """Return the units of no printing, as if they were one."""
    return Printing(
        "",
        findings.inconsistent - sum(one.inconsistent for one in printings),
        findings.answered - sum(one.answered for one in printings),
        findings.abstained - sum(one.abstained for one in printings),
    )


_STEPS = 60


def _expected(
    findings: Findings,
    validation: Validation,
    printings: Sequence[Printing],
    unlinked: Sequence[Printing] = (),
) -> float:
    """Return the expected share, if each printing is counterfeit with one probability.

    That probability has the prior of Jeffreys; units of no printing are one each.
    """
    places = np.sin((np.arange(_STEPS) + 0.5) / _STEPS * math.pi / 2) ** 2
    sizes = np.array([one.size for one in printings], np.float64)
    lrs = np.array(
        [one.log10_lr(beside(one, unlinked, validation)) for one in printings]
    )
    # (step, printing): probability of counterfeit given the step's probability.
    odds = np.log(places / (1 - places))[:, None] - math.log(10) * lrs[None]
    log_marginal = np.log(1 - places)[:, None] + np.logaddexp(0.0, odds)
    weights = np.exp(log_marginal.sum(axis=1) - log_marginal.sum(axis=1).max())
    weights /= weights.sum()
    each = weights @ (1.0 / (1.0 + np.exp(-np.clip(odds, -700, 700))))
    # What is of no printing was called, or not, by itself.
    rest = _rest(findings, printings)
    alone = _rogan_gladen(rest, validation) if rest.answered else None
    others = float(weights @ places) if alone is None else min(1.0, max(0.0, alone))
    expected = float(each @ sizes) + rest.size * others
    return min(1.0, expected / findings.examined)  # each is, but for rounding


# --- words ----------------------------------------------------------------------------

_METHOD = (
    "All shares whose chance of as many calls, or as few, is not too small, with the"
    " test's error rates integrated over their validation, the sensitivity varying"
    " between kinds of counterfeit, and a random sample of the lot."
)
_METHOD_BY_PRINTINGS = (
    f"{_METHOD} Printings whose own counts tell their nature are counted whole; both"
    " hold together at the stated confidence."
)
_UNANSWERED = (
    "No examined unit got an answer: photograph them anew, or send units to a"
    " laboratory."
)
_WIDE = 0.5
_GONE = 0.2


def _advice(low: float, high: float, gone: float, *, is_explained: bool) -> str:
    """Say what is shown, then what would tell more."""
    shown = "The lot holds counterfeits." if low > 0 else "Counterfeits are not shown."
    if not is_explained:
        # Or the product is one whose genuine units are called; both look alike here.
        return (
            f"{shown} Units are called more often than the validation explains by any"
            " share of counterfeits: these are seen better than any of the validation"
            " were, or the test does not hold for this product. Have some of the called"
            " units examined by a laboratory."
        )
    if high - low <= _WIDE:
        return f"{shown} Up to the upper bound may be there all the same."
    laboratory = "have the first of the triage list examined by a laboratory."
    if gone > _GONE:
        return (
            f"{shown} Many units got no answer: photograph those anew, and {laboratory}"
        )
    return (
        f"{shown} The test may be blind to what was changed in this lot, and then more"
        f" photos do not narrow the interval: {laboratory}"
    )


# --- what must hold -------------------------------------------------------------------


def _check(
    findings: Findings,
    population: int | None,
    printings: Sequence[Printing],
    confidence: float,
) -> None:
    if population is not None and population < findings.examined:
        raise InvalidInputError(
            "More units were examined than the lot has.", field="population"
        )
    if not 0.5 <= confidence < 1.0:  # noqa: PLR2004  less is no confidence
        raise InvalidInputError(
            "The confidence must be 0.5 or more and less than 1.", field="confidence"
        )
    message = "Printings occur twice, or hold other units than were examined."
    if len({one.label for one in printings}) < len(printings):
        raise InvalidInputError(message, field="printings")
    try:
        _rest(findings, printings)
    except InvalidInputError as error:
        raise InvalidInputError(message, field="printings") from error

"""Items of one print source, judged together.

What a counterfeiter changed is seen on most items of a printing or on hardly any: their
log likelihood ratios must not be added up as if each were new evidence. A hundred clean
items of one printing say that it is genuine, or of a kind that the test cannot see. So
the findings of a printing are weighed as counts whose rate they share, unknown and
drawn anew for each printing (`rates.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from touchstone.engine.rates import Trials, Validation
from touchstone.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Printing:
    """The examined items that one print source made, as far as prints can tell."""

    label: str
    inconsistent: int
    """Called inconsistent with genuine."""
    answered: int
    """With any finding but abstention."""
    abstained: int = 0
    reference: str = ""
    """What its items were compared with."""
    on_reference: Trials | None = None
    """Calls by the photos of that reference alone, where items have others too; of all
    that have one. None: those above."""

    def __post_init__(self) -> None:
        if not 0 <= self.inconsistent <= self.answered or self.abstained < 0:
            raise InvalidInputError(
                f"Printing {self.label} has impossible counts.", field="printings"
            )

    @property
    def size(self) -> int:
        """All of its items."""
        return self.answered + self.abstained

    @property
    def calls(self) -> Trials:
        """What tells its nature: calls on what it printed, not on what others did."""
        return self.on_reference or Trials(self.inconsistent, self.answered)

    def log10_lr(self, validation: Validation) -> float:
        """Return the log10 likelihood ratio of genuine against counterfeit, for all."""
        counts = self.calls.inconsistent, self.calls.answered - self.calls.inconsistent
        return (
            validation.log_genuine(*counts) - validation.log_counterfeit(*counts)
        ) / math.log(10)


def beside(
    printing: Printing, unlinked: Sequence[Printing], validation: Validation
) -> Validation:
    """Return what the validation tells of a printing, given the rest of its lot.

    The units of no printing that were compared with the same reference show how often
    units of that product are called. Other printings do not: they may be counterfeits
    that are seen well, beside which any other would pass for genuine.
    """
    for one in unlinked:
        if one.reference == printing.reference:
            return validation.beside(one.calls)
    return validation


@dataclass(frozen=True, slots=True)
class Told:
    """Which printings are what, at a stated chance of any mistake at all."""

    counterfeit: frozenset[str]
    genuine: frozenset[str]


def told(
    printings: Sequence[Printing],
    validation: Validation,
    *,
    mistaken: float,
    unlinked: Sequence[Printing] = (),
) -> Told:
    """Return the printings whose nature is told by their counts.

    Holm's procedure (Scand. J. Stat. 6, 1979) holds the chance that any genuine
    printing is called counterfeit at most at ``mistaken``; and the same for the other
    side. Printings of one answered item are left out: they say no more than the item.

    Each is weighed beside the other units of its product (`beside`).

    Args:
        printings: those to be told.
        validation: what the calls are worth.
        mistaken: allowed chance of any mistake, for each of the two sides.
        unlinked: the units of no printing, those of one reference as if they were one.
    """
    several = [one for one in printings if one.calls.answered > 1]
    as_genuine, as_counterfeit = {}, {}
    for one in several:
        called, answered = one.calls.inconsistent, one.calls.answered
        genuine = beside(one, unlinked, validation).false_call.counts(answered)
        counterfeit = validation.sensitivity.counts(answered)
        as_genuine[one.label] = float(genuine[called:].sum())
        seen = float(counterfeit[: called + 1].sum())
        as_counterfeit[one.label] = validation.blind + (1 - validation.blind) * seen
    not_genuine = _refuted(as_genuine, mistaken)
    not_counterfeit = _refuted(as_counterfeit, mistaken)
    # What is neither was made by more than one source, and tells nothing as a whole.
    return Told(not_genuine - not_counterfeit, not_counterfeit - not_genuine)


def _refuted(chances: dict[str, float], mistaken: float) -> frozenset[str]:
    refuted = []
    for place, label in enumerate(sorted(chances, key=lambda one: chances[one])):
        if chances[label] > mistaken / (len(chances) - place):
            break
        refuted.append(label)
    return frozenset(refuted)


# --- one process or several -----------------------------------------------------------


class Homogeneity(StrEnum):
    """Whether one process explains a lot."""

    ONE_PROCESS = "one_process"
    SEVERAL_PROCESSES = "several_processes"
    """Several print sources, all alike in their findings."""
    MIXED = "mixed"
    """Several print sources, and findings that speak for genuine beside counterfeit."""
    UNDETERMINED = "undetermined"


@dataclass(frozen=True, slots=True)
class Composition:
    """What a lot is made up of."""

    homogeneity: Homogeneity
    printings: int
    """Print sources with two items or more."""
    unlinked: int
    """Items that are of no such printing."""
    largest: float
    """Share of the examined items that the largest printing has."""
    log10_lr_mixed: float
    """For printings of both natures against all of one, from their findings alone."""
    sentence: str


_MIXED_LOG10_LR = 1.0
"""Below ten to one, evidence is inconclusive (ENFSI, Guideline for Evaluative
Reporting in Forensic Science, 2015: "weak support")."""
_NEARLY_ALL = 0.95
"""So much of the examined items must a single printing have to be the whole lot: links
that fail on a bad photo leave some items alone."""


def composition(printings: Sequence[Printing], validation: Validation) -> Composition:
    """Say whether one process explains the examined items, or several.

    Args:
        printings: all examined items; those linked to no other as printings of one.
        validation: what the calls are worth.
    """
    several = [one for one in printings if one.size > 1]
    total = sum(one.size for one in printings)
    linked = sum(one.size for one in several)
    largest = max((one.size for one in several), default=0) / max(1, total)
    mixed = _log10_mixed([one for one in several if one.answered], validation)
    if mixed >= _MIXED_LOG10_LR:
        kind = Homogeneity.MIXED
    elif len(several) > 1:
        kind = Homogeneity.SEVERAL_PROCESSES
    elif largest >= _NEARLY_ALL:
        kind = Homogeneity.ONE_PROCESS
    else:
        kind = Homogeneity.UNDETERMINED
    return Composition(
        kind,
        len(several),
        total - linked,
        largest,
        mixed,
        _SENTENCES[kind].format(
            several=len(several), unlinked=total - linked, largest=largest
        ),
    )


_SENTENCES = {
    Homogeneity.ONE_PROCESS: "One print source explains {largest:.0%} of the examined"
    " items.",
    Homogeneity.SEVERAL_PROCESSES: "The examined items come of {several} print sources"
    " ({unlinked} items of none of them); their findings do not show"
    " that some are genuine and others not.",
    Homogeneity.MIXED: "The examined items come of {several} print sources, and their"
    " findings speak for some being genuine and others not.",
    Homogeneity.UNDETERMINED: "Too few of the examined items are linked to one another"
    " ({unlinked} are linked to none) to say how many processes made them.",
}


def _log10_mixed(printings: Sequence[Printing], validation: Validation) -> float:
    """Both natures (each as likely for each printing) against one nature for all."""
    if len(printings) < 2:  # noqa: PLR2004  one printing cannot be mixed
        return 0.0
    counts = [(one.inconsistent, one.answered - one.inconsistent) for one in printings]
    genuine = np.array([validation.log_genuine(*one) for one in counts])
    counterfeit = np.array([validation.log_counterfeit(*one) for one in counts])
    alike = genuine.sum(), counterfeit.sum()
    free = float((np.logaddexp(genuine, counterfeit) - math.log(2)).sum())
    # Of 2^k ways, two are not mixed: they are taken out of what is free.
    ways = 2.0 ** min(60, len(printings))
    all_alike = float(np.logaddexp(*alike))
    rest = math.exp(min(0.0, all_alike - math.log(ways) - free))
    if rest >= 1.0 - 1e-12:
        return -_MOST_LOG10
    mixed = free + math.log1p(-rest) - math.log1p(-2 / ways)
    least, most = -_MOST_LOG10, _MOST_LOG10
    log10 = (mixed - (all_alike - math.log(2))) / math.log(10)
    return min(most, max(least, log10))


_MOST_LOG10 = 6.0
"""No validation of a few hundred trials can speak for more."""

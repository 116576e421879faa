"""Sampling plans: how many units to examine, which, and what clean ones prove.

Rules after UNODC/ENFSI, Guidelines on Representative Drug Sampling (ST/NAR/38, 2009):
chapter 4 (arbitrary sampling) for the square root, chapter 5 for the hypergeometric.
"""

import hashlib
import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from touchstone.engine.chances import hypergeometric
from touchstone.errors import InvalidInputError

MOST_UNITS = 1_000_000
"""Larger populations are to be split into lots."""


class Rule(StrEnum):
    """How the number of units was chosen."""

    HYPERGEOMETRIC = "hypergeometric"
    SQUARE_ROOT = "square_root"


@dataclass(frozen=True, slots=True)
class Plan:
    """How many units of a lot are to be examined, and why so many."""

    rule: Rule
    population: int
    sample: int
    sentence: str
    share: float | None = None
    """Smallest share of counterfeits that is to be found; only `HYPERGEOMETRIC`."""
    confidence: float | None = None
    """Probability of at least one call at that share; only `HYPERGEOMETRIC`."""
    sensitivity: float | None = None
    """Probability that an examined counterfeit is called; only `HYPERGEOMETRIC`."""
    reached: float | None = None
    """The probability that the sample does reach; less than ``confidence`` only where
    even the examination of every unit would not reach it."""


def hypergeometric_plan(
    population: int, *, share: float, confidence: float, sensitivity: float = 1.0
) -> Plan:
    """Return the smallest sample that shows a share of counterfeits, if it is there.

    With ``share`` of the units counterfeit (rounded up to whole units), at least one of
    the sample is called so with probability ``confidence``. A test that misses
    counterfeits needs more units: with ``sensitivity`` 0.3, over three times as many.

    Raises:
        InvalidInputError: a parameter is out of range; ``field`` names it.
    """
    _check_population(population)
    _check_open("share", share, most=1.0)
    _check_open("confidence", confidence)
    _check_open("sensitivity", sensitivity, most=1.0)
    counterfeits = _whole_units(population, share)

    def found(sample: int) -> float:
        return 1.0 - none_called(population, counterfeits, sample, sensitivity)

    least, most = 1, population
    while least < most:
        middle = (least + most) // 2
        if found(middle) >= confidence:
            most = middle
        else:
            least = middle + 1
    reached = found(least)
    return Plan(
        Rule.HYPERGEOMETRIC,
        population,
        least,
        _sentence(population, least, counterfeits, confidence, reached),
        share,
        confidence,
        sensitivity,
        reached,
    )


def square_root_plan(population: int) -> Plan:
    """Return the plan that is usual at customs: all, ten, or the square root.

    It rests on no probability: after a clean sample, `most_hidden` says what it proves.

    Raises:
        InvalidInputError: no population.
    """
    _check_population(population)
    if population < _FEW:
        sample, words = population, f"all, as there are fewer than {_FEW}"
    elif population <= _MANY:
        sample, words = _FEW, f"{_FEW}, as there are {_FEW} to {_MANY}"
    else:
        sample = math.isqrt(population - 1) + 1
        words = f"{sample}, the square root of their number, rounded up"
    return Plan(
        Rule.SQUARE_ROOT,
        population,
        sample,
        f"Of {population} units examine {words} (rule of thumb of UNODC and ENFSI,"
        " 2009; it states no probability).",
    )


_FEW = 10
_MANY = 100


def most_hidden(
    population: int, sample: int, *, confidence: float, sensitivity: float = 1.0
) -> int:
    """Return how many counterfeits a lot may hold though none of a sample is called.

    With one more, a call would have been seen with probability ``confidence`` or more.

    Raises:
        InvalidInputError: a parameter is out of range; ``field`` names it.
    """
    _check_population(population)
    if not 0 <= sample <= population:
        raise InvalidInputError(
            "The sample must be none to all of the units.", field="sample"
        )
    _check_open("confidence", confidence)
    _check_open("sensitivity", sensitivity, most=1.0)
    least, most = 0, population
    while least < most:
        middle = (least + most + 1) // 2
        if none_called(population, middle, sample, sensitivity) > 1.0 - confidence:
            least = middle
        else:
            most = middle - 1
    return least


def none_called(
    population: int, counterfeits: int, sample: int, sensitivity: float = 1.0
) -> float:
    """Return the probability that no unit of a random sample is called counterfeit."""
    least = max(0, sample - (population - counterfeits))
    drawn = np.arange(least, min(sample, counterfeits) + 1)
    chance = hypergeometric(population, counterfeits, sample, drawn)
    return min(1.0, float(chance @ (1.0 - sensitivity) ** drawn))


# --- the draw -------------------------------------------------------------------------


def draw(plan: Plan, *, seed: str) -> tuple[int, ...]:
    """Return the positions of the units to examine (1 is the first), in drawing order.

    Each position of the list of units gets the SHA-256 of ``seed/position``, in hex;
    the units with the smallest come first. Whoever has the seed can repeat it for any
    unit::

        printf '%s' 'CASE-17/42' | sha256sum

    A larger sample of the same seed begins with the smaller. Choose the seed (the case
    number, say) before the units are numbered, so that nobody chose the sample.

    Raises:
        InvalidInputError: an empty seed, or one with a slash or control character.
    """
    if not seed or "/" in seed or not seed.isprintable():
        raise InvalidInputError(
            "The seed must be text without slashes or line ends.", field="seed"
        )
    order = sorted(
        range(1, plan.population + 1),
        key=lambda position: hashlib.sha256(f"{seed}/{position}".encode()).digest(),
    )
    return tuple(order[: plan.sample])


# --- what must hold -------------------------------------------------------------------


def _check_population(population: int) -> None:
    if not 1 <= population <= MOST_UNITS:
        raise InvalidInputError(
            f"The population must be 1 to {MOST_UNITS} units.", field="population"
        )


def _check_open(field: str, value: float, *, most: float | None = None) -> None:
    """Refuse what is not between 0 and 1; 1 itself only where ``most`` says so."""
    if not (0.0 < value < 1.0 or value == most):
        end = "at most 1" if most else "less than 1"
        raise InvalidInputError(
            f"The {field} must be more than 0 and {end}.", field=field
        )


def _whole_units(population: int, share: float) -> int:
    """Round up, but not for the sake of how floats are stored (0.07 times 100)."""
    return max(1, math.ceil(share * population - 1e-9 * population))


def _sentence(
    population: int, sample: int, counterfeits: int, confidence: float, reached: float
) -> str:
    words = (
        f"Of {population} units examine {sample}: if {counterfeits} or more are"
        f" counterfeit, at least one is called so with a probability of {reached:.1%}"
    )
    if reached < confidence:
        return (
            f"{words}, which is less than the {confidence:.1%} asked for: the test"
            " misses too many, and a laboratory must examine some."
        )
    return f"{words} (asked for: {confidence:.1%})."

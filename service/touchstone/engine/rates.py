"""How often the test errs, from trials on items whose nature was known.

What counterfeiters change differs from lot to lot, and so does how often it is seen:
the sensitivity for the counterfeits of one lot is not the average of the validation,
but one more draw from how it varies between kinds (Gelman & Carpenter, J. R. Stat. Soc.
C 69, 2020, section 3). With few kinds, or none, nearly anything remains possible.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from touchstone.engine.chances import Beta
from touchstone.errors import InvalidInputError, ModelError


@dataclass(frozen=True, slots=True)
class Trials:
    """Validation on one group: genuine items, or counterfeits of one kind."""

    inconsistent: int
    """How many were called inconsistent with genuine."""
    answered: int
    """How many got an answer: all but abstentions."""

    def __post_init__(self) -> None:
        if not 0 <= self.inconsistent <= self.answered:
            raise InvalidInputError(
                "More calls than answers, or fewer than none.", field="inconsistent"
            )


@dataclass(frozen=True, slots=True)
class Validation:
    """What the test did on items whose nature was known."""

    genuine: tuple[Trials, ...] = ()
    """One group, or one for each product where rates are to differ between products."""
    counterfeit: tuple[Trials, ...] = ()
    """One group for each kind of counterfeit. Finer groups tell more of how they
    differ: severities, each of many kinds, differ less than what one counterfeiter
    does."""
    genuine_abstained: int | None = None
    counterfeit_abstained: int | None = None
    """How many got no answer; None where nobody counted."""

    product: Trials = Trials(0, 0)
    """Units of the very product in question, taken to be genuine (`beside`)."""
    photos: float = 1.0
    """Answered photos of each unit in question, on average: the validation is of single
    photos, and a unit is called if any of its photos is."""
    policy: str = ""
    """SHA-256 of the policy that was validated."""
    digest: str = ""
    """SHA-256 of the file that these counts come from."""

    @classmethod
    def from_json(cls, data: bytes) -> "Validation":
        """Read ``validation.json``, which the benchmark writes.

        Raises:
            ModelError: it is not usable.
        """
        try:
            fields = json.loads(data)
            return cls(
                genuine=tuple(_trials(one) for one in fields["genuine"]),
                counterfeit=tuple(_trials(one) for one in fields["counterfeit"]),
                genuine_abstained=int(fields["genuine_abstained"]),
                counterfeit_abstained=int(fields["counterfeit_abstained"]),
                policy=str(fields["policy"]),
                digest=hashlib.sha256(data).hexdigest(),
            )
        except (ValueError, TypeError, KeyError, InvalidInputError) as error:
            raise ModelError(f"validation.json is not usable: {error!r}") from error

    def beside(self, product: Trials) -> "Validation":
        """Return what the same validation tells of a product with such other units.

        How often genuine units are called differs between products: most give next to
        no false calls, a few give many. Other units of the product tell which it is;
        where they are counterfeits they are called no less often than genuine ones, so
        that to take them for genuine errs on the side of genuine.
        """
        return replace(self, product=product)

    def of_units(self, photos: float) -> "Validation":
        """Return what it tells of units with so many answered photos each, 1 or more.

        At most as many times as often as a photo is a genuine unit called; counterfeit
        ones are taken to be called no more often, as one face alone may be forged.
        """
        return replace(self, photos=photos)

    @property
    def false_call(self) -> Beta:
        """Rate of calls among genuine items that are answered, rather too high.

        One more call is taken for seen than was, as in the upper end of Clopper and
        Pearson (Biometrika 26, 1934): with the prior of Jeffreys a lot without
        counterfeits would be said to hold some twice as often as is allowed (4.7 for
        2.5 % of lots of 5,000, at 3 % of false calls and 100 trials).
        """
        return self._of_any_product.after(
            self.product.inconsistent, self.product.answered
        )

    @property
    def _of_any_product(self) -> Beta:
        if len(self.genuine) > 1:
            known = of_new_group(self.genuine)
        else:
            known = pooled(self.genuine)
            known = Beta(known.a + 0.5, known.b)
        return known.times(self.photos)

    @property
    def sensitivity(self) -> Beta:
        """Rate of calls among answered counterfeits of a kind not met before."""
        return of_new_group(self.counterfeit)

    @property
    def blind(self) -> float:
        """Chance that a kind not met before is one that the test cannot see at all.

        As such count the kinds that are not called more often than genuine items are;
        to them and to the others half a kind is added (prior of Jeffreys). It takes
        twenty kinds, all seen, to get below the 2.5 % that a 95 % interval may err by.
        """
        return _blind(replace(self, product=Trials(0, 0), photos=1.0))

    def log_genuine(self, called: int, others: int) -> float:
        """Return the log probability of a sequence of calls on one genuine print.

        Half of prints are taken to give no false calls at all: those of the validation
        are of few products, and a thousand clean items must not speak against genuine.
        """
        seen, passed = (
            self.product.inconsistent,
            self.product.answered - self.product.inconsistent,
        )
        whole = self._log_of_product(seen + called, passed + others)
        return whole - self._log_of_product(seen, passed)

    def _log_of_product(self, called: int, others: int) -> float:
        never = -math.inf if called else 0.0
        logs = _log_sequence(self._of_any_product, called, others)
        return float(np.logaddexp(logs, never)) - math.log(2)

    def log_counterfeit(self, called: int, others: int) -> float:
        """Return the same for counterfeits of one print, of a kind not met before.

        A kind that is not seen gives the calls that genuine items give: clean items
        speak for genuine at most by one to the chance of such a kind.
        """
        logs = _log_sequence(self.sensitivity, called, others)
        unseen = math.log(self.blind) + self.log_genuine(called, others)
        return float(np.logaddexp(unseen, math.log1p(-self.blind) + logs))

    @property
    def abstention_odds(self) -> tuple[float, float]:
        """Least and most odds ratio of counterfeits to abstain, against genuine items.

        It holds 1, as a photo may abstain for reasons that have nothing to do with the
        print, and the 95 % interval of the validation (Woolf, Ann. Hum. Genet. 19,
        1955, with halves added after Haldane). Not counted: 0 to infinity.
        """
        if self.genuine_abstained is None or self.counterfeit_abstained is None:
            return 0.0, math.inf
        cells = (
            self.counterfeit_abstained + 0.5,
            sum(one.answered for one in self.genuine) + 0.5,
            self.genuine_abstained + 0.5,
            sum(one.answered for one in self.counterfeit) + 0.5,
        )
        middle = math.log(cells[0] * cells[1] / (cells[2] * cells[3]))
        reach = 1.96 * math.sqrt(sum(1 / cell for cell in cells))
        return math.exp(min(0.0, middle - reach)), math.exp(max(0.0, middle + reach))


@lru_cache(maxsize=64)
def _blind(validation: Validation) -> float:
    false = validation.false_call
    unseen = sum(
        float(false.counts(one.answered)[one.inconsistent :].sum()) > _CHANCE
        for one in validation.counterfeit
    )
    return (unseen + 0.5) / (len(validation.counterfeit) + 1)


_CHANCE = 0.05
"""So likely are as many calls by chance alone, and they show nothing."""


def _log_sequence(rate: Beta, called: int, others: int) -> float:
    return float(rate.log_sequence(np.array([called]), np.array([others]))[0])


def pooled(groups: Sequence[Trials]) -> Beta:
    """Return what is known of one rate that all share; prior after Jeffreys."""
    called = sum(one.inconsistent for one in groups)
    return Beta(called + 0.5, sum(one.answered for one in groups) - called + 0.5)


@lru_cache(maxsize=64)
def of_new_group(groups: tuple[Trials, ...]) -> Beta:
    """Return what is known of the rate of a group that was not among ``groups``.

    Rates of groups follow a beta distribution, whose mean and spread are weighed over a
    grid by how well they explain the counts; the mixture is given as the beta
    distribution with its mean and variance.
    """
    called = np.array([one.inconsistent for one in groups], np.int64)
    others = np.array([one.answered for one in groups], np.int64) - called
    logs = np.array(
        [
            Beta(mean * spread, (1 - mean) * spread).log_sequence(called, others).sum()
            + math.log(spread / (1 + spread) ** 2)
            for mean in _MEANS
            for spread in _CONCENTRATIONS
        ]
    )
    weights = np.exp(logs - logs.max()).reshape(len(_MEANS), len(_CONCENTRATIONS))
    weights /= weights.sum()
    means, spreads = np.array(_MEANS)[:, None], np.array(_CONCENTRATIONS)[None]
    mean = float((weights * means).sum())
    square = means**2 + means * (1 - means) / (spreads + 1)
    variance = float((weights * square).sum()) - mean**2
    concentration = mean * (1 - mean) / variance - 1
    return Beta(mean * concentration, (1 - mean) * concentration)


_MEANS = tuple(math.sin(math.pi / 2 * (n + 0.5) / 40) ** 2 for n in range(40))
"""Alike before the data on the scale of Jeffreys: dense where rates are small."""
_CONCENTRATIONS = tuple(2.0**n for n in range(-1, 9))
"""From rates that are nearly all or nothing to rates that hardly differ; weighed so
that the correlation of two items of a group, 1 / (1 + concentration), is uniform before
the data: else one large group would pass for proof that kinds do not differ."""


def _trials(fields: Mapping[str, int]) -> Trials:
    return Trials(int(fields["inconsistent"]), int(fields["answered"]))

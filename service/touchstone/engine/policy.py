"""The calibrated policy: every weight and threshold that turns numbers into a finding.

It is read from ``calibration.json``; nothing in it is a literal of the code.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from touchstone.errors import ModelError


@dataclass(frozen=True, slots=True)
class Term:
    """One measurement in a logistic sum."""

    name: str
    is_log: bool
    """Whether log(value + offset) enters instead of the value."""
    offset: float
    mean: float
    std: float
    weight: float
    least: float = -math.inf
    """Below it the value, or its log where that enters, says no more."""
    most: float = math.inf
    """The same above it."""

    def value(self, measurements: Mapping[str, float]) -> float:
        """Return this term's contribution."""
        if self.name not in measurements:
            raise ModelError(f"The policy weighs {self.name}, which is not measured.")
        raw = measurements[self.name]
        if not math.isfinite(raw):  # it would pass for the edge that clears
            raise ModelError(f"What was measured as {self.name} is no number.")
        if self.is_log:
            raw = math.log(max(raw + self.offset, 1e-6))
        raw = min(self.most, max(self.least, raw))
        # Beyond the data it was fitted on, a measurement says no more than its edge.
        scaled = min(EDGE, max(-EDGE, (raw - self.mean) / self.std))
        return self.weight * scaled


EDGE = 4.0
"""Spreads from the mean beyond which a measurement says no more."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """A calibrated weighted sum of measurements."""

    terms: tuple[Term, ...]
    bias: float

    def logit(self, measurements: Mapping[str, float]) -> float:
        """Return the natural log odds."""
        return self.bias + sum(term.value(measurements) for term in self.terms)


@dataclass(frozen=True, slots=True)
class Expert:
    """Knows one way to make another print."""

    name: str
    """``place`` (something on it was changed) or one of `WHOLE_PRINT`."""
    share: float
    """Of the counterfeits that it was fitted beside."""
    logistic: Logistic
    """Log odds of this way against the reference process, at equal priors."""
    most_log10_lr: float = math.inf
    """Highest log10 likelihood ratio of H2 that it may speak for: at 0 it can keep a
    print from being cleared, and not accuse it."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Another process made the print in one of several ways, none of them certain.

    Each is told from genuine prints by other measurements; their likelihood ratios add
    up by their shares, as the ways exclude one another.
    """

    experts: tuple[Expert, ...]

    @property
    def terms(self) -> tuple[Term, ...]:
        """Every term of every expert."""
        return tuple(term for one in self.experts for term in one.logistic.terms)

    def logit(self, measurements: Mapping[str, float]) -> float:
        """Return the natural log of the likelihood ratio of H2."""
        parts = [part for part, _ in self._parts(measurements)]
        most = max(parts)
        return most + math.log(sum(math.exp(part - most) for part in parts))

    def likeliest(self, measurements: Mapping[str, float]) -> str:
        """Return the name of the expert that says the most for H2.

        Of those that may say no more the one that would.
        """
        parts = self._parts(measurements)
        return self.experts[parts.index(max(parts))].name

    def _parts(self, measurements: Mapping[str, float]) -> list[tuple[float, float]]:
        """Return of each expert what it says, and what it would were it not limited."""
        logits = [
            math.log(one.share) + one.logistic.logit(measurements)
            for one in self.experts
        ]
        limits = [one.most_log10_lr * math.log(10) for one in self.experts]
        return [
            (min(logit, limit), logit)
            for logit, limit in zip(logits, limits, strict=True)
        ]


WHOLE_PRINT = ("cast", "proportion", "screen", "softness")
"""Ways to differ that are everywhere and at no place."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that turns measurements into findings."""

    version: str
    digest: str
    """SHA-256 of the file it was read from."""
    identification: Logistic
    """Log odds that a registered candidate is the product in the photo."""
    accept_logit: float
    """Below it a candidate does not count as a match."""
    doubt_logit: float
    """From here on one that does not may be it all the same, in a photo too small to
    tell."""
    resemblance_similarity: float
    """From here on a product is named by its looks, though its face was not found."""
    sibling_margin: float
    """Candidates within this of the best (log odds) are examined too."""
    fusion: Mixture
    """Log odds of H2 (another process) at equal priors."""
    log10_lr_floor: float
    log10_lr_cap: float
    consistent_log10_lr: float
    inconsistent_log10_lr: float
    """At most so much calls a print inconsistent, unless its class has its own."""
    quality_limits: Mapping[str, tuple[float, float]]
    """Measurement: (least, most) with which a comparison can be believed."""
    photo_limits: Mapping[str, tuple[float, float]]
    """The same for a photo in which nothing was found."""
    bands: tuple[tuple[float, str], ...]
    """(upper end of |log10 LR|, words), ascending."""
    other_gtin_log10_lr: float
    """What a code with another GTIN takes off the log10 LR."""
    error_rates: Mapping[str, float]
    """False alarm and miss rates of the evaluation behind the thresholds."""
    fitted_on: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the networks whose numbers it was fitted to, where it names them."""
    inconsistent_by_class: Mapping[str, float] = field(default_factory=dict)
    """`inconsistent_log10_lr` of classes of products whose genuine photos stray further
    than others': never above the general one."""

    @staticmethod
    def from_json(data: bytes) -> "Policy":
        """Read ``calibration.json``.

        Raises:
            ModelError: not JSON, or something is missing or not a number.
        """
        try:
            fields = json.loads(data, parse_constant=_refused)
            policy = _policy(fields, hashlib.sha256(data).hexdigest())
            _check_order(policy)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"The calibration is not usable: {error!r}") from error
        return policy

    def inconsistent_at(self, product_class: str) -> float:
        """Return the log10 LR that calls a product of this class inconsistent."""
        return self.inconsistent_by_class.get(product_class, self.inconsistent_log10_lr)

    def rank(self, measurements: Mapping[str, float]) -> float:
        """Return the log odds that a candidate is the one in the photo."""
        return self.identification.logit(measurements)


_NETWORKS = frozenset({"embedder", "comparator", "localiser"})


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number that a policy may hold")


def _check_order(policy: Policy) -> None:
    """Refuse thresholds that would let everything, or nothing, be consistent."""
    ascending = (
        policy.log10_lr_floor,
        *sorted(policy.inconsistent_by_class.values()),
        policy.inconsistent_log10_lr,
        policy.consistent_log10_lr,
        policy.log10_lr_cap,
    )
    if list(ascending) != sorted(ascending) or policy.consistent_log10_lr <= 0:
        raise ValueError("the thresholds are out of order")
    if policy.doubt_logit > policy.accept_logit:
        raise ValueError("doubt_logit lies above accept_logit")
    terms = (*policy.identification.terms, *policy.fusion.terms)
    if any(not term.std > 0 for term in terms):
        raise ValueError("a term would divide by nothing")
    if any(not -math.inf < term.most >= term.least < math.inf for term in terms):
        raise ValueError("a term's least and most leave it nothing to say")
    sums = policy.identification, *(one.logistic for one in policy.fusion.experts)
    numbers = [
        *(policy.doubt_logit, policy.accept_logit),
        *(one.bias for one in sums),
        *(n for term in terms for n in (term.mean, term.std, term.weight, term.offset)),
    ]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError("a sum or acceptance with what is no number")


def _policy(fields: dict[str, Any], digest: str) -> Policy:
    identification, fusion = fields["identification"], fields["fusion"]
    thresholds = fields["thresholds"]
    return Policy(
        version=str(fields["version"]),
        digest=digest,
        identification=_logistic(identification),
        accept_logit=float(identification["accept_logit"]),
        doubt_logit=float(
            identification.get("doubt_logit", identification["accept_logit"])
        ),
        resemblance_similarity=float(identification["resemblance_similarity"]),
        sibling_margin=float(identification["sibling_margin"]),
        fusion=_mixture(fusion),
        log10_lr_floor=float(thresholds["log10_lr_floor"]),
        log10_lr_cap=float(thresholds["log10_lr_cap"]),
        consistent_log10_lr=float(thresholds["consistent_log10_lr"]),
        inconsistent_log10_lr=float(thresholds["inconsistent_log10_lr"]),
        quality_limits=_limits(fields["quality_limits"]),
        photo_limits=_limits(fields["photo_limits"]),
        bands=tuple((float(end), str(words)) for end, words in fields["bands"]),
        other_gtin_log10_lr=float(thresholds["other_gtin_log10_lr"]),
        error_rates={str(k): float(v) for k, v in fields["error_rates"].items()},
        inconsistent_by_class={
            str(name): float(one["inconsistent_log10_lr"])
            for name, one in fields.get("classes", {}).items()
        },
        fitted_on={
            name: str(digest)
            for name, digest in fields.get("made_by", {}).items()
            if name in _NETWORKS
        },
    )


def _limits(fields: dict[str, Any]) -> dict[str, tuple[float, float]]:
    return {str(n): (float(least), float(most)) for n, (least, most) in fields.items()}


def _mixture(fields: dict[str, Any]) -> Mixture:
    experts = tuple(
        Expert(
            str(one["name"]),
            float(one["share"]),
            _logistic(one),
            float(one.get("most_log10_lr", math.inf)),
        )
        for one in fields["experts"]
    )
    names = [one.name for one in experts]
    if "place" not in names or len(set(names)) < len(names):
        raise ValueError("a mixture without `place`, or with an expert twice")
    if unknown := set(names) - {"place", *WHOLE_PRINT}:
        raise ValueError(f"experts that nobody knows: {sorted(unknown)}")
    if not all(0 < one.share <= 1 for one in experts):
        raise ValueError("an expert's share is none")
    if not math.isclose(sum(one.share for one in experts), 1.0, abs_tol=1e-3):
        raise ValueError("the shares of the experts do not add up to one")
    return Mixture(experts)


def _logistic(fields: dict[str, Any]) -> Logistic:
    terms = tuple(
        Term(
            str(term["name"]),
            bool(term["is_log"]),
            float(term["offset"]),
            float(term["mean"]),
            float(term["std"]),
            float(term["weight"]),
            float(term.get("least", -math.inf)),
            float(term.get("most", math.inf)),
        )
        for term in fields["terms"]
    )
    if not terms:
        raise ValueError("a logistic sum without terms")
    return Logistic(terms, float(fields["bias"]))

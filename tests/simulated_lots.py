"""Lots whose share of counterfeits is known, and how often an interval holds it.

``python tests/simulated_lots.py QUALITY UNITS`` prints the study of one kind of test.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from touchstone.engine.rates import Trials, Validation
from touchstone.engine.share import Findings, Share, share_of_counterfeits

SHARES = (0.0, 0.02, 0.1, 0.3, 0.7, 1.0)

SHIPPED_KINDS = (
    (2, 20), (1, 18), (4, 19), (1, 21), (0, 3), (5, 14), (5, 14), (16, 18), (6, 20),
    (8, 22), (0, 19), (13, 17), (15, 20), (7, 19), (7, 20), (14, 20), (7, 16),
)  # fmt: skip
"""What the benchmark of the policy 0.5.0 counted, by kind of counterfeit."""
SHIPPED = Validation(
    genuine=(Trials(3, 218),),
    counterfeit=tuple(Trials(*kind) for kind in SHIPPED_KINDS),
    genuine_abstained=22,
    counterfeit_abstained=82,
)


@dataclass(frozen=True)
class Quality:
    """A test, as nature made it, and how well it was validated."""

    false_call: float
    genuine: int
    kinds: int
    per_kind: int
    sensitivity: Callable[[np.random.Generator], float]
    """Of a kind of counterfeit, drawn anew."""
    genuine_abstains: float = 0.0
    counterfeit_abstains: float = 0.0

    def validated(self, rng: np.random.Generator) -> Validation:
        """A validation of it, drawn."""
        genuine_silent = rng.binomial(self.genuine, self.genuine_abstains)
        answered = self.genuine - genuine_silent
        kinds, silent = [], 0
        for _ in range(self.kinds):
            gone = int(rng.binomial(self.per_kind, self.counterfeit_abstains))
            seen = int(rng.binomial(self.per_kind - gone, self.sensitivity(rng)))
            kinds.append(Trials(seen, self.per_kind - gone))
            silent += gone
        return Validation(
            genuine=(
                Trials(int(rng.binomial(answered, self.false_call)), int(answered)),
            ),
            counterfeit=tuple(kinds),
            genuine_abstained=int(genuine_silent),
            counterfeit_abstained=silent,
        )

    def found(
        self, counterfeits: int, genuine: int, rng: np.random.Generator
    ) -> Findings:
        """What it finds among so many units of one lot, all of one kind."""
        silent = int(rng.binomial(counterfeits, self.counterfeit_abstains))
        also = int(rng.binomial(genuine, self.genuine_abstains))
        true = int(rng.binomial(counterfeits - silent, self.sensitivity(rng)))
        false = int(rng.binomial(genuine - also, self.false_call))
        answered = counterfeits + genuine - silent - also
        return Findings(true + false, answered, silent + also)


def _as_shipped(rng: np.random.Generator) -> float:
    called, answered = SHIPPED_KINDS[int(rng.integers(len(SHIPPED_KINDS)))]
    return called / answered


QUALITIES = {
    "shipped": Quality(0.0138, 218, 17, 18, _as_shipped),
    "shipped_abstaining": Quality(0.0138, 240, 17, 23, _as_shipped, 0.09, 0.21),
    "good": Quality(0.01, 1000, 40, 40, lambda rng: float(rng.beta(18, 2))),
    "poor": Quality(0.05, 100, 6, 20, lambda rng: float(rng.beta(1, 6))),
    "even": Quality(0.01, 400, 17, 18, lambda _: 0.35),
}


def simulated(
    quality: Quality,
    share: float,
    examined: int,
    population: int | None,
    rng: np.random.Generator,
) -> tuple[float, Share]:
    """Draw a validation and a lot; return the true share and what is said of it."""
    if population is None:
        counterfeits, true = int(rng.binomial(examined, share)), share
    else:
        marked = round(share * population)
        true = marked / population
        counterfeits = int(rng.hypergeometric(marked, population - marked, examined))
    findings = quality.found(counterfeits, examined - counterfeits, rng)
    said = share_of_counterfeits(
        findings, quality.validated(rng), population=population
    )
    return true, said


def covered(
    quality: Quality,
    share: float,
    examined: int,
    population: int | None,
    *,
    lots: int,
    seed: int,
) -> tuple[int, float, float]:
    """Return how many of ``lots`` were covered, and the median low and high ends."""
    rng = np.random.default_rng(seed)
    results = [
        simulated(quality, share, examined, population, rng) for _ in range(lots)
    ]
    hits = sum(said.low - 1e-9 <= true <= said.high + 1e-9 for true, said in results)
    lows = [said.low for _, said in results]
    highs = [said.high for _, said in results]
    return hits, float(np.median(lows)), float(np.median(highs))


def main() -> None:
    """Print the study of one quality and sample size."""
    name, examined = sys.argv[1], int(sys.argv[2])
    for population in (None, round(examined * 1.25)):
        for place, share in enumerate(SHARES):
            hits, low, high = covered(
                QUALITIES[name],
                share,
                examined,
                population,
                lots=100,
                seed=examined * 100 + place * 10 + (population is None),
            )
            sys.stdout.write(
                f"{name} examined {examined} of {population or 'endless'},"
                f" share {share}: {hits} of 100, median {low:.3f} to {high:.3f}\n"
            )


if __name__ == "__main__":
    main()

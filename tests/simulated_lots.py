"""Lots whose share of counterfeits is known, and how often an interval holds it.

``python tests/simulated_lots.py QUALITY UNITS SOURCES`` prints the study of one kind of
test: 0 sources are told apart, or so many.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from touchstone.engine.homogeneity import Printing
from touchstone.engine.rates import Trials, Validation
from touchstone.engine.share import Findings, Share, share_of_counterfeits

SHARES = (0.0, 0.02, 0.1, 0.3, 0.7, 1.0)

SHIPPED = Validation.from_json(
    (Path(__file__).parents[1] / "models" / "validation.json").read_bytes()
)
"""What the benchmark of the shipped policy counted."""
SHIPPED_KINDS = tuple(kind for kind in SHIPPED.counterfeit if kind.answered)


@dataclass(frozen=True)
class Quality:
    """A test, as nature made it, and how well it was validated."""

    false_call: Callable[[np.random.Generator], float]
    """Of a product, drawn anew."""
    products: int
    """Of the validation: groups of genuine items."""
    per_product: int
    kinds: int
    per_kind: int
    sensitivity: Callable[[np.random.Generator], float]
    """Of a kind of counterfeit, drawn anew."""
    genuine_abstains: float = 0.0
    counterfeit_abstains: float = 0.0

    def validated(self, rng: np.random.Generator) -> Validation:
        """A validation of it, drawn."""
        genuine, genuine_silent = [], 0
        for _ in range(self.products):
            gone = int(rng.binomial(self.per_product, self.genuine_abstains))
            answered = self.per_product - gone
            called = int(rng.binomial(answered, self.false_call(rng)))
            genuine.append(Trials(called, answered))
            genuine_silent += gone
        kinds, silent = [], 0
        for _ in range(self.kinds):
            gone = int(rng.binomial(self.per_kind, self.counterfeit_abstains))
            seen = int(rng.binomial(self.per_kind - gone, self.sensitivity(rng)))
            kinds.append(Trials(seen, self.per_kind - gone))
            silent += gone
        return Validation(
            genuine=tuple(genuine),
            counterfeit=tuple(kinds),
            genuine_abstained=genuine_silent,
            counterfeit_abstained=silent,
        )

    def found(
        self, parts: Sequence[int], genuine: int, rng: np.random.Generator
    ) -> list[Printing]:
        """What it finds on the units of one lot: its genuine ones, then each part.

        All are of one product; each part is of a kind of counterfeit of its own.
        """
        silent = int(rng.binomial(genuine, self.genuine_abstains))
        false = int(rng.binomial(genuine - silent, self.false_call(rng)))
        printings = [Printing("genuine", false, genuine - silent, silent)]
        for number, units in enumerate(parts):
            silent = int(rng.binomial(units, self.counterfeit_abstains))
            true = int(rng.binomial(units - silent, self.sensitivity(rng)))
            printings.append(Printing(f"{number}", true, units - silent, silent))
        return printings


def _as_shipped(rng: np.random.Generator) -> float:
    kind = SHIPPED_KINDS[int(rng.integers(len(SHIPPED_KINDS)))]
    return kind.inconsistent / kind.answered


def _product_as_shipped(rng: np.random.Generator) -> float:
    known = SHIPPED.false_call
    return float(rng.beta(known.a, known.b))


QUALITIES = {
    "shipped": Quality(_product_as_shipped, 144, 9, 17, 18, _as_shipped),
    "shipped_abstaining": Quality(
        _product_as_shipped, 144, 10, 17, 23, _as_shipped, 0.09, 0.21
    ),
    "good": Quality(
        lambda _: 0.01, 1, 1000, 40, 40, lambda rng: float(rng.beta(18, 2))
    ),
    "poor": Quality(lambda _: 0.05, 1, 100, 6, 20, lambda rng: float(rng.beta(1, 6))),
    "even": Quality(lambda _: 0.01, 1, 400, 17, 18, lambda _: 0.35),
}


def simulated(
    quality: Quality,
    share: float,
    examined: int,
    population: int | None,
    rng: np.random.Generator,
    *,
    sources: int = 0,
) -> tuple[float, Share]:
    """Draw a validation and a lot; return the true share and what is said of it.

    With ``sources``, so many print sources made the counterfeits and are told apart;
    else nothing is, and all are of one kind.
    """
    if population is None:
        counterfeits, true = int(rng.binomial(examined, share)), share
    else:
        marked = round(share * population)
        true = marked / population
        counterfeits = int(rng.hypergeometric(marked, population - marked, examined))
    each = np.diff(np.linspace(0, counterfeits, max(1, sources) + 1).astype(int))
    genuine, *others = quality.found(each.tolist(), examined - counterfeits, rng)
    parts = [genuine, *others]
    said = share_of_counterfeits(
        Findings(
            sum(one.inconsistent for one in parts),
            sum(one.answered for one in parts),
            sum(one.abstained for one in parts),
        ),
        quality.validated(rng),
        population=population,
        printings=others if sources else (),
        unlinked=[genuine] if sources else (),
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
    sources: int = 0,
) -> tuple[int, float, float]:
    """Return how many of ``lots`` were covered, and the median low and high ends."""
    rng = np.random.default_rng(seed)
    results = [
        simulated(quality, share, examined, population, rng, sources=sources)
        for _ in range(lots)
    ]
    hits = sum(said.low - 1e-9 <= true <= said.high + 1e-9 for true, said in results)
    lows = [said.low for _, said in results]
    highs = [said.high for _, said in results]
    return hits, float(np.median(lows)), float(np.median(highs))


def main() -> None:
    """Print the study of one quality and sample size."""
    name, examined, sources = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for population in (None, round(examined * 1.25)):
        for place, share in enumerate(SHARES):
            hits, low, high = covered(
                QUALITIES[name],
                share,
                examined,
                population,
                lots=100,
                seed=examined * 100 + place * 10 + (population is None),
                sources=sources,
            )
            sys.stdout.write(
                f"{name} examined {examined} of {population or 'endless'},"
                f" share {share}: {hits} of 100, median {low:.3f} to {high:.3f}\n"
            )


if __name__ == "__main__":
    main()

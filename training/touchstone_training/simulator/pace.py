"""How many training pairs a second one core draws, design by design."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np

from touchstone.errors import InvalidInputError
from touchstone_training.simulator.artwork import Artwork, Image, design, render
from touchstone_training.simulator.counterfeits import (
    KINDS,
    counterfeit,
    genuine_print,
)
from touchstone_training.simulator.photography import (
    Conditions,
    photograph,
    to_jpeg,
)

_GENUINE, _FORGED = 4, 8
"""Prints of each design, as the comparator's pairs have them."""
_FIRST_SEED = 5_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """Pairs of a reference and a print, and the processor's time that they took."""

    pairs: int
    seconds: float

    @property
    def pairs_per_second(self) -> float:
        """On one core."""
        return self.pairs / self.seconds


def prints(
    artwork: Artwork, rng: np.random.Generator, *, long_side_px: int
) -> Iterator[Image]:
    """The genuine and forged prints of one design, after its reference was drawn."""
    render(artwork, long_side_px=long_side_px, variable_seed=1)
    for number in range(_GENUINE):
        yield render(artwork, long_side_px=long_side_px, variable_seed=100 + number)
    for kind in rng.permutation(KINDS)[:_FORGED]:
        severity = float(rng.uniform(0.1, 1.0))
        try:
            fake = counterfeit(
                artwork, str(kind), rng, severity=severity, long_side_px=long_side_px
            )
        except InvalidInputError:  # this artwork has nothing of that kind
            continue
        yield fake.pixels


def measured(
    designs: int,
    *,
    long_side_px: int,
    photo_px: tuple[int, int] | None = None,
    fonts: Sequence[Path] = (),
    difficulty: float = 0.2,
) -> Pace:
    """Draw the pairs of that many designs and photograph them.

    Args:
        designs: how many; one more is drawn first, which loads fonts and tables.
        long_side_px: of the prints.
        photo_px: (width, height) of the photographs; prints alone when absent.
        fonts: as of ``design``.
        difficulty: of the photographs.
    """
    pairs, began = 0, process_time()
    for number in range(designs + 1):
        if number == 1:
            pairs, began = 0, process_time()
        rng = np.random.default_rng(number)
        artwork = design(_FIRST_SEED + number, fonts=fonts)
        for print_ in prints(artwork, rng, long_side_px=long_side_px):
            pairs += 1
            if photo_px is not None:
                taken = Conditions.sample(rng, difficulty=difficulty)
                photo = photograph(
                    genuine_print(print_, rng), rng, conditions=taken,
                    size_px=photo_px, compress=False,
                )  # fmt: skip
                to_jpeg(photo.pixels, taken.jpeg_quality)
    return Pace(pairs, process_time() - began)

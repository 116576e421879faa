"""The prints of one product: as enrolled, genuine units, and forgeries of them.

Two sorts: designs of the simulator, and collages of pictures whose licence allows
training, of which no specification exists.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from touchstone.engine.image import Pixels
from touchstone_training.embedder.collage import Materials, collage
from touchstone_training.embedder.pictures import open_materials
from touchstone_training.simulator.artwork import design, render
from touchstone_training.simulator.counterfeits import (
    KINDS,
    PLANTABLE,
    counterfeit,
    plant,
)
from touchstone_training.simulator.elements import Box
from touchstone_training.simulator.scanning import scanned


@dataclass(frozen=True, slots=True)
class Prints:
    """The prints of one product."""

    family: str
    reference: Pixels
    """As it is enrolled."""
    variable: tuple[Box, ...]
    """(x, y, width, height) of what differs from unit to unit, as shares of the
    reference's sides."""
    usual: Pixels
    """The genuine print that forgeries change."""
    unit: Callable[[int], Pixels]
    """The genuine print of a unit, by number."""
    forged: Callable[[str, np.random.Generator, float], Pixels]
    """A forgery by kind, chance and severity; raises InvalidInputError where the print
    has nothing of that kind."""
    kinds: tuple[str, ...]

    def scanned(self, rng: np.random.Generator) -> "Prints":
        """Return the same prints, enrolled as a scan or a catalogue picture."""
        return replace(self, reference=scanned(self.reference, rng))


def of_design(seed: int, fonts: Sequence[Path], *, long_side_px: int) -> Prints:
    """Return the prints of a simulated design."""
    artwork = design(seed, fonts=fonts) if fonts else design(seed)
    usual = render(artwork, long_side_px=long_side_px)
    reference = render(artwork, long_side_px=long_side_px, variable_seed=1)
    height, width = reference.shape[:2]
    scale = long_side_px / max(artwork.size_px)

    def unit(number: int) -> Pixels:
        return render(artwork, long_side_px=long_side_px, variable_seed=1000 + number)

    def forged(kind: str, rng: np.random.Generator, severity: float) -> Pixels:
        return counterfeit(
            artwork,
            kind,
            rng,
            severity=severity,
            long_side_px=long_side_px,
            genuine=usual,
        ).pixels

    return Prints(
        family=artwork.family,
        reference=reference,
        variable=tuple(
            (
                scale * x / width,
                scale * y / height,
                scale * w / width,
                scale * h / height,
            )
            for x, y, w, h in artwork.variable_regions
        ),
        usual=usual,
        unit=unit,
        forged=forged,
        kinds=KINDS,
    )


def of_picture(seed: int, data: Path, *, long_side_px: int) -> Prints:
    """Return the prints of a collage of pictures under ``data``."""
    pixels = collage(seed, _materials(data), long_side_px=long_side_px)

    def forged(kind: str, rng: np.random.Generator, severity: float) -> Pixels:
        return plant(pixels, kind, rng, severity=severity).pixels

    return Prints("collage", pixels, (), pixels, lambda _: pixels, forged, PLANTABLE)


@lru_cache(maxsize=1)
def _materials(data: Path) -> Materials:
    return open_materials(data)

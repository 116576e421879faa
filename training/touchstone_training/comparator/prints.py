"""The prints of one product: as enrolled, genuine units, and forgeries of them.

Two sorts: designs of the simulator, and collages of pictures whose licence allows
training, of which no specification exists.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from touchstone.engine.image import Pixels
from touchstone_training.embedder.collage import Materials, collage
from touchstone_training.embedder.pictures import open_materials
from touchstone_training.measuring import (
    ARTWORK_SIDE_PX,
    drawn,
    reference_print,
    variable_boxes,
)
from touchstone_training.simulator.artwork import render
from touchstone_training.simulator.counterfeits import (
    KINDS,
    PLANTABLE,
    counterfeit,
    plant,
)
from touchstone_training.simulator.elements import Box
from touchstone_training.simulator.scanning import scanned

_PICTURE_SIDE_PX = 1000


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


def of_design(seed: int, fonts: tuple[Path, ...]) -> Prints:
    """Return the prints of a simulated design."""
    artwork = drawn(seed, fonts)
    reference = reference_print(artwork)
    height, width = reference.shape[:2]
    usual = render(artwork, long_side_px=ARTWORK_SIDE_PX)

    def unit(number: int) -> Pixels:
        return render(
            artwork, long_side_px=ARTWORK_SIDE_PX, variable_seed=1000 + number
        )

    def forged(kind: str, rng: np.random.Generator, severity: float) -> Pixels:
        return counterfeit(
            artwork,
            kind,
            rng,
            severity=severity,
            long_side_px=ARTWORK_SIDE_PX,
            genuine=usual,
        ).pixels

    shares = tuple(
        (x / width, y / height, w / width, h / height)
        for x, y, w, h in variable_boxes(artwork)
    )
    return Prints(artwork.family, reference, shares, usual, unit, forged, KINDS)


def of_picture(seed: int, data: Path) -> Prints:
    """Return the prints of a collage of pictures under ``data``."""
    pixels = collage(seed, _materials(data), long_side_px=_PICTURE_SIDE_PX)

    def forged(kind: str, rng: np.random.Generator, severity: float) -> Pixels:
        return plant(pixels, kind, rng, severity=severity).pixels

    return Prints("collage", pixels, (), pixels, lambda _: pixels, forged, PLANTABLE)


@lru_cache(maxsize=1)
def _materials(data: Path) -> Materials:
    return open_materials(data)

"""What a printed face is made of: elements in drawing order, and the face itself.

An artwork is a specification, not a picture: counterfeits are made by editing elements
and drawing again, so a typeface can change while everything around it stays put.
"""

from dataclasses import dataclass
from pathlib import Path

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]
"""x, y, width, height in artwork px."""

TEXT_KINDS = frozenset(
    {"brand_text", "name_text", "strength_text", "tagline_text", "label_text"}
)
VARIABLE_KINDS = frozenset({"lot", "expiry", "serial", "code2d"})
"""Kinds that differ from one specimen to the next by design."""


@dataclass(frozen=True, slots=True)
class Element:
    """One thing on a face.

    ``font`` indexes ``Artwork.fonts``; ``size_px`` is the em size; ``weight`` is an
    emboldening in em (negative thins); ``spacing`` is extra tracking in em;
    ``variant`` and ``seed`` choose among procedural drawings; ``source`` names an SVG
    file for a logo; ``angle_deg`` turns about the box's centre.
    """

    kind: str
    box: Box
    colour: Colour = (0, 0, 0)
    colour2: Colour = (255, 255, 255)
    text: str = ""
    font: int = 0
    size_px: float = 0.0
    weight: float = 0.0
    spacing: float = 0.0
    align: str = "left"
    variant: str = ""
    seed: int = 0
    radius_px: float = 0.0
    angle_deg: float = 0.0
    opacity: float = 1.0
    source: str = ""

    @property
    def is_variable(self) -> bool:
        """Whether it carries a lot, a date or a serial number."""
        return self.kind in VARIABLE_KINDS


@dataclass(frozen=True, slots=True)
class Artwork:
    """One printed face: a family, invented names, a GTIN-13 and its elements."""

    family: str
    brand: str
    name: str
    gtin: str
    size_px: tuple[int, int]
    elements: tuple[Element, ...]
    variable_regions: tuple[Box, ...]
    fonts: tuple[Path, ...]
    accent: Colour

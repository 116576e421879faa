"""The page that a face is laid out on, its style, and ways to cut up a box."""

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np

from touchstone_training.simulator import scripts, wording
from touchstone_training.simulator.elements import Box, Colour, Element
from touchstone_training.simulator.palettes import Palette
from touchstone_training.simulator.typesetting import fitting_size


class Fields(TypedDict, total=False):
    """What may be said of an element beside its kind and box."""

    colour: Colour
    colour2: Colour
    font: int
    size_px: float
    weight: float
    spacing: float
    align: str
    variant: str
    seed: int
    radius_px: float
    angle_deg: float
    opacity: float
    source: str


@dataclass(frozen=True, slots=True)
class Style:
    """What one design keeps throughout: words, colours, fonts, manners."""

    vocabulary: wording.Vocabulary
    brand: str
    name: str
    strength: str
    gtin: str
    colours: Palette
    ground: str
    display: int
    text_font: int
    bold: int
    logo_seed: int
    logo_source: str
    upper: bool
    tracking: float
    roundness: float
    tongue: "Tongue | None" = None
    effect: str = ""
    """Of the brand's letters: none, ``outlined`` or ``shadowed``."""


@dataclass(frozen=True, slots=True)
class Tongue:
    """A script beside Latin, or in its place, and the fonts that have it."""

    script: scripts.Script
    text_font: int
    bold: int
    is_alone: bool
    brand: str
    """The brand in this script; empty where it stays Latin."""


@dataclass(slots=True)
class Page:
    """A face being laid out."""

    rng: np.random.Generator
    style: Style
    size_px: tuple[int, int]
    fonts: tuple[Path, ...]
    elements: list[Element] = field(default_factory=list)

    @property
    def unit(self) -> float:
        """One hundredth of the shorter side, px."""
        return min(self.size_px) / 100

    def chance(self, share: float) -> bool:
        """True for about that share of designs."""
        return bool(self.rng.random() < share)

    def count(self, least: int, greatest: int) -> int:
        """A number from least to greatest."""
        return int(self.rng.integers(least, greatest + 1))

    def pick(self, options: tuple[str, ...]) -> str:
        """One of the options."""
        return options[int(self.rng.integers(len(options)))]

    def voiced(
        self, text: str, font: int, *, words: int, share: float
    ) -> tuple[str, int]:
        """The text and its font, or as many ``words`` in the design's other script.

        They are in the other script always where it stands alone, and else for
        about ``share`` of the texts.
        """
        tongue = self.style.tongue
        if tongue is None or not (tongue.is_alone or self.chance(share)):
            return text, font
        is_bold = font in {self.style.bold, self.style.display}
        return (
            scripts.phrase(self.rng, tongue.script, words),
            tongue.bold if is_bold else tongue.text_font,
        )

    def small_print(self, sentences: int, *, share: float) -> tuple[str, int, str]:
        """Small print, its font and the side it starts from, in either script."""
        style, tongue = self.style, self.style.tongue
        if tongue is None or not (tongue.is_alone or self.chance(share)):
            return wording.small_print(self.rng, sentences), style.text_font, "left"
        side = "right" if tongue.script.is_right_to_left else "left"
        text = scripts.small_print(self.rng, tongue.script, sentences)
        return text, tongue.text_font, side

    def seed(self) -> int:
        """A seed for a procedural drawing."""
        return int(self.rng.integers(2**31))

    def box(self, rect: Box, *, pad: float = 0.0) -> Box:
        """Shares of the page to px, shrunk by ``pad`` units on each side."""
        x, y, w, h = rect
        edge = pad * self.unit
        return (
            x * self.size_px[0] + edge,
            y * self.size_px[1] + edge,
            max(1.0, w * self.size_px[0] - 2 * edge),
            max(1.0, h * self.size_px[1] - 2 * edge),
        )

    def put(
        self, kind: str, box: Box, *, text: str = "", **fields: Unpack[Fields]
    ) -> None:
        """Add an element."""
        self.elements.append(Element(kind, box, text=text, **fields))

    def words(self, kind: str, text: str, box: Box, **fields: Unpack[Fields]) -> None:
        """Add a line as large as its box allows (cap height 62 % of the box)."""
        font = fields.get("font", self.style.text_font)
        room = (box[2] * 0.98, box[3] * 0.62)
        spacing = fields.get("spacing", 0.0)
        size = fitting_size(text, self.fonts[font], room, spacing=spacing)
        fields["size_px"] = min(size, fields.get("size_px", size))
        fields["font"] = font
        self.put(kind, box, text=text, **fields)


def split(box: Box, *shares: float) -> list[Box]:
    """Stacked parts of a box, from the top, in proportion to the shares."""
    x, y, w, h = box
    ends = np.cumsum([0.0, *shares]) / sum(shares)
    return [(x, y + h * float(a), w, h * float(b - a)) for a, b in pairwise(ends)]


def aside(box: Box, share: float) -> tuple[Box, Box]:
    """A box cut in two beside one another, the left with ``share`` of the width."""
    x, y, w, h = box
    return (x, y, w * share, h), (x + w * share, y, w * (1 - share), h)


def square(box: Box, *, at: str = "centre") -> Box:
    """The largest square in a box, at its left, centre or right."""
    x, y, w, h = box
    side = min(w, h)
    left = {"left": x, "centre": x + (w - side) / 2, "right": x + w - side}[at]
    return (left, y + (h - side) / 2, side, side)


def inset(box: Box, by: float) -> Box:
    """A box made smaller by ``by`` px on each side."""
    return (
        box[0] + by,
        box[1] + by,
        max(1.0, box[2] - 2 * by),
        max(1.0, box[3] - 2 * by),
    )

"""Counterfeits of named kinds and graded severity, each with the places that changed.

Severity runs from just above 0 (a letter, 1.5 % of the width, dE 6 at 0.2) to 1
(crude). ``counterfeit`` edits a specification and draws it again; ``plant`` edits a
picture of which only pixels exist; ``genuine_print`` then prints either.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.errors import InvalidInputError
from touchstone_training.simulator import forgeries, planting, printing
from touchstone_training.simulator.artwork import render
from touchstone_training.simulator.elements import Artwork, Box
from touchstone_training.simulator.printing import genuine_print

__all__ = [
    "KINDS",
    "PLANTABLE",
    "WHOLE_PRINT_KINDS",
    "Counterfeit",
    "Edited",
    "Image",
    "counterfeit",
    "edited",
    "genuine_print",
    "plant",
    "reprinted",
]

Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""

_EDITS: dict[str, Callable[..., forgeries.Elements]] = {
    "typeface": forgeries.typeface,
    "weight": forgeries.weight,
    "spacing": forgeries.spacing,
    "typo": forgeries.typo,
    "wrong_strength": forgeries.wrong_strength,
    "moved_element": forgeries.moved_element,
    "rescaled_element": forgeries.rescaled_element,
    "redrawn_logo": forgeries.redrawn_logo,
    "element_colour": forgeries.element_colour,
    "missing_element": forgeries.missing_element,
    "missing_pattern": forgeries.missing_pattern,
    "wrong_code": forgeries.wrong_code,
    "relayout": forgeries.relayout,
}
_PRINTS: dict[str, Callable[..., Image]] = {
    "cast": printing.cast,
    "aspect": printing.stretched,
    "rescan": printing.rescanned,
    "halftone": printing.halftoned,
    "inkjet": printing.inkjet,
}
KINDS = (*_EDITS, *_PRINTS)
"""Every kind that ``counterfeit`` makes."""

WHOLE_PRINT_KINDS = frozenset(_PRINTS)
"""Kinds that change the whole print; the others change only their boxes."""

PLANTABLE = (*planting.LOCAL_KINDS, *_PRINTS)
"""Every kind that ``plant`` makes."""

_TRIES = 12
_MARGIN_PX = 2.0
_VISIBLE_LEVELS = 8


@dataclass(frozen=True, slots=True)
class Counterfeit:
    """A forged print: (H, W, 3) RGB, its kind, severity in (0, 1], and changed boxes.

    ``changed_boxes`` are (x, y, width, height) in px of ``pixels``; the whole picture
    for kinds that concern the whole print.
    """

    pixels: Image
    kind: str
    severity: float
    changed_boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Edited:
    """A forged artwork, which prints any number of units.

    ``pixels`` (H, W, 3) RGB is one of them; ``changed_boxes`` are in its px.
    """

    artwork: Artwork
    pixels: Image
    changed_boxes: tuple[Box, ...]


def _checked(kind: str, kinds: tuple[str, ...], severity: float) -> None:
    if kind not in kinds:
        message = f"no such kind of counterfeit: {kind}; one of {', '.join(kinds)}"
        raise InvalidInputError(message, field="kind")
    if not 0 < severity <= 1:
        message = f"severity is above 0 and at most 1, not {severity}"
        raise InvalidInputError(message, field="severity")


def _whole(
    pixels: Image, kind: str, rng: np.random.Generator, *, severity: float
) -> Counterfeit:
    forged = _PRINTS[kind](pixels, rng, severity=severity)
    box = (0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[0]))
    return Counterfeit(forged, kind, severity, (box,))


def counterfeit(
    artwork: Artwork,
    kind: str,
    rng: np.random.Generator,
    *,
    severity: float = 0.5,
    long_side_px: int = 1400,
    genuine: Image | None = None,
) -> Counterfeit:
    """Forge an artwork.

    Args:
        artwork: the genuine specification.
        kind: one of ``KINDS``.
        rng: source of chance.
        severity: above 0 (subtle) to 1 (crude).
        long_side_px: longer side of the picture drawn.
        genuine: the genuine print at that size, where it was drawn already.

    Raises:
        InvalidInputError: an unknown kind, a severity out of range, or an artwork on
            which this kind leaves nothing visible.
    """
    _checked(kind, KINDS, severity)
    if genuine is None:
        genuine = render(artwork, long_side_px=long_side_px)
    if kind in WHOLE_PRINT_KINDS:
        return _whole(genuine, kind, rng, severity=severity)
    forged = edited(artwork, kind, rng, severity=severity, genuine=genuine)
    return Counterfeit(forged.pixels, kind, severity, forged.changed_boxes)


def edited(
    artwork: Artwork,
    kind: str,
    rng: np.random.Generator,
    *,
    severity: float,
    genuine: Image,
) -> Edited:
    """Forge an artwork by an edit, so that many units of it can be drawn.

    Args:
        artwork: the specification before.
        kind: one of ``KINDS`` that changes the artwork and not the whole print.
        rng: source of chance.
        severity: above 0 (subtle) to 1 (crude).
        genuine: ``artwork``, drawn.

    Raises:
        InvalidInputError: no such edit, a severity out of range, or an artwork on
            which this kind leaves nothing visible.
    """
    # To make a counterfeit whose label is true, we must:
    #
    # 1. Have the genuine print, as only the difference counts.
    # 2. Edit elements and draw again.
    # 3. Keep the boxes of edited elements in which pixels really changed.
    # 4. Draw another edit where none did (one thing may lie hidden by another).
    _checked(kind, tuple(_EDITS), severity)
    long_side_px = max(genuine.shape[:2])
    scale = long_side_px / max(artwork.size_px)
    for _ in range(_TRIES):
        elements = _EDITS[kind](artwork, rng, severity=severity)
        kept = tuple(element for element in elements if element is not None)
        forged = replace(artwork, elements=kept)
        pixels = render(forged, long_side_px=long_side_px)
        boxes = _tight(genuine, pixels, _touched(artwork, elements), scale=scale)
        if boxes:
            return Edited(forged, pixels, boxes)
    message = f"{kind} leaves nothing visible on this artwork"
    raise InvalidInputError(message, field="kind")


def reprinted(
    pixels: Image, kind: str, rng: np.random.Generator, *, severity: float
) -> Image:
    """Copy a print, (H, W, 3) RGB, by one of ``WHOLE_PRINT_KINDS``.

    Raises:
        InvalidInputError: an unknown kind, or a severity out of range.
    """
    _checked(kind, tuple(_PRINTS), severity)
    return _PRINTS[kind](pixels, rng, severity=severity)


def _touched(artwork: Artwork, edited: forgeries.Elements) -> list[Box]:
    boxes = []
    for before, after in zip(artwork.elements, edited, strict=True):
        if after == before:
            continue
        boxes.append(before.box)
        if after is not None and after.box != before.box:
            boxes.append(after.box)
    return boxes


def _tight(
    genuine: Image, forged: Image, boxes: list[Box], *, scale: float
) -> tuple[Box, ...]:
    height, width = genuine.shape[:2]
    found: list[Box] = []
    for x, y, w, h in boxes:
        left, top = (max(0, int(v * scale - _MARGIN_PX)) for v in (x, y))
        right = min(width, int((x + w) * scale + _MARGIN_PX) + 1)
        bottom = min(height, int((y + h) * scale + _MARGIN_PX) + 1)
        if right <= left or bottom <= top:
            continue
        place = slice(top, bottom), slice(left, right)
        channels = cv2.split(cv2.absdiff(genuine[place], forged[place]))
        apart = cv2.max(cv2.max(channels[0], channels[1]), channels[2])
        if cv2.minMaxLoc(apart)[1] > _VISIBLE_LEVELS:
            x0, y0, wide, tall = cv2.boundingRect(np.asarray(apart, np.uint8))
            found.append((float(left + x0), float(top + y0), float(wide), float(tall)))
    return tuple(dict.fromkeys(found))


def plant(
    pixels: Image, kind: str, rng: np.random.Generator, *, severity: float = 0.5
) -> Counterfeit:
    """Forge a picture of a flat print, (H, W, 3) RGB, that has no specification.

    Args:
        pixels: the genuine picture.
        kind: one of ``PLANTABLE``.
        rng: source of chance.
        severity: above 0 (subtle) to 1 (crude).

    Raises:
        InvalidInputError: an unknown kind, a severity out of range, or a picture so
            empty that nothing in it can be changed.
    """
    _checked(kind, PLANTABLE, severity)
    if kind in WHOLE_PRINT_KINDS:
        return _whole(pixels, kind, rng, severity=severity)
    for _ in range(_TRIES):
        forged = planting.planted(pixels, kind, rng, severity=severity)
        box = planting.changed_box(pixels, forged)
        if box is not None:
            x, y, w, h = (float(v) for v in box)
            return Counterfeit(forged, kind, severity, ((x, y, w, h),))
    message = "the picture shows nothing that could be changed"
    raise InvalidInputError(message, field="pixels")

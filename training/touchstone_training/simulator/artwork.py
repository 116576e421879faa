"""Procedural artwork: invented packages as specifications that can be drawn again.

``design`` makes a face, ``sibling`` another strength or flavour of it, ``render`` draws
it. Brands, names and numbers are invented; the same seed gives the same artwork.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from touchstone.errors import InvalidInputError
from touchstone_training.simulator import scripts, wording
from touchstone_training.simulator.coverage import LATIN, covers
from touchstone_training.simulator.drawing import drawn_face
from touchstone_training.simulator.elements import Artwork, Box, Colour, Element
from touchstone_training.simulator.families import FAMILIES
from touchstone_training.simulator.pages import Page, Style, Tongue
from touchstone_training.simulator.palettes import Palette, oklch, palette
from touchstone_training.simulator.typesetting import bundled_fonts, fitting_size

__all__ = ["FAMILY_NAMES", "Artwork", "Element", "Image", "design", "render", "sibling"]

Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""

FAMILY_NAMES = tuple(FAMILIES)

_PLAIN = (
    "regular",
    "light",
    "medium",
    "dejavusans.ttf",
    "dejavuserif.ttf",
    "general.ttf",
    "sans.ttf",
    "serif.ttf",
    "pts55f",
    "ptf55f",
)
_HEAVY = ("bold", "black", "bol.", "squareb", "roundb", "75f", "77f", "poster")
_SCRIPTS = ("amatic", "charm", "pattaya", "sriracha", "itim", "chonburi", "amiri")
_FOIL: Colour = (196, 200, 204)
_FIGURES = "0123456789.,"
_EFFECTS = ("", "", "", "outlined", "shadowed")
_OTHER_SCRIPT_SHARE = 0.4
_SCRIPT_ALONE_SHARE = 0.45


def _fonts_for(rng: np.random.Generator, fonts: Sequence[Path]) -> tuple[int, int, int]:
    # Display (any), small print (plain), and bold (a heavy cut of any family).
    latin = [i for i, font in enumerate(fonts) if covers(font, LATIN)]
    anything = latin or list(range(len(fonts)))
    names = {i: fonts[i].name.lower() for i in anything}
    plain = [
        i
        for i, name in names.items()
        if any(w in name for w in _PLAIN) and not any(w in name for w in _SCRIPTS)
    ]
    heavy = [i for i, name in names.items() if any(w in name for w in _HEAVY)]
    display = int(rng.choice(anything))
    return (
        display,
        int(rng.choice(plain or anything)),
        int(rng.choice(heavy or anything)),
    )


@lru_cache(maxsize=16)
def _script_fonts(fonts: tuple[Path, ...]) -> tuple[tuple[scripts.Script, ...], ...]:
    # For each font, the scripts that it has whole, figures included.
    return tuple(
        tuple(s for s in scripts.SCRIPTS if covers(font, s.alphabet + _FIGURES))
        for font in fonts
    )


def _tongue(rng: np.random.Generator, fonts: tuple[Path, ...]) -> Tongue | None:
    has = _script_fonts(fonts)
    found = [s for s in scripts.SCRIPTS if any(s in of_font for of_font in has)]
    if rng.random() >= _OTHER_SCRIPT_SHARE or not found:
        return None
    script = found[int(rng.integers(len(found)))]
    usable = [i for i, of_font in enumerate(has) if script in of_font]
    heavy = [i for i in usable if any(w in fonts[i].name.lower() for w in _HEAVY)]
    is_alone = bool(rng.random() < _SCRIPT_ALONE_SHARE)
    brand = scripts.word(rng, script) if rng.integers(2) and is_alone else ""
    return Tongue(
        script=script,
        text_font=int(rng.choice(usable)),
        bold=int(rng.choice(heavy or usable)),
        is_alone=is_alone,
        brand=brand,
    )


def _named(rng: np.random.Generator, family: str) -> tuple[str, str]:
    words = wording.VOCABULARIES[family]
    noun = words.nouns[int(rng.integers(len(words.nouns)))]
    if family in {"medicine_carton", "blister_foil", "supplement_label"}:
        return wording.brand_name(rng), f"{wording.substance_name(rng)} {noun}"
    variant = words.variants[int(rng.integers(len(words.variants)))]
    return wording.brand_name(rng), f"{variant} {noun}"


def _style(
    rng: np.random.Generator,
    family: str,
    *,
    fonts: Sequence[Path],
    logos: Sequence[Path],
) -> Style:
    grounds = FAMILIES[family].grounds
    ground = grounds[int(rng.integers(len(grounds)))]
    colours = _foiled(rng) if ground == "foil" else palette(rng, ground=ground)
    display, text_font, bold = _fonts_for(rng, fonts)
    brand, name = _named(rng, family)
    words = wording.VOCABULARIES[family]
    return Style(
        vocabulary=words,
        brand=brand,
        name=name,
        strength=words.strengths[int(rng.integers(len(words.strengths)))],
        gtin=wording.gtin13(rng),
        colours=colours,
        ground=ground,
        display=display,
        text_font=text_font,
        bold=bold,
        logo_seed=int(rng.integers(2**31)),
        logo_source=str(logos[int(rng.integers(len(logos)))]) if logos else "",
        upper=bool(rng.integers(2)),
        tracking=float(rng.choice([0.0, 0.0, 0.04, 0.12])),
        roundness=float(rng.choice([0.0, 0.3, 1.0])),
        tongue=_tongue(rng, tuple(fonts)),
        effect=str(rng.choice(_EFFECTS)),
    )


def _foiled(rng: np.random.Generator) -> Palette:
    colours = palette(rng, ground="light")
    return replace(colours, ground=_FOIL, ground2=_FOIL, ink=colours.dark)


def design(
    seed: int,
    *,
    family: str | None = None,
    fonts: Sequence[Path] = (),
    logos: Sequence[Path] = (),
) -> Artwork:
    """Design one face.

    Args:
        seed: decides everything else.
        family: one of ``FAMILY_NAMES``; drawn when absent.
        fonts: font files to choose from; matplotlib's bundled ones when empty.
        logos: SVG files to choose a mark from; invented marks when empty.

    Raises:
        InvalidInputError: there is no such family.
    """
    rng = np.random.default_rng(seed)
    drawn = FAMILY_NAMES[int(rng.integers(len(FAMILY_NAMES)))]
    chosen = family or drawn
    if chosen not in FAMILIES:
        message = f"no such family: {chosen}; one of {', '.join(FAMILY_NAMES)}"
        raise InvalidInputError(message, field="family")
    arrangements = FAMILIES[chosen].arrangements
    used = tuple(fonts) or bundled_fonts()
    style = _style(rng, chosen, fonts=used, logos=logos)
    aspect = float(rng.uniform(*FAMILIES[chosen].aspect))
    long = int(rng.integers(1200, 1601))
    size = (long, round(long / aspect)) if aspect > 1 else (round(long * aspect), long)
    page = Page(rng, style, size, used)
    arrangements[int(rng.integers(len(arrangements)))](page)
    elements = tuple(page.elements)
    return Artwork(
        family=chosen,
        brand=style.brand,
        name=style.name,
        gtin=style.gtin,
        size_px=size,
        elements=elements,
        variable_regions=tuple(_padded(e.box) for e in elements if e.is_variable),
        fonts=used,
        accent=style.colours.accent,
    )


def _padded(box: Box) -> Box:
    # Two px more on each side: boxes are rounded to whole px when they are drawn.
    return (box[0] - 2, box[1] - 2, box[2] + 4, box[3] + 4)


def sibling(artwork: Artwork, rng: np.random.Generator) -> Artwork:
    """Another strength or flavour: same brand and layout, few differences.

    The strength or amount always differs, the GTIN too; two times in three the accent
    colour changes with them, as makers do to tell strengths apart.
    """
    strengths = wording.VOCABULARIES[artwork.family].strengths
    printed = {e.text for e in artwork.elements if e.kind == "strength_text"}
    others = [s for s in strengths if s not in printed]
    strength = others[int(rng.integers(len(others)))]
    gtin = wording.gtin13(rng)
    accent = artwork.accent
    if rng.integers(3):
        accent = oklch(0.65, 0.18, float(rng.uniform(0, 360)))
    elements = tuple(
        _recoloured(
            _reworded(element, artwork, strength=strength, gtin=gtin),
            artwork.accent,
            accent,
        )
        for element in artwork.elements
    )
    return replace(artwork, gtin=gtin, elements=elements, accent=accent)


def _reworded(
    element: Element, artwork: Artwork, *, strength: str, gtin: str
) -> Element:
    if element.kind == "strength_text":
        return retyped(element, strength, artwork.fonts)
    if element.kind in {"barcode", "code2d"}:
        return replace(element, text=element.text.replace(artwork.gtin, gtin))
    return element


def retyped(element: Element, text: str, fonts: Sequence[Path]) -> Element:
    """The element with other words, made smaller only if they would not fit."""
    font = fonts[element.font % len(fonts)]
    room = (element.box[2] * 0.98, element.box[3])
    size = fitting_size(text, font, room, spacing=element.spacing)
    return replace(element, text=text, size_px=min(element.size_px, size))


def _recoloured(element: Element, old: Colour, new: Colour) -> Element:
    if element.colour == old:
        element = replace(element, colour=new)
    return replace(element, colour2=new) if element.colour2 == old else element


def _with_variables(artwork: Artwork, variable_seed: int) -> Artwork:
    rng = np.random.default_rng(variable_seed)
    elements = []
    for element in artwork.elements:
        if element.kind == "code2d":
            # The GTIN stays; only what follows it belongs to the specimen.
            fixed = element.text[: len(artwork.gtin) + 2]
            serial = f"21{rng.integers(10**7, 10**8)}"
            elements.append(replace(element, text=fixed + serial))
        elif element.is_variable:
            text = wording.redrawn_number(element.text, rng)
            elements.append(retyped(element, text, artwork.fonts))
        else:
            elements.append(element)
    return replace(artwork, elements=tuple(elements))


def render(
    artwork: Artwork, *, long_side_px: int = 1400, variable_seed: int | None = None
) -> Image:
    """Draw the face, (H, W, 3) RGB.

    Args:
        artwork: what to draw.
        long_side_px: the longer side of the result.
        variable_seed: draws other lot, expiry and serial texts; nothing else changes.
    """
    if variable_seed is not None:
        artwork = _with_variables(artwork, variable_seed)
    scale = long_side_px / max(artwork.size_px)
    size = (round(artwork.size_px[0] * scale), round(artwork.size_px[1] * scale))
    return drawn_face(artwork, size, scale=scale)

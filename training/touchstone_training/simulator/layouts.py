"""Blocks that a face is composed of: brand, name, facts, codes, ornaments.

Each block puts its elements into a box of the page, in artwork px.
"""

from touchstone_training.simulator import marks, scripts
from touchstone_training.simulator.elements import Box, Colour
from touchstone_training.simulator.pages import (
    Fields,
    Page,
    Style,
    aside,
    inset,
    split,
    square,
)
from touchstone_training.simulator.palettes import blend, is_dark
from touchstone_training.simulator.typesetting import fitting_size, text_width

_PATTERNS = (
    "guilloche", "dots", "stripes", "waves", "lattice", "rays", "scales", "weave",
    "rosettes",
)  # fmt: skip
_BARCODE_ASPECT = 1.45
_WHITE: Colour = (255, 255, 255)


def ground(page: Page) -> None:
    """The page's own colour."""
    style = page.style
    variant = (
        "foil"
        if style.ground == "foil"
        else page.pick(("plain", "down", "diagonal", "radial", "across"))
    )
    page.put(
        "background",
        (0, 0, *page.size_px),
        colour=style.colours.ground,
        colour2=style.colours.ground2,
        variant=variant,
        seed=page.seed(),
    )


def brand(page: Page, box: Box, ink: Colour, *, align: str) -> None:
    """Logo and brand, beside or above one another."""
    style = page.style
    text = style.brand.upper() if style.upper else style.brand
    font = style.display
    if style.tongue is not None and style.tongue.brand:
        text, font = style.tongue.brand, style.tongue.bold
    second = style.colours.accent if ink != style.colours.accent else ink
    logo: Fields = {
        "colour": ink,
        "colour2": second,
        "seed": style.logo_seed,
        "source": style.logo_source,
    }
    tall = box[3] > box[2] * 0.55
    if tall:
        mark, line = split(box, 1.5, 1)
        page.put("logo", inset(square(mark, at=align), page.unit), **logo)
    else:
        mark, line = aside(box, min(0.4, box[3] / box[2]))
        page.put("logo", square(mark, at="left"), **logo)
        line = inset(line, page.unit)
        align = "left"
    page.words(
        "brand_text",
        text,
        line,
        variant=style.effect,
        colour2=_behind(style, ink),
        colour=ink,
        font=font,
        spacing=style.tracking if font == style.display else 0.0,
        align=align,
    )


def _behind(style: Style, ink: Colour) -> Colour:
    # What a rim or a shadow is printed in: far from the ink itself.
    colours = style.colours
    return colours.dark if not is_dark(ink) else colours.accent


def name(page: Page, box: Box, ink: Colour, *, align: str) -> None:
    """Product name, a variant or tagline, and the strength or amount."""
    style = page.style
    first, second, third = split(box, 1.5, 0.55, 1.0)
    text, font = page.voiced(style.name, style.bold, words=2, share=0.0)
    page.words(
        "name_text", text, first, colour=ink, font=font, align=align,
        variant=style.effect if page.chance(0.4) else "",
        colour2=_behind(style, ink),
    )  # fmt: skip
    tagline = page.pick(style.vocabulary.taglines)
    text, font = page.voiced(tagline, style.text_font, words=2, share=0.7)
    page.words(
        "tagline_text",
        text,
        second,
        font=font,
        colour=blend(ink, style.colours.ground, 0.15),
        align=align,
    )
    _strength(page, third, align=align, ink=ink)


def _strength(page: Page, box: Box, *, align: str, ink: Colour) -> None:
    style = page.style
    boxed = page.chance(0.6)
    width = min(box[2], box[3] * (0.75 * len(style.strength) + 0.6))
    x = {
        "left": box[0],
        "centre": box[0] + (box[2] - width) / 2,
        "right": box[0] + box[2] - width,
    }[align]
    place = (x, box[1] + box[3] * 0.08, width, box[3] * 0.84)
    if boxed:
        radius = style.roundness * place[3] / 2
        page.put("panel", place, colour=style.colours.accent, radius_px=radius)
        ink = style.colours.on(style.colours.accent)
        align = "centre"
    inner = inset(place, place[3] * 0.12) if boxed else place
    page.words(
        "strength_text", style.strength, inner, colour=ink, font=style.bold, align=align
    )


def picture(page: Page, box: Box) -> None:
    """A photo-like picture, or an ornament where the family has none."""
    variant = page.pick(page.style.vocabulary.pictures)
    colours = page.style.colours
    if variant == "none":
        ornament(page, box, colours.main)
        return
    page.put(
        "photo_texture",
        box,
        variant=variant,
        colour=colours.accent,
        colour2=blend(colours.main2, _WHITE, 0.45),
        seed=page.seed(),
    )


def ornament(page: Page, box: Box, ink: Colour) -> None:
    """A pattern, faint enough to be read over."""
    page.put(
        "pattern",
        box,
        colour=ink,
        variant=page.pick(_PATTERNS),
        seed=page.seed(),
        opacity=float(page.rng.uniform(0.1, 0.36)),
    )


def _fact_names(page: Page) -> tuple[list[str], int]:
    style, rng = page.style, page.rng
    count = int(rng.integers(4, 7))
    tongue = style.tongue
    if tongue is not None and (tongue.is_alone or page.chance(0.4)):
        script = tongue.script
        return [scripts.word(rng, script) for _ in range(count)], tongue.text_font
    order = rng.permutation(len(style.vocabulary.facts))[:count]
    return [style.vocabulary.facts[int(i)] for i in order], style.text_font


def facts(page: Page, box: Box, ink: Colour) -> None:
    """A heading and a table of facts."""
    style, rng = page.style, page.rng
    head, body = split(box, 0.16, 1)
    title = "Composition" if page.chance(0.5) else "Facts"
    title, title_font = page.voiced(title, style.bold, words=1, share=0.3)
    page.words("label_text", title, head, colour=ink, font=title_font)
    names, font = _fact_names(page)
    rows = [("per 100", f"{rng.integers(1, 99)}.{rng.integers(10)}")]
    rows += [(name, f"{rng.integers(1, 999) / 10:.1f}") for name in names]
    row_px = body[3] / len(rows)
    face = page.fonts[font]
    longest = max((a for a, _ in rows), key=lambda name: text_width(name, face, 1.0))
    fit = fitting_size(longest, face, (body[2] * 0.6, row_px * 0.5))
    dark = ink if is_dark(ink) else style.colours.dark
    page.put(
        "table",
        body,
        colour=dark,
        colour2=style.colours.paper,
        text="\n".join("\t".join(row) for row in rows),
        font=font,
        size_px=fit,
    )


def prose(page: Page, box: Box, ink: Colour, *, em_units: float = 2.3) -> None:
    """Small print, in one or two columns with a heading."""
    columns = 2 if box[2] > box[3] * 2.2 else 1
    for index in range(columns):
        part = (box[0] + box[2] / columns * index, box[1], box[2] / columns, box[3])
        head, body = split(inset(part, page.unit * 0.6), 0.12, 1)
        size = page.unit * em_units
        title = page.pick(("Ingredients", "Directions", "Warnings", "Storage", "Use"))
        title, title_font = page.voiced(title, page.style.bold, words=1, share=0.4)
        page.words("label_text", title, head, colour=ink, font=title_font,
                   size_px=size * 1.25)  # fmt: skip
        text, font, side = page.small_print(int(page.rng.integers(7, 16)), share=0.5)
        page.put(
            "paragraph",
            body,
            colour=ink,
            text=text,
            font=font,
            align=side,
            size_px=size * float(page.rng.uniform(0.85, 1.15)),
        )


def barcode(page: Page, box: Box) -> None:
    """The GTIN as EAN-13 on white."""
    x, y, w, h = box
    wide = min(w, h * _BARCODE_ASPECT)
    tall = min(h, wide / 1.2)
    place = (x + (w - wide) / 2, y + (h - tall) / 2, wide, tall)
    page.put(
        "barcode",
        place,
        colour=(16, 16, 18),
        colour2=_WHITE,
        text=page.style.gtin,
        font=page.style.text_font,
    )


def lot(page: Page, box: Box, *, code: bool) -> None:
    """Unvarnished panel with lot, expiry, serial and at times a DataMatrix."""
    rng = page.rng
    page.put("panel", box, colour=_WHITE, radius_px=page.unit * 0.5)
    inner = inset(box, page.unit * 0.8)
    if code and inner[2] > inner[3] * 1.3:
        inner, square = aside(inner, 1 - inner[3] / inner[2])
        page.put("code2d", square, colour=(20, 20, 22), colour2=_WHITE,
                 text=f"01{page.style.gtin}21{rng.integers(10**7, 10**8)}")  # fmt: skip
    lines = {
        "lot": f"LOT {'ABCDEFGH'[int(rng.integers(8))]}{rng.integers(10**4, 10**5)}",
        "expiry": f"EXP {rng.integers(1, 13):02d}/{rng.integers(2026, 2032)}",
        "serial": f"SN {rng.integers(10**8, 10**9)}",
    }
    if not code:
        lines.pop("serial")
    for (kind, text), part in zip(
        lines.items(), split(inner, *([1] * len(lines))), strict=True
    ):
        page.words(kind, text, part, colour=(28, 28, 30), font=page.style.text_font)


def icons(page: Page, box: Box, ink: Colour) -> None:
    """A row of pictograms."""
    side = box[3]
    count = max(1, min(6, int(box[2] / (side * 1.25))))
    order = page.rng.permutation(len(marks.PICTOGRAMS))[:count]
    for index, which in enumerate(order):
        place = (box[0] + index * side * 1.25, box[1], side, side)
        page.put("pictogram", place, colour=ink, variant=marks.PICTOGRAMS[int(which)])


def rosette(page: Page, box: Box) -> None:
    """A seal with two or three short words."""
    colours = page.style.colours
    face = colours.accent if page.chance(0.5) else colours.main
    words = page.pick(("100%|PURE", "TESTED|QUALITY", "NEW", "SINCE|1987", "24|MONTHS"))
    page.put(
        "seal",
        square(box),
        colour=face,
        colour2=colours.on(face),
        text=words,
        font=page.style.bold,
        seed=page.seed(),
        angle_deg=float(page.rng.uniform(-15, 15)),
    )


def band(page: Page, box: Box, *, opacity: float = 1.0) -> Colour:
    """A coloured panel, plain or graded; returns the ink that reads on it."""
    colours = page.style.colours
    page.put(
        "panel",
        box,
        colour=colours.main,
        colour2=colours.main2,
        variant=page.pick(("plain", "across", "diagonal", "down")),
        opacity=opacity,
    )
    return colours.on(colours.main)


def swoosh(page: Page, box: Box) -> None:
    """A coloured sweep with a curved upper edge, over a paler one."""
    colours, seed = page.style.colours, page.seed()
    variant = page.pick(("wave", "slope", "arc"))
    lift = page.unit * float(page.rng.uniform(1.5, 4))
    above = (box[0], box[1] - lift, box[2], box[3] + lift)
    pale = blend(colours.accent, colours.ground, 0.25)
    page.put("swoosh", above, colour=pale, colour2=pale, variant=variant, seed=seed)
    page.put(
        "swoosh",
        box,
        colour=colours.main,
        colour2=colours.main2,
        variant=variant,
        seed=seed,
    )

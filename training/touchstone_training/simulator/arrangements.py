"""Whole faces out of blocks; each family of packages draws from one or two of these.

Rectangles are (x, y, w, h) in shares of the page, so that an arrangement suits any
format.
"""

from touchstone_training.simulator import layouts as block
from touchstone_training.simulator import panels
from touchstone_training.simulator.elements import Box, Colour
from touchstone_training.simulator.pages import Page
from touchstone_training.simulator.palettes import is_dark


def banded(page: Page) -> None:
    """A brand band on one side, name in the middle, facts and codes at the end."""
    colours = page.style.colours
    block.ground(page)
    share = float(page.rng.uniform(0.2, 0.3))
    on_band = block.band(page, page.box((0, 0, share, 1)))
    block.ornament(page, page.box((0, 0, share, 1)), on_band)
    block.brand(page, page.box((0, 0.08, share, 0.5), pad=3), on_band, align="centre")
    block.icons(page, page.box((0.02, 0.84, share - 0.02, 0.1)), on_band)
    left, wide = share + 0.02, 0.48
    align = page.pick(("left", "centre"))
    block.name(
        page, page.box((left, 0.07, wide, 0.48), pad=1), colours.ink, align=align
    )
    block.prose(page, page.box((left, 0.6, wide, 0.36)), colours.ink)
    right = left + wide + 0.01
    rest = 0.98 - right
    block.picture(page, page.box((right, 0.05, rest, 0.3)))
    block.barcode(page, page.box((right, 0.37, rest, 0.33), pad=0.5))
    block.lot(page, page.box((right, 0.73, rest, 0.22)), code=page.chance(0.7))


def striped(page: Page) -> None:
    """White carton, coloured foot with a curved edge, table beside the name."""
    colours = page.style.colours
    block.ground(page)
    block.swoosh(page, page.box((0, 0.66, 1, 0.34)))
    block.brand(page, page.box((0.03, 0.05, 0.36, 0.15)), colours.ink, align="left")
    block.name(page, page.box((0.03, 0.23, 0.5, 0.4)), colours.ink, align="left")
    block.facts(page, page.box((0.58, 0.06, 0.39, 0.5)), colours.ink)
    block.picture(page, page.box((0.4, 0.5, 0.2, 0.4)))
    on_main = colours.on(colours.main)
    block.prose(page, page.box((0.03, 0.8, 0.36, 0.18)), on_main, em_units=2.0)
    block.barcode(page, page.box((0.76, 0.7, 0.21, 0.27)))
    block.lot(page, page.box((0.6, 0.78, 0.15, 0.17)), code=False)
    if page.chance(0.5):
        panels.hologram(page, page.box((0.62, 0.57, 0.1, 0.18)))


def heroic(page: Page) -> None:
    """Upright front: brand above, a large picture, the name over a band below."""
    colours = page.style.colours
    block.ground(page)
    if page.chance(0.6):
        block.ornament(page, page.box((0, 0, 1, 1)), colours.main)
    block.swoosh(page, page.box((0, 0.62, 1, 0.38)))
    block.brand(page, page.box((0.12, 0.03, 0.76, 0.15)), colours.ink, align="centre")
    block.picture(page, page.box((0.08, 0.2, 0.84, 0.46)))
    block.rosette(page, page.box((0.68, 0.19, 0.27, 0.18)))
    on_main = colours.on(colours.main)
    box = page.box((0.08, 0.7, 0.84, 0.17))
    block.name(page, box, on_main, align="centre")
    block.icons(page, page.box((0.04, 0.925, 0.27, 0.04)), on_main)
    block.barcode(page, page.box((0.33, 0.885, 0.32, 0.105)))
    block.lot(page, page.box((0.68, 0.905, 0.29, 0.07)), code=page.chance(0.5))


def stacked(page: Page) -> None:
    """Upright back or front: head band, name, table, small print, codes."""
    colours = page.style.colours
    block.ground(page)
    on_band = block.band(page, page.box((0, 0, 1, 0.17)))
    block.brand(page, page.box((0.05, 0.02, 0.9, 0.13)), on_band, align="left")
    align = page.pick(("left", "centre"))
    block.name(page, page.box((0.06, 0.2, 0.88, 0.19)), colours.ink, align=align)
    block.facts(page, page.box((0.06, 0.42, 0.5, 0.27)), colours.ink)
    block.picture(page, page.box((0.6, 0.42, 0.35, 0.26)))
    block.prose(page, page.box((0.05, 0.71, 0.9, 0.1)), colours.ink)
    block.barcode(page, page.box((0.05, 0.82, 0.4, 0.16)))
    block.lot(page, page.box((0.5, 0.83, 0.44, 0.08)), code=page.chance(0.5))
    block.icons(page, page.box((0.5, 0.93, 0.44, 0.045)), colours.ink)


def tripartite(page: Page) -> None:
    """A wrap-round label: words, hero, facts."""
    colours = page.style.colours
    block.ground(page)
    middle = page.box((0.32, 0, 0.36, 1))
    on_band = block.band(page, middle)
    block.ornament(page, middle, on_band)
    block.brand(page, page.box((0.34, 0.05, 0.32, 0.26)), on_band, align="centre")
    block.picture(page, page.box((0.38, 0.33, 0.24, 0.34)))
    block.name(page, page.box((0.34, 0.69, 0.32, 0.27)), on_band, align="centre")
    block.prose(page, page.box((0.02, 0.05, 0.28, 0.6)), colours.ink)
    block.icons(page, page.box((0.03, 0.7, 0.27, 0.09)), colours.ink)
    block.lot(page, page.box((0.03, 0.82, 0.26, 0.13)), code=False)
    block.facts(page, page.box((0.7, 0.05, 0.28, 0.48)), colours.ink)
    block.barcode(page, page.box((0.71, 0.56, 0.26, 0.39)))


def tiled(page: Page) -> None:
    """Blister foil: the same words again and again, a lot strip along one side."""
    style, rng = page.style, page.rng
    block.ground(page)
    rows, columns = int(rng.integers(4, 7)), int(rng.integers(2, 4))
    ink = style.colours.main
    accent = style.colours.accent
    second = accent if page.chance(0.5) and is_dark(accent) else ink
    high = 0.86 / rows
    for row in range(rows):
        for column in range(columns):
            shift = 0.5 / columns if row % 2 and page.style.upper else 0.0
            left = (column / columns + shift) % 1.0
            wide = min(1 / columns, 1 - left)
            box = page.box((left, row * high, wide, high), pad=1.6)
            _foil_cell(page, box, ink=ink, second=second, row=row)
    strip = page.box((0.02, 0.88, 0.6, 0.1))
    panels.security_ground(page, page.box((0, 0.865, 1, 0.135)), ink)
    block.lot(page, strip, code=page.chance(0.5))
    block.barcode(page, page.box((0.64, 0.875, 0.34, 0.115)))


def _foil_cell(
    page: Page,
    box: Box,
    *,
    ink: Colour,
    second: Colour,
    row: int,
) -> None:
    style = page.style
    x, y, w, h = box
    third = h / 3
    first: Box = (x, y, w, third)
    if row % 2:
        block.brand(page, first, ink, align="left")
    else:
        page.words("name_text", style.name, first, colour=ink, font=style.bold)
    middle: Box = (x, y + third, w, third)
    page.words("strength_text", style.strength, middle, colour=second, font=style.bold)
    last: Box = (x, y + 2 * third, w, third * 0.8)
    words = style.vocabulary.taglines[row % len(style.vocabulary.taglines)]
    page.words("tagline_text", words, last, colour=ink)


def framed(page: Page) -> None:
    """A ruled frame, everything centred, a seal: for cosmetics, tea and the like."""
    colours, unit = page.style.colours, page.unit
    block.ground(page)
    block.ornament(page, page.box((0, 0, 1, 1)), colours.accent)
    for inset, width in ((3.0, 0.7), (4.6, 0.25)):
        box = page.box((0, 0, 1, 1), pad=inset)
        radius = page.style.roundness * unit * 5
        page.put("panel", box, colour=colours.accent, variant="outline",
                 size_px=unit * width, radius_px=radius)  # fmt: skip
    block.brand(page, page.box((0.2, 0.08, 0.6, 0.2)), colours.ink, align="centre")
    block.picture(page, page.box((0.22, 0.3, 0.56, 0.26)))
    block.name(page, page.box((0.12, 0.58, 0.76, 0.2)), colours.ink, align="centre")
    block.prose(page, page.box((0.1, 0.8, 0.27, 0.13)), colours.ink, em_units=2.0)
    block.barcode(page, page.box((0.38, 0.81, 0.26, 0.11)))
    block.lot(page, page.box((0.66, 0.83, 0.25, 0.08)), code=page.chance(0.3))
    if page.chance(0.6):
        block.rosette(page, page.box((0.72, 0.27, 0.2, 0.16)))


def sided(page: Page) -> None:
    """A dark or vivid box: picture on the right, words on the left, specs below."""
    colours = page.style.colours
    block.ground(page)
    block.ornament(page, page.box((0.4, 0, 0.6, 1)), colours.accent)
    block.picture(page, page.box((0.5, 0.08, 0.46, 0.58)))
    block.brand(page, page.box((0.04, 0.06, 0.42, 0.16)), colours.ink, align="left")
    block.name(page, page.box((0.04, 0.26, 0.46, 0.38)), colours.ink, align="left")
    accent = page.box((0, 0.69, 1, 0.012))
    page.put("panel", accent, colour=colours.accent)
    block.facts(page, page.box((0.04, 0.72, 0.3, 0.25)), colours.ink)
    block.prose(page, page.box((0.36, 0.72, 0.22, 0.15)), colours.ink, em_units=2.1)
    block.icons(page, page.box((0.37, 0.9, 0.22, 0.07)), colours.ink)
    block.barcode(page, page.box((0.6, 0.72, 0.19, 0.25)))
    block.lot(page, page.box((0.8, 0.78, 0.17, 0.16)), code=page.chance(0.4))
    if page.chance(0.4):
        panels.hologram(page, page.box((0.87, 0.02, 0.11, 0.15)))


def slanted(page: Page) -> None:
    """A part box: slope of colour, big name, number in a panel."""
    colours = page.style.colours
    block.ground(page)
    block.swoosh(page, page.box((0, 0.35, 1, 0.65)))
    on_main = colours.on(colours.main)
    block.brand(page, page.box((0.05, 0.06, 0.55, 0.2)), colours.ink, align="left")
    block.picture(page, page.box((0.62, 0.06, 0.34, 0.46)))
    block.name(page, page.box((0.05, 0.54, 0.52, 0.28)), on_main, align="left")
    block.icons(page, page.box((0.05, 0.87, 0.45, 0.08)), on_main)
    block.facts(page, page.box((0.6, 0.56, 0.16, 0.4)), on_main)
    block.barcode(page, page.box((0.78, 0.56, 0.19, 0.22)))
    block.lot(page, page.box((0.78, 0.81, 0.19, 0.15)), code=False)
    if page.chance(0.4):
        panels.hologram(page, page.box((0.5, 0.36, 0.1, 0.15)))

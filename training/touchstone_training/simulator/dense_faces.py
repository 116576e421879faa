"""Whole faces that are dense, pictorial or secured: bags, labels, toys, tyres.

Rectangles are (x, y, w, h) in shares of the page, as in ``arrangements``.
"""

from touchstone_training.simulator import layouts as block
from touchstone_training.simulator import panels
from touchstone_training.simulator.pages import Page


def dosed(page: Page) -> None:
    """A pesticide's booklet label: three panels, dense print, diamonds, a band."""
    colours = page.style.colours
    block.ground(page)
    on_band = block.band(page, page.box((0.33, 0, 0.34, 0.24)))
    block.brand(page, page.box((0.35, 0.03, 0.3, 0.18)), on_band, align="centre")
    block.name(page, page.box((0.34, 0.26, 0.32, 0.3)), colours.ink, align="centre")
    if page.chance(0.5):
        panels.full_picture(page, page.box((0.34, 0.57, 0.32, 0.16)))
    else:
        block.picture(page, page.box((0.4, 0.57, 0.2, 0.16)))
    panels.dense(page, page.box((0.01, 0.02, 0.31, 0.84)), colours.ink, columns=2)
    panels.dense(page, page.box((0.68, 0.02, 0.31, 0.34)), colours.ink, columns=2)
    block.facts(page, page.box((0.69, 0.38, 0.16, 0.3)), colours.ink)
    block.lot(page, page.box((0.69, 0.72, 0.15, 0.14)), code=False)
    block.barcode(page, page.box((0.86, 0.4, 0.13, 0.2)))
    panels.hologram(page, page.box((0.87, 0.64, 0.11, 0.21)))
    panels.hazards(page, page.box((0.35, 0.74, 0.3, 0.13)), count=page.count(3, 5))
    panels.toxicity(page, page.box((0, 0.88, 1, 0.12)))
    block.icons(page, page.box((0.36, 0.9, 0.3, 0.08)), (255, 255, 255))


def sacked(page: Page) -> None:
    """A cement or fertiliser bag: a ribbon, a huge grade, signs at the foot."""
    colours = page.style.colours
    block.ground(page)
    if page.chance(0.6):
        panels.full_picture(page, page.box((0, 0.17, 1, 0.34)))
    else:
        panels.security_ground(page, page.box((0, 0.17, 1, 0.34)), colours.main)
    panels.ribbon(page, page.box((0, 0.35, 1, 0.23)), colours.main)
    panels.ribbon(page, page.box((0, 0.33, 1, 0.17)), colours.accent)
    on_band = block.band(page, page.box((0, 0, 1, 0.17)))
    block.brand(page, page.box((0.06, 0.02, 0.88, 0.13)), on_band, align="left")
    block.name(page, page.box((0.06, 0.58, 0.88, 0.18)), colours.ink, align="centre")
    block.facts(page, page.box((0.05, 0.78, 0.38, 0.14)), colours.ink)
    panels.hazards(page, page.box((0.46, 0.77, 0.2, 0.1)), count=2)
    block.icons(page, page.box((0.46, 0.885, 0.22, 0.035)), colours.ink)
    block.barcode(page, page.box((0.7, 0.77, 0.26, 0.14)))
    block.prose(page, page.box((0.04, 0.93, 0.6, 0.065)), colours.ink, em_units=1.5)
    block.lot(page, page.box((0.68, 0.925, 0.3, 0.065)), code=page.chance(0.5))


def photographic(page: Page) -> None:
    """A picture edge to edge, words on veils over it."""
    colours = page.style.colours
    block.ground(page)
    panels.full_picture(page, page.box((0, 0, 1, 1)))
    if page.chance(0.5):
        block.picture(page, page.box((0.12, 0.24, 0.76, 0.4)))
    head = (0, 0.03, 1, 0.16)
    panels.veil(page, page.box(head), colours.main, opacity=0.86)
    on_main = colours.on(colours.main)
    block.brand(page, page.box((0.06, 0.045, 0.88, 0.13)), on_main, align="centre")
    panels.veil(page, page.box((0, 0.64, 1, 0.21)), colours.paper, opacity=0.82)
    block.name(page, page.box((0.06, 0.655, 0.88, 0.18)), colours.dark, align="centre")
    block.rosette(page, page.box((0.7, 0.22, 0.26, 0.2)))
    panels.veil(page, page.box((0, 0.85, 1, 0.15)), colours.dark, opacity=0.9)
    block.barcode(page, page.box((0.03, 0.865, 0.3, 0.12)))
    block.icons(page, page.box((0.36, 0.94, 0.3, 0.045)), (255, 255, 255))
    panels.batch_note(page, page.box((0.36, 0.87, 0.3, 0.05)), (255, 255, 255))
    block.lot(page, page.box((0.69, 0.875, 0.28, 0.1)), code=page.chance(0.5))


def engraved(page: Page) -> None:
    """Tea, tobacco or preserves: a woven border, a medallion, symmetrical words."""
    colours = page.style.colours
    block.ground(page)
    panels.security_ground(page, page.box((0, 0, 1, 1)), colours.accent)
    panels.border(page, page.box((0, 0, 1, 1), pad=2), colours.main)
    page.put("panel", page.box((0.1, 0.1, 0.8, 0.8)), colour=colours.ground,
             radius_px=page.style.roundness * page.unit * 8, opacity=0.92)  # fmt: skip
    page.put("panel", page.box((0.115, 0.115, 0.77, 0.77)), colour=colours.accent,
             variant="outline", size_px=page.unit * 0.7)  # fmt: skip
    block.brand(page, page.box((0.16, 0.14, 0.68, 0.17)), colours.ink, align="centre")
    block.picture(page, page.box((0.3, 0.32, 0.4, 0.22)))
    block.name(page, page.box((0.15, 0.55, 0.7, 0.18)), colours.ink, align="centre")
    block.barcode(page, page.box((0.14, 0.74, 0.26, 0.13)))
    block.lot(page, page.box((0.42, 0.76, 0.25, 0.1)), code=False)
    if page.chance(0.5):
        panels.hologram(page, page.box((0.69, 0.74, 0.17, 0.13)))
    else:
        block.rosette(page, page.box((0.69, 0.74, 0.17, 0.13)))
    block.icons(page, page.box((0.15, 0.315, 0.2, 0.035)), colours.ink)
    panels.microprint(page, page.box((0.13, 0.875, 0.74, 0.012)), colours.ink)


def graded(page: Page) -> None:
    """A tyre's or a part's label: scales of arrows, a big size, a code, a seal."""
    colours = page.style.colours
    block.ground(page)
    on_band = block.band(page, page.box((0, 0, 1, 0.14)))
    block.brand(page, page.box((0.04, 0.015, 0.7, 0.11)), on_band, align="left")
    block.icons(page, page.box((0.76, 0.04, 0.22, 0.06)), on_band)
    block.name(page, page.box((0.05, 0.16, 0.9, 0.2)), colours.ink, align="left")
    panels.full_picture(page, page.box((0.05, 0.37, 0.9, 0.14)))
    panels.grades(page, page.box((0.05, 0.53, 0.42, 0.24)), colours.dark)
    panels.grades(page, page.box((0.53, 0.53, 0.42, 0.24)), colours.dark)
    block.facts(page, page.box((0.04, 0.79, 0.32, 0.19)), colours.ink)
    block.barcode(page, page.box((0.37, 0.772, 0.37, 0.172)))
    block.lot(page, page.box((0.41, 0.944, 0.3, 0.05)), code=False)
    panels.hologram(page, page.box((0.75, 0.79, 0.21, 0.19)))


def secured(page: Page) -> None:
    """A carton against forgers: fine lines, microprint, a hologram, a coded seal."""
    colours = page.style.colours
    block.ground(page)
    panels.security_ground(page, page.box((0, 0, 1, 1)), colours.main)
    block.swoosh(page, page.box((0.0, 0.78, 1, 0.22)))
    block.brand(page, page.box((0.03, 0.05, 0.44, 0.2)), colours.ink, align="left")
    block.name(page, page.box((0.03, 0.3, 0.5, 0.42)), colours.ink, align="left")
    panels.hologram(page, page.box((0.54, 0.06, 0.15, 0.4)))
    panels.microprint(page, page.box((0.03, 0.73, 0.6, 0.025)), colours.ink)
    block.facts(page, page.box((0.71, 0.06, 0.26, 0.44)), colours.ink)
    block.rosette(page, page.box((0.55, 0.47, 0.14, 0.24)))
    block.barcode(page, page.box((0.71, 0.54, 0.26, 0.3)))
    block.lot(page, page.box((0.71, 0.86, 0.27, 0.12)), code=True)
    on_main = colours.on(colours.main)
    block.prose(page, page.box((0.03, 0.85, 0.4, 0.14)), on_main, em_units=1.8)
    block.icons(page, page.box((0.46, 0.88, 0.22, 0.07)), on_main)


def playful(page: Page) -> None:
    """A toy's box: a picture at a slope, a burst, the age, many signs."""
    colours = page.style.colours
    block.ground(page)
    panels.full_picture(page, page.box((0.3, 0, 0.7, 0.78)))
    if page.chance(0.6):
        block.picture(page, page.box((0.45, 0.12, 0.45, 0.55)))
    panels.ribbon(page, page.box((0, 0.46, 1, 0.34)), colours.accent)
    block.swoosh(page, page.box((0, 0.57, 1, 0.43)))
    panels.veil(page, page.box((0, 0, 0.42, 0.24)), colours.main, opacity=1.0)
    on_main = colours.on(colours.main)
    block.brand(page, page.box((0.03, 0.03, 0.37, 0.18)), on_main, align="left")
    block.rosette(page, page.box((0.04, 0.28, 0.22, 0.24)))
    block.name(page, page.box((0.03, 0.7, 0.5, 0.27)), on_main, align="left")
    block.icons(page, page.box((0.56, 0.74, 0.24, 0.07)), on_main)
    panels.dense(page, page.box((0.55, 0.83, 0.24, 0.16)), on_main, columns=2)
    block.barcode(page, page.box((0.81, 0.72, 0.17, 0.16)))
    block.lot(page, page.box((0.81, 0.89, 0.17, 0.09)), code=False)

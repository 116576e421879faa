"""Blocks of the denser faces: security marks, warnings, scales, full pictures."""

from touchstone_training.simulator import security, wording
from touchstone_training.simulator.elements import Box, Colour
from touchstone_training.simulator.pages import Page, inset, split, square
from touchstone_training.simulator.palettes import blend

_WHITE: Colour = (255, 255, 255)
_BLACK: Colour = (18, 18, 20)
_WARNING_RED: Colour = (206, 30, 38)
_TOXICITY: tuple[Colour, ...] = (
    (210, 40, 44),
    (240, 196, 30),
    (36, 92, 176),
    (30, 138, 70),
)
"""Customary colours of the band of toxicity, from the most to the least."""
_GRAINS = ("guilloche", "rosettes", "waves", "lattice", "weave")


def full_picture(page: Page, box: Box) -> None:
    """A photograph that fills its box to the edges."""
    colours = page.style.colours
    page.put(
        "photo_texture",
        box,
        variant=page.pick(page.style.vocabulary.scenes),
        colour=colours.accent,
        colour2=blend(colours.main2, _WHITE, 0.2),
        seed=page.seed(),
    )


def veil(page: Page, box: Box, colour: Colour, *, opacity: float) -> None:
    """A panel through which a picture still shows, so that words read on it."""
    page.put("panel", box, colour=colour, variant="plain", opacity=opacity)


def security_ground(page: Page, box: Box, ink: Colour) -> None:
    """Fine lines over the whole box, and microprint along its head."""
    page.put(
        "pattern",
        box,
        colour=ink,
        variant=page.pick(_GRAINS),
        seed=page.seed(),
        opacity=float(page.rng.uniform(0.12, 0.3)),
    )


def microprint(page: Page, box: Box, ink: Colour) -> None:
    """The brand again and again, too small to be read without a glass."""
    word = f"{page.style.brand.upper()} GENUINE "
    em = max(page.unit * 0.9, box[3] / 6)
    count = int(box[2] * box[3] / (em * em * len(word) * 0.7)) + 2
    page.put(
        "paragraph",
        box,
        text=word * count,
        colour=ink,
        font=page.style.text_font,
        size_px=em,
    )


def hologram(page: Page, box: Box) -> None:
    """A foil patch that splits light."""
    page.put("hologram", square(box), seed=page.seed())


def hazards(page: Page, box: Box, *, count: int) -> None:
    """A row of warning diamonds with a signal word under it."""
    row, below = split(box, 1, 0.22)
    side = min(row[3], row[2] / count)
    order = page.rng.permutation(len(security.HAZARDS))[:count]
    for index, which in enumerate(order):
        place = (row[0] + index * side, row[1] + (row[3] - side) / 2, side, side)
        page.put(
            "hazard",
            inset(place, side * 0.03),
            colour=_WARNING_RED,
            colour2=_BLACK,
            variant=security.HAZARDS[int(which)],
        )
    word, font = page.voiced(
        page.pick(("DANGER", "WARNING", "CAUTION")), page.style.bold, words=1, share=0.3
    )
    page.words("label_text", word, below, colour=_WARNING_RED, font=font)


def toxicity(page: Page, box: Box) -> None:
    """A band across the foot whose colour says how poisonous the contents are."""
    colour = _TOXICITY[int(page.rng.integers(len(_TOXICITY)))]
    page.put("panel", box, colour=colour, variant="plain")


def dense(page: Page, box: Box, ink: Colour, *, columns: int) -> None:
    """Columns of very small print under headings."""
    wide = box[2] / columns
    for index in range(columns):
        part = inset((box[0] + wide * index, box[1], wide, box[3]), page.unit * 0.5)
        parts = split(part, *([0.09, 1.0] * 2))
        for head, body in (parts[:2], parts[2:]):
            size = page.unit * float(page.rng.uniform(1.3, 1.9))
            title = page.pick(("Precautions", "First aid", "Dosage", "Use", "Waste"))
            text, font = page.voiced(title, page.style.bold, words=1, share=0.4)
            page.words(
                "label_text", text, head, colour=ink, font=font, size_px=size * 1.2
            )
            text, font, side = page.small_print(
                int(page.rng.integers(10, 22)), share=0.5
            )
            page.put(
                "paragraph", body, colour=ink, text=text, font=font, align=side,
                size_px=size,
            )  # fmt: skip


def grades(page: Page, box: Box, ink: Colour) -> None:
    """A scale of coloured arrows, A to E, and the grade that was reached."""
    names = "ABCDE"
    reached = int(page.rng.integers(len(names)))
    rows = split(box, *([1] * len(names)))
    for index, row in enumerate(rows):
        share = 0.35 + 0.3 * index / len(names)
        hue = (_TOXICITY[3], _TOXICITY[1], _TOXICITY[0])
        half = index / (len(names) - 1) * 2
        low = min(1, int(half))
        colour = blend(hue[low], hue[low + 1], half - low)
        bar = (row[0], row[1] + row[3] * 0.08, box[2] * share, row[3] * 0.84)
        page.put("arrow", bar, colour=colour)
        letter = (bar[0] + bar[3] * 0.2, bar[1], bar[3], bar[3])
        page.words(
            "label_text", names[index], letter, colour=_WHITE, font=page.style.bold
        )
        if index == reached:
            mark = (row[0] + box[2] * 0.74, row[1], box[2] * 0.26, row[3])
            page.put("arrow", mark, colour=ink, angle_deg=180.0)
            inside = (mark[0] + mark[2] * 0.3, mark[1], mark[2] * 0.6, mark[3])
            on_ink = page.style.colours.on(ink)
            page.words(
                "label_text", names[index], inside, colour=on_ink,
                font=page.style.bold, align="centre",
            )  # fmt: skip


def ribbon(page: Page, box: Box, colour: Colour) -> None:
    """A band that runs across the box from corner to corner."""
    page.put("swoosh", box, colour=colour, colour2=colour, variant="ribbon",
             seed=page.seed())  # fmt: skip


def border(page: Page, box: Box, ink: Colour) -> None:
    """Interlaced waves along the four sides, as on old labels and notes."""
    page.put("pattern", box, colour=ink, variant="border", seed=page.seed())


def batch_note(page: Page, box: Box, ink: Colour) -> None:
    """A line of small print about where the batch is stated."""
    text = page.pick(wording.SENTENCES)
    page.words("label_text", text, box, colour=ink, font=page.style.text_font)

"""Edits of an artwork's elements, as a forger would make them by eye.

Each function returns the elements with some replaced (or left out). What counts as the
change is found by comparing the old and the new elements, in ``counterfeits``.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from touchstone.errors import InvalidInputError
from touchstone_training.simulator import wording
from touchstone_training.simulator.coverage import covers
from touchstone_training.simulator.elements import TEXT_KINDS, Artwork, Colour, Element
from touchstone_training.simulator.likeness import nearest_first
from touchstone_training.simulator.printing import from_lab, to_lab
from touchstone_training.simulator.typesetting import fitting_size, text_width

Elements = tuple[Element | None, ...]
"""The artwork's elements in order; None where one was left out."""

_WORDS = TEXT_KINDS | {"paragraph"}
_MOVABLE = TEXT_KINDS | {
    "logo", "paragraph", "table", "pictogram", "seal", "photo_texture", "barcode",
    "hologram", "hazard",
}  # fmt: skip
_COLOURED = TEXT_KINDS | {"panel", "swoosh", "logo", "seal", "pictogram", "arrow"}
_SECURITY = frozenset({"pattern", "hologram", "seal"})
_LOOKALIKES = {
    "o": "c", "e": "c", "a": "o", "i": "l", "l": "i", "n": "u", "u": "n", "m": "n",
    "t": "f", "r": "n", "g": "q", "s": "z", "v": "y", "d": "cl", "b": "h", "c": "e",
    "0": "8", "1": "7", "5": "6", "O": "Q", "E": "F", "I": "L", "B": "R", "C": "G",
}  # fmt: skip
_CRUDE = 0.8


def _indices(artwork: Artwork, kinds: frozenset[str]) -> list[int]:
    return [i for i, e in enumerate(artwork.elements) if e.kind in kinds]


def _area(element: Element) -> float:
    return element.box[2] * element.box[3]


def _chosen(
    artwork: Artwork,
    kinds: frozenset[str],
    rng: np.random.Generator,
    *,
    severity: float,
) -> list[int]:
    # Subtle forgeries touch one thing, and crude ones a few.
    found = _indices(artwork, kinds)
    count = min(len(found), 1 + int(rng.random() * 4 * severity))
    return sorted(int(i) for i in rng.permutation(found)[:count])


def _edited(
    artwork: Artwork, where: Sequence[int], edit: Callable[[Element], Element]
) -> Elements:
    return tuple(edit(e) if i in where else e for i, e in enumerate(artwork.elements))


def _other_font(
    fonts: Sequence[Path],
    current: int,
    rng: np.random.Generator,
    *,
    text: str,
    severity: float,
) -> int:
    # Among the nearest typefaces if subtle, among the least alike if crude.
    others = [
        i
        for i, font in enumerate(fonts)
        if i != current % len(fonts) and covers(font, text)
    ]
    if not others:
        return current
    mine = fonts[current % len(fonts)]
    order = nearest_first(text, mine, [fonts[i] for i in others])
    rank = float(np.clip(severity + rng.normal(0, 0.15), 0, 1))
    return others[order[round(rank * (len(others) - 1))]]


def typeface(
    artwork: Artwork, rng: np.random.Generator, *, severity: float
) -> Elements:
    """Another typeface at the same width: a near one on a line, or any on a few."""

    def edit(element: Element) -> Element:
        fonts = artwork.fonts
        font = _other_font(
            fonts, element.font, rng, text=element.text, severity=severity
        )
        sample = element.text[:60]
        old = text_width(sample, fonts[element.font % len(fonts)], element.size_px)
        new = text_width(sample, fonts[font], element.size_px)
        size = element.size_px * min(1.25, old / max(new, 1e-6))
        if element.kind in TEXT_KINDS:
            room = (element.box[2], element.box[3] * 0.95)
            size = min(size, fitting_size(element.text, fonts[font], room))
        return replace(element, font=font, size_px=size)

    chosen = _chosen(artwork, frozenset(_WORDS), rng, severity=severity)
    return _edited(artwork, chosen, edit)


def weight(artwork: Artwork, rng: np.random.Generator, *, severity: float) -> Elements:
    """Letters too bold or too thin."""
    sign = float(rng.choice([-1, 1]))
    # Thinning beyond a small share of the em would break thin strokes altogether.
    change = 0.01 + 0.04 * severity if sign > 0 else -(0.008 + 0.016 * severity)
    chosen = _chosen(artwork, TEXT_KINDS, rng, severity=severity)
    return _edited(artwork, chosen, lambda e: replace(e, weight=e.weight + change))


def spacing(artwork: Artwork, rng: np.random.Generator, *, severity: float) -> Elements:
    """Letters set too close or too far apart."""
    wider = bool(rng.integers(2))

    def edit(element: Element) -> Element:
        change = 0.015 + 0.11 * severity
        font = artwork.fonts[element.font % len(artwork.fonts)]
        looser = replace(element, spacing=element.spacing + change)
        wide = text_width(element.text, font, element.size_px, spacing=looser.spacing)
        fits = wide <= element.box[2] or element.kind == "paragraph"
        if wider and fits:
            return looser
        return replace(element, spacing=element.spacing - change * 0.6)

    chosen = _chosen(artwork, frozenset(_WORDS), rng, severity=severity)
    return _edited(artwork, chosen, edit)


def _misspelt(text: str, rng: np.random.Generator, *, font: Path) -> str:
    places = [i for i, c in enumerate(text) if c in _LOOKALIKES]
    if places:
        at = int(rng.choice(places))
        return text[:at] + _LOOKALIKES[text[at]] + text[at + 1 :]
    # In other scripts the neighbour in Unicode is a letter of the same kind.
    places = [i for i, c in enumerate(text) if c != " "]
    at = int(rng.choice(places))
    code = ord(text[at])
    near = [chr(code + step) for step in (1, -1, 2, -2)]
    other = next((c for c in near if c.isalnum() and covers(font, c)), "")
    return text[:at] + other + text[at + 1 :]


def typo(artwork: Artwork, rng: np.random.Generator, *, severity: float) -> Elements:
    """Letters replaced by their look-alikes: one, up to about six."""
    letters = 1 + int(severity * 5)

    def edit(element: Element) -> Element:
        text = element.text
        font = artwork.fonts[element.font % len(artwork.fonts)]
        for _ in range(letters):
            text = _misspelt(text, rng, font=font)
        return replace(element, text=text)

    found = rng.permutation(_indices(artwork, TEXT_KINDS))
    return _edited(artwork, [int(found[0])], edit)


def wrong_strength(
    artwork: Artwork, rng: np.random.Generator, *, severity: float
) -> Elements:
    """Another strength or amount: one digit, or another value altogether."""
    lines = _indices(artwork, frozenset({"strength_text"}))
    text = artwork.elements[lines[0]].text
    strengths = wording.VOCABULARIES[artwork.family].strengths
    digits = [i for i, c in enumerate(text) if c.isdigit()]
    at = int(rng.choice(digits))
    other = str((int(text[at]) + int(rng.integers(1, 9)) - 1) % 9 + 1)
    new = text[:at] + (other if other != text[at] else "7") + text[at + 1 :]
    if rng.random() < severity:
        new = str(rng.choice([s for s in strengths if s != text]))

    def edit(element: Element) -> Element:
        font = artwork.fonts[element.font % len(artwork.fonts)]
        room = (element.box[2], element.box[3])
        size = fitting_size(new, font, room, spacing=element.spacing)
        return replace(element, text=new, size_px=min(element.size_px, size))

    return _edited(artwork, lines, edit)


def _shifted(artwork: Artwork, element: Element, dx: float, dy: float) -> Element:
    x, y, w, h = element.box
    left = float(np.clip(x + dx, 0, max(0.0, artwork.size_px[0] - w)))
    top = float(np.clip(y + dy, 0, max(0.0, artwork.size_px[1] - h)))
    return replace(element, box=(left, top, w, h))


def moved_element(
    artwork: Artwork, rng: np.random.Generator, *, severity: float
) -> Elements:
    """One thing elsewhere: by 1.5 % of the width at severity 0.2, 7.5 % at 1."""
    reach = 0.075 * severity * artwork.size_px[0]
    turn = rng.uniform(0, 2 * np.pi)
    dx, dy = reach * np.cos(turn), reach * np.sin(turn)
    chosen = [int(rng.choice(_indices(artwork, frozenset(_MOVABLE))))]

    def edit(element: Element) -> Element:
        moved = _shifted(artwork, element, dx, dy)
        # What stands at the page's edge moves the other way instead.
        return _shifted(artwork, element, -dx, -dy) if moved == element else moved

    return _edited(artwork, chosen, edit)


def _rescaled(element: Element, factor: float) -> Element:
    x, y, w, h = element.box
    wide, tall = w * factor, h * factor
    box = (x + (w - wide) / 2, y + (h - tall) / 2, wide, tall)
    return replace(element, box=box, size_px=element.size_px * factor)


def rescaled_element(
    artwork: Artwork, rng: np.random.Generator, *, severity: float
) -> Elements:
    """One thing too small or too large: 5 % at severity 0.2, 24 % at 1."""
    change = 0.002 + 0.24 * severity
    factor = 1 + change if rng.integers(2) else 1 / (1 + change)
    chosen = [int(rng.choice(_indices(artwork, frozenset(_MOVABLE))))]
    return _edited(artwork, chosen, lambda e: _rescaled(e, factor))


def redrawn_logo(
    artwork: Artwork, rng: np.random.Generator, *, severity: float
) -> Elements:
    """The mark traced by hand: rounded, a little turned; another mark if crude."""
    seed = int(rng.integers(2**31))
    turn = float(rng.choice([-1, 1])) * (1 + 9 * severity)

    def edit(element: Element) -> Element:
        if severity > _CRUDE and not element.source:
            return replace(element, seed=seed)
        # Its variant carries how far a traced outline is smoothed.
        smooth = 0.012 + 0.04 * severity
        return replace(element, variant=f"traced {smooth:.4f}", angle_deg=turn)

    return _edited(artwork, _indices(artwork, frozenset({"logo"})), edit)


def recoloured(colour: Colour, delta_e: float, rng: np.random.Generator) -> Colour:
    """A colour about ``delta_e`` (CIE 1976) away, kept within the gamut."""
    lab = to_lab(np.array([[colour]], np.uint8))
    best, gap = colour, np.inf
    for _ in range(24):
        way = rng.normal(0, (0.6, 1.0, 1.0), 3)
        step = (way / np.linalg.norm(way) * delta_e).astype(np.float32)
        candidate = from_lab(lab + step)
        reached = float(np.linalg.norm(to_lab(candidate) - lab))
        if abs(reached - delta_e) < gap:
            gap = abs(reached - delta_e)
            r, g, b = (int(v) for v in candidate[0, 0])
            best = (r, g, b)
    return best


def element_colour(
    artwork: Artwork, rng: np.random.Generator, *, severity: float
) -> Elements:
    """Things in the wrong ink: dE 5 up to severity 0.17, dE 30 at 1."""
    apart = max(5.0, 30 * severity)

    def edit(element: Element) -> Element:
        return replace(
            element,
            colour=recoloured(element.colour, apart, rng),
            colour2=recoloured(element.colour2, apart, rng),
        )

    chosen = _chosen(artwork, frozenset(_COLOURED), rng, severity=severity)
    return _edited(artwork, chosen, edit)


def missing_element(
    artwork: Artwork, rng: np.random.Generator, *, severity: float
) -> Elements:
    """One thing left out: among the smallest if subtle, the largest if crude."""
    found = sorted(
        _indices(artwork, frozenset(_MOVABLE)), key=lambda i: _area(artwork.elements[i])
    )
    rank = float(np.clip(severity + rng.normal(0, 0.12), 0, 1))
    gone = found[round(rank * (len(found) - 1))]
    return tuple(None if i == gone else e for i, e in enumerate(artwork.elements))


def missing_pattern(
    artwork: Artwork, rng: np.random.Generator, *, severity: float
) -> Elements:
    """A security mark copied flat, printed too faint or in another form, or left out.

    Raises:
        InvalidInputError: the artwork has no pattern, hologram or seal.
    """
    found = _indices(artwork, _SECURITY)
    if not found:
        message = "the artwork has no security mark"
        raise InvalidInputError(message, field="kind")
    which = int(rng.choice(found))
    mark = artwork.elements[which]
    if rng.random() < severity:
        return tuple(None if i == which else e for i, e in enumerate(artwork.elements))
    if mark.kind == "hologram":
        other = replace(mark, variant="flat")
    elif mark.kind == "seal" or rng.integers(2):
        other = replace(mark, opacity=mark.opacity * (0.8 - 0.7 * severity))
    else:
        other = replace(mark, seed=int(rng.integers(2**31)))
    return _edited(artwork, [which], lambda _: other)


def wrong_code(
    artwork: Artwork, rng: np.random.Generator, *, severity: float
) -> Elements:
    """A valid bar code of another article: from one digit to all of them."""
    digits = list(artwork.gtin[:12])
    changed = rng.permutation(np.arange(1, 12))[: max(1, round(severity * 11))]
    for place in changed:
        digits[place] = str((int(digits[place]) + int(rng.integers(1, 10))) % 10)
    body = "".join(digits)
    code = body + wording.check_digit(body)
    codes = _indices(artwork, frozenset({"barcode"}))
    return _edited(artwork, codes, lambda e: replace(e, text=code))


def relayout(
    artwork: Artwork, rng: np.random.Generator, *, severity: float
) -> Elements:
    """Laid out anew from memory: things moved, rescaled and set in another type."""
    written: dict[int, str] = {}
    for element in artwork.elements:
        if element.kind in TEXT_KINDS:
            written[element.font] = written.get(element.font, "") + element.text
    fonts = {
        font: _other_font(artwork.fonts, font, rng, text=text, severity=severity)
        for font, text in written.items()
    }
    reach = (0.01 + 0.07 * severity) * min(artwork.size_px)
    crude = rng.random() < severity

    def edit(element: Element) -> Element:
        dx, dy = rng.normal(0, reach, 2)
        factor = float(np.exp(rng.normal(0, 0.02 + 0.12 * severity)))
        moved = _shifted(artwork, _rescaled(element, factor), dx, dy)
        if not crude or element.kind not in TEXT_KINDS:
            return moved
        font = fonts[element.font]
        room = (moved.box[2], moved.box[3])
        size = fitting_size(element.text, artwork.fonts[font], room)
        return replace(moved, font=font, size_px=min(moved.size_px, size))

    return _edited(artwork, _indices(artwork, frozenset(_MOVABLE)), edit)

"""Invented brands, product names, small print and numbers for simulated packages.

Brand names are built from syllables and GTINs lie in GS1's prefixes for restricted
circulation (200 to 299), so that no real company's name or number is printed.
"""

from dataclasses import dataclass

import numpy as np

_ONSETS = [
    "b",
    "br",
    "c",
    "cl",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gr",
    "h",
    "k",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "qu",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
    "vel",
    "z",
]
_VOWELS = ["a", "e", "i", "o", "u", "ae", "io", "ea", "ia"]
_CODAS = ["", "", "", "n", "r", "l", "x", "s", "m", "ra", "va", "lis", "to", "dine"]
_INN_STEMS = [
    "vel",
    "tor",
    "an",
    "mar",
    "quin",
    "del",
    "for",
    "bex",
    "nal",
    "sul",
    "cor",
    "pra",
    "zen",
    "lum",
    "ter",
]
_INN_ENDS = [
    "azine",
    "olol",
    "imab",
    "etine",
    "amide",
    "oxin",
    "arone",
    "idine",
    "axol",
    "ulin",
]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words of one family: product nouns, variants, strengths, taglines, pictures."""

    nouns: tuple[str, ...]
    variants: tuple[str, ...]
    strengths: tuple[str, ...]
    taglines: tuple[str, ...]
    pictures: tuple[str, ...]
    facts: tuple[str, ...]
    scenes: tuple[str, ...] = ("bokeh", "landscape", "liquid", "petals")
    """Full pictures; ``pictures`` are cut out."""


_MEDICINE = Vocabulary(
    nouns=("Tablets", "Capsules", "Film-coated tablets", "Oral suspension", "Syrup"),
    variants=("Adult", "Forte", "Junior", "Retard", "Plus"),
    strengths=(
        "5 mg",
        "10 mg",
        "20 mg",
        "25 mg",
        "40 mg",
        "100 mg",
        "250 mg",
        "500 mg",
    ),
    taglines=("For oral use", "30 tablets", "Prescription only", "10 x 10 tablets"),
    pictures=("pills", "swirl", "none"),
    facts=("Active substance", "Lactose", "Sodium", "Starch", "Magnesium", "Coating"),
    scenes=("bokeh", "liquid", "heap"),
)
_COSMETIC = Vocabulary(
    nouns=("Day Cream", "Night Serum", "Hand Balm", "Shampoo", "Body Lotion", "Gel"),
    variants=("Rose", "Aloe", "Citrus", "Almond", "Lavender", "Argan", "Sea Salt"),
    strengths=("30 ml", "50 ml", "75 ml", "100 ml", "150 ml", "200 ml", "250 ml"),
    taglines=("Hydrates 24 h", "For dry skin", "With vitamin E", "Soft and light"),
    pictures=("swirl", "leaf", "fruit"),
    facts=("Aqua", "Glycerin", "Parfum", "Tocopherol", "Citric acid", "Limonene"),
    scenes=("petals", "liquid", "bokeh", "cloth"),
)
_FOOD = Vocabulary(
    nouns=("Crunchy Oats", "Fruit Bars", "Wafers", "Corn Chips", "Muesli", "Biscuits"),
    variants=("Honey", "Cocoa", "Berry", "Apple", "Hazelnut", "Paprika", "Sea Salt"),
    strengths=("120 g", "200 g", "250 g", "375 g", "400 g", "500 g", "750 g"),
    taglines=("Baked, not fried", "Source of fibre", "New recipe", "Family pack"),
    pictures=("fruit", "grain", "leaf"),
    facts=("Energy", "Fat", "Carbohydrate", "of which sugars", "Protein", "Salt"),
    scenes=("heap", "heap", "landscape", "bokeh", "cloth"),
)
_DRINK = Vocabulary(
    nouns=("Green Tea", "Ground Coffee", "Nectar", "Spring Water", "Lemonade", "Syrup"),
    variants=("Mint", "Peach", "Dark Roast", "Mild", "Lemon", "Cherry", "Ginger"),
    strengths=("250 ml", "330 ml", "500 ml", "750 ml", "1 L", "1.5 L"),
    taglines=("Serve chilled", "Shake well", "No added sugar", "From the highlands"),
    pictures=("fruit", "leaf", "grain"),
    facts=("Energy", "Sugars", "Vitamin C", "Caffeine", "Sodium", "Fruit content"),
    scenes=("landscape", "heap", "liquid", "bokeh", "petals"),
)
_PART = Vocabulary(
    nouns=("Brake Pads", "Oil Filter", "Wheel Bearing", "Spark Plug", "Drive Belt"),
    variants=("Front", "Rear", "Heavy Duty", "Sport", "Classic"),
    strengths=("NR 2041", "NR 2042", "NR 3107", "NR 3170", "NR 4488", "NR 4489"),
    taglines=("Original quality", "Tested to norm", "Made to last", "Set of 4"),
    pictures=("gear", "gear", "none"),
    facts=("Width", "Height", "Thickness", "Thread", "Torque", "Weight"),
    scenes=("tread", "stone", "cloth"),
)
_ELECTRONICS = Vocabulary(
    nouns=("Wall Charger", "Earbuds", "Power Bank", "LED Lamp", "Memory Card", "Toner"),
    variants=("Pro", "Lite", "Max", "Air", "Mini", "Ultra"),
    strengths=("16 GB", "32 GB", "64 GB", "128 GB", "20 W", "30 W", "65 W"),
    taglines=("Fast and safe", "Up to 24 hours", "Works everywhere", "Type C"),
    pictures=("device", "device", "gear"),
    facts=("Input", "Output", "Power", "Capacity", "Frequency", "Weight"),
    scenes=("bokeh", "liquid", "cloth"),
)
_TOY = Vocabulary(
    nouns=("Brick Set", "Race Track", "Farm Animals", "Puzzle", "Play Dough", "Robot"),
    variants=("City", "Junior", "Deluxe", "Jungle", "Space", "Mega"),
    strengths=("48 pcs", "64 pcs", "120 pcs", "250 pcs", "360 pcs", "500 pcs"),
    taglines=("Ages 3+", "Ages 6 and up", "Build and play", "Batteries not included"),
    pictures=("device", "fruit", "none"),
    facts=("Parts", "Players", "Length", "Height", "Batteries", "Weight"),
    scenes=("bricks", "bricks", "landscape", "bokeh"),
)
_AGRO = Vocabulary(
    nouns=("Herbicide", "Fungicide", "Insecticide", "Seed Dressing", "Foliar Feed"),
    variants=("EC", "SL", "WG", "SC", "Ultra", "Pro"),
    strengths=("250 EC", "360 SL", "480 SC", "50 WG", "100 ml", "250 ml", "1 L", "5 L"),
    taglines=("For professional use", "Systemic", "Contact action", "Shake before use"),
    pictures=("leaf", "grain", "fruit"),
    facts=("Active matter", "Wheat", "Maize", "Rice", "Cotton", "Interval"),
    scenes=("landscape", "petals", "heap", "landscape"),
)
_BULK = Vocabulary(
    nouns=("Portland Cement", "Masonry Cement", "Tile Mortar", "Urea", "Granular NPK"),
    variants=("Rapid", "Extra", "Super", "Classic", "Pro"),
    strengths=("32.5 R", "42.5 N", "42.5 R", "52.5 N", "25 kg", "40 kg", "50 kg"),
    taglines=("Net 50 kg", "High early strength", "For all works", "Keep dry"),
    pictures=("grain", "gear", "none"),
    facts=("Clinker", "Limestone", "Sulfate", "Chloride", "Nitrogen", "Potash"),
    scenes=("stone", "landscape", "heap", "stone"),
)
_TYRE = Vocabulary(
    nouns=("All Season", "Winter Grip", "Touring", "Cargo", "Rally", "Enduro"),
    variants=("Plus", "Max", "Sport", "Eco", "Pro"),
    strengths=("175/65 R14", "185/60 R15", "195/65 R15", "205/55 R16", "225/45 R17"),
    taglines=("91 V tubeless", "Mud and snow", "Made to last", "Reinforced"),
    pictures=("gear", "none"),
    facts=("Load index", "Speed", "Noise dB", "Pressure", "Depth", "Rim"),
    scenes=("tread", "tread", "stone"),
)
VOCABULARIES: dict[str, Vocabulary] = {
    "medicine_carton": _MEDICINE,
    "blister_foil": _MEDICINE,
    "bottle_label": _DRINK,
    "supplement_label": _MEDICINE,
    "cosmetic_tube": _COSMETIC,
    "cosmetic_carton": _COSMETIC,
    "food_carton": _FOOD,
    "pouch": _FOOD,
    "part_box": _PART,
    "electronics_box": _ELECTRONICS,
    "toy_box": _TOY,
    "agro_label": _AGRO,
    "cement_bag": _BULK,
    "jar_label": _FOOD,
    "tyre_label": _TYRE,
    "tea_carton": _DRINK,
}

SENTENCES: tuple[str, ...] = (
    "Keep out of the sight and reach of children.",
    "Store below 25 °C in the original package in order to protect from moisture.",
    "Read the leaflet carefully before use.",
    "Do not use after the date printed on this side.",
    "Best before end: see the top of the pack.",
    "Conserver dans un endroit sec, à l'abri de la lumière.",
    "Kühl und trocken lagern. Vor Wärme schützen.",
    "Mantener fuera del alcance de los niños.",
    "Conservare in luogo fresco e asciutto.",
    "Manufactured under licence; see base for the site of production.",
    "Contents may settle during transport.",
    "Dispose of this packaging according to local rules.",
    "Made in a plant that also handles nuts, milk and soya.",
    "Apply evenly, allow to dry and repeat as needed.",
    "For external use only. Avoid contact with the eyes.",
    "Do not open, crush or heat above 60 °C.",
    "Install only with the engine cold and the key removed.",
    "Check the seal before opening; do not accept if it is broken.",
    "One unit contains the amount stated on the front panel.",
    "Shake gently before each use and close tightly afterwards.",
    "Distributed by the trade mark holder, Harbour Road 12, 4051.",
    "Packaged in a protective atmosphere.",
    "Questions? Write to us, we answer within two working days.",
    "Bewaar op een droge plaats en buiten bereik van kinderen.",
    "Przechowywać w suchym i chłodnym miejscu.",
)


def _pick(rng: np.random.Generator, words: tuple[str, ...] | list[str]) -> str:
    return words[int(rng.integers(len(words)))]


def brand_name(rng: np.random.Generator) -> str:
    """An invented brand of two or three syllables, capitalised."""
    syllables = int(rng.integers(2, 4))
    name = "".join(_pick(rng, _ONSETS) + _pick(rng, _VOWELS) for _ in range(syllables))
    return (name + _pick(rng, _CODAS)).capitalize()


def substance_name(rng: np.random.Generator) -> str:
    """An invented name in the manner of a medicine's."""
    return (_pick(rng, _INN_STEMS) + _pick(rng, _INN_ENDS)).capitalize()


def small_print(rng: np.random.Generator, sentences: int) -> str:
    """That many sentences of small print, in no particular order."""
    order = rng.permutation(len(SENTENCES))[:sentences]
    return " ".join(SENTENCES[int(i)] for i in order)


def check_digit(digits: str) -> str:
    """GS1 check digit of the leading digits (General Specifications, 7.9)."""
    weighted = sum(
        int(digit) * (3 if place % 2 == 0 else 1)
        for place, digit in enumerate(reversed(digits))
    )
    return str(-weighted % 10)


def gtin13(rng: np.random.Generator) -> str:
    """A valid GTIN-13 out of the prefixes for restricted circulation."""
    digits = "2" + "".join(str(d) for d in rng.integers(0, 10, 11))
    return digits + check_digit(digits)


def redrawn_number(text: str, rng: np.random.Generator) -> str:
    """Other digits and capitals of the same form, past the label before the space.

    ``LOT A1234`` becomes ``LOT K0398``; ``EXP 04/2027`` keeps a plausible month.
    """
    label, _, number = text.partition(" ")
    if "/" in number:
        return f"{label} {rng.integers(1, 13):02d}/{rng.integers(2026, 2032)}"
    letters = "ABCDEFGHKLMNPRSTUVWX"
    drawn = "".join(
        str(rng.integers(10))
        if c.isdigit()
        else (letters[int(rng.integers(len(letters)))] if c.isupper() else c)
        for c in number
    )
    return f"{label} {drawn}"

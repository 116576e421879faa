"""The sample references and photographs that are shipped with the project.

Invented products by the simulator: enough photos for every finding that the service
can give, with what each really shows written beside it.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from touchstone.engine.image import Pixels
from touchstone_training.simulator.artwork import Artwork, design, render, sibling
from touchstone_training.simulator.counterfeits import counterfeit
from touchstone_training.simulator.families import FAMILIES
from touchstone_training.simulator.photography import Conditions, photograph, to_jpeg
from touchstone_training.simulator.printing import genuine_print

_REFERENCE_PX = 1400
_PHOTO_PX = (1600, 1200)
_REFERENCE_QUALITY = 90
_PHOTO_QUALITY = 85

_FAMILIES = (
    "medicine_carton",
    "cosmetic_carton",
    "food_carton",
    "part_box",
    "electronics_box",
    "bottle_label",
)
_FIRST_SEED = 2_000_000
"""Beyond every seed that models are trained, calibrated or evaluated with."""


@dataclass(frozen=True, slots=True)
class _Photo:
    name: str
    print_: Pixels
    truth: str
    note: str
    conditions: Conditions
    declared_product: str = ""


@dataclass(frozen=True, slots=True)
class _Reference:
    name: str
    product_id: str
    artwork: Artwork
    pixels: Pixels
    kind: str = "known_genuine"


def make_samples(out: Path, *, fonts: Sequence[Path] = (), seed: int = 0) -> int:
    """Write ``references.csv``, ``photos.csv`` and their images into ``out``.

    Returns the number of photos.
    """
    (out / "references").mkdir(parents=True, exist_ok=True)
    (out / "photos").mkdir(exist_ok=True)
    artworks = [
        design(_FIRST_SEED + 17 * seed + n, family=family, fonts=fonts)
        for n, family in enumerate(_FAMILIES)
    ]
    variant = sibling(artworks[0], np.random.default_rng((seed, 1)))
    _write_references(out, list(_references(artworks, variant, seed)))
    photos = list(_photos(artworks, variant, fonts, seed))
    rng = np.random.default_rng((seed, 2))
    with (out / "photos.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["image", "truth", "note", "declared_product"])
        for one in photos:
            taken = photograph(
                genuine_print(one.print_, rng),
                rng,
                conditions=one.conditions,
                size_px=_PHOTO_PX,
            )
            path = f"photos/{one.name}.jpg"
            (out / path).write_bytes(to_jpeg(taken.pixels, _PHOTO_QUALITY))
            rows.writerow([path, one.truth, one.note, one.declared_product])
    return len(photos)


def _code(artwork: Artwork) -> str:
    words = "-".join((artwork.brand, *artwork.name.split()[:2]))
    return words.upper().replace(" ", "-")


def _references(
    artworks: Sequence[Artwork], variant: Artwork, seed: int
) -> Iterator[_Reference]:
    for number, artwork in enumerate(artworks):
        pixels = render(artwork, long_side_px=_REFERENCE_PX, variable_seed=1)
        code = _code(artwork)
        yield _Reference(f"{number}-{code.lower()}", code, artwork, pixels)
    pixels = render(variant, long_side_px=_REFERENCE_PX, variable_seed=1)
    code = _code(artworks[0]) + "-VARIANT"
    yield _Reference(f"{len(artworks)}-{code.lower()}", code, variant, pixels)
    fake = _known_fake(artworks[1], seed)
    code = _code(artworks[1])
    yield _Reference(
        f"known-counterfeit-{code.lower()}",
        code,
        artworks[1],
        fake,
        kind="known_counterfeit",
    )


def _known_fake(artwork: Artwork, seed: int) -> Pixels:
    rng = np.random.default_rng((seed, 3))
    return counterfeit(
        artwork, "redrawn_logo", rng, severity=0.9, long_side_px=_REFERENCE_PX
    ).pixels


def _write_references(out: Path, references: Sequence[_Reference]) -> None:
    with (out / "references.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(
            [
                "product_id",
                "image",
                "brand",
                "name",
                "category",
                "gtin",
                "face",
                "kind",
                "variable_regions",
            ]
        )
        for one in references:
            path = f"references/{one.name}.jpg"
            (out / path).write_bytes(to_jpeg(one.pixels, _REFERENCE_QUALITY))
            artwork = one.artwork
            scale = _REFERENCE_PX / max(artwork.size_px)
            height, width = one.pixels.shape[:2]
            regions = [
                _within([round(v * scale) for v in box], width, height)
                for box in artwork.variable_regions
            ]
            named = one.product_id, path, artwork.brand, artwork.name
            category = FAMILIES[artwork.family].product_class
            rest = artwork.gtin, "front", one.kind, json.dumps(regions)
            rows.writerow([*named, category, *rest])


def _within(box: list[int], width: int, height: int) -> list[int]:
    x, y = min(max(0, box[0]), width - 1), min(max(0, box[1]), height - 1)
    return [x, y, min(box[2], width - x), min(box[3], height - y)]


def _careful(rng: np.random.Generator, **changed: object) -> Conditions:
    """Take a photo as an inspector would who knows how: whole, sharp, evenly lit."""
    taken = Conditions.sample(rng, difficulty=0.1, shape="carton")
    usual = {"glare": 0.0, "fingers": 0, "sticker": False, "motion_px": 0.0}
    return replace(
        taken,
        **{**usual, "defocus_px": min(taken.defocus_px, 0.6), "fill": 0.86, **changed},  # type: ignore[arg-type]
    )


def _photos(
    artworks: Sequence[Artwork], variant: Artwork, fonts: Sequence[Path], seed: int
) -> Iterator[_Photo]:
    rng = np.random.default_rng((seed, 4))
    medicine, cosmetic, food, part, electronics, bottle = artworks
    for name, artwork in (("medicine", medicine), ("food", food), ("part", part)):
        yield _Photo(
            f"genuine-{name}",
            _unit(artwork, rng),
            "genuine",
            "another unit: other lot, expiry and serial",
            _careful(rng),
        )
    yield _Photo(
        "genuine-bottle",
        _unit(bottle, rng),
        "genuine",
        "a label on a bottle",
        _careful(rng, shape="cylinder", bend=0.6),
    )
    for name, artwork, kind in (
        ("medicine", medicine, "moved_element"),
        ("food", food, "typeface"),
        ("electronics", electronics, "missing_element"),
        ("part", part, "element_colour"),
    ):
        fake = counterfeit(artwork, kind, rng, severity=0.9, long_side_px=_REFERENCE_PX)
        yield _Photo(
            f"counterfeit-{name}-{kind}",
            fake.pixels,
            "counterfeit",
            kind.replace("_", " "),
            _careful(rng),
        )
    yield _Photo(
        "known-counterfeit-cosmetic",
        _known_fake(cosmetic, seed),
        "counterfeit",
        "of a printing that is enrolled as a known counterfeit",
        _careful(rng),
    )
    yield _Photo(
        "other-variant-medicine",
        _unit(variant, rng),
        "genuine",
        "sold as another variant than it is",
        _careful(rng),
        declared_product=_code(medicine),
    )
    stranger = design(_FIRST_SEED + 9_000 + seed, fonts=fonts)
    yield _Photo(
        "unknown-product",
        _unit(stranger, rng),
        "genuine",
        "a product of which no reference is enrolled",
        _careful(rng),
    )
    yield _Photo(
        "far-and-shaken-electronics",
        _unit(electronics, rng),
        "genuine",
        "too far away and shaken",
        _careful(rng, fill=0.3, motion_px=5.0, defocus_px=1.5),
    )
    subtle = counterfeit(
        bottle, "element_colour", rng, severity=0.15, long_side_px=_REFERENCE_PX
    )
    yield _Photo(
        "subtle-counterfeit-bottle",
        subtle.pixels,
        "counterfeit",
        "one colour a shade off: near what a photo can show",
        replace(Conditions.sample(rng, difficulty=0.5, shape="cylinder"), fill=0.8),
    )


def _unit(artwork: Artwork, rng: np.random.Generator) -> Pixels:
    return render(
        artwork,
        long_side_px=_REFERENCE_PX,
        variable_seed=int(rng.integers(10, 1_000_000)),
    )

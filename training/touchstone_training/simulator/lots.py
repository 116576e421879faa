"""Seized lots: photos of one product or a few, some forged by a few print sources.

A print source is one forged artwork and one way to print it: all of its units share
both, as all genuine units share theirs. Each unit has its own lot and serial, and its
own photograph. What is what stands in ``truth.csv``.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import cv2
import numpy as np

from touchstone.errors import InvalidInputError
from touchstone_training.enrolling import (
    ARTWORK_SIDE_PX,
    drawn,
    enrolled_regions,
    reference_print,
)
from touchstone_training.measuring import conditions
from touchstone_training.simulator.artwork import Artwork, Image, render
from touchstone_training.simulator.counterfeits import (
    KINDS,
    WHOLE_PRINT_KINDS,
    edited,
    reprinted,
)
from touchstone_training.simulator.families import FAMILIES
from touchstone_training.simulator.photography import photograph, to_jpeg
from touchstone_training.simulator.printing import genuine_print
from touchstone_training.work import spread

FIRST_SEED = 3_000_000
"""Designs for lots: never trained on, calibrated on or looked at."""

GENUINE = "genuine"
SIZES_PX = {"usual": (1600, 1200), "small": (960, 720)}

_EDITS = tuple(kind for kind in KINDS if kind not in WHOLE_PRINT_KINDS)
_LEAST_SEVERITY = 0.4
_PRESS_DENSITY = 0.03
"""Deviation of an ink's density between presses, in logs: about twice that of runs."""
_REFERENCE_QUALITY = 90


@dataclass(frozen=True, slots=True)
class LotPlan:
    """What a lot holds; equal plans give equal files."""

    photos: int
    sources: int = 3
    """Print sources of the forged units, dealt out to the products in turn."""
    fake_share: float = 0.3
    products: int = 1
    seed: int = 0
    size: str = "usual"
    """One of `SIZES_PX`."""
    difficulty: float = 0.2
    """Mean difficulty of the photographs; each is drawn from 0 to twice this."""

    def __post_init__(self) -> None:
        if self.size not in SIZES_PX:
            message = f"no such size: {self.size}; one of {', '.join(SIZES_PX)}"
            raise InvalidInputError(message, field="size")
        fakes = self.fake_share > 0
        if not 0 <= self.fake_share <= 1 or fakes != (self.sources > 0):
            message = "a share of fakes (0 to 1) needs sources, and none needs none"
            raise InvalidInputError(message, field="fake_share")

    @property
    def designs(self) -> range:
        """The seed of each product's design."""
        first = FIRST_SEED + 1000 * self.seed
        return range(first, first + self.products)

    def makers(self) -> list[int]:
        """Return who printed each photo's unit: 0 the maker, else a source's number."""
        forged = round(self.photos * self.fake_share)
        made = np.zeros(self.photos, int)
        made[:forged] = np.arange(forged) % max(1, self.sources) + 1
        shuffled = np.random.default_rng((self.seed, 17)).permutation(made)
        return [int(maker) for maker in shuffled]

    def product_of(self, number: int, maker: int) -> int:
        """Return which product a photo shows: a source forges one of them."""
        return (maker - 1 if maker else number) % self.products


@dataclass(frozen=True, slots=True)
class PrintSource:
    """A forged artwork, and how it is printed."""

    artwork: Artwork
    kinds: tuple[str, ...]
    severity: float
    press: tuple[float, float, float]
    """Density of its inks, in logs."""
    seed: int

    def unit(self, number: int) -> Image:
        """Draw and copy one unit, before the press: (H, W, 3)."""
        pixels = render(
            self.artwork, long_side_px=ARTWORK_SIDE_PX, variable_seed=1000 + number
        )
        for kind in self.kinds:
            if kind in WHOLE_PRINT_KINDS:
                # One screen, one tint for all units; dots that are thrown are not.
                own = number if kind == "inkjet" else 0
                rng = np.random.default_rng((self.seed, own, 23))
                pixels = reprinted(pixels, kind, rng, severity=self.severity)
        return _inked(pixels, self.press)


def _inked(pixels: Image, density: Sequence[float]) -> Image:
    levels = np.arange(256) / 255
    table = np.stack([255 * levels ** np.exp(one) for one in density], axis=1)
    return np.asarray(cv2.LUT(pixels, np.rint(table).astype(np.uint8)[None]), np.uint8)


def print_source(artwork: Artwork, seed: int) -> PrintSource:
    """Invent a print source: one or two kinds of forgery, the first of the artwork."""
    rng = np.random.default_rng((seed, 19))
    severity = float(rng.uniform(_LEAST_SEVERITY, 1))
    wanted = 1 + int(rng.integers(2))
    before = render(artwork, long_side_px=ARTWORK_SIDE_PX)
    kinds: list[str] = []
    order = [*rng.permutation(_EDITS)[:1], *rng.permutation(KINDS)]
    for kind in map(str, dict.fromkeys(order)):
        if len(kinds) == wanted:
            break
        if kind not in WHOLE_PRINT_KINDS:
            try:
                forged = edited(artwork, kind, rng, severity=severity, genuine=before)
            except InvalidInputError:  # this artwork has nothing of that kind
                continue
            artwork, before = forged.artwork, forged.pixels
        elif not kinds:
            continue
        kinds.append(kind)
    press = rng.normal(0, _PRESS_DENSITY) + rng.normal(0, _PRESS_DENSITY, 3)
    cyan, magenta, yellow = (float(one) for one in press)
    return PrintSource(artwork, tuple(kinds), severity, (cyan, magenta, yellow), seed)


def make_lot(
    out: Path, plan: LotPlan, *, fonts: tuple[Path, ...] = (), workers: int = 1
) -> int:
    """Write ``references.csv``, ``photos/`` and ``truth.csv`` into ``out``.

    Photos that are there already are kept, so that a lot may be taken up again.

    Returns the number of photos drawn now.

    Raises:
        InvalidInputError: ``out`` holds a lot of another plan.
    """
    (out / "references").mkdir(parents=True, exist_ok=True)
    (out / "photos").mkdir(exist_ok=True)
    _claim(out / "plan.json", plan)
    _write_references(out, plan, fonts)
    _write_truth(out, plan, fonts)
    missing = [n for n in range(plan.photos) if not (out / _photo(n)).exists()]
    work = partial(_write_photo, out=out, plan=plan, fonts=fonts)
    for _ in spread(work, missing, workers=workers, description="Photos of the lot"):
        pass
    return len(missing)


def _claim(path: Path, plan: LotPlan) -> None:
    text = json.dumps(asdict(plan), indent=1, sort_keys=True) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        message = f"{path.parent} holds a lot of another plan; choose another folder"
        raise InvalidInputError(message, field="out")
    path.write_text(text, encoding="utf-8")


def _photo(number: int) -> str:
    return f"photos/{number:06d}.jpg"


@lru_cache(maxsize=64)
def _source(plan: LotPlan, maker: int, fonts: tuple[Path, ...]) -> PrintSource:
    artwork = drawn(plan.designs[plan.product_of(0, maker)], fonts)
    return print_source(artwork, FIRST_SEED + 1000 * plan.seed + maker)


@lru_cache(maxsize=64)
def _artwork(design: int, fonts: tuple[Path, ...]) -> Artwork:
    return drawn(design, fonts)


def _write_photo(
    number: int, *, out: Path, plan: LotPlan, fonts: tuple[Path, ...]
) -> None:
    rng = np.random.default_rng((plan.seed, number, 29))
    maker = plan.makers()[number]
    if maker:
        unit = _source(plan, maker, fonts).unit(number)
    else:
        artwork = _artwork(plan.designs[plan.product_of(number, 0)], fonts)
        unit = render(
            artwork, long_side_px=ARTWORK_SIDE_PX, variable_seed=1000 + number
        )
    taken = photograph(
        genuine_print(unit, rng),
        rng,
        conditions=conditions(rng, plan.difficulty),
        size_px=SIZES_PX[plan.size],
        compress=False,
    )
    path = out / _photo(number)
    # Written aside: a photo that is there is whole.
    part = path.with_suffix(".part")
    part.write_bytes(to_jpeg(taken.pixels, taken.conditions.jpeg_quality))
    part.replace(path)


def _write_truth(out: Path, plan: LotPlan, fonts: tuple[Path, ...]) -> None:
    with (out / "truth.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["image", "product_id", "source", "kinds", "severity"])
        for number, maker in enumerate(plan.makers()):
            product = _code(plan.product_of(number, maker))
            if maker:
                source = _source(plan, maker, fonts)
                told = [maker, "+".join(source.kinds), f"{source.severity:.2f}"]
            else:
                told = [GENUINE, "", ""]
            rows.writerow([_photo(number), product, *told])


def _code(product: int) -> str:
    return f"LOT-PRODUCT-{product}"


def _write_references(out: Path, plan: LotPlan, fonts: tuple[Path, ...]) -> None:
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
                "variable_regions",
            ]
        )
        for number, design in enumerate(plan.designs):
            artwork = _artwork(design, fonts)
            path = f"references/{number}.jpg"
            pixels = reference_print(artwork)
            (out / path).write_bytes(to_jpeg(pixels, _REFERENCE_QUALITY))
            boxes = enrolled_regions(artwork, pixels)
            category = FAMILIES[artwork.family].product_class
            named = artwork.brand, artwork.name, category, artwork.gtin
            rows.writerow([_code(number), path, *named, json.dumps(boxes)])

"""Run the measurements that calibration and evaluation are made of.

One pass over simulated designs and, for telling true matches from false ones, over
real photographs of the training split: rows are written as they come, so that a long
pass can be watched, stopped and looked into.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from rich.progress import track

from touchstone.bootstrap import (
    open_comparator,
    open_embedder,
    open_localiser,
    use_one_thread,
)
from touchstone.catalogue import WORKING_SIDE_PX
from touchstone.engine.embedding import Embedder
from touchstone.engine.image import Pixels, decode
from touchstone.engine.localisation import Localiser
from touchstone.settings import Settings
from touchstone_training.data import Item, read_manifest, split
from touchstone_training.enrolling import Enrolled, enrolled, enrolled_design
from touchstone_training.measuring import (
    GENUINE,
    Judged,
    Row,
    Stranger,
    judged,
    measure,
    samples,
    taken_for,
)
from touchstone_training.work import spread

REAL_TRAINING_SET = "open/grocerystore_packages"
"""Real photographs with confusable siblings, openly licensed, training brand only."""


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """What a pass looks at."""

    first_seed: int
    designs: int = 100
    genuine: int = 5
    forged: int = 6
    products: int = 0
    """Further designs of which only genuine photos are taken: how far these stray
    differs more from design to design than from photo to photo. They stand alone and
    tell nothing of right matches, among which the real ones would weigh less; and they
    are the strangers by which acceptance is set."""
    difficulty: float = 0.25
    """Mean difficulty of the photographs; each is drawn from 0 to twice this."""
    decoys: int = 3
    """Others of the designs, beside which each is found."""
    scanned: float = 0.5
    """Share of designs that are enrolled as scans or catalogue pictures."""
    real_photos: int = 160


@dataclass(frozen=True, slots=True)
class Studied:
    """What is learned of one photo."""

    row: Row
    matches: list[Judged]
    """Candidates that registered, true and false, by which acceptance is fitted."""
    stranger: Stranger | None
    """What it is taken for when its product is not enrolled, by which the threshold is
    set: of a product that acceptance was not fitted to."""


def simulated(
    models: Path, options: StudyOptions, fonts: Sequence[Path] = (), *, workers: int = 1
) -> Iterator[Studied]:
    """Measure every sample of the designs and of further products, in that order.

    Genuine photos are also laid over all designs but their own, as if it were not
    enrolled: those of the designs give wrong matches to learn from, those of the
    products tell how often such are accepted (where there are none, the same do both).
    """
    count = options.designs + options.products
    seeds = range(options.first_seed, options.first_seed + count)
    work = partial(_one_design, models=models, options=options, fonts=tuple(fonts))
    done = spread(work, seeds, workers=workers, description="Simulated designs")
    for studied in done:
        yield from studied


def _one_design(
    seed: int, *, models: Path, options: StudyOptions, fonts: tuple[Path, ...]
) -> list[Studied]:
    use_one_thread()
    settings = Settings.load(model_dir=models, provider="cpu")
    embedder, comparator = open_embedder(settings), open_comparator(settings)
    localiser = open_localiser(settings)
    is_design = seed < options.first_seed + options.designs
    own, others = _own_and_others(seed, embedder, models, options, fonts)
    taken = samples(
        seed,
        genuine=options.genuine,
        forged=options.forged if is_design else 0,
        difficulty=options.difficulty,
        fonts=fonts,
    )
    # A product stands alone: how far its photos stray is all that it is measured for.
    gallery = [own, *(others[: options.decoys] if is_design else [])]
    studied = []
    for sample in taken:
        row, found = measure(
            sample,
            gallery,
            own.reference.label,
            embedder,
            comparator,
            localiser=localiser,
        )
        # Beside the right one others are tried no further than until it is sure.
        matches = [one for one in found if one.is_true and is_design]
        stranger = None
        if sample.kind == GENUINE:
            stranger = taken_for(sample, others, embedder, localiser)
        if stranger is not None and is_design:
            matches += [
                Judged(one, is_true=False, is_real=False) for one in stranger.matches
            ]
        is_told_of = not (is_design and options.products)
        studied.append(Studied(row, matches, stranger if is_told_of else None))
    return studied


def _own_and_others(
    seed: int,
    embedder: Embedder,
    models: Path,
    options: StudyOptions,
    fonts: tuple[Path, ...],
) -> tuple[Enrolled, list[Enrolled]]:
    """Return the design of ``seed`` as it is enrolled, and all other designs."""
    every = _every_design(models, options, fonts)
    number = seed - options.first_seed
    if number < len(every):
        return every[number], [*every[number + 1 :], *every[:number]]
    return _enrolled(seed, embedder, options, fonts), every


@cache
def _every_design(
    models: Path, options: StudyOptions, fonts: tuple[Path, ...]
) -> list[Enrolled]:
    """Enrol every design, once in each process: 10 MB each."""
    embedder = open_embedder(Settings.load(model_dir=models, provider="cpu"))
    seeds = range(options.first_seed, options.first_seed + options.designs)
    return [_enrolled(seed, embedder, options, fonts) for seed in seeds]


def _enrolled(
    seed: int, embedder: Embedder, options: StudyOptions, fonts: tuple[Path, ...]
) -> Enrolled:
    return enrolled_design(
        seed,
        seed - options.first_seed,
        embedder,
        fonts=fonts,
        scanned_share=options.scanned,
    )


def real_matches(
    embedder: Embedder,
    data: Path,
    options: StudyOptions,
    localiser: Localiser | None = None,
) -> Iterator[Judged]:
    """Lay the training split's real references over its real photographs.

    Then the same without the right one, as if it were not enrolled. The embedder was
    trained on these products and is surer of them than it will be of others; what it is
    too sure by (`optimism`) is taken off the true matches.
    """
    too_sure = optimism(embedder, data)
    items, gallery, codes = _gallery(embedder, data, "train")
    photos = [item for item in items if item.kind == "photo"]
    order = np.random.default_rng(0).permutation(len(photos))[: options.real_photos]
    for number in track(list(order), description="Real photographs"):
        item = photos[number]
        label = codes.index(item.product_id)
        photo = _read(item)
        for row in judged(photo, gallery, label, embedder, localiser)[0]:
            if row.is_true:
                honest = row.measurements["similarity"] - too_sure
                measured = {**row.measurements, "similarity": honest}
                yield Judged(measured, is_true=True, is_real=True)
        others = [one for one in gallery if one.reference.label != label]
        for row in judged(photo, others, label, embedder, localiser)[0]:
            yield replace(row, is_real=True)


def optimism(embedder: Embedder, data: Path) -> float:
    """Return how much closer true photos are on trained products than on others.

    Measured on the real set by which the embedder's checkpoint was chosen; at least 0.
    """
    means = []
    for half in ("train", "held_out"):
        items, gallery, codes = _gallery(embedder, data, half)
        photos = [item for item in items if item.kind == "photo"][::_OPTIMISM_STRIDE]
        queries = embedder.embed([_read(item) for item in photos])
        similarities = [
            gallery[codes.index(item.product_id)].candidate(query).similarity
            for item, query in zip(photos, queries, strict=True)
        ]
        means.append(float(np.mean(similarities)))
    return max(0.0, means[0] - means[1])


_OPTIMISM_STRIDE = 4


def _gallery(
    embedder: Embedder, data: Path, half: str
) -> tuple[list[Item], list[Enrolled], list[str]]:
    """Return the items of one half of the split, its references, and their codes."""
    every = read_manifest(data / REAL_TRAINING_SET)
    items = [item for item in every if split(item.product_id) == half]
    references = sorted(
        (item for item in items if item.kind == "reference"),
        key=lambda item: item.product_id,
    )
    gallery = [
        enrolled(_read(item), label, embedder) for label, item in enumerate(references)
    ]
    return items, gallery, [item.product_id for item in references]


def _read(item: Item) -> Pixels:
    return decode(item.path.read_bytes(), max_side_px=WORKING_SIDE_PX).pixels

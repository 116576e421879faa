"""Run the measurements that calibration and evaluation are made of.

One pass over simulated designs and, for telling true matches from false ones, over
real photographs of the training split: rows are written as they come, so that a long
pass can be watched, stopped and looked into.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from touchstone.engine.embedding import Embedder
from touchstone.engine.image import decode
from touchstone_training.data import read_manifest, split
from touchstone_training.measuring import (
    Enrolled,
    Judged,
    Row,
    enrolled,
    gallery_of,
    judged,
    measure,
    samples,
)

_WORKING_SIDE_PX = 1280
REAL_TRAINING_SET = "open/grocerystore_packages"
"""Real photographs with confusable siblings, openly licensed, training brand only."""


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """What a pass looks at."""

    first_seed: int
    designs: int = 120
    genuine: int = 5
    forged: int = 6
    difficulty: float = 0.3
    """Mean difficulty of the photographs; each is drawn from 0 to twice this."""
    decoys: int = 3
    real_photos: int = 160
    with_peers: bool = False


def simulated(
    embedder: Embedder, options: StudyOptions, fonts: Sequence[Path] = ()
) -> Iterator[tuple[Row, list[Judged]]]:
    """Measure every sample of the designs, each among its sibling and decoys."""
    seeds = range(options.first_seed, options.first_seed + options.designs)
    for seed in track(list(seeds), description="Simulated designs"):
        gallery = gallery_of(seed, embedder, decoys=options.decoys, fonts=fonts)
        for sample in samples(
            seed,
            genuine=options.genuine,
            forged=options.forged,
            difficulty=options.difficulty,
            fonts=fonts,
        ):
            yield measure(sample, gallery, 0, embedder, with_peers=options.with_peers)


def real_matches(
    embedder: Embedder, data: Path, options: StudyOptions
) -> Iterator[Judged]:
    """Lay the training split's real references over its real photographs."""
    folder = data / REAL_TRAINING_SET
    items = [
        item for item in read_manifest(folder) if split(item.product_id) == "train"
    ]
    codes = sorted({item.product_id for item in items})
    gallery: list[Enrolled] = []
    for item in items:
        if item.kind == "reference":
            pixels = decode(item.path.read_bytes(), max_side_px=_WORKING_SIDE_PX).pixels
            gallery.append(enrolled(pixels, codes.index(item.product_id), embedder))
    photos = [item for item in items if item.kind == "photo"]
    order = np.random.default_rng(0).permutation(len(photos))[: options.real_photos]
    for number in track(list(order), description="Real photographs"):
        item = photos[number]
        pixels = decode(item.path.read_bytes(), max_side_px=_WORKING_SIDE_PX).pixels
        label = codes.index(item.product_id)
        yield from judged(pixels, gallery, label, embedder)[0]

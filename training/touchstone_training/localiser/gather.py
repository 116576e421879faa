"""Every picture that the localiser's scenes may be made of, drawn or read."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from touchstone_training.data import (
    Picture,
    read_manifest,
    real_training_pictures,
    split,
)
from touchstone_training.embedder.pictures import drawn_collages, drawn_designs
from touchstone_training.localiser.pack import FIRST_SEED
from touchstone_training.localiser.photographs import (
    FRONTS,
    HELD_OUT_FRONTS,
    photographed,
)
from touchstone_training.localiser.scenes import Scene


def localiser_pictures(
    data: Path | None, *, designs: int, collages: int, long_side_px: int
) -> Iterator[Picture]:
    """Yield real pictures, then procedural designs, then collages.

    Args:
        data: folder of the data sets, of which only ``open`` is read; None draws
            designs alone.
        designs: how many procedural designs, siblings not counted.
        collages: how many collages, siblings not counted.
        long_side_px: longer side of every picture.
    """
    if data is not None:
        yield from real_training_pictures(data, long_side_px=long_side_px)
    yield from drawn_designs(
        range(FIRST_SEED, FIRST_SEED + designs), long_side_px=long_side_px
    )
    if data is not None:
        yield from drawn_collages(data, range(collages), long_side_px=long_side_px)


def localiser_scenes(
    data: Path | None,
) -> tuple[Iterable[Scene], Iterable[Scene]]:
    """Return the real photos of cartons in which a face is found.

    Those of products that may be trained on, and of held-out brands.

    Args:
        data: folder of the data sets, of which only ``open`` is read; None has none.
    """
    if data is None:
        return (), ()
    items = read_manifest(data / "open" / "grocerystore_packages")
    trained, held = (
        [one for one in items if split(one.product_id) == part]
        for part in ("train", "held_out")
    )
    return photographed(trained, FRONTS), photographed(held, HELD_OUT_FRONTS)

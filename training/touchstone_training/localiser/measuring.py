"""What the localiser is worth: where it finds faces, and what that does to search.

Corner error and overlap on held-out scenes by shape; and how often the right reference
comes first by the embedding alone: searched with the whole photo, with the face, with
both, and as it is served: with the face, and with both where the face leaves doubt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from touchstone.bootstrap import open_embedder, open_localiser, use_one_thread
from touchstone.engine.embedding import Embedder, Vectors, reference_views
from touchstone.engine.localisation import (
    POSSIBLE,
    Localiser,
    cut_out,
)
from touchstone.errors import ModelError
from touchstone.retrieval import CLEAR_LEAD
from touchstone.settings import Settings
from touchstone_training.data import HELD_OUT_SEED, Picture
from touchstone_training.embedder.pictures import drawn_designs
from touchstone_training.embedder.retrieval import (
    RetrievalSet,
    held_out_sets,
    measure_sets,
    simulated_set,
)
from touchstone_training.localiser.accuracy import Located, accuracy, held_out_scenes
from touchstone_training.localiser.pack import Pack
from touchstone_training.localiser.scenes import REAL, Materials, draw_scene
from touchstone_training.simulator.surfaces import SHAPES

_FIRST_DESIGN = HELD_OUT_SEED + 3000
_DESIGN_PX = 480
_PHOTO_PX = (640, 480)


def measure(
    models: Path, pack: Pack, data: Path | None, *, scenes: int, designs: int
) -> dict[str, Any]:
    """Measure the localiser in ``models``: its places, and search with its embedder.

    Raises:
        ModelError: there is no localiser or no embedder, or one was altered.
    """
    settings = Settings(model_dir=models)
    use_one_thread()
    localiser, embedder = open_localiser(settings), open_embedder(settings)
    if localiser is None:
        raise ModelError(f"{models} has no localiser.")
    sets = retrieval_sets(data, pack, designs=designs)
    return {
        "localiser": localiser.digest,
        "embedder": embedder.digest,
        "places": places(localiser, pack, scenes=scenes),
        "recalls": recalls(localiser, embedder, sets),
    }


def places(localiser: Localiser, pack: Pack, *, scenes: int) -> dict[str, Any]:
    """Measure corners and overlap on ``scenes`` held-out scenes of each shape.

    ``all`` are the simulated ones; ``real`` are the real ones that the pack holds, by
    which the localiser was chosen as well.
    """
    found: dict[str, Any] = {}
    everything: list[Located] = []
    for shape in (*SHAPES, None):
        drawn = held_out_scenes(pack, scenes, shape=shape)
        of_shape = [Located.by(localiser, scene) for scene in drawn]
        found[shape or "mixed"] = accuracy(of_shape)
        everything += of_shape
    if pack.held_scenes:
        found[REAL] = accuracy(
            [Located.by(localiser, scene) for scene in pack.held_scenes]
        )
    return {"all": accuracy(everything), **found}


def recalls(
    localiser: Localiser, embedder: Embedder, sets: Sequence[RetrievalSet]
) -> dict[str, Any]:
    """Measure how often the right reference comes first in each of ``sets``."""
    return {one.name: _recall(localiser, embedder, one) for one in sets}


def retrieval_sets(
    data: Path | None, pack: Pack | None, *, designs: int
) -> list[RetrievalSet]:
    """Held-out designs, photographed plainly and amid clutter, and the real sets."""
    seeds = range(_FIRST_DESIGN, _FIRST_DESIGN + designs)
    pictures = list(drawn_designs(seeds, long_side_px=_DESIGN_PX))
    sets = [simulated_set(pictures, seed=1)]
    if pack is not None:
        sets.append(_cluttered_set(pictures, pack))
    if data is not None:
        sets += [*held_out_sets(data), *measure_sets(data)]
    return sets


def _cluttered_set(pictures: Sequence[Picture], pack: Pack) -> RetrievalSet:
    photos = []
    for number, picture in enumerate(pictures):
        rng = np.random.default_rng((_FIRST_DESIGN, number))
        materials = Materials([picture.pixels], pack.held_out, pack.backdrops)
        shape = str(rng.choice(SHAPES))
        scene = draw_scene(
            materials, rng, size_px=_PHOTO_PX, shape=shape, is_stained=False
        )
        photos.append(scene.pixels)
    products = [picture.product_id for picture in pictures]
    references = [picture.pixels for picture in pictures]
    return RetrievalSet("simulated_clutter", products, references, products, photos)


@dataclass(frozen=True, slots=True)
class _Gallery:
    vectors: Vectors
    owners: NDArray[np.str_]
    products: NDArray[np.str_]

    def similarities(self, queries: Vectors) -> NDArray[np.float32]:
        """(queries, products): a product is as near as the nearest of its views."""
        near = queries @ self.vectors.T
        best = [near[:, self.owners == one].max(axis=1) for one in self.products]
        return np.stack(best, axis=1)

    def first_is(
        self, similarities: NDArray[np.float32], truth: NDArray[np.str_]
    ) -> float:
        ranked = self.products[similarities.argmax(axis=1)]
        return round(float((ranked == truth).mean()), 4)


def _gallery(embedder: Embedder, one: RetrievalSet) -> _Gallery:
    vectors, owners = [], []
    for product, reference in zip(one.reference_products, one.references, strict=True):
        views = embedder.embed(reference_views(reference))
        vectors.append(views)
        owners += [product] * len(views)
    names = np.array(owners)
    return _Gallery(np.concatenate(vectors), names, np.unique(names))


def _recall(
    localiser: Localiser, embedder: Embedder, one: RetrievalSet
) -> dict[str, Any]:
    gallery = _gallery(embedder, one)
    faces = [localiser.locate(photo) for photo in one.photos]
    cut = [
        cut_out(photo, face.quad) for photo, face in zip(one.photos, faces, strict=True)
    ]
    truth = np.array(one.photo_products)
    whole = gallery.similarities(embedder.embed(one.photos))
    face = gallery.similarities(embedder.embed(cut))
    is_possible = np.array([one.confidence >= POSSIBLE for one in faces])[:, None]
    first = np.sort(face, axis=1)[:, -2:]
    is_clear = (first[:, 1:] - first[:, :1] > CLEAR_LEAD) & is_possible
    either = np.where(is_possible, np.maximum(whole, face), whole)
    return {
        "photos": len(one.photos),
        "references": len(one.references),
        "localised": round(float(is_possible.mean()), 4),
        "one_search": round(float((is_clear | ~is_possible).mean()), 4),
        "whole": gallery.first_is(whole, truth),
        "face": gallery.first_is(face, truth),
        "either": gallery.first_is(either, truth),
        "served": gallery.first_is(np.where(is_clear, face, either), truth),
    }


def show(report: dict[str, Any], console: Console) -> None:
    """Print both parts of a report as tables."""
    table = Table("scenes", "faces", "IoU", "corner median", "corner p90", "found")
    for name, row in report["places"].items():
        table.add_row(
            name,
            str(row["faces"]),
            f"{row['mean_iou']:.3f}",
            f"{row['corner_error_median']:.4f}",
            f"{row['corner_error_p90']:.4f}",
            f"{row['found']:.3f}",
        )
    console.print(table)
    columns = ("localised", "one_search", "whole", "face", "either", "served")
    table = Table("recall@1 of", "photos", *columns)
    for name, row in report["recalls"].items():
        numbers = (row[key] for key in columns)
        table.add_row(name, str(row["photos"]), *(f"{one:.3f}" for one in numbers))
    console.print(table)

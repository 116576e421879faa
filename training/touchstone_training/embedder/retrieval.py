"""How often the right reference is found first: the embedding alone, no registration.

References are indexed in the views that are served (``reference_views``), queries are
whole photos or, ``by_face``, what is cut out of them. No product here was trained on.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from touchstone.engine.embedding import prepare, reference_views
from touchstone.engine.localisation import Localiser
from touchstone_training.data import (
    Image,
    Item,
    Picture,
    read_image,
    read_manifest,
    split,
)
from touchstone_training.embedder.faces import face_in
from touchstone_training.simulator.photography import Conditions, photograph

Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(N, S, S, 3) uint8 pictures to (N, dim) unit vectors."""

_READ_PX = 480
_CHUNK = 32
_SIMULATED_PX = (480, 360)


@dataclass(frozen=True, slots=True)
class RetrievalSet:
    """Labelled photos and the references that they are looked up in."""

    name: str
    reference_products: Sequence[str]
    references: Sequence[Image]
    photo_products: Sequence[str]
    photos: Sequence[Image]


@dataclass(frozen=True, slots=True)
class RetrievalMetrics:
    """Shares of photos whose product came first, or among the first five."""

    photos: int
    references: int
    recall_at_1: float
    recall_at_5: float
    sign_recall_at_1: float
    """The same with 256-bit sign codes, compared by Hamming distance."""
    sign_recall_at_5: float


def held_out_sets(data: Path, *, every_nth_photo: int = 1) -> list[RetrievalSet]:
    """Load the openly licensed held-out sets; checkpoints may be chosen by these."""
    arc = read_manifest(data / "open" / "arc2017_items_jsk")
    grocery = read_manifest(data / "open" / "grocerystore_packages")
    held_out = [item for item in grocery if split(item.product_id) == "held_out"]
    arc_references = [item for item in arc if item.kind == "reference"]
    return [
        _set("grocery_held_out", held_out, arc_references, every_nth_photo),
        _set("arc2017", arc, [], 1),
    ]


def simulated_set(pictures: Sequence[Picture], *, seed: int) -> RetrievalSet:
    """Photograph each artwork once, at any rotation and medium difficulty.

    With siblings among the artworks this is the hardest set: a sibling that comes
    first counts as wrong.
    """
    rng = np.random.default_rng(seed)
    photos = []
    for picture in pictures:
        taken = Conditions.sample(rng, difficulty=0.5, any_rotation=True)
        photo = photograph(picture.pixels, rng, conditions=taken, size_px=_SIMULATED_PX)
        photos.append(photo.pixels)
    products = [picture.product_id for picture in pictures]
    references = [picture.pixels for picture in pictures]
    return RetrievalSet("simulated_siblings", products, references, products, photos)


def measure_sets(data: Path, *, every_nth_photo: int = 1) -> list[RetrievalSet]:
    """Load the sets that are for measurement only: report them, never tune on them."""
    covers = read_manifest(data / "measure" / "smvs_dvd_covers")
    books = read_manifest(data / "measure" / "book_covers_gabriel")[:70]
    beer = read_manifest(data / "measure" / "beer_brands_dipsum")
    return [
        _set("smvs_dvd_covers", covers, books, every_nth_photo),
        _set("beer_brands_dipsum", beer, [], every_nth_photo),
    ]


def _set(
    name: str, items: list[Item], distractors: list[Item], every_nth_photo: int
) -> RetrievalSet:
    references = [item for item in items if item.kind == "reference"] + distractors
    photos = [item for item in items if item.kind == "photo"][::every_nth_photo]
    return RetrievalSet(
        name,
        [item.product_id for item in references],
        [read_image(item.path, long_side_px=_READ_PX) for item in references],
        [item.product_id for item in photos],
        [read_image(item.path, long_side_px=_READ_PX) for item in photos],
    )


def by_face(one: RetrievalSet, localiser: Localiser) -> RetrievalSet:
    """Return the set with the face cut out of each photo in which one is found."""
    faces = [face_in(photo, localiser) for photo in one.photos]
    return replace(one, name=f"{one.name}_by_face", photos=faces)


def evaluate_embedding(
    embed: Embed, sets: Sequence[RetrievalSet], *, input_px: int
) -> dict[str, RetrievalMetrics]:
    """Measure ``embed`` on each set; the keys are the sets' names."""
    galleries: dict[int, _Gallery] = {}
    for one in sets:  # a set and its faces share their references
        if id(one.references) not in galleries:
            galleries[id(one.references)] = _indexed(embed, one, input_px)
    return {
        one.name: _evaluate(embed, one, galleries[id(one.references)], input_px)
        for one in sets
    }


def mean_recall(metrics: dict[str, RetrievalMetrics]) -> float:
    """Mean of R@1, float and sign codes alike: what a checkpoint is chosen by."""
    values = [
        value
        for measured in metrics.values()
        for value in (measured.recall_at_1, measured.sign_recall_at_1)
    ]
    return float(np.mean(values))


def as_document(
    metrics: dict[str, RetrievalMetrics],
) -> dict[str, dict[str, float]]:
    """Metrics as plain JSON values, rounded to four places."""
    return {
        name: {key: round(value, 4) for key, value in asdict(measured).items()}
        for name, measured in metrics.items()
    }


_Gallery: TypeAlias = tuple[NDArray[np.float32], NDArray[np.str_]]
"""(views, dim) and whose they are."""


def _indexed(embed: Embed, one: RetrievalSet, input_px: int) -> _Gallery:
    views = [reference_views(reference) for reference in one.references]
    owners = np.array(
        [
            product
            for product, shown in zip(one.reference_products, views, strict=True)
            for _ in shown
        ]
    )
    shown = [view for of_one in views for view in of_one]
    return _embedded(embed, shown, input_px), owners


def _evaluate(
    embed: Embed, one: RetrievalSet, indexed: _Gallery, input_px: int
) -> RetrievalMetrics:
    gallery, owners = indexed
    queries = _embedded(embed, one.photos, input_px)
    truth = np.array(one.photo_products)
    similarity = queries @ gallery.T
    agreement = np.sign(queries) @ np.sign(gallery).T
    return RetrievalMetrics(
        photos=len(one.photos),
        references=len(one.references),
        recall_at_1=_recall(similarity, owners, truth, 1),
        recall_at_5=_recall(similarity, owners, truth, 5),
        sign_recall_at_1=_recall(agreement, owners, truth, 1),
        sign_recall_at_5=_recall(agreement, owners, truth, 5),
    )


def _recall(
    similarity: NDArray[np.float32],
    owners: NDArray[np.str_],
    truth: NDArray[np.str_],
    first: int,
) -> float:
    products = np.unique(owners)
    # A product is as similar as the most similar of its views.
    best = np.stack(
        [similarity[:, owners == product].max(axis=1) for product in products], axis=1
    )
    ranked = products[np.argsort(-best, axis=1, kind="stable")[:, :first]]
    return float((ranked == truth[:, None]).any(axis=1).mean())


def _embedded(
    embed: Embed, pictures: Sequence[Image], input_px: int
) -> NDArray[np.float32]:
    rows = []
    for start in range(0, len(pictures), _CHUNK):
        chunk = pictures[start : start + _CHUNK]
        rows.append(embed(np.stack([prepare(one, input_px=input_px) for one in chunk])))
    return np.concatenate(rows)

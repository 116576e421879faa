"""Cached artworks and photos to training batches: two pictures of each product.

One view is the reference as it is indexed, the other what a phone makes of it: mostly
the face alone, cut out where the localiser finds it, as it is searched with.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from touchstone.engine.embedding import LETTERBOX_GREY, prepare
from touchstone.engine.extent import box_of_face
from touchstone.engine.localisation import Localiser
from touchstone_training.data import Image, PictureCache, chance
from touchstone_training.embedder.faces import Opener, face_in
from touchstone_training.localiser.overprint import of_nearest_shape, overprinted
from touchstone_training.localiser.scenes import Scene
from touchstone_training.simulator.photography import Conditions, photograph


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """How views are made."""

    input_px: int = 160
    photo_px: int = 384
    """Longer side of simulated photos, before they are prepared."""
    face_share: float = 0.7
    """Share of photos of which the face alone is looked at, where it is found."""
    max_difficulty: float = 0.8
    padded_share: float = 0.5
    """Share of reference views that do not fill the frame."""
    real_scenes: float = 0.3
    """Share of photos of drawn artworks (those of real products would lie beside their
    own kind) that are printed over a face in a real photo, where there are any."""
    packages_behind: float = 0.35
    """Share of photos with other packages as their background."""


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What a batch is made of."""

    products: int = 56
    real_share: float = 0.2
    """Share of real products (catalogue images, real cartons); they are few."""
    sibling_share: float = 0.5
    """Share of families that come with two members, if they have them."""


def reference_view(
    artwork: Image,
    rng: np.random.Generator,
    *,
    options: ViewOptions,
    backdrop: Image | None = None,
) -> Image:
    """Make a view as references are indexed: any quarter turn, sometimes padded.

    Returns:
        (input_px, input_px, 3) RGB.
    """
    turned = np.ascontiguousarray(np.rot90(artwork, int(rng.integers(4))))
    if chance(rng, options.padded_share):
        turned = _on_ground(turned, rng, backdrop=backdrop)
    return prepare(turned, input_px=options.input_px)


def _on_ground(
    artwork: Image, rng: np.random.Generator, *, backdrop: Image | None
) -> Image:
    height, width = artwork.shape[:2]
    side = round(max(height, width) / rng.uniform(0.5, 0.9))
    if backdrop is None:
        ground = np.full((side, side, 3), LETTERBOX_GREY, np.uint8)
    else:
        ground = np.asarray(cv2.resize(backdrop, (side, side)), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    ground[top : top + height, left : left + width] = artwork
    return ground


def simulated_view(
    artwork: Image,
    rng: np.random.Generator,
    *,
    options: ViewOptions,
    backgrounds: Sequence[Image] = (),
) -> Image:
    """Photograph the artwork at any rotation; (h, w, 3) RGB."""
    conditions = Conditions.sample(
        rng,
        difficulty=float(rng.uniform(0, options.max_difficulty)),
        any_rotation=True,
    )
    size = options.photo_px, options.photo_px * 3 // 4
    if chance(rng, 0.5):
        size = size[1], size[0]
    photo = photograph(
        artwork, rng, conditions=conditions, size_px=size, backgrounds=backgrounds
    )
    return photo.pixels


def real_view(photo: Image, rng: np.random.Generator) -> Image:
    """Vary a real photo: a quarter turn, a slight crop, a little light and colour."""
    height, width = photo.shape[:2]
    keep = rng.uniform(0.8, 1.0)
    tall, wide = int(height * keep), int(width * keep)
    top = int(rng.integers(0, height - tall + 1))
    left = int(rng.integers(0, width - wide + 1))
    part = photo[top : top + tall, left : left + wide]
    turned = np.rot90(part, int(rng.integers(4))).astype(np.float32)
    gain = rng.normal(1, 0.05, 3) * rng.uniform(0.75, 1.25)
    return np.clip(turned * gain + rng.normal(0, 6), 0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class _Real:
    """What each process opens for itself: it goes to no other, or not readily."""

    localiser: Localiser | None
    scenes: Sequence[Scene]


def _is_drawn(family: str) -> bool:
    return family.startswith(("design:", "collage:", "none:"))


class Batches(IterableDataset[tuple[torch.Tensor, torch.Tensor]]):
    """An endless stream of batches.

    Each is (2 P, S, S, 3) uint8 pictures, the P reference views first, and (2 P,)
    product numbers. Every worker process draws from a generator of its own.
    """

    def __init__(
        self,
        cache: PictureCache,
        *,
        views: ViewOptions,
        batch: BatchOptions,
        seed: int,
        open_localiser: Opener | None = None,
        open_scenes: Callable[[], Sequence[Scene]] | None = None,
    ) -> None:
        """Prepare the stream.

        Args:
            cache: the pictures.
            views: how they are shown.
            batch: how many of which.
            seed: of all chance.
            open_localiser: opens, in each process, what faces are found with; None
                shows whole photos only.
            open_scenes: reads, in each process, the real photos over whose faces
                artworks are printed.
        """
        self._open_scenes = open_scenes
        self._open_localiser = open_localiser
        self._cache = cache
        self._boxes: dict[int, tuple[int, int, int, int]] = {}
        self._views = views
        self._batch = batch
        self._seed = seed
        products = sorted({row.product_id for row in cache.rows})
        self._numbers = {product: number for number, product in enumerate(products)}
        self._backdrops = cache.of_kind("backdrop")
        self._artworks = cache.of_kind("artwork")
        self._photos: dict[str, list[int]] = defaultdict(list)
        for index in cache.of_kind("photo"):
            self._photos[cache.rows[index].product_id].append(index)
        self._real, self._drawn = self._families()

    def _families(self) -> tuple[list[list[int]], list[list[int]]]:
        families: dict[str, list[int]] = defaultdict(list)
        for index in self._artworks:
            families[self._cache.rows[index].family].append(index)
        real: list[list[int]] = []
        drawn: list[list[int]] = []
        for name in sorted(families):
            (drawn if _is_drawn(name) else real).append(families[name])
        # Real families are large (all Arla cartons) and a draw takes one or two of
        # them, so they are listed once for each member; thrice where there are photos.
        listed = [family for family in real for _ in range(self._weight(family))]
        return listed, drawn

    def _weight(self, family: list[int]) -> int:
        products = [self._cache.rows[index].product_id for index in family]
        return sum(3 if product in self._photos else 1 for product in products)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        worker = get_worker_info()
        number = 0 if worker is None else worker.id
        if worker is not None:
            cv2.setNumThreads(1)
        real = _Real(
            None if self._open_localiser is None else self._open_localiser(),
            () if self._open_scenes is None else self._open_scenes(),
        )
        rng = np.random.default_rng((self._seed, number))
        while True:
            yield self._make(rng, real)

    def _make(
        self, rng: np.random.Generator, real: "_Real"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = self._choose(rng)
        references = [self._reference(index, rng) for index in chosen]
        photos = [self._photo(index, rng, real) for index in chosen]
        labels = [self._numbers[self._cache.rows[index].product_id] for index in chosen]
        return (
            torch.from_numpy(np.stack(references + photos)),
            torch.tensor(labels + labels),
        )

    def _choose(self, rng: np.random.Generator) -> list[int]:
        """Draw artworks of different products, siblings next to each other."""
        chosen: dict[str, int] = {}
        while len(chosen) < self._batch.products:
            is_real = bool(self._real) and chance(rng, self._batch.real_share)
            families = self._real if is_real or not self._drawn else self._drawn
            family = families[int(rng.integers(len(families)))]
            count = 2 if chance(rng, self._batch.sibling_share) else 1
            members = rng.choice(family, min(count, len(family)), replace=False)
            for index in members:
                chosen[self._cache.rows[int(index)].product_id] = int(index)
        return list(chosen.values())[: self._batch.products]

    def _reference(self, index: int, rng: np.random.Generator) -> Image:
        backdrop = None
        if self._backdrops and chance(rng, 0.4):
            backdrop = self._cache[int(rng.choice(self._backdrops))]
        return reference_view(
            self._face(index), rng, options=self._views, backdrop=backdrop
        )

    def _face(self, index: int) -> Image:
        """Return an artwork without plain ground around it, as it is enrolled."""
        artwork = self._cache[index]
        if index not in self._boxes:
            self._boxes[index] = box_of_face(artwork)
        left, top, right, bottom = self._boxes[index]
        return artwork[top:bottom, left:right]

    def _photo(self, index: int, rng: np.random.Generator, real: "_Real") -> Image:
        shown = self._photographed(index, rng, real.scenes)
        if real.localiser is not None and chance(rng, self._views.face_share):
            shown = face_in(shown, real.localiser)
        return prepare(shown, input_px=self._views.input_px)

    def _photographed(
        self, index: int, rng: np.random.Generator, scenes: Sequence[Scene]
    ) -> Image:
        real = self._photos.get(self._cache.rows[index].product_id)
        if real and chance(rng, 0.7):
            photo = self._cache[real[int(rng.integers(len(real)))]]
            return real_view(photo, rng)
        is_drawn = _is_drawn(self._cache.rows[index].family)
        if scenes and is_drawn and chance(rng, self._views.real_scenes):
            face = self._face(index)
            scene = of_nearest_shape(scenes, face, rng)
            return real_view(overprinted(scene, face, rng).pixels, rng)
        return simulated_view(
            self._face(index),
            rng,
            options=self._views,
            backgrounds=self._backgrounds(index, rng),
        )

    def _backgrounds(self, index: int, rng: np.random.Generator) -> list[Image]:
        choice = rng.random()
        if choice < self._views.packages_behind:
            other = int(rng.choice(self._artworks))
            family = self._cache.rows[index].family
            return (
                [] if self._cache.rows[other].family == family else [self._cache[other]]
            )
        if choice < self._views.packages_behind + 0.25 and self._backdrops:
            return [self._cache[int(rng.choice(self._backdrops))]]
        return []


def normalised(
    pictures: NDArray[np.uint8] | torch.Tensor,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> torch.Tensor:
    """Turn (N, S, S, 3) uint8 into the network's (N, 3, S, S) float32."""
    pixels = torch.as_tensor(pictures).float()
    scaled = (pixels - torch.tensor(mean)) / torch.tensor(std)
    # Permuted, not copied: channels-last is the layout that the network runs in.
    return scaled.permute(0, 3, 1, 2)

"""Simulated designs as they are enrolled: the flat print, or a scan of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from touchstone.engine.codes import read_codes
from touchstone.engine.embedding import Embedder, Vectors, reference_views
from touchstone.engine.features import REFERENCE_SIDE_PX, Features, Method, detect
from touchstone.engine.identification import Candidate
from touchstone.engine.image import Pixels
from touchstone.engine.reference import Reference
from touchstone.store import Region
from touchstone_training.simulator.artwork import Artwork, design, render
from touchstone_training.simulator.elements import Box
from touchstone_training.simulator.families import FAMILIES
from touchstone_training.simulator.scanning import scanned, trimmed

ARTWORK_SIDE_PX = 1400


def drawn(seed: int, fonts: Sequence[Path] = ()) -> Artwork:
    """Return the design of ``seed``."""
    return design(seed, fonts=fonts) if fonts else design(seed)


def reference_print(artwork: Artwork) -> Pixels:
    """Return the flat print under which an artwork is enrolled."""
    return render(artwork, long_side_px=ARTWORK_SIDE_PX, variable_seed=1)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What enrolment would keep of one reference image."""

    reference: Reference
    features: dict[Method, Features]
    vectors: Vectors
    """(views, dim)"""

    def candidate(self, query: Vectors) -> Candidate:
        """Return it as a candidate for a photo embedded as ``query`` (dim,)."""
        similarity = float((self.vectors @ query).max())
        return Candidate(self.reference.label, similarity, self.features)


def enrolled(
    pixels: Pixels,
    label: int,
    embedder: Embedder,
    *,
    variable_regions: tuple[tuple[float, float, float, float], ...] = (),
    product_class: str = "",
) -> Enrolled:
    """Do what enrolment does with one reference image."""
    size = pixels.shape[1], pixels.shape[0]
    return Enrolled(
        Reference(
            label,
            pixels,
            size,
            is_counterfeit=False,
            variable_regions=variable_regions,
            codes=read_codes(pixels),
            product_class=product_class,
        ),
        {
            method: detect(pixels, method, max_side_px=REFERENCE_SIDE_PX)
            for method in Method
        },
        embedder.embed(reference_views(pixels)),
    )


def enrolled_artwork(
    artwork: Artwork,
    label: int,
    embedder: Embedder,
    *,
    scan: np.random.Generator | None = None,
) -> Enrolled:
    """Enrol an artwork's flat print, or with ``scan`` a scan of it by that chance."""
    pixels = reference_print(artwork)
    side = max(pixels.shape[:2])
    scale, left, top = 1.0, 0.0, 0.0
    if scan is not None:
        pixels = scanned(pixels, scan)
        scale = max(pixels.shape[:2]) / side
        pixels, (left, top) = trimmed(pixels, scan)
    boxes = [
        (x * scale - left, y * scale - top, w * scale, h * scale)
        for x, y, w, h in variable_boxes(artwork)
    ]
    return enrolled(
        pixels,
        label,
        embedder,
        variable_regions=tuple(boxes),
        product_class=FAMILIES[artwork.family].product_class,
    )


def variable_boxes(artwork: Artwork) -> tuple[Box, ...]:
    """Return the regions that vary from unit to unit, in the reference print's px."""
    scale = ARTWORK_SIDE_PX / max(artwork.size_px)
    return tuple(
        (x * scale, y * scale, w * scale, h * scale)
        for x, y, w, h in artwork.variable_regions
    )


def enrolled_regions(artwork: Artwork, print_: Pixels) -> tuple[Region, ...]:
    """Return them as enrolment takes them: whole pixels of ``print_``, of any size."""
    height, width = print_.shape[:2]
    scale = max(height, width) / max(artwork.size_px)
    regions = []
    for x, y, wide, tall in artwork.variable_regions:
        left, top = max(0, round(x * scale)), max(0, round(y * scale))
        right = min(width, round((x + wide) * scale))
        bottom = min(height, round((y + tall) * scale))
        regions.append((left, top, right - left, bottom - top))
    return tuple(regions)


def gallery_of(
    seed: int,
    embedder: Embedder,
    *,
    decoys: int,
    fonts: Sequence[Path] = (),
    scanned_share: float = 0.0,
) -> list[Enrolled]:
    """Enrol a design (label 0) and ``decoys`` others.

    No sibling: one that registers is no wrong match, it is told apart by comparison.
    Of all designs ``scanned_share`` are enrolled as scans.
    """
    return [
        enrolled_design(
            seed + 5000 * label,
            label,
            embedder,
            fonts=fonts,
            scanned_share=scanned_share,
        )
        for label in range(decoys + 1)
    ]


def enrolled_design(
    seed: int,
    label: int,
    embedder: Embedder,
    *,
    fonts: Sequence[Path] = (),
    scanned_share: float = 0.0,
) -> Enrolled:
    """Enrol the design of ``seed``, by the chance of ``scanned_share`` as a scan."""
    rng = np.random.default_rng((seed, 13))
    scan = rng if rng.random() < scanned_share else None
    return enrolled_artwork(drawn(seed, fonts), label, embedder, scan=scan)

"""Every picture that the embedder may be trained on, drawn or read, in one stream."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import resvg_py

from touchstone_training.data import (
    Picture,
    open_pictures,
    read_manifest,
    real_training_pictures,
)
from touchstone_training.embedder.collage import Mask, Materials, collage
from touchstone_training.simulator.artwork import design, render, sibling

_SIBLINGS_EVERY = 2
_MARKS = 500
_MARK_PX = 96


def training_pictures(
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
    yield from drawn_designs(range(designs), long_side_px=long_side_px)
    if data is not None:
        yield from drawn_collages(data, range(collages), long_side_px=long_side_px)


def drawn_designs(seeds: range, *, long_side_px: int) -> Iterator[Picture]:
    """Yield procedural designs, every second one with a sibling."""
    for seed in seeds:
        name = f"design:{seed}"
        artwork = design(seed)
        pixels = render(artwork, long_side_px=long_side_px)
        yield Picture(name, name, "artwork", pixels)
        if seed % _SIBLINGS_EVERY == 0:
            twin = sibling(artwork, np.random.default_rng(seed))
            pixels = render(twin, long_side_px=long_side_px)
            yield Picture(f"{name}/1", name, "artwork", pixels)


def drawn_collages(data: Path, seeds: range, *, long_side_px: int) -> Iterator[Picture]:
    """Yield collages, every second one with a sibling."""
    materials = open_materials(data)
    for seed in seeds:
        name = f"collage:{seed}"
        variants = range(2 if seed % _SIBLINGS_EVERY == 0 else 1)
        for variant in variants:
            pixels = collage(
                seed, materials, variant=variant, long_side_px=long_side_px
            )
            product = f"{name}/{variant}" if variant else name
            yield Picture(product, name, "artwork", pixels)


def open_materials(data: Path) -> Materials:
    """Load pictures, marks and fonts whose licences allow training."""
    icons = read_manifest(data / "open" / "icons_simple_icons")
    step = max(1, len(icons) // _MARKS)
    fonts = read_manifest(data / "open" / "fonts_open")
    return Materials(
        pictures=list(open_pictures(data, long_side_px=400)),
        marks=[_mark(item.path) for item in icons[::step]],
        fonts=[item.path for item in fonts],
    )


def _mark(path: Path) -> Mask:
    """Rasterise a one-colour SVG to its opacity."""
    png = resvg_py.svg_to_bytes(
        svg_string=path.read_text(encoding="utf-8"), width=_MARK_PX, height=_MARK_PX
    )
    pixels = cv2.imdecode(np.frombuffer(bytes(png), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3 or pixels.shape[2] != 4:  # noqa: PLR2004
        return np.zeros((_MARK_PX, _MARK_PX), np.uint8)
    return np.ascontiguousarray(pixels[..., 3], np.uint8)

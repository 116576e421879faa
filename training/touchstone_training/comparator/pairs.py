"""Photographs of genuine and forged prints, with where they differ, for training.

One folder a design: ``reference.png`` (the flat print as enrolled), and of each photo
``NN.jpg`` and ``NN.png``, the mask of what was changed, in the artwork's frame at a
quarter of its size (255: changed; nothing for a genuine print). Folders appear whole
or not at all, so that a long run can be stopped and taken up again. Some references
are scans, some prints are collages of pictures, and photos have several sizes, as
what is enrolled and sent has.
"""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from shutil import rmtree

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from touchstone.bootstrap import use_one_thread
from touchstone.engine.image import Pixels
from touchstone.errors import InvalidInputError
from touchstone_training.comparator.prints import Prints, of_design, of_picture
from touchstone_training.enrolling import ARTWORK_SIDE_PX
from touchstone_training.measuring import GENUINE, conditions
from touchstone_training.simulator.counterfeits import (
    WHOLE_PRINT_KINDS,
    genuine_print,
)
from touchstone_training.simulator.photography import photograph, to_jpeg

META = "meta.json"
REFERENCE = "reference.png"
FIRST_SEED = 400_000
"""Designs for the comparator: neither the embedder's nor those of calibration."""

_PICTURE_SIDE_PX = 1000
_SHRINK = 4
_VISIBLE_LEVELS = 12


_PHOTO_SIZES_PX = ((1600, 1200), (1200, 900), (960, 720), (720, 540))


@dataclass(frozen=True, slots=True)
class PairOptions:
    """What is photographed of each design."""

    genuine: int = 4
    forged: int = 8
    difficulty: float = 0.2
    """Mean difficulty of the photographs; each is drawn from 0 to twice this."""
    scanned: float = 0.5
    """Share of products that are enrolled as a scan or a catalogue picture."""
    pictures: float = 0.3
    """Share of products that are collages of pictures, where there are any."""


def make_pairs(
    out: Path,
    *,
    designs: int,
    first_seed: int = FIRST_SEED,
    fonts: Sequence[Path] = (),
    data: Path | None = None,
    options: PairOptions | None = None,
    workers: int = 1,
) -> None:
    """Photograph ``designs`` products into folders of ``out``; made ones are kept.

    Args:
        out: gets a folder each.
        designs: how many.
        first_seed: of them.
        fonts: that simulated designs are set in.
        data: has the pictures that collages are made of; None makes none.
        options: what is photographed.
        workers: processes.
    """
    out.mkdir(parents=True, exist_ok=True)
    seeds = [
        seed
        for seed in range(first_seed, first_seed + designs)
        if not (out / str(seed)).exists()
    ]
    work = partial(
        _one_design,
        out=out,
        fonts=tuple(fonts),
        data=data,
        options=options or PairOptions(),
    )
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        done = pool.map(work, seeds)
        for _ in track(done, total=len(seeds), description="Designs"):
            pass


def _one_design(
    seed: int,
    *,
    out: Path,
    fonts: tuple[Path, ...],
    data: Path | None,
    options: PairOptions,
) -> None:
    use_one_thread()
    prints = _prints(seed, fonts, data, options)
    half_made = out / f".{seed}.{os.getpid()}"
    rmtree(half_made, ignore_errors=True)
    half_made.mkdir()
    _write(half_made / REFERENCE, prints.reference)
    rows = []
    for number, (kind, severity, jpeg, mask) in enumerate(
        _photographs(prints, seed, options)
    ):
        (half_made / f"{number:02}.jpg").write_bytes(jpeg)
        if mask is not None:
            _write(half_made / f"{number:02}.png", mask)
        rows.append({"kind": kind, "severity": round(severity, 3)})
    meta = {"family": prints.family, "variable": prints.variable, "photos": rows}
    (half_made / META).write_text(json.dumps(meta), encoding="utf-8")
    half_made.rename(out / str(seed))


def _prints(
    seed: int, fonts: tuple[Path, ...], data: Path | None, options: PairOptions
) -> Prints:
    rng = np.random.default_rng((seed, 13))
    is_picture, is_scanned = rng.random(2) < (options.pictures, options.scanned)
    if data is not None and is_picture:
        prints = of_picture(seed, data, long_side_px=_PICTURE_SIDE_PX)
    else:
        prints = of_design(seed, fonts, long_side_px=ARTWORK_SIDE_PX)
    return prints.scanned(rng) if is_scanned else prints


def _photographs(
    prints: Prints, seed: int, options: PairOptions
) -> Iterator[tuple[str, float, bytes, NDArray[np.uint8] | None]]:
    rng = np.random.default_rng((seed, 11))
    for number in range(options.genuine):
        yield GENUINE, 0.0, _photographed(prints.unit(number), rng, options), None
    for kind in rng.permutation(prints.kinds)[: options.forged]:
        severity = float(rng.uniform(0.1, 1.0))
        try:
            fake = prints.forged(str(kind), rng, severity)
        except InvalidInputError:  # this print has nothing of that kind
            continue
        mask = _changed(prints.usual, fake, is_whole=kind in WHOLE_PRINT_KINDS)
        yield str(kind), severity, _photographed(fake, rng, options), mask


def _changed(before: Pixels, after: Pixels, *, is_whole: bool) -> NDArray[np.uint8]:
    height, width = before.shape[:2]
    small = width // _SHRINK, height // _SHRINK
    if is_whole:
        return np.full((small[1], small[0]), 255, np.uint8)
    channels = cv2.split(cv2.absdiff(before, after))
    apart = np.maximum(np.maximum(channels[0], channels[1]), channels[2])
    apart = apart > _VISIBLE_LEVELS
    mask = cv2.resize(apart.astype(np.uint8) * 255, small, interpolation=cv2.INTER_AREA)
    return np.asarray(np.where(mask > 0, 255, 0), np.uint8)


def _photographed(
    print_: Pixels, rng: np.random.Generator, options: PairOptions
) -> bytes:
    taken = conditions(rng, options.difficulty)
    photo = photograph(
        genuine_print(print_, rng),
        rng,
        conditions=taken,
        size_px=_PHOTO_SIZES_PX[int(rng.integers(len(_PHOTO_SIZES_PX)))],
        compress=False,
    )
    return to_jpeg(photo.pixels, photo.conditions.jpeg_quality)


def _write(path: Path, pixels: NDArray[np.uint8]) -> None:
    turned = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)  # noqa: PLR2004 (grey or colour)
    cv2.imwrite(str(path), turned)

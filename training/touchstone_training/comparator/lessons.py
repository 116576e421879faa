"""Crops of aligned pairs, varied in what no finding may hang on, for training.

What was changed stays labelled through every flip and turn. A part of the genuine
crops gets a change planted into the expected print: a difference is one whichever of
the two was changed, and the photo around it is a genuine one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from touchstone.engine.comparator import WAYS
from touchstone_training.comparator.aligned import Packed
from touchstone_training.comparator.network import STRIDE
from touchstone_training.comparator.varying import (
    Planes,
    photographed_once_more,
    with_finger,
)
from touchstone_training.simulator.planting import LOCAL_KINDS, planted

CROP_PX = 384
"""Side of a crop, unless told: as quick to learn from as can be."""
_SHOW_CHANGE = 0.85
_PLANT = 0.45
_HELD = 0.15
_VISIBLE_LEVELS = 12
_NEAR_CELLS = 5
"""Cells beside a change say neither yes nor no: the change shines into them."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One crop, ready for the network."""

    planes: NDArray[np.uint8]
    """(7, side, side)"""
    target: NDArray[np.float32]
    """(side / 4, side / 4): share of each cell that changed."""
    counts: NDArray[np.float32]
    """(side / 4, side / 4): 1 where the target is to be learned."""
    told: NDArray[np.float32]
    """(5,): 1 for another print, then for each of `WAYS`."""


class Lessons(IterableDataset[tuple[torch.Tensor, ...]]):
    """Endless batches of lessons, genuine and forged in equal parts."""

    def __init__(
        self,
        pairs: Sequence[Packed],
        *,
        batch: int,
        seed: int,
        varied: float = 1.0,
        crop_px: int = CROP_PX,
    ) -> None:
        self._genuine = [one for one in pairs if one.is_genuine and not one.is_real]
        self._real = [one for one in pairs if one.is_real] or self._genuine
        self._forged = [pair for pair in pairs if not pair.is_genuine]
        self._batch, self._seed = batch, seed
        self._varied, self._crop_px = varied, crop_px

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield (planes, target, counts, told) of ``batch`` lessons."""
        worker = get_worker_info()
        rng = np.random.default_rng((self._seed, worker.id if worker else 0))
        cv2.setNumThreads(1)
        while True:
            made = [
                lesson(self._kind(n), rng, varied=self._varied, crop_px=self._crop_px)
                for n in range(self._batch)
            ]
            yield (
                torch.from_numpy(np.stack([one.planes for one in made])),
                torch.from_numpy(np.stack([one.target for one in made])),
                torch.from_numpy(np.stack([one.counts for one in made])),
                torch.from_numpy(np.stack([one.told for one in made])),
            )

    def _kind(self, number: int) -> list[Packed]:
        """Every other one is forged; of the rest every third is a real photo."""
        if number % 2:
            return self._forged
        return self._real if number % 6 == 0 else self._genuine


def lesson(
    pairs: Sequence[Packed],
    rng: np.random.Generator,
    *,
    varied: float = 1.0,
    crop_px: int = CROP_PX,
) -> Lesson:
    """Draw a pair and make a lesson of it.

    Args:
        pairs: to draw from.
        rng: source of chance.
        varied: factor of how often each thing is done to the photo once more.
        crop_px: side of the crop, a multiple of 16.
    """
    pair = pairs[int(rng.integers(len(pairs)))]
    kept = np.load(pair.path, mmap_mode="r")
    planes = _cropped(kept, rng, crop_px, is_whole=pair.is_whole)
    if pair.is_genuine and rng.random() < _PLANT:
        planes = with_planted(planes, rng)
    planes = _turned(planes, rng)
    if rng.random() < _HELD:
        planes = with_finger(planes, rng)
    planes = photographed_once_more(planes, rng, varied=varied)
    changed = (planes[..., 7] > 0) & (planes[..., 6] > 0)
    target = _cells(changed)
    near = cv2.dilate((target > 0).astype(np.uint8), np.ones((_NEAR_CELLS,) * 2))
    valid = _cells(planes[..., 6] > 0)
    counts = (valid > 0.9) & ((near == 0) | (target > 0))  # noqa: PLR2004
    if pair.is_whole:
        counts[:] = False
    return Lesson(
        np.ascontiguousarray(planes[..., :7].transpose(2, 0, 1)),
        (target > 0.08).astype(np.float32),  # noqa: PLR2004 (more than a speck)
        counts.astype(np.float32),
        told_of(pair, is_shown=is_seen(changed)),
    )


_WAY_OF = {
    "cast": "cast",
    "halftone": "screen",
    "inkjet": "screen",
    "rescan": "softness",
}


def is_seen(changed: NDArray[np.bool_]) -> bool:
    """Whether more than a cell of the map ``changed``."""
    return bool(changed.sum() > STRIDE * STRIDE)


def told_of(pair: Packed, *, is_shown: bool) -> NDArray[np.float32]:
    """(5,): 1 for another print, then for each of `WAYS`."""
    told = np.zeros(1 + len(WAYS), np.float32)
    if pair.is_whole:
        told[0] = 1
        if pair.kind in _WAY_OF:
            told[1 + WAYS.index(_WAY_OF[pair.kind])] = 1
    elif is_shown:
        told[[0, 1 + WAYS.index("place")]] = 1
    return told


def _cells(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    side = mask.shape[0] // STRIDE
    small = cv2.resize(
        mask.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA
    )
    return np.asarray(small, np.float32)


def _cropped(
    planes: Planes, rng: np.random.Generator, crop_px: int, *, is_whole: bool
) -> NDArray[np.uint8]:
    height, width = planes.shape[:2]
    y, x = (
        int(rng.integers(0, max(1, side - crop_px + 1))) for side in (height, width)
    )
    changed = planes[::8, ::8, 7]
    if not is_whole and changed.any() and rng.random() < _SHOW_CHANGE:
        rows, columns = np.nonzero(changed)
        one = int(rng.integers(len(rows)))
        y, x = (
            _around(int(place[one]) * 8, side, crop_px, rng)
            for place, side in ((rows, height), (columns, width))
        )
    part = np.array(planes[y : y + crop_px, x : x + crop_px])
    below, right = (crop_px - side for side in part.shape[:2])
    if below or right:
        part = np.pad(part, ((0, below), (0, right), (0, 0)))
    return part


def _around(place: int, side: int, crop_px: int, rng: np.random.Generator) -> int:
    """Return where a crop begins that shows ``place`` well inside, if it can."""
    begin = place - int(rng.integers(crop_px // 8, crop_px * 7 // 8))
    return max(0, min(begin, side - crop_px))


def _turned(planes: Planes, rng: np.random.Generator) -> Planes:
    planes = np.rot90(planes, int(rng.integers(4)))
    if rng.random() < 0.5:  # noqa: PLR2004 (a coin)
        planes = planes[:, ::-1]
    if rng.random() < 0.3:  # noqa: PLR2004
        order = rng.permutation(3)
        planes = planes[..., [*order, *(3 + order), 6, 7]]
    if rng.random() < 0.1:  # noqa: PLR2004 (white on black)
        planes = np.dstack([255 - planes[..., :6], planes[..., 6:]])
    return np.ascontiguousarray(planes)


def with_planted(planes: Planes, rng: np.random.Generator) -> Planes:
    """Plant a change into what is expected; the same planes where none can be."""
    expected = np.ascontiguousarray(planes[..., :3])
    try:
        forged = planted(
            expected,
            str(rng.choice(LOCAL_KINDS)),
            rng,
            severity=float(rng.uniform(0.1, 1.0)),
        )
    except cv2.error:  # a patch too thin to be resized
        return planes
    apart = cv2.absdiff(expected, forged).max(axis=2) > _VISIBLE_LEVELS
    return np.dstack([forged, planes[..., 3:7], (apart * 255).astype(np.uint8)])

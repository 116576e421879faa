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
from touchstone_training.simulator.occlusions import SKINS, finger
from touchstone_training.simulator.planting import LOCAL_KINDS, planted

_Planes = NDArray[np.uint8]
"""(h, w, 8), see `touchstone_training.comparator.aligned`."""

CROP_PX = 384
"""Side of a crop, unless told: as quick to learn from as can be."""
_SHOW_CHANGE = 0.85
_PLANT = 0.45
_HELD = 0.4
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
    planes = _photographed(planes, rng, varied=varied)
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
    planes: _Planes, rng: np.random.Generator, crop_px: int, *, is_whole: bool
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


def _turned(planes: _Planes, rng: np.random.Generator) -> _Planes:
    planes = np.rot90(planes, int(rng.integers(4)))
    if rng.random() < 0.5:  # noqa: PLR2004 (a coin)
        planes = planes[:, ::-1]
    if rng.random() < 0.3:  # noqa: PLR2004
        order = rng.permutation(3)
        planes = planes[..., [*order, *(3 + order), 6, 7]]
    if rng.random() < 0.1:  # noqa: PLR2004 (white on black)
        planes = np.dstack([255 - planes[..., :6], planes[..., 6:]])
    return np.ascontiguousarray(planes)


def with_planted(planes: _Planes, rng: np.random.Generator) -> _Planes:
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


# --- what the camera may do -----------------------------------------------------------


def with_finger(planes: _Planes, rng: np.random.Generator) -> _Planes:
    """Lay a finger over what is seen: it is no change, nor is what it hides.

    Most are left out before anything is compared; those that are not (in deep shade, in
    glare, on board of their colour), or not wholly, are too few in photographs.
    """
    shown = planes.copy()
    left, top, width, height = cv2.boundingRect(np.ascontiguousarray(planes[..., 6]))
    face = shown[top : top + height, left : left + width]
    laid = finger(
        rng,
        (width, height),
        target=(width * rng.uniform(0.03, 0.97), height * rng.uniform(0.03, 0.97)),
        thickness_px=float(rng.uniform(0.08, 0.3)) * min(width, height),
        skin=int(rng.integers(SKINS)),
    )
    if laid is None:
        return planes
    held = face[laid.rows, laid.columns]
    light = rng.uniform(0.35, 1.5) * rng.uniform(0.85, 1.15, 3)
    skin = np.clip(laid.pixels * light, 0, 255).astype(np.float32)
    beneath = held[..., 3:6]
    held[..., 3:6] = (beneath + laid.alpha * (skin - beneath)).round()
    hides = laid.alpha[..., 0] >= _HIDES
    held[..., 7] *= ~hides
    if rng.random() < _FOUND:
        held[..., 6] *= ~_part_of(hides, rng)
    return shown


def _part_of(finger_: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return what the engine may find of a finger, (h, w): its rim or an end is not."""
    rim = np.ones((int(rng.integers(3, 25)),) * 2, np.uint8)
    found = cv2.erode(finger_.astype(np.uint8), rim, borderValue=1) > 0
    lines = found if rng.integers(2) else found.T
    end = int(rng.uniform(0.3, 1) * len(lines))
    lines[end:] = False
    return found


_FOUND = 0.3
_HIDES = 0.5
"""Share of a pixel that a finger covers from which its print cannot be seen."""


def _photographed(
    planes: _Planes, rng: np.random.Generator, *, varied: float
) -> _Planes:
    seen = np.ascontiguousarray(planes[..., 3:6])
    expected = np.ascontiguousarray(planes[..., :3])
    for share, change in _CHANGES:
        if rng.random() < share * varied:
            seen = change(seen, rng)
    if rng.random() < 0.3 * varied:  # a reference from a small scan
        expected = _resampled(expected, rng)
    if rng.random() < 0.15 * varied:  # artwork on a screen is cleaner than print
        expected = _screened(expected, rng)
    return np.dstack([expected, seen, planes[..., 6:]])


def _strayed(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Lay it a fraction of a pixel off, differently at every place."""
    side = seen.shape[0]
    coarse = rng.normal(0, rng.uniform(0.2, 1.0), (5, 5, 2)).astype(np.float32)
    shift = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    ys, xs = np.mgrid[:side, :side].astype(np.float32)
    return np.asarray(
        cv2.remap(
            seen,
            xs + shift[..., 0],
            ys + shift[..., 1],
            interpolation=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )


def _blurred(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    sigma = float(rng.uniform(0.3, 1.5))
    return np.asarray(cv2.GaussianBlur(seen, (0, 0), sigma), np.uint8)


def _sharpened(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    amount = float(rng.uniform(0.2, 1.6))
    soft = cv2.GaussianBlur(seen, (0, 0), float(rng.uniform(0.8, 1.6)))
    return np.asarray(cv2.addWeighted(seen, 1 + amount, soft, -amount, 0), np.uint8)


def _resampled(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    side = seen.shape[0]
    small = round(side / rng.uniform(1.2, 3.2))
    shrunk = cv2.resize(seen, (small, small), interpolation=cv2.INTER_AREA)
    way = cv2.INTER_CUBIC if rng.integers(2) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(shrunk, (side, side), interpolation=way), np.uint8)


def _shaded(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light that the relighting did not follow: folds, edges of shadow, gloss."""
    side, cells = seen.shape[0], int(rng.integers(3, 9))
    coarse = rng.normal(0, rng.uniform(2, 12), (cells, cells)).astype(np.float32)
    field = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.add(seen, cv2.merge([field] * 3), dtype=cv2.CV_8U), np.uint8)


def _toned(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    levels = np.linspace(0, 1, 256)[:, None]
    curve = levels ** rng.uniform(0.85, 1.18, 3) * rng.uniform(0.94, 1.06, 3)
    table = np.clip(curve * 255 + rng.normal(0, 3), 0, 255)
    return np.asarray(cv2.LUT(seen, table[None].astype(np.uint8)), np.uint8)


def _recoloured(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Inks through another camera: a matrix between colours, not a gain for each."""
    saturation = rng.uniform(0.6, 1.35)
    grey = np.full((3, 3), 1 / 3)
    mixing = grey + saturation * (np.eye(3) - grey) + rng.normal(0, 0.04, (3, 3))
    mixing *= 1 / mixing.sum(axis=1, keepdims=True)  # white stays white
    return np.asarray(cv2.transform(seen, mixing.astype(np.float32)), np.uint8)


def _curved(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A camera's own tone curve: any smooth rising one."""
    knots = np.sort(rng.uniform(0, 1, 3)) * 0.5 + np.array([0.2, 0.5, 0.8]) * 0.5
    levels = np.interp(np.linspace(0, 1, 256), [0, 0.25, 0.5, 0.75, 1], [0, *knots, 1])
    soft = cv2.GaussianBlur(levels.astype(np.float32), (1, 41), 0)
    table = np.clip(soft * 255, 0, 255).astype(np.uint8).reshape(1, 256, 1)
    return np.asarray(cv2.LUT(seen, np.repeat(table, 3, axis=2)), np.uint8)


def _bled(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Chroma kept at a fraction of the resolution, as phones and JPEG do."""
    lab = cv2.cvtColor(seen, cv2.COLOR_RGB2YCrCb)
    soft = cv2.GaussianBlur(lab, (0, 0), float(rng.uniform(0.8, 3.5)))
    lab[..., 1:] = soft[..., 1:]
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_YCrCb2RGB), np.uint8)


def _screened(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The dots of a press or the grain of paper, finer than any stroke."""
    side = seen.shape[0]
    pitch, turn = rng.uniform(2.0, 4.5), rng.uniform(0, np.pi)
    ys, xs = np.mgrid[:side, :side].astype(np.float32)
    across = np.cos(turn) * xs + np.sin(turn) * ys
    down = np.cos(turn) * ys - np.sin(turn) * xs
    step = 2 * np.pi / pitch
    dots = (np.cos(step * across) + np.cos(step * down)) * rng.uniform(2, 9)
    return np.asarray(cv2.add(seen, cv2.merge([dots] * 3), dtype=cv2.CV_8U), np.uint8)


def _noisy(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    noise = rng.standard_normal(seen.shape, np.float32) * np.float32(rng.uniform(1, 7))
    if rng.integers(2):
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.8), np.float32)
    return np.asarray(cv2.add(seen, noise, dtype=cv2.CV_8U), np.uint8)


def _compressed(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    quality = int(rng.integers(40, 92))
    _, data = cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


_CHANGES = (
    (0.2, _resampled),
    (0.3, _blurred),
    (0.5, _strayed),
    (0.4, _shaded),
    (0.3, _toned),
    (0.3, _recoloured),
    (0.3, _curved),
    (0.25, _bled),
    (0.1, _screened),
    (0.25, _sharpened),
    (0.4, _noisy),
    (0.25, _compressed),
)
"""How often, and what."""

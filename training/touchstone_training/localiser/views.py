"""Scenes to what the network is fed with, each seen in several ways.

Drawing a scene costs forty times as much as looking at it once more: every worker keeps
a pool of scenes, draws new ones into it, and looks at a few of them each time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from touchstone.engine.localisation import CELL_PX, FRAME_PX, Quad, framed
from touchstone_training.data import Image, chance
from touchstone_training.localiser.clutter import stained
from touchstone_training.localiser.overprint import of_nearest_shape, overprinted
from touchstone_training.localiser.scenes import (
    NO_PACKAGE,
    Materials,
    Scene,
    draw_scene,
)

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""canvas (n, 192, 256, 3) uint8, printed and corners (n, 48, 64), shown (n,)."""

CELLS = FRAME_PX[1] // CELL_PX, FRAME_PX[0] // CELL_PX
"""Rows and columns of the maps."""
_POOL = 300
_LOOKS_PER_SCENE = 6
_CORNER_SIGMA = 0.8
"""Cells over which the target of a corner spreads."""
_LEAST_LEFT = 0.5
"""Of what was seen of the face: a crop that leaves less is not used."""


@dataclass(frozen=True, slots=True)
class Look:
    """One scene as the network sees it, and what it should answer."""

    canvas: Image
    printed: NDArray[np.float32]
    """(48, 64): share of each cell that the print takes."""
    corners: NDArray[np.float32]
    """(48, 64): 1 at a corner of the face, falling off around it."""
    shown: float


REAL_SHARE = 0.5
"""Of the looks, at real photos, where there are any."""
_OVERPRINTED = 0.75
_BOTTLES = 0.3
"""Of drawn scenes beside real photos, which show cartons alone: else bottles are found
less well than before (overlap above 0.8 in 67 of 100 held-out scenes, 82 before)."""


class Looks(IterableDataset[Batch]):
    """Endless batches of looks at ever new scenes and at real photos, half and half."""

    def __init__(
        self,
        materials: Materials,
        *,
        batch: int,
        seed: int,
        photographs: Sequence[Scene] = (),
    ) -> None:
        self._materials, self._batch, self._seed = materials, batch, seed
        self._photographs = photographs

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches; each worker has its own chance."""
        worker = get_worker_info()
        rng = np.random.default_rng((self._seed, worker.id if worker else 0))
        pool: list[Scene] = []
        looks: list[Look] = []
        while True:
            scene = self._drawn(rng)
            if len(pool) < _POOL:
                pool.append(scene)
            else:
                pool[int(rng.integers(_POOL))] = scene
            looks.append(look(scene, rng))
            again = rng.integers(len(pool), size=_LOOKS_PER_SCENE - 1)
            looks.extend(look(pool[int(number)], rng) for number in again)
            looks.extend(self._real_looks(rng))
            while len(looks) >= self._batch:
                yield batched(looks[: self._batch])
                del looks[: self._batch]

    def _drawn(self, rng: np.random.Generator) -> Scene:
        """Draw a scene; beside real photos, more of what they do not show."""
        if not self._photographs:
            return draw_scene(self._materials, rng)
        shape = "cylinder" if chance(rng, _BOTTLES) else None
        missing = NO_PACKAGE / (1 - REAL_SHARE)
        return draw_scene(self._materials, rng, shape=shape, no_package=missing)

    def _real_looks(self, rng: np.random.Generator) -> Iterator[Look]:
        """Yield as many as go with those at one drawn scene."""
        if not self._photographs:
            return
        usual = _LOOKS_PER_SCENE * REAL_SHARE / (1 - REAL_SHARE)
        for _ in range(int(rng.poisson(usual))):
            artwork = self._materials.artworks[
                int(rng.integers(len(self._materials.artworks)))
            ]
            scene = of_nearest_shape(self._photographs, artwork, rng)
            if chance(rng, _OVERPRINTED):
                scene = overprinted(scene, stained(artwork, rng), rng)
            yield look(scene, rng)


def batched(looks: list[Look]) -> Batch:
    """Stack looks into tensors."""
    return (
        torch.from_numpy(np.stack([one.canvas for one in looks])),
        torch.from_numpy(np.stack([one.printed for one in looks])),
        torch.from_numpy(np.stack([one.corners for one in looks])),
        torch.tensor([one.shown for one in looks]),
    )


def look(scene: Scene, rng: np.random.Generator | None = None) -> Look:
    """Frame ``scene`` as the service would; with ``rng``, turned and toned too."""
    frame = framed(scene.pixels)
    canvas, printed = frame.canvas, _printed_frame(scene)
    quad = None if scene.quad is None else frame.to_frame(scene.quad)
    if rng is not None:
        canvas, printed, quad = _moved(canvas, printed, quad, rng)
        canvas = _toned(canvas, rng)
    share = cv2.resize(printed, CELLS[::-1], interpolation=cv2.INTER_AREA)
    return Look(
        np.ascontiguousarray(canvas),
        np.asarray(share, np.float32) / np.float32(255),
        _corner_map(quad),
        0.0 if quad is None else 1.0,
    )


def _printed_frame(scene: Scene) -> NDArray[np.uint8]:
    frame = framed(scene.printed)
    printed = np.zeros_like(frame.canvas)
    printed[frame.inside] = frame.canvas[frame.inside]
    return printed


def _corner_map(quad: Quad | None) -> NDArray[np.float32]:
    made = np.zeros(CELLS, np.float32)
    if quad is None:
        return made
    ys, xs = np.mgrid[: CELLS[0], : CELLS[1]].astype(np.float32) + np.float32(0.5)
    for x, y in quad / CELL_PX:
        far = ((xs - x) ** 2 + (ys - y) ** 2) / (2 * _CORNER_SIGMA**2)
        np.maximum(made, np.exp(-far), out=made)
    return made


# --- the same scene, seen otherwise ---------------------------------------------------


def _moved(
    canvas: Image,
    printed: NDArray[np.uint8],
    quad: Quad | None,
    rng: np.random.Generator,
) -> tuple[Image, NDArray[np.uint8], Quad | None]:
    matrix = _flip(rng)
    if chance(rng, 0.6):
        matrix = matrix @ _nudge(rng)
    affine = matrix[:2]
    moved_print = cv2.warpAffine(printed, affine, FRAME_PX)
    if int(moved_print.sum()) < _LEAST_LEFT * int(printed.sum()):
        affine = _flip(rng)[:2]
        moved_print = cv2.warpAffine(printed, affine, FRAME_PX)
    canvas = np.asarray(
        cv2.warpAffine(canvas, affine, FRAME_PX, borderValue=_grey(rng)), np.uint8
    )
    if quad is not None:
        # OpenCV warps by pixel indices, whose centres are at 0 instead of +0.5.
        half = np.float32(0.5)
        moved = (quad - half) @ affine[:, :2].T + affine[:, 2]
        quad = np.asarray(moved + half, np.float32)
    return canvas, np.asarray(moved_print, np.uint8), quad


def _grey(rng: np.random.Generator) -> tuple[int, int, int]:
    level = 128 if chance(rng, 0.7) else int(rng.integers(0, 256))
    return level, level, level


def _flip(rng: np.random.Generator) -> NDArray[np.float64]:
    width, height = FRAME_PX
    matrix = np.eye(3)
    for axis, side in ((0, width), (1, height)):
        if chance(rng, 0.5):
            matrix[axis, axis], matrix[axis, 2] = -1, side - 1
    return matrix


def _nudge(rng: np.random.Generator) -> NDArray[np.float64]:
    turn, zoom = np.radians(rng.uniform(-12, 12)), rng.uniform(0.75, 1.3)
    cos, sin = np.cos(turn) * zoom, np.sin(turn) * zoom
    middle = np.array(FRAME_PX) / 2
    shift = middle + rng.uniform(-0.12, 0.12, 2) * np.array(FRAME_PX)
    turning = np.array([[cos, -sin], [sin, cos]])
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = turning, shift - turning @ middle
    return matrix


def _toned(canvas: Image, rng: np.random.Generator) -> Image:
    if chance(rng, 0.5):
        levels = np.linspace(0, 1, 256)[:, None] ** rng.uniform(0.6, 1.6)
        levels = levels * rng.uniform(0.8, 1.2, 3) + rng.normal(0, 0.04)
        table = np.clip(levels * 255, 0, 255).astype(np.uint8)
        canvas = np.asarray(cv2.LUT(canvas, table[None]), np.uint8)
    if chance(rng, 0.15):
        grey = cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)[..., None]
        canvas = np.asarray(np.broadcast_to(grey, canvas.shape), np.uint8)
    if chance(rng, 0.2):
        sigma = float(rng.uniform(0.4, 1.4))
        canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), sigma), np.uint8)
    return canvas

"""Faces drawn as they are printed: each design's reference, genuine and forged prints.

Processes draw; the one that trains keeps the latest few thousand faces on its device.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from touchstone.errors import InvalidInputError
from touchstone_training.comparator.prints import Prints, of_design, of_picture
from touchstone_training.simulator.counterfeits import WHOLE_PRINT_KINDS
from touchstone_training.simulator.elements import Box

_COLLAGES = 0.3
"""Share of faces that are collages of pictures, where there are any."""
FORGED = 6
"""Forged prints of each design."""
FACES = 2 + FORGED
"""Of each design: the reference, a genuine print, forged ones."""
MASK_PX = 4
"""Pixels of a face per pixel of a mask."""
_VISIBLE_LEVELS = 12
_MARGIN = 0.008
"""By which a variable region is widened, as a share of the long side."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The faces of one design, landscape, at the upper left of a canvas (H, W)."""

    pixels: NDArray[np.uint8]
    """(FACES, H, W, 3): the reference, the genuine print, the forged ones."""
    changed: NDArray[np.uint8]
    """(FACES, H / 4, W / 4): 1 where a face differs from the genuine print."""
    compared: NDArray[np.uint8]
    """(H / 4, W / 4): 1 on the face, off its variable regions."""


class Sheets(IterableDataset[tuple[torch.Tensor, ...]]):
    """Sheets without end, of the designs from ``first_seed`` on, then over again."""

    def __init__(
        self,
        *,
        first_seed: int,
        designs: int,
        canvas: tuple[int, int],
        fonts: Sequence[Path] = (),
        data: Path | None = None,
    ) -> None:
        self._seeds = range(first_seed, first_seed + designs)
        self._canvas, self._fonts, self._data = canvas, tuple(fonts), data

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield the tensors of one sheet."""
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        cv2.setNumThreads(1)
        turn = 0
        while True:
            for seed in self._seeds[first::step]:
                made = sheet(
                    seed, self._canvas, fonts=self._fonts, data=self._data, turn=turn
                )
                yield tuple(
                    torch.from_numpy(one)
                    for one in (made.pixels, made.changed, made.compared)
                )
            turn += 1


def sheet(
    seed: int,
    canvas: tuple[int, int],
    *,
    fonts: Sequence[Path] = (),
    data: Path | None = None,
    turn: int = 0,
) -> Sheet:
    """Draw the faces of the design of ``seed``, or of a collage of pictures.

    Args:
        seed: of the design.
        canvas: (height, width); multiples of 4.
        fonts: see `touchstone_training.simulator.artwork.design`.
        data: folder with ``open``, of whose pictures some faces are made.
        turn: another gives other forgeries of the same design.
    """
    rng = np.random.default_rng((seed, 23, turn))
    long = canvas[1]
    if data is not None and rng.random() < _COLLAGES:
        prints = of_picture(seed, data, long_side_px=long)
    else:
        prints = of_design(seed, fonts, long_side_px=long)
    forged = _forged(prints, rng)
    place = _Place.drawn(prints.usual, canvas, rng)
    faces = [place.laid(one) for one in (prints.reference, prints.usual, *forged)]
    changed = [_mask(faces[1], face) for face in faces]
    changed[0][:] = 0  # of the reference only the variable regions are others
    compared = _compared(prints.variable, prints.usual, place)
    return Sheet(np.stack(faces), np.stack(changed), compared)


def _forged(prints: Prints, rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Draw `FORGED` prints; the genuine one where a kind finds nothing to change."""
    kinds = [kind for kind in prints.kinds if kind not in WHOLE_PRINT_KINDS]
    made = []
    for number in range(FORGED):
        if number % len(kinds) == 0:
            order = rng.permutation(kinds)
        severity = float(rng.uniform(0.05, 1.0))
        try:
            made.append(prints.forged(str(order[number % len(kinds)]), rng, severity))
        except InvalidInputError:  # this print has nothing of that kind
            made.append(prints.usual)
    return made


@dataclass(frozen=True, slots=True)
class _Place:
    """Where on the canvas a face lies, and how it is turned."""

    canvas: tuple[int, int]
    is_upright: bool
    skipped: int
    """Rows of a face too high for the canvas that are left out above it."""

    @staticmethod
    def drawn(
        face: NDArray[np.uint8], canvas: tuple[int, int], rng: np.random.Generator
    ) -> "_Place":
        is_upright = face.shape[0] > face.shape[1]
        height = min(face.shape[:2])
        return _Place(
            canvas, is_upright, int(rng.integers(0, max(1, height - canvas[0] + 1)))
        )

    def laid(self, face: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.is_upright:
            face = np.rot90(face)
        part = face[self.skipped : self.skipped + self.canvas[0], : self.canvas[1]]
        laid = np.zeros((*self.canvas, *face.shape[2:]), np.uint8)
        laid[: part.shape[0], : part.shape[1]] = part
        return laid


def _mask(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint8]:
    apart = cv2.absdiff(before, after).max(axis=2) > _VISIBLE_LEVELS
    height, width = apart.shape
    small = cv2.resize(
        apart.astype(np.uint8) * 255,
        (width // MASK_PX, height // MASK_PX),
        interpolation=cv2.INTER_AREA,
    )
    return np.asarray(small > 0, np.uint8)


def _compared(
    variable: Sequence[Box], face: NDArray[np.uint8], place: _Place
) -> NDArray[np.uint8]:
    """Where the face is compared; ``variable`` in shares of its sides."""
    height, width = face.shape[:2]
    inside = np.full((height, width), 255, np.uint8)
    margin = _MARGIN * max(height, width)
    for x, y, w, h in variable:
        left, top = max(0, int(x * width - margin)), max(0, int(y * height - margin))
        right = int((x + w) * width + margin) + 1
        bottom = int((y + h) * height + margin) + 1
        inside[top:bottom, left:right] = 0
    laid = place.laid(inside)
    return np.ascontiguousarray(laid[::MASK_PX, ::MASK_PX] > 0).astype(np.uint8)

"""Train on photographs that the engine itself registered, and judge by those held out.

What the studio imitates (registration, bends, hands) is real here; there is less of it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from touchstone.engine.comparator import SIDE_MULTIPLE, planes
from touchstone.errors import InvalidInputError
from touchstone_training.comparator.aligned import Packed, packed
from touchstone_training.comparator.learn import Batch, LearnConfig, told_apart, train
from touchstone_training.comparator.lessons import CROP_PX, Lessons
from touchstone_training.comparator.network import ComparatorNet


def tune(
    data: Path,
    out: Path,
    config: LearnConfig,
    *,
    varied: float = 1.0,
    crop_px: int = CROP_PX,
) -> dict[str, Any]:
    """Train on the pairs that ``pack`` wrote to ``data``; keep the best in ``out``.

    Args:
        data: what ``pack`` wrote.
        out: gets the run.
        config: of the run.
        varied: factor of how often each thing is done to a photo once more.
        crop_px: side of what is learned from, a multiple of 16.

    Returns:
        The metrics of the best checkpoint.

    Raises:
        InvalidInputError: there are no pairs, or crops have a side that the network
            cannot halve.
    """
    pairs = [pair for pair in packed(data) if pair.kind not in UNSEEN_KINDS]
    if not pairs:
        raise InvalidInputError(f"{data} holds no aligned pairs.")
    if crop_px < SIDE_MULTIPLE or crop_px % SIDE_MULTIPLE:
        raise InvalidInputError(
            f"The side of a crop must be a multiple of {SIDE_MULTIPLE}, not {crop_px}."
        )
    learned, held = held_out(pairs, config.held_out_share)
    rng = np.random.default_rng(config.seed)
    chosen = rng.permutation(len(held))[: config.eval_pairs]
    judged = [held[n] for n in sorted(chosen)]
    lessons = DataLoader(
        Lessons(
            learned,
            batch=config.batch,
            seed=config.seed,
            varied=varied,
            crop_px=crop_px,
        ),
        batch_size=None,
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
    )
    return train(
        _batches(lessons),
        lambda net: separation(net, judged),
        out,
        config,
        facts={
            "designs": len({pair.design for pair in pairs}),
            "pairs": len(pairs),
            "varied": varied,
            "crop_px": crop_px,
        },
    )


UNSEEN_KINDS = frozenset({"aspect"})
"""Of counterfeits that registration lays over their references: it measures them."""


def _batches(lessons: "DataLoader[tuple[torch.Tensor, ...]]") -> Iterator[Batch]:
    for planes_, target, counts, told in lessons:
        yield Batch(planes_, target, counts, told)


def held_out(
    pairs: Sequence[Packed], share: float
) -> tuple[list[Packed], list[Packed]]:
    """Return the pairs to train on, and those of the last ``share`` of designs."""
    designs = sorted({pair.design for pair in pairs})
    first_held = designs[min(len(designs) - 1, int(len(designs) * (1 - share)))]
    return (
        [pair for pair in pairs if pair.design < first_held],
        [pair for pair in pairs if pair.design >= first_held],
    )


def planes_of(path: Path) -> NDArray[np.uint8]:
    """(1, h, w, 8) of a packed pair, as the engine lays it out."""
    return laid_out(np.load(path))


def laid_out(kept: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(1, h, w, 8), as the engine lays it out, of what `pack` kept, (h, w, 8)."""
    expected, seen = (np.ascontiguousarray(kept[..., n : n + 3]) for n in (0, 3))
    return planes(expected, seen, kept[..., 6])


def as_learned(fed: NDArray[np.uint8]) -> torch.Tensor:
    """(1, 7, h, w) of what the engine feeds: as the network was trained."""
    return torch.from_numpy(np.ascontiguousarray(fed[..., :7].transpose(0, 3, 1, 2)))


def separation(net: ComparatorNet, pairs: Sequence[Packed]) -> dict[str, Any]:
    """Measure how well the whole-print number tells forged from genuine pairs."""
    net.eval()
    told = []
    with torch.inference_mode():
        for pair in pairs:
            fed = as_learned(planes_of(pair.path))
            _, whole = net(fed.to(next(net.parameters()).device))
            told.append(float(whole[0, 0]))
    kinds = np.array([pair.kind for pair in pairs])
    return told_apart(np.array(told), kinds)

"""How a comparator does on real photographs that the benchmark does not look at.

Proving a release takes an hour, most of it on simulated photos. What a network says of
real ones, genuine and with a change planted, is known in minutes: by the photos that
``benchmark --every-nth 2`` leaves out. Of a set of which it leaves out whole products,
only these are shown.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from touchstone.bootstrap import open_comparator
from touchstone.engine.comparator import (
    compared_cells,
    inside_of,
    planes,
    worst_patch,
)
from touchstone.engine.pair import AlignedPair
from touchstone.errors import InvalidInputError
from touchstone.settings import Settings
from touchstone_training.benchmark.planted import plant_each
from touchstone_training.benchmark.real import RealSet, real_sets
from touchstone_training.benchmark.scores import area, estimate, resamples
from touchstone_training.checkpoints import BEST, Checkpoint
from touchstone_training.comparator.aligned import Known, decoded
from touchstone_training.comparator.network import ComparatorNet
from touchstone_training.comparator.tune import as_learned
from touchstone_training.data import Item
from touchstone_training.measuring import GENUINE

Answer = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Planes, (1, h, w, 8), to log odds: of the cells, (h / 4, w / 4), and of the whole and
each way, (5,)."""

SETS = ("smvs_dvd_covers",)
"""Sets whose photos the policy does not refuse for being small."""
NUMBERS = ("peak", "whole", "place")
"""The most suspicious patch, and what is said of the whole and of its places."""
_EVERY = 2


@dataclass(frozen=True, slots=True)
class _Shown:
    product: str
    kind: str
    numbers: tuple[float, ...]


def answer_of(run: Path | None, models: Path) -> Answer:
    """Return what the checkpoint of ``run`` says, or what is served in ``models``."""
    if run is None:
        return open_comparator(Settings.load(model_dir=models, provider="cpu")).answer
    net = ComparatorNet().eval()
    Checkpoint.read(run / BEST).fill(net)

    def answer(
        fed: NDArray[np.uint8],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with torch.inference_mode():
            cells, told = net(as_learned(fed))
        return cells[0].numpy(), told[0].numpy()

    return answer


def on_real(
    data: Path, answer: Answer, *, names: Sequence[str] = SETS
) -> dict[str, Any]:
    """Measure how well planted changes are told from real genuine photos.

    Args:
        data: folder with ``measure`` and ``open``.
        answer: of the network.
        names: of the sets.

    Returns:
        of each set how many photos, changes and products; for each of `NUMBERS` the
        AUROC, its 95 % interval over products, and the median on genuine photos.

    Raises:
        InvalidInputError: ``data`` has none of these sets, or no photo of one of them
            lies over its reference.
    """
    sets = [one for one in real_sets(data) if one.name in names]
    if not sets:
        raise InvalidInputError(f"{data} holds none of {', '.join(names)}.")
    return {one.name: _summed(one.name, list(_looked_at(one, answer))) for one in sets}


def _looked_at(one: RealSet, answer: Answer) -> Iterator[_Shown]:
    photos = _left_out(one.photos)
    shown_ones = {item.product_id for item in photos}
    enrolled = {
        item.product_id: Known.of(decoded(item), [])
        for item in one.references
        if item.product_id in shown_ones
    }
    for item in track(photos, description=one.name):
        known = enrolled[item.product_id]
        photo = decoded(item)
        registration = known.registered(photo)
        if registration is None:
            continue
        name = f"{one.name}:{item.file}"
        planted = plant_each(name, photo, registration, known.reference)
        shown = [(GENUINE, photo), *((each.kind, each.pixels) for each in planted)]
        for kind, pixels in shown:
            pair = known.aligned(pixels)
            if pair is not None:
                yield _Shown(item.product_id, kind, _numbers(pair, answer))


def _left_out(photos: Sequence[Item]) -> list[Item]:
    """Return the photos that the benchmark does not look at."""
    looked_at = {item.product_id for item in photos[::_EVERY]}
    rest = photos[1::_EVERY]
    return [item for item in rest if item.product_id not in looked_at] or list(rest)


def _numbers(pair: AlignedPair, answer: Answer) -> tuple[float, ...]:
    fed = planes(pair.expected, pair.seen, pair.valid)
    cells, told = answer(fed)
    shown = compared_cells(cells, inside_of(fed))
    return worst_patch(shown), float(told[0]), float(told[1])


def _summed(name: str, shown: Sequence[_Shown]) -> dict[str, Any]:
    if not shown:
        raise InvalidInputError(f"No photo of {name} lies over its reference.")
    is_fake = np.array([one.kind != GENUINE for one in shown])
    draws = resamples([one.product for one in shown])
    made: dict[str, Any] = {
        "genuine": int((~is_fake).sum()),
        "planted": int(is_fake.sum()),
        "products": len({one.product for one in shown}),
    }
    for number, told in enumerate(NUMBERS):
        values = np.array([one.numbers[number] for one in shown])
        made[told] = {
            "auroc": estimate(area, values, is_fake, draws).document(),
            "usual": round(float(np.median(values[~is_fake])), 3),
        }
    return made

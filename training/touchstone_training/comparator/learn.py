"""Train the comparator: lessons in, checkpoints out, the best by held-out designs.

Nothing here needs the engine's search or codes: it runs where torch and OpenCV are.
"""

import json
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader

from touchstone_training.checkpoints import BEST, LAST, Checkpoint
from touchstone_training.comparator.faces import Sheets
from touchstone_training.comparator.network import ComparatorNet
from touchstone_training.comparator.studio import GENUINE, SORTS, Lesson, Studio
from touchstone_training.ranking import auroc
from touchstone_training.running import (
    computes_in_bfloat16,
    current_commit,
    newest_share,
    set_rate,
    steps,
    update_average,
)

FIRST_SEED = 3_000_000
"""Designs drawn for the studio: nobody else's."""
HELD_OUT_SEED = 3_900_000
"""Designs by which checkpoints of the studio's lessons are chosen."""


@dataclass(frozen=True, slots=True)
class LearnConfig:
    """One training run."""

    minutes: float = 40.0
    max_steps: int = 1_000_000
    batch: int = 12
    peak_rate: float = 2e-3
    weight_decay: float = 1e-4
    warm_up: float = 0.03
    positive_weight: float = 4.0
    """Of a changed cell against one that is as it should be."""
    least_cells: float = 32.0
    """A change of fewer cells counts as if it had so many, at most `_MOST_BOOST` times:
    a digit of a strength is five cells, a missing pattern is a thousand."""
    whole_weight: float = 0.5
    ways_weight: float = 0.5
    averaging: float = 0.998
    keep_statistics: bool = False
    """Whether normalisation goes by what was learned before, not by the batch."""
    held_out_share: float = 0.08
    """Of the designs, the last: checkpoints are chosen by them."""
    eval_every_s: float = 400.0
    eval_pairs: int = 360
    log_every: int = 50
    threads: int = 2
    workers: int = 1
    seed: int = 0
    resume: str | None = None


@dataclass(frozen=True, slots=True)
class StudioConfig:
    """What is drawn for the studio's lessons."""

    canvas: tuple[int, int] = (896, 1280)
    """(height, width) of a face: twice the compared frame."""
    designs: int = 200_000
    """After so many the same designs are forged anew."""
    kept: int = 1200
    """Designs at hand; each takes 27 MB of the device's memory on this canvas."""
    first: int = 60
    """Designs that training waits for."""
    held_out: int = 24
    """Designs that checkpoints are chosen by."""
    fonts: tuple[Path, ...] = ()
    data: Path | None = None
    """Folder with ``open``, of whose pictures some faces are made; None: of none."""
    repeats: int = 3
    """How often each lesson is learned from, as to make one takes far longer."""


class Batch(NamedTuple):
    """What the network learns from, see `touchstone_training.comparator.studio`."""

    planes: torch.Tensor
    target: torch.Tensor
    counts: torch.Tensor
    told: torch.Tensor


Judge = Callable[[ComparatorNet], dict[str, Any]]
"""Measures a network on what was held out; ``auroc`` chooses the checkpoint."""


def learn(out: Path, config: LearnConfig, studio: StudioConfig) -> dict[str, Any]:
    """Train on lessons of the studio; keep the best in ``out``.

    Returns:
        The metrics of the best checkpoint.
    """
    judged = _held_out(studio, config)
    room = _room(
        studio,
        config,
        FIRST_SEED,
        studio.designs,
        kept=studio.kept,
        seed=config.seed,
    )
    room.take_in(at_least=studio.first)
    return train(
        repeated(room, config.batch, studio.repeats, seed=config.seed),
        lambda net: {**separation(net, judged), "designs": room.taken},
        out,
        config,
        facts={
            "studio": {
                **asdict(studio),
                "fonts": [path.name for path in studio.fonts],
                "data": studio.data is not None,
            }
        },
    )


_REMEMBERED = 48
"""Lessons at hand to be learned from again; each of 40 pairs takes 85 MB."""


def repeated(room: Studio, count: int, repeats: int, *, seed: int) -> Iterator[Batch]:
    """Yield each lesson when it is made, then earlier ones, turned otherwise."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    known: deque[Lesson] = deque(maxlen=_REMEMBERED)
    while True:
        room.take_in()
        known.append(room.lesson(count))
        yield _batch(known[-1])
        for _ in range(repeats - 1):
            yield _batch(room.turned(rng.choice(known)))


def _batch(lesson: Lesson) -> Batch:
    return Batch(lesson.planes, lesson.target, lesson.counts, lesson.told)


def _room(
    studio: StudioConfig,
    config: LearnConfig,
    first_seed: int,
    designs: int,
    *,
    kept: int,
    seed: int,
) -> Studio:
    """Open a studio in which ``designs`` from ``first_seed`` on are drawn."""
    sheets = Sheets(
        first_seed=first_seed,
        designs=designs,
        canvas=studio.canvas,
        fonts=studio.fonts,
        data=studio.data,
    )
    return Studio(
        DataLoader(sheets, batch_size=None, num_workers=config.workers),
        device=_device(),
        canvas=studio.canvas,
        designs=kept,
        seed=seed,
    )


def _held_out(studio: StudioConfig, config: LearnConfig) -> list[Lesson]:
    """Make the lessons that every checkpoint is judged by."""
    count = studio.held_out
    room = _room(studio, config, HELD_OUT_SEED, count, kept=count, seed=config.seed + 1)
    room.take_in(at_least=studio.held_out)
    batches = max(1, config.eval_pairs // config.batch)
    return [room.lesson(config.batch) for _ in range(batches)]


def separation(net: ComparatorNet, lessons: list[Lesson]) -> dict[str, Any]:
    """Measure how well the whole-print number tells forged from genuine pairs."""
    net.eval()
    with torch.inference_mode():
        told = [net(one.planes)[1][:, 0].float().cpu().numpy() for one in lessons]
    sorts = np.concatenate([one.sorts.cpu().numpy() for one in lessons])
    return told_apart(np.concatenate(told), np.array(SORTS)[sorts])


def told_apart(values: NDArray[Any], kinds: NDArray[np.str_]) -> dict[str, Any]:
    """Measure how well ``values`` tell all other ``kinds`` from the genuine."""
    forged = sorted({*kinds.tolist()} - {GENUINE})
    genuine, every = values[kinds == GENUINE], values[kinds != GENUINE]
    threshold = float(np.quantile(genuine, 0.95))
    return {
        "auroc": round(auroc(every, genuine), 4),
        "tpr_at_5_percent": round(float((every > threshold).mean()), 4),
        "per_kind": {
            kind: round(auroc(values[kinds == kind], genuine), 3) for kind in forged
        },
    }


def train(
    batches: Iterator[Batch],
    judge: Judge,
    out: Path,
    config: LearnConfig,
    *,
    facts: dict[str, Any],
) -> dict[str, Any]:
    """Step until the time is used up.

    ``out`` gets ``config.json``, ``metrics.jsonl``, ``last.pt`` and ``best.pt``.

    Args:
        batches: without end.
        judge: of checkpoints.
        out: made if it is not there.
        config: of the run.
        facts: kept with every checkpoint beside the config and the commit.

    Returns:
        The metrics of the best checkpoint.

    Raises:
        InvalidInputError: what to go on from is no checkpoint of this network.
    """
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(batches, judge, out, config, facts)
    run.loop()
    return run.best


_MOST_BOOST = 8.0


def cell_weights(batch: Batch, config: LearnConfig) -> torch.Tensor:
    """(N, h, w): what each cell counts; small changes no less than larger ones."""
    changed = batch.target * batch.counts
    number = changed.sum((1, 2), keepdim=True).clamp(min=1)
    boost = (config.least_cells / number).clamp(1.0, _MOST_BOOST)
    return batch.counts + changed * (config.positive_weight * boost - 1)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class _Run:
    """State of one training run."""

    def __init__(
        self,
        batches: Iterator[Batch],
        judge: Judge,
        out: Path,
        config: LearnConfig,
        facts: dict[str, Any],
    ) -> None:
        self.batches, self.judge = batches, judge
        self.config, self.out = config, out
        self.best: dict[str, Any] = {}
        self.device = _device()
        self.is_half = computes_in_bfloat16(self.device)
        self.net = ComparatorNet().to(self.device).to(memory_format=torch.channels_last)
        before: dict[str, Any] = {}
        if config.resume is not None:
            earlier = Checkpoint.read(Path(config.resume))
            earlier.fill(self.net)
            before = {"resumed_from": earlier.provenance}
        self.average = deepcopy(self.net).eval()
        self.optimiser = torch.optim.AdamW(
            self.net.parameters(),
            lr=config.peak_rate,
            weight_decay=config.weight_decay,
        )
        self.provenance: dict[str, Any] = {
            "config": asdict(config),
            "commit": current_commit(),
            "device": _named(self.device),
            **facts,
            **before,
        }
        (out / "config.json").write_text(json.dumps(self.provenance, indent=1))

    def loop(self) -> None:
        """Step until the time is used up."""
        evaluated, config, done = time.monotonic(), self.config, 0
        losses = torch.zeros(3, device=self.device)
        for step, share in steps(minutes=config.minutes, max_steps=config.max_steps):
            fresh = self._step(share)
            done = step + 1
            losses.lerp_(fresh, newest_share(done))
            if done % config.log_every == 0:
                self._log(event="step", step=done, losses=losses.tolist())
            if time.monotonic() - evaluated > config.eval_every_s:
                self._keep(done)
                evaluated = time.monotonic()
        self._keep(done)

    def _step(self, share: float) -> torch.Tensor:
        set_rate(self.optimiser, share, warm_up=self.config.warm_up)
        batch = Batch(*(one.to(self.device) for one in next(self.batches)))
        self.net.train(not self.config.keep_statistics)
        with torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.is_half
        ):
            planes = batch.planes.to(memory_format=torch.channels_last)
            cells, whole = self.net(planes)
        losses = self._losses(cells, whole.float(), batch)
        weights = losses.new_tensor(
            [1.0, self.config.whole_weight, self.config.ways_weight]
        )
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward((losses * weights).sum())
        nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        self.optimiser.step()
        update_average(self.average, self.net, decay=self.config.averaging)
        for own, other in zip(self.average.buffers(), self.net.buffers(), strict=True):
            own.copy_(other)
        return losses.detach()

    def _losses(
        self, cells: torch.Tensor, whole: torch.Tensor, batch: Batch
    ) -> torch.Tensor:
        """(3,): of the cells, of the whole, of the ways."""
        by_cell = functional.binary_cross_entropy_with_logits(
            cells,
            batch.target,
            weight=cell_weights(batch, self.config),
            reduction="sum",
        ) / batch.counts.sum().clamp(min=1)
        by_print = functional.binary_cross_entropy_with_logits(
            whole, batch.told, reduction="none"
        )
        return torch.stack([by_cell, by_print[:, 0].mean(), by_print[:, 1:].mean()])

    def _keep(self, step: int) -> None:
        metrics = self.judge(self.average)
        self._log(event="held_out", step=step, **metrics)
        self._save(LAST, step, metrics)
        if metrics["auroc"] > self.best.get("auroc", -1.0):
            self.best = {"step": step, **metrics}
            self._save(BEST, step, metrics)

    def _save(self, name: str, step: int, metrics: dict[str, Any]) -> None:
        kept = Checkpoint(self.average.state_dict(), step, metrics, self.provenance)
        kept.write(self.out / name)

    def _log(self, **fields: Any) -> None:
        with (self.out / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")


def _named(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"

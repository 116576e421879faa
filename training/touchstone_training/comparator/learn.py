"""Train the comparator: crops in, a checkpoint chosen on designs that were held out."""

import json
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader

from touchstone.engine.comparator import planes
from touchstone.errors import InvalidInputError
from touchstone_training.calibration import auroc
from touchstone_training.comparator.aligned import Packed, packed
from touchstone_training.comparator.lessons import Lessons
from touchstone_training.comparator.network import ComparatorNet
from touchstone_training.running import current_commit, schedule, update_average


@dataclass(frozen=True, slots=True)
class LearnConfig:
    """One training run."""

    minutes: float = 40.0
    batch: int = 12
    peak_rate: float = 2e-3
    weight_decay: float = 1e-4
    warm_up: float = 0.03
    positive_weight: float = 4.0
    """Of a changed cell against one that is as it should be."""
    whole_weight: float = 0.5
    averaging: float = 0.998
    held_out_share: float = 0.08
    """Of the designs, the last: checkpoints are chosen by them."""
    eval_every_s: float = 400.0
    eval_pairs: int = 360
    threads: int = 2
    workers: int = 1
    seed: int = 0
    resume: str | None = None


def learn(data: Path, out: Path, config: LearnConfig) -> dict[str, Any]:
    """Train on the pairs that ``pack`` wrote to ``data``; keep the best in ``out``.

    ``out`` gets ``config.json``, ``metrics.jsonl``, ``last.pt`` and ``best.pt``.

    Returns:
        The metrics of the best checkpoint.
    """
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    pairs = packed(data)
    if not pairs:
        raise InvalidInputError(f"{data} holds no aligned pairs.")
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(pairs, config, out)
    run.loop()
    return run.best


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


class _Run:
    """State of one training run."""

    def __init__(self, pairs: Sequence[Packed], config: LearnConfig, out: Path) -> None:
        self.config, self.out = config, out
        self.best: dict[str, Any] = {}
        train, held = held_out(pairs, config.held_out_share)
        rng = np.random.default_rng(config.seed)
        chosen = rng.permutation(len(held))[: config.eval_pairs]
        self.held = [held[n] for n in sorted(chosen)]
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.net = ComparatorNet().to(self.device).to(memory_format=torch.channels_last)
        if config.resume is not None:
            state = torch.load(config.resume, map_location="cpu", weights_only=True)
            self.net.load_state_dict(state["net"])
        self.average = deepcopy(self.net).eval()
        self.optimiser = torch.optim.AdamW(
            self.net.parameters(),
            lr=config.peak_rate,
            weight_decay=config.weight_decay,
        )
        self.batches = iter(
            DataLoader(
                Lessons(train, batch=config.batch, seed=config.seed),
                batch_size=None,
                num_workers=config.workers,
                prefetch_factor=4 if config.workers else None,
            )
        )
        self.provenance: dict[str, Any] = {
            "config": asdict(config),
            "commit": current_commit(),
            "designs": len({pair.design for pair in pairs}),
            "pairs": len(pairs),
        }
        (out / "config.json").write_text(json.dumps(self.provenance, indent=1))

    def loop(self) -> None:
        """Step until the time is used up."""
        began = evaluated = time.monotonic()
        budget_s, step, losses = self.config.minutes * 60, 0, [0.0, 0.0]
        with Progress() as progress:
            bar = progress.add_task("training", total=1.0)
            while (spent_s := time.monotonic() - began) < budget_s:
                share = spent_s / budget_s
                for n, loss in enumerate(self._step(share)):
                    losses[n] += 0.02 * (loss - losses[n])
                step += 1
                progress.update(bar, completed=share)
                if step % 50 == 0:
                    self._log(event="step", step=step, cells=losses[0], whole=losses[1])
                if time.monotonic() - evaluated > self.config.eval_every_s:
                    self._keep(step)
                    evaluated = time.monotonic()
        self._keep(step)

    def _step(self, share: float) -> tuple[float, float]:
        factor = schedule(share, warm_up=self.config.warm_up)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.peak_rate * factor
        planes, target, counts, is_forged = next(self.batches)
        planes = planes.to(self.device, memory_format=torch.channels_last)
        target, counts, is_forged = (
            one.to(self.device) for one in (target, counts, is_forged)
        )
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            cells, whole = self.net(planes)
        by_cell = functional.binary_cross_entropy_with_logits(
            cells,
            target,
            weight=counts,
            pos_weight=torch.tensor(self.config.positive_weight, device=self.device),
            reduction="sum",
        ) / counts.sum().clamp(min=1)
        by_print = functional.binary_cross_entropy_with_logits(whole, is_forged)
        loss = by_cell + self.config.whole_weight * by_print
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        self.optimiser.step()
        update_average(self.average, self.net, decay=self.config.averaging)
        for own, other in zip(self.average.buffers(), self.net.buffers(), strict=True):
            own.copy_(other)
        return float(by_cell.detach()), float(by_print.detach())

    def _keep(self, step: int) -> None:
        metrics = separation(self.average, self.held)
        self._log(event="held_out", step=step, **metrics)
        self._save("last.pt", step, metrics)
        if metrics["auroc"] > self.best.get("auroc", -1.0):
            self.best = {"step": step, **metrics}
            self._save("best.pt", step, metrics)

    def _save(self, name: str, step: int, metrics: dict[str, Any]) -> None:
        state = {
            "net": self.average.state_dict(),
            "provenance": json.dumps(self.provenance),
            "step": step,
            "metrics": json.dumps(metrics),
        }
        torch.save(state, self.out / name)

    def _log(self, **fields: Any) -> None:
        with (self.out / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")


def planes_of(path: Path) -> NDArray[np.uint8]:
    """(1, h, w, 8) of a packed pair, as the engine lays it out."""
    kept = np.load(path)
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
            told.append(float(whole[0]))
    values = np.array(told)
    genuine = values[[pair.is_genuine for pair in pairs]]
    kinds = sorted({pair.kind for pair in pairs if not pair.is_genuine})
    of_kind = {kind: values[[pair.kind == kind for pair in pairs]] for kind in kinds}
    every = np.concatenate(list(of_kind.values()))
    threshold = float(np.quantile(genuine, 0.95))
    return {
        "auroc": round(auroc(every, genuine), 4),
        "tpr_at_5_percent": round(float((every > threshold).mean()), 4),
        "per_kind": {k: round(auroc(v, genuine), 3) for k, v in of_kind.items()},
    }

"""Train the localiser: scenes in, a checkpoint chosen on scenes that were held out.

Simulated ones of held-out designs, and real photos of held-out brands, alike.
"""

import json
import time
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader

from touchstone.engine.localisation import Answer, Framed, framed
from touchstone_training.checkpoints import BEST, LAST, Checkpoint
from touchstone_training.localiser.accuracy import (
    Located,
    accuracy_of_both,
    chosen_by,
    held_out_scenes,
)
from touchstone_training.localiser.network import Answers, LocaliserNet, centred
from touchstone_training.localiser.pack import Pack, read_pack
from touchstone_training.localiser.scenes import Materials, Scene
from touchstone_training.localiser.views import Batch, Looks
from touchstone_training.running import (
    current_commit,
    newest_share,
    set_rate,
    steps,
    update_average,
)


@dataclass(frozen=True, slots=True)
class LearnConfig:
    """One training run."""

    minutes: float = 8.0
    max_steps: int = 1_000_000
    batch: int = 128
    peak_rate: float = 3e-3
    weight_decay: float = 1e-4
    warm_up: float = 0.05
    corner_weight: float = 1.0
    shown_weight: float = 0.2
    averaging: float = 0.998
    eval_every_s: float = 90.0
    eval_scenes: int = 240
    log_every: int = 50
    workers: int = 1
    threads: int = 1
    seed: int = 0
    resume: str | None = None
    """Checkpoint to go on from. Normalisation then goes by what was learned before, not
    by the batch: of a network that was restored nothing else is left of it."""


def learn(pictures: Path, out: Path, config: LearnConfig) -> dict[str, Any]:
    """Train on scenes made of the pack ``pictures``; keep the best in ``out``.

    ``out`` gets ``config.json``, ``metrics.jsonl``, ``last.pt`` and ``best.pt``.

    Returns:
        The metrics of the best checkpoint.

    Raises:
        InvalidInputError: there is no usable pack, or no checkpoint to go on from.
    """
    # OpenCV's own threads do not survive the fork that makes the workers.
    cv2.setNumThreads(1)
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    pack = read_pack(pictures)
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(pack, config, out)
    run.loop()
    return run.best


class _Run:
    """State of one training run."""

    def __init__(self, pack: Pack, config: LearnConfig, out: Path) -> None:
        self.config, self.out = config, out
        self.best: dict[str, Any] = {}
        self.held = [*held_out_scenes(pack, config.eval_scenes), *pack.held_scenes]
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        net = LocaliserNet()
        before: dict[str, Any] = {}
        if config.resume is not None:
            earlier = Checkpoint.read(Path(config.resume))
            earlier.fill(net)
            before = {"resumed_from": earlier.provenance}
        self.net = net.to(self.device).to(memory_format=torch.channels_last)
        self.average = deepcopy(self.net).eval()
        self.optimiser = torch.optim.AdamW(
            self.net.parameters(), lr=config.peak_rate, weight_decay=config.weight_decay
        )
        materials = Materials(pack.artworks, pack.artworks, pack.backdrops)
        self.batches = iter(
            DataLoader(
                Looks(
                    materials,
                    batch=config.batch,
                    seed=config.seed,
                    photographs=pack.scenes,
                ),
                batch_size=None,
                num_workers=config.workers,
                prefetch_factor=4 if config.workers else None,
                pin_memory=self.device.type == "cuda",
            )
        )
        self.provenance: dict[str, Any] = {
            "config": asdict(config),
            "commit": current_commit(),
            "artworks": len(pack.artworks),
            "held_out": len(pack.held_out),
            "backdrops": len(pack.backdrops),
            "photographs": len(pack.scenes),
            "held_out_photographs": len(pack.held_scenes),
            "pictures": pack.digest,
            "device": self.device.type,
            **before,
        }
        (out / "config.json").write_text(json.dumps(self.provenance, indent=1))

    def loop(self) -> None:
        """Step until the time is used up."""
        began = evaluated = time.monotonic()
        config, done, losses = self.config, 0, [0.0, 0.0, 0.0]
        if config.resume is not None:
            self._keep(0)
        for step, share in steps(minutes=config.minutes, max_steps=config.max_steps):
            fresh = self._step(share, step)
            done = step + 1
            for n, loss in enumerate(fresh):
                losses[n] += newest_share(done) * (loss - losses[n])
            if done % config.log_every == 0:
                spent_s = time.monotonic() - began
                self._log(event="step", step=done, spent_s=spent_s, losses=losses)
            if time.monotonic() - evaluated > config.eval_every_s:
                self._keep(done)
                evaluated = time.monotonic()
        self._keep(done)

    def _step(self, share: float, step: int) -> list[float]:
        set_rate(self.optimiser, share, warm_up=self.config.warm_up)
        batch: Batch = next(self.batches)
        canvas, *targets = (one.to(self.device, non_blocking=True) for one in batch)
        values = centred(canvas).contiguous(memory_format=torch.channels_last)
        # Half the bits are three times as slow on a CPU at these widths.
        is_cuda = self.device.type == "cuda"
        self.net.train(self.config.resume is None)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_cuda):
            answers = self.net(values)
        parts = losses_of(answers, targets[0], targets[1], targets[2])
        loss = (
            parts[0]
            + self.config.corner_weight * parts[1]
            + self.config.shown_weight * parts[2]
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        self.optimiser.step()
        self._average(step)
        return [float(part.detach()) for part in parts]

    def _average(self, step: int) -> None:
        """Move the running average: at first fast, so that no beginning is dragged on.

        The statistics of the normalisation move with the weights that they belong to.
        """
        decay = min(self.config.averaging, 1 - _FAST / (step + _FAST))
        update_average(self.average, self.net, decay=decay)
        pairs = zip(self.average.buffers(), self.net.buffers(), strict=True)
        for kept, fresh in pairs:
            if kept.is_floating_point():
                kept.lerp_(fresh, 1 - decay)
            else:
                kept.copy_(fresh)

    def _keep(self, step: int) -> None:
        metrics = accuracy_of_both(partial(located, self.average), self.held)
        self._log(event="held_out", step=step, **metrics)
        self._save(LAST, step, metrics)
        if not self.best or chosen_by(metrics) > chosen_by(self.best):
            self.best = {"step": step, **metrics}
            self._save(BEST, step, metrics)

    def _save(self, name: str, step: int, metrics: dict[str, Any]) -> None:
        kept = Checkpoint(self.average.state_dict(), step, metrics, self.provenance)
        kept.write(self.out / name)

    def _log(self, **fields: Any) -> None:
        with (self.out / "metrics.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(fields) + "\n")


def losses_of(
    answers: Answers, printed: torch.Tensor, corners: torch.Tensor, shown: torch.Tensor
) -> list[torch.Tensor]:
    """Return what print, corners and presence cost, each averaged over the batch.

    Print by cross-entropy and by overlap (Milletari et al., 3DV 2016), so that small
    faces count as large ones do; corners by cross-entropy in which they outweigh the
    many cells without one.
    """
    maps, faces = answers[0].float(), answers[1].float()
    entropy = functional.binary_cross_entropy_with_logits
    odds = torch.sigmoid(maps[:, 0])
    both = (odds * printed).sum((1, 2))
    either = odds.sum((1, 2)) + printed.sum((1, 2))
    overlap = 1 - (2 * both + 1) / (either + 1)
    by_print = entropy(maps[:, 0], printed) + 0.5 * (overlap * shown).mean()
    weight = 1 + _CORNER_WEIGHT * corners
    by_corner = entropy(maps[:, 1], corners, weight=weight)
    return [by_print, by_corner, entropy(faces, shown)]


_CORNER_WEIGHT = 10.0
_FAST = 8
"""After n steps the average is of about the last n / 8."""


def located(net: nn.Module, scene: Scene) -> Located:
    """Let ``net`` find the face in ``scene``, as the service would."""
    frame = framed(scene.pixels)
    return Located.of(scene, answered(net, frame), frame)


def answered(net: nn.Module, frame: Framed) -> Answer:
    """Run ``net``, in whatever state, on one frame."""
    canvas = torch.from_numpy(np.ascontiguousarray(frame.canvas))[None]
    device = next(net.parameters()).device
    with torch.inference_mode():
        maps, shown = net(centred(canvas.to(device)))
    cells = maps[0].float().cpu().numpy()
    return Answer(cells[0], cells[1], float(shown[0]))

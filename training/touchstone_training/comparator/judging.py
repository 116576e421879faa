"""Learn the whole-print numbers anew on whole faces, the map as it is.

`tune` learns from crops, and the service asks about whole faces: of several times as
many places one is the most suspicious, and a genuine face has to be allowed for that.
What the numbers go by is read once off each pair, so that learning takes seconds.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.progress import track
from torch import nn
from torch.nn import functional

from touchstone.errors import InvalidInputError
from touchstone_training.checkpoints import BEST, Checkpoint
from touchstone_training.comparator.aligned import Packed, packed
from touchstone_training.comparator.learn import told_apart
from touchstone_training.comparator.lessons import is_seen, told_of
from touchstone_training.comparator.network import ComparatorNet
from touchstone_training.comparator.tune import (
    UNSEEN_KINDS,
    as_learned,
    held_out,
    planes_of,
)
from touchstone_training.measuring import GENUINE
from touchstone_training.running import current_commit, schedule


@dataclass(frozen=True, slots=True)
class JudgingConfig:
    """One run."""

    steps: int = 1500
    batch: int = 256
    peak_rate: float = 2e-3
    weight_decay: float = 1e-3
    warm_up: float = 0.3
    left_out: float = 0.2
    """Share of the features that each step does without, so that none is relied on."""
    held_out_share: float = 0.08
    """Of the designs, the last."""
    seed: int = 0


class Summaries(NamedTuple):
    """What the numbers go by, of each of n pairs, and what they should say."""

    most: torch.Tensor
    """(n, 3)"""
    means: torch.Tensor
    """(n, 224)"""
    told: torch.Tensor
    """(n, 5): 1 for another print, then for each of `WAYS`."""


def judge(
    data: Path, run: Path, out: Path, config: JudgingConfig, *, threads: int = 2
) -> dict[str, Any]:
    """Learn on the pairs that ``pack`` wrote to ``data``; write ``out``/best.pt.

    Args:
        data: what ``pack`` wrote.
        run: folder of the comparator to go on from.
        out: gets the checkpoint.
        config: of the run.
        threads: of torch.

    Returns:
        How well the held-out pairs are told apart, and were ``before``.

    Raises:
        InvalidInputError: there are no genuine or no forged pairs, or no checkpoint.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(config.seed)
    net, earlier = ComparatorNet(), Checkpoint.read(run / BEST)
    earlier.fill(net)
    pairs = [pair for pair in packed(data) if pair.kind not in UNSEEN_KINDS]
    if len({pair.is_genuine for pair in pairs}) < 2:  # noqa: PLR2004 (both)
        raise InvalidInputError(f"{data} holds no genuine and forged aligned pairs.")
    learned, held = held_out(pairs, config.held_out_share)
    kinds, judged = _summaries(net, held)
    before = _separation(net, kinds, judged)
    relearn(net, _summaries(net, learned)[1], config)
    metrics = {**_separation(net, kinds, judged), "before": before}
    provenance = {
        "config": asdict(config),
        "commit": current_commit(),
        "designs": len({pair.design for pair in pairs}),
        "pairs": len(pairs),
        "resumed_from": earlier.provenance,
    }
    kept = Checkpoint(net.state_dict(), config.steps, metrics, provenance)
    kept.write(out / BEST)
    return metrics


def _summaries(
    net: ComparatorNet, pairs: Sequence[Packed]
) -> tuple[list[str], Summaries]:
    """Look at whole pairs; those whose change cannot be seen say neither yes nor no.

    Returns:
        the kinds of the others, and what was seen of them.
    """
    net.eval()
    kinds, most, means, told = [], [], [], []
    for pair in track(pairs, description="Whole faces"):
        planes = np.load(pair.path, mmap_mode="r")
        is_shown = is_seen((planes[..., 7] > 0) & (planes[..., 6] > 0))
        if not (pair.is_genuine or pair.is_whole or is_shown):
            continue
        with torch.inference_mode():
            seen, about = net.summary(as_learned(planes_of(pair.path)))
        kinds.append(pair.kind)
        most.append(seen[0])
        means.append(about[0])
        told.append(torch.from_numpy(told_of(pair, is_shown=is_shown)))
    return kinds, Summaries(torch.stack(most), torch.stack(means), torch.stack(told))


def _separation(
    net: ComparatorNet, kinds: Sequence[str], held: Summaries
) -> dict[str, Any]:
    with torch.inference_mode():
        whole = net.judged(held.most, held.means)[:, 0].numpy()
    forged = sorted(set(kinds) - {GENUINE})
    return told_apart(whole, np.array(kinds), forged)


def relearn(net: ComparatorNet, known: Summaries, config: JudgingConfig) -> None:
    """Fit what `ComparatorNet.judged` uses to ``known``, genuine and forged alike.

    It starts from nothing, on inputs of mean 0 and spread 1; what makes them so goes
    into the weights at the end.
    """
    (most, most_by), (means, means_by) = map(_even, (known.most, known.means))
    fresh = ComparatorNet()
    about, whole = fresh.about, fresh.whole
    parameters = [*about.parameters(), *whole.parameters()]
    optimiser = torch.optim.AdamW(
        parameters, lr=config.peak_rate, weight_decay=config.weight_decay
    )
    is_forged = known.told[:, 0] > 0
    share = is_forged.float().mean()
    weight = torch.where(is_forged, 0.5 / share, 0.5 / (1 - share))
    for step in range(config.steps):
        factor = schedule(step / config.steps, warm_up=config.warm_up)
        for group in optimiser.param_groups:
            group["lr"] = config.peak_rate * factor
        some = torch.randint(len(most), (config.batch,))
        left = functional.dropout(means[some], config.left_out)
        hidden = functional.dropout(functional.relu(about(left)), config.left_out)
        losses = functional.binary_cross_entropy_with_logits(
            whole(torch.cat([most[some], hidden], dim=1)),
            known.told[some],
            reduction="none",
        )
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(
            (losses[:, 0] * weight[some]).mean() + losses[:, 1:].mean()
        )
        optimiser.step()
    _put(net.about, about, means_by)
    hidden_as_they_are = torch.tensor([[0.0], [1.0]]).expand(2, about.out_features)
    _put(net.whole, whole, torch.cat([most_by, hidden_as_they_are], dim=1))


_LEAST_SPREAD = 1e-3
_FAR = 5.0


def _even(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``values`` at mean 0 and spread 1, and (2, n) of the means and spreads."""
    mean, spread = values.mean(0), values.std(0) + _LEAST_SPREAD
    return ((values - mean) / spread).clamp(-_FAR, _FAR), torch.stack([mean, spread])


def _put(target: nn.Linear, fitted: nn.Linear, by: torch.Tensor) -> None:
    """Put ``fitted``, of evened inputs, into ``target``, whose inputs are as read."""
    with torch.no_grad():
        weight = fitted.weight / by[1]
        target.weight.copy_(weight)
        target.bias.copy_(fitted.bias - weight @ by[0])

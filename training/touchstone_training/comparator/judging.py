"""Learn the whole-print numbers anew on whole faces, the map as it is.

`tune` learns from crops, and the service asks about whole faces: of several times as
many places one is the most suspicious, and a genuine face has to be allowed for that.
Real pairs are all genuine, so that each is shown once more, with a change planted: that
a photo looks real must not speak for its print. `on_real` tells whether it does.
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

from touchstone.engine.comparator import WAYS
from touchstone.errors import InvalidInputError
from touchstone_training.checkpoints import BEST, Checkpoint
from touchstone_training.comparator.aligned import Packed, packed
from touchstone_training.comparator.learn import told_apart
from touchstone_training.comparator.lessons import is_seen, told_of, with_planted
from touchstone_training.comparator.network import (
    HIDDEN,
    SUSPICIONS,
    ComparatorNet,
)
from touchstone_training.comparator.tune import (
    UNSEEN_KINDS,
    as_learned,
    held_out,
    laid_out,
)
from touchstone_training.measuring import GENUINE
from touchstone_training.running import current_commit, set_rate


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
    members: int = 4
    """Heads learned apart; the network gets their mean, as one."""
    held_out_share: float = 0.08
    """Of the designs, the last."""
    seed: int = 0


class Summaries(NamedTuple):
    """What the numbers go by, of each of n pairs, and what they should say."""

    seen: torch.Tensor
    """(n, m), see `ComparatorNet.summary`."""
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
    rng = np.random.default_rng(config.seed)
    kinds, judged = _summaries(net, held, rng)
    before = _separation(net, kinds, judged)
    relearn(net, _summaries(net, learned, rng)[1], config)
    metrics = _separation(net, kinds, judged)
    provenance = {
        "config": asdict(config),
        "commit": current_commit(),
        "designs": len({pair.design for pair in pairs}),
        "pairs": len(pairs),
        "resumed_from": earlier.provenance,
    }
    kept = Checkpoint(net.state_dict(), config.steps, metrics, provenance)
    kept.write(out / BEST)
    return {**metrics, "before": before}


PLANTED = "planted"
"""Kind of a real pair with a change in it."""


def _summaries(
    net: ComparatorNet, pairs: Sequence[Packed], rng: np.random.Generator
) -> tuple[list[str], Summaries]:
    """Look at whole pairs; those whose change cannot be seen say neither yes nor no.

    Returns:
        the kinds of the others, and what was seen of them.
    """
    net.eval()
    kinds, seen, told = [], [], []
    for pair in track(pairs, description="Whole faces"):
        shown = {pair.kind: np.load(pair.path)}
        if pair.is_real:
            shown[PLANTED] = with_planted(shown[pair.kind], rng)
        for kind, kept in shown.items():
            is_shown = is_seen((kept[..., 7] > 0) & (kept[..., 6] > 0))
            if not (kind == GENUINE or pair.is_whole or is_shown):
                continue
            with torch.inference_mode():
                seen.append(net.summary(as_learned(laid_out(kept)))[0])
            kinds.append(kind)
            told.append(torch.from_numpy(told_of(pair, is_shown=is_shown)))
    return kinds, Summaries(torch.stack(seen), torch.stack(told))


def _separation(
    net: ComparatorNet, kinds: Sequence[str], held: Summaries
) -> dict[str, Any]:
    with torch.inference_mode():
        whole = net.judged(held.seen)[:, 0].numpy()
    return told_apart(whole, np.array(kinds))


def relearn(net: ComparatorNet, known: Summaries, config: JudgingConfig) -> None:
    """Fit what `ComparatorNet.judged` uses to ``known``, genuine and forged alike.

    What is said of the whole and of its places goes by the map alone, what is said of
    the other ways by the means of the features too: these tell simulated photos from
    real ones better than forged from genuine (decision 64 in ARCHITECTURE).
    It starts from nothing, on inputs of mean 0 and spread 1; what makes them so goes
    into the weights at the end. Several heads are learned, each with its part of the
    hidden layer: the mean of their answers is one head's with all parts. What lies
    further than `_FAR` spreads off is learned from as if it lay there; the network does
    not cut it.

    Raises:
        ValueError: the hidden layer cannot be divided among so many heads.
    """
    if HIDDEN % (len(_PARTS) * config.members):
        raise ValueError(f"{HIDDEN} places cannot be shared by {config.members} heads.")
    mean, spread = known.seen.mean(0), known.seen.std(0) + _LEAST_SPREAD
    evened = ((known.seen - mean) / spread).clamp(-_FAR, _FAR)
    balance = _balance(known.told[:, 0] > 0)
    with torch.no_grad():
        for layer in (net.about, net.whole):
            layer.weight.zero_()
            layer.bias.zero_()
    first = 0
    for inputs, answers in _PARTS:
        told = known.told[:, answers]
        for _ in range(config.members):
            about, whole = _head(evened[:, inputs], told, balance[:, answers], config)
            own = slice(first, first + about.out_features)
            with torch.no_grad():
                net.about.weight[own, inputs] = about.weight / spread[inputs]
                net.about.bias[own] = about.bias - net.about.weight[own] @ mean
                net.whole.weight[answers, own] = whole.weight / config.members
                net.whole.bias[answers] += whole.bias / config.members
            first = own.stop


_LEAST_SPREAD = 1e-3
_FAR = 5.0
_PARTS = ((slice(0, SUSPICIONS), slice(0, 2)), (slice(None), slice(2, None)))
"""Which numbers of the summary go to which answers: the whole and `place`; the rest."""


def _head(
    seen: torch.Tensor,
    told: torch.Tensor,
    weight: torch.Tensor,
    config: JudgingConfig,
) -> tuple[nn.Linear, nn.Linear]:
    """Learn one head of evened inputs: its hidden layer and what follows that."""
    hidden = HIDDEN // (len(_PARTS) * config.members)
    about = nn.Linear(seen.shape[1], hidden)
    whole = nn.Linear(hidden, told.shape[1])
    parameters = [*about.parameters(), *whole.parameters()]
    optimiser = torch.optim.AdamW(
        parameters, lr=config.peak_rate, weight_decay=config.weight_decay
    )
    for step in range(config.steps):
        set_rate(optimiser, step / config.steps, warm_up=config.warm_up)
        some = torch.randint(len(seen), (config.batch,))
        left = functional.dropout(seen[some], config.left_out)
        said = whole(functional.dropout(functional.relu(about(left)), config.left_out))
        loss = functional.binary_cross_entropy_with_logits(
            said, told[some], weight=weight[some]
        )
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
    return about, whole


def _balance(is_forged: torch.Tensor) -> torch.Tensor:
    """(n, 5): what each counts, 1 on average: of the whole both sides alike."""
    share = is_forged.float().mean()
    alike = torch.where(is_forged, 0.5 / share, 0.5 / (1 - share))
    return torch.stack([alike] + [torch.ones_like(alike)] * len(WAYS), dim=1)

"""What every training run does the same way: its schedule, its average, its commit."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch import nn


def update_average(average: nn.Module, net: nn.Module, *, decay: float) -> None:
    """Move the running average of the weights towards ``net``, in place."""
    with torch.no_grad():
        pairs = zip(average.parameters(), net.parameters(), strict=True)
        for kept, fresh in pairs:
            kept.lerp_(fresh, 1 - decay)


def schedule(share: float, *, warm_up: float) -> float:
    """Linear rise, then half a cosine down to zero, as a factor in [0, 1]."""
    if share < warm_up:
        return (share + 1e-3) / (warm_up + 1e-3)
    along = (share - warm_up) / (1 - warm_up)
    return float(0.5 * (1 + np.cos(np.pi * min(1.0, along))))


def set_rate(
    optimiser: torch.optim.Optimizer, share: float, *, warm_up: float
) -> float:
    """Give ``optimiser`` the rates of this ``share`` of a run; it was made with peaks.

    Returns:
        the factor of the peaks, see `schedule`.
    """
    factor = schedule(share, warm_up=warm_up)
    for group in optimiser.param_groups:
        group["lr"] = group.setdefault("peak", group["lr"]) * factor
    return factor


def steps(*, minutes: float, max_steps: int) -> Iterator[tuple[int, float]]:
    """Yield (steps done, share of the run) until the time or the steps are used up.

    A progress bar is shown meanwhile.
    """
    began, budget_s, step = time.monotonic(), minutes * 60, 0
    with Progress() as progress:
        bar = progress.add_task("training", total=1.0)
        while step < max_steps and (spent_s := time.monotonic() - began) < budget_s:
            share = max(spent_s / budget_s, step / max_steps)
            yield step, share
            step += 1
            progress.update(bar, completed=share)


def newest_share(step: int) -> float:
    """Weight of the newest loss in the one that is logged: of the last fifty or so.

    At first their plain mean: an average that begins at zero would seem to rise.
    """
    return max(0.02, 1 / step)


def computes_in_bfloat16(device: torch.device) -> bool:
    """Say whether 16-bit arithmetic saves time: many CPUs only imitate it."""
    if device.type != "cpu":
        return True
    told = torch.cpu.get_capabilities()
    return bool(told.get("avx512_bf16") or told.get("amx_bf16"))


def current_commit() -> str:
    """Return the code's git commit, ``-dirty`` if altered; ``unknown`` without git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],  # noqa: S607 - the developer's own git
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()

"""Checkpoints: a network's weights at a step, and how they came about."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from touchstone.errors import InvalidInputError

BEST, LAST = "best.pt", "last.pt"
"""Of a run, in its folder."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What one file of a run holds."""

    net: Mapping[str, torch.Tensor]
    """Weights and statistics by name."""
    step: int
    metrics: dict[str, Any]
    """Of these weights on what is held out; empty where they were not measured."""
    provenance: dict[str, Any]
    """Configuration, commit and data of the run; ``resumed_from`` holds that of the
    run that it went on from."""

    @staticmethod
    def read(path: Path) -> "Checkpoint":
        """Load a file that `write` made, onto the CPU.

        Raises:
            InvalidInputError: it is not there, damaged, or holds something else.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, ValueError, UnpicklingError) as error:
            raise InvalidInputError(f"{path} holds no checkpoint: {error}") from error
        try:
            net, step = dict(state["net"]), int(state["step"])
            metrics, told = (
                json.loads(state[key]) for key in ("metrics", "provenance")
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise InvalidInputError(f"{path} is no checkpoint of a run.") from error
        is_whole = isinstance(metrics, dict) and isinstance(told, dict)
        if not is_whole or not all(torch.is_tensor(kept) for kept in net.values()):
            raise InvalidInputError(f"{path} is no checkpoint of a run.")
        return Checkpoint(net, step, metrics, told)

    def fill(self, net: nn.Module) -> None:
        """Put the weights into ``net``.

        Raises:
            InvalidInputError: they are of another network.
        """
        try:
            net.load_state_dict(self.net)
        except RuntimeError as error:
            raise InvalidInputError(
                f"The checkpoint holds another network than a {type(net).__name__}."
            ) from error

    def write(self, path: Path) -> None:
        """Save through a temporary file, so that none is half one; folders are made."""
        state = {
            "net": {name: kept.cpu() for name, kept in self.net.items()},
            "step": self.step,
            "metrics": json.dumps(self.metrics),
            "provenance": json.dumps(self.provenance, default=str),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.part")
        torch.save(state, partial)
        partial.replace(path)

    def line(self) -> Iterator[dict[str, Any]]:
        """Yield the provenance of its run, and of each that this one went on from."""
        told: dict[str, Any] | None = self.provenance
        while told is not None:
            yield told
            told = told.get("resumed_from")


def average(checkpoints: Sequence[Path], out: Path) -> None:
    """Write the mean of the weights of ``checkpoints`` to ``out``, as a run.

    They must come of one line of training (Wortsman et al., ICML 2022): weights that
    were begun apart mean nothing together. Of a run and what it went on from, what was
    learned last is kept halfway, and half of what it cost on other pictures is had back
    (Wortsman et al., CVPR 2022). What is told of the run is the last one's, but for its
    metrics: a mean has not been measured.

    Raises:
        InvalidInputError: fewer than two, or one that is no checkpoint, of another
            network, or not of the last one's line; ``out`` is the run of one.
    """
    if len(checkpoints) < 2:  # noqa: PLR2004
        raise InvalidInputError("Give at least two checkpoints to take the mean of.")
    if (out / BEST).resolve() in {path.resolve() for path in checkpoints}:
        raise InvalidInputError(f"{out} holds one of them: give a folder of its own.")
    kept = [Checkpoint.read(path) for path in checkpoints]
    last = kept[-1]
    for path, one in zip(checkpoints, kept, strict=True):
        if _shapes(one) != _shapes(last):
            raise InvalidInputError(
                f"{path} holds another network than {checkpoints[-1]}."
            )
        if one.provenance not in last.line():
            raise InvalidInputError(
                f"{checkpoints[-1]} did not go on from {path}: give the one that went "
                "on from the others last."
            )
    names = [
        f"{path.parent.name}/{path.name}, step {one.step}"
        for path, one in zip(checkpoints, kept, strict=True)
    ]
    told = {**last.provenance, "averaged": names}
    mean = {
        name: torch.stack([one.net[name].double() for one in kept]).mean(0).to(values)
        for name, values in last.net.items()
    }
    Checkpoint(mean, last.step, {}, told).write(out / BEST)


def _shapes(one: Checkpoint) -> dict[str, torch.Size]:
    return {name: kept.shape for name, kept in one.net.items()}

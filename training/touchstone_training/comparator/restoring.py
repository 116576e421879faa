"""A served comparator back to a checkpoint, from which training can go on.

What is served has its normalisation folded in: enough to go on from.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from touchstone.errors import ModelError
from touchstone_training.comparator.network import MIDDLE, PLANES, RANGE, ComparatorNet
from touchstone_training.comparator.release import ZERO
from touchstone_training.restoring import give, layers, provenance, served


def restore(models: Path, out: Path) -> None:
    """Write the comparator that is served in ``models`` to ``out``/best.pt.

    Raises:
        ModelError: the file is not the one that its manifest names, or no comparator
            as `ComparatorNet` is.
    """
    manifest, model = served(models, "comparator")
    out.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "net": restored(model).state_dict(),
            "provenance": json.dumps(provenance(manifest)),
            "step": manifest["training"]["step"],
            "metrics": json.dumps(manifest["held_out"]),
        },
        out / "best.pt",
    )


def restored(model: bytes) -> ComparatorNet:
    """Return the network that `release` exported to ``model``, for evaluation.

    Raises:
        ModelError: it is another network.
    """
    graph = onnx.load_model_from_string(model).graph
    net = ComparatorNet().eval()
    convolutions, others = _in_order(net)
    convolved, mixed = (list(layers(graph, kind)) for kind in ("Conv", "Gemm"))
    if (len(convolved), len(mixed)) != (len(convolutions), len(others)):
        raise ModelError("The file holds another network than a comparator.")
    convolved[0] = _of_stem(*convolved[0])
    for (weight, bias), (layer, norm) in zip(convolved, convolutions, strict=True):
        give(layer, weight, None if norm is not None else bias)
        if norm is not None:
            # Normalisation that was folded in: nothing is left of it but what it adds.
            size = norm.num_features
            norm.running_mean = torch.zeros(size)
            norm.running_var = torch.full((size,), 1.0 - norm.eps)
            give(norm, np.ones_like(bias), bias)
    for (weight, bias), linear in zip(mixed, others, strict=True):
        give(linear, weight, bias)
    return net


def _in_order(
    net: ComparatorNet,
) -> tuple[list[tuple[nn.Conv2d, nn.BatchNorm2d | None]], list[nn.Linear]]:
    """Return the convolutions, each with what follows it, and the rest, as they run."""
    # Modules are told in the order in which they were made, which is that of the run.
    flat = [one for one in net.modules() if not list(one.children())]
    convolutions: list[tuple[nn.Conv2d, nn.BatchNorm2d | None]] = []
    for one, following in zip(flat, [*flat[1:], None], strict=True):
        if isinstance(one, nn.Conv2d):
            norm = following if isinstance(following, nn.BatchNorm2d) else None
            convolutions.append((one, norm))
    return convolutions, [one for one in flat if isinstance(one, nn.Linear)]


def _of_stem(
    weight: NDArray[Any], bias: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Undo what `release` did to the stem, which is served two pixels at a time."""
    out, twice, rows, half = weight.shape
    by_pixel = weight.reshape(out, 2, twice // 2, rows, half).transpose(0, 2, 3, 4, 1)
    plain = by_pixel.reshape(out, twice // 2, rows, 2 * half)
    offset = plain.sum(axis=(1, 2, 3)) * (ZERO - MIDDLE) / RANGE
    return plain[:, :PLANES], bias - offset

"""What is served back to weights that training can go on from.

Checkpoints are large and are not shipped. What is served has every weight, most of them
rounded to eight bits.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from touchstone.errors import ModelError
from touchstone_training.checkpoints import BEST, Checkpoint

Layer: TypeAlias = tuple[NDArray[Any], NDArray[Any]]
"""Weight and bias."""


def served(models: Path, name: str) -> tuple[dict[str, Any], bytes]:
    """Return the manifest and the file of the network ``name`` in ``models``.

    Raises:
        ModelError: there is none, or not the one that the manifest names.
    """
    try:
        manifest = json.loads((models / f"{name}.json").read_text(encoding="utf-8"))
        model = (models / manifest["file"]).read_bytes()
        digest = manifest["sha256"]
    except (OSError, KeyError, ValueError) as error:
        raise ModelError(f"{models} holds no {name} to restore: {error}") from error
    if hashlib.sha256(model).hexdigest() != digest:
        raise ModelError(f"{manifest['file']} is not the file that its manifest names.")
    return manifest, model


def restore_run(
    models: Path, out: Path, *, name: str, restored: Callable[[bytes], nn.Module]
) -> None:
    """Write the network ``name`` that is served in ``models`` to ``out``/best.pt.

    Args:
        models: folder of served models.
        out: folder of the run.
        name: of the network, its file and its manifest.
        restored: makes a network of the file.

    Raises:
        ModelError: there is none, not the one that its manifest names, or another.
    """
    manifest, model = served(models, name)
    write_run(out, manifest, restored(model), metrics=manifest["held_out"])


def write_run(
    out: Path, manifest: dict[str, Any], net: nn.Module, *, metrics: dict[str, Any]
) -> None:
    """Write what was restored to ``out``, as a run that says which file it was."""
    origin = {"version": manifest["version"], "sha256": manifest["sha256"]}
    told = {**manifest["training"], "restored_from": origin}
    step = manifest["training"]["step"]
    Checkpoint(net.state_dict(), step, metrics, told).write(out / BEST)


def layers(graph: onnx.GraphProto, kind: str) -> Iterator[Layer]:
    """Yield weight and bias of each layer of a kind, as they run.

    Raises:
        ModelError: something else than rounding makes the weights.
    """
    kept = {one.name: one for one in graph.initializer}
    maker = {name: node for node in graph.node for name in node.output}

    def values(name: str) -> NDArray[Any]:
        if name in kept:
            return numpy_helper.to_array(kept[name])
        node = maker[name]
        if node.op_type == "Cast":
            return values(node.input[0])
        if node.op_type != "DequantizeLinear":
            raise ModelError(f"{node.op_type} makes weights in this file.")
        levels, step, zero = (
            numpy_helper.to_array(kept[one]).astype(np.float64) for one in node.input
        )
        shape = (-1, *(1,) * (levels.ndim - 1))
        return np.asarray((levels - zero.reshape(shape)) * step.reshape(shape))

    for node in graph.node:
        if node.op_type == kind:
            yield values(node.input[1]), values(node.input[2])


def give(layer: Any, weight: NDArray[Any], bias: NDArray[Any] | None) -> None:
    """Put weight and bias into ``layer``; without ``bias`` its own is left.

    Raises:
        ModelError: they have other sizes than the layer's.
    """
    for kept, values in ((layer.weight, weight), (layer.bias, bias)):
        if values is None:
            continue
        if tuple(kept.shape) != values.shape:
            raise ModelError(
                f"The file has a layer of {values.shape} where the network has one "
                f"of {tuple(kept.shape)}."
            )
        with torch.no_grad():
            kept.copy_(torch.from_numpy(np.array(values, np.float32)))


def fill(
    net: nn.Module, convolved: Sequence[Layer], mixed: Sequence[Layer], *, called: str
) -> None:
    """Put weights into ``net``, whose modules run in the order in which they were made.

    Of a normalisation that was folded into the convolution before it nothing is left
    but what it adds.

    Args:
        net: any.
        convolved: of its convolutions, as they run.
        mixed: of its linear layers, as they run.
        called: what an error calls it.

    Raises:
        ModelError: they are of another network.
    """
    flat = [one for one in net.modules() if not list(one.children())]
    convolutions = [
        (one, following if isinstance(following, nn.BatchNorm2d) else None)
        for one, following in zip(flat, [*flat[1:], None], strict=True)
        if isinstance(one, nn.Conv2d)
    ]
    others = [one for one in flat if isinstance(one, nn.Linear)]
    if (len(convolved), len(mixed)) != (len(convolutions), len(others)):
        raise ModelError(f"The file holds another network than {called}.")
    for (weight, bias), (layer, norm) in zip(convolved, convolutions, strict=True):
        give(layer, weight, None if norm is not None else bias)
        if norm is not None:
            size = norm.num_features
            norm.running_mean = torch.zeros(size)
            norm.running_var = torch.full((size,), 1.0 - norm.eps)
            give(norm, np.ones_like(bias), bias)
    for (weight, bias), linear in zip(mixed, others, strict=True):
        give(linear, weight, bias)

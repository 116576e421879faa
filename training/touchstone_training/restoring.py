"""What is served back to weights that training can go on from.

Checkpoints are large and are not shipped. What is served has every weight, most of them
rounded to eight bits.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from touchstone.errors import ModelError


def served(models: Path, name: str) -> tuple[dict[str, Any], bytes]:
    """Return the manifest and the file of the network ``name`` in ``models``.

    Raises:
        ModelError: the file is not the one that its manifest names.
    """
    manifest = json.loads((models / f"{name}.json").read_text(encoding="utf-8"))
    model = (models / manifest["file"]).read_bytes()
    if hashlib.sha256(model).hexdigest() != manifest["sha256"]:
        raise ModelError(f"{manifest['file']} is not the file that its manifest names.")
    return manifest, model


def provenance(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return how the network was trained, and from which file it was restored."""
    origin = {"version": manifest["version"], "sha256": manifest["sha256"]}
    return {**manifest["training"], "restored_from": origin}


def layers(
    graph: onnx.GraphProto, kind: str
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
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

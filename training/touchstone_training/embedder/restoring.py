"""A served embedder back to a checkpoint, from which training can go on."""

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper

from touchstone.errors import ModelError
from touchstone_training.embedder.model import Architecture, EmbeddingNet, build
from touchstone_training.restoring import fill, layers, served, write_run


def restore(models: Path, out: Path) -> None:
    """Write the embedder that is served in ``models`` to ``out``/best.pt.

    Raises:
        ModelError: the file is not the one that its manifest names, or no embedder of
            the architecture that it says.
    """
    manifest, model = served(models, "embedder")
    config = manifest["training"]["config"]
    net = restored(model, config["architecture"], dim=config["dim"])
    write_run(out, manifest, net, metrics={"sets": manifest["metrics"]["trained"]})


def restored(model: bytes, architecture: Architecture, *, dim: int) -> EmbeddingNet:
    """Return the network that ``model`` was exported from, rounded as it is there.

    Raises:
        ModelError: it is another network.
    """
    graph = onnx.load_model_from_string(model).graph
    net = build(architecture, dim=dim)
    called = f"an embedder of {architecture}"
    fill(net, *(list(layers(graph, kind)) for kind in ("Conv", "Gemm")), called=called)
    exponents = [one for one in graph.initializer if one.name.endswith("pool.exponent")]
    if len(exponents) != 1:
        raise ModelError(f"The file holds another network than {called}.")
    with torch.no_grad():
        net.pool.exponent.fill_(float(numpy_helper.to_array(exponents[0])))
    return net

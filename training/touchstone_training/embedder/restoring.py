"""Checkpoints of the embedder from others: of what is served, and means of several."""

import json
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper

from touchstone.errors import ModelError
from touchstone_training.embedder.model import Architecture, EmbeddingNet, build
from touchstone_training.restoring import fill, layers, provenance, served
from touchstone_training.running import averaged


def restore(models: Path, out: Path) -> None:
    """Write the embedder that is served in ``models`` to ``out``/best.pt.

    Raises:
        ModelError: the file is not the one that its manifest names, or no embedder of
            the architecture that it says.
    """
    manifest, model = served(models, "embedder")
    config = manifest["training"]["config"]
    net = restored(model, config["architecture"], dim=config["dim"])
    out.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "state": net.state_dict(),
            "step": manifest["training"]["step"],
            "provenance": provenance(manifest),
            "metrics": {"sets": manifest["metrics"]["trained"]},
        },
        out / "best.pt",
    )


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


def average(checkpoints: Sequence[Path], out: Path) -> None:
    """Write the mean of the weights of ``checkpoints`` to ``out``, as a run.

    What was learned last is kept halfway, and half of what it cost on other pictures
    is had back (Wortsman et al., CVPR 2022). What is kept of the run is the last one's,
    but for its metrics: a mean has not been measured. See `averaged`.

    Raises:
        InvalidInputError: fewer than two, or one that is no checkpoint like the others.
    """
    last, names = averaged(checkpoints, key="state")
    last["provenance"] = {**last["provenance"], "averaged": names}
    last["metrics"] = {}
    out.mkdir(parents=True, exist_ok=True)
    torch.save(last, out / "best.pt")
    text = json.dumps(last["provenance"], indent=1)
    (out / "config.json").write_text(text, encoding="utf-8")

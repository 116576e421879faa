"""A served localiser back to a checkpoint, from which training can go on."""

import json
from pathlib import Path

import onnx
import torch

from touchstone_training.localiser.network import LocaliserNet
from touchstone_training.restoring import fill, layers, provenance, served


def restore(models: Path, out: Path) -> None:
    """Write the localiser that is served in ``models`` to ``out``/best.pt.

    Raises:
        ModelError: the file is not the one that its manifest names, or no localiser as
            `LocaliserNet` is.
    """
    manifest, model = served(models, "localiser")
    out.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "net": restored(model).state_dict(),
            "step": manifest["training"]["step"],
            "metrics": json.dumps(manifest["held_out"]["served"]),
            "provenance": json.dumps(provenance(manifest)),
        },
        out / "best.pt",
    )


def restored(model: bytes) -> LocaliserNet:
    """Return the network that ``model`` was exported from, rounded, for evaluation.

    Raises:
        ModelError: it is another network.
    """
    graph = onnx.load_model_from_string(model).graph
    net = LocaliserNet().eval()
    convolved, mixed = (list(layers(graph, kind)) for kind in ("Conv", "Gemm"))
    fill(net, convolved, mixed, called="a localiser")
    return net

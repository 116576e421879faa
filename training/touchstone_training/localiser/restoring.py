"""A served localiser back to a checkpoint, from which training can go on."""

from pathlib import Path

import onnx

from touchstone_training.localiser.network import LocaliserNet
from touchstone_training.restoring import fill, layers, restore_run


def restore(models: Path, out: Path) -> None:
    """Write the localiser that is served in ``models`` to ``out``/best.pt.

    Raises:
        ModelError: see `restore_run`.
    """
    restore_run(models, out, name="localiser", restored=restored)


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

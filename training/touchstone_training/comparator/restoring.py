"""A served comparator back to a checkpoint, from which training can go on.

What is served has its normalisation folded in: enough to go on from.
"""

from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from touchstone.errors import ModelError
from touchstone_training.comparator.network import MIDDLE, PLANES, RANGE, ComparatorNet
from touchstone_training.comparator.release import ZERO
from touchstone_training.restoring import fill, layers, restore_run


def restore(models: Path, out: Path) -> None:
    """Write the comparator that is served in ``models`` to ``out``/best.pt.

    Raises:
        ModelError: see `restore_run`.
    """
    restore_run(models, out, name="comparator", restored=restored)


def restored(model: bytes) -> ComparatorNet:
    """Return the network that `release` exported to ``model``, for evaluation.

    Raises:
        ModelError: it is another network.
    """
    graph = onnx.load_model_from_string(model).graph
    net = ComparatorNet().eval()
    convolved = list(layers(graph, "Conv"))
    convolved[0] = _of_stem(*convolved[0])
    fill(net, convolved, list(layers(graph, "Gemm")), called="a comparator")
    return net


def _of_stem(
    weight: NDArray[Any], bias: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Undo what `release` did to the stem, which is served two pixels at a time.

    Raises:
        ModelError: it is no such stem.
    """
    out, twice, rows, half = weight.shape
    if twice % 2:
        raise ModelError("The file holds another network than a comparator.")
    by_pixel = weight.reshape(out, 2, twice // 2, rows, half).transpose(0, 2, 3, 4, 1)
    plain = by_pixel.reshape(out, twice // 2, rows, 2 * half)
    offset = plain.sum(axis=(1, 2, 3)) * (ZERO - MIDDLE) / RANGE
    return plain[:, :PLANES], bias - offset

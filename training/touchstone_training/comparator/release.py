"""A trained comparator to what is served: comparator.onnx in int8, and its manifest.

Weights and activations are quantised after training (`touchstone_training.quantise`),
calibrated on aligned pairs.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import nn
from torch.nn import functional
from torch.nn.utils import fuse_conv_bn_eval

from touchstone.engine.comparator import PLANES as ENGINE_PLANES
from touchstone.engine.comparator import (
    ComparatorManifest,
    OnnxComparator,
    inside_of,
)
from touchstone.errors import ModelError
from touchstone_training.checkpoints import BEST, Checkpoint
from touchstone_training.comparator.aligned import Packed, packed
from touchstone_training.comparator.network import (
    MIDDLE,
    PLANES,
    RANGE,
    Answer,
    ComparatorNet,
)
from touchstone_training.comparator.tune import held_out, planes_of
from touchstone_training.feeding import fed_with_bytes
from touchstone_training.quantise import quantised
from touchstone_training.ranking import auroc
from touchstone_training.releasing import without_folders, without_traces

MAX_SIZE_BYTES = 4_000_000
_OPSET = 18
_CALIBRATION_PAIRS = 120
_MEASURED_PAIRS = 300
_MOST_LOST = 0.01
"""AUROC that int8 may cost."""


def release_comparator(
    run: Path, data: Path, out: Path, *, version: str, is_int8: bool = True
) -> dict[str, Any]:
    """Export the best checkpoint of ``run`` to ``out``; returns the manifest.

    Args:
        run: folder that ``learn`` wrote.
        data: aligned pairs: those trained on calibrate the quantisation, those held
            out measure what it costs.
        out: gets ``comparator.onnx`` and ``comparator.json``.
        version: of the model.
        is_int8: False keeps float32.

    Raises:
        ModelError: the file is too large, or int8 costs more than it may.
        InvalidInputError: there is no checkpoint of a comparator.
    """
    kept = Checkpoint.read(run / BEST)
    net = ComparatorNet()
    kept.fill(net)
    share = kept.provenance["config"]["held_out_share"]
    trained_on, held = held_out(packed(data), share)
    full = to_onnx(net.eval())
    model = in_int8(net, trained_on) if is_int8 else full
    if len(model) > MAX_SIZE_BYTES:
        raise ModelError(f"The comparator has {len(model)} bytes, over the limit.")
    measured = _measured({"float32": full, "served": model}, held)
    if measured["float32"] - measured["served"] > _MOST_LOST:
        raise ModelError(f"int8 costs too much of the separation: {measured}")
    manifest = {
        "name": "touchstone-comparator",
        "version": version,
        "file": "comparator.onnx",
        "sha256": hashlib.sha256(model).hexdigest(),
        "size_bytes": len(model),
        "precision": "int8" if is_int8 else "float32",
        "licence": "Apache-2.0",
        "held_out_auroc": measured,
        "held_out": kept.metrics,
        "training": without_folders({**kept.provenance, "step": kept.step}),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "comparator.onnx").write_bytes(model)
    text = json.dumps(manifest, indent=1) + "\n"
    (out / "comparator.json").write_text(text, encoding="utf-8")
    return manifest


def to_onnx(net: ComparatorNet) -> bytes:
    """Export to one ONNX file for any frame of sides that are multiples of 16."""
    return _fed_with_bytes(_exported(_Served(net)))


class _Served(nn.Module):
    """The network as it is served, fed with what `_fed_with_bytes` makes of a pair.

    The stem goes over pairs of neighbouring pixels: 16 channels and two steps instead
    of 8 and four, for int8 kernels take channels by fours and gather each step anew.
    """

    def __init__(self, net: ComparatorNet) -> None:
        super().__init__()
        self.net = net
        stem: Any = net.stem  # torch does not say what a Sequential holds
        fused = fuse_conv_bn_eval(stem[0], stem[1])
        spare = (0, 0, 0, 0, 0, ENGINE_PLANES - PLANES)
        weight = functional.pad(fused.weight.detach(), spare)
        # Bytes have no half: what is subtracted of them is 128.
        bias = fused.bias.detach() + weight.sum((1, 2, 3)) * (ZERO - MIDDLE) / RANGE
        out, channels, rows, columns = weight.shape
        self.stem = nn.Conv2d(
            2 * channels,
            out,
            (rows, columns // 2),
            stride=(2, 1),
            padding=((rows - 1) // 2, 0),
        )
        self.stem.weight = nn.Parameter(
            weight.reshape(out, channels, rows, columns // 2, 2)
            .permute(0, 4, 1, 2, 3)
            .reshape(self.stem.weight.shape)
        )
        self.stem.bias = nn.Parameter(bias)

    def forward(self, values: torch.Tensor, inside: torch.Tensor) -> Answer:
        """Answer for (1, 16, H, W / 2 + 1) and (1, H / 4, W / 4)."""
        return self.net.above(functional.relu(self.stem(values)), inside[:, None])


ZERO = 128
"""The byte that stands for no value: bytes have no half, and the middle has one."""


def _exported(served: _Served) -> onnx.ModelProto:
    rows, columns = (
        torch.export.Dim(name, min=4, max=128) for name in ("rows", "columns")
    )
    program = torch.onnx.export(
        served.eval().to(memory_format=torch.contiguous_format),
        (torch.zeros(1, 2 * ENGINE_PLANES, 160, 65), torch.zeros(1, 40, 32)),
        dynamo=True,
        opset_version=_OPSET,
        input_names=["values", "inside"],
        output_names=["cells", "whole"],
        dynamic_shapes=(
            {2: 16 * rows, 3: 8 * columns + 1},
            {1: 4 * rows, 2: 4 * columns},
        ),
        external_data=False,
        verbose=False,
    )
    if program is None:
        raise ModelError("torch returned no ONNX program.")
    without_traces(program.model_proto)
    return program.model_proto


def _fed_with_bytes(model: onnx.ModelProto) -> bytes:
    """Let ``model`` be fed with the engine's planes as they are, bytes by pixel."""
    planes: list[str | int | None] = [1, "height", "width", ENGINE_PLANES]
    return fed_with_bytes(
        model,
        "values",
        [
            helper.make_node("Pad", ["planes", "edges", "zero"], ["edged"]),
            helper.make_node("Reshape", ["edged", "twos"], ["by_twos"]),
            helper.make_node("Transpose", ["by_twos"], ["bytes"], perm=[0, 3, 1, 2]),
        ],
        {
            "edges": np.array([0, 0, 1, 0, 0, 0, 1, 0], np.int64),
            "zero": np.array(ZERO, np.uint8),
            "twos": np.array([0, 0, -1, 2 * ENGINE_PLANES], np.int64),
            "step": np.array(1 / RANGE, np.float32),
        },
        helper.make_tensor_value_info("planes", TensorProto.UINT8, planes),
    )


def _as_values(fed: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Do to the engine's planes what `_fed_with_bytes` has the file do."""
    edged = np.pad(fed, ((0, 0), (0, 0), (1, 1), (0, 0)), constant_values=ZERO)
    by_twos = edged.reshape(1, fed.shape[1], -1, 2 * ENGINE_PLANES)
    values = (by_twos.transpose(0, 3, 1, 2).astype(np.float32) - ZERO) / RANGE
    return {"values": np.asarray(values, np.float32), "inside": inside_of(fed)}


def in_int8(net: ComparatorNet, pairs: Sequence[Packed]) -> bytes:
    """Export ``net`` with its convolutions in int8, calibrated on some of ``pairs``."""
    step = max(1, len(pairs) // _CALIBRATION_PAIRS)
    feeds = [_as_values(planes_of(one.path)) for one in pairs[::step]]
    # The last convolution's answer is a small difference of large numbers.
    made = quantised(_exported(_Served(net)), feeds, kept=(-1,))
    without_traces(made)
    return _fed_with_bytes(made)


def _measured(models: dict[str, bytes], pairs: Sequence[Packed]) -> dict[str, float]:
    """AUROC of each model's whole-print number on some of ``pairs``."""
    some = pairs[:: max(1, len(pairs) // _MEASURED_PAIRS)]
    genuine = np.array([one.is_genuine for one in some])
    found = {}
    for name, model in models.items():
        digest = hashlib.sha256(model).hexdigest()
        served = OnnxComparator.from_bytes(
            model, ComparatorManifest(name, "", digest), provider="cpu"
        )
        told = np.array([served.answer(planes_of(one.path))[1][0] for one in some])
        found[name] = round(auroc(told[~genuine], told[genuine]), 4)
    return found

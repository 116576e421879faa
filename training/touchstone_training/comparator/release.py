"""A trained comparator to what is served: comparator.onnx in int8, and its manifest.

Weights and activations are quantised after training (static, QDQ, unsigned
activations and signed weights per channel, which is what runs fast on a CPU; see
Jacob et al., CVPR 2018), calibrated on aligned pairs. The first subtraction and the
last layers stay float32: the answer is a small difference of large numbers.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from touchstone.engine.comparator import ComparatorManifest, OnnxComparator
from touchstone.errors import ModelError
from touchstone_training.calibration import auroc
from touchstone_training.comparator.aligned import Packed, packed
from touchstone_training.comparator.learn import held_out, planes_of
from touchstone_training.comparator.network import ComparatorNet
from touchstone_training.embedder.export import without_folders, without_traces

MAX_SIZE_BYTES = 4_000_000
_OPSET = 18
_CALIBRATION_PAIRS = 120
_MEASURED_PAIRS = 300
_MOST_LOST = 0.01
"""AUROC that int8 may cost."""


def release_comparator(
    run: Path, data: Path, out: Path, *, version: str, in_int8: bool = True
) -> dict[str, Any]:
    """Export the best checkpoint of ``run`` to ``out``; returns the manifest.

    Args:
        run: folder that ``learn`` wrote.
        data: aligned pairs: those trained on calibrate the quantisation, those held
            out measure what it costs.
        out: gets ``comparator.onnx`` and ``comparator.json``.
        version: of the model.
        in_int8: False keeps float32.

    Raises:
        ModelError: the file is too large, or int8 costs more than it may.
    """
    state = torch.load(run / "best.pt", map_location="cpu", weights_only=True)
    net = ComparatorNet()
    net.load_state_dict(state["net"])
    provenance = json.loads(state["provenance"])
    config = provenance["config"]
    trained_on, held = held_out(packed(data), config["held_out_share"])
    full = to_onnx(net.eval())
    model = quantised(full, trained_on) if in_int8 else full
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
        "precision": "int8" if in_int8 else "float32",
        "licence": "Apache-2.0",
        "held_out_auroc": measured,
        "held_out": json.loads(state["metrics"]),
        "training": {
            **provenance,
            "step": state["step"],
            "config": without_folders(config),
        },
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "comparator.onnx").write_bytes(model)
    text = json.dumps(manifest, indent=1) + "\n"
    (out / "comparator.json").write_text(text, encoding="utf-8")
    return manifest


def to_onnx(net: ComparatorNet) -> bytes:
    """Export to one ONNX file for any frame of sides that are multiples of 16."""
    program = torch.onnx.export(
        net.to(memory_format=torch.contiguous_format),
        (torch.zeros(1, 7, 160, 128, dtype=torch.uint8),),
        dynamo=True,
        opset_version=_OPSET,
        input_names=["planes"],
        output_names=["cells", "whole"],
        dynamic_shapes=(
            {
                2: 16 * torch.export.Dim("rows", min=4, max=128),
                3: 16 * torch.export.Dim("columns", min=4, max=128),
            },
        ),
        external_data=False,
        verbose=False,
    )
    if program is None:
        raise ModelError("torch returned no ONNX program.")
    model = program.model_proto
    onnx.checker.check_model(model, full_check=True)
    without_traces(model)
    return bytes(model.SerializeToString())


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pairs: Sequence[Packed]) -> None:
        self._fed: Iterator[NDArray[np.uint8]] = (planes_of(one.path) for one in pairs)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        fed = next(self._fed, None)
        return None if fed is None else {"planes": fed}


def quantised(model: bytes, pairs: Sequence[Packed]) -> bytes:
    """Quantise the convolutions of ``model``, calibrated on some of ``pairs``."""
    step = max(1, len(pairs) // _CALIBRATION_PAIRS)
    with tempfile.TemporaryDirectory() as folder:
        before, ready, after = (Path(folder) / f"{n}.onnx" for n in range(3))
        before.write_bytes(model)
        quant_pre_process(str(before), str(ready), skip_symbolic_shape=True)
        graph = onnx.load(str(ready)).graph
        convolutions = [node.name for node in graph.node if node.op_type == "Conv"]
        constants = {one.name for one in graph.initializer}
        # A small constant that keeps a division from zero would be rounded to it.
        sums = [
            node.name
            for node in graph.node
            if node.op_type == "Add" and constants & set(node.input)
        ]
        quantize_static(
            str(ready),
            str(after),
            _Reader(pairs[::step]),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "Add", "Relu"],
            nodes_to_exclude=[convolutions[-1], *sums],
        )
        served = onnx.load(str(after))
    without_traces(served)
    _without_unused_domains(served)
    return bytes(served.SerializeToString())


def _without_unused_domains(model: onnx.ModelProto) -> None:
    """Name only the operator sets that are used: the optimiser names all it knows."""
    used = {node.domain for node in model.graph.node} | {""}
    kept = [one for one in model.opset_import if one.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


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
        told = np.array([served.answer(planes_of(one.path))[1] for one in some])
        found[name] = round(auroc(told[~genuine], told[genuine]), 4)
    return found

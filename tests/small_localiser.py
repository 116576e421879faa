"""A localiser made of nothing but ONNX: what is brighter than it may be is print."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from touchstone.engine.localisation import FRAME_PX, LocaliserManifest, OnnxLocaliser


def bright_is_print(
    *, level: float = 160.0, shown: float = 8.0, planes: int = 2
) -> bytes:
    """Log odds of print by the mean of each cell over ``level``; ``shown`` always."""
    weights = np.zeros((planes, 3, 4, 4), np.float32)
    weights[0] = 1 / (3 * 16 * 8)
    nodes = [
        helper.make_node("Cast", ["frame"], ["bytes"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["bytes"], ["values"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["values", "w", "b"], ["maps"], strides=[4, 4]),
        helper.make_node("ReduceMax", ["maps", "every"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "always"], ["shown"]),
    ]
    bias = np.full(planes, -9.0, np.float32)
    bias[0] = -level / 8
    constants: dict[str, NDArray[Any]] = {
        "w": weights,
        "b": bias,
        "every": np.array([1, 2, 3], np.int64),
        "nothing": np.array(0.0, np.float32),
        "always": np.array(shown, np.float32),
    }
    width, height = FRAME_PX
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(
                "frame", TensorProto.UINT8, [1, height, width, 3]
            )
        ],
        [
            helper.make_tensor_value_info(
                "maps", TensorProto.FLOAT, [1, planes, height // 4, width // 4]
            ),
            helper.make_tensor_value_info("shown", TensorProto.FLOAT, [1]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def manifest_of(model: bytes) -> LocaliserManifest:
    """What would stand beside ``model``."""
    return LocaliserManifest("tiny", "0", hashlib.sha256(model).hexdigest())


def localiser_of(model: bytes) -> OnnxLocaliser:
    """Load ``model``."""
    return OnnxLocaliser.from_bytes(model, manifest_of(model), provider="cpu")


def write_localiser(folder: Path, model: bytes) -> None:
    """Lay ``model`` and its manifest into a model folder."""
    (folder / "localiser.onnx").write_bytes(model)
    named = {"name": "tiny", "version": "0", "sha256": manifest_of(model).sha256}
    (folder / "localiser.json").write_text(json.dumps(named))

"""Invented packages, photographs of them, and a model small enough to be made here.

The model averages the picture over a grid and projects that by fixed random numbers:
enough to find a package among a few, in milliseconds, and made of nothing but ONNX.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from touchstone.engine.comparator import WAYS

Pixels = NDArray[np.uint8]

INPUT_PX = 96
DIM = 64
_CELL_PX = 12


def printed_mark(seed: int, *, size_px: tuple[int, int] = (480, 360)) -> Pixels:
    """Draw an invented package face, (h, w, 3); one seed, one face."""
    random = np.random.default_rng(seed)
    width, height = size_px
    ground = random.integers(150, 256, 3)
    face = np.full((height, width, 3), ground, np.uint8)
    for _ in range(40):
        colour = tuple(int(c) for c in random.integers(0, 200, 3))
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        w, h = int(random.integers(12, 90)), int(random.integers(8, 50))
        if random.random() < 0.5:
            cv2.rectangle(face, (x, y), (x + w, y + h), colour, -1)
        else:
            cv2.circle(face, (x, y), w // 3, colour, 3)
    for line in range(9):
        letters = "".join(chr(int(c)) for c in random.integers(65, 91, 12))
        colour = tuple(int(c) for c in random.integers(0, 120, 3))
        at = (int(random.integers(5, width // 3)), 36 + line * 38)
        cv2.putText(face, letters, at, cv2.FONT_HERSHEY_SIMPLEX, 0.8, colour, 2)
    return face


def photographed(face: Pixels, *, tilt: float = 0.04, seed: int = 0) -> Pixels:
    """Show ``face`` tilted on a table, a little soft and noisy, (600, 800, 3)."""
    random = np.random.default_rng(seed)
    height, width = face.shape[:2]
    frame = (800, 600)
    left, top, right, bottom = 90, 60, 710, 540
    corners = np.array(
        [[left, top], [right, top], [right, bottom], [left, bottom]], np.float32
    )
    corners += random.uniform(-tilt, tilt, (4, 2)).astype(np.float32) * 400
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    photo_from_face = cv2.getPerspectiveTransform(source, corners)
    table = np.full((frame[1], frame[0], 3), (120, 100, 90), np.uint8)
    shown = cv2.warpPerspective(
        face, photo_from_face, frame, dst=table, borderMode=cv2.BORDER_TRANSPARENT
    )
    soft = cv2.GaussianBlur(shown, (0, 0), 0.6).astype(np.float32)
    noisy = soft + random.normal(0, 2, soft.shape)
    return np.asarray(noisy.clip(0, 255), np.uint8)


def write_jpeg(path: Path, pixels: Pixels) -> Path:
    """Write ``pixels`` (RGB) as a JPEG, with the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
    assert done
    path.write_bytes(data.tobytes())
    return path


def write_models(folder: Path) -> Path:
    """Write a model folder: two networks with their manifests, and a calibration."""
    folder.mkdir(parents=True, exist_ok=True)
    model = _embedder()
    (folder / "embedder.onnx").write_bytes(model)
    manifest = {
        "name": "tiny",
        "version": "0",
        "sha256": hashlib.sha256(model).hexdigest(),
        "input_px": INPUT_PX,
        "mean": [127.0] * 3,
        "std": [128.0] * 3,
        "dim": DIM,
    }
    (folder / "embedder.json").write_text(json.dumps(manifest))
    comparator = _comparator()
    (folder / "comparator.onnx").write_bytes(comparator)
    named = {"name": "tiny", "version": "0"}
    named["sha256"] = hashlib.sha256(comparator).hexdigest()
    (folder / "comparator.json").write_text(json.dumps(named))
    (folder / "calibration.json").write_text(json.dumps(calibration()))
    return folder


def _embedder() -> bytes:
    side = INPUT_PX // _CELL_PX
    weights = np.random.default_rng(7).normal(size=(3 * side * side, DIM))
    nodes = [
        helper.make_node(
            "AveragePool",
            ["image"],
            ["cells"],
            kernel_shape=[_CELL_PX] * 2,
            strides=[_CELL_PX] * 2,
        ),
        helper.make_node("Flatten", ["cells"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["embedding"]),
    ]
    shape: list[str | int | None] = ["batch", 3, INPUT_PX, INPUT_PX]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", DIM])],
        [numpy_helper.from_array(weights.astype(np.float32), "weights")],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _comparator() -> bytes:
    """Log odds by the mean difference of each cell, a twentieth of a level each."""
    nodes = [
        helper.make_node("Cast", ["planes"], ["bytes"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["bytes"], ["values"], perm=[0, 3, 1, 2]),
        helper.make_node("Split", ["values", "parts"], ["e", "s", "v", "n"], axis=1),
        helper.make_node("Sub", ["e", "s"], ["apart"]),
        helper.make_node("Abs", ["apart"], ["far"]),
        helper.make_node("ReduceMean", ["far", "colours"], ["grey"], keepdims=0),
        helper.make_node("Unsqueeze", ["grey", "colours"], ["plane"]),
        helper.make_node(
            "AveragePool", ["plane"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]
        ),
        helper.make_node("Mul", ["pooled", "share"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "usual"], ["odds"]),
        helper.make_node("Squeeze", ["odds", "colours"], ["cells"]),
        helper.make_node("ReduceMax", ["cells", "places"], ["most"], keepdims=0),
        helper.make_node("Tile", ["most", "answers"], ["whole"]),
    ]
    constants: dict[str, NDArray[Any]] = {
        "parts": np.array([3, 3, 1, 1], np.int64),
        "colours": np.array([1], np.int64),
        "places": np.array([1, 2], np.int64),
        "share": np.array(0.05, np.float32),
        "usual": np.array(4.0, np.float32),
        "answers": np.array([1 + len(WAYS)], np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(
                "planes", TensorProto.UINT8, [1, "h", "w", 8]
            ),
            helper.make_tensor_value_info("inside", TensorProto.FLOAT, [1, "r", "c"]),
        ],
        [
            helper.make_tensor_value_info("cells", TensorProto.FLOAT, [1, "r", "c"]),
            helper.make_tensor_value_info("whole", TensorProto.FLOAT, ["n"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def calibration() -> dict[str, object]:
    """Return a policy that tells the invented packages apart; fitted on nothing."""
    return {
        "version": "small world",
        "identification": {
            "terms": [
                _term("log_inliers", mean=3.4, std=0.4, weight=4.0),
                _term("coverage", mean=0.3, std=0.2, weight=1.0),
            ],
            "bias": 0.0,
            "accept_logit": 0.0,
            "resemblance_similarity": 0.995,
            "sibling_margin": 1.0,
        },
        "fusion": {
            "experts": [
                {
                    "name": "place",
                    "share": 1.0,
                    "terms": [_term("structure_top", mean=2.0, std=0.5, weight=2.5)],
                    "bias": 0.0,
                }
            ]
        },
        "thresholds": {
            "log10_lr_floor": -3.0,
            "log10_lr_cap": 3.0,
            "consistent_log10_lr": 0.5,
            "inconsistent_log10_lr": -0.5,
            "other_gtin_log10_lr": 2.0,
        },
        "quality_limits": {"resolution": [0.2, 1e9]},
        "photo_limits": {"photo_side_px": [100, 1e9]},
        "bands": [[1, "weak"], [2, "moderate"], [99, "strong"]],
        "error_rates": {"false_alarm": 0.5, "miss": 0.5},
    }


def _term(name: str, *, mean: float, std: float, weight: float) -> dict[str, object]:
    return {
        "name": name,
        "is_log": False,
        "offset": 0.0,
        "mean": mean,
        "std": std,
        "weight": weight,
    }

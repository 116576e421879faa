"""A trained localiser to what is served: localiser.onnx in int8, and its manifest.

Weights and activations are quantised after training (`touchstone_training.quantise`),
calibrated on scenes of designs that were trained on.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from touchstone.engine.localisation import (
    FRAME_PX,
    LocaliserManifest,
    OnnxLocaliser,
    framed,
)
from touchstone.errors import ModelError
from touchstone_training.checkpoints import BEST, Checkpoint
from touchstone_training.feeding import fed_with_bytes
from touchstone_training.localiser.accuracy import (
    Located,
    accuracy_of_both,
    held_out_scenes,
    overlaps,
)
from touchstone_training.localiser.network import MIDDLE, RANGE, LocaliserNet
from touchstone_training.localiser.pack import Pack, read_pack
from touchstone_training.localiser.scenes import Materials, Scene, draw_scene
from touchstone_training.quantise import quantised
from touchstone_training.releasing import without_folders, without_traces

MAX_SIZE_BYTES = 6_000_000
_OPSET = 18
_CALIBRATION_SCENES = 120
_CALIBRATION_SEED = 10_000
_MEASURED_SCENES = 400
_MOST_LOST = 0.01
"""Mean overlap that int8 may cost."""
_FED, _VALUES = "frame", "values"


def release_localiser(
    run: Path, pictures: Path, out: Path, *, version: str, is_int8: bool = True
) -> dict[str, Any]:
    """Export the best checkpoint of ``run`` to ``out``; returns the manifest.

    Args:
        run: folder that ``learn`` wrote.
        pictures: the pack that it read: what was trained on calibrates the
            quantisation, what was held out measures what it costs.
        out: gets ``localiser.onnx`` and ``localiser.json``.
        version: of the model.
        is_int8: False keeps float32.

    Raises:
        ModelError: the file is too large, or int8 costs more than it may.
        InvalidInputError: there is no usable pack, or no checkpoint.
    """
    kept = Checkpoint.read(run / BEST)
    net = LocaliserNet()
    kept.fill(net)
    pack = read_pack(pictures)
    full = to_onnx(net)
    model = in_int8(net, calibration_frames(pack)) if is_int8 else full
    if len(model) > MAX_SIZE_BYTES:
        raise ModelError(f"The localiser has {len(model)} bytes, over the limit.")
    scenes = [*held_out_scenes(pack, _MEASURED_SCENES), *pack.held_scenes]
    measured = {
        name: _measured(file, scenes)
        for name, file in (("float32", full), ("served", model))
    }
    check_cost(measured)
    manifest = {
        "name": "touchstone-localiser",
        "version": version,
        "file": "localiser.onnx",
        "sha256": hashlib.sha256(model).hexdigest(),
        "size_bytes": len(model),
        "precision": "int8" if is_int8 else "float32",
        "licence": "Apache-2.0",
        "held_out": measured,
        "training": without_folders({**kept.provenance, "step": kept.step}),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "localiser.onnx").write_bytes(model)
    text = json.dumps(manifest, indent=1) + "\n"
    (out / "localiser.json").write_text(text, encoding="utf-8")
    return manifest


def check_cost(measured: dict[str, dict[str, Any]]) -> None:
    """Refuse what int8 costs too much of.

    Raises:
        ModelError: the mean overlap fell by more than a hundredth, of simulated scenes
            or of real ones.
    """
    full, served = (overlaps(measured[name]) for name in ("float32", "served"))
    if max(full[kind] - served[kind] for kind in full) > _MOST_LOST:
        raise ModelError(f"int8 costs too much of the overlap: {measured}")


def calibration_frames(pack: Pack) -> list[NDArray[np.uint8]]:
    """Draw scenes of designs that were trained on, framed, always the same ones."""
    materials = Materials(pack.artworks, pack.artworks, pack.backdrops)
    scenes = (
        draw_scene(materials, np.random.default_rng((_CALIBRATION_SEED, n)))
        for n in range(_CALIBRATION_SCENES)
    )
    return [framed(scene.pixels).canvas for scene in scenes]


def to_onnx(net: LocaliserNet) -> bytes:
    """Export to one ONNX file that is fed with the bytes of one frame."""
    return _fed_with_bytes(_exported(net))


def in_int8(net: LocaliserNet, frames: Sequence[NDArray[np.uint8]]) -> bytes:
    """Export ``net`` with its convolutions in int8, calibrated on ``frames``."""
    feeds = [{_VALUES: as_values(frame)} for frame in frames]
    # The last convolution's answers are small differences of large numbers.
    made = quantised(_exported(net), feeds, kept=(-1,))
    without_traces(made)
    return _fed_with_bytes(made)


def as_values(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Do to a frame what `_fed_with_bytes` has the file do."""
    values = (frame[None].transpose(0, 3, 1, 2).astype(np.float32) - MIDDLE) / RANGE
    return np.asarray(values, np.float32)


def _exported(net: LocaliserNet) -> onnx.ModelProto:
    program = torch.onnx.export(
        net.eval().to(memory_format=torch.contiguous_format),
        (torch.zeros(1, 3, FRAME_PX[1], FRAME_PX[0]),),
        dynamo=True,
        opset_version=_OPSET,
        input_names=[_VALUES],
        output_names=["maps", "shown"],
        external_data=False,
        verbose=False,
    )
    if program is None:
        raise ModelError("torch returned no ONNX program.")
    without_traces(program.model_proto)
    return program.model_proto


def _fed_with_bytes(model: onnx.ModelProto) -> bytes:
    """Let ``model`` be fed with a frame as it is, bytes by pixel."""
    frame = helper.make_tensor_value_info(
        _FED, TensorProto.UINT8, [1, FRAME_PX[1], FRAME_PX[0], 3]
    )
    return fed_with_bytes(
        model,
        _VALUES,
        [helper.make_node("Transpose", [_FED], ["bytes"], perm=[0, 3, 1, 2])],
        {
            "zero": np.array(round(MIDDLE), np.uint8),
            "step": np.array(1 / RANGE, np.float32),
        },
        frame,
    )


def _measured(model: bytes, scenes: Sequence[Scene]) -> dict[str, Any]:
    """Measure a model file on held-out scenes, as the service would run it."""
    manifest = LocaliserManifest("", "", hashlib.sha256(model).hexdigest())
    served = OnnxLocaliser.from_bytes(model, manifest, provider="cpu")
    return accuracy_of_both(partial(Located.by, served), scenes)

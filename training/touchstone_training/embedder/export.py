"""A trained run to what is served: embedder.onnx, embedder.json, and parity."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from touchstone.engine.embedding import EmbedderManifest, OnnxEmbedder
from touchstone.errors import ModelError
from touchstone_training.embedder.model import (
    NORMALISATION,
    Architecture,
    EmbeddingNet,
    build,
)
from touchstone_training.embedder.retrieval import (
    Embed,
    RetrievalSet,
    evaluate_embedding,
)
from touchstone_training.embedder.retrieval import as_document as metrics_document
from touchstone_training.embedder.train import embedder, load_state

MAX_SIZE_BYTES = 12_000_000
MAX_PARITY_DIFFERENCE = 2e-3

_OPSET = 18
_HALVED_FROM = 64
"""Weights with fewer values than this stay float32: they weigh nothing."""
_PARITY_PICTURES = 8


@dataclass(frozen=True, slots=True)
class Provenance:
    """What only the person who exports can say; goes into the manifest as it is."""

    version: str
    init_source: str
    """Where the initial weights come from, and under which licence."""
    licence: str = "Apache-2.0"


def export_embedder(
    run: Path,
    out: Path,
    *,
    input_px: int,
    provenance: Provenance,
    sets: Sequence[RetrievalSet] = (),
) -> dict[str, Any]:
    """Export the best checkpoint of ``run`` to ``out``.

    Args:
        run: folder that ``train`` wrote.
        out: gets ``embedder.onnx`` and ``embedder.json``.
        input_px: side of the served input.
        provenance: what the manifest says of origin and licence.
        sets: measured with the exported file, and with the bare initial backbone
            where its weights are still there.

    Returns:
        The manifest.

    Raises:
        ModelError: the file is too large, or does not agree with the trained network.
    """
    net, checkpoint = load_run(run)
    model = to_onnx(net, input_px=input_px)
    if len(model) > MAX_SIZE_BYTES:
        raise ModelError(f"The embedder has {len(model)} bytes, over the limit.")
    config = checkpoint["provenance"]["config"]
    manifest = _manifest(model, checkpoint, input_px=input_px, provenance=provenance)
    served = _served(model, manifest)
    manifest["parity_max_difference"] = _check_parity(net, served, config, input_px)
    manifest["metrics"] = _measure(served, config, sets, input_px=input_px)
    out.mkdir(parents=True, exist_ok=True)
    (out / "embedder.onnx").write_bytes(model)
    text = json.dumps(manifest, indent=2) + "\n"
    (out / "embedder.json").write_text(text, encoding="utf-8")
    return manifest


def load_run(run: Path) -> tuple[EmbeddingNet, dict[str, Any]]:
    """Load the best network of ``run``, its weights rounded to float16."""
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))["config"]
    net = build(config["architecture"], dim=config["dim"])
    checkpoint = load_state(net, run / "best.pt")
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(weight.half().float())
    return net.eval(), checkpoint


def to_onnx(net: nn.Module, *, input_px: int) -> bytes:
    """Export to one ONNX file: float16 weights, float32 arithmetic, any batch size."""
    example = torch.zeros(2, 3, input_px, input_px)
    program = torch.onnx.export(
        net.to(memory_format=torch.contiguous_format),
        (example,),
        dynamo=True,
        opset_version=_OPSET,
        input_names=["image"],
        output_names=["embedding"],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
        external_data=False,
        verbose=False,
    )
    if program is None:
        raise ModelError("torch returned no ONNX program.")
    model = program.model_proto
    _halve_weights(model)
    onnx.checker.check_model(model, full_check=True)
    without_traces(model)
    return bytes(model.SerializeToString())


def without_traces(model: onnx.ModelProto) -> None:
    """Take out where the exporter's code stood: folders of the exporting machine."""
    graph = model.graph
    for owner in (model, graph, *graph.node, *graph.input, *graph.output):
        del owner.metadata_props[:]
        if isinstance(owner, onnx.NodeProto):
            owner.doc_string = ""
    for value in (*graph.value_info, *graph.initializer):
        del value.metadata_props[:]


def _halve_weights(model: onnx.ModelProto) -> None:
    """Store large float32 initialisers as float16, each with a Cast back.

    ONNX Runtime folds the casts when it loads the file, so nothing is slower.
    """
    casts = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.size < _HALVED_FROM:
            continue
        name, stored = weight.name, f"{weight.name}_float16"
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(
            helper.make_node(
                "Cast", [stored], [name], name=f"{name}_cast", to=TensorProto.FLOAT
            )
        )
    for place, cast in enumerate(casts):
        model.graph.node.insert(place, cast)


def _manifest(
    model: bytes, checkpoint: dict[str, Any], *, input_px: int, provenance: Provenance
) -> dict[str, Any]:
    trained = checkpoint["provenance"]
    config = without_folders(trained["config"])
    numbers = NORMALISATION[trained["config"]["architecture"]]
    return {
        "name": f"touchstone-embedder-{config['architecture']}",
        "version": provenance.version,
        "file": "embedder.onnx",
        "sha256": hashlib.sha256(model).hexdigest(),
        "size_bytes": len(model),
        "input_px": input_px,
        "mean": list(numbers.mean),
        "std": list(numbers.std),
        "input": "image",
        "output": "embedding",
        "dim": config["dim"],
        "licence": provenance.licence,
        "training": {
            "commit": trained["commit"],
            "seed": trained["seed"],
            "step": checkpoint["step"],
            "data_digest": trained["data_digest"],
            "init_source": provenance.init_source,
            "config": config,
            "resumed_from": _resumed(trained.get("resumed_from")),
        },
    }


def _resumed(earlier: dict[str, Any] | None) -> dict[str, Any] | None:
    if earlier is None:
        return None
    return {
        **earlier,
        "config": without_folders(earlier["config"]),
        "resumed_from": _resumed(earlier.get("resumed_from")),
    }


def without_folders(config: dict[str, Any]) -> dict[str, Any]:
    """Keep file names only: folders of the training machine mean nothing elsewhere."""
    named = {
        key: Path(config[key]).name
        for key in ("init", "resume")
        if isinstance(config.get(key), str)
    }
    return {**config, **named}


def _served(model: bytes, manifest: dict[str, Any]) -> OnnxEmbedder:
    read = EmbedderManifest.from_json(json.dumps(manifest))
    return OnnxEmbedder.from_bytes(model, read, provider="cpu")


def _check_parity(
    net: nn.Module, served: OnnxEmbedder, config: dict[str, Any], input_px: int
) -> float:
    rng = np.random.default_rng(0)
    size = (_PARITY_PICTURES, 8, 8, 3)
    coarse = torch.from_numpy(rng.integers(0, 256, size).astype(np.float32))
    smooth = nn.functional.interpolate(
        coarse.permute(0, 3, 1, 2), size=input_px, mode="bilinear"
    )
    pictures = smooth.permute(0, 2, 3, 1).byte().numpy()
    expected = embedder(net, config["architecture"])(pictures)
    difference = float(np.abs(served.embed(list(pictures)) - expected).max())
    if not difference <= MAX_PARITY_DIFFERENCE:  # so that NaN fails as well
        raise ModelError(
            f"The exported embedder differs from the trained one by {difference:.2g}."
        )
    return difference


def _measure(
    served: OnnxEmbedder,
    config: dict[str, Any],
    sets: Sequence[RetrievalSet],
    *,
    input_px: int,
) -> dict[str, Any]:
    measured = {"trained": _through(_engine(served), sets, input_px)}
    start = _initial(config["architecture"], config["init"])
    if start is not None:
        measured["init"] = _through(start, sets, input_px)
    return measured


def _through(
    embed: Embed, sets: Sequence[RetrievalSet], input_px: int
) -> dict[str, dict[str, float]]:
    return metrics_document(evaluate_embedding(embed, sets, input_px=input_px))


def _engine(served: OnnxEmbedder) -> Embed:
    def embed(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        return served.embed(list(pictures))

    return embed


def _initial(architecture: Architecture, init: str | None) -> Embed | None:
    if init is None or not Path(init).is_file():
        return None
    net = build(architecture, init=init)
    return embedder(net, architecture, projected=False)

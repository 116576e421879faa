"""A trained run to what is served: embedder.onnx, embedder.json, and parity.

The file takes pictures as they are, (N, S, S, 3) bytes, and normalises them itself.
"""

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

from touchstone.engine.embedding import Embedder, EmbedderManifest, OnnxEmbedder
from touchstone.errors import ModelError
from touchstone_training.checkpoints import BEST, Checkpoint
from touchstone_training.data import PictureCache
from touchstone_training.embedder.faces import Opener
from touchstone_training.embedder.model import (
    NORMALISATION,
    Architecture,
    EmbeddingNet,
    Normalisation,
    build,
)
from touchstone_training.embedder.retrieval import (
    Embed,
    RetrievalSet,
    evaluate_embedding,
)
from touchstone_training.embedder.retrieval import as_document as metrics_document
from touchstone_training.embedder.train import embedder
from touchstone_training.embedder.views import Batches, BatchOptions, ViewOptions
from touchstone_training.quantise import quantised
from touchstone_training.releasing import without_folders, without_traces

MAX_SIZE_BYTES = 12_000_000
MAX_PARITY_DIFFERENCE = 2e-3

_OPSET = 18
_HALVED_FROM = 64
"""Weights with fewer values than this stay float32: they weigh nothing."""
_PARITY_PICTURES = 8
_CALIBRATION_PRODUCTS = 60
_CALIBRATION_SEED = 1
_KEPT = (0, 1)
"""Convolutions that stay float32: they are few numbers on large maps, where carrying
the bytes to and fro takes longer than int8 saves, and the loss is the least."""
_LEAST_COSINE = 0.98
"""Of an int8 vector to its float32 one, the mean of pictures not calibrated on."""


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
    pictures: PictureCache | None = None,
    sets: Sequence[RetrievalSet] = (),
    open_localiser: Opener | None = None,
) -> dict[str, Any]:
    """Export the best checkpoint of ``run`` to ``out``.

    Args:
        run: folder that ``train`` wrote.
        out: gets ``embedder.onnx`` and ``embedder.json``.
        input_px: side of the served input.
        provenance: what the manifest says of origin and licence.
        pictures: what was trained on, to calibrate int8 with; None keeps float32.
        sets: measured with the exported file, with its float32 where it is int8, and
            with the bare initial backbone where its weights are still there.
        open_localiser: opens what faces are cut out with of what int8 is calibrated on;
            None calibrates on whole photos.

    Returns:
        The manifest.

    Raises:
        ModelError: the file is too large, does not agree with the trained network, or
            int8 costs more than it may.
    """
    trained = _Trained(*load_run(run), input_px)
    exported = to_onnx(trained.net, trained.numbers, input_px=input_px)
    model = stored(exported)
    full = trained.served(model)
    parity = _check_parity(trained, full)
    measured, cost = {"trained": full}, {}
    if pictures is not None:
        calibrated, held = calibration_pictures(
            pictures, input_px=input_px, open_localiser=open_localiser
        )
        model = stored(in_int8(exported, calibrated))
        served = trained.served(model)
        cost = {"int8": _check_int8(full, served, held)}
        measured = {"trained": served, "float32": full}
    manifest = {
        **_manifest(trained, model, provenance),
        "precision": "float32" if pictures is None else "int8",
        "parity_max_difference": parity,
        **cost,
        "metrics": _measure(trained, measured, sets),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "embedder.onnx").write_bytes(model)
    text = json.dumps(manifest, indent=2) + "\n"
    (out / "embedder.json").write_text(text, encoding="utf-8")
    return manifest


@dataclass(frozen=True, slots=True)
class _Trained:
    """What a run made, on its way out."""

    net: EmbeddingNet
    checkpoint: Checkpoint
    input_px: int

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = self.checkpoint.provenance["config"]
        return config

    @property
    def numbers(self) -> Normalisation:
        return NORMALISATION[self.config["architecture"]]

    def served(self, model: bytes) -> OnnxEmbedder:
        """Load ``model`` as the engine does, if it is not too large to ship."""
        if len(model) > MAX_SIZE_BYTES:
            raise ModelError(f"The embedder has {len(model)} bytes, over the limit.")
        manifest = EmbedderManifest(
            name="exported",
            version="",
            sha256=hashlib.sha256(model).hexdigest(),
            input_px=self.input_px,
            mean=self.numbers.mean,
            std=self.numbers.std,
            dim=self.config["dim"],
        )
        return OnnxEmbedder.from_bytes(model, manifest, provider="cpu")


def load_run(run: Path) -> tuple[EmbeddingNet, Checkpoint]:
    """Load the best network of ``run``, its weights rounded to float16.

    Raises:
        InvalidInputError: there is no checkpoint of an embedder.
    """
    checkpoint = Checkpoint.read(run / BEST)
    config = checkpoint.provenance["config"]
    net = build(config["architecture"], dim=config["dim"])
    checkpoint.fill(net)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(weight.half().float())
    return net.eval(), checkpoint


class _FedWithBytes(nn.Module):
    """A network that takes pictures as they are, (N, S, S, 3) uint8."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, net: nn.Module, numbers: Normalisation) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(numbers.mean).reshape(3, 1, 1))
        self.register_buffer("std", torch.tensor(numbers.std).reshape(3, 1, 1))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Embed ``pictures`` to (N, dim) of unit length."""
        planes = pictures.permute(0, 3, 1, 2).float()
        vectors: torch.Tensor = self.net((planes - self.mean) / self.std)
        return vectors


def to_onnx(
    net: nn.Module, numbers: Normalisation, *, input_px: int
) -> onnx.ModelProto:
    """Export to float32 arithmetic, for any number of (S, S, 3) uint8 pictures.

    Args:
        net: takes what ``numbers`` normalise.
        numbers: become part of the model.
        input_px: side of a picture.
    """
    example = torch.zeros(2, input_px, input_px, 3, dtype=torch.uint8)
    program = torch.onnx.export(
        _FedWithBytes(net.to(memory_format=torch.contiguous_format), numbers).eval(),
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
    return program.model_proto


def calibration_pictures(
    cache: PictureCache, *, input_px: int, open_localiser: Opener | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw views and simulated photos, (N, S, S, 3): to calibrate, and to check.

    Photos are simulated at twice the served size: nearly all that come are larger. Of
    most the face is cut out, if there is something to find it with.
    """
    artworks = {cache.rows[index].product_id for index in cache.of_kind("artwork")}
    batches = iter(
        Batches(
            cache,
            views=ViewOptions(input_px=input_px, photo_px=2 * input_px),
            batch=BatchOptions(products=min(_CALIBRATION_PRODUCTS, len(artworks))),
            seed=_CALIBRATION_SEED,
            open_localiser=open_localiser,
        )
    )
    return next(batches)[0].numpy(), next(batches)[0].numpy()


def in_int8(model: onnx.ModelProto, pictures: NDArray[np.uint8]) -> onnx.ModelProto:
    """Quantise what ``to_onnx`` made, calibrated on (N, S, S, 3) ``pictures``."""
    feeds = [{"image": picture[None]} for picture in pictures]
    return quantised(model, feeds, kept=_KEPT)


def stored(model: onnx.ModelProto) -> bytes:
    """Return the file: checked, small, and naming no folder of this machine."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    _halve_weights(made)
    onnx.checker.check_model(made, full_check=True)
    without_traces(made)
    return bytes(made.SerializeToString())


def _halve_weights(model: onnx.ModelProto) -> None:
    """Store float32 initialisers that float16 holds exactly as that, with a Cast back.

    Those are all weights (see ``load_run``) but what int8 made of them. ONNX Runtime
    folds the casts when it loads the file, so nothing is slower.
    """
    casts = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.size < _HALVED_FROM:
            continue
        halved = values.astype(np.float16)
        if not np.array_equal(halved.astype(np.float32), values):
            continue
        name, short = weight.name, f"{weight.name}_float16"
        weight.CopyFrom(numpy_helper.from_array(halved, short))
        casts.append(
            helper.make_node(
                "Cast", [short], [name], name=f"{name}_cast", to=TensorProto.FLOAT
            )
        )
    for place, cast in enumerate(casts):
        model.graph.node.insert(place, cast)


_TOLD = ("localiser", "scenes", "averaged")
"""What a run says where it has it: digests of what it saw faces by and in, and what it
is the mean of."""


def _manifest(
    trained: _Trained, model: bytes, provenance: Provenance
) -> dict[str, Any]:
    told = trained.checkpoint.provenance
    config = without_folders(trained.config)
    return {
        "name": f"touchstone-embedder-{config['architecture']}",
        "version": provenance.version,
        "file": "embedder.onnx",
        "sha256": hashlib.sha256(model).hexdigest(),
        "size_bytes": len(model),
        "input_px": trained.input_px,
        "mean": list(trained.numbers.mean),
        "std": list(trained.numbers.std),
        "input": "image",
        "output": "embedding",
        "dim": config["dim"],
        "licence": provenance.licence,
        "training": {
            "commit": told["commit"],
            "seed": told["seed"],
            "step": trained.checkpoint.step,
            "data_digest": told["data_digest"],
            "init_source": provenance.init_source,
            "config": config,
            "resumed_from": _resumed(told.get("resumed_from")),
            **{key: told[key] for key in _TOLD if key in told},
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


def _check_parity(trained: _Trained, full: OnnxEmbedder) -> float:
    rng = np.random.default_rng(0)
    size = (_PARITY_PICTURES, 8, 8, 3)
    coarse = torch.from_numpy(rng.integers(0, 256, size).astype(np.float32))
    smooth = nn.functional.interpolate(
        coarse.permute(0, 3, 1, 2), size=trained.input_px, mode="bilinear"
    )
    pictures = smooth.permute(0, 2, 3, 1).byte().numpy()
    expected = embedder(trained.net, trained.config["architecture"])(pictures)
    difference = float(np.abs(full.embed(list(pictures)) - expected).max())
    if not difference <= MAX_PARITY_DIFFERENCE:  # so that NaN fails as well
        raise ModelError(
            f"The exported embedder differs from the trained one by {difference:.2g}."
        )
    return difference


def _check_int8(
    full: Embedder, served: Embedder, pictures: NDArray[np.uint8]
) -> dict[str, float]:
    """Compare int8 with float32 on pictures that it was not calibrated on."""
    shown = list(pictures)
    cosines = (full.embed(shown) * served.embed(shown)).sum(axis=1)
    mean = float(cosines.mean())
    if not mean >= _LEAST_COSINE:
        raise ModelError(f"int8 costs too much: vectors agree by {mean:.4f} only.")
    return {
        "pictures": len(shown),
        "cosine_mean": round(mean, 5),
        "cosine_least": round(float(cosines.min()), 5),
    }


def _measure(
    trained: _Trained,
    measured: dict[str, OnnxEmbedder],
    sets: Sequence[RetrievalSet],
) -> dict[str, Any]:
    embeds = {name: _engine(one) for name, one in measured.items()}
    start = _initial(trained.config["architecture"], trained.config["init"])
    if start is not None:
        embeds["init"] = start
    return {
        name: metrics_document(
            evaluate_embedding(embed, sets, input_px=trained.input_px)
        )
        for name, embed in embeds.items()
    }


def _engine(served: OnnxEmbedder) -> Embed:
    def embed(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        return served.embed(list(pictures))

    return embed


def _initial(architecture: Architecture, init: str | None) -> Embed | None:
    if init is None or not Path(init).is_file():
        return None
    net = build(architecture, init=init)
    return embedder(net, architecture, projected=False)

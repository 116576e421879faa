"""The peers: what others would build, on the same photographs.

Cosine of the embedding alone; SIFT, homography and SSIM; and PatchCore (Roth et al.,
CVPR 2022) as anomalib has it, over our own trained backbone. Anomalib's pins contradict
ours, so that it runs in an environment of its own: pictures go out, scores come back.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from rich.console import Console

from touchstone.catalogue import WORKING_SIDE_PX
from touchstone.engine.image import Pixels, decode
from touchstone.errors import InvalidInputError
from touchstone_training.benchmark import patchcore
from touchstone_training.benchmark.observations import Observation
from touchstone_training.benchmark.pictures import Kept
from touchstone_training.classic import classic_compare, classic_features

OURS = "touchstone"
PEERS = ("embedding_cosine", "sift_ssim", "patchcore")


class Classic:
    """The classic pipeline on one reference, whose features are found once."""

    def __init__(self, reference: Pixels) -> None:
        self._reference = classic_features(reference)

    def suspicion(self, jpeg: bytes) -> float:
        """Return minus the mean SSIM after registration, -1 to 1."""
        photo = decode(jpeg, max_side_px=WORKING_SIDE_PX).pixels
        return -classic_compare(classic_features(photo), self._reference)


def scores_of(observations: Sequence[Observation], peer: str) -> np.ndarray:
    """Return (n,) suspicions by ``peer`` or by us; NaN where it had none."""
    if peer == OURS:
        return np.array([one.suspicion for one in observations], np.float64)
    return np.array([one.peers.get(peer, np.nan) for one in observations], np.float64)


def with_patchcore(
    observations: Sequence[Observation], kept: Kept, *, python: Path, embedder: bytes
) -> list[Observation]:
    """Return the observations with PatchCore's suspicion of each registered crop.

    Args:
        observations: of photos whose crops were kept.
        kept: where.
        python: of an environment that has anomalib and onnxruntime.
        embedder: the served ONNX file, whose backbone is used.

    Raises:
        InvalidInputError: the environment does not do it.
    """
    folder = kept.folder / "patchcore"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "features.onnx").write_bytes(with_features(embedder))
    jobs = [
        {
            "name": one.name,
            "crop": str(kept.crop_of(one.name)),
            "reference": str(kept.reference_of(one.group)),
        }
        for one in observations
        if kept.crop_of(one.name).is_file()
    ]
    (folder / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    command = [str(python), patchcore.__file__, str(folder)]
    with Console(stderr=True).status(f"PatchCore on {len(jobs)} photographs"):
        done = subprocess.run(  # noqa: S603 (the caller's own Python)
            command, capture_output=True, text=True, check=False
        )
    if done.returncode:
        told = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise InvalidInputError(f"PatchCore did not run in {python}: {told[0]}")
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    return [
        replace(one, peers={**one.peers, "patchcore": scores[one.name]})
        if one.name in scores
        else one
        for one in observations
    ]


_STRIDES = (8, 16)


def with_features(embedder: bytes) -> bytes:
    """Return the network with two more outputs: its features at 1/8 and 1/16 of size.

    The last residual sum at each of these sizes, as PatchCore takes the second and
    third stage of a ResNet.

    Raises:
        InvalidInputError: the network has none.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(embedder))
    known = {info.name: info for info in model.graph.value_info}
    input_px = max(_sizes(model.graph.input[0]))
    for stride in _STRIDES:
        sums = [
            node.output[0]
            for node in model.graph.node
            if node.op_type == "Add"
            and node.output[0] in known
            and _sizes(known[node.output[0]])[2:] == [input_px // stride] * 2
        ]
        if not sums:
            raise InvalidInputError(f"The embedder has no features at 1/{stride}.")
        model.graph.output.append(known[sums[-1]])
    return bytes(model.SerializeToString())


def _sizes(info: Any) -> list[int]:
    return [int(side.dim_value) for side in info.type.tensor_type.shape.dim]

"""PatchCore over a given ONNX backbone: a program for anomalib's environment.

``python patchcore.py FOLDER`` reads ``jobs.json`` (name, crop and reference of each
photo) and ``features.onnx`` there, and writes ``scores.json``. It imports nothing of
ours. One specimen is all there is of a product, so the memory bank holds the features
of the reference and of light variations of it: what a photo of it may do to it.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

_VIEWS = 4
_KEPT_SHARE = 0.1
"""Of the patches, as in the paper's main results."""
_BATCH = 16


def variations(picture: Any, *, views: int = _VIEWS, seed: int = 0) -> list[Any]:
    """Return a picture (h, w, 3) and variations in light, focus, place and noise."""
    rng = np.random.default_rng(seed)
    height, width = picture.shape[:2]
    out = [picture]
    for _ in range(views - 1):
        gain, lift = rng.uniform(0.75, 1.2), rng.uniform(-15, 15)
        tint = np.exp(rng.normal(0, 0.06, 3))  # of levels, as lamps of any colour are
        shown = picture.astype(np.float32) * gain * tint + lift
        shown = cv2.GaussianBlur(shown, (0, 0), rng.uniform(0.3, 1.2))
        move = np.array([[1, 0, rng.uniform(-1, 1)], [0, 1, rng.uniform(-1, 1)]])
        shown = cv2.warpAffine(
            shown, move, (width, height), borderMode=cv2.BORDER_REPLICATE
        )
        noisy = shown + rng.normal(0, 3, picture.shape)
        out.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return out


def read(path: str) -> Any:
    """Read a picture as (h, w, 3) RGB."""
    return cv2.imread(path, cv2.IMREAD_COLOR_RGB)


def backbone(file: Path) -> Any:
    """Wrap the ONNX file as the feature extractor that anomalib expects."""
    import onnxruntime  # noqa: PLC0415 (in anomalib's environment)
    import torch  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(file), options, providers=["CPUExecutionProvider"]
    )
    taken = session.get_inputs()[0].name
    wanted = [one.name for one in session.get_outputs()][-2:]

    class Backbone(torch.nn.Module):
        """Pixels (n, 3, h, w) in, feature maps (n, c, h, w) by layer out."""

        def forward(self, pictures: Any) -> dict[str, Any]:
            pixels = pictures.permute(0, 2, 3, 1).numpy().astype(np.uint8)
            found = session.run(wanted, {taken: pixels})
            names = zip(("layer2", "layer3"), found, strict=True)
            return {name: torch.from_numpy(one).float() for name, one in names}

    return Backbone()


def scored(model: Any, jobs: Sequence[dict[str, str]]) -> dict[str, float]:
    """Score photos against a memory bank for each reference."""
    import torch  # noqa: PLC0415

    scores: dict[str, float] = {}
    for reference in dict.fromkeys(job["reference"] for job in jobs):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 (the coreset is drawn by it)
        model.train()
        for views in _batches(variations(read(reference))):
            model(torch.from_numpy(views).permute(0, 3, 1, 2))
        model.subsample_embedding(_KEPT_SHARE)
        model.eval()
        own = [job for job in jobs if job["reference"] == reference]
        crops = _batches([read(job["crop"]) for job in own])
        found = [
            model(torch.from_numpy(one).permute(0, 3, 1, 2)).pred_score for one in crops
        ]
        values = torch.cat(found).tolist()
        scores |= {job["name"]: v for job, v in zip(own, values, strict=True)}
    return scores


def _batches(pictures: Sequence[Any]) -> list[Any]:
    starts = range(0, len(pictures), _BATCH)
    return [np.stack(pictures[start : start + _BATCH]) for start in starts]


def main(folder: Path) -> None:
    """Score the jobs of ``folder``."""
    os.environ["TQDM_DISABLE"] = "1"
    import torch  # noqa: PLC0415
    from anomalib.models.image.patchcore.torch_model import (  # noqa: PLC0415
        PatchcoreModel,
    )

    torch.set_num_threads(1)
    model = PatchcoreModel(
        layers=["layer2", "layer3"], backbone="resnet18", pre_trained=False
    )
    model.feature_extractor = backbone(folder / "features.onnx")
    jobs = json.loads((folder / "jobs.json").read_text(encoding="utf-8"))
    scores = scored(model, jobs)
    (folder / "scores.json").write_text(json.dumps(scores), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

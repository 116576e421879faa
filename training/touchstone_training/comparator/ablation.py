"""Two other designs than the one that is served, measured beside it on the same pairs.

*Frozen*: how far the embedder's features of both pictures are apart at each place
(1 - cosine, at an eighth and a sixteenth of the size), as PatchCore and AnomalyDINO
compare, with positions known and nothing trained. *Fitted*: the same distances summed
up and weighed by a logistic sum that was fitted on the pairs that trained the served
network. Both look at registered, relit pairs, as the network does.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from rich.progress import track

from touchstone.bootstrap import open_comparator
from touchstone.engine.comparator import OnnxComparator, inside_of
from touchstone.errors import InvalidInputError
from touchstone.settings import Settings
from touchstone_training.benchmark.peers import with_features
from touchstone_training.comparator.aligned import Packed, packed
from touchstone_training.comparator.learn import told_apart
from touchstone_training.comparator.tune import held_out, planes_of
from touchstone_training.fusion import TermChoice, fit

_FEW = 24


def ablate(data: Path, models: Path, *, share: float, most: int) -> dict[str, Any]:
    """Measure each design on the last ``share`` of the designs in ``data``.

    Args:
        data: what ``pack`` wrote.
        models: folder of served models.
        share: held out, as the served network's training held it out.
        most: pairs for fitting, and for judging.

    Returns:
        by design of comparator: AUROC over all kinds and by kind, the share found at
        5 % false alarms, and CPU milliseconds a pair.

    Raises:
        InvalidInputError: there are no pairs of both sorts.
    """
    every = [one for one in packed(data) if not one.is_real]
    if not every:
        raise InvalidInputError(f"{data} holds no aligned pairs.")
    learned, judged = (_some(pairs, most) for pairs in held_out(every, share))
    if any(len({one.is_genuine for one in part}) < 2 for part in (learned, judged)):  # noqa: PLR2004
        raise InvalidInputError(f"{data} holds too few genuine or forged pairs.")
    frozen = _Frozen((models / "embedder.onnx").read_bytes())
    served = open_comparator(Settings.load(model_dir=models, provider="cpu"))
    if not isinstance(served, OnnxComparator):
        raise InvalidInputError(f"{models} holds no comparator to measure.")
    before = [frozen.numbers(one.path) for one in track(learned, "Pairs to fit on")]
    is_fake = np.array([not one.is_genuine for one in learned])
    names = [TermChoice(name, direction=1) for name in before[0]]
    weighed = fit(before, is_fake, names)
    scores: dict[str, list[float]] = {"frozen": [], "fitted": [], "served": []}
    spent = dict.fromkeys(scores, 0.0)
    for one in track(judged, "Pairs to judge"):
        began = time.process_time()
        numbers = frozen.numbers(one.path)
        spent["frozen"] += time.process_time() - began
        began = time.process_time()
        fed = planes_of(one.path)
        _, told = served.answer(fed)
        spent["served"] += time.process_time() - began
        scores["frozen"].append(numbers["eighth_top"] + numbers["sixteenth_top"])
        scores["fitted"].append(float(weighed.logits([numbers])[0]))
        scores["served"].append(float(told[0]))
    spent["fitted"] = spent["frozen"]
    kinds = np.array([one.kind for one in judged])
    return {
        "pairs": len(judged),
        "designs": len({one.design for one in judged}),
        **{
            name: {
                **told_apart(np.array(values), kinds),
                "cpu_ms": round(1e3 * spent[name] / len(judged), 1),
            }
            for name, values in scores.items()
        },
    }


def _some(pairs: Sequence[Packed], most: int) -> list[Packed]:
    chosen = np.random.default_rng(0).permutation(len(pairs))[:most]
    return [pairs[n] for n in sorted(chosen.tolist())]


class _Frozen:
    """The embedder's features of both pictures, and how far apart they are."""

    def __init__(self, embedder: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            with_features(embedder), options, providers=["CPUExecutionProvider"]
        )
        self._taken = self._session.get_inputs()[0]
        self._wanted = [one.name for one in self._session.get_outputs()][-2:]

    def numbers(self, path: Path) -> dict[str, float]:
        """Sum up the distances of a packed pair: their level, and their top few."""
        fed = planes_of(path)
        both = [np.ascontiguousarray(fed[0, ..., n : n + 3]) for n in (0, 3)]
        shares = inside_of(fed)[0]
        numbers: dict[str, float] = {}
        for name, apart in zip(("eighth", "sixteenth"), self._apart(both), strict=True):
            size = apart.shape[1], apart.shape[0]
            inside = cv2.resize(shares, size, interpolation=cv2.INTER_AREA) > 0.5  # noqa: PLR2004
            values = np.sort(apart[inside]) if inside.any() else np.zeros(1)
            few = max(1, min(_FEW, values.size // 50))
            numbers[f"{name}_top"] = float(values[-few:].mean())
            numbers[f"{name}_level"] = float(np.median(values))
        return numbers

    def _apart(self, both: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Maps of 1 - cosine, in tiles of what the network takes: nothing is shrunk."""
        side = int(self._taken.shape[1])
        height, width = both[0].shape[:2]
        rows, columns = -(-height // side), -(-width // side)
        below, right = rows * side - height, columns * side - width
        stages: list[list[NDArray[np.float32]]] = []
        for picture in both:
            padded = np.pad(picture, ((0, below), (0, right), (0, 0)), mode="edge")
            tiles = padded.reshape(rows, side, columns, side, 3).swapaxes(1, 2)
            fed = {self._taken.name: tiles.reshape(-1, side, side, 3)}
            stages.append(self._session.run(self._wanted, fed))
        maps = []
        for one, other in zip(*stages, strict=True):
            joint = (one * other).sum(axis=1)
            norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
            apart = 1 - joint / (norms + 1e-6)
            step = side // apart.shape[1]
            laid = apart.reshape(rows, columns, *apart.shape[1:]).swapaxes(1, 2)
            whole = laid.reshape(rows * apart.shape[1], -1)
            maps.append(whole[: -(-height // step), : -(-width // step)])
        return maps

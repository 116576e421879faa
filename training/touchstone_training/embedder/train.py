"""The training loop: batches in, checkpoints and metrics.jsonl out."""

import hashlib
import json
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader

from touchstone.errors import InvalidInputError
from touchstone_training.checkpoints import BEST, LAST, Checkpoint
from touchstone_training.data import PictureCache
from touchstone_training.embedder.faces import localiser_in
from touchstone_training.embedder.losses import (
    koleo,
    similarity_statistics,
    supervised_contrastive,
)
from touchstone_training.embedder.model import (
    NORMALISATION,
    Architecture,
    EmbeddingNet,
    build,
    freeze_stages,
    whiten,
)
from touchstone_training.embedder.retrieval import (
    Embed,
    RetrievalSet,
    as_document,
    evaluate_embedding,
    mean_recall,
)
from touchstone_training.embedder.views import (
    Batches,
    BatchOptions,
    ViewOptions,
    normalised,
)
from touchstone_training.localiser.pack import scenes_in
from touchstone_training.running import (
    current_commit,
    set_rate,
    steps,
    update_average,
)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides a run, apart from the data."""

    architecture: Architecture = "efficientnet_lite0"
    dim: int = 256
    init: str | None = None
    resume: str | None = None
    """Checkpoint whose weights replace whitening and ``init``."""
    minutes: float = 45
    max_steps: int = 100_000
    seed: int = 0
    head_rate: float = 5e-4
    backbone_rate: float = 2e-4
    weight_decay: float = 0.01
    warm_up: float = 0.04
    """Share of the time during which the learning rate rises."""
    temperature: float = 0.07
    koleo_weight: float = 0.1
    averaging: float = 0.99
    """Decay of the running average of the weights, which is what is kept."""
    frozen_stages: int = 3
    whitening_batches: int = 40
    whitening_shrinkage: float = 0.5
    eval_px: int = 224
    eval_every_s: float = 900
    """An evaluation takes a minute of the run's own time."""
    log_every: int = 10
    workers: int = 1
    threads: int = 1
    models: str | None = None
    """Folder of the localiser by which faces are cut out of photos."""
    scenes: str | None = None
    """Pack of the localiser's pictures: artworks are printed over its real photos."""
    views: ViewOptions = field(default_factory=ViewOptions)
    batch: BatchOptions = field(default_factory=BatchOptions)


def train(
    cache: PictureCache,
    sets: Sequence[RetrievalSet],
    *,
    config: TrainConfig,
    out: Path,
) -> dict[str, Any]:
    """Train an embedding network and keep the best checkpoint in ``out``.

    Args:
        cache: pictures that may be trained on.
        sets: held-out sets that checkpoints are chosen by.
        config: the run.
        out: gets ``config.json``, ``metrics.jsonl``, ``last.pt`` and ``best.pt``.

    Returns:
        The metrics of the best checkpoint.

    Raises:
        InvalidInputError: what to go on from is no checkpoint of this network, or the
            pack of scenes holds no real photos.
    """
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(cache, sets, config, out)
    run.start()
    run.loop()
    return run.best


class _Run:
    """State of one training run."""

    def __init__(
        self,
        cache: PictureCache,
        sets: Sequence[RetrievalSet],
        config: TrainConfig,
        out: Path,
    ) -> None:
        self.config = config
        self.out = out
        self.sets = sets
        self.best: dict[str, Any] = {}
        self.net = build(config.architecture, dim=config.dim, init=config.init)
        self.average = deepcopy(self.net)
        freeze_stages(self.net, config.frozen_stages)
        self.optimiser = _optimiser(self.net, config)
        opener = None
        if config.models is not None:
            opener = partial(localiser_in, Path(config.models))
        open_scenes, scenes = None, None
        if config.scenes is not None:
            file = Path(config.scenes)
            open_scenes = partial(scenes_in, file)
            if not open_scenes():
                raise InvalidInputError(f"{file} holds no real photos.", field="scenes")
            scenes = hashlib.sha256(file.read_bytes()).hexdigest()
        self.batches = iter(
            DataLoader(
                Batches(
                    cache,
                    views=config.views,
                    batch=config.batch,
                    seed=config.seed,
                    open_localiser=opener,
                    open_scenes=open_scenes,
                ),
                batch_size=None,
                num_workers=config.workers,
                prefetch_factor=6 if config.workers else None,
                # Not forked: a child inherits locks of ONNX Runtime that nobody frees.
                multiprocessing_context="spawn" if config.workers else None,
            )
        )
        self.provenance: dict[str, Any] = {
            "config": asdict(config),
            "seed": config.seed,
            "commit": current_commit(),
            "data_digest": cache.digest,
            "scenes": scenes,
            "localiser": None if opener is None else opener().digest,
        }

    def start(self) -> None:
        """Whiten the bare backbone, or go on from another run; measure, and record."""
        if self.config.resume is None:
            self._evaluate("init", self._embedder(projected=False), 0)
            self._whiten()
        else:
            earlier = Checkpoint.read(Path(self.config.resume))
            earlier.fill(self.net)
            self.provenance["resumed_from"] = earlier.provenance
        (self.out / "config.json").write_text(json.dumps(self.provenance, indent=1))
        self.average.load_state_dict(self.net.state_dict())
        self._save(BEST, self.net, self._evaluate("start", self._embedder(), 0))

    def _whiten(self) -> None:
        batches = [next(self.batches)[0] for _ in range(self.config.whitening_batches)]
        with torch.inference_mode():
            pooled = [self.net.pooled(self._input(batch)) for batch in batches]
        features = torch.cat(pooled).clone()
        if len(features) > self.config.dim:
            whiten(self.net, features, shrinkage=self.config.whitening_shrinkage)

    def loop(self) -> None:
        """Step until the time or the steps are used up."""
        evaluated, done = time.monotonic(), 0
        config = self.config
        for step, share in steps(minutes=config.minutes, max_steps=config.max_steps):
            self._step(step, share)
            done = step + 1
            if time.monotonic() - evaluated > config.eval_every_s:
                self._keep(done)
                evaluated = time.monotonic()
        self._keep(done)

    def _step(self, step: int, share: float) -> None:
        factor = set_rate(self.optimiser, share, warm_up=self.config.warm_up)
        pictures, labels = next(self.batches)
        vectors = self.net(self._input(pictures))
        contrast = supervised_contrastive(
            vectors, labels, temperature=self.config.temperature
        )
        spread = koleo(vectors, labels)
        loss = contrast + self.config.koleo_weight * spread
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimiser.step()
        update_average(self.average, self.net, decay=self.config.averaging)
        if step % self.config.log_every == 0:
            self._log(
                event="step",
                step=step,
                loss=float(contrast.detach()),
                koleo=float(spread.detach()),
                rate_factor=factor,
                **similarity_statistics(vectors, labels),
            )

    def _keep(self, step: int) -> None:
        told = self._evaluate(
            "trained", embedder(self.average, self.config.architecture), step
        )
        self._save(LAST, self.average, told)
        if told is self.best:
            self._save(BEST, self.average, told)

    def _evaluate(self, stage: str, embed: Embed, step: int) -> dict[str, Any]:
        """Measure, record, and keep in mind what is the best so far."""
        metrics = evaluate_embedding(embed, self.sets, input_px=self.config.eval_px)
        chosen_by = mean_recall(metrics) if metrics else float(step)
        document = {
            "stage": stage,
            "step": step,
            "mean_recall": chosen_by,
            "sets": as_document(metrics),
        }
        self._log(event="evaluation", **document)
        if stage != "init" and chosen_by > self.best.get("mean_recall", -1.0):
            self.best = document
        return document

    def _embedder(self, *, projected: bool = True) -> Embed:
        return embedder(self.net, self.config.architecture, projected=projected)

    def _save(self, name: str, net: nn.Module, told: dict[str, Any]) -> None:
        kept = Checkpoint(net.state_dict(), told["step"], told, self.provenance)
        kept.write(self.out / name)

    def _input(self, pictures: torch.Tensor) -> torch.Tensor:
        numbers = NORMALISATION[self.config.architecture]
        return normalised(pictures, numbers.mean, numbers.std)

    def _log(self, **fields: object) -> None:
        line = json.dumps({"at": round(time.time(), 1), **fields})
        with (self.out / "metrics.jsonl").open("a", encoding="utf-8") as log:
            log.write(line + "\n")


def embedder(
    net: nn.Module, architecture: Architecture, *, projected: bool = True
) -> Embed:
    """Return a function from uint8 pictures to unit vectors.

    Args:
        net: an ``EmbeddingNet``.
        architecture: decides the normalisation.
        projected: False for the backbone's pooled features.
    """
    numbers = NORMALISATION[architecture]

    def embed(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            image = normalised(pictures, numbers.mean, numbers.std)
            if not projected and isinstance(net, EmbeddingNet):
                return np.asarray(net.pooled(image).numpy(), np.float32)
            return np.asarray(net(image).numpy(), np.float32)

    return embed


def _optimiser(net: EmbeddingNet, config: TrainConfig) -> torch.optim.Optimizer:
    backbone = [one for one in net.features.parameters() if one.requires_grad]
    head = [*net.project.parameters(), *net.pool.parameters()]
    return torch.optim.AdamW(
        [
            {"params": backbone, "lr": config.backbone_rate},
            {"params": head, "lr": config.head_rate},
        ],
        lr=config.head_rate,
        weight_decay=config.weight_decay,
    )

"""From nothing to files that the service opens: every network, in small."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from small_world import printed_mark
from typer.testing import CliRunner

from touchstone.bootstrap import open_comparator, open_embedder, open_localiser
from touchstone.engine.comparator import CELL_PX, PLANES, WAYS, planes
from touchstone.settings import Settings
from touchstone_training.__main__ import app
from touchstone_training.comparator import release as comparator_release
from touchstone_training.comparator.learn import LearnConfig as ComparatorConfig
from touchstone_training.comparator.pairs import FIRST_SEED, META
from touchstone_training.comparator.tune import tune
from touchstone_training.data import PictureCache
from touchstone_training.embedder.train import TrainConfig, train
from touchstone_training.embedder.views import BatchOptions, ViewOptions
from touchstone_training.localiser import release as localiser_release
from touchstone_training.localiser.learn import LearnConfig as LocaliserConfig
from touchstone_training.localiser.learn import learn
from touchstone_training.measuring import GENUINE

EMBEDDER = TrainConfig(
    dim=32,
    max_steps=18,
    head_rate=1e-3,
    averaging=0.8,
    whitening_batches=3,
    whitening_shrinkage=4.0,
    log_every=1,
    workers=0,
    seed=11,
    views=ViewOptions(input_px=64, photo_px=96),
    batch=BatchOptions(products=6),
)
LOCALISER = LocaliserConfig(
    max_steps=48, batch=4, eval_scenes=6, log_every=6, workers=0, seed=12
)
COMPARATOR = ComparatorConfig(
    max_steps=16,
    batch=2,
    averaging=0.8,
    held_out_share=0.5,
    log_every=4,
    threads=1,
    workers=0,
    seed=13,
)


@dataclass(frozen=True, slots=True)
class Smoke:
    """What was trained and exported."""

    runs: Path
    models: Path

    def settings(self) -> Settings:
        return Settings.load(model_dir=self.models, provider="cpu")

    def logged(self, name: str, event: str) -> list[dict[str, Any]]:
        text = (self.runs / name / "metrics.jsonl").read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines()]
        return [line for line in lines if line["event"] == event]

    def written(self, path: str) -> dict[str, Any]:
        return dict(json.loads((self.runs / path).read_text(encoding="utf-8")))

    def manifest(self, name: str) -> dict[str, Any]:
        text = (self.models / f"{name}.json").read_text(encoding="utf-8")
        return dict(json.loads(text))


def command(*words: str | Path) -> None:
    """Run ``python -m touchstone_training`` with ``words``."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, (done.output, done.exception)


def aligned_pairs(folder: Path) -> Path:
    """Lay down what ``comparator pack`` would: a genuine and a forged pair a design."""
    for number in range(4):
        design = folder / str(FIRST_SEED + number)
        design.mkdir(parents=True)
        expected = printed_mark(number, size_px=(256, 192))
        forged = expected.copy()
        cv2.rectangle(forged, (80, 60), (150, 120), (250, 20, 20), -1)
        changed = (cv2.absdiff(expected, forged).max(axis=2) > 12).astype(np.uint8)
        inside = np.full(changed.shape, 255, np.uint8)
        rows = []
        for name, seen, mask in (
            ("00.npy", expected, 0 * changed),
            ("01.npy", forged, 255 * changed),
        ):
            soft = cv2.GaussianBlur(seen, (0, 0), 0.7)
            np.save(design / name, np.dstack([expected, soft, inside, mask]))
            kind = "patch" if mask.any() else GENUINE
            rows.append({"file": name, "kind": kind, "severity": 0.5})
        (design / META).write_text(json.dumps(rows), encoding="utf-8")
    return folder


def make_embedder(folder: Path) -> None:
    pictures = folder / "cache"
    command("cache", "--out", pictures, "--designs", "10", "--long-side-px", "96")
    # Without sets to choose a checkpoint by, the last one is kept: the trained one.
    train(PictureCache.open(pictures), [], config=EMBEDDER, out=folder / "embedder")
    command(
        *("export", "--run", folder / "embedder", "--version", "0.0.1"),
        *("--init-source", "none", "--pictures", pictures),
        *("--out", folder / "models", "--input-px", "64"),
    )


def make_localiser(folder: Path) -> None:
    pack = folder / "pack.npz"
    command(
        *("localiser", "pictures", "--out", pack),
        *("--designs", "12", "--long-side-px", "96"),
    )
    learn(pack, folder / "localiser", LOCALISER)
    command(
        *("localiser", "export", "--run", folder / "localiser", "--pictures", pack),
        *("--out", folder / "models", "--version", "0.0.2"),
    )


def make_comparator(folder: Path) -> None:
    aligned = aligned_pairs(folder / "aligned")
    tune(aligned, folder / "comparator", COMPARATOR)
    command(
        *("comparator", "export", "--run", folder / "comparator"),
        *("--aligned", aligned, "--out", folder / "models", "--version", "0.0.3"),
    )


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    folder = tmp_path_factory.mktemp("smoke")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(localiser_release, "_MEASURED_SCENES", 6)
        patch.setattr(localiser_release, "_CALIBRATION_SCENES", 12)
        # What a few steps taught is too little for int8 to be judged by.
        patch.setattr(localiser_release, "_MOST_LOST", 1.0)
        patch.setattr(comparator_release, "_MOST_LOST", 1.0)
        make_embedder(folder)
        make_localiser(folder)
        make_comparator(folder)
    return Smoke(folder, folder / "models")


pytestmark = pytest.mark.filterwarnings("default")  # torch's exporter warns of itself

NETWORKS: Mapping[str, int] = {"embedder": 11, "localiser": 12, "comparator": 13}
"""Each with the seed of its run."""


@pytest.mark.parametrize(("name", "seed"), NETWORKS.items())
def test_a_run_leaves_its_config_its_seed_its_commit_and_its_metrics(
    smoke: Smoke, name: str, seed: int
) -> None:
    told = smoke.written(f"{name}/config.json")
    assert told["config"]["seed"] == seed
    assert told["config"]["batch"]
    assert told["commit"]
    event = "evaluation" if name == "embedder" else "held_out"
    measured = smoke.logged(name, event)
    assert measured[-1]["step"] == told["config"]["max_steps"]
    assert {"best.pt", "last.pt"} <= {one.name for one in (smoke.runs / name).iterdir()}


@pytest.mark.parametrize(("name", "seed"), NETWORKS.items())
def test_the_manifest_tells_of_which_run_a_file_is(
    smoke: Smoke, name: str, seed: int
) -> None:
    manifest, run = smoke.manifest(name), smoke.written(f"{name}/config.json")
    assert manifest["precision"] == "int8"
    told = manifest["training"]
    assert told["config"]["seed"] == seed
    assert told["commit"] == run["commit"]
    assert told["step"] == run["config"]["max_steps"]
    assert smoke.manifest("manifest")[f"{name}.onnx"] == manifest["sha256"]


def losses(smoke: Smoke, name: str) -> NDArray[np.float64]:
    """What was logged of each step, (n,), all parts of a loss added up."""
    steps = smoke.logged(name, "step")
    key = "loss" if name == "embedder" else "losses"
    return np.array([np.sum(step[key]) for step in steps])


@pytest.mark.parametrize("name", NETWORKS)
def test_the_loss_falls(smoke: Smoke, name: str) -> None:
    logged = losses(smoke, name)
    assert np.isfinite(logged).all()
    third = len(logged) // 3
    # Four percent: of the localiser and the comparator running means are logged.
    assert logged[-third:].mean() < 0.96 * logged[:third].mean()


def photos() -> Sequence[NDArray[np.uint8]]:
    return [printed_mark(n, size_px=(320, 240)) for n in range(3)]


def test_the_service_embeds_with_what_was_exported(smoke: Smoke) -> None:
    vectors = open_embedder(smoke.settings()).embed(photos())
    assert vectors.shape == (3, EMBEDDER.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert not np.allclose(vectors[0], vectors[1], atol=1e-2)


def test_the_service_finds_faces_with_what_was_exported(smoke: Smoke) -> None:
    localiser = open_localiser(smoke.settings())
    assert localiser is not None
    for photo in photos():
        face = localiser.locate(photo)
        assert face.quad.shape == (4, 2)
        assert np.isfinite(face.quad).all()
        assert 0 <= face.confidence <= 1


def test_the_service_compares_with_what_was_exported(smoke: Smoke) -> None:
    expected = photos()[0]
    forged = cv2.rectangle(expected.copy(), (80, 60), (200, 160), (250, 20, 20), -1)
    valid = np.ones(expected.shape[:2])
    fed = planes(expected, np.asarray(forged, np.uint8), valid)
    assert fed.shape[3] == PLANES
    cells, told = open_comparator(smoke.settings()).answer(fed)
    assert cells.shape == (fed.shape[1] // CELL_PX, fed.shape[2] // CELL_PX)
    assert told.shape == (1 + len(WAYS),)
    assert np.isfinite(cells).all()
    assert np.isfinite(told).all()

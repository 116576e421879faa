"""A whole run in miniature: cache, train, resume, export, retrieve."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner

from touchstone.engine.embedding import EmbedderManifest, OnnxEmbedder, prepare
from touchstone.engine.image import Pixels
from touchstone.engine.localisation import Face
from touchstone.errors import InvalidInputError, ModelError
from touchstone_training.__main__ import app
from touchstone_training.checkpoints import BEST, LAST, Checkpoint
from touchstone_training.data import Picture, PictureCache
from touchstone_training.embedder.collage import Materials, collage
from touchstone_training.embedder.export import Provenance, export_embedder, load_run
from touchstone_training.embedder.model import build
from touchstone_training.embedder.restoring import restore, restored
from touchstone_training.embedder.retrieval import (
    RetrievalSet,
    by_face,
    evaluate_embedding,
    mean_recall,
)
from touchstone_training.embedder.train import (
    TrainConfig,
    embedder,
    train,
)
from touchstone_training.embedder.views import BatchOptions, ViewOptions
from touchstone_training.running import schedule, set_rate, update_average

MODELS = Path(__file__).parents[2] / "models"
_PLAIN = Materials(pictures=(), marks=(), fonts=())
_TINY = TrainConfig(
    dim=16,
    max_steps=6,
    eval_px=32,
    log_every=1,
    workers=0,
    whitening_batches=3,
    views=ViewOptions(input_px=32, photo_px=64),
    batch=BatchOptions(products=4),
)


def _artwork(seed: int) -> NDArray[np.uint8]:
    return collage(seed, _PLAIN, long_side_px=64)


def _sets() -> list[RetrievalSet]:
    artworks = [_artwork(seed) for seed in range(100, 104)]
    names = ["a", "b", "c", "d"]
    return [RetrievalSet("four", names, artworks, names, artworks)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    pictures = [
        Picture(f"collage:{seed}", f"collage:{seed}", "artwork", _artwork(seed))
        for seed in range(12)
    ]
    cache = PictureCache.write(folder / "cache", pictures)
    train(cache, _sets(), config=_TINY, out=folder / "first")
    return folder


def _log(run: Path) -> list[dict[str, object]]:
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_run_logs_every_step_and_each_stage(run: Path) -> None:
    log = _log(run / "first")
    assert [one["step"] for one in log if one["event"] == "step"] == list(range(6))
    stages = [one["stage"] for one in log if one["event"] == "evaluation"]
    assert stages == ["init", "start", "trained"]
    steps = [one for one in log if one["event"] == "step"]
    assert {"positive_mean", "negative_mean", "hardest_negative_mean"} <= set(steps[0])


def test_a_checkpoint_says_where_it_comes_from(run: Path) -> None:
    checkpoint = Checkpoint.read(run / "first" / BEST)
    provenance = checkpoint.provenance
    assert provenance["config"]["dim"] == 16
    assert provenance["seed"] == 0
    assert len(provenance["data_digest"]) == 64
    assert provenance["commit"]
    assert checkpoint.metrics["sets"]["four"]["photos"] == 4


def test_training_moves_the_weights(run: Path) -> None:
    kept = Checkpoint.read(run / "first" / LAST).net
    again = replace(_TINY, max_steps=0)
    cache = PictureCache.open(run / "cache")
    train(cache, _sets(), config=again, out=run / "untrained")
    untouched = Checkpoint.read(run / "untrained" / LAST).net
    name = "features.10.conv.0.0.weight"
    assert not torch.equal(kept[name], untouched[name])
    frozen = "features.0.0.weight"
    torch.testing.assert_close(kept[frozen], untouched[frozen])


def test_a_resumed_run_starts_where_the_other_ended(run: Path) -> None:
    resumed = replace(_TINY, max_steps=0, resume=str(run / "first" / "last.pt"), seed=5)
    train(PictureCache.open(run / "cache"), _sets(), config=resumed, out=run / "second")
    before = Checkpoint.read(run / "first" / LAST)
    after = Checkpoint.read(run / "second" / LAST)
    name = "features.10.conv.0.0.weight"
    torch.testing.assert_close(after.net[name], before.net[name])
    assert after.provenance["resumed_from"]["seed"] == 0


@pytest.mark.filterwarnings("default")  # torch's exporter warns about itself
def test_the_exported_model_serves_what_was_trained(run: Path) -> None:
    out = run / "models"
    manifest = export_embedder(
        run / "first",
        out,
        input_px=64,
        provenance=Provenance(version="0.0.1", init_source="random"),
        sets=_sets(),
    )
    assert manifest["parity_max_difference"] < 1e-4
    assert manifest["metrics"]["trained"]["four"]["references"] == 4
    text = (out / "embedder.json").read_text(encoding="utf-8")
    assert str(run) not in text
    served = OnnxEmbedder.from_bytes(
        (out / "embedder.onnx").read_bytes(),
        EmbedderManifest.from_json(text),
        provider="cpu",
    )
    vectors = served.embed([_artwork(100), _artwork(101)])
    assert vectors.shape == (2, 16)


def test_the_shipped_embedder_is_restored_and_says_of_what(tmp_path: Path) -> None:
    restore(MODELS, tmp_path)
    text = (MODELS / "embedder.json").read_text(encoding="utf-8")
    net = build("efficientnet_lite0")
    kept = Checkpoint.read(tmp_path / BEST)
    kept.fill(net)
    told = kept.provenance
    assert told["restored_from"]["sha256"] == json.loads(text)["sha256"]
    assert told["config"] == json.loads(text)["training"]["config"]
    served = OnnxEmbedder.from_bytes(
        (MODELS / "embedder.onnx").read_bytes(),
        EmbedderManifest.from_json(text),
        provider="cpu",
    )
    shown = [
        prepare(collage(seed, _PLAIN, long_side_px=224), input_px=224)
        for seed in range(4)
    ]
    again = embedder(net, "efficientnet_lite0")(np.stack(shown))
    # What is served rounds its activations, too; flat colours feel it most.
    assert (served.embed(shown) * again).sum(axis=1).min() > 0.97


@pytest.mark.parametrize("name", ["localiser", "comparator"])
def test_another_network_is_not_taken_for_an_embedder(name: str) -> None:
    with pytest.raises(ModelError, match="another network"):
        restored((MODELS / f"{name}.onnx").read_bytes(), "efficientnet_lite0", dim=256)


def test_the_mean_of_a_run_and_what_it_went_on_from_is_exported(
    run: Path, tmp_path: Path
) -> None:
    """As a run, by the command; another network's checkpoint is not taken for one."""
    start = run / "first" / LAST
    config = replace(_TINY, max_steps=2, resume=str(start), seed=6)
    train(PictureCache.open(run / "cache"), _sets(), config=config, out=run / "third")
    command = ["average", str(start), str(run / "third" / LAST)]
    made = CliRunner().invoke(app, [*command, "--out", str(tmp_path)])
    assert made.exit_code == 0, made.output
    net, kept = load_run(tmp_path)
    assert kept.provenance["averaged"] == [
        "first/last.pt, step 6",
        "third/last.pt, step 2",
    ]
    name = "features.10.conv.0.0.weight"
    early, late = (
        Checkpoint.read(run / n / LAST).net[name] for n in ("first", "third")
    )
    wanted = (early + late) / 2
    torch.testing.assert_close(net.state_dict()[name], wanted, atol=2e-3, rtol=0)
    other = replace(_TINY, max_steps=0, dim=8, resume=str(start))
    with pytest.raises(InvalidInputError, match="another network"):
        train(PictureCache.open(run / "cache"), [], config=other, out=tmp_path / "no")


def test_a_folder_without_an_embedder_is_not_restored(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no embedder"):
        restore(tmp_path, tmp_path / "out")


def test_a_run_in_another_process_says_by_what_it_found_faces(
    run: Path, tmp_path: Path
) -> None:
    cache = PictureCache.open(run / "cache")
    config = replace(_TINY, max_steps=1, workers=1, models=str(MODELS))
    train(cache, [], config=config, out=tmp_path)
    told = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    localiser = json.loads((MODELS / "localiser.json").read_text(encoding="utf-8"))
    assert told["localiser"] == localiser["sha256"]
    assert len([one for one in _log(tmp_path) if one["event"] == "step"]) == 1


def test_an_altered_file_is_not_restored(tmp_path: Path) -> None:
    for name in ("embedder.json", "embedder.onnx"):
        (tmp_path / name).write_bytes((MODELS / name).read_bytes())
    with (tmp_path / "embedder.onnx").open("ab") as file:
        file.write(b"0")
    with pytest.raises(ModelError, match="not the file that its manifest names"):
        restore(tmp_path, tmp_path / "out")


def test_served_weights_survive_float16(run: Path) -> None:
    net, _ = load_run(run / "first")
    assert all(torch.equal(one, one.half().float()) for one in net.parameters())


def test_the_rate_rises_then_falls_to_zero() -> None:
    rates = [schedule(share, warm_up=0.1) for share in (0.0, 0.05, 0.1, 0.5, 1.0)]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(1.0)
    assert rates[2] > rates[3] > rates[4] == pytest.approx(0.0)


def test_each_part_of_a_network_has_its_own_peak() -> None:
    slow, fast = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    groups: list[dict[str, Any]] = [
        {"params": slow.parameters(), "lr": 0.1},
        {"params": fast.parameters()},
    ]
    optimiser = torch.optim.AdamW(groups, lr=1.0)
    for share in (0.0, 0.05, 0.1, 0.5):
        factor = set_rate(optimiser, share, warm_up=0.1)
        assert factor == schedule(share, warm_up=0.1)
        rates = [group["lr"] for group in optimiser.param_groups]
        assert rates == pytest.approx([0.1 * factor, factor])


def test_the_average_follows_slowly() -> None:
    average, net = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    torch.nn.init.constant_(average.weight, 0.0)
    torch.nn.init.constant_(net.weight, 1.0)
    update_average(average, net, decay=0.9)
    assert average.weight.item() == pytest.approx(0.1)


def _by_mean_colour(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    colour = pictures.reshape(len(pictures), -1, 3).mean(axis=1) - 114
    return np.asarray(colour / np.linalg.norm(colour, axis=1, keepdims=True), "f4")


def _plain(red: int, green: int, blue: int) -> NDArray[np.uint8]:
    return np.full((20, 20, 3), (red, green, blue), np.uint8)


def test_retrieval_counts_the_right_reference_at_rank_one() -> None:
    references = [_plain(250, 0, 0), _plain(0, 250, 0), _plain(0, 0, 250)]
    photos = [_plain(240, 20, 10), _plain(10, 230, 20), _plain(230, 10, 30)]
    one = RetrievalSet("colours", ["r", "g", "b"], references, ["r", "g", "b"], photos)
    measured = evaluate_embedding(_by_mean_colour, [one], input_px=32)["colours"]
    # The third photo is labelled blue but is red: found among five, not first.
    assert measured.recall_at_1 == pytest.approx(2 / 3)
    assert measured.recall_at_5 == 1.0
    assert measured.photos == measured.references == 3


class _InTheMiddle:
    """A localiser to which the middle of every photo is the face, if it is sure."""

    digest, provider = "0", "cpu"

    def __init__(self, confidence: float) -> None:
        self.confidence = confidence

    def locate(self, pixels: Pixels) -> Face:
        height, width = pixels.shape[:2]
        corners = [[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]]
        quad = np.array(corners, np.float32) * np.array([width, height], "f4")
        return Face(quad, self.confidence)


@pytest.mark.parametrize(("confidence", "recall"), [(0.9, 1.0), (0.1, 0.5)])
def test_faces_are_searched_with_where_one_is_found(
    confidence: float, recall: float
) -> None:
    references = [_plain(250, 0, 0), _plain(0, 250, 0)]
    photos = [np.full((80, 80, 3), (0, 240, 20), np.uint8) for _ in range(2)]
    photos[0][20:60, 20:60] = (240, 20, 10)
    one = RetrievalSet("colours", ["r", "g"], references, ["r", "g"], photos)
    faces = by_face(one, _InTheMiddle(confidence))
    measured = evaluate_embedding(_by_mean_colour, [faces], input_px=32)
    assert measured["colours_by_face"].recall_at_1 == recall


def test_checkpoints_are_chosen_by_float_and_sign_recall_alike() -> None:
    references = [_plain(250, 0, 0), _plain(0, 250, 0)]
    one = RetrievalSet("colours", ["r", "g"], references, ["r", "g"], references)
    metrics = evaluate_embedding(_by_mean_colour, [one], input_px=32)
    assert mean_recall(metrics) == 1.0

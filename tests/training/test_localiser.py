import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from localiser_scenes import materials, real_scene
from small_localiser import bright_is_print, localiser_of
from small_world import printed_mark
from typer.testing import CliRunner
from unsettled import as_after_training

from touchstone.bootstrap import open_localiser
from touchstone.engine.embedding import Vectors
from touchstone.engine.image import Pixels
from touchstone.engine.localisation import CELL_PX, FRAME_PX, framed
from touchstone.errors import ModelError
from touchstone.settings import Settings
from touchstone_training.checkpoints import BEST, Checkpoint
from touchstone_training.embedder.retrieval import RetrievalSet
from touchstone_training.localiser import release
from touchstone_training.localiser.accuracy import (
    Located,
    accuracy,
    accuracy_of_both,
    chosen_by,
    corner_distance,
    held_out_scenes,
    overlap,
)
from touchstone_training.localiser.commands import app
from touchstone_training.localiser.learn import (
    LearnConfig,
    answered,
    learn,
    losses_of,
)
from touchstone_training.localiser.measuring import places, recalls
from touchstone_training.localiser.network import LocaliserNet, centred
from touchstone_training.localiser.pack import (
    Pack,
    read_pack,
)
from touchstone_training.localiser.restoring import restore, restored
from touchstone_training.localiser.scenes import Scene, draw_scene
from touchstone_training.localiser.views import Looks, batched, look
from touchstone_training.simulator.surfaces import SHAPES

MODELS = Path(__file__).parents[2] / "models"


# --- scenes ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_the_print_lies_in_the_quad_that_is_told(shape: str) -> None:
    alike = []
    for seed in range(6):
        scene = draw_scene(materials(), np.random.default_rng(seed), shape=shape)
        assert scene.shape == shape
        assert scene.quad is not None
        filled = np.zeros(scene.printed.shape, np.uint8)
        cv2.fillConvexPoly(filled, np.round(scene.quad - 0.5).astype(np.int32), 1)
        printed = scene.printed > 127
        both = float((printed & (filled > 0)).sum())
        alike.append(both / float((printed | (filled > 0)).sum()))
    assert min(alike) > 0.7
    assert np.median(alike) > 0.9


def test_one_seed_gives_one_scene() -> None:
    first, again, other = (
        draw_scene(materials(), np.random.default_rng(seed)) for seed in (4, 4, 5)
    )
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.printed, again.printed)
    assert not np.array_equal(first.pixels, other.pixels)


def test_some_scenes_show_no_package_some_stand_and_some_are_cut_off() -> None:
    rng = np.random.default_rng(1)
    scenes = [draw_scene(materials(), rng) for _ in range(40)]
    without = [scene for scene in scenes if scene.quad is None]
    assert 0 < len(without) < 20
    assert all(scene.printed.max() == 0 for scene in without)
    assert any(s.pixels.shape[0] > s.pixels.shape[1] for s in scenes)
    cut = [s for s in scenes if s.quad is not None and not s.is_whole]
    assert 0 < len(cut) < 30


# --- looks ----------------------------------------------------------------------------


def test_a_look_moves_print_and_corners_as_it_moves_the_picture() -> None:
    # A scene whose picture is its own print: wherever it goes, they must agree.
    quad = np.array([[60, 50], [250, 60], [240, 190], [70, 200]], np.float32)
    printed = np.zeros((240, 320), np.uint8)
    cv2.fillConvexPoly(printed, np.round(quad - 0.5).astype(np.int32), 255)
    scene = Scene(np.dstack([printed] * 3), printed, quad, "flat", is_whole=True)
    for seed in range(20):
        seen = look(scene, np.random.default_rng(seed))
        bright = seen.canvas[..., 0].astype(np.float32)
        cells = (FRAME_PX[0] // CELL_PX, FRAME_PX[1] // CELL_PX)
        small = cv2.resize(bright, cells, interpolation=cv2.INTER_AREA)
        at = np.argwhere(seen.printed > 0.99)
        off = np.argwhere(seen.printed < 0.01)
        assert small[tuple(at.T)].min() > small[tuple(off.T)].max() - 140
        assert small[tuple(at.T)].mean() > small[tuple(off.T)].mean() + 60
        edge = (seen.printed > 0.02) & (seen.printed < 0.98)
        for row, column in np.argwhere(seen.corners > 0.7):
            near = edge[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
            assert near.any()


def test_a_look_without_chance_is_what_the_service_sees() -> None:
    scene = draw_scene(materials(), np.random.default_rng(2), shape="flat")
    seen = look(scene)
    assert np.array_equal(seen.canvas, framed(scene.pixels).canvas)
    assert seen.shown == 1.0
    assert 0 <= seen.printed.min() <= seen.printed.max() <= 1


def test_batches_come_without_end_and_by_seed() -> None:
    def first(seed: int) -> torch.Tensor:
        return next(iter(Looks(materials(), batch=8, seed=seed)))[0]

    assert first(1).shape == (8, FRAME_PX[1], FRAME_PX[0], 3)
    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


# --- learning -------------------------------------------------------------------------


def test_a_tiny_network_learns_where_print_lies_within_seconds() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    scenes = [
        draw_scene(materials(), rng, shape="flat", size_px=(320, 240)) for _ in range(6)
    ]
    canvas, printed, corners, shown = batched([look(scene) for scene in scenes])
    net = LocaliserNet((8, 8, 16, 16, 16))
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        parts = losses_of(net(centred(canvas)), printed, corners, shown)
        loss = torch.stack(parts).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_a_run_leaves_its_checkpoints_its_metrics_and_where_it_came_from(
    pack_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "_MEASURED_SCENES", 5)
    config = replace(
        LearnConfig(), minutes=0.02, batch=4, eval_scenes=6, workers=0, seed=3
    )
    best = learn(pack_file, tmp_path / "run", config)
    assert 0 <= best["mean_iou"] <= 1
    assert best["real"]["faces"] == 1
    kept = Checkpoint.read(tmp_path / "run" / BEST)
    kept.fill(LocaliserNet())
    told = kept.provenance
    assert told["config"]["seed"] == 3
    assert told["pictures"] == hashlib.sha256(pack_file.read_bytes()).hexdigest()
    assert told["commit"]
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["event"] == "held_out"
    manifest = release.release_localiser(
        tmp_path / "run", pack_file, tmp_path / "m", version="1", is_int8=False
    )
    served = (tmp_path / "m" / "localiser.onnx").read_bytes()
    assert localiser_of(served).digest == manifest["sha256"]
    assert manifest["training"]["config"]["seed"] == 3
    assert manifest["held_out"]["served"] == manifest["held_out"]["float32"]
    assert manifest["held_out"]["served"]["real"]["faces"] == 1


# --- release --------------------------------------------------------------------------


def settled_net() -> LocaliserNet:
    """A network whose averages have seen frames, as after training."""
    torch.manual_seed(1)
    net = LocaliserNet((8, 8, 16, 16, 16)).train()
    scenes = [draw_scene(materials(), np.random.default_rng(n)) for n in range(4)]
    with torch.no_grad():
        for _ in range(12):
            net(centred(batched([look(scene) for scene in scenes])[0]))
    return net.eval()


def test_the_file_that_is_served_answers_as_the_trained_network() -> None:
    net = settled_net()
    frames = [
        framed(draw_scene(materials(), np.random.default_rng(n)).pixels)
        for n in range(10, 18)
    ]
    full = localiser_of(release.to_onnx(net))
    small = localiser_of(release.in_int8(net, [frame.canvas for frame in frames]))
    for frame in frames[:4]:
        expected = answered(net, frame)
        exact, rounded = full.answer(frame.canvas), small.answer(frame.canvas)
        assert np.allclose(exact.printed, expected.printed, atol=1e-3)
        assert np.allclose(exact.corners, expected.corners, atol=1e-3)
        assert exact.shown == pytest.approx(expected.shown, abs=1e-3)
        spread = float(np.std(expected.printed)) + 1e-6
        error = float(np.abs(rounded.printed - expected.printed).mean())
        assert error < 0.25 * spread


def test_what_was_exported_is_restored_to_the_same_network() -> None:
    torch.manual_seed(3)
    net = LocaliserNet()
    as_after_training(net, seed=3)
    again = restored(release.to_onnx(net.eval()))
    values = centred(torch.randint(0, 256, (1, *FRAME_PX[::-1], 3)))
    with torch.inference_mode():
        for one, other in zip(net(values), again(values), strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-3)


def test_the_shipped_localiser_is_restored_and_says_of_what(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["restore", "--out", str(tmp_path)]).exit_code == 0
    kept = Checkpoint.read(tmp_path / BEST)
    net = LocaliserNet().eval()
    kept.fill(net)
    manifest = json.loads((MODELS / "localiser.json").read_bytes())
    told = kept.provenance
    assert told["restored_from"]["sha256"] == manifest["sha256"]
    served = open_localiser(Settings.load(model_dir=MODELS, provider="cpu"))
    assert served is not None
    frame = framed(printed_mark(1, size_px=(320, 240)))
    one, other = answered(net, frame), served.answer(frame.canvas)
    agreement = np.corrcoef(one.printed.ravel(), other.printed.ravel())[0, 1]
    assert agreement > 0.99


def test_training_goes_on_from_what_is_served(pack_file: Path, tmp_path: Path) -> None:
    """A step of no length leaves it as it was, its normalisation too."""
    restore(MODELS, tmp_path / "restored")
    start = tmp_path / "restored" / "best.pt"
    config = replace(
        LearnConfig(),
        max_steps=1, batch=4, eval_scenes=4, workers=0, peak_rate=0.0,
        resume=str(start),
    )  # fmt: skip
    learn(pack_file, tmp_path / "run", config)
    before, after = (
        Checkpoint.read(file) for file in (start, tmp_path / "run" / "last.pt")
    )
    for name, kept in before.net.items():
        torch.testing.assert_close(after.net[name], kept)
    assert after.provenance["resumed_from"] == before.provenance
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    held = [one for one in map(json.loads, lines) if one["event"] == "held_out"]
    assert [one["step"] for one in held] == [0, 1]


@pytest.mark.parametrize("name", ["embedder", "comparator"])
def test_another_network_is_not_taken_for_a_localiser(name: str) -> None:
    with pytest.raises(ModelError, match="another network"):
        restored((MODELS / f"{name}.onnx").read_bytes())


def test_int8_that_costs_too_much_is_not_released() -> None:
    def told(drawn: float, real: float) -> dict[str, Any]:
        return {"mean_iou": drawn, "real": {"mean_iou": real}}

    full = told(0.9, 0.7)
    release.check_cost({"float32": full, "served": told(0.895, 0.695)})
    for served in (told(0.88, 0.72), told(0.91, 0.68)):
        with pytest.raises(ModelError, match="costs too much"):
            release.check_cost({"float32": full, "served": served})


# --- accuracy -------------------------------------------------------------------------


def test_overlap_and_corner_distance_are_what_geometry_says() -> None:
    square = np.array([[0, 0], [100, 0], [100, 100], [0, 100]], np.float32)
    half = square * np.array([0.5, 1], np.float32)
    aside = square + np.float32(500)
    size = (1000, 1000)
    assert overlap(square, square, size) == pytest.approx(1)
    assert overlap(square, half, size) == pytest.approx(0.5)
    assert overlap(square, aside, size) == 0
    assert overlap(square, square * 4, (100, 100)) == pytest.approx(1)
    assert corner_distance(square, np.roll(square, 2, axis=0)) == 0
    assert corner_distance(square, square + np.float32(3)) == pytest.approx(3 * 2**0.5)


def test_accuracy_tells_faces_from_none() -> None:
    found = [
        Located("flat", True, 0.9, 0.95, 0.004),
        Located("pouch", False, 0.2, 0.5, 0.3),
        Located("none", False, 0.7, 0.0, 1.0),
        Located("none", False, 0.1, 0.0, 1.0),
    ]
    told = accuracy(found)
    assert told["mean_iou"] == pytest.approx(0.725)
    assert told["corner_error_median"] == pytest.approx(0.004)
    assert told["found"] == told["false_finds"] == 0.5
    assert accuracy([])["mean_iou"] == 0


def test_scenes_that_are_held_out_are_always_the_same(pack: Pack) -> None:
    first, again = (held_out_scenes(pack, 3, shape="flat") for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.pixels, other.pixels)


# --- what it is worth -----------------------------------------------------------------


def test_places_are_measured_by_shape(pack: Pack) -> None:
    drawn = replace(pack, held_scenes=())
    told = places(localiser_of(bright_is_print()), drawn, scenes=2)
    assert set(told) == {"all", "mixed", *SHAPES}
    assert told["flat"]["faces"] == 2


def test_real_places_are_measured_where_there_are_any(pack: Pack) -> None:
    told = places(localiser_of(bright_is_print()), pack, scenes=1)
    assert told["real"]["faces"] == 1
    assert told["all"]["faces"] == len(SHAPES) + told["mixed"]["faces"]


def test_checkpoints_are_chosen_by_drawn_and_real_places_alike() -> None:
    real = real_scene()
    scenes = [real, replace(real, shape="flat"), real]
    found = iter([0.7, 0.5, 0.9])

    def located_in(scene: Scene) -> Located:
        return Located(scene.shape, True, 0.9, next(found), 0.01)

    told = accuracy_of_both(located_in, scenes)
    assert (told["mean_iou"], told["real"]["mean_iou"]) == (0.5, 0.8)
    assert chosen_by(told) == pytest.approx(0.65)
    assert chosen_by(accuracy([])) == 0


class _Blocks:
    """An embedder by the mean colours of a coarse grid."""

    digest, dim, provider = "0" * 64, 75, "cpu"

    def embed(self, pictures: Sequence[Pixels]) -> Vectors:
        rows = [
            cv2.resize(one, (5, 5), interpolation=cv2.INTER_AREA).ravel() - 128.0
            for one in pictures
        ]
        made = np.asarray(rows, np.float32)
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True))


def test_a_face_that_is_found_makes_search_right_where_the_whole_photo_misleads() -> (
    None
):
    names = [str(n) for n in range(4)]
    faces = [printed_mark(n, size_px=(320, 240)) for n in range(4)]
    photos = []
    for face in faces:
        photo = np.zeros((480, 640, 3), np.uint8)
        photo[30:110, 20:127] = cv2.resize(face, (107, 80))
        photos.append(photo)
    one = RetrievalSet("corner", names, faces, names, photos)
    told = recalls(localiser_of(bright_is_print(level=60)), _Blocks(), [one])["corner"]
    assert told["face"] == told["served"] == 1.0
    assert told["whole"] < 1.0


def test_the_commands_draw_a_pack_and_say_what_is_missing(tmp_path: Path) -> None:
    run = CliRunner()
    pack = tmp_path / "pack.npz"
    made = run.invoke(
        app,
        ["pictures", "--out", str(pack), "--designs", "12", "--long-side-px", "96"],
    )
    assert made.exit_code == 0, made.output
    assert len(read_pack(pack).held_out) == 1
    missing = run.invoke(
        app, ["measure", "--pictures", str(pack), "--models", str(tmp_path)]
    )
    assert isinstance(missing.exception, Exception)

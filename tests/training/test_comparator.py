"""The learned comparator: from photographs to a served file, in small."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from unsettled import as_after_training

from touchstone.engine.comparator import ComparatorManifest, OnnxComparator
from touchstone.engine.comparison import CLOSER_SIDE_PX, COMPARISON_SIDE_PX
from touchstone.errors import InvalidInputError, ModelError
from touchstone_training.checkpoints import BEST, Checkpoint
from touchstone_training.comparator.aligned import Packed, pack, packed
from touchstone_training.comparator.learn import LearnConfig
from touchstone_training.comparator.lessons import (
    CROP_PX,
    Lessons,
    lesson,
)
from touchstone_training.comparator.network import STRIDE, ComparatorNet
from touchstone_training.comparator.pairs import PairOptions, make_pairs
from touchstone_training.comparator.release import (
    release_comparator,
    to_onnx,
)
from touchstone_training.comparator.restoring import restore, restored
from touchstone_training.comparator.tune import (
    as_learned,
    held_out,
    planes_of,
    tune,
)
from touchstone_training.comparator.varying import photographed_once_more, with_finger
from touchstone_training.measuring import GENUINE
from touchstone_training.releasing import without_folders

MODELS = Path(__file__).parents[2] / "models"
EASY = PairOptions(genuine=1, forged=2, difficulty=0.0)


@pytest.fixture(scope="module")
def photographed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    make_pairs(folder, designs=2, options=EASY)
    return folder


@pytest.fixture(scope="module")
def aligned(photographed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("aligned")
    pack(photographed, folder)
    return folder


@pytest.fixture(scope="module")
def pairs(aligned: Path) -> list[Packed]:
    return packed(aligned)


def test_a_long_run_goes_on_where_it_was_stopped(photographed: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in photographed.rglob("*.jpg")}
    make_pairs(photographed, designs=2, options=EASY)
    after = {path: path.stat().st_mtime_ns for path in photographed.rglob("*.jpg")}
    assert before == after
    assert not list(photographed.glob(".*"))


def test_the_same_seed_gives_the_same_photographs(
    photographed: Path, tmp_path: Path
) -> None:
    make_pairs(tmp_path, designs=1, options=EASY)
    for path in tmp_path.rglob("*.jpg"):
        twin = photographed / path.relative_to(tmp_path)
        assert twin.read_bytes() == path.read_bytes()


def test_an_aligned_pair_lies_where_its_reference_does(pairs: list[Packed]) -> None:
    genuine = next(pair for pair in pairs if pair.is_genuine)
    planes = np.load(genuine.path)
    expected, seen = (
        cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY).astype(float)
        for part in (planes[..., :3], planes[..., 3:6])
    )
    inside = planes[..., 6] > 0
    together = np.corrcoef(expected[inside], seen[inside])[0, 1]
    apart = np.corrcoef(expected[inside], np.roll(seen, 9, axis=1)[inside])[0, 1]
    assert together > 0.8
    assert together > apart + 0.2


def test_pairs_are_as_large_as_the_comparator_is_shown_them(
    pairs: list[Packed],
) -> None:
    sides = {max(np.load(pair.path, mmap_mode="r").shape) for pair in pairs}
    assert CLOSER_SIDE_PX in sides
    assert sides <= {CLOSER_SIDE_PX, COMPARISON_SIDE_PX}


def test_only_forged_pairs_have_changed_places(pairs: list[Packed]) -> None:
    for pair in pairs:
        has_changed = bool((np.load(pair.path)[..., 7] > 0).any())
        assert has_changed == (pair.kind != GENUINE)


def test_no_design_is_trained_on_and_held_out(pairs: list[Packed]) -> None:
    train, held = held_out(pairs, 0.5)
    assert train
    assert held
    assert not {one.design for one in train} & {one.design for one in held}


@pytest.mark.parametrize("crop_px", [CROP_PX, 640])
def test_a_lesson_asks_only_where_the_pair_can_be_compared(
    pairs: list[Packed], crop_px: int
) -> None:
    rng = np.random.default_rng(3)
    for _ in range(12):
        made = lesson(pairs, rng, crop_px=crop_px)
        assert made.planes.shape == (7, crop_px, crop_px)
        valid = cv2.resize(
            made.planes[6], made.counts.shape[::-1], interpolation=cv2.INTER_AREA
        )
        assert not made.counts[valid < 200].any()
        assert made.told[0] or not made.target[made.counts > 0].any()


def test_a_larger_crop_shows_more_of_the_face(pairs: list[Packed]) -> None:
    shares = []
    for crop_px in (CROP_PX, 640):
        rng = np.random.default_rng(4)
        made = [lesson(pairs, rng, crop_px=crop_px) for _ in range(12)]
        shares.append(sum(int((one.planes[6] > 0).sum()) for one in made))
    assert shares[1] > 1.5 * shares[0]


def test_crops_that_the_network_cannot_halve_are_refused(
    aligned: Path, tmp_path: Path
) -> None:
    for crop_px in (0, 390):
        with pytest.raises(InvalidInputError, match="multiple of 16"):
            tune(aligned, tmp_path / "run", LearnConfig(), crop_px=crop_px)
    assert not (tmp_path / "run").exists()


def test_what_a_finger_hides_is_no_change() -> None:
    planes = np.full((CROP_PX, CROP_PX, 8), 200, np.uint8)
    planes[..., 6:] = 255  # all of it is compared, and all of it was changed
    are_found = []
    for seed in range(12):
        held = with_finger(planes, np.random.default_rng(seed))
        hidden, found = held[..., 7] == 0, held[..., 6] == 0
        shown = (held[..., 3:6] == planes[..., 3:6]).all(axis=2)
        assert not (hidden & shown).any()
        assert 0.002 < hidden.mean() < 0.5
        assert np.array_equal(held[..., :3], planes[..., :3])
        # Of a finger that the engine found, some is compared all the same.
        assert not (found & ~hidden).any()
        assert found.sum() < hidden.sum()
        are_found.append(found.any())
    assert any(are_found)
    assert not all(are_found)


def test_a_photo_of_any_shape_is_taken_once_more() -> None:
    rng = np.random.default_rng(6)
    planes = rng.integers(60, 200, (96, 160, 8)).astype(np.uint8)
    changed = 0
    for _ in range(8):
        again = photographed_once_more(planes, rng, varied=1.0)
        assert again.shape == planes.shape
        np.testing.assert_array_equal(again[..., 6:], planes[..., 6:])
        changed += not np.array_equal(again, planes)
    assert changed >= 7
    still = photographed_once_more(planes, rng, varied=0.0)
    np.testing.assert_array_equal(still, planes)


def test_batches_are_half_genuine_and_the_same_for_the_same_seed(
    pairs: list[Packed],
) -> None:
    first, second = (next(iter(Lessons(pairs, batch=2, seed=5))) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


def answers(model: bytes, planes: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    digest = hashlib.sha256(model).hexdigest()
    manifest = ComparatorManifest("x", "0", digest)
    served = OnnxComparator.from_bytes(model, manifest, provider="cpu")
    return list(served.answer(planes))


def test_the_served_file_answers_as_the_network_for_any_frame() -> None:
    torch.manual_seed(0)
    net = ComparatorNet().eval()
    model = to_onnx(net)
    rng = np.random.default_rng(0)
    for side in ((64, 64), (160, 128), (640, 464)):
        planes = rng.integers(0, 256, (1, *side, 8)).astype(np.uint8)
        planes[..., 6] = 255
        cells, told = answers(model, planes)
        with torch.inference_mode():
            wanted, wanted_told = net(as_learned(planes))
        assert cells.shape == (side[0] // STRIDE, side[1] // STRIDE)
        np.testing.assert_allclose(cells, wanted[0].numpy(), atol=0.01)
        np.testing.assert_allclose(told, wanted_told[0].numpy(), atol=0.01)


def test_what_was_exported_is_restored_to_the_same_network() -> None:
    torch.manual_seed(1)
    net = ComparatorNet()
    as_after_training(net, seed=1)
    again = restored(to_onnx(net.eval()))
    planes = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 8), np.uint8)
    with torch.inference_mode():
        for one, other in zip(
            net(as_learned(planes)), again(as_learned(planes)), strict=True
        ):
            np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-3)


def test_the_shipped_comparator_is_restored_and_says_of_what(tmp_path: Path) -> None:
    restore(MODELS, tmp_path)
    kept = Checkpoint.read(tmp_path / BEST)
    net = ComparatorNet().eval()
    kept.fill(net)
    manifest = json.loads((MODELS / "comparator.json").read_bytes())
    made = kept.provenance
    assert made["restored_from"]["sha256"] == manifest["sha256"]
    assert made["config"] == manifest["training"]["config"]
    # Two prints that differ in a block: rounding moves log odds by tenths.
    planes = np.full((1, 320, 240, 8), 255, np.uint8)
    planes[:, 60:100, 40:160, :6] = 60
    planes[:, 200:240, 60:180, 3:6] = 20
    cells, told = answers((MODELS / "comparator.onnx").read_bytes(), planes)
    with torch.inference_mode():
        wanted, wanted_told = (one[0].numpy() for one in net(as_learned(planes)))
    assert wanted[50:60, 15:45].max() > wanted[:40].max() + 2
    assert np.corrcoef(cells.ravel(), wanted.ravel())[0, 1] > 0.98
    np.testing.assert_allclose(told, wanted_told, atol=0.6)


def test_another_network_is_not_taken_for_a_comparator() -> None:
    with pytest.raises(ModelError, match="another network"):
        restored((MODELS / "localiser.onnx").read_bytes())


def test_a_short_training_ends_in_a_served_file(aligned: Path, tmp_path: Path) -> None:
    config = replace(
        LearnConfig(),
        minutes=0.1,
        batch=2,
        threads=1,
        workers=0,
        held_out_share=0.5,
    )
    best = tune(aligned, tmp_path / "run", config)
    assert 0 <= best["auroc"] <= 1
    manifest = release_comparator(
        tmp_path / "run", aligned, tmp_path / "out", version="0", is_int8=False
    )
    assert manifest["training"]["config"]["seed"] == 0
    written = json.loads((tmp_path / "out" / "comparator.json").read_text())
    assert written["sha256"] == manifest["sha256"]
    assert planes_of(packed(aligned)[0].path).shape[3] == 8


def test_no_folder_of_the_training_machine_is_told_however_deep() -> None:
    before = {"config": {"resume": "/a/b/best.pt", "minutes": 3}}
    told = without_folders({"config": {"init": None}, "resumed_from": before})
    assert told == {
        "config": {"init": None},
        "resumed_from": {"config": {"resume": "best.pt", "minutes": 3}},
    }
    assert before["config"]["resume"] == "/a/b/best.pt"

"""Lessons that are drawn, printed and photographed on the device that trains."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from touchstone.engine.normalisation import relight
from touchstone_training.checkpoints import BEST, Checkpoint
from touchstone_training.comparator import reprints
from touchstone_training.comparator.darkroom import Chance, frames, jpeg
from touchstone_training.comparator.faces import FACES, MASK_PX, Sheets, sheet
from touchstone_training.comparator.learn import (
    Batch,
    LearnConfig,
    StudioConfig,
    cell_weights,
    learn,
    repeated,
)
from touchstone_training.comparator.relighting import relit
from touchstone_training.comparator.scans import scans
from touchstone_training.comparator.studio import SORTS, Lesson, Studio
from touchstone_training.simulator.artwork import design, render
from touchstone_training.simulator.printing import to_lab as to_lab_of_one

CANVAS = (224, 320)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tensors() -> list[tuple[torch.Tensor, ...]]:
    sheets = iter(Sheets(first_seed=7, designs=2, canvas=CANVAS))
    return [next(sheets) for _ in range(2)]


def studio(tensors: list[tuple[torch.Tensor, ...]], *, seed: int = 3) -> Studio:
    room = Studio(tensors, device=CPU, canvas=CANVAS, designs=2, seed=seed)
    room.take_in(at_least=2)
    return room


def as_torch(pixels: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]


def test_a_sheet_says_where_each_face_differs_from_the_genuine_print() -> None:
    made = sheet(7, CANVAS)
    assert made.pixels.shape == (FACES, *CANVAS, 3)
    usual = made.pixels[1].astype(int)
    for face, changed in zip(made.pixels[1:], made.changed[1:], strict=True):
        apart = np.abs(face.astype(int) - usual).max(axis=2) > 12
        told = changed.repeat(MASK_PX, axis=0).repeat(MASK_PX, axis=1) > 0
        assert not (apart & ~told).any()
    assert made.changed[2:].any()


def test_the_reference_differs_from_the_print_in_variable_data_alone() -> None:
    made = sheet(7, CANVAS)
    apart = np.abs(made.pixels[0].astype(int) - made.pixels[1]).max(axis=2) > 12
    compared = made.compared.repeat(MASK_PX, axis=0).repeat(MASK_PX, axis=1) > 0
    assert apart.any()
    assert not (apart & compared).any()


def test_the_same_seed_gives_the_same_lessons(
    tensors: list[tuple[torch.Tensor, ...]],
) -> None:
    first, second = (studio(tensors).lesson(3) for _ in range(2))
    assert torch.equal(first.planes, second.planes)
    assert torch.equal(first.target, second.target)
    other = studio(tensors, seed=4).lesson(3)
    assert not torch.equal(first.planes, other.planes)


def lessons(tensors: list[tuple[torch.Tensor, ...]]) -> Iterator[Lesson]:
    room = studio(tensors)
    for _ in range(6):
        yield room.lesson(12)


def test_lessons_ask_where_pairs_are_compared_and_name_the_way(
    tensors: list[tuple[torch.Tensor, ...]],
) -> None:
    seen = set()
    for made in lessons(tensors):
        for n, sort in enumerate(made.sorts.tolist()):
            seen.add(SORTS[sort])
            is_another, *ways = made.told[n].tolist()
            assert is_another == sum(ways)
            is_changed = bool((made.target[n] * made.counts[n]).any())
            assert not is_changed or ways[0] == 1
            if SORTS[sort] == "genuine":
                assert not is_another
            elif SORTS[sort] not in {"drawn", "altered"}:
                assert is_another
                assert not made.counts[n].any()
    assert len(seen) >= 5


def test_a_genuine_lesson_shows_the_same_print_twice(
    tensors: list[tuple[torch.Tensor, ...]],
) -> None:
    found = []
    for made in lessons(tensors):
        for n, sort in enumerate(made.sorts.tolist()):
            if SORTS[sort] != "genuine":
                continue
            planes = made.planes[n].numpy().astype(float)
            inside = planes[6] > 0
            expected, seen = planes[:3].mean(0)[inside], planes[3:6].mean(0)[inside]
            if inside.mean() > 0.2 and expected.std() > 10:
                found.append(np.corrcoef(expected, seen)[0, 1])
    assert len(found) >= 10
    assert np.median(found) > 0.85


def test_relighting_is_the_engines_own() -> None:
    rng = np.random.default_rng(0)
    reference = np.ascontiguousarray(render(design(11), long_side_px=320)[:160, :160])
    shade = cv2.resize(rng.normal(1, 0.2, (3, 3)).astype(np.float32), (160, 160))
    lit = 255 * (reference / 255.0) ** 1.2 * shade[..., None] * [1.1, 0.95, 0.8]
    photo = np.clip(lit + rng.normal(0, 3, lit.shape), 0, 255).astype(np.uint8)
    valid = np.ones((160, 160), np.float32)
    valid[:20] = 0
    ours = relit(
        as_torch(reference), as_torch(photo), torch.from_numpy(valid)[None, None]
    )[0].permute(1, 2, 0)
    engines = relight(reference, photo, valid).expected
    gap = np.abs(ours.numpy() - engines)
    assert gap.mean() < 1
    assert np.abs(photo.astype(float) - engines).mean() > 3 * gap.mean()


def test_compression_leaves_what_libjpeg_leaves() -> None:
    pixels = np.ascontiguousarray(render(design(12), long_side_px=320)[:144, :160])
    ours = jpeg(as_torch(pixels) / 255, torch.full((1, 1, 1, 1), 50.0)) * 255
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 50])
    theirs = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1].astype(float)
    gap = np.abs(ours[0].permute(1, 2, 0).numpy() - theirs).mean()
    assert gap < 0.35 * np.abs(pixels - theirs).mean()


def test_colours_go_to_lab_and_back() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    lab = reprints.to_lab(as_torch(pixels) / 255)
    np.testing.assert_allclose(
        lab[0].permute(1, 2, 0).numpy(), to_lab_of_one(pixels), atol=0.6
    )
    back = reprints.from_lab(lab) * 255
    np.testing.assert_allclose(back[0].permute(1, 2, 0).numpy(), pixels, atol=0.6)


def test_a_photograph_lies_over_its_print() -> None:
    pixels = np.ascontiguousarray(render(design(13), long_side_px=320)[:160, :320])
    prints = as_torch(pixels) / 255
    found = frames(
        prints,
        Chance.seeded(5, CPU),
        frame=(80, 160),
        resolution=1.6,
        hardness=torch.zeros(1, 1, 1, 1),
    )
    seen = found[0].mean(0).numpy()
    small = cv2.resize(pixels, (160, 80), interpolation=cv2.INTER_AREA).mean(axis=2)
    assert np.corrcoef(seen.ravel(), small.ravel())[0, 1] > 0.9
    moved = np.roll(small, 3, axis=1)
    assert (
        np.corrcoef(seen.ravel(), small.ravel())[0, 1]
        > np.corrcoef(seen.ravel(), moved.ravel())[0, 1]
    )


def test_each_lesson_is_learned_from_again_and_turned(
    tensors: list[tuple[torch.Tensor, ...]],
) -> None:
    room = studio(tensors)
    stream = repeated(room, 2, 3, seed=0)
    batches = [next(stream) for _ in range(6)]
    told = [batch.told for batch in batches]
    assert all(torch.equal(one, told[0]) for one in told[1:3])
    assert any(
        batch.planes.shape != batches[0].planes.shape
        or not torch.equal(batch.planes, batches[0].planes)
        for batch in batches[1:3]
    )
    assert all(
        any(torch.equal(one, fresh) for fresh in (told[0], told[3])) for one in told[4:]
    )


def test_a_change_of_few_cells_counts_as_much_as_a_larger_one() -> None:
    target, counts = torch.zeros(4, 16, 16), torch.ones(4, 16, 16)
    target[0, :2, :2], target[1, :4, :4], target[2, :8, :8] = 1, 1, 1
    counts[:, 15] = 0
    told = torch.zeros(4, 5)
    batch = Batch(torch.zeros(4, 7, 64, 64), target, counts, told)
    config = replace(LearnConfig(), positive_weight=4.0, least_cells=16.0)
    weights = cell_weights(batch, config)
    of_change = (weights * target).sum((1, 2))
    assert of_change.tolist() == [64.0, 64.0, 4.0 * 64, 0.0]
    assert torch.equal(weights * (1 - target), counts * (1 - target))
    target[0, 1:, :] = 0
    target[0, :, 1:] = 0
    assert cell_weights(batch, config).max() == 4.0 * 8  # a speck is no more than that


_BARE_MACHINE = """
import sys
class Missing:
    def find_spec(self, name, *_):
        if name in {"faiss", "sqlalchemy", "fastapi"}:
            raise ImportError(name)
sys.meta_path.insert(0, Missing())
import touchstone_training.comparator.drawing
"""


def test_lessons_are_learned_on_a_machine_without_search_or_database() -> None:
    command = [sys.executable, "-c", _BARE_MACHINE]
    subprocess.run(command, check=True, timeout=60)  # noqa: S603 - our own words


def test_a_short_training_on_drawn_lessons_keeps_a_checkpoint(tmp_path: Path) -> None:
    config = replace(
        LearnConfig(), minutes=0.05, batch=2, threads=1, workers=0, eval_pairs=16
    )
    drawn = StudioConfig(canvas=CANVAS, kept=2, first=1, held_out=1)
    best = learn(tmp_path, config, drawn)
    assert best["step"] > 0
    kept = Checkpoint.read(tmp_path / BEST)
    assert kept.net["stem.0.weight"].shape[1] == 7


def test_some_references_are_scans_and_the_others_stay_as_they_are() -> None:
    pixels = np.ascontiguousarray(render(design(12), long_side_px=320)[:144, :160])
    references = (as_torch(pixels) / 255).repeat(24, 1, 1, 1)
    made = scans(references, Chance.seeded(3, CPU))
    apart = (made - references).abs().mean((1, 2, 3))
    is_scan = apart > 0
    assert 4 < is_scan.sum() < 20
    assert apart[is_scan].min() > 0.003
    assert apart[is_scan].max() < 0.3
    assert made.min() >= 0
    assert made.max() <= 1

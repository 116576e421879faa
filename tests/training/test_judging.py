"""The whole-print numbers, learned anew on whole faces."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from touchstone.errors import InvalidInputError
from touchstone_training.checkpoints import BEST, Checkpoint
from touchstone_training.comparator.aligned import Packed
from touchstone_training.comparator.judging import (
    _PARTS,
    PLANTED,
    JudgingConfig,
    Summaries,
    _balance,
    _head,
    _summaries,
    judge,
    relearn,
)
from touchstone_training.comparator.network import SUSPICIONS, ComparatorNet
from touchstone_training.comparator.pairs import META
from touchstone_training.comparator.release import release_comparator
from touchstone_training.measuring import GENUINE
from touchstone_training.ranking import auroc

SHORT = JudgingConfig(steps=300, batch=64)


def aligned(folder: Path, *, forged: int) -> Path:
    """Write four designs, two genuine pairs and some ``forged`` ones of each."""
    for design in range(400_000, 400_004):
        kinds = ["genuine", "genuine", *["missing_element"] * forged]
        (folder / str(design)).mkdir(parents=True)
        rows = []
        for number, kind in enumerate(kinds):
            planes = np.full((192, 128, 8), 255, np.uint8)
            planes[..., :6] = 150
            planes[..., 7] = 0
            if kind != "genuine":
                planes[60:100, 30:90, 3:6] = 20
                planes[60:100, 30:90, 7] = 255
            np.save(folder / str(design) / f"{number}.npy", planes)
            rows.append({"file": f"{number}.npy", "kind": kind, "severity": 0.5})
        meta = folder / str(design) / META
        meta.write_text(json.dumps(rows), encoding="utf-8")
    return folder


def checkpoint(folder: Path) -> tuple[Path, ComparatorNet]:
    torch.manual_seed(1)
    net = ComparatorNet().eval()
    Checkpoint(net.state_dict(), 7, {}, {"config": {"seed": 3}}).write(folder / BEST)
    return folder, net


def summaries(count: int) -> Summaries:
    """Genuine and forged, told by one number of the map of another size than most."""
    generator = torch.Generator().manual_seed(2)
    told = torch.zeros(count, 5)
    told[::4, :2] = 1
    means = torch.randn(count, 224, generator=generator) * 0.01 + 5
    most = torch.randn(count, SUSPICIONS, generator=generator) * 0.01 + 5
    most[:, 3] += 0.02 * told[:, 0]
    return Summaries(torch.cat([most, means], dim=1), told)


def test_the_numbers_are_told_from_inputs_as_the_network_reads_them() -> None:
    torch.manual_seed(0)
    net, known = ComparatorNet().eval(), summaries(800)
    relearn(net, known, SHORT)
    with torch.inference_mode():
        whole = net.judged(known.seen)[:, :2].numpy()
    is_forged = known.told[:, 0].numpy() > 0
    for numbers in whole.T:
        assert auroc(numbers[is_forged], numbers[~is_forged]) > 0.9
    # Both sides count alike, though three of four are genuine.
    assert whole[is_forged, 0].mean() > 0.5
    assert whole[~is_forged, 0].mean() < -0.5


def test_both_sides_of_the_whole_count_alike_and_each_way_as_it_comes() -> None:
    counts = _balance(torch.tensor([True, False, False, False]))
    torch.testing.assert_close(counts[:, 0], torch.tensor([2.0, *[2 / 3] * 3]))
    torch.testing.assert_close(counts[:, 1:], torch.ones(4, 4))


def test_several_heads_answer_as_their_mean() -> None:
    net, known = ComparatorNet().eval(), summaries(200)
    seen = known.seen
    evened = (seen - seen.mean(0)) / (seen.std(0) + 1e-3)  # none lies 5 spreads off
    assert evened.abs().max() < 5
    balance = _balance(known.told[:, 0] > 0)
    torch.manual_seed(3)
    wanted = []
    for inputs, answers in _PARTS:
        told, weight = known.told[:, answers], balance[:, answers]
        heads = [
            _head(evened[:, inputs], told, weight, SHORT) for _ in range(SHORT.members)
        ]
        said = [whole(torch.relu(about(evened[:, inputs]))) for about, whole in heads]
        wanted.append(torch.stack(said).mean(0))
    torch.manual_seed(3)
    relearn(net, known, SHORT)
    with torch.inference_mode():
        torch.testing.assert_close(
            net.judged(seen), torch.cat(wanted, dim=1), atol=2e-3, rtol=1e-3
        )
    with pytest.raises(ValueError, match="5 heads"):
        relearn(net, known, replace(SHORT, members=5))


def test_the_whole_and_its_places_go_by_the_map_alone() -> None:
    torch.manual_seed(0)
    net, known = ComparatorNet().eval(), summaries(300)
    relearn(net, known, SHORT)
    other = known.seen.clone()
    other[:, SUSPICIONS:] += 3
    with torch.inference_mode():
        told, told_of_other = net.judged(known.seen), net.judged(other)
    torch.testing.assert_close(told[:, :2], told_of_other[:, :2])
    assert (told[:, 2:] - told_of_other[:, 2:]).abs().max() > 0.1


def test_the_summary_goes_by_what_can_be_compared_alone() -> None:
    net = ComparatorNet().eval()
    torch.nn.init.zeros_(net.cells.weight)
    said = net.cells.bias
    assert said is not None
    torch.nn.init.constant_(said, -5.0)
    planes = torch.zeros(2, 7, 64, 96)
    planes[1, 6, :, :48] = 255  # of the first nothing can be compared
    with torch.inference_mode():
        none, half = net.summary(planes)[:, :SUSPICIONS] * 4
        alone = net.summary(planes[1:])[0, :SUSPICIONS] * 4
    torch.testing.assert_close(half, alone)
    # Most suspicious, the mean of a few, the worst patch; all the same on this map.
    torch.testing.assert_close(half[:3], torch.full((3,), -5.0))
    torch.testing.assert_close(none[:3], torch.full((3,), -12.0))
    # Over no level, among half of the cells.
    cells = 16 * 24 / 2
    assert half[3:8].abs().max() < np.log1p(cells * 0.02)
    torch.testing.assert_close(half[8], torch.tensor(np.log1p(cells)).float())
    torch.nn.init.constant_(said, 3.0)
    with torch.inference_mode():
        half = net.summary(planes)[1, :SUSPICIONS] * 4
    # Over -4, -2, 0 and 2 all of them, over 4 none.
    wanted = [np.log1p(cells)] * 4
    assert half[3:7].tolist() == pytest.approx(wanted, abs=0.03)
    assert half[7] < wanted[0] / 2


def test_the_map_stays_as_it_is_and_the_numbers_change(tmp_path: Path) -> None:
    run, before = checkpoint(tmp_path / "run")
    data = aligned(tmp_path / "aligned", forged=2)
    config = replace(SHORT, steps=60, held_out_share=0.3)
    told = judge(data, run, tmp_path / "out", config, threads=1)
    assert 0 <= told["before"]["auroc"] <= 1
    assert told["auroc"] == 1.0
    kept, net = Checkpoint.read(tmp_path / "out" / BEST), ComparatorNet()
    kept.fill(net)
    assert kept.provenance["pairs"] == 16
    assert kept.provenance["resumed_from"] == {"config": {"seed": 3}}
    planes = torch.randint(0, 255, (1, 7, 64, 96), dtype=torch.uint8)
    with torch.inference_mode():
        (cells, whole), (old_cells, old_whole) = (
            one.eval()(planes) for one in (net, before)
        )
    torch.testing.assert_close(cells, old_cells)
    assert not torch.allclose(whole, old_whole)


def test_what_was_judged_anew_is_released_as_any_run_is(tmp_path: Path) -> None:
    run, _ = checkpoint(tmp_path / "run")
    data = aligned(tmp_path / "aligned", forged=2)
    config = replace(SHORT, steps=60, held_out_share=0.3)
    judge(data, run, tmp_path / "out", config, threads=1)
    manifest = release_comparator(
        tmp_path / "out", data, tmp_path / "models", version="0", is_int8=False
    )
    assert manifest["training"]["config"]["steps"] == 60


def test_each_real_pair_is_shown_with_a_change_as_well(tmp_path: Path) -> None:
    kept = np.full((320, 240, 8), 255, np.uint8)
    kept[..., 7] = 0
    for text, y in (("Contents 250", 80), ("Store dry", 160), ("Shake well", 240)):
        for plane in (0, 3):
            part = np.ascontiguousarray(kept[..., plane : plane + 3])
            cv2.putText(part, text, (20, y), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (9,) * 3, 2)
            kept[..., plane : plane + 3] = part
    pairs = []
    for design in (300_001, 400_001):  # a real one, and a simulated one
        pairs.append(Packed(tmp_path / f"{design}.npy", design, GENUINE, 0.0))
        np.save(pairs[-1].path, kept)
    net = ComparatorNet()
    kinds, found = _summaries(net, pairs, np.random.default_rng(1))
    assert kinds == [GENUINE, PLANTED, GENUINE]
    assert found.told[:, :2].tolist() == [[0, 0], [1, 1], [0, 0]]
    torch.testing.assert_close(found.seen[0], found.seen[2])
    assert not torch.allclose(found.seen[0], found.seen[1])


def test_genuine_pairs_alone_teach_nothing(tmp_path: Path) -> None:
    run, _ = checkpoint(tmp_path / "run")
    data = aligned(tmp_path / "aligned", forged=0)
    with pytest.raises(InvalidInputError, match="genuine and forged"):
        judge(data, run, tmp_path / "out", SHORT)
    assert not (tmp_path / "out").exists()

"""Checkpoints: what is kept of a run, and means of several."""

from pathlib import Path
from typing import Any

import pytest
import torch

from touchstone.errors import InvalidInputError
from touchstone_training.checkpoints import BEST, LAST, Checkpoint, average


def _kept(
    folder: Path, *, weight: float, step: int, told: dict[str, Any], inputs: int = 2
) -> Path:
    net = {
        "weight": torch.full((1, inputs), weight),
        "seen": torch.tensor(step, dtype=torch.int64),
    }
    Checkpoint(net, step, {"auroc": 0.5}, told).write(folder / LAST)
    return folder / LAST


_FIRST = {"seed": 1}
_SECOND = {"seed": 2, "resumed_from": _FIRST}
_THIRD = {"seed": 3, "resumed_from": _SECOND}


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = _kept(tmp_path / "run", weight=0.5, step=7, told=_SECOND)
    kept = Checkpoint.read(path)
    assert (kept.step, kept.metrics, kept.provenance) == (7, {"auroc": 0.5}, _SECOND)
    torch.testing.assert_close(kept.net["weight"], torch.full((1, 2), 0.5))
    assert list(kept.line()) == [_SECOND, _FIRST]
    assert [one.name for one in path.parent.iterdir()] == [LAST]


def test_the_mean_of_a_line_of_runs_is_a_run_of_its_own(tmp_path: Path) -> None:
    files = [
        _kept(tmp_path / "a", weight=1.0, step=4, told=_FIRST),
        _kept(tmp_path / "b", weight=4.0, step=6, told=_THIRD),
        _kept(tmp_path / "c", weight=7.0, step=8, told=_THIRD),
    ]
    average(files, tmp_path / "mean")
    made = Checkpoint.read(tmp_path / "mean" / BEST)
    torch.testing.assert_close(made.net["weight"], torch.full((1, 2), 4.0))
    assert made.net["seen"].dtype == torch.int64
    assert (made.step, made.metrics) == (8, {})
    names = ["a/last.pt, step 4", "b/last.pt, step 6", "c/last.pt, step 8"]
    assert made.provenance == {**_THIRD, "averaged": names}
    # A run may go on from it, and a mean be taken of both.
    later = {"seed": 4, "resumed_from": made.provenance}
    path = _kept(tmp_path / "d", weight=6.0, step=2, told=later)
    average([tmp_path / "mean" / BEST, path], tmp_path / "again")
    twice = Checkpoint.read(tmp_path / "again" / BEST)
    torch.testing.assert_close(twice.net["weight"], torch.full((1, 2), 5.0))


@pytest.mark.parametrize(
    ("told", "inputs", "why"),
    [
        ({"seed": 9}, 2, "did not go on from"),
        ({"seed": 4, "resumed_from": _THIRD}, 2, "did not go on from"),
        (_SECOND, 3, "another network than"),
    ],
)
def test_no_mean_is_taken_across_lines(
    tmp_path: Path, told: dict[str, Any], inputs: int, why: str
) -> None:
    """Nor where the one that went on comes first, so that the wrong run were told."""
    other = _kept(tmp_path / "other", weight=1, step=1, told=told, inputs=inputs)
    last = _kept(tmp_path / "last", weight=1.0, step=2, told=_THIRD)
    with pytest.raises(InvalidInputError, match=why):
        average([other, last], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


def test_no_run_is_overwritten_by_a_mean_of_its_own(tmp_path: Path) -> None:
    first = _kept(tmp_path / "first", weight=1.0, step=2, told=_FIRST)
    best = first.with_name(BEST)
    first.rename(best)
    last = _kept(tmp_path / "last", weight=3.0, step=2, told=_SECOND)
    before = best.read_bytes()
    with pytest.raises(InvalidInputError, match="folder of its own"):
        average([best, last], tmp_path / "first")
    assert best.read_bytes() == before


def test_weights_of_another_network_are_told_so(tmp_path: Path) -> None:
    kept = Checkpoint.read(_kept(tmp_path, weight=1.0, step=1, told={}))
    with pytest.raises(InvalidInputError, match="another network than a Linear"):
        kept.fill(torch.nn.Linear(2, 1))


def test_one_checkpoint_has_no_mean(tmp_path: Path) -> None:
    only = _kept(tmp_path / "only", weight=1.0, step=2, told=_FIRST)
    with pytest.raises(InvalidInputError, match="at least two"):
        average([only], tmp_path / "mean")


_WHOLE = {"net": {}, "step": 1, "metrics": "{}", "provenance": "{}"}


@pytest.mark.parametrize(
    "state",
    [
        [1, 2],
        torch.zeros(3),
        {**{"step": 1, "metrics": "{}", "provenance": "{}"}, "net": {"weight": 1}},
        {"state": {}, "step": 1},
        {**_WHOLE, "net": [1]},
        {**_WHOLE, "step": "third"},
        {**_WHOLE, "provenance": "no JSON"},
        {**_WHOLE, "provenance": "[]"},
        {**_WHOLE, "metrics": {}},
    ],
)
def test_what_is_no_checkpoint_is_told_so(tmp_path: Path, state: object) -> None:
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(InvalidInputError, match="no checkpoint of a run"):
        Checkpoint.read(tmp_path / "other.pt")


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut off"])
def test_what_cannot_be_read_is_told_so(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "damaged.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInputError, match="holds no checkpoint"):
        Checkpoint.read(path)

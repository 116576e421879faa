"""The trials of the work on lots, small."""

import csv
from pathlib import Path

import pytest

from touchstone_training.lots.pace import measure_memory
from touchstone_training.lots.progress import follow_under_cuts


def test_the_memory_trial_works_through_all_of_a_lot(tmp_path: Path) -> None:
    out = tmp_path / "results.csv"
    trial = measure_memory(tmp_path / "data", out, photos=40)
    assert trial.photos == 40
    assert trial.peak_mb > 1
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["finding"] for row in rows] == ["inconclusive"] * 40


def test_progress_is_true_through_every_cut(
    tmp_path: Path, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Promise R17; a hundred runs: `lots progress`.
    monkeypatch.setenv("TOUCHSTONE_MODEL_DIR", str(model_dir))
    trial = follow_under_cuts(
        tmp_path / "data", runs=5, photos=40, cut_after_s=(0.02, 0.2), seed=1
    )
    assert trial.is_held
    assert trial.right == 5
    assert trial.cuts > 10

"""The trials of the work on lots, small."""

import csv
from pathlib import Path

from touchstone_training.lots.pace import measure_memory


def test_the_memory_trial_works_through_all_of_a_lot(tmp_path: Path) -> None:
    out = tmp_path / "results.csv"
    trial = measure_memory(tmp_path / "data", out, photos=40)
    assert trial.photos == 40
    assert trial.peak_mb > 1
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["finding"] for row in rows] == ["inconclusive"] * 40

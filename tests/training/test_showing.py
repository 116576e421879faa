from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from touchstone_training.__main__ import app
from touchstone_training.simulator import showing
from touchstone_training.simulator.artwork import FAMILY_NAMES
from touchstone_training.simulator.counterfeits import KINDS
from touchstone_training.simulator.pace import measured
from touchstone_training.simulator.photos import SCENES, scene


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "_FACE_PX", 260)


@pytest.mark.usefixtures("small")
def test_there_is_a_cell_for_every_family_and_seed() -> None:
    sheet = showing.families_sheet([1], per_row=4)
    rows = -(-len(FAMILY_NAMES) // 4)
    assert sheet.shape == (rows * 366, 4 * 406, 3)


@pytest.mark.usefixtures("small")
def test_there_is_a_row_for_every_kind_of_counterfeit() -> None:
    sheet = showing.counterfeits_sheet(2)
    assert sheet.shape[0] == len(KINDS) * 176
    cells = sheet.reshape(len(KINDS), 176, 6, 266, 3)[:, :150]
    shown = [
        kind
        for kind, row in zip(KINDS, cells, strict=True)
        if not np.array_equal(row[:, 4], row[:, 5])
    ]
    assert len(shown) >= len(KINDS) - 2


@pytest.mark.usefixtures("small")
def test_the_command_writes_the_sheets(tmp_path: Path) -> None:
    command = ["simulator", "sheets", "--out", str(tmp_path), "--seed", "3"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "counterfeits.png", "families.png", "photographs.png",
    ]  # fmt: skip
    assert cv2.imread(str(tmp_path / "photographs.png")) is not None


def test_a_pace_counts_the_pairs_that_were_drawn() -> None:
    pace = measured(1, long_side_px=200)
    assert 8 <= pace.pairs <= 12
    assert pace.pairs_per_second == pytest.approx(pace.pairs / pace.seconds)
    photographed = measured(1, long_side_px=200, photo_px=(160, 120))
    assert photographed.pairs == pace.pairs


@pytest.mark.parametrize("variant", SCENES)
def test_every_picture_has_tone_and_follows_its_seed(variant: str) -> None:
    colours = ((200, 60, 40), (40, 90, 180))
    first, again, other = (
        scene((96, 72), variant, np.random.default_rng(seed), colours=colours)
        for seed in (1, 1, 2)
    )
    assert first.shape == (72, 96, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 255
    levels = np.unique(first.astype(np.uint8))
    assert len(levels) > 40

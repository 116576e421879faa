"""A ZIP that means harm, given to the command line (promise S9)."""

from pathlib import Path

import psutil
import pytest
from cli.conftest import Run
from hostile_archives import costs_an_entry, harmless, refused_whole

GOOD, OTHER = b"a photo", b"another photo"
MAX_GROWN = 50_000_000
COSTS, HARMLESS, REFUSED = (
    costs_an_entry(GOOD, OTHER),
    harmless(GOOD, OTHER),
    refused_whole(GOOD),
)


@pytest.fixture
def lot_id(run: Run, data: Path) -> str:
    made = run("lot", "create", "L-1", "--data", data, "--json")
    return str(made.lines[0]["lot"])


def outside(folder: Path, data: Path) -> set[Path]:
    """All files but those of the data folder."""
    return {path for path in folder.rglob("*") if data not in path.parents}


@pytest.mark.parametrize("case", [*COSTS, *HARMLESS])
def test_the_good_photos_of_a_harmful_archive_are_taken_in(
    run: Run, data: Path, tmp_path: Path, lot_id: str, case: str
) -> None:
    new, failed, left_out = 1, 1, 0
    if case in COSTS:
        content = COSTS[case]
    else:
        failed = 0
        content, new, left_out = HARMLESS[case]
    source = tmp_path / "lot.zip"
    source.write_bytes(content)
    before = outside(tmp_path, data)
    told = run("lot", "add", lot_id, source, "--data", data, "--json").lines[0]
    assert (told["new"], told["failed"], told["left_out"]) == (new, failed, left_out)
    assert outside(tmp_path, data) == before


@pytest.mark.parametrize("case", REFUSED)
def test_a_bomb_is_refused_whole_and_weighs_nothing(
    run: Run, data: Path, tmp_path: Path, lot_id: str, case: str
) -> None:
    source = tmp_path / "lot.zip"
    source.write_bytes(REFUSED[case]())
    before = outside(tmp_path, data)
    weight = psutil.Process().memory_info().rss
    ran = run("lot", "add", lot_id, source, "--data", data, "--json")
    assert psutil.Process().memory_info().rss - weight < MAX_GROWN
    assert ran.code != 0
    assert "The ZIP is refused" in ran.err
    assert outside(tmp_path, data) == before
    listed = run("lot", "list", "--data", data, "--json").lines[0]
    assert listed["photos"] == 0

"""A manifest in Parquet costs no more memory than it may, whatever it unpacks to."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import pytest
from web.test_lots import a_lot
from web.test_manifests import manifest
from web.world import World, problem

from touchstone.errors import ConfigurationError, InvalidInputError
from touchstone.lots import parquet_rows
from touchstone.lots.sources import open_source

pytest.importorskip("pyarrow")
ROWS, ROW_BYTES = 120, 1_000_000
MAKE = f"""
import sys
import pyarrow
from pyarrow import parquet
table = pyarrow.table({{"image": ["a" * {ROW_BYTES}] * {ROWS}}})
parquet.write_table(
    table, sys.argv[1], compression="zstd", use_dictionary=False,
    data_page_size=2**31 - 1, write_statistics=False,
)
"""


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One page of 120 MB in a file of a few kB, made where it costs us nothing."""
    path = tmp_path_factory.mktemp("bomb") / "manifest.parquet"
    subprocess.run([sys.executable, "-c", MAKE, str(path)], check=True)  # noqa: S603
    assert path.stat().st_size < 100_000
    return path


@pytest.fixture
def _little(monkeypatch: pytest.MonkeyPatch) -> None:
    """So little that the page does not fit: small steps on a small machine."""
    monkeypatch.setattr(parquet_rows, "MEMORY_BYTES", 400 << 20)


def written(folder: Path, columns: Mapping[str, Sequence[object]]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = folder / "manifest.parquet"
    parquet.write_table(pyarrow.table(dict(columns)), path)
    return path


@pytest.mark.usefixtures("_little")
def test_a_page_that_unpacks_to_more_than_fits_is_refused_and_costs_nothing(
    bomb: Path,
) -> None:
    process = psutil.Process()
    before, others = process.memory_info().rss, process.children()
    with (
        pytest.raises(InvalidInputError, match=r"unpacks to more than fits in 400 MB"),
        open_source(bomb) as source,
    ):
        list(source.items)
    assert process.memory_info().rss - before < 30 << 20
    assert process.children() == others


@pytest.mark.usefixtures("_little")
def test_it_is_refused_over_http_and_the_service_goes_on(
    world: World, bomb: Path
) -> None:
    lot = a_lot(world.officer)
    answer = manifest(world.officer, lot, "m.parquet", bomb.read_bytes())
    assert (answer.status_code, problem(answer)) == (422, "invalid-input")
    assert "fits in 400 MB" in answer.json()["detail"]
    assert world.officer.get(f"{lot}/submissions").json()["items"] == []


def test_cells_of_any_kind_and_rows_of_any_length_are_rows(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {
            "image": ["a.jpg", None, "é\u2028.jpg", "x" * 1_000_001],
            "declared_gtin": [4006381333931, None, None, None],
            "more": [1, 2, 3, 4],
        },
    )
    with open_source(path) as source:
        a, b, c, d = source.items
    assert (a.name, a.declared_gtin) == ("a.jpg", "4006381333931")
    assert "is empty" in b.problem
    assert c.name == "é\\u2028.jpg"
    assert "more than 1,000,000 characters" in d.problem


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet" * 99])
def test_what_is_no_parquet_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "manifest.parquet"
    path.write_bytes(content)
    with (
        pytest.raises(InvalidInputError, match="cannot be read as Parquet"),
        open_source(path),
    ):
        pass


@pytest.mark.parametrize(
    ("cells", "names"),
    [([[["x"] * 3, None]], ["image"]), ([["a.jpg"], ["b.jpg"]], ["image", "image"])],
    ids=["lists", "named twice"],
)
def test_columns_that_are_no_text_or_named_twice_are_told(
    tmp_path: Path, cells: list[list[object]], names: list[str]
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "manifest.parquet"
    table = pyarrow.table([pyarrow.array(one) for one in cells], names=names)
    parquet.write_table(table, path)
    with (
        pytest.raises(InvalidInputError, match="not plain text, or named twice"),
        open_source(path) as source,
    ):
        list(source.items)


def test_who_reads_one_row_leaves_no_process_behind(tmp_path: Path) -> None:
    path = written(tmp_path, {"image": [f"{number}.jpg" for number in range(9000)]})
    others = psutil.Process().children()
    rows = parquet_rows.parquet_rows(path, ["image"])
    assert next(rows) == {"columns": ["image"]}
    assert next(rows) == {"image": "0.jpg"}
    rows.close()
    assert psutil.Process().children() == others


def test_without_the_library_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, {"image": ["a.jpg"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match="parquet"), open_source(path):
        pass

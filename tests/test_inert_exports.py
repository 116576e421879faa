"""Nothing that is exported acts, whatever was written into it (promise S12)."""

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from touchstone.lots import COLUMNS, Row, row_document
from touchstone.lots.results import inert, write_rows

LIVE = "=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20"
WORDS = (
    *("cmd|' /C calc'!A0", "SUM(1,1)", "1+1", 'HYPERLINK("http://x","y")'),
    *("<script>alert(1)</script>", '#read("/etc/passwd")', "$x$", "A1", "'", " "),
)
HOSTILE = st.lists(
    st.sampled_from([*LIVE, *WORDS]) | st.text(max_size=4), min_size=1, max_size=5
).map("".join)
TEXTS = ("image", "finding", "product_id", "face", "strength", "error")


def rows(texts: list[str]) -> list[dict[str, Any]]:
    """A row of each text, in every column that takes text, codes and names."""
    return [
        row_document(
            Row(text, log10_lr=-1.5, reasons=(text, text), quality=((text, -0.5),))
        )
        | dict.fromkeys(TEXTS, text)
        for text in texts
    ]


def cells(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def read_back(cell: str) -> str:
    """What was meant by a cell, as `inert` says."""
    is_marked = cell[:1] == "'" and cell.lstrip("' ")[:1] in set(LIVE)
    return cell[1:] if is_marked else cell


def encodable(text: str) -> bool:
    return not any("\ud800" <= one <= "\udfff" for one in text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@settings(max_examples=40)
@given(st.lists(HOSTILE.filter(encodable), min_size=1, max_size=40))
def test_no_cell_is_live_and_every_text_comes_back(
    folder: Path, texts: list[str]
) -> None:
    documents = rows(texts)
    for ending in ("csv", "jsonl", "parquet"):
        write_rows(folder / f"results.{ending}", documents)
    for text, cell in zip(texts, cells(folder / "results.csv"), strict=True):
        for name in TEXTS:
            written = cell[name]
            assert written.lstrip(" ")[:1] not in set(LIVE) or is_number(written)
            assert read_back(written) == text
        assert cell["reasons"][:1] == "["
        assert json.loads(cell["reasons"]) == [text, text]
        assert json.loads(cell["quality"]) == {text: -0.5}
        assert cell["log10_lr"] == "-1.5"
    with (folder / "results.jsonl").open(encoding="utf-8", newline="\n") as file:
        assert [json.loads(line) for line in file] == documents
    table = pytest.importorskip("pyarrow.parquet").read_table(
        folder / "results.parquet"
    )
    for name in TEXTS:
        assert table[name].to_pylist() == texts


def is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", text) is not None


def test_a_space_does_not_hide_a_formula() -> None:
    assert inert(" =1+1") == "' =1+1"
    assert inert("' =1+1") == "'' =1+1"
    assert inert(" plain") == " plain"


def test_a_spreadsheet_reads_five_thousand_texts_and_runs_none(tmp_path: Path) -> None:
    office = shutil.which("soffice")
    if office is None:
        pytest.skip("LibreOffice is not here")
    draw = np.random.default_rng(12)
    parts = [*LIVE, *WORDS]
    texts = [
        "".join(str(draw.choice(parts)) for _ in range(int(draw.integers(1, 5))))
        for _ in range(5_000)
    ]
    write_rows(tmp_path / "results.csv", rows(texts))
    subprocess.run(  # noqa: S603
        [
            *(office, "--headless", f"-env:UserInstallation=file://{tmp_path}/office"),
            *("--infilter=CSV:44,34,76,1,,0,false,true,false", "--convert-to", "fods"),
            *("--outdir", str(tmp_path), str(tmp_path / "results.csv")),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    formula = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}formula"
    sheet = ElementTree.parse(tmp_path / "results.fods")  # noqa: S314  our own file
    elements = list(sheet.iter())
    assert sum(one.tag.endswith("table-cell") for one in elements) > len(COLUMNS) * 100
    assert [one.get(formula) for one in elements if one.get(formula)] == []

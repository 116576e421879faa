"""Lots: one row for each photo, in order, whatever dies on the way."""

import csv
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stub_assessing import MakeDead, MakeStub

from touchstone.errors import (
    ConfigurationError,
    ConflictError,
    InvalidInputError,
    ModelError,
    StorageError,
)
from touchstone.lots import COLUMNS, LotProgress, LotScorer, LotSummary, MakeDesk
from touchstone.lots.archives import ArchiveLimits
from touchstone.lots.results import inert
from touchstone.lots.sources import open_source
from touchstone.store import Caller, Store

# --- a lot in a folder --------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(
        f"sqlite:///{tmp_path}/records.db", pepper=b"p" * 16, create=True
    )
    yield opened
    opened.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "assessed.log"
    path.touch()
    return path


def lot(tmp_path: Path, **photos: str) -> Path:
    folder = tmp_path / "lot"
    for name, content in photos.items():
        path = folder / f"{name.replace('__', '/')}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


BEGUN_WITH = {
    "touchstone": "1.0",
    "embedder": "e" * 64,
    "comparator": "c" * 64,
    "policy": "p" * 64,
    "references": "r" * 64,
}


def score(
    store: Store,
    source: Path,
    out: Path,
    *,
    make: MakeDesk,
    workers: int = 1,
    examined_by: Mapping[str, str] = BEGUN_WITH,
    may_mix: bool = False,
) -> LotSummary:
    scorer = LotScorer(store, make, examined_by, workers=workers, may_mix=may_mix)
    return scorer.score(store.ensure_local_operator(), source, out=out)


def rows_of(out: Path) -> list[dict[str, str]]:
    with out.open(newline="") as file:
        return list(csv.DictReader(file))


def recorded(store: Store, limit: int = 100) -> int:
    caller = store.ensure_local_operator()
    return len(store.list_examinations(caller, limit=limit).items)


# --- rows ---------------------------------------------------------------------------


def test_every_photo_has_one_row_in_input_order(
    store: Store, tmp_path: Path, log: Path
) -> None:
    folder = lot(
        tmp_path,
        b="consistent_with_genuine",
        a__z="no_reference",
        c="inconsistent_with_genuine",
        a__a="bad",
    )
    out = tmp_path / "results.csv"
    summary = score(store, folder, out, make=MakeStub(log), workers=2)
    rows = rows_of(out)
    assert [row["image"] for row in rows] == ["a/a.jpg", "a/z.jpg", "b.jpg", "c.jpg"]
    assert [row["finding"] for row in rows] == [
        "",
        "no_reference",
        "consistent_with_genuine",
        "inconsistent_with_genuine",
    ]
    assert summary.photos == 4
    assert summary.errors == 1
    assert summary.findings["no_reference"] == 1
    assert recorded(store) == 3


def test_the_columns_are_those_that_other_programs_rely_on() -> None:
    assert COLUMNS == (
        "image",
        "finding",
        "product_id",
        "face",
        "log10_lr",
        "counterfeit_probability",
        "strength",
        "reasons",
        "regions",
        "quality",
        "elapsed_ms",
        "error",
    )


def test_cells_hold_what_the_contract_says(
    store: Store, tmp_path: Path, log: Path
) -> None:
    folder = lot(tmp_path, a="inconclusive", b="no_reference", c="bad")
    out = tmp_path / "results.csv"
    score(store, folder, out, make=MakeStub(log))
    found, unknown, unread = rows_of(out)
    assert found["product_id"] == "'=P-1"  # inert, see below
    assert float(found["log10_lr"]) == -1.25
    assert float(found["counterfeit_probability"]) == 0.25
    assert json.loads(found["reasons"]) == ["agrees"]
    first, second = json.loads(found["regions"])
    assert first == {
        "x": 5,
        "y": 6,
        "width": 7,
        "height": 8,
        "in": "reference",
        "deviation": 2.5,
    }
    assert second["deviation"] == 1.25
    assert json.loads(found["quality"])["sharpness"] == 0.5
    assert found["elapsed_ms"] == "12.3"
    assert unknown["product_id"] == unknown["counterfeit_probability"] == ""
    assert json.loads(unknown["regions"]) == []
    assert unread["error"].startswith("This is not an image")


def test_jsonl_and_parquet_say_the_same_as_csv(
    store: Store, tmp_path: Path, log: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = lot(tmp_path, a="inconclusive", b="bad")
    outs = [tmp_path / f"results{ending}" for ending in (".csv", ".jsonl", ".parquet")]
    for out in outs:
        score(store, folder, out, make=MakeStub(log))
    table = rows_of(outs[0])
    lines = [json.loads(line) for line in outs[1].read_text().splitlines()]
    columns = parquet.read_table(outs[2]).to_pylist()
    assert [list(line) for line in lines] == [list(COLUMNS)] * 2
    assert [list(row) for row in columns] == [list(COLUMNS)] * 2
    assert lines[0]["regions"] == json.loads(table[0]["regions"])
    assert columns[0]["regions"] == table[0]["regions"]
    assert lines[0]["product_id"] == columns[0]["product_id"] == "=P-1"
    assert lines[0]["log10_lr"] == columns[0]["log10_lr"] == -1.25
    assert lines[1]["log10_lr"] is columns[1]["log10_lr"] is None
    assert lines[1]["error"] == columns[1]["error"] == table[1]["error"]


def test_an_empty_lot_gives_a_header_and_no_row(
    store: Store, tmp_path: Path, log: Path
) -> None:
    (tmp_path / "lot").mkdir()
    out = tmp_path / "results.csv"
    assert score(store, tmp_path / "lot", out, make=MakeStub(log)).photos == 0
    assert out.read_text() == ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize("out", ["results.xls", "results", "nowhere/results.csv"])
def test_what_could_not_be_written_is_refused_before_work(
    store: Store, tmp_path: Path, log: Path, out: str
) -> None:
    folder = lot(tmp_path, a="inconclusive")
    with pytest.raises(InvalidInputError):
        score(store, folder, tmp_path / out, make=MakeStub(log))
    assert log.read_text() == ""


def test_progress_counts_up_to_every_photo(
    store: Store, tmp_path: Path, log: Path
) -> None:
    folder = lot(tmp_path, a="inconclusive", b="bad", c="no_reference")
    (folder / "notes.txt").write_text("no photo")
    told: list[LotProgress] = []
    LotScorer(store, MakeStub(log), BEGUN_WITH).score(
        store.ensure_local_operator(),
        folder,
        out=tmp_path / "results.csv",
        progress=told.append,
    )
    assert told[0] == LotProgress(0, 3, 0, 1)
    assert told[-1] == LotProgress(3, 3, 0, 1)


# --- inert cells --------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd", "-x", "@SUM(A1)", "\tx", "\rx", "\0x", "\uff1dx", "'=x"]
)
def test_no_text_is_live_in_a_spreadsheet(text: str) -> None:
    assert inert(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-1.2", "+49", "-3e-05", "", "plain", "a=b", "'x"])
def test_numbers_and_harmless_text_stay_as_they_are(text: str) -> None:
    assert inert(text) == text


@given(st.text(alphabet="=+-@\t'1.x", max_size=6))
def test_inert_text_can_be_read_back(text: str) -> None:
    written = inert(text)
    assert written.lstrip("'")[:1] not in set("=+-@\t") or (
        written[0] == "'" or written.lstrip("+-").replace(".", "").isdigit()
    )
    is_quoted = written[:1] == "'" and written.lstrip("'")[:1] in set("=+-@\t")
    assert (written[1:] if is_quoted and written.lstrip("'") else written) == text


def test_a_formula_in_a_file_name_is_inert(
    store: Store, tmp_path: Path, log: Path
) -> None:
    folder = lot(tmp_path, **{"=HYPERLINK(1)": "inconclusive"})
    out = tmp_path / "results.csv"
    score(store, folder, out, make=MakeStub(log))
    assert rows_of(out)[0]["image"] == "'=HYPERLINK(1).jpg"


def test_a_file_name_that_is_not_text_still_has_a_row(
    store: Store, tmp_path: Path, log: Path
) -> None:
    (tmp_path / "lot").mkdir()
    name = os.fsencode(tmp_path / "lot") + b"/\xff\n.jpg"
    with open(name, "w") as file:  # noqa: PTH123  bytes, as the file system has it
        file.write("inconclusive")
    out = tmp_path / "results.csv"
    score(store, tmp_path / "lot", out, make=MakeStub(log))
    assert [row["finding"] for row in rows_of(out)] == ["inconclusive"]


# --- folders and tables -------------------------------------------------------------


def test_what_is_no_photo_is_counted_not_scored(tmp_path: Path) -> None:
    folder = lot(tmp_path, a="x")
    for name in ("notes.txt", "._a.jpg", "Thumbs.db"):
        (folder / name).write_text("x")
    with open_source(folder) as source:
        assert [item.name for item in source.items] == ["a.jpg"]
        assert source.left_out == 3


def test_a_pipe_or_a_broken_link_is_a_row_not_a_wait(
    store: Store, tmp_path: Path, log: Path
) -> None:
    folder = lot(tmp_path, c="inconclusive")
    os.mkfifo(folder / "a.jpg")
    (folder / "b.jpg").symlink_to("nowhere")
    out = tmp_path / "results.csv"
    score(store, folder, out, make=MakeStub(log))
    assert [bool(row["error"]) for row in rows_of(out)] == [True, True, False]


def test_a_link_to_a_folder_is_not_followed(tmp_path: Path) -> None:
    folder = lot(tmp_path, a="x")
    (folder / "round").symlink_to(folder)
    with open_source(folder) as source:
        assert len(list(source.items)) == 1


def test_a_table_is_scored_row_by_row(store: Store, tmp_path: Path, log: Path) -> None:
    folder = lot(tmp_path, a="inconclusive", b="no_reference")
    table = folder / "manifest.csv"
    table.write_text("note,image\n1,b.jpg\n2,a.jpg\n3,absent.jpg\n4,\n5,b.jpg\n")
    out = tmp_path / "results.csv"
    score(store, table, out, make=MakeStub(log))
    rows = rows_of(out)
    assert [row["image"] for row in rows] == [
        "b.jpg",
        "a.jpg",
        "absent.jpg",
        "",
        "b.jpg",
    ]
    assert [row["finding"] for row in rows] == [
        "no_reference",
        "inconclusive",
        "",
        "",
        "no_reference",
    ]
    assert "cannot be read" in rows[2]["error"]
    assert "empty" in rows[3]["error"]


@pytest.mark.parametrize("content", [b"photo\na.jpg\n", b"\xff\xfe", b""])
def test_a_table_without_images_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.csv").write_bytes(content)
    with (
        pytest.raises(InvalidInputError, match=r"image|UTF-8"),
        open_source(tmp_path / "manifest.csv"),
    ):
        pass


def test_a_source_of_another_kind_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidInputError, match="neither"),
        open_source(tmp_path / "absent.zip"),
    ):
        pass


# --- archives -----------------------------------------------------------------------


def archive(path: Path, photos: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in photos.items():
            file.writestr(name, content)
    return path


def test_an_archive_is_scored_in_its_order(
    store: Store, tmp_path: Path, log: Path
) -> None:
    path = archive(
        tmp_path / "lot.zip",
        {"z.jpg": "inconclusive", "folder/": "", "folder/a.PNG": "bad", "b.txt": "x"},
    )
    out = tmp_path / "results.csv"
    summary = score(store, path, out, make=MakeStub(log), workers=2)
    assert [row["image"] for row in rows_of(out)] == ["z.jpg", "folder/a.PNG"]
    assert [row["finding"] for row in rows_of(out)] == ["inconclusive", ""]
    assert summary.left_out == 1


@pytest.mark.parametrize(
    "name",
    [
        "../up.jpg",
        "/etc/abs.jpg",
        "C:\\x.jpg",
        "a\\..\\..\\b.jpg",
        "\u202egpj.exe.jpg",
        "nul.jpg",
        "a\nb.jpg",
    ],
)
def test_an_unsafe_name_is_a_row_and_nothing_is_written(
    store: Store, tmp_path: Path, log: Path, name: str
) -> None:
    def around() -> set[Path]:
        # Not within the folders beside: a database of other tests writes there.
        found = {*tmp_path.rglob("*"), *tmp_path.parent.glob("*")}
        return {file for file in found if "records" not in file.name}

    path = archive(tmp_path / "lot.zip", {name: "inconclusive", "ok.jpg": "bad"})
    before = around()
    out = tmp_path / "results.csv"
    score(store, path, out, make=MakeStub(log))
    rows = rows_of(out)
    assert "unsafe name" in rows[0]["error"]
    assert len(rows) == 2
    assert around() - before == {out}


def test_a_link_in_an_archive_is_a_row(store: Store, tmp_path: Path, log: Path) -> None:
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "lot.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    out = tmp_path / "results.csv"
    score(store, tmp_path / "lot.zip", out, make=MakeStub(log))
    assert "symbolic link" in rows_of(out)[0]["error"]


def test_two_entries_of_one_name_are_two_rows(
    store: Store, tmp_path: Path, log: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "lot.zip", "w") as file:
        file.writestr("a.jpg", "inconclusive")
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("a.jpg", "no_reference")
    out = tmp_path / "results.csv"
    score(store, tmp_path / "lot.zip", out, make=MakeStub(log))
    assert [row["finding"] for row in rows_of(out)] == ["inconclusive", "no_reference"]


def test_an_archive_in_an_archive_is_not_opened(tmp_path: Path) -> None:
    inner = archive(tmp_path / "inner.zip", {"a.jpg": "x"}).read_bytes()
    path = archive(tmp_path / "lot.zip", {"inner.zip": inner, "b.jpg": "x"})
    with open_source(path) as source:
        assert [item.name for item in source.items] == ["b.jpg"]
        assert source.left_out == 1


def test_a_damaged_entry_is_a_row(store: Store, tmp_path: Path, log: Path) -> None:
    path = archive(tmp_path / "lot.zip", {"a.jpg": "inconclusive " * 50, "b.jpg": "x"})
    data = bytearray(path.read_bytes())
    data[45] ^= 0xFF  # within the packed bytes of the first entry
    path.write_bytes(data)
    out = tmp_path / "results.csv"
    score(store, path, out, make=MakeStub(log))
    assert [bool(row["error"]) for row in rows_of(out)] == [True, False]


def test_an_entry_that_lies_about_its_size_is_a_row(
    store: Store, tmp_path: Path, log: Path
) -> None:
    path = archive(tmp_path / "lot.zip", {"a.jpg": "x" * 5000})
    data = bytearray(path.read_bytes())
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = struct.pack("<I", 10)
    path.write_bytes(data)
    out = tmp_path / "results.csv"
    score(store, path, out, make=MakeStub(log))
    assert "cannot be unpacked" in rows_of(out)[0]["error"]


def refusal(path: Path) -> str:
    with pytest.raises(InvalidInputError) as caught, open_source(path):
        pass
    return str(caught.value)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path / "lot.zip", {"a.jpg": bytes(3_000_000)})
    assert "decompression bomb" in refusal(path)


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "lot.zip", {"a.jpg": b"x" * 100, "b.jpg": b"y" * 100})
    with (
        pytest.raises(InvalidInputError, match="unpacks to 200 bytes"),
        open_source(path, limits=ArchiveLimits(max_total_bytes=150)),
    ):
        pass


def test_overlapping_entries_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "lot.zip", {"a.jpg": "x" * 99, "b.jpg": "x" * 99})
    data = bytearray(path.read_bytes())
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    path.write_bytes(data)
    assert "overlap" in refusal(path)


def test_a_hundred_thousand_entries_are_refused_without_their_memory(
    tmp_path: Path,
) -> None:
    path = tmp_path / "lot.zip"
    # One entry of a central directory is 46 bytes and a name.
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 5) + bytes(16) + b"a.jpg"
    directory = entry * 100_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), 0, 0)
    path.write_bytes(directory + end)
    before = psutil.Process().memory_info().rss
    assert "too many entries" in refusal(path)
    assert psutil.Process().memory_info().rss - before < 50_000_000


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"no archive at all" * 9])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lot.zip").write_bytes(content)
    assert "refused" in refusal(tmp_path / "lot.zip")


# --- deaths -------------------------------------------------------------------------


def test_a_photo_that_kills_its_worker_costs_one_row(
    store: Store, tmp_path: Path, log: Path
) -> None:
    photos = {f"p{n:02}": f"inconclusive {n}" for n in range(8)} | {"p03": "kill"}
    out = tmp_path / "results.csv"
    score(store, lot(tmp_path, **photos), out, make=MakeStub(log), workers=2)
    errors = {row["image"]: row["error"] for row in rows_of(out)}
    assert [name for name, error in errors.items() if error] == ["p03.jpg"]
    assert "worker" in errors["p03.jpg"]
    assert recorded(store) == 7


def test_a_killed_worker_loses_and_repeats_no_photo(
    store: Store, tmp_path: Path, log: Path
) -> None:
    photos = {f"p{n:02}": f"inconclusive {n}" for n in range(8)}
    photos["p02"] = f"kill-once {tmp_path / 'killed'}"
    out = tmp_path / "results.csv"
    score(store, lot(tmp_path, **photos), out, make=MakeStub(log), workers=2)
    rows = rows_of(out)
    assert [row["error"] for row in rows] == [""] * 8
    assert recorded(store) == 8


def test_a_defect_that_one_photo_meets_costs_one_row(
    store: Store, tmp_path: Path, log: Path
) -> None:
    folder = lot(tmp_path, a="bug", b="inconclusive")
    out = tmp_path / "results.csv"
    score(store, folder, out, make=MakeStub(log))
    assert [row["error"] for row in rows_of(out)] == [
        "Unexpected ZeroDivisionError: a defect",
        "",
    ]


def test_what_would_stop_every_photo_stops_the_lot_and_keeps_what_is_done(
    store: Store, tmp_path: Path, log: Path
) -> None:
    folder = lot(tmp_path, a="inconclusive", b="disk", c="no_reference")
    out = tmp_path / "results.csv"
    with pytest.raises(StorageError):
        score(store, folder, out, make=MakeStub(log))
    assert not out.exists()
    (folder / "b.jpg").write_text("bad")
    summary = score(store, folder, out, make=MakeStub(log))
    assert summary.resumed >= 1
    assert [row["finding"] for row in rows_of(out)] == [
        "inconclusive",
        "",
        "no_reference",
    ]
    assert recorded(store) == 2


def test_a_worker_that_cannot_start_says_why(
    store: Store, tmp_path: Path, log: Path
) -> None:
    folder = lot(tmp_path, a="inconclusive")
    out = tmp_path / "results.csv"
    with pytest.raises(ModelError, match="missing"):
        score(store, folder, out, make=MakeStub(log, refuses=True))
    with pytest.raises(ConfigurationError, match="memory"):
        score(store, folder, out, make=MakeDead())
    assert not out.exists()


_SCORE = f"""
import signal
import sys
from pathlib import Path
from stub_assessing import MakeStub
from touchstone.lots import LotScorer
from touchstone.store import Store

if __name__ == "__main__":
    # What a shell starts in the background ignores Ctrl-C, and so would we.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    root = Path(sys.argv[1])
    make = MakeStub(root / "assessed.log", 0.02)
    store = Store.open(make.url, pepper=b"p" * 16, create=True)
    scorer = LotScorer(store, make, {BEGUN_WITH}, workers=2)
    scorer.score(
        store.ensure_local_operator(), root / "lot", out=root / "results.csv"
    )
"""


def test_a_lot_killed_again_and_again_has_each_photo_once(
    store: Store, tmp_path: Path, log: Path
) -> None:
    total = 240
    folder = lot(tmp_path, **{f"p{n:03}": f"inconclusive {n}" for n in range(total)})
    script = tmp_path / "score.py"
    script.write_text(_SCORE)
    kills = 0
    for wanted in (40, 100, 160):
        run = subprocess.Popen(  # noqa: S603
            [sys.executable, str(script), str(tmp_path)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
            start_new_session=True,
        )
        wait_for_lines(log, wanted)
        workers = psutil.Process(run.pid).children(recursive=True)
        run.send_signal(signal.SIGKILL)
        run.wait()
        kills += 1
        psutil.wait_procs(workers, timeout=10)
        assert not any(is_running(worker) for worker in workers)
    out = tmp_path / "results.csv"
    assert not out.exists()
    summary = score(store, folder, out, make=MakeStub(log))
    rows = rows_of(out)
    assert [row["image"] for row in rows] == [f"p{n:03}.jpg" for n in range(total)]
    assert {row["finding"] for row in rows} == {"inconclusive"}
    assert summary.resumed >= 160 - kills * 2
    redone = sum(Counter(log.read_text().split()).values()) - total
    assert redone <= kills * 2  # what each worker had in hand
    assert recorded(store, 300) == total


def test_a_lot_that_is_interrupted_keeps_what_is_done_and_leaves_no_worker(
    store: Store, tmp_path: Path, log: Path
) -> None:
    folder = lot(tmp_path, **{f"p{n:03}": f"inconclusive {n}" for n in range(200)})
    script = tmp_path / "score.py"
    script.write_text(_SCORE)
    run = subprocess.Popen(  # noqa: S603
        [sys.executable, str(script), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for_lines(log, 40)
    workers = psutil.Process(run.pid).children(recursive=True)
    os.killpg(run.pid, signal.SIGINT)  # as Ctrl-C does: to the workers too
    assert run.wait(timeout=30) != 0
    psutil.wait_procs(workers, timeout=10)
    assert not any(is_running(worker) for worker in workers)
    examined = len(log.read_text().split())
    summary = score(store, folder, tmp_path / "results.csv", make=MakeStub(log))
    assert summary.resumed == examined  # what was in hand was finished
    assert len(rows_of(tmp_path / "results.csv")) == 200


def wait_for_lines(path: Path, least: int, *, within_s: float = 60) -> None:
    end = time.monotonic() + within_s
    while lines(path) <= least:
        assert time.monotonic() < end
        time.sleep(0.02)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def is_running(process: psutil.Process) -> bool:
    return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE


# --- resuming -----------------------------------------------------------------------


def unfinished(store: Store, tmp_path: Path, log: Path) -> Path:
    """Leave a lot of which `a` is finished and `b` is not."""
    folder = lot(tmp_path, a="inconclusive", b="disk")
    with pytest.raises(StorageError):
        score(store, folder, tmp_path / "results.csv", make=MakeStub(log))
    (folder / "b.jpg").write_text("no_reference")
    return folder


def test_entries_that_have_another_place_in_their_archive_meanwhile_are_found(
    store: Store, tmp_path: Path, log: Path
) -> None:
    def packed(**content: str) -> Path:
        with zipfile.ZipFile(tmp_path / "lot.zip", "w") as file:
            for name, text in content.items():
                file.writestr(name.replace("_", "."), text)
        return tmp_path / "lot.zip"

    out, make = tmp_path / "results.csv", MakeStub(log)
    with pytest.raises(StorageError):
        score(
            store,
            packed(a_jpg="inconclusive", b_jpg="disk", c_jpg="no_reference"),
            out,
            make=make,
        )
    shifted = packed(
        readme_txt="", a_jpg="inconclusive", b_jpg="bad", c_jpg="no_reference"
    )
    assert score(store, shifted, out, make=make).resumed == 1
    assert [row["finding"] for row in rows_of(out)] == [
        "inconclusive",
        "",
        "no_reference",
    ]
    assert "not an image" in rows_of(out)[1]["error"]


def test_a_photo_that_changed_meanwhile_is_done_again(
    store: Store, tmp_path: Path, log: Path
) -> None:
    folder = unfinished(store, tmp_path, log)
    (folder / "a.jpg").write_text("inconsistent_with_genuine")
    out = tmp_path / "results.csv"
    score(store, folder, out, make=MakeStub(log))
    assert rows_of(out)[0]["finding"] == "inconsistent_with_genuine"


@pytest.mark.parametrize("what", sorted(BEGUN_WITH))
def test_rows_of_two_states_are_not_mixed(
    store: Store, tmp_path: Path, log: Path, what: str
) -> None:
    folder = unfinished(store, tmp_path, log)
    out = tmp_path / "results.csv"
    now = BEGUN_WITH | {what: "n" * 64}
    with pytest.raises(InvalidInputError) as caught:
        score(store, folder, out, make=MakeStub(log), examined_by=now)
    assert f"other {what} ({BEGUN_WITH[what][:12]} then, nnnnnnnnnnnn now)" in str(
        caught.value
    )
    assert "--out" in str(caught.value)
    assert "--mixed" in str(caught.value)
    assert not out.exists()
    assert score(store, folder, out, make=MakeStub(log)).resumed == 1


def test_rows_of_two_states_are_mixed_by_who_asks_for_it(
    store: Store, tmp_path: Path, log: Path
) -> None:
    folder = unfinished(store, tmp_path, log)
    out = tmp_path / "results.csv"
    now = BEGUN_WITH | {"references": "n" * 64, "policy": "n" * 64}
    make = MakeStub(log)
    summary = score(store, folder, out, make=make, examined_by=now, may_mix=True)
    assert summary.resumed == 1
    assert [row["finding"] for row in rows_of(out)] == ["inconclusive", "no_reference"]
    assert tuple(rows_of(out)[0]) == COLUMNS


def test_a_lot_once_mixed_is_not_taken_for_one_of_a_single_state(
    store: Store, tmp_path: Path, log: Path
) -> None:
    folder = unfinished(store, tmp_path, log)
    (folder / "c.jpg").write_text("disk")
    out, make = tmp_path / "results.csv", MakeStub(log)
    now = BEGUN_WITH | {"references": "n" * 64}
    with pytest.raises(StorageError):
        score(store, folder, out, make=make, examined_by=now, may_mix=True)
    (folder / "c.jpg").write_text("inconclusive")
    for state in (now, BEGUN_WITH):
        with pytest.raises(InvalidInputError, match="references"):
            score(store, folder, out, make=make, examined_by=state)
    score(store, folder, out, make=make, examined_by=now, may_mix=True)
    assert len(rows_of(out)) == 3


def test_a_lot_of_which_nothing_is_finished_begins_with_what_is_now(
    store: Store, tmp_path: Path, log: Path
) -> None:
    folder = lot(tmp_path, a="disk")
    out, make = tmp_path / "results.csv", MakeStub(log)
    now = BEGUN_WITH | {"references": "n" * 64}
    for state in (BEGUN_WITH, now):
        with pytest.raises(StorageError):
            score(store, folder, out, make=make, examined_by=state)
    (folder / "a.jpg").write_text("inconclusive")
    score(store, folder, out, make=make, examined_by=now)
    assert len(rows_of(out)) == 1


def test_a_lot_of_another_source_is_not_gone_on_with(
    store: Store, tmp_path: Path, log: Path
) -> None:
    unfinished(store, tmp_path, log)
    path = archive(tmp_path / "other.zip", {"a.jpg": "inconclusive"})
    out = tmp_path / "results.csv"
    with pytest.raises(ConflictError, match="another source"):
        score(store, path, out, make=MakeStub(log), may_mix=True)


def test_two_processes_do_not_score_into_one_file(
    store: Store, tmp_path: Path, log: Path
) -> None:
    folder = lot(tmp_path, a="inconclusive", b="inconclusive")
    out = tmp_path / "results.csv"
    refused: list[str] = []

    def again(_: LotProgress) -> None:
        with pytest.raises(ConflictError, match="Another process") as caught:
            score(store, folder, out, make=MakeStub(log))
        refused.append(str(caught.value))

    LotScorer(store, MakeStub(log), BEGUN_WITH).score(
        store.ensure_local_operator(), folder, out=out, progress=again
    )
    assert refused
    assert len(rows_of(out)) == 2


def test_a_finished_lot_is_scored_anew_when_asked_again(
    store: Store, tmp_path: Path, log: Path
) -> None:
    folder = lot(tmp_path, a="inconclusive")
    out = tmp_path / "results.csv"
    for _ in range(2):
        assert score(store, folder, out, make=MakeStub(log)).resumed == 0
    assert len(log.read_text().split()) == 2
    assert len(rows_of(out)) == 1


def test_each_caller_owns_what_was_recorded_for_it(
    store: Store, tmp_path: Path, log: Path
) -> None:
    caller = store.ensure_local_operator()
    score(
        store, lot(tmp_path, a="inconclusive"), tmp_path / "r.csv", make=MakeStub(log)
    )
    (made,) = store.list_examinations(caller, limit=10).items
    assert isinstance(caller, Caller)
    assert made.organisation_id == caller.organisation_id
    assert made.finding == "inconclusive"

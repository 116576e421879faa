"""``touchstone lot``, ``file`` and ``work``: what an analyst types, from end to end."""

import csv
import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli.conftest import Run


def a_lot(run: Run, data: Path, *more: str) -> str:
    made = run("lot", "create", "LOS-17", *more, "--data", data, "--json")
    assert made.code == 0
    return str(made.lines[0]["lot"])


def test_a_lot_is_filed_filled_scored_and_written(
    run: Run, world: Path, data: Path, tmp_path: Path
) -> None:
    lot = a_lot(run, data, "--units", "48000", "--product-class", "medicine")
    taken = run("lot", "add", lot, world / "photos", "--data", data, "--json")
    assert taken.lines == [
        {"sent": 4, "new": 4, "duplicates": 0, "failed": 0, "left_out": 0}
    ]
    again = run("lot", "add", lot, world / "photos", "--data", data, "--json")
    assert again.lines[0]["duplicates"] == again.lines[0]["sent"] == 4
    scored = run("lot", "score", lot, "--workers", "1", "--data", data, "--json")
    assert scored.code in {1, 3}
    (state,) = scored.lines
    assert state["state"] == "scored"
    assert state["work"] == "partial"  # one is no image
    assert (state["photos"], state["done"], state["failed"]) == (4, 4, 1)
    out = tmp_path / "results.csv"
    assert run("lot", "results", lot, "--out", out, "--data", data).code == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [
        "broken.jpg",
        "fake.jpg",
        "genuine.jpg",
        "unknown.jpg",
    ]
    assert rows[0]["error"]
    assert rows[3]["finding"] == "no_reference"
    listed = run("lot", "list", "--data", data, "--json")
    assert listed.lines == [state]
    retried = run("lot", "retry", lot, "--data", data, "--json")
    assert retried.lines[0]["failed"] == 0
    assert retried.lines[0]["work"] == "queued"
    run("lot", "cancel", lot, "--data", data)
    assert run("lot", "cancel", lot, "--data", data).code == 4


def test_a_scored_lot_is_concluded_upon_and_reported(
    run: Run, world: Path, data: Path, tmp_path: Path
) -> None:
    lot = a_lot(run, data)
    run("lot", "add", lot, world / "photos", "--data", data)
    run("lot", "score", lot, "--workers", "1", "--data", data)
    told = run("lot", "conclude", lot, "--data", data, "--json").lines[0]
    assert told["photos"] == 4
    assert told["unreadable"] == 1
    again = run("lot", "conclude", lot, "--data", data, "--json")
    assert again.lines == [told]
    assert "Comparing prints" in again.err
    assert run("lot", "conclude", lot, "--data", data).code == 0
    report = run("lot", "report", lot, "--out", tmp_path / "r.pdf", "--data", data)
    assert report.code == 0
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF-")
    with sqlite3.connect(data / "touchstone.db") as records:
        kept = records.execute("SELECT basis FROM conclusion").fetchall()
    assert kept == [(told["basis"],)]
    assert run("fsck", "--data", data, "--json").lines[0]["altered_conclusions"] == []
    wrong = run("lot", "report", lot, "--out", tmp_path / "r.doc", "--data", data)
    assert wrong.code == 2


def test_a_manifest_tells_exhibits_and_what_is_declared_row_by_row(
    run: Run, world: Path, data: Path, tmp_path: Path
) -> None:
    manifest = tmp_path / "manifest.jsonl"
    photo = str(world / "photos" / "genuine.jpg")
    lines = [
        json.dumps({"image": photo, "exhibit_no": "E-1", "declared_product": "P-0"}),
        "no json",
        json.dumps({"image": photo, "declared_gtin": "123"}),
        json.dumps({"exhibit_no": "E-2"}),
    ]
    manifest.write_text("\n".join(lines) + "\n")
    lot = a_lot(run, data)
    taken = run("lot", "add", lot, manifest, "--data", data, "--json")
    assert taken.lines[0] | {"left_out": 0} == {
        "sent": 4,
        "new": 1,
        "duplicates": 0,
        "failed": 3,
        "left_out": 0,
    }
    exhibits = run("file", "list", "exhibit", "--under", lot, "--data", data, "--json")
    assert [one["exhibit_no"] for one in exhibits.lines] == ["E-1"]
    out = tmp_path / "results.jsonl"
    run("lot", "results", lot, "--out", out, "--data", data)
    errors = [json.loads(line)["error"] for line in out.read_text().splitlines()]
    assert errors[0] == ""
    assert "Line 2 is not JSON" in errors[1]
    assert "no GTIN" in errors[2]
    assert "image is empty" in errors[3]


def test_what_a_lot_belongs_to_is_filed_and_moved(run: Run, data: Path) -> None:
    operation = run(
        "file", "operation", "Pangea", "--partner", "WHO", "--data", data, "--json"
    ).lines[0]
    case = run(
        "file", "case", "C-1", "--operation", operation["id"], "--data", data, "--json"
    ).lines[0]
    seizure = run(
        *("file", "seizure", case["id"], "S-1", "--country", "NG"),
        *("--seized-on", "2026-06-03", "--data", data, "--json"),
    ).lines[0]
    assert seizure["seized_on"] == "2026-06-03"
    lot = a_lot(run, data, "--seizure", seizure["id"])
    exhibit = run("file", "exhibit", lot, "E-1", "--data", data, "--json").lines[0]
    for act in ("seized", "sealed"):
        custody = run(
            *("file", "custody", exhibit["id"], "--act", act),
            *("--actor", "Officer 17", "--data", data, "--json"),
        )
    assert [one["act"] for one in custody.lines] == ["seized", "sealed"]
    moved = run(
        *("file", "move", "seizure", seizure["id"], "detained"),
        *("--data", data, "--json"),
    )
    assert moved.lines[0]["state"] == "detained"
    wrong = run("file", "move", "seizure", seizure["id"], "open", "--data", data)
    assert wrong.code == 2
    assert "detained" in wrong.err
    assert run("file", "list", "case", "--data", data).out.count("C-1") == 1


def test_units_are_drawn_by_a_plan(run: Run, data: Path) -> None:
    lot = a_lot(run, data, "--units", "400")
    planned = run("lot", "plan", lot, "--rule", "square_root", "--data", data, "--json")
    (plan,) = planned.lines
    assert plan["sample"] == len(set(plan["positions"])) == 20
    drawn = run("lot", "plan", lot, "--share", "0.01", "--data", data)
    assert drawn.code == 0
    assert "4 or more are counterfeit" in drawn.err
    assert run("lot", "plan", a_lot(run, data), "--data", data).code == 2


@pytest.mark.parametrize("act", ["pause", "resume"])
def test_work_that_is_not_under_way_cannot_be_moved(
    run: Run, data: Path, act: str
) -> None:
    assert run("lot", act, a_lot(run, data), "--data", data).code == 4


def test_workers_beside_it_do_what_is_queued(run: Run, world: Path, data: Path) -> None:
    lot = a_lot(run, data)
    run("lot", "add", lot, world / "photos", "--data", data)
    run("lot", "score", lot, "--workers", "1", "--data", data)
    run("lot", "retry", lot, "--data", data)  # the broken one, by somebody else
    command = "from touchstone.cli import main; main()"
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", command, "work", "--workers", "1", "--data", str(data)],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as service:
        end = time.monotonic() + 60
        while run("lot", "list", "--data", data, "--json").lines[0]["failed"] == 0:
            assert time.monotonic() < end
        service.send_signal(signal.SIGTERM)
        assert service.wait(60) == 0
    assert run("lot", "list", "--data", data, "--json").lines[0]["work"] == "partial"


def test_a_cluster_elsewhere_needs_records_and_images_that_it_reaches(
    run: Run, data: Path
) -> None:
    lot = a_lot(run, data)
    refused = run("lot", "score", lot, "--engine", "ray", "--data", data)
    assert refused.code not in {0, 1, 3}
    assert "PostgreSQL" in refused.err

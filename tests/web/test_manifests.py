"""A lot listed by a table, or sent as a ZIP, over HTTP."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from web.test_lots import BAD, PHOTOS, a_lot, announced, digest, worked
from web.world import MAX_UPLOAD, Client, World, problem


def csv_of(rows: Sequence[Mapping[str, str]]) -> bytes:
    names = ("image", "sha256", "declared_gtin")
    lines = [names, *([row.get(name, "") for name in names] for row in rows)]
    return "\n".join(",".join(line) for line in lines).encode()


def jsonl_of(rows: Sequence[Mapping[str, str]]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def parquet_of(rows: Sequence[Mapping[str, str]]) -> bytes:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    names = ("image", "sha256", "declared_gtin")
    table = arrow.table({n: [row.get(n, "") for row in rows] for n in names})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    return buffer.getvalue()


def manifest(client: Client, lot: str, name: str, data: bytes) -> Any:
    return client.post(f"{lot}/manifest", files={"file": (name, data)})


@pytest.mark.parametrize(
    ("name", "make"),
    [("m.csv", csv_of), ("m.jsonl", jsonl_of), ("m.parquet", parquet_of)],
)
def test_a_table_lists_its_good_rows_and_tells_of_the_others(
    world: World, name: str, make: Callable[[Sequence[Mapping[str, str]]], bytes]
) -> None:
    officer, lot = world.officer, a_lot(world.officer)
    announced(officer, lot, {"1.jpg": PHOTOS["1.jpg"]})
    rows = [
        {"image": "1.jpg", "sha256": digest(PHOTOS["1.jpg"])},
        {"image": "", "sha256": digest(BAD)},
        {"image": "2.jpg", "sha256": digest(PHOTOS["2.jpg"]).upper()},
        {"image": "3.jpg"},
        {"image": "4.jpg", "sha256": "abc"},
        {"image": "5.jpg", "sha256": digest(BAD), "declared_gtin": "123"},
    ]
    answer = manifest(officer, lot, name, make(rows))
    assert answer.status_code == 201, answer.text
    told = answer.json()
    errors = told.pop("errors")
    assert told == {
        "sent": 6,
        "new": 1,
        "duplicate": 1,
        "failed": 4,
        "awaiting": 2,
        "left_out": 0,
    }
    assert [(error["row"], error["field"]) for error in errors] == [
        (2, "image"),
        (4, "sha256"),
        (5, "sha256"),
        (6, "declared_gtin"),
    ]
    listed = officer.get(f"{lot}/submissions").json()["items"]
    assert [one["name"] for one in listed] == ["1.jpg", "2.jpg"]


def test_the_photos_of_a_zip_are_queued_at_once(world: World) -> None:
    officer, lot = world.officer, a_lot(world.officer)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in PHOTOS.items():
            archive.writestr(f"lot/{name}", data)
        archive.writestr("../out.jpg", PHOTOS["1.jpg"])
        archive.writestr("large.jpg", bytes(MAX_UPLOAD + 1))
        archive.writestr("notes.txt", "no photo")
    told = manifest(officer, lot, "LOT.ZIP", buffer.getvalue()).json()
    errors = told.pop("errors")
    assert told == {
        "sent": 4,
        "new": 2,
        "duplicate": 0,
        "failed": 2,
        "awaiting": 0,
        "left_out": 1,
    }
    assert [error["field"] for error in errors] == ["../out.jpg", "large.jpg"]
    again = manifest(officer, lot, "lot.zip", buffer.getvalue()).json()
    assert (again["new"], again["duplicate"]) == (0, 2)
    assert set(world.parts.blobs.digests()) == {
        digest(data) for data in PHOTOS.values()
    }
    job = officer.post(f"{lot}/score").json()
    worked(world, job["id"])
    assert officer.get(f"/v1/jobs/{job['id']}").json()["state"] == "done"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("m.txt", b"image,sha256\n"),
        ("m.csv", b"name\n1.jpg\n"),
        ("m.csv", b"image,sha256\n\xff\xfe\n"),
        ("m.csv", b"image,sha256\n,\n"),
        ("m.jsonl", b"[]\n"),
        ("m.parquet", b"no parquet"),
        ("m.zip", b"no archive"),
        ("../../m.zip", b"PK\x05\x06" + bytes(17)),
    ],
)
def test_what_is_no_manifest_is_refused_in_words_without_paths(
    world: World, name: str, data: bytes
) -> None:
    lot = a_lot(world.officer)
    answer = manifest(world.officer, lot, name, data)
    assert (answer.status_code, problem(answer)) == (422, "invalid-input")
    assert "/tmp" not in answer.text  # noqa: S108
    assert world.officer.get(f"{lot}/submissions").json()["items"] == []

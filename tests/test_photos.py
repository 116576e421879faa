"""Where a photo lies: written down when it is listed, found again when it is read."""

import json
import os
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone.blobs import LocalBlobs
from touchstone.errors import InvalidInputError
from touchstone.lots.manifests import RowError, open_manifest
from touchstone.lots.names import label, printable
from touchstone.lots.photos import PhotoReader
from touchstone.lots.sources import open_source
from touchstone.store import SubmissionFields

CHANGED = "The archive has been changed meanwhile."


def archive(path: Path, **photos: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in photos.items():
            file.writestr(f"{name}.jpg", content)
    return path


def locators(source: Path) -> list[str]:
    with open_source(source) as listed:
        return [item.locator for item in listed.items]


def replaced(path: Path, **photos: bytes) -> None:
    archive(path.with_suffix(".new"), **photos).replace(path)


def test_each_entry_is_found_by_its_locator(tmp_path: Path) -> None:
    path = archive(tmp_path / "100 %#:é.zip", a=b"one", b=b"two")
    with PhotoReader(100) as reader:
        assert [reader.read(one) for one in locators(path)] == [b"one", b"two"]


def test_no_photo_gets_the_bytes_of_another_when_its_archive_is_replaced(
    tmp_path: Path,
) -> None:
    path = archive(tmp_path / "lot.zip", a=b"one", b=b"two", c=b"three")
    a, b, c = locators(path)
    replaced(path, a=b"two", b=b"two")
    with PhotoReader(100) as reader:
        for gone in (a, c):
            with pytest.raises(InvalidInputError) as caught:
                reader.read(gone)
            assert str(caught.value) == CHANGED
        assert reader.read(b) == b"two"


def test_an_archive_replaced_and_listed_again_is_read_anew(tmp_path: Path) -> None:
    path = archive(tmp_path / "lot.zip", a=b"one")
    (before,) = locators(path)
    with PhotoReader(100) as reader:
        assert reader.read(before) == b"one"
        replaced(path, a=b"two")
        (after,) = locators(path)
        assert reader.read(after) == b"two"
        with pytest.raises(InvalidInputError, match="changed meanwhile"):
            reader.read(before)


@pytest.mark.parametrize("content", [b"two", b"three"])
def test_a_file_that_was_changed_since_it_was_listed_is_not_read(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "100 %#:é.jpg"
    path.write_bytes(b"one")
    (before,) = locators(tmp_path)
    with PhotoReader(100) as reader:
        assert reader.read(before) == b"one"
        path.write_bytes(content)
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
        with pytest.raises(InvalidInputError, match="changed since it was listed"):
            reader.read(before)
        (after,) = locators(tmp_path)
        assert reader.read(after) == content
        # As an earlier version listed it.
        assert reader.read(after.partition("#")[0]) == content


def test_an_entry_that_is_no_deflate_is_told(tmp_path: Path) -> None:
    path = tmp_path / "lot.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.jpg", b"abc " * 500)
    data = bytearray(path.read_bytes())
    data[35] = 0xFF  # the first packed byte: a kind of block that there is not
    path.write_bytes(data)
    (locator,) = locators(path)
    with (
        PhotoReader(10_000) as reader,
        pytest.raises(InvalidInputError, match="cannot be unpacked"),
    ):
        reader.read(locator)


def test_an_archive_that_is_gone_is_told(tmp_path: Path) -> None:
    path = archive(tmp_path / "lot.zip", a=b"one")
    (locator,) = locators(path)
    with PhotoReader(100) as reader:
        reader.read(locator)
        path.unlink()
        with pytest.raises(InvalidInputError, match="The archive cannot be read"):
            reader.read(locator)


@pytest.mark.parametrize("entry", ["0", "", "x:1", "0:", "-1:82f0215c:3"])
def test_a_locator_without_an_identity_reads_nothing(
    tmp_path: Path, entry: str
) -> None:
    path = archive(tmp_path / "lot.zip", a=b"one")
    where = locators(path)[0].rpartition("#")[0]
    with PhotoReader(100) as reader, pytest.raises(InvalidInputError):
        reader.read(f"{where}#{entry}")


def test_a_file_whose_name_is_not_text_is_read(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff\n %#.jpg"
    Path(os.fsdecode(name)).write_bytes(b"one")
    (locator,) = locators(tmp_path)
    assert locator.isascii()
    assert locator.isprintable()
    with PhotoReader(100) as reader:
        assert reader.read(locator) == b"one"


# --- names that are long -------------------------------------------------------------

LONG = "\udcfe" * 180
"""180 bytes that are no UTF-8: shown, they have six times as many characters."""


def named(source: Path) -> list[str]:
    with open_source(source) as listed:
        return [item.name for item in listed.items]


def assert_shortened(names: list[str], *wholes: str) -> None:
    for name, whole in zip(names, wholes, strict=True):
        digest = sha256(whole.encode(errors="surrogatepass")).hexdigest()
        assert name == f"{printable(whole)[:900]}…{digest[:12]}"


def test_a_name_is_shortened_only_where_it_must_be() -> None:
    assert label("x" * 1000) == "x" * 1000
    assert label("a\nb") == "a\\u000ab"
    assert_shortened([label("x" * 1001)], "x" * 1001)


@given(st.text(st.characters(), min_size=150, max_size=2000))
def test_every_label_can_be_listed(name: str) -> None:
    assert SubmissionFields(label(name)).name


def test_files_of_long_names_are_listed_apart_and_read(tmp_path: Path) -> None:
    names = [f"{LONG}{end}.jpg" for end in "ab"]
    for name in names:
        (tmp_path / name).write_text(name[-5])
    assert_shortened(named(tmp_path), *names)
    with PhotoReader(100) as reader:
        assert [reader.read(one) for one in locators(tmp_path)] == [b"a", b"b"]


def test_a_path_too_long_to_note_is_a_row(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["é" * 120] * 8)
    folder.mkdir(parents=True)
    for path in (folder / "a.jpg", tmp_path / "b.jpg"):
        path.touch()
    with open_source(tmp_path) as listed:
        b, a = listed.items
    assert (b.problem, b.locator != "") == ("", True)
    assert ("path is too long" in a.problem, a.locator) == (True, "")


def test_an_entry_of_a_long_name_is_a_row(tmp_path: Path) -> None:
    names = ["x" * 1200, "\n" * 300]
    path = archive(tmp_path / "lot.zip", a=b"1", **dict.fromkeys(names, b"2"))
    with open_source(path) as listed:
        first, *others = listed.items
    assert first.name == "a.jpg"
    assert_shortened([one.name for one in others], *(f"{one}.jpg" for one in names))
    assert others[1].problem == "The entry has an unsafe name."
    with PhotoReader(100) as reader:
        assert reader.read(others[0].locator) == b"2"


def test_an_entry_whose_names_differ_is_told_in_few_words(tmp_path: Path) -> None:
    # The library tells both names in full: a problem of that length is refused.
    path = archive(tmp_path / "lot.zip", **{"x" * 1200: b"1"})
    path.write_bytes(path.read_bytes().replace(b"xxx", b"yyy", 1))
    (locator,) = locators(path)
    with PhotoReader(100) as reader, pytest.raises(InvalidInputError) as caught:
        reader.read(locator)
    assert SubmissionFields("a", problem=str(caught.value)).problem


@pytest.mark.parametrize(
    "row",
    [
        {"image": "x" * 1200},
        {"image": "x" * 1200, "declared_gtin": "1" * 1200},
        {"image": "x" * 1200, "exhibit_no": "1" * 1200},
    ],
)
def test_a_row_of_a_long_name_is_a_row(tmp_path: Path, row: dict[str, str]) -> None:
    path = tmp_path / "lot.jsonl"
    path.write_text(f"{json.dumps(row)}\n" + '{"image": "b.jpg"}\n')
    with open_source(path) as listed:
        first, second = listed.items
    assert_shortened([first.name], row["image"])
    assert first.problem
    assert second.name == "b.jpg"


def test_a_manifest_that_was_sent_keeps_its_long_names(tmp_path: Path) -> None:
    path, digest = tmp_path / "lot.jsonl", sha256(b"1").hexdigest()
    path.write_text(json.dumps({"image": LONG, "sha256": digest}))
    blobs = LocalBlobs(tmp_path / "blobs")
    with open_manifest(path, blobs=blobs, max_bytes=100) as manifest:
        (row,) = manifest.rows
    assert isinstance(row, SubmissionFields)
    assert_shortened([row.name], LONG)


def test_a_zip_that_was_sent_keeps_its_long_names(tmp_path: Path) -> None:
    path = archive(tmp_path / "lot.zip", **{"x" * 1200: b"1"})
    blobs = LocalBlobs(tmp_path / "blobs")
    with open_manifest(path, blobs=blobs, max_bytes=100) as manifest:
        (row,) = manifest.rows
    assert isinstance(row, SubmissionFields)
    assert_shortened([row.name], "x" * 1200 + ".jpg")


@pytest.mark.parametrize(
    "row",
    [
        {"image": ""},
        {"image": "a.jpg", "declared_gtin": "123"},
        {"image": "a.jpg", "exhibit_no": "x" * 2000},
        {"image": "a.jpg", "declared_product": "a\0b"},
    ],
)
def test_what_is_wrong_with_a_row_is_said_alike_wherever_it_is_read(
    tmp_path: Path, row: dict[str, str]
) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text(json.dumps({"image": ""} | row | {"sha256": "0" * 64}))
    with open_source(path) as source:
        (here,) = source.items
    blobs = LocalBlobs(tmp_path / "blobs")
    with open_manifest(path, blobs=blobs, max_bytes=100) as sent:
        (there,) = sent.rows
    assert isinstance(there, RowError)
    assert here.problem == there.message
    assert there.field in here.problem

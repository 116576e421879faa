"""Where a photo lies: written down when it is listed, found again when it is read."""

import os
import zipfile
from pathlib import Path

import pytest

from touchstone.errors import InvalidInputError
from touchstone.lots.photos import PhotoReader
from touchstone.lots.sources import open_source

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

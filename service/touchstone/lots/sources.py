"""A folder, a ZIP or a manifest to the list of its photos, in order, none left out."""

import csv
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from touchstone.engine.codes import normalised_gtin
from touchstone.errors import ConfigurationError, InvalidInputError
from touchstone.lots.archives import Archive, ArchiveLimits, open_archive
from touchstone.lots.names import label
from touchstone.lots.parquet_rows import has_parquet, parquet_rows
from touchstone.lots.photos import entry_locator, file_locator, identity_of
from touchstone.store import SubmissionFields

T = TypeVar("T")

_ACCEPTED = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif")
_KNOWN = (".heic", ".heif", ".tif", ".tiff", ".bmp", ".gif", ".jp2", ".dng")
PHOTO_ENDINGS = frozenset((*_ACCEPTED, *_KNOWN))
"""Names that promise a photo; formats that are not accepted become error rows."""

MANIFEST_COLUMNS = ("image", "exhibit_no", "declared_product", "declared_gtin")
"""What a row of a manifest may tell; only ``image`` is required, others are ignored."""

DIGEST_COLUMN = "sha256"
"""Of the photo, where it is sent by itself: see ``manifests``."""

_MAX_LINE = 1_000_000
_SHOWN = 200
"""Characters of a cell within a message."""


@dataclass(slots=True)
class Source:
    """The photos of a lot; readable once, until the ``with`` of `open_source` ends."""

    items: Iterable[SubmissionFields]
    left_out: int = 0
    """Files that are no photos by their name, of those listed so far."""


@contextmanager
def open_source(path: Path, *, limits: ArchiveLimits | None = None) -> Iterator[Source]:
    """List the photos of ``path``, one by one.

    A folder (searched through, sorted), a ``.zip``, or a manifest: ``.csv``, ``.jsonl``
    or ``.parquet`` with a column ``image`` and perhaps more of `MANIFEST_COLUMNS`.

    Raises:
        InvalidInputError: none of these, unreadable, or an archive over its limits.
        ConfigurationError: Parquet without the library for it.
    """
    ending = path.suffix.lower()
    if path.is_dir():
        yield _folder(path)
    elif ending == ".zip" and path.is_file():
        with open_archive(path, limits=limits) as archive:
            yield _archived(path, archive)
    elif ending in TABLES and path.is_file():
        rows = TABLES[ending](path)
        first = next(rows, None)  # a manifest that is none is refused at once
        yield Source(_listed(path.parent, first, rows))
    else:
        raise InvalidInputError(
            f"{path} is neither a folder, nor a .zip, nor a .csv, .jsonl or .parquet "
            "with a column image.",
            field="source",
        )


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield ``items`` in lists of ``size``, the last one perhaps shorter."""
    left = iter(items)
    while some := list(islice(left, size)):
        yield some


# --- folder and archive ---------------------------------------------------------------


def _folder(root: Path) -> Source:
    found: list[str] = []
    source = Source(())
    # A link to a folder is not followed: it may lead out, or round in a circle.
    for folder, _, names in os.walk(root):
        within = Path(folder).relative_to(root)
        for name in names:
            if _is_photo(name):
                found.append((within / name).as_posix())
            else:
                source.left_out += 1
    found.sort()
    source.items = (_file(name, root / name) for name in found)
    return source


def _archived(path: Path, archive: Archive) -> Source:
    source = Source(())

    def items() -> Iterator[SubmissionFields]:
        for entry in archive.entries():
            if _is_photo(entry.name):
                yield SubmissionFields(
                    label(entry.name),
                    locator="" if entry.problem else entry_locator(path, entry),
                    identity=entry.identity,
                    problem=entry.problem,
                )
            else:
                source.left_out += 1

    source.items = items()
    return source


def _is_photo(name: str) -> bool:
    # `._photo.jpg` is what macOS leaves beside `photo.jpg`: no photo at all.
    ending = PurePosixPath(name).suffix.lower()
    return ending in PHOTO_ENDINGS and not PurePosixPath(name).name.startswith("._")


def _file(
    name: str, path: Path, about: Mapping[str, str] | None = None
) -> SubmissionFields:
    item = SubmissionFields(label(name), identity="absent", **(about or {}))
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or "not a file name"
        return replace(item, problem=f"The file cannot be read: {reason}.")
    identity = identity_of(status)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        return replace(item, identity=identity, problem="This is not a file.")
    try:
        return replace(item, identity=identity, locator=file_locator(path, identity))
    except InvalidInputError:
        problem = "The path is too long: move the folder nearer to the root."
        return replace(item, identity=identity, problem=problem)


# --- manifests ------------------------------------------------------------------------


def _listed(
    folder: Path, first: Mapping[str, Any] | None, rest: Iterator[Mapping[str, Any]]
) -> Iterator[SubmissionFields]:
    if first is not None:
        yield _row(folder, first, 1)
    for number, row in enumerate(rest, 2):
        yield _row(folder, row, number)


def _row(folder: Path, row: Mapping[str, Any], number: int) -> SubmissionFields:
    """Read one row; what is wrong with it becomes its problem, not the manifest's."""
    cells, problem = cells_of(row)
    del cells[DIGEST_COLUMN]  # the photo itself is here
    name = cells.pop("image")
    if problem is not None:
        # By its number: two rows that name no image are two, and the same when sent
        # again.
        identity = f"row {number}"
        return SubmissionFields(label(name), identity=identity, problem=str(problem))
    return _file(name, folder / name, cells)


def cells_of(row: Mapping[str, Any]) -> tuple[dict[str, str], InvalidInputError | None]:
    """Return the cells of a row by column, and what is wrong with it, if anything."""
    columns = (*MANIFEST_COLUMNS, DIGEST_COLUMN)
    cells = {name: str(row.get(name) or "").strip() for name in columns}
    try:
        _check_row(row, cells)
    except InvalidInputError as error:
        return cells, error
    return cells, None


def _check_row(row: Mapping[str, Any], cells: Mapping[str, str]) -> None:
    if row.get(BROKEN):
        raise InvalidInputError(str(row[BROKEN]))
    if not cells["image"]:
        raise InvalidInputError("The cell image is empty.", field="image")
    gtin = cells["declared_gtin"]
    if gtin and normalised_gtin(gtin) is None:
        raise InvalidInputError(
            f"declared_gtin {label(gtin, limit=_SHOWN)} is no GTIN: check its digits.",
            field="declared_gtin",
        )
    about = {name: cells[name] for name in MANIFEST_COLUMNS if name != "image"}
    SubmissionFields("", **about)


BROKEN = "\0broken"
"""Key under which a row tells that it could not be read."""


def _csv_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            _check_columns(path, reader.fieldnames or ())
            yield from reader
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, "a CSV in UTF-8", error) from error


def _jsonl_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE), b"")):
                if not line.strip():
                    continue
                row = _json_object(line, number + 1)
                if number == 0 and BROKEN not in row:
                    _check_columns(path, row)
                yield row
    except OSError as error:
        raise _unreadable(path, "JSON Lines", error) from error


def _json_object(line: bytes, number: int) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        return {BROKEN: f"Line {number} is not JSON."}
    if not isinstance(row, dict):
        return {BROKEN: f"Line {number} is not a JSON object."}
    return row


def _parquet_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    if not has_parquet():
        raise ConfigurationError(
            "Parquet needs its extra: install touchstone[parquet], or give a CSV."
        )
    try:
        rows = parquet_rows(path, (*MANIFEST_COLUMNS, DIGEST_COLUMN))
        _check_columns(path, next(rows)["columns"])
        for row in rows:
            yield {BROKEN: row["problem"]} if "problem" in row else row
    except ValueError as error:
        raise _unreadable(path, "Parquet", error) from error


TABLES = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".parquet": _parquet_rows}


def _check_columns(path: Path, names: Iterable[str]) -> None:
    if "image" not in names:
        raise InvalidInputError(f"{path.name} lacks the column image.", field="source")


def _unreadable(path: Path, kind: str, error: Exception) -> InvalidInputError:
    reason = getattr(error, "strerror", None) or error
    return InvalidInputError(
        f"{path.name} cannot be read as {kind}: {reason}", field="source"
    )

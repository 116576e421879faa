"""A manifest that was sent to us, row by row: good ones to list, others to tell of.

A table's rows announce photos by their digests, for the paths of another machine say
nothing here; the photos of a ZIP are in it, and are kept as they are read.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from touchstone.blobs import Blobs
from touchstone.errors import ConfigurationError, InvalidInputError
from touchstone.lots.archives import ArchiveLimits
from touchstone.lots.names import label
from touchstone.lots.photos import PhotoReader, blob_locator
from touchstone.lots.sources import (
    DIGEST_COLUMN,
    TABLES,
    Source,
    cells_of,
    open_source,
)
from touchstone.store import SubmissionFields

MANIFEST_ENDINGS = (*TABLES, ".zip")
MAX_ROWS = 100_000
"""Of one manifest; a lot may have several."""


@dataclass(frozen=True, slots=True)
class RowError:
    """Why one row cannot be listed."""

    row: int
    """From 1, a table's headings not counted."""
    field: str
    message: str


ManifestRow: TypeAlias = SubmissionFields | RowError


@dataclass(slots=True)
class Manifest:
    """The rows; readable once, until the ``with`` of `open_manifest` ends."""

    rows: Iterable[ManifestRow]
    source: Source | None = None

    @property
    def left_out(self) -> int:
        """Files of a ZIP that are no photos by their name, of those read so far."""
        return 0 if self.source is None else self.source.left_out


@contextmanager
def open_manifest(
    path: Path, *, blobs: Blobs, max_bytes: int, limits: ArchiveLimits | None = None
) -> Iterator[Manifest]:
    """Read a manifest, row by row.

    Args:
        path: a ``.csv``, ``.jsonl``, ``.parquet`` or ``.zip``.
        blobs: where the photos of a ZIP are kept.
        max_bytes: of one photo.
        limits: of a ZIP.

    Raises:
        InvalidInputError: it is none, or a ZIP over its limits.
    """
    ending = path.suffix.lower()
    if ending == ".zip":
        with (
            open_source(path, limits=limits) as source,
            PhotoReader(max_bytes) as reader,
        ):
            yield Manifest(_photos(source, reader, blobs), source)
    elif ending in TABLES:
        rows = TABLES[ending](path)
        first = _first(rows)  # a manifest that is none is refused at once
        yield Manifest(_rows(first, rows))
    else:
        raise InvalidInputError(
            f"A manifest ends in one of: {', '.join(MANIFEST_ENDINGS)}.", field="file"
        )


def _first(rows: Iterator[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    try:
        return next(rows, None)
    except ConfigurationError as error:  # here it is a wish of the sender's
        raise InvalidInputError(
            "Parquet is not read here; send a .csv or .jsonl.", field="file"
        ) from error


def _rows(
    first: Mapping[str, Any] | None, rest: Iterator[Mapping[str, Any]]
) -> Iterator[ManifestRow]:
    if first is not None:
        yield _row(first, 1)
    for number, row in enumerate(rest, 2):
        if number > MAX_ROWS:
            yield RowError(number, "", f"Rows beyond {MAX_ROWS:,} are not read.")
            return
        yield _row(row, number)


def _row(row: Mapping[str, Any], number: int) -> ManifestRow:
    cells, problem = cells_of(row)
    if problem is not None:
        return RowError(number, problem.field or "", str(problem))
    name, digest = cells.pop("image"), cells.pop(DIGEST_COLUMN)
    if not digest:
        return RowError(
            number,
            DIGEST_COLUMN,
            "The cell is empty; without it the photo cannot be sent.",
        )
    try:
        return SubmissionFields(label(name), photo_digest=digest.lower(), **cells)
    except InvalidInputError as error:
        return RowError(number, DIGEST_COLUMN, str(error))


def _photos(source: Source, reader: PhotoReader, blobs: Blobs) -> Iterator[ManifestRow]:
    for number, item in enumerate(source.items, 1):
        if item.problem:
            yield RowError(number, item.name, item.problem)
            continue
        try:
            photo = reader.whole(item.locator)
        except InvalidInputError as error:
            yield RowError(number, item.name, str(error))
            continue
        digest = blobs.put(photo)
        yield SubmissionFields(
            item.name, locator=blob_locator(digest), photo_digest=digest
        )

"""One row for each photo, and the files of them: CSV, JSONL, Parquet.

CSV cells are inert: a spreadsheet runs what starts with ``=``, so such text gets an
apostrophe before it (OWASP ASVS 5.0, 1.2.10). Numbers stay numbers.
"""

import csv
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from touchstone.engine.comparison import Region
from touchstone.errors import ConfigurationError, InvalidInputError, StorageError
from touchstone.examination import Assessment, Examined
from touchstone.lots.names import printable
from touchstone.lots.sources import batches
from touchstone.store import Outcome, Result

Cell: TypeAlias = str | float | None


@dataclass(frozen=True, slots=True)
class Row:
    """What is said of one photo; the names are the columns."""

    image: str
    finding: str = ""
    """Empty where the photo could not be examined: see `error`."""
    product_id: str = ""
    """Of the best match; empty where nothing was named, as for `no_reference`."""
    face: str = ""
    log10_lr: float | None = None
    counterfeit_probability: float | None = None
    """At equal prior odds, 0 to 1."""
    strength: str = ""
    reasons: tuple[str, ...] = ()
    """Codes."""
    regions: tuple[Region, ...] = ()
    """In pixels of the reference image, most deviant first."""
    quality: tuple[tuple[str, float], ...] = ()
    elapsed_ms: float | None = None
    error: str = ""
    """Why the photo could not be examined."""


COLUMNS = tuple(field.name for field in fields(Row))

ENDINGS = (".csv", ".jsonl", ".parquet")


def row_of(image: str, found: Assessment | Examined) -> Row:
    """Return the row of a photo that was examined."""
    finding, product = found.finding, found.product
    elapsed_ms = found.elapsed_ms
    return Row(
        image=image,
        finding=str(finding.kind),
        product_id=product.product_id if product is not None else "",
        face=product.face if product is not None else "",
        log10_lr=finding.log10_lr,
        counterfeit_probability=finding.counterfeit_probability,
        strength=finding.strength,
        reasons=tuple(reason.code for reason in finding.reasons),
        regions=tuple(sorted(found.regions, key=lambda one: -one.deviation)),
        quality=tuple(sorted(found.quality.items())),
        elapsed_ms=None if elapsed_ms is None else round(elapsed_ms, 1),
    )


def result_of(image: str, found: Assessment) -> Result:
    """Return what the records keep of a photo that was examined."""
    row = row_of(image, found)
    return Result(
        row_json=json.dumps(row_document(row), ensure_ascii=False),
        finding=row.finding,
        log10_lr=row.log10_lr,
        serial=printable(found.serial),
        profile=found.profile,
    )


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """Return the row of a photo as JSON, from the records."""
    if outcome.row_json:
        document: dict[str, Any] = json.loads(outcome.row_json)
        return document
    return row_document(Row(outcome.name, error=outcome.error))


def row_document(row: Row) -> dict[str, Any]:
    """Return ``row`` as JSON, under the names of the columns and in their order."""
    plain = {name: getattr(row, name) for name in COLUMNS}
    return plain | {
        "reasons": list(row.reasons),
        "regions": [
            {
                "x": region.x,
                "y": region.y,
                "width": region.width,
                "height": region.height,
                "in": "reference",
                "deviation": round(region.deviation, 4),
            }
            for region in row.regions
        ],
        "quality": dict(row.quality),
    }


# --- files --------------------------------------------------------------------------


def check_out(out: Path) -> None:
    """Refuse what could not be written at the end, before hours of work.

    Raises:
        InvalidInputError: an unknown ending, or no such folder.
        ConfigurationError: Parquet without the library for it.
    """
    if out.suffix.lower() not in ENDINGS:
        raise InvalidInputError(
            f"{out} must end in one of: {', '.join(ENDINGS)}.", field="out"
        )
    if not out.parent.is_dir():
        raise InvalidInputError(f"There is no folder {out.parent}.", field="out")
    if out.suffix.lower() == ".parquet":
        _parquet()


def write_rows(out: Path, documents: Iterable[dict[str, Any]]) -> None:
    """Write one row for each of ``documents`` (see `row_document`), all or nothing.

    Raises:
        StorageError: the disk refused; what was at ``out`` before is untouched.
    """
    writers = {".csv": _write_csv, ".jsonl": _write_jsonl, ".parquet": _write_parquet}
    with _replacing(out) as path:
        writers[out.suffix.lower()](path, documents)


def write_whole(out: Path, content: bytes) -> None:
    """Write ``content`` in one step.

    Raises:
        StorageError: the disk refused; what was at ``out`` before is untouched.
    """
    with _replacing(out) as path:
        path.write_bytes(content)


def _write_csv(path: Path, documents: Iterable[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        # Python 3.11 leaves a carriage return bare, and readers end the row there.
        careful = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(COLUMNS)
        for document in documents:
            cells = [_csv_cell(document[name]) for name in COLUMNS]
            has_return = any("\r" in cell for cell in cells if isinstance(cell, str))
            (careful if has_return else writer).writerow(cells)


def _write_jsonl(path: Path, documents: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for document in documents:
            ordered = {name: document[name] for name in COLUMNS}
            file.write(json.dumps(ordered, ensure_ascii=False) + "\n")


def _write_parquet(path: Path, documents: Iterable[dict[str, Any]]) -> None:
    arrow, parquet = _parquet()
    schema = arrow.schema(
        [
            (name, arrow.float64() if name in _NUMBERS else arrow.string())
            for name in COLUMNS
        ]
    )
    with parquet.ParquetWriter(path, schema) as writer:
        for group in batches(documents, _GROUP_ROWS):
            columns = {name: [_flat(one[name]) for one in group] for name in COLUMNS}
            writer.write_table(arrow.table(columns, schema=schema))


_NUMBERS = frozenset({"log10_lr", "counterfeit_probability", "elapsed_ms"})
_GROUP_ROWS = 2000


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow  # noqa: PLC0415  an extra: 170 MB that most never need
        import pyarrow.parquet  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "Parquet needs its extra: install touchstone[parquet], or let --out end "
            "in .csv or .jsonl."
        ) from error
    return pyarrow, pyarrow.parquet


def _flat(value: Any) -> Cell:
    if value is None or isinstance(value, str | float):
        return value
    return json.dumps(value, ensure_ascii=False)


def _csv_cell(value: Any) -> Cell:
    flat = _flat(value)
    return inert(flat) if isinstance(flat, str) else flat


# Full-width forms count: some spreadsheets read them as the plain sign.
_LIVE = frozenset("=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def inert(text: str) -> str:
    """Return ``text`` such that no spreadsheet runs it; plain numbers as they are.

    Reversible: take the first apostrophe off a cell that begins with one and in which,
    behind apostrophes and spaces, one of these signs comes first.
    """
    first = text.lstrip("' ")[:1]  # LibreOffice runs what spaces stand before, too
    if first not in _LIVE or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """Give a file beside ``out`` to write, which takes its place once it is whole."""
    try:
        handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
        aside = Path(name)
        os.close(handle)
        try:
            aside.chmod(0o666 & ~_umask())
            yield aside
            with aside.open("rb") as file:
                os.fsync(file.fileno())
            aside.replace(out)
        finally:
            aside.unlink(missing_ok=True)
        flush_folder(out.parent)
    except OSError as error:
        raise StorageError(f"{out} cannot be written: {error.strerror}.") from error


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def flush_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive the power going."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

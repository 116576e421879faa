"""What is done of a lot, line by line beside the results: it survives any stop.

The first line says what is scored and by what; each other line is one finished photo.
Only whole lines count, so a line cut off by a crash is done again. One process at a
time may hold a journal.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from touchstone.errors import ConflictError, StorageError
from touchstone.lots.results import flush_folder
from touchstone.lots.sources import Item

_FORMAT = "touchstone lot 1"


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished photo."""

    item: Item
    document: dict[str, Any]
    """Its row, see `row_document`."""
    examination_id: str | None = None
    """None where nothing was recorded: the photo could not be examined."""


class Journal:
    """The finished photos of one lot, on disk; memory holds where each line stands."""

    def __init__(self, path: Path, *, source: Path, examined_by: str) -> None:
        """Open ``path``, or begin it.

        Args:
            path: of the journal.
            source: what is scored.
            examined_by: what finds; rows of another model or policy do not mix.

        Raises:
            ConflictError: another process holds it, or it is about another lot.
            StorageError: the disk refused.
        """
        self._path = path
        self._header = {
            "journal": _FORMAT,
            "source": os.fsencode(source.absolute()).decode("utf-8", "replace"),
            "examined_by": examined_by,
        }
        self._found: dict[str, int] = {}
        try:
            self._file: BinaryIO = path.open("a+b")
            self._lock()
            self._read()
        except OSError as error:
            raise self._refusal(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def __contains__(self, item: Item) -> bool:
        """Whether this photo, as it is now, is finished."""
        return _key(item) in self._found

    def append(self, entries: Iterable[Entry]) -> None:
        """Add finished photos; they are on the disk when this returns.

        Raises:
            StorageError: the disk refused.
        """
        try:
            for entry in entries:
                self._found[_key(entry.item)] = self._write(
                    {
                        "key": _key(entry.item),
                        "examination_id": entry.examination_id,
                        "row": entry.document,
                    }
                )
            self._flush()
        except OSError as error:
            raise self._refusal(error) from error

    def documents(self, items: Iterable[Item]) -> Iterator[dict[str, Any]]:
        """Yield the row of each of ``items``, all of which are finished, in order."""
        for item in items:
            self._file.seek(self._found[_key(item)])
            yield json.loads(self._file.readline())["row"]

    def remove(self) -> None:
        """Take the journal away: the results are whole."""
        self._path.unlink(missing_ok=True)

    # --- the file -----------------------------------------------------------------

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise ConflictError(
                f"Another process is scoring into {self._path.parent}: wait for it, "
                "or choose another --out."
            ) from error

    def _read(self) -> None:
        self._file.seek(0)
        whole = 0
        for number, line in enumerate(iter(self._file.readline, b"")):
            fields = _fields(line)
            if fields is None:
                break
            if number == 0:
                self._check(fields)
            else:
                self._found[str(fields["key"])] = whole
            whole += len(line)
        self._file.truncate(whole)
        self._file.seek(whole)
        if whole == 0:
            self._write(self._header)
            self._flush()
            flush_folder(self._path.parent)

    def _check(self, header: dict[str, Any]) -> None:
        if header == self._header:
            return
        self._file.close()
        differs = [
            name for name in self._header if header.get(name) != self._header[name]
        ]
        raise ConflictError(
            f"{self._path} holds an unfinished lot of another "
            f"{' and '.join(differs)}; delete it to begin anew, or choose another "
            "--out."
        )

    def _write(self, fields: dict[str, Any]) -> int:
        self._file.seek(0, os.SEEK_END)
        start = self._file.tell()
        self._file.write(json.dumps(fields, ensure_ascii=False).encode() + b"\n")
        return start

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def _refusal(self, error: OSError) -> StorageError:
        return StorageError(
            f"The journal {self._path} cannot be written: {error.strerror}."
        )


def _key(item: Item) -> str:
    return f"{item.position}|{item.identity}|{item.image}"


def _fields(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None

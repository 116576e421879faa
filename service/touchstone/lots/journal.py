"""What is done of a lot, line by line beside the results: it survives any stop.

The first line says what is scored and by what; each other line is one finished photo,
or says by what else the lot was gone on with. Only whole lines count, so a line cut off
by a crash is done again. One process at a time may hold a journal.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from touchstone.errors import ConflictError, InvalidInputError, StorageError
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

    def __init__(
        self,
        path: Path,
        *,
        source: Path,
        examined_by: Mapping[str, str],
        may_mix: bool = False,
    ) -> None:
        """Open ``path``, or begin it.

        Args:
            path: of the journal.
            source: what is scored.
            examined_by: digest or version of everything that finds, by name.
            may_mix: whether to go on with rows that were found by something else.

        Raises:
            ConflictError: another process holds it, or it is about another lot.
            InvalidInputError: its rows were found by something else, and must not mix.
            StorageError: the disk refused.
        """
        self._path = path
        self._header: dict[str, Any] = {
            "journal": _FORMAT,
            "source": os.fsencode(source.absolute()).decode("utf-8", "replace"),
            "examined_by": dict(examined_by),
        }
        self._found: dict[str, int] = {}
        self._finders: list[Mapping[str, str]] = []
        try:
            self._file: BinaryIO = path.open("a+b")
            self._lock()
            self._read()
            self._begin(may_mix=may_mix)
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
            elif "key" in fields:
                self._found[str(fields["key"])] = whole
            self._note_finder(fields.get("examined_by"))
            whole += len(line)
        self._file.truncate(whole)
        self._file.seek(whole)

    def _note_finder(self, examined_by: object) -> None:
        if isinstance(examined_by, dict):
            self._finders.append(examined_by)

    def _begin(self, *, may_mix: bool) -> None:
        """Write by what the rows to come are found, unless it stands there."""
        if not self._found:
            # No row can be of another state: the lot begins with what is now.
            self._file.truncate(0)
            self._write(self._header)
            self._flush()
            flush_folder(self._path.parent)
            return
        now = self._header["examined_by"]
        others = [finder for finder in self._finders if finder != now]
        if others and not may_mix:
            self._file.close()
            raise InvalidInputError(
                f"{self._path} holds an unfinished lot begun with "
                f"{_changes(others[0], now)}: its rows and those to come would not "
                "compare. Choose another --out to score all of it anew, or go on with "
                "--mixed.",
                field="out",
            )
        if others and now not in self._finders:
            self._write({"examined_by": now})
            self._flush()

    def _check(self, header: dict[str, Any]) -> None:
        differs = [
            name
            for name in ("journal", "source")
            if header.get(name) != self._header[name]
        ]
        examined_by = header.get("examined_by")
        if not isinstance(examined_by, dict) and examined_by != _in_words(
            self._header["examined_by"]
        ):
            differs.append("examined_by")
        if not differs:
            return
        self._file.close()
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


def _in_words(examined_by: Mapping[str, str]) -> str:
    """Return what journals told before they told comparator and references."""
    named = ("touchstone", "embedder", "policy")
    return " ".join(f"{name} {examined_by.get(name, '')[:16]}" for name in named)


def _changes(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    return " and ".join(
        f"other {name} ({_short(then, name)} then, {_short(now, name)} now)"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    )


def _short(examined_by: Mapping[str, str], name: str) -> str:
    return str(examined_by.get(name, "none"))[:12]

"""A ZIP to its entries within limits of count, size and ratio; nothing is unpacked.

A photo is read in memory, its name is only a label. Limits: OWASP ASVS 5.0, 5.2.3
(size and count before unpacking) and 5.2.5 (no symbolic links).
"""

import io
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from touchstone.errors import InvalidInputError
from touchstone.lots.names import label


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What a ZIP may hold; beyond it the whole archive is refused."""

    max_entries: int = 20_000
    max_total_bytes: int = 2_000_000_000
    max_ratio: float = 100.0
    """Unpacked by packed size, of one entry and of all together. Photos are
    compressed already: they reach hardly 2."""
    ratio_floor_bytes: int = 1_000_000
    """What unpacks to less may have any ratio: it can do no harm."""


_MAX_READ = 16_000_000
_ENTRY_SIGNATURE = b"PK\x01\x02"
_LOCAL_HEADER_BYTES = 30
_CHUNK = 1_000_000
_SHOWN = 500
"""Characters of a name within a message: an entry's may have 65,535."""
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 0x1
_RESERVED = frozenset(
    ["CON", "PRN", "AUX", "NUL"]
    + [f"{port}{number}" for port in ("COM", "LPT") for number in "123456789¹²³"]
)
"""Names that are devices on Windows, where the results may be opened."""
_BREAKS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
)


class _BoundedFile(io.BufferedReader):
    """Reads that stay small: ``zipfile`` parses a directory of any size at once.

    A hundred thousand entries would take a hundred megabytes of objects before the
    first of them could be refused.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_READ:
            raise zipfile.BadZipFile("its directory is too large")
        data = super().read(size)
        if data.count(_ENTRY_SIGNATURE) > ArchiveLimits().max_entries:
            raise zipfile.BadZipFile("it has too many entries")
        return data


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive."""

    number: int
    """From 0, in the order of the archive; folders count."""
    name: str
    identity: str
    """Changes when the file does."""
    problem: str
    """Why it cannot be read; empty where it can."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A ZIP that keeps the limits; open until the ``with`` of `open_archive` ends."""

    _file: zipfile.ZipFile

    def entries(self) -> Iterator[Entry]:
        """Yield its files, not its folders, in their order."""
        for number, info in enumerate(self._file.infolist()):
            if not info.is_dir():
                problem = _member_problem(info)
                yield Entry(number, info.orig_filename, _identity(info), problem)

    def unpacked(self, number: int, identity: str, *, limit: int) -> bytes:
        """Return the bytes, fewer than ``limit``, of the file that was listed so.

        Raises:
            InvalidInputError: it is damaged, has ``limit`` bytes or more by its own
                account, or another has that number now.
        """
        entries = self._file.infolist()
        if (
            not 0 <= number < len(entries)
            or _identity(entries[number]) != identity
            or _member_problem(entries[number])
        ):
            raise InvalidInputError("The archive has been changed meanwhile.")
        if entries[number].file_size >= limit:  # known before its memory is taken
            raise InvalidInputError(f"The photo has more than {limit - 1:,} bytes.")
        return _unpacked(self._file, entries[number], limit)


@contextmanager
def open_archive(
    path: Path, *, limits: ArchiveLimits | None = None
) -> Iterator[Archive]:
    """Open a ZIP and hold it against its limits, before anything is unpacked.

    Raises:
        InvalidInputError: it is damaged, or over its limits.
    """
    with _opened(path) as file:
        entries = [entry for entry in file.infolist() if not entry.is_dir()]
        _check_archive(entries, limits or ArchiveLimits())
        yield Archive(file)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(_BoundedFile(io.FileIO(path)))
            archive = stack.enter_context(zipfile.ZipFile(file))
        except (*_BREAKS, ValueError) as error:
            raise _refused(str(error) or "it is damaged") from error
        yield archive


def _refused(why: str) -> InvalidInputError:
    return InvalidInputError(
        f"The ZIP is refused: {why}. Unpack what you trust of it and give the folder.",
        field="source",
    )


def _check_archive(entries: list[zipfile.ZipInfo], limits: ArchiveLimits) -> None:
    if len(entries) > limits.max_entries:
        raise _refused(f"it has {len(entries):,} entries, over {limits.max_entries:,}")
    total = sum(entry.file_size for entry in entries)
    if total > limits.max_total_bytes:
        raise _refused(
            f"it unpacks to {total:,} bytes, over {limits.max_total_bytes:,}"
        )
    for entry in entries:
        if _is_bomb(entry.file_size, entry.compress_size, limits):
            raise _refused(
                f"{label(entry.filename, limit=_SHOWN)} is a decompression bomb"
            )
    if _is_bomb(total, sum(entry.compress_size for entry in entries), limits):
        raise _refused("its entries together are a decompression bomb")
    _check_overlap(entries)


def _is_bomb(size: int, packed: int, limits: ArchiveLimits) -> bool:
    return size > limits.ratio_floor_bytes and size > limits.max_ratio * packed


def _check_overlap(entries: list[zipfile.ZipInfo]) -> None:
    # Entries that share their data make a bomb of no suspicious ratio:
    # https://www.bamsoftware.com/hacks/zipbomb/
    end = 0
    for entry in sorted(entries, key=lambda one: one.header_offset):
        if entry.header_offset < end:
            raise _refused("its entries overlap")
        end = entry.header_offset + _LOCAL_HEADER_BYTES + entry.compress_size


def _identity(entry: zipfile.ZipInfo) -> str:
    return f"{entry.CRC:08x}:{entry.file_size}"


def _member_problem(entry: zipfile.ZipInfo) -> str:
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "The entry is a symbolic link."
    if entry.flag_bits & _ENCRYPTED:
        return "The entry is encrypted; give the archive without a password."
    if entry.compress_type not in _METHODS:
        return "The entry is compressed in a way that is not accepted; use deflate."
    if not _is_safe_name(entry.orig_filename):
        return "The entry has an unsafe name."
    return ""


def _is_safe_name(name: str) -> bool:
    windows, posix = PureWindowsPath(name), PurePosixPath(name)
    return (
        name.isprintable()
        and not (windows.drive or windows.root or posix.is_absolute())
        and ".." not in (*windows.parts, *posix.parts)
        and not any(
            part.split(".")[0].rstrip().upper() in _RESERVED for part in windows.parts
        )
    )


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> bytes:
    data = bytearray()
    try:
        with archive.open(member) as file:
            while len(data) < limit:
                part = file.read(min(_CHUNK, limit - len(data)))
                if not part:
                    break
                data += part
    except (*_BREAKS, ValueError) as error:
        raise InvalidInputError(
            f"The entry cannot be unpacked: {label(str(error), limit=_SHOWN)}."
        ) from error
    return bytes(data)

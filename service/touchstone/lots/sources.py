"""A folder, a ZIP or a CSV to the list of its photos, in order, none left out.

Nothing is ever unpacked: a photo of a ZIP is read in memory, its name is only a label.
Limits of an archive: OWASP ASVS 5.0, 5.2.3 (size and count before unpacking) and
5.2.5 (no symbolic links).
"""

import csv
import io
import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from touchstone.errors import InvalidInputError

_ACCEPTED = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif")
_KNOWN = (".heic", ".heif", ".tif", ".tiff", ".bmp", ".gif", ".jp2", ".dng")
PHOTO_ENDINGS = frozenset((*_ACCEPTED, *_KNOWN))
"""Names that promise a photo; formats that are not accepted become error rows."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What a ZIP may hold; beyond it the whole archive is refused."""

    max_entries: int = 20_000
    max_total_bytes: int = 2_000_000_000
    max_ratio: float = 100.0
    """Unpacked by packed size of one entry. Photos are compressed already: they
    reach hardly 2."""
    ratio_floor_bytes: int = 1_000_000
    """Smaller entries may have any ratio: they can do no harm."""


@dataclass(frozen=True, slots=True)
class Item:
    """One photo of a lot."""

    position: int
    """From 0, in input order."""
    image: str
    """What the result calls it: its path or name within the source, printable."""
    identity: str
    """Changes when the photo does, so that a resumed lot sees it."""
    path: Path | None = None
    member: zipfile.ZipInfo | None = None
    problem: str = ""
    """Why it cannot be read, where that is known from the listing."""


@dataclass(frozen=True, slots=True)
class Source:
    """The photos of a lot; open until the ``with`` of `open_source` ends."""

    items: tuple[Item, ...]
    left_out: int
    """Files that are no photos by their name."""
    _archive: zipfile.ZipFile | None = None

    def payload(self, item: Item, *, max_bytes: int) -> Path | bytes:
        """Return where ``item`` lies, or its bytes if that is in an archive.

        Args:
            item: one of `items`.
            max_bytes: one byte more than this is read at most.

        Raises:
            InvalidInputError: it cannot be read.
        """
        if item.path is not None:
            return item.path
        if self._archive is None or item.member is None:
            raise InvalidInputError(item.problem)
        return _unpacked(self._archive, item.member, max_bytes + 1)


@contextmanager
def open_source(path: Path, *, limits: ArchiveLimits | None = None) -> Iterator[Source]:
    """List the photos of ``path``: a folder, a ``.zip``, or a ``.csv``.

    Raises:
        InvalidInputError: none of the three, unreadable, or an archive over its limits.
    """
    ending = path.suffix.lower()
    if path.is_dir():
        yield _folder(path)
    elif ending == ".zip" and path.is_file():
        with _opened(path) as archive:
            yield _archive(archive, limits or ArchiveLimits())
    elif ending == ".csv" and path.is_file():
        yield _table(path)
    else:
        raise InvalidInputError(
            f"{path} is neither a folder, nor a .zip, nor a .csv with a column image.",
            field="source",
        )


def printable(text: str) -> str:
    """Return ``text`` with everything escaped that does not show as itself.

    Line breaks would forge rows, direction overrides would disguise names, and
    surrogates (names that are not UTF-8) cannot be written.
    """
    return "".join(
        character if character.isprintable() else f"\\u{ord(character):04x}"
        for character in text
    )


# --- folder -------------------------------------------------------------------------


def _folder(root: Path) -> Source:
    found: list[str] = []
    left_out = 0
    # A link to a folder is not followed: it may lead out, or round in a circle.
    for folder, _, names in os.walk(root):
        within = Path(folder).relative_to(root)
        for name in names:
            if _is_photo(name):
                found.append((within / name).as_posix())
            else:
                left_out += 1
    items = (_file(n, name, root / name) for n, name in enumerate(sorted(found)))
    return Source(tuple(items), left_out)


def _is_photo(name: str) -> bool:
    # `._photo.jpg` is what macOS leaves beside `photo.jpg`: no photo at all.
    ending = PurePosixPath(name).suffix.lower()
    return ending in PHOTO_ENDINGS and not PurePosixPath(name).name.startswith("._")


def _file(position: int, name: str, path: Path) -> Item:
    try:
        about = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or "not a file name"
        problem = f"The file cannot be read: {reason}."
        return Item(position, printable(name), "absent", problem=problem)
    identity = f"{about.st_size}:{about.st_mtime_ns}"
    if not stat.S_ISREG(about.st_mode):  # opening a pipe would wait for ever
        problem = "This is not a file."
        return Item(position, printable(name), identity, problem=problem)
    return Item(position, printable(name), identity, path=path)


# --- CSV ----------------------------------------------------------------------------


def _table(path: Path) -> Source:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if "image" not in (reader.fieldnames or ()):
                raise InvalidInputError(
                    f"{path} lacks the column image.", field="source"
                )
            names = [row["image"] or "" for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(
            f"{path} cannot be read as a CSV in UTF-8: {error}", field="source"
        ) from error
    return Source(tuple(_row(n, name, path.parent) for n, name in enumerate(names)), 0)


def _row(position: int, name: str, folder: Path) -> Item:
    if not name.strip():
        return Item(position, "", "absent", problem="The cell image is empty.")
    return _file(position, name, folder / name.strip())


# --- ZIP ----------------------------------------------------------------------------

_MAX_READ = 16_000_000
_ENTRY_SIGNATURE = b"PK\x01\x02"
_LOCAL_HEADER_BYTES = 30
_CHUNK = 1_000_000
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 0x1
_RESERVED = frozenset(
    ["CON", "PRN", "AUX", "NUL"]
    + [f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10)]
)
"""Names that are devices on Windows, where the results may be opened."""
_BREAKS = (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError)


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


def _archive(archive: zipfile.ZipFile, limits: ArchiveLimits) -> Source:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    _check_archive(entries, limits)
    photos = [entry for entry in entries if _is_photo(entry.filename)]
    items = (_member(n, entry) for n, entry in enumerate(photos))
    return Source(tuple(items), len(entries) - len(photos), archive)


def _check_archive(entries: list[zipfile.ZipInfo], limits: ArchiveLimits) -> None:
    if len(entries) > limits.max_entries:
        raise _refused(f"it has {len(entries):,} entries, over {limits.max_entries:,}")
    total = sum(entry.file_size for entry in entries)
    if total > limits.max_total_bytes:
        raise _refused(
            f"it unpacks to {total:,} bytes, over {limits.max_total_bytes:,}"
        )
    for entry in entries:
        packed = max(1, entry.compress_size)
        is_dense = entry.file_size / packed > limits.max_ratio
        if is_dense and entry.file_size > limits.ratio_floor_bytes:
            raise _refused(f"{printable(entry.filename)} is a decompression bomb")
    _check_overlap(entries)


def _check_overlap(entries: list[zipfile.ZipInfo]) -> None:
    # Entries that share their data make a bomb of no suspicious ratio:
    # https://www.bamsoftware.com/hacks/zipbomb/
    end = 0
    for entry in sorted(entries, key=lambda one: one.header_offset):
        if entry.header_offset < end:
            raise _refused("its entries overlap")
        end = entry.header_offset + _LOCAL_HEADER_BYTES + entry.compress_size


def _member(position: int, entry: zipfile.ZipInfo) -> Item:
    name = printable(entry.orig_filename)
    identity = f"{entry.CRC:08x}:{entry.file_size}"
    problem = _member_problem(entry)
    if problem:
        return Item(position, name, identity, problem=problem)
    return Item(position, name, identity, member=entry)


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
        and not any(part.split(".")[0].upper() in _RESERVED for part in windows.parts)
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
            f"The entry cannot be unpacked: {printable(str(error))}."
        ) from error
    return bytes(data)

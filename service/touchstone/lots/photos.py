"""Where the bytes of a submitted photo lie, as one line of text, and back to bytes.

``blob:SHA-256``
    in the image store: what was uploaded;
``file:PATH#SIZE:MTIME``
    on this machine; percent-encoded, for a name need not be text; with its size in
    bytes and its time in ns, for it may have been written anew since it was listed;
``zip:PATH#NUMBER:CRC:SIZE``
    the entry of that number in an archive on this machine, which is never unpacked;
    with its checksum and size, for another archive may have come in its place.
"""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote_from_bytes, unquote_to_bytes

from touchstone.blobs import Blobs
from touchstone.errors import InvalidInputError, NotFoundError
from touchstone.lots.archives import Archive, Entry, open_archive


def blob_locator(digest: str) -> str:
    """Return the locator of an uploaded photo."""
    return f"blob:{digest}"


def file_locator(path: Path, identity: str) -> str:
    """Return the locator of a photo on this machine, as it was; see `identity_of`."""
    return f"file:{quote_from_bytes(os.fsencode(path.absolute()))}#{identity}"


def identity_of(status: os.stat_result) -> str:
    """Return what changes when a file is written anew."""
    return f"{status.st_size}:{status.st_mtime_ns}"


def entry_locator(archive: Path, entry: Entry) -> str:
    """Return the locator of a photo in an archive on this machine."""
    path = quote_from_bytes(os.fsencode(archive.absolute()))
    return f"zip:{path}#{entry.number}:{entry.identity}"


@dataclass(slots=True)
class PhotoReader:
    """Reads photos by their locators; keeps the last archive open until closed."""

    max_bytes: int
    """One byte more than this is read at most."""
    blobs: Blobs | None = None
    """None where nothing is uploaded."""
    _opened: AbstractContextManager[Archive] | None = field(default=None, init=False)
    _archive: Archive | None = field(default=None, init=False)
    _archive_key: tuple[str, int, int, int, int] | None = field(
        default=None, init=False
    )
    """Its path, and the file that was there when it was opened."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def read(self, locator: str) -> bytes:
        """Return the bytes of a photo, at most one more than `max_bytes`.

        Raises:
            InvalidInputError: it cannot be read, or is not there any more.
            StorageError: the image store refused.
        """
        kind, _, where = locator.partition(":")
        if kind == "file":
            path, _, identity = where.partition("#")
            return _file_bytes(_path(path), identity, self.max_bytes + 1)
        if kind == "zip":
            path, _, entry = where.rpartition("#")
            number, _, identity = entry.partition(":")
            if number.isdecimal():
                archive = self._archived(path)
                return archive.unpacked(int(number), identity, limit=self.max_bytes + 1)
        if kind == "blob" and self.blobs is not None:
            try:
                return self.blobs.get(where)
            except NotFoundError as error:
                raise InvalidInputError("The photo is no longer there.") from error
        raise InvalidInputError("Nothing tells where the photo lies.")

    def whole(self, locator: str) -> bytes:
        """Return the bytes of a photo that is to be kept.

        Raises:
            InvalidInputError: it cannot be read, or has more than `max_bytes`.
            StorageError: the image store refused.
        """
        data = self.read(locator)
        if len(data) > self.max_bytes:
            raise InvalidInputError(
                f"The photo has more than {self.max_bytes:,} bytes."
            )
        return data

    def _archived(self, path: str) -> Archive:
        # A worker lives long: an archive may be replaced while it is held open.
        try:
            now = _path(path).stat()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise _unreadable("archive", error) from error
        key = (path, now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns)
        if self._archive is None or self._archive_key != key:
            self.close()
            opened = open_archive(_path(path))
            self._archive = opened.__enter__()
            self._opened, self._archive_key = opened, key
        return self._archive

    def close(self) -> None:
        """Let go of the archive that is open."""
        if self._opened is not None:
            self._opened.__exit__(None, None, None)
        self._opened = self._archive = None


def _path(quoted: str) -> Path:
    return Path(os.fsdecode(unquote_to_bytes(quoted)))


def _file_bytes(path: Path, identity: str, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit)
            now = identity_of(os.fstat(file.fileno()))  # behind: it may change now
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable("file", error) from error
    # An earlier version noted none; it is noted when the photo is listed again.
    if identity not in ("", now):
        raise InvalidInputError(
            "The file was changed since it was listed; list it again."
        )
    return data


def _unreadable(what: str, error: Exception) -> InvalidInputError:
    reason = getattr(error, "strerror", None) or "not a file name"
    return InvalidInputError(f"The {what} cannot be read: {reason}.")

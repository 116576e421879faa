"""Bytes kept under their own SHA-256: written once, verified at each reading.

``LocalBlobs`` keeps them as files, ``S3Blobs`` in any S3-compatible store. Both lay
them out as ``ab/cd/abcd…``. What ``put`` has returned survives the power going.
"""

import errno
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from touchstone.errors import NotFoundError, StorageError

if TYPE_CHECKING:
    from obstore.store import S3Config  # which is there for type checkers alone

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TEMP = "tmp"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Blobs(Protocol):
    """Content-addressed bytes; there is no verb to change or to delete any."""

    def put(self, data: bytes) -> str:
        """Keep ``data`` durably and return its digest; again changes nothing.

        Raises:
            StorageError: it could not be kept; ``is_full`` if for want of space.
        """

    def get(self, digest: str) -> bytes:
        """Return the bytes with this digest, after checking that they have it.

        Raises:
            NotFoundError: there are none.
            StorageError: they were altered or cannot be read.
        """

    def exists(self, digest: str) -> bool:
        """Whether bytes are kept under this digest; they are not read.

        Raises:
            StorageError: it cannot be told.
        """

    def digests(self) -> Iterator[str]:
        """Yield the digest of everything kept, in order.

        Raises:
            StorageError: the listing broke off.
        """


class LocalBlobs:
    """Blobs as files under one folder, readable by their owner alone.

    Plain files and not obstore's ``LocalStore``: object_store renames a temporary
    file into place but calls fsync only where asked (``with_fsync``, added by
    apache/arrow-rs-object-store#643), and obstore 0.12 has no way to ask. Without it
    an acknowledged photograph is gone, or empty, after a power cut.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._temp = root / _TEMP
        with _local_errors():
            self._temp.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, data: bytes) -> str:
        """Keep ``data`` durably and return its digest; see ``Blobs``."""
        # To be found after any crash, whole or not at all:
        #
        # 1. the bytes go to a temporary file and are flushed to the disk,
        # 2. the file gets its name, atomically,
        # 3. the name is flushed: it lies in the folder, not in the file.
        digest = sha256(data).hexdigest()
        path = self._path(digest)
        with _local_errors():
            if not _is_kept(path, len(data)):
                self._make_folder(path.parent)
                self._write(path, data)
            # Also for what exists: another thread may have named it a moment ago
            # and not have come to 3 yet. On a clean folder this costs next to nothing.
            _flush_folder(path.parent)
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes with this digest; see ``Blobs``."""
        path = self._path(_checked(digest))
        try:
            with _local_errors():
                data = path.read_bytes()
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise NotFoundError("No such bytes are kept.") from error
            raise
        return _verified(digest, data)

    def exists(self, digest: str) -> bool:
        """Whether bytes are kept under this digest; see ``Blobs``."""
        return bool(_DIGEST.fullmatch(digest)) and self._path(digest).is_file()

    def digests(self) -> Iterator[str]:
        """Yield the digest of everything kept, in order; see ``Blobs``."""
        with _local_errors():
            for first in _folders(self._root):
                for second in _folders(first):
                    yield from sorted(
                        file.name
                        for file in second.iterdir()
                        if _DIGEST.fullmatch(file.name)
                    )

    def sweep_temp(self, *, older_than_s: float = 3600.0) -> int:
        """Remove what crashes left half written; return how many files.

        Args:
            older_than_s: younger files may be under way, in this process or another;
                0 only when nothing else runs.
        """
        newest = time.time() - older_than_s
        swept = 0
        with _local_errors():
            for file in self._temp.iterdir():
                # A file may get its name, and leave, between one line and the next.
                with suppress(FileNotFoundError):
                    if file.stat().st_mtime <= newest:
                        file.unlink()
                        swept += 1
        return swept

    def _path(self, digest: str) -> Path:
        return self._root / _key(digest)

    def _make_folder(self, folder: Path) -> None:
        # A new folder is a name too, in the folder above it.
        for made in (folder.parent, folder):
            if not made.is_dir():
                made.mkdir(mode=0o700, exist_ok=True)
                _flush_folder(made.parent)

    def _write(self, path: Path, data: bytes) -> None:
        # mkstemp: mode 0600, and a name that nobody else has.
        handle, name = tempfile.mkstemp(dir=self._temp)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


class S3Blobs:
    """Blobs in a bucket, each made once and never overwritten."""

    def __init__(self, store: S3Store) -> None:
        self._store = store

    @classmethod
    def open(
        cls,
        bucket: str,
        *,
        prefix: str = "",
        endpoint: str | None = None,
        region: str = "us-east-1",
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
    ) -> "S3Blobs":
        """Open a bucket that exists.

        Args:
            bucket: its name.
            prefix: folder within it; empty for the whole bucket.
            endpoint: URL of an S3-compatible service; Amazon's own if not given.
                Plain http is accepted only where the URL says so.
            region: of the bucket.
            access_key_id: with ``secret_access_key``; else the usual places
                (environment, instance role) are looked into.
            secret_access_key: see ``access_key_id``.

        Raises:
            StorageError: a value is not accepted.
        """
        # obstore refuses None: what is not given must not be named.
        config: S3Config = {"region": region}
        if endpoint:
            config["endpoint"] = endpoint
        if access_key_id and secret_access_key:
            config["access_key_id"] = access_key_id
            config["secret_access_key"] = secret_access_key
        with _s3_errors():
            return cls(
                S3Store(
                    bucket,
                    prefix=prefix or None,
                    config=config,
                    client_options={
                        "allow_http": (endpoint or "").startswith("http://"),
                        "timeout": timedelta(seconds=30),
                    },
                    # A request waits on this: three minutes of retries, obstore's
                    # default, would outlive every client.
                    retry_config={
                        "max_retries": 3,
                        "retry_timeout": timedelta(seconds=30),
                    },
                )
            )

    def put(self, data: bytes) -> str:
        """Keep ``data`` durably and return its digest; see ``Blobs``."""
        digest = sha256(data).hexdigest()
        if self.exists(digest):
            return digest
        with _s3_errors():
            try:
                # One request, whatever the size: a multipart upload that breaks off
                # leaves parts that are paid for and never seen.
                obstore.put(
                    self._store,
                    _key(digest),
                    data,
                    mode="create",
                    use_multipart=False,
                )
            except AlreadyExistsError:
                return digest  # another was quicker, with the same bytes
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes with this digest; see ``Blobs``."""
        key = _key(_checked(digest))
        with _s3_errors():
            try:
                data = bytes(obstore.get(self._store, key).bytes())
            except FileNotFoundError as error:
                raise NotFoundError("No such bytes are kept.") from error
        return _verified(digest, data)

    def exists(self, digest: str) -> bool:
        """Whether bytes are kept under this digest; see ``Blobs``."""
        if not _DIGEST.fullmatch(digest):
            return False
        with _s3_errors():
            try:
                obstore.head(self._store, _key(digest))
            except FileNotFoundError:
                return False
        return True

    def digests(self) -> Iterator[str]:
        """Yield the digest of everything kept, in order; see ``Blobs``."""
        with _s3_errors():
            for page in obstore.list(self._store):
                for item in page:
                    name = item["path"].rpartition("/")[2]
                    if _DIGEST.fullmatch(name):
                        yield name


def _key(digest: str) -> str:
    # Two levels keep folders small: a million blobs make 16 files in each.
    return f"{digest[:2]}/{digest[2:4]}/{digest}"


def _checked(digest: str) -> str:
    # A digest becomes a path, so `../../etc/passwd` must not get that far.
    if not _DIGEST.fullmatch(digest):
        raise NotFoundError("No such bytes are kept.")
    return digest


def _verified(digest: str, data: bytes) -> bytes:
    if sha256(data).hexdigest() != digest:
        raise StorageError(
            f"The bytes kept under {digest} were altered; restore them from a back-up."
        )
    return data


def _is_kept(path: Path, size_bytes: int) -> bool:
    # A file of another size is damaged: it is written anew, which can only mend it.
    try:
        return path.stat().st_size == size_bytes
    except FileNotFoundError:
        return False


def _folders(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and path.name != _TEMP
    )


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _local_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        is_full = error.errno in _FULL
        reason = "No space is left for images." if is_full else "The disk refused."
        raise StorageError(reason, is_full=is_full) from error


@contextmanager
def _s3_errors() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        raise StorageError("The object store refused or is out of reach.") from error

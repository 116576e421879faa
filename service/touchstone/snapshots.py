"""Snapshots of the index on disk: a quick start, never the truth.

Each is a folder of its own, written aside, flushed, and renamed into place; what is
altered, of another model, or newer than the records is refused.
"""

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from touchstone.engine.index import ReferenceIndex
from touchstone.errors import IndexDamagedError
from touchstone.store import canonical_json


@dataclass(frozen=True, slots=True)
class IndexState:
    """What is indexed, and of which state of the records."""

    index: ReferenceIndex
    slots: dict[str, int]
    """Reference set id to scope number in the index."""
    counter: int
    """The records' reference counter that this reflects."""


def save_snapshot(folder: Path, state: IndexState, *, model: str) -> None:
    """Write a snapshot of ``state`` into ``folder`` and drop all but the newest two.

    Args:
        folder: of snapshots; made where there is none.
        state: what is indexed.
        model: digest of the embedder that made the vectors.
    """
    data = state.index.to_bytes()
    manifest = canonical_json(
        {
            "sha256": hashlib.sha256(data).hexdigest(),
            "model": model,
            "references": len(state.index.labels),
            "counter": state.counter,
            "slots": state.slots,
        }
    )
    name = f"{state.counter:012d}-{state.index.digest[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{name}.{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    _write_flushed(aside / "index.npz", data)
    _write_flushed(aside / "manifest.json", manifest.encode())
    _write_flushed(
        aside / "manifest.sha256", hashlib.sha256(manifest.encode()).digest()
    )
    _flush_folder(aside)
    target = folder / name
    shutil.rmtree(target, ignore_errors=True)
    aside.rename(target)
    _flush_folder(folder)
    for old in saved_snapshots(folder)[_KEPT_SNAPSHOTS:]:
        shutil.rmtree(old, ignore_errors=True)


_KEPT_SNAPSHOTS = 2


def saved_snapshots(folder: Path) -> list[Path]:
    """Return the snapshots on disk, newest first; half-written ones have a dot."""
    if not folder.is_dir():
        return []
    folders = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return sorted(folders, reverse=True)


def read_snapshot(folder: Path, *, model: str, newest: int) -> IndexState:
    """Read one snapshot.

    Args:
        folder: of the snapshot itself.
        model: digest of the embedder whose vectors are wanted.
        newest: the records' reference counter.

    Raises:
        IndexDamagedError: altered, unreadable, of another model, or newer than that.
    """
    try:
        manifest_bytes = (folder / "manifest.json").read_bytes()
        sealed = (folder / "manifest.sha256").read_bytes()
        data = (folder / "index.npz").read_bytes()
    except OSError as error:
        raise IndexDamagedError(f"it cannot be read ({error})") from error
    if hashlib.sha256(manifest_bytes).digest() != sealed:
        raise IndexDamagedError("its manifest was altered")
    try:
        manifest = json.loads(manifest_bytes)
        expected, made_by = str(manifest["sha256"]), manifest["model"]
        slots, counter = dict(manifest["slots"]), int(manifest["counter"])
    except (ValueError, KeyError, TypeError) as error:
        raise IndexDamagedError(f"its manifest is not ours ({error!r})") from error
    if hashlib.sha256(data).hexdigest() != expected:
        raise IndexDamagedError("its SHA-256 is not the one in its manifest")
    if made_by != model:
        raise IndexDamagedError("it was made by another model")
    if counter > newest:
        raise IndexDamagedError("it is newer than the records")
    return IndexState(ReferenceIndex.from_bytes(data), slots, counter)


def _write_flushed(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        path.chmod(0o600)  # vectors are as secret as the pictures they came from
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system lets a folder be synced
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

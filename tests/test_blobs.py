"""Blobs: one contract for files and for S3, then what each must survive alone."""

import errno
import os
import subprocess
import sys
import threading
import urllib.request
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import S3Store

from touchstone.blobs import Blobs, LocalBlobs, S3Blobs
from touchstone.errors import NotFoundError, StorageError

PHOTO = b"the bytes of a photograph"
DIGEST = sha256(PHOTO).hexdigest()
ABSENT = "0" * 64


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the imitation, none of ours
        from moto.server import ThreadedMotoServer  # noqa: PLC0415 slow to import

        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture
def s3_bucket(s3_url: str, tmp_path: Path) -> str:
    bucket = f"b-{tmp_path.name.lower().replace('_', '-')}"[:60].rstrip("-")
    request = urllib.request.Request(f"{s3_url}/{bucket}", method="PUT")  # noqa: S310
    with urllib.request.urlopen(request):  # noqa: S310 loopback
        return bucket


def s3_blobs(url: str, bucket: str) -> S3Blobs:
    return S3Blobs.open(
        bucket,
        prefix="photos",
        endpoint=url,
        access_key_id="key",
        secret_access_key="secret",  # noqa: S106 moto asks for none
    )


@pytest.fixture(params=["local", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "local":
        return LocalBlobs(tmp_path / "blobs")
    url = request.getfixturevalue("s3_url")
    return s3_blobs(url, request.getfixturevalue("s3_bucket"))


@pytest.fixture
def local(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


def file_of(root: Path, digest: str) -> Path:
    return root / "blobs" / digest[:2] / digest[2:4] / digest


# ------------------------------------------------------------------ the contract


def test_what_is_put_is_got_under_its_digest(blobs: Blobs) -> None:
    assert blobs.put(PHOTO) == DIGEST
    assert blobs.get(DIGEST) == PHOTO
    assert blobs.exists(DIGEST)


def test_putting_twice_keeps_one(blobs: Blobs) -> None:
    assert blobs.put(PHOTO) == blobs.put(PHOTO)
    assert list(blobs.digests()) == [DIGEST]


def test_a_bucket_is_opened_with_the_keys_of_the_environment(
    s3_url: str, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    opened = S3Blobs.open(s3_bucket, endpoint=s3_url)
    assert opened.get(opened.put(PHOTO)) == PHOTO


def test_amazons_own_bucket_is_opened_without_any_key() -> None:
    assert isinstance(S3Blobs.open("photos"), S3Blobs)


def test_no_bytes_are_bytes_too(blobs: Blobs) -> None:
    assert blobs.get(blobs.put(b"")) == b""


def test_what_was_never_put_is_not_found(blobs: Blobs) -> None:
    assert not blobs.exists(ABSENT)
    with pytest.raises(NotFoundError):
        blobs.get(ABSENT)


@pytest.mark.parametrize(
    "digest", ["", "../../../etc/passwd", DIGEST.upper(), DIGEST + "0", "tmp"]
)
def test_what_is_no_digest_is_never_a_path(blobs: Blobs, digest: str) -> None:
    blobs.put(PHOTO)
    assert not blobs.exists(digest)
    with pytest.raises(NotFoundError):
        blobs.get(digest)


def test_all_digests_are_listed_in_order(blobs: Blobs) -> None:
    put = {blobs.put(bytes([number])) for number in range(20)}
    assert list(blobs.digests()) == sorted(put)


def test_many_threads_may_put_the_same_bytes(blobs: Blobs) -> None:
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(blobs.put, [PHOTO] * 32))
    assert digests == {DIGEST}
    assert blobs.get(DIGEST) == PHOTO


# ------------------------------------------------------------------- local files


def test_altered_bytes_are_refused_not_returned(
    local: LocalBlobs, tmp_path: Path
) -> None:
    local.put(PHOTO)
    file = file_of(tmp_path, DIGEST)
    file.write_bytes(bytes([PHOTO[0] ^ 1]) + PHOTO[1:])
    with pytest.raises(StorageError, match="altered"):
        local.get(DIGEST)


def test_a_truncated_file_is_mended_by_the_next_put(
    local: LocalBlobs, tmp_path: Path
) -> None:
    local.put(PHOTO)
    file_of(tmp_path, DIGEST).write_bytes(PHOTO[:5])
    with pytest.raises(StorageError):
        local.get(DIGEST)
    local.put(PHOTO)
    assert local.get(DIGEST) == PHOTO


def test_files_and_folders_are_the_owners_alone(
    local: LocalBlobs, tmp_path: Path
) -> None:
    local.put(PHOTO)
    file = file_of(tmp_path, DIGEST)
    assert file.stat().st_mode & 0o777 == 0o600
    for folder in (file.parent, file.parent.parent, tmp_path / "blobs" / "tmp"):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_file_then_name_then_every_new_folder_is_flushed(
    local: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    fsync = os.fsync

    def remember(handle: int) -> None:
        target = Path(f"/proc/self/fd/{handle}").readlink()
        named = file_of(tmp_path, DIGEST).exists()
        kind = "file" if target.is_file() else str(target.relative_to(tmp_path))
        flushed.append(f"{kind}{' after naming' if named else ''}")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", remember)
    local.put(PHOTO)
    folder = f"blobs/{DIGEST[:2]}"
    assert flushed == [
        "blobs",
        folder,
        "file",
        f"{folder}/{DIGEST[2:4]} after naming",
    ]


def test_a_full_disk_is_said_and_leaves_nothing_behind(
    local: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError) as caught:
            local.put(PHOTO)
    assert caught.value.is_full
    assert not local.exists(DIGEST)
    assert list((tmp_path / "blobs" / "tmp").iterdir()) == []
    assert local.put(PHOTO) == DIGEST


def test_another_disk_error_is_not_taken_for_a_full_disk(
    local: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StorageError) as caught:
        local.put(PHOTO)
    assert not caught.value.is_full


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        LocalBlobs(tmp_path / "file" / "blobs")


KILLED_WHILE_PUTTING = """
import sys, pathlib
from touchstone.blobs import LocalBlobs
blobs = LocalBlobs(pathlib.Path(sys.argv[1]))
number = 0
while True:
    data = number.to_bytes(4, "big") * 50_000
    sys.stdout.write(blobs.put(data) + "\\n")
    sys.stdout.flush()
    number += 1
"""


@pytest.mark.parametrize("acknowledged", [1, 7, 20])
def test_killed_at_any_moment_every_acknowledged_blob_is_whole(
    tmp_path: Path, acknowledged: int
) -> None:
    root = tmp_path / "blobs"
    child = subprocess.Popen(  # noqa: S603 ourselves
        [sys.executable, "-c", KILLED_WHILE_PUTTING, str(root)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    digests = [child.stdout.readline().strip() for _ in range(acknowledged)]
    child.kill()
    digests += [line.strip() for line in child.stdout if len(line) == 65]
    child.stdout.close()
    child.wait()
    blobs = LocalBlobs(root)
    for digest in digests:
        assert sha256(blobs.get(digest)).hexdigest() == digest
    blobs.sweep_temp(older_than_s=0)
    for digest in blobs.digests():
        blobs.get(digest)


def test_crash_leftovers_are_swept_and_blobs_are_not(
    local: LocalBlobs, tmp_path: Path
) -> None:
    local.put(PHOTO)
    temp = tmp_path / "blobs" / "tmp"
    (temp / "orphan").write_bytes(PHOTO[:3])
    (temp / "under-way").write_bytes(PHOTO[:4])
    os.utime(temp / "orphan", (0, 0))
    assert list(local.digests()) == [DIGEST]
    assert local.sweep_temp() == 1
    assert [file.name for file in temp.iterdir()] == ["under-way"]
    assert local.sweep_temp(older_than_s=0) == 1
    assert local.get(DIGEST) == PHOTO


def test_sweeping_does_not_take_a_file_from_under_a_writer(local: LocalBlobs) -> None:
    stop = threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            local.sweep_temp()

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        digests = [local.put(bytes([number]) * 1000) for number in range(50)]
    finally:
        stop.set()
        sweeper.join()
    assert all(local.exists(digest) for digest in digests)


# --------------------------------------------------------------------------- S3


def test_an_object_in_the_bucket_is_never_overwritten(
    s3_url: str, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = s3_blobs(s3_url, s3_bucket)
    blobs.put(PHOTO)
    modes: list[object] = []
    put = obstore.put

    def remember(*args: Any, **kwargs: Any) -> object:
        modes.append(kwargs["mode"])
        return put(*args, **kwargs)

    # As if the look before the leap had come too early to see it.
    monkeypatch.setattr(S3Blobs, "exists", lambda *_: False)
    monkeypatch.setattr(obstore, "put", remember)
    assert blobs.put(PHOTO) == DIGEST
    assert modes == ["create"]


def test_altered_objects_are_refused(s3_url: str, s3_bucket: str) -> None:
    blobs = s3_blobs(s3_url, s3_bucket)
    blobs.put(PHOTO)
    intruder = S3Store(
        s3_bucket,
        endpoint=s3_url,
        access_key_id="key",
        secret_access_key="secret",  # noqa: S106
        client_options={"allow_http": True},
        region="us-east-1",
    )
    key = f"photos/{DIGEST[:2]}/{DIGEST[2:4]}/{DIGEST}"
    obstore.put(intruder, key, b"forged")
    with pytest.raises(StorageError, match="altered"):
        blobs.get(DIGEST)


def test_a_missing_bucket_is_a_storage_error(s3_url: str) -> None:
    with pytest.raises(StorageError):
        s3_blobs(s3_url, "no-such-bucket").put(PHOTO)


def test_a_store_out_of_reach_is_a_storage_error() -> None:
    unreachable = s3_blobs("http://127.0.0.1:9", "bucket")  # the discard port
    for act in (lambda: unreachable.put(PHOTO), lambda: unreachable.get(DIGEST)):
        with pytest.raises(StorageError):
            act()

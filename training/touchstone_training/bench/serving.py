"""Milliseconds of one verification over HTTP, from a real server that is else idle."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException

import numpy as np

from touchstone.errors import ConfigurationError
from touchstone.store import Role
from touchstone_training.bench.bed import Bed, Shot
from touchstone_training.bench.figures import Figure

P95_TARGET_MS = 150.0
_GROUP = "POST /v1/examinations, one 1600 x 1200 photo, one at a time"
_HOST = "127.0.0.1"
_START_S = 60.0
_STOP_S = 40.0
_ANSWER_S = 60.0
_CREATED = 201
_OK = 200
_BOUNDARY = "touchstone-bench-7d1b1c"


def measure_http(bed: Bed, *, requests: int) -> list[Figure]:
    """Examine ``requests`` photos one after another over one connection.

    Every photo is sent once before, so that the references are at hand.

    Raises:
        ConfigurationError: the server does not start, or refuses a photo.
    """
    shots = bed.shots()
    secret = _officer_key(bed)
    with _served(bed) as port:
        _examine(port, secret, shots, first=0)
        chosen = [shots[number % len(shots)] for number in range(requests)]
        elapsed_ms = _examine(port, secret, chosen, first=len(shots))
    median, high = np.percentile(elapsed_ms, (50, 95))
    return [
        Figure(_GROUP, "p50", float(median), "ms", composite=45.0),
        Figure(
            _GROUP,
            "p95",
            float(high),
            "ms",
            target=P95_TARGET_MS,
            note=f"{requests} requests, slowest {max(elapsed_ms):.0f} ms",
        ),
    ]


def _officer_key(bed: Bed) -> str:
    with bed.open() as parts:
        caller = parts.store.ensure_local_operator()
        _, secret = parts.store.issue_key(
            caller,
            organisation_id=caller.organisation_id,
            role=Role.OFFICER,
            label="benchmark",
        )
    return secret


@contextmanager
def _served(bed: Bed) -> Iterator[int]:
    """Run ``touchstone serve`` on a free port of this machine; give the port."""
    port = _free_port()
    log = bed.folder / "serve.log"
    command = "from touchstone.cli import main; main()"
    arguments = ["serve", "--host", _HOST, "--port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(  # noqa: S603 (this interpreter, our own words)
            [sys.executable, "-c", command, *arguments],
            env=bed.environment(),
            stdout=subprocess.DEVNULL,
            stderr=output,
        )
    try:
        if not _is_ready(server, port):
            words = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise ConfigurationError(f"`touchstone serve` did not start:\n{words}")
        yield port
    finally:
        server.terminate()
        try:
            server.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _is_ready(server: "subprocess.Popen[bytes]", port: int) -> bool:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and server.poll() is None:
        connection = HTTPConnection(_HOST, port, timeout=_ANSWER_S)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == _OK:
                return True
        except (OSError, HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    return False


def _examine(
    port: int, secret: str, shots: Sequence[Shot], *, first: int
) -> list[float]:
    """Send each of ``shots``; return the milliseconds from first byte to last."""
    connection = HTTPConnection(_HOST, port, timeout=_ANSWER_S)
    headers = {
        "Authorization": f"Bearer {secret}",
        "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
    }
    elapsed_ms = []
    try:
        for number, shot in enumerate(shots, start=first):
            body = _form(shot.unlike((os.getpid() << 32) + number))
            started = time.perf_counter()
            connection.request("POST", "/v1/examinations", body, headers)
            answer = connection.getresponse()
            text = answer.read()
            elapsed_ms.append((time.perf_counter() - started) * 1e3)
            if answer.status != _CREATED:
                raise ConfigurationError(
                    f"The server answered {answer.status}: {text[:500]!r}"
                )
    finally:
        connection.close()
    return elapsed_ms


def _form(jpeg: bytes) -> bytes:
    head = (
        f"--{_BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="photos"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + jpeg + f"\r\n--{_BOUNDARY}--\r\n".encode()

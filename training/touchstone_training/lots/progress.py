"""The progress of a lot, followed through cuts: told whole, told once, and true."""

import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

from touchstone.bootstrap import open_store
from touchstone.cli.options import settings_with
from touchstone.store import Role

_COMMAND = (sys.executable, "-c", "from touchstone.cli import main; main()")
_START_S = 60.0
_HEADERS = {
    "content-type": "text/event-stream",
    "x-accel-buffering": "no",  # else nginx holds events back until 4 kB are there
    "cache-control": "no-store",
}
"""What a proxy needs to hear, to pass events on as they come."""


@dataclass(slots=True)
class ProgressTrial:
    """What clients that are cut off again and again were told."""

    runs: int
    photos: int
    """Of each run."""
    cuts: int = 0
    right: int = 0
    """Runs in which every photo was told of once, and the last count was true."""
    unlike_a_stream: int = 0
    """Answers that a proxy would have held back."""
    seconds: float = 0.0

    @property
    def is_held(self) -> bool:
        """Whether every run was told of rightly."""
        return self.right == self.runs and not self.unlike_a_stream


@dataclass(slots=True)
class _Told:
    """What one client has heard so far."""

    last_id: str = ""
    items: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    end: dict[str, Any] | None = None


def follow_under_cuts(
    data: Path, *, runs: int, photos: int, cut_after_s: tuple[float, float], seed: int
) -> ProgressTrial:
    """Serve, score ``runs`` lots of photos that are none, and follow each through cuts.

    Args:
        data: a data folder, perhaps not there yet.
        runs: lots, one after another.
        photos: of each lot; they fail as fast as they are taken up.
        cut_after_s: the connection is cut after a time between these, and taken up
            again with the id of the last event that was heard.
        seed: of the times.
    """
    fate = random.Random(seed)  # noqa: S311  no secret: a trial that can be repeated
    trial = ProgressTrial(runs, photos)
    started = time.monotonic()
    with closing(open_store(settings_with(data))) as store:
        caller = store.ensure_local_operator()
        _, secret = store.issue_key(
            caller,
            organisation_id=caller.organisation_id,
            role=Role.ADMIN,
            label="trial of progress",
        )
    with _served(data) as port:
        client = _Client(port, secret)
        for number in range(runs):
            job = client.begin(number, photos)
            told = _Told()
            while told.end is None:
                client.listen(job, told, fate.uniform(*cut_after_s), trial)
                trial.cuts += told.end is None
            trial.right += _is_right(told, photos)
    trial.seconds = round(time.monotonic() - started, 1)
    return trial


def _is_right(told: _Told, photos: int) -> bool:
    counts = (told.end or {})["counts"]
    return (
        told.items == [str(number) for number in range(1, photos + 1)]
        and sorted(told.names) == sorted(_name(n) for n in range(photos))
        and counts["total"] == counts["done"] == counts["failed"] == photos
    )


def _name(number: int) -> str:
    return f"{number:06}.jpg"


@dataclass(frozen=True, slots=True)
class _Client:
    port: int
    secret: str

    def begin(self, run: int, photos: int) -> str:
        """File a lot of photos that are none, send them, have it scored; its job."""
        photo = b"no picture"
        digest = sha256(photo).hexdigest()
        lot = self._json("POST", "/v1/lots", {"ref_no": f"progress {run}"})["id"]
        items = [{"name": _name(n), "sha256": digest} for n in range(photos)]
        self._json("POST", f"/v1/lots/{lot}/submissions", {"items": items})
        self._json("PUT", f"/v1/lots/{lot}/photos/{digest}", photo)
        return str(self._json("POST", f"/v1/lots/{lot}/score", b"")["id"])

    def _json(self, method: str, path: str, body: object) -> dict[str, Any]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        with closing(self._connection()) as connection:
            connection.request(method, path, content, self._headers())
            answer = connection.getresponse()
            text = answer.read()
        if answer.status >= 300:  # noqa: PLR2004
            raise RuntimeError(f"{path}: {answer.status} {text.decode()}")
        document: dict[str, Any] = json.loads(text)
        return document

    def listen(
        self, job: str, told: _Told, seconds: float, trial: ProgressTrial
    ) -> None:
        """Follow a job for so long, then cut the connection as a network does."""
        until = time.monotonic() + seconds
        headers = self._headers()
        if told.last_id:
            headers["Last-Event-ID"] = told.last_id
        with closing(self._connection()) as connection:
            connection.request("GET", f"/v1/jobs/{job}/events", headers=headers)
            answer = connection.getresponse()
            if any(answer.getheader(n, "").find(v) < 0 for n, v in _HEADERS.items()):
                trial.unlike_a_stream += 1
            for event in _events(answer, connection, until):
                _hear(told, event)

    def _connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=30)

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.secret}",
            "Content-Type": "application/json",
        }


def _events(
    answer: HTTPResponse, connection: HTTPConnection, until: float
) -> Iterator[dict[str, str]]:
    """Yield whole events; what was heard in part when the time is up is dropped."""
    event: dict[str, str] = {}
    while (left := until - time.monotonic()) > 0:
        if isinstance(connection.sock, socket.socket):
            connection.sock.settimeout(left)
        try:
            line = answer.readline()
        except TimeoutError:
            return
        if not line:
            return
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            event[name] = value
        else:
            yield event
            event = {}


def _hear(told: _Told, event: dict[str, str]) -> None:
    kind = event.get("event")
    if kind == "item":
        told.last_id = event["id"]
        told.items.append(event["id"])
        told.names.append(json.loads(event["data"])["name"])
    elif kind == "end":
        told.end = json.loads(event["data"])


@contextmanager
def _served(data: Path) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    serving = subprocess.Popen(  # noqa: S603  our own command
        [*_COMMAND, "serve", "--port", str(port), "--data", str(data)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, serving)
        yield port
    finally:
        serving.terminate()
        serving.wait()


def _wait_for(port: int, serving: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and serving.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("The server did not start.")

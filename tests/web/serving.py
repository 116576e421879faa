"""A deployment served by a process of its own: to be weighed, stopped and killed."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import uvicorn
from web.world import Client, World, application

from touchstone.store import Store
from touchstone.web.app import create_app
from touchstone.web.limits import WebLimits


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, response: HTTPResponse) -> "Answer":
        headers = {name.lower(): value for name, value in response.getheaders()}
        return cls(response.status, headers, response.read())

    @property
    def problem(self) -> str:
        kind: str = json.loads(self.body)["type"]
        return kind.removeprefix("urn:touchstone:problem:")


@dataclass(frozen=True)
class Server:
    """A process that serves a world's records and images."""

    process: "subprocess.Popen[str]"
    port: int

    def send(
        self,
        client: Client,
        method: str,
        path: str,
        *,
        body: Any = None,
        **headers: str,
    ) -> Answer:
        """One request on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {name.replace("_", "-"): text for name, text in headers.items()}
        headers["Authorization"] = f"Bearer {client.secret}"
        try:
            connection.request(method, path, body, headers)
            return Answer.of(connection.getresponse())
        finally:
            connection.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=30)

    @contextmanager
    def weighed(self) -> Iterator["Weight"]:
        """Measure by how much its memory grows meanwhile, at the highest."""
        weight = Weight()
        (Path("/proc") / str(self.process.pid) / "clear_refs").write_text("5")
        before = self._status_bytes("VmRSS")
        yield weight
        weight.grown_bytes = self._status_bytes("VmHWM") - before

    def _status_bytes(self, name: str) -> int:
        status = (Path("/proc") / str(self.process.pid) / "status").read_text()
        line = next(one for one in status.splitlines() if one.startswith(name))
        return int(line.split()[1]) * 1024


@dataclass
class Weight:
    grown_bytes: int = 0


@contextmanager
def own_process(
    world: World,
    *,
    limits: WebLimits | None = None,
    dies_at: str = "",
    temporary: Path | None = None,
) -> Iterator[Server]:
    """Serve ``world`` from another process, over the same records and images.

    Args:
        world: whose folder and keys.
        limits: what it takes on at once.
        dies_at: a verb of the store: the process dies by SIGKILL as it is asked for.
        temporary: where it keeps what it spools.
    """
    parts = world.parts
    chosen = {
        "folder": str(parts.settings.data_dir),
        "database": parts.store._engine.url.render_as_string(hide_password=False),
        "max_bytes": parts.settings.max_upload_bytes,
        "limits": asdict(limits or WebLimits()),
        "dies_at": dies_at,
    }
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    if temporary is not None:
        environment["TMPDIR"] = str(temporary)
    process = subprocess.Popen(
        [sys.executable, "-c", "from web.serving import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(chosen))
        process.stdin.close()
        try:
            yield Server(process, int(process.stdout.readline()))
        finally:
            process.kill()


def main() -> None:
    """Serve what stdin says; tell the port."""
    chosen = json.loads(sys.stdin.read())
    if chosen["dies_at"]:
        setattr(Store, chosen["dies_at"], _die)
    parts = application(
        Path(chosen["folder"]), chosen["database"], max_bytes=chosen["max_bytes"]
    )
    app = create_app(parts, limits=WebLimits(**chosen["limits"]))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listening])


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)

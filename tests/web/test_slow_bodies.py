"""A body that drips in is cut off, over a real socket (promise S10)."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from web.conftest import MakeWorld
from web.world import World, encoded, mark, photographed

from touchstone.settings import Settings
from touchstone.web.limits import WebLimits

PHOTO = encoded(photographed(mark(1)))
PATIENCE_S = 0.4
HEAD = b'--x\r\nContent-Disposition: form-data; name="photos"; filename="p"\r\n\r\n'
FORM = "multipart/form-data; boundary=x"


@contextlib.contextmanager
def served(world: World) -> Iterator[int]:
    """The port of a real server of ``world``."""
    config = uvicorn.Config(
        world.app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + 10
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture(scope="module")
def world(fresh_world: MakeWorld) -> World:
    # A body at 20 kB/s and more may take as long as it needs.
    limits = WebLimits(body_timeout_s=PATIENCE_S, body_bytes_per_s=20_000)
    return fresh_world(limits=limits)


@pytest.fixture(scope="module")
def port(world: World) -> Iterator[int]:
    with served(world) as port:
        yield port


class Upload:
    """One POST on a socket of its own, whose body is sent by hand."""

    def __init__(self, port: int, world: World, path: str, **headers: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        lines = [
            f"POST {path} HTTP/1.1",
            "Host: localhost",
            f"Authorization: Bearer {world.officer.secret}",
            *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        ]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def send(self, data: bytes) -> bool:
        """Whether the server still takes it."""
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        return True

    def drip(self, data: bytes, *, every_s: float, limit_s: float = 8) -> float:
        """Send byte by byte until an answer comes; how long that took."""
        started = time.monotonic()
        self._socket.settimeout(every_s)
        for byte in data:
            if time.monotonic() - started > limit_s or not self.send(bytes([byte])):
                break
            try:
                if self._socket.recv(1, socket.MSG_PEEK):
                    break
            except TimeoutError:
                continue
        return time.monotonic() - started

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        self._socket.settimeout(10)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := self._socket.recv(65_536):
                received += chunk
        self._socket.close()
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {
            name.lower(): value
            for name, _, value in (ln.partition(": ") for ln in lines)
        }
        return int(first.split()[1]), headers, body


@pytest.mark.parametrize("has_length", [True, False])
@pytest.mark.parametrize(
    "sent",
    [
        ("/v1/examinations", FORM, HEAD + PHOTO),
        ("/v1/codes/parse", "application/json", b'{"text": "' + b"1" * 900),
    ],
)
def test_a_body_that_drips_is_cut_off_and_nothing_is_kept(
    world: World, port: int, sent: tuple[str, str, bytes], has_length: bool
) -> None:
    path, kind, data = sent
    before = world.kept()
    if has_length:
        length = {"Content_Length": str(len(data) + 500)}
    else:
        length = {"Transfer_Encoding": "chunked"}
        data = b"%x\r\n" % (len(data) + 500) + data
    upload = Upload(
        port, world, path, Content_Type=kind, Idempotency_Key=f"drip {path}", **length
    )
    took_s = upload.drip(data, every_s=0.02)
    status, headers, body = upload.answer()
    problem = json.loads(body)
    assert (status, problem["status"]) == (408, 408)
    assert problem["type"] == "urn:touchstone:problem:body-too-slow"
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["x-request-id"]
    assert PATIENCE_S * 0.9 < took_s < 5
    assert world.kept() == before
    assert world.log.lines[-1]["status"] == 408


def test_a_body_that_stops_half_way_is_cut_off(world: World, port: int) -> None:
    before = world.kept()
    upload = Upload(
        port, world, "/v1/examinations", Content_Type=FORM, Content_Length="100000"
    )
    upload.send(HEAD + PHOTO[:1000])
    assert upload.answer()[0] == 408
    assert world.kept() == before


def test_a_fast_start_does_not_pay_for_a_long_silence(world: World, port: int) -> None:
    upload = Upload(
        port, world, "/v1/examinations", Content_Type=FORM, Content_Length="70000"
    )
    # Three seconds are earned by these, were they kept.
    upload.send((HEAD + PHOTO + b" " * 60_000)[:60_000])
    started = time.monotonic()
    assert upload.answer()[0] == 408
    assert time.monotonic() - started < PATIENCE_S * 5


def test_a_body_at_a_fair_pace_may_take_longer(world: World, port: int) -> None:
    body = HEAD + PHOTO + b"\r\n--x--\r\n"
    # Spaces after the end of a form are its epilogue, which nobody reads.
    body += b" " * max(0, 40_000 - len(body))
    upload = Upload(
        port,
        world,
        "/v1/examinations",
        Content_Type=FORM,
        Content_Length=str(len(body)),
        Connection="close",
    )
    started = time.monotonic()
    step = len(body) // 12 + 1
    for start in range(0, len(body), step):
        assert upload.send(body[start : start + step])
        time.sleep(0.05)
    took_s = time.monotonic() - started
    assert upload.answer()[0] == 201
    assert took_s > PATIENCE_S * 1.2


def test_a_stranger_who_drips_is_turned_away_at_once(world: World, port: int) -> None:
    upload = Upload(
        port, world, "/v1/products", Content_Type="text/json", Content_Length="9000"
    )
    upload.send(b"{")
    upload._socket.settimeout(10)
    assert upload._socket.recv(12) == b"HTTP/1.1 403"
    upload._socket.close()


def test_a_deployment_chooses_its_limits() -> None:
    settings = Settings(
        body_timeout_s=5,
        requests_per_minute=60,
        burst=7,
        places=3,
        waiting=4,
        patience_s=1.5,
    )
    assert WebLimits.chosen(settings) == WebLimits(
        requests_per_minute=60,
        burst=7,
        places=3,
        waiting=4,
        patience_s=1.5,
        body_timeout_s=5,
    )
    assert WebLimits.chosen(Settings()).places >= 1


def test_the_service_takes_its_limits_from_the_settings(
    fresh_world: MakeWorld,
) -> None:
    world = fresh_world(body_timeout_s=0.2, burst=3, requests_per_minute=1)
    with served(world) as port:
        upload = Upload(
            port, world, "/v1/examinations", Content_Type=FORM, Content_Length="9999"
        )
        upload.send(HEAD)
        assert upload.answer()[0] == 408
    statuses = [world.officer.get("/v1/examinations").status_code for _ in range(4)]
    assert statuses[-1] == 429

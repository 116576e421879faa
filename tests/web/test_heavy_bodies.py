"""What lots are sent cannot exhaust a server (promise S10; OWASP ASVS 5.0, 5.2.1)."""

import contextlib
import json
import select
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from http.client import HTTPResponse
from itertools import product

import pytest
from web.conftest import MakeWorld
from web.serving import Answer, Server, own_process
from web.world import World

from touchstone.store import Role, new_id
from touchstone.web.limits import WebLimits

HUGE = 300_000_000
MAX_GROWN = 20_000_000
FORM = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="l.zip"\r\n\r\n'
FIELD = b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\n'
PHOTO = b"a photo"
_CHUNK = bytes(256 * 1024)


@pytest.fixture(scope="module")
def world(fresh_world: MakeWorld) -> World:
    return fresh_world(max_bytes=25_000_000)


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[Server]:
    limits = WebLimits(body_timeout_s=1.0)
    with own_process(world, limits=limits) as server:
        # What is loaded and spooled once is not what grows.
        for path, (kind, head) in uploads(world).items():
            server.send(
                world.officer,
                "PUT" if "photos" in path else "POST",
                path,
                body=head + bytes(2_000_000),
                Content_Type=kind,
            )
        yield server


def a_lot(world: World, photo: bytes = PHOTO) -> str:
    made = world.officer.post("/v1/lots", json={"ref_no": new_id()}).json()
    items = {"items": [{"name": "a", "sha256": sha256(photo).hexdigest()}]}
    lot = f"/v1/lots/{made['id']}"
    assert world.officer.post(f"{lot}/submissions", json=items).status_code == 201
    return lot


def uploads(world: World) -> Mapping[str, tuple[str, bytes]]:
    """Each route by which lots are sent something: its media type, and a beginning."""
    lot = a_lot(world)
    return {
        f"{lot}/photos/{sha256(PHOTO).hexdigest()}": ("application/octet-stream", b""),
        f"{lot}/manifest": (FORM, PART),
        f"{lot}/submissions": ("application/json", b'{"items": ['),
        f"{lot}/score": ("application/json", b""),
    }


def poured(
    server: Server, world: World, path: str, *, kind: str, head: bytes, length: bool
) -> Answer:
    """Send 300 MB, until the server will have no more of it."""
    size = f"Content-Length: {HUGE}" if length else "Transfer-Encoding: chunked"
    lines = [
        f"{'PUT' if '/photos/' in path else 'POST'} {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {world.officer.secret}",
        f"Content-Type: {kind}",
        size,
    ]
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as line:
        line.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        sent = 0
        with contextlib.suppress(ConnectionError):
            for chunk in _chunks(head):
                data = chunk if length else b"%x\r\n%b\r\n" % (len(chunk), chunk)
                line.sendall(data)
                sent += len(chunk)
                if select.select([line], [], [], 0)[0]:
                    break
        assert sent < HUGE, "all of it was taken in"
        return read(line)


def _chunks(head: bytes) -> Iterator[bytes]:
    yield head or b" "
    for _ in range(HUGE // len(_CHUNK)):
        yield _CHUNK


def read(line: socket.socket) -> Answer:
    """The answer, though the line stays open for a body that was not taken in."""
    response = HTTPResponse(line)
    response.begin()
    return Answer.of(response)


@pytest.mark.parametrize(
    ("route", "has_length"),
    [
        *product(["photos", "manifest", "submissions"], [True, False]),
        ("score", True),  # of unknown length, it takes none in at all
    ],
)
def test_a_body_of_300_mb_is_refused_and_weighs_nothing(
    world: World, server: Server, route: str, has_length: bool
) -> None:
    path, (kind, head) = next(
        one for one in uploads(world).items() if route in one[0].split("/")
    )
    before = world.kept()[0]
    with server.weighed() as weight:
        answer = poured(server, world, path, kind=kind, head=head, length=has_length)
    assert answer.status == 413
    assert answer.problem in {"body-too-large", "image-too-large"}
    assert weight.grown_bytes < MAX_GROWN
    assert world.kept()[0] == before


@pytest.mark.parametrize(
    "body",
    [
        lambda: PART + b"PK\r\n" + (FIELD + b"x\r\n") * 2_000 + b"--x--\r\n",
        lambda: (PART + b"PK\r\n") * 2_000 + b"--x--\r\n",
        lambda: FIELD + b"x" * 50_000_000 + b"\r\n--x--\r\n",
    ],
    ids=["fields", "files", "a_field_of_50_mb"],
)
def test_a_form_of_too_much_is_refused_and_weighs_nothing(
    world: World, server: Server, body: Callable[[], bytes]
) -> None:
    path, sent = f"{a_lot(world)}/manifest", body()
    with server.weighed() as weight, contextlib.suppress(BrokenPipeError):
        answer = server.send(world.officer, "POST", path, body=sent, Content_Type=FORM)
        assert (answer.status, answer.problem) == (400, "bad-request")
    assert weight.grown_bytes < MAX_GROWN
    listed = world.officer.get(path.replace("manifest", "submissions")).json()
    assert len(listed["items"]) == 1


@pytest.mark.parametrize("route", ["photos", "manifest", "submissions"])
def test_a_body_that_stops_half_way_is_cut_off(
    world: World, server: Server, route: str
) -> None:
    path, (kind, head) = next(
        one for one in uploads(world).items() if route in one[0].split("/")
    )
    lines = [
        f"{'PUT' if route == 'photos' else 'POST'} {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {world.officer.secret}",
        f"Content-Type: {kind}",
        "Content-Length: 5000",
    ]
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        line.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + head + PHOTO[:3])
        answer = read(line)
    assert (answer.status, answer.problem) == (408, "body-too-slow")


@pytest.fixture(scope="module")
def sparing(world: World) -> Iterator[Server]:
    """A server that lets a key save up seven requests, and hardly earn more."""
    with own_process(world, limits=WebLimits(burst=7, requests_per_minute=1)) as server:
        yield server


@pytest.mark.parametrize("route", ["photos", "manifest", "submissions"])
def test_the_quota_of_a_key_holds_under_twenty_uploads_at_once(
    world: World, sparing: Server, route: str
) -> None:
    lot, digest = a_lot(world), sha256(PHOTO).hexdigest()
    rows = PART.replace(b"l.zip", b"l.csv") + b"image,sha256\na," + digest.encode()
    items = json.dumps({"items": [{"name": "a", "sha256": digest}]}).encode()
    kind, body = {
        "photos": ("application/octet-stream", PHOTO),
        "manifest": (FORM, rows + b"\r\n--x--\r\n"),
        "submissions": ("application/json", items),
    }[route]
    path = f"{lot}/photos/{digest}" if route == "photos" else f"{lot}/{route}"
    method = "PUT" if route == "photos" else "POST"
    officer = world.key("customs", Role.OFFICER)

    def sent(_: int) -> Answer:
        return sparing.send(officer, method, path, body=body, Content_Type=kind)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(sent, range(20)))
    taken = [one for one in answers if one.status in {200, 201}]
    refused = [one for one in answers if one.status == 429]
    assert (len(taken), len(refused)) == (7, 13)
    assert all(int(one.headers["retry-after"]) > 0 for one in refused)

"""Progress is true (promise R17): cut and taken up, every item is told exactly once."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from web.conftest import MakeWorld
from web.test_slow_bodies import served
from web.world import World, problem

from touchstone.lots.working import Desk, work
from touchstone.store import Lot, LotFields, SubmissionFields
from touchstone.web.events import Pulse, Streams
from touchstone.web.limits import WebLimits

STREAMS = 4
PHOTOS = 120
PULSE = Pulse(poll_s=0.01, heartbeat_s=0.05)


@pytest.fixture
def world(fresh_world: MakeWorld) -> World:
    world = fresh_world(limits=WebLimits(streams=STREAMS, burst=10_000))
    world.app.state.streams = Streams(STREAMS, PULSE)
    return world


@pytest.fixture
def port(world: World) -> Iterator[int]:
    with served(world) as port:
        yield port
        world.app.state.streams.stopping.set()


def a_job(world: World, photos: int = PHOTOS) -> str:
    """The path of a job on photos that are no pictures: each fails at once."""
    store, caller = world.parts.store, world.officer.caller
    lot = store.file(caller, Lot, LotFields("L-1"))
    locator = f"blob:{world.parts.blobs.put(b'no picture')}"
    drafts = [SubmissionFields(f"{n}", locator=locator) for n in range(photos)]
    store.submit(caller, lot.id, drafts, first=0)
    answer = world.officer.post(f"/v1/lots/{lot.id}/score")
    return str(answer.headers["location"])


@dataclass
class Listener:
    """A client as browsers are: it comes back with the last id that it saw."""

    port: int
    secret: str
    path: str
    last_id: str = ""
    items: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    comments: int = 0
    is_ended: bool = False

    def listen(self, lines: int | None = None) -> None:
        """Read so many lines, then cut the connection; None: to its end."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {"Authorization": f"Bearer {self.secret}"}
        if self.last_id:
            headers["Last-Event-ID"] = self.last_id
        connection.request("GET", f"{self.path}/events", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        assert answer.getheader("content-type", "").startswith("text/event-stream")
        event: dict[str, str] = {}
        while (lines is None or lines > 0) and (line := answer.readline()):
            text = line.decode().rstrip("\n")
            if text:
                name, _, value = text.partition(": ")
                event[name] = value
            else:
                self._take(event)
                event = {}
            lines = lines and lines - 1
        connection.close()

    def _take(self, event: dict[str, str]) -> None:
        if "event" not in event:
            self.comments += "" in event
            return
        data = json.loads(event["data"])
        if event["event"] == "item":
            self.last_id = event["id"]
            self.items.append(int(event["id"]))
            self.names.append(data["name"])
            return
        assert "id" not in event
        self.told.append(data)
        self.is_ended = event["event"] == "end"


def listener(world: World, port: int, path: str) -> Listener:
    return Listener(port, str(world.officer.secret), path)


def working(world: World, path: str, *, seconds: float = 0.0) -> threading.Thread:
    """A worker on a job, that takes its time over each photo."""
    desk = world.parts.desk()

    def assess(leased: Any, photo: bytes) -> Any:
        time.sleep(seconds)
        return desk.assess(leased, photo)

    slow = Desk(desk.store, desk.photos, assess)
    job_id = path.rsplit("/", maxsplit=1)[-1]
    thread = threading.Thread(
        target=work, args=(slow, "test"), kwargs={"job_id": job_id}
    )
    thread.start()
    return thread


def test_a_stream_that_is_cut_again_and_again_tells_each_item_once(
    world: World, port: int
) -> None:
    path = a_job(world)
    client = listener(world, port, path)
    worker = working(world, path, seconds=0.005)
    cuts = 0
    while not client.is_ended:
        client.listen(lines=7 + cuts % 5)  # in the midst of an event, too
        cuts += 1
    worker.join()
    assert cuts > 30  # more than there are places for streams: each was given back
    assert client.items == list(range(1, PHOTOS + 1))
    assert sorted(client.names, key=int) == [str(n) for n in range(PHOTOS)]
    end = client.told[-1]
    assert end["state"] == "partial"
    assert end["counts"]["done"] == end["counts"]["total"] == PHOTOS
    done = [told["counts"]["done"] for told in client.told]
    assert all(before <= after for before, after in pairwise(done))


def test_whoever_comes_late_is_told_all_and_the_end(world: World, port: int) -> None:
    path = a_job(world)
    working(world, path).join()
    client = listener(world, port, path)
    client.listen()
    assert client.items == list(range(1, PHOTOS + 1))
    assert client.is_ended
    client.listen()
    assert len(client.items) == PHOTOS


def test_what_is_tried_again_is_told_again_to_whoever_saw_it_fail(
    world: World, port: int
) -> None:
    path = a_job(world, photos=3)
    working(world, path).join()
    client = listener(world, port, path)
    client.listen()
    assert world.officer.post(f"{path}/retry").status_code == 200
    client.is_ended = False
    worker = working(world, path)
    client.listen()
    worker.join()
    assert client.items == [1, 2, 3, 4, 5, 6]
    assert client.is_ended


def test_a_silent_stream_shows_that_it_lives_and_a_cancelled_one_ends(
    world: World, port: int
) -> None:
    path = a_job(world, photos=3)
    client = listener(world, port, path)
    thread = threading.Thread(target=client.listen)
    thread.start()
    until = time.monotonic() + 10
    while client.comments < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert client.comments >= 2
    assert len(client.told) == 1  # what has not changed is not told again
    world.officer.post(f"{path}/cancel")
    thread.join(timeout=10)
    assert client.told[-1]["state"] == "cancelled"
    assert client.is_ended


def test_streams_end_when_the_service_stops_and_there_are_so_many(
    world: World, port: int
) -> None:
    path = a_job(world, photos=3)
    clients = [listener(world, port, path) for _ in range(STREAMS)]
    threads = [threading.Thread(target=client.listen) for client in clients]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 10
    while not all(client.told for client in clients) and time.monotonic() < until:
        time.sleep(0.01)
    refused = world.officer.get(f"{path}/events")
    assert (refused.status_code, problem(refused)) == (503, "busy")
    assert refused.headers["retry-after"]
    world.app.state.streams.stopping.set()
    for thread in threads:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in threads)
    assert not any(client.is_ended for client in clients)  # they come back


@pytest.mark.parametrize("last_id", ["x", "-1", "1.5", "9" * 30])
def test_an_id_that_was_never_given_is_refused(world: World, last_id: str) -> None:
    path = a_job(world, photos=1)
    answer = world.officer.get(f"{path}/events", headers={"Last-Event-ID": last_id})
    assert problem(answer) == "invalid-request"

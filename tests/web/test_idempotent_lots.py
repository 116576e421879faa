"""Each POST on lots has one effect and one answer, through any death (promise R16)."""

import json
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import text
from store.world import raw
from web.conftest import MakeWorld
from web.routes import api_routes
from web.serving import Answer, Server, own_process
from web.world import Client, World

from touchstone.lots.working import work
from touchstone.store import new_id
from touchstone.store.audit import Action

AT_ONCE = 5
OF_LOTS = re.compile(r"/v1/(operations|cases|seizures|lots|exhibits|jobs)\b")
EFFECTS = (
    *("operation", "case_file", "seizure", "lot", "exhibit", "custody_event"),
    *("submission", "job"),
)
"""Tables in which a second effect would show."""
BAD = b"no picture at all"


@dataclass(frozen=True)
class Post:
    """One request, and another one that must not pass for it."""

    path: str
    body: bytes
    other: bytes
    kind: str = "application/json"


def form(name: str, data: bytes) -> bytes:
    head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"'
    return head.encode() + b"\r\n\r\n" + data + b"\r\n--x--\r\n"


class Seized:
    """Of everything one, made anew for each request that moves it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.officer = world.officer

    def made(self, path: str, **fields: object) -> str:
        answer = self.officer.post(path, json=fields)
        assert answer.status_code < 300, answer.text
        return str(answer.json()["id"])

    def operation(self) -> str:
        return self.made("/v1/operations", name=new_id())

    def case(self) -> str:
        return self.made("/v1/cases", ref_no=new_id())

    def seizure(self) -> str:
        return self.made("/v1/seizures", ref_no=new_id(), case_id=self.case())

    def lot(self) -> str:
        return self.made("/v1/lots", ref_no=new_id(), units_total=400)

    def exhibit(self) -> str:
        return self.made("/v1/exhibits", exhibit_no=new_id(), lot_id=self.lot())

    def filled(self) -> str:
        lot = self.lot()
        listed = {"items": [{"name": "a.jpg", "sha256": sha256(BAD).hexdigest()}]}
        self.officer.post(f"/v1/lots/{lot}/submissions", json=listed)
        sent = self.officer.put(
            f"/v1/lots/{lot}/photos/{sha256(BAD).hexdigest()}", content=BAD
        )
        assert sent.status_code == 200, sent.text
        return lot

    def job(self, *moves: str) -> str:
        job = self.made(f"/v1/lots/{self.filled()}/score")
        for move in moves:
            self.made(f"/v1/jobs/{job}/{move}")
        return job

    def failed(self) -> str:
        job = self.job()
        work(self.world.parts.desk(), "test", job_id=job)
        return job


Make = Callable[[Seized], Post]


def _filing(path: str, name: str, **of: Callable[[Seized], str]) -> Make:
    def make(seized: Seized) -> Post:
        fields = {name: new_id(), **{key: one(seized) for key, one in of.items()}}
        return Post(path, _json(fields), _json(fields | {name: "another"}))

    return make


def _moving(what: str, state: str, of: Callable[[Seized], str]) -> Make:
    def make(seized: Seized) -> Post:
        path = f"/v1/{what}/{of(seized)}/state"
        return Post(path, _json({"state": state}), _json({"state": "nonsense"}))

    return make


def _asking(path: str, of: Callable[[Seized], str]) -> Make:
    def make(seized: Seized) -> Post:
        return Post(path.format(of(seized)), b"", b"{}")

    return make


def _json(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields).encode()


def _custody(seized: Seized) -> Post:
    path = f"/v1/exhibits/{seized.exhibit()}/custody"
    line = {"act": "seen", "actor": "A"}
    return Post(path, _json(line), _json(line | {"actor": "B"}))


def _announcing(seized: Seized) -> Post:
    item = {"name": "a.jpg", "sha256": "a" * 64, "exhibit_no": "17"}
    path = f"/v1/lots/{seized.lot()}/submissions"
    other = {"items": [item | {"name": "b.jpg"}]}
    return Post(path, _json({"items": [item]}), _json(other))


def _manifest(seized: Seized) -> Post:
    rows = b"image,sha256\n" + b"a.jpg," + b"a" * 64 + b"\n"
    path = f"/v1/lots/{seized.lot()}/manifest"
    kind = "multipart/form-data; boundary=x"
    return Post(path, form("m.csv", rows), form("m.csv", rows + b"b.jpg,\n"), kind)


def _planning(seized: Seized) -> Post:
    path = f"/v1/lots/{seized.lot()}/sampling-plan"
    return Post(path, _json({"seed": "1"}), _json({"seed": "2"}))


POSTS: dict[str, Make] = {
    "/v1/operations": _filing("/v1/operations", "name"),
    "/v1/cases": _filing("/v1/cases", "ref_no"),
    "/v1/seizures": _filing("/v1/seizures", "ref_no", case_id=Seized.case),
    "/v1/lots": _filing("/v1/lots", "ref_no", seizure_id=Seized.seizure),
    "/v1/exhibits": _filing("/v1/exhibits", "exhibit_no", lot_id=Seized.lot),
    "/v1/operations/{operation_id}/state": _moving(
        "operations", "open", Seized.operation
    ),
    "/v1/cases/{case_id}/state": _moving("cases", "under_review", Seized.case),
    "/v1/seizures/{seizure_id}/state": _moving("seizures", "detained", Seized.seizure),
    "/v1/lots/{lot_id}/state": _moving("lots", "sampled", Seized.lot),
    "/v1/exhibits/{exhibit_id}/state": _moving("exhibits", "sealed", Seized.exhibit),
    "/v1/exhibits/{exhibit_id}/custody": _custody,
    "/v1/lots/{lot_id}/submissions": _announcing,
    "/v1/lots/{lot_id}/manifest": _manifest,
    "/v1/lots/{lot_id}/sampling-plan": _planning,
    "/v1/lots/{lot_id}/score": _asking("/v1/lots/{}/score", Seized.filled),
    "/v1/lots/{lot_id}/report": _asking("/v1/lots/{}/report", Seized.filled),
    "/v1/jobs/{job_id}/pause": _asking("/v1/jobs/{}/pause", Seized.job),
    "/v1/jobs/{job_id}/resume": _asking(
        "/v1/jobs/{}/resume", lambda seized: seized.job("pause")
    ),
    "/v1/jobs/{job_id}/cancel": _asking("/v1/jobs/{}/cancel", Seized.job),
    "/v1/jobs/{job_id}/retry": _asking("/v1/jobs/{}/retry", Seized.failed),
}


@pytest.fixture(scope="module")
def world(fresh_world: MakeWorld) -> World:
    return fresh_world()


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[Server]:
    with own_process(world) as server:
        yield server


def test_every_post_on_lots_is_put_to_the_test(world: World) -> None:
    of_lots = {
        route.path
        for route in api_routes(world.app.routes)
        if "POST" in (route.methods or ()) and OF_LOTS.match(route.path)
    }
    assert of_lots == POSTS.keys()


def send(
    server: Server, client: Client, post: Post, key: str, *, body: bytes
) -> Answer:
    """Ask until it is answered: 409 says that another is being so."""
    until = time.monotonic() + 20
    while True:
        answer = server.send(
            client,
            "POST",
            post.path,
            body=body,
            Content_Type=post.kind,
            Idempotency_Key=key,
        )
        is_in_flight = answer.status == 409 and answer.problem == "request-in-flight"
        if not is_in_flight or time.monotonic() > until:
            return answer
        time.sleep(0.05)


def five(server: Server, client: Client, post: Post, key: str) -> list[Answer]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [
            pool.submit(send, server, client, post, key, body=post.body)
            for _ in range(AT_ONCE)
        ]
        return [one.result() for one in asked]


def effects(world: World) -> dict[str, int]:
    with raw(str(world.parts.store._engine.url)) as connection:
        counted = {
            name: int(
                connection.execute(
                    text(f"SELECT count(*) FROM {name}")  # noqa: S608  our own names
                ).scalar_one()
            )
            for name in EFFECTS
        }
        acts = connection.execute(
            text("SELECT count(*) FROM audit_event WHERE action != :again"),
            {"again": Action.SUBMIT_TO_LOT.value},  # announced twice, listed once
        )
        return counted | {"acts": int(acts.scalar_one())}


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in after}


@pytest.mark.parametrize("path", POSTS)
def test_five_at_once_have_one_effect_and_one_answer(
    world: World, server: Server, path: str
) -> None:
    once = POSTS[path](Seized(world))
    before = effects(world)
    first = send(server, world.officer, once, new_id(), body=once.body)
    assert first.status in {200, 201, 202}, first.body
    effect = grown(before, effects(world))

    post, key = POSTS[path](Seized(world)), new_id()
    before = effects(world)
    answers = five(server, world.officer, post, key)
    assert {answer.status for answer in answers} == {first.status}
    assert len({answer.body for answer in answers}) == 1
    assert len({answer.headers.get("location") for answer in answers}) == 1
    assert grown(before, effects(world)) == effect
    other = send(server, world.officer, post, key, body=post.other)
    assert (other.status, other.problem) == (422, "idempotency-mismatch")
    assert grown(before, effects(world)) == effect


def silent_for_a_minute(world: World) -> None:
    with raw(str(world.parts.store._engine.url)) as connection:
        connection.execute(text("UPDATE idempotency SET alive_at = '2020-01-01'"))


def retried(world: World, server: Server, post: Post, key: str) -> str:
    """What is wrong with the answers to whoever asks again; nothing, it is hoped."""
    effect = effects(world)
    silent_for_a_minute(world)
    answers = five(server, world.officer, post, key)
    if {answer.status for answer in answers} - {200, 201, 202}:
        return f"refused: {answers[0].body!r}"
    if len({answer.body for answer in answers}) != 1:
        return "answers differ"
    again = grown(effect, effects(world))
    return f"a second effect: {again}" if any(again.values()) else ""


@pytest.mark.parametrize("path", POSTS)
def test_what_was_done_before_the_answer_was_kept_is_answered_from(
    world: World, server: Server, path: str
) -> None:
    post, key = POSTS[path](Seized(world)), new_id()
    before = effects(world)
    with pytest.MonkeyPatch.context() as patch:

        def killed(*_: object, **__: object) -> None:
            raise SystemError("killed")

        patch.setattr(type(world.parts.store), "finish_idempotent", killed)
        headers = {"Idempotency-Key": key, "Content-Type": post.kind}
        died = world.officer.post(post.path, content=post.body, headers=headers)
    assert died.status_code == 500
    assert before != effects(world)
    assert retried(world, server, post, key) == ""


@pytest.mark.parametrize("path", ["/v1/lots", "/v1/exhibits/{exhibit_id}/custody"])
def test_a_server_killed_before_its_answer_has_done_it_once(
    world: World, server: Server, path: str
) -> None:
    post, key = POSTS[path](Seized(world)), new_id()
    before = effects(world)
    with own_process(world, dies_at="finish_idempotent") as dying:
        with pytest.raises(ConnectionError):
            send(dying, world.officer, post, key, body=post.body)
        assert dying.process.wait(timeout=30) == -signal.SIGKILL
    assert before != effects(world)
    assert retried(world, server, post, key) == ""

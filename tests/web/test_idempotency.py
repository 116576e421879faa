"""The same POST twice has one effect and one answer."""

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx2 import Response
from sqlalchemy import text
from store.world import raw
from web.conftest import MakeWorld
from web.world import Client, World, encoded, mark, photographed, problem

from touchstone.errors import ConflictError
from touchstone.examination import Examined
from touchstone.store import Attempt
from touchstone.verification import Verifier
from touchstone.web import api, idempotency

PHOTO = encoded(photographed(mark(1)))


@pytest.fixture(scope="module")
def world(fresh_world: MakeWorld) -> World:
    world = fresh_world()
    world.shared(world.acme, encoded(mark(1)))
    return world


def key(text: str) -> dict[str, str]:
    return {"Idempotency-Key": text}


def examinations(client: Client) -> int:
    return len(client.get("/v1/examinations?limit=200").json()["items"])


def test_the_same_photo_under_the_same_key_is_examined_once(world: World) -> None:
    before = examinations(world.officer)
    first = world.officer.examine(PHOTO, headers=key("a"))
    again = world.officer.examine(PHOTO, headers=key("a"))
    assert again.status_code == 201
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert examinations(world.officer) == before + 1


def test_without_a_key_each_request_counts(world: World) -> None:
    before = examinations(world.officer)
    world.officer.examine(PHOTO)
    world.officer.examine(PHOTO)
    assert examinations(world.officer) == before + 2


def test_the_boundary_of_a_form_does_not_matter(world: World) -> None:
    def sent(boundary: str) -> Response:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="photos"; '
        body = f'{head}filename="p"\r\n\r\n'.encode() + PHOTO
        return world.officer.post(
            "/v1/examinations",
            content=body + f"\r\n--{boundary}--\r\n".encode(),
            headers=key("b")
            | {"Content-Type": f"multipart/form-data; boundary={boundary}"},
        )

    first, again = sent("one"), sent("another")
    assert first.status_code == 201, first.text
    assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("what", ["photo", "field", "path"])
def test_another_request_under_the_same_key_is_refused(world: World, what: str) -> None:
    headers = key(f"c {what}")
    made = world.officer.examine(PHOTO, headers=headers)
    before = world.kept()
    if what == "photo":
        answer = world.officer.examine(encoded(mark(1)), headers=headers)
    elif what == "field":
        fields = {"declared_product": "P-1"}
        answer = world.officer.examine(PHOTO, data=fields, headers=headers)
    else:
        path = f"/v1/examinations/{made.json()['id']}/replay"
        answer = world.officer.post(path, headers=headers)
    assert (answer.status_code, problem(answer)) == (422, "idempotency-mismatch")
    assert world.kept() == before


def test_a_refused_request_leaves_the_key_free(world: World) -> None:
    refused = world.officer.examine(b"no image", headers=key("d"))
    assert refused.status_code == 422
    assert world.officer.examine(PHOTO, headers=key("d")).status_code == 201


def test_five_at_once_have_one_effect_and_one_answer(world: World) -> None:
    before = examinations(world.officer)
    answers: list[Response] = []
    conflicts: list[Response] = []

    def send() -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            answer = world.officer.examine(PHOTO, headers=key("e"))
            if answer.status_code != 409:
                answers.append(answer)
                return
            conflicts.append(answer)
            time.sleep(0.05)

    threads = [threading.Thread(target=send) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [201] * 5
    assert len({answer.content for answer in answers}) == 1
    assert examinations(world.officer) == before + 1
    for answer in conflicts:
        assert problem(answer) == "request-in-flight"
        assert answer.headers["retry-after"] == "1"


def test_a_json_post_is_repeated_too(world: World) -> None:
    fields = {"product_id": "P-once"}
    first = world.acme.post("/v1/products", json=fields, headers=key("f"))
    again = world.acme.post("/v1/products", json=fields, headers=key("f"))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    other = world.acme.post("/v1/products", json={"product_id": "Q"}, headers=key("f"))
    assert problem(other) == "idempotency-mismatch"


@pytest.mark.parametrize("text", ["", " ", "x" * 301, "a\x01b"])
def test_a_key_that_is_none_is_refused(world: World, text: str) -> None:
    answer = world.acme.post(
        "/v1/products", json={"product_id": "P-none"}, headers=key(text)
    )
    assert (answer.status_code, problem(answer)) == (422, "invalid-input")
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


# --- a process that dies between the record and the answer (promise R16) --------------


def die_before_the_answer_is_kept(world: World, client: Client, word: str) -> None:
    """Examine under a key, and fail where the answer would be kept."""
    store = world.parts.store
    with pytest.MonkeyPatch.context() as patch:

        def killed(*_: object, **__: object) -> None:
            raise SystemError("killed")

        patch.setattr(type(store), "finish_idempotent", killed)
        assert client.examine(PHOTO, headers=key(word)).status_code == 500


def silent_for_a_minute(world: World) -> None:
    with raw(str(world.parts.store._engine.url)) as connection:
        connection.execute(text("UPDATE idempotency SET alive_at = '2020-01-01'"))


def test_a_retry_after_a_crash_answers_from_the_one_record(world: World) -> None:
    before = examinations(world.officer)
    die_before_the_answer_is_kept(world, world.officer, "crash")
    assert examinations(world.officer) == before + 1
    waits = world.officer.examine(PHOTO, headers=key("crash"))
    assert problem(waits) == "request-in-flight"
    silent_for_a_minute(world)
    answers = [world.officer.examine(PHOTO, headers=key("crash")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.content for answer in answers}) == 1
    assert examinations(world.officer) == before + 1
    newest = world.officer.get("/v1/examinations?limit=1").json()["items"][0]["id"]
    assert answers[0].json()["id"] == newest
    assert answers[0].headers["location"] == f"/v1/examinations/{newest}"


def test_a_failure_after_the_record_is_answered_from_it_at_once(world: World) -> None:
    before = examinations(world.officer)
    with pytest.MonkeyPatch.context() as patch:

        def fails(*_: object) -> None:
            raise SystemError("the answer cannot be made")

        patch.setattr(api, "_described", fails)
        failed = world.officer.examine(PHOTO, headers=key("fails"))
    assert failed.status_code == 500
    assert world.officer.examine(PHOTO, headers=key("fails")).status_code == 201
    assert examinations(world.officer) == before + 1


def test_an_attempt_that_is_overtaken_records_nothing(world: World) -> None:
    before = examinations(world.officer)
    answers: list[Response] = []
    verify = Verifier.verify
    is_slow, may_go_on = threading.Event(), threading.Event()

    def slowly(*arguments: Any, **options: Any) -> Examined:
        if not is_slow.is_set():
            is_slow.set()
            may_go_on.wait(timeout=30)
        return verify(*arguments, **options)

    def send() -> None:
        answers.append(world.officer.examine(PHOTO, headers=key("overtaken")))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Verifier, "verify", slowly)
        slow = threading.Thread(target=send)
        slow.start()
        assert is_slow.wait(timeout=30)
        silent_for_a_minute(world)
        second = world.officer.examine(PHOTO, headers=key("overtaken"))
        may_go_on.set()
        slow.join(timeout=30)
    assert second.status_code == 201
    assert (answers[0].status_code, problem(answers[0])) == (503, "busy")
    assert examinations(world.officer) == before + 1
    again = world.officer.examine(PHOTO, headers=key("overtaken"))
    assert again.content == second.content


def test_an_attempt_says_that_it_is_alive_while_it_works(world: World) -> None:
    store, caller = world.parts.store, world.officer.caller
    at = datetime.now(UTC) - timedelta(hours=2)
    attempt = store.begin_idempotent(caller, "slow", request_digest="a" * 64, now=at)
    assert isinstance(attempt, Attempt)

    async def work() -> None:
        async with idempotency._beating(store, caller, attempt, every_s=0.01):
            await asyncio.sleep(0.3)

    asyncio.run(work())
    # By the clock that began it, it would have been silent for hours.
    with pytest.raises(ConflictError):
        store.begin_idempotent(
            caller, "slow", request_digest="a" * 64, now=datetime.now(UTC)
        )

"""The same POST twice has one effect and one answer."""

import threading
import time

import pytest
from httpx2 import Response
from web.conftest import MakeWorld
from web.world import Client, World, encoded, mark, photographed, problem

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

"""Every refusal is a problem of the documented form, and gives nothing away."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from web.conftest import MakeWorld
from web.world import Client, Log, World, encoded, mark, problem

from touchstone.blobs import Blobs
from touchstone.bootstrap import Application
from touchstone.errors import StorageError, TouchstoneError
from touchstone.verification import Verifier
from touchstone.web.app import create_app
from touchstone.web.limits import Pace, WebLimits
from touchstone.web.problems import STATUS, TITLES, problem_of, slug_of

PHOTO = encoded(mark(1))


def tree(error: type[TouchstoneError]) -> Iterator[type[TouchstoneError]]:
    for child in error.__subclasses__():
        yield child
        yield from tree(child)


def test_every_error_has_a_status_and_a_title() -> None:
    assert set(STATUS) == set(TITLES) == set(tree(TouchstoneError))
    assert len(set(TITLES.values())) == len(TITLES)
    assert len({slug_of(error) for error in STATUS}) == len(STATUS)


def test_an_error_is_described_with_a_stable_urn() -> None:
    found = problem_of(StorageError("The disk is full.", is_full=True))
    assert (found.type, found.status) == ("urn:touchstone:problem:storage-full", 507)
    found = problem_of(StorageError("/srv/data refused."))
    assert (found.type, found.status) == ("urn:touchstone:problem:storage", 503)
    assert "/srv/data" not in found.model_dump_json()


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/", 404, "not-found"),
        ("GET", "/v1/nothing", 404, "not-found"),
        ("GET", "/docs/static/../../app.py", 404, "not-found"),
        ("GET", "/docs/static/nothing.js", 404, "not-found"),
        ("DELETE", "/v1/examinations", 405, "method-not-allowed"),
        ("POST", "/livez", 405, "method-not-allowed"),
        ("POST", "/docs/static/docs.js", 405, "method-not-allowed"),
        ("BREW", "/v1/products", 405, "method-not-allowed"),
    ],
)
def test_the_router_refuses_with_problems_too(
    shared_world: World, method: str, path: str, status: int, slug: str
) -> None:
    answer = shared_world.admin.request(method, path)
    assert (answer.status_code, problem(answer)) == (status, slug)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/products", "GET, POST"),
        ("/v1/reference-sets/x/sharing", "GET, PUT"),
        ("/v1/identify", "POST"),
        ("/livez", "GET"),
    ],
)
def test_all_methods_of_a_resource_are_named(
    shared_world: World, path: str, methods: str
) -> None:
    assert shared_world.admin.request("DELETE", path).headers["allow"] == methods


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer ts_0123456789ab_" + "x" * 43,
        "Bearer ts_\u00e9",
        "ts_0123456789ab_" + "x" * 43,
    ],
)
def test_whoever_is_not_known_is_told_how_to_be(
    shared_world: World, header: str | None
) -> None:
    headers = {} if header is None else {b"authorization": header.encode()}
    answer = shared_world.http.get("/v1/examinations", headers=headers)
    assert (answer.status_code, problem(answer)) == (401, "not-authenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_scheme_may_be_written_in_any_case(shared_world: World) -> None:
    headers = {"Authorization": f"bEARER  {shared_world.admin.secret}"}
    assert shared_world.http.get("/v1/audit", headers=headers).status_code == 200


@pytest.mark.parametrize("role", ["officer", "analyst", "acme"])
def test_a_role_may_not_do_what_is_anothers(shared_world: World, role: str) -> None:
    client: Client = getattr(shared_world, role)
    answer = client.get("/v1/audit")
    assert (answer.status_code, problem(answer)) == (403, "not-allowed")


def over(world: World, parts: Application) -> tuple[Client, Log]:
    """The officer before another application on the same records."""
    log = Log()
    app = create_app(parts, log=log.logger)
    return Client(TestClient(app), world.officer.secret, None), log


class BrokenVerifier:
    """Fails as nobody foresaw."""

    def verify(self, *_: object, **__: object) -> None:
        raise RuntimeError("password hunter2 at /srv/secret.py")


def test_a_defect_is_logged_and_not_told(shared_world: World) -> None:
    broken: Any = BrokenVerifier()
    client, log = over(shared_world, replace(shared_world.parts, verifier=broken))
    answer = client.examine(PHOTO, headers={"X-Request-Id": "find-me"})
    assert (answer.status_code, problem(answer)) == (500, "internal-error")
    assert "hunter2" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "find-me"
    assert answer.headers["x-content-type-options"] == "nosniff"
    defect = next(line for line in log.lines if line["event"] == "defect")
    assert defect["request_id"] == "find-me"
    assert "hunter2" in str(defect["exc_info"])


def test_a_defect_leaves_the_idempotency_key_free(shared_world: World) -> None:
    broken: Any = BrokenVerifier()
    client, _ = over(shared_world, replace(shared_world.parts, verifier=broken))
    headers = {"Idempotency-Key": "try again"}
    assert client.examine(PHOTO, headers=headers).status_code == 500
    assert shared_world.officer.examine(PHOTO, headers=headers).status_code == 201


class FullBlobs:
    """A disk with no room left."""

    def __init__(self, blobs: Blobs) -> None:
        self.get, self.exists, self.digests = blobs.get, blobs.exists, blobs.digests

    def put(self, data: bytes) -> str:
        raise StorageError(f"/srv/blobs has no room for {len(data)}.", is_full=True)


def test_a_full_disk_is_told_apart_and_nothing_is_recorded(world: World) -> None:
    verifier: Verifier = replace(
        world.parts.verifier, blobs=FullBlobs(world.parts.blobs)
    )
    client, log = over(world, replace(world.parts, verifier=verifier))
    before = world.kept()
    answer = client.examine(PHOTO)
    assert (answer.status_code, problem(answer)) == (507, "storage-full")
    assert "/srv" not in answer.text
    assert world.kept() == before
    assert "/srv/blobs" in str(log.lines[-1]["exc_info"])
    assert client.get("/v1/examinations").status_code == 200  # reading goes on
    assert world.officer.examine(PHOTO).status_code == 201  # room was made


def test_heavy_work_beyond_the_queue_is_told_to_come_again(
    fresh_world: MakeWorld,
) -> None:
    world = fresh_world(limits=WebLimits(places=1, waiting=0))
    with world.app.state.places.taken():
        answer = world.officer.examine(PHOTO)
        light = world.officer.get("/v1/examinations")
    assert (answer.status_code, problem(answer)) == (503, "busy")
    assert int(answer.headers["retry-after"]) >= 1
    assert light.status_code == 200
    assert world.officer.examine(PHOTO).status_code == 201


def test_heavy_work_waits_no_longer_than_its_patience(fresh_world: MakeWorld) -> None:
    world = fresh_world(limits=WebLimits(places=1, waiting=1, patience_s=0.05))
    with world.app.state.places.taken():
        assert problem(world.officer.examine(PHOTO)) == "busy"
    assert world.officer.examine(PHOTO).status_code == 201


def test_a_key_that_asks_too_often_is_slowed_down_alone(fresh_world: MakeWorld) -> None:
    world = fresh_world(limits=WebLimits(requests_per_minute=1, burst=2))
    answers = [world.officer.get("/v1/examinations") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert problem(answers[2]) == "too-many-requests"
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60
    assert world.stranger.get("/v1/examinations").status_code == 200


def test_a_pace_is_regained_with_time() -> None:
    now = [0.0]
    pace = Pace(WebLimits(requests_per_minute=60, burst=1), clock=lambda: now[0])
    pace.check("key")
    with pytest.raises(Exception, match="429"):
        pace.check("key")
    now[0] = 1.0
    pace.check("key")


@pytest.mark.parametrize("given", ["", "a b", "x" * 101, "caf\u00e9", "a\tb"])
def test_a_request_id_that_could_forge_the_log_is_replaced(
    shared_world: World, given: str
) -> None:
    answer = shared_world.http.get(
        "/livez",
        headers={b"x-request-id": given.encode()},
    )
    assert answer.headers["x-request-id"] != given
    assert len(answer.headers["x-request-id"]) == 36

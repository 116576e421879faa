"""The probes, the headers, the documentation, and what it says of itself."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from web.conftest import MakeWorld
from web.world import World, encoded, mark, problem

from touchstone.bootstrap import Application
from touchstone.catalogue import Catalogue
from touchstone.errors import StorageError
from touchstone.web.app import create_app
from touchstone.web.edge import SECURITY_HEADERS, json_log

METHODS = {"get", "post", "put", "delete", "patch"}


@pytest.fixture(scope="module")
def world(fresh_world: MakeWorld) -> World:
    world = fresh_world()
    world.shared(world.acme, encoded(mark(1)))
    return world


# --- probes ---------------------------------------------------------------------------


def test_the_process_is_live(world: World) -> None:
    assert world.http.get("/livez").json() == {"status": "live"}


def test_a_sound_deployment_is_ready_and_names_its_model(world: World) -> None:
    answer = world.http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "checks": {"records": "ok", "images": "ok", "index": "ok"},
        "model": world.parts.catalogue.embedder.digest,
        "provider": "cpu",
    }


def test_a_damaged_snapshot_is_refused_and_told(world: World, tmp_path: Path) -> None:
    catalogue = world.parts.catalogue
    parts = (world.parts.store, world.parts.blobs, catalogue.embedder, tmp_path)
    Catalogue(*parts).save()
    (index,) = tmp_path.glob("*/index.npz")
    index.write_bytes(index.read_bytes()[:-1] + b"!")
    damaged = Catalogue(*parts)
    app = create_app(replace(world.parts, catalogue=damaged), log=world.log.logger)
    answer = TestClient(app).get("/readyz")
    assert (answer.status_code, problem(answer)) == (503, "not-ready")
    assert "SHA-256" in answer.json()["checks"]["index"]
    assert answer.json()["provider"] == "cpu"
    assert answer.headers["retry-after"]


class DownStore:
    """Records that do not answer."""

    def catalogue_state(self) -> None:
        raise StorageError("postgresql://admin:hunter2@db refused.")


def test_records_that_do_not_answer_are_told_and_no_more(world: World) -> None:
    down: Any = DownStore()
    app = create_app(replace(world.parts, store=down), log=world.log.logger)
    client = TestClient(app)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["records"] != "ok"
    assert "hunter2" not in answer.text
    assert client.get("/livez").status_code == 200


def test_the_end_of_the_service_closes_the_application(world: World) -> None:
    closed: list[bool] = []

    class Watched(Application):
        def close(self) -> None:
            closed.append(True)

    parts = world.parts
    watched = Watched(*(getattr(parts, name) for name in Application.__slots__))
    with TestClient(create_app(watched, log=world.log.logger)) as client:
        assert client.get("/livez").status_code == 200
        assert not closed
    assert closed == [True]


def test_requests_are_counted_by_template_and_status(world: World) -> None:
    world.officer.get("/v1/examinations/an-id-that-is-none")
    world.http.get("/nothing/here")
    world.http.request("BREW", "/livez")
    text = world.http.get("/metrics").text
    assert 'route="/v1/examinations/{examination_id}",status="404"' in text
    assert 'route="(no route)",status="404"' in text
    assert 'method="OTHER"' in text
    assert "an-id-that-is-none" not in text
    assert "/nothing/here" not in text


# --- headers and log ------------------------------------------------------------------


def test_every_answer_has_the_security_headers(world: World) -> None:
    for answer in (
        world.http.get("/livez"),
        world.http.get("/docs"),
        world.http.get("/nothing"),
        world.http.get("/v1/products"),
        world.acme.get("/v1/products"),
        world.acme.post("/v1/products", json={}),
    ):
        for name in (*SECURITY_HEADERS, "X-Request-Id"):
            assert name in answer.headers, (answer.url, name)
        if "/v1" in str(answer.url):
            assert answer.headers["cache-control"] == "no-store"


def test_a_request_id_is_taken_over_and_logged(world: World) -> None:
    answer = world.acme.get("/v1/products", headers={"X-Request-Id": "case-17.b"})
    assert answer.headers["x-request-id"] == "case-17.b"
    line = next(one for one in world.log.lines if one.get("request_id") == "case-17.b")
    assert line["route"] == "/v1/products"
    assert line["status"] == 200
    assert line["key_id"] == world.acme.caller.key_id


def test_no_file_name_and_no_key_is_logged(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(world.parts, log=json_log())
    client = TestClient(app)
    answer = client.post(
        "/v1/identify",
        files={"photo": ("suspect-smith.jpg", encoded(mark(1)))},
        headers={"Authorization": f"Bearer {world.officer.secret}"},
    )
    assert answer.status_code == 200
    line = capsys.readouterr().err.strip()
    assert json.loads(line)["route"] == "/v1/identify"
    assert "suspect" not in line
    assert str(world.officer.secret) not in line


def test_a_fault_is_logged_with_its_cause(capsys: pytest.CaptureFixture[str]) -> None:
    json_log().error("request", exc_info=StorageError("/srv/data refused."))
    line = json.loads(capsys.readouterr().err)
    assert line["level"] == "error"
    assert "/srv/data refused." in line["exception"]


# --- documentation --------------------------------------------------------------------


@pytest.fixture(scope="module")
def document(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.http.get("/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in METHODS & methods.keys():
            yield f"{method.upper()} {path}", methods[method]


def test_the_docs_load_nothing_from_elsewhere(world: World) -> None:
    page = world.http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "http" not in page.text.replace("http-equiv", "")
    assert "//" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        asset = world.http.get(f"/{path}")
        assert asset.status_code == 200, path
        assert len(asset.content) > 100
    assert "<script>" not in page.text  # inline scripts are forbidden by the policy


def test_the_licence_of_swagger_ui_is_served_with_it(world: World) -> None:
    for name in ("LICENSE", "NOTICE"):
        assert world.http.get(f"/docs/static/swagger/{name}").status_code == 200


def test_every_operation_is_described_for_people(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation.get("description"), name
        assert operation.get("tags"), name


def test_every_operation_shows_an_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        content = next(
            response["content"]
            for status, response in operation["responses"].items()
            if status.startswith("2")
        )
        media, told = next(iter(content.items()))
        if media == "application/json":
            assert _has_example(told["schema"], document), name
        body = operation.get("requestBody", {}).get("content", {})
        if "application/json" in body:
            assert _has_example(body["application/json"]["schema"], document), name


def _has_example(schema: dict[str, Any], document: dict[str, Any]) -> bool:
    name = schema["$ref"].rpartition("/")[2]
    model = document["components"]["schemas"][name]
    if "examples" in model:
        return True
    return _has_example(model["properties"]["items"]["items"], document)


def test_every_refusal_is_documented_as_a_problem(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        responses = operation["responses"]
        for status, response in responses.items():
            if not status.startswith("2"):
                assert list(response["content"]) == ["application/problem+json"], name
        if " /v1" in name:
            needed = {"400", "401", "403", "405", "408", "413", "422", "429", "503"}
            assert needed <= responses.keys(), name
        if "{" in name:
            assert "404" in responses, name
        if name.startswith("POST /v1"):
            assert {"409", "507"} <= responses.keys(), name
            headers = [parameter["name"] for parameter in operation["parameters"]]
            assert "Idempotency-Key" in headers, name
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_reference_in_the_document_leads_somewhere(
    document: dict[str, Any],
) -> None:
    names = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document))
    assert set(names) <= document["components"]["schemas"].keys()
    assert "Problem" in names


def test_uploads_are_documented_as_forms_with_files(document: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/examinations"]["post"]
    assert list(operation["requestBody"]["content"]) == ["multipart/form-data"]


def test_every_operation_of_v1_asks_for_a_key(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert (" /v1" in name) == bool(operation.get("security")), name

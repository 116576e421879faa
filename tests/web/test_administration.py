"""Organisations, keys and the audit chain over HTTP."""

import json
from pathlib import Path

import pytest
from web.conftest import MakeWorld
from web.world import Client, World, problem


@pytest.fixture(scope="module")
def world(fresh_world: MakeWorld) -> World:
    return fresh_world()


def issue(world: World, **changes: object) -> dict[str, str]:
    fields: dict[str, object] = {
        "organisation_id": world.organisations["customs"],
        "role": "officer",
        "label": "gate 4",
    }
    answer = world.admin.post("/v1/api-keys", json=fields | changes)
    assert answer.status_code == 201, answer.text
    body: dict[str, str] = answer.json()
    return body


def test_an_organisation_is_made_listed_and_read(world: World) -> None:
    fields = {"kind": "police", "name": "Harbour Police", "country": "UT"}
    made = world.admin.post("/v1/organisations", json=fields)
    assert made.status_code == 201
    assert {k: made.json()[k] for k in fields} == fields
    assert world.admin.get(made.headers["location"]).json() == made.json()
    assert made.json() in world.admin.get("/v1/organisations").json()["items"]
    again = world.admin.post("/v1/organisations", json=fields)
    assert problem(again) == "conflict"


def test_a_brand_owner_lists_authorities_and_no_other_brand(world: World) -> None:
    items = world.acme.get("/v1/organisations").json()["items"]
    names = {item["name"] for item in items}
    assert {"acme", "customs", "police"} <= names
    assert not {"bolt", "operator"} & names


def test_a_key_is_issued_used_and_revoked(world: World) -> None:
    made = issue(world)
    client = Client(world.http, made["secret"], None)
    assert client.get("/v1/examinations").status_code == 200
    gone = world.admin.post(f"/v1/api-keys/{made['id']}/revoke").json()
    assert gone["revoked_at"] is not None
    assert problem(client.get("/v1/examinations")) == "not-authenticated"


def test_the_secret_is_shown_once_and_kept_nowhere(world: World) -> None:
    headers = {"Idempotency-Key": "one key please"}
    fields = {
        "organisation_id": world.organisations["customs"],
        "role": "officer",
        "label": "gate 5",
    }
    first = world.admin.post("/v1/api-keys", json=fields, headers=headers).json()
    again = world.admin.post("/v1/api-keys", json=fields, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first | {"secret": None}
    secret = first["secret"]
    assert secret.startswith(f"ts_{first['prefix']}_")
    assert secret not in world.admin.get("/v1/api-keys").text
    assert secret not in world.admin.get("/v1/audit").text
    assert secret not in json.dumps(world.log.lines, default=str)
    folder: Path = world.parts.settings.data_dir
    for file in folder.glob("records.db*"):
        assert secret.encode() not in file.read_bytes()


def test_whoever_holds_a_key_may_end_that_one_and_no_other(world: World) -> None:
    one, other = issue(world), issue(world)
    client = Client(world.http, one["secret"], None)
    assert problem(client.post(f"/v1/api-keys/{other['id']}/revoke")) == "not-found"
    assert client.post(f"/v1/api-keys/{one['id']}/revoke").status_code == 200
    assert client.post(f"/v1/api-keys/{one['id']}/revoke").status_code == 401


def test_an_expired_key_is_not_valid(world: World) -> None:
    made = issue(world, expires_at="2020-01-01T00:00:00Z")
    answer = Client(world.http, made["secret"], None).get("/v1/examinations")
    assert problem(answer) == "not-authenticated"


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "emperor"},
        {"role": 1},
        {"expires_at": 1},
        {"expires_at": "tomorrow"},
        {"expires_at": "2027-01-01T00:00:00"},
        {"label": ""},
        {"label": 5},
        {"label": "x" * 301},
        {"label": "a\u0000b"},
        {"scope": "all"},
        {"role": "admin"},
        {"role": "brand_owner"},
    ],
)
def test_a_wrong_field_of_a_key_is_named(
    world: World, changes: dict[str, object]
) -> None:
    fields: dict[str, object] = {
        "organisation_id": world.organisations["customs"],
        "role": "officer",
        "label": "gate 4",
    }
    before = world.kept()
    answer = world.admin.post("/v1/api-keys", json=fields | changes)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == next(iter(changes))
    assert world.kept() == before


def test_everything_that_changed_is_in_the_audit_chain(world: World) -> None:
    world.reference_set(world.acme)
    events = world.admin.get("/v1/audit?limit=200").json()["items"]
    actions = [event["action"] for event in events]
    assert "product.create" in actions
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    page = world.admin.get("/v1/audit?limit=2").json()
    rest = world.admin.get(f"/v1/audit?limit=200&after={page['next']}").json()
    assert page["items"] + rest["items"] == events


def test_the_chain_is_verified_against_a_checkpoint(world: World) -> None:
    report = world.admin.get("/v1/audit/verify").json()
    assert report["ok"] is True
    head = {"seq": report["events"], "hash": report["head_hash"]}
    assert world.admin.get("/v1/audit/verify", params=head).json()["ok"] is True
    forged = head | {"hash": "0" * 64}
    against = world.admin.get("/v1/audit/verify", params=forged).json()
    assert (against["ok"], against["first_bad_seq"]) == (False, report["events"])


@pytest.mark.parametrize("query", ["seq=1", "hash=" + "0" * 64, "seq=1&hash=short"])
def test_half_a_checkpoint_is_refused(world: World, query: str) -> None:
    assert world.admin.get(f"/v1/audit/verify?{query}").status_code == 422

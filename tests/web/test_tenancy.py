"""S1: nobody sees another's anything. The probes are made from the routes themselves.

Acme keeps references, has photos examined, and shares one of its two sets with
customs. Everyone else then asks every route for everything of Acme's.
"""

import itertools
import re
import statistics
import time
from collections.abc import Mapping
from hashlib import sha256

import pytest
from httpx2 import Response
from web.conftest import MakeWorld
from web.routes import api_routes
from web.tenants import (
    BODIES,
    PHOTO,
    SECRET,
    SHARED,
    Acme,
    ask,
    guarded,
    leaked,
    probes,
    tenant,
)
from web.world import World

from touchstone.store import Role, new_id
from touchstone.web.auth import Allowed, GuardedRoute
from touchstone.web.limits import WebLimits


@pytest.fixture(scope="module")
def world(fresh_world: MakeWorld) -> World:
    # A probe must be answered by its route, not by the pace of its key.
    return fresh_world(limits=WebLimits(requests_per_minute=10**6, burst=10**6))


@pytest.fixture(scope="module")
def acme(world: World) -> Acme:
    return tenant(world)


def test_every_route_names_the_roles_that_may_use_it(world: World) -> None:
    for route in guarded(world):
        assert isinstance(route, GuardedRoute), route.path
        assert isinstance(route.guard, Allowed)
        assert Role.ADMIN in route.guard.roles


OWNER, ADMIN = {Role.BRAND_OWNER, Role.ADMIN}, {Role.ADMIN}
# The first that a route begins with is its rule; a route without one fails the test.
ROLES: tuple[tuple[str, set[Role]], ...] = (
    ("POST /v1/api-keys/{key_id}/revoke", set(Role)),
    ("POST /v1/api-keys", ADMIN),
    ("GET /v1/api-keys", ADMIN),
    ("POST /v1/organisations", ADMIN),
    ("GET /v1/organisations", OWNER),
    ("GET /v1/audit", ADMIN),
    *((f"{method} /v1/products", OWNER) for method in ("GET", "POST")),
    *((f"{method} /v1/reference-sets", OWNER) for method in ("GET", "POST", "PUT")),
    *((f"{method} /v1/specimens", OWNER) for method in ("GET", "POST")),
    *((f"{method} /v1/examinations", set(Role)) for method in ("GET", "POST")),
    ("POST /v1/identify", set(Role)),
    ("POST /v1/codes/parse", set(Role)),
    *(
        (f"{method} /v1/{kind}", set(Role))
        for kind in ("operations", "cases", "seizures", "lots", "exhibits", "jobs")
        for method in ("GET", "POST", "PUT")
    ),
)


def test_each_role_may_do_what_is_its_own_and_no_more(world: World) -> None:
    clients = {
        Role.OFFICER: world.stranger,
        Role.ANALYST: world.key("police", Role.ANALYST),
        Role.BRAND_OWNER: world.bolt,
    }
    for route in guarded(world):
        path = re.sub(r"{\w+}", new_id(), route.path.replace("{number}", "1"))
        for method, (role, client) in itertools.product(
            route.methods or (), clients.items()
        ):
            answer = ask(client, method, path, BODIES.get(route.path, {}))
            is_allowed = role in _rule(f"{method} {route.path}")
            assert (answer.status_code != 403) == is_allowed, (role, method, path)


def _rule(operation: str) -> set[Role]:
    return next(roles for start, roles in ROLES if operation.startswith(start))


def test_a_route_without_roles_cannot_be_made() -> None:
    def endpoint() -> None: ...

    with pytest.raises(TypeError, match="must depend on one allow"):
        GuardedRoute("/v1/open", endpoint)


def test_nothing_but_probes_docs_and_metrics_is_open(world: World) -> None:
    open_paths = {
        getattr(route, "path", "")
        for route in api_routes(world.app.routes)
        if not isinstance(route, GuardedRoute)
    }
    assert open_paths == {"/livez", "/readyz", "/metrics", "/docs"}


def test_the_owner_sees_its_own(world: World, acme: Acme) -> None:
    """Else the ids would be wrong, and finding no leak would prove nothing."""
    seen: set[str] = set()
    for path in (
        "/v1/products",
        f"/v1/products/{acme.ids['product_ref']}",
        f"/v1/reference-sets/{acme.ids['reference_set_id']}",
        f"/v1/reference-sets/{acme.ids['reference_set_id']}/specimens",
        f"/v1/specimens/{acme.ids['specimen_id']}",
        f"/v1/examinations/{acme.ids['examination_id']}",
        f"/v1/examinations/{acme.ids['examination_id']}/pair.png",
        f"/v1/organisations/{acme.ids['organisation_id']}",
        "/v1/operations",
        "/v1/cases",
        "/v1/seizures",
        "/v1/lots",
        "/v1/exhibits",
        "/v1/jobs",
        f"/v1/lots/{acme.ids['lot_id']}/submissions",
    ):
        answer = world.acme.get(path)
        assert answer.status_code == 200, path
        seen |= leaked(answer, acme.texts)
    keys = world.admin.get("/v1/api-keys")
    assert seen | leaked(keys, acme.texts) == acme.texts


def test_what_is_anothers_and_what_does_not_exist_look_the_same(
    world: World, acme: Acme
) -> None:
    clients = {
        "anonymous": world.anonymous,
        "revoked": world.revoked(),
        "another brand": world.bolt,
        "officer with a grant": world.officer,
        "analyst with a grant": world.analyst,
        "officer without a grant": world.stranger,
        "analyst without a grant": world.key("police", Role.ANALYST),
    }
    nothing = {name: new_id() for name in acme.ids}
    before = _state(world, acme)
    count = 0
    unknown: dict[tuple[str, str], Response] = {}  # all random ids are alike
    for who, client in clients.items():
        forbidden = acme.texts - {str(client.secret)}
        theirs = probes(world, acme.ids)
        for probe, random in zip(theirs, probes(world, nothing), strict=True):
            if probe == random and probe[0] != "GET":
                continue  # no id in it: what it makes is the caller's own
            answer = ask(client, *probe)
            assert answer.status_code < 500, (who, probe[:2])
            assert not leaked(answer, forbidden), (who, probe[:2], answer.text)
            count += 1
            if probe == random:
                continue
            kind = who, f"{probe[0]} {_template(random[1], nothing)}"
            if kind not in unknown:
                unknown[kind] = ask(client, *random)
            assert answer.status_code == unknown[kind].status_code, (who, probe[:2])
            assert answer.status_code in {401, 403, 404}, (who, probe[:2])
            assert answer.content == unknown[kind].content, (who, probe[:2])
    assert count >= 2000
    assert _state(world, acme) == before


def _template(path: str, ids: Mapping[str, str]) -> str:
    """``path`` without the ids in it."""
    for one in ids.values():
        path = path.replace(one, "*")
    return path


def test_what_is_anothers_takes_as_long_as_what_does_not_exist(
    world: World, acme: Acme
) -> None:
    def seconds(examination_id: str) -> float:
        started = time.perf_counter()
        world.bolt.get(f"/v1/examinations/{examination_id}")
        return time.perf_counter() - started

    pairs = [
        seconds(acme.ids["examination_id"]) - seconds(new_id()) for _ in range(100)
    ]
    assert abs(statistics.median(pairs)) < 0.005


def _state(world: World, acme: Acme) -> list[object]:
    """What an attempt to change something of Acme's would have changed."""
    ids = acme.ids
    return [
        world.acme.get(path).json()
        for path in (
            "/v1/products",
            f"/v1/reference-sets/{ids['reference_set_id']}",
            f"/v1/reference-sets/{ids['reference_set_id']}/sharing",
            f"/v1/reference-sets/{ids['reference_set_id']}/specimens",
            *(f"/v1/{kind}" for kind in FILED),
            f"/v1/exhibits/{ids['exhibit_id']}/custody",
            f"/v1/lots/{ids['lot_id']}/submissions",
            f"/v1/jobs/{ids['job_id']}",
        )
    ]


FILED = ("operations", "cases", "seizures", "lots", "exhibits", "jobs")


@pytest.mark.parametrize(
    ("kind", "above", "fields"),
    [
        ("cases", "operation_id", {"ref_no": "mine"}),
        ("seizures", "case_id", {"ref_no": "mine"}),
        ("lots", "seizure_id", {"ref_no": "mine"}),
        ("exhibits", "lot_id", {"exhibit_no": "mine"}),
        ("jobs", "lot_id", None),
    ],
)
def test_nothing_is_filed_under_anothers_or_listed_by_it(
    world: World, acme: Acme, kind: str, above: str, fields: dict[str, str] | None
) -> None:
    for client in (world.bolt, world.officer, world.stranger):
        seen = [
            client.get(f"/v1/{kind}", params={above: one})
            for one in (acme.ids[above], new_id())
        ]
        assert [answer.json() for answer in seen] == [{"items": [], "next": None}] * 2
        if fields is None:
            continue
        theirs, nothing = (
            client.post(f"/v1/{kind}", json=fields | {above: one})
            for one in (acme.ids[above], new_id())
        )
        assert theirs.status_code == nothing.status_code == 404
        assert theirs.content == nothing.content


def test_a_digest_does_not_tell_whether_another_holds_the_photo(
    world: World, acme: Acme
) -> None:
    photo = b"a photo of Acme's"
    path = f"/v1/lots/{acme.ids['lot_id']}/photos/{acme.ids['sha256']}"
    assert world.acme.put(path, content=photo).json()["queued"] == 1
    lot = world.stranger.post("/v1/lots", json={"ref_no": "spy"}).json()["id"]
    items = [{"name": "x", "sha256": acme.ids["sha256"]}]
    told = world.stranger.post(f"/v1/lots/{lot}/submissions", json={"items": items})
    assert told.json()["items"][0]["submission"]["state"] == "awaiting"


def test_an_administrator_reads_anothers_lot_and_begins_nothing_on_it(
    world: World, acme: Acme
) -> None:
    lot = f"/v1/lots/{acme.ids['lot_id']}"
    assert world.admin.get(lot).status_code == 200
    assert world.admin.post(f"{lot}/score").status_code == 404
    body = BODIES["/v1/lots/{lot_id}/submissions"]
    assert world.admin.post(f"{lot}/submissions", **body).status_code == 404


def test_a_photo_of_a_secret_reference_finds_nothing_for_others(
    world: World, acme: Acme
) -> None:
    for client in (world.bolt, world.officer, world.stranger, world.analyst):
        for photo in (SECRET, PHOTO):
            examined = client.examine(photo)
            assert not leaked(examined, acme.texts - {sha256(photo).hexdigest()})
            named = client.post("/v1/identify", files=[("photo", ("p", photo))])
            assert not leaked(named, acme.texts)
            assert examined.json()["finding"] in {
                "no_reference",
                "insufficient_quality",
            }


def test_a_grant_shows_what_was_shared_in_findings_alone(
    world: World, acme: Acme
) -> None:
    examined = world.officer.examine(SHARED)
    assert examined.json()["product"]["product_id"] == "SHARED-CODE"
    for client in (world.bolt, world.stranger):
        for path in ("/v1/examinations", "/v1/products", "/v1/organisations"):
            assert not leaked(client.get(path), acme.shared_texts)
    assert world.officer.get("/v1/products").status_code == 403
    for client in (world.bolt, world.stranger):
        answer = client.get(examined.json()["url"])
        assert answer.status_code == 404


def test_a_key_of_one_tenant_does_not_repeat_anothers_answer(
    world: World, acme: Acme
) -> None:
    del acme
    headers = {"Idempotency-Key": "the same text by chance"}
    fields = {"product_id": "P-chance"}
    first = world.acme.post("/v1/products", json=fields, headers=headers)
    second = world.bolt.post("/v1/products", json=fields, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert "idempotency-replayed" not in second.headers
    assert first.json()["id"] != second.json()["id"]


def test_the_log_and_the_metrics_hold_nothing_of_any_tenant(
    world: World, acme: Acme
) -> None:
    world.acme.get(f"/v1/products/{acme.ids['product_ref']}")
    names = {"key_id", "organisation_id"}  # whoever asked is named, and nothing else
    texts = acme.texts - {acme.ids["key_id"], acme.ids["organisation_id"]}
    for line in world.log.lines:
        said = str({k: v for k, v in line.items() if k not in names})
        assert not {text for text in texts if text in said}
        assert "ts_" not in said
    assert not leaked(world.http.get("/metrics"), acme.texts | acme.shared_texts)

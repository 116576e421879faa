"""A tenant with one of everything, and every route asked for it.

The probes are made from the routes themselves, so that a new one cannot hide.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from fastapi.routing import APIRoute
from httpx2 import Response
from web.routes import api_routes
from web.world import Client, World, encoded, mark, photographed

from touchstone.store import new_id

SHARED, SECRET, TINY = (encoded(mark(n)) for n in (1, 2, 3))
PHOTO = encoded(photographed(mark(2)))
UPLOAD = ("p", TINY)

# What is sent with each request that has a body; a route that is not here and needs
# one fails the test below, and so asks for a rule.
BODIES: dict[str, dict[str, Any]] = {
    "/v1/examinations": {"files": [("photos", UPLOAD)]},
    "/v1/identify": {"files": [("photo", UPLOAD)]},
    "/v1/codes/parse": {"json": {"text": "4006381333931"}},
    "/v1/products": {"json": {"product_id": "P-probe"}},
    "/v1/products/{product_ref}/reference-sets": {"json": {"market": "XX"}},
    "/v1/reference-sets/{reference_set_id}/specimens": {"files": [("images", UPLOAD)]},
    "/v1/reference-sets/{reference_set_id}/sharing": {"json": {"authority_ids": []}},
    "/v1/organisations": {"json": {"kind": "brand", "name": "Probe"}},
    "/v1/api-keys": {
        "json": {"organisation_id": new_id(), "role": "officer", "label": "probe"}
    },
    "/v1/operations": {"json": {"name": "Probe"}},
    "/v1/cases": {"json": {"ref_no": "probe"}},
    "/v1/seizures": {"json": {"case_id": new_id(), "ref_no": "probe"}},
    "/v1/lots": {"json": {"ref_no": "probe"}},
    "/v1/exhibits": {"json": {"lot_id": new_id(), "exhibit_no": "probe"}},
    "/v1/operations/{operation_id}/state": {"json": {"state": "open"}},
    "/v1/cases/{case_id}/state": {"json": {"state": "closed"}},
    "/v1/seizures/{seizure_id}/state": {"json": {"state": "detained"}},
    "/v1/lots/{lot_id}/state": {"json": {"state": "scored"}},
    "/v1/exhibits/{exhibit_id}/state": {"json": {"state": "sealed"}},
    "/v1/exhibits/{exhibit_id}/custody": {"json": {"act": "seen", "actor": "probe"}},
    "/v1/lots/{lot_id}/submissions": {
        "json": {"items": [{"name": "probe", "sha256": sha256(TINY).hexdigest()}]}
    },
    "/v1/lots/{lot_id}/photos/{sha256}": {"content": TINY},
    "/v1/lots/{lot_id}/sampling-plan": {"json": {"rule": "square_root"}},
    "/v1/lots/{lot_id}/manifest": {"files": [("file", ("m.csv", b"image,sha256\n"))]},
}
FILLED_IN = {"number": "1", "name": "report.pdf"}
"""Places of a path that are no ids."""


@dataclass(frozen=True)
class Acme:
    """Everything of Acme's, by what names it in a path."""

    ids: Mapping[str, str]
    texts: frozenset[str]
    """What no answer to anyone else may hold."""
    shared_texts: frozenset[str]
    """What the officer with the grant may see in findings."""


def tenant(world: World) -> Acme:
    """Acme, with one of everything."""
    shared_id = kept(world, "SHARED-CODE", SHARED)
    world.acme.put(
        f"/v1/reference-sets/{shared_id}/sharing",
        json={"authority_ids": [world.organisations["customs"]]},
    )
    secret_id = kept(world, "SECRET-CODE", SECRET)
    examined = world.acme.examine(PHOTO).json()
    assert examined["product"]["product_id"] == "SECRET-CODE"
    specimens = world.acme.get(f"/v1/reference-sets/{secret_id}/specimens").json()
    specimen = specimens["items"][0]
    secret_set = world.acme.get(f"/v1/reference-sets/{secret_id}").json()
    key_id = str(world.acme.caller.key_id)
    ids = {  # by what stands for them in paths, where something does
        "product_ref": secret_set["product_ref"],
        "reference_set_id": secret_id,
        "specimen_id": specimen["id"],
        "examination_id": examined["id"],
        "organisation_id": world.organisations["acme"],
        "key_id": key_id,
        "image_digest": specimen["image_digest"],
        "code": "SECRET-CODE",
        **_seized(world),
    }
    texts = {
        *ids.values(),
        *(f"SECRET-{n}" for n in range(6)),
        "SECRET-CODE",
        "name of SECRET-CODE",
        "brand of SECRET-CODE",
        specimen["image_digest"],
        secret_set["digest"],
        *examined["digests"]["photos"],
        examined["digests"]["record"],
    }
    shared = {"SHARED-CODE", "name of SHARED-CODE", "brand of SHARED-CODE", shared_id}
    return Acme(ids, frozenset(texts), frozenset(shared | {sha256(SHARED).hexdigest()}))


def _seized(world: World) -> dict[str, str]:
    """A lot of Acme's with all that it is filed under, and a job on it."""

    def made(path: str, **fields: str) -> str:
        answer = world.acme.post(path, json=fields)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    operation = made("/v1/operations", name="SECRET-0")
    case = made("/v1/cases", ref_no="SECRET-1", operation_id=operation)
    seizure = made("/v1/seizures", ref_no="SECRET-2", case_id=case)
    lot = made("/v1/lots", ref_no="SECRET-3", seizure_id=seizure)
    exhibit = made("/v1/exhibits", exhibit_no="SECRET-4", lot_id=lot)
    digest = sha256(b"a photo of Acme's").hexdigest()
    items = [{"name": "SECRET-5", "sha256": digest}]
    listed = world.acme.post(f"/v1/lots/{lot}/submissions", json={"items": items})
    job = world.acme.post(f"/v1/lots/{lot}/score")
    assert job.status_code == 202, job.text
    kept = world.acme.get(f"/v1/lots/{lot}/conclusion")
    assert kept.status_code == 200, kept.text
    return {
        "operation_id": operation,
        "case_id": case,
        "seizure_id": seizure,
        "lot_id": lot,
        "exhibit_id": exhibit,
        "job_id": job.json()["id"],
        "submission_id": listed.json()["items"][0]["submission"]["id"],
        "sha256": digest,
    }


def kept(world: World, code: str, image: bytes) -> str:
    fields = {
        "product_id": code,
        "name": f"name of {code}",
        "brand": f"brand of {code}",
    }
    product = world.acme.post("/v1/products", json=fields).json()
    path = f"/v1/products/{product['id']}/reference-sets"
    set_id = str(world.acme.post(path, json={}).json()["id"])
    assert world.acme.enrol(set_id, image).status_code == 201
    return set_id


def guarded(world: World) -> list[APIRoute]:
    routes = [
        route for route in api_routes(world.app.routes) if route.path.startswith("/v1")
    ]
    assert len(routes) > 65
    return routes


def probes(
    world: World, ids: Mapping[str, str]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each route with every id of ``ids`` in each place where an id goes.

    Of two places the other holds what belongs there.
    """
    for route in guarded(world):
        for method in sorted(route.methods or ()):
            options = BODIES.get(route.path, {}) if method in {"POST", "PUT"} else {}
            assert options or route.body_field is None, f"{route.path} needs a rule"
            places = [one for one in route.param_convertors if one not in FILLED_IN]
            own = {place: ids[place] for place in places}
            varied = [own | {place: one} for place in places for one in ids.values()]
            for chosen in varied or [own]:
                path = route.path
                for place, value in chosen.items():
                    path = path.replace("{" + place + "}", value)
                for place, value in FILLED_IN.items():
                    path = path.replace("{" + place + "}", value)
                yield method, path, options


def ask(client: Client, method: str, path: str, options: dict[str, Any]) -> Response:
    return client.request(method, path, **options)


def leaked(answer: Response, texts: frozenset[str]) -> set[str]:
    said = answer.text + str(dict(answer.headers))
    return {text for text in texts if text in said}

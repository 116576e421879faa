"""Operations, cases, seizures, lots and exhibits over HTTP."""

from typing import Any

import pytest
from web.world import World, problem

FIELDS: dict[str, dict[str, Any]] = {
    "operations": {
        "name": "Pangea",
        "starts_on": "2026-11-16",
        "ends_on": "2026-11-30",
        "partners": ["Interpol"],
    },
    "cases": {"ref_no": "2026/117", "legal_hold": True, "source_eval": "A"},
    "seizures": {
        "ref_no": "S-1",
        "country": "UT",
        "latitude": 43,
        "longitude": 5.5,
        "seized_on": "2026-11-24",
    },
    "lots": {"ref_no": "L-1", "product_class": "medicine", "units_total": 12_000},
    "exhibits": {"exhibit_no": "1", "unit_kind": "vial"},
}
ABOVE = {
    "cases": ("operations", "operation_id"),
    "seizures": ("cases", "case_id"),
    "lots": ("seizures", "seizure_id"),
    "exhibits": ("lots", "lot_id"),
}


def filed(world: World) -> dict[str, dict[str, Any]]:
    """One of each, each under the one before."""
    made: dict[str, dict[str, Any]] = {}
    for kind, fields in FIELDS.items():
        above, name = ABOVE.get(kind, ("", ""))
        under = {name: made[above]["id"]} if above else {}
        answer = world.officer.post(f"/v1/{kind}", json=fields | under)
        assert answer.status_code == 201, answer.text
        made[kind] = answer.json()
        assert answer.headers["location"] == f"/v1/{kind}/{made[kind]['id']}"
        assert (fields | under).items() <= made[kind].items()
    return made


def test_each_is_filed_read_and_listed_by_what_it_is_under(world: World) -> None:
    made = filed(world)
    other = world.officer.post("/v1/cases", json={"ref_no": "another"}).json()
    for kind, one in made.items():
        assert world.officer.get(f"/v1/{kind}/{one['id']}").json() == one
        above, name = ABOVE.get(kind, ("", ""))
        query = {name: made[above]["id"]} if above else {}
        found = world.officer.get(f"/v1/{kind}", params=query).json()
        assert found == {"items": [one], "next": None}
    cases = world.officer.get("/v1/cases").json()["items"]
    assert cases == [other, made["cases"]]
    first = world.officer.get("/v1/cases", params={"limit": 1})
    assert 'rel="next"' in first.headers["link"]
    rest = world.officer.get(first.headers["link"].split(">")[0][1:]).json()
    assert rest["items"] == [made["cases"]]


def test_each_goes_through_its_states_and_no_others(world: World) -> None:
    made = filed(world)
    for kind, state, unlawful in (
        ("operations", "open", "planned"),
        ("seizures", "detained", "registered"),
        ("lots", "scored", "received"),
        ("exhibits", "sealed", "logged"),
        ("cases", "closed", "under_review"),
    ):
        path = f"/v1/{kind}/{made[kind]['id']}"
        moved = world.officer.post(f"{path}/state", json={"state": state})
        assert moved.json() == made[kind] | {"state": state}
        refused = world.officer.post(f"{path}/state", json={"state": unlawful})
        assert (refused.status_code, problem(refused)) == (409, "conflict")
        wrong = world.officer.post(f"{path}/state", json={"state": "lost"})
        assert problem(wrong) == "invalid-request"
        assert world.officer.get(path).json()["state"] == state


def test_a_legal_hold_keeps_the_exhibits(world: World) -> None:
    exhibit = filed(world)["exhibits"]["id"]
    for state, status in (("sealed", 200), ("destroyed", 409)):
        answer = world.officer.post(
            f"/v1/exhibits/{exhibit}/state", json={"state": state}
        )
        assert answer.status_code == status


def test_custody_is_a_chain(world: World) -> None:
    path = f"/v1/exhibits/{filed(world)['exhibits']['id']}/custody"
    lines = [{"act": "seized", "actor": "Officer 17"}, {"act": "sealed", "actor": "A"}]
    headers = {"Idempotency-Key": "one line"}
    first = world.officer.post(path, json=lines[0], headers=headers)
    again = world.officer.post(path, json=lines[0], headers=headers)
    assert first.status_code == 201
    assert first.json() == again.json()
    second = world.officer.post(path, json=lines[1])
    chain = world.officer.get(path).json()["items"]
    assert chain == [first.json(), second.json()]
    assert chain[0]["key_id"] == world.officer.caller.key_id


@pytest.mark.parametrize(
    ("kind", "fields", "field"),
    [
        ("operations", {"name": ""}, "name"),
        ("operations", {"name": "a\nb"}, "name"),
        ("operations", {"starts_on": 1_700_000_000}, "starts_on"),
        ("operations", {"starts_on": "1700000000"}, "starts_on"),
        ("operations", {"starts_on": "2026-02-30"}, "starts_on"),
        ("operations", {"ends_on": "2026-01-01"}, "ends_on"),
        ("operations", {"partners": "Interpol"}, "partners"),
        ("cases", {"handling_code": "H9"}, "handling_code"),
        ("cases", {"legal_hold": 1}, "legal_hold"),
        ("cases", {"state": "closed"}, "state"),
        ("seizures", {"country": "utopia"}, "country"),
        ("seizures", {"country": "ut"}, "country"),
        ("seizures", {"latitude": 91}, "latitude"),
        ("seizures", {"latitude": True}, "latitude"),
        ("lots", {"product_class": "drugs"}, "product_class"),
        ("lots", {"units_total": 0}, "units_total"),
        ("lots", {"units_total": 1.5}, "units_total"),
        ("lots", {"origin": "/etc/passwd"}, "origin"),
        ("exhibits", {"unit_kind": "box"}, "unit_kind"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_filed(
    shared_world: World, kind: str, fields: dict[str, Any], field: str
) -> None:
    world = shared_world
    under = {}
    if kind in ABOVE and kind != "cases":
        under = {ABOVE[kind][1]: "01a21cf3-d7e9-7b03-90e3-f423d457f8f4"}
    answer = world.officer.post(f"/v1/{kind}", json=FIELDS[kind] | under | fields)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"].startswith(field)
    assert world.officer.get(f"/v1/{kind}").json()["items"] == []


def test_the_same_number_twice_is_refused(world: World) -> None:
    made = filed(world)
    again = world.officer.post("/v1/cases", json=FIELDS["cases"])
    assert (again.status_code, problem(again)) == (409, "conflict")
    theirs = world.stranger.post("/v1/cases", json=FIELDS["cases"])
    assert theirs.status_code == 201
    assert theirs.json()["id"] != made["cases"]["id"]

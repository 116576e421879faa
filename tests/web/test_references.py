"""A brand owner keeps references over HTTP."""

import itertools

import pytest
from web.conftest import MakeWorld
from web.world import World, encoded, mark, problem

from touchstone.store import new_id

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def world(fresh_world: MakeWorld) -> World:
    return fresh_world()


@pytest.fixture
def set_id(world: World) -> str:
    """An empty set of a product of its own."""
    return world.reference_set(world.acme, f"S-{next(_numbers)}")


def test_a_product_is_made_once_and_read_back(world: World) -> None:
    fields = {
        "product_id": "AMOX-500",
        "brand": "Acme",
        "name": "Amoxicillin 500 mg",
        "category": "medicine",
        "gtin": "04006381333931",
    }
    made = world.acme.post("/v1/products", json=fields)
    assert made.status_code == 201
    assert {k: made.json()[k] for k in fields} == fields
    assert world.acme.get(made.headers["location"]).json() == made.json()
    again = world.acme.post("/v1/products", json=fields)
    assert (again.status_code, problem(again)) == (409, "conflict")


def test_a_gtin_with_a_wrong_check_digit_is_refused(world: World) -> None:
    fields = {"product_id": "P", "gtin": "04006381333932"}
    answer = world.acme.post("/v1/products", json=fields)
    assert problem(answer) == "invalid-input"
    assert answer.json()["errors"][0]["field"] == "gtin"


def test_a_reference_set_is_made_listed_and_read(world: World) -> None:
    product = world.acme.post("/v1/products", json={"product_id": "P"}).json()
    path = f"/v1/products/{product['id']}/reference-sets"
    fields = {"market": "FR", "artwork_version": "2"}
    made = world.acme.post(path, json=fields)
    assert made.status_code == 201
    assert {k: made.json()[k] for k in fields} == fields
    assert made.json()["status"] == "active"
    assert world.acme.get(made.headers["location"]).json() == made.json()
    assert world.acme.get(path).json() == {"items": [made.json()], "next": None}
    assert problem(world.acme.post(path, json=fields)) == "conflict"


def test_many_images_are_enrolled_in_one_request(world: World, set_id: str) -> None:
    answer = world.acme.enrol(
        set_id,
        encoded(mark(1)),
        encoded(mark(2), "PNG"),
        data={"face": "back", "variable_regions": "[[10, 20, 30, 40]]"},
    )
    assert answer.status_code == 201
    body = answer.json()
    assert body["failed"] == []
    assert [one["index"] for one in body["enrolled"]] == [0, 1]
    specimen = body["enrolled"][0]["specimen"]
    assert specimen["face"] == "back"
    assert specimen["variable_regions"] == [[10, 20, 30, 40]]
    listed = world.acme.get(f"/v1/reference-sets/{set_id}/specimens").json()
    assert listed["items"] == [one["specimen"] for one in body["enrolled"]]
    assert world.acme.get(f"/v1/specimens/{specimen['id']}").json() == specimen


def test_good_images_are_enrolled_and_each_bad_one_named(
    world: World, set_id: str
) -> None:
    files = [
        ("images", ("blank.png", encoded(mark(1) * 0 + 255, "PNG"))),
        ("images", ("good.jpg", encoded(mark(1)))),
        ("images", ("anim.gif", encoded(mark(2), "GIF"))),
        ("images", ("words.jpg", b"no image at all")),
    ]
    before = len(list(world.parts.blobs.digests()))
    answer = world.acme.post(f"/v1/reference-sets/{set_id}/specimens", files=files)
    assert answer.status_code == 201
    body = answer.json()
    assert [one["index"] for one in body["enrolled"]] == [1]
    kinds = {
        (one["index"], one["name"]): one["problem"]["type"].rpartition(":")[2]
        for one in body["failed"]
    }
    assert kinds == {
        (0, "blank.png"): "invalid-input",
        (2, "anim.gif"): "unsupported-format",
        (3, "words.jpg"): "not-an-image",
    }
    assert len(list(world.parts.blobs.digests())) <= before + 1


def test_a_request_without_one_good_image_is_refused(world: World, set_id: str) -> None:
    before = world.kept()
    answer = world.acme.enrol(set_id, b"", b"nothing")
    assert (answer.status_code, problem(answer)) == (422, "invalid-input")
    assert [one["index"] for one in answer.json()["failed"]] == [0, 1]
    assert world.kept() == before


def test_the_same_image_again_changes_nothing(world: World, set_id: str) -> None:
    first = world.acme.enrol(set_id, encoded(mark(1))).json()["enrolled"][0]
    again = world.acme.enrol(set_id, encoded(mark(1))).json()["enrolled"][0]
    assert (first["is_new"], again["is_new"]) == (True, False)
    assert first["specimen"] == again["specimen"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"variable_regions": "not json"}, "variable_regions"),
        ({"variable_regions": "[[1, 2, 3]]"}, "variable_regions"),
        ({"variable_regions": "[[1, 2, 3, 1e400]]"}, "variable_regions"),
        ({"variable_regions": '{"a": [1, 2, 3, 4]}'}, "variable_regions"),
        ({"kind": "known_odd"}, "kind"),
        ({"variable_regions": "[" * 50_000}, "variable_regions"),
        ({"face": "x" * 301}, "face"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_field_refuses_all_images(
    world: World, set_id: str, fields: dict[str, str], field: str
) -> None:
    before = world.kept()
    answer = world.acme.enrol(set_id, encoded(mark(1)), data=fields)
    assert answer.status_code == 422, answer.text
    assert problem(answer) in {"invalid-input", "invalid-request"}
    assert answer.json()["errors"][0]["field"].partition("[")[0] == field
    assert world.kept() == before


def test_a_region_outside_the_image_is_that_images_problem(
    world: World, set_id: str
) -> None:
    fields = {"variable_regions": "[[0, 0, 9999, 10]]"}
    answer = world.acme.enrol(set_id, encoded(mark(1)), data=fields)
    assert answer.status_code == 422
    errors = answer.json()["failed"][0]["problem"]["errors"]
    assert errors[0]["field"] == "variable_regions"


def test_an_image_comes_back_byte_for_byte_as_an_attachment(
    world: World, set_id: str
) -> None:
    image = encoded(mark(3))
    made = world.acme.enrol(set_id, image).json()["enrolled"][0]["specimen"]
    answer = world.acme.get(f"/v1/specimens/{made['id']}/image")
    assert answer.content == image
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_is_withdrawn_is_no_longer_matched(fresh_world: MakeWorld) -> None:
    world = fresh_world()
    image = encoded(mark(1))
    set_id = world.shared(world.acme, image)
    specimens = world.acme.get(f"/v1/reference-sets/{set_id}/specimens").json()
    specimen_id = specimens["items"][0]["id"]
    gone = world.acme.post(f"/v1/specimens/{specimen_id}/withdraw").json()
    assert gone["withdrawn_at"] is not None
    assert world.officer.examine(image).json()["finding"] == "no_reference"


def test_a_withdrawn_set_is_no_longer_matched(fresh_world: MakeWorld) -> None:
    world = fresh_world()
    image = encoded(mark(1))
    set_id = world.shared(world.acme, image)
    assert world.officer.examine(image).json()["finding"] != "no_reference"
    gone = world.acme.post(f"/v1/reference-sets/{set_id}/withdraw").json()
    assert gone["status"] == "withdrawn"
    assert world.officer.examine(image).json()["finding"] == "no_reference"


def test_sharing_replaces_the_whole_list_of_authorities(
    world: World, set_id: str
) -> None:
    path = f"/v1/reference-sets/{set_id}/sharing"
    customs, police = world.organisations["customs"], world.organisations["police"]
    first = world.acme.put(path, json={"authority_ids": [customs]}).json()
    assert first["authority_ids"] == [customs]
    second = world.acme.put(path, json={"authority_ids": [police, police]}).json()
    assert second["authority_ids"] == [police]
    assert [grant["revoked_at"] is None for grant in second["grants"]] == [False, True]
    assert world.acme.get(path).json() == second


@pytest.mark.parametrize("stranger", ["bolt", "operator", "nobody"])
def test_a_set_is_shared_with_all_that_were_named_or_with_none(
    world: World, set_id: str, stranger: str
) -> None:
    path = f"/v1/reference-sets/{set_id}/sharing"
    customs, police = world.organisations["customs"], world.organisations["police"]
    world.acme.put(path, json={"authority_ids": [customs]})
    unknown = world.organisations.get(stranger, new_id())
    answer = world.acme.put(path, json={"authority_ids": [police, unknown]})
    assert (answer.status_code, problem(answer)) == (404, "not-found")
    assert world.acme.get(path).json()["authority_ids"] == [customs]


def test_products_are_listed_page_by_page(world: World) -> None:
    for number in range(5):
        world.bolt.post("/v1/products", json={"product_id": f"P-{number}"})
    codes: list[str] = []
    after: str | None = None
    while True:
        params = {"limit": "2"} | ({"after": after} if after else {})
        page = world.bolt.get("/v1/products", params=params).json()
        codes += [item["product_id"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert codes == [f"P-{number}" for number in range(5)]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "after=nonsense", "colour=red"]
)
def test_a_wrong_page_is_refused(world: World, query: str) -> None:
    answer = world.acme.get(f"/v1/products?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]

"""Photos in, findings and evidence out, over HTTP."""

import json
from hashlib import sha256
from typing import Any

import pytest
from web.conftest import MakeWorld
from web.world import POLICY, World, encoded, mark, photographed, problem

from touchstone.engine.image import Pixels, decode
from touchstone.examination import LIMITATIONS


def forged() -> Pixels:
    """Face 1 with a block of its print painted over."""
    pixels = photographed(mark(1))
    pixels[160:330, 120:330] = (250, 240, 60)
    return pixels


PHOTO = encoded(photographed(mark(1)))
FORGED = encoded(forged())
OTHER = encoded(mark(77))


@pytest.fixture(scope="module")
def world(fresh_world: MakeWorld) -> World:
    world = fresh_world()
    world.shared(world.acme, encoded(mark(1)), encoded(mark(2)))
    return world


@pytest.fixture(scope="module")
def examined(world: World) -> dict[str, Any]:
    """The forged photo, examined by the officer."""
    body: dict[str, Any] = world.officer.examine(FORGED).json()
    return body


def test_a_photo_of_an_enrolled_face_is_consistent_with_it(world: World) -> None:
    answer = world.officer.examine(PHOTO)
    body = answer.json()
    assert answer.status_code == 201, body
    assert body["finding"] == "consistent_with_genuine"
    assert body["product"]["product_id"] == "P-1"
    assert body["log10_lr"] > 0
    assert body["lr_capped"] is True
    assert answer.headers["location"] == f"/v1/examinations/{body['id']}"
    assert body["elapsed_ms"] > 0


def test_a_forged_print_is_told_with_regions_reasons_and_advice(
    examined: dict[str, Any],
) -> None:
    assert examined["finding"] in {"inconsistent_with_genuine", "inconclusive"}
    assert examined["counterfeit_probability"] > 0.09
    assert examined["regions"]
    deviations = [region["deviation"] for region in examined["regions"]]
    assert deviations == sorted(deviations, reverse=True)
    assert examined["regions"][0]["in"] == "reference"
    assert {"code", "sentence"} == set(examined["reasons"][0])
    assert examined["advice"]


def test_what_was_never_enrolled_has_no_reference(world: World) -> None:
    body = world.officer.examine(OTHER).json()
    assert body["finding"] == "no_reference"
    assert body["product"] is None
    assert body["pictures"] is None
    assert body["log10_lr"] is None
    assert body["digests"]["reference_set"] is None


def test_every_answer_carries_its_digests_limits_and_error_rates(
    world: World, examined: dict[str, Any]
) -> None:
    digests = examined["digests"]
    assert digests["photos"] == [sha256(FORGED).hexdigest()]
    assert digests["model"] == world.parts.catalogue.embedder.digest
    assert digests["policy"] == POLICY.digest
    assert digests["index"] == world.parts.catalogue.index_digest
    set_id = examined["reference_set_id"]
    assert (
        digests["reference_set"]
        == world.acme.get(f"/v1/reference-sets/{set_id}").json()["digest"]
    )
    assert examined["limitations"] == list(LIMITATIONS)
    assert examined["error_rates"] == POLICY.error_rates
    assert examined["provider"] == "cpu"
    assert examined["code_version"]


def test_no_answer_calls_a_product_genuine(examined: dict[str, Any]) -> None:
    words = json.dumps([examined["reasons"], examined["strength"], examined["advice"]])
    assert "is genuine" not in words
    assert "authentic" not in words


def test_an_examination_reads_back_as_it_was_answered(
    world: World, examined: dict[str, Any]
) -> None:
    again = world.officer.get(examined["url"]).json()
    assert again.pop("elapsed_ms") is None
    assert again == {k: v for k, v in examined.items() if k != "elapsed_ms"}


def test_the_regions_can_be_read_alone(world: World, examined: dict[str, Any]) -> None:
    answer = world.officer.get(f"{examined['url']}/regions")
    assert answer.json() == {"items": examined["regions"]}


def test_the_pictures_are_pngs_that_can_be_shown(
    world: World, examined: dict[str, Any]
) -> None:
    for url in [*examined["pictures"].values(), examined["regions"][0]["pair"]]:
        answer = world.officer.get(url)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "image/png"
        assert min(decode(answer.content).size_px) > 16


def test_a_region_that_is_not_there_is_not_found(
    world: World, examined: dict[str, Any]
) -> None:
    answer = world.officer.get(f"{examined['url']}/regions/999/pair.png")
    assert answer.status_code == 404
    assert problem(answer) == "not-found"


def test_an_examination_without_a_match_has_no_pictures(world: World) -> None:
    url = world.officer.examine(OTHER).json()["url"]
    answer = world.officer.get(f"{url}/pair.png")
    assert problem(answer) == "not-found"
    assert world.officer.get(f"{url}/regions").json() == {"items": []}


def test_replaying_gives_the_same_record_and_keeps_nothing(
    world: World, examined: dict[str, Any]
) -> None:
    before = world.kept()
    answer = world.officer.post(f"{examined['url']}/replay")
    assert answer.json() == {"is_equal": True, "differences": []}
    assert world.kept() == before


def test_several_photos_of_an_item_are_one_examination(world: World) -> None:
    body = world.officer.examine(PHOTO, FORGED).json()
    assert len(body["digests"]["photos"]) == 2
    assert body["decisive_photo"] in {0, 1}


def test_the_declared_product_is_recorded_and_weighed(world: World) -> None:
    fields = {"declared_product": "P-2", "declared_gtin": "4006381333931"}
    body = world.officer.examine(PHOTO, data=fields).json()
    assert body["declared"] == {"product_id": "P-2", "gtin": "04006381333931"}
    assert body["finding"] == "consistent_with_other_variant"


def test_a_declared_gtin_with_a_wrong_check_digit_is_refused(world: World) -> None:
    answer = world.officer.examine(PHOTO, data={"declared_gtin": "4006381333932"})
    assert problem(answer) == "invalid-input"
    assert answer.json()["errors"][0]["field"] == "declared_gtin"


def test_identify_names_products_and_keeps_nothing(world: World) -> None:
    before = world.kept()
    answer = world.officer.post(
        "/v1/identify", files={"photo": ("p", PHOTO)}, data={"k": "1"}
    )
    items = answer.json()["items"]
    assert [item["product"]["product_id"] for item in items] == ["P-1"]
    assert items[0]["similarity"] == round(items[0]["similarity"], 2)
    assert world.kept() == before


def test_examinations_are_counted_by_finding(world: World) -> None:
    world.officer.examine(PHOTO)
    text = world.http.get("/metrics").text
    line = 'touchstone_examinations_total{finding="consistent_with_genuine"}'
    count = next(one for one in text.splitlines() if one.startswith(line))
    assert float(count.split()[-1]) >= 1


def test_examinations_are_listed_newest_first_page_by_page(world: World) -> None:
    made = [world.stranger.examine(OTHER).json()["id"] for _ in range(5)]
    found: list[str] = []
    path: str | None = "/v1/examinations?limit=2"
    pages = 0
    while path is not None:
        answer = world.stranger.get(path)
        body = answer.json()
        found += [item["id"] for item in body["items"]]
        link = answer.headers.get("link")
        assert (link is None) == (body["next"] is None)
        path = None if link is None else link.partition(">")[0].removeprefix("<")
        pages += 1
    assert found == made[::-1]
    assert pages == 3


def test_a_grant_that_ended_ends_the_pictures_and_not_the_record(
    fresh_world: MakeWorld,
) -> None:
    world = fresh_world()
    set_id = world.shared(world.acme, encoded(mark(1)))
    examined = world.officer.examine(PHOTO).json()
    path = f"/v1/reference-sets/{set_id}/sharing"
    ended = world.acme.put(path, json={"authority_ids": []}).json()
    assert ended["authority_ids"] == []
    for url in examined["pictures"].values():
        assert problem(world.officer.get(url)) == "not-found"
    assert world.officer.get(examined["url"]).status_code == 200
    assert world.officer.examine(PHOTO).json()["finding"] == "no_reference"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "01040063813339311727123110A1B2",
            {
                "gtin": "04006381333931",
                "lot": "A1B2",
                "expiry": "2027-12-31",
                "serial": None,
                "is_check_digit_right": True,
            },
        ),
        (
            "4006381333932",
            {
                "gtin": None,
                "lot": None,
                "expiry": None,
                "serial": None,
                "is_check_digit_right": False,
            },
        ),
    ],
)
def test_a_code_is_parsed_by_the_gs1_rules(
    world: World, text: str, expected: dict[str, object]
) -> None:
    answer = world.officer.post("/v1/codes/parse", json={"text": text})
    assert answer.json() == expected

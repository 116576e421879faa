"""A lot as a whole over HTTP: its sample, its conclusion, its report, its operation."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from web.conftest import MakeWorld
from web.test_examinations import FORGED
from web.test_lots import a_lot, announced, sent, worked
from web.world import Client, World, encoded, mark, photographed, problem

from touchstone.lots import settled
from touchstone.lots.concluding import Conclusion, conclude_on
from touchstone.lots.working import report_due
from touchstone.store import Caller
from touchstone.web import api_conclusions
from touchstone.web.limits import WebLimits

PHOTOS = {"1.jpg": FORGED, "2.jpg": encoded(photographed(mark(2)))}


def a_scored_lot(world: World, client: Client) -> str:
    lot = a_lot(client)
    announced(client, lot, PHOTOS)
    sent(client, lot, *PHOTOS.values())
    worked(world, client.post(f"{lot}/score").json()["id"])
    return lot


def test_units_are_drawn_by_a_plan_that_can_be_repeated(world: World) -> None:
    made = world.officer.post("/v1/lots", json={"ref_no": "L-9", "units_total": 400})
    lot = f"/v1/lots/{made.json()['id']}"
    plan = world.officer.post(f"{lot}/sampling-plan", json={"rule": "square_root"})
    assert plan.status_code == 201, plan.text
    assert plan.json()["sample"] == len(plan.json()["positions"]) == 20
    assert world.officer.get(lot).json()["plan"] == plan.json()
    again = world.officer.post(f"{lot}/sampling-plan", json={"share": 0.01})
    assert again.json()["sample"] > 20
    refused = world.officer.post(f"{lot}/sampling-plan", json={"share": 0})
    assert refused.status_code == 422
    unknown = world.officer.post(f"{a_lot(world.officer)}/sampling-plan", json={})
    assert unknown.status_code == 422
    assert problem(unknown) == "invalid-input"
    assert unknown.json()["errors"][0]["field"] == "units_total"


def test_a_lot_is_concluded_upon(world: World) -> None:
    world.shared(world.acme, encoded(mark(1)))
    lot = a_scored_lot(world, world.officer)
    told = world.officer.get(f"{lot}/conclusion")
    assert told.status_code == 200, told.text
    body = told.json()
    assert body["photos"] == sum(body["findings"].values()) == 2
    assert 0 <= body["share"]["low"] <= body["share"]["high"] <= 1
    assert {one["image"] for one in body["triage"]} <= set(PHOTOS)
    assert body["share"]["advice"]


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every lot is too large to be concluded upon while the client waits."""
    monkeypatch.setattr(api_conclusions, "CONCLUDED_AT_ONCE", 1)


@pytest.mark.usefixtures("slowly")
def test_a_large_lot_is_concluded_upon_in_the_background(world: World) -> None:
    lot = a_scored_lot(world, world.officer)
    begun = world.officer.get(f"{lot}/conclusion")
    assert begun.status_code == 202, begun.text
    assert begun.json()["kind"] == "conclusion"
    assert int(begun.headers["retry-after"]) > 0
    path = begun.headers["location"]
    again = world.officer.get(f"{lot}/conclusion")
    assert again.headers["location"] == path  # the one that is under way
    assert report_due(world.parts.desk())
    assert not report_due(world.parts.desk())
    done = world.officer.get(path).json()
    assert done["state"] == "done", done
    told = world.officer.get(f"{lot}/conclusion")
    assert told.status_code == 200, told.text
    file = world.officer.get(f"{path}/files/conclusion.json")
    assert file.json() == told.json()
    assert world.officer.get(f"{path}/files/report.pdf").status_code == 404
    assert world.stranger.get(f"{path}/files/conclusion.json").status_code == 404
    assert "event: end" in world.officer.get(f"{path}/events").text


@pytest.mark.usefixtures("slowly")
def test_what_is_kept_is_said_again_until_something_is_new(world: World) -> None:
    reference = world.shared(world.acme, encoded(mark(1)))
    lot = a_scored_lot(world, world.officer)
    world.officer.get(f"{lot}/conclusion")
    assert report_due(world.parts.desk())
    told = world.officer.get(f"{lot}/conclusion").json()
    assert world.stranger.get(f"{lot}/conclusion").status_code == 404
    assert world.admin.get(f"{lot}/conclusion").json() == told
    # What it shows of a reference is what the findings show: it stays, as these do.
    sharing = f"/v1/reference-sets/{reference}/sharing"
    assert world.acme.put(sharing, json={"authority_ids": []}).status_code == 200
    assert world.officer.get(f"{lot}/conclusion").json() == told
    announced(world.officer, lot, {"3.jpg": b"a photo that was not sent yet"})
    # An administrator reads what is kept, and puts no work on another's lot.
    assert world.admin.get(f"{lot}/conclusion").status_code == 409
    assert world.officer.get(f"{lot}/conclusion").status_code == 202
    assert report_due(world.parts.desk())
    newer = world.officer.get(f"{lot}/conclusion").json()
    assert (newer["photos"], newer["unfinished"]) == (3, 1)
    assert newer["basis"] != told["basis"]


def test_conclusions_that_wait_for_one_another_hold_up_no_verification(
    fresh_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_world(limits=WebLimits(places=2, waiting=2, patience_s=0.5))
    lot = a_lot(world.officer)
    may_go_on, is_slow, looked = threading.Event(), threading.Event(), list[str]()
    kept = settled.Concluder.kept

    def slowly_concluded(*args: Any, **options: Any) -> Conclusion:
        is_slow.set()
        assert may_go_on.wait(timeout=30)
        return conclude_on(*args, **options)

    def noted(self: settled.Concluder, caller: Caller, lot_id: str) -> Any:
        looked.append(lot_id)
        return kept(self, caller, lot_id)

    monkeypatch.setattr(settled, "conclude_on", slowly_concluded)
    monkeypatch.setattr(settled.Concluder, "kept", noted)
    with ThreadPoolExecutor(2) as clients:
        try:
            first = clients.submit(world.officer.get, f"{lot}/conclusion")
            assert is_slow.wait(timeout=30)
            before = len(looked)
            second = clients.submit(world.officer.get, f"{lot}/conclusion")
            while len(looked) == before:
                time.sleep(0.01)
            time.sleep(0.1)  # it now waits for the first
            examined = world.officer.examine(FORGED)
            assert examined.status_code == 201, examined.text
            told = second.result(timeout=30)
        finally:
            may_go_on.set()
        assert first.result(timeout=30).status_code == 200
    assert (told.status_code, problem(told)) == (503, "busy")
    assert world.officer.get(f"{lot}/conclusion").status_code == 200


def test_a_conclusion_is_described_with_the_job_that_may_answer_instead(
    world: World,
) -> None:
    operation = world.app.openapi()["paths"]["/v1/lots/{lot_id}/conclusion"]["get"]
    schemas = {
        status: operation["responses"][status]["content"]["application/json"]["schema"]
        for status in ("200", "202")
    }
    assert schemas["200"]["$ref"].endswith("ConclusionOut")
    assert schemas["202"]["$ref"].endswith("JobOut")
    assert f"more than {api_conclusions.CONCLUDED_AT_ONCE} photos" in str(
        operation["description"]
    ).replace("\n", " ")


def test_a_report_is_made_in_the_background_and_ends_with_the_grant(
    world: World,
) -> None:
    pytest.importorskip("typst")
    reference = world.shared(world.acme, encoded(mark(1)))
    lot = a_scored_lot(world, world.officer)
    job = world.officer.post(f"{lot}/report")
    assert job.status_code == 202
    path = job.headers["location"]
    assert world.officer.get(f"{path}/files/report.pdf").status_code == 404
    assert report_due(world.parts.desk())
    assert not report_due(world.parts.desk())
    done = world.officer.get(path).json()
    assert done["state"] == "done", done
    for name, kind in (
        ("report.pdf", "application/pdf"),
        ("report.json", "application/json"),
        ("conclusion.json", "application/json"),
        ("results.csv", "text/csv"),
        ("results.jsonl", "application/x-ndjson"),
    ):
        answer = world.officer.get(f"{path}/files/{name}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith(kind)
        assert "attachment" in answer.headers["content-disposition"]
    assert json.loads(world.officer.get(f"{path}/files/report.json").content)["lot"]
    assert world.officer.get(f"{path}/files/secrets.txt").status_code == 422
    assert world.stranger.get(f"{path}/files/report.pdf").status_code == 404
    ended = world.acme.put(
        f"/v1/reference-sets/{reference}/sharing", json={"authority_ids": []}
    )
    assert ended.status_code == 200
    assert world.officer.get(f"{path}/files/report.pdf").status_code == 404
    assert world.officer.get(f"{path}/files/results.csv").status_code == 200


def test_a_report_whose_maker_died_is_made_by_another(world: World) -> None:
    lot = a_scored_lot(world, world.officer)
    path = world.officer.post(f"{lot}/report").headers["location"]
    store = world.parts.store
    assert store.take_job() is not None  # by one who dies of it
    assert store.take_job() is None
    later = datetime.now(UTC) + timedelta(minutes=21)
    store._now = lambda: later
    assert report_due(world.parts.desk())
    assert world.officer.get(path).json()["state"] in {"done", "failed"}


def test_an_operation_is_summed_up_for_a_dashboard(world: World) -> None:
    officer = world.officer
    operation = officer.post("/v1/operations", json={"name": "Pangea"}).json()["id"]
    case = officer.post(
        "/v1/cases", json={"ref_no": "C", "operation_id": operation}
    ).json()["id"]
    seizure = officer.post(
        "/v1/seizures", json={"case_id": case, "ref_no": "S", "country": "NG"}
    ).json()["id"]
    made = officer.post(
        "/v1/lots",
        json={"ref_no": "L", "seizure_id": seizure, "product_class": "medicine"},
    )
    lot = f"/v1/lots/{made.json()['id']}"
    announced(officer, lot, PHOTOS)
    sent(officer, lot, *PHOTOS.values())
    worked(world, officer.post(f"{lot}/score").json()["id"])
    told = officer.get(f"/v1/operations/{operation}/summary").json()
    assert told["photos"] == 2
    assert sum(told["by_finding"].values()) == 2
    assert set(told["by_country"]) == {"NG"}
    assert set(told["by_category"]) == {"medicine"}
    assert sum(row["photos"] for row in told["rows"]) == 2
    assert world.stranger.get(f"/v1/operations/{operation}/summary").status_code == 404

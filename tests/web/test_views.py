"""Whoever is shown a reference stands in the audit log: who, and through what."""

import json
from collections.abc import Mapping

import pytest
from web.test_conclusions import a_scored_lot
from web.test_examinations import FORGED
from web.world import Client, World, encoded, mark

from touchstone.lots.working import report_due

View = tuple[str | None, str, Mapping[str, str]]


def views(world: World) -> list[View]:
    """Key, reference set, and through what, of each view that was logged."""
    events = world.parts.store.list_audit_events(world.operator, limit=1000).items
    assert world.parts.store.verify_chain().ok
    return [
        (one.actor_key_id, one.object_id, json.loads(one.detail))
        for one in events
        if one.action == "reference_set.view"
    ]


def by(client: Client) -> str | None:
    return client.caller.key_id


def test_each_download_of_a_report_with_pictures_of_references_is_logged(
    world: World,
) -> None:
    pytest.importorskip("typst")
    shown = world.shared(world.acme, encoded(mark(1)))
    lot = a_scored_lot(world, world.officer)
    path = world.officer.post(f"{lot}/report").headers["location"]
    assert report_due(world.parts.desk())
    assert views(world) == []  # it is made, and nobody has seen it
    for name in ("report.json", "conclusion.json", "results.csv"):
        assert world.officer.get(f"{path}/files/{name}").status_code == 200
    assert views(world) == []  # they show no picture
    through = {"job_id": path.rsplit("/")[-1]}
    for client in (world.officer, world.analyst, world.officer):
        assert client.get(f"{path}/files/report.pdf").status_code == 200
    assert views(world) == [
        (by(client), shown, through)
        for client in (world.officer, world.analyst, world.officer)
    ]
    assert world.stranger.get(f"{path}/files/report.pdf").status_code == 404
    world.acme.put(f"/v1/reference-sets/{shown}/sharing", json={"authority_ids": []})
    assert world.officer.get(f"{path}/files/report.pdf").status_code == 404
    assert len(views(world)) == 3


def test_each_view_of_evidence_is_logged(world: World) -> None:
    shown = world.shared(world.acme, encoded(mark(1)))
    examined = world.officer.examine(FORGED).json()["id"]
    path = f"/v1/examinations/{examined}"
    pictures = ("pair.png", "overlay.png", "deviation.png", "regions/1/pair.png")
    for number, picture in enumerate(pictures, 1):
        assert world.officer.get(f"{path}/{picture}").status_code == 200
        assert len(views(world)) == number
    assert set(map(str, views(world))) == {
        str((by(world.officer), shown, {"examination_id": examined}))
    }
    assert world.officer.get(f"{path}/regions/99/pair.png").status_code == 404
    assert world.stranger.get(f"{path}/pair.png").status_code == 404
    world.acme.put(f"/v1/reference-sets/{shown}/sharing", json={"authority_ids": []})
    assert world.officer.get(f"{path}/pair.png").status_code == 404
    assert len(views(world)) == len(pictures)


def test_the_owners_own_view_of_an_image_is_logged(world: World) -> None:
    shown = world.shared(world.acme, encoded(mark(1)))
    listed = world.acme.get(f"/v1/reference-sets/{shown}/specimens").json()
    specimen = listed["items"][0]["id"]
    assert world.acme.get(f"/v1/specimens/{specimen}/image").status_code == 200
    assert world.bolt.get(f"/v1/specimens/{specimen}/image").status_code == 404
    assert views(world) == [(by(world.acme), shown, {"specimen_id": specimen})]

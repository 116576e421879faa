"""What ends while a lot is worked on ends with the next photo: keys, and grants."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from web.test_lots import queued_job, worked
from web.world import World, encoded, mark, photographed

from touchstone.lots import Desk
from touchstone.lots.working import report_due, work
from touchstone.store import Leased

PHOTOS = {
    f"{number}.jpg": encoded(photographed(mark(1), scale=1.3 + number / 20))
    for number in range(3)
}


def worked_with(world: World, path: str, act: Callable[[], object]) -> list[str]:
    """Work on a job, with ``act`` after its first photo; return what was begun."""
    whole = world.parts.desk()
    begun: list[str] = []

    def assess(leased: Leased, photo: bytes) -> Any:
        begun.append(leased.name)
        found = whole.assess(leased, photo)
        if len(begun) == 1:
            act()
        return found

    desk = Desk(whole.store, whole.photos, assess)
    work(desk, "a worker", job_id=path.rsplit("/", maxsplit=1)[-1])
    return begun


def test_a_batch_ends_with_the_key_and_goes_on_for_a_colleague(world: World) -> None:
    world.shared(world.acme, encoded(mark(1)))
    _, path = queued_job(world, PHOTOS)
    key_id = str(world.officer.caller.key_id)
    begun = worked_with(
        world, path, lambda: world.parts.store.revoke_key(world.operator, key_id)
    )
    assert begun == ["0.jpg"]
    assert world.officer.get(path).status_code == 401
    told = world.analyst.get(path).json()
    assert told["state"] == "paused"
    assert "API key" in told["error"]
    assert told["counts"]["states"] == {"examined": 1, "queued": 2}
    assert world.analyst.post(f"{path}/resume").json()["error"] == ""
    worked(world, path.rsplit("/")[-1])
    rows = world.analyst.get(f"{path}/results").text.splitlines()
    assert [json.loads(row)["finding"] for row in rows] == (
        ["consistent_with_genuine"] * 3
    )


def test_a_grant_that_ends_is_not_used_by_the_next_photo_of_a_batch(
    world: World,
) -> None:
    reference = world.shared(world.acme, encoded(mark(1)))
    _, path = queued_job(world, PHOTOS)
    sharing = f"/v1/reference-sets/{reference}/sharing"
    begun = worked_with(
        world, path, lambda: world.acme.put(sharing, json={"authority_ids": []})
    )
    assert begun == list(PHOTOS)
    rows = world.officer.get(f"{path}/results").text.splitlines()
    assert [json.loads(row)["finding"] for row in rows] == [
        "consistent_with_genuine",
        "no_reference",
        "no_reference",
    ]


def test_no_report_is_made_on_behalf_of_a_key_that_was_revoked(world: World) -> None:
    pytest.importorskip("typst")
    lot, scoring = queued_job(world, PHOTOS)
    worked(world, scoring.rsplit("/")[-1])
    path = world.officer.post(f"{lot}/report").headers["location"]
    world.parts.store.revoke_key(world.operator, str(world.officer.caller.key_id))
    assert not report_due(world.parts.desk())
    assert world.analyst.get(path).json()["state"] == "paused"
    assert world.analyst.post(f"{lot}/report").headers["location"] == path
    assert report_due(world.parts.desk())
    assert world.analyst.get(path).json()["state"] == "done"

"""A lot over HTTP: announced, sent, scored, followed, tried again."""

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import pytest
from web.world import MAX_UPLOAD, Client, World, encoded, mark, photographed, problem

from touchstone.lots import Desk
from touchstone.lots.working import work

PHOTOS = {f"{n}.jpg": encoded(photographed(mark(n))) for n in (1, 2)}
BAD = b"no picture at all"
HELD = {**PHOTOS, "bad.jpg": BAD}


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def a_lot(client: Client, ref_no: str = "L-1") -> str:
    made = client.post("/v1/lots", json={"ref_no": ref_no})
    return f"/v1/lots/{made.json()['id']}"


def announced(client: Client, lot: str, photos: Mapping[str, bytes]) -> dict[str, Any]:
    items = [{"name": name, "sha256": digest(data)} for name, data in photos.items()]
    answer = client.post(f"{lot}/submissions", json={"items": items})
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    assert told["sent"] == told["new"] + told["duplicate"] == len(photos)
    return told


def states(told: Mapping[str, Any]) -> list[str]:
    return [one["submission"]["state"] for one in told["items"]]


def sent(client: Client, lot: str, *photos: bytes) -> None:
    for photo in photos:
        answer = client.put(f"{lot}/photos/{digest(photo)}", content=photo)
        assert answer.status_code == 200, answer.text


def worked(world: World, job_id: str) -> None:
    work(world.parts.desk(), "test", job_id=job_id)


def test_what_was_announced_is_missing_until_it_is_sent(world: World) -> None:
    officer = world.officer
    lot = a_lot(officer)
    assert states(announced(officer, lot, HELD)) == ["awaiting"] * 3
    missing = officer.get(f"{lot}/missing", params={"limit": 2}).json()
    rest = officer.get(
        f"{lot}/missing", params={"limit": 2, "after": missing["next"]}
    ).json()
    told = [one["sha256"] for one in missing["items"] + rest["items"]]
    assert told == sorted(digest(data) for data in HELD.values())
    assert rest["next"] is None
    sent(officer, lot, *HELD.values())
    assert officer.get(f"{lot}/missing").json()["items"] == []


def test_a_lot_is_scored_and_read(world: World) -> None:
    officer = world.officer
    world.shared(world.acme, encoded(mark(1)))
    lot = a_lot(officer)
    announced(officer, lot, HELD)
    sent(officer, lot, *HELD.values())
    job = officer.post(f"{lot}/score")
    assert job.status_code == 202
    assert int(job.headers["retry-after"]) > 0
    path = job.headers["location"]
    assert path == f"/v1/jobs/{job.json()['id']}"
    assert job.json()["counts"]["states"] == {"queued": 3}
    worked(world, job.json()["id"])

    done = officer.get(path).json()
    assert done["state"] == "partial"
    counts = done["counts"]
    assert (counts["total"], counts["done"], counts["failed"]) == (3, 3, 1)
    assert done["finished_at"] is not None
    assert done["examined_by"] == [world.parts.examined_by]


def test_the_results_and_errors_of_a_job_are_read(world: World) -> None:
    officer = world.officer
    world.shared(world.acme, encoded(mark(1)))
    lot, path = queued_job(world)
    worked(world, path.rsplit("/")[-1])
    rows = officer.get(f"{path}/results").text.splitlines()
    assert [json.loads(row)["image"] for row in rows] == list(HELD)
    assert json.loads(rows[0])["finding"] == "consistent_with_genuine"
    (failed,) = officer.get(f"{path}/errors").json()["items"]
    assert (failed["name"], failed["state"]) == ("bad.jpg", "failed")
    assert "image" in failed["error"]
    assert officer.get(lot).json()["state"] == "scored"
    listed = officer.get(f"{lot}/submissions").json()["items"]
    examination = officer.get(f"/v1/examinations/{listed[0]['examination_id']}")
    assert examination.json()["finding"] == listed[0]["finding"]
    jobs = officer.get("/v1/jobs", params={"lot_id": lot.rsplit("/")[-1]}).json()
    assert [f"/v1/jobs/{one['id']}" for one in jobs["items"]] == [path]


def test_what_was_sent_before_is_not_asked_for_again(world: World) -> None:
    officer = world.officer
    lot = a_lot(officer)
    announced(officer, lot, PHOTOS)
    sent(officer, lot, PHOTOS["1.jpg"])
    again = announced(officer, lot, HELD)
    assert [one["is_new"] for one in again["items"]] == [False, False, True]
    assert states(again) == ["queued", "awaiting", "awaiting"]
    assert again["awaiting"] == 2
    job = officer.post(f"{lot}/score").json()
    worked(world, job["id"])
    # The dropped folder once more: what is done comes with its result.
    results = announced(officer, lot, HELD)["items"]
    assert results[0]["submission"]["finding"] == "no_reference"
    # Another lot of the same organisation need not be sent it either.
    other = announced(officer, a_lot(officer, "L-2"), HELD)
    assert states(other) == ["queued", "awaiting", "awaiting"]
    strangers = announced(world.stranger, a_lot(world.stranger), HELD)
    assert states(strangers) == ["awaiting"] * 3


def test_a_photo_may_be_sent_again_and_no_other_under_its_digest(world: World) -> None:
    officer, photo = world.officer, PHOTOS["1.jpg"]
    lot = a_lot(officer)
    announced(officer, lot, {"a.jpg": photo, "b.jpg": photo})
    path = f"{lot}/photos/{digest(photo)}"
    wrong = officer.put(path, content=PHOTOS["2.jpg"])
    assert (wrong.status_code, problem(wrong)) == (422, "invalid-input")
    assert wrong.json()["errors"][0]["field"] == "sha256"
    large = officer.put(path, content=bytes(MAX_UPLOAD + 1))
    assert (large.status_code, problem(large)) == (413, "image-too-large")
    assert f"{MAX_UPLOAD:,}" in large.json()["detail"]
    assert list(world.parts.blobs.digests()) == []
    queued = [officer.put(path, content=photo).json()["queued"] for _ in range(2)]
    assert queued == [2, 0]
    unknown = officer.put(f"{lot}/photos/{digest(BAD)}", content=BAD)
    assert problem(unknown) == "not-found"
    nonsense = officer.put(f"{lot}/photos/photo.jpg", content=BAD)
    assert problem(nonsense) == "not-found"
    assert list(world.parts.blobs.digests()) == [digest(photo)]


def test_submissions_are_paged_in_order_and_by_state(world: World) -> None:
    officer = world.officer
    lot = a_lot(officer)
    photos = {f"{n}.jpg": b"%d" % n for n in range(7)}
    announced(officer, lot, photos)
    sent(officer, lot, b"1", b"4")
    path, names = f"{lot}/submissions?limit=3", []
    while path:
        page = officer.get(path)
        names += [one["name"] for one in page.json()["items"]]
        path = page.headers.get("link", "").split(">")[0][1:]
    assert names == list(photos)
    queued = officer.get(f"{lot}/submissions", params={"state": "queued"}).json()
    assert [one["name"] for one in queued["items"]] == ["1.jpg", "4.jpg"]
    wrong = officer.get(f"{lot}/submissions", params={"state": "lost"})
    assert problem(wrong) == "invalid-request"
    for cursor in ("x", world.organisations["acme"]):
        answer = officer.get(f"{lot}/submissions", params={"after": cursor})
        assert problem(answer) == "invalid-input"


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"sha256": "A" * 64}, "items[0].sha256"),
        ({"sha256": 7}, "items[0].sha256"),
        ({"name": ""}, "items[0].name"),
        ({"name": "a\nb"}, "items[0].name"),
        ({"declared_gtin": "4006381333932"}, "items[0].declared_gtin"),
        ({"exhibit_no": "x" * 301}, "items[0].exhibit_no"),
        ({"locator": "file:/etc/passwd"}, "items[0].locator"),
    ],
)
def test_a_wrong_item_is_named_and_nothing_is_listed(
    world: World, item: dict[str, object], field: str
) -> None:
    lot = a_lot(world.officer)
    good = {"name": "a.jpg", "sha256": digest(b"a")}
    answer = world.officer.post(f"{lot}/submissions", json={"items": [good | item]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert world.officer.get(f"{lot}/submissions").json()["items"] == []
    for items in ([], [good] * 1001):
        body = {"items": items}
        assert world.officer.post(f"{lot}/submissions", json=body).status_code == 422


def test_exhibits_are_logged_with_their_photos(world: World) -> None:
    lot = a_lot(world.officer)
    item = {"name": "a.jpg", "sha256": digest(b"a"), "exhibit_no": "17"}
    told = world.officer.post(f"{lot}/submissions", json={"items": [item]}).json()
    lot_id = lot.rsplit("/")[-1]
    exhibits = world.officer.get("/v1/exhibits", params={"lot_id": lot_id}).json()
    (exhibit,) = exhibits["items"]
    assert exhibit["exhibit_no"] == "17"
    assert told["items"][0]["submission"]["exhibit_id"] == exhibit["id"]


# --- jobs -----------------------------------------------------------------------------


def queued_job(world: World, photos: Mapping[str, bytes] = HELD) -> tuple[str, str]:
    """The paths of a lot and of a job on it, nothing of which is done."""
    lot = a_lot(world.officer)
    announced(world.officer, lot, photos)
    sent(world.officer, lot, *photos.values())
    return lot, world.officer.post(f"{lot}/score").headers["location"]


def test_a_job_is_paused_resumed_and_cancelled(world: World) -> None:
    officer = world.officer
    lot, path = queued_job(world)
    for verb, state in (("pause", "paused"), ("resume", "queued")):
        assert officer.post(f"{path}/{verb}").json()["state"] == state
        assert problem(officer.post(f"{path}/{verb}")) == "conflict"
    assert officer.post(f"{lot}/score").headers["location"] == path
    assert officer.post(f"{path}/cancel").json()["state"] == "cancelled"
    assert problem(officer.post(f"{path}/resume")) == "conflict"
    worked(world, path.rsplit("/")[-1])
    assert officer.get(path).json()["counts"]["done"] == 0
    again = officer.post(f"{lot}/score").headers["location"]
    assert again != path


def test_failed_photos_are_tried_again_when_asked(world: World) -> None:
    officer = world.officer
    lot, path = queued_job(world)
    job_id = path.rsplit("/")[-1]
    whole = world.parts.desk()

    def broken(leased: Any, photo: bytes) -> Any:
        raise ZeroDivisionError(f"a defect with {leased.name} of {len(photo)} bytes")

    work(Desk(whole.store, whole.photos, broken), "test", job_id=job_id)
    assert officer.get(path).json()["counts"]["failed"] == 3
    retried = officer.post(f"{path}/retry").json()
    assert (retried["state"], retried["counts"]["done"]) == ("queued", 0)
    worked(world, job_id)
    done = officer.get(path).json()
    assert (done["state"], done["counts"]["failed"]) == ("partial", 1)
    assert len(officer.get(f"{path}/errors").json()["items"]) == 1
    assert officer.get(lot).json()["state"] == "scored"


def test_nothing_is_scored_of_an_empty_lot_or_with_other_references(
    world: World,
) -> None:
    officer = world.officer
    empty = officer.post(f"{a_lot(officer, 'empty')}/score")
    assert (empty.status_code, problem(empty)) == (409, "conflict")
    lot, path = queued_job(world)
    worked(world, path.rsplit("/")[-1])
    world.shared(world.acme, encoded(mark(1)))
    world.officer.examine(PHOTOS["1.jpg"])  # by now the index knows of it
    refused = officer.post(f"{lot}/score")
    assert (refused.status_code, problem(refused)) == (409, "conflict")
    mixed = officer.post(f"{lot}/score", params={"mixed": True})
    assert mixed.status_code == 202


def test_the_time_left_is_estimated_while_a_job_runs(world: World) -> None:
    _, path = queued_job(world)
    assert world.officer.get(path).json()["seconds_left"] is None
    desk = world.parts.desk()
    leased = desk.store.lease("test", limit=1)
    work(desk, "another", job_id=path.rsplit("/")[-1], is_stopping=_after(4))
    running = world.officer.get(path).json()
    assert running["state"] == "running"
    assert running["seconds_left"] >= 0
    assert len(leased) == 1


def _after(asked: int) -> Callable[[], bool]:
    left = iter(range(asked))
    return lambda: next(left, None) is None

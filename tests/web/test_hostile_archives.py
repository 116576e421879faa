"""A ZIP that means harm, sent to a server of its own (promise S9)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_archives import GOOD, costs_an_entry, harmless, refused_whole
from web.conftest import MakeWorld
from web.serving import Answer, Server, own_process
from web.world import World, encoded, mark

from touchstone.store import new_id

PHOTO, OTHER = (encoded(mark(n)) for n in (1, 2))
MAX_GROWN = 50_000_000
COSTS, HARMLESS, REFUSED = (
    costs_an_entry(PHOTO, OTHER),
    harmless(PHOTO, OTHER),
    refused_whole(PHOTO),
)


@pytest.fixture(scope="module")
def world(fresh_world: MakeWorld) -> World:
    return fresh_world(max_bytes=25_000_000)


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool")


@pytest.fixture(scope="module")
def server(world: World, spool: Path) -> Iterator[Server]:
    with own_process(world, temporary=spool) as server:
        a_zip(server, world, b"PK\x05\x06" + bytes(18))  # what is loaded once, is
        yield server


def a_zip(server: Server, world: World, data: bytes) -> Answer:
    lot = world.officer.post("/v1/lots", json={"ref_no": new_id()}).json()["id"]
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="l.zip"'
    return server.send(
        world.officer,
        "POST",
        f"/v1/lots/{lot}/manifest",
        body=head + b"\r\n\r\n" + data + b"\r\n--x--\r\n",
        Content_Type="multipart/form-data; boundary=x",
    )


def files_of(world: World, spool: Path) -> set[Path]:
    """All around the data folder, but what the records and the image store keep."""
    kept = world.parts.settings.data_dir
    around = {*kept.parent.glob("*"), *kept.glob("*"), *spool.rglob("*")}
    return {path for path in around if not path.name.startswith("records.db")}


def told(answer: Answer) -> dict[str, Any]:
    assert answer.status == 201, answer.body
    counts: dict[str, Any] = json.loads(answer.body)
    return counts


@pytest.mark.parametrize("case", COSTS)
def test_a_harmful_entry_is_told_of_and_the_good_photo_is_taken(
    world: World, server: Server, spool: Path, case: str
) -> None:
    before = files_of(world, spool)
    with server.weighed() as weight:
        counts = told(a_zip(server, world, COSTS[case]))
    assert (counts["sent"], counts["new"], counts["failed"]) == (2, 1, 1), counts
    assert counts["errors"][0]["message"]
    assert files_of(world, spool) - before <= {world.parts.settings.data_dir / "blobs"}
    assert weight.grown_bytes < MAX_GROWN


@pytest.mark.parametrize("case", HARMLESS)
def test_what_is_harmless_is_taken(world: World, server: Server, case: str) -> None:
    data, new, left_out = HARMLESS[case]
    counts = told(a_zip(server, world, data))
    assert (counts["new"], counts["failed"], counts["left_out"]) == (new, 0, left_out)


@pytest.mark.parametrize("case", REFUSED)
def test_a_bomb_is_refused_whole_and_weighs_nothing(
    world: World, server: Server, spool: Path, case: str
) -> None:
    kept, data = world.kept(), REFUSED[case]()
    before = files_of(world, spool)
    with server.weighed() as weight:
        answer = a_zip(server, world, data)
    assert (answer.status, answer.problem) == (422, "invalid-input"), answer.body
    assert GOOD.encode() not in answer.body
    assert world.kept()[0] == kept[0]
    assert files_of(world, spool) == before
    assert weight.grown_bytes < MAX_GROWN

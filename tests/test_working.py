"""One worker: no photo and no report holds up all others, and none is another's."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stub_assessing import PEPPER, MakeStub

from touchstone.errors import BusyError, StorageError, TouchstoneError
from touchstone.lots import Desk, Workers
from touchstone.lots.photos import file_locator
from touchstone.lots.working import is_dead, report_due, work, worker_name
from touchstone.store import (
    MAX_ATTEMPTS,
    Job,
    JobKind,
    JobState,
    Lot,
    LotFields,
    Store,
    SubmissionFields,
    SubmissionState,
)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "log").touch()
    make = MakeStub(tmp_path / "log")
    Store.open(make.url, pepper=PEPPER, create=True).close()
    opened = make()
    yield opened
    opened.store.close()


def a_lot(desk: Desk, folder: Path, *photos: str, origin: str = "") -> Job:
    caller = desk.store.ensure_local_operator()
    lot = desk.store.file(caller, Lot, LotFields("L", origin=origin))
    drafts = []
    for number, content in enumerate(photos):
        path = folder / f"{number}.jpg"
        path.write_text(content)
        drafts.append(SubmissionFields(path.name, locator=file_locator(path, "")))
    desk.store.submit(caller, lot.id, drafts)
    return desk.store.begin_job(caller, lot.id, JobKind.SCORE, examined_by={})


def test_a_photo_that_stops_every_worker_is_given_up_and_the_rest_is_done(
    desk: Desk, tmp_path: Path
) -> None:
    job = a_lot(desk, tmp_path, "disk", "inconclusive")
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(StorageError):
            work(desk, worker_name(), job_id=job.id)
    work(desk, worker_name(), job_id=job.id)
    tally = desk.store.tally(desk.store.ensure_local_operator(), job.lot_id)
    assert (tally.done, tally.failed, tally.total) == (2, 1, 2)


def test_what_a_command_scores_is_left_to_that_command(
    desk: Desk, tmp_path: Path
) -> None:
    job = a_lot(desk, tmp_path, "inconclusive", origin="/somebody/results.csv")
    assert desk.store.lease("a server's worker") == ()
    assert len(desk.store.lease("the command's", job_id=job.id)) == 1


def test_a_worker_frees_what_was_lost_of_a_job_that_was_cancelled(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = a_lot(desk, tmp_path, "inconclusive")
    gone = worker_name().replace(f":{os.getpid()}:", ":999999999:")
    assert desk.store.lease(gone)
    caller = desk.store.ensure_local_operator()
    desk.store.move_job(caller, job.id, JobState.CANCELLED)
    monkeypatch.setattr("touchstone.lots.working._LOOK_ROUND_EVERY_S", 0.0)
    rounds = iter((False, True))
    work(desk, worker_name(), is_stopping=lambda: next(rounds))
    assert desk.store.tally(caller, job.lot_id).states == {SubmissionState.QUEUED: 1}


def test_a_defect_in_a_report_costs_the_report_alone(
    desk: Desk, tmp_path: Path
) -> None:
    def broken(job: Job) -> dict[str, str]:
        raise KeyError(job.id)

    scored = a_lot(desk, tmp_path, "inconclusive")
    caller = desk.store.ensure_local_operator()
    job = desk.store.begin_job(caller, scored.lot_id, JobKind.REPORT, examined_by={})
    breaking = Desk(desk.store, desk.photos, desk.assess, broken)
    assert report_due(breaking)
    assert not report_due(breaking)
    found = desk.store.job(caller, job.id)
    assert found.state is JobState.FAILED
    assert "KeyError" in found.error


def test_only_a_worker_of_this_very_machine_is_known_to_be_dead() -> None:
    mine = worker_name()
    assert not is_dead(mine)
    gone = mine.replace(f":{os.getpid()}:", ":999999999:")
    assert is_dead(gone)
    # A container may share this host's name, and number its processes for itself.
    elsewhere = f"{socket.gethostname()}/another/1:999999999:/x"
    assert not is_dead(elsewhere)
    assert not is_dead("nonsense")


# --- while the database is away, or busy --------------------------------------------

AWAY = StorageError("The database cannot be reached.", is_away=True)
BUSY = BusyError("The database is busy.")


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("touchstone.lots.working._BUSY_S", 0.0)
    monkeypatch.setattr("touchstone.lots.working._LOOK_ROUND_EVERY_S", 0.0)


def failing(
    desk: Desk, verb: str, error: TouchstoneError, *, times: int
) -> Callable[[], int]:
    """Have a verb of the store fail so often; return what tells how often it was."""
    store: Any = desk.store
    act, asked = getattr(store, verb), 0

    def at_first_failing(*args: object, **options: object) -> object:
        nonlocal asked
        asked += 1
        if asked <= times:
            raise error
        return act(*args, **options)

    setattr(store, verb, at_first_failing)
    return lambda: asked


def a_report(desk: Desk, folder: Path) -> Job:
    scored = a_lot(desk, folder, "inconclusive")
    caller = desk.store.ensure_local_operator()
    return desk.store.begin_job(caller, scored.lot_id, JobKind.REPORT, examined_by={})


@pytest.mark.usefixtures("_hasty")
@pytest.mark.parametrize("error", [AWAY, BUSY])
def test_who_looks_round_waits_for_the_database(
    desk: Desk, error: TouchstoneError
) -> None:
    asked = failing(desk, "take_from_dead", error, times=2)
    rounds = iter((False, True))
    work(desk, worker_name(), is_stopping=lambda: next(rounds))
    assert asked() == 3


@pytest.mark.usefixtures("_hasty")
def test_that_the_database_is_waited_for_is_said_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    failing(desk, "lease", AWAY, times=3)
    rounds = iter((False, True))
    work(desk, worker_name(), is_stopping=lambda: next(rounds))
    (line,) = caplog.messages
    assert "waits for the database" in line


@pytest.mark.usefixtures("_hasty")
@pytest.mark.parametrize("error", [AWAY, BUSY])
def test_a_report_in_hand_waits_for_the_database(
    desk: Desk, tmp_path: Path, error: TouchstoneError
) -> None:
    tries = iter((error, error, None))

    def interrupted(job: Job) -> Mapping[str, Any]:
        del job
        if problem := next(tries):
            raise problem
        return {"files": {}}

    job = a_report(desk, tmp_path)
    assert report_due(replace(desk, publish=interrupted))
    found = desk.store.job(desk.store.ensure_local_operator(), job.id)
    assert (found.state, found.error) == (JobState.DONE, "")


@pytest.mark.usefixtures("_hasty")
def test_a_report_is_not_failed_by_a_database_that_stays_away(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("touchstone.lots.working._AWAY_TRIES", 3)

    def interrupted(job: Job) -> Mapping[str, Any]:
        del job
        raise AWAY

    job = a_report(desk, tmp_path)
    with pytest.raises(StorageError):
        report_due(replace(desk, publish=interrupted))
    assert desk.store.job_state(job.id) is JobState.RUNNING  # and is taken for lost


@pytest.mark.usefixtures("_hasty")
def test_what_is_given_back_waits_for_the_database(desk: Desk, tmp_path: Path) -> None:
    job = a_lot(desk, tmp_path, "disk")
    asked = failing(desk, "give_back", AWAY, times=2)
    with pytest.raises(StorageError, match="The disk refused"):
        work(desk, worker_name(), job_id=job.id)
    assert asked() == 4  # twice in vain, for the photo, and at the end
    tally = desk.store.tally(desk.store.ensure_local_operator(), job.lot_id)
    assert tally.states == {SubmissionState.QUEUED: 1}


@pytest.mark.usefixtures("_hasty")
def test_why_a_worker_ends_is_not_hidden_by_a_database_that_is_away(
    desk: Desk, tmp_path: Path
) -> None:
    a_lot(desk, tmp_path, "inconclusive")
    failing(desk, "lease", StorageError("The disk refused."), times=1)
    asked = failing(desk, "give_back", AWAY, times=9)
    with pytest.raises(StorageError, match="The disk refused"):
        work(desk, worker_name(), is_stopping=lambda: False)
    assert asked() == 1


def test_who_watches_workers_ends_by_no_database_that_is_away(
    desk: Desk, tmp_path: Path
) -> None:
    a_lot(desk, tmp_path, f"kill-once {tmp_path / 'killed'}", "inconclusive")
    with Workers(desk.store, MakeStub(tmp_path / "log"), count=1) as workers:
        (first,) = workers.pids()
        asked = failing(desk, "take_from_dead", AWAY, times=2)
        for _ in workers.watched(every_s=0.05):
            if workers.pids() and workers.pids() != (first,):
                break
    assert asked() == 2  # for the one that died, and at the end

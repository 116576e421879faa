"""A worker with other models than a lot was begun with leaves it to one that fits."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stub_assessing import PEPPER, MakeStub

from touchstone.errors import ConflictError
from touchstone.lots import Desk
from touchstone.lots.photos import file_locator
from touchstone.lots.working import work, work_on, worker_name
from touchstone.store import Job, JobKind, JobState, Lot, LotFields, Store
from touchstone.store import SubmissionFields as Photo

OURS = {"touchstone": "1.0", "embedder": "e" * 64, "policy": "p" * 64}
OTHERS = OURS | {"embedder": "f" * 64}
REFERENCES = {"references": "r" * 64}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "log").touch()
    make = MakeStub(tmp_path / "log")
    Store.open(make.url, pepper=PEPPER, create=True).close()
    opened = make()
    yield opened
    opened.store.close()


def a_job(desk: Desk, folder: Path, **begun_with: str) -> Job:
    caller = desk.store.ensure_local_operator()
    lot = desk.store.file(caller, Lot, LotFields("L"))
    photos = []
    for name in "abc":
        path = folder / f"{name}.jpg"
        path.write_text("inconclusive")
        photos.append(Photo(path.name, locator=file_locator(path, "")))
    desk.store.submit(caller, lot.id, photos)
    return begun(desk, lot.id, begun_with)


def begun(desk: Desk, lot_id: str, by: Mapping[str, str]) -> Job:
    caller = desk.store.ensure_local_operator()
    return desk.store.begin_job(caller, lot_id, JobKind.SCORE, examined_by=by)


class Rounds:
    """Stops a worker that serves any job after so many rounds."""

    def __init__(self, desk: Desk, count: int) -> None:
        self.left, self.asked = count, 0
        store: Any = desk.store
        self._lease = store.lease
        store.lease = self.lease

    def lease(self, *args: object, **options: object) -> object:
        self.asked += 1
        return self._lease(*args, **options)

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def done(desk: Desk, job: Job) -> int:
    return desk.store.tally(desk.store.ensure_local_operator(), job.lot_id).done


def read(desk: Desk, job: Job) -> Job:
    return desk.store.job(desk.store.ensure_local_operator(), job.id)


def test_a_worker_of_other_models_leaves_a_lot_to_one_that_fits(
    desk: Desk, tmp_path: Path
) -> None:
    job = a_job(desk, tmp_path, **OURS, **REFERENCES)
    other = replace(desk, made_with=OTHERS)
    rounds = Rounds(desk, 3)
    work(other, worker_name(), is_stopping=rounds)
    assert rounds.asked == 3  # once a round, and it rests between
    left = read(desk, job)
    assert (done(desk, job), left.state) == (0, JobState.QUEUED)
    assert "other embedder (eeeeeeeeeeee then, ffffffffffff now)" in left.error
    assert "policy" not in left.error
    fitting = replace(desk, made_with=OURS)
    work(fitting, worker_name(), is_stopping=Rounds(desk, 8))
    ended = read(desk, job)
    assert (done(desk, job), ended.state, ended.error) == (3, JobState.DONE, "")


def test_it_works_on_the_lots_that_it_fits(desk: Desk, tmp_path: Path) -> None:
    older = a_job(desk, tmp_path, **OTHERS)
    newer = a_job(desk, tmp_path, **OURS)
    work(replace(desk, made_with=OURS), worker_name(), is_stopping=Rounds(desk, 8))
    assert (done(desk, older), done(desk, newer)) == (0, 3)


def test_what_was_begun_mixed_is_for_workers_of_either_state(
    desk: Desk, tmp_path: Path
) -> None:
    job = a_job(desk, tmp_path, **OURS)
    ours, others = (replace(desk, made_with=with_) for with_ in (OURS, OTHERS))
    work(ours, worker_name(), is_stopping=Rounds(desk, 2))
    assert done(desk, job) == 1
    assert len(begun(desk, job.lot_id, OTHERS).examined_by) == 2
    work(others, worker_name(), is_stopping=Rounds(desk, 8))
    assert done(desk, job) == 3


def test_no_word_is_said_of_a_lot_that_another_works_on(
    desk: Desk, tmp_path: Path
) -> None:
    job = a_job(desk, tmp_path, **OURS)
    assert desk.store.lease("one that fits", limit=1)
    other = replace(desk, made_with=OTHERS)
    work(other, worker_name(), is_stopping=Rounds(desk, 3))
    assert (done(desk, job), read(desk, job).error) == (0, "")


def test_it_is_said_once_the_other_worker_went(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("touchstone.lots.working._LOOK_ROUND_EVERY_S", 0.0)
    job = a_job(desk, tmp_path, **OURS)
    assert desk.store.lease("one that fits", limit=1)
    rounds = Rounds(desk, 3)

    def is_stopping() -> bool:
        if rounds.asked == 2:
            desk.store.give_back("one that fits")
        return rounds()

    work(replace(desk, made_with=OTHERS), worker_name(), is_stopping=is_stopping)
    assert "other embedder" in read(desk, job).error


def test_it_is_said_again_when_somebody_went_on_with_the_lot(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("touchstone.lots.working._LOOK_ROUND_EVERY_S", 0.0)
    job = a_job(desk, tmp_path, **OURS)
    caller = desk.store.ensure_local_operator()
    rounds = Rounds(desk, 3)

    def is_stopping() -> bool:
        if rounds.asked == 2:
            assert read(desk, job).error
            desk.store.move_job(caller, job.id, JobState.PAUSED)
            desk.store.move_job(caller, job.id, JobState.QUEUED)
            assert not read(desk, job).error
        return rounds()

    work(replace(desk, made_with=OTHERS), worker_name(), is_stopping=is_stopping)
    assert "other embedder" in read(desk, job).error


def test_why_a_lot_is_left_is_written_now_and_then_not_at_each_look(
    desk: Desk, tmp_path: Path
) -> None:
    a_job(desk, tmp_path, **OURS)
    store: Any = desk.store
    note, noted = store.note_refusal, list[str]()

    def counted(job_id: str, why: str) -> None:
        noted.append(job_id)
        note(job_id, why)

    store.note_refusal = counted
    other = replace(desk, made_with=OTHERS)
    work(other, worker_name(), is_stopping=Rounds(desk, 3))
    assert len(noted) == 1


def test_a_worker_for_one_lot_that_does_not_fit_it_says_so_and_ends(
    desk: Desk, tmp_path: Path
) -> None:
    job = a_job(desk, tmp_path, **OURS)
    other = replace(desk, made_with=OTHERS)
    with pytest.raises(ConflictError, match="other embedder"):
        work(other, worker_name(), job_id=job.id)
    ids = desk.store.waiting(job.id, limit=9)
    with pytest.raises(ConflictError, match="other embedder"):  # on a cluster
        work_on(other, worker_name(), job_id=job.id, ids=ids, is_lost=bool)
    assert done(desk, job) == 0

"""How an outsider would ask for lots, photos and jobs: see `test_tenancy`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from store.world import digest_of, examination_draft

from touchstone.store import (
    Caller,
    Case,
    CaseFields,
    CustodyFields,
    Exhibit,
    ExhibitFields,
    ExhibitState,
    JobKind,
    JobState,
    Lot,
    LotFields,
    LotState,
    Operation,
    OperationFields,
    Result,
    Seizure,
    SeizureFields,
    Store,
    SubmissionFields,
    new_id,
)

SECRETS = ("SECRET-", "secret serial", "secret row", "secret words")
BASIS = digest_of("a secret basis")
ORIGIN = "/secret/results.csv"


@dataclass(frozen=True)
class FiledIds:
    """One id of each kind of what is filed, of somebody or of nobody."""

    operation: str = field(default_factory=new_id)
    case: str = field(default_factory=new_id)
    seizure: str = field(default_factory=new_id)
    lot: str = field(default_factory=new_id)
    exhibit: str = field(default_factory=new_id)
    job: str = field(default_factory=new_id)
    photo: str = digest_of("no such photo")
    origin: str = "/nowhere/results.csv"
    basis: str = digest_of("no such basis")


def everything_filed(store: Store, caller: Caller) -> FiledIds:
    """One of each, all the caller's, with words that must not get out."""
    operation = store.file(caller, Operation, OperationFields("SECRET-operation"))
    case = store.file(
        caller, Case, CaseFields("SECRET-case", operation_id=operation.id)
    )
    seizure = store.file(caller, Seizure, SeizureFields(case.id, "SECRET-seizure"))
    lot = store.file(
        caller, Lot, LotFields("SECRET-lot", seizure_id=seizure.id, origin=ORIGIN)
    )
    exhibit = store.file(caller, Exhibit, ExhibitFields(lot.id, "SECRET-exhibit"))
    store.add_custody(caller, exhibit.id, CustodyFields("SECRET-act", "SECRET-actor"))
    photo = digest_of("a secret photo of the lot")
    drafts = [
        SubmissionFields("SECRET-1.jpg", locator=f"blob:{photo}", photo_digest=photo),
        SubmissionFields("SECRET-2.jpg", photo_digest=digest_of("SECRET-2")),
    ]
    store.submit(caller, lot.id, drafts)
    job = store.begin_job(caller, lot.id, JobKind.SCORE, examined_by={"SECRET-by": "x"})
    (leased,) = store.lease("w", job_id=job.id)
    result = Result(
        row_json='{"secret row": 1}', finding="inconclusive", serial="secret serial"
    )
    assert store.finish(leased, result, examination_draft("a secret photo of the lot"))
    store.keep_conclusion(caller, lot.id, BASIS, '{"secret words": 1}')
    return FiledIds(
        operation=operation.id,
        case=case.id,
        seizure=seizure.id,
        lot=lot.id,
        exhibit=exhibit.id,
        job=job.id,
        photo=photo,
        origin=ORIGIN,
        basis=BASIS,
    )


_PHOTO = [SubmissionFields("a.jpg", photo_digest=digest_of("a"))]

FILING_PROBES: dict[str, Callable[[Store, Caller, FiledIds], Any]] = {
    "file": lambda store, caller, ids: store.file(
        caller, Seizure, SeizureFields(ids.case, "mine")
    ),
    "filed": lambda store, caller, ids: store.filed(caller, Lot, ids.lot),
    "list_filed": lambda store, caller, ids: (
        store.list_filed(caller, Operation),
        store.list_filed(caller, Case, under=ids.operation),
        store.list_filed(caller, Seizure, under=ids.case),
        store.list_filed(caller, Lot, under=ids.seizure),
        store.list_filed(caller, Exhibit, under=ids.lot),
    ),
    "move": lambda store, caller, ids: store.move(
        caller, Exhibit, ids.exhibit, ExhibitState.SEALED
    ),
    "plan_lot": lambda store, caller, ids: store.plan_lot(caller, ids.lot, {"a": 1}),
    "lot_of_origin": lambda store, caller, ids: store.lot_of_origin(caller, ids.origin),
    "add_custody": lambda store, caller, ids: store.add_custody(
        caller, ids.exhibit, CustodyFields("taken", "me")
    ),
    "custody_of": lambda store, caller, ids: store.custody_of(caller, ids.exhibit),
    "submit": lambda store, caller, ids: store.submit(caller, ids.lot, _PHOTO),
    "announce": lambda store, caller, ids: store.announce(caller, ids.lot, _PHOTO),
    "check_listed": lambda store, caller, ids: store.check_listed(
        caller, ids.lot, ids.photo
    ),
    "withdraw_from": lambda store, caller, ids: store.withdraw_from(caller, ids.lot, 0),
    "photo_arrived": lambda store, caller, ids: store.photo_arrived(
        caller, ids.lot, ids.photo, locator="blob:mine"
    ),
    "locator_of": lambda store, caller, ids: store.locator_of(caller, ids.photo),
    "list_submissions": lambda store, caller, ids: store.list_submissions(
        caller, ids.lot
    ),
    "list_missing": lambda store, caller, ids: store.list_missing(caller, ids.lot),
    "begin_job": lambda store, caller, ids: store.begin_job(
        caller, ids.lot, JobKind.REPORT, examined_by={}
    ),
    "job": lambda store, caller, ids: store.job(caller, ids.job),
    "list_jobs": lambda store, caller, ids: (
        store.list_jobs(caller),
        store.list_jobs(caller, lot_id=ids.lot),
    ),
    "move_job": lambda store, caller, ids: store.move_job(
        caller, ids.job, JobState.CANCELLED
    ),
    "retry_failed": lambda store, caller, ids: store.retry_failed(caller, ids.job),
    "end_job": lambda store, caller, ids: store.end_job(
        caller, ids.job, started_at=None, result={}
    ),
    "close_origin": lambda store, caller, ids: store.close_origin(caller, ids.lot),
    "finders": lambda store, caller, ids: store.finders(caller, ids.lot),
    "count_tried": lambda store, caller, ids: store.count_tried(caller, ids.lot),
    "attempts_lost": lambda store, caller, ids: store.attempts_lost(caller, ids.lot),
    "tally": lambda store, caller, ids: store.tally(caller, ids.lot),
    "results": lambda store, caller, ids: list(store.results(caller, ids.lot)),
    "finished_since": lambda store, caller, ids: store.finished_since(
        caller, ids.lot, 0
    ),
    "lot_items": lambda store, caller, ids: list(store.lot_items(caller, ids.lot)),
    "serials_elsewhere": lambda store, caller, ids: store.serials_elsewhere(
        caller, ids.lot
    ),
    "kept_conclusion": lambda store, caller, ids: store.kept_conclusion(
        caller, ids.lot, ids.basis
    ),
    "keep_conclusion": lambda store, caller, ids: store.keep_conclusion(
        caller, ids.lot, digest_of("mine"), '{"forged": 1}'
    ),
    "operation_summary": lambda store, caller, ids: store.operation_summary(
        caller, ids.operation
    ),
}


def check_unchanged(store: Store, caller: Caller, ids: FiledIds) -> None:
    """Nothing of what `everything_filed` made was changed by a probe."""
    lot = store.filed(caller, Lot, ids.lot)
    assert (lot.state, lot.plan, lot.origin) == (LotState.SCORED, None, ORIGIN)
    exhibit = store.filed(caller, Exhibit, ids.exhibit)
    assert exhibit.state is ExhibitState.LOGGED
    assert len(store.custody_of(caller, ids.exhibit)) == 1
    assert len(store.list_submissions(caller, ids.lot).items) == 2
    assert [one.id for one in store.list_jobs(caller).items] == [ids.job]
    assert store.tally(caller, ids.lot).total == 2
    assert store.kept_conclusion(caller, ids.lot, digest_of("mine")) is None

"""``touchstone lot``: a lot filed, filled, scored by workers, and told of."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from touchstone.bootstrap import WorkerSetup, build, open_store
from touchstone.cli.examining import progress_on
from touchstone.cli.exits import exit_code_for
from touchstone.cli.options import Data, Json, settings_with
from touchstone.cli.output import emit, progress_bar, say, show, table_of
from touchstone.errors import ConflictError
from touchstone.lots import (
    HERE,
    Cluster,
    Importer,
    LotScorer,
    Workers,
    write_results,
)
from touchstone.store import (
    UNFINISHED_JOBS,
    Caller,
    Job,
    JobKind,
    JobState,
    Lot,
    LotFields,
    Store,
)

lot = typer.Typer(help="Seized lots: photos, work, results.", no_args_is_help=True)

LotId = Annotated[str, typer.Argument(metavar="LOT", help="Id of the lot.")]
Count = Annotated[
    int, typer.Option(min=1, help="Processes.", show_default="one a core")
]
_CORES = os.cpu_count() or 1


@lot.command("create")
def create(
    ref_no: Annotated[str, typer.Argument(help="Its reference number.")],
    *,
    seizure: Annotated[str | None, typer.Option(help="Id of its seizure.")] = None,
    product_class: Annotated[str, typer.Option(help="Such as medicine.")] = "",
    declared_product: Annotated[str, typer.Option(help="What it claims to be.")] = "",
    gtin: Annotated[str, typer.Option(help="GTIN that it claims.")] = "",
    batch: Annotated[str, typer.Option(help="Batch number on the packs.")] = "",
    expiry: Annotated[str, typer.Option(help="Expiry date on the packs.")] = "",
    units: Annotated[
        int | None, typer.Option(min=1, help="Units in all, seen or not.")
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """File a lot; its id is what the other commands ask for.

    Example: touchstone lot create LOS-2026-17 --units 48000 --product-class medicine
    """
    draft = LotFields(
        ref_no,
        seizure_id=seizure,
        product_class=product_class,
        declared_product=declared_product,
        declared_gtin=gtin,
        batch_no=batch,
        expiry=expiry,
        units_total=units,
    )
    with closing(open_store(settings_with(data))) as store:
        caller = store.ensure_local_operator()
        made = store.file(caller, Lot, draft)
        _tell(store, caller, [made], json=json)


@lot.command("list")
def list_lots(
    *,
    seizure: Annotated[str | None, typer.Option(help="Id of a seizure.")] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """List the newest lots, and how far each is."""
    with closing(open_store(settings_with(data))) as store:
        caller = store.ensure_local_operator()
        found = store.list_filed(caller, Lot, under=seizure).items
        _tell(store, caller, found, json=json)


@lot.command("add")
def add(
    lot_id: LotId,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            exists=True,
            help="Folder, .zip, or manifest (.csv, .jsonl, .parquet).",
        ),
    ],
    *,
    data: Data = None,
    json: Json = False,
) -> None:
    """Take photos into a lot; what is there already is not taken twice.

    Example: touchstone lot add LOT seized/
    """
    with build(settings_with(data)) as parts, progress_bar("Taking in") as bar:
        caller = parts.store.ensure_local_operator()
        importer = Importer(parts.store, parts.blobs, parts.settings.max_upload_bytes)
        found = parts.store.filed(caller, Lot, lot_id)
        taken = importer.take(
            caller, found, source, progress=lambda count: bar.advance_to(count, count)
        )
    say(
        f"{taken.sent} photos: {taken.new} new, {taken.duplicates} there already, "
        f"{taken.failed} unreadable; {taken.left_out} other files left out."
    )
    if json:
        emit(
            {
                "sent": taken.sent,
                "new": taken.new,
                "duplicates": taken.duplicates,
                "failed": taken.failed,
                "left_out": taken.left_out,
            }
        )


class EngineName(StrEnum):
    """What works on a lot."""

    LOCAL = "local"
    RAY = "ray"


@lot.command("score")
def score(
    lot_id: LotId,
    *,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes.", show_default="one a core"),
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="Processes of this machine, or a Ray cluster.")
    ] = EngineName.LOCAL,
    address: Annotated[
        str, typer.Option(help="Of the cluster: HOST:PORT, auto, or local.")
    ] = "auto",
    mixed: Annotated[
        bool,
        typer.Option(
            "--mixed",
            help="Go on though references, policy or models changed since.",
        ),
    ] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """Examine what a lot has not examined yet; stop and go on as you like.

    Several commands, on several machines, may work on one lot. A cluster needs the
    records in PostgreSQL, the images in S3, and this version with its models on each
    machine.

    Exit code: as of `score`.

    Example: touchstone lot score LOT --workers 2
    """
    settings = settings_with(data)
    sent, crew = settings, None
    if engine is EngineName.RAY:
        sent = settings.for_cluster(elsewhere=address != HERE)
        crew = partial(Cluster, address=address, count=workers)
    with build(settings) as parts, progress_bar("Scoring") as bar:
        caller = parts.store.ensure_local_operator()
        parts.catalogue.save()  # each worker starts from this snapshot
        scorer = LotScorer(
            parts.store,
            WorkerSetup(sent),
            parts.examined_by,
            workers=workers or _CORES,
            may_mix=mixed,
            engine=crew,
        )
        scorer.work_through(caller, lot_id, progress=progress_on(bar))
        tally = parts.store.tally(caller, lot_id)
        _tell(parts.store, caller, [parts.store.filed(caller, Lot, lot_id)], json=json)
    raise typer.Exit(exit_code_for([*tally.findings, *([""] if tally.failed else [])]))


@lot.command("results")
def results(
    lot_id: LotId,
    *,
    out: Annotated[
        Path, typer.Option(help="Results: .csv, .jsonl or .parquet.", dir_okay=False)
    ],
    data: Data = None,
    json: Json = False,
) -> None:
    """Write one row for each photo of a lot, in the order they were listed.

    Example: touchstone lot results LOT --out results.csv
    """
    with closing(open_store(settings_with(data))) as store:
        written = write_results(store, store.ensure_local_operator(), lot_id, out)
    say(f"{written.total()} rows: {out}")
    if json:
        emit({"out": str(out), "rows": written.total()})


@lot.command("pause")
def pause(lot_id: LotId, *, data: Data = None, json: Json = False) -> None:
    """Pause the work on a lot; what is in hand is finished."""
    _move(data, lot_id, JobState.PAUSED, json=json)


@lot.command("resume")
def resume(lot_id: LotId, *, data: Data = None, json: Json = False) -> None:
    """Let `touchstone work` or the server go on with a lot that was paused."""
    _move(data, lot_id, JobState.QUEUED, json=json)


@lot.command("cancel")
def cancel(lot_id: LotId, *, data: Data = None, json: Json = False) -> None:
    """End the work on a lot; what was examined stays."""
    settings = settings_with(data)
    with closing(open_store(settings)) as store:
        store.close_origin(store.ensure_local_operator(), lot_id)
    _move(data, lot_id, JobState.CANCELLED, json=json)


@lot.command("retry")
def retry(lot_id: LotId, *, data: Data = None, json: Json = False) -> None:
    """Queue what failed once more; then score the lot again."""
    with closing(open_store(settings_with(data))) as store:
        caller = store.ensure_local_operator()
        jobs = _scorings(store, caller, lot_id)
        if not jobs:
            raise ConflictError("The lot has never been scored.")
        store.retry_failed(caller, jobs[0].id)
        _tell(store, caller, [store.filed(caller, Lot, lot_id)], json=json)


def work(*, workers: Count = _CORES, data: Data = None, json: Json = False) -> None:
    """Work on whatever lots are queued, until it is stopped.

    Run it beside `touchstone serve`, on as many machines as share the records.

    Example: touchstone work --workers 2
    """
    settings = settings_with(data)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # what is in hand is finished
    with (
        build(settings) as parts,
        suppress(KeyboardInterrupt),
        Workers(parts.store, WorkerSetup(settings), count=workers) as running,
    ):
        say(f"{workers} workers wait for photos; Ctrl-C stops them.")
        if json:
            emit({"workers": list(running.pids())})
        for _ in running.watched():
            pass


def _move(data: Path | None, lot_id: str, state: JobState, *, json: bool) -> None:
    with closing(open_store(settings_with(data))) as store:
        caller = store.ensure_local_operator()
        for job in _scorings(store, caller, lot_id):
            if job.state in UNFINISHED_JOBS:
                store.move_job(caller, job.id, state)
                break
        else:
            raise ConflictError("No work on this lot is under way.")
        _tell(store, caller, [store.filed(caller, Lot, lot_id)], json=json)


def _scorings(store: Store, caller: Caller, lot_id: str) -> list[Job]:
    jobs = store.list_jobs(caller, lot_id=lot_id, limit=1000).items
    return [job for job in jobs if job.kind is JobKind.SCORE]


_COLUMNS = ("lot", "reference", "state", "work", "photos", "done", "failed", "findings")


def _tell(store: Store, caller: Caller, lots: Sequence[Lot], *, json: bool) -> None:
    documents = [_document(store, caller, one) for one in lots]
    if json:
        for document in documents:
            emit(document)
        return
    rows = [
        [
            *(one[name] for name in _COLUMNS[:-1]),
            ", ".join(f"{n} {kind}" for kind, n in sorted(one["findings"].items())),
        ]
        for one in documents
    ]
    show(table_of(_COLUMNS, rows))


def _document(store: Store, caller: Caller, one: Lot) -> dict[str, Any]:
    tally = store.tally(caller, one.id)
    jobs = _scorings(store, caller, one.id)
    return {
        "lot": one.id,
        "reference": one.ref_no,
        "state": str(one.state),
        "work": str(jobs[0].state) if jobs else "not begun",
        "photos": tally.total,
        "done": tally.done,
        "failed": tally.failed,
        "findings": dict(tally.findings),
    }

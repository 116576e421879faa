"""A lot to one row for each of its photos: read, examined, recorded, written."""

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from touchstone.errors import InvalidInputError
from touchstone.lots.journal import Entry, Journal
from touchstone.lots.results import Row, check_out, row_document, write_rows
from touchstone.lots.sources import Item, Source, open_source
from touchstone.lots.workers import MakeAssess, Outcome, Payload, Workers
from touchstone.store import Caller, Store

_BATCH = 32
_BATCH_S = 2.0
"""What a crash can cost: photos finished, but not yet in the journal."""


@dataclass(frozen=True, slots=True)
class LotProgress:
    """How far a lot is."""

    done: int
    total: int
    resumed: int
    """Of those done, how many were so before this run."""
    left_out: int
    """Files of the source that are no photos by their name."""


@dataclass(frozen=True, slots=True)
class LotSummary:
    """What became of a lot."""

    out: Path
    photos: int
    resumed: int
    left_out: int
    errors: int
    findings: Mapping[str, int]
    """How many photos have each finding; errors have none."""


@dataclass(frozen=True, slots=True)
class LotScorer:
    """Scores lots on worker processes and records every examination."""

    store: Store
    make_assess: MakeAssess
    examined_by: Mapping[str, str]
    """Digest or version of everything that finds, by name: an unfinished lot of which
    any was another is not gone on with."""
    workers: int = 1
    max_photo_bytes: int = 25_000_000
    may_mix: bool = False
    """Whether to go on all the same: rows of two states then stand side by side."""

    def score(
        self,
        caller: Caller,
        source: Path,
        *,
        out: Path,
        progress: Callable[[LotProgress], None] | None = None,
    ) -> LotSummary:
        """Score every photo of ``source`` and write one row for each to ``out``.

        Stopped at any instant, the same call goes on where it was: what is finished
        stands in a journal beside ``out`` until the results are whole. A photo that
        was examined but not yet in the journal is examined again; its row is one.

        Args:
            caller: who owns the records, and whose references may be matched.
            source: folder, ``.zip``, or ``.csv`` with a column ``image``.
            out: ``.csv``, ``.jsonl`` or ``.parquet``.
            progress: told after each batch.

        Raises:
            InvalidInputError: source or out cannot be used, or the lot was begun with
                other references, policy or models.
            ConflictError: the journal is another process's, or of another lot.
            TouchstoneError: what stops every photo: a model, the disk, the database.
        """
        # That no photo is dropped, and none is counted twice:
        #
        # 1. List the photos, in order, before anything is examined.
        # 2. Leave out those that the journal has, unchanged, from an earlier run.
        # 3. Examine the rest; whatever becomes of one, it becomes a row.
        # 4. Batch by batch: records first, then the journal, both flushed.
        # 5. Write the results in input order, in one step, then drop the journal.
        if self.workers < 1:
            raise InvalidInputError("workers must be 1 or more.", field="workers")
        check_out(out)
        with (
            open_source(source) as lot,
            Journal(
                out.with_name(f".{out.name}.journal"),
                source=source,
                examined_by=self.examined_by,
                may_mix=self.may_mix,
            ) as journal,
        ):
            todo = [item for item in lot.items if item not in journal]
            resumed = len(lot.items) - len(todo)
            self._examine(caller, lot, todo, journal=journal, progress=progress)
            findings: Counter[str] = Counter()
            write_rows(out, _counted(journal, lot, findings))
            journal.remove()
        return LotSummary(
            out=out,
            photos=len(lot.items),
            resumed=resumed,
            left_out=lot.left_out,
            errors=findings.pop("", 0),
            findings=dict(findings),
        )

    def _examine(
        self,
        caller: Caller,
        lot: Source,
        todo: list[Item],
        *,
        journal: Journal,
        progress: Callable[[LotProgress], None] | None,
    ) -> None:
        resumed = done = len(lot.items) - len(todo)
        batch: list[tuple[Item, Outcome]] = []
        flushed_at = time.monotonic()

        def tell() -> None:
            if progress is not None:
                progress(LotProgress(done, len(lot.items), resumed, lot.left_out))

        tell()
        try:
            with closing(self._outcomes(lot, todo)) as outcomes:
                for outcome in outcomes:
                    batch.append(outcome)
                    is_due = time.monotonic() - flushed_at > _BATCH_S
                    if len(batch) >= _BATCH or is_due:
                        finished, batch = batch, []
                        self._keep(caller, finished, journal)
                        done += len(finished)
                        flushed_at = time.monotonic()
                        tell()
        finally:
            # Also when the run is stopped: what is finished is not lost.
            self._keep(caller, batch, journal)
        done += len(batch)
        tell()

    def _outcomes(
        self, lot: Source, todo: list[Item]
    ) -> Generator[tuple[Item, Outcome]]:
        unreadable: list[tuple[Item, Outcome]] = []

        def readable() -> Iterator[tuple[Item, Payload]]:
            for item in todo:
                try:
                    payload = lot.payload(item, max_bytes=self.max_photo_bytes)
                except InvalidInputError as error:
                    row = Row(item.image, error=str(error))
                    unreadable.append((item, Outcome(row)))
                else:
                    yield item, payload

        with Workers(
            self.make_assess,
            count=self.workers,
            max_photo_bytes=self.max_photo_bytes,
        ) as workers:
            for outcome in workers.outcomes(readable()):
                yield outcome
                yield from unreadable
                unreadable.clear()
        yield from unreadable

    def _keep(
        self, caller: Caller, batch: list[tuple[Item, Outcome]], journal: Journal
    ) -> None:
        drafts = [outcome.draft for _, outcome in batch if outcome.draft is not None]
        recorded = iter(self.store.record_examinations(caller, drafts))
        journal.append(
            Entry(
                item,
                row_document(outcome.row),
                next(recorded).id if outcome.draft is not None else None,
            )
            for item, outcome in batch
        )


def _counted(
    journal: Journal, lot: Source, findings: Counter[str]
) -> Iterator[dict[str, object]]:
    for document in journal.documents(lot.items):
        findings[str(document["finding"])] += 1
        yield document

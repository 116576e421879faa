"""``touchstone verify`` and ``touchstone score``: photos to findings."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from touchstone.bootstrap import Application, WorkerSetup, build
from touchstone.cli.exits import Exit, exit_code_for
from touchstone.cli.options import Data, Json, settings_with
from touchstone.cli.output import Bar, complain, emit, progress_bar, say
from touchstone.errors import (
    BadImageError,
    NotFoundError,
    StorageError,
)
from touchstone.examination import LIMITATIONS, Examined
from touchstone.lots import LotProgress, LotScorer, Row, row_document, row_of
from touchstone.store import Caller


def verify(
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTO", help="JPEG, PNG, WebP or AVIF.")
    ],
    *,
    evidence: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Write the pictures of each comparison there.",
        ),
    ] = None,
    declared_product: Annotated[
        str | None, typer.Option(help="Product code that the item claims to be.")
    ] = None,
    gtin: Annotated[
        str | None, typer.Option(help="GTIN that the item claims to be.")
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Examine photos: one JSON line for each on stdout.

    Each photo is taken to show another item.

    Exit code: 0 all consistent, 1 at least one inconsistent, 3 some undecided, 4 a
    photo could not be examined.

    Example: touchstone verify photo.jpg --evidence pictures
    """
    del json  # the lines are always JSON; the option is there for every command
    if evidence is not None:
        _make_folder(evidence)
    with build(settings_with(data)) as parts:
        examiner = Examiner(parts, parts.store.ensure_local_operator(), evidence)
        documents = []
        for photo in photos:
            documents.append(
                examiner.examine(photo, declared_product=declared_product, gtin=gtin)
            )
            emit(documents[-1])
    if not any(one["finding"] for one in documents):
        raise typer.Exit(Exit.FAILURE)
    say(LIMITATIONS[0])
    code = exit_code_for([one["finding"] for one in documents])
    is_short = any(one["error"] for one in documents)
    raise typer.Exit(Exit.FAILURE if is_short and code != Exit.INCONSISTENT else code)


@dataclass(frozen=True, slots=True)
class Examiner:
    """Examines photos one by one and says what was found."""

    parts: Application
    caller: Caller
    evidence: Path | None
    """Folder for the pictures; None draws none."""
    is_telling: bool = True
    """Whether to say each finding on stderr."""

    def examine(
        self,
        photo: Path,
        *,
        declared_product: str | None = None,
        gtin: str | None = None,
    ) -> dict[str, Any]:
        """Return what was found on ``photo``, or why it could not be examined.

        Raises:
            InvalidInputError: the declared GTIN is none.
        """
        try:
            found = self.parts.verifier.verify(
                self.caller,
                [self._bytes(photo)],
                declared_product=declared_product,
                declared_gtin=gtin,
            )
        except (BadImageError, FileNotFoundError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            complain(f"{photo}: {reason}")
            return row_document(Row(str(photo), error=f"{reason}"))
        if self.is_telling:
            _tell(photo, found)
        return _line(photo, found) | {"evidence": self._pictures(photo, found)}

    def _bytes(self, photo: Path) -> bytes:
        # A byte more than is accepted: enough for the refusal to be made from.
        with photo.open("rb") as file:
            return file.read(self.parts.settings.max_upload_bytes + 1)

    def _pictures(self, photo: Path, found: Examined) -> dict[str, str]:
        if self.evidence is None:
            return {}
        try:
            drawn = self.parts.reviewer.pictures(self.caller, found.examination.id)
        except NotFoundError:
            return {}  # nothing was compared
        # Two photos of one name in two folders must not share their pictures.
        stem = f"{photo.stem}-{found.examination.photo_digest[:8]}"
        written = {}
        for name in ("pair", "overlay", "deviation"):
            path = self.evidence / f"{stem}-{name}.png"
            _write(path, getattr(drawn, f"{name}_png"))
            written[name] = str(path)
        return written


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path} cannot be made: {error.strerror}.") from error


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error


def _line(photo: Path, found: Examined) -> dict[str, Any]:
    """Return the columns of a lot's results, and what only one photo has room for."""
    product = found.product
    return row_document(row_of(str(photo), found)) | {
        "examination_id": found.examination.id,
        "reference_set_id": found.reference_set_id,
        "brand": product.brand if product else "",
        "name": product.name if product else "",
        "market": product.market if product else "",
        "artwork_version": product.artwork_version if product else "",
        "sentences": [reason.sentence for reason in found.finding.reasons],
        "advice": list(found.finding.advice),
    }


_STYLES = {
    Exit.CONSISTENT: "green",
    Exit.INCONSISTENT: "bold red",
    Exit.UNDECIDED: "yellow",
}


def style_of(finding: str) -> str:
    """Return the colour of a finding; its words say the same without it."""
    return _STYLES[exit_code_for([finding])]


def _tell(photo: Path, found: Examined) -> None:
    finding, product = found.finding, found.product
    what = f" ({product.brand} {product.name}, {product.face})" if product else ""
    say(f"{photo}: {finding.kind}{what}", style=style_of(finding.kind))
    if finding.log10_lr is not None:
        say(f"  log10 LR {finding.log10_lr:+.2f}: {finding.strength}")
    for text in (*(reason.sentence for reason in finding.reasons), *finding.advice):
        say(f"  {text}")


# --- lots ---------------------------------------------------------------------------


def score(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            exists=True,
            help="Folder, .zip, or .csv with a column image.",
        ),
    ],
    *,
    out: Annotated[
        Path, typer.Option(help="Results: .csv, .jsonl or .parquet.", dir_okay=False)
    ],
    workers: Annotated[
        int, typer.Option(min=1, help="Processes.", show_default="one a core")
    ] = os.cpu_count() or 1,
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
    """Score a lot: one row for each photo, none missing.

    Stopped at any time, the same command goes on where it was; if references, policy
    or models changed meanwhile, only with --mixed. A photo that cannot be read is a
    row with an error.

    Exit code: 0 all consistent, 1 at least one inconsistent, 2 a wrong call, or what
    the lot was begun with changed, 3 some undecided or not examined, 4 the lot could
    not be scored.

    Example: touchstone score seized/ --out results.csv
    """
    settings = settings_with(data)
    with build(settings) as parts, progress_bar("Scoring") as bar:
        caller = parts.store.ensure_local_operator()
        parts.catalogue.save()  # each worker starts from this snapshot
        scorer = LotScorer(
            parts.store,
            WorkerSetup(settings),
            examined_by=parts.examined_by,
            workers=workers,
            may_mix=mixed,
        )
        try:
            summary = scorer.score(caller, source, out=out, progress=progress_on(bar))
        except KeyboardInterrupt:
            say("Stopped. The same command goes on where it was.")
            raise
    if summary.left_out:
        say(f"{summary.left_out} files are no photos by their name: left out.")
    counts = ", ".join(f"{n} {kind}" for kind, n in sorted(summary.findings.items()))
    say(
        f"{summary.photos} photos: {counts or 'none examined'}; "
        f"{summary.errors} could not be examined. Results: {summary.out}"
    )
    if json:
        emit(
            {
                "out": str(summary.out),
                "photos": summary.photos,
                "resumed": summary.resumed,
                "left_out": summary.left_out,
                "errors": summary.errors,
                "findings": dict(summary.findings),
            }
        )
    raise typer.Exit(
        exit_code_for([*summary.findings, *([""] if summary.errors else [])])
    )


def progress_on(bar: Bar) -> Callable[[LotProgress], None]:
    """Return what shows the progress of a lot on a bar, and says where it goes on."""
    is_first = True

    def tell(progress: LotProgress) -> None:
        nonlocal is_first
        if is_first and progress.resumed:
            left = progress.total - progress.resumed
            say(f"Going on: {progress.resumed} photos done before, {left} left.")
        is_first = False
        bar.advance_to(progress.done, progress.total)

    return tell

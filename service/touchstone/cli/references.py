"""``touchstone enrol``: reference images of a CSV into the catalogue."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from touchstone.bootstrap import build
from touchstone.cli.exits import Exit
from touchstone.cli.options import Data, Json, settings_with
from touchstone.cli.output import complain, emit, progress_bar, say
from touchstone.enrolment import EnrolmentReport
from touchstone.store import PRODUCT_CLASSES


def enrol(
    references: Annotated[
        Path,
        typer.Argument(
            metavar="REFERENCES.csv",
            exists=True,
            dir_okay=False,
            help="Columns product_id and image; see the README for the others.",
        ),
    ],
    *,
    data: Data = None,
    json: Json = False,
) -> None:
    """Enrol the reference images listed in a CSV.

    The same row twice counts once. Bad rows are reported with line and reason, and
    the exit code is 4; the good rows are enrolled all the same.

    Example: touchstone enrol references.csv
    """
    with build(settings_with(data)) as parts, progress_bar("Enrolling") as bar:
        report = parts.enroller.enrol_csv(
            parts.store.ensure_local_operator(), references, progress=bar.advance_to
        )
    tell(report)
    if json:
        emit(asdict(report))
    if report.errors:
        raise typer.Exit(Exit.FAILURE)


def tell(report: EnrolmentReport) -> None:
    """Say what became of the rows."""
    for error in report.errors:
        field = f" ({error.field})" if error.field else ""
        complain(f"line {error.line}{field}: {error.reason}")
    say(
        f"{report.enrolled} enrolled, {report.already} enrolled before, "
        f"{len(report.errors)} refused."
    )
    for category in report.unclassed:
        say(
            f"{category!r} names no class of products: the general threshold holds. "
            f"Classes: {', '.join(name for name in PRODUCT_CLASSES if name)}."
        )

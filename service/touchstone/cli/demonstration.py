"""``touchstone demo``: the samples that come with the project, examined."""

import csv
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from touchstone.bootstrap import build
from touchstone.cli.examining import Examiner, style_of
from touchstone.cli.exits import Exit
from touchstone.cli.options import Data, Json, settings_with
from touchstone.cli.output import emit, say, show, table_of
from touchstone.cli.references import tell
from touchstone.errors import ConfigurationError, InvalidInputError
from touchstone.examination import LIMITATIONS
from touchstone.settings import Settings

_REFERENCES = "references.csv"
_PHOTOS = "photos.csv"
_FOLDER = "demo"


@dataclass(frozen=True, slots=True)
class Sample:
    """One photo whose truth is known."""

    image: Path
    truth: str
    note: str
    declared_product: str | None
    """Product code that the item claims to be, where the sample needs one."""


def demo(*, data: Data = None, json: Json = False) -> None:
    """Enrol and examine the samples that come with the project.

    Its records and pictures stay apart from yours, in the folder `demo` of --data.

    Example: touchstone demo
    """
    settings = settings_with(data)
    settings = settings.model_copy(update={"data_dir": settings.data_dir / _FOLDER})
    demonstrate(Path(str(files("touchstone"))) / "samples", settings, json=json)


def demonstrate(samples: Path, settings: Settings, *, json: bool) -> None:
    """Enrol and examine what lies in ``samples``.

    Args:
        samples: folder with ``references.csv`` and ``photos.csv`` (columns ``image``,
            ``truth``, ``note``, and ``declared_product`` where it is needed).
        settings: of the data folder to use.
        json: print JSON lines instead of the table.

    Raises:
        ConfigurationError: there are no samples.
        InvalidInputError: their list cannot be read.
    """
    photos = read_samples(samples)
    pictures = settings.data_dir / "evidence"
    with build(settings) as parts:
        caller = parts.store.ensure_local_operator()
        report = parts.enroller.enrol_csv(caller, samples / _REFERENCES)
        tell(report)
        pictures.mkdir(exist_ok=True)
        examiner = Examiner(parts, caller, pictures, is_telling=False)
        results = [
            (one, examiner.examine(one.image, declared_product=one.declared_product))
            for one in photos
        ]
    if json:
        for sample, result in results:
            emit(result | {"truth": sample.truth, "note": sample.note})
    else:
        show(_table(results))
        _say_where(results, pictures)
    if report.errors or any(result["error"] for _, result in results):
        raise typer.Exit(Exit.FAILURE)


def read_samples(folder: Path) -> list[Sample]:
    """Read the list of sample photos.

    Raises:
        ConfigurationError: there are none.
        InvalidInputError: the list lacks a column.
    """
    path = folder / _PHOTOS
    if not path.is_file() or not (folder / _REFERENCES).is_file():
        raise ConfigurationError(
            f"The sample photos are missing: {folder} should hold {_REFERENCES} and "
            f"{_PHOTOS}. Reinstall touchstone, or enrol your own references."
        )
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    lacking = {"image", "truth", "note"} - set(rows[0] if rows else ())
    if lacking:
        raise InvalidInputError(
            f"{path} has no rows or lacks: {', '.join(sorted(lacking))}.", field="image"
        )
    return [
        Sample(
            folder / row["image"],
            row["truth"],
            row["note"],
            row.get("declared_product") or None,
        )
        for row in rows
    ]


def _table(results: list[tuple[Sample, dict[str, Any]]]) -> Table:
    columns = ("photo", "what it really is", "finding", "strength", "why", "regions")
    return table_of(columns, (_row(sample, result) for sample, result in results))


def _row(sample: Sample, result: dict[str, Any]) -> tuple[str | Text, ...]:
    if result["error"]:
        return sample.image.name, sample.truth, "", "", result["error"], ""
    finding = str(result["finding"])
    log10_lr = result["log10_lr"]
    regions = result["regions"]
    worst = regions[0] if regions else None
    return (
        sample.image.name,
        f"{sample.truth}: {sample.note}" if sample.note else sample.truth,
        Text(finding.replace("_", " "), style=style_of(finding)),
        "" if log10_lr is None else f"{log10_lr:+.1f} {_band(result['strength'])}",
        result["sentences"][0] if result["sentences"] else "",
        ""
        if worst is None
        else f"{len(regions)}: {worst['width']}x{worst['height']} "
        f"at {worst['x']},{worst['y']}",
    )


def _band(strength: str) -> str:
    # "moderate support for H2 (…)": the sign of the number says which side.
    return strength.partition(" support")[0]


def _say_where(results: list[tuple[Sample, dict[str, Any]]], pictures: Path) -> None:
    typer.echo(f"Pictures of each comparison (pair, overlay, deviation) in {pictures}:")
    for _, result in results:
        if result.get("evidence"):
            typer.echo(f"  {result['evidence']['pair']}")
    say("Strength is log10 of the likelihood ratio: above 0 favours the reference.")
    say(LIMITATIONS[0])

"""Commands that calibrate the policy, seal the models, and draw the samples."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from touchstone.bootstrap import (
    CALIBRATION,
    COMPARATOR,
    COMPARATOR_MANIFEST,
    EMBEDDER,
    LOCALISER,
    LOCALISER_MANIFEST,
    MANIFEST,
    SEAL,
    VALIDATION,
    open_comparator,
    open_embedder,
    open_localiser,
)
from touchstone.errors import InvalidInputError
from touchstone.settings import Settings
from touchstone_training.calibration import Targets, policy_document
from touchstone_training.measuring import (
    Judged,
    Row,
    Stranger,
    read_rows,
    write_rows,
)
from touchstone_training.running import current_commit
from touchstone_training.samples import make_samples
from touchstone_training.simulator.fontbook import installed_fonts
from touchstone_training.study import StudyOptions, real_matches, simulated

_CALIBRATION_SEED = 700_000
"""Designs for calibration: below the held-out seeds, above the embedder's."""

Data = Annotated[Path, typer.Option(help="Folder with open/ and measure/, see DATA.")]
Models = Annotated[Path, typer.Option(help="Folder of served models.")]
Runs = Annotated[Path, typer.Option(help="Folder for rows and reports.")]
Workers = Annotated[int, typer.Option(help="Processes; one a core.")]


def fonts_of(data: Path) -> list[Path]:
    """Return the openly licensed fonts of a data folder, and Debian's if installed."""
    own = sorted((data / "open" / "fonts_open").glob("*.ttf"))
    return [*own, *installed_fonts()]


def calibrate(
    *,
    data: Data,
    models: Models = Path("models"),
    runs: Runs = Path("runs/calibration"),
    designs: Annotated[int, typer.Option(help="Simulated designs.")] = 100,
    products: Annotated[
        int, typer.Option(help="Further designs, of genuine photos alone.")
    ] = 0,
    version: Annotated[str, typer.Option(help="Of the policy.")] = "0.1.0",
    workers: Workers = 2,
    reuse: Annotated[
        bool, typer.Option("--reuse", help="Fit to the rows of an earlier run.")
    ] = False,
) -> None:
    """Measure simulated and real training photos, and fit calibration.json to them."""
    runs.mkdir(parents=True, exist_ok=True)
    options = StudyOptions(
        first_seed=_CALIBRATION_SEED, designs=designs, products=products
    )
    settings = Settings.load(model_dir=models)
    embedder, localiser = open_embedder(settings), open_localiser(settings)
    if not reuse:
        matches = list(real_matches(embedder, data, options, localiser))
        rows: list[Row] = []
        strangers: list[Stranger] = []
        for one in simulated(models, options, fonts_of(data), workers=workers):
            rows.append(one.row)
            matches += one.matches
            strangers += [one.stranger] if one.stranger else []
        write_rows(runs / "rows.jsonl", rows)
        write_rows(runs / "matches.jsonl", matches)
        write_rows(runs / "strangers.jsonl", strangers)
    if not (runs / "strangers.jsonl").is_file():
        raise InvalidInputError(
            f"{runs} holds no run of this version (no strangers.jsonl): measure anew, "
            "without --reuse."
        )
    rows = read_rows(runs / "rows.jsonl", Row)
    matches = read_rows(runs / "matches.jsonl", Judged)
    strangers = read_rows(runs / "strangers.jsonl", Stranger)
    document = policy_document(
        rows,
        matches,
        strangers,
        version=version,
        targets=Targets(),
        made_by={
            "commit": current_commit(),
            "options": asdict(options),
            "embedder": embedder.digest,
            "comparator": open_comparator(settings).digest,
            "localiser": "none" if localiser is None else localiser.digest,
        },
    )
    text = json.dumps(document, indent=1)
    (models / "calibration.json").write_text(text + "\n", encoding="utf-8")
    seal(models)
    typer.echo(json.dumps(document["evaluation"] | document["thresholds"], indent=1))


def seal(models: Models = Path("models")) -> None:
    """Write manifest.json: the SHA-256 that each model file must have to be loaded."""
    names = (
        EMBEDDER,
        MANIFEST,
        COMPARATOR,
        COMPARATOR_MANIFEST,
        LOCALISER,
        LOCALISER_MANIFEST,
        CALIBRATION,
        VALIDATION,
    )
    digests = {
        name: hashlib.sha256((models / name).read_bytes()).hexdigest()
        for name in names
        if (models / name).is_file()
    }
    text = json.dumps(digests, indent=1, sort_keys=True)
    (models / SEAL).write_text(text + "\n", encoding="utf-8")


def samples(
    *,
    out: Annotated[Path, typer.Option(help="Folder of the samples.")] = Path(
        "service/touchstone/samples"
    ),
    data: Annotated[Path | None, typer.Option(help="For its fonts.")] = None,
    seed: Annotated[int, typer.Option(help="Of the products.")] = 0,
) -> None:
    """Draw the sample references and photographs that are shipped."""
    fonts = fonts_of(data) if data is not None else []
    typer.echo(f"{make_samples(out, fonts=fonts, seed=seed)} photos in {out}")

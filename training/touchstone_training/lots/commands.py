"""``python -m touchstone_training lots``: the trials, as commands."""

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from touchstone_training.lots.kills import report_of, score_under_kills
from touchstone_training.lots.pace import measure_memory_alone, measure_pace
from touchstone_training.lots.progress import follow_under_cuts
from touchstone_training.lots.truth import held_against_truth

app = typer.Typer(no_args_is_help=True, help="Trials of the work on seized lots.")

LotFolder = Annotated[
    Path, typer.Argument(metavar="LOT", exists=True, help="From `simulator lot`.")
]


@app.command()
def kills(
    lot: LotFolder,
    *,
    data: Annotated[Path, typer.Option(help="A data folder that is not there yet.")],
    kills: Annotated[int, typer.Option(help="How many kill -9.")] = 50,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
    seed: Annotated[int, typer.Option(help="Of the instants.")] = 0,
) -> None:
    """Score a lot under random kill -9; print whether nothing was lost or repeated."""
    trial = score_under_kills(lot, data, kills=kills, workers=workers, seed=seed)
    typer.echo(json.dumps(report_of(trial)))
    raise typer.Exit(0 if trial.is_held else 1)


@app.command()
def truth(
    lot: LotFolder,
    *,
    data: Annotated[Path, typer.Option(help="Where it was scored, as the newest lot.")],
) -> None:
    """Hold the conclusion on a simulated lot against what was simulated."""
    trial = held_against_truth(lot, data)
    document = asdict(trial) | {"is_covered": trial.is_covered}
    typer.echo(json.dumps(document))


@app.command()
def pace(
    lot: LotFolder,
    *,
    photos: Annotated[int, typer.Option(help="The first so many.")] = 300,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
    rounds: Annotated[int, typer.Option(help="Each way, in turn.")] = 3,
) -> None:
    """Hold the pace of a lot against bare processes on the same photos."""
    with TemporaryDirectory() as folder:
        for trial in measure_pace(
            lot, Path(folder) / "data", photos=photos, workers=workers, rounds=rounds
        ):
            typer.echo(json.dumps(asdict(trial) | {"share": round(trial.share, 3)}))


@app.command()
def memory(
    photos: Annotated[int, typer.Argument(help="Stubbed photos in the lot.")],
) -> None:
    """Measure the memory of listing, working through and writing a large lot."""
    typer.echo(json.dumps(asdict(measure_memory_alone(photos))))


@app.command()
def progress(
    *,
    runs: Annotated[int, typer.Option(help="Lots, one after another.")] = 100,
    photos: Annotated[int, typer.Option(max=1000, help="Of each.")] = 60,
    cut_s: Annotated[
        float, typer.Option(help="Connections are cut within twice this.")
    ] = 0.3,
    seed: Annotated[int, typer.Option(help="Of the instants.")] = 0,
) -> None:
    """Follow lots over a line that is cut again and again; print what was told."""
    with TemporaryDirectory() as folder:
        trial = follow_under_cuts(
            Path(folder) / "data",
            runs=runs,
            photos=photos,
            cut_after_s=(0.02, 2 * cut_s),
            seed=seed,
        )
    typer.echo(json.dumps(asdict(trial) | {"is_held": trial.is_held}))
    raise typer.Exit(0 if trial.is_held else 1)

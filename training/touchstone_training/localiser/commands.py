"""``python -m touchstone_training localiser …``: from nothing to localiser.onnx."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from touchstone_training.localiser.learn import LearnConfig
from touchstone_training.localiser.learn import learn as run_learning
from touchstone_training.localiser.pack import read_pack, write_pack

app = typer.Typer(
    no_args_is_help=True, help="Make the localiser: pictures, learn, export, measure."
)

_Pictures = Annotated[Path, typer.Option(help="Pack made by `pictures`.")]
_Run = Annotated[Path, typer.Option(help="Folder of the run.")]
_Models = Annotated[Path, typer.Option(help="Folder of served models.")]
_PACK, _RUN = Path("runs/localiser-pictures.npz"), Path("runs/localiser")


@app.command()
def pictures(
    *,
    out: Annotated[Path, typer.Option(help="File of the pack.")] = _PACK,
    data: Annotated[
        Path | None, typer.Option(help="Folder with open/SET/manifest.csv.")
    ] = None,
    designs: Annotated[int, typer.Option(help="Procedural designs.")] = 1100,
    collages: Annotated[int, typer.Option(help="Collages, with `--data`.")] = 350,
    long_side_px: Annotated[int, typer.Option(help="Longer side of a picture.")] = 288,
) -> None:
    """Draw artworks and gather backdrops, once, into one file that `learn` reads."""
    # What draws artwork is not needed, nor always there, where the network is trained.
    from touchstone_training.localiser.gather import (  # noqa: PLC0415
        localiser_pictures,
        localiser_scenes,
    )

    stream = localiser_pictures(
        data, designs=designs, collages=collages, long_side_px=long_side_px
    )
    scenes, held = localiser_scenes(data)
    count = write_pack(
        out, stream, long_side_px=long_side_px, scenes=scenes, held_scenes=held
    )
    typer.echo(json.dumps({"pictures": count}))


@app.command()
def learn(
    *,
    pictures: _Pictures = _PACK,
    out: _Run = _RUN,
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 8,
    batch: Annotated[int, typer.Option(help="Frames of a step.")] = 128,
    seed: Annotated[int, typer.Option(help="Of weights and scenes.")] = 0,
    peak_rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 3e-3,
    threads: Annotated[int, typer.Option(help="Threads of the network.")] = 1,
    workers: Annotated[int, typer.Option(help="Processes that draw scenes.")] = 1,
    eval_every_s: Annotated[float, typer.Option(help="Seconds between checks.")] = 90,
    resume: Annotated[
        Path | None, typer.Option(help="Checkpoint whose weights to start from.")
    ] = None,
) -> None:
    """Train the network; the best checkpoint on what is held out is kept."""
    config = replace(
        LearnConfig(),
        minutes=minutes,
        batch=batch,
        seed=seed,
        peak_rate=peak_rate,
        threads=threads,
        workers=workers,
        eval_every_s=eval_every_s,
        resume=None if resume is None else str(resume),
    )
    typer.echo(json.dumps(run_learning(pictures, out, config), indent=1))


@app.command()
def restore(
    *,
    models: _Models = Path("models"),
    out: _Run = Path("runs/restored-localiser"),
) -> None:
    """Make a checkpoint of the served localiser, for `learn --resume` to go on from."""
    # Where the network is trained, ONNX need not be there.
    from touchstone_training.localiser.restoring import (  # noqa: PLC0415
        restore as restore_checkpoint,
    )

    restore_checkpoint(models, out)


@app.command()
def export(
    *,
    run: _Run = _RUN,
    pictures: _Pictures = _PACK,
    out: _Models = Path("models"),
    version: Annotated[str, typer.Option(help="Version of the model.")] = "0.1.0",
    float32: Annotated[
        bool, typer.Option("--float32", help="Do not quantise to int8.")
    ] = False,
) -> None:
    """Write localiser.onnx and localiser.json, measured against the trained network."""
    from touchstone_training.localiser.release import release_localiser  # noqa: PLC0415
    from touchstone_training.proving import seal  # noqa: PLC0415

    manifest = release_localiser(
        run, pictures, out, version=version, is_int8=not float32
    )
    seal(out)
    typer.echo(json.dumps(manifest["held_out"], indent=1))


@app.command()
def measure(
    *,
    pictures: _Pictures = _PACK,
    models: _Models = Path("models"),
    data: Annotated[
        Path | None, typer.Option(help="Folder with open/ and measure/; real photos.")
    ] = None,
    scenes: Annotated[int, typer.Option(help="Held-out scenes of each shape.")] = 120,
    designs: Annotated[int, typer.Option(help="Held-out designs to search.")] = 120,
    out: Annotated[Path, typer.Option(help="JSON file of the figures.")] = Path(
        "runs/localiser.json"
    ),
) -> None:
    """Measure where faces are found, and how often search is right with and without."""
    from touchstone_training.localiser import measuring  # noqa: PLC0415

    report = measuring.measure(
        models, read_pack(pictures), data, scenes=scenes, designs=designs
    )
    measuring.show(report, Console(stderr=True))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    typer.echo(out)

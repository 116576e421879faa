"""``python -m touchstone_training``: the commands that make the models."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from touchstone_training import proving
from touchstone_training.bench.suite import Part, run_suite
from touchstone_training.benchmark.command import benchmark
from touchstone_training.checkpoints import average as take_mean
from touchstone_training.comparator.commands import app as comparator
from touchstone_training.data import HELD_OUT_SEED, PictureCache
from touchstone_training.embedder.export import Provenance, export_embedder
from touchstone_training.embedder.faces import localiser_in
from touchstone_training.embedder.pictures import drawn_designs, training_pictures
from touchstone_training.embedder.restoring import restore as restore_checkpoint
from touchstone_training.embedder.retrieval import (
    RetrievalSet,
    by_face,
    held_out_sets,
    measure_sets,
    simulated_set,
)
from touchstone_training.embedder.train import TrainConfig
from touchstone_training.embedder.train import train as run_training
from touchstone_training.embedder.views import BatchOptions, ViewOptions
from touchstone_training.localiser.commands import app as localiser
from touchstone_training.lots.commands import app as lots
from touchstone_training.simulator.commands import app as simulator

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.command()(proving.calibrate)
app.command()(benchmark)
app.command()(proving.seal)
app.command()(proving.samples)
app.add_typer(comparator, name="comparator")
app.add_typer(simulator, name="simulator")
app.add_typer(localiser, name="localiser")
app.add_typer(lots, name="lots")

_DataFolder = Annotated[
    Path | None,
    typer.Option(help="Folder with open/SET/manifest.csv; else what is drawn alone."),
]


_ModelsFolder = Annotated[
    Path, typer.Option(help="Folder of served models, for the localiser in it.")
]


def selection_sets(
    data: Path | None, *, every_nth_photo: int = 1
) -> list[RetrievalSet]:
    """Load the sets that checkpoints may be chosen by: held out, openly licensed."""
    unseen = range(HELD_OUT_SEED, HELD_OUT_SEED + 60)
    simulated = simulated_set(list(drawn_designs(unseen, long_side_px=480)), seed=0)
    if data is None:
        return [simulated]
    return [*held_out_sets(data, every_nth_photo=every_nth_photo), simulated]


def every_set(data: Path) -> list[RetrievalSet]:
    """Load what checkpoints are chosen by, and what is for measuring alone."""
    return [*selection_sets(data), *measure_sets(data)]


def with_faces(sets: list[RetrievalSet], models: Path) -> list[RetrievalSet]:
    """Return the sets, and each once more with the faces cut out of its photos."""
    localiser = localiser_in(models)
    return [*sets, *(by_face(one, localiser) for one in sets)]


@app.command()
def cache(
    *,
    data: _DataFolder = None,
    out: Annotated[Path, typer.Option(help="Folder of the new cache.")],
    designs: Annotated[int, typer.Option(help="Procedural designs.")] = 600,
    collages: Annotated[int, typer.Option(help="Collages, with `--data`.")] = 900,
    long_side_px: Annotated[int, typer.Option(help="Longer side of a picture.")] = 320,
) -> None:
    """Draw the training artworks once, so that epochs do not."""
    pictures = training_pictures(
        data, designs=designs, collages=collages, long_side_px=long_side_px
    )
    made = PictureCache.write(out, pictures)
    typer.echo(json.dumps({"pictures": len(made), "digest": made.digest}))


@app.command()
def train(
    *,
    data: _DataFolder = None,
    pictures: Annotated[Path, typer.Option(help="Cache made by `cache`.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    init: Annotated[
        str | None, typer.Option(help="Backbone weights: a file, or `torchvision`.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 45,
    seed: Annotated[int, typer.Option(help="Seed of weights and views.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that make views.")] = 1,
    threads: Annotated[int, typer.Option(help="Threads of the network.")] = 1,
    resume: Annotated[
        Path | None, typer.Option(help="Checkpoint whose weights to start from.")
    ] = None,
    models: _ModelsFolder = Path("models"),
    input_px: Annotated[int, typer.Option(help="Side of the input.")] = 160,
    products: Annotated[int, typer.Option(help="Products of a batch.")] = 56,
    scenes: Annotated[
        Path | None,
        typer.Option(help="Pack of `localiser pictures`, for the real photos in it."),
    ] = None,
) -> None:
    """Train the embedder; the best checkpoint on the held-out sets is kept."""
    config = replace(
        TrainConfig(),
        init=init,
        minutes=minutes,
        seed=seed,
        workers=workers,
        threads=threads,
        resume=None if resume is None else str(resume),
        models=str(models),
        scenes=None if scenes is None else str(scenes),
        views=ViewOptions(input_px=input_px),
        batch=BatchOptions(products=products),
    )
    best = run_training(
        PictureCache.open(pictures),
        with_faces(selection_sets(data, every_nth_photo=4), models),
        config=config,
        out=out,
    )
    typer.echo(json.dumps(best))


@app.command()
def restore(
    *,
    models: Annotated[Path, typer.Option(help="Folder of served models.")] = Path(
        "models"
    ),
    out: Annotated[Path, typer.Option(help="Folder of the checkpoint.")] = Path(
        "runs/restored-embedder"
    ),
) -> None:
    """Make a checkpoint of the served embedder, for `train --resume` to go on from."""
    restore_checkpoint(models, out)


@app.command()
def average(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(help="Of one line of training, the one that is the run last."),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path(
        "runs/averaged"
    ),
) -> None:
    """Take the mean of any network's weights: of a run, and what it went on from."""
    take_mean(checkpoints, out)


@app.command()
def export(
    *,
    run: Annotated[Path, typer.Option(help="Folder of a run.")],
    version: Annotated[str, typer.Option(help="Version of the model.")],
    init_source: Annotated[
        str, typer.Option(help="Origin and licence of the initial weights.")
    ],
    pictures: Annotated[
        Path | None,
        typer.Option(help="Cache made by `cache`, to calibrate int8 with."),
    ] = None,
    float32: Annotated[
        bool, typer.Option("--float32", help="Do not quantise to int8.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="Measure on the held-out sets here as well.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of served models.")] = Path(
        "models"
    ),
    input_px: Annotated[int, typer.Option(help="Side of the served input.")] = 224,
    models: _ModelsFolder = Path("models"),
) -> None:
    """Write embedder.onnx and embedder.json, checked against the trained network."""
    if float32 == (pictures is not None):
        raise typer.BadParameter("give --pictures for int8, or --float32")
    manifest = export_embedder(
        run,
        out,
        input_px=input_px,
        provenance=Provenance(version=version, init_source=init_source),
        pictures=None if pictures is None else PictureCache.open(pictures),
        sets=[] if data is None else with_faces(every_set(data), models),
        open_localiser=partial(localiser_in, models),
    )
    typer.echo(json.dumps(manifest["metrics"], indent=1))


@app.command()
def bench(
    *,
    out: Annotated[Path, typer.Option(help="JSON file of the figures.")] = Path(
        "runs/bench.json"
    ),
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes: whether it runs.")
    ] = False,
    only: Annotated[
        list[Part] | None, typer.Option(help="Measure this alone; may be repeated.")
    ] = None,
) -> None:
    """Measure the speed of the served models and the engine on this machine."""
    console = Console(stderr=True)
    report = run_suite(only or tuple(Part), is_quick=quick, tell=console.print)
    report.show(console)
    report.write(out)
    typer.echo(out)


if __name__ == "__main__":
    app()

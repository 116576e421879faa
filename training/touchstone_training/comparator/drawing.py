"""The command that trains on drawn lessons: all that a machine with a GPU runs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from touchstone_training.comparator.learn import LearnConfig, StudioConfig
from touchstone_training.comparator.learn import learn as run_learning
from touchstone_training.simulator.fontbook import installed_fonts

FONTS = Path("open") / "fonts_open"
Run = Annotated[Path, typer.Option(help="Folder of the run.")]
Minutes = Annotated[float, typer.Option(help="How long to train.")]
Seed = Annotated[int, typer.Option(help="Of weights and lessons.")]
Rate = Annotated[float, typer.Option(help="Highest learning rate.")]
Threads = Annotated[int, typer.Option(help="Threads of the network.")]
Batch = Annotated[int, typer.Option(help="Pairs a step.")]
Resume = Annotated[
    Path | None, typer.Option(help="Checkpoint whose weights to start from.")
]


def learn(
    *,
    out: Run = Path("runs/comparator"),
    minutes: Minutes = 40,
    seed: Seed = 0,
    peak_rate: Rate = 2e-3,
    batch: Batch = 48,
    threads: Threads = 2,
    workers: Annotated[int, typer.Option(help="Processes that draw faces.")] = 1,
    kept: Annotated[
        int, typer.Option(help="Designs at hand, 27 MB of the device's memory each.")
    ] = 1200,
    repeats: Annotated[
        int, typer.Option(help="How often each lesson is learned from.")
    ] = 3,
    fonts: Annotated[
        Path | None, typer.Option(help="Folder of fonts; else matplotlib's.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder with open/, for faces of pictures.")
    ] = None,
    first: Annotated[int, typer.Option(help="Designs that training waits for.")] = 60,
    eval_every: Annotated[
        float, typer.Option(help="Seconds from one measurement to the next.")
    ] = 75,
    eval_pairs: Annotated[int, typer.Option(help="Pairs that it is made on.")] = 960,
    resume: Resume = None,
) -> None:
    """Train on pairs that are drawn and photographed on the device meanwhile."""
    config = replace(
        LearnConfig(),
        minutes=minutes,
        batch=batch,
        seed=seed,
        peak_rate=peak_rate,
        threads=threads,
        workers=workers,
        resume=None if resume is None else str(resume),
        eval_every_s=eval_every,
        eval_pairs=eval_pairs,
    )
    own = () if data is None else sorted((data / FONTS).glob("*.ttf"))
    found = (*own, *(() if fonts is None else installed_fonts(fonts)))
    studio = replace(
        StudioConfig(),
        kept=kept,
        fonts=found,
        data=data,
        repeats=repeats,
        first=first,
    )
    typer.echo(json.dumps(run_learning(out, config, studio), indent=1))

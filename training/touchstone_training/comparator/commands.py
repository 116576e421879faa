"""``python -m touchstone_training comparator …``: from nothing to comparator.onnx."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from touchstone_training.comparator.ablation import ablate as compare_designs
from touchstone_training.comparator.aligned import pack as align_pairs
from touchstone_training.comparator.aligned import pack_real
from touchstone_training.comparator.drawing import (
    Batch,
    Minutes,
    Rate,
    Resume,
    Run,
    Seed,
    Threads,
    learn,
)
from touchstone_training.comparator.golden import golden as golden_template
from touchstone_training.comparator.judging import JudgingConfig
from touchstone_training.comparator.judging import judge as judge_whole
from touchstone_training.comparator.learn import LearnConfig
from touchstone_training.comparator.lessons import CROP_PX
from touchstone_training.comparator.on_real import answer_of, on_real
from touchstone_training.comparator.pairs import FIRST_SEED, make_pairs
from touchstone_training.comparator.release import release_comparator
from touchstone_training.comparator.restoring import restore as restore_checkpoint
from touchstone_training.comparator.seeing import closer as look_closer
from touchstone_training.comparator.seeing import colours as know_colours
from touchstone_training.comparator.tune import tune as run_tuning
from touchstone_training.data import read_manifest, split
from touchstone_training.proving import fonts_of, seal
from touchstone_training.study import REAL_TRAINING_SET

app = typer.Typer(
    no_args_is_help=True,
    help="Make the learned comparator: learn, pairs, pack, tune, export; and studies.",
)
app.command()(learn)

_Pairs = Annotated[Path, typer.Option(help="Folder of photographed pairs.")]
_Aligned = Annotated[Path, typer.Option(help="Folder of aligned pairs.")]
_Workers = Annotated[int, typer.Option(help="Processes; one a core.")]
_Data = Annotated[Path | None, typer.Option(help="Folder with open/fonts_open.")]


@app.command()
def pairs(
    *,
    out: _Pairs = Path("runs/pairs"),
    designs: Annotated[int, typer.Option(help="How many designs.")] = 900,
    first_seed: Annotated[int, typer.Option(help="Of the designs.")] = FIRST_SEED,
    data: _Data = None,
    workers: _Workers = 2,
) -> None:
    """Photograph genuine and forged prints; may be stopped and taken up again."""
    make_pairs(
        out,
        designs=designs,
        first_seed=first_seed,
        fonts=[] if data is None else fonts_of(data),
        data=data,
        workers=workers,
    )


@app.command()
def pack(
    *,
    photographed: _Pairs = Path("runs/pairs"),
    out: _Aligned = Path("runs/aligned"),
    data: _Data = None,
    workers: _Workers = 2,
) -> None:
    """Register and relight pairs as the service does, real ones of ``--data`` too."""
    align_pairs(photographed, out, workers=workers)
    if data is not None:
        every = read_manifest(data / REAL_TRAINING_SET)
        real = [item for item in every if split(item.product_id) == "train"]
        typer.echo(f"{pack_real(real, out)} pairs of real packages")


@app.command()
def tune(
    *,
    aligned: _Aligned = Path("runs/aligned"),
    out: Run = Path("runs/tuned"),
    minutes: Minutes = 30,
    seed: Seed = 0,
    peak_rate: Rate = 1e-4,
    batch: Batch = 12,
    threads: Threads = 2,
    workers: Annotated[int, typer.Option(help="Processes that make crops.")] = 1,
    varied: Annotated[
        float,
        typer.Option(help="How often a photo is varied: 1 from nothing, else less."),
    ] = 0.4,
    crop: Annotated[
        int, typer.Option(min=64, help="Side of a crop, pixels; 640 is most faces.")
    ] = CROP_PX,
    averaging: Annotated[
        float,
        typer.Option(help="What the running mean of the weights keeps at each step."),
    ] = LearnConfig().averaging,
    resume: Resume = None,
) -> None:
    """Train on photographs that the engine registered, from what `learn` gave."""
    config = replace(
        LearnConfig(),
        minutes=minutes,
        batch=batch,
        seed=seed,
        peak_rate=peak_rate,
        threads=threads,
        workers=workers,
        averaging=averaging,
        resume=None if resume is None else str(resume),
        keep_statistics=resume is not None,
    )
    made = run_tuning(aligned, out, config, varied=varied, crop_px=crop)
    typer.echo(json.dumps(made, indent=1))


@app.command()
def judge(
    *,
    aligned: _Aligned = Path("runs/aligned"),
    run: Annotated[Path, typer.Option(help="What to go on from.")] = Path("runs/tuned"),
    out: Run = Path("runs/judged"),
    seed: Seed = 0,
    threads: Threads = 2,
) -> None:
    """Learn the whole-print numbers on whole faces; the map of `tune` stays."""
    made = judge_whole(aligned, run, out, JudgingConfig(seed=seed), threads=threads)
    typer.echo(json.dumps(made, indent=1))


@app.command()
def restore(
    *,
    models: Annotated[Path, typer.Option(help="Folder of served models.")] = Path(
        "models"
    ),
    out: Run = Path("runs/restored"),
) -> None:
    """Make a checkpoint of the served comparator, for `tune --resume` to go on from."""
    restore_checkpoint(models, out)


@app.command()
def ablate(
    *,
    aligned: _Aligned = Path("runs/aligned"),
    models: Annotated[Path, typer.Option(help="Folder of served models.")] = Path(
        "models"
    ),
    most: Annotated[int, typer.Option(help="Pairs to fit on, and to judge.")] = 600,
) -> None:
    """Measure the served network beside designs that use the embedder's features."""
    share = LearnConfig().held_out_share
    typer.echo(json.dumps(compare_designs(aligned, models, share=share, most=most)))


@app.command()
def closer(
    *,
    photographed: _Pairs = Path("runs/pairs"),
    models: Annotated[Path, typer.Option(help="Folder of served models.")] = Path(
        "models"
    ),
    share: Annotated[float, typer.Option(help="Of the designs, the last.")] = 0.08,
) -> None:
    """Measure what a closer look tells of photos that hold it, beside the other."""
    typer.echo(json.dumps(look_closer(photographed, models, share=share)))


@app.command()
def colours(*, aligned: _Aligned = Path("runs/aligned")) -> None:
    """Measure how well a changed colour is told by who knows where it lies."""
    typer.echo(json.dumps(know_colours(aligned)))


@app.command()
def real(
    *,
    data: Annotated[Path, typer.Option(help="Folder with measure and open.")],
    run: Annotated[
        Path | None, typer.Option(help="Folder of a checkpoint; else what is served.")
    ] = None,
    models: Annotated[Path, typer.Option(help="Folder of served models.")] = Path(
        "models"
    ),
) -> None:
    """Measure it on real photos that the benchmark leaves out, before a release."""
    typer.echo(json.dumps(on_real(data, answer_of(run, models)), indent=1))


@app.command()
def golden(
    *,
    models: Annotated[Path, typer.Option(help="Folder of served models.")] = Path(
        "models"
    ),
    designs: Annotated[int, typer.Option(help="How many designs.")] = 24,
    data: _Data = None,
) -> None:
    """Measure what 1, 3 and 5 genuine specimens of a reference would add."""
    fonts = [] if data is None else fonts_of(data)
    typer.echo(json.dumps(golden_template(models, designs=designs, fonts=fonts)))


@app.command()
def export(
    *,
    run: Run = Path("runs/comparator"),
    aligned: _Aligned = Path("runs/aligned"),
    out: Annotated[Path, typer.Option(help="Folder of served models.")] = Path(
        "models"
    ),
    version: Annotated[str, typer.Option(help="Version of the model.")] = "0.1.0",
    float32: Annotated[
        bool, typer.Option("--float32", help="Do not quantise to int8.")
    ] = False,
) -> None:
    """Write comparator.onnx and comparator.json, measured against the trained net."""
    manifest = release_comparator(
        run, aligned, out, version=version, is_int8=not float32
    )
    seal(out)
    typer.echo(json.dumps(manifest["held_out_auroc"], indent=1))

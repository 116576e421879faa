"""``python -m touchstone_training simulator …``: what is drawn, and how fast."""

from pathlib import Path
from typing import Annotated

import typer

from touchstone.bootstrap import use_one_thread
from touchstone_training.simulator.fontbook import installed_fonts
from touchstone_training.simulator.lots import LotPlan, make_lot
from touchstone_training.simulator.pace import measured
from touchstone_training.simulator.showing import write_sheets

app = typer.Typer(
    no_args_is_help=True,
    help="The simulator of packages: contact sheets, seized lots and speed.",
)

_PHOTO_SIDES_PX = ((800, 600), (1600, 1200))
_PRINT_SIDES_PX = (640, 960, 1400)


@app.command()
def sheets(
    *,
    out: Annotated[Path, typer.Option(help="Folder of the sheets.")] = Path(
        "runs/sheets"
    ),
    seed: Annotated[int, typer.Option(help="Of the designs.")] = 0,
) -> None:
    """Write contact sheets of families, counterfeits and photographs."""
    for path in write_sheets(out, fonts=installed_fonts(), seed=seed):
        typer.echo(path)


@app.command()
def lot(
    *,
    out: Annotated[Path, typer.Option(help="Folder of the lot.")],
    photos: Annotated[int, typer.Option(help="How many.", min=1)],
    sources: Annotated[int, typer.Option(help="Print sources of fakes.", min=0)] = 3,
    fake_share: Annotated[
        float, typer.Option(help="Of the photos.", min=0, max=1)
    ] = 0.3,
    products: Annotated[int, typer.Option(help="Different products.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Of everything.", min=0)] = 0,
    size: Annotated[str, typer.Option(help="Of a photo: usual or small.")] = "usual",
    difficulty: Annotated[
        float, typer.Option(help="Mean difficulty of the photos.", min=0, max=1)
    ] = 0.2,
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
) -> None:
    """Simulate a seized lot: references.csv to enrol, photos/ and truth.csv.

    Run again, it goes on where it was stopped.
    """
    use_one_thread()
    plan = LotPlan(photos, sources, fake_share, products, seed, size, difficulty)
    drawn = make_lot(out, plan, fonts=installed_fonts(), workers=workers)
    typer.echo(f"{drawn} photos drawn of {photos}: {out / 'truth.csv'}")


@app.command()
def speed(
    *,
    designs: Annotated[int, typer.Option(help="How many to draw.", min=1)] = 16,
) -> None:
    """Measure how many training pairs a second one core draws and photographs."""
    use_one_thread()
    fonts = installed_fonts()
    for side in _PRINT_SIDES_PX:
        pace = measured(designs, long_side_px=side, fonts=fonts)
        typer.echo(f"{pace.pairs_per_second:.1f} prints of {side} px a second and core")
    for size in _PHOTO_SIDES_PX:
        side = size[0] * 7 // 8
        pace = measured(designs, long_side_px=side, photo_px=size, fonts=fonts)
        typer.echo(
            f"{pace.pairs_per_second:.1f} photographed pairs of"
            f" {size[0]} x {size[1]} px a second and core"
        )

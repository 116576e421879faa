"""``benchmark``: everything measured in one run, and written into the model card."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from touchstone.bootstrap import (
    CALIBRATION,
    EMBEDDER,
    MANIFEST,
    SEAL,
    VALIDATION,
    open_policy,
)
from touchstone.errors import InvalidInputError
from touchstone.settings import Settings
from touchstone_training.benchmark import card
from touchstone_training.benchmark.gallery import (
    contact_sheet,
    failures_document,
    worst,
)
from touchstone_training.benchmark.identification import (
    Answer,
    Query,
    identification_document,
    identify,
)
from touchstone_training.benchmark.observations import (
    Observation,
    read_observations,
    write_observations,
)
from touchstone_training.benchmark.peers import with_patchcore
from touchstone_training.benchmark.pictures import Kept
from touchstone_training.benchmark.plots import draw_plots
from touchstone_training.benchmark.published import validation_document
from touchstone_training.benchmark.real import (
    RealRow,
    observe_planted,
    real_document,
    real_sets,
    verify_real,
)
from touchstone_training.benchmark.report import (
    Document,
    capped,
    counterfeit_document,
    planted_document,
    products_document,
    without_nan,
)
from touchstone_training.benchmark.scores import DRAWS
from touchstone_training.benchmark.simulated import (
    DIFFICULTIES,
    FIRST_PRODUCT,
    Plan,
    observe_products,
    observe_simulated,
)
from touchstone_training.proving import fonts_of, seal
from touchstone_training.running import current_commit

EVALUATION = "evaluation.json"
FIGURES = "figures"
SHEET = "failures.jpg"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    designs: int = 40
    genuine: int = 5
    forged: int = 8
    every_nth: int = 1
    planted: int = 50
    """Photos of each real set into which counterfeits are planted, at the most."""
    most_products: int | None = None
    """Of each real set."""
    products: int = 120
    """Further unseen designs of which genuine prints alone are examined."""
    draws: int = DRAWS


QUICK = Sizes(
    designs=2,
    genuine=2,
    forged=4,
    every_nth=6,
    planted=3,
    most_products=4,
    products=2,
    draws=50,
)


@dataclass(frozen=True, slots=True)
class Rows:
    """Everything that was measured in one run."""

    simulated: list[Observation]
    answers: list[Answer]
    real: list[RealRow]
    planted: list[Observation]
    products: list[Observation]
    """Genuine prints of many designs."""


def benchmark(
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with measure/SET and open/SET: real photos, never trained on."
        ),
    ] = None,
    models: Annotated[Path, typer.Option(help="Folder of served models.")] = Path(
        "models"
    ),
    out: Annotated[
        Path | None,
        typer.Option(help="Report; figures go beside it. Default: with the models."),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder for rows and pictures.")] = Path(
        "runs/benchmark"
    ),
    designs: Annotated[int, typer.Option(help="Unseen designs.", min=2)] = 40,
    every_nth: Annotated[
        int, typer.Option(help="Look at every nth real photo.", min=1)
    ] = 1,
    planted: Annotated[
        int, typer.Option(help="Photos of each set to plant into.", min=0)
    ] = 50,
    products: Annotated[
        int,
        typer.Option(help="Further designs, genuine: how false calls differ.", min=0),
    ] = 120,
    patchcore_python: Annotated[
        Path | None,
        typer.Option(help="Python that has anomalib and onnxruntime, for that peer."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes; one a core.", min=1)] = 2,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes: whether it runs.")
    ] = False,
    reuse: Annotated[
        bool, typer.Option("--reuse", help="Report the rows of an earlier run anew.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report.")] = False,
) -> None:
    """Measure how right the service is, beside peers, and write it into the card.

    Raises:
        InvalidInputError: nothing of an earlier run to reuse, or a peer does not run.
    """
    sizes = (
        QUICK
        if quick
        else Sizes(designs, every_nth=every_nth, planted=planted, products=products)
    )
    if out is None:
        out = (runs if quick else models) / EVALUATION
    manifest = json.loads((models / MANIFEST).read_text(encoding="utf-8"))
    kept = Kept(runs, int(manifest["input_px"]))
    if reuse:
        made_by, rows = _read(runs)
    else:
        made_by = _made_by(models, sizes)
        rows = _measured(data, models, kept, sizes, workers)
        _write(runs, made_by, rows)
    if patchcore_python is not None:
        rows = _with_patchcore(rows, kept, patchcore_python, models / EMBEDDER)
        _write(runs, made_by, rows)
    report = _reported(made_by, rows, models, kept, out.parent / FIGURES)
    _write_report(out, report)
    if out == models / EVALUATION:
        # What the service says of a lot rests on these counts, so they are sealed too.
        _write_report(models / VALIDATION, validation_document(report))
        if (models / SEAL).is_file():
            seal(models)
    if out == models / EVALUATION and (models / card.CARD).is_file():
        card.write_card(models)
    typer.echo(out.read_text(encoding="utf-8") if as_json else _summary(report, out))


def _made_by(models: Path, sizes: Sizes) -> Document:
    policy = (models / CALIBRATION).read_bytes()
    return {
        "commit": current_commit(),
        "policy": hashlib.sha256(policy).hexdigest(),
        "sizes": asdict(sizes),
    }


# --- measured -------------------------------------------------------------------------


def _measured(
    data: Path | None, models: Path, kept: Kept, sizes: Sizes, workers: int
) -> Rows:
    # Pictures of an earlier run would pass for this one's.
    for name in ("crops", "references", "strips", "queries"):
        shutil.rmtree(kept.folder / name, ignore_errors=True)
    fonts = tuple(fonts_of(data)) if data else ()
    plan = Plan(sizes.designs, sizes.genuine, sizes.forged)
    simulated = observe_simulated(models, plan, kept, fonts, workers=workers)
    genuine = Plan(sizes.products, sizes.genuine, 0, FIRST_PRODUCT)
    of_products = observe_products(models, genuine, kept, fonts, workers=workers)
    queries = [
        Query(kept.query_of(one.name), one.group, one.source)
        for one in (*simulated, *of_products)
        if not one.is_fake
    ]
    seeds = [*plan.seeds, *genuine.seeds]
    answers = identify(queries, seeds, models, fonts, workers=workers)
    if data is None:
        return Rows(simulated, answers, [], [], of_products)
    sets = real_sets(data, every_nth=sizes.every_nth, most_products=sizes.most_products)
    real = verify_real(sets, models, workers=workers)
    planted = (
        observe_planted(sets, models, kept, most_photos=sizes.planted, workers=workers)
        if sizes.planted
        else []
    )
    return Rows(simulated, answers, real, planted, of_products)


def _with_patchcore(rows: Rows, kept: Kept, python: Path, embedder: Path) -> Rows:
    both = [*rows.simulated, *rows.planted]
    scored = with_patchcore(both, kept, python=python, embedder=embedder.read_bytes())
    split = len(rows.simulated)
    return replace(rows, simulated=scored[:split], planted=scored[split:])


def _write(runs: Path, made_by: Document, rows: Rows) -> None:
    write_observations(runs / "simulated.jsonl", rows.simulated)
    write_observations(runs / "planted.jsonl", rows.planted)
    write_observations(runs / "products.jsonl", rows.products)
    other = {
        "made_by": made_by,
        "answers": [asdict(one) for one in rows.answers],
        "real": [asdict(one) for one in rows.real],
    }
    (runs / "run.json").write_text(json.dumps(other), encoding="utf-8")


def _read(runs: Path) -> tuple[Document, Rows]:
    try:
        other = json.loads((runs / "run.json").read_text(encoding="utf-8"))
        rows = Rows(
            read_observations(runs / "simulated.jsonl"),
            [Answer(**one) for one in other["answers"]],
            [RealRow(**one) for one in other["real"]],
            read_observations(runs / "planted.jsonl"),
            read_observations(runs / "products.jsonl"),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(f"{runs} holds no run to reuse: {error}") from error
    return other["made_by"], rows


# --- reported -------------------------------------------------------------------------


def _reported(
    made_by: Document, rows: Rows, models: Path, kept: Kept, figures: Path
) -> Document:
    policy = open_policy(Settings.load(model_dir=models))
    draws = made_by["sizes"]["draws"]
    sources = {name: [name] for name, _ in DIFFICULTIES}
    sources["both"] = [name for name, _ in DIFFICULTIES]
    simulated = {
        name: counterfeit_document(
            [row for row in rows.simulated if row.source in own], policy, draws=draws
        )
        for name, own in sources.items()
    }
    examined = [row for row in rows.simulated if row.is_examined]
    draw_plots(
        figures,
        examined,
        capped(examined, policy),
        simulated["both"],
        draws=draws,
    )
    misses, alarms = worst(rows.simulated)
    sheet = contact_sheet([*misses, *alarms], kept)
    if sheet:
        (figures / SHEET).write_bytes(sheet)
    return {
        "format": card.FORMAT,
        **made_by,
        "simulated": simulated,
        "products": products_document(
            [one for one in (*rows.simulated, *rows.products) if not one.is_fake]
        ),
        "identification": identification_document(rows.answers),
        "real": _by_set(rows.real, real_document),
        "planted": {
            name: planted_document(
                [row for row in rows.planted if name in {row.source, card.ALL}],
                draws=draws,
            )
            for name in _names([row.source for row in rows.planted])
        },
        "failures": failures_document(rows.simulated, rows.planted),
    }


def _by_set(rows: Sequence[RealRow], document: Any) -> Document:
    return {
        name: document([row for row in rows if name in {row.set, card.ALL}])
        for name in _names([row.set for row in rows])
    }


def _names(sets: Sequence[str]) -> list[str]:
    return [*sorted(set(sets)), card.ALL] if sets else []


def _write_report(path: Path, report: Document) -> None:
    """Write a report as JSON, sorted, so that two runs can be compared by eye."""
    text = json.dumps(without_nan(report), indent=1, sort_keys=True, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def _summary(report: Document, out: Path) -> str:
    lines = [str(out)]
    for name, one in report["simulated"].items():
        systems = {
            system: f"{own['auroc']['value']:.3f}"
            for system, own in one["systems"].items()
        }
        told = ", ".join(f"{system} {value}" for system, value in systems.items())
        lines.append(f"simulated, {name}: AUROC {told}")
    for name, one in report["planted"].items():
        told = ", ".join(
            f"{system} {own['value']:.3f}" for system, own in one["auroc"].items()
        )
        lines.append(f"planted, {name}: AUROC {told}")
    return "\n".join(lines)

"""``touchstone lot plan``, ``conclude`` and ``report``: what is said of a whole lot."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from touchstone.bootstrap import Application, build, open_store
from touchstone.cli.lots import LotId
from touchstone.cli.options import Data, Json, settings_with
from touchstone.cli.output import emit, progress_bar, say, show, table_of
from touchstone.engine.sampling import Rule
from touchstone.errors import InvalidInputError
from touchstone.lots import Conclusion, conclusion_document
from touchstone.lots.planning import planned
from touchstone.lots.results import write_whole
from touchstone.reports.document import report_json
from touchstone.reports.pdf import pdf_of
from touchstone.store import Caller, Lot, LotItem


def plan(
    lot_id: LotId,
    *,
    rule: Annotated[
        Rule, typer.Option(help="How many units are to be drawn.")
    ] = Rule.HYPERGEOMETRIC,
    share: Annotated[
        float, typer.Option(help="Share of counterfeits that is to be met with.")
    ] = 0.05,
    confidence: Annotated[float, typer.Option(help="How surely.")] = 0.95,
    sensitivity: Annotated[
        float, typer.Option(help="How often an examined counterfeit is called.")
    ] = 1.0,
    seed: Annotated[
        str | None,
        typer.Option(help="Of the draw.", show_default="the lot's reference number"),
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Plan how many units of a lot are examined, and draw them.

    The lot must tell its units. Anybody can repeat the draw: units in the order of the
    SHA-256 of SEED/NUMBER.

    Example: touchstone lot plan LOT --share 0.01 --confidence 0.99
    """
    with closing(open_store(settings_with(data))) as store:
        caller = store.ensure_local_operator()
        found = store.filed(caller, Lot, lot_id)
        made = planned(
            found,
            rule,
            share=share,
            confidence=confidence,
            sensitivity=sensitivity,
            seed=seed,
        )
        store.plan_lot(caller, lot_id, made)
    say(made["sentence"])
    if json:
        emit(made)
    else:
        show(table_of(("draw", "unit"), list(enumerate(made["positions"], 1))))


def conclude_lot(lot_id: LotId, *, data: Data = None, json: Json = False) -> None:
    """Say of a lot what its photos tell together: share, printings, what to look at.

    What was concluded is kept, and said again until something new is known.

    Example: touchstone lot conclude LOT
    """
    with build(settings_with(data)) as parts:
        conclusion, items = _concluded(
            parts, parts.store.ensure_local_operator(), lot_id
        )
    document = conclusion_document(conclusion, items)
    if json:
        emit(document)
        return
    _tell_conclusion(document)


def _concluded(
    parts: Application, caller: Caller, lot_id: str
) -> tuple[Conclusion, Sequence[LotItem]]:
    with progress_bar("Comparing prints") as bar:
        found = parts.concluder.conclude(caller, lot_id, tell=bar.advance_to)
        bar.advance_to(found[0].photos, found[0].photos)
    return found


def _tell_conclusion(document: dict[str, Any]) -> None:
    share = document["share"]
    upper = "" if share["high"] >= 1 else f" and at most {share['high']:.1%}"
    say(
        f"Share of counterfeits: at least {share['low']:.1%}{upper} "
        f"({share['confidence']:.0%} interval)."
    )
    if share["estimate"] is not None:
        say(
            "If its counterfeits are seen as often as those of the validation were on "
            f"average, about {share['estimate']:.1%}."
        )
    say(share["advice"])
    say(document["composition"]["sentence"])
    if document["printings"]:
        columns = ("printing", "items", "called", "median log10 LR", "exemplar")
        rows = [
            [
                one["number"],
                len(one["items"]),
                one["inconsistent"],
                one["median_log10_lr"],
                one["exemplar"]["image"],
            ]
            for one in document["printings"]
        ]
        show(table_of(columns, rows))
    for one in document["repeated_serials"]:
        say(f"Serial {one['serial']} is on {len(one['items'])} items.")
    rows = [[one["rank"], one["image"], one["reason"]] for one in document["triage"]]
    show(table_of(("first", "photo", "why"), rows[:10]))


def report(
    lot_id: LotId,
    *,
    out: Annotated[
        Path, typer.Option(help="A .pdf (PDF/A), or a .json.", dir_okay=False)
    ],
    data: Data = None,
    json: Json = False,
) -> None:
    """Write the report of a lot for the file.

    Example: touchstone lot report LOT --out report.pdf
    """
    if out.suffix.lower() not in {".pdf", ".json"}:
        raise InvalidInputError("--out must end in .pdf or .json.", field="out")
    with build(settings_with(data)) as parts:
        caller = parts.store.ensure_local_operator()
        conclusion, items = _concluded(parts, caller, lot_id)
        made = parts.reporter().report(
            caller, conclusion, items, made_at=datetime.now(UTC)
        )
    content = pdf_of(made) if out.suffix.lower() == ".pdf" else report_json(made)
    write_whole(out, content)
    say(f"Report: {out}")
    if json:
        emit({"out": str(out), "bytes": len(content)})

"""The measured part of the model card, written from the reports and nothing else.

What stands between the two marks in ``models/README.md`` is replaced; words around
them are people's.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from touchstone.errors import InvalidInputError

BEGIN = "<!-- measured: written by `evaluate`, do not edit -->"
END = "<!-- end of what was measured -->"

_SETS = {
    "smvs_dvd_covers": "DVD covers",
    "beer_brands_dipsum": "beer labels",
    "grocery_held_out": "grocery, unseen brands",
    "arc2017": "robotics items",
}
_REAL = ("recall_at_1", "accepted_wrong", "known_lost")


def write_card(models: Path) -> None:
    """Write the tables of ``evaluation.json`` into the card beside it.

    Raises:
        InvalidInputError: the card lacks the marks between which they stand.
    """
    card = models / "README.md"
    text = card.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InvalidInputError(f"{card} has no place for what is measured: {BEGIN}")
    report, policy = (
        json.loads((models / name).read_text(encoding="utf-8"))
        for name in ("evaluation.json", "calibration.json")
    )
    tables = "\n".join(measured(report, policy))
    card.write_text(f"{before}{BEGIN}\n\n{tables}\n{END}{after}", encoding="utf-8")


def measured(report: dict[str, Any], policy: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the measured part."""
    fitted = policy["evaluation"]
    yield (
        f"Out of fold, on {policy['made_by']['options']['designs']} designs: AUROC "
        f"{fitted['auroc_out_of_fold']:.3f}, Cllr {fitted['cllr_out_of_fold']:.2f} "
        "(1 is no news)."
    )
    yield ""
    yield "### Real photographs, the whole service"
    yield ""
    yield from _real(report)
    yield "### Simulated counterfeits, unseen designs"
    yield ""
    yield from _simulated(report["simulated"])


def _real(report: dict[str, Any]) -> Iterator[str]:
    yield (
        "| set | recall@1 | named another product | enrolled, but not named "
        "| unknown, not named | genuine called inconsistent |"
    )
    yield "|---|---|---|---|---|---|"
    for name, one in report["real"].items():
        shares = [_share(one[key]) for key in _REAL]
        rest = [_share(one["unknown_rejected"]), _share(one["genuine_inconsistent"])]
        yield _row(_SETS.get(name, name), *shares, *rest)
    pooled = report["real_overall"]
    shares = [_share(pooled[key]) for key in _REAL]
    yield _row("**all**", *shares, "", _share(pooled["genuine_inconsistent"]))
    yield ""
    yield "| set | findings | why insufficient (a photo may have several reasons) |"
    yield "|---|---|---|"
    for name, one in report["real"].items():
        told = (_counted(one[key]) for key in ("findings", "reasons"))
        yield _row(_SETS.get(name, name), *told)
    yield ""


def _counted(counts: Mapping[str, int]) -> str:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} `{name}`" for name, count in ranked)


def _simulated(reports: dict[str, Any]) -> Iterator[str]:
    yield (
        "| photographs | examined | AUROC | cosine of the embedding "
        "| SIFT + homography + SSIM | TPR at 1 % FPR | Cllr |"
    )
    yield "|---|---|---|---|---|---|---|"
    for name, one in reports.items():
        yield _row(
            f"{name}, {one['photos']} of {one['options']['designs']} designs",
            f"{one['examined_share']:.2f}",
            *(_area(one[key]) for key in ("touchstone", "embedding_cosine")),
            _area(one["sift_ssim"]),
            f"{one['touchstone']['tpr_at_1_percent_fpr']:.2f}",
            f"{one['cllr']:.2f}",
        )
    for name, one in reports.items():
        yield ""
        yield f"By kind, {name} (few photos each, so single figures are rough):"
        yield ""
        yield "| kind | photos | AUROC | cosine | SIFT + SSIM | top region on change |"
        yield "|---|---|---|---|---|---|"
        ranked = sorted(
            one["per_kind"].items(), key=lambda item: -(item[1]["touchstone"] or 0)
        )
        for kind, of_kind in ranked:
            numbers = (
                of_kind[key]
                for key in (
                    "touchstone",
                    "embedding_cosine",
                    "sift_ssim",
                    "top_region_on_change",
                )
            )
            yield _row(
                kind.replace("_", " "),
                str(of_kind["photos"]),
                *("" if number is None else f"{number:.2f}" for number in numbers),
            )
    yield ""


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _share(share: dict[str, Any]) -> str:
    low, high = share["interval95"]
    return (
        f"{share['hits']}/{share['total']} = {share['share']:.3f} "
        f"[{low:.3f}, {high:.3f}]"
    )


def _area(area: dict[str, Any]) -> str:
    low, high = area["interval95"]
    return f"{area['auroc']:.3f} [{low:.3f}, {high:.3f}]"

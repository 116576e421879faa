"""The measured part of the model card, written from the reports and nothing else.

What stands between the two marks in ``models/README.md`` is replaced; words around
them are people's.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from touchstone.errors import InvalidInputError
from touchstone_training.benchmark.cells import (
    counted,
    head,
    number,
    ordered,
    row,
    share,
    span,
    value,
)
from touchstone_training.benchmark.peers import OURS
from touchstone_training.benchmark.plots import LABELS
from touchstone_training.benchmark.simulated import SEVERITIES

CARD = "README.md"
BEGIN = "<!-- measured: written by `benchmark`, do not edit -->"
END = "<!-- end of what was measured -->"
FORMAT = 5
"""Of the report; a card is written from no other."""
ALL = "all"

_SETS = {
    "smvs_dvd_covers": "DVD covers",
    "beer_brands_dipsum": "beer labels",
    "grocerystore_packages": "grocery, unseen brands",
    "arc2017_items_jsk": "robotics items",
    ALL: "**all**",
}
_UNSUPPORTED = "\\*"


def write_card(models: Path) -> None:
    """Write the tables of ``evaluation.json`` into the card beside it.

    Raises:
        InvalidInputError: the card lacks the marks between which they stand, or the
            report is of another form.
    """
    card = models / CARD
    text = card.read_text(encoding="utf-8")
    # The marks may be those of an older command.
    start, end = text.find("<!-- measured"), text.find(END)
    if not 0 <= start < end:
        raise InvalidInputError(f"{card} has no place for what is measured: {BEGIN}")
    report, policy = (
        json.loads((models / name).read_text(encoding="utf-8"))
        for name in ("evaluation.json", "calibration.json")
    )
    if report.get("format") != FORMAT:
        raise InvalidInputError("evaluation.json is not of this benchmark.")
    tables = "\n".join(measured(report, policy))
    card.write_text(f"{text[:start]}{BEGIN}\n\n{tables}\n{text[end:]}", "utf-8")


def measured(report: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the measured part."""
    fitted = policy["evaluation"]
    yield (
        f"Out of fold, on {policy['made_by']['options']['designs']} designs: AUROC "
        f"{number(fitted['auroc_out_of_fold'], 3)}, Cllr "
        f"{number(fitted['cllr_out_of_fold'])} (1 is no news). In brackets: 95 % "
        "intervals by a bootstrap over products (designs), never over photos; where "
        "all or none of the photos agree, Wilson's for so many products."
    )
    yield ""
    yield from _simulated(report["simulated"])
    yield from _products(report["products"], policy)
    yield from _identification(report["identification"])
    if report["real"]:
        yield from _real(report["real"])
    if report["planted"]:
        yield from _planted(report["planted"])
    yield from _failures(report["failures"])


# --- simulated ------------------------------------------------------------------------


def _simulated(reports: Mapping[str, Any]) -> Iterator[str]:
    yield "### Simulated counterfeits, unseen designs"
    yield ""
    reports = dict(ordered(reports, _PHOTOS))
    yield from _systems(reports)
    yield from _decided(reports)
    yield "![ROC](figures/roc.svg) ![DET](figures/det.svg)"
    yield ""
    yield "![Tippett](figures/tippett.svg) ![Calibration](figures/calibration.svg)"
    yield ""
    yield "![By kind](figures/kinds.svg) ![By severity](figures/severity.svg)"
    yield ""
    for key, title in (
        ("per_severity", "By severity"),
        ("per_family", "By product family, against genuine photos of that family"),
        ("per_kind", "By kind"),
    ):
        names = ("inspector", "field") if key == "per_kind" else ("both",)
        for name in names:
            if name in reports:
                yield from _slices(reports[name], key, f"{title}, {_PHOTOS[name]}")


_PHOTOS = {
    "inspector": "inspector photographs",
    "field": "field photographs",
    "both": "all photographs",
}


def _systems(reports: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "| photographs | system | AUROC | the subtlest third | equal error rate "
        "| TPR at 1 % FPR | TPR at 0.1 % FPR |"
    )
    yield "|---|---|---|---|---|---|---|"
    rates = ("tpr_at_1_percent_fpr", "tpr_at_0_1_percent_fpr")
    is_all_supported = True
    for name, one in reports.items():
        photos = f"{name}, {one['photos']} of {one['designs']} designs"
        for system, own in ordered(one["systems"], LABELS):
            yield row(
                photos,
                f"**{LABELS[system]}**" if system == OURS else LABELS[system],
                *(span(own[key]) for key in ("auroc", "auroc_subtlest_third", "eer")),
                *(_rate(own[key]) for key in rates),
            )
            is_all_supported &= all(own[key]["is_supported"] for key in rates)
        if "patchcore" not in one["systems"]:
            missing = ["not run: `--patchcore-python`", *[""] * 4]
            yield row(photos, LABELS["patchcore"], *missing)
    yield ""
    yield (
        "All systems on the photos that the policy examined. Ours on every photo in "
        "which the reference was found, abstention set aside: "
        + "; ".join(f"{n} {span(o['before_abstention'])}" for n, o in reports.items())
        + "."
    )
    if not is_all_supported:
        genuine = "; ".join(f"{n} {o['genuine_examined']}" for n, o in reports.items())
        yield (
            f"{_UNSUPPORTED} Fewer genuine photos than one false alarm of that rate "
            f"needs ({genuine}): the share found at no false alarm at all."
        )
    yield ""


def _rate(one: Mapping[str, Any]) -> str:
    return span(one) + ("" if one["is_supported"] else f" {_UNSUPPORTED}")


def _decided(reports: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "| photographs | Cllr | Cllr, best recalibrated | abstained: genuine "
        "| abstained: counterfeits | genuine called inconsistent "
        "| counterfeits called inconsistent | top region on a local change |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for name, one in reports.items():
        sides = one["decisions"]
        yield row(
            name,
            span(one["likelihood"]["cllr"], 2),
            span(one["likelihood"]["cllr_min"], 2),
            *(
                share(sides[side][key])
                for key in ("abstained", "inconsistent")
                for side in ("genuine", "counterfeit")
            ),
            share(one["localisation"]),
        )
    yield ""
    for name, one in reports.items():
        findings = (
            f"{side}: {counted(own['findings'])}"
            for side, own in one["decisions"].items()
        )
        yield f"* Findings, {_PHOTOS[name]}; {'; '.join(findings)}."
    yield ""


def _slices(one: Mapping[str, Any], key: str, title: str) -> Iterator[str]:
    systems = [name for name in LABELS if name in one["systems"]]
    yield f"{title}:"
    yield ""
    yield from head(
        *(key.removeprefix("per_"), "photos", *(LABELS[name] for name in systems)),
        *("called inconsistent", "top region on change"),
    )
    slices = list(ordered(one[key], [name for name, _ in SEVERITIES]))
    if key == "per_kind":
        slices.sort(key=lambda item: -(value(item[1]["auroc"].get(OURS)) or 0))
    for name, own in slices:
        yield row(
            name.replace("_", " "),
            str(own["photos"]),
            *(_area(own["auroc"].get(system), system) for system in systems),
            share(own["called_inconsistent"], is_short=True),
            share(own["localisation"], is_short=True),
        )
    yield ""


def _area(one: Mapping[str, Any] | None, system: str) -> str:
    if one is None:
        return ""
    return span(one, 2) if system == OURS else number(one["value"])


def _products(one: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[str]:
    yield "### Genuine prints called inconsistent, by product"
    yield ""
    worst = one["most_false_calls"]
    yield (
        f"Of {one['designs']} unseen designs, {one['designs_with_false_calls']} have "
        f"any false call; the one with most has {worst['inconsistent']} of "
        f"{worst['answered']} photographs that were answered. Over all photographs: "
        f"{share(one['inconsistent'])} called, {share(one['abstained'])} abstained. "
        "The conclusion on a lot allows for such a product (`validation.json`)."
    )
    yield ""
    general = policy["thresholds"]["inconsistent_log10_lr"]
    yield (
        "By class of product: the log10 LR at most which a print of it is called "
        f"inconsistent ({number(general)} for a class that is not listed), how many "
        "held-back genuine photos it was set by, and what became of genuine photos of "
        "the unseen designs."
    )
    yield ""
    yield from head(
        "class", "threshold", "called where it was set", "designs here", "called here"
    )
    for name, own in one["per_class"].items():
        fitted = policy.get("classes", {}).get(name)
        yield row(
            name.replace("_", " "),
            number(fitted["inconsistent_log10_lr"] if fitted else general),
            f"{fitted['genuine_called']}/{fitted['genuine']}" if fitted else "",
            str(own["designs"]),
            share(own["inconsistent"]),
        )
    yield ""


# --- identification and real photographs ----------------------------------------------


def _identification(reports: Mapping[str, Any]) -> Iterator[str]:
    yield "### Identification of simulated products, a sibling of each enrolled"
    yield ""
    yield (
        "| photographs | recall@1 | the design or its sibling first "
        "| named the sibling | named another | enrolled, but not named "
        "| unknown: `no_reference` | unknown, named | genuine called inconsistent |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, one in _with_all_last(reports):
        keys = (
            "recall_at_1", "design_or_sibling_at_1", "named_sibling",
            "named_another", "known_lost", "unknown_rejected", "unknown_named",
            "genuine_inconsistent",
        )  # fmt: skip
        yield row(_SETS.get(name, name), *(share(one[key]) for key in keys))
    yield ""


def _real(reports: Mapping[str, Any]) -> Iterator[str]:
    yield "### Real photographs, the whole service"
    yield ""
    yield (
        "| set | recall@1 | named another product | enrolled, but not named "
        "| unknown: `no_reference` | unknown, named | genuine called inconsistent |"
    )
    yield "|---|---|---|---|---|---|---|"
    keys = (
        "recall_at_1", "accepted_wrong", "known_lost", "unknown_rejected",
        "unknown_named", "genuine_inconsistent",
    )  # fmt: skip
    for name, one in _with_all_last(reports):
        yield row(_SETS.get(name, name), *(share(one[key]) for key in keys))
    yield ""
    yield "| set | findings | why insufficient (a photo may have several reasons) |"
    yield "|---|---|---|"
    for name, one in _with_all_last(reports):
        told = (counted(one[key]) for key in ("findings", "reasons"))
        yield row(_SETS.get(name, name), *told)
    yield ""


def _planted(reports: Mapping[str, Any]) -> Iterator[str]:
    systems = [name for name in LABELS if name in reports[ALL]["auroc"]]
    named = [LABELS[system] for system in systems]
    yield "### Counterfeits planted into real photographs"
    yield ""
    yield (
        "A change to the print, put under the photo's light and focus and added where "
        "registration says that the print lies; AUROC against the same photos "
        "untouched and re-encoded. Scores count whether or not the policy abstains. "
        "*Above its own control*: changes that raised the suspicion over "
        "that of the photo re-encoded alone; half of them is chance."
    )
    yield ""
    yield from head("set", "photos", "planted", *named)
    for name, one in _with_all_last(reports):
        yield row(
            _SETS.get(name, name),
            str(one["photos"]),
            str(one["planted"]),
            *(span(one["auroc"][s], 2) if s in one["auroc"] else "" for s in systems),
        )
    yield ""
    yield from head(
        *("set", *(f"above its own control, {name}" for name in named)),
        *("top region on change", "abstained", "log10 LR moved by re-encoding"),
    )
    for name, one in _with_all_last(reports):
        above = one["above_own_control"]
        yield row(
            _SETS.get(name, name),
            *(share(above[s]) if s in above else "" for s in systems),
            share(one["localisation"]),
            share(one["abstained"]),
            number(one["moved_by_control"]),
        )
    yield ""
    yield from head("kind", "planted", *named, "top region on change")
    for kind, one in reports[ALL]["per_kind"].items():
        yield row(
            kind.replace("_", " "),
            str(one["photos"]),
            *(_area(one["auroc"].get(system), system) for system in systems),
            share(one["localisation"], is_short=True),
        )
    yield ""


# --- failures -------------------------------------------------------------------------


def _failures(failures: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield "### Failure gallery"
    yield ""
    misses, alarms = failures["misses"], failures["false_alarms"]
    if misses or alarms:
        yield (
            "Simulated photos that were answered and misled most. Each strip: the "
            "photo, then one place of the reference and of the photo: where it was "
            "changed, or (in genuine ones) where it deviates most."
        )
        yield ""
        yield "![The worst misses and false alarms](figures/failures.jpg)"
        yield ""
    for title, told, first in (
        ("Counterfeits that passed best", misses, 1),
        ("Genuine photos suspected most", alarms, 1 + len(misses)),
    ):
        if told:
            yield f"{title}:"
            yield ""
            yield from (f"{first + n}. {one}" for n, one in enumerate(told))
            yield ""
    for title, key in (
        (
            "Real photos suspected most (not shown: no licence to)",
            "real_most_suspected",
        ),
        ("Planted counterfeits suspected least", "planted_least_suspected"),
    ):
        if failures[key]:
            yield f"{title}:"
            yield ""
            yield from (f"* {one}" for one in failures[key])
            yield ""


def _with_all_last(reports: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ordered(reports, [*(name for name in reports if name != ALL), ALL])

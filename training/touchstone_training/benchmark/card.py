"""The measured part of the model card, written from the reports and nothing else.

What stands between the two marks in ``models/README.md`` is replaced; words around
them are people's.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from touchstone.errors import InvalidInputError
from touchstone_training.benchmark.peers import OURS
from touchstone_training.benchmark.plots import LABELS

CARD = "README.md"
BEGIN = "<!-- measured: written by `benchmark`, do not edit -->"
END = "<!-- end of what was measured -->"
FORMAT = 2
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
        f"{_number(fitted['auroc_out_of_fold'], 3)}, Cllr "
        f"{_number(fitted['cllr_out_of_fold'])} (1 is no news). In brackets: 95 % "
        "intervals by a bootstrap over products (designs), never over photos; where "
        "all or none of the photos agree, Wilson's for so many products."
    )
    yield ""
    yield from _simulated(report["simulated"])
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
                yield from _slices(reports[name], key, f"{title}, {_photos(name)}")


def _photos(name: str) -> str:
    return "all photographs" if name == "both" else f"{name} photographs"


def _systems(reports: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "| photographs | system | AUROC | the subtlest third | equal error rate "
        "| TPR at 1 % FPR | TPR at 0.1 % FPR |"
    )
    yield "|---|---|---|---|---|---|---|"
    rates = ("tpr_at_1_percent_fpr", "tpr_at_0_1_percent_fpr")
    is_all_supported = True
    for name, one in reports.items():
        for system, own in one["systems"].items():
            yield _row(
                f"{name}, {one['photos']} of {one['designs']} designs",
                f"**{LABELS[system]}**" if system == OURS else LABELS[system],
                *(_span(own[key]) for key in ("auroc", "auroc_subtlest_third", "eer")),
                *(_rate(own[key]) for key in rates),
            )
            is_all_supported &= all(own[key]["is_supported"] for key in rates)
        if "patchcore" not in one["systems"]:
            yield _row(
                f"{name}, {one['photos']} of {one['designs']} designs",
                LABELS["patchcore"],
                *["not run: `--patchcore-python`", *[""] * 4],
            )
    yield ""
    yield (
        "All systems on the photos that the policy examined. Ours on every photo in "
        "which the reference was found, abstention set aside: "
        + "; ".join(f"{n} {_span(o['before_abstention'])}" for n, o in reports.items())
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
    return _span(one) + ("" if one["is_supported"] else f" {_UNSUPPORTED}")


def _decided(reports: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "| photographs | Cllr | Cllr, best recalibrated | abstained: genuine "
        "| abstained: counterfeits | genuine called inconsistent "
        "| counterfeits called inconsistent | top region on a local change |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for name, one in reports.items():
        sides = one["decisions"]
        yield _row(
            name,
            _span(one["likelihood"]["cllr"], 2),
            _span(one["likelihood"]["cllr_min"], 2),
            *(
                _share(sides[side][key])
                for key in ("abstained", "inconsistent")
                for side in ("genuine", "counterfeit")
            ),
            _share(one["localisation"]),
        )
    yield ""
    for name, one in reports.items():
        findings = (
            f"{side}: {_counted(own['findings'])}"
            for side, own in one["decisions"].items()
        )
        yield f"* Findings, {_photos(name)}; {'; '.join(findings)}."
    yield ""


def _slices(one: Mapping[str, Any], key: str, title: str) -> Iterator[str]:
    systems = list(one["systems"])
    yield f"{title}:"
    yield ""
    yield _row(
        key.removeprefix("per_"),
        "photos",
        *(LABELS[system] for system in systems),
        "called inconsistent",
        "top region on change",
    )
    yield f"|{'---|' * (4 + len(systems))}"
    slices = list(one[key].items())
    if key == "per_kind":
        slices.sort(key=lambda item: -(_value(item[1]["auroc"].get(OURS)) or 0))
    for name, own in slices:
        yield _row(
            name.replace("_", " "),
            str(own["photos"]),
            *(_area(own["auroc"].get(system), system) for system in systems),
            _share(own["called_inconsistent"], is_short=True),
            _share(own["localisation"], is_short=True),
        )
    yield ""


def _area(one: Mapping[str, Any] | None, system: str) -> str:
    if one is None:
        return ""
    return _span(one, 2) if system == OURS else _number(one["value"])


# --- identification and real photographs ----------------------------------------------


def _identification(reports: Mapping[str, Any]) -> Iterator[str]:
    yield "### Identification of simulated products, a sibling of each enrolled"
    yield ""
    yield (
        "| photographs | recall@1 | the design or its sibling first "
        "| named the sibling | named another | enrolled, but not named "
        "| unknown, not named |"
    )
    yield "|---|---|---|---|---|---|---|"
    for name, one in reports.items():
        keys = (
            "recall_at_1", "design_or_sibling_at_1", "named_sibling",
            "named_another", "known_lost", "unknown_rejected",
        )  # fmt: skip
        yield _row(_SETS.get(name, name), *(_share(one[key]) for key in keys))
    yield ""


def _real(reports: Mapping[str, Any]) -> Iterator[str]:
    yield "### Real photographs, the whole service"
    yield ""
    yield (
        "| set | recall@1 | named another product | enrolled, but not named "
        "| unknown, not named | genuine called inconsistent |"
    )
    yield "|---|---|---|---|---|---|"
    keys = (
        "recall_at_1", "accepted_wrong", "known_lost", "unknown_rejected",
        "genuine_inconsistent",
    )  # fmt: skip
    for name, one in reports.items():
        yield _row(_SETS.get(name, name), *(_share(one[key]) for key in keys))
    yield ""
    yield "| set | findings | why insufficient (a photo may have several reasons) |"
    yield "|---|---|---|"
    for name, one in reports.items():
        told = (_counted(one[key]) for key in ("findings", "reasons"))
        yield _row(_SETS.get(name, name), *told)
    yield ""


def _planted(reports: Mapping[str, Any]) -> Iterator[str]:
    systems = list(reports[ALL]["auroc"])
    yield "### Counterfeits planted into real photographs"
    yield ""
    yield (
        "A change to the print, put under the photo's light and focus and added where "
        "registration says that the print lies; against the same photos untouched and "
        "re-encoded. Scores count whether or not the policy abstains. *Above its own "
        "control*: photos in which the change raised the suspicion; half of them is "
        "chance."
    )
    yield ""
    yield _row(
        *("set", "photos", "planted"),
        *(f"AUROC {LABELS[system]}" for system in systems),
        *(f"above its own control, {LABELS[system]}" for system in systems),
        *("top region on change", "abstained", "log10 LR moved by re-encoding alone"),
    )
    yield f"|{'---|' * (6 + 2 * len(systems))}"
    for name, one in reports.items():
        yield _row(
            _SETS.get(name, name),
            str(one["photos"]),
            str(one["planted"]),
            *(_span(one["auroc"][s], 2) if s in one["auroc"] else "" for s in systems),
            *(
                _share(one["above_own_control"][s], is_short=True)
                if s in one["auroc"]
                else ""
                for s in systems
            ),
            _share(one["localisation"], is_short=True),
            _share(one["abstained"], is_short=True),
            _number(one["moved_by_control"]),
        )
    yield ""
    yield _row(
        *("kind", "planted"), *(LABELS[s] for s in systems), "top region on change"
    )
    yield f"|{'---|' * (3 + len(systems))}"
    for kind, one in reports[ALL]["per_kind"].items():
        yield _row(
            kind.replace("_", " "),
            str(one["photos"]),
            *(_area(one["auroc"].get(system), system) for system in systems),
            _share(one["localisation"], is_short=True),
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


# --- cells ----------------------------------------------------------------------------


def _counted(counts: Mapping[str, int]) -> str:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} `{name}`" for name, count in ranked)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _value(one: Mapping[str, Any] | None) -> float | None:
    return None if one is None else one["value"]


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _span(one: Mapping[str, Any], digits: int = 3) -> str:
    value, (low, high) = one["value"], one["interval95"]
    if value is None or low is None:
        return _number(value, digits)
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _share(share: Mapping[str, Any], *, is_short: bool = False) -> str:
    if not share["total"]:
        return ""
    if is_short:
        return f"{share['share']:.2f}"
    low, high = share["interval95"]
    return (
        f"{share['hits']}/{share['total']} = {share['share']:.3f} "
        f"[{low:.3f}, {high:.3f}]"
    )

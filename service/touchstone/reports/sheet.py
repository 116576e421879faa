"""A report as it is set: every number written out, every text made fit to be set."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any, TypeAlias

from touchstone.engine.wording import FindingKind
from touchstone.reports.conclusion import (
    FINDING_WORDS,
    UNREADABLE,
    conclusion_of,
    counted,
    finding_words,
    items_of,
    percent,
)
from touchstone.reports.document import (
    ErrorRate,
    LotReport,
    Printing,
    Share,
)
from touchstone.reports.lettering import unbroken

Letters: TypeAlias = Callable[[str], str]
"""Makes text of any origin fit to be set."""
Data: TypeAlias = dict[str, Any]

ATTACHMENT = "lot-report.json"
"""Name of the JSON in the PDF."""

ANNEX_ROWS = 5000
"""Printed at most: memory grows with them (0.1 MB each), and nobody reads on."""

_PATTERNS = {
    FindingKind.MATCHES_KNOWN_COUNTERFEIT: "solid",
    FindingKind.INCONSISTENT_WITH_GENUINE: "rising",
    FindingKind.CONSISTENT_WITH_OTHER_VARIANT: "crossed",
    FindingKind.INCONCLUSIVE: "upright",
    FindingKind.INSUFFICIENT_QUALITY: "lying",
    FindingKind.NO_REFERENCE: "falling",
    FindingKind.CONSISTENT_WITH_GENUINE: "dotted",
}
_ALARMING = {
    FindingKind.MATCHES_KNOWN_COUNTERFEIT,
    FindingKind.INCONSISTENT_WITH_GENUINE,
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """What the template is given."""

    data: Data
    pictures: dict[str, bytes] = field(default_factory=dict)
    """PNG by the name of its file."""


def sheet_of(report: LotReport, document: bytes, letters: Letters) -> Sheet:
    """Write ``report`` out for the template; ``document`` is its JSON."""
    pictures: dict[str, bytes] = {}
    lot = report.lot
    made_at = report.made_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    facts = [(name, letters(value)) for name, value in _facts(report, made_at)]
    data = {
        "title": "Report on a seized lot",
        "description": unbroken(
            letters(_cut(f"Lot {lot.reference}: {lot.declared_product}"))
        ),
        "organisation": letters(_cut(report.organisation) or "No organisation"),
        "product": letters(_cut(lot.declared_product) or "No product declared"),
        "header": {
            "lot": letters(_cut(_joined("Lot", lot.reference, lot.case_reference))),
            "handling": letters(_cut(_joined("Handling code", lot.handling_code), 40)),
        },
        "footer": letters(_joined("Made", made_at, _cut(report.organisation))),
        "facts": facts,
        "facts-are-short": sum(len(value) for _, value in facts) < _SHORT_FACTS,
        "conclusion": [letters(one) for one in conclusion_of(report)],
        "limits": [letters(one) for one in report.all_limits],
        "rates-line": letters(_rates_line(report.limits.error_rates)),
        "counts": _counts(report),
        "share": None if report.share is None else _share(report.share, letters),
        "sampling": _sampling(report, letters),
        "printings": [_printing(one, pictures, letters) for one in report.printings],
        "regions": _regions(report, pictures, letters),
        "triage": [
            {
                "rank": str(one.rank),
                "image": letters(one.image),
                "examination": _whole(one.examination_id, letters),
                "why": letters(one.why),
            }
            for one in report.triage
        ],
        "serials": [
            {
                "serial": letters(one.serial),
                "items": f"{len(one.images):,}",
                "images": [letters(image) for image in one.images],
            }
            for one in report.repeated_serials
        ],
        "rates": [_rate(one, letters) for one in report.limits.error_rates],
        "digests": _digests(report, letters),
        "more-digests": _more_digests(report),
        "made-by": [
            (letters(name), _whole(value, letters)) for name, value in _makers(report)
        ],
        "attachment": {
            "name": ATTACHMENT,
            "sha256": hashlib.sha256(document).hexdigest(),
        },
    }
    return Sheet(data, pictures)


def _joined(name: str, *values: str) -> str:
    known = [value for value in values if value]
    return f"{name} {' · '.join(known)}" if known else ""


def _cut(text: str, most: int = 120) -> str:
    """Shorten what stands on every page; the facts and the JSON have it whole."""
    return text if len(text) <= most else text[: most - 1] + "…"


_SHORT_FACTS = 500
"""Letters in the facts of a lot, up to which they come first: beyond, they would push
the limits of the method off the first page."""


def _facts(report: LotReport, made_at: str) -> list[tuple[str, str]]:
    lot = report.lot
    place = ", ".join(one for one in (lot.seizure_place, lot.seizure_country) if one)
    date = "" if lot.seizure_date is None else lot.seizure_date.isoformat()
    units = "" if lot.units_total is None else f"{lot.units_total:,}"
    known = [
        ("Lot", lot.reference),
        ("Case", lot.case_reference),
        ("Seized at", place),
        ("Seized on", date),
        ("Units in the lot", units),
        ("Product class", lot.product_class),
        ("Batch", lot.batch_number),
        ("Expiry", lot.expiry),
        ("Legal basis", lot.legal_basis),
        ("Operation", lot.operation),
        ("Report made", made_at),
        ("Lot id", lot.id),
    ]
    if lot.declared_product != _cut(lot.declared_product):
        known.append(("Declared as", lot.declared_product))
    return [(name, value) for name, value in known if value]


def _rates_line(rates: tuple[ErrorRate, ...]) -> str:
    if not rates:
        return "How often this method errs is not stated: it was not measured."
    said = "; ".join(
        f"{one.name}: {percent(one.rate)} ({_interval(one)}) of {one.cases:,} cases"
        for one in rates[:_RATES_ON_FIRST_PAGE]
    )
    return f"Measured errors. {said}. All of them, and the data, are listed below."


_RATES_ON_FIRST_PAGE = 2


def _interval(rate: ErrorRate | Share) -> str:
    low, high = percent(rate.low)[:-2], percent(rate.high)
    return f"{100 * rate.confidence:g} % interval {low} to {high}"


def _rate(rate: ErrorRate, letters: Letters) -> Data:
    low, high = percent(rate.low)[:-2], percent(rate.high)
    return {
        "name": letters(rate.name),
        "rate": percent(rate.rate),
        "interval": f"{low} to {high} (at {100 * rate.confidence:g} %)",
        "cases": f"{rate.cases:,}",
        "data": letters(rate.data),
    }


def _counts(report: LotReport) -> list[Data]:
    total = report.examined + report.unreadable
    rows = [
        (words, items_of(report, kind), _PATTERNS[kind], kind in _ALARMING)
        for kind, words in FINDING_WORDS.items()
    ]
    rows.append((UNREADABLE, report.unreadable, "empty", False))
    return [
        {
            "words": words,
            "share": items / total,
            "label": f"{items:,} of {total:,}: {percent(items / total)}",
            "pattern": pattern,
            "alarm": alarm,
        }
        for words, items, pattern, alarm in rows
        if items
    ]


def _share(share: Share, letters: Letters) -> Data:
    return {
        "estimate": share.estimate,
        "low": share.low,
        "high": share.high,
        "words": f"{percent(share.estimate)}, {_interval(share)}.",
        "sentence": letters(share.sentence),
    }


def _sampling(report: LotReport, letters: Letters) -> Data | None:
    plan = report.sampling
    if plan is None:
        return None
    rows = [
        ("Rule", plan.rule),
        ("Units to draw from", f"{plan.population:,}"),
        ("Units to draw", f"{plan.sample_size:,}"),
        *plan.parameters,
        (
            "Seed of the draw",
            "not drawn by seed" if plan.seed is None else plan.seed,
        ),
    ]
    return {
        "sentence": letters(plan.sentence),
        "rows": [(letters(name), letters(value)) for name, value in rows],
    }


def _printing(one: Printing, pictures: dict[str, bytes], letters: Letters) -> Data:
    drawn = (
        ("montage", one.montage_png, "Exemplars of this printing"),
        ("deviation", one.deviation_png, _DEVIATION),
    )
    shown = []
    for kind, png, caption in drawn:
        if png is not None:
            file = f"printing-{one.number}-{kind}.png"
            pictures[file] = png
            alt = f"{caption}; printing {one.number}"
            shown.append({"file": file, "alt": alt, "caption": caption})
    return {
        "number": str(one.number),
        "items": f"{one.items:,}",
        "items-words": counted(one.items, "item"),
        "share": percent(one.share),
        "summary": letters(one.summary),
        "median": _log10_lr(one.median_log10_lr),
        "exemplar": letters(one.exemplar_image),
        "examination": _whole(one.exemplar_examination_id, letters),
        "pictures": shown,
    }


_DEVIATION = "Where the exemplar differs: dark as usual, bright where it differs most"


def _regions(
    report: LotReport, pictures: dict[str, bytes], letters: Letters
) -> list[Data]:
    regions = []
    for number, one in enumerate(report.worst_regions, start=1):
        file = f"region-{number}.png"
        pictures[file] = one.pair_png
        regions.append(
            {
                "image": letters(one.image),
                "file": file,
                "alt": f"Region {number}: reference left, questioned item right",
                "finding": finding_words(one.finding),
                "lr": _log10_lr(one.log10_lr),
                "sentences": [letters(sentence) for sentence in one.sentences],
            }
        )
    return regions


def _digests(report: LotReport, letters: Letters) -> list[tuple[str, ...]]:
    return [
        (
            f"{number}",
            letters(one.image),
            f"{_whole(one.photo_sha256, letters)}\n"
            f"{_whole(one.record_sha256 or 'no record', letters)}",
            finding_words(one.finding),
            _log10_lr(one.log10_lr),
        )
        for number, one in enumerate(report.digests[:ANNEX_ROWS], start=1)
    ]


def _whole(code: str, letters: Letters) -> str:
    """Leave digests and ids without the breaks of long words: they are copied."""
    return code if _CODE.fullmatch(code) else letters(code)


_CODE = re.compile("[0-9A-Za-z-]{1,36}|[0-9a-f]{64}")


def _more_digests(report: LotReport) -> str:
    if len(report.digests) <= ANNEX_ROWS:
        return ""
    return (
        f"The first {ANNEX_ROWS:,} of {len(report.digests):,} are printed; all of them "
        f"are in the attached JSON."
    )


def _makers(report: LotReport) -> list[tuple[str, str]]:
    made_by = report.made_by
    return [
        ("Touchstone", made_by.code_version),
        *((f"Model {name}", digest) for name, digest in made_by.models),
        ("Policy", made_by.policy_sha256),
        ("Index of references", made_by.index_sha256),
        *((f"Library {name}", version) for name, version in made_by.libraries),
    ]


def _log10_lr(value: float | None) -> str:
    return "none" if value is None else f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")

"""A report of a lot that never was, small or large."""

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache

import numpy as np
from scenes import Pixels, printed

from touchstone.engine.comparison import Region
from touchstone.engine.pictures import draw, draw_region
from touchstone.engine.wording import FindingKind
from touchstone.reports.document import (
    ErrorRate,
    FindingCount,
    ItemDigest,
    Limits,
    Lot,
    LotReport,
    MadeBy,
    Printing,
    RepeatedSerial,
    SamplingPlan,
    Share,
    TriageItem,
    WorstRegion,
)
from touchstone.reports.pictures import montage

DIFFERS = FindingKind.INCONSISTENT_WITH_GENUINE
AGREES = FindingKind.CONSISTENT_WITH_GENUINE
OPEN = FindingKind.INCONCLUSIVE
KNOWN = FindingKind.MATCHES_KNOWN_COUNTERFEIT

ARABIC = "أقراص باراسيتامول 500 ملغ (Paracetamol)"
CHINESE = "阿莫西林胶囊 0.25克 / 中国国药集团"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def lot(**changes: object) -> Lot:
    one = Lot(
        id="lot-7f3a9c",
        reference="HU-BUD-2026-0417/3",
        declared_product=ARABIC,
        product_class="Medicine",
        batch_number="AX-2219",
        expiry="2027-08",
        units_total=1200,
        seizure_place="Budapest Airport, cargo terminal",
        seizure_date=date(2026, 11, 12),
        seizure_country="Hungary",
        legal_basis="Regulation (EU) No 608/2013, Article 17",
        case_reference="C-2026-88123",
        handling_code="H2",
        operation="Pangea XIX",
    )
    return replace(one, **changes)  # type: ignore[arg-type]


@cache
def face(seed: int) -> Pixels:
    return printed(seed).pixels


@cache
def montage_png(seed: int) -> bytes:
    pictures = [face(seed)[:, :: 1 + (n % 2)] for n in range(6)]
    return montage(pictures, [f"{n + 1}" for n in range(6)])


@cache
def deviation_png(seed: int) -> bytes:
    picture = face(seed)
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width]
    blob = 3 * np.exp(-((x - width / 3) ** 2 + (y - height / 2) ** 2) / 4000)
    drawn = draw(picture, picture, blob.astype(np.float32), [])
    return drawn.deviation_png


@cache
def pair_png(seed: int) -> bytes:
    region = Region(100, 80, 120, 60, 4.0, "structure")
    return draw_region(face(seed), face(seed + 1), region)


def printing(number: int, items: int, total: int, summary: str) -> Printing:
    return Printing(
        number=number,
        items=items,
        share=items / total,
        summary=summary,
        median_log10_lr=-2.4 + number,
        exemplar_image=f"IMG_{number:04}.jpg",
        exemplar_examination_id=f"01JD{number:022}",
        montage_png=montage_png(number),
        deviation_png=deviation_png(number),
    )


def item(number: int) -> ItemDigest:
    names = ("IMG_{:04}.jpg", "صورة {:04}.jpg", "照片_{:04}.jpg", "фото {:04}.heic")
    name = names[number % 4].format(number)
    if number % 30 == 29:
        return ItemDigest(name, sha256(name), "", None, None)
    kind = (DIFFERS, DIFFERS, AGREES, OPEN, DIFFERS, KNOWN)[number % 6]
    value = {DIFFERS: -2.31, AGREES: 1.9, OPEN: 0.2, KNOWN: -3.0}[kind]
    return ItemDigest(name, sha256(name), sha256("r" + name), kind, value)


def made_by() -> MadeBy:
    return MadeBy(
        code_version="0.3.0",
        models=(("embedder", sha256("e")), ("comparator", sha256("c"))),
        policy_sha256=sha256("p"),
        index_sha256=sha256("i"),
        libraries=(("numpy", "2.3.1"), ("opencv", "4.12.0")),
    )


def limits() -> Limits:
    return Limits(
        error_rates=(
            ErrorRate(
                "Pack of the maker said to differ",
                0.021,
                0.013,
                0.033,
                0.95,
                1412,
                "Simulated photographs of 90 designs held out from training",
            ),
            ErrorRate(
                "Other print said to be consistent",
                0.018,
                0.009,
                0.034,
                0.95,
                640,
                "Planted changes in real photographs of 40 products",
            ),
        ),
        sentences=("Units that were not photographed were not examined.",),
    )


def invented(items: int = 60, **changes: object) -> LotReport:
    """Return a report with so many photos; ``changes`` replace its fields."""
    digests = tuple(item(number) for number in range(items))
    kinds = [one.finding for one in digests]
    counts = [FindingCount(kind, kinds.count(kind)) for kind in FindingKind]
    counts = [one for one in counts if one.items]
    triage = [
        TriageItem(rank, one.image, f"01JD{rank:022}", "Differs most of its printing.")
        for rank, one in enumerate(digests[:8], start=1)
    ]
    regions = [
        WorstRegion(
            one.image,
            DIFFERS,
            -2.31,
            pair_png(number),
            (
                "Print is present or missing where the reference differs.",
                "Some elements have another colour than on the reference.",
            ),
        )
        for number, one in enumerate(digests[:4])
    ]
    report = LotReport(
        lot=lot(),
        made_at=datetime(2026, 11, 27, 9, 30, tzinfo=UTC),
        organisation="National Tax and Customs Administration",
        sampling=SamplingPlan(
            rule="Hypergeometric (UNODC/ENFSI)",
            population=1200,
            sample_size=items,
            seed="8841",
            sentence="If none of the units drawn had differed, at least 95 of 100 such "
            "draws would come from lots in which under 5 of 100 units differ.",
            parameters=(("Least share to be found", "5 %"), ("Confidence", "95 %")),
        ),
        counts=tuple(counts),
        unreadable=kinds.count(None),
        share=Share(
            0.672,
            0.541,
            0.783,
            0.95,
            "Clopper-Pearson interval for a draw without replacement, corrected for "
            "the measured error rates of the method.",
        ),
        homogeneity="The items are not of one printing: three are told apart.",
        printings=(
            printing(1, 31, 60, "Differs from the reference in 30 of 31 items."),
            printing(2, 19, 60, "Consistent with the reference in 15 of 19 items."),
            printing(3, 8, 60, f"Declared as {CHINESE}"),
        ),
        repeated_serials=(
            RepeatedSerial("21A7F00K19", tuple(o.image for o in digests[3:7])),
            RepeatedSerial("21A7F00K20", tuple(o.image for o in digests[8:10])),
        ),
        triage=tuple(triage),
        worst_regions=tuple(regions),
        limits=limits(),
        digests=digests,
        made_by=made_by(),
    )
    return replace(report, **changes)  # type: ignore[arg-type]

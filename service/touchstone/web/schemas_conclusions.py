"""What goes over the wire about a lot as a whole, and about an operation."""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from touchstone.engine.sampling import Rule
from touchstone.store import SummaryRow
from touchstone.web.schemas import DIGEST, ID, RequestModel, Text, example


class PlanIn(RequestModel):
    """How the sample of a lot is to be chosen."""

    model_config = ConfigDict(
        json_schema_extra=example(rule="hypergeometric", share=0.01, confidence=0.99)
    )

    rule: Annotated[
        Rule,
        Field(
            strict=False,
            description="`square_root`: all below 10, 10 up to 100, then the root.",
        ),
    ] = Rule.HYPERGEOMETRIC
    share: Annotated[
        float, Field(gt=0, le=1, description="Of counterfeits, to be met with.")
    ] = 0.05
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    sensitivity: Annotated[
        float, Field(gt=0, le=1, description="How often a counterfeit is called.")
    ] = 1.0
    seed: Annotated[
        Text | None, Field(description="The lot's reference number if not given.")
    ] = None


class PlanOut(BaseModel):
    """A sampling plan in force, and the units it drew."""

    model_config = ConfigDict(
        json_schema_extra=example(
            rule="square_root",
            population=400,
            sample=20,
            sentence="20 of 400 units: the square root.",
            share=None,
            confidence=None,
            sensitivity=None,
            reached=None,
            seed="LOS-17",
            positions=[17, 301, 8],
        )
    )

    rule: Rule
    population: int
    sample: int
    sentence: str
    share: float | None
    confidence: float | None
    sensitivity: float | None
    reached: float | None
    seed: str
    positions: Annotated[
        list[int], Field(description="Units, counted from 1, in the order drawn.")
    ]


class ShareOut(BaseModel):
    """The share of counterfeits among all units, and how well it is known."""

    estimate: Annotated[
        float | None, Field(description="At the average rates of the validation.")
    ]
    low: float
    high: float
    confidence: float
    high_if_average: float
    low_at_worst: float
    high_at_worst: float
    method: str
    advice: str


class CompositionOut(BaseModel):
    """Whether one process made the lot, or several."""

    homogeneity: str
    printings: int
    unlinked: int
    largest: float
    log10_lr_mixed: float
    sentence: str


class PhotoOut(BaseModel):
    """A photo of the lot."""

    image: str
    examination_id: str | None


class PrintingOut(BaseModel):
    """Photos that differ from their reference alike: one print source."""

    number: int
    specimen_id: str
    items: list[str]
    is_apart: bool
    """Whether other photos of that reference were told from it; if not, it is not
    counted as one in the share."""
    units: int
    exemplar: PhotoOut
    inconsistent: int
    answered: int
    inconsistent_here: int
    """By photos of that reference alone, as ``answered_here``."""
    answered_here: int
    median_log10_lr: float | None
    log10_lr: float


class RepeatOut(BaseModel):
    """A serial number on several photos."""

    serial: str
    gtin: str
    items: list[str]
    batches: list[str]


class ElsewhereOut(BaseModel):
    """A serial number that another lot of yours has too."""

    serial: str
    lot_id: str
    image: str


class TriageOut(PhotoOut):
    """What the laboratory should see, the most telling first."""

    rank: int
    item: str
    value: float
    uncertainty: float
    reason: str


class ConclusionOut(BaseModel):
    """What the photos of a lot tell together."""

    model_config = ConfigDict(
        json_schema_extra=example(
            lot_id=ID,
            photos=400,
            units=400,
            unfinished=0,
            unreadable=1,
            findings={"inconclusive": 250, "inconsistent_with_genuine": 149},
            share={
                "estimate": 0.41,
                "low": 0.22,
                "high": 1.0,
                "confidence": 0.95,
                "high_if_average": 0.5,
                "low_at_worst": 0.2,
                "high_at_worst": 1.0,
                "method": "All shares that the calls do not refute.",
                "advice": "Have the first of the triage list examined.",
            },
            composition={
                "homogeneity": "mixed",
                "printings": 2,
                "unlinked": 120,
                "largest": 0.4,
                "log10_lr_mixed": 3.2,
                "sentence": "Several print sources, of both natures.",
            },
            printings=[],
            repeated_serials=[],
            serials_in_other_lots=[],
            triage=[],
            plan=None,
            validation=DIGEST,
            basis=DIGEST,
        )
    )

    lot_id: str
    photos: int
    units: Annotated[
        int, Field(description="Packages: photos of one exhibit show one.")
    ]
    unfinished: Annotated[int, Field(description="Photos that have no result yet.")]
    unreadable: int
    findings: dict[str, int]
    share: ShareOut
    composition: CompositionOut
    printings: list[PrintingOut]
    repeated_serials: list[RepeatOut]
    serials_in_other_lots: list[ElsewhereOut]
    triage: list[TriageOut]
    plan: dict[str, Any] | None
    validation: Annotated[
        str, Field(description="SHA-256 of the counts that the share rests on.")
    ]
    basis: Annotated[
        str,
        Field(
            description="SHA-256 of all that it rests on: photos, results, method. The "
            "audit log has it; another means that something is new."
        ),
    ]


class ReportFile(StrEnum):
    """The files of a report."""

    PDF = "report.pdf"
    JSON = "report.json"
    CONCLUSION = "conclusion.json"
    CSV = "results.csv"
    JSONL = "results.jsonl"
    PARQUET = "results.parquet"


REPORT_FILES = {
    ReportFile.PDF: "application/pdf",
    ReportFile.JSON: "application/json",
    ReportFile.CONCLUSION: "application/json",
    ReportFile.CSV: "text/csv; charset=utf-8",
    ReportFile.JSONL: "application/x-ndjson",
    ReportFile.PARQUET: "application/vnd.apache.parquet",
}


class SummaryRowOut(BaseModel):
    """How many photos share all of this."""

    country: str
    category: str
    brand: str
    finding: str
    day: str
    photos: int


class SummaryOut(BaseModel):
    """What was examined in an operation, by each side and by all at once."""

    model_config = ConfigDict(
        json_schema_extra=example(
            photos=1200,
            by_country={"NG": {"inconclusive": 800}, "FR": {"inconclusive": 400}},
            by_category={"medicine": {"inconclusive": 1200}},
            by_brand={"Acme": {"inconclusive": 1200}},
            by_day={"2026-06-03": {"inconclusive": 1200}},
            by_finding={"inconclusive": 1200},
            rows=[],
        )
    )

    photos: int
    by_country: dict[str, dict[str, int]]
    by_category: dict[str, dict[str, int]]
    by_brand: dict[str, dict[str, int]]
    by_day: dict[str, dict[str, int]]
    by_finding: dict[str, int]
    rows: list[SummaryRowOut]

    @staticmethod
    def of(rows: Sequence[SummaryRow]) -> "SummaryOut":
        """Describe ``rows``."""
        findings: Counter[str] = Counter()
        for row in rows:
            findings[row.finding] += row.photos
        return SummaryOut(
            photos=findings.total(),
            by_country=_by(rows, "country"),
            by_category=_by(rows, "category"),
            by_brand=_by(rows, "brand"),
            by_day=_by(rows, "day"),
            by_finding=dict(sorted(findings.items())),
            rows=[
                SummaryRowOut(
                    country=row.country,
                    category=row.category,
                    brand=row.brand,
                    finding=row.finding,
                    day=row.day,
                    photos=row.photos,
                )
                for row in rows
            ],
        )


def _by(rows: Sequence[SummaryRow], side: str) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(getattr(row, side), Counter())[row.finding] += row.photos
    return {name: dict(sorted(one.items())) for name, one in sorted(counts.items())}

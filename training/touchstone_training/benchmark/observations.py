"""One photo examined for the benchmark: everything measured, decided and seen of it."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from touchstone.bootstrap import (
    open_comparator,
    open_embedder,
    open_localiser,
    open_policy,
    use_one_thread,
)
from touchstone.catalogue import WORKING_SIDE_PX
from touchstone.engine.comparator import Comparator
from touchstone.engine.embedding import Embedder
from touchstone.engine.evidence import Evidence, examine
from touchstone.engine.image import decode
from touchstone.engine.localisation import Localiser
from touchstone.engine.policy import Policy
from touchstone.engine.quality import measure_quality
from touchstone.engine.verdict import decide, photo_measurements
from touchstone.engine.wording import FindingKind
from touchstone.settings import Settings
from touchstone_training.enrolling import Enrolled
from touchstone_training.measuring import GENUINE, judged

Box: TypeAlias = tuple[float, float, float, float]
"""x, y, width, height in pixels of the enrolled image."""

CONTROL = "control"
"""A genuine photo that went through all steps of planting but the change."""

GENUINE_KINDS = frozenset({GENUINE, CONTROL})
ABSTAINED = frozenset(
    {str(FindingKind.INSUFFICIENT_QUALITY), str(FindingKind.NO_REFERENCE)}
)
ALARMS = frozenset(
    {
        str(FindingKind.INCONSISTENT_WITH_GENUINE),
        str(FindingKind.MATCHES_KNOWN_COUNTERFEIT),
    }
)
NOTHING_FOUND = str(FindingKind.NO_REFERENCE)


@dataclass(frozen=True, slots=True)
class Models:
    """What is under test, opened once in each process."""

    embedder: Embedder
    comparator: Comparator
    policy: Policy
    localiser: Localiser | None = None

    @staticmethod
    def open(folder: Path) -> "Models":
        """Open the models of ``folder``, on one thread of the CPU."""
        use_one_thread()
        settings = Settings.load(model_dir=folder, provider="cpu")
        return Models(
            open_embedder(settings),
            open_comparator(settings),
            open_policy(settings),
            open_localiser(settings),
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """A photo, and what is true of it."""

    name: str
    """Unique within a run; names the files that are kept of it."""
    group: str
    """The product: what a bootstrap resamples."""
    source: str
    """How or by whom it was taken: ``inspector``, ``field``, or the set's name."""
    jpeg: bytes
    family: str = ""
    kind: str = GENUINE
    severity: float = 0.0
    boxes: tuple[Box, ...] = ()
    """Of the change."""
    conditions: dict[str, Any] = field(default_factory=dict)
    """How it was taken, where that is known."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What was measured, decided and seen of one photo."""

    name: str
    group: str
    source: str
    family: str
    kind: str
    severity: float
    conditions: dict[str, Any]
    finding: str
    reasons: list[str]
    log10_lr: float | None = None
    """Uncapped, whether or not the policy abstains; None if nothing was laid over."""
    way: str = ""
    """Which way to make another print the policy finds likeliest."""
    measurements: dict[str, float] = field(default_factory=dict)
    peers: dict[str, float] = field(default_factory=dict)
    """Suspicion by each peer: the higher, the less alike."""
    is_hit: bool | None = None
    """Whether the most deviating region overlaps the change; None if there is none."""
    changed_share: float = 0.0
    """Share of the face that lies in the boxes of the change."""
    top: str = ""
    """Channel of the most deviating region."""
    deviation: float = 0.0
    """Peak of it; 1 is the edge of what is usual."""

    @property
    def is_fake(self) -> bool:
        """Whether the print was forged."""
        return self.kind not in GENUINE_KINDS

    @property
    def is_examined(self) -> bool:
        """Whether the policy answered, instead of asking for another photo."""
        return self.finding not in ABSTAINED

    @property
    def suspicion(self) -> float:
        """Minus the log10 likelihood ratio; NaN if there is none."""
        return math.nan if self.log10_lr is None else -self.log10_lr


@dataclass(frozen=True, slots=True)
class Looked:
    """An observation, with the evidence that pictures are made of."""

    observation: Observation
    evidence: Evidence | None


def look(
    taken: Taken, gallery: Sequence[Enrolled], label: int, models: Models
) -> Looked:
    """Examine a photo as the service would, knowing what it should show.

    Args:
        taken: the photo.
        gallery: the enrolled references among which it is laid over the right one.
        label: of the right one.
        models: what is under test.
    """
    photo = decode(taken.jpeg, max_side_px=WORKING_SIDE_PX)
    rows, own = judged(photo.pixels, gallery, label, models.embedder, models.localiser)
    reference = next(r.reference for r in gallery if r.reference.label == label)
    evidence = examine(photo.pixels, own, reference, models.comparator) if own else None
    finding = decide(
        [evidence] if evidence else [],
        models.policy,
        photo=photo_measurements(photo.full_size_px, measure_quality(photo.pixels)),
    )
    similarity = max((r.measurements["similarity"] for r in rows), default=-1.0)
    known: dict[str, Any] = {
        "name": taken.name,
        "group": taken.group,
        "source": taken.source,
        "family": taken.family,
        "kind": taken.kind,
        "severity": taken.severity,
        "conditions": taken.conditions,
        "finding": str(finding.kind),
        "reasons": [reason.code for reason in finding.reasons],
        "peers": {"embedding_cosine": -similarity},
    }
    if evidence is None:
        return Looked(Observation(**known), None)
    known["peers"] = {"embedding_cosine": -evidence.match.similarity}
    measured = evidence.measurements()
    regions = evidence.regions()
    return Looked(
        Observation(
            **known,
            log10_lr=log10_lr(evidence, models.policy),
            way=models.policy.fusion.likeliest(measured),
            measurements={name: float(v) for name, v in measured.items()},
            is_hit=is_hit(evidence, taken.boxes) if taken.boxes else None,
            changed_share=_share(taken.boxes, reference.size_px),
            top=regions[0].channel if regions else "",
            deviation=float(regions[0].deviation) if regions else 0.0,
        ),
        evidence,
    )


def log10_lr(evidence: Evidence, policy: Policy) -> float:
    """Return the log10 likelihood ratio before caps and abstention; positive clears."""
    value = -policy.fusion.logit(evidence.measurements()) / math.log(10)
    return value - policy.other_gtin_log10_lr * bool(evidence.is_gtin_other)


def is_hit(evidence: Evidence, boxes: Sequence[Box]) -> bool:
    """Tell whether the most deviating region overlaps one of ``boxes``."""
    regions = evidence.regions()
    if not regions:
        return False
    top = regions[0]
    return any(
        min(top.x + top.width, x + w) > max(top.x, x)
        and min(top.y + top.height, y + h) > max(top.y, y)
        for x, y, w, h in boxes
    )


def _share(boxes: Sequence[Box], size_px: tuple[int, int]) -> float:
    area = sum(w * h for _, _, w, h in boxes)
    return min(1.0, area / (size_px[0] * size_px[1]))


def write_observations(path: Path, rows: Iterable[Observation]) -> None:
    """Write rows as JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(asdict(row), sort_keys=True) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")


def read_observations(path: Path) -> list[Observation]:
    """Read the rows that `write_observations` wrote."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Observation(**json.loads(line)) for line in lines]

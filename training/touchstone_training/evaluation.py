"""The whole service on labelled photographs: identification, open set, false alarms.

Every set is enrolled into a service of its own (records, index, policy as shipped)
and every photo is verified as an officer's would be. A photo proves *the same
design*, so a finding of inconsistency on it is counted as a false alarm.
"""

import json
import math
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from rich.progress import track

from touchstone.bootstrap import Application, build
from touchstone.engine.wording import FindingKind
from touchstone.enrolment import EnrolmentRequest
from touchstone.errors import InvalidInputError
from touchstone.settings import Settings
from touchstone.store import Caller, ProductFields
from touchstone.verification import Verifier
from touchstone_training.calibration import cllr
from touchstone_training.data import Item, read_manifest, split
from touchstone_training.measuring import GENUINE, Row
from touchstone_training.ranking import auroc

REAL_SETS = (
    ("smvs_dvd_covers", "measure/smvs_dvd_covers"),
    ("beer_brands_dipsum", "measure/beer_brands_dipsum"),
    ("grocery_held_out", "open/grocerystore_packages"),
    ("arc2017", "open/arc2017_items_jsk"),
)
"""Name and folder; of each only products that were not trained on are used."""

_Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval (Wilson, 1927)."""

    hits: int
    total: int

    @property
    def value(self) -> float:
        """The share itself; NaN of nothing."""
        return self.hits / self.total if self.total else math.nan

    def interval(self) -> tuple[float, float]:
        """Return the ends of the Wilson interval."""
        if not self.total:
            return math.nan, math.nan
        n, p = self.total, self.value
        middle = (p + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
        half = (
            _Z95
            / (1 + _Z95**2 / n)
            * math.sqrt(p * (1 - p) / n + _Z95**2 / (4 * n * n))
        )
        return max(0.0, middle - half), min(1.0, middle + half)

    def document(self) -> dict[str, float | int | list[float]]:
        """Return it for a report."""
        low, high = self.interval()
        return {
            "hits": self.hits,
            "total": self.total,
            "share": round(self.value, 4),
            "interval95": [round(low, 4), round(high, 4)],
        }


@dataclass(frozen=True, slots=True)
class SetResult:
    """What the service made of one set of real photographs."""

    name: str
    products: int
    photos: int
    recall_at_1: Share
    """What is likeliest was the right product, accepted or not."""
    accepted_right: Share
    """The finding named the right product."""
    accepted_wrong: Share
    """The finding named another product: the error that harms."""
    known_lost: Share
    """Enrolled, and still answered ``no_reference``."""
    unknown_rejected: Share
    """Not enrolled, and answered ``no_reference`` or ``insufficient_quality``."""
    genuine_inconsistent: Share
    """False alarms: photos called inconsistent (or known counterfeit)."""
    findings: dict[str, int]
    reasons: dict[str, int]
    """Of ``insufficient_quality``: photos by reason; one photo may have several."""

    def document(self) -> dict[str, object]:
        """Return it for a report."""
        fields = asdict(self)
        for name, value in fields.items():
            share = getattr(self, name)
            fields[name] = share.document() if isinstance(share, Share) else value
        return fields


def evaluate_set(name: str, folder: Path, *, every_nth: int = 1) -> SetResult:
    """Enrol and verify one set; half of its products once more as the unknown half."""
    items = _untrained(folder)
    references = [item for item in items if item.kind == "reference"]
    photos = [item for item in items if item.kind == "photo"][::every_nth]
    if not photos:
        raise InvalidInputError(f"{folder} holds no photo of an untrained product.")
    with service(references) as (application, caller):
        verifier = application.verifier
        kinds: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        right = wrong = lost = first = alarms = 0
        for item in track(photos, description=name):
            data = item.path.read_bytes()
            seen = verifier.assess(caller, [data])
            found = seen.product.product_id if seen.product else None
            kinds[str(seen.finding.kind)] += 1
            if seen.finding.kind is FindingKind.INSUFFICIENT_QUALITY:
                reasons.update(reason.code for reason in seen.finding.reasons)
            right += found == item.product_id
            wrong += found not in {None, item.product_id}
            lost += found is None
            alarms += seen.finding.kind in _ALARMS
            best = found or _best(verifier, caller, data)
            first += best == item.product_id
    unknown = _unknown_rejected(references, photos)
    n = len(photos)
    return SetResult(
        name=name,
        products=len(references),
        photos=n,
        recall_at_1=Share(first, n),
        accepted_right=Share(right, n),
        accepted_wrong=Share(wrong, n),
        known_lost=Share(lost, n),
        unknown_rejected=unknown,
        genuine_inconsistent=Share(alarms, n),
        findings=dict(kinds),
        reasons=dict(reasons),
    )


_ALARMS = frozenset(
    {FindingKind.INCONSISTENT_WITH_GENUINE, FindingKind.MATCHES_KNOWN_COUNTERFEIT}
)


def _best(verifier: Verifier, caller: Caller, data: bytes) -> str | None:
    """Name what is likeliest, however weakly: the policy's acceptance set aside.

    What registered best; where nothing did, what ``identify`` puts first.
    """
    policy = replace(verifier.policy, accept_logit=-math.inf)
    product = replace(verifier, policy=policy).assess(caller, [data]).product
    if product is not None:
        return product.product_id
    near = verifier.identify(caller, data, k=1)
    return near[0].product.product_id if near else None


def _unknown_rejected(references: Sequence[Item], photos: Sequence[Item]) -> Share:
    """Enrol every other product, and ask for the photos of the rest."""
    codes = sorted({item.product_id for item in references})
    enrolled = frozenset(codes[::2])
    known = [item for item in references if item.product_id in enrolled]
    foreign = [item for item in photos if item.product_id not in enrolled]
    rejected = 0
    with service(known) as (application, caller):
        for item in track(foreign, description="not enrolled"):
            seen = application.verifier.assess(caller, [item.path.read_bytes()])
            rejected += seen.product is None
    return Share(rejected, len(foreign))


def _untrained(folder: Path) -> list[Item]:
    items = read_manifest(folder)
    return [item for item in items if split(item.product_id) == "held_out"]


@contextmanager
def service(references: Sequence[Item]) -> Iterator[tuple[Application, Caller]]:
    """Run a service on a folder of its own, with ``references`` enrolled."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.load(data_dir=Path(folder))
        with build(settings) as application:
            caller = application.store.ensure_local_operator()
            for item in references:
                application.enroller.enrol(
                    caller,
                    EnrolmentRequest(
                        item.path.read_bytes(), ProductFields(item.product_id)
                    ),
                )
            yield application, caller


# --- simulated counterfeits -----------------------------------------------------------


def counterfeit_report(
    rows: Sequence[Row], log10_lr: Sequence[float], *, seed: int = 0
) -> dict[str, object]:
    """Compare ours with both peers on the same simulated photos.

    Args:
        rows: with peers measured; rows without measurements count as not examined.
        log10_lr: of each row, as the shipped policy gives it (NaN: not examined).
        seed: of the bootstrap, which resamples products, not photos.
    """
    ours = -np.array(log10_lr, np.float64)
    systems = {
        "touchstone": ours,
        "embedding_cosine": -np.array([row.peers["cosine"] for row in rows]),
        "sift_ssim": -np.array([row.peers["sift_ssim"] for row in rows]),
    }
    is_fake = np.array([row.kind != GENUINE for row in rows])
    examined = ~np.isnan(ours)
    products = np.array([row.product for row in rows])
    report: dict[str, object] = {
        "photos": len(rows),
        "examined_share": round(float(examined.mean()), 4),
        "cllr": round(cllr(-ours[examined & ~is_fake], -ours[examined & is_fake]), 4),
    }
    for name, values in systems.items():
        report[name] = _auroc_document(
            values[examined], is_fake[examined], products[examined], seed
        )
    kinds = sorted({row.kind for row in rows} - {GENUINE})
    report["per_kind"] = {
        kind: _per_kind(rows, systems, examined, is_fake, kind) for kind in kinds
    }
    return report


def _per_kind(
    rows: Sequence[Row],
    systems: dict[str, np.ndarray],
    examined: np.ndarray,
    is_fake: np.ndarray,
    kind: str,
) -> dict[str, object]:
    of_kind = np.array([row.kind == kind for row in rows]) & examined
    genuine = ~is_fake & examined
    hits = [row.is_region_hit for row in rows if row.kind == kind and row.measurements]
    return {
        "photos": int(of_kind.sum()),
        **{
            name: round(auroc(values[of_kind], values[genuine]), 4)
            for name, values in systems.items()
        },
        "top_region_on_change": round(float(np.mean([bool(h) for h in hits])), 4)
        if hits
        else None,
    }


_RESAMPLES = 300


def _auroc_document(
    values: np.ndarray, is_fake: np.ndarray, products: np.ndarray, seed: int
) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    names = np.unique(products)
    rows_of = {name: np.flatnonzero(products == name) for name in names}
    draws = []
    for _ in range(_RESAMPLES):
        rows = np.concatenate([rows_of[name] for name in rng.choice(names, len(names))])
        draws.append(auroc(values[rows][is_fake[rows]], values[rows][~is_fake[rows]]))
    low, high = np.nanquantile(draws, (0.025, 0.975))
    threshold = np.quantile(values[~is_fake], 0.99)
    return {
        "auroc": round(auroc(values[is_fake], values[~is_fake]), 4),
        "interval95": [round(float(low), 4), round(float(high), 4)],
        "tpr_at_1_percent_fpr": round(float((values[is_fake] > threshold).mean()), 4),
    }


def write_report(path: Path, report: dict[str, object]) -> None:
    """Write a report as JSON, sorted, so that two runs can be compared by eye."""
    text = json.dumps(_without_nan(report), indent=1, sort_keys=True, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _without_nan(value: object) -> object:
    """Write what could not be measured (no photo of a kind) as null, not as NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value

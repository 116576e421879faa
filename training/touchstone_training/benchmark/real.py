"""The whole service on labelled photographs, and counterfeits planted into them.

Every set is enrolled into a service of its own (records, index, policy as shipped) and
every photo is verified as an officer's would be. A photo proves *the same design*, so a
finding of inconsistency on it is counted as a false alarm.
"""

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from touchstone.bootstrap import Application
from touchstone.catalogue import WORKING_SIDE_PX
from touchstone.engine.image import decode
from touchstone.engine.wording import FindingKind
from touchstone.store import Caller
from touchstone.verification import Verifier
from touchstone_training.benchmark.observations import (
    ALARMS,
    CONTROL,
    NOTHING_FOUND,
    Looked,
    Models,
    Observation,
    Taken,
    look,
)
from touchstone_training.benchmark.peers import Classic
from touchstone_training.benchmark.pictures import Kept
from touchstone_training.benchmark.planted import plant_each
from touchstone_training.benchmark.scores import share_document
from touchstone_training.data import Item, read_manifest, split
from touchstone_training.enrolling import Enrolled, enrolled
from touchstone_training.services import References, Specimen, enrol_all, opened
from touchstone_training.simulator.photography import to_jpeg
from touchstone_training.work import spread

_CHUNK = 20
"""Photos of a job: two processes should end together."""
_PLANTED_CHUNK = 20
_JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class RealSet:
    """Labelled photos of products that nothing was trained on."""

    name: str
    references: tuple[Item, ...]
    photos: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class RealRow:
    """What the service made of one real photo."""

    set: str
    file: str
    product: str
    named: str | None
    """The product that the finding names."""
    likeliest: str | None
    """The same with acceptance set aside: what is likeliest, however weakly."""
    finding: str
    reasons: list[str]
    unknown_finding: str | None
    """Where its product is not enrolled; None if that was not asked."""
    unknown_named: str | None
    """The product that it was taken for there."""


def real_sets(
    data: Path, *, every_nth: int = 1, most_products: int | None = None
) -> list[RealSet]:
    """Find the sets under ``data/measure`` and ``data/open`` that show such products.

    Args:
        data: holds ``measure/SET/manifest.csv`` and ``open/SET/manifest.csv``.
        every_nth: look at every nth photo.
        most_products: of each set, in the order of their codes; all if None.
    """
    found = []
    for manifest in sorted(data.glob("*/*/manifest.csv")):
        if manifest.parts[-3] not in {"measure", "open"}:
            continue
        items = read_manifest(manifest.parent)
        unseen = [one for one in items if split(one.product_id) == "held_out"]
        enrolled_ones = [one for one in unseen if one.kind == "reference"]
        known = set(sorted({one.product_id for one in enrolled_ones})[:most_products])
        references = tuple(one for one in enrolled_ones if one.product_id in known)
        photos = tuple(
            one for one in unseen if one.kind == "photo" and one.product_id in known
        )[::every_nth]
        if photos:
            found.append(RealSet(manifest.parent.name, references, photos))
    return found


# --- identification, open set, false alarms -------------------------------------------


@dataclass(frozen=True, slots=True)
class _Asked:
    """Photos of a set, and the services that know all of it and half of it."""

    one: RealSet
    every: Path
    half: Path
    known_half: frozenset[str]


def verify_real(
    sets: Sequence[RealSet], models: Path, *, workers: int
) -> list[RealRow]:
    """Verify every photo with its set enrolled and, half of the products, without."""
    with tempfile.TemporaryDirectory(prefix="touchstone-benchmark-") as folder:
        services: dict[Path, References] = {}
        jobs = []
        for one in sets:
            # Every other product is enrolled, and the photos of the rest are asked for.
            codes = sorted({item.product_id for item in one.references})
            known = frozenset(codes[::2])
            files = [
                Specimen(item.product_id, item.path.read_bytes())
                for item in one.references
            ]
            every, half = (Path(folder) / f"{one.name}-{n}" for n in ("all", "half"))
            services[every] = files
            services[half] = [file for file in files if file.code in known]
            for start in range(0, len(one.photos), _CHUNK):
                part = replace(one, photos=one.photos[start : start + _CHUNK])
                jobs.append(_Asked(part, every, half, known))
        enrol_all(services, models, workers=workers)
        work = partial(_verified, models=models)
        done = spread(work, jobs, workers=workers, description="Real photographs")
        return [row for rows in done for row in rows]


def _verified(asked: _Asked, *, models: Path) -> list[RealRow]:
    photos, name = asked.one.photos, asked.one.name
    with opened(asked.every, models) as (application, caller):
        rows = [_row(name, item, application, caller) for item in photos]
    with opened(asked.half, models) as (application, caller):
        return [
            row
            if row.product in asked.known_half
            else _asked_unknown(row, item, application, caller)
            for row, item in zip(rows, photos, strict=True)
        ]


def _asked_unknown(
    row: RealRow, item: Item, application: Application, caller: Caller
) -> RealRow:
    seen = application.verifier.assess(caller, [item.path.read_bytes()])
    return replace(
        row,
        unknown_finding=str(seen.finding.kind),
        unknown_named=seen.product.product_id if seen.product else None,
    )


def _row(name: str, item: Item, application: Application, caller: Caller) -> RealRow:
    data = item.path.read_bytes()
    seen = application.verifier.assess(caller, [data])
    named = seen.product.product_id if seen.product else None
    return RealRow(
        set=name,
        file=item.file,
        product=item.product_id,
        named=named,
        likeliest=named or likeliest(application.verifier, caller, data),
        finding=str(seen.finding.kind),
        reasons=[reason.code for reason in seen.finding.reasons],
        unknown_finding=None,
        unknown_named=None,
    )


def likeliest(verifier: Verifier, caller: Caller, data: bytes) -> str | None:
    """Name what is likeliest, however weakly: the policy's acceptance set aside.

    What registered best; where nothing did, what ``identify`` puts first.
    """
    policy = replace(verifier.policy, accept_logit=-math.inf)
    product = replace(verifier, policy=policy).assess(caller, [data]).product
    if product is not None:
        return product.product_id
    near = verifier.identify(caller, data, k=1)
    return near[0].product.product_id if near else None


def real_document(rows: Sequence[RealRow]) -> dict[str, object]:
    """Sum up the rows of one set, or of all."""
    asked = [row for row in rows if row.unknown_finding is not None]
    tests: dict[str, tuple[Sequence[RealRow], Callable[[RealRow], bool]]] = {
        "recall_at_1": (rows, lambda row: row.likeliest == row.product),
        "accepted_right": (rows, lambda row: row.named == row.product),
        "accepted_wrong": (rows, lambda row: row.named not in {None, row.product}),
        "known_lost": (rows, lambda row: row.named is None),
        "unknown_rejected": (asked, lambda row: row.unknown_finding == NOTHING_FOUND),
        "unknown_named": (asked, lambda row: row.unknown_named is not None),
        "genuine_inconsistent": (rows, lambda row: row.finding in ALARMS),
    }
    reasons: Counter[str] = Counter()
    for row in rows:
        if row.finding == str(FindingKind.INSUFFICIENT_QUALITY):
            reasons.update(row.reasons)
    return {
        "photos": len(rows),
        "products": len({row.product for row in rows}),
        **{
            name: share_document([(row.product, holds(row)) for row in own])
            for name, (own, holds) in tests.items()
        },
        "findings": dict(Counter(row.finding for row in rows)),
        "reasons": dict(reasons),
    }


# --- planted counterfeits -------------------------------------------------------------


def observe_planted(
    sets: Sequence[RealSet],
    models: Path,
    kept: Kept,
    *,
    most_photos: int,
    workers: int,
) -> list[Observation]:
    """Examine photos of each set as they are, re-encoded, and with changes planted.

    Args:
        sets: of real photographs.
        models: folder of what is under test.
        kept: where registered crops are kept.
        most_photos: of each set, evenly spread over it.
        workers: processes.
    """
    jobs = []
    for one in sets:
        step = max(1, math.ceil(len(one.photos) / most_photos))
        chosen = one.photos[::step]
        jobs += [
            replace(one, photos=chosen[start : start + _PLANTED_CHUNK])
            for start in range(0, len(chosen), _PLANTED_CHUNK)
        ]
    work = partial(_planted, models=models, kept=kept)
    done = spread(work, jobs, workers=workers, description="Planted counterfeits")
    return [row for rows in done for row in rows]


def _planted(one: RealSet, *, models: Path, kept: Kept) -> list[Observation]:
    opened = Models.open(models)
    files = {item.product_id: item.path for item in one.references}
    cached: dict[str, tuple[Enrolled, Classic]] = {}
    rows: list[Observation] = []
    for item in one.photos:
        code = item.product_id
        if code not in cached:
            pixels = decode(
                files[code].read_bytes(), max_side_px=WORKING_SIDE_PX
            ).pixels
            cached[code] = enrolled(pixels, 0, opened.embedder), Classic(pixels)
        reference, classic = cached[code]
        for shown, looked in _variants(one.name, item, reference, opened):
            looked.observation.peers["sift_ssim"] = classic.suspicion(shown.jpeg)
            kept.keep_crop(looked)
            rows.append(looked.observation)
    return rows


def _variants(
    name: str, item: Item, reference: Enrolled, models: Models
) -> Iterator[tuple[Taken, Looked]]:
    """Yield the photo untouched, re-encoded, and changed; nothing if not found."""
    data = item.path.read_bytes()
    shown = f"{name}:{item.file}"
    untouched = Taken(
        name=f"{shown}:untouched", group=item.product_id, source=name, jpeg=data
    )
    looked = look(untouched, [reference], 0, models)
    if looked.evidence is None:
        return
    yield untouched, looked
    photo = decode(data, max_side_px=WORKING_SIDE_PX).pixels
    control = replace(
        untouched,
        name=f"{shown}:control",
        kind=CONTROL,
        jpeg=to_jpeg(photo, _JPEG_QUALITY),
    )
    yield control, look(control, [reference], 0, models)
    registration = looked.evidence.match.registration
    for one in plant_each(shown, photo, registration, reference.reference):
        planted = replace(
            untouched,
            name=f"{shown}:{one.kind}",
            kind=one.kind,
            severity=one.severity,
            boxes=(one.box,),
            jpeg=to_jpeg(one.pixels, _JPEG_QUALITY),
        )
        yield planted, look(planted, [reference], 0, models)

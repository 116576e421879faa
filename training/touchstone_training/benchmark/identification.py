"""Which product is it: simulated packages with a sibling each, and packages unknown.

Every design is enrolled beside a sibling, which differs in strength and GTIN and mostly
in colour, both with the places where units differ by design. The photos are the genuine
ones on which counterfeits are measured, and those of many more designs.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from touchstone_training.benchmark.observations import ALARMS, NOTHING_FOUND
from touchstone_training.benchmark.real import likeliest
from touchstone_training.benchmark.scores import share_document
from touchstone_training.enrolling import drawn, enrolled_regions, reference_print
from touchstone_training.services import Specimen, enrol_all, opened
from touchstone_training.simulator.artwork import Artwork, sibling
from touchstone_training.simulator.photography import to_jpeg
from touchstone_training.work import spread

_SIBLING = "sibling of "
_JPEG_QUALITY = 95
_CHUNK = 30
"""Photos of a job: two processes should end together."""


@dataclass(frozen=True, slots=True)
class Query:
    """A genuine photo on disk."""

    path: Path
    product: str
    source: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service named."""

    source: str
    product: str
    is_enrolled: bool
    named: str | None
    likeliest: str | None
    """With acceptance set aside, where the product is enrolled."""
    finding: str


def enrolled_prints(seed: int, fonts: tuple[Path, ...]) -> list[Specimen]:
    """Return the flat print of a design, and its sibling's."""
    artwork = drawn(seed, fonts)
    other = sibling(artwork, np.random.default_rng((seed, 17)))
    return [
        _specimen(str(seed), artwork),
        _specimen(f"{_SIBLING}{seed}", other),
    ]


def _specimen(code: str, artwork: Artwork) -> Specimen:
    pixels = reference_print(artwork)
    image = to_jpeg(pixels, _JPEG_QUALITY)
    return Specimen(code, image, enrolled_regions(artwork, pixels))


@dataclass(frozen=True, slots=True)
class _Asked:
    """Photos, and the service that is asked about them."""

    queries: Sequence[Query]
    service: Path
    is_enrolled: bool


def identify(
    queries: Sequence[Query],
    seeds: Sequence[int],
    models: Path,
    fonts: tuple[Path, ...],
    *,
    workers: int,
) -> list[Answer]:
    """Ask for every photo: with all designs enrolled, and with every other one."""
    draw = partial(enrolled_prints, fonts=fonts)
    drawn_pairs = spread(draw, seeds, workers=workers, description="Their references")
    files = [file for pair in drawn_pairs for file in pair]
    unknown = frozenset(sorted(str(seed) for seed in seeds)[1::2])
    foreign = [query for query in queries if query.product in unknown]
    with tempfile.TemporaryDirectory(prefix="touchstone-benchmark-") as folder:
        every, half = (Path(folder) / name for name in ("all", "half"))
        known = [file for file in files if _design(file.code) not in unknown]
        enrol_all({every: files, half: known}, models, workers=workers)
        jobs = [
            _Asked(asked[start : start + _CHUNK], service, service == every)
            for asked, service in ((queries, every), (foreign, half))
            for start in range(0, len(asked), _CHUNK)
        ]
        work = partial(_answered, models=models)
        done = spread(work, jobs, workers=workers, description="Identification")
        return [answer for answers in done for answer in answers]


def _design(code: str) -> str:
    return code.removeprefix(_SIBLING)


def _answered(asked: _Asked, *, models: Path) -> list[Answer]:
    answers = []
    with opened(asked.service, models) as (application, caller):
        verifier = application.verifier
        for query in asked.queries:
            data = query.path.read_bytes()
            seen = verifier.assess(caller, [data])
            named = seen.product.product_id if seen.product else None
            first = named
            if asked.is_enrolled and named is None:
                first = likeliest(verifier, caller, data)
            answers.append(
                Answer(
                    query.source,
                    query.product,
                    asked.is_enrolled,
                    named,
                    first,
                    str(seen.finding.kind),
                )
            )
    return answers


def identification_document(answers: Sequence[Answer]) -> dict[str, object]:
    """Sum up answers, by how the photos were taken and over all."""
    sources = sorted({one.source for one in answers})
    return {
        name: _shares([one for one in answers if name in {one.source, "all"}])
        for name in (*sources, "all")
    }


def _shares(answers: Sequence[Answer]) -> dict[str, object]:
    known = [one for one in answers if one.is_enrolled]
    unknown = [one for one in answers if not one.is_enrolled]
    tests: dict[str, tuple[Sequence[Answer], Callable[[Answer], bool]]] = {
        "recall_at_1": (known, lambda one: one.likeliest == one.product),
        "design_or_sibling_at_1": (known, lambda one: _is_of(one.likeliest, one)),
        "named_sibling": (known, lambda one: one.named == _SIBLING + one.product),
        "named_another": (
            known,
            lambda one: one.named is not None and not _is_of(one.named, one),
        ),
        "known_lost": (known, lambda one: one.named is None),
        "genuine_inconsistent": (known, lambda one: one.finding in ALARMS),
        "unknown_rejected": (unknown, lambda one: one.finding == NOTHING_FOUND),
        "unknown_named": (unknown, lambda one: one.named is not None),
    }
    return {
        name: share_document([(one.product, holds(one)) for one in own])
        for name, (own, holds) in tests.items()
    }


def _is_of(code: str | None, answer: Answer) -> bool:
    """Tell whether ``code`` is the product or its sibling."""
    return code is not None and _design(code) == answer.product

"""Simulated examinations: what the engine measures on genuine and forged packages.

Every artwork is enrolled as its flat print, with other variable data than any photo;
genuine and counterfeit prints go through the same press and the same photography.
The two peers of the benchmark are measured on the same photos: the cosine of the
embedding, and the classic SIFT + homography + SSIM pipeline.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from touchstone.engine.evidence import Evidence, Reference, examine
from touchstone.engine.identification import Candidate, match
from touchstone.engine.image import Pixels, decode
from touchstone.engine.registration import REFERENCE_SIDE_PX, Method, detect
from touchstone.errors import InvalidInputError
from touchstone_training.artwork import Artwork, design, render
from touchstone_training.counterfeits import KINDS, counterfeit
from touchstone_training.photography import photograph, to_jpeg
from touchstone_training.printing import genuine_print

GENUINE = "genuine"
_PHOTO_PX = (1600, 1200)
_ARTWORK_SIDE_PX = 1400
_PHOTO_SIDE_PX = 1280


@dataclass(frozen=True, slots=True)
class Sample:
    """One simulated photo of one product."""

    product: int
    """The design's seed."""
    family: str
    kind: str
    """``genuine`` or a kind of counterfeit."""
    severity: float
    changed_boxes: tuple[tuple[float, float, float, float], ...]
    """Of the counterfeit, in pixels of the artwork."""
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Row:
    """What the engine measured on one sample."""

    product: int
    family: str
    kind: str
    severity: float
    measurements: dict[str, float]
    """Empty where the reference was not found in the photo."""
    is_region_hit: bool | None
    """Whether the most deviating region overlaps the change; None for genuine."""
    peers: dict[str, float]
    """Similarity by each peer: higher is closer."""


def samples(
    seed: int,
    *,
    genuine: int,
    forged: int,
    difficulty: float,
    fonts: Sequence[Path] = (),
) -> Iterator[Sample]:
    """Yield photos of one design: ``genuine`` real ones, ``forged`` counterfeits."""
    artwork = drawn(seed, fonts)
    rng = np.random.default_rng((seed, 7))
    for number in range(genuine):
        print_ = render(
            artwork, long_side_px=_ARTWORK_SIDE_PX, variable_seed=1000 + number
        )
        yield _photographed(
            artwork, seed, genuine_print(print_, rng), rng, difficulty=difficulty
        )
    kinds = rng.permutation(KINDS)
    for number in range(forged):
        kind = str(kinds[number % len(kinds)])
        severity = float(rng.uniform(0.15, 1.0))
        try:
            fake = counterfeit(
                artwork, kind, rng, severity=severity, long_side_px=_ARTWORK_SIDE_PX
            )
        except InvalidInputError:  # this artwork has nothing of that kind
            continue
        yield _photographed(
            artwork,
            seed,
            genuine_print(fake.pixels, rng),
            rng,
            difficulty=difficulty,
            kind=kind,
            severity=severity,
            boxes=fake.changed_boxes,
        )


def drawn(seed: int, fonts: Sequence[Path] = ()) -> Artwork:
    """Return the design of ``seed``."""
    return design(seed, fonts=fonts) if fonts else design(seed)


def reference_print(artwork: Artwork) -> Pixels:
    """Return the flat print under which an artwork is enrolled."""
    return render(artwork, long_side_px=_ARTWORK_SIDE_PX, variable_seed=1)


def _photographed(
    artwork: Artwork,
    seed: int,
    print_: Pixels,
    rng: np.random.Generator,
    *,
    difficulty: float,
    kind: str = GENUINE,
    severity: float = 0.0,
    boxes: tuple[tuple[float, float, float, float], ...] = (),
) -> Sample:
    hard = float(rng.uniform(0, 2 * difficulty))
    photo = photograph(print_, rng, size_px=_PHOTO_PX, difficulty=min(1.0, hard))
    jpeg = to_jpeg(photo.pixels, photo.conditions.jpeg_quality)
    return Sample(seed, artwork.family, kind, severity, boxes, jpeg)


def reference_of(artwork: Artwork, label: int) -> tuple[Reference, Candidate]:
    """Return what enrolment would keep of an artwork."""
    pixels = reference_print(artwork)
    scale = _ARTWORK_SIDE_PX / max(artwork.size_px)
    regions = tuple(
        (x * scale, y * scale, w * scale, h * scale)
        for x, y, w, h in artwork.variable_regions
    )
    size = pixels.shape[1], pixels.shape[0]
    features = {
        method: detect(pixels, method, max_side_px=REFERENCE_SIDE_PX)
        for method in Method
    }
    return (
        Reference(label, pixels, size, is_counterfeit=False, variable_regions=regions),
        Candidate(label, 1.0, features),
    )


def measure(
    sample: Sample, reference: Reference, candidate: Candidate
) -> tuple[Evidence | None, Row]:
    """Examine one sample against its own reference, as the service would."""
    photo = decode(sample.jpeg, max_side_px=_PHOTO_SIDE_PX).pixels
    found = match(
        photo,
        [candidate],
        lambda _: reference.pixels,
        rank=lambda measured: measured["log_inliers"],
    )
    evidence = examine(photo, found[0], reference) if found else None
    row = Row(
        product=sample.product,
        family=sample.family,
        kind=sample.kind,
        severity=sample.severity,
        measurements=evidence.measurements() if evidence else {},
        is_region_hit=_is_hit(evidence, sample),
        peers={},
    )
    return evidence, row


def _is_hit(evidence: Evidence | None, sample: Sample) -> bool | None:
    if sample.kind == GENUINE:
        return None
    regions = evidence.regions() if evidence else ()
    if not regions:
        return False
    top = regions[0]
    return any(
        min(top.x + top.width, x + w) > max(top.x, x)
        and min(top.y + top.height, y + h) > max(top.y, y)
        for x, y, w, h in sample.changed_boxes
    )


def single_threaded() -> None:
    """Make the libraries of this process use one thread, as the service does."""
    cv2.setNumThreads(1)

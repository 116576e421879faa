"""Simulated examinations: what the engine measures on genuine and forged packages.

Every artwork is enrolled as its flat print, with other variable data than any photo;
genuine and counterfeit prints go through the same press and the same photography.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from touchstone.catalogue import WORKING_SIDE_PX
from touchstone.engine.comparator import Comparator
from touchstone.engine.embedding import Embedder
from touchstone.engine.evidence import examine
from touchstone.engine.identification import (
    Candidate,
    Match,
    match,
    nearest,
)
from touchstone.engine.image import Pixels, decode
from touchstone.engine.localisation import (
    POSSIBLE,
    Face,
    Localiser,
    cut_out,
    span_of,
    whole_photo,
)
from touchstone.errors import InvalidInputError
from touchstone.retrieval import CLEAR_LEAD
from touchstone.verification import MAX_CANDIDATES
from touchstone_training.enrolling import ARTWORK_SIDE_PX, Enrolled, drawn
from touchstone_training.simulator.artwork import Artwork, render
from touchstone_training.simulator.counterfeits import KINDS, counterfeit
from touchstone_training.simulator.photography import Conditions, photograph, to_jpeg
from touchstone_training.simulator.printing import genuine_print

GENUINE = "genuine"
PHOTO_PX = (1600, 1200)
_PHOTO_SIZES_PX = (
    PHOTO_PX,
    PHOTO_PX,
    (1200, 900),
    (960, 720),
    (800, 600),
    (640, 480),
)
"""Messengers and web forms make photos smaller: what small ones cannot show must not
speak against a print, and only a policy that has seen them knows."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One simulated photo of one product."""

    product: int
    """The design's seed."""
    family: str
    kind: str
    """``genuine`` or a kind of counterfeit."""
    severity: float
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
            artwork, long_side_px=ARTWORK_SIDE_PX, variable_seed=1000 + number
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
                artwork, kind, rng, severity=severity, long_side_px=ARTWORK_SIDE_PX
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
        )


def _photographed(
    artwork: Artwork,
    seed: int,
    print_: Pixels,
    rng: np.random.Generator,
    *,
    difficulty: float,
    kind: str = GENUINE,
    severity: float = 0.0,
) -> Sample:
    taken = conditions(rng, difficulty)
    (choice,) = rng.spawn(1)
    size = _PHOTO_SIZES_PX[int(choice.integers(len(_PHOTO_SIZES_PX)))]
    photo = photograph(print_, rng, conditions=taken, size_px=size, compress=False)
    jpeg = to_jpeg(photo.pixels, photo.conditions.jpeg_quality)
    return Sample(seed, artwork.family, kind, severity, jpeg)


def conditions(rng: np.random.Generator, difficulty: float) -> Conditions:
    """Draw how a photo is taken, from careful to twice ``difficulty``.

    No stickers: one over the print is a difference that a person must look at, and
    what excuses it would excuse a missing element of the same size.
    """
    hard = min(1.0, float(rng.uniform(0, 2 * difficulty)))
    return replace(Conditions.sample(rng, difficulty=hard), sticker=False)


@dataclass(frozen=True, slots=True)
class Judged:
    """What identification measured on one registered candidate."""

    measurements: dict[str, float]
    is_true: bool
    is_real: bool
    """Of a real photograph."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """What a photo is taken for whose product is not among the references."""

    product: int
    """The design's seed."""
    nearest: float
    """Cosine of the nearest reference; -1: none."""
    matches: list[dict[str, float]]
    """Measurements of those that could be laid over it."""


def judged(
    photo: Pixels,
    gallery: Sequence[Enrolled],
    label: int,
    embedder: Embedder,
    localiser: Localiser | None = None,
) -> tuple[list[Judged], Match | None]:
    """Lay the nearest references of ``gallery`` over ``photo``.

    Returns what was measured on each that registered, and the match of the one with
    ``label``, which is the true one.
    """
    _, found = _laid_over(photo, gallery, embedder, localiser)
    rows = [
        Judged(one.measurements(), one.label == label, is_real=False) for one in found
    ]
    return rows, next((one for one in found if one.label == label), None)


def taken_for(
    sample: Sample,
    others: Sequence[Enrolled],
    embedder: Embedder,
    localiser: Localiser | None = None,
) -> Stranger:
    """Return what a photo is taken for when its product is not among the references.

    Among a few ``others`` a wrong match is rare and poor. Among many there is one that
    shares layout, pictograms and seal, and that is what acceptance must withstand. (The
    service searches a second time, with the whole photo, where one leads clearly by its
    face and is not accepted; that is left out.)
    """
    photo = decode(sample.jpeg, max_side_px=WORKING_SIDE_PX).pixels
    candidates, found = _laid_over(photo, others, embedder, localiser)
    first = nearest(candidates)
    return Stranger(
        sample.product,
        first.similarity if first else -1.0,
        [one.measurements() for one in found],
    )


def _laid_over(
    photo: Pixels,
    gallery: Sequence[Enrolled],
    embedder: Embedder,
    localiser: Localiser | None,
) -> tuple[list[Candidate], list[Match]]:
    """Lay over ``photo`` what is nearest, as many as the service would try."""
    references = {one.reference.label: one.reference for one in gallery}
    face = whole_photo(photo) if localiser is None else localiser.locate(photo)
    candidates = candidates_of(photo, face, gallery, embedder)
    candidates.sort(key=lambda one: (-one.similarity, one.label))
    tried = candidates[:MAX_CANDIDATES]
    return tried, match(
        photo,
        tried,
        lambda number: references[number],
        rank=lambda measured: measured["log_inliers"],
        face=span_of(face, photo),
    )


def candidates_of(
    photo: Pixels, face: Face, gallery: Sequence[Enrolled], embedder: Embedder
) -> list[Candidate]:
    """Return every reference as a candidate, as near as the service would find it."""
    whole = embedder.embed([photo])[0]
    by_photo = [one.candidate(whole) for one in gallery]
    if face.confidence < POSSIBLE:
        return by_photo
    query = embedder.embed([cut_out(photo, face.quad)])[0]
    by_face = [one.candidate(query) for one in gallery]
    first = sorted((one.similarity for one in by_face), reverse=True)
    if len(first) > 1 and first[0] - first[1] > CLEAR_LEAD:
        return by_face
    return [
        max(pair, key=lambda one: one.similarity)
        for pair in zip(by_face, by_photo, strict=True)
    ]


def measure(
    sample: Sample,
    gallery: Sequence[Enrolled],
    label: int,
    embedder: Embedder,
    comparator: Comparator,
    *,
    localiser: Localiser | None = None,
) -> tuple[Row, list[Judged]]:
    """Examine one sample among the references of ``gallery``, as the service would."""
    photo = decode(sample.jpeg, max_side_px=WORKING_SIDE_PX).pixels
    rows, own = judged(photo, gallery, label, embedder, localiser)
    reference = next(r.reference for r in gallery if r.reference.label == label)
    evidence = examine(photo, own, reference, comparator) if own else None
    row = Row(
        product=sample.product,
        family=sample.family,
        kind=sample.kind,
        severity=sample.severity,
        measurements=evidence.measurements() if evidence else {},
    )
    return row, rows


def write_rows(path: Path, rows: Iterable[Row | Judged | Stranger]) -> None:
    """Write rows as JSON Lines."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(asdict(row)) + "\n")


Kind = TypeVar("Kind", Row, Judged, Stranger)


def read_rows(path: Path, kind: type[Kind]) -> list[Kind]:
    """Read the rows of one ``kind`` that `write_rows` wrote.

    Raises:
        InvalidInputError: another version wrote them, or something else did.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        return [kind(**json.loads(line)) for line in lines]
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"{path} does not hold rows of this version: measure anew."
        ) from error

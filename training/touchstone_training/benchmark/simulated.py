"""Simulated packages: each print photographed carefully, and as it comes in the field.

Genuine and counterfeit prints go through the same press and the same photography, and
both kinds of photograph show the same prints: what differs between them is the photo.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from touchstone.engine.image import Pixels
from touchstone.errors import InvalidInputError
from touchstone_training.benchmark.observations import (
    Box,
    Looked,
    Models,
    Observation,
    Taken,
    look,
)
from touchstone_training.benchmark.peers import Classic
from touchstone_training.benchmark.pictures import Kept
from touchstone_training.enrolling import ARTWORK_SIDE_PX, drawn, gallery_of
from touchstone_training.measuring import GENUINE, PHOTO_PX, conditions
from touchstone_training.simulator.artwork import Artwork, render
from touchstone_training.simulator.counterfeits import KINDS, counterfeit
from touchstone_training.simulator.photography import photograph, to_jpeg
from touchstone_training.simulator.printing import genuine_print
from touchstone_training.work import spread

FIRST_SEED = 1_100_000
"""Designs for the benchmark: never trained on, calibrated on or looked at."""

FIRST_PRODUCT = 1_300_000
"""Further such designs: how much false calls differ between products."""

DIFFICULTIES = (("inspector", 0.12), ("field", 0.3))
"""Mean difficulty of the photographs; each is drawn from 0 to twice this."""

SEVERITIES = (("subtle", 0.15), ("middle", 0.15 + 0.85 / 3), ("crude", 1 - 0.85 / 3))
"""Name and lower end of each third of the severities; the last ends at 1."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is simulated."""

    designs: int = 40
    genuine: int = 5
    """Genuine prints of each design; each is photographed twice."""
    forged: int = 8
    """Counterfeits of each design; each is photographed twice."""
    first_seed: int = FIRST_SEED

    @property
    def seeds(self) -> range:
        """The designs."""
        return range(self.first_seed, self.first_seed + self.designs)


@dataclass(frozen=True, slots=True)
class Print:
    """A print, on its way to the camera."""

    pixels: Pixels
    kind: str = GENUINE
    severity: float = 0.0
    boxes: tuple[Box, ...] = ()


def third(severity: float) -> str:
    """Name the third of the severities that this one lies in."""
    return [name for name, least in SEVERITIES if severity >= least - 1e-9][-1]


def prints(seed: int, plan: Plan, fonts: tuple[Path, ...] = ()) -> Iterator[Print]:
    """Yield the prints of one design, the genuine ones first.

    Kinds are dealt out like cards, over all designs in a row, and the severities of
    each design are spread evenly over the thirds: every slice has as many photos.
    """
    artwork = drawn(seed, fonts)
    rng = np.random.default_rng((seed, 7))
    for number in range(plan.genuine):
        yield Print(
            genuine_print(
                render(
                    artwork, long_side_px=ARTWORK_SIDE_PX, variable_seed=1000 + number
                ),
                rng,
            )
        )
    for number in range(plan.forged):
        kind = dealt_kind(seed * plan.forged + number)
        least = SEVERITIES[(seed + number) % len(SEVERITIES)][1]
        severity = float(rng.uniform(least, least + 0.85 / len(SEVERITIES)))
        forged = _forged(artwork, kind, rng, severity=min(1.0, severity))
        if forged is not None:
            yield forged


def dealt_kind(number: int) -> str:
    """Return a kind of counterfeit: each comes once before any comes again."""
    deal, place = divmod(number, len(KINDS))
    return str(np.random.default_rng((deal, 11)).permutation(KINDS)[place])


def _forged(
    artwork: Artwork, kind: str, rng: np.random.Generator, *, severity: float
) -> Print | None:
    try:
        fake = counterfeit(
            artwork, kind, rng, severity=severity, long_side_px=ARTWORK_SIDE_PX
        )
    except InvalidInputError:  # this artwork has nothing of that kind
        return None
    return Print(genuine_print(fake.pixels, rng), kind, severity, fake.changed_boxes)


def taken(seed: int, plan: Plan, fonts: tuple[Path, ...] = ()) -> Iterator[Taken]:
    """Yield the photographs of one design: every print, at every difficulty."""
    family = drawn(seed, fonts).family
    rng = np.random.default_rng((seed, 13))
    for number, one in enumerate(prints(seed, plan, fonts)):
        for source, difficulty in DIFFICULTIES:
            asked = conditions(rng, difficulty)
            photo = photograph(one.pixels, rng, conditions=asked, size_px=PHOTO_PX)
            yield Taken(
                name=f"{source}-{seed}-{number:02d}",
                group=str(seed),
                source=source,
                jpeg=to_jpeg(photo.pixels, photo.conditions.jpeg_quality),
                family=family,
                kind=one.kind,
                severity=one.severity,
                boxes=one.boxes,
                conditions=asdict(photo.conditions),
            )


def observe_simulated(
    models: Path, plan: Plan, kept: Kept, fonts: tuple[Path, ...], *, workers: int
) -> list[Observation]:
    """Examine every photograph of every design, each among one decoy."""
    work = partial(_one_design, models=models, plan=plan, kept=kept, fonts=fonts)
    done = spread(
        work, plan.seeds, workers=workers, description="Simulated counterfeits"
    )
    return [observation for rows in done for observation in rows]


def _one_design(
    seed: int, *, models: Path, plan: Plan, kept: Kept, fonts: tuple[Path, ...]
) -> list[Observation]:
    opened = Models.open(models)
    gallery = gallery_of(seed, opened.embedder, decoys=1, fonts=fonts)
    classic = Classic(gallery[0].reference.pixels)
    rows = []
    for one in taken(seed, plan, fonts):
        looked: Looked = look(one, gallery, 0, opened)
        looked.observation.peers["sift_ssim"] = classic.suspicion(one.jpeg)
        kept.keep_crop(looked)
        kept.keep_strip(one, looked)
        _keep_query(kept, one)
        rows.append(looked.observation)
    return rows


def observe_products(
    models: Path, plan: Plan, kept: Kept, fonts: tuple[Path, ...], *, workers: int
) -> list[Observation]:
    """Examine photographs of many designs, for the findings alone: no peer looks."""
    work = partial(_one_product, models=models, plan=plan, kept=kept, fonts=fonts)
    done = spread(work, plan.seeds, workers=workers, description="Products")
    return [observation for rows in done for observation in rows]


def _one_product(
    seed: int, *, models: Path, plan: Plan, kept: Kept, fonts: tuple[Path, ...]
) -> list[Observation]:
    opened = Models.open(models)
    gallery = gallery_of(seed, opened.embedder, decoys=1, fonts=fonts)
    rows = []
    for one in taken(seed, plan, fonts):
        rows.append(look(one, gallery, 0, opened).observation)
        _keep_query(kept, one)
    return rows


def _keep_query(kept: Kept, one: Taken) -> None:
    """Keep genuine photos: identification is measured on the same ones."""
    if one.kind == GENUINE:
        path = kept.query_of(one.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(one.jpeg)

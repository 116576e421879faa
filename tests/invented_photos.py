"""Observations of the benchmark on photos that nobody took."""

from dataclasses import replace

import numpy as np

from touchstone_training.benchmark.observations import Observation
from touchstone_training.measuring import GENUINE
from touchstone_training.simulator.counterfeits import KINDS

FAMILIES = ("medicine_carton", "cosmetic_tube")
BLANK = Observation(
    name="",
    group="",
    source="field",
    family="perfume",
    kind=GENUINE,
    severity=0.0,
    conditions={"shape": "carton", "tilt_deg": 4.0, "jpeg_quality": 90},
    finding="inconclusive",
    reasons=["weak_evidence"],
    log10_lr=1.0,
    measurements={"resolution": 1.2, "compared_fraction": 0.95},
    peers={"embedding_cosine": -0.8, "sift_ssim": -0.5, "patchcore": 3.0},
)


def invented() -> list[Observation]:
    """Twelve designs, each with every kind, told apart by us better than by peers."""
    rng = np.random.default_rng(1)
    rows = []
    for design in range(12):
        for number in range(22):
            kind = KINDS[number - 6] if number >= 6 else GENUINE
            is_fake = kind != GENUINE
            apart = 2.0 * is_fake
            measured = {
                "embedding_cosine": float(rng.normal(0.05 * apart)),
                "sift_ssim": float(rng.normal(0.2 * apart)),
                "patchcore": float(rng.normal(0.4 * apart)),
            }
            rows.append(
                replace(
                    BLANK,
                    name=f"field-{design}-{number}",
                    group=str(design),
                    family=FAMILIES[design % 2],
                    kind=kind,
                    severity=float(rng.uniform(0.15, 1)) if is_fake else 0.0,
                    finding="insufficient_quality"
                    if number % 5 == 0
                    else "inconclusive",
                    log10_lr=float(rng.normal(1 - apart)),
                    peers=measured,
                    is_hit=bool(rng.integers(2)) if is_fake else None,
                    changed_share=0.01 if is_fake else 0.0,
                    top="learned",
                    deviation=1.3,
                    way="place",
                )
            )
    return rows

"""How one simulated photograph is taken, drawn from careful to careless."""

from dataclasses import dataclass, field

import numpy as np

from touchstone_training.simulator.phones import Phone

WARMTH, WARMTH_HARD, GREEN = 0.2, 0.1, 0.05
"""Standard deviations of what white balance leaves, logs of light: of red against blue,
of how much more at difficulty 1, and of green. Careful or not, nobody chooses the lamp.
"""

_SHAPE_SHARES = {"flat": 0.2, "carton": 0.45, "cylinder": 0.15, "pouch": 0.2}


@dataclass(frozen=True, slots=True)
class Conditions:
    """How one photograph was taken; everything that a report may want to slice by.

    Angles are in degrees. ``fill`` is the larger of the package's extents as a share
    of the photo's. ``defocus_px``, ``motion_px`` and ``noise`` (deviation at mid grey,
    linear) hold for a long side of 1600 px and are scaled to the photo's size.
    ``varnish`` is the light that the print's gloss throws back, 1 a full sensor;
    ``glints`` are small mirrored lights where film creases or varnish is uneven.
    """

    rotation_deg: float = 0.0
    tilt_deg: float = 0.0
    yaw_deg: float = 0.0
    fill: float = 0.8
    offset: tuple[float, float] = (0.0, 0.0)
    focal: float = 1.2
    shape: str = "flat"
    bend: float = 0.8
    depth: float = 0.0
    light_colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    exposure: float = 1.0
    light_gradient: float = 0.0
    light_direction_deg: float = 0.0
    vignette: float = 0.0
    glare: float = 0.0
    shadow: float = 0.0
    defocus_px: float = 0.0
    motion_px: float = 0.0
    motion_deg: float = 0.0
    noise: float = 0.0
    contrast: float = 0.4
    sharpening: float = 0.0
    jpeg_quality: int = 92
    fingers: int = 0
    sticker: bool = False
    varnish: float = 0.0
    glints: int = 0
    phone: Phone = field(default_factory=Phone)

    @staticmethod
    def sample(
        rng: np.random.Generator,
        *,
        difficulty: float = 0.5,
        any_rotation: bool = False,
        shape: str | None = None,
    ) -> "Conditions":
        """Draw conditions.

        Args:
            rng: source of chance.
            difficulty: 0 is a careful inspector, 1 a hard photograph in the field.
            any_rotation: turn the package by any angle, instead of mostly upright.
            shape: one of ``surfaces.SHAPES``; drawn when absent.
        """
        hard = float(np.clip(difficulty, 0, 1))
        kinds = list(_SHAPE_SHARES)
        drawn = str(rng.choice(kinds, p=list(_SHAPE_SHARES.values())))
        turn = _rotation_deg(rng, hard, any_rotation=any_rotation)
        slant = rng.normal(0, 5 + 13 * hard, 2).clip(-16 - 30 * hard, 16 + 30 * hard)
        (gloss,) = rng.spawn(1)  # of its own, so that it takes no draws from the rest
        warmth = rng.normal(0, WARMTH + WARMTH_HARD * hard)
        green = rng.normal(0, GREEN)
        return Conditions(
            rotation_deg=turn,
            tilt_deg=float(slant[0]),
            yaw_deg=float(slant[1]),
            fill=float(rng.uniform(0.62 - 0.3 * hard, 0.93 + 0.17 * hard)),
            offset=(float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.7, 0.7))),
            focal=float(rng.uniform(0.85, 1.5)),
            shape=shape or drawn,
            bend=float(rng.uniform(0.5, 1.15)),
            depth=float(rng.uniform(0.1, 0.6)),
            light_colour=(
                float(np.exp(warmth)),
                float(np.exp(green)),
                float(np.exp(-warmth * rng.uniform(0.8, 1.3))),
            ),
            exposure=float(2 ** rng.normal(0.08, 0.12 + 0.3 * hard)),
            light_gradient=float(rng.uniform(0, 0.3 + 0.7 * hard)),
            light_direction_deg=float(rng.uniform(0, 360)),
            vignette=float(rng.uniform(0, 0.25)),
            glare=_sometimes(rng, 0.15 + 0.45 * hard, high=0.25 + 0.9 * hard),
            shadow=_sometimes(rng, 0.15 + 0.35 * hard, high=0.3 + 0.4 * hard),
            defocus_px=float(rng.gamma(1.5, 0.35 + 0.9 * hard)),
            motion_px=_sometimes(rng, 0.1 + 0.3 * hard, high=3 + 9 * hard),
            motion_deg=float(rng.uniform(0, 180)),
            noise=float(rng.uniform(0.001, 0.006 + 0.022 * hard)),
            contrast=float(rng.uniform(0.1, 0.9)),
            sharpening=float(rng.uniform(0.1, 1.0)),
            jpeg_quality=int(rng.integers(round(82 - 35 * hard), 97)),
            fingers=int(rng.integers(1, 3)) if rng.random() < 0.12 + 0.3 * hard else 0,
            sticker=bool(rng.random() < 0.02 + 0.1 * hard),
            varnish=_sometimes(rng, 0.3 + 0.3 * hard, high=0.015 + 0.09 * hard),
            glints=int(gloss.integers(1, 9))
            if gloss.random() < 0.1 + 0.4 * hard
            else 0,
            phone=Phone.sample(rng, difficulty=hard),
        )


def _sometimes(rng: np.random.Generator, share: float, *, high: float) -> float:
    amount = float(rng.uniform(0.15, 1.0)) * high
    return amount if rng.random() < share else 0.0


def _rotation_deg(
    rng: np.random.Generator, hard: float, *, any_rotation: bool
) -> float:
    if any_rotation:
        return float(rng.uniform(-180, 180))
    small = float(np.clip(rng.normal(0, 3 + 6 * hard), -20, 20))
    quarter = float(rng.choice([90, 180, 270]))
    return small + (quarter if rng.random() < 0.04 + 0.12 * hard else 0.0)

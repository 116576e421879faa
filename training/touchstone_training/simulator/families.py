"""The families of packages: format, grounds, and arrangements to draw from."""

from collections.abc import Callable
from dataclasses import dataclass

from touchstone_training.simulator import arrangements as plain
from touchstone_training.simulator import dense_faces as dense
from touchstone_training.simulator.pages import Page

Arrangement = Callable[[Page], None]


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of package; ``aspect`` is the least and greatest width over height."""

    product_class: str
    """What is sold in it, as lots and policies name classes."""
    aspect: tuple[float, float]
    grounds: tuple[str, ...]
    arrangements: tuple[Arrangement, ...]


FAMILIES: dict[str, Family] = {
    "medicine_carton": Family(
        "medicine",
        (1.7, 2.5),
        ("light", "light", "tinted"),
        (plain.banded, plain.striped, dense.secured),
    ),
    "blister_foil": Family("medicine", (0.6, 0.75), ("foil",), (plain.tiled,)),
    "bottle_label": Family(
        "alcohol", (1.6, 2.2), ("light", "tinted", "deep", "kraft"), (plain.tripartite,)
    ),
    "supplement_label": Family(
        "food",
        (1.8, 2.4),
        ("vivid", "light", "dark"),
        (plain.tripartite, plain.banded, dense.secured),
    ),
    "cosmetic_tube": Family(
        "personal_care",
        (0.42, 0.55),
        ("tinted", "light", "deep"),
        (plain.heroic, plain.stacked),
    ),
    "cosmetic_carton": Family(
        "personal_care",
        (0.6, 0.8),
        ("tinted", "deep", "light"),
        (plain.framed, plain.stacked, dense.engraved),
    ),
    "food_carton": Family(
        "food",
        (0.62, 0.78),
        ("vivid", "tinted", "light"),
        (plain.heroic, plain.stacked, dense.photographic),
    ),
    "pouch": Family(
        "food",
        (0.62, 0.75),
        ("deep", "vivid", "kraft"),
        (plain.heroic, plain.framed, dense.photographic),
    ),
    "part_box": Family(
        "engine_part",
        (1.2, 1.7),
        ("light", "kraft", "vivid"),
        (plain.slanted, plain.sided, dense.secured),
    ),
    "electronics_box": Family(
        "electronics",
        (1.0, 1.5),
        ("dark", "light", "deep"),
        (plain.sided, plain.slanted),
    ),
    "toy_box": Family(
        "toy",
        (1.0, 1.5),
        ("vivid", "light", "tinted"),
        (dense.playful, dense.playful, plain.sided),
    ),
    "agro_label": Family(
        "pesticide", (1.5, 2.1), ("light", "light", "tinted"), (dense.dosed,)
    ),
    "cement_bag": Family(
        "construction", (0.6, 0.75), ("light", "kraft", "tinted"), (dense.sacked,)
    ),
    "jar_label": Family(
        "food",
        (0.85, 1.25),
        ("light", "kraft", "deep", "tinted"),
        (dense.engraved, dense.photographic),
    ),
    "tyre_label": Family(
        "engine_part", (0.62, 0.8), ("light", "tinted", "vivid"), (dense.graded,)
    ),
    "tea_carton": Family(
        "food",
        (0.6, 0.85),
        ("deep", "tinted", "kraft", "vivid"),
        (dense.engraved, dense.photographic, plain.heroic),
    ),
}

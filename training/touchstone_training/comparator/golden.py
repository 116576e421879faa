"""What several genuine specimens of a reference would add: a golden template.

Each place of a photo's deviation maps is laid against what genuine specimens deviate
there: z = (value - their mean) / their spread, both held to the usual where specimens
are few (PatchCore's idea with positions known; Roth et al., CVPR 2022). Of the learned
map and of the hand-made structure, with no specimen beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from touchstone.bootstrap import use_one_thread
from touchstone.catalogue import WORKING_SIDE_PX
from touchstone.engine.evidence import examine
from touchstone.engine.image import decode
from touchstone_training.benchmark.observations import Models
from touchstone_training.enrolling import gallery_of
from touchstone_training.measuring import GENUINE, judged, samples
from touchstone_training.ranking import auroc
from touchstone_training.simulator.counterfeits import WHOLE_PRINT_KINDS

FIRST_SEED = 900_000
"""Designs that no network, policy or benchmark saw."""
SPECIMENS = (0, 1, 3, 5)
_TESTED, _FORGED = 4, 6
_DIFFICULTY = 0.25
_CHANNELS = ("learned", "structure")
_PRIOR = 2.0
"""Specimens that the usual counts for."""
_WINDOW = (5, 5)
_LEAST_SPREAD = 0.1

_Map = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Looked:
    """The deviation maps of one photo, (h, w) each, and where they hold."""

    kind: str
    maps: dict[str, _Map]
    valid: NDArray[np.bool_]


def golden(
    models: Path, *, designs: int, fonts: Sequence[Path] = ()
) -> dict[str, dict[str, float]]:
    """Return by channel, then by number of specimens: AUROC of local changes.

    Args:
        models: folder of served models.
        designs: how many; of each five specimens, four genuine photos, six forged.
        fonts: that designs are set in.
    """
    use_one_thread()
    opened = Models.open(models)
    forged: dict[tuple[str, int], list[float]] = {}
    usual: dict[tuple[str, int], list[float]] = {}
    for seed in track(range(FIRST_SEED, FIRST_SEED + designs), "Designs"):
        looked = _look(seed, opened, fonts)
        genuine = [one for one in looked if one.kind == GENUINE]
        specimens, rest = genuine[: max(SPECIMENS)], genuine[max(SPECIMENS) :]
        changed = [
            one
            for one in looked
            if one.kind != GENUINE and one.kind not in WHOLE_PRINT_KINDS
        ]
        for channel in _CHANNELS:
            for count in SPECIMENS:
                if len(specimens) < count:
                    continue
                template = Template.of(specimens[:count], channel)
                for group, scores in ((rest, usual), (changed, forged)):
                    scores.setdefault((channel, count), []).extend(
                        template.peak(one) for one in group
                    )
    return {
        channel: {
            str(count): round(
                auroc(
                    np.array(forged.get((channel, count), [])),
                    np.array(usual.get((channel, count), [])),
                ),
                4,
            )
            for count in SPECIMENS
        }
        for channel in _CHANNELS
    }


def _look(seed: int, opened: Models, fonts: Sequence[Path]) -> list[Looked]:
    gallery = gallery_of(
        seed, opened.embedder, decoys=0, fonts=fonts, scanned_share=0.5
    )
    reference = gallery[0].reference
    taken = samples(
        seed,
        genuine=max(SPECIMENS) + _TESTED,
        forged=_FORGED,
        difficulty=_DIFFICULTY,
        fonts=fonts,
    )
    found = []
    for sample in taken:
        photo = decode(sample.jpeg, max_side_px=WORKING_SIDE_PX).pixels
        _, own = judged(photo, gallery, 0, opened.embedder, opened.localiser)
        if own is None:
            continue
        comparison = examine(photo, own, reference, opened.comparator).comparison
        maps = {name: comparison.channel_maps[name] for name in _CHANNELS}
        height, width = maps["learned"].shape
        valid = cv2.resize(comparison.valid, (width, height)) > 0.5  # noqa: PLR2004
        found.append(Looked(sample.kind, maps, np.asarray(valid, np.bool_)))
    return found


@dataclass(frozen=True, slots=True)
class Template:
    """What genuine specimens of a reference deviate, place by place."""

    channel: str
    mean: Any
    spread: Any

    @staticmethod
    def of(specimens: Sequence[Looked], channel: str) -> "Template":
        """Learn from ``specimens``; from none, that nothing deviates anywhere."""
        if not specimens:
            return Template(channel, 0.0, 1.0)
        stack = np.stack([one.maps[channel] for one in specimens])
        seen = np.stack([one.valid for one in specimens]).astype(np.float32)
        count = seen.sum(axis=0)
        usual = float((stack * seen).sum() / max(1.0, float(seen.sum())))
        mean = ((stack * seen).sum(axis=0) + _PRIOR * usual) / (count + _PRIOR)
        squares = (stack - mean) ** 2 * seen
        variance = float(squares.sum() / max(1.0, float(seen.sum())))
        spread = (squares.sum(axis=0) + _PRIOR * variance) / (count + _PRIOR)
        return Template(channel, mean, np.sqrt(spread) + _LEAST_SPREAD)

    def peak(self, one: Looked) -> float:
        """The largest mean of a small window, in units of the spread."""
        z = (one.maps[self.channel] - self.mean) / self.spread * one.valid
        return float(cv2.boxFilter(np.asarray(z, np.float32), -1, _WINDOW).max())

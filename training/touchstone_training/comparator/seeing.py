"""What a closer look shows, and what no look at one photo can.

A closer look is measured on the last designs, which trained no network; the colours
ask no network, and take all pairs.
"""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from touchstone.bootstrap import open_comparator, use_one_thread
from touchstone.catalogue import WORKING_SIDE_PX
from touchstone.engine.image import decode
from touchstone.errors import InvalidInputError
from touchstone.settings import Settings
from touchstone_training.comparator.aligned import Known, Packed, packed
from touchstone_training.comparator.learn import told_apart
from touchstone_training.comparator.pairs import META
from touchstone_training.measuring import GENUINE
from touchstone_training.ranking import auroc
from touchstone_training.simulator.counterfeits import WHOLE_PRINT_KINDS
from touchstone_training.simulator.printing import to_lab

LOOKS = ("afar", "near")


def closer(photographed: Path, models: Path, *, share: float) -> dict[str, Any]:
    """Measure the served network on the same photos from afar, and from near.

    Args:
        photographed: folder of photographed pairs.
        models: folder of served models.
        share: of the designs, the last.

    Returns:
        how many photos and designs gave both; for each look AUROC of the whole-print
        number over all kinds, over changed places alone, by kind, the share found at
        5 % false alarms, and the median of that number on genuine photos.

    Raises:
        InvalidInputError: no photo, or none forged or genuine, is worth a closer look.
    """
    use_one_thread()
    comparator = open_comparator(Settings.load(model_dir=models, provider="cpu"))
    folders = sorted(photographed.glob("[0-9]*"))
    folders = folders[int(len(folders) * (1 - share)) :]
    told: list[list[float]] = []
    kinds: list[str] = []
    designs = set()
    for folder in track(folders, "Designs"):
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        known = Known.read(folder, meta["variable"])
        for number, row in enumerate(meta["photos"]):
            data = (folder / f"{number:02}.jpg").read_bytes()
            looks = known.looks(decode(data, max_side_px=WORKING_SIDE_PX).pixels)
            if len(looks) < len(LOOKS):
                continue
            told.append([comparator.differences(pair).whole for pair in looks])
            kinds.append(row["kind"])
            designs.add(folder.name)
    shown = np.array(kinds)
    if not set(kinds) - {GENUINE} or GENUINE not in kinds:
        raise InvalidInputError(f"{photographed} holds too few photos to look at.")
    values = np.array(told)
    is_local = ~np.isin(shown, [GENUINE, *WHOLE_PRINT_KINDS])
    return {
        "photos": len(kinds),
        "designs": len(designs),
        **{
            look: {
                **told_apart(values[:, n], shown),
                "usual": round(float(np.median(values[shown == GENUINE, n])), 3),
                "places": round(
                    auroc(values[is_local, n], values[shown == GENUINE, n]), 4
                ),
            }
            for n, look in enumerate(LOOKS)
        },
    }


# --- what can be known of a colour ----------------------------------------------------

_RING = np.ones((41, 41), np.uint8)
_EDGE = np.ones((5, 5), np.uint8)
_LEAST_PX = 40
_SUBTLE = 0.5


def colours(aligned: Path) -> dict[str, Any]:
    """Measure how well a changed colour is told by who knows where it lies.

    The mean chroma (CIE 1976 a*, b*) of the place, seen less expected, less that of its
    surroundings; beside that of the same place on genuine photographs of the design.

    Args:
        aligned: what ``pack`` wrote.

    Returns:
        places, genuine and forged; AUROC over all and by half of the severities; the
        median of that difference on both.

    Raises:
        InvalidInputError: no pair has an element in another colour.
    """
    by_design: dict[int, list[Packed]] = {}
    for pair in packed(aligned):
        by_design.setdefault(pair.design, []).append(pair)
    forged: list[tuple[float, float]] = []
    genuine: list[float] = []
    for pairs in track(list(by_design.values()), "Designs"):
        for one in pairs:
            if one.kind != "element_colour":
                continue
            changed = np.asarray(np.load(one.path)[..., 7])
            apart = _chroma_apart(one, changed)
            if apart is None:
                continue
            forged.append((one.severity, apart))
            others = [_chroma_apart(o, changed) for o in pairs if o.is_genuine]
            genuine += [other for other in others if other is not None]
    if not forged or not genuine:
        raise InvalidInputError(f"{aligned} holds no element in another colour.")
    severity, apart_forged = np.array(forged).T
    usual = np.array(genuine)
    return {
        "forged": len(forged),
        "genuine": len(genuine),
        "auroc": _told(apart_forged, usual),
        "subtle": _told(apart_forged[severity < _SUBTLE], usual),
        "crude": _told(apart_forged[severity >= _SUBTLE], usual),
        "median_forged": round(float(np.median(apart_forged)), 2),
        "median_genuine": round(float(np.median(usual)), 2),
    }


def _told(forged: NDArray[np.float64], genuine: NDArray[np.float64]) -> float | None:
    return round(auroc(forged, genuine), 3) if forged.size else None


def _chroma_apart(pair: Packed, changed: NDArray[np.uint8]) -> float | None:
    """Return the difference in chroma of a place; None where too little is seen."""
    planes = np.load(pair.path)
    height, width = planes.shape[:2]
    place = cv2.resize(changed, (width, height), interpolation=cv2.INTER_NEAREST)
    place = (place > 0).astype(np.uint8)
    is_seen = planes[..., 6] > 0
    inside = (place > 0) & is_seen
    around = (cv2.dilate(place, _RING) > cv2.dilate(place, _EDGE)) & is_seen
    if min(inside.sum(), around.sum()) < _LEAST_PX:
        return None
    expected, seen = (to_lab(planes[..., n : n + 3]) for n in (0, 3))
    apart = (seen - expected)[..., 1:]
    return float(
        np.linalg.norm(apart[inside].mean(axis=0) - apart[around].mean(axis=0))
    )

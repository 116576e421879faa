"""The worst failures: which they are, in a sentence each, and what would mend them.

The sentences are written by rule from what was measured and from how the photo was
taken; the pictures are of simulated photos alone, as real ones may not be passed on.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

from touchstone.engine.image import Pixels
from touchstone_training.benchmark.observations import Observation
from touchstone_training.benchmark.pictures import FINE_KINDS, Kept
from touchstone_training.measuring import GENUINE
from touchstone_training.simulator.counterfeits import WHOLE_PRINT_KINDS

WORST = 10
"""Of either side."""

Rule: TypeAlias = tuple[Callable[[Observation], bool], str]

_COLUMNS = 2
_LABEL_PX = 20
_GAP_PX = 8
_MOST_BYTES = 300_000
_QUALITIES = (85, 75, 65, 55, 45, 35, 25)


def worst(
    observations: Sequence[Observation],
) -> tuple[list[Observation], list[Observation]]:
    """Return the worst misses and the worst false alarms, the worst first.

    Misses are counterfeits that speak most for the reference process, false alarms
    genuine photos that speak most against it. Only answers count: where the policy
    asked for another photo, nobody was misled.
    """
    answered = [
        one for one in observations if one.is_examined and one.log10_lr is not None
    ]
    ranked = sorted(answered, key=lambda one: (one.suspicion, one.name))
    misses = [one for one in ranked if one.is_fake and one.suspicion < 0]
    alarms = [one for one in reversed(ranked) if not one.is_fake and one.suspicion > 0]
    return misses[:WORST], alarms[:WORST]


# --- in words -------------------------------------------------------------------------


def sentence(one: Observation) -> str:
    """Say what the photo shows, what was measured, and what would mend it."""
    if one.is_fake:
        change = f", {one.changed_share:.1%} of the face" if _is_local(one) else ""
        what = f"*{_plain(one.kind)}*, severity {one.severity:.2f}{change}"
    else:
        what = "*genuine*"
    told = [what, _plain(one.family), one.source, *_circumstances(one)]
    return (
        f"{', '.join(part for part in told if part)}: log10 LR {-one.suspicion:+.1f}, "
        f"`{one.finding}`; {_where(one)}. Would mend it: {mending(one)}."
    )


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _is_local(one: Observation) -> bool:
    return one.kind not in WHOLE_PRINT_KINDS


def _value(one: Observation, name: str) -> float:
    """Return a measurement, else a condition of the photograph, else 0."""
    return float(one.measurements.get(name, one.conditions.get(name, 0.0)))


def _slant(one: Observation) -> float:
    return max(abs(_value(one, "tilt_deg")), abs(_value(one, "yaw_deg")))


_SLANTED_DEG = 15
_GLARING = 0.3
_COARSE_JPEG = 65
_COVERED = 0.85
_NEAR = 0.9
_SOFT_PX = 1.5
_TINY_SHARE = 0.003
_CIRCUMSTANCES: tuple[
    tuple[Callable[[Observation], bool], Callable[[Observation], str]], ...
] = (
    (lambda o: "shape" in o.conditions, lambda o: str(o.conditions["shape"])),
    (lambda o: _slant(o) > _SLANTED_DEG, lambda o: f"slanted by {_slant(o):.0f}°"),
    (
        lambda o: _value(o, "resolution") < 1,
        lambda o: f"{_value(o, 'resolution'):.2f} photo px a compared px",
    ),
    (
        lambda o: _value(o, "blur_px") > 1,
        lambda o: f"soft by {_value(o, 'blur_px'):.1f} px",
    ),
    (
        lambda o: _value(o, "motion_px") > 1,
        lambda o: f"moved by {_value(o, 'motion_px'):.0f} px",
    ),
    (lambda o: _value(o, "glare") > _GLARING, lambda _: "glare"),
    (lambda o: _value(o, "fingers") > 0, lambda _: "fingers"),
    (
        lambda o: 0 < _value(o, "jpeg_quality") < _COARSE_JPEG,
        lambda o: f"JPEG {_value(o, 'jpeg_quality'):.0f}",
    ),
    (
        lambda o: 0 < _value(o, "compared_fraction") < _COVERED,
        lambda o: f"{_value(o, 'compared_fraction'):.0%} compared",
    ),
)


def _circumstances(one: Observation) -> list[str]:
    return [tell(one) for holds, tell in _CIRCUMSTANCES if holds(one)]


def _where(one: Observation) -> str:
    if not one.top:
        return "no region stands out"
    region = f"the top region (`{one.top}`, {one.deviation:.1f} times what is usual)"
    if not one.is_fake:
        return f"{region} is no change; as a whole it looks like `{one.way}`"
    if not _is_local(one):
        return f"{region} is one of many; as a whole it looks like `{one.way}`"
    return f"{region} lies {'on the change' if one.is_hit else 'elsewhere'}"


_MISSED: tuple[Rule, ...] = (
    (
        lambda o: o.kind in FINE_KINDS and not _value(o, "closer_look"),
        "a closer photo, or a larger reference: the trace is finer than the compared "
        "frame",
    ),
    (
        lambda o: o.kind in FINE_KINDS,
        "a comparator that was taught what a closer look shows of it",
    ),
    (
        lambda o: o.kind == "cast",
        "a second photo in other light, or a colour card: the lamp explains it as well",
    ),
    (
        lambda o: o.kind == "aspect",
        "a photo from straight on, in which proportions are known better",
    ),
    (lambda o: _value(o, "resolution") < _NEAR, "a closer photo"),
    (lambda o: _value(o, "blur_px") > _SOFT_PX, "a sharper photo"),
    (
        lambda o: bool(o.is_hit),
        "weighing it more: it was seen, and counted too little beside the rest",
    ),
    (
        lambda o: o.changed_share < _TINY_SHARE,
        "a closer photo, as the change is a few pixels there",
    ),
    (
        lambda o: _value(o, "compared_fraction") < _COVERED,
        "a photo that shows the whole face uncovered",
    ),
    (
        lambda o: o.kind == "element_colour",
        "a comparator trained on smaller changes of colour",
    ),
)
_FALSE: tuple[Rule, ...] = (
    (lambda o: _value(o, "fingers") > 0, "masking fingers and their shadows better"),
    (
        lambda o: _value(o, "glare") > _GLARING,
        "masking reflections that are not burnt out",
    ),
    (
        lambda o: o.way == "proportion",
        "a photo from straight on, or believing proportions less in slanted ones",
    ),
    (lambda o: _value(o, "blur_px") > _SOFT_PX, "a sharper photo, or asking for one"),
    (lambda o: _value(o, "resolution") < _NEAR, "a closer photo, or asking for one"),
    (
        lambda o: o.conditions.get("shape") in {"cylinder", "pouch"},
        "following the bend of the face better",
    ),
    (lambda o: _slant(o) > _SLANTED_DEG, "a photo from straight on"),
    (
        lambda o: 0 < _value(o, "jpeg_quality") < _COARSE_JPEG,
        "an original photo, less compressed",
    ),
)


def mending(one: Observation) -> str:
    """Say what would mend a failure: the first rule whose condition holds."""
    rules = _MISSED if one.is_fake else _FALSE
    side = "such counterfeits" if one.is_fake else "such genuine photos"
    fallback = f"more {side} among those that comparator and policy learn from"
    return next((words for holds, words in rules if holds(one)), fallback)


# --- in pictures ----------------------------------------------------------------------


def contact_sheet(failures: Sequence[Observation], kept: Kept) -> bytes:
    """Return a JPEG of at most 300 kB: a numbered strip for each failure.

    Each strip shows the photo, and one place of the reference and of the photo.
    Empty where no strip was kept.
    """
    strips = [_strip(kept.strip_of(one.name)) for one in failures]
    shown = [one for one in strips if one is not None]
    if not shown:
        return b""
    height = shown[0].shape[0] + _LABEL_PX + _GAP_PX
    width = shown[0].shape[1] + _GAP_PX
    rows = -(-len(strips) // _COLUMNS)
    sheet = np.full((rows * height, _COLUMNS * width, 3), 255, np.uint8)
    for number, one in enumerate(strips):
        # Down the first column, then the second: misses left, false alarms right.
        column, row = divmod(number, rows)
        left, top = column * width, row * height
        label = f"{number + 1}. {_label(failures[number])}"
        cv2.putText(
            sheet,
            label,
            (left + 2, top + _LABEL_PX - 6),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.42,
            (40, 40, 40),
            1,
            cv2.LINE_AA,
        )
        if one is not None:
            bottom = top + _LABEL_PX + one.shape[0]
            sheet[top + _LABEL_PX : bottom, left : left + one.shape[1]] = one
    return _within(sheet, _MOST_BYTES)


def _label(one: Observation) -> str:
    told = f"{_plain(one.kind)}  {-one.suspicion:+.1f}"
    return f"{told}  severity {one.severity:.2f}" if one.is_fake else told


def _strip(path: Path) -> Pixels | None:
    if not path.is_file():
        return None
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    return np.asarray(pixels, np.uint8)


def _within(sheet: Pixels, most_bytes: int) -> bytes:
    bgr = cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)
    coded = b""
    for quality in _QUALITIES:
        flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
        coded = cv2.imencode(".jpg", bgr, flags)[1].tobytes()
        if len(coded) <= most_bytes:
            break
    return coded


def failures_document(
    simulated: Sequence[Observation], planted: Sequence[Observation]
) -> dict[str, object]:
    """Return the worst failures in words; real photos are named, never shown."""
    misses, alarms = worst(simulated)
    untouched = [
        one for one in planted if one.kind == GENUINE and one.log10_lr is not None
    ]
    suspected = sorted(untouched, key=lambda one: (-one.suspicion, one.name))
    passed = [one for one in planted if one.is_fake and one.log10_lr is not None]
    overlooked = sorted(passed, key=lambda one: (one.suspicion, one.name))
    return {
        "misses": [sentence(one) for one in misses],
        "false_alarms": [sentence(one) for one in alarms],
        "real_most_suspected": [_named(one) for one in suspected[:_NAMED]],
        "planted_least_suspected": [_named(one) for one in overlooked[:_NAMED]],
    }


_NAMED = 5


def _named(one: Observation) -> str:
    file = one.name.split(":", 1)[1].rpartition(":")[0]
    kind = f", {_plain(one.kind)} of severity {one.severity:.2f}" if one.is_fake else ""
    reasons = ", ".join(f"`{code}`" for code in one.reasons)
    return (
        f"`{file}` ({one.source}{kind}): log10 LR {-one.suspicion:+.1f} before "
        f"abstention, `{one.finding}`: {reasons}"
    )

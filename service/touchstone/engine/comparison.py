"""An aligned pair to measured differences: maps, regions and named measurements.

What the photograph did to the picture (light, tone, blur, small misregistration) is
estimated from the pair itself and taken out before anything is compared. Nothing here
judges: thresholds live in the policy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine import channels
from touchstone.engine.channels import CHANNELS
from touchstone.engine.comparator import WAYS, Comparator
from touchstone.engine.image import Pixels, grey
from touchstone.engine.normalisation import Luma, Map, match_blur
from touchstone.engine.pair import (
    AlignedPair,
    HalvedPair,
    Mask,
    aligned_pair,
    drawn_larger,
    halved,
)
from touchstone.engine.profile import Profile, profile_of

COMPARISON_VERSION = "18"
"""Changes whenever the same pair would give other measurements or regions."""

COMPARISON_SIDE_PX = 640
"""Long side of the frame in which every pair is compared."""
CLOSER_SIDE_PX = 960
"""Long side of the frame in which the comparator looks where both pictures show more:
a letter of small print is five pixels high in the other, and eight here."""


@dataclass(frozen=True, slots=True)
class Region:
    """A place that differs, in the pixels of the compared frame."""

    x: int
    y: int
    width: int
    height: int
    deviation: float
    """Peak of the deviation map inside; 1 is the edge of what is usual."""
    channel: str
    """Which measurement deviates most there: ``learned`` or one of `CHANNELS`."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was measured on one aligned pair."""

    measurements: dict[str, float]
    """Named numbers, see `MEASUREMENTS`; every name is always there."""
    deviation: Map
    """(h // 2, w // 2): what the comparator says of each place, and, where that is
    more, the strongest of the other `channel_maps`, up to `PLAIN`; 1 is the edge of
    what is usual."""
    channel_maps: dict[str, Map]
    """By channel, and ``learned``; (h // 2, w // 2), in the same units."""
    regions: tuple[Region, ...]
    compared_fraction: float
    """Share of the reference that could be compared, 0 to 1."""
    valid: Map
    """(h, w): 1 where it was, else 0."""
    expected: Pixels
    """(h, w, 3): the reference under the photo's light."""
    seen: Pixels
    """(h, w, 3): the photo, laid over it."""
    shift: NDArray[np.float32]
    """(h, w, 2): what was followed beyond the registration, in pixels."""

    @property
    def furthest(self) -> float:
        """How far the place that strays most does, in any channel; 1 is the edge."""
        return max(float(values.max()) for values in self.channel_maps.values())

    def profile(self) -> Profile:
        """Return what tells printings apart in a lot; made when it is asked for."""
        learned = self.channel_maps["learned"]
        return profile_of(self.expected, self.seen, self.valid, learned)


def compare(
    reference: Pixels,
    photo: Pixels,
    covered: Mask,
    *,
    comparator: Comparator,
    variable: Mask | None = None,
    is_bent: bool = False,
    closer: tuple[Pixels, Pixels] | None = None,
) -> Comparison:
    """Compare a rectified ``photo`` with its ``reference``.

    Args:
        reference: (h, w, 3).
        photo: (h, w, 3), in the reference's frame.
        covered: (h, w), where the photo shows the reference.
        comparator: what was trained to see differences.
        variable: (h, w), where units differ by design (lot, expiry): not compared.
        is_bent: whether the face bends away from the camera, so that its far sides
            may be out of reach; on a flat face whatever is not found has changed.
        closer: both once more, each (height, width, 3), larger, where they show more:
            the comparator then looks at these.
    """
    # 1. Take out light, tone and the smooth rest of the misregistration.
    # 2. Ask the trained comparator, who looks as closely as both pictures allow.
    # 3. Measure each channel in units of what is usual there. At half size: the finest
    #    detail is the comparator's, and they are to say what differs, and how far this
    #    photo as a whole strays from what was learned.
    # 4. Name the places, and sum up each channel in a few numbers.
    pair = aligned_pair(reference, photo, covered, variable=variable, is_bent=is_bent)
    looked_at = pair
    if closer is not None:
        looked_at = drawn_larger(pair, *closer, is_bent=is_bent)
    learned = comparator.differences(looked_at)
    half = halved(pair)
    expected, seen, blur_px = match_blur(
        grey(half.expected), grey(half.seen), half.valid
    )
    maps = {
        "structure": channels.structure(expected, seen, half.valid),
        "correlation": channels.correlation(expected, seen, half.valid),
        "geometry": channels.geometry(pair.alignment),
        "colour": channels.colour(half.expected, half.seen),
    }
    # A window that reaches over the edge of what can be compared says nothing.
    whole = cv2.erode(half.valid, _WHOLE_WINDOW, borderValue=1)
    maps = {
        name: np.asarray(cv2.multiply(values, whole), np.float32)
        for name, values in maps.items()
    }
    measured = _channel_measurements(maps, half.valid)
    # A fold or a far side strays in these channels too: alone, they must stray twice.
    maps = {
        name: np.asarray(values * np.float32(0.5), np.float32)
        for name, values in maps.items()
    }
    strays = np.maximum.reduce(list(maps.values()))
    maps["learned"] = _framed(learned.map, half.valid.shape)
    # How far they do puts no place before those that the comparator tells.
    deviation = np.maximum(maps["learned"], np.minimum(strays, PLAIN))
    return Comparison(
        measurements={
            **measured,
            "learned_peak": learned.peak,
            "learned_top": learned.top,
            "learned_whole": learned.whole,
            **{f"learned_{way}": told for way, told in learned.ways.items()},
            "blur_px": 2 * blur_px,
            "warm_cast": pair.cast.warm,
            "green_cast": pair.cast.green,
            "washed_fraction": pair.washed,
            **_grain(pair, half),
        },
        deviation=deviation,
        channel_maps=maps,
        regions=_regions(deviation, maps),
        compared_fraction=float(pair.valid.mean()),
        valid=pair.valid,
        expected=pair.expected,
        seen=pair.seen,
        shift=pair.alignment.shift,
    )


_WHOLE_WINDOW = np.ones((9, 9), np.uint8)
PLAIN = np.float32(1.2)
"""A deviation that is plainly more than usual, and no more than that."""


def _framed(values: Map, shape: tuple[int, ...]) -> Map:
    """Draw a map of a closer look in the frame of the others."""
    if values.shape == shape:
        return values
    drawn = cv2.resize(values, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(drawn, np.float32)


# --- numbers and places ---------------------------------------------------------------

_STRIDE = 2


def _channel_measurements(maps: dict[str, Map], valid: Map) -> dict[str, float]:
    """Sum up each map: the mean of its top percent, its usual level."""
    # Every map is smooth over several pixels: one in four tells as much.
    inside = valid[::_STRIDE, ::_STRIDE] > 0
    numbers: dict[str, float] = {}
    for name, values in maps.items():
        seen = values[::_STRIDE, ::_STRIDE][inside]
        if not seen.size:
            seen = np.zeros(1, np.float32)
        extreme, level = (int(seen.size * q) for q in (0.99, 0.60))
        ranked = np.partition(seen, (level, extreme))
        numbers[f"{name}_top"] = float(ranked[extreme:].mean())
        numbers[f"{name}_level"] = float(ranked[level])
    return numbers


def _grain(pair: AlignedPair, half: HalvedPair) -> dict[str, float]:
    """How much rougher the photo is than the reference where nothing is printed."""
    luma = grey(half.expected)
    window = np.ones((5, 5), np.uint8)
    swing = cv2.subtract(cv2.dilate(luma, window), cv2.erode(luma, window))
    flat = np.asarray((swing < _FLAT_SWING) & (half.valid > 0), np.uint8)
    share = cv2.countNonZero(flat) / max(1.0, float(cv2.sumElems(half.valid)[0]))
    full = cv2.resize(flat, pair.valid.shape[::-1], interpolation=cv2.INTER_NEAREST)
    area = int(cv2.countNonZero(full))
    grain = 0.0
    if area > _MIN_FLAT_PX:
        rough = [
            _roughness(grey(one), full, area) for one in (pair.seen, pair.expected)
        ]
        grain = rough[0] - rough[1]
    return {"grain": grain, "flat_fraction": share}


def _roughness(luma: Luma, inside: NDArray[Any], area: int) -> float:
    smoothed = cv2.GaussianBlur(luma, (5, 5), 1.5)
    squares = cv2.norm(luma, smoothed, cv2.NORM_L2SQR, inside)
    return math.sqrt(squares / area)


_FLAT_SWING = 10
_MIN_FLAT_PX = 500

_KINDS = ("top", "level")
MEASUREMENTS = (
    *(f"{channel}_{kind}" for channel in CHANNELS for kind in _KINDS),
    *(f"learned_{name}" for name in ("peak", "top", "whole", *WAYS)),
    *("blur_px", "warm_cast", "green_cast"),
    *("washed_fraction", "grain", "flat_fraction"),
)
"""Every name in `Comparison.measurements`, in order."""

_REGION_LEVEL = 1.0
_TELLING = 0.5
_MAX_REGIONS = 12
_MIN_REGION_PX = 6
_JOIN = np.ones((5, 5), np.uint8)
_JOIN_PX = 5


def _regions(deviation: Map, maps: dict[str, Map]) -> tuple[Region, ...]:
    """Connected places above the usual, the most deviant first."""
    above = np.asarray(deviation > _REGION_LEVEL, np.uint8)
    x, y, width, height = cv2.boundingRect(above)
    if not width:
        return ()
    # Most photos deviate in a small part, beyond which there is nothing to look for.
    left, top = max(0, x - _JOIN_PX), max(0, y - _JOIN_PX)
    part = above[top : y + height + _JOIN_PX, left : x + width + _JOIN_PX]
    joined = cv2.morphologyEx(part, cv2.MORPH_CLOSE, _JOIN)
    count, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    stats[:, :2] += (left, top)
    regions = [
        _region([int(v) for v in stats[i][:4]], deviation, maps)
        for i in range(1, count)
        if stats[i][cv2.CC_STAT_AREA] >= _MIN_REGION_PX
    ]
    regions.sort(key=lambda r: (-r.deviation, r.y, r.x))
    return tuple(regions[:_MAX_REGIONS])


def _region(box: Sequence[int], deviation: Map, maps: dict[str, Map]) -> Region:
    x, y, width, height = box
    window = np.s_[y : y + height, x : x + width]
    # The hand-made channels say in words what differs; where none does, it is learned.
    peaks = {name: float(maps[name][window].max()) for name in CHANNELS}
    channel = max(CHANNELS, key=lambda name: peaks[name])
    if peaks[channel] < _TELLING:
        channel = "learned"
    peak = float(deviation[window].max())
    return Region(2 * x, 2 * y, 2 * width, 2 * height, peak, channel)

"""An aligned pair to measured differences: maps, regions and named measurements.

Several specialised measurements, because none sees every forgery:

- *structure*: luma that lies outside the tolerance band of what the reference could
  look like a pixel further on, and local correlation that no small shift restores;
- *geometry*: displacement that the smooth residual flow does not explain;
- *colour*: chroma that differs after the light's low frequencies are taken out;
- *print*: sharpness and fine grain against what the photo could resolve.

What the photograph did to the picture (light, tone, blur, small misregistration) is
estimated from the pair itself and applied to the reference before anything is
compared. Nothing here judges: thresholds live in the policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.alignment import align
from touchstone.engine.image import Pixels, darkest

_cv2: Any = cv2  # the stubs lag behind what the functions take

Map: TypeAlias = NDArray[np.float32]
"""(height, width)"""
Mask: TypeAlias = NDArray[np.bool_]

COMPARISON_VERSION = "1"
"""Changes whenever the same pair would give other measurements."""

COMPARISON_SIDE_PX = 640
"""Long side of the frame in which every pair is compared."""

CHANNELS = ("structure", "correlation", "geometry", "colour")


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
    """Which measurement deviates most there (one of `CHANNELS`)."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was measured on one aligned pair."""

    measurements: dict[str, float]
    """Named numbers, see `MEASUREMENTS`; every name is always there."""
    deviation: Map
    """The strongest channel at each place, in units of what is usual."""
    channel_maps: dict[str, Map]
    regions: tuple[Region, ...]
    compared_fraction: float
    """Share of the reference that could be compared, 0 to 1."""


@dataclass(frozen=True, slots=True)
class _Normalised:
    reference: NDArray[np.float32]  # (h, w, 3) what a genuine print should look like
    photo: NDArray[np.float32]  # (h, w, 3) light and tone taken out
    valid: Map  # 1 where compared, else 0
    blur_px: float  # sigma by which the photo is softer than the reference
    contrast: float  # exponent of the tone curve
    cast: float  # spread of the channels' gains, log units


def compare(
    reference: Pixels,
    photo: Pixels,
    covered: Mask,
    *,
    variable: Mask | None = None,
    is_bent: bool = False,
) -> Comparison:
    """Compare a rectified ``photo`` with its ``reference``.

    Args:
        reference: (h, w, 3).
        photo: (h, w, 3), in the reference's frame.
        covered: (h, w), where the photo shows the reference.
        variable: (h, w), where units differ by design (lot, expiry): not compared.
        is_bent: whether the face bends away from the camera, so that its far sides
            may be out of reach; on a flat face whatever is not found has changed.
    """
    # 1. Where can anything be said at all?
    # 2. Take out light, tone, blur and the smooth rest of the misregistration.
    # 3. Measure each channel in units of what is usual there.
    # 4. Name the places, and sum up each channel in a few numbers.
    valid = _comparable(reference, photo, covered, variable)
    geometry, pair = _align(_normalise(reference, photo, valid), is_bent=is_bent)
    maps = {
        "structure": _structure(pair),
        "correlation": _decorrelation(pair),
        "geometry": geometry,
        "colour": _colour(pair),
    }
    # A window that reaches over the edge of what can be compared says nothing.
    whole = cv2.erode(pair.valid, _WHOLE_WINDOW, borderValue=1)
    maps = {name: np.asarray(m * whole, np.float32) for name, m in maps.items()}
    deviation = np.maximum.reduce([maps[name] for name in CHANNELS])
    measurements = _channel_measurements(maps, pair) | _print_measurements(pair)
    return Comparison(
        measurements=measurements,
        deviation=deviation,
        channel_maps=maps,
        regions=_regions(deviation, maps),
        compared_fraction=float(pair.valid.mean()),
    )


# --- 1. where -------------------------------------------------------------------------

_BURNT = 250
_BURNT_REACH = np.ones((9, 9), np.uint8)
_BORDER_SHARE = 0.012


_MIN_GLARE_SHARE = 0.01


def _glare(reference: Pixels, photo: Pixels) -> NDArray[np.uint8]:
    """1 in wide patches that are burnt out where the reference is not white.

    Small ones are not excused: print erased from white board looks the same.
    """
    burnt = (darkest(photo) >= _BURNT) & (darkest(reference) < _BURNT - 40)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        burnt.astype(np.uint8), connectivity=8
    )
    wide = stats[:count, cv2.CC_STAT_AREA] >= _MIN_GLARE_SHARE * burnt.size
    wide[0] = False  # the background
    return np.asarray(wide[labels], np.uint8)


def _comparable(
    reference: Pixels, photo: Pixels, covered: Mask, variable: Mask | None
) -> Map:
    """1 where compared: covered, not burnt out, not variable, off the very edge."""
    burnt = _glare(reference, photo)
    blocked = ~covered | (cv2.dilate(burnt, _BURNT_REACH) > 0)
    if variable is not None:
        blocked |= variable
    valid = (~blocked).astype(np.float32)
    # The fold of the carton and the shadow beside it belong to no print.
    border = max(2, round(_BORDER_SHARE * max(valid.shape)))
    valid[:border] = valid[-border:] = 0
    valid[:, :border] = valid[:, -border:] = 0
    return valid


# --- 2. what the photograph did -------------------------------------------------------

_TONE_OFFSET = np.float32(12)
_LIGHT_SIGMA_SHARE = 1 / 11
_LIGHT_ROUNDS = 2


def _normalise(reference: Pixels, photo: Pixels, valid: Map) -> _Normalised:
    """Relight the reference as the photo is lit; the photo stays as it is.

    The other way round would unlight the photo where it is clipped, and make
    differences of what the sensor never saw.
    """
    gains, contrast, toned = _tone(reference, photo, valid)
    seen = photo.astype(np.float32)
    relit = _relit(toned, seen, valid)
    expected, seen, blur_px = _match_blur(relit, seen, valid)
    return _Normalised(expected, seen, valid, blur_px, contrast, float(np.std(gains)))


def _relit(
    expected: NDArray[np.float32], seen: NDArray[np.float32], valid: Map
) -> NDArray[np.float32]:
    """Fit gain and veil (shade multiplies, glare adds) over wide windows.

    Strength of light varies over a hand's breadth, its colour only over the whole
    face: gain and veil are grey, and colour gets a far wider window. Otherwise an
    element in another colour would pass for a lamp. Pixels that fit badly are left
    out of a second round. Light is smooth: a quarter of the size is enough.
    """
    height, width = valid.shape
    small = max(8, width // 4), max(8, height // 4)
    e, s, v = (
        np.asarray(cv2.resize(x, small, interpolation=cv2.INTER_AREA), np.float32)
        for x in (expected, seen, valid)
    )
    luma_e, luma_s = _luma(e), _luma(s)
    sigma = _LIGHT_SIGMA_SHARE * max(small)
    weight, gain, veil = v, np.ones_like(luma_e), np.zeros_like(luma_e)
    for _ in range(_LIGHT_ROUNDS):
        mean_e, mean_s = _smooth(luma_e, weight, sigma), _smooth(luma_s, weight, sigma)
        spread = _smooth(luma_e * luma_e, weight, sigma) - mean_e * mean_e
        joint = _smooth(luma_e * luma_s, weight, sigma) - mean_e * mean_s
        prior = np.clip(mean_s / np.maximum(mean_e, 8), 0.3, 1.8)
        raw = (joint + _GAIN_RIDGE * prior) / (spread + _GAIN_RIDGE)
        gain = np.asarray(np.clip(raw, 0.25, 2.0), np.float32)
        veil = mean_s - gain * mean_e
        gap = np.abs(luma_s - np.clip(gain * luma_e + veil, 0, 255))
        weight = np.asarray(v / (1 + (gap / _GAP_USUAL) ** 2), np.float32)
    lit = np.clip(gain[..., None] * e + veil[..., None], 0, 255)
    tint = np.clip(s - lit, -_MOST_TINT, _MOST_TINT)
    wide = _TINT_SIGMA_SHARE * max(small)
    veils = veil[..., None] + _smooth(np.asarray(tint, np.float32), weight, wide)
    full = (width, height)
    fitted = (
        expected * cv2.resize(gain, full, interpolation=cv2.INTER_LINEAR)[..., None]
    )
    fitted += cv2.resize(veils, full, interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(fitted, 0, 255), np.float32)


_TINT_SIGMA_SHARE = 1 / 3
_MOST_TINT = 20
_GAIN_RIDGE = np.float32(250)
_GAP_USUAL = np.float32(25)


def _tone(
    reference: Pixels, photo: Pixels, valid: Map
) -> tuple[list[float], float, NDArray[np.float32]]:
    """Fit photo = gain * reference ** contrast per channel, robustly, on a subset.

    Returns the log gains, the mean contrast, and the reference mapped through.
    """
    rows = np.flatnonzero(valid.ravel() > 0)[::_TONE_STRIDE]
    gains: list[float] = []
    exponents: list[float] = []
    table = np.empty((1, 256, 3), np.float32)
    x, y = (
        np.log(pixels.reshape(-1, 3)[rows].astype(np.float32) + _TONE_OFFSET)
        for pixels in (reference, photo)
    )
    for channel in range(3):
        slope, offset = _robust_line(x[:, channel], y[:, channel])
        gains.append(float(offset + (slope - 1) * np.log(128)))
        exponents.append(slope)
        table[0, :, channel] = np.exp(slope * _LOG_LEVELS + offset) - _TONE_OFFSET
    mapped = np.asarray(cv2.LUT(reference, table), np.float32)
    return gains, float(np.mean(exponents)), mapped


_LOG_LEVELS = np.log(np.arange(256, dtype=np.float32) + _TONE_OFFSET)
_TONE_STRIDE = 13
_TONE_ROUNDS = 4
_MIN_ROWS = 64


def _robust_line(x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[float, float]:
    """Return (slope, offset), Cauchy-weighted; the slope stays within [0.4, 2]."""
    if x.size < _MIN_ROWS or np.ptp(x) < 1e-3:  # noqa: PLR2004 (a blank reference)
        return 1.0, float(np.median(y - x)) if x.size else 0.0
    weights = np.ones_like(x)
    slope, offset = 1.0, 0.0
    for _ in range(_TONE_ROUNDS):
        total = weights.sum()
        mean_x, mean_y = (weights @ x) / total, (weights @ y) / total
        centred = x - mean_x
        ridge = 0.02 * total * 0.1
        slope = float(
            (weights @ (centred * (y - mean_y)) + ridge)
            / (weights @ (centred * centred) + ridge)
        )
        slope = min(2.0, max(0.4, slope))
        offset = float(mean_y - slope * mean_x)
        gaps = y - np.float32(slope) * x - np.float32(offset)
        weights = np.asarray(1 / (1 + (gaps / 0.15) ** 2), np.float32)
    return slope, offset


def _smooth(
    values: NDArray[np.float32], valid: Map, sigma: float
) -> NDArray[np.float32]:
    """Blur ``values`` where valid, normalised; computed small where sigma is wide."""
    height, width = valid.shape
    shrink = max(1, min(8, int(sigma / 2)))
    small = max(8, width // shrink), max(8, height // shrink)
    weighted = values * (valid if values.ndim == 2 else valid[..., None])  # noqa: PLR2004
    sums, weight = weighted, valid
    if shrink > 1:
        sums = np.asarray(cv2.resize(weighted, small, interpolation=cv2.INTER_AREA))
        weight = np.asarray(cv2.resize(valid, small, interpolation=cv2.INTER_AREA))
    sigma_small = sigma * small[0] / width
    top = cv2.GaussianBlur(sums, (0, 0), sigma_small)
    bottom = cv2.GaussianBlur(weight, (0, 0), sigma_small) + 1e-4
    ratio = top / (bottom if values.ndim == 2 else bottom[..., None])  # noqa: PLR2004
    if shrink > 1:
        ratio = cv2.resize(ratio, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(ratio, np.float32)


_BLUR_STEPS_PX = (0.0, 0.5, 0.75, 1.0, 1.4, 2.0, 2.8, 4.0)


def _match_blur(
    expected: NDArray[np.float32], seen: NDArray[np.float32], valid: Map
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Blur the sharper of the two until both have the same fine energy.

    Returns (expected, seen, sigma); sigma is negative where the reference was softer.
    """
    energy_expected = _fine_energy(_luma(expected), valid)
    energy_seen = _fine_energy(_luma(seen), valid)
    if energy_seen <= energy_expected:
        sigma = _blur_between(_luma(expected), energy_seen, valid)
        return _blurred(expected, sigma), seen, sigma
    sigma = _blur_between(_luma(seen), energy_expected, valid)
    return expected, _blurred(seen, sigma), -sigma


def _blur_between(luma: Map, target: float, valid: Map) -> float:
    """Return the sigma at which the fine energy of ``luma`` falls to ``target``."""
    previous_sigma, previous = 0.0, _fine_energy(luma, valid)
    for sigma in _BLUR_STEPS_PX[1:]:
        energy = _fine_energy(_blurred(luma, sigma), valid)
        if energy <= target:
            span = max(1e-6, np.log(previous + 1e-6) - np.log(energy + 1e-6))
            share = (np.log(previous + 1e-6) - np.log(target + 1e-6)) / span
            return float(
                previous_sigma + np.clip(share, 0, 1) * (sigma - previous_sigma)
            )
        previous_sigma, previous = sigma, energy
    return _BLUR_STEPS_PX[-1]


def _blurred(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    if sigma < 0.2:  # noqa: PLR2004 (below it the kernel is a point)
        return values
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), np.float32)


def _fine_energy(luma: Map, valid: Map) -> float:
    """Mean absolute difference of neighbours, less what noise alone would make."""
    step_x = np.abs(luma[:-1, 1:] - luma[:-1, :-1])
    step_y = np.abs(luma[1:, :-1] - luma[:-1, :-1])
    step = np.maximum(step_x, step_y) * valid[:-1, :-1]
    floor = np.float32(6)
    return float(np.maximum(step - floor, 0).sum() / max(1.0, float(valid.sum())))


def _luma(rgb: NDArray[np.float32]) -> Map:
    return np.asarray(rgb @ _LUMA, np.float32)


_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# --- 2b. the smooth rest of the misregistration ---------------------------------------


def _align(pair: _Normalised, *, is_bent: bool) -> tuple[Map, _Normalised]:
    """Follow the smooth part of the displacement; return the rest as geometry.

    Twice where the first round moved much: what was out of its reach, at the far
    sides of a bend, is within the second's.
    """
    expected = _byte(_luma(pair.reference))
    height, width = pair.valid.shape
    xs, ys = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    shift = np.zeros((height, width, 2), np.float32)
    seen = pair.photo
    reach = _FAR_PX
    for _ in range(_ALIGN_ROUNDS):
        found = align(expected, _byte(_luma(seen)), pair.valid, reach_px=reach)
        reach = _NEAR_PX
        shift = shift + found.shift
        seen = np.asarray(
            cv2.remap(
                pair.photo,
                xs + shift[..., 0],
                ys + shift[..., 1],
                interpolation=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            ),
            np.float32,
        )
        if np.abs(found.shift).max() < _SETTLED_PX:
            break
    usual = _USUAL_STRAY_PX + np.float32(2 * found.level)
    valid = pair.valid
    if is_bent:
        valid = np.asarray(valid * found.is_supported, np.float32)
    return (
        np.asarray(found.stray / usual, np.float32),
        replace(pair, photo=seen, valid=valid),
    )


_ALIGN_ROUNDS = 3
_FAR_PX, _NEAR_PX = 18, 12
_SETTLED_PX = 2.0
_USUAL_STRAY_PX = np.float32(1.2)


def _byte(luma: Map) -> NDArray[np.uint8]:
    return np.asarray(np.clip(luma, 0, 255), np.uint8)


# --- 3. the channels ------------------------------------------------------------------


def _structure(pair: _Normalised) -> Map:
    """Luma outside the band that the other picture spans within a pixel."""
    expected, seen = _luma(pair.reference), _luma(pair.photo)
    # Folds and gloss shade on the scale of centimetres, print on that of its strokes.
    seen = seen - _smooth(seen - expected, pair.valid, _SHADE_SIGMA_PX)
    beyond = np.maximum(_outside(seen, expected), _outside(expected, seen))
    window = np.ones((3, 3), np.uint8)
    swing = cv2.boxFilter(
        cv2.dilate(expected, window) - cv2.erode(expected, window), -1, (5, 5)
    )
    usual = _USUAL_LUMA + _usual_share(beyond, swing, pair.valid) * swing
    return np.asarray(cv2.boxFilter(beyond / usual, -1, (7, 7)), np.float32)


_SHADE_SIGMA_PX = 14.0
_USUAL_LUMA = np.float32(7)
_EDGE_SWING = np.float32(25)


def _usual_share(beyond: Map, swing: NDArray[Any], valid: Map) -> np.float32:
    """How far this very photo strays at edges, as a share of their swing.

    A photo a little softer or less well laid than another strays at all of its
    edges; what a forger changed strays at few.
    """
    at_edges = (swing > _EDGE_SWING) & (valid > 0)
    if at_edges.sum() < _MIN_EDGE_PX:
        return np.float32(0.25)
    share = np.percentile((beyond[at_edges] / swing[at_edges])[::7], 80)
    return np.float32(min(0.8, max(0.12, 1.5 * share)))


_MIN_EDGE_PX = 300


def _outside(values: Map, band: Map) -> Map:
    window = np.ones((3, 3), np.uint8)
    above = values - cv2.dilate(band, window)
    below = cv2.erode(band, window) - values
    return np.asarray(np.maximum(np.maximum(above, below), 0), np.float32)


_SHIFTS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
_NCC_WINDOW = (15, 15)
_CALM = np.float32(90)
"""Variance added to both sides: patches without contrast correlate by definition."""


def _decorrelation(pair: _Normalised) -> Map:
    """1 - local correlation at the best of five shifts, in units of this photo's."""
    expected, seen = _luma(pair.reference), _luma(pair.photo)
    mean_e = cv2.boxFilter(expected, -1, _NCC_WINDOW)
    var_e = cv2.boxFilter(expected * expected, -1, _NCC_WINDOW) - mean_e * mean_e
    mean_s = cv2.boxFilter(seen, -1, _NCC_WINDOW)
    var_s = cv2.boxFilter(seen * seen, -1, _NCC_WINDOW) - mean_s * mean_s
    best = np.full(expected.shape, -1, np.float32)
    scale = np.sqrt((np.maximum(var_e, 0) + _CALM) * (np.maximum(var_s, 0) + _CALM))
    for dx, dy in _SHIFTS:
        shifted = np.roll(expected, (dy, dx), axis=(0, 1))
        mean = mean_e if (dx, dy) == (0, 0) else np.roll(mean_e, (dy, dx), (0, 1))
        product = cv2.boxFilter(shifted * seen, -1, _NCC_WINDOW)
        best = np.maximum(best, (product - mean * mean_s + _CALM) / scale)
    lack = np.maximum(0, 1 - best)
    textured = (var_e > _TEXTURED) & (pair.valid > 0)
    own = (
        float(np.median(lack[textured][::7])) if textured.sum() > _MIN_EDGE_PX else 0.0
    )
    return np.asarray(lack / (_USUAL_DECORRELATION + np.float32(2 * own)), np.float32)


_USUAL_DECORRELATION = np.float32(0.25)
_TEXTURED = np.float32(200)


def _colour(pair: _Normalised) -> Map:
    """Chroma difference outside a small neighbourhood's band, in units of 6 (Lab)."""
    expected, seen = _chroma(pair.reference), _chroma(pair.photo)
    beyond = np.zeros(pair.valid.shape, np.float32)
    window = np.ones((5, 5), np.uint8)
    for axis in range(2):
        band = np.ascontiguousarray(expected[..., axis])
        values = np.ascontiguousarray(seen[..., axis])
        above = values - cv2.dilate(band, window)
        below = cv2.erode(band, window) - values
        beyond += np.maximum(np.maximum(above, below), 0) ** 2
    return np.asarray(
        cv2.boxFilter(np.sqrt(beyond), -1, (11, 11)) / _USUAL_CHROMA, np.float32
    )


_USUAL_CHROMA = np.float32(6)


def _chroma(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w, 2) CIE a*, b*, softened: phones halve the chroma's resolution."""
    bounded = np.clip(rgb, 0, 255) / np.float32(255)
    lab = cv2.cvtColor(np.asarray(bounded, np.float32), cv2.COLOR_RGB2LAB)
    return np.asarray(cv2.GaussianBlur(lab[..., 1:], (0, 0), 2.0), np.float32)


# --- 4. numbers and places ------------------------------------------------------------

_PEAK_WINDOW = (13, 13)


def _channel_measurements(maps: dict[str, Map], pair: _Normalised) -> dict[str, float]:
    """Sum up each map: its peak over a patch, its top percent, its usual levels."""
    inside = pair.valid > 0
    numbers: dict[str, float] = {}
    for name, values in maps.items():
        patch = cv2.boxFilter(values, -1, _PEAK_WINDOW)
        seen = values[inside]
        if not seen.size:
            seen = np.zeros(1, np.float32)
        extreme, high, level = np.percentile(seen[::3], (99, 93, 60))
        numbers[f"{name}_peak"] = float(patch.max())
        numbers[f"{name}_top"] = float(seen[seen >= extreme].mean())
        numbers[f"{name}_high"] = float(high)
        numbers[f"{name}_level"] = float(level)
    return numbers


def _print_measurements(pair: _Normalised) -> dict[str, float]:
    expected, seen = _luma(pair.reference), _luma(pair.photo)
    window = np.ones((9, 9), np.uint8)
    swing = cv2.dilate(expected, window) - cv2.erode(expected, window)
    flat = (swing < np.float32(10)) & (pair.valid > 0)
    grain = seen - cv2.GaussianBlur(seen, (0, 0), 1.5)
    usual = expected - cv2.GaussianBlur(expected, (0, 0), 1.5)
    enough = flat.sum() > _MIN_FLAT_PX
    return {
        "blur_px": pair.blur_px,
        "contrast": float(np.log(pair.contrast)),
        "cast": pair.cast,
        "grain": float(np.std(grain[flat]) - np.std(usual[flat])) if enough else 0.0,
        "flat_fraction": float(flat.sum() / max(1.0, float(pair.valid.sum()))),
    }


_MIN_FLAT_PX = 500

_WHOLE_WINDOW = np.ones((15, 15), np.uint8)
_KINDS = ("peak", "top", "high", "level")
MEASUREMENTS = (
    *(f"{channel}_{kind}" for channel in CHANNELS for kind in _KINDS),
    *("blur_px", "contrast", "cast", "grain", "flat_fraction"),
)
"""Every name in `Comparison.measurements`, in order."""

_REGION_LEVEL = 1.0
_MAX_REGIONS = 12
_MIN_REGION_PX = 25


def _regions(deviation: Map, maps: dict[str, Map]) -> tuple[Region, ...]:
    """Connected places above the usual, the most deviant first."""
    above = (deviation > _REGION_LEVEL).astype(np.uint8)
    joined = cv2.morphologyEx(above, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
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
    channel = max(CHANNELS, key=lambda name: float(maps[name][window].max()))
    return Region(x, y, width, height, float(deviation[window].max()), channel)

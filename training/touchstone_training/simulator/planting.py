"""Forgeries planted into a picture of which no specification exists.

A patch of print is separated from the paper behind it: the paper is what the patch's
surroundings lead to expect, the print is the difference. Print can then be shifted,
rescaled, recoloured, muddled or removed, and the paper closes behind it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone_training.simulator.printing import from_lab, to_lab

Image = NDArray[np.uint8]
PixelBox = tuple[int, int, int, int]
"""x, y, width, height in px."""

_Field = NDArray[np.float32]

_WORK_SIDE_PX = 700
"""Patches are sought in a picture shrunk to this side."""

_LEAST_SHARE, _GREATEST_SHARE = 0.03, 0.35
_EDGE_LEAST = 40.0
_FILL_SIDE_PX = 72
_VISIBLE_LEVELS = 8


@dataclass(frozen=True, slots=True)
class _Patch:
    """A piece of print, ``ink`` (h, w, 3) signed, over ``paper`` (h, w, 3)."""

    box: PixelBox
    ink: _Field
    paper: _Field


def patches(pixels: Image) -> list[PixelBox]:
    """Boxes around words, marks and pictures, smallest first.

    Edges are joined over short gaps; connected pieces between 3 % and 35 % of the
    longer side, well inside the picture, are kept.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, _WORK_SIDE_PX / max(height, width))
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    slope = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    reach = max(2, round(max(small.shape) * 0.009))
    joined = cv2.dilate(
        (slope > _EDGE_LEAST).astype(np.uint8),
        np.ones((reach // 2 + 1, reach * 2), np.uint8),
    )
    _, _, stats, _ = cv2.connectedComponentsWithStats(joined)
    side = max(small.shape)
    found = []
    for x, y, w, h, _ in stats[1:].tolist():
        margin = 0.02 * side
        sized = _LEAST_SHARE * side <= max(w, h) <= _GREATEST_SHARE * side
        across = margin < x and x + w < small.shape[1] - margin
        if sized and across and margin < y and y + h < small.shape[0] - margin:
            found.append(tuple(round(v / scale) for v in (x, y, w, h)))
    boxes = [(x, y, w, h) for x, y, w, h in found]
    return sorted(boxes, key=lambda b: b[2] * b[3]) or [_middle(width, height)]


def _middle(width: int, height: int) -> PixelBox:
    return (round(width * 0.4), round(height * 0.4), width // 5, height // 5)


def _grown(box: PixelBox, by: int, pixels: Image) -> PixelBox:
    x, y, w, h = box
    left, top = max(0, x - by), max(0, y - by)
    right, bottom = min(pixels.shape[1], x + w + by), min(pixels.shape[0], y + h + by)
    return (left, top, right - left, bottom - top)


def _cut(pixels: Image, box: PixelBox) -> Image:
    x, y, w, h = box
    return pixels[y : y + h, x : x + w]


def _lift(pixels: Image, box: PixelBox) -> _Patch:
    # The paper is painted in at low resolution from a rim around the patch.
    rim = max(3, round(max(box[2:]) * 0.08))
    outer = _grown(box, rim, pixels)
    around = _cut(pixels, outer)
    scale = min(1.0, _FILL_SIDE_PX / max(around.shape[:2]))
    small = cv2.resize(around, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    hole = np.zeros(small.shape[:2], np.uint8)
    left, top = box[0] - outer[0], box[1] - outer[1]
    x0, y0 = int(left * scale), int(top * scale)
    x1, y1 = (int(np.ceil((a + b) * scale)) for a, b in ((left, box[2]), (top, box[3])))
    hole[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = 255
    filled = cv2.inpaint(np.ascontiguousarray(small), hole, 3, cv2.INPAINT_TELEA)
    size = (around.shape[1], around.shape[0])
    smooth = cv2.resize(filled, size, interpolation=cv2.INTER_CUBIC)
    inner = smooth[top : top + box[3], left : left + box[2]].astype(np.float32)
    # Towards the rim of the patch, paper and picture must meet without a seam.
    ink = (_cut(pixels, box).astype(np.float32) - inner) * _feather(box)
    return _Patch(box, ink, _cut(pixels, box).astype(np.float32) - ink)


def _feather(box: PixelBox) -> _Field:
    across = np.minimum(np.arange(box[2]) + 1, np.arange(box[2])[::-1] + 1)
    down = np.minimum(np.arange(box[3]) + 1, np.arange(box[3])[::-1] + 1)
    edge = max(1.0, min(box[2:]) * 0.06)
    ramp = np.minimum(across[None, :], down[:, None]) / edge
    return np.clip(ramp, 0, 1).astype(np.float32)[..., None]


def _laid(pixels: Image, patch: _Patch, ink: _Field, *, at: PixelBox) -> Image:
    # Paper first, then print wherever it now stands; clipped at the picture's edges.
    out = pixels.astype(np.float32)
    x, y, w, h = patch.box
    out[y : y + h, x : x + w] = patch.paper
    left, top = max(0, at[0]), max(0, at[1])
    right = min(out.shape[1], at[0] + at[2])
    bottom = min(out.shape[0], at[1] + at[3])
    if right > left and bottom > top:
        part = ink[top - at[1] : bottom - at[1], left - at[0] : right - at[0]]
        out[top:bottom, left:right] += part
    return np.asarray(np.clip(out + 0.5, 0, 255), np.uint8)


def _moved(
    pixels: Image, patch: _Patch, rng: np.random.Generator, *, severity: float
) -> Image:
    reach = max(2.0, 0.075 * severity * pixels.shape[1])
    turn = rng.uniform(0, 2 * np.pi)
    x, y, w, h = patch.box
    dx, dy = round(reach * np.cos(turn)), round(reach * np.sin(turn))
    left = int(np.clip(x + dx, 0, pixels.shape[1] - w))
    top = int(np.clip(y + dy, 0, pixels.shape[0] - h))
    return _laid(pixels, patch, patch.ink, at=(left, top, w, h))


def _rescaled(
    pixels: Image, patch: _Patch, rng: np.random.Generator, *, severity: float
) -> Image:
    change = 1.02 + 0.24 * severity
    factor = change if rng.integers(2) else 1 / change
    x, y, w, h = patch.box
    wide, tall = max(1, round(w * factor)), max(1, round(h * factor))
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    ink = np.asarray(cv2.resize(patch.ink, (wide, tall), interpolation=way), np.float32)
    at = (x + (w - wide) // 2, y + (h - tall) // 2, wide, tall)
    return _laid(pixels, patch, ink, at=at)


def _recoloured(
    pixels: Image, patch: _Patch, rng: np.random.Generator, *, severity: float
) -> Image:
    shift = rng.normal(0, (0.6, 1, 1), 3)
    shift *= (2 + 28 * severity) / np.linalg.norm(shift)
    share = np.clip(np.abs(patch.ink).max(axis=2, keepdims=True) / 30, 0, 1)
    lab = to_lab(_cut(pixels, patch.box)) + (share * shift).astype(np.float32)
    out = pixels.copy()
    x, y, w, h = patch.box
    out[y : y + h, x : x + w] = from_lab(lab)
    return out


def _removed(
    pixels: Image, patch: _Patch, rng: np.random.Generator, *, severity: float
) -> Image:
    del severity  # how much is removed was settled by choosing the patch
    grain = rng.normal(0, 1.0, patch.ink.shape).astype(np.float32)
    return _laid(pixels, patch, grain, at=patch.box)


def _muddled(
    pixels: Image, patch: _Patch, rng: np.random.Generator, *, severity: float
) -> Image:
    # Glyph-wide columns of the print trade places or are mirrored.
    ink = patch.ink.copy()
    _, _, w, h = patch.box
    pitch = max(2, round(min(h * 0.7, w / 2)))
    for _ in range(1 + int(severity * 4)):
        left = int(rng.integers(0, max(1, w - 2 * pitch + 1)))
        first, second = slice(left, left + pitch), slice(left + pitch, left + 2 * pitch)
        if rng.integers(2) and left + 2 * pitch <= w:
            ink[:, first], ink[:, second] = ink[:, second].copy(), ink[:, first].copy()
        else:
            ink[:, first] = ink[:, first][:, ::-1].copy()
    return _laid(pixels, patch, ink, at=patch.box)


_EDITS: dict[str, Callable[..., Image]] = {
    "moved_element": _moved,
    "rescaled_element": _rescaled,
    "element_colour": _recoloured,
    "missing_element": _removed,
    "typo": _muddled,
}
LOCAL_KINDS = tuple(_EDITS)


def _ranked(
    boxes: list[PixelBox], rng: np.random.Generator, *, severity: float
) -> PixelBox:
    rank = float(np.clip(severity + rng.normal(0, 0.2), 0, 1))
    return boxes[round(rank * (len(boxes) - 1))]


def changed_box(before: Image, after: Image) -> PixelBox | None:
    """The tight box around every visible change, or None if nothing changed."""
    apart = cv2.absdiff(before, after).max(axis=2) > _VISIBLE_LEVELS
    if not apart.any():
        return None
    ys, xs = np.flatnonzero(apart.any(axis=1)), np.flatnonzero(apart.any(axis=0))
    return (
        int(xs[0]), int(ys[0]), int(xs[-1] - xs[0] + 1), int(ys[-1] - ys[0] + 1),
    )  # fmt: skip


def planted(
    pixels: Image, kind: str, rng: np.random.Generator, *, severity: float
) -> Image:
    """Plant one of ``LOCAL_KINDS``; patches are larger the greater the severity."""
    patch = _lift(pixels, _ranked(patches(pixels), rng, severity=severity))
    return _EDITS[kind](pixels, patch, rng, severity=severity)

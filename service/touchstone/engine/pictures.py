"""Evidence to pictures that people look at: pair, overlay, deviation map, as PNG."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from touchstone.engine.comparison import COMPARISON_SIDE_PX, Region
from touchstone.engine.image import Pixels, resized
from touchstone.engine.normalisation import Map

_cv2: Any = cv2

_MARK = (214, 40, 40)
_PAPER = 255
_GAP_PX = 16
_FULL_SCALE = 3.0
"""Deviation drawn as the strongest colour: three times the edge of the usual."""


@dataclass(frozen=True, slots=True)
class EvidencePictures:
    """PNG files that show one comparison."""

    pair_png: bytes
    """Reference and photo side by side, in the reference's frame, regions numbered."""
    overlay_png: bytes
    """The photo with the deviation laid over it."""
    deviation_png: bytes
    """The deviation map alone: dark as usual, bright at three times the usual."""


def draw(
    reference: Pixels, seen: Pixels, deviation: Map, regions: Sequence[Region]
) -> EvidencePictures:
    """Draw one comparison.

    Args:
        reference: (h, w, 3).
        seen: (h, w, 3), the rectified photo.
        deviation: of any size; drawn at that of the pictures.
        regions: in the pixels of these pictures.
    """
    pair = _side_by_side(_marked(reference, regions), _marked(seen, regions))
    size = seen.shape[1], seen.shape[0]
    deviation = np.asarray(cv2.resize(deviation, size), np.float32)
    heat = _heat(deviation)
    weight = np.clip(deviation / _FULL_SCALE, 0, 1)[..., None] * np.float32(0.75)
    overlay = np.asarray(seen * (1 - weight) + heat * weight, np.uint8)
    return EvidencePictures(
        pair_png=to_png(pair),
        overlay_png=to_png(_marked(overlay, regions)),
        deviation_png=to_png(heat),
    )


def draw_region(reference: Pixels, seen: Pixels, region: Region) -> bytes:
    """Draw one region, reference left and questioned right, enlarged, as PNG."""
    height, width = reference.shape[:2]
    margin = max(12, round(0.25 * max(region.width, region.height)))
    left, top = max(0, region.x - margin), max(0, region.y - margin)
    right = min(width, region.x + region.width + margin)
    bottom = min(height, region.y + region.height + margin)
    window = np.s_[top:bottom, left:right]
    zoom = max(1.0, COMPARISON_SIDE_PX / 2 / max(right - left, bottom - top))
    size = round((right - left) * zoom), round((bottom - top) * zoom)
    return to_png(
        _side_by_side(resized(reference[window], size), resized(seen[window], size))
    )


def to_png(pixels: Pixels) -> bytes:
    """Encode RGB ``pixels`` as PNG."""
    done, data = _cv2.imencode(
        ".png",
        cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR),
        [cv2.IMWRITE_PNG_COMPRESSION, 3],
    )
    if not done:
        raise ValueError("the picture could not be encoded")
    return bytes(data)


def _heat(deviation: Map) -> Pixels:
    """Colour by cividis: the same order of lightness for every kind of eye."""
    levels = np.asarray(np.clip(deviation / _FULL_SCALE, 0, 1) * 255, np.uint8)
    coloured = _cv2.applyColorMap(levels, cv2.COLORMAP_CIVIDIS)
    return np.asarray(cv2.cvtColor(coloured, cv2.COLOR_BGR2RGB), np.uint8)


def _marked(pixels: Pixels, regions: Sequence[Region]) -> Pixels:
    marked = pixels.copy()
    for number, region in enumerate(regions, start=1):
        corner = region.x + region.width, region.y + region.height
        cv2.rectangle(marked, (region.x, region.y), corner, (_PAPER,) * 3, 4)
        cv2.rectangle(marked, (region.x, region.y), corner, _MARK, 2)
        at = (max(2, region.x), max(14, region.y - 5))
        for colour, thickness in (((_PAPER,) * 3, 4), (_MARK, 2)):
            cv2.putText(
                marked,
                str(number),
                at,
                cv2.FONT_HERSHEY_SIMPLEX,
                0.55,
                colour,
                thickness,
                cv2.LINE_AA,
            )
    return marked


def _side_by_side(left: Pixels, right: Pixels) -> Pixels:
    gap = np.full((left.shape[0], _GAP_PX, 3), _PAPER, np.uint8)
    return np.hstack([left, gap, right])

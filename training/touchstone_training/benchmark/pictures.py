"""Small pictures that a run keeps: crops for a peer, strips for the gallery."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from touchstone.catalogue import WORKING_SIDE_PX
from touchstone.engine.embedding import prepare
from touchstone.engine.evidence import Evidence
from touchstone.engine.image import Pixels, decode, resized
from touchstone_training.benchmark.observations import Box, Looked, Taken

TILE_PX = 132
_GAP_PX = 4
_LEAST_CUT_PX = 110
FINE_KINDS = frozenset({"rescan", "halftone", "inkjet"})
"""Seen in detail alone."""
_MARGIN = 1.5


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a run keeps its pictures."""

    folder: Path
    input_px: int
    """Side of the registered crops: what the embedder takes."""

    def crop_of(self, name: str) -> Path:
        """Return the path of a photo's registered crop."""
        return self.folder / "crops" / f"{_file_name(name)}.png"

    def reference_of(self, group: str) -> Path:
        """Return the path of a product's reference."""
        return self.folder / "references" / f"{_file_name(group)}.png"

    def strip_of(self, name: str) -> Path:
        """Return the path of a photo's strip."""
        return self.folder / "strips" / f"{_file_name(name)}.jpg"

    def query_of(self, name: str) -> Path:
        """Return the path of a genuine photo, for identification."""
        return self.folder / "queries" / f"{_file_name(name)}.jpg"

    def keep_crop(self, looked: Looked) -> None:
        """Write the crop of a photo in which its reference was found."""
        if looked.evidence is None:
            return
        observation, evidence = looked.observation, looked.evidence
        side = self.input_px
        crop = prepare(evidence.seen, input_px=side)
        write_picture(self.crop_of(observation.name), crop)
        reference = self.reference_of(observation.group)
        if not reference.is_file():
            framed = prepare(evidence.reference.framed, input_px=side)
            write_picture(reference, framed)

    def keep_strip(self, taken: Taken, looked: Looked) -> None:
        """Write photo, reference and registered photo side by side."""
        if looked.evidence is not None:
            write_picture(self.strip_of(taken.name), strip(taken, looked.evidence))


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)


def write_picture(path: Path, pixels: Pixels) -> None:
    """Write (h, w, 3) RGB as the suffix of ``path`` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = [cv2.IMWRITE_JPEG_QUALITY, 88] if path.suffix == ".jpg" else []
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), flags)


def strip(taken: Taken, evidence: Evidence) -> Pixels:
    """Draw the photo, and one place of it beside that of the reference.

    The place is where the print was changed, else where it deviates most; the very
    middle where all of it was made with another screen.

    Returns:
        (TILE_PX, 3 TILE_PX and gaps, 3).
    """
    photo = decode(taken.jpeg, max_side_px=WORKING_SIDE_PX).pixels
    is_fine = taken.kind in FINE_KINDS
    place = _middle(evidence) if is_fine else _place(evidence, taken.boxes)
    out = np.full((TILE_PX, 3 * TILE_PX + 2 * _GAP_PX, 3), 255, np.uint8)
    cuts = (_cut(one, place) for one in (evidence.reference.framed, evidence.seen))
    for number, picture in enumerate((_fitted(photo), *cuts)):
        left = number * (TILE_PX + _GAP_PX)
        out[:, left : left + TILE_PX] = picture
    return out


def _fitted(photo: Pixels) -> Pixels:
    out = np.full((TILE_PX, TILE_PX, 3), 255, np.uint8)
    height, width = photo.shape[:2]
    scale = TILE_PX / max(height, width)
    small = resized(photo, (round(width * scale), round(height * scale)))
    top, left = ((TILE_PX - side) // 2 for side in small.shape[:2])
    out[top : top + small.shape[0], left : left + small.shape[1]] = small
    return out


def _place(evidence: Evidence, boxes: Sequence[Box]) -> tuple[int, int, int]:
    """Return (left, top, side) of a square of the compared frame."""
    width, height = evidence.frame_px
    scale = width / evidence.reference.size_px[0]
    regions = evidence.comparison.regions
    if boxes:
        x, y, w, h = (scale * side for side in max(boxes, key=lambda b: b[2] * b[3]))
    elif regions:
        top = regions[0]
        x, y, w, h = (float(v) for v in (top.x, top.y, top.width, top.height))
    else:
        x, y, w, h = 0.0, 0.0, float(width), float(height)
    side = min(max(_LEAST_CUT_PX, _MARGIN * max(w, h)), width, height)
    left = min(max(0.0, x + w / 2 - side / 2), width - side)
    upper = min(max(0.0, y + h / 2 - side / 2), height - side)
    return int(left), int(upper), int(side)


def _middle(evidence: Evidence) -> tuple[int, int, int]:
    width, height = evidence.frame_px
    side = min(TILE_PX, width, height)
    return (width - side) // 2, (height - side) // 2, side


def _cut(framed: Pixels, place: tuple[int, int, int]) -> Pixels:
    left, top, side = place
    part = np.ascontiguousarray(framed[top : top + side, left : left + side])
    way = cv2.INTER_AREA if side > TILE_PX else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (TILE_PX, TILE_PX), interpolation=way), np.uint8)

"""Photographs to aligned pairs, by the engine's own steps, packed for training.

Of each photo one ``.npy``, (h, w, 8) uint8 in the frame in which the comparator looks:
the expected print (3), the seen one (3), where compared, where changed (255 or 0).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from touchstone.bootstrap import use_one_thread
from touchstone.catalogue import WORKING_SIDE_PX
from touchstone.engine.evidence import laid_over, larger
from touchstone.engine.features import (
    PHOTO_SIDE_PX,
    REFERENCE_SIDE_PX,
    Features,
    Method,
    PhotoMatcher,
    detect,
)
from touchstone.engine.image import Pixels, decode
from touchstone.engine.occlusion import hands
from touchstone.engine.pair import AlignedPair, aligned_pair, drawn_larger
from touchstone.engine.reference import Reference, frame_of, mask_of
from touchstone.engine.registration import Registration, register
from touchstone.errors import InvalidInputError
from touchstone_training.comparator.pairs import FIRST_SEED, META, REFERENCE
from touchstone_training.data import Item
from touchstone_training.measuring import GENUINE
from touchstone_training.simulator.counterfeits import WHOLE_PRINT_KINDS
from touchstone_training.simulator.elements import Box

_SURE_INLIERS = 60


@dataclass(frozen=True, slots=True)
class Packed:
    """One aligned pair on disk."""

    path: Path
    design: int
    kind: str
    severity: float

    @property
    def is_genuine(self) -> bool:
        """Whether the print is the reference's own."""
        return self.kind == GENUINE

    @property
    def is_real(self) -> bool:
        """Whether it is a photograph of a real package."""
        return self.design < FIRST_SEED

    @property
    def is_whole(self) -> bool:
        """Whether the whole print differs, so that no place does more than others."""
        return self.kind in WHOLE_PRINT_KINDS


def packed(folder: Path) -> list[Packed]:
    """Return what `pack` wrote, by design and number."""
    found = []
    for meta_file in sorted(folder.glob(f"[0-9]*/{META}")):
        design = meta_file.parent
        meta = json.loads(meta_file.read_text(encoding="utf-8"))
        found += [
            Packed(design / row["file"], int(design.name), row["kind"], row["severity"])
            for row in meta
        ]
    return found


def pack(pairs: Path, out: Path, *, workers: int = 1) -> None:
    """Align every design's photos in ``pairs`` that ``out`` does not have yet."""
    out.mkdir(parents=True, exist_ok=True)
    waiting = [
        folder
        for folder in sorted(pairs.glob("[0-9]*"))
        if not (out / folder.name / META).exists()
    ]
    work = partial(_one_design, out=out)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        done = pool.map(work, waiting)
        for _ in track(done, total=len(waiting), description="Aligned"):
            pass


def _one_design(folder: Path, *, out: Path) -> None:
    use_one_thread()
    target = out / folder.name
    target.mkdir(exist_ok=True)
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    reference = Known.read(folder, meta["variable"])
    rows = []
    for number, row in enumerate(meta["photos"]):
        photo = decode(
            (folder / f"{number:02}.jpg").read_bytes(), max_side_px=WORKING_SIDE_PX
        ).pixels
        pair = reference.aligned(photo)
        if pair is None:
            continue
        changed = folder / f"{number:02}.png"
        mask = _read(changed, cv2.IMREAD_GRAYSCALE) if changed.exists() else None
        name = f"{number:02}.npy"
        np.save(target / name, stacked(pair, mask))
        rows.append({"file": name, "kind": row["kind"], "severity": row["severity"]})
    (target / META).write_text(json.dumps(rows), encoding="utf-8")


def _read(path: Path, how: int) -> NDArray[np.uint8]:
    pixels = cv2.imread(str(path), how)
    if pixels is None:
        raise InvalidInputError(f"{path} is no picture: make the pairs again.")
    return np.asarray(pixels, np.uint8)


_CHANGED_LEVEL = 60


def stacked(pair: AlignedPair, changed: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """(h, w, 8), see the module."""
    height, width = pair.valid.shape
    mask = np.zeros((height, width), np.uint8)
    if changed is not None:
        small = cv2.resize(changed, (width, height), interpolation=cv2.INTER_LINEAR)
        mask = np.where(small > _CHANGED_LEVEL, 255, 0).astype(np.uint8)
    valid = np.where(pair.valid > 0, 255, 0).astype(np.uint8)
    return np.dstack([pair.expected, pair.seen, valid, mask])


_REAL_DESIGN = 300_000
"""Real products are numbered from here: below every design, so never held out."""
_SURE_REAL_INLIERS = 40
_OTHER_ARTWORK = frozenset({"gsd:Arla-Ecological-Sour-Cream"})
"""Products whose photos show another version of the artwork than their reference: seen
by eye, and no genuine pair."""


def pack_real(items: Sequence[Item], out: Path) -> int:
    """Align real genuine photographs with their references; return how many were.

    Args:
        items: references and photos of products that may be trained on.
        out: gets a folder for each product.
    """
    known = {
        item.product_id: Known.of(decoded(item), [])
        for item in items
        if item.kind == "reference"
    }
    numbers = {code: _REAL_DESIGN + n for n, code in enumerate(sorted(known))}
    rows: dict[str, list[dict[str, Any]]] = {code: [] for code in known}
    photos = [
        one
        for one in items
        if one.kind == "photo" and one.product_id in known.keys() - _OTHER_ARTWORK
    ]
    for item in track(photos, description="Real photographs"):
        pair = known[item.product_id].aligned(
            decoded(item), least_inliers=_SURE_REAL_INLIERS
        )
        if pair is None:
            continue
        folder = out / str(numbers[item.product_id])
        folder.mkdir(parents=True, exist_ok=True)
        kept = rows[item.product_id]
        name = f"{len(kept):03}.npy"
        np.save(folder / name, stacked(pair, None))
        kept.append({"file": name, "kind": GENUINE, "severity": 0.0})
    for code, kept in rows.items():
        if kept:
            file = out / str(numbers[code]) / META
            file.write_text(json.dumps(kept), encoding="utf-8")
    return sum(len(kept) for kept in rows.values())


def decoded(item: Item) -> Pixels:
    """Read a picture of a data set as the service would."""
    return decode(item.path.read_bytes(), max_side_px=WORKING_SIDE_PX).pixels


@dataclass(frozen=True, slots=True)
class Known:
    """A reference with its features, as enrolment keeps it."""

    reference: Reference
    features: Mapping[Method, Features]

    @staticmethod
    def read(folder: Path, variable: Sequence[Box]) -> "Known":
        """Read what `pairs` wrote; ``variable`` as shares of the sides."""
        kept = _read(folder / REFERENCE, cv2.IMREAD_COLOR)
        pixels = np.asarray(cv2.cvtColor(kept, cv2.COLOR_BGR2RGB), np.uint8)
        height, width = pixels.shape[:2]
        boxes = [
            (x * width, y * height, w * width, h * height) for x, y, w, h in variable
        ]
        return Known.of(pixels, boxes)

    @staticmethod
    def of(pixels: Pixels, boxes: Sequence[Box]) -> "Known":
        """Enrol a picture, (h, w, 3), with its variable ``boxes`` in pixels."""
        size = pixels.shape[1], pixels.shape[0]
        features = {
            method: detect(pixels, method, max_side_px=REFERENCE_SIDE_PX)
            for method in Method
        }
        reference = Reference(
            0, pixels, size, is_counterfeit=False, variable_regions=tuple(boxes)
        )
        return Known(reference, features)

    def aligned(self, photo: Pixels, *, least_inliers: int = 0) -> AlignedPair | None:
        """Lay the photo over the reference, as closely as the comparator looks.

        None where that fails.
        """
        looks = self.looks(photo, least_inliers=least_inliers)
        return looks[-1] if looks else None

    def looks(self, photo: Pixels, *, least_inliers: int = 0) -> list[AlignedPair]:
        """Lay the photo over the reference: from afar, then closer where that pays.

        Nothing where it cannot be laid over.
        """
        found = self.registered(photo)
        if found is None or found.inliers < least_inliers:
            return []
        reference, laid = self.reference, laid_over(photo, found, self.reference)
        found, behind = laid.registration, laid.behind
        hidden = hands(reference.framed, laid.seen, photo, found, behind=behind)
        is_bent = found.bend is not None
        pair = aligned_pair(
            reference.framed,
            laid.seen,
            laid.covered & ~hidden,
            variable=mask_of(
                reference.variable_regions,
                reference.size_px,
                frame_of(reference.size_px),
            ),
            is_bent=is_bent,
        )
        closer = larger(photo, found, reference)
        if closer is None:
            return [pair]
        return [pair, drawn_larger(pair, *closer, is_bent=is_bent)]

    def registered(self, photo: Pixels) -> Registration | None:
        """Return where the reference lies in the photo; None where it is not found."""
        found = self._registrations(photo)
        return max(found, key=lambda one: one.inliers, default=None)

    def _registrations(self, photo: Pixels) -> Iterator[Registration]:
        for method, reference in self.features.items():
            matcher = PhotoMatcher(detect(photo, method, max_side_px=PHOTO_SIDE_PX))
            found = register(matcher, reference)
            if isinstance(found, Registration):
                yield found
                if found.inliers >= _SURE_INLIERS:
                    return

"""Manifests, splits and the picture cache: what may be trained on, and what may not.

A data folder holds ``open/SET/manifest.csv`` (licences that allow training) and
``measure/SET/manifest.csv`` (for evaluation only). Nothing under ``measure`` is read
by any function here that feeds training.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.errors import InvalidInputError, NotAnImageError

Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""

HELD_OUT_SEED = 1_000_000
"""Procedural designs from this seed on are never trained on."""

_TRAIN_SETS = frozenset({"apc", "lego60127", "none", "icon", "gtin"})
_PROCEDURAL_SETS = frozenset({"design", "collage"})
_TRAIN_BRAND = "Arla-"


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a manifest."""

    path: Path
    product_id: str
    kind: str
    """``reference``, ``photo`` or ``other``."""
    licence: str

    @property
    def file(self) -> str:
        """The name of its picture, with the folder that it lies in."""
        return f"{self.path.parent.name}/{self.path.name}"


def read_manifest(folder: Path) -> list[Item]:
    """Read ``folder/manifest.csv``.

    Raises:
        InvalidInputError: there is no manifest, or it lacks a column.
    """
    try:
        with (folder / "manifest.csv").open(newline="", encoding="utf-8") as lines:
            return [
                Item(
                    path=folder / row["file"],
                    product_id=row["product_id"],
                    kind=row["kind"],
                    licence=row["licence"],
                )
                for row in csv.DictReader(lines)
            ]
    except (OSError, KeyError) as error:
        raise InvalidInputError(
            f"{folder} has no usable manifest.csv: {error}", field="data"
        ) from error


def split(product_id: str) -> Literal["train", "held_out"]:
    """Say whether a product may be trained on.

    The split is by product, and within the grocery set by brand, because cartons of
    one brand share a face design:

    * train: the catalogue images ``apc``, the ``lego60127`` faces, grocery cartons of
      the brand Arla, pictures that show no package (``none``, ``icon``, ``gtin``), and
      procedural designs with a seed below ``HELD_OUT_SEED``;
    * held out: everything else. That is the other grocery brands, all of ``arc2017``,
      every set for measurement only, and any set this function has never heard of.
    """
    source, _, name = product_id.partition(":")
    if source in _PROCEDURAL_SETS:
        seed = name.partition("/")[0]
        is_train = seed.isdigit() and int(seed) < HELD_OUT_SEED
    elif source == "gsd":
        is_train = name.startswith(_TRAIN_BRAND)
    else:
        is_train = source in _TRAIN_SETS
    return "train" if is_train else "held_out"


def read_image(path: Path, *, long_side_px: int) -> Image:
    """Read a picture, shrunk (never enlarged) to ``long_side_px``.

    Raises:
        NotAnImageError: OpenCV cannot read the file.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise NotAnImageError(f"{path} is not a picture that OpenCV reads.")
    return shrunk(np.asarray(pixels, np.uint8), long_side_px)


def chance(rng: np.random.Generator, share: float) -> bool:
    """Draw True with probability ``share``."""
    return bool(rng.random() < share)


def shrunk(pixels: Image, long_side_px: int) -> Image:
    """Shrink to ``long_side_px`` on the longer side; smaller pictures stay."""
    height, width = pixels.shape[:2]
    scale = long_side_px / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


@dataclass(frozen=True, slots=True)
class Row:
    """Where one picture of the cache lies, and what it is."""

    product_id: str
    family: str
    """Siblings (confusable variants of one design) share a family."""
    kind: str
    """``artwork``, ``photo`` or ``backdrop``."""
    height: int
    width: int
    offset: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture on its way into the cache."""

    product_id: str
    family: str
    kind: str
    pixels: Image


class PictureCache:
    """Read-only pictures in one memory-mapped file, shared by worker processes."""

    def __init__(self, folder: Path, rows: list[Row], digest: str) -> None:
        self.rows = rows
        self.digest = digest
        self._folder = folder
        self._pixels = np.memmap(folder / "pixels.u8", np.uint8, mode="r")

    def __reduce__(self) -> tuple[Callable[[Path], "PictureCache"], tuple[Path]]:
        """Go to another process as the folder, not as gigabytes of pixels."""
        return PictureCache.open, (self._folder,)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Image:
        row = self.rows[index]
        size = row.height * row.width * 3
        flat = np.asarray(self._pixels[row.offset : row.offset + size])
        return flat.reshape(row.height, row.width, 3)

    def of_kind(self, kind: str) -> list[int]:
        """Indices of the rows of ``kind``."""
        return [index for index, row in enumerate(self.rows) if row.kind == kind]

    @staticmethod
    def write(folder: Path, pictures: Iterable[Picture]) -> "PictureCache":
        """Write ``pictures`` to ``folder`` and open it.

        ``rows.json`` comes last, so that a half-written cache is not taken for whole.
        """
        folder.mkdir(parents=True, exist_ok=True)
        rows: list[Row] = []
        hashed = hashlib.sha256()
        offset = 0
        with (folder / "pixels.u8").open("wb") as out:
            for picture in pictures:
                flat = np.ascontiguousarray(picture.pixels, np.uint8).tobytes()
                height, width = picture.pixels.shape[:2]
                rows.append(
                    Row(
                        product_id=picture.product_id,
                        family=picture.family,
                        kind=picture.kind,
                        height=height,
                        width=width,
                        offset=offset,
                    )
                )
                hashed.update(picture.product_id.encode() + flat)
                out.write(flat)
                offset += len(flat)
        document = {
            "digest": hashed.hexdigest(),
            "rows": [asdict(row) for row in rows],
        }
        (folder / "rows.json").write_text(json.dumps(document), encoding="utf-8")
        return PictureCache.open(folder)

    @staticmethod
    def open(folder: Path) -> "PictureCache":
        """Open a cache that ``write`` made.

        Raises:
            InvalidInputError: there is none.
        """
        try:
            document = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
            rows = [Row(**fields) for fields in document["rows"]]
            return PictureCache(folder, rows, str(document["digest"]))
        except (OSError, ValueError) as error:
            raise InvalidInputError(
                f"{folder} holds no picture cache: {error}", field="cache"
            ) from error


def real_training_pictures(data: Path, *, long_side_px: int) -> Iterator[Picture]:
    """Yield the real pictures that may be trained on, from ``data/open`` only.

    Pictures that show no package serve twice: as backdrops, and as artworks, since
    a photograph printed on a box is as good an instance to recognise as any.
    """
    kinds = {"reference": "artwork", "photo": "photo", "other": "backdrop"}
    folders = ("apc2016_catalog_jsk", "lego_box_faces", "grocerystore_packages")
    for folder in folders:
        for item in read_manifest(data / "open" / folder):
            if split(item.product_id) == "train":
                pixels = read_image(item.path, long_side_px=long_side_px)
                family = item.product_id.partition("-")[0]
                yield Picture(item.product_id, family, kinds[item.kind], pixels)
    for number, pixels in enumerate(open_pictures(data, long_side_px=long_side_px)):
        yield Picture(f"none:{number}", f"none:{number}", "backdrop", pixels)
        yield Picture(f"none:{number}", f"none:{number}", "artwork", pixels)


def open_pictures(data: Path, *, long_side_px: int) -> Iterator[Image]:
    """Yield openly licensed pictures that are no product of any split."""
    for item in read_manifest(data / "open" / "grocerystore_nonpackage"):
        yield read_image(item.path, long_side_px=long_side_px)

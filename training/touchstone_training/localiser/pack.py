"""The pictures that scenes are made of, in one file small enough to send about.

Artworks (what is photographed and what lies about) and backdrops (pictures that show no
package) as JPEG, so that a machine that trains need not draw anything.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.errors import InvalidInputError
from touchstone_training.data import Image, Picture, shrunk
from touchstone_training.localiser.scenes import REAL, Scene, lies_within

FIRST_SEED = 500_000
"""Of the procedural designs that the localiser learns from."""
_HELD_OUT_EVERY = 12
_JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class Pack:
    """Pictures by use."""

    artworks: tuple[Image, ...]
    """Designs and real faces that may be trained on."""
    held_out: tuple[Image, ...]
    """Designs that checkpoints are chosen by."""
    backdrops: tuple[Image, ...]
    scenes: tuple[Scene, ...] = ()
    """Real photos of products that may be trained on."""
    held_scenes: tuple[Scene, ...] = ()
    """Real photos that checkpoints are chosen by: of other brands."""
    digest: str = ""
    """SHA-256 of the file."""


def is_held_out(product_id: str) -> bool:
    """Tell whether checkpoints are chosen by this picture: every twelfth design."""
    source, _, name = product_id.partition(":")
    return (
        source == "design"
        and name.isdigit()
        and int(name) % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1
    )


def write_pack(
    path: Path,
    pictures: Iterable[Picture],
    *,
    long_side_px: int,
    scenes: Iterable[Scene] = (),
    held_scenes: Iterable[Scene] = (),
) -> int:
    """Write ``pictures`` (artworks and backdrops; others are left out) to ``path``.

    And ``scenes`` and ``held_scenes``, where a face lies in each: see `Pack`.

    Returns:
        How many were written.
    """
    names: list[str] = []
    kinds: list[str] = []
    files: list[NDArray[np.uint8]] = []
    for picture in pictures:
        if picture.kind not in {"artwork", "backdrop"}:
            continue
        names.append(picture.product_id)
        kinds.append(picture.kind)
        files.append(_as_jpeg(shrunk(picture.pixels, long_side_px)))
    quads = []
    marked = [(_SCENE, one) for one in scenes] + [(_HELD, one) for one in held_scenes]
    for kind, scene in marked:
        names += ["", ""]
        kinds += [kind, _PRINT]
        _, mask = cv2.imencode(".png", scene.printed)
        files += [_as_jpeg(scene.pixels), np.asarray(mask, np.uint8).ravel()]
        quads.append(scene.quad)
    if not files:
        raise InvalidInputError("There is no picture to pack.", field="pictures")
    ends = np.cumsum([len(file) for file in files])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        np.savez(
            out,
            names=np.array(names),
            kinds=np.array(kinds),
            ends=ends,
            data=np.concatenate(files),
            quads=np.array(quads, np.float32).reshape(-1, 4, 2),
        )
    return len(files) - len(quads)


_SCENE, _HELD, _PRINT = "scene", "held_scene", "print"
"""A photo is followed by where its face is printed."""
_PHOTOS = {_SCENE, _HELD}


def _as_jpeg(pixels: Image) -> NDArray[np.uint8]:
    turned = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    _, data = cv2.imencode(".jpg", turned, quality)
    return np.asarray(data, np.uint8).ravel()


def scenes_in(path: Path) -> Sequence[Scene]:
    """Decode the real photos in a pack that may be trained on, and nothing else.

    Raises:
        InvalidInputError: the pack is not there or damaged.
    """
    return tuple(_Files.of(path).scenes(_SCENE))


def read_pack(path: Path) -> Pack:
    """Decode what `write_pack` wrote.

    Raises:
        InvalidInputError: it is not there, damaged, or has too few artworks.
    """
    files = _Files.of(path)
    artworks: list[Image] = []
    held: list[Image] = []
    for name, pixels in files.of_kind("artwork"):
        (held if is_held_out(name) else artworks).append(pixels)
    if not artworks or not held:
        raise InvalidInputError(
            f"{path} lacks artworks to learn from or to be measured on.",
            field="pictures",
        )
    backdrops = tuple(pixels for _, pixels in files.of_kind("backdrop"))
    scenes, held_scenes = (tuple(files.scenes(kind)) for kind in (_SCENE, _HELD))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Pack(tuple(artworks), tuple(held), backdrops, scenes, held_scenes, digest)


@dataclass(frozen=True, slots=True)
class _Files:
    """What a pack holds, not yet decoded."""

    names: list[str]
    kinds: list[str]
    data: list[NDArray[np.uint8]]
    quads: NDArray[np.float32]

    @staticmethod
    def of(path: Path) -> "_Files":
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                files = _Files(
                    arrays["names"].tolist(),
                    arrays["kinds"].tolist(),
                    np.split(arrays["data"], arrays["ends"][:-1]),
                    arrays["quads"],
                )
            files.check()
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise InvalidInputError(
                f"{path} holds no pack of pictures: {error}", field="pictures"
            ) from error
        return files

    @property
    def photos(self) -> list[int]:
        """Where the photos stand, in the order of their quads."""
        return [number for number, kind in enumerate(self.kinds) if kind in _PHOTOS]

    def check(self) -> None:
        """Raise ValueError where parts are missing."""
        if {len(self.names), len(self.data)} != {len(self.kinds)}:
            raise ValueError("it has other pictures than names")
        if len(self.photos) != len(self.quads):
            raise ValueError("it has other photos than places of faces")
        if any(
            self.kinds[number + 1 : number + 2] != [_PRINT] for number in self.photos
        ):
            raise ValueError("a photo lacks its print")

    def of_kind(self, wanted: str) -> Iterator[tuple[str, Image]]:
        for name, kind, data in zip(self.names, self.kinds, self.data, strict=True):
            if kind == wanted:
                yield name, _decoded(data)

    def scenes(self, wanted: str) -> Iterator[Scene]:
        for number, quad in zip(self.photos, self.quads, strict=True):
            if self.kinds[number] == wanted:
                photo, printed = (_decoded(self.data[number + n]) for n in (0, 1))
                print_share = np.ascontiguousarray(printed[..., 0])
                yield Scene(photo, print_share, quad, REAL, lies_within(quad, photo))


def _decoded(file: NDArray[np.uint8]) -> Image:
    pixels = cv2.imdecode(file, cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise InvalidInputError("The pack holds a damaged picture.", field="pictures")
    return np.asarray(pixels, np.uint8)

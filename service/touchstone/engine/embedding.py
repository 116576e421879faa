"""Pictures to unit vectors: the same preparation trains and serves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.extent import box_of_face
from touchstone.engine.image import Pixels, resized
from touchstone.engine.onnx import NetworkManifest, OnnxNetwork
from touchstone.errors import ModelError

Vectors: TypeAlias = NDArray[np.float32]
"""(n, dim), each row of unit length."""

LETTERBOX_GREY = 114
"""Padding of the letterbox; a middle grey, so that no edge of it is an event."""

VIEW_FILLS = (1.0, 0.6)
"""Shares of the frame that a reference fills in its indexed views. A photograph
shows the package amid its surroundings, a reference image only the package."""


class Embedder(Protocol):
    """Turns pictures into unit vectors; two pictures of one product lie close."""

    @property
    def digest(self) -> str:
        """SHA-256 of the model file, lower-case hex."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    @property
    def provider(self) -> str:
        """What really runs the model: ``cpu`` or ``cuda``."""

    def embed(self, pictures: Sequence[Pixels]) -> Vectors:
        """Embed ``pictures`` (each (h, w, 3) RGB of any size) to (n, dim)."""


@dataclass(frozen=True, slots=True)
class EmbedderManifest(NetworkManifest):
    """What stands beside the embedder's file and says how to feed it."""

    called = "embedder"
    input_px: int
    mean: tuple[float, float, float]
    """With ``std``, how pixels are normalised: by the model if it takes bytes."""
    std: tuple[float, float, float]
    dim: int

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the manifest holds, by name; raises what is wrong with it."""
        return {
            **NetworkManifest.read(fields),
            "input_px": int(fields["input_px"]),
            "mean": _triple(fields["mean"]),
            "std": _positive(_triple(fields["std"])),
            "dim": int(fields["dim"]),
        }


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _positive(values: tuple[float, float, float]) -> tuple[float, float, float]:
    if not min(values) > 0:
        raise ValueError("std must be positive")
    return values


def prepare(pixels: Pixels, *, input_px: int) -> Pixels:
    """Letterbox ``pixels`` to (input_px, input_px, 3): aspect kept, centred, grey."""
    height, width = pixels.shape[:2]
    scale = input_px / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = np.full((input_px, input_px, 3), LETTERBOX_GREY, np.uint8)
    left, top = (input_px - size[0]) // 2, (input_px - size[1]) // 2
    canvas[top : top + size[1], left : left + size[0]] = resized(pixels, size)
    return canvas


def reference_views(pixels: Pixels) -> list[Pixels]:
    """Return the views under which a reference is indexed: 4 turns by 2 fills.

    Any rotation of the photo must find the reference; paying for it here, once,
    spares running every photo several times. Plain ground around the face is cut off,
    as photos are cut to the face that the localiser finds.
    """
    left, top, right, bottom = box_of_face(pixels)
    pixels = pixels[top:bottom, left:right]
    views = []
    for fill in VIEW_FILLS:
        padded = _padded(pixels, fill)
        views += [np.ascontiguousarray(np.rot90(padded, turn)) for turn in range(4)]
    return views


def _padded(pixels: Pixels, fill: float) -> Pixels:
    if fill >= 1:
        return pixels
    height, width = pixels.shape[:2]
    side = round(max(height, width) / fill)
    top, left = (side - height) // 2, (side - width) // 2
    return np.asarray(
        cv2.copyMakeBorder(
            pixels,
            top,
            side - height - top,
            left,
            side - width - left,
            cv2.BORDER_CONSTANT,
            value=(LETTERBOX_GREY,) * 3,
        ),
        np.uint8,
    )


_BATCH = 16


class OnnxEmbedder(OnnxNetwork):
    """An embedding network in ONNX Runtime, loaded from the bytes it is named by."""

    def __init__(
        self, model: bytes, manifest: EmbedderManifest, *, provider: str
    ) -> None:
        super().__init__(model, manifest.sha256, called="embedder", provider=provider)
        self._manifest = manifest
        # A model that takes bytes takes pictures as they are, and normalises itself.
        self._takes_bytes = self._session.get_inputs()[0].type == "tensor(uint8)"
        # (x - mean) / std of every byte there is, looked up for each pixel.
        levels = np.arange(256, dtype=np.float32).reshape(1, 256, 1)
        mean, std = np.array(manifest.mean, np.float32), np.array(manifest.std)
        self._levels = (levels - mean) * (1 / std.astype(np.float32))

    @staticmethod
    def from_bytes(
        model: bytes, manifest: EmbedderManifest, *, provider: str = "auto"
    ) -> "OnnxEmbedder":
        """Load ``model`` if it is the file that ``manifest`` names.

        Args:
            model: the ONNX file.
            manifest: what it must be and how it is fed.
            provider: ``auto`` (CUDA where it works, else CPU), ``cpu`` or ``cuda``.

        Raises:
            ModelError: altered file, unusable model, or provider not to be had.
        """
        embedder = OnnxEmbedder(model, manifest, provider=provider)
        embedder._try()
        return embedder

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._manifest.dim

    def _try(self) -> None:
        """Refuse now what would fail, or answer nonsense, with every photo."""
        side = self._manifest.input_px
        blank = np.full((side, side, 3), LETTERBOX_GREY, np.uint8)
        try:
            vectors = self.embed([blank])
        except Exception as error:  # ORT raises its own untyped pybind exceptions
            raise ModelError(
                f"The embedder cannot be fed as its manifest says: {error}"
            ) from error
        if vectors.shape != (1, self.dim) or not np.isfinite(vectors).all():
            raise ModelError(
                f"The embedder gives no vectors of {self.dim} numbers, as its "
                "manifest says that it does."
            )

    def embed(self, pictures: Sequence[Pixels]) -> Vectors:
        """Embed ``pictures`` to (n, dim) unit vectors."""
        rows = [
            self._embed_batch(pictures[start : start + _BATCH])
            for start in range(0, len(pictures), _BATCH)
        ]
        if not rows:
            return np.empty((0, self.dim), np.float32)
        return np.concatenate(rows)

    def _embed_batch(self, pictures: Sequence[Pixels]) -> Vectors:
        side = self._manifest.input_px
        framed = [prepare(picture, input_px=side) for picture in pictures]
        fed = np.stack(framed) if self._takes_bytes else self._normalised(framed)
        vectors = np.asarray(self._session.run(None, {self._input: fed})[0], np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)

    def _normalised(self, framed: Sequence[Pixels]) -> NDArray[np.float32]:
        side = self._manifest.input_px
        tensor = np.empty((len(framed), 3, side, side), np.float32)
        for planes, picture in zip(tensor, framed, strict=True):
            normalised = cv2.LUT(picture, self._levels)
            for plane, channel in zip(planes, cv2.split(normalised), strict=True):
                plane[:] = channel
        return tensor

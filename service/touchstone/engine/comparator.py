"""The learned comparator: a network that was trained on genuine and forged prints.

It sees an aligned pair and answers, for every place, how likely the print was changed
there, and for the whole, and in which way. Prepared here as it was for training.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import Pixels
from touchstone.engine.normalisation import Map
from touchstone.engine.onnx import NetworkManifest, OnnxNetwork
from touchstone.engine.pair import AlignedPair
from touchstone.errors import ModelError

PLANES = 8
"""expected (3), seen (3), where compared (255, else 0), and an empty one, as int8
arithmetic goes by fours: (1, height, width, 8) uint8, as the pixels lie."""
CELL_PX = 4
"""Side of the square of frame pixels to which the network gives one answer."""
SIDE_MULTIPLE = 16
"""The network halves the frame four times: sides are padded to multiples of this."""

WAYS = ("place", "cast", "screen", "softness")
"""Ways in which a print may be another, in the order of the network's answers: a place
was changed, the whole has another tint, a visible screen or dots, or less detail."""


@dataclass(frozen=True, slots=True)
class Differences:
    """What the network makes of a pair."""

    map: Map
    """(h // 2, w // 2): 0 is as it should be, 1 the edge of that, 2 as likely changed
    as not."""
    peak: float
    """Log odds of the most suspicious place."""
    top: float
    """Mean log odds of the few most suspicious places."""
    whole: float
    """Log odds that the print as a whole is another."""
    ways: Mapping[str, float]
    """Of each of `WAYS`: log odds that the print is another in that way."""


class Comparator(Protocol):
    """Tells where a print differs from what it should be."""

    @property
    def digest(self) -> str:
        """SHA-256 of the model file, lower-case hex."""

    @property
    def provider(self) -> str:
        """What really runs the model: ``cpu`` or ``cuda``."""

    def differences(self, pair: AlignedPair) -> Differences:
        """Look at an aligned pair."""


class ComparatorManifest(NetworkManifest):
    """What stands beside the comparator's file and says which file it is."""

    __slots__ = ()
    called = "comparator"


def planes(expected: Pixels, seen: Pixels, valid: NDArray[Any]) -> NDArray[np.uint8]:
    """Lay a pair out as the network is fed, padded below and right.

    Args:
        expected: (h, w, 3).
        seen: (h, w, 3).
        valid: (h, w), above 0 where compared.
    """
    height, width = valid.shape
    below, right = -height % SIDE_MULTIPLE, -width % SIDE_MULTIPLE
    fed = np.zeros((1, height + below, width + right, PLANES), np.uint8)
    compared = (valid > 0).astype(np.uint8) * np.uint8(255)
    order = [number for channel in range(PLANES - 1) for number in (channel, channel)]
    cv2.mixChannels([expected, seen, compared], [fed[0, :height, :width]], order)
    return fed


def inside_of(fed: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Share of each cell that can be compared, (1, h / 4, w / 4), 0 to 1."""
    compared = cv2.extractChannel(fed[0], 6)
    size = compared.shape[1] // CELL_PX, compared.shape[0] // CELL_PX
    shares = cv2.resize(compared, size, interpolation=cv2.INTER_AREA)
    return np.asarray(shares[None] * np.float32(1 / 255), np.float32)


def compared_cells(cells: Map, inside: NDArray[np.float32]) -> Map:
    """Return log odds of ``cells``, (h, w): no change where nothing was compared.

    Args:
        cells: as the network answers.
        inside: of the same pair, see `inside_of`.
    """
    return np.where(inside[0] > _MOSTLY, cells, _NOWHERE).astype(np.float32)


def worst_patch(shown: Map) -> float:
    """Return the mean log odds of the most suspicious patch of three cells by three."""
    return float(cv2.boxFilter(shown, -1, (3, 3)).max())


class OnnxComparator(OnnxNetwork):
    """A comparing network in ONNX Runtime, loaded from the bytes it is named by."""

    @staticmethod
    def from_bytes(
        model: bytes, manifest: ComparatorManifest, *, provider: str = "auto"
    ) -> "OnnxComparator":
        """Load ``model`` if it is the file that ``manifest`` names.

        Args:
            model: the ONNX file.
            manifest: what it must be.
            provider: ``auto`` (CUDA where it works, else CPU), ``cpu`` or ``cuda``.

        Raises:
            ModelError: altered file, unusable model, or provider not to be had.
        """
        comparator = OnnxComparator(
            model, manifest.sha256, called="comparator", provider=provider
        )
        comparator._try()
        return comparator

    def _try(self) -> None:
        """Refuse now what would fail, or answer nonsense, with every photo."""
        blank = np.zeros((1, 4 * SIDE_MULTIPLE, 4 * SIDE_MULTIPLE, PLANES), np.uint8)
        try:
            cells, told = self.answer(blank)
        except Exception as error:  # ORT raises its own untyped pybind exceptions
            raise ModelError(
                f"The comparator cannot be fed as it must be: {error}"
            ) from error
        is_usable = cells.ndim == 2 and told.size == 1 + len(WAYS)  # noqa: PLR2004
        if not (is_usable and np.isfinite([cells.sum(), *told]).all()):
            raise ModelError(
                f"The comparator gives no map of numbers and {1 + len(WAYS)} numbers."
            )

    def answer(self, fed: NDArray[np.uint8]) -> tuple[Map, NDArray[np.float32]]:
        """Run the network on `planes`.

        Returns:
            log odds (h / 4, w / 4), and of the whole and each of `WAYS`, (5,).
        """
        return self._answer(fed, inside_of(fed))

    def _answer(
        self, fed: NDArray[np.uint8], inside: NDArray[np.float32]
    ) -> tuple[Map, NDArray[np.float32]]:
        cells, told = self._session.run(None, {"planes": fed, "inside": inside})
        return np.asarray(cells, np.float32)[0], np.asarray(told, np.float32).ravel()

    def differences(self, pair: AlignedPair) -> Differences:
        """Look at an aligned pair of at least 24 cells of 4 by 4 pixels.

        Raises:
            ModelError: the network's answer is no number.
        """
        fed = planes(pair.expected, pair.seen, pair.valid)
        inside = inside_of(fed)
        cells, told = self._answer(fed, inside)
        if not (np.isfinite(told).all() and np.isfinite(cells).all()):
            raise ModelError("The comparator answered with what is no number.")
        shown = compared_cells(cells, inside)
        few = np.partition(shown.ravel(), -_FEW)[-_FEW:]
        rows, columns = (side * CELL_PX // 2 for side in cells.shape)
        grown = cv2.resize(
            np.maximum((shown - _USUAL) / _STEP, 0),
            (columns, rows),
            interpolation=cv2.INTER_LINEAR,
        )
        height, width = pair.valid.shape
        return Differences(
            map=np.asarray(grown[: height // 2, : width // 2], np.float32),
            peak=worst_patch(shown),
            top=float(few.mean()),
            whole=float(told[0]),
            ways=dict(zip(WAYS, told[1:].tolist(), strict=True)),
        )


_MOSTLY = 0.5
"""Cells of which more than this could be compared count."""
_NOWHERE = -12.0
_FEW = 24
_USUAL, _STEP = np.float32(-4), np.float32(2)
"""Log odds of a place as it should be, and from there to the edge of that."""

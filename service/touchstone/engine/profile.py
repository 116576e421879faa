"""How one item's print differs from its reference, in a few kilobytes.

What two photos of one print source share is where and how they differ. A profile keeps
that: what the comparator suspects at each place, and by how much the print is lighter,
redder or yellower there than it should be, once the photograph's doings are taken out.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import Pixels
from touchstone.engine.normalisation import Map
from touchstone.errors import InvalidInputError

CELLS = 64
"""Along the longer side: ten pixels of the compared frame each. Finer ones, and coarser
ones down to 48, group no better."""
PLANES = 5
"""deviation, lightness, redness, yellowness, and how much of each cell was compared."""

_MAGIC = b"TP1"
_HEAD = struct.Struct(">3sBB")
_STEPS = np.array([0.05, 2.0, 2.0, 2.0, 1 / 100], np.float32)[:, None, None]
"""What a step of each plane stands for: units of the usual, levels, a share."""
_MOST = 127
_COMPARED = 0.3
"""Share of a cell below which it says nothing."""

_OPPONENTS = np.array(
    [[0.299, 0.587, 0.114], [0.5, -0.5, 0.0], [0.25, 0.25, -0.5]], np.float32
)
"""Lightness, red against green, yellow against blue, of RGB."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The profile of one item's print, packed: two equal ones are equal bytes."""

    packed: bytes

    def to_bytes(self) -> bytes:
        """Return what `from_bytes` reads."""
        return self.packed

    @staticmethod
    def from_bytes(packed: bytes) -> "Profile":
        """Read a profile.

        Raises:
            InvalidInputError: these bytes are no profile.
        """
        profile = Profile(packed)
        profile.planes()
        return profile

    @property
    def cells(self) -> tuple[int, int]:
        """How many there are: (rows, columns)."""
        _, rows, columns = _HEAD.unpack_from(self.packed)
        return rows, columns

    def planes(self) -> NDArray[np.float32]:
        """Unpack it: (`PLANES`, rows, columns).

        Deviation is in units of the usual (0 is as it should be, 1 the edge of that),
        the colours are in levels of 255, what was compared is a share from 0 to 1.
        """
        try:
            magic, rows, columns = _HEAD.unpack_from(self.packed)
            steps = np.frombuffer(zlib.decompress(self.packed[_HEAD.size :]), np.int8)
            shaped = steps.reshape(PLANES, rows, columns)
        except (struct.error, zlib.error, ValueError) as error:
            raise InvalidInputError(
                f"These bytes are no profile of a print: {error}.", field="profile"
            ) from error
        if magic != _MAGIC:
            raise InvalidInputError(
                "These bytes are no profile of a print that this version reads.",
                field="profile",
            )
        return np.asarray(shaped * _STEPS, np.float32)


def packed(planes: NDArray[np.float32]) -> Profile:
    """Pack planes as `Profile.planes` gives them, rounded to steps."""
    steps = np.clip(np.rint(planes / _STEPS), -_MOST, _MOST).astype(np.int8)
    head = _HEAD.pack(_MAGIC, planes.shape[1], planes.shape[2])
    return Profile(head + zlib.compress(steps.tobytes(), 6))


def profile_of(expected: Pixels, seen: Pixels, valid: Map, deviation: Map) -> Profile:
    """Profile the print that an aligned pair shows (`pair.AlignedPair`).

    Args:
        expected: the reference under the photo's light, (h, w, 3).
        seen: the photo, (h, w, 3).
        valid: (h, w): 1 where compared, else 0.
        deviation: (h // 2, w // 2), what the comparator suspects; 1 is the edge of
            what is usual.
    """
    height, width = valid.shape
    scale = CELLS / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    compared = _cells(valid, size)
    mask = valid.astype(np.uint8)
    # In bytes, which shrink ten times faster: they round by less than a step.
    here, due = (
        _cells(cv2.bitwise_and(one, one, mask=mask), size) for one in (seen, expected)
    )
    share = np.maximum(compared, np.float32(_COMPARED))[..., None]
    colours = np.asarray((here - due) / share @ _OPPONENTS.T, np.float32)
    planes = np.stack([_cells(deviation, size), *cv2.split(colours), compared])
    planes[:, compared < _COMPARED] = 0
    return packed(np.asarray(planes, np.float32))


def _cells(values: NDArray[Any], size: tuple[int, int]) -> Map:
    shrunk = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.float32)

"""The photo, drawn in the frame of the reference that was laid over it."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import Pixels, drawn_from, lengths, resized
from touchstone.engine.registration import Registration

# The stubs do not know arrays of two channels.
_cv2: Any = cv2


def rectify(
    pixels: Pixels, registration: Registration, size_px: tuple[int, int]
) -> tuple[Pixels, NDArray[np.bool_]]:
    """Draw the photo in the reference's frame, at ``size_px`` (width, height).

    Returns:
        pixels: (height, width, 3), and where the photo really covers the reference:
        (height, width).
    """
    # cv2 puts pixel centres on integers, here they lie at one half.
    blocks = _block_map(registration, size_px) - np.float32(0.5)
    sampled_at = _between(blocks, size_px)
    covered = _faces_camera(blocks, size_px)
    height, width = pixels.shape[:2]
    low, high = (-0.5, -0.5), (width - 0.5, height - 0.5)
    first, last = blocks.min(axis=(0, 1)), blocks.max(axis=(0, 1))
    if np.any(first < low) or np.any(last > high):
        covered &= cv2.inRange(sampled_at, low, high) > 0
    shrink = _shrink(registration, size_px)
    if shrink > _ALIAS_SHRINK:  # much finer than the output
        halvings = int(math.log2(shrink))
        pixels, origin = _reduced(pixels, first, last, halvings)
        left = shrink / (1 << halvings)
        if left > _ALIAS_SHRINK:
            pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), 0.4 * left), np.uint8)
        # NumPy takes ten times as long to spread a pair over an array.
        sampled_at = _cv2.subtract(sampled_at, (*origin, 0.0, 0.0))
        sampled_at /= np.float32(1 << halvings)
        sampled_at -= np.float32(0.5)
    else:  # what lies around it need not be made ready to be drawn from
        pixels, corner = _part(pixels, first, last)
        sampled_at = _cv2.subtract(sampled_at, (*corner, 0.0, 0.0))
    return drawn_from(pixels, sampled_at), covered


def _part(
    pixels: Pixels, first: NDArray[np.float32], last: NDArray[np.float32]
) -> tuple[Pixels, tuple[float, float]]:
    """Return the part of ``pixels`` around ``first`` to ``last``, and its corner."""
    size = np.array(pixels.shape[1::-1])
    left, top = np.clip(np.floor(first) - 1, 0, size - 1).astype(int).tolist()
    right, bottom = np.clip(np.ceil(last) + 2, 1, size).astype(int).tolist()
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    return pixels[top:bottom, left:right], (float(left), float(top))


def _reduced(
    pixels: Pixels, first: NDArray[np.float32], last: NDArray[np.float32], halvings: int
) -> tuple[Pixels, tuple[float, float]]:
    """Halve the part of ``pixels`` from ``first`` to ``last``, ``halvings`` times.

    Returns:
        what is left, and where its corner lies in ``pixels``, in cv2's coordinates.
    """
    divisor = 1 << halvings
    left, right = _span(first[0], last[0], pixels.shape[1], divisor)
    top, bottom = _span(first[1], last[1], pixels.shape[0], divisor)
    part = pixels[top:bottom, left:right]
    size = max(1, part.shape[1] // divisor), max(1, part.shape[0] // divisor)
    return resized(part, size), (left - 0.5, top - 0.5)


def _span(first: float, last: float, side: int, divisor: int) -> tuple[int, int]:
    """Return the ends of whole blocks of ``divisor`` pixels that hold what is asked."""
    low = min(max(0, math.floor(first) - divisor), max(0, side - divisor))
    blocks = min(math.ceil((last + divisor - low) / divisor), (side - low) // divisor)
    return low, low + max(1, blocks) * divisor


def _shrink(registration: Registration, size_px: tuple[int, int]) -> float:
    """Return how many photo pixels lie along one pixel of the output."""
    to_reference = registration.reference_size_px[0] / size_px[0]
    return registration.photo_px_per_reference_px * to_reference


_ALIAS_SHRINK = 1.5

_LEAST_FACING = 0.4
"""Where a bottle turns away, the photo holds less than this share of the detail that
it holds elsewhere; what is drawn there is stretched, and nothing can be said."""


def _faces_camera(
    blocks: NDArray[np.float32], size_px: tuple[int, int]
) -> NDArray[np.bool_]:
    inner = blocks[1:-1, 1:-1]
    if min(inner.shape[:2]) < 3:  # noqa: PLR2004 (too small to have a far side)
        return np.ones(size_px[::-1], bool)
    to_right, below = (
        blocks[1:-1, 2:] - blocks[1:-1, :-2],
        blocks[2:, 1:-1] - blocks[:-2, 1:-1],
    )
    along, down = lengths(to_right), lengths(below)
    # What lies beyond the rim of a bottle comes back mirrored.
    turns = to_right[..., 0] * below[..., 1] - to_right[..., 1] * below[..., 0]
    facing = (
        (along > _LEAST_FACING * np.median(along))
        & (down > _LEAST_FACING * np.median(down))
        & (turns > 0)
    )
    if facing.all():
        return np.ones(size_px[::-1], bool)
    width, height = size_px
    grown = facing.repeat(_MAP_STEP_PX, axis=0).repeat(_MAP_STEP_PX, axis=1)
    return np.ascontiguousarray(grown[:height, :width])


_MAP_STEP_PX = 8


def _block_map(
    registration: Registration, size_px: tuple[int, int]
) -> NDArray[np.float32]:
    """(rows, columns, 2): the photo point of the centre of each block of the output.

    Blocks are 8 pixels wide, and there is one ring of them beyond the edge.
    """
    width, height = size_px
    columns, rows = -(-width // _MAP_STEP_PX), -(-height // _MAP_STEP_PX)
    step_x = _MAP_STEP_PX * registration.reference_size_px[0] / width
    step_y = _MAP_STEP_PX * registration.reference_size_px[1] / height
    xs, ys = np.meshgrid(
        (np.arange(-1, columns + 1) + 0.5) * step_x,
        (np.arange(-1, rows + 1) + 0.5) * step_y,
    )
    coarse = registration.points_in_photo(np.column_stack([xs.ravel(), ys.ravel()]))
    return coarse.reshape(rows + 2, columns + 2, 2).astype(np.float32)


def _between(
    blocks: NDArray[np.float32], size_px: tuple[int, int]
) -> NDArray[np.float32]:
    """(height, width, 2): the photo point of each output pixel's centre.

    The transform is interpolated between blocks: it is smooth, and 64 times cheaper.
    """
    width, height = size_px
    rows, columns = blocks.shape[:2]
    fine = _cv2.resize(
        blocks,
        (columns * _MAP_STEP_PX, rows * _MAP_STEP_PX),
        interpolation=cv2.INTER_LINEAR,
    )
    inner = slice(_MAP_STEP_PX, _MAP_STEP_PX + height)
    return np.asarray(fine[inner, _MAP_STEP_PX : _MAP_STEP_PX + width], np.float32)

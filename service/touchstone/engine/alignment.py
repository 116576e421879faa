"""The smooth rest of the misregistration between two pictures, and what stands out.

Small blocks of the expected picture are looked for in the seen one (normalised
correlation, half resolution). A robust polynomial of low order, and a wide average of
what it leaves, is the misregistration of lens, paper and bend: it is followed. A
block that is found elsewhere than its neighbours is a displaced element: it is kept
as a measurement.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

_cv2: Any = cv2

Map: TypeAlias = NDArray[np.float32]
"""(height, width)"""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where the seen picture has what the expected one has."""

    shift: NDArray[np.float32]
    """(height, width, 2): smooth displacement, expected to seen, pixels."""
    stray: Map
    """(height, width): how far blocks lie from where the smooth part puts them,
    pixels; 0 where no block was found with certainty."""
    level: float
    """Median of what blocks stray in this picture, pixels."""
    is_supported: NDArray[np.bool_]
    """(height, width): false on strips along an edge in which most blocks were not
    found where they should be: the far side of a bottle, not a changed element."""


_BLOCK = 24
_STRIDE = 12
_MIN_CONTRAST = 9.0
_MIN_CORRELATION = 0.6
_MIN_BLOCKS = 12


def align(
    expected: NDArray[np.uint8], seen: NDArray[np.uint8], valid: Map, *, reach_px: int
) -> Alignment:
    """Align two lumas of one frame.

    Args:
        expected: (h, w).
        seen: (h, w).
        valid: (h, w), 1 where the pictures can be compared.
        reach_px: how far a block is looked for.
    """
    height, width = expected.shape
    half = width // 2, height // 2
    small_e = cv2.resize(expected, half, interpolation=cv2.INTER_AREA)
    small_s = cv2.resize(seen, half, interpolation=cv2.INTER_AREA)
    small_v = cv2.resize(valid, half, interpolation=cv2.INTER_AREA)
    centres, shifts, weights, lost = _find_blocks(
        small_e, small_s, small_v, reach=reach_px // 2
    )
    if len(centres) < _MIN_BLOCKS:
        zero = np.zeros((height, width), np.float32)
        shift = np.zeros((height, width, 2), np.float32)
        return Alignment(shift, zero, 0.0, np.ones((height, width), bool))
    coefficients = _robust_fit(centres, shifts, weights, half)
    rest = shifts - _basis(centres, half) @ coefficients
    fine = _fine_grid(centres, rest, weights, half)
    strays = np.linalg.norm(rest - _at(fine, centres), axis=1) * 2
    return Alignment(
        shift=_dense_shift(coefficients, fine, (width, height), half),
        stray=_painted(centres, strays, weights, (width, height), half),
        level=float(np.median(strays)),
        is_supported=_supported(
            centres[strays < _SUPPORT_PX],
            np.concatenate([lost, centres[strays >= _SUPPORT_PX]]),
            (width, height),
        ),
    )


def _find_blocks(
    expected: NDArray[Any], seen: NDArray[Any], valid: NDArray[Any], *, reach: int
) -> tuple[
    NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]
]:
    """Return centres (n, 2), shifts (n, 2), weights (n,), and centres not found."""
    height, width = expected.shape
    deviation = _local_spread(expected)
    usable = cv2.boxFilter(valid, -1, (_BLOCK, _BLOCK))
    padded = cv2.copyMakeBorder(seen, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    centres, shifts, weights, lost = [], [], [], []
    for top in range(0, height - _BLOCK + 1, _STRIDE):
        for left in range(0, width - _BLOCK + 1, _STRIDE):
            middle = top + _BLOCK // 2, left + _BLOCK // 2
            if deviation[middle] < _MIN_CONTRAST or usable[middle] < _MIN_VALID:
                continue
            window = np.s_[top : top + _BLOCK, left : left + _BLOCK]
            surface = cv2.matchTemplate(
                padded[
                    top : top + _BLOCK + 2 * reach, left : left + _BLOCK + 2 * reach
                ],
                expected[window],
                cv2.TM_CCOEFF_NORMED,
            )
            found = _peak(surface, reach)
            if found is None:
                if float(surface.max()) < _MIN_CORRELATION:
                    lost.append((middle[1], middle[0]))
                continue
            centres.append((middle[1], middle[0]))
            shifts.append(found[:2])
            weights.append(found[2])
    return (
        np.array(centres, np.float64).reshape(-1, 2),
        np.array(shifts, np.float64).reshape(-1, 2),
        np.array(weights, np.float64),
        np.array(lost, np.float64).reshape(-1, 2),
    )


_SUPPORT_PX = 3.0
_SUPPORT_SHARE = 0.6
_SUPPORT_REACH = 0.3
"""No strip is given up that lies deeper in the picture than this share of it."""


def _supported(
    held: NDArray[np.float64], lost: NDArray[np.float64], size_px: tuple[int, int]
) -> NDArray[np.bool_]:
    """Give up strips along each edge while most of their blocks are lost."""
    mask = np.ones((size_px[1], size_px[0]), bool)
    for axis, extent in enumerate(size_px):
        strips = -(-extent // (2 * _STRIDE))
        kept = np.bincount((held[:, axis] / _STRIDE).astype(int), minlength=strips)
        gone = np.bincount((lost[:, axis] / _STRIDE).astype(int), minlength=strips)
        order = range(int(strips * _SUPPORT_REACH))
        low = _given_up([(kept[n], gone[n]) for n in order])
        high = _given_up([(kept[-1 - n], gone[-1 - n]) for n in order])
        along = mask if axis else mask.T
        along[: low * 2 * _STRIDE] = False
        along[max(0, extent - high * 2 * _STRIDE) :] = False
    return mask


def _given_up(strips: list[tuple[int, int]]) -> int:
    """Count strips from the edge inwards up to the last that is mostly lost."""
    last = 0
    for number, (kept, gone) in enumerate(strips, start=1):
        if gone and gone >= _SUPPORT_SHARE * (kept + gone):
            last = number
        elif kept > gone:
            break
    return last


_MIN_VALID = 0.8
_SHARP_SIDE = 4
_AMBIGUOUS = 0.04


def _local_spread(luma: NDArray[Any]) -> NDArray[np.float32]:
    """Return the standard deviation over a block around each pixel."""
    values = luma.astype(np.float32)
    window = (_BLOCK, _BLOCK)
    mean = cv2.boxFilter(values, -1, window)
    variance = cv2.boxFilter(values * values, -1, window) - mean * mean
    return np.asarray(np.sqrt(np.maximum(variance, 0)), np.float32)


def _peak(surface: NDArray[Any], reach: int) -> tuple[float, float, float] | None:
    """Return (dx, dy, weight) of a single sharp peak, to a fraction of a pixel.

    None where there is no good match, or one that is as good a few pixels away (an
    edge or a barcode can slide along itself; a pattern repeats).
    """
    _, best, _, (x, y) = cv2.minMaxLoc(surface)
    last = surface.shape[0] - 1
    if best < _MIN_CORRELATION or not (0 < x < last and 0 < y < last):
        return None
    far = surface.copy()
    far[
        max(0, y - _SHARP_SIDE + 1) : y + _SHARP_SIDE,
        max(0, x - _SHARP_SIDE + 1) : x + _SHARP_SIDE,
    ] = -1
    if best - float(far.max()) < _AMBIGUOUS:
        return None
    dx = _vertex(surface[y, x - 1], best, surface[y, x + 1])
    dy = _vertex(surface[y - 1, x], best, surface[y + 1, x])
    return x + dx - reach, y + dy - reach, best


def _vertex(before: float, at: float, after: float) -> float:
    """Offset of a parabola's vertex from its middle sample, within half a pixel."""
    bow = float(before) - 2 * at + float(after)
    if bow >= 0:
        return 0.0
    return min(0.5, max(-0.5, 0.5 * (float(before) - float(after)) / bow))


def _basis(
    centres: NDArray[np.float64], size_px: tuple[int, int]
) -> NDArray[np.float64]:
    """(n, 10) monomials up to the third order of coordinates in [-1, 1]."""
    x, y = (centres / np.array(size_px) * 2 - 1).T
    one = np.ones_like(x)
    return np.column_stack(
        [one, x, y, x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3]
    )


_FIT_ROUNDS = 8
_FIT_SCALE_PX = 0.5
_FIT_RIDGE = 0.3


def _robust_fit(
    centres: NDArray[np.float64],
    shifts: NDArray[np.float64],
    weights: NDArray[np.float64],
    size_px: tuple[int, int],
) -> NDArray[np.float64]:
    """Fit (10, 2) coefficients; the scale of what is an outlier shrinks each round."""
    basis = _basis(centres, size_px)
    ridge = _FIT_RIDGE * np.diag([0.0, 0.1, 0.1] + [1.0] * 7)
    start = np.median(shifts, axis=0)
    coefficients = np.zeros((10, 2))
    coefficients[0] = start
    for number in range(_FIT_ROUNDS):
        scale = max(_FIT_SCALE_PX, 4.0 * 0.6**number)
        gaps = np.linalg.norm(shifts - basis @ coefficients, axis=1)
        robust = weights / (1 + (gaps / scale) ** 2) ** 2
        weighted = basis * robust[:, None]
        coefficients = np.linalg.solve(basis.T @ weighted + ridge, weighted.T @ shifts)
    return np.asarray(coefficients, np.float64)


_FINE_CELL = 12
_FINE_SIGMA_CELLS = 3.0
_FINE_MOST_PX = 1.0
_FINE_PRIOR = 0.5


def _fine_grid(
    centres: NDArray[np.float64],
    rest: NDArray[np.float64],
    weights: NDArray[np.float64],
    size_px: tuple[int, int],
) -> NDArray[np.float32]:
    """(rows, columns, 2): wide average of small rests; large ones are elements."""
    columns, rows = size_px[0] // _FINE_CELL + 1, size_px[1] // _FINE_CELL + 1
    sums = np.zeros((rows, columns, 3), np.float32)
    small = np.linalg.norm(rest, axis=1) < _FINE_MOST_PX
    cells = (centres[small] / _FINE_CELL).astype(int)
    values = np.column_stack([rest[small] * weights[small, None], weights[small]])
    np.add.at(sums, (cells[:, 1], cells[:, 0]), values.astype(np.float32))
    wide = cv2.GaussianBlur(sums, (0, 0), _FINE_SIGMA_CELLS)
    prior = np.float32(_FINE_PRIOR / (2 * np.pi * _FINE_SIGMA_CELLS**2))
    return np.asarray(wide[..., :2] / (wide[..., 2:] + prior), np.float32)


def _at(grid: NDArray[np.float32], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    cells = (centres / _FINE_CELL).astype(int)
    return np.asarray(grid[cells[:, 1], cells[:, 0]], np.float64)


def _dense_shift(
    coefficients: NDArray[np.float64],
    fine: NDArray[np.float32],
    size_px: tuple[int, int],
    half_px: tuple[int, int],
) -> NDArray[np.float32]:
    """(height, width, 2) in full pixels, from a coarse evaluation."""
    rows, columns = fine.shape[:2]
    xs, ys = np.meshgrid(
        (np.arange(columns) + 0.5) * half_px[0] / columns,
        (np.arange(rows) + 0.5) * half_px[1] / rows,
    )
    points = np.column_stack([xs.ravel(), ys.ravel()])
    coarse = (_basis(points, half_px) @ coefficients).reshape(rows, columns, 2)
    total = np.asarray((coarse + fine) * 2, np.float32)
    return np.asarray(
        cv2.resize(total, size_px, interpolation=cv2.INTER_CUBIC), np.float32
    )


def _painted(
    centres: NDArray[np.float64],
    strays: NDArray[np.float64],
    weights: NDArray[np.float64],
    size_px: tuple[int, int],
    half_px: tuple[int, int],
) -> Map:
    """Average the strays of the blocks over each place; one block alone says little."""
    columns, rows = half_px[0] // _STRIDE + 1, half_px[1] // _STRIDE + 1
    sums = np.zeros((rows, columns, 2), np.float32)
    cells = (centres / _STRIDE).astype(int)
    values = np.column_stack([strays * weights, weights]).astype(np.float32)
    np.add.at(sums, (cells[:, 1], cells[:, 0]), values)
    around = cv2.boxFilter(sums, -1, (3, 3), normalize=False)
    mean = around[..., 0] / (around[..., 1] + np.float32(1.0))
    return np.asarray(
        cv2.resize(mean, size_px, interpolation=cv2.INTER_LINEAR), np.float32
    )

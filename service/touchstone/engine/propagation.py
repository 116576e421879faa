"""A registration that holds on a part of the face, carried on over the rest of it.

The strongest features of print are its large letters. What lies far from them on a face
that bends is put where they say, and lies elsewhere; small print and borders there look
alike from line to line, so that no search from afar tells which is which. So the print
is followed from place to place, as matches are propagated (Lhuillier and Quan, IEEE
TPAMI 24(8), 2002): what was found says where its neighbours must lie, to less than half
a line, and they are looked for there. A smooth function of few numbers goes through
all of them, so that an element which was moved stays where it is: moved. (Half of a
face that is stretched by a few percent looks as paper does that bends: it is followed.)
"""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.alignment import half_size
from touchstone.engine.cylinders import fit_cylinder
from touchstone.engine.flow import MIN_CORNER, MIN_SIDE_PX
from touchstone.engine.image import Pixels, grey
from touchstone.engine.lookalikes import likeness
from touchstone.engine.normalisation import Luma, Map
from touchstone.engine.polynomials import monomials
from touchstone.engine.rectification import rectify
from touchstone.engine.registration import (
    INLIER_SHARE,
    Bend,
    Registration,
    project,
)
from touchstone.engine.tracking import contrast_of, found_near, without_shade

_Mask = NDArray[np.bool_]
_Shifts = NDArray[np.float32]
"""(rows, columns, 2) of the grid, pixels at half of the compared frame."""

_LAID = 0.93
"""Share of the printed places that look the same from which a face is laid right: of
genuine photos three in four, of flat faces more."""
_LEAST_LAID, _GAIN = 0.62, 0.02
"""What must look the same at the end, and by how much more than before: of another
layout half of the print is found at best, and what is found is no bend of it."""
_LIKE = 0.45
"""Correlation from which a place looks the same."""
_ROUNDS = 3
"""Each draws the photo by what the one before found, and reaches further."""


def carried_on(
    photo: Pixels,
    registration: Registration,
    reference: Pixels,
    seen: Pixels,
    covered: _Mask,
) -> tuple[Registration, Pixels, _Mask]:
    """Return ``registration``, bent so that more of the print lies where it should.

    Args:
        photo: of any size.
        registration: of the photo.
        reference: (h, w, 3), in the compared frame.
        seen: (h, w, 3), the photo as ``registration`` lays it.
        covered: (h, w), where the photo shows the reference.

    Returns:
        the same objects where all of the face lies right, or nothing better was found;
        else another registration, and ``seen`` and ``covered`` by that.
    """
    # 1. Where the face looks the same all over, there is nothing to do.
    # 2. Follow the print from where it lies right to where it does not.
    # 3. Bend the registration to what was found, draw the photo anew, and go on there.
    # 4. Keep what lays most of the face right, if it is clearly more than before.
    if min(reference.shape[:2]) < 2 * MIN_SIDE_PX:
        return registration, seen, covered
    print_ = _Print.of(_halved(reference))
    shown = _halved(seen)
    told = print_.is_printed & _covered(covered, print_.is_printed)
    before = print_.laid(told, shown, covered)
    kept, most = (registration, seen, covered), max(_LEAST_LAID, before + _GAIN)
    last, laid = registration, before
    for _ in range(_ROUNDS):
        if laid >= _LAID:
            break
        further = _followed(print_, shown, covered)
        if np.count_nonzero(further.is_found) < _LEAST_FOUND:
            break
        last = _bent(last, further, registration, print_)
        seen, covered = rectify(photo, last, reference.shape[1::-1])
        shown = _halved(seen)
        laid = print_.laid(told, shown, covered)
        if laid >= most:
            kept, most = (last, seen, covered), laid
    return kept


_LEAST_FOUND = 40


@dataclass(frozen=True, slots=True)
class _Print:
    """The reference at half of the compared frame, the same in every round."""

    luma: Luma
    sharp: Luma
    """Without its shade: only print is followed."""
    is_printed: _Mask
    """(rows, columns) of the grid."""
    contrast: Map
    """(rows, columns): how far print strays from its mean there, levels."""
    places: _Shifts
    """(rows, columns, 2), pixels."""

    @staticmethod
    def of(luma: Luma) -> "_Print":
        sharp = without_shade(luma, _WINDOW_PX)
        strays = contrast_of(sharp, _WINDOW_PX)
        corners = cv2.cornerMinEigenVal(luma, 11, ksize=3)
        height, width = luma.shape
        across, down = (
            np.arange(_STEP_PX // 2, side, _STEP_PX, dtype=np.float32)
            for side in (width, height)
        )
        return _Print(
            luma,
            sharp,
            _on_grid(corners) > MIN_CORNER**2,
            _on_grid(strays).astype(np.float32),
            np.dstack(np.meshgrid(across, down)),
        )

    def laid(self, told: _Mask, shown: Luma, covered: _Mask) -> float:
        """Return the share of the places ``told`` of at which ``shown`` is the same.

        What is no longer covered is not: nothing is won by bending it out of the photo.
        """
        if not told.any():
            return 1.0
        alike = _on_grid(likeness(self.luma, shown)) > _LIKE
        return float((alike & _covered(covered, told))[told].mean())


_STEP_PX = 8
_WINDOW_PX = 11
"""What is followed: a line of small print and those beside it."""


def _halved(pixels: Pixels) -> Luma:
    half = half_size(pixels.shape[1], pixels.shape[0])
    luma = cv2.resize(grey(pixels), half, interpolation=cv2.INTER_AREA)
    return np.asarray(luma, np.uint8)


def _covered(covered: _Mask, grid: _Mask) -> _Mask:
    """Tell which places of the ``grid`` the photo covers, of (h, w)."""
    rows, columns = grid.shape
    first, step = _STEP_PX, 2 * _STEP_PX
    return covered[first::step, first::step][:rows, :columns]


def _on_grid(values: NDArray[Any]) -> NDArray[Any]:
    return values[_STEP_PX // 2 :: _STEP_PX, _STEP_PX // 2 :: _STEP_PX]


# --- from place to place --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Followed:
    shifts: _Shifts
    is_found: _Mask


_SEED_PX = 1.25
"""How far off a place may lie to be one from where the others are found."""
_HOP_PX = 2.5
"""And from where its neighbours put it: half of a line of small print."""
_TRIES = 3
_WAVES = 60
"""A face is 40 places long."""
_AROUND = (5, 5)
_LEAST_AROUND = 3
"""Of the 24 places around, so many must have been found to tell where one lies."""


def _followed(print_: _Print, shown: Luma, covered: _Mask) -> _Followed:
    """Follow the print from where it lies right, wave by wave."""
    sharp = without_shade(shown, _WINDOW_PX)
    sought = print_.is_printed & _covered(covered, print_.is_printed)
    shifts = np.zeros_like(print_.places)
    shifts, is_found = _found_near(print_, sharp, shifts, sought, _SEED_PX)
    tries = np.where(sought, _TRIES, 0)
    for _ in range(_WAVES):
        around = cv2.boxFilter(
            is_found.astype(np.float32),
            -1,
            _AROUND,
            normalize=False,
            borderType=cv2.BORDER_CONSTANT,
        )
        is_next = ~is_found & (tries > 0) & (around > _LEAST_AROUND - 0.5)
        if not is_next.any():
            break
        start = np.where(is_next[..., None], _foretold(shifts, is_found), shifts)
        there, is_there = _found_near(print_, sharp, start, is_next, _HOP_PX)
        if not is_there.any():
            break
        tries[is_next] -= 1
        shifts[is_there] = there[is_there]
        is_found |= is_there
    return _Followed(shifts, is_found)


_SIGMA_CELLS = 2.0
_REACH = (11, 11)
_RIDGE = np.float32(0.5)


def _foretold(shifts: _Shifts, is_found: _Mask) -> _Shifts:
    """Say where each place lies by what was found around it, (rows, columns, 2).

    An affine function through them, weighed by nearness: an average would lag behind
    where the face bends away.
    """
    known = is_found.astype(np.float32)
    rows, columns = known.shape
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    planes = [known, x, y, x * x, x * y, y * y]
    for axis in range(2):
        planes += [shifts[..., axis], shifts[..., axis] * x, shifts[..., axis] * y]
    sums = [
        cv2.GaussianBlur(
            plane * known, _REACH, _SIGMA_CELLS, borderType=cv2.BORDER_CONSTANT
        )
        for plane in planes
    ]
    weight = np.maximum(sums[0], np.float32(1e-6))
    mean_x, mean_y = sums[1] / weight, sums[2] / weight
    xx = sums[3] / weight - mean_x * mean_x + _RIDGE
    xy = sums[4] / weight - mean_x * mean_y
    yy = sums[5] / weight - mean_y * mean_y + _RIDGE
    spread = xx * yy - xy * xy
    told = []
    for total, with_x, with_y in (sums[6:9], sums[9:12]):
        mean = total / weight
        along_x = with_x / weight - mean_x * mean
        along_y = with_y / weight - mean_y * mean
        slope_x = (yy * along_x - xy * along_y) / spread
        slope_y = (xx * along_y - xy * along_x) / spread
        told.append(mean + slope_x * (x - mean_x) + slope_y * (y - mean_y))
    return np.dstack(told)


_UNLIKE = 0.75
"""Of the print's contrast, what may be left of it once what was found is taken off."""
_SETTLED_PX = 0.03
"""A shorter step is the last."""


def _found_near(
    print_: _Print, shown: Luma, start: _Shifts, sought: _Mask, most_px: float
) -> tuple[_Shifts, _Mask]:
    """Look for the ``sought`` places near their ``start``; the others are not."""
    shifts, is_found, rests = found_near(
        (print_.sharp, shown),
        print_.places,
        start,
        sought,
        most_px=most_px,
        window_px=_WINDOW_PX,
        settled_px=_SETTLED_PX,
    )
    return shifts, is_found & (rests < _UNLIKE * print_.contrast)


# --- a smooth function through them ---------------------------------------------------

_ORDER = 6
"""28 numbers along each axis: two waves over a face, and no letter of it."""
_FIT_ROUNDS = 6
_FIT_RIDGE = 1e-3
_AS_GOOD = 0.95
"""Of what the polynomial explains, what a cylinder of 12 numbers must, to be it."""


def _bent(
    last: Registration, found: _Followed, first: Registration, print_: _Print
) -> Registration:
    """Bend ``first`` to what was found in the photo as ``last`` lays it."""
    height, width = print_.luma.shape
    to_reference = np.array(first.reference_size_px) / (width, height)
    own = print_.places[found.is_found].astype(np.float64) + 0.5
    shifts = found.shifts[found.is_found].astype(np.float64)
    in_reference = own * to_reference
    in_photo = last.points_in_photo((own + shifts) * to_reference)
    homography, size = first.photo_from_reference, first.reference_size_px
    threshold = INLIER_SHARE * max(first.photo_size_px)
    gaps = in_photo - project(homography, in_reference)
    basis = monomials(in_reference, size, order=_ORDER)
    ridge = _FIT_RIDGE * len(basis) * np.eye(basis.shape[1])
    weights = np.ones(len(basis))
    for _ in range(_FIT_ROUNDS):
        weighted = basis * weights[:, None]
        coefficients = np.linalg.solve(basis.T @ weighted + ridge, weighted.T @ gaps)
        distance = np.hypot(*(gaps - basis @ coefficients).T)
        weights = 1 / (1 + (distance / threshold) ** 2)
    explained = np.count_nonzero(distance < threshold)
    wound = fit_cylinder(
        homography, (in_reference, in_photo), size_px=size, threshold_px=threshold
    )
    if wound is not None and wound[1].sum() >= _AS_GOOD * explained:
        return replace(first, bend=wound[0])
    return replace(first, bend=Bend(np.asarray(coefficients, np.float64)))

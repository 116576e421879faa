"""Which codes the face in a photo carries, and whether one is of another product.

Codes are read in their places on the reference, and where units differ by design; on
the whole face, which takes several times as long, where that leaves a doubt. Where the
enrolled GTIN was not read, and the photo deviates clearly anywhere, the whole face is
searched as well. So this is lost of what it would tell: codes beside the enrolled GTIN,
and codes in a photo too coarse for what is expected that looks like the reference.
"""

import math
from collections.abc import Sequence

import numpy as np

from touchstone.engine.codes import (
    Box,
    Code,
    Corners,
    Part,
    gtins,
    is_among,
    is_foreign,
    is_legible,
    normalised_gtin,
    read_codes,
    read_place,
    search_within,
    united,
)
from touchstone.engine.image import Pixels, resized
from touchstone.engine.reference import Reference
from touchstone.engine.registration import Registration


def around_face(registration: Registration) -> Part:
    """Return (left, top, right, bottom) around the face in the photo.

    A code beside it may belong to another package, and reading the whole photo takes
    several times as long.
    """
    unit = np.array([(x, y) for x in _ACROSS for y in _ACROSS])
    points = registration.points_in_photo(unit * registration.reference_size_px)
    low, high = points.min(axis=0), points.max(axis=0)
    margin, size = _AROUND * (high - low), registration.photo_size_px
    left, top = np.clip(low - margin, 0, size)
    right, bottom = np.clip(high + margin, 0, size)
    return int(left), int(top), math.ceil(right), math.ceil(bottom)


_ACROSS = (0.0, 0.5, 1.0)
_AROUND = 0.1
"""How far around a face its codes are looked for, as a share of its size."""


def read_expected(
    photo: Pixels, registration: Registration, reference: Reference
) -> tuple[tuple[Code, ...], bool]:
    """Read each code in its place, and what is in the regions that vary.

    The whole face is searched if a GTIN is foreign, or a code was not read that the
    photo is fine enough to show: it may be elsewhere.

    Args:
        photo: (h, w, 3).
        registration: of the reference in it.
        reference: with the codes that were read from it.

    Returns:
        the codes by text, and whether there is nothing more to read.
    """
    if reference.gtin is None and not reference.codes:
        return (), True  # nothing to hold a photo's codes against
    codes: tuple[Code, ...] = ()
    is_doubtful = not _shows_its_gtin(reference) and _sees_as_much(
        registration, reference.pixels
    )
    for code in reference.codes:
        found, may_be_elsewhere = _read_in_place(
            photo, registration, code, reference.pixels
        )
        codes = united(codes, found)
        is_doubtful |= may_be_elsewhere
    # Units differ by serials, in matrix codes; and what is stuck on them by any.
    bars = is_foreign(codes, reference.gtin) is not False
    for quad in _quads(registration, reference.variable_regions, reference.size_px):
        found = search_within(photo, quad, beside=_BESIDE_VARYING, bars=bars)
        codes = united(codes, found)
    is_other = is_foreign(codes, reference.gtin)
    if is_doubtful or is_other:
        known = [code for code in codes if is_among(code, reference.codes)]
        return united(known, read_face(photo, registration)), True
    return codes, is_other is False


_BESIDE_VARYING = 0.1
"""As `_AROUND`, or less: a region is no wider than the face."""


def read_face(photo: Pixels, registration: Registration) -> tuple[Code, ...]:
    """Read every code on the face and right around it, by text."""
    return read_codes(photo, within=around_face(registration))


def _read_in_place(
    photo: Pixels, registration: Registration, code: Code, reference: Pixels
) -> tuple[tuple[Code, ...], bool]:
    """Read ``code`` of ``reference`` where it lies in the photo.

    Returns:
        what was read, and whether the code may be elsewhere, large enough to be found.
    """
    if code.corners is None:
        return (), True
    here = np.array(code.corners)
    there = _in_photo(registration, here, reference.shape[1::-1])
    found = read_place(photo, there, code.symbology)
    return found, not is_among(code, found) and is_legible(code, reference, there)


def _shows_its_gtin(reference: Reference) -> bool:
    """Tell whether what was read of the reference includes what it must carry."""
    wanted = normalised_gtin(reference.gtin or "")
    return bool(reference.codes) if wanted is None else wanted in gtins(reference.codes)


def _sees_as_much(registration: Registration, reference: Pixels) -> bool:
    """Tell whether the photo may show codes that are too fine in ``reference``."""
    to_working = registration.reference_size_px[0] / reference.shape[1]
    scale = registration.photo_px_per_reference_px * to_working
    return bool(scale > _AS_MUCH)


_AS_MUCH = 0.8
"""Photo pixels for each of the reference's; below one, for that one may be blurred."""


def _in_photo(
    registration: Registration, points: Corners, size_px: tuple[int, ...]
) -> Corners:
    """(n, 2): where ``points`` of the reference at ``size_px`` lie in the photo."""
    return registration.points_in_photo(
        points / size_px * registration.reference_size_px
    )


def _quads(
    registration: Registration, boxes: Sequence[Box], size_px: tuple[int, int]
) -> list[Corners]:
    """Return where in the photo ``boxes`` of the reference at ``size_px`` lie."""
    return [
        _in_photo(
            registration,
            np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float64),
            size_px,
        )
        for x, y, w, h in boxes
    ]


def is_gtin_other(
    photo: Pixels,
    registration: Registration,
    codes: Sequence[Code],
    enrolled: str | None,
) -> bool | None:
    """Tell whether the package carries another GTIN; None if that cannot be told.

    A blurred EAN is now and then misread into another that passes its check digit (one
    wrong number in ten does). So a foreign GTIN counts only where a second reading, of
    the same place at another scale, gives the same.
    """
    is_other = is_foreign(codes, enrolled)
    if not is_other:
        return is_other
    left, top, right, bottom = around_face(registration)
    part = photo[top:bottom, left:right]
    height, width = part.shape[:2]
    size = round(width * _SECOND_SCALE), round(height * _SECOND_SCALE)
    again = read_codes(resized(part, size))
    is_confirmed = is_foreign(again, enrolled) and gtins(codes) & gtins(again)
    return True if is_confirmed else None


_SECOND_SCALE = 0.8

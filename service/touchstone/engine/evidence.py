"""One match examined: everything measured, nothing decided.

Independent streams, each a named number with a place: the image (comparison), the
codes, and how well the photograph could carry any of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from touchstone.engine.codes import Code, normalised_gtin, read_codes
from touchstone.engine.comparator import Comparator
from touchstone.engine.comparison import (
    COMPARISON_SIDE_PX,
    Comparison,
    Region,
    compare,
)
from touchstone.engine.identification import Match
from touchstone.engine.image import Pixels, Quality, measure_quality, resized
from touchstone.engine.occlusion import hands
from touchstone.engine.pair import Mask
from touchstone.engine.pose import aspect_gap
from touchstone.engine.registration import Registration, rectify


@dataclass(frozen=True, slots=True)
class Reference:
    """What the examination needs to know of one enrolled reference image."""

    label: int
    pixels: Pixels
    """The image at working size."""
    size_px: tuple[int, int]
    """(width, height) of the image as enrolled; regions are given in its pixels."""
    is_counterfeit: bool
    variable_regions: tuple[tuple[float, float, float, float], ...] = ()
    """(x, y, width, height) in pixels of the enrolled image: differ by design."""
    gtin: str | None = None
    codes: tuple[Code, ...] = ()
    """Read from `pixels`, their boxes in its frame."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured on one match."""

    match: Match
    reference: Reference
    seen: Pixels
    """The photo rectified to the compared frame."""
    comparison: Comparison
    quality: Quality
    """Of the package face alone."""
    resolution: float
    """Photo pixels per pixel of the compared frame: below 1 the photo sees less."""
    codes: tuple[Code, ...]
    is_gtin_other: bool | None
    """Whether a code was read that carries another GTIN; None if nothing to compare."""

    def measurements(self) -> dict[str, float]:
        """Return every number by name: what policies are fitted on."""
        return {
            **self.match.measurements(),
            **self.comparison.measurements,
            "aspect_gap": aspect_gap(self.match.registration),
            "inlier_residual": self.match.registration.residual_px,
            "resolution": self.resolution,
            "sharpness": self.quality.sharpness,
            "glare_fraction": self.quality.glare_fraction,
            "dark_fraction": self.quality.dark_fraction,
            "face_contrast": self.quality.contrast,
            "compared_fraction": self.comparison.compared_fraction,
        }

    def regions(self) -> tuple[Region, ...]:
        """Return the deviating regions in the pixels of the enrolled image."""
        return tuple(
            _scaled(region, self.reference.size_px, self.frame_px)
            for region in self.comparison.regions
        )

    @property
    def frame_px(self) -> tuple[int, int]:
        """(width, height) of the compared frame."""
        height, width = self.comparison.deviation.shape
        return width, height


def examine(
    photo: Pixels,
    match: Match,
    reference: Reference,
    comparator: Comparator,
) -> Evidence:
    """Rectify ``photo`` to the reference, compare them, weigh the codes."""
    frame = frame_of(reference.size_px)
    seen, covered = rectify(photo, match.registration, frame)
    here = around_face(match.registration)
    codes = read_codes(photo, within=here) if _has_codes(reference) else ()
    registration = match.registration
    expected = resized(reference.pixels, frame)
    comparison = compare(
        expected,
        seen,
        covered & ~hands(expected, seen, photo, registration),
        comparator=comparator,
        variable=mask_of(
            (*reference.variable_regions, *_checked_codes(reference, codes)),
            reference.size_px,
            frame,
        ),
        is_bent=registration.bend is not None,
    )
    to_frame = registration.reference_size_px[0] / frame[0]
    return Evidence(
        match=match,
        reference=reference,
        seen=seen,
        comparison=comparison,
        quality=measure_quality(seen, covered),
        resolution=registration.photo_px_per_reference_px * to_frame,
        codes=tuple(codes),
        is_gtin_other=_is_gtin_other(photo, here, codes, reference.gtin),
    )


def around_face(registration: Registration) -> tuple[int, int, int, int]:
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


def _has_codes(reference: Reference) -> bool:
    """Tell whether there is anything to hold a photo's codes against."""
    return reference.gtin is not None or bool(reference.codes)


def _checked_codes(
    reference: Reference, codes: Sequence[Code]
) -> list[tuple[float, float, float, float]]:
    """Return the places of codes that the photo carries too, in enrolled pixels.

    What a code says is checked by reading it; its bars are finer than the compared
    frame, and would differ there in every photo.
    """
    read = {code.text for code in codes}
    scale = reference.size_px[0] / reference.pixels.shape[1]
    return [
        (
            code.box[0] * scale - _BARS * code.box[3] * scale,
            code.box[1] * scale - _BARS * code.box[3] * scale,
            code.box[2] * scale + 2 * _BARS * code.box[3] * scale,
            code.box[3] * scale * (1 + 2 * _BARS),
        )
        for code in reference.codes
        if code.box is not None and code.text in read
    ]


_BARS = 0.04
"""How far bars reach beyond where the reader places them, as a share of the height."""


def frame_of(size_px: tuple[int, int]) -> tuple[int, int]:
    """Return the (width, height) at which a reference of ``size_px`` is compared."""
    scale = COMPARISON_SIDE_PX / max(size_px)
    # Whole multiples shrink by halves and quarters several times faster than others.
    width, height = (max(16, 4 * round(side * scale / 4)) for side in size_px)
    return width, height


def mask_of(
    boxes: Sequence[tuple[float, float, float, float]],
    size_px: tuple[int, int],
    frame_px: tuple[int, int],
) -> Mask | None:
    """(height, width) of the frame, true inside any of ``boxes``, widened a little."""
    if not boxes:
        return None
    mask: NDArray[np.bool_] = np.zeros((frame_px[1], frame_px[0]), bool)
    x_scale, y_scale = frame_px[0] / size_px[0], frame_px[1] / size_px[1]
    for x, y, width, height in boxes:
        left, top = int(x * x_scale) - _MARGIN_PX, int(y * y_scale) - _MARGIN_PX
        right = int((x + width) * x_scale) + _MARGIN_PX + 1
        bottom = int((y + height) * y_scale) + _MARGIN_PX + 1
        mask[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = True
    return mask


_MARGIN_PX = 5
"""Registration error that a variable region must not spill over, in frame pixels."""


def _scaled(
    region: Region, size_px: tuple[int, int], frame_px: tuple[int, int]
) -> Region:
    x_scale, y_scale = size_px[0] / frame_px[0], size_px[1] / frame_px[1]
    return Region(
        x=round(region.x * x_scale),
        y=round(region.y * y_scale),
        width=max(1, round(region.width * x_scale)),
        height=max(1, round(region.height * y_scale)),
        deviation=region.deviation,
        channel=region.channel,
    )


def _is_gtin_other(
    photo: Pixels,
    here: tuple[int, int, int, int],
    codes: Sequence[Code],
    enrolled: str | None,
) -> bool | None:
    """Tell whether the package carries another GTIN; None if that cannot be told.

    A blurred EAN is now and then misread into another that passes its check digit (one
    wrong number in ten does). So a foreign GTIN counts only where a second reading, of
    the same place at another scale, gives the same.
    """
    wanted = normalised_gtin(enrolled) if enrolled else None
    read = _gtins(codes)
    if wanted is None or not read:
        return None
    if wanted in read:
        return False
    left, top, right, bottom = here
    part = photo[top:bottom, left:right]
    height, width = part.shape[:2]
    size = round(width * _SECOND_SCALE), round(height * _SECOND_SCALE)
    again = _gtins(read_codes(resized(part, size)))
    if wanted in again:
        return None
    return True if read & again else None


_SECOND_SCALE = 0.8


def _gtins(codes: Sequence[Code]) -> set[str]:
    return {code.gtin for code in codes if code.gtin is not None}

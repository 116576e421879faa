"""One match examined: everything measured, nothing decided.

Independent streams, each a named number with a place: the image (comparison), the
codes, and how well the photograph could carry any of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from touchstone.engine.codes import Box, Code, united
from touchstone.engine.comparator import Comparator
from touchstone.engine.comparison import Comparison, Region, compare
from touchstone.engine.extent import backdrop
from touchstone.engine.identification import Match, resolution
from touchstone.engine.image import Pixels
from touchstone.engine.occlusion import hands
from touchstone.engine.outline import outline_gap
from touchstone.engine.pair import Mask
from touchstone.engine.pose import aspect_gap
from touchstone.engine.propagation import carried_on
from touchstone.engine.quality import Quality, measure_quality
from touchstone.engine.reading import is_gtin_other, read_expected, read_face
from touchstone.engine.rectification import rectify
from touchstone.engine.reference import Reference, frame_of, mask_of
from touchstone.engine.registration import Registration
from touchstone.engine.spectra import Spectra, spectra_of


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured on one match."""

    match: Match
    """Its registration carried on over the face, see `propagation`."""
    reference: Reference
    seen: Pixels
    """The photo rectified to the compared frame."""
    comparison: Comparison
    face_share: float
    """Of the compared frame, what is package and not the backdrop of either picture."""
    hidden_fraction: float
    """Share of the face that hands lie over."""
    outline_gap: float
    """See `outline`."""
    aspect_gap: float
    """See `pose`: of the flat part that the registration began with."""
    spectra: Spectra
    quality: Quality
    """Of the package face alone."""
    is_closer: bool
    """Whether the comparator took a closer look, see `larger`."""
    codes: tuple[Code, ...]
    is_gtin_other: bool | None
    """Whether a code was read that carries another GTIN; None if nothing to compare."""
    preference: float = 0.0
    """Log10 odds of this reference against its siblings, see `siblings`."""

    def measurements(self) -> dict[str, float]:
        """Return every number by name: what policies are fitted on."""
        return {
            **self.match.measurements(),
            **self.comparison.measurements,
            "preference": self.preference,
            "aspect_gap": self.aspect_gap,
            "outline_gap": self.outline_gap,
            **self.spectra.measurements(),
            "inlier_residual": self.match.registration.residual_px,
            "hidden_fraction": self.hidden_fraction,
            "closer_look": float(self.is_closer),
            "sharpness": self.quality.sharpness,
            "glare_fraction": self.quality.glare_fraction,
            "dark_fraction": self.quality.dark_fraction,
            "face_contrast": self.quality.contrast,
            "compared_fraction": min(
                1.0, self.comparison.compared_fraction / self.face_share
            ),
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
        height, width = self.seen.shape[:2]
        return width, height


def examine(
    photo: Pixels,
    match: Match,
    reference: Reference,
    comparator: Comparator,
    *,
    is_laid: bool = False,
) -> Evidence:
    """Rectify ``photo`` to the reference, compare them, weigh the codes.

    ``is_laid``: the registration is that of an examination, and stays as it is.
    """
    laid = laid_over(photo, match.registration, reference, is_laid=is_laid)
    registration, seen, covered = laid.registration, laid.seen, laid.covered
    behind = laid.behind
    codes, is_all = read_expected(photo, registration, reference)
    hidden = hands(reference.framed, seen, photo, registration, behind=behind)
    closer = larger(photo, registration, reference)
    comparison = compare(
        reference.framed,
        seen,
        covered & ~hidden,
        comparator=comparator,
        variable=mask_of(
            (*reference.variable_regions, *_checked_codes(reference, codes)),
            reference.size_px,
            frame_of(reference.size_px),
        ),
        is_bent=registration.bend is not None,
        closer=closer,
    )
    if not is_all and comparison.furthest >= _CLEAR:
        codes = united(codes, read_face(photo, registration))
    return Evidence(
        match=replace(match, registration=registration),
        reference=reference,
        seen=seen,
        comparison=comparison,
        face_share=1.0 if behind is None else 1.0 - float(behind.mean()),
        hidden_fraction=(
            float(hidden[covered].mean()) if hidden.any() and covered.any() else 0.0
        ),
        outline_gap=outline_gap(
            photo, registration, reference.framed, comparison.shift, behind=behind
        ),
        aspect_gap=aspect_gap(match.registration),
        spectra=spectra_of(photo, registration, reference, comparison),
        quality=measure_quality(seen, covered),
        is_closer=closer is not None,
        codes=codes,
        is_gtin_other=is_gtin_other(photo, registration, codes, reference.gtin),
    )


@dataclass(frozen=True, slots=True)
class Laid:
    """A photo in the compared frame, (h, w) of it."""

    registration: Registration
    """Carried on over the face, see `propagation`."""
    seen: Pixels
    """(h, w, 3)"""
    covered: Mask
    """Where it shows the package."""
    behind: Mask | None
    """Where it shows what lies behind the package, see `extent.backdrop`."""


def laid_over(
    photo: Pixels,
    registration: Registration,
    reference: Reference,
    *,
    is_laid: bool = False,
) -> Laid:
    """Draw ``photo`` in the compared frame, over all of the face as it should lie.

    ``is_laid``: ``registration`` lays it so already.
    """
    seen, covered = rectify(photo, registration, frame_of(reference.size_px))
    if not is_laid:
        registration, seen, covered = carried_on(
            photo, registration, reference.framed, seen, covered
        )
    behind = backdrop(reference.framed, seen, covered, reference.ground)
    if behind is not None:
        covered &= ~behind
    return Laid(registration, seen, covered, behind)


def larger(
    photo: Pixels, registration: Registration, reference: Reference
) -> tuple[Pixels, Pixels] | None:
    """Draw the reference and the photo for a closer look; None where neither gains.

    Returns:
        both (height, width, 3), in the frame of `CLOSER_SIDE_PX`.
    """
    if reference.larger is None or resolution(registration) < _RESOLVED:
        return None
    size = reference.larger.shape[1], reference.larger.shape[0]
    return reference.larger, rectify(photo, registration, size)[0]


_RESOLVED = 0.8
"""Photo pixels per pixel of the compared frame from which a closer look pays: print is
told apart better when drawn a little larger than it was photographed."""


_CLEAR = 2.0
"""Twice the edge of what is usual; the bars of a code that is stuck on go beyond."""


def _checked_codes(reference: Reference, codes: Sequence[Code]) -> list[Box]:
    """Return the places of codes that the photo carries too, in enrolled pixels.

    What a code says is checked by reading it; its bars are finer than the compared
    frame, and would differ there in every photo.
    """
    read = {code.text for code in codes}
    scale = reference.size_px[0] / reference.pixels.shape[1]
    boxes = [code.box for code in reference.codes if code.text in read]
    return [
        (
            scale * (x - _BARS * height),
            scale * (y - _BARS * height),
            scale * (width + 2 * _BARS * height),
            scale * (height + 2 * _BARS * height),
        )
        for x, y, width, height in filter(None, boxes)
    ]


_BARS = 0.04
"""How far bars reach beyond where the reader places them, as a share of the height."""


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

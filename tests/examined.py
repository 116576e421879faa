"""Prints and photographs taken through the engine, as verification takes them."""

import functools
from collections.abc import Mapping, Sequence

import numpy as np
from blind import BLIND
from numpy.typing import NDArray
from scenes import Photograph, Pixels, Print, printed

from touchstone.engine.cylinders import Cylinder
from touchstone.engine.evidence import Evidence, examine
from touchstone.engine.features import REFERENCE_SIDE_PX, Method, detect
from touchstone.engine.identification import Candidate, Match, match
from touchstone.engine.rectification import rectify
from touchstone.engine.reference import Reference
from touchstone.engine.registration import Bend, Registration


@functools.cache
def candidate(seed: int, *methods: Method) -> Candidate:
    """The print of ``seed`` as a candidate under that label; ORB alone if not said."""
    pixels = printed(seed).pixels
    features = {
        method: detect(pixels, method, max_side_px=REFERENCE_SIDE_PX)
        for method in methods or (Method.ORB,)
    }
    return Candidate(seed, 0.5, features)


def by_inliers(measurements: Mapping[str, float]) -> float:
    return measurements["log_inliers"]


def matches(photo: Pixels, seeds: Sequence[int]) -> list[Match]:
    """Lay the prints of ``seeds`` over a photo, best first."""
    return match(
        photo,
        [candidate(seed) for seed in seeds],
        lambda label: reference(printed(label), label=label),
        rank=by_inliers,
    )


def reference(face: Print, *, label: int = 1, **fields: object) -> Reference:
    """A print as it was enrolled."""
    facts = {"is_counterfeit": False} | fields
    return Reference(label, face.pixels, face.size_px, **facts)  # type: ignore[arg-type]


def examined(
    seed: int, photo: Pixels, *, face: Print | None = None, **fields: object
) -> Evidence:
    """What is measured when the print of ``seed``, or ``face``, is looked for."""
    (best,) = matches(photo, [seed])
    known = reference(face or printed(seed), label=seed, **fields)
    return examine(photo, best, known, BLIND)


def laid_by(
    matrix: NDArray[np.float64],
    size_px: tuple[int, int],
    photo_px: tuple[int, int],
    *,
    bend: Bend | Cylinder | None = None,
) -> Registration:
    """A registration that nothing speaks against: a reference laid by ``matrix``."""
    return Registration(
        photo_from_reference=matrix,
        bend=bend,
        method=Method.ORB,
        inliers=100,
        matches=100,
        residual_px=0.5,
        coverage=1.0,
        reference_size_px=size_px,
        photo_size_px=photo_px,
    )


def seen_through(
    photo: Photograph, frame_px: tuple[int, int]
) -> tuple[Pixels, NDArray[np.bool_]]:
    """The photo in the reference's frame, by the view that is known: where it is the
    comparison that is tested, and not the registration."""
    height, width = photo.pixels.shape[:2]
    known = laid_by(photo.photo_from_print, photo.print_px, (width, height))
    return rectify(photo.pixels, known, frame_px)

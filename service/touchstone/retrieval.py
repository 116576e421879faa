"""A photo to the references that are near it, and to those that lie in it.

The face that the localiser finds is searched with first. It may be the wrong one, so
the whole photo is searched with as well wherever the face leaves doubt: no reference
leads the others clearly, or none of those found is accepted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeAlias

from touchstone.catalogue import Catalogue
from touchstone.engine.identification import Candidate, Match, match
from touchstone.engine.image import Pixels
from touchstone.engine.localisation import (
    Face,
    Localiser,
    face_alone,
    span_of,
    whole_photo,
)
from touchstone.engine.policy import Policy
from touchstone.store import Caller, ReferenceView

CLEAR_LEAD = 0.1
"""Of cosine, over the nearest other product: more, and the face need not be doubted."""

Pair: TypeAlias = tuple[Candidate, ReferenceView]


@dataclass(frozen=True, slots=True)
class Near:
    """What is near a photo."""

    face: Face
    pairs: Sequence[Pair]
    """The nearest first."""
    index_digest: str
    """Of the index that was searched."""
    is_by_face_alone: bool


@dataclass(frozen=True, slots=True)
class Retriever:
    """Finds the references that a photo may show."""

    catalogue: Catalogue
    policy: Policy
    localiser: Localiser | None = None
    """None searches with the whole photo."""

    def near(self, caller: Caller, pixels: Pixels, k: int) -> Near:
        """Return the ``k`` references nearest to the face in ``pixels``, or to all."""
        face = whole_photo(pixels)
        if self.localiser is not None:
            face = self.localiser.locate(pixels)
        cut = face_alone(pixels, face)
        if cut is None:
            pairs, digest = self.catalogue.candidates(caller, pixels, k)
            return Near(face, pairs, digest, is_by_face_alone=False)
        pairs, digest = self.catalogue.candidates(caller, cut, k)
        if _leads_clearly(pairs):
            return Near(face, pairs, digest, is_by_face_alone=True)
        wider, digest = self.catalogue.candidates(caller, pixels, k)
        return Near(face, _nearest(pairs, wider, k), digest, is_by_face_alone=False)

    def matched(
        self, caller: Caller, pixels: Pixels, k: int
    ) -> tuple[Near, list[Match]]:
        """Return what is near, and what of it lies over the photo, likeliest first."""
        near = self.near(caller, pixels, k)
        matches = self._laid_over(pixels, near.pairs, near.face)
        least = max(0.0, self.policy.accept_logit)
        is_likely = matches and self.policy.rank(matches[0].measurements()) >= least
        if is_likely or not near.is_by_face_alone:
            return near, matches
        tried = {candidate.label for candidate, _ in near.pairs}
        wider, digest = self.catalogue.candidates(caller, pixels, k)
        new = [pair for pair in wider if pair[0].label not in tried]
        ranked = sorted(
            [*matches, *self._laid_over(pixels, new, near.face)],
            key=lambda one: (-self.policy.rank(one.measurements()), one.label),
        )
        every = replace(near, pairs=[*near.pairs, *new], index_digest=digest)
        return every, ranked

    def _laid_over(
        self, pixels: Pixels, pairs: Sequence[Pair], face: Face
    ) -> list[Match]:
        views = {candidate.label: view for candidate, view in pairs}
        return match(
            pixels,
            [candidate for candidate, _ in pairs],
            lambda label: self.catalogue.reference(views[label]),
            rank=self.policy.rank,
            face=span_of(face, pixels),
        )


def _leads_clearly(pairs: Sequence[Pair]) -> bool:
    """Tell whether the nearest is far before the nearest of another product."""
    if not pairs:
        return False
    first, view = pairs[0]
    rest = (one for one, shown in pairs if shown.product.id != view.product.id)
    second = next(rest, None)
    return second is not None and first.similarity - second.similarity > CLEAR_LEAD


def _nearest(one: Sequence[Pair], other: Sequence[Pair], k: int) -> list[Pair]:
    """Return the ``k`` nearest of two searches, each reference once."""
    ranked = sorted(
        chain(one, other), key=lambda pair: (-pair[0].similarity, pair[0].label)
    )
    kept: dict[int, Pair] = {}
    for pair in ranked:
        kept.setdefault(pair[0].label, pair)
    return list(kept.values())[:k]

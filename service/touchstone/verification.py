"""Verify the photographs of one item and record the outcome.  <- start reading here."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from touchstone import __version__
from touchstone.blobs import Blobs
from touchstone.catalogue import WORKING_SIDE_PX, Catalogue
from touchstone.engine.comparator import Comparator
from touchstone.engine.comparison import COMPARISON_VERSION
from touchstone.engine.evidence import examine
from touchstone.engine.features import FEATURES_VERSION
from touchstone.engine.identification import (
    IDENTIFICATION_VERSION,
    Match,
    nearest,
)
from touchstone.engine.image import DecodeLimits, Photo, decode
from touchstone.engine.localisation import LOCALISATION_VERSION, Localiser
from touchstone.engine.policy import Policy
from touchstone.engine.quality import measure_quality
from touchstone.engine.record import Document, finding_document
from touchstone.engine.siblings import told_apart
from touchstone.engine.verdict import decide, disagreeing, photo_measurements
from touchstone.engine.wording import GRAVITY, FindingKind
from touchstone.errors import InvalidInputError
from touchstone.examination import (
    LIBRARIES,
    LIMITATIONS,
    Assessment,
    Claim,
    Examined,
    ProductName,
    Seen,
    name_document,
    name_of,
    read_claim,
    read_examination,
)
from touchstone.retrieval import Retriever
from touchstone.store import (
    Caller,
    ExaminationDraft,
    Store,
    canonical_json,
)

_USUAL_LIMITS = DecodeLimits()

MAX_PHOTOS = 8
"""Photos of one item in one examination."""

_IDENTIFIED_SIDE_PX = 800
"""Long side at which a photo is identified: a face that fills half of it has all the
pixels that are embedded, and JPEGs are decoded smaller."""

MAX_CANDIDATES = 24
"""References laid over a photo when none of the nearest is beyond doubt: global
vectors of cluttered photos rank the right one within the first few dozen."""

MAX_EXAMINED = 3
"""Matches compared in detail: the best, and siblings that registration cannot tell."""


@dataclass(frozen=True, slots=True)
class Identified:
    """A product that the photo may show."""

    product: ProductName
    similarity: float
    """Cosine of the embeddings, two decimals: vectors stay secret."""
    reference_set_id: str


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies photographs against the references that the caller may match."""

    catalogue: Catalogue
    blobs: Blobs
    store: Store
    comparator: Comparator
    policy: Policy
    limits: DecodeLimits = _USUAL_LIMITS
    localiser: Localiser | None = None
    """None searches with the whole photo."""

    @property
    def _retriever(self) -> Retriever:
        return Retriever(self.catalogue, self.policy, self.localiser)

    @property
    def localiser_digest(self) -> str:
        """SHA-256 of the localiser's file; empty without one."""
        return "" if self.localiser is None else self.localiser.digest

    def verify(
        self,
        caller: Caller,
        photos: Sequence[bytes],
        *,
        declared_product: str | None = None,
        declared_gtin: str | None = None,
    ) -> Examined:
        """Verify ``photos`` of one item and append the outcome to the record.

        Args:
            caller: whose references may be matched, and who owns the record.
            photos: one to eight image files, of the same item.
            declared_product: the product code that the item claims, if any.
            declared_gtin: the GTIN that it claims, if any.

        Raises:
            BadImageError: a photo is not an image we accept; nothing is recorded.
            InvalidInputError: no photo, too many, or a GTIN that is none.
        """
        assessment = self.assess(
            caller,
            photos,
            declared_product=declared_product,
            declared_gtin=declared_gtin,
        )
        examination = self.store.record_examination(caller, assessment.draft)
        return read_examination(examination, assessment.elapsed_ms)

    def assess(
        self,
        caller: Caller,
        photos: Sequence[bytes],
        *,
        declared_product: str | None = None,
        declared_gtin: str | None = None,
        profiled: bool = False,
    ) -> Assessment:
        """Do all that `verify` does but for the record; raises as it does.

        The bytes of the photos are kept: what is drafted is about exactly these. The
        print is ``profiled`` for those who compare items with each other.
        """
        # To reach a finding that can be defended later, we must:
        #
        # 1. Look at every photo before anything is kept: a bad one refuses all.
        # 2. Keep the exact bytes we were shown.
        # 3. Find the enrolled references that each could show.
        # 4. Lay them over it and examine the likeliest: measure what still differs.
        # 5. Decide, by the calibrated policy and nothing else.
        # 6. Let the gravest finding of any photo stand for the item.
        #
        # Steps 1, 4 and 5 are pure; only keeping and fetching do I/O.
        started = time.perf_counter()
        claim = read_claim(declared_product, declared_gtin)
        if not 1 <= len(photos) <= MAX_PHOTOS:
            raise InvalidInputError(
                f"Send one to {MAX_PHOTOS} photos of one item, not {len(photos)}.",
                field="photos",
            )
        decoded = [
            decode(data, max_side_px=WORKING_SIDE_PX, limits=self.limits)
            for data in photos
        ]
        digests = [self.blobs.put(data) for data in photos]
        seen = [
            self._examine(caller, photo, digest, claim)
            for photo, digest in zip(decoded, digests, strict=True)
        ]
        gravest = min(range(len(seen)), key=lambda n: GRAVITY.index(seen[n].kind))
        if _disagree(seen) and seen[gravest].kind is _CLEARED:
            seen[gravest] = replace(seen[gravest], finding=disagreeing())
        drafted = self._drafted(seen, gravest, claim, started)
        return replace(drafted, profile=seen[gravest].profile) if profiled else drafted

    def identify(self, caller: Caller, photo: bytes, *, k: int = 5) -> list[Identified]:
        """Return the at most ``k`` products nearest to ``photo``; nothing is kept.

        Raises:
            BadImageError: the photo is not an image we accept.
        """
        decoded = decode(photo, max_side_px=_IDENTIFIED_SIDE_PX, limits=self.limits)
        near = self._retriever.near(caller, decoded.pixels, 4 * k)
        found: dict[str, Identified] = {}
        for candidate, view in near.pairs:
            found.setdefault(
                view.product.id,
                Identified(
                    name_of(view),
                    round(candidate.similarity, 2),
                    view.reference_set.id,
                ),
            )
        return list(found.values())[:k]

    def read(self, caller: Caller, examination_id: str) -> Examined:
        """Return a recorded examination.

        Raises:
            NotFoundError: none that the caller may see.
        """
        return read_examination(self.store.examination(caller, examination_id), None)

    # --- one photo --------------------------------------------------------------------

    def _examine(self, caller: Caller, photo: Photo, digest: str, claim: Claim) -> Seen:
        pixels = photo.pixels
        near, matches = self._retriever.matched(caller, pixels, MAX_CANDIDATES)
        candidates = [candidate for candidate, _ in near.pairs]
        views = {candidate.label: view for candidate, view in near.pairs}
        known_fakes = frozenset(one.label for one in candidates if one.is_counterfeit)
        worth = self._worth_examining(matches, known_fakes)
        references = [self.catalogue.reference(views[one.label]) for one in worth]
        evidence = [
            examine(pixels, one, reference, self.comparator)
            for one, reference in zip(worth, references, strict=True)
        ]
        evidence = told_apart(evidence)
        photo_quality = photo_measurements(photo.full_size_px, measure_quality(pixels))
        views_examined = [views[one.match.label] for one in evidence]
        lookalike = nearest(candidates)
        finding = decide(
            evidence,
            self.policy,
            photo=photo_quality,
            is_declared=claim.met_by(views_examined),
            resemblance=lookalike.similarity if lookalike else -1.0,
        )
        return Seen(
            photo,
            digest,
            photo_quality,
            evidence,
            views_examined,
            finding,
            near.index_digest,
            near.face,
            lookalike=views[lookalike.label] if lookalike else None,
        )

    def _worth_examining(
        self, matches: Sequence[Match], known_fakes: frozenset[int]
    ) -> Sequence[Match]:
        """The best match, those that its margin does not exclude, and known fakes."""
        ranks = [self.policy.rank(one.measurements()) for one in matches]
        near = [
            one
            for one, rank in zip(matches, ranks, strict=True)
            if rank >= ranks[0] - self.policy.sibling_margin
        ]
        fakes = [one for one in matches if one.label in known_fakes]
        worth = [*near[:MAX_EXAMINED], *fakes[:MAX_EXAMINED]]
        return list({one.label: one for one in worth}.values())

    # --- the record -------------------------------------------------------------------

    def _drafted(
        self, seen: Sequence[Seen], gravest: int, claim: Claim, started: float
    ) -> Assessment:
        decisive = seen[gravest]
        view, evidence = decisive.view, decisive.chosen
        product = name_of(view) if view is not None else None
        regions = evidence.regions() if evidence is not None else ()
        record: Document = {
            "photos": [one.document() for one in seen],
            "decisive": gravest,
            "declared": {"product_id": claim.product_id, "gtin": claim.gtin},
            "product": None if product is None else name_document(product),
            "finding": finding_document(decisive.finding),
            "limitations": list(LIMITATIONS),
            "made_by": self._made_by(decisive.index_digest),
        }
        draft = ExaminationDraft(
            photo_digests=tuple(one.digest for one in seen),
            finding=str(decisive.finding.kind),
            record_json=canonical_json(record),
            model_digest=self.catalogue.embedder.digest,
            index_digest=record["made_by"]["index"],
            policy_digest=self.policy.digest,
            code_version=__version__,
            provider=self.catalogue.embedder.provider,
            declared_product=claim.product_id,
            declared_gtin=claim.gtin,
            product_id=product.product_id if product is not None else "",
            reference_set_id=view.reference_set.id if view is not None else None,
            specimen_id=view.specimen.id if view is not None else None,
            face=product.face if product is not None else "",
            log10_lr=decisive.finding.log10_lr,
        )
        return Assessment(
            draft=draft,
            finding=decisive.finding,
            product=product,
            regions=regions,
            quality=decisive.quality(),
            reference_set_id=draft.reference_set_id,
            elapsed_ms=(time.perf_counter() - started) * 1e3,
            serial=decisive.serial,
        )

    def _made_by(self, index_digest: str) -> Document:
        """Name everything that could make another answer of the same photo."""
        return {
            "code": __version__,
            "steps": {
                "features": FEATURES_VERSION,
                "localisation": LOCALISATION_VERSION,
                "identification": IDENTIFICATION_VERSION,
                "comparison": COMPARISON_VERSION,
            },
            "model": self.catalogue.embedder.digest,
            "comparator": self.comparator.digest,
            "localiser": self.localiser_digest,
            "policy": self.policy.digest,
            "index": index_digest,
            "provider": self.catalogue.embedder.provider,
            "comparator_provider": self.comparator.provider,
            "libraries": LIBRARIES,
        }


_CLEARED = FindingKind.CONSISTENT_WITH_GENUINE


def _disagree(seen: Sequence[Seen]) -> bool:
    """Tell whether photos of one item show different products."""
    shown = {
        one.view.product.id
        for one in seen
        if one.view is not None and one.finding.chosen is not None
    }
    return len(shown) > 1

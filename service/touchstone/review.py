"""Look again at what was recorded: its pictures, and whether it comes out the same."""

import json
from dataclasses import dataclass

from touchstone.catalogue import WORKING_SIDE_PX
from touchstone.engine.comparison import Region
from touchstone.engine.evidence import Evidence, examine
from touchstone.engine.identification import Match
from touchstone.engine.image import decode
from touchstone.engine.pictures import EvidencePictures, draw, draw_region
from touchstone.engine.record import Document, read_region, read_registration
from touchstone.errors import NotFoundError
from touchstone.store import Caller, Examination, Role
from touchstone.verification import Verifier


@dataclass(frozen=True, slots=True)
class Replay:
    """Whether an examination, made again now, gives the record it gave."""

    is_equal: bool
    differences: tuple[str, ...]
    """Paths in the record whose values differ: ``made_by.model``, ``finding.kind``."""


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Reviews recorded examinations within the caller's reach.

    Pictures are drawn anew from the kept bytes, so they end with the grant: they
    show the reference, and whoever may no longer match it must not see it. Each view
    stands in the audit log before there is anything to see.
    """

    verifier: Verifier

    def pictures(self, caller: Caller, examination_id: str) -> EvidencePictures:
        """Draw the evidence of an examination, for the caller to see.

        Raises:
            NotFoundError: no such examination in reach, nothing was compared in it,
                or its reference may no longer be matched by the caller.
        """
        self._note_view(caller, examination_id)
        return self.drawn(caller, examination_id)

    def drawn(self, caller: Caller, examination_id: str) -> EvidencePictures:
        """Draw what is only seen later, with a line in the audit log of its own.

        Raises:
            NotFoundError: as of `pictures`.
        """
        evidence, regions = self._evidence(caller, examination_id)
        return draw(
            evidence.reference.framed,
            evidence.seen,
            evidence.comparison.deviation,
            regions,
        )

    def region_pair(self, caller: Caller, examination_id: str, number: int) -> bytes:
        """Draw region ``number`` (from 1) beside the reference; raises as `pictures`.

        Raises:
            NotFoundError: no region of that number.
        """
        evidence, regions = self._evidence(caller, examination_id)
        if not 1 <= number <= len(regions):
            raise NotFoundError(f"The examination has no region {number}.")
        self._note_view(caller, examination_id)
        return draw_region(
            evidence.reference.framed,
            evidence.seen,
            regions[number - 1],
        )

    def replay(self, caller: Caller, examination_id: str) -> Replay:
        """Examine the kept bytes again, without recording, and compare the records.

        Raises:
            NotFoundError: no such examination in reach.
        """
        before = self.verifier.store.examination(caller, examination_id)
        photos = [self.verifier.blobs.get(digest) for digest in before.photo_digests]
        again = self.verifier.assess(
            _in_scope_of(before, caller),
            photos,
            declared_product=before.declared_product,
            declared_gtin=before.declared_gtin,
        )
        paths = _differing(
            json.loads(before.record_json), json.loads(again.draft.record_json)
        )
        return Replay(not paths, tuple(paths))

    def _note_view(self, caller: Caller, examination_id: str) -> None:
        examination = self.verifier.store.examination(caller, examination_id)
        if examination.reference_set_id is None:
            raise NotFoundError("Nothing was compared in this examination.")
        self.verifier.store.note_view(
            caller,
            [examination.reference_set_id],
            through={"examination_id": examination_id},
        )

    def _evidence(
        self, caller: Caller, examination_id: str
    ) -> tuple[Evidence, list[Region]]:
        """Return the evidence, and the regions as they were recorded."""
        verifier = self.verifier
        examination = verifier.store.examination(caller, examination_id)
        photo_digest, examined = _decisive(examination)
        label = int(examined["label"])
        views = verifier.store.references(caller, [label])
        if label not in views:
            raise NotFoundError("The reference of this examination is not in reach.")
        reference = verifier.catalogue.reference(views[label])
        photo = decode(
            verifier.blobs.get(photo_digest),
            max_side_px=WORKING_SIDE_PX,
            limits=verifier.limits,
        )
        measured = examined["measurements"]
        match = Match(
            label=label,
            similarity=float(measured["similarity"]),
            registration=read_registration(examined["registration"]),
            agreement=float(measured["agreement"]),
            chroma_gap=float(measured["chroma_gap"]),
            coverage=float(measured["coverage"]),
            # Examinations before `identification` 8 have none; no picture shows it.
            followed=float(measured.get("followed", 0)),
        )
        regions = [read_region(one) for one in examined["frame_regions"]]
        evidence = examine(
            photo.pixels, match, reference, verifier.comparator, is_laid=True
        )
        return evidence, regions


def _in_scope_of(examination: Examination, caller: Caller) -> Caller:
    """Whoever replays must match what the examiner could, no more and no less."""
    if caller.organisation_id == examination.organisation_id:
        return caller
    return Caller(None, examination.organisation_id, Role.ANALYST)


def _decisive(examination: Examination) -> tuple[str, Document]:
    record = json.loads(examination.record_json)
    number = record["decisive"]
    photo = record["photos"][number]
    chosen = photo["finding"]["chosen"]
    if chosen is None:
        raise NotFoundError("Nothing was compared in this examination.")
    return examination.photo_digests[number], photo["examined"][chosen]


def _differing(before: object, after: object, path: str = "") -> list[str]:
    """Return the paths at which two JSON values differ, in order."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            found
            for key in sorted(before.keys() | after.keys())
            for found in _differing(
                before.get(key), after.get(key), f"{path}.{key}".lstrip(".")
            )
        ]
    if isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            return [path]
        return [
            found
            for number, (one, other) in enumerate(zip(before, after, strict=True))
            for found in _differing(one, other, f"{path}[{number}]")
        ]
    return [] if before == after else [path]

"""Findings and evidence to the plain document that is recorded, and back.

The document is all that is kept of an examination beside the bytes of the photo: it
must be enough to draw the evidence again and to say what produced it. It holds no
vector and no clock, so that the same inputs give the same document.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from touchstone.engine.codes import Code
from touchstone.engine.comparison import Region
from touchstone.engine.cylinders import Cylinder
from touchstone.engine.evidence import Evidence
from touchstone.engine.features import Method
from touchstone.engine.image import Photo
from touchstone.engine.registration import Bend, Registration
from touchstone.engine.verdict import Finding
from touchstone.engine.wording import FindingKind, Reason

Document: TypeAlias = dict[str, Any]
"""JSON: the form is described by the functions that write and read it here."""


def photo_document(photo: Photo, measurements: Mapping[str, float]) -> Document:
    """Describe a photo."""
    return {
        "size_px": list(photo.full_size_px),
        "worked_on_px": list(photo.size_px),
        "format": photo.format,
        "quality": _rounded(measurements),
    }


def evidence_document(evidence: Evidence) -> Document:
    """Describe what was measured on one match."""
    product_class = evidence.reference.product_class
    return {
        "registration": registration_document(evidence.match.registration),
        "measurements": _rounded(evidence.measurements()),
        "codes": [_code(code) for code in evidence.codes],
        "is_gtin_other": evidence.is_gtin_other,
        **({"product_class": product_class} if product_class else {}),
        "regions": [region_document(region) for region in evidence.regions()],
        "frame_regions": [region_document(r) for r in evidence.comparison.regions],
        "frame_px": list(evidence.frame_px),
    }


def _rounded(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in sorted(numbers.items())}


def _code(code: Code) -> Document:
    return {
        "symbology": code.symbology,
        "text": code.text,
        "gtin": code.gtin,
        "lot": code.lot,
        "expiry": code.expiry,
        "serial": code.serial,
    }


def region_document(region: Region) -> Document:
    """Describe a region."""
    return {
        "x": region.x,
        "y": region.y,
        "width": region.width,
        "height": region.height,
        "deviation": round(region.deviation, 4),
        "channel": region.channel,
    }


def read_region(document: Document) -> Region:
    """Read what `region_document` wrote."""
    return Region(
        int(document["x"]),
        int(document["y"]),
        int(document["width"]),
        int(document["height"]),
        float(document["deviation"]),
        str(document["channel"]),
    )


def registration_document(registration: Registration) -> Document:
    """Describe a registration; numbers in full, so that pictures can be redrawn."""
    return {
        "method": str(registration.method),
        "photo_from_reference": registration.photo_from_reference.tolist(),
        "bend": _bend_document(registration.bend),
        "inliers": registration.inliers,
        "matches": registration.matches,
        "residual_px": registration.residual_px,
        "coverage": registration.coverage,
        "reference_size_px": list(registration.reference_size_px),
        "photo_size_px": list(registration.photo_size_px),
    }


def _bend_document(bend: Bend | Cylinder | None) -> Document | list[list[float]] | None:
    if isinstance(bend, Cylinder):
        return {
            "photo_from_wound": bend.photo_from_wound.tolist(),
            "angle": bend.angle,
            "is_upright": bend.is_upright,
        }
    return None if bend is None else bend.coefficients.tolist()


def _read_bend(document: Any) -> Bend | Cylinder | None:
    if isinstance(document, dict):
        return Cylinder(
            np.array(document["photo_from_wound"], np.float64),
            float(document["angle"]),
            bool(document["is_upright"]),
        )
    return None if document is None else Bend(np.array(document, np.float64))


def read_registration(document: Document) -> Registration:
    """Read what `registration_document` wrote."""
    reference_px, photo_px = document["reference_size_px"], document["photo_size_px"]
    return Registration(
        photo_from_reference=np.array(document["photo_from_reference"], np.float64),
        bend=_read_bend(document["bend"]),
        method=Method(document["method"]),
        inliers=int(document["inliers"]),
        matches=int(document["matches"]),
        residual_px=float(document["residual_px"]),
        coverage=float(document["coverage"]),
        reference_size_px=(int(reference_px[0]), int(reference_px[1])),
        photo_size_px=(int(photo_px[0]), int(photo_px[1])),
    )


def finding_document(finding: Finding) -> Document:
    """Describe a finding."""
    return {
        "kind": str(finding.kind),
        "log10_lr": finding.log10_lr,
        "is_lr_capped": finding.is_lr_capped,
        "counterfeit_probability": finding.counterfeit_probability,
        "strength": finding.strength,
        "reasons": [[reason.code, reason.sentence] for reason in finding.reasons],
        "advice": list(finding.advice),
        "chosen": finding.chosen,
    }


def read_finding(document: Document) -> Finding:
    """Read what `finding_document` wrote."""
    return Finding(
        kind=FindingKind(document["kind"]),
        reasons=tuple(Reason(code, words) for code, words in document["reasons"]),
        advice=tuple(document["advice"]),
        log10_lr=document["log10_lr"],
        is_lr_capped=bool(document["is_lr_capped"]),
        counterfeit_probability=document["counterfeit_probability"],
        strength=str(document["strength"]),
        chosen=document["chosen"],
    )

"""Findings, reasons and advice in words that an officer can repeat."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from touchstone.engine.channels import CHANNELS


class FindingKind(StrEnum):
    """What the machine found: never a legal conclusion."""

    NO_REFERENCE = "no_reference"
    INSUFFICIENT_QUALITY = "insufficient_quality"
    CONSISTENT_WITH_GENUINE = "consistent_with_genuine"
    INCONCLUSIVE = "inconclusive"
    INCONSISTENT_WITH_GENUINE = "inconsistent_with_genuine"
    MATCHES_KNOWN_COUNTERFEIT = "matches_known_counterfeit"
    CONSISTENT_WITH_OTHER_VARIANT = "consistent_with_other_variant"


GRAVITY = (
    FindingKind.MATCHES_KNOWN_COUNTERFEIT,
    FindingKind.INCONSISTENT_WITH_GENUINE,
    FindingKind.CONSISTENT_WITH_OTHER_VARIANT,
    FindingKind.INCONCLUSIVE,
    FindingKind.CONSISTENT_WITH_GENUINE,
    FindingKind.INSUFFICIENT_QUALITY,
    FindingKind.NO_REFERENCE,
)
"""Gravest first: of several photos of one item the gravest finding stands.

What cannot be told weighs less than what was found, so that a blurred second photo does
not silence a sharp first; but one photo that differs outweighs any number that agree.
"""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a code for machines, a sentence that an officer can repeat."""

    code: str
    sentence: str


NOT_REGISTERED = "face_not_found"
"""Reason of a finding that names a product by its looks alone."""

PHOTOS_DISAGREE = "photos_disagree"
"""Reason of a finding on photos that cannot be of one item."""

_EVERYWHERE = "The photo differs from the reference everywhere, as no photo here did."
_AS_USUAL = "Retake it straight on, in even light; if it stays so, ask the laboratory."
SENTENCES = {
    "nothing_resembles": "Nothing that may be matched here resembles the photo.",
    "agrees": "The print agrees with the reference wherever it could be compared.",
    "learned_differs": "What was trained on forgeries sees a change in the print.",
    "structure_differs": "Print is present or missing where the reference differs.",
    "correlation_differs": "The drawing of some elements is not that of the reference.",
    "geometry_differs": "Some elements stand elsewhere than on the reference.",
    "colour_differs": "Some elements have another colour than on the reference.",
    "cast_differs": "All has another tint than usual: the light has, or the print.",
    "proportion_differs": "The print is narrower or wider than the reference.",
    "screen_differs": "All is grainier than usual, or dotted: the photo or the print.",
    "softness_differs": "All is softer than usual: the photo is, or the print.",
    "overall_difference": "The print as a whole differs from the reference.",
    "weak_evidence": "What was measured supports neither side enough.",
    "other_gtin": "The code on the package carries another GTIN than was enrolled.",
    "other_than_declared": "The package is that of another product or variant.",
    PHOTOS_DISAGREE: "The photos show different products.",
    "known_counterfeit": "The print agrees better with a known counterfeit.",
    "resolution_too_low": "The package is too small in the photo.",
    "blur_px_too_high": "The photo is too blurred for the print to be compared.",
    "compared_fraction_too_low": "Too little of the package face is visible.",
    "hidden_fraction_too_high": "A hand hides too much of the print.",
    "glare_fraction_too_high": "Reflections hide too much of the print.",
    "washed_fraction_too_high": "Where something should be printed all is burnt out.",
    "dark_fraction_too_high": "The photo is too dark.",
    **{f"{channel}_level_too_high": _EVERYWHERE for channel in CHANNELS},
    NOT_REGISTERED: "The photo resembles the product, but its face was not found.",
    "agreement_too_low": "The face could not be laid over the reference well enough.",
    "photo_dark_too_high": "The photo is too dark.",
    "photo_sharpness_too_low": "The photo shows no sharp detail.",
    "photo_side_px_too_low": "The photo has too few pixels.",
    "photo_contrast_too_low": "The photo shows almost nothing.",
    "photo_glare_too_high": "The photo is burnt out.",
}

RETAKE = {
    "resolution_too_low": "Retake it closer: the face should fill most of the frame.",
    "blur_px_too_high": "Retake it: hold still and touch the package to focus.",
    "compared_fraction_too_low": "Retake it with the whole face in view, uncovered.",
    "hidden_fraction_too_high": "Retake it without a hand over the face.",
    "washed_fraction_too_high": "Retake it darker: touch the brightest part to expose.",
    "glare_fraction_too_high": "Retake it without flash, tilted away from the lamp.",
    "dark_fraction_too_high": "Retake it in more light.",
    **{f"{channel}_level_too_high": _AS_USUAL for channel in CHANNELS},
    NOT_REGISTERED: "Retake it straight on, with the whole printed face in view.",
    "agreement_too_low": "Retake it straight on, with the face laid flat.",
    "photo_dark_too_high": "Retake it in more light.",
    "photo_sharpness_too_low": "Retake it: hold still and touch the package to focus.",
    "photo_side_px_too_low": "Send the original photo, not a thumbnail.",
    "photo_contrast_too_low": "Retake it with the package in view, in even light.",
    "photo_glare_too_high": "Retake it without flash, out of direct sun.",
}

_NEXT = {
    FindingKind.NO_REFERENCE: (
        "Photograph the main face straight on and send it again.",
        "Ask the brand owner whether a reference of this artwork exists.",
    ),
    FindingKind.INSUFFICIENT_QUALITY: (),
    FindingKind.CONSISTENT_WITH_GENUINE: (
        "Check lot, expiry and seal by hand: a genuine pack may be refilled or stolen.",
    ),
    FindingKind.INCONCLUSIVE: (
        "Send a sharper photo of the whole face, or other faces of the same item.",
        "If doubt remains, send the item to the laboratory.",
    ),
    FindingKind.INCONSISTENT_WITH_GENUINE: (
        "Look at the marked regions beside the reference.",
        "Hold the item; ask the brand owner or the laboratory to confirm.",
    ),
    FindingKind.MATCHES_KNOWN_COUNTERFEIT: (
        "Hold the item; report it with the known counterfeit that it matches.",
    ),
    FindingKind.CONSISTENT_WITH_OTHER_VARIANT: (
        "Check what the item claims to be: another strength, flavour or market.",
    ),
}


def reason_for(code: str) -> Reason:
    """Return the reason that ``code`` names, in words."""
    return Reason(code, SENTENCES.get(code, code.replace("_", " ").capitalize() + "."))


def advice_for(kind: FindingKind, reasons: Sequence[Reason]) -> tuple[str, ...]:
    """Say what to do after a finding, in order."""
    retake = (RETAKE[r.code] for r in reasons if r.code in RETAKE)
    return tuple(dict.fromkeys((*retake, *_NEXT[kind])))

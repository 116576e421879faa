import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp
from deployments import LABEL_PX, Deployment
from scenes import Pixels, Print, encoded, photographed, printed

from touchstone import __version__
from touchstone.engine import comparison
from touchstone.engine.image import DecodeLimits
from touchstone.engine.profile import Profile, profile_of
from touchstone.engine.wording import FindingKind
from touchstone.errors import (
    BadImageError,
    ImageTooLargeError,
    InvalidInputError,
    NotFoundError,
)
from touchstone.examination import LIMITATIONS
from touchstone.store import SpecimenKind
from touchstone.verification import MAX_PHOTOS

FACE = printed(1, size_px=LABEL_PX)
FORGED = FACE.without(FACE.first("ring", after=2)).reworded(0, "QXZKVW")
GTIN, OTHER_GTIN = "4006381333931", "5901234123457"


def photo(shown: Print | Pixels, *, seed: int = 0, blur: float = 0.5) -> bytes:
    frame = (600, 300)
    made = photographed(
        shown, tilt=0.08, turn=3 + seed, frame_px=frame, blur=blur, seed=seed
    )
    return encoded(made.pixels, "JPEG", quality=92)


# --- what is found --------------------------------------------------------------------


def test_a_genuine_print_is_consistent(deployment: Deployment) -> None:
    deployment.enrol(FACE)
    found = deployment.verify(photo(FACE))
    assert found.finding.kind is FindingKind.CONSISTENT_WITH_GENUINE
    assert found.product is not None
    assert found.product.product_id == "P-1"
    assert found.regions == ()


def test_a_forged_print_is_inconsistent_and_shown_where(deployment: Deployment) -> None:
    deployment.enrol(FACE)
    found = deployment.verify(photo(FORGED))
    assert found.finding.kind is FindingKind.INCONSISTENT_WITH_GENUINE
    assert found.finding.log10_lr is not None
    assert found.finding.log10_lr < 0
    x, y, width, height = FACE.elements[FACE.first("ring", after=2)].box
    middle = x + width / 2, y + height / 2
    assert any(
        r.x < middle[0] < r.x + r.width and r.y < middle[1] < r.y + r.height
        for r in found.regions
    )


def test_what_was_never_enrolled_has_no_reference(deployment: Deployment) -> None:
    deployment.enrol(FACE)
    found = deployment.verify(photo(printed(40, size_px=LABEL_PX)))
    assert found.finding.kind is FindingKind.NO_REFERENCE
    assert found.product is None
    assert found.finding.counterfeit_probability is None


def test_nothing_enrolled_is_never_consistent(deployment: Deployment) -> None:
    found = deployment.verify(photo(FACE))
    assert found.finding.kind is FindingKind.NO_REFERENCE


def test_a_known_counterfeit_is_named(deployment: Deployment) -> None:
    deployment.enrol(FACE)
    deployment.enrol(FORGED, kind=SpecimenKind.KNOWN_COUNTERFEIT)
    found = deployment.verify(photo(FORGED))
    assert found.finding.kind is FindingKind.MATCHES_KNOWN_COUNTERFEIT
    genuine = deployment.verify(photo(FACE))
    assert genuine.finding.kind is FindingKind.CONSISTENT_WITH_GENUINE


def test_the_print_of_another_product_than_declared_is_another_variant(
    deployment: Deployment,
) -> None:
    deployment.enrol(FACE, gtin=GTIN)
    variant = FindingKind.CONSISTENT_WITH_OTHER_VARIANT
    genuine = FindingKind.CONSISTENT_WITH_GENUINE

    def kind(**declared: str) -> FindingKind:
        found = deployment.verify(photo(FACE), caller=deployment.brand, **declared)
        return found.finding.kind

    assert kind(declared_product="P-1") is genuine
    assert kind(declared_product="P-2") is variant
    assert kind(declared_gtin=GTIN) is genuine
    assert kind(declared_gtin="0" + GTIN) is genuine
    assert kind(declared_gtin=OTHER_GTIN) is variant
    assert kind(declared_product="P-1", declared_gtin=OTHER_GTIN) is variant


def test_a_code_with_another_gtin_weighs_against_the_print(
    deployment: Deployment,
) -> None:
    code = zxingcpp.create_barcode(OTHER_GTIN, zxingcpp.BarcodeFormat.EAN13)
    bars = np.array(code.to_image(scale=2), np.uint8)[:60]
    labelled = FACE.pixels.copy()
    labelled[-60:, -bars.shape[1] :] = bars[..., None]
    deployment.enrol(labelled, "P-1", gtin=OTHER_GTIN)
    same = deployment.verify(photo(labelled))
    assert same.finding.kind is FindingKind.CONSISTENT_WITH_GENUINE
    deployment.enrol(np.ascontiguousarray(labelled[::-1]), "P-2")
    deployment.enrol(labelled, "P-3", caller=deployment.rival, gtin=GTIN)
    other = deployment.verify(photo(labelled), caller=deployment.rival)
    assert "other_gtin" in [reason.code for reason in other.finding.reasons]
    assert other.finding.log10_lr is not None
    assert same.finding.log10_lr is not None
    assert other.finding.log10_lr < same.finding.log10_lr


def test_a_variable_region_may_differ(deployment: Deployment) -> None:
    number = FACE.first("words")
    x, y, width, height = FACE.elements[number].box
    region = (max(0, x - 15), max(0, y - 15), width + 25, min(height + 30, 160 - y))
    deployment.enrol(FACE, variable_regions=(region,))
    other_lot = FACE.reworded(number, "QXZKVW")
    found = deployment.verify(photo(other_lot))
    assert found.finding.kind is FindingKind.CONSISTENT_WITH_GENUINE
    deployment.enrol(FACE, caller=deployment.rival)
    strict = deployment.verify(photo(other_lot), caller=deployment.rival)
    assert strict.finding.kind is not FindingKind.CONSISTENT_WITH_GENUINE


# --- several photos of one item -------------------------------------------------------


def test_a_print_is_profiled_for_lots_once_for_the_photo_that_decides(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def counted(*shown: Any) -> Profile:
        made.append(profile_of(*shown))
        return made[-1]

    monkeypatch.setattr(comparison, "profile_of", counted)
    deployment.enrol(FACE)
    found = deployment.parts.verifier.assess(
        deployment.brand, [photo(FACE), photo(FORGED, seed=1)], profiled=True
    )
    assert [one.to_bytes() for one in made] == [found.profile]
    deployment.verify(photo(FACE))
    assert len(made) == 1


def test_the_gravest_photo_stands_for_the_item(deployment: Deployment) -> None:
    deployment.enrol(FACE)
    deployment.enrol(printed(2, size_px=LABEL_PX), face="back")
    back = photo(printed(2, size_px=LABEL_PX))
    found = deployment.verify(back, photo(FORGED), photo(FACE))
    assert found.finding.kind is FindingKind.INCONSISTENT_WITH_GENUINE
    assert found.product is not None
    assert found.product.face == "front"
    record = json.loads(found.examination.record_json)
    assert record["decisive"] == 1
    assert [one["finding"]["kind"] for one in record["photos"]] == [
        "consistent_with_genuine",
        "inconsistent_with_genuine",
        "consistent_with_genuine",
    ]


def test_photos_of_different_products_clear_nobody(deployment: Deployment) -> None:
    other = printed(2, size_px=LABEL_PX)
    deployment.enrol(FACE, "P-1")
    deployment.enrol(other, "P-2")
    found = deployment.verify(photo(FACE), photo(other))
    assert found.finding.kind is FindingKind.INCONCLUSIVE
    assert [reason.code for reason in found.finding.reasons] == ["photos_disagree"]
    assert found.finding.log10_lr is None
    forged = deployment.verify(photo(other), photo(FORGED))
    assert forged.finding.kind is FindingKind.INCONSISTENT_WITH_GENUINE


def test_a_blank_second_photo_does_not_silence_the_first(
    deployment: Deployment,
) -> None:
    deployment.enrol(FACE)
    blank = encoded(np.full((300, 400, 3), 128, np.uint8))
    found = deployment.verify(blank, photo(FACE))
    assert found.finding.kind is FindingKind.CONSISTENT_WITH_GENUINE
    assert len(found.examination.photo_digests) == 2


# --- what is kept ---------------------------------------------------------------------


def test_a_bad_photo_refuses_all_and_leaves_no_trace(deployment: Deployment) -> None:
    deployment.enrol(FACE)
    before = deployment.kept()
    for bad in (b"no image", photo(FACE)[:900], b""):
        with pytest.raises(BadImageError):
            deployment.verify(photo(FACE), bad)
    assert deployment.kept() == before


def test_no_photo_and_too_many_are_refused(deployment: Deployment) -> None:
    before = deployment.kept()
    for photos in ([], [photo(FACE)] * (MAX_PHOTOS + 1)):
        with pytest.raises(InvalidInputError) as caught:
            deployment.verify(*photos)
        assert caught.value.field == "photos"
    with pytest.raises(InvalidInputError) as caught:
        deployment.verify(photo(FACE), declared_gtin="4006381333932")
    assert caught.value.field == "declared_gtin"
    assert deployment.kept() == before


def test_the_limits_of_the_deployment_are_kept(deployment: Deployment) -> None:
    verifier = replace(deployment.parts.verifier, limits=DecodeLimits(max_bytes=100))
    with pytest.raises(ImageTooLargeError):
        verifier.verify(deployment.brand, [photo(FACE)])


def test_the_record_names_all_that_could_have_made_another_answer(
    deployment: Deployment,
) -> None:
    enrolled = deployment.enrol(FACE)
    data = photo(FACE)
    examination = deployment.verify(data, declared_product="P-1").examination
    record = json.loads(examination.record_json)
    made_by = record["made_by"]
    catalogue = deployment.parts.catalogue
    assert made_by["model"] == catalogue.embedder.digest == examination.model_digest
    assert made_by["comparator"] == deployment.parts.verifier.comparator.digest
    assert made_by["index"] == catalogue.index_digest == examination.index_digest
    assert made_by["policy"] == deployment.parts.verifier.policy.digest
    assert made_by["code"] == __version__ == examination.code_version
    assert made_by["provider"] == "cpu"
    assert made_by["libraries"]["opencv"] == cv2.__version__
    assert record["photos"][0]["digest"] == sha256(data).hexdigest()
    examined = record["photos"][0]["examined"][0]
    assert examined["image_digest"] == enrolled.specimen.image_digest
    assert examined["reference_set_digest"] == enrolled.reference_set.digest
    assert record["declared"] == {"product_id": "P-1", "gtin": None}
    assert record["limitations"] == list(LIMITATIONS)
    assert deployment.blobs.get(examination.photo_digest) == data


def test_the_same_photo_twice_gives_the_same_record(deployment: Deployment) -> None:
    deployment.enrol(FACE)
    for shown in (FACE, FORGED, printed(40, size_px=LABEL_PX)):
        data = photo(shown)
        first, second = (deployment.verify(data).examination for _ in range(2))
        assert first.record_json == second.record_json
        assert first.record_digest == second.record_digest
        assert first.id != second.id


def test_what_is_read_back_is_what_was_found(deployment: Deployment) -> None:
    deployment.enrol(FACE)
    found = deployment.verify(photo(FORGED), declared_product="P-1")
    again = deployment.parts.verifier.read(deployment.brand, found.examination.id)
    assert again.elapsed_ms is None
    assert found.elapsed_ms is not None
    assert again.finding == found.finding
    assert again.regions == found.regions
    assert again.quality == found.quality
    assert again.product == found.product
    assert again.examination == found.examination


# --- who may see what -----------------------------------------------------------------


def test_an_authority_matches_what_is_granted_and_nothing_else(
    deployment: Deployment,
) -> None:
    enrolled = deployment.enrol(FACE)
    officer = deployment.officer
    hidden = deployment.verify(photo(FACE), caller=officer)
    assert hidden.finding.kind is FindingKind.NO_REFERENCE
    assert "P-1" not in hidden.examination.record_json
    deployment.share(enrolled)
    seen = deployment.verify(photo(FACE), caller=officer)
    assert seen.finding.kind is FindingKind.CONSISTENT_WITH_GENUINE
    deployment.unshare(enrolled)
    ended = deployment.verify(photo(FACE), caller=officer)
    assert ended.finding.kind is FindingKind.NO_REFERENCE


def test_an_examination_is_its_makers_alone(deployment: Deployment) -> None:
    deployment.enrol(FACE)
    made = deployment.verify(photo(FACE)).examination
    for other in (deployment.rival, deployment.officer):
        with pytest.raises(NotFoundError):
            deployment.parts.verifier.read(other, made.id)
    seen = deployment.parts.verifier.read(deployment.operator, made.id)
    assert seen.examination == made


# --- identification alone -------------------------------------------------------------


def test_identification_names_each_product_once_and_keeps_nothing(
    deployment: Deployment,
) -> None:
    deployment.enrol(FACE, "P-1")
    deployment.enrol(FORGED, "P-1", kind=SpecimenKind.KNOWN_COUNTERFEIT)
    for seed in range(2, 6):
        deployment.enrol(printed(seed, size_px=LABEL_PX), f"P-{seed}")
    before = deployment.kept()
    found = deployment.parts.verifier.identify(deployment.brand, photo(FACE), k=3)
    assert found[0].product.product_id == "P-1"
    names = [one.product.product_id for one in found]
    assert len(names) == len(set(names)) == 3
    similarities = [one.similarity for one in found]
    assert similarities == sorted(similarities, reverse=True)
    assert all(round(s, 2) == s for s in similarities), "vectors stay secret"
    assert deployment.kept() == before
    assert deployment.parts.verifier.identify(deployment.stranger, photo(FACE)) == []
    with pytest.raises(BadImageError):
        deployment.parts.verifier.identify(deployment.brand, b"no image")

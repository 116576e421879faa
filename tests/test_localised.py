"""Verification with a localiser in the models folder, and without."""

import json
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest
from deployments import LABEL_PX, Deployment
from scenes import Pixels, encoded, printed
from small_localiser import bright_is_print, manifest_of, write_localiser

from touchstone.bootstrap import build, open_localiser
from touchstone.engine.wording import FindingKind
from touchstone.errors import ModelError

MODEL = bright_is_print(level=140, shown=8)
FACE = printed(1, size_px=LABEL_PX)


def far_away(face: Pixels, *, at: tuple[int, int] = (60, 420)) -> bytes:
    """The face small in a corner of a dark photo."""
    photo = np.full((900, 1200, 3), 30, np.uint8)
    height, width = face.shape[:2]
    photo[at[1] : at[1] + height, at[0] : at[0] + width] = face
    noisy = cv2.GaussianBlur(photo, (0, 0), 0.6)
    return encoded(np.asarray(noisy, np.uint8), "JPEG", quality=92)


def seal(models: Path, *, without: str = "") -> None:
    digests = {
        file.name: sha256(file.read_bytes()).hexdigest()
        for file in models.iterdir()
        if not without or without not in file.name
    }
    (models / "manifest.json").write_text(json.dumps(digests))


@pytest.fixture
def localised(deployment: Deployment, own_models: Path) -> Deployment:
    write_localiser(own_models, MODEL)
    deployment.restart(models=own_models)
    return deployment


def photo_record(deployment: Deployment, data: bytes) -> dict[str, object]:
    record = json.loads(deployment.verify(data).examination.record_json)
    told: dict[str, object] = record["photos"][0]
    return told


def test_the_record_says_where_the_face_was_and_by_which_network(
    localised: Deployment,
) -> None:
    localised.enrol(FACE)
    data = far_away(FACE.pixels)
    record = json.loads(localised.verify(data).examination.record_json)
    assert record["made_by"]["localiser"] == manifest_of(MODEL).sha256
    face = record["photos"][0]["face"]
    assert face["confidence"] > 0.5
    corners = np.array(face["quad"])
    low, high = corners.min(axis=0), corners.max(axis=0)
    assert np.abs(low - (60, 420)).max() < 25
    assert np.abs(high - (60 + LABEL_PX[0], 420 + LABEL_PX[1])).max() < 25


def test_without_a_localiser_the_record_says_that_the_whole_photo_was_searched_with(
    deployment: Deployment,
) -> None:
    deployment.enrol(FACE)
    data = far_away(FACE.pixels)
    record = json.loads(deployment.verify(data).examination.record_json)
    assert record["made_by"]["localiser"] == ""
    assert record["photos"][0]["face"]["confidence"] == 0


def test_a_small_package_lies_nearer_to_its_reference_by_its_face(
    deployment: Deployment, own_models: Path
) -> None:
    deployment.enrol(FACE)
    data = far_away(FACE.pixels)
    by_photo = deployment.parts.verifier.identify(deployment.brand, data)[0].similarity
    write_localiser(own_models, MODEL)
    deployment.restart(models=own_models)
    by_face = deployment.parts.verifier.identify(deployment.brand, data)[0].similarity
    assert by_face > by_photo + 0.02
    found = deployment.verify(data)
    assert found.product is not None
    assert found.finding.kind is FindingKind.CONSISTENT_WITH_GENUINE


def test_what_was_taken_for_the_face_and_is_none_does_not_hide_the_package(
    localised: Deployment,
) -> None:
    # More references than are laid over a photo by one search, a bright card beside
    # the package, and a package that is darker than what passes for print.
    dark = np.asarray(FACE.pixels * 0.45, np.uint8)
    localised.enrol(dark, "P-dark")
    for number in range(30):
        localised.enrol(printed(100 + number, size_px=LABEL_PX), f"P-{number}")
    data = cv2.imdecode(
        np.frombuffer(far_away(dark, at=(40, 40)), np.uint8), cv2.IMREAD_COLOR_RGB
    )
    assert data is not None
    cv2.rectangle(data, (600, 500), (1100, 800), (245, 245, 245), -1)
    found = localised.verify(encoded(np.asarray(data, np.uint8), "JPEG", quality=92))
    assert found.product is not None
    assert found.product.product_id == "P-dark"


def test_a_blank_photo_is_still_answered(localised: Deployment) -> None:
    localised.enrol(FACE)
    for level in (0, 255):
        blank = np.full((300, 500, 3), level, np.uint8)
        found = localised.verify(encoded(blank, "JPEG", quality=90))
        assert found.finding.log10_lr is None


def test_the_same_photo_gives_the_same_record_with_a_localiser(
    localised: Deployment,
) -> None:
    localised.enrol(FACE)
    data = far_away(FACE.pixels)
    first, second = (localised.verify(data).examination for _ in range(2))
    assert first.record_json == second.record_json


def test_a_sealed_folder_that_names_no_localiser_does_without(
    deployment: Deployment, own_models: Path
) -> None:
    write_localiser(own_models, MODEL)
    seal(own_models, without="localiser")
    settings = deployment.settings.model_copy(update={"model_dir": own_models})
    assert open_localiser(settings) is None
    with build(settings) as parts:
        assert parts.verifier.localiser_digest == ""


@pytest.mark.parametrize("is_sealed", [True, False])
@pytest.mark.parametrize("name", ["localiser.onnx", "localiser.json"])
def test_a_localiser_that_was_altered_or_taken_away_is_refused(
    deployment: Deployment, own_models: Path, name: str, *, is_sealed: bool
) -> None:
    write_localiser(own_models, MODEL)
    if is_sealed:
        seal(own_models)
    settings = deployment.settings.model_copy(update={"model_dir": own_models})
    build(settings).close()
    path = own_models / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError):
        build(settings)
    path.unlink()
    if is_sealed or name.endswith("json"):
        with pytest.raises(ModelError, match=name):
            build(settings)


def test_a_policy_that_was_fitted_with_another_localiser_or_none_is_refused(
    deployment: Deployment, own_models: Path
) -> None:
    path = own_models / "calibration.json"
    fields = json.loads(path.read_bytes())
    settings = deployment.settings.model_copy(update={"model_dir": own_models})
    fitted_on = {"localiser": manifest_of(MODEL).sha256}
    path.write_text(json.dumps(fields | {"made_by": fitted_on}))
    with pytest.raises(ModelError, match="fitted on another localiser"):
        build(settings)
    write_localiser(own_models, MODEL)
    build(settings).close()
    path.write_text(json.dumps(fields | {"made_by": {"localiser": "none"}}))
    with pytest.raises(ModelError, match="fitted on another localiser"):
        build(settings)

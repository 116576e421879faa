"""Promises to users that no single module keeps: R5, R12, R13 and R14."""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from deployments import LABEL_PX, Deployment, damage, jpegs
from scenes import Pixels, encoded, photographed, printed

from touchstone.bootstrap import build
from touchstone.errors import ModelError
from touchstone.settings import Settings

PRODUCTS = 10


def hundred_photos() -> list[Pixels]:
    """Ten views of each product, every other one of a changed print."""
    random = np.random.default_rng(5)
    photos = []
    for number in range(100):
        face = printed(number % PRODUCTS, size_px=LABEL_PX)
        if number // PRODUCTS % 2:
            face = face.without(number % len(face.elements))
        made = photographed(
            face,
            tilt=float(random.uniform(-0.15, 0.15)),
            turn=float(random.uniform(-8, 8)),
            zoom=float(random.uniform(0.9, 1.1)),
            bend=float(random.choice([0.0, 0.5])),
            blur=float(random.uniform(0.3, 1.2)),
            frame_px=(560, 260),
            seed=number,
        )
        photos.append(made.pixels)
    return photos


def test_a_hundred_photos_give_the_same_records_after_a_restart(
    deployment: Deployment,
) -> None:
    # Promise R12: the same photo and the same versions, the same verdict.
    for seed in range(PRODUCTS):
        deployment.enrol(printed(seed, size_px=LABEL_PX), f"P-{seed}")
    deployment.parts.catalogue.save()
    photos = jpegs(hundred_photos())

    def records(order: list[int]) -> dict[int, str]:
        assess = deployment.parts.verifier.assess
        return {
            number: assess(deployment.brand, [photos[number]]).draft.record_json
            for number in order
        }

    before = records(list(range(100)))
    kinds = {json.loads(one)["finding"]["kind"] for one in before.values()}
    assert {"consistent_with_genuine", "inconsistent_with_genuine"} <= kinds
    deployment.restart()
    after = records(list(reversed(range(100))))
    changed = [number for number in before if before[number] != after[number]]
    assert changed == []


def test_a_damaged_model_is_never_run(deployment: Deployment, own_models: Path) -> None:
    # Promise R5; for snapshots of the index it is kept in test_catalogue.
    path = own_models / "embedder.onnx"
    whole = path.read_bytes()
    settings = deployment.settings.model_copy(update={"model_dir": own_models})
    for number in range(60):
        damage(path, number)
        with pytest.raises(ModelError, match="Restore the models folder"):
            build(settings)
        path.write_bytes(whole)


@pytest.mark.parametrize(
    "name", ["comparator.onnx", "calibration.json", "embedder.onnx"]
)
def test_no_damaged_file_of_a_sealed_folder_is_used(
    deployment: Deployment, own_models: Path, name: str
) -> None:
    seal = {f.name: sha256(f.read_bytes()).hexdigest() for f in own_models.iterdir()}
    (own_models / "manifest.json").write_text(json.dumps(seal))
    settings = deployment.settings.model_copy(update={"model_dir": own_models})
    build(settings).close()
    whole = (own_models / name).read_bytes()
    for number in range(70):
        damage(own_models / name, number)
        with pytest.raises(ModelError, match="Restore the models folder"):
            build(settings)
        (own_models / name).write_bytes(whole)


@pytest.mark.parametrize("name", ["embedder", "comparator"])
def test_a_policy_that_was_fitted_on_another_network_is_refused(
    deployment: Deployment, own_models: Path, name: str
) -> None:
    path = own_models / "calibration.json"
    fields = json.loads(path.read_bytes())
    path.write_text(json.dumps(fields | {"made_by": {name: "0" * 64}}))
    settings = deployment.settings.model_copy(update={"model_dir": own_models})
    with pytest.raises(ModelError, match=f"fitted on another {name}"):
        build(settings)


@pytest.mark.parametrize("name", ["embedder.json", "calibration.json"])
def test_a_cut_manifest_or_calibration_is_never_used(
    deployment: Deployment, own_models: Path, name: str
) -> None:
    path = own_models / name
    whole = path.read_bytes()
    settings = deployment.settings.model_copy(update={"model_dir": own_models})
    for number in range(0, 60, 2):
        damage(path, number)
        with pytest.raises(ModelError):
            build(settings)
        path.write_bytes(whole)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(),
    reason="this ONNX Runtime has a CUDA provider",
)
def test_what_cannot_run_on_the_gpu_does_not_start_and_auto_says_cpu(
    model_dir: Path, tmp_path: Path
) -> None:
    # Promise R14.
    data = tmp_path / "data"
    settings = Settings(data_dir=data, model_dir=model_dir, provider="cuda")
    with pytest.raises(ModelError, match="CUDA was asked for"):
        build(settings)
    assert not data.exists()
    with build(settings.model_copy(update={"provider": "auto"})) as parts:
        assert parts.catalogue.status().provider == "cpu"


_OFFLINE = """
import sys
from hashlib import sha256
from pathlib import Path

def refuse(event, arguments):
    if event.startswith("socket.") and event != "socket.gethostname":
        raise RuntimeError(f"{event} {arguments}")

sys.addaudithook(refuse)

from touchstone.bootstrap import build
from touchstone.enrolment import EnrolmentRequest
from touchstone.settings import Settings
from touchstone.store import ProductFields

data, models, image, photo, connects = sys.argv[1:]
with build(Settings(data_dir=Path(data), model_dir=Path(models))) as parts:
    caller = parts.store.ensure_local_operator()
    product = ProductFields("P-1", gtin="4006381333931")
    parts.enroller.enrol(caller, EnrolmentRequest(Path(image).read_bytes(), product))
    found = parts.verifier.verify(caller, [Path(photo).read_bytes()])
    parts.reviewer.pictures(caller, found.examination.id)
    parts.reviewer.replay(caller, found.examination.id)
    parts.catalogue.rebuild()
if connects == "yes":
    import socket
    socket.create_connection(("127.0.0.1", 9))
sys.stdout.write(found.finding.kind)
"""


@pytest.mark.parametrize("connects", ["no", "yes"])
def test_enrolling_and_verifying_open_no_socket(
    model_dir: Path, tmp_path: Path, connects: str
) -> None:
    # Promise R13; the second run shows that an attempt would be seen.
    face = printed(1, size_px=LABEL_PX)
    image, photo = tmp_path / "image.png", tmp_path / "photo.jpg"
    image.write_bytes(encoded(face.pixels))
    photo.write_bytes(
        encoded(photographed(face, turn=4, frame_px=(560, 260)).pixels, "JPEG")
    )
    arguments = [tmp_path / "data", model_dir, image, photo, connects]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _OFFLINE, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if connects == "yes":
        assert done.returncode != 0
        assert "RuntimeError: socket." in done.stderr
    else:
        assert done.stdout == "consistent_with_genuine", done.stderr

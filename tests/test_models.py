"""The shipped files: their digests, sizes, vectors, and what they find on scenes.

After another network was exported, what it gives is written anew by

    python tests/test_models.py
"""

import functools
import json
import math
import sys
import time
from dataclasses import fields
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from deployments import Deployment
from examined import seen_through
from numpy.typing import NDArray
from scenes import Pixels, encoded, photographed, printed

from touchstone.bootstrap import (
    build,
    open_comparator,
    open_embedder,
    open_localiser,
    open_policy,
)
from touchstone.cli.demonstration import demonstrate
from touchstone.engine.comparator import OnnxComparator
from touchstone.engine.comparison import MEASUREMENTS, Comparison, compare
from touchstone.engine.embedding import OnnxEmbedder, reference_views
from touchstone.engine.image import decode, resized
from touchstone.engine.localisation import POSSIBLE, OnnxLocaliser
from touchstone.engine.policy import Policy
from touchstone.engine.rates import Validation
from touchstone.engine.reference import frame_of
from touchstone.engine.wording import FindingKind
from touchstone.settings import Settings
from touchstone_training.benchmark.published import validation_document

MODELS = Path(__file__).parents[1] / "models"
README = (MODELS.parent / "README.md").read_text(encoding="utf-8")
GOLDEN = Path(__file__).parent / "golden" / "embedding.json"
TOLERANCE = 0.02
"""Of each number of a vector: int8 rounds a little differently on other CPUs, by up to
0.009 with kernels that do without VNNI."""
COMPARED_TOLERANCE = 0.05
"""Of each measurement, as above."""
NETWORKS = ("embedder", "comparator", "localiser")
MAX_EMBEDDER_BYTES = 12_000_000
MAX_BYTES = 25_000_000


@functools.cache
def embedder() -> OnnxEmbedder:
    return open_embedder(Settings(model_dir=MODELS, provider="cpu"))


@functools.cache
def policy() -> Policy:
    return open_policy(Settings(model_dir=MODELS))


def scenes() -> list[Pixels]:
    """Three procedural pictures: a print, a photo of one, and one on a bottle."""
    return [
        printed(1).pixels,
        photographed(printed(2), tilt=0.2, turn=12).pixels,
        photographed(printed(3), bend=0.6, turn=-100, light=0.3).pixels,
    ]


def golden_vectors() -> dict[str, Any]:
    vectors = embedder().embed(scenes())
    return {
        "model": embedder().digest,
        "provider": embedder().provider,
        "vectors": [[round(float(x), 5) for x in row] for row in vectors],
    }


def write_golden() -> None:
    """Take what the shipped networks give now for what they must give from now on."""
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(golden_vectors(), indent=1) + "\n")
    COMPARED.write_text(json.dumps(golden_comparison(), indent=1) + "\n")


# --- the files ------------------------------------------------------------------------


def test_the_embedder_is_the_file_that_its_manifest_names() -> None:
    manifest = json.loads((MODELS / "embedder.json").read_bytes())
    data = (MODELS / "embedder.onnx").read_bytes()
    assert sha256(data).hexdigest() == manifest["sha256"] == embedder().digest
    assert embedder().dim == manifest["dim"] == 256


def test_the_shipped_folder_is_sealed() -> None:
    seal = json.loads((MODELS / "manifest.json").read_bytes())
    networks = {f"{name}.{end}" for name in NETWORKS for end in ("onnx", "json")}
    assert set(seal) == networks | {"calibration.json", "validation.json"}
    for name, digest in seal.items():
        assert sha256((MODELS / name).read_bytes()).hexdigest() == digest, name


def test_the_validation_counts_are_those_of_the_evaluation() -> None:
    evaluation = json.loads((MODELS / "evaluation.json").read_bytes())
    counts = json.loads((MODELS / "validation.json").read_bytes())
    assert counts == validation_document(evaluation)
    validation = Validation.from_json((MODELS / "validation.json").read_bytes())
    policy = (MODELS / "calibration.json").read_bytes()
    assert validation.policy == sha256(policy).hexdigest()
    assert 0.0 < validation.false_call.mean < validation.sensitivity.mean < 1.0


def test_the_models_are_small_enough_to_ship() -> None:
    assert (MODELS / "embedder.onnx").stat().st_size <= MAX_EMBEDDER_BYTES
    assert sum(f.stat().st_size for f in MODELS.iterdir()) <= MAX_BYTES


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_names_no_folder_of_the_machine_that_exported_it(name: str) -> None:
    assert b"site-packages" not in (MODELS / f"{name}.onnx").read_bytes()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_one_sound_file_without_data_outside_it(name: str) -> None:
    model = onnx.load(MODELS / f"{name}.onnx", load_external_data=False)
    onnx.checker.check_model(model)
    for tensor in model.graph.initializer:
        assert tensor.data_location != onnx.TensorProto.EXTERNAL
    assert {opset.domain for opset in model.opset_import} <= {
        "",
        "ai.onnx",
        "ai.onnx.ml",
        "com.microsoft",
    }
    inputs = {
        "embedder": ["image"],
        "comparator": ["planes", "inside"],
        "localiser": ["frame"],
    }
    assert [one.name for one in model.graph.input] == inputs[name]


# --- the localiser --------------------------------------------------------------------


@functools.cache
def localiser() -> OnnxLocaliser:
    opened = open_localiser(Settings(model_dir=MODELS, provider="cpu"))
    assert opened is not None
    return opened


@pytest.mark.parametrize("turn", [0, 35, 90, 200, 290])
def test_the_localiser_finds_a_print_on_a_table_at_any_rotation(turn: int) -> None:
    made = photographed(printed(turn), tilt=0.15, turn=turn, zoom=0.7)
    width, height = printed(turn).size_px
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    expected = made.points(corners).astype(np.float32)
    face = localiser().locate(made.pixels)
    assert face.confidence > 0.5
    whole = np.hypot(*made.pixels.shape[:2])
    nearest = [np.linalg.norm(face.quad - corner, axis=1).min() for corner in expected]
    assert max(nearest) < 0.04 * whole


def test_the_localiser_finds_nothing_where_there_is_nothing() -> None:
    blank = np.full((480, 640, 3), 120, np.uint8)
    assert localiser().locate(blank).confidence < POSSIBLE
    assert localiser().locate(blank[:3]).confidence < 1


def test_a_face_is_found_within_the_time_it_may_take() -> None:
    photo = photographed(printed(2), tilt=0.2, turn=12).pixels
    spent = []
    for _ in range(20):
        began = time.perf_counter()
        localiser().locate(photo)
        spent.append(time.perf_counter() - began)
    assert min(spent) < 0.012  # 5 ms on a core of its own; tests share theirs


# --- the comparator -------------------------------------------------------------------

COMPARED = Path(__file__).parent / "golden" / "comparison.json"


@functools.cache
def comparator() -> OnnxComparator:
    return open_comparator(Settings(model_dir=MODELS, provider="cpu"))


def compared(*, is_changed: bool) -> Comparison:
    """A photograph of a print, or of one with an element moved, in its frame."""
    face = printed(1)
    shown = face.moved(face.first("block", after=6), dx=14, dy=0)
    photo = photographed(shown if is_changed else face, tilt=0.1, turn=5.0, zoom=1.05)
    frame = frame_of(face.size_px)
    seen, covered = seen_through(photo, frame)
    expected = resized(face.pixels, frame)
    return compare(expected, seen, covered, comparator=comparator())


def golden_comparison() -> dict[str, Any]:
    return {
        "model": comparator().digest,
        "measurements": [
            {name: round(value, 4) for name, value in one.measurements.items()}
            for one in (compared(is_changed=False), compared(is_changed=True))
        ],
    }


def test_the_comparator_gives_its_golden_numbers() -> None:
    golden = json.loads(COMPARED.read_bytes())
    assert golden["model"] == comparator().digest, "run: python tests/test_models.py"
    for found, wanted in zip(
        golden_comparison()["measurements"], golden["measurements"], strict=True
    ):
        assert found == pytest.approx(wanted, abs=COMPARED_TOLERANCE)


def test_the_comparator_sees_a_moved_element_and_nothing_in_a_genuine_print() -> None:
    genuine, changed = compared(is_changed=False), compared(is_changed=True)
    for name in ("learned_peak", "learned_top", "learned_whole"):
        assert changed.measurements[name] > genuine.measurements[name] + 1


# --- the embedder ---------------------------------------------------------------------


def test_the_embedder_gives_its_golden_vectors() -> None:
    golden = json.loads(GOLDEN.read_bytes())
    assert golden["model"] == embedder().digest, "run: python tests/test_models.py"
    found = embedder().embed(scenes())
    np.testing.assert_allclose(found, golden["vectors"], atol=TOLERANCE)


def test_a_batch_gives_what_single_pictures_give() -> None:
    together = embedder().embed(scenes())
    alone = np.concatenate([embedder().embed([one]) for one in scenes()])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_photos_find_their_print_among_others_at_any_turn() -> None:
    views = [embedder().embed(reference_views(printed(s).pixels)) for s in range(6)]

    def nearest(photo: Pixels) -> int:
        query: NDArray[np.float32] = embedder().embed([photo])[0]
        return int(np.argmax([float((rows @ query).max()) for rows in views]))

    turns = [0, 100, 190, 275, 20, 340]
    found = [
        nearest(photographed(printed(s), turn=turns[s], tilt=0.1, zoom=0.95).pixels)
        for s in range(6)
    ]
    assert found == list(range(6))


# --- the policy -----------------------------------------------------------------------


def test_the_policy_weighs_nothing_but_what_is_measured() -> None:
    of_match = {"similarity", "log_inliers", "coverage", "agreement", "chroma_gap"}
    of_match |= {"is_sift", "resolution", "followed"}
    of_evidence = {
        *MEASUREMENTS,
        *of_match,
        *("inlier_residual", "resolution", "sharpness", "glare_fraction"),
        *("dark_fraction", "face_contrast", "compared_fraction", "aspect_gap"),
        *("hidden_fraction", "outline_gap"),
    }
    assert {term.name for term in policy().identification.terms} <= of_match
    assert {term.name for term in policy().fusion.terms} <= of_evidence
    assert set(policy().quality_limits) <= of_evidence
    of_photo = {f"photo_{n}" for n in ("side_px", "sharpness", "contrast")}
    assert set(policy().photo_limits) <= of_photo | {"photo_dark", "photo_glare"}


def test_how_a_photo_was_taken_says_no_more_than_photos_do() -> None:
    of_photo = {"resolution", "sharpness", "inlier_residual", "compared_fraction"}
    held = [term for term in policy().fusion.terms if term.name in of_photo]
    assert {term.name for term in held} == of_photo
    for term in held:  # within what is usual, or nothing is held
        assert term.mean - 4 * term.std < term.least < term.mean < term.most


def test_the_policy_is_in_order() -> None:
    rules = policy()
    assert rules.log10_lr_floor < rules.inconsistent_log10_lr
    assert rules.inconsistent_log10_lr < rules.consistent_log10_lr < rules.log10_lr_cap
    assert rules.inconsistent_log10_lr < 0 < rules.consistent_log10_lr
    assert rules.other_gtin_log10_lr > 0
    assert rules.sibling_margin > 0
    ends = [end for end, _ in rules.bands]
    assert ends == sorted(ends)
    assert ends[-1] >= rules.log10_lr_cap
    for least, most in (*rules.quality_limits.values(), *rules.photo_limits.values()):
        assert least < most
    for term in (*rules.fusion.terms, *rules.identification.terms):
        assert term.std > 0
        assert term.least < term.most
        numbers = {field.name for field in fields(term)} - {"name", "least", "most"}
        assert all(np.isfinite(getattr(term, name)) for name in numbers)


def test_the_policy_and_the_evaluation_are_those_of_the_shipped_networks() -> None:
    made_by = json.loads((MODELS / "calibration.json").read_bytes())["made_by"]
    assert made_by["embedder"] == embedder().digest
    assert made_by["comparator"] == comparator().digest
    report = json.loads((MODELS / "evaluation.json").read_bytes())
    assert report["policy"] == policy().digest


def test_what_a_photo_can_make_by_itself_accuses_nobody() -> None:
    rules = policy()
    limited = [
        10**one.most_log10_lr
        for one in rules.fusion.experts
        if math.isfinite(one.most_log10_lr)
    ]
    assert len(limited) == 2
    least = max(rules.inconsistent_log10_lr, *rules.inconsistent_by_class.values())
    assert -math.log10(sum(limited)) > least


def test_a_photo_that_sees_more_must_show_more() -> None:
    rules = policy()
    (term,) = (t for t in rules.identification.terms if t.name == "resolution")
    assert term.weight < 0
    assert rules.doubt_logit < rules.accept_logit


def test_the_error_rates_behind_the_thresholds_are_told() -> None:
    assert policy().error_rates
    assert all(0 <= rate <= 1 for rate in policy().error_rates.values())


# --- what they find -------------------------------------------------------------------


@pytest.fixture(scope="module")
def found_kinds(shipped: Deployment) -> dict[str, list[FindingKind]]:
    """What the shipped models and policy find on genuine and on crudely forged."""
    genuine: list[FindingKind] = []
    forged: list[FindingKind] = []
    for seed in range(4):
        face = printed(seed)
        shipped.enrol(face, f"P-{seed}")
        crude = face.without(face.first("ring", after=6)).reworded(0, "QXZKVW")
        crude = crude.moved(crude.first("block", after=6), dx=14, dy=6)
        crude = crude.recoloured(crude.first("block"), (220, 30, 60))
        for shown, kinds in ((face, genuine), (crude, forged)):
            photo = photographed(shown, tilt=0.08, turn=4, zoom=1.05, seed=seed)
            data = encoded(photo.pixels, "JPEG", quality=92)
            assert decode(data).size_px == (640, 480)
            kinds.append(shipped.verify(data).finding.kind)
    return {"genuine": genuine, "forged": forged}


def test_genuine_scenes_are_not_called_inconsistent(
    found_kinds: dict[str, list[FindingKind]],
) -> None:
    kinds = found_kinds["genuine"]
    assert FindingKind.INCONSISTENT_WITH_GENUINE not in kinds
    assert FindingKind.NO_REFERENCE not in kinds


def test_crudely_forged_scenes_are_not_called_consistent(
    found_kinds: dict[str, list[FindingKind]],
) -> None:
    assert FindingKind.CONSISTENT_WITH_GENUINE not in found_kinds["forged"]


def test_the_samples_show_every_finding_and_none_that_harms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = Path(str(files("touchstone"))) / "samples"
    settings = Settings(data_dir=tmp_path, model_dir=MODELS, provider="cpu")
    demonstrate(samples, settings, json=True)
    results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {result["finding"] for result in results} == set(FindingKind)
    cleared = {result["truth"] for result in results if _clears(result["finding"])}
    accused = {result["truth"] for result in results if _accuses(result["finding"])}
    assert cleared == {"genuine"}
    assert accused == {"counterfeit"}
    shown = README.split("<!-- verdict -->")[1].split("```")[1].strip().splitlines()
    (told,) = (
        one for one in results if Path(one["image"]).name == shown[0].split(":")[0]
    )
    assert f": {told['finding']} (" in shown[0]
    assert f"log10 LR {told['log10_lr']:+.2f}: {told['strength']}" in shown[1]
    assert shown[2:-1] == [f"  {x}" for x in (*told["sentences"], *told["advice"])]


def spoilt(pixels: Pixels) -> dict[str, Pixels]:
    """What light, lens and sensor may do to a photo, and no forger."""
    noise = np.random.default_rng(0).normal(0, 20, pixels.shape)
    seen = {
        "out of focus": cv2.GaussianBlur(pixels, (0, 0), 2.5),
        "noisy": np.clip(pixels + noise, 0, 255),
        "by a warm lamp": pixels * np.array([1.0, 0.85, 0.6]),
        "hard": np.clip((pixels - 128.0) * 1.4 + 128, 0, 255),
    }
    return {name: np.asarray(one, np.uint8) for name, one in seen.items()}


def test_a_genuine_pack_is_not_accused_for_what_a_photo_did(tmp_path: Path) -> None:
    samples = Path(str(files("touchstone"))) / "samples"
    settings = Settings(data_dir=tmp_path, model_dir=MODELS, provider="cpu")
    with build(settings) as parts:
        caller = parts.store.ensure_local_operator()
        parts.enroller.enrol_csv(caller, samples / "references.csv")
        for path in sorted((samples / "photos").glob("genuine-*.jpg")):
            pixels = decode(path.read_bytes(), max_side_px=1280).pixels
            for name, photo in spoilt(pixels).items():
                found = parts.verifier.verify(caller, [encoded(photo)])
                kind = found.examination.finding
                assert not _accuses(kind), f"{path.name} {name}"


def _clears(finding: str) -> bool:
    return finding == FindingKind.CONSISTENT_WITH_GENUINE


def _accuses(finding: str) -> bool:
    return finding in {
        FindingKind.INCONSISTENT_WITH_GENUINE,
        FindingKind.MATCHES_KNOWN_COUNTERFEIT,
    }


if __name__ == "__main__":
    write_golden()
    sys.stdout.write(f"{GOLDEN} holds the vectors of {embedder().digest}\n")

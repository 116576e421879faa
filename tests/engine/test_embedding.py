import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from scenes import photographed, printed

from touchstone.engine.embedding import (
    LETTERBOX_GREY,
    VIEW_FILLS,
    EmbedderManifest,
    OnnxEmbedder,
    prepare,
    reference_views,
)
from touchstone.engine.onnx import open_session
from touchstone.errors import ModelError

HAS_CUDA = "CUDAExecutionProvider" in ort.get_available_providers()


@pytest.fixture(scope="module")
def model(model_dir: Path) -> bytes:
    return (model_dir / "embedder.onnx").read_bytes()


@pytest.fixture(scope="module")
def manifest(model_dir: Path) -> EmbedderManifest:
    return EmbedderManifest.from_json((model_dir / "embedder.json").read_bytes())


@pytest.fixture(scope="module")
def embedder(model: bytes, manifest: EmbedderManifest) -> OnnxEmbedder:
    return OnnxEmbedder.from_bytes(model, manifest, provider="cpu")


# --- the file that the manifest names, on the provider that was asked for -------------


def test_a_model_goes_by_the_digest_of_its_bytes(
    embedder: OnnxEmbedder, model: bytes
) -> None:
    assert embedder.digest == hashlib.sha256(model).hexdigest()


def test_another_file_than_the_manifest_names_is_refused(
    model: bytes, manifest: EmbedderManifest
) -> None:
    altered = bytearray(model)
    altered[len(model) // 2] ^= 1
    with pytest.raises(ModelError, match=manifest.sha256):
        OnnxEmbedder.from_bytes(bytes(altered), manifest, provider="cpu")
    with pytest.raises(ModelError, match="expected SHA-256"):
        OnnxEmbedder.from_bytes(model, replace(manifest, sha256="0" * 64))


def test_what_is_no_model_is_refused_though_its_digest_is_right(
    manifest: EmbedderManifest,
) -> None:
    garbage = b"no model"
    named = replace(manifest, sha256=hashlib.sha256(garbage).hexdigest())
    with pytest.raises(ModelError, match="ONNX Runtime refused"):
        OnnxEmbedder.from_bytes(garbage, named, provider="cpu")


@pytest.mark.skipif(HAS_CUDA, reason="this ONNX Runtime has a CUDA provider")
def test_cuda_that_is_not_there_is_refused_with_what_to_do(model: bytes) -> None:
    with pytest.raises(ModelError, match="install the `gpu` extra"):
        open_session(model, "cuda")


@pytest.mark.skipif(HAS_CUDA, reason="this ONNX Runtime has a CUDA provider")
def test_auto_says_what_really_runs(model: bytes, manifest: EmbedderManifest) -> None:
    assert OnnxEmbedder.from_bytes(model, manifest, provider="auto").provider == "cpu"


def test_an_unknown_provider_is_refused(model: bytes) -> None:
    with pytest.raises(ModelError, match="use auto, cpu or cuda"):
        open_session(model, "tpu")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        json.dumps({"name": "m", "version": "1", "sha256": "0", "input_px": "wide"}),
    ],
)
def test_a_manifest_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="manifest is not usable"):
        EmbedderManifest.from_json(text)


def test_a_manifest_without_one_of_its_fields_is_refused(model_dir: Path) -> None:
    fields = json.loads((model_dir / "embedder.json").read_bytes())
    for name in fields:
        lacking = {key: value for key, value in fields.items() if key != name}
        with pytest.raises(ModelError, match=name):
            EmbedderManifest.from_json(json.dumps(lacking))


@pytest.mark.parametrize(
    "fact",
    [
        {"dim": 65},
        {"input_px": 95},
        {"input_px": 0},
        {"mean": (float("nan"), 0.0, 0.0)},
        {"mean": (float("inf"), 0.0, 0.0)},
    ],
)
def test_a_manifest_that_does_not_fit_its_model_is_refused_at_the_start(
    model: bytes, manifest: EmbedderManifest, fact: dict[str, Any]
) -> None:
    with pytest.raises(ModelError, match="manifest says"):
        OnnxEmbedder.from_bytes(model, replace(manifest, **fact), provider="cpu")


@pytest.mark.parametrize("std", [[0, 1, 1], [1, -1, 1]])
def test_a_manifest_that_divides_by_nothing_is_refused(
    model_dir: Path, std: list[float]
) -> None:
    fields = json.loads((model_dir / "embedder.json").read_bytes())
    with pytest.raises(ModelError, match="std must be positive"):
        EmbedderManifest.from_json(json.dumps(fields | {"std": std}))


# --- vectors --------------------------------------------------------------------------


def test_vectors_have_unit_length(embedder: OnnxEmbedder) -> None:
    vectors = embedder.embed([printed(seed).pixels for seed in range(4)])
    assert vectors.shape == (4, embedder.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_batch_gives_what_single_pictures_give(embedder: OnnxEmbedder) -> None:
    # More than one batch, and sizes of all kinds.
    pictures = [
        printed(seed, size_px=(90 + 7 * seed, 180 - 3 * seed)).pixels
        for seed in range(19)
    ]
    together = embedder.embed(pictures)
    alone = np.concatenate([embedder.embed([picture]) for picture in pictures])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_the_same_picture_gives_the_same_vector(embedder: OnnxEmbedder) -> None:
    face = printed(3).pixels
    assert embedder.embed([face]).tobytes() == embedder.embed([face]).tobytes()


def test_no_picture_gives_no_vector(embedder: OnnxEmbedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.dim)


def test_a_photo_lies_closer_to_its_print_than_to_another(
    embedder: OnnxEmbedder,
) -> None:
    faces = embedder.embed([printed(seed).pixels for seed in range(5)])
    photos = embedder.embed(
        [photographed(printed(seed), zoom=1.3).pixels for seed in range(5)]
    )
    assert (photos @ faces.T).argmax(axis=1).tolist() == [0, 1, 2, 3, 4]


def _fed_with_bytes(model: bytes) -> bytes:
    """Put before ``model`` what the engine does to pictures for a model of floats."""
    made = onnx.load_from_string(model)
    graph = made.graph
    name = graph.input[0].name
    dims = graph.input[0].type.tensor_type.shape.dim
    batch, channels, *sides = [one.dim_param or one.dim_value for one in dims]
    graph.input[0].CopyFrom(
        helper.make_tensor_value_info(
            "pictures", TensorProto.UINT8, [batch, *sides, channels]
        )
    )
    steps = [
        helper.make_node("Transpose", ["pictures"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["values", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], [name]),
    ]
    for place, node in enumerate(steps):
        graph.node.insert(place, node)
    for constant, value in (("mean", 127.0), ("std", 128.0)):
        graph.initializer.append(
            numpy_helper.from_array(np.array(value, np.float32), constant)
        )
    return bytes(made.SerializeToString())


def test_a_model_of_bytes_is_fed_pictures_as_they_are(
    model: bytes, manifest: EmbedderManifest, embedder: OnnxEmbedder
) -> None:
    of_bytes = _fed_with_bytes(model)
    digest = hashlib.sha256(of_bytes).hexdigest()
    # Numbers that would show, were they used: this model normalises by its own.
    named = replace(manifest, sha256=digest, mean=(9.0,) * 3, std=(9.0,) * 3)
    other = OnnxEmbedder.from_bytes(of_bytes, named, provider="cpu")
    pictures = [printed(seed, size_px=(90 + 7 * seed, 180)).pixels for seed in range(3)]
    np.testing.assert_allclose(
        other.embed(pictures), embedder.embed(pictures), atol=1e-6
    )


# --- what a picture is made into ------------------------------------------------------


@given(st.integers(1, 300), st.integers(1, 300))
def test_the_letterbox_keeps_the_aspect_and_centres(width: int, height: int) -> None:
    side = 64
    framed = prepare(np.zeros((height, width, 3), np.uint8), input_px=side)
    assert framed.shape == (side, side, 3)
    inside = (framed == 0).all(axis=2)
    assert (framed[~inside] == LETTERBOX_GREY).all()
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    assert max(rows.size, columns.size) == side
    assert inside.sum() == rows.size * columns.size
    shorter = side * min(width, height) / max(width, height)
    assert abs(min(rows.size, columns.size) - max(1, shorter)) <= 0.5
    for used in (rows, columns):
        assert abs(int(used[0]) - (side - 1 - int(used[-1]))) <= 1


def test_a_reference_is_indexed_in_every_quarter_turn_and_amid_surroundings() -> None:
    face = printed(4, size_px=(200, 120)).pixels
    face[:3] = face[-3:] = 40  # print to the edges: nothing of it is ground
    face[:, :3] = face[:, -3:] = 40
    views = reference_views(face)
    assert len(views) == 4 * len(VIEW_FILLS)
    for turn in range(4):
        np.testing.assert_array_equal(views[turn], np.rot90(face, turn))
    amid = views[4]
    assert amid.shape[0] == amid.shape[1] == round(200 / VIEW_FILLS[1])
    assert (amid[0] == LETTERBOX_GREY).all()
    top, left = (amid.shape[0] - 120) // 2, (amid.shape[1] - 200) // 2
    np.testing.assert_array_equal(amid[top : top + 120, left : left + 200], face)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_some_view_of_a_reference_is_near_a_photo_of_any_turn(
    embedder: OnnxEmbedder, turn: int
) -> None:
    views = [embedder.embed(reference_views(printed(seed).pixels)) for seed in range(6)]
    photo = photographed(printed(2), turn=turn, frame_px=(480, 480), zoom=0.75).pixels
    query = embedder.embed([photo])[0]
    best = [float((rows @ query).max()) for rows in views]
    assert int(np.argmax(best)) == 2

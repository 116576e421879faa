"""The embedding network, its loss, and the ONNX file made of it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from touchstone.engine.embedding import EmbedderManifest, OnnxEmbedder
from touchstone.errors import ModelError
from touchstone_training.checkpoints import BEST, Checkpoint
from touchstone_training.data import Picture, PictureCache
from touchstone_training.embedder.export import (
    MAX_SIZE_BYTES,
    Provenance,
    _check_int8,
    export_embedder,
    stored,
    to_onnx,
)
from touchstone_training.embedder.losses import koleo, supervised_contrastive
from touchstone_training.embedder.model import (
    NORMALISATION,
    Architecture,
    EmbeddingNet,
    GeM,
    _fold,
    _untrained,
    build,
    freeze_stages,
    whiten,
)
from touchstone_training.embedder.retrieval import RetrievalSet
from touchstone_training.embedder.train import TrainConfig, embedder


@pytest.fixture(scope="module")
def net() -> EmbeddingNet:
    torch.manual_seed(0)
    return build("efficientnet_lite0", dim=32).eval()


@pytest.mark.parametrize("architecture", ["efficientnet_lite0", "mobilenet_v2"])
def test_embeddings_have_unit_length(architecture: Architecture) -> None:
    torch.manual_seed(0)
    net = build(architecture, dim=16).eval()
    with torch.inference_mode():
        vectors = net(torch.randn(2, 3, 64, 64))
    assert vectors.shape == (2, 16)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))


def test_folding_batch_norm_changes_nothing() -> None:
    torch.manual_seed(0)
    features = _untrained("efficientnet_lite0").eval()
    for module in features.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.rand(module.num_features) * 0.2 - 0.1
            module.running_var = torch.rand(module.num_features) * 0.4 + 0.8
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        before = features(image)
        _fold(features)
        after = features(image)
    assert not any(isinstance(one, nn.BatchNorm2d) for one in features.modules())
    torch.testing.assert_close(before, after, rtol=1e-3, atol=1e-5)


def test_initial_weights_are_read_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(1)
    features = _untrained("efficientnet_lite0").eval()
    state = {f"features.{key}": value for key, value in features.state_dict().items()}
    torch.save(state, tmp_path / "init.pth")
    net = build("efficientnet_lite0", init=str(tmp_path / "init.pth"))
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(
            net.features(image), features(image), rtol=1e-3, atol=1e-5
        )


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    state = {"features.0.weight": torch.zeros(3)}
    torch.save(state, tmp_path / "init.pth")
    with pytest.raises(ModelError, match="does not fit"):
        build("efficientnet_lite0", init=str(tmp_path / "init.pth"))


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"init\.pth"):
        build("efficientnet_lite0", init=str(tmp_path / "init.pth"))


def test_torchvision_weights_are_offered_for_mobilenet_only() -> None:
    with pytest.raises(ModelError, match="mobilenet_v2 only"):
        build("efficientnet_lite0", init="torchvision")


def test_gem_lies_between_mean_and_maximum() -> None:
    maps = torch.rand(1, 4, 5, 5)
    pooled = GeM()(maps)
    assert (pooled > maps.mean(dim=(2, 3))).all()
    assert (pooled < maps.amax(dim=(2, 3))).all()


def test_frozen_stages_receive_no_gradient() -> None:
    net = build("efficientnet_lite0", dim=8)
    freeze_stages(net, 3)
    net(torch.randn(1, 3, 32, 32)).sum().backward()
    stages = list(net.features.children())
    assert all(one.grad is None for one in stages[2].parameters())
    assert all(one.grad is not None for one in stages[3].parameters())


def test_whitening_gives_uncorrelated_outputs_of_equal_variance() -> None:
    torch.manual_seed(0)
    net = build("efficientnet_lite0", dim=4)
    features = torch.randn(3000, 6) @ torch.randn(6, 1280)
    whiten(net, features, shrinkage=0.0)
    with torch.no_grad():
        outputs = net.project(features)
    torch.testing.assert_close(outputs.mean(0), torch.zeros(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(outputs.T.cov(), torch.eye(4), atol=0.02, rtol=0)


def _views(noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    products = torch.randn(8, 16, generator=generator)
    moved = products + noise * torch.randn(8, 16, generator=generator)
    vectors = nn.functional.normalize(torch.cat([products, moved]))
    return vectors, torch.arange(8).repeat(2)


def test_the_loss_falls_as_views_of_one_product_meet() -> None:
    near, labels = _views(0.1)
    far, _ = _views(2.0)
    assert supervised_contrastive(
        near, labels, temperature=0.1
    ) < supervised_contrastive(far, labels, temperature=0.1)


def test_koleo_prefers_products_spread_out() -> None:
    labels = torch.arange(4)
    spread = torch.eye(4)
    crowded = nn.functional.normalize(torch.ones(4, 4) + 0.1 * torch.eye(4))
    assert koleo(spread, labels) < koleo(crowded, labels)


def _pictures(count: int) -> NDArray[np.uint8]:
    """Blots of colour, (count, 64, 64, 3): more like pictures than noise is."""
    coarse = np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


@pytest.fixture(scope="module")
def exported(net: EmbeddingNet) -> onnx.ModelProto:
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(weight.half().float())
    return to_onnx(net, NORMALISATION["efficientnet_lite0"], input_px=64)


def _vectors(model: bytes, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    (vectors,) = session.run(["embedding"], {"image": pictures})
    return np.asarray(vectors, np.float32)


@pytest.mark.filterwarnings("default")  # torch's exporter warns about itself
def test_the_onnx_file_is_small_self_contained_and_agrees(
    net: EmbeddingNet, exported: onnx.ModelProto
) -> None:
    model = stored(exported)
    assert len(model) < MAX_SIZE_BYTES
    graph = onnx.load_from_string(model).graph
    assert all(not one.external_data for one in graph.initializer)
    pictures = _pictures(3)
    expected = embedder(net, "efficientnet_lite0")(pictures)
    np.testing.assert_allclose(_vectors(model, pictures), expected, atol=1e-4)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PictureCache:
    artworks = [
        Picture(f"design:{n}", f"design:{n}", "artwork", pixels)
        for n, pixels in enumerate(_pictures(40))
    ]
    return PictureCache.write(tmp_path_factory.mktemp("cache"), artworks)


@pytest.mark.filterwarnings("default")  # torch's exporter warns about itself
def test_an_int8_release_says_what_it_is_and_what_it_cost(
    net: EmbeddingNet, exported: onnx.ModelProto, cache: PictureCache, tmp_path: Path
) -> None:
    provenance = {
        "config": asdict(TrainConfig(dim=32)),
        "seed": 0,
        "commit": "abc",
        "data_digest": cache.digest,
    }
    (tmp_path / "config.json").write_text(json.dumps(provenance))
    Checkpoint(net.state_dict(), 1, {}, provenance).write(tmp_path / BEST)
    views = list(_pictures(4))
    names = ["a", "b", "c", "d"]
    manifest = export_embedder(
        tmp_path,
        tmp_path,
        input_px=64,
        provenance=Provenance(version="1", init_source="none"),
        pictures=cache,
        sets=[RetrievalSet("four", names, views, names, views)],
    )
    assert manifest["precision"] == "int8"
    assert manifest["parity_max_difference"] < 1e-4
    assert 0.98 < manifest["int8"]["cosine_mean"] < 1
    assert manifest["metrics"].keys() == {"trained", "float32"}
    model = (tmp_path / "embedder.onnx").read_bytes()
    assert hashlib.sha256(model).hexdigest() == manifest["sha256"]
    assert len(model) == manifest["size_bytes"] < 0.7 * len(stored(exported))
    written = (tmp_path / "embedder.json").read_bytes()
    served = OnnxEmbedder.from_bytes(model, EmbedderManifest.from_json(written))
    assert served.embed(views).shape == (4, 32)


class _Fixed:
    """Embeds every picture to the vector that it was made with."""

    digest = "0" * 64
    dim = 2
    provider = "cpu"

    def __init__(self, *vector: float) -> None:
        self._vector = np.array([vector], np.float32)

    def embed(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return self._vector.repeat(len(pictures), axis=0)


def test_int8_that_costs_too_much_is_refused() -> None:
    pictures = _pictures(2)
    assert _check_int8(_Fixed(1, 0), _Fixed(1, 0), pictures)["cosine_mean"] == 1
    with pytest.raises(ModelError, match="int8 costs too much"):
        _check_int8(_Fixed(1, 0), _Fixed(0.9, 0.436), pictures)
    with pytest.raises(ModelError, match="int8 costs too much"):
        _check_int8(_Fixed(1, 0), _Fixed(float("nan"), 0), pictures)

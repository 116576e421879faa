"""The embedding network, its loss, and the ONNX file made of it."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from touchstone.errors import ModelError
from touchstone_training.embedder.export import MAX_SIZE_BYTES, to_onnx
from touchstone_training.embedder.losses import koleo, supervised_contrastive
from touchstone_training.embedder.model import (
    Architecture,
    EmbeddingNet,
    GeM,
    _fold,
    _untrained,
    build,
    freeze_stages,
    whiten,
)


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


@pytest.mark.filterwarnings("default")  # torch's exporter warns about itself
def test_the_onnx_file_is_small_self_contained_and_agrees(net: EmbeddingNet) -> None:
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(weight.half().float())
    model = to_onnx(net, input_px=64)
    assert len(model) < MAX_SIZE_BYTES
    graph = onnx.load_from_string(model).graph
    assert all(not one.external_data for one in graph.initializer)
    image = torch.randn(3, 3, 64, 64)
    with torch.inference_mode():
        expected = net(image).numpy()
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    (vectors,) = session.run(["embedding"], {"image": image.numpy()})
    np.testing.assert_allclose(vectors, expected, atol=1e-4)

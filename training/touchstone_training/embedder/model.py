"""The embedding network: a compact backbone, GeM pooling, a projection, a sphere.

::

    image (N, 3, S, S) ─ features ─ (N, 1280, S/32, S/32) ─ GeM ─ project ─ (N, dim)

BatchNorm is folded into the convolutions before training begins. With statistics
frozen (batches here are small and of two kinds, references and photographs) the folded
network is the same function, trains 1.5 times faster on a CPU, and is what the ONNX
file holds.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import MobileNet_V2_Weights, MobileNetV2, mobilenet_v2

from touchstone.errors import ModelError

Architecture = Literal["efficientnet_lite0", "mobilenet_v2"]

FEATURES = 1280

_SETTLING_PICTURES = 16

_LITE0 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 40, 2, 2),
    (6, 80, 3, 2),
    (6, 112, 3, 1),
    (6, 192, 4, 2),
    (6, 320, 1, 1),
)
_LITE0_5X5 = (4, 5, 9, 10, 11, 12, 13, 14, 15)
"""Blocks whose depthwise convolution is 5x5 in EfficientNet-Lite0."""


@dataclass(frozen=True, slots=True)
class Normalisation:
    """How pixels 0..255 become the network's input: (pixel - mean) / std."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


NORMALISATION: dict[Architecture, Normalisation] = {
    "efficientnet_lite0": Normalisation((127.0,) * 3, (128.0,) * 3),
    "mobilenet_v2": Normalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}


class GeM(nn.Module):
    """Generalised-mean pooling with a learned exponent (Radenovic et al., 2018)."""

    def __init__(self, exponent: float = 3.0) -> None:
        super().__init__()
        self.exponent = nn.Parameter(torch.tensor(exponent))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Pool (N, C, H, W) to (N, C)."""
        powered = maps.clamp(min=1e-6).pow(self.exponent)
        return powered.mean(dim=(2, 3)).pow(1 / self.exponent)


class EmbeddingNet(nn.Module):
    """Normalised pictures to unit vectors."""

    def __init__(self, features: nn.Module, *, dim: int) -> None:
        super().__init__()
        self.features = features
        self.pool = GeM()
        self.project = nn.Linear(FEATURES, dim)

    def pooled(self, image: torch.Tensor) -> torch.Tensor:
        """Return the unit (N, 1280) vectors before the projection."""
        return functional.normalize(self.pool(self.features(image).float()))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Embed (N, 3, S, S) to (N, dim) of unit length."""
        return functional.normalize(self.project(self.pooled(image)))


def build(
    architecture: Architecture, *, dim: int = 256, init: str | None = None
) -> EmbeddingNet:
    """Build the network in evaluation mode, BatchNorm folded.

    Args:
        architecture: the backbone.
        dim: length of the embedding.
        init: path of a backbone state dict, ``torchvision`` to download torchvision's
            ImageNet weights of MobileNetV2, or None for random weights.

    Raises:
        ModelError: the weights cannot be read or do not fit.
    """
    features = _backbone(architecture, init)
    if init is None:
        _settle(features)
    _fold(features.eval())
    features.requires_grad_(requires_grad=True)  # folding makes biases without it
    return EmbeddingNet(features, dim=dim).to(memory_format=torch.channels_last)


def freeze_stages(net: EmbeddingNet, count: int) -> None:
    """Keep the first ``count`` blocks as they are; edges and blobs need no lesson."""
    stages = list(net.features.children())[:count]
    for stage in stages:
        stage.requires_grad_(requires_grad=False)


def whiten(net: EmbeddingNet, features: torch.Tensor, *, shrinkage: float) -> None:
    """Set the projection to the shrunk PCA whitening of ``features``.

    A projection that starts here, not at random, starts ahead of the bare backbone.

    Args:
        net: its ``project`` is overwritten.
        features: (n, 1280) as ``pooled`` gives them, n larger than dim.
        shrinkage: share of the mean variance added to each; 0 whitens fully.
    """
    mean = features.mean(0)
    _, spread, axes = torch.linalg.svd(features - mean, full_matrices=False)
    dim = net.project.out_features
    variance = spread[:dim].square() / len(features)
    scale = (variance + shrinkage * variance.mean() + 1e-12).rsqrt()
    weight = axes[:dim] * scale[:, None]
    with torch.no_grad():
        net.project.weight.copy_(weight)
        net.project.bias.copy_(-weight @ mean)


def _backbone(architecture: Architecture, init: str | None) -> nn.Sequential:
    if init == "torchvision":
        if architecture != "mobilenet_v2":
            raise ModelError("torchvision has weights for mobilenet_v2 only.")
        return _features(mobilenet_v2(weights=MobileNet_V2_Weights.DEFAULT))
    features = _untrained(architecture)
    if init is not None:
        _load(features, Path(init))
    return features


def _untrained(architecture: Architecture) -> nn.Sequential:
    if architecture == "mobilenet_v2":
        return _features(mobilenet_v2(weights=None))
    net = MobileNetV2(
        inverted_residual_setting=[list(row) for row in _LITE0],
        norm_layer=partial(nn.BatchNorm2d, eps=1e-3),
    )
    for block in _LITE0_5X5:
        depthwise = net.features[block].conv[1]
        old = depthwise[0]
        depthwise[0] = nn.Conv2d(
            old.in_channels, old.out_channels, 5, old.stride, 2,
            groups=old.groups, bias=False,
        )  # fmt: skip
        nn.init.kaiming_normal_(depthwise[0].weight, mode="fan_out")
    return _features(net)


def _features(net: MobileNetV2) -> nn.Sequential:
    features: nn.Sequential = net.features
    return features


def _load(features: nn.Module, path: Path) -> None:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        features.load_state_dict(
            {
                name.removeprefix("features."): value.float()
                if value.is_floating_point()
                else value
                for name, value in state.items()
                if name.startswith("features.")
            }
        )
    except (OSError, RuntimeError, AttributeError) as error:
        raise ModelError(f"{path} does not fit the backbone: {error}") from error


def _settle(features: nn.Module) -> None:
    """Give random weights BatchNorm statistics that keep every layer's scale.

    Without them the folded network fades to zero long before its last layer.
    """
    norms = [one for one in features.modules() if isinstance(one, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    coarse = torch.randn(_SETTLING_PICTURES, 3, 8, 8)
    with torch.no_grad():
        features.train()(functional.interpolate(coarse, size=96, mode="bilinear"))


def _fold(module: nn.Module) -> None:
    """Fold each BatchNorm into the convolution before it, in place."""
    children = list(module.named_children())
    for (name, child), (after, following) in pairwise(children):
        if isinstance(child, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(child, following))
            setattr(module, after, nn.Identity())
    for child in module.children():
        _fold(child)

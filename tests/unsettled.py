"""Networks whose normalisation is as after training: of any mean and scale."""

import torch
from torch import nn


def as_after_training(net: nn.Module, *, seed: int) -> None:
    """Give each batch normalisation of ``net`` statistics and weights of its own."""
    torch.manual_seed(seed)
    for one in net.modules():
        if isinstance(one, nn.BatchNorm2d):
            one.running_mean = torch.empty(one.num_features).uniform_(-0.3, 0.3)
            one.running_var = torch.empty(one.num_features).uniform_(0.5, 2.0)
            nn.init.uniform_(one.weight, 0.5, 1.5)
            nn.init.uniform_(one.bias, -0.2, 0.2)

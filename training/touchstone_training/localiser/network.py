"""The network: one frame to two maps and a number.

Plain convolutions with ReLU (they run fast in int8): down to a thirty-second of the
frame, where each place sees all of it and can tell the package from what lies about,
and back to a quarter for where its edges are.
"""

from typing import TypeAlias

import torch
from torch import nn
from torch.nn import functional

from touchstone.engine.localisation import MAPS

MIDDLE, RANGE = 128.0, 64.0
"""What bytes are centred on, and divided by: in int8 the bytes themselves."""

Answers: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Log odds of print and of corners, (n, 2, H/4, W/4), and of a face at all, (n,)."""


def _convolution(before: int, after: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class _Block(nn.Module):
    """Two convolutions with a way around them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _convolution(width, width)
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return functional.relu(maps + self.second(self.first(maps)))


class LocaliserNet(nn.Module):
    """Frames, (n, 3, H, W) with H and W multiples of 32, centred and scaled."""

    def __init__(
        self, widths: tuple[int, int, int, int, int] = (16, 24, 48, 96, 128)
    ) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth, last = widths
        self.stem = _convolution(3, half, stride=2)
        self.quarter = nn.Sequential(
            _convolution(half, quarter, stride=2), _Block(quarter)
        )
        self.eighth = nn.Sequential(
            _convolution(quarter, eighth, stride=2), _Block(eighth), _Block(eighth)
        )
        self.sixteenth = nn.Sequential(
            _convolution(eighth, sixteenth, stride=2),
            _Block(sixteenth),
            _Block(sixteenth),
        )
        self.last = nn.Sequential(
            _convolution(sixteenth, last, stride=2), _Block(last), _Block(last)
        )
        self.from_last = nn.Conv2d(last, sixteenth, 1)
        self.from_sixteenth = nn.Conv2d(sixteenth, eighth, 1)
        self.from_eighth = nn.Conv2d(eighth, quarter, 1)
        self.join = _convolution(quarter, quarter)
        self.maps = nn.Conv2d(quarter, MAPS, 1)
        self.shown = nn.Linear(last, 1)
        self.maps.bias = nn.Parameter(torch.tensor([-1.0, -4.0]))

    def forward(self, values: torch.Tensor) -> Answers:
        """Answer for frames whose bytes were centred on 128 and divided by 64."""
        quarter = self.quarter(self.stem(values))
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        last = self.last(sixteenth)
        sixteenth = functional.relu(sixteenth + _doubled(self.from_last(last)))
        eighth = functional.relu(eighth + _doubled(self.from_sixteenth(sixteenth)))
        quarter = functional.relu(quarter + _doubled(self.from_eighth(eighth)))
        shown = self.shown(last.float().mean((2, 3)))[:, 0]
        return self.maps(self.join(quarter)), shown


def _doubled(maps: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="nearest")


def centred(canvas: torch.Tensor) -> torch.Tensor:
    """Frames as bytes by pixel, (n, H, W, 3), to what the network takes."""
    return (canvas.permute(0, 3, 1, 2).float() - MIDDLE) / RANGE

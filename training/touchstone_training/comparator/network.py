"""The network: an aligned pair to a map of differences, and what the whole may be.

Early fusion: both pictures enter the first layer together, as what counts is their
difference at each place. Plain convolutions with ReLU (they run fast in int8), a
pyramid to a sixteenth, there the mean of the whole face is told to every place (one ink
is off only against what the camera did to all of them), and back to a quarter of the
frame for the map.
"""

from typing import TypeAlias

import torch
from torch import nn
from torch.nn import functional

from touchstone.engine.comparator import WAYS

STRIDE = 4
"""Frame pixels per cell of the map."""
PLANES = 7
"""expected (3), seen (3), valid (1); 0 to 255."""
MIDDLE, RANGE = 127.5, 64.0
"""What the planes are centred on, and divided by."""
_MOSTLY = 0.5
_TOP = 24
"""Cells of the map that speak for the whole: a letter of small print has as many."""
_LEVELS, _STEEP = (-4.0, -2.0, 0.0, 2.0, 4.0), 4.0
"""Log odds over which cells are counted, and how sharply."""
SUSPICIONS = 3 + len(_LEVELS) + 1
"""Numbers of the map that the whole is judged by."""
HIDDEN = 192
"""Of the layer between them, with the means of the features, and the answers."""

Answer: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Log odds of each cell, (N, H/4, W/4), and of the print as a whole, then of each of
`WAYS`, (N, 5)."""


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


def _convolution(
    before: int, after: int, *, side: int = 3, stride: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(
            before, after, side, stride=stride, padding=(side - 1) // 2, bias=False
        ),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class ComparatorNet(nn.Module):
    """Planes of an aligned pair, (N, 7, H, W) with H and W multiples of 16."""

    def __init__(self, widths: tuple[int, int, int, int] = (32, 32, 64, 128)) -> None:
        super().__init__()
        first, quarter, eighth, sixteenth = widths
        self.stem = _convolution(PLANES, first, side=4, stride=2)
        self.quarter = nn.Sequential(
            _convolution(first, quarter, stride=2), _Block(quarter)
        )
        self.eighth = nn.Sequential(
            _convolution(quarter, eighth, stride=2), _Block(eighth), _Block(eighth)
        )
        self.sixteenth = nn.Sequential(
            _convolution(eighth, sixteenth, stride=2), _Block(sixteenth)
        )
        self.context = nn.Linear(sixteenth, sixteenth)
        self.with_context = _Block(sixteenth)
        self.from_sixteenth = nn.Conv2d(sixteenth, eighth, 1)
        self.from_eighth = nn.Conv2d(eighth, quarter, 1)
        self.join = _convolution(quarter, quarter)
        self.cells = nn.Conv2d(quarter, 1, 1)
        self.about = nn.Linear(SUSPICIONS + sixteenth + eighth + quarter, HIDDEN)
        self.whole = nn.Linear(HIDDEN, 1 + len(WAYS))
        self.cells.bias = nn.Parameter(torch.full((1,), -4.0))  # most is as it should

    def forward(self, planes: torch.Tensor) -> Answer:
        """Answer for (N, 7, H, W), 0 to 255, of any numeric type."""
        return self.above(*self._read(planes))

    def above(self, stem: torch.Tensor, valid: torch.Tensor) -> Answer:
        """Answer from what the stem gives, (N, C, H/2, W/2), and the cells' shares.

        Args:
            stem: of the planes.
            valid: (N, 1, H/4, W/4), how much of each cell can be compared, 0 to 1.
        """
        cells, means = self._maps(stem, valid)
        return cells[:, 0], self.judged(_summary(cells, means, valid))

    def summary(self, planes: torch.Tensor) -> torch.Tensor:
        """Return what `judged` goes by, of planes as `forward` takes them.

        Returns:
            (N, `SUSPICIONS` + 224): of the map, and means of the features.
        """
        stem, valid = self._read(planes)
        return _summary(*self._maps(stem, valid), valid)

    def judged(self, summary: torch.Tensor) -> torch.Tensor:
        """Return the log odds of the whole and of each of `WAYS`, (N, 5).

        All go through one hidden layer; `judging` says which numbers each goes by.
        """
        answer: torch.Tensor = self.whole(functional.relu(self.about(summary)))
        return answer

    def _read(self, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the stem gives, and the cells' shares, see `above`."""
        values = (planes.float() - MIDDLE) / RANGE
        valid = functional.avg_pool2d(planes[:, 6:7].float() / 255, STRIDE)
        return self.stem(values), valid

    def _maps(
        self, stem: torch.Tensor, valid: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return log odds of the cells, (N, 1, h, w), and means of the features."""
        quarter = self.quarter(stem)
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        told = self.context(_mean(sixteenth, functional.avg_pool2d(valid, 4)))
        sixteenth = self.with_context(
            functional.relu(sixteenth + told[:, :, None, None])
        )
        about = [
            _mean(sixteenth, functional.avg_pool2d(valid, 4)),
            _mean(eighth, functional.avg_pool2d(valid, 2)),
            _mean(quarter, valid),
        ]
        eighth = functional.relu(eighth + _doubled(self.from_sixteenth(sixteenth)))
        quarter = functional.relu(quarter + _doubled(self.from_eighth(eighth)))
        cells = self.cells(self.join(quarter)).float()
        return cells, torch.cat(about, dim=1).float()


def _summary(
    cells: torch.Tensor, means: torch.Tensor, valid: torch.Tensor
) -> torch.Tensor:
    """See `ComparatorNet.summary`; of log odds, (N, 1, h, w), and the cells' shares.

    The most suspicious cell, the mean of a few such and the worst patch; how many lie
    over each level; and among how many, of which the worst is the worse the more there
    are.
    """
    compared = valid > _MOSTLY
    cells = torch.where(compared, cells, torch.full_like(cells, -12.0))
    ranked = cells.flatten(1).topk(_TOP, dim=1).values
    patch = functional.avg_pool2d(cells, 3, 1, 1, count_include_pad=False).flatten(1)
    most = [ranked[:, 0], ranked.mean(1), patch.amax(1)]
    over = [torch.sigmoid(_STEEP * (cells - level)) for level in _LEVELS]
    numbers = [one.sum((1, 2, 3)).log1p() for one in (*over, compared.float())]
    return torch.cat([torch.stack([*most, *numbers], dim=1) / 4, means], dim=1)


def _mean(maps: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(N, C): mean of (N, C, h, w) where ``weight``, (N, 1, h, w)."""
    return (maps * weight).sum((2, 3)) / (weight.sum((2, 3)) + 1e-3)


def _doubled(maps: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="nearest")

"""The engine's relighting (`touchstone.engine.normalisation`) of many pairs, in torch.

What the comparator is trained on must have been through the same arithmetic as what
it will be asked about. A test holds the two together.
"""

import math

import torch
from torch.nn import functional

Levels = torch.Tensor
"""(N, 3, H, W) float32, 0 to 255."""

_OFFSET, _STRIDE, _RANKS, _MIN_ROWS = 12.0, 23, 33, 64
_LINE_RIDGE, _BEND_RIDGE = 0.066, 0.5
_LUMA = (0.299, 0.587, 0.114)


def relit(reference: Levels, photo: Levels, valid: torch.Tensor) -> Levels:
    """Give each reference the tone and the light of its photo.

    Args:
        reference: as enrolled.
        photo: in the reference's frame.
        valid: (N, 1, H, W), 1 where compared, else 0.
    """
    toned = _toned(reference, photo, valid)
    return _lit(toned, photo, valid).round().clamp(0, 255)


def _toned(reference: Levels, photo: Levels, valid: torch.Tensor) -> Levels:
    """Bend each channel so that equal ranks of both become equal levels."""
    rows = [one.flatten(2)[:, :, ::_STRIDE] for one in (reference, photo, valid)]
    x, y, inside = rows
    before, after = (_at_ranks(one.round(), inside) for one in (x, y))
    log_x, log_y = torch.log(before + _OFFSET), torch.log(after + _OFFSET)
    mean_x, mean_y = log_x.mean(2, keepdim=True), log_y.mean(2, keepdim=True)
    centred = log_x - mean_x
    joint = (centred * (log_y - mean_y)).sum(2, keepdim=True)
    spread = (centred * centred).sum(2, keepdim=True)
    slope = ((joint + _LINE_RIDGE) / (spread + _LINE_RIDGE)).clamp(0.4, 2.5)
    offset = mean_y - slope * mean_x
    rest = after - (torch.exp(slope * log_x + offset) - _OFFSET)
    powers = torch.arange(4, device=x.device)
    basis = (before[..., None] / 255) ** powers  # (N, 3, ranks, 4)
    ridge = _BEND_RIDGE * torch.eye(4, device=x.device)
    weights = torch.linalg.solve(
        basis.mT @ basis + ridge, basis.mT @ rest[..., None]
    )  # (N, 3, 4, 1)
    power = torch.exp(
        slope[..., None] * torch.log(reference + _OFFSET) + offset[..., None]
    )
    share = reference / 255
    bend = torch.zeros_like(reference)
    for number in reversed(range(4)):
        bend = bend * share + weights[:, :, number, :, None]
    return power - _OFFSET + bend


def _at_ranks(levels: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """(N, 3, ranks): the levels of `_RANKS` ranks from 2 to 98 % of (N, 3, n)."""
    ranks = torch.linspace(0.02, 0.98, _RANKS, device=levels.device)
    counts = (inside > 0).sum(2, keepdim=True)  # (N, 1, 1)
    hidden = torch.where(inside > 0, levels, torch.full_like(levels, 1e4))
    # Between two levels by how many lie below, as the engine's histogram has it.
    ordered = hidden.sort(2).values.contiguous()
    wanted = ranks[None, None] * counts
    steps = (
        torch.arange(256, device=levels.device).float().expand(*levels.shape[:2], 256)
    )
    below = torch.searchsorted(ordered, steps.contiguous(), right=True).float()
    above = torch.searchsorted(
        below, wanted.expand(*below.shape[:2], _RANKS).contiguous()
    )
    high = above.clamp(1, 255)
    low = high - 1
    first, second = below.gather(2, low), below.gather(2, high)
    part = (wanted - first) / (second - first).clamp(min=1)
    found = (low + part.clamp(0, 1)) * (above > 0)
    ramp = (255 * ranks).expand_as(found)
    return torch.where(counts < _MIN_ROWS, ramp, found)


_GAIN_RIDGE, _GAP_USUAL, _MOST_TINT, _SHRINK = 250.0, 25.0, 20.0, 4


def _lit(toned: Levels, photo: Levels, valid: torch.Tensor) -> Levels:
    size = (toned.shape[2], toned.shape[3])
    e, s, v = (functional.avg_pool2d(one, _SHRINK) for one in (toned, photo, valid))
    luma_e, luma_s = _luma(e), _luma(s)
    long = max(e.shape[2:])
    weight = v
    gain = veil = torch.zeros(())
    for _ in range(2):
        products = [luma_e, luma_s, luma_e * luma_e, luma_e * luma_s]
        means = _smooth(torch.cat(products, dim=1), weight, long / 11)
        mean_e, mean_s, mean_ee, mean_es = means.chunk(4, dim=1)
        prior = (mean_s / mean_e.clamp(min=8)).clamp(0.3, 1.8)
        joint = mean_es - mean_e * mean_s + _GAIN_RIDGE * prior
        gain = (joint / (mean_ee - mean_e * mean_e + _GAIN_RIDGE)).clamp(0.25, 2.0)
        veil = mean_s - gain * mean_e
        gap = luma_s - (gain * luma_e + veil).clamp(0, 255)
        weight = v / (1 + (gap / _GAP_USUAL) ** 2)
    lit = (gain * e + veil).clamp(0, 255)
    tint = (s - lit).clamp(-_MOST_TINT, _MOST_TINT)
    veils = veil + _smooth(tint, weight, long / 3)
    return toned * _large(gain, size) + _large(veils, size)


def _luma(levels: Levels) -> torch.Tensor:
    weights = torch.tensor(_LUMA, device=levels.device)
    return torch.einsum("c,nchw->nhw", weights, levels)[:, None]


def _large(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return functional.interpolate(maps, size=size, mode="bilinear")


def _smooth(maps: torch.Tensor, weight: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur where ``weight``, normalised; small, as the blur is wide."""
    height, width = weight.shape[2:]
    shrink = max(1, min(8, int(sigma / 2)))
    small = max(8, height // shrink), max(8, width // shrink)
    scaled = sigma * small[1] / width
    both = torch.cat([maps * weight, weight], dim=1)
    both = functional.interpolate(both, size=small, mode="area")
    both = _blurred(both, scaled)
    ratios = both[:, :-1] / (both[:, -1:] + 1e-4)
    return _large(ratios, (height, width))


def _blurred(maps: torch.Tensor, sigma: float) -> torch.Tensor:
    for axis in (2, 3):
        reach = min(math.ceil(4 * sigma), maps.shape[axis] - 1)
        steps = torch.arange(-reach, reach + 1, device=maps.device).float()
        kernel = torch.exp(-((steps / sigma) ** 2) / 2)
        kernel = kernel / kernel.sum()
        pad = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)  # noqa: PLR2004
        edged = functional.pad(maps, pad, mode="reflect")
        shape = (1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1)  # noqa: PLR2004
        weights = kernel.reshape(shape).repeat(maps.shape[1], 1, 1, 1)
        maps = functional.conv2d(edged, weights, groups=maps.shape[1])
    return maps

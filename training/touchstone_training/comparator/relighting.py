"""The engine's relighting (`touchstone.engine.normalisation`) of many pairs, in torch.

What the comparator is trained on must have been through the same arithmetic as what
it will be asked about. A test holds the two together.
"""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

Levels = torch.Tensor
"""(N, 3, H, W) float32, 0 to 255."""

_STRIDE, _RANKS, _MIN_ROWS = 23, 33, 64
_GAMMA, _EXPONENTS, _DARKEST = 2.2, (0.8, 1.1, 1.5, 2.2, 3.0, 4.0), 2e-3
_TONE_RIDGE, _USUAL, _EXPONENT_RIDGE, _FLARE_RIDGE, _BEND_RIDGE = (
    2e-3,
    0.1,
    3e-5,
    6.0,
    0.5,
)
_LUMA = (0.299, 0.587, 0.114)


def relit(reference: Levels, photo: Levels, valid: torch.Tensor) -> Levels:
    """Give each reference the tone and the light of its photo.

    Args:
        reference: as enrolled.
        photo: in the reference's frame.
        valid: (N, 1, H, W), 1 where compared, else 0.
    """
    tone = _Tone.between(reference, photo, valid)
    return _lit(reference, tone, photo, valid).round().clamp(0, 255)


@dataclass(frozen=True, slots=True)
class _Tone:
    """Of each channel, so that equal ranks of both pictures become equal levels."""

    curve: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    """Gain, flare and exponent, each (N, 3, 1, 1)."""
    bend: torch.Tensor
    """(N, 3, 4): the cubic beyond the curve."""

    @staticmethod
    def between(reference: Levels, photo: Levels, valid: torch.Tensor) -> "_Tone":
        """Fit what makes levels of ``photo`` of those of ``reference``."""
        rows = [one.flatten(2)[:, :, ::_STRIDE] for one in (reference, photo, valid)]
        x, y, inside = rows
        before, after = (_at_ranks(one.round(), inside) for one in (x, y))
        gain, flare, exponent = _curve(before, after)
        rest = after - _along(before, gain, flare, exponent)
        powers = torch.arange(4, device=x.device)
        basis = (before[..., None] / 255) ** powers  # (N, 3, ranks, 4)
        ridge = _BEND_RIDGE * torch.eye(4, device=x.device)
        weights = torch.linalg.solve(
            basis.mT @ basis + ridge, basis.mT @ rest[..., None]
        )
        return _Tone(
            (gain[..., None], flare[..., None], exponent[..., None]), weights[..., 0]
        )

    def of(self, levels: Levels) -> Levels:
        """Give the tone to ``levels``."""
        share = levels / 255
        bend = torch.zeros_like(levels)
        for number in reversed(range(4)):
            bend = bend * share + self.bend[:, :, number, None, None]
        return _along(levels, *self.curve) + bend


def _curve(
    before: torch.Tensor, after: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Fit ``after`` ** k = gain * ``before`` ** 2.2 + flare to (N, 3, ranks).

    Returns gain, flare and k, each (N, 3, 1), of the best of `_EXPONENTS`. In double
    precision: the darkest levels, to the fourth power, are nothing in single.
    """
    x = (before.double() / 255) ** _GAMMA
    y = (after.double() / 255).clamp(min=_DARKEST)
    tried = []
    for k in _EXPONENTS:
        t, w = y**k, (k * y ** (k - 1)) ** -2
        ridge = _TONE_RIDGE * w.mean(2)
        at_half = (k * 0.5 ** (k - 1)) ** -2
        s_xx, s_x = (w * x * x).sum(2) + ridge, (w * x).sum(2)
        s = w.sum(2) + _FLARE_RIDGE * at_half
        s_t = (w * t).sum(2)
        usual = (t.mean(2) + _USUAL) / (x.mean(2) + _USUAL)
        s_xt = (w * x * t).sum(2) + ridge * usual
        gain = ((s_xt * s - s_t * s_x) / (s_xx * s - s_x * s_x)).clamp(min=1e-3)
        flare = (s_t - gain * s_x) / s
        light = (gain[..., None] * x + flare[..., None]).clamp(min=1e-6)
        gap = ((light ** (1 / k) - y) ** 2).mean(2)
        gap = gap + _EXPONENT_RIDGE * math.log(k / _GAMMA) ** 2
        tried.append((gap, gain, flare, torch.full_like(gain, k)))
    gaps, *fits = (torch.stack(parts, dim=2) for parts in zip(*tried, strict=True))
    best = gaps.argmin(2, keepdim=True)
    gain, flare, exponent = (one.gather(2, best).float() for one in fits)
    return gain, flare, exponent


def _along(
    levels: torch.Tensor, gain: torch.Tensor, flare: torch.Tensor, k: torch.Tensor
) -> torch.Tensor:
    light = (gain * (levels / 255) ** _GAMMA + flare).clamp(min=1e-6)
    return 255 * light ** (1 / k)


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


def _lit(reference: Levels, tone: _Tone, photo: Levels, valid: torch.Tensor) -> Levels:
    size = (reference.shape[2], reference.shape[3])
    r, s, v = (functional.avg_pool2d(one, _SHRINK) for one in (reference, photo, valid))
    e = tone.of(r)
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
    return tone.of(reference) * _large(gain, size) + _large(veils, size)


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

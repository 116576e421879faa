"""References as people enrol them, of many pairs on the device that trains.

What `touchstone_training.simulator.scanning` does to one picture: half of the
references are artwork, the others scans and catalogue pictures, smaller, softer,
sharpened, and of another tone and colour.
"""

import torch
from torch.nn import functional

from touchstone_training.comparator.darkroom import Chance, Pictures, jpeg
from touchstone_training.simulator.scanning import CHANNEL_BEND

_SCANNED = 0.5
_MOST_SHRINK = 2.5
"""Of the compared frame's side: a scan of 260 px is shown in a frame of 640."""
_LUMA = (0.299, 0.587, 0.114)


def scans(references: Pictures, chance: Chance) -> Pictures:
    """Scan a part of ``references``, (N, 3, H, W) of 0 to 1 with sides of 16s."""
    scanned = references
    for change in (_soft, _recoloured, _toned, _sharpened):
        scanned = change(scanned, chance)
    quality = chance.uniform(62, 97, len(references), 1, 1, 1)
    scanned = jpeg(scanned.clamp(0, 1), quality)
    return references + chance.some(_SCANNED, len(references)) * (scanned - references)


def _soft(pictures: Pictures, chance: Chance) -> Pictures:
    """Shrink all by one factor and enlarge again, each only so far as chance says."""
    height, width = pictures.shape[2:]
    factor = _MOST_SHRINK ** float(chance.uniform(0, 1, 1))
    small = max(8, round(height / factor)), max(8, round(width / factor))
    shrunk = functional.interpolate(pictures, size=small, mode="area")
    large = functional.interpolate(shrunk, size=(height, width), mode="bilinear")
    much = chance.uniform(0.3, 1.0, len(pictures), 1, 1, 1)
    return pictures + much * (large - pictures)


def _recoloured(pictures: Pictures, chance: Chance) -> Pictures:
    count = len(pictures)
    device = pictures.device
    grey = torch.tensor(_LUMA, device=device).expand(3, 3)
    vivid = torch.exp(0.05 + chance.normal(0.15, count, 1, 1))
    matrix = grey + vivid * (torch.eye(3, device=device) - grey)
    matrix = matrix + chance.normal(0.03, count, 3, 3)
    matrix = matrix / matrix.sum(2, keepdim=True)  # white stays white
    return torch.einsum("nij,njhw->nihw", matrix, pictures)


def _toned(pictures: Pictures, chance: Chance) -> Pictures:
    count = len(pictures)
    black = chance.uniform(-0.05, 0.07, count, 1, 1, 1)
    white = chance.uniform(0.9, 1.04, count, 1, 1, 1)
    bend = chance.normal(0.16, count, 1, 1, 1)
    bend = bend + chance.normal(CHANNEL_BEND, count, 3, 1, 1)
    level = ((pictures - black) / (white - black)).clamp(1e-3, 1) ** torch.exp(bend)
    contrast = chance.uniform(-0.2, 0.6, count, 1, 1, 1)
    return level + contrast * level * (1 - level) * (2 * level - 1)


def _sharpened(pictures: Pictures, chance: Chance) -> Pictures:
    count = len(pictures)
    soft = functional.avg_pool2d(
        pictures, 3, stride=1, padding=1, count_include_pad=False
    )
    amount = chance.some(0.7, count) * chance.uniform(0.1, 1.2, count, 1, 1, 1)
    return pictures + amount * (pictures - soft)

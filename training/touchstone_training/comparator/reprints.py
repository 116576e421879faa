"""Other prints of many faces at once, in torch: what a press or copyist makes of them.

The same as `touchstone_training.simulator.printing` makes of one, near enough; and
changes of a place that need no artwork. Faces are (N, 3, H, W) float32 in [0, 1].
"""

import math

import torch
from torch.nn import functional

from touchstone_training.comparator.darkroom import Chance, Pictures, jpeg

_FULL_SIDE_PX = 1400
"""Sizes on paper are stated for a face of this long side."""
_SCREEN_DEG = (15.0, 75.0, 0.0, 45.0)
VISIBLE = 12 / 255
"""A change of fewer levels is none."""


def scale_of(faces: Pictures, zoom: float = 1.0) -> float:
    """Pixels of ``faces`` per pixel of a face 1,400 px long."""
    return max(faces.shape[2:]) * zoom / _FULL_SIDE_PX


# --- colours --------------------------------------------------------------------------

_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_WHITE = (0.950456, 1.0, 1.088754)


def to_lab(faces: Pictures) -> torch.Tensor:
    """CIELAB (D65): L* 0 to 100, a* and b* signed."""
    linear = torch.where(
        faces > 0.04045,  # noqa: PLR2004 (IEC 61966-2-1)
        ((faces.clamp(min=0) + 0.055) / 1.055) ** 2.4,
        faces / 12.92,
    )
    matrix = torch.tensor(_TO_XYZ, device=faces.device)
    white = torch.tensor(_WHITE, device=faces.device)[None, :, None, None]
    xyz = torch.einsum("ij,njhw->nihw", matrix, linear) / white
    cubed = torch.where(
        xyz > 0.008856,  # noqa: PLR2004 (CIE 15)
        xyz.clamp(min=1e-6) ** (1 / 3),
        7.787 * xyz + 16 / 116,
    )
    x, y, z = cubed.chunk(3, dim=1)
    return torch.cat([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def from_lab(lab: torch.Tensor) -> Pictures:
    """CIELAB back to RGB; colours out of gamut are clipped."""
    lightness, a, b = lab.chunk(3, dim=1)
    y = (lightness + 16) / 116
    cubed = torch.cat([y + a / 500, y, y - b / 200], dim=1)
    xyz = torch.where(cubed > 0.206893, cubed**3, (cubed - 16 / 116) / 7.787)  # noqa: PLR2004
    white = torch.tensor(_WHITE, device=lab.device)[None, :, None, None]
    inverse = torch.linalg.inv(torch.tensor(_TO_XYZ, device=lab.device))
    linear = torch.einsum("ij,njhw->nihw", inverse, xyz * white).clamp(0, 1)
    return torch.where(
        linear > 0.0031308,  # noqa: PLR2004 (IEC 61966-2-1)
        1.055 * linear.clamp(min=1e-6) ** (1 / 2.4) - 0.055,
        12.92 * linear,
    )


# --- within tolerance -----------------------------------------------------------------


def genuine(faces: Pictures, chance: Chance, *, scale: float) -> Pictures:
    """Print on a press that is in order: dot gain, registration, drift, grain."""
    count = len(faces)
    gain = chance.uniform(0.0, 0.12, count, 3, 1, 1)
    faces = faces - gain * faces * (1 - faces)
    reach = 0.3 * max(0.5, scale)
    shift = chance.normal(reach, count, 3, 2).clamp(-2 * reach, 2 * reach)
    faces = _shifted(faces, shift)
    drift = chance.normal(1.0, count, 3, 1, 1).clamp(-2, 2)
    spread = torch.tensor([0.8, 0.5, 0.6], device=faces.device)[None, :, None, None]
    lab = to_lab(faces) + drift * spread
    grain = chance.normal(1.0, count, 1, *faces.shape[2:])
    rough = 0.6 * chance.field((5, 5), (faces.shape[2], faces.shape[3]), count)
    lab = lab + torch.cat([grain * 0.7 + rough, *(torch.zeros_like(grain),) * 2], 1)
    return from_lab(lab)


def _shifted(faces: Pictures, shift: torch.Tensor) -> Pictures:
    """Move each channel by its own (N, 3, 2) pixels."""
    count, channels, height, width = faces.shape
    planes = faces.reshape(count * channels, 1, height, width)
    size = torch.tensor([width, height], device=faces.device)
    matrix = torch.zeros(count * channels, 2, 3, device=faces.device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = 1
    matrix[:, :, 2] = shift.reshape(-1, 2) * 2 / size
    grid = functional.affine_grid(matrix, [*planes.shape], align_corners=False)
    moved = functional.grid_sample(
        planes, grid, padding_mode="border", align_corners=False
    )
    return moved.reshape(faces.shape)


# --- the whole is another -------------------------------------------------------------


def cast(faces: Pictures, chance: Chance, severity: torch.Tensor) -> Pictures:
    """Off colour as a whole; severity (N, 1, 1, 1), see ``simulator.printing``."""
    count = len(faces)
    turn = chance.uniform(0, 2 * math.pi, count, 1, 1, 1)
    reach = 1 + 20 * severity
    lab = to_lab(faces)
    lightness = lab[:, :1] + chance.normal(3.0, count, 1, 1, 1) * severity
    fade = 1 + chance.uniform(-0.25, 0.1, count, 1, 1, 1) * severity
    chroma = lab[:, 1:] + reach * torch.cat([turn.cos(), turn.sin()], dim=1)
    return from_lab(torch.cat([lightness, chroma * fade], dim=1))


def rescan(
    faces: Pictures, chance: Chance, severity: torch.Tensor, *, scale: float
) -> Pictures:
    """Scanned at low resolution, compressed and printed again."""
    made = [
        _rescanned(face[None], chance, float(much), scale)
        for face, much in zip(faces, severity.flatten(), strict=True)
    ]
    return torch.cat(made)


def _rescanned(
    face: Pictures, chance: Chance, severity: float, scale: float
) -> Pictures:
    factor = (1.3 + 3.2 * severity + float(chance.uniform(0, 0.3, 1))) * scale
    height, width = face.shape[2:]
    factor = max(1.05, factor)
    small = [max(16, 16 * round(side / factor / 16)) for side in (height, width)]
    scan = functional.interpolate(face, size=small, mode="area")
    quality = torch.full((1, 1, 1, 1), 88 - 45 * severity, device=face.device)
    scan = jpeg(scan, quality)
    lift = 1 - 0.12 * severity * float(chance.uniform(0.5, 1.0, 1))
    scan = scan * lift + (1 - lift) * 110 / 255
    large = functional.interpolate(scan, size=(height, width), mode="bicubic")
    return large.clamp(0, 1)


def halftone(
    faces: Pictures, chance: Chance, severity: torch.Tensor, *, scale: float
) -> Pictures:
    """Printed through a screen whose dots can be seen: cyan, magenta, yellow, black."""
    count, _, height, width = faces.shape
    pitch = ((2.2 + 3.8 * severity) * scale).clamp(min=1.6)
    ink = 1 - faces
    black = ink.amin(dim=1, keepdim=True) ** 2
    x = torch.arange(width, device=faces.device).float()[None, None, None, :]
    y = torch.arange(height, device=faces.device).float()[None, None, :, None]
    paper = torch.ones_like(faces)
    askew = chance.uniform(0, math.pi / 2, count, 1, 1, 1)
    for number, degrees in enumerate(_SCREEN_DEG):
        plane = black if number == 3 else ink[:, number : number + 1] - black  # noqa: PLR2004
        turn = askew + math.radians(degrees)
        step = 2 * math.pi / pitch
        u = step * (turn.cos() * x + turn.sin() * y)
        v = step * (turn.cos() * y - turn.sin() * x)
        screen = 0.5 - (u.cos() + v.cos()) / 4
        dots = ((plane - screen) * pitch / 1.6 + 0.5).clamp(0, 1)
        dots = torch.where(plane > 0.97, torch.ones_like(dots), dots)  # noqa: PLR2004
        dots = torch.where(plane < 0.05, torch.zeros_like(dots), dots)  # noqa: PLR2004
        absorbed = 1 - 0.96 * dots
        if number == 3:  # noqa: PLR2004
            paper = paper * absorbed
        else:
            paper[:, number : number + 1] *= absorbed
    strength = 0.4 + 0.45 * severity
    return (faces * (1 - strength) + paper * strength).clamp(0, 1)


def inkjet(
    faces: Pictures, chance: Chance, severity: torch.Tensor, *, scale: float
) -> Pictures:
    """Printed by an office machine: scattered dots, ink that bleeds into the paper."""
    count, _, height, width = faces.shape
    grain = max(1.0, 1.6 * scale)
    small = max(8, round(height / grain)), max(8, round(width / grain))
    noise = chance.uniform(-0.5, 0.5, count, 3, *small)
    noise = functional.interpolate(noise, size=(height, width), mode="bilinear")
    ink = 1 - faces
    wet = functional.avg_pool2d(ink, 3, stride=1, padding=1)
    bled = torch.maximum(ink, wet * (0.6 + 0.4 * severity))
    scatter = (ink * (1 - ink) * 4).clamp(0, 1).sqrt()
    dots = bled + noise * scatter * (0.15 + 0.45 * severity)
    shifted = 1 - dots.clamp(0, 1)
    banding = torch.sin(
        torch.arange(height, device=faces.device).float()[None, None, :, None]
        * (2 * math.pi / max(4.0, 14 * scale))
        + chance.uniform(0, 6.3, count, 1, 1, 1)
    )
    return (shifted + 0.03 * severity * banding * ink).clamp(0, 1)


# --- one place is another -------------------------------------------------------------


def altered(faces: Pictures, chance: Chance, severity: torch.Tensor) -> Pictures:
    """Change one to three rectangles of each face, in one of several ways.

    Moved, resized, mirrored, another colour, heavier or lighter strokes, blurred, or
    left out. Not every face has something there: compare to know.
    """
    for number in range(3):
        part = chance.some(0.55, len(faces)) if number else torch.ones_like(severity)
        boxes = _boxes(faces, chance, severity) * part
        ways = torch.stack(
            [
                _displaced(faces, chance, boxes, severity),
                _displaced(faces, chance, boxes, severity),
                _inked(faces, chance, severity),
                _inked(faces, chance, severity),
                _heavier(faces, chance, severity),
                _smeared(faces, chance),
                _emptied(faces, boxes),
            ]
        )
        chosen = (
            chance.uniform(0, len(ways), len(faces)).long().clamp(max=len(ways) - 1)
        )
        other = ways[chosen, torch.arange(len(faces), device=faces.device)]
        faces = faces + boxes * (other - faces)
    return faces.clamp(0, 1)


def _boxes(faces: Pictures, chance: Chance, severity: torch.Tensor) -> torch.Tensor:
    """(N, 1, H, W): 1 inside a random rectangle, larger the greater the severity."""
    count, _, height, width = faces.shape
    long = max(height, width)
    half = (
        long
        * 0.012
        * torch.exp(chance.uniform(0, 1.6, count, 1, 1, 1) + 1.2 * severity)
    )
    shape = torch.exp(chance.uniform(-0.9, 0.9, count, 1, 1, 1))
    half_w, half_h = half / shape, half * shape
    x = torch.arange(width, device=faces.device).float()[None, None, None, :]
    y = torch.arange(height, device=faces.device).float()[None, None, :, None]
    cx = chance.uniform(0.03, 0.97, count, 1, 1, 1) * width
    cy = chance.uniform(0.03, 0.97, count, 1, 1, 1) * height
    return ((x - cx).abs() < half_w).float() * ((y - cy).abs() < half_h).float()


def _displaced(
    faces: Pictures, chance: Chance, boxes: torch.Tensor, severity: torch.Tensor
) -> Pictures:
    """What stands beside, or the same resized or mirrored about the box's middle."""
    count, _, height, width = faces.shape
    grid = functional.affine_grid(
        torch.eye(2, 3, device=faces.device).repeat(count, 1, 1),
        [*faces.shape],
        align_corners=False,
    )
    inside = boxes.permute(0, 2, 3, 1)
    total = inside.sum((1, 2), keepdim=True) + 1e-6
    middle = (grid * inside).sum((1, 2), keepdim=True) / total
    reach = 2 * 0.075 * severity.permute(0, 2, 3, 1).clamp(min=0.08)
    turn = chance.uniform(0, 2 * math.pi, count, 1, 1, 1)
    shift = torch.cat([turn.cos(), turn.sin() * width / height], dim=3) * reach
    kind = chance.uniform(0, 1, count, 1, 1, 1)
    resize = 1 + chance.normal(0.12, count, 1, 1, 1) * (0.4 + reach)
    mirrored = torch.cat([-torch.ones_like(kind), torch.ones_like(kind)], dim=3)
    factor = torch.where(kind < 0.5, torch.ones_like(mirrored), mirrored)  # noqa: PLR2004
    factor = torch.where(kind < 0.8, factor, resize)  # noqa: PLR2004
    moved = torch.where(kind < 0.5, shift, torch.zeros_like(shift))  # noqa: PLR2004
    places = middle + (grid - middle) * factor + moved
    return functional.grid_sample(
        faces, places, padding_mode="reflection", align_corners=False
    )


def _inked(faces: Pictures, chance: Chance, severity: torch.Tensor) -> Pictures:
    count = len(faces)
    way = chance.normal(1.0, count, 3, 1, 1)
    way = way * torch.tensor([0.6, 1, 1], device=faces.device)[None, :, None, None]
    way = way / way.norm(dim=1, keepdim=True) * (3 + 28 * severity)
    # Paper stays paper: ink alone is another.
    share = (1 - faces.amin(dim=1, keepdim=True)).clamp(0, 0.25) * 4
    return from_lab(to_lab(faces) + way * share)


def _heavier(faces: Pictures, chance: Chance, severity: torch.Tensor) -> Pictures:
    reach = 3
    dark = -functional.max_pool2d(-faces, reach, stride=1, padding=reach // 2)
    light = functional.max_pool2d(faces, reach, stride=1, padding=reach // 2)
    much = (0.35 + 0.65 * severity).clamp(0, 1)
    other = torch.where(chance.some(0.5, len(faces)) > 0, dark, light)
    return faces + much * (other - faces)


def _smeared(faces: Pictures, chance: Chance) -> Pictures:
    small = functional.avg_pool2d(faces, 4, ceil_mode=True)
    soft = functional.interpolate(small, size=faces.shape[2:], mode="bilinear")
    return soft + chance.normal(0.004, len(faces), 3, 1, 1)


def _emptied(faces: Pictures, boxes: torch.Tensor) -> Pictures:
    """The ground around a box, all over it."""
    around = functional.max_pool2d(boxes[:, :, ::4, ::4], 9, stride=1, padding=4)
    rim = (around - boxes[:, :, ::4, ::4]).clamp(0, 1)
    small = faces[:, :, ::4, ::4]
    mean = (small * rim).sum((2, 3), keepdim=True) / (
        rim.sum((2, 3), keepdim=True) + 1e-6
    )
    return mean.expand_as(faces)

"""Photography of many prints at once, in torch: on a GPU, or slowly on a CPU.

The comparator never sees a photograph, only what registration draws of it in the
frame of the reference. So no scene is set: a print is laid before the camera nearly
face on, lit, blurred, exposed, developed and compressed at the photo's own resolution,
and drawn back into the frame with the small errors that registration leaves. Prints are
(N, 3, H, W) float32 in [0, 1]; chance comes from a seeded generator alone.
"""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from touchstone_training.simulator.conditions import GREEN, WARMTH, WARMTH_HARD

Pictures = torch.Tensor
"""(N, 3, H, W) float32, 0 to 1."""

_GAMMA = 2.2
_MARGIN = 0.06
"""Of the photo beyond the print on each side, as a share of the photo."""


@dataclass(frozen=True, slots=True)
class Chance:
    """A source of chance on one device."""

    generator: torch.Generator

    @staticmethod
    def seeded(seed: int, device: torch.device) -> "Chance":
        """Return one that gives the same numbers for the same seed and device."""
        return Chance(torch.Generator(device=device).manual_seed(seed))

    def uniform(self, low: float, high: float, *shape: int) -> torch.Tensor:
        """Numbers between ``low`` and ``high``."""
        drawn = torch.rand(
            shape, generator=self.generator, device=self.generator.device
        )
        return low + (high - low) * drawn

    def normal(self, sigma: float, *shape: int) -> torch.Tensor:
        """Numbers about zero."""
        return sigma * torch.randn(
            shape, generator=self.generator, device=self.generator.device
        )

    def some(self, share: float, count: int) -> torch.Tensor:
        """(count, 1, 1, 1): 1 for about ``share`` of them, else 0."""
        return (self.uniform(0, 1, count, 1, 1, 1) < share).float()

    def field(
        self, cells: tuple[int, int], size: tuple[int, int], count: int, maps: int = 1
    ) -> torch.Tensor:
        """(count, maps, height, width) of smooth noise of deviation about 1."""
        coarse = self.normal(1.0, count, maps, *cells)
        return functional.interpolate(
            coarse, size=size, mode="bicubic", align_corners=False
        )


def frames(
    prints: Pictures,
    chance: Chance,
    *,
    frame: tuple[int, int],
    resolution: float,
    hardness: torch.Tensor,
) -> Pictures:
    """Photograph ``prints`` and draw the photos in the frame.

    Args:
        prints: (N, 3, H, W), filling the frame; finer than it, or as fine.
        chance: decides the rest.
        frame: (height, width).
        resolution: photo pixels per frame pixel; the same for the whole batch.
        hardness: (N, 1, 1, 1) from 0, a careful inspector's photo, to 1.
    """
    pose = _Pose.drawn(chance, len(prints), frame, resolution)
    photo = _linear(pose.taken(prints))
    photo = _lit(photo, chance, hardness)
    photo = _through_lens(photo, chance, hardness, scale=resolution * frame[1] / 1280)
    photo = _with_noise(photo, chance, hardness)
    photo = _developed(photo, chance, hardness)
    photo = _compressed(photo, chance, hardness)
    return pose.laid_back(photo, chance)


# --- where the print lies -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pose:
    """Homographies between frame and photo, in units of [-1, 1] over either."""

    photo_from_frame: torch.Tensor  # (N, 3, 3)
    frame: tuple[int, int]
    photo: tuple[int, int]

    @staticmethod
    def drawn(
        chance: Chance, count: int, frame: tuple[int, int], resolution: float
    ) -> "_Pose":
        height, width = frame
        aspect = height / width
        turn = chance.normal(math.radians(4), count)
        lean = chance.normal(0.05, count, 2).clamp(-0.15, 0.15)
        size = chance.uniform(0.9, 1.0, count) * (1 - 2 * _MARGIN)
        shift = chance.uniform(-1, 1, count, 2) * 0.5 * _MARGIN
        cos, sin = size * turn.cos(), size * turn.sin()
        ones = torch.ones_like(cos)
        rows = [
            torch.stack([cos, -sin * aspect, shift[:, 0]], 1),
            torch.stack([sin / aspect, cos, shift[:, 1]], 1),
            torch.stack([lean[:, 0], lean[:, 1], ones], 1),
        ]
        photo = tuple(16 * round(side * resolution / (16 * 0.85)) for side in frame)
        return _Pose(torch.stack(rows, 1), frame, (photo[0], photo[1]))

    def taken(self, prints: Pictures) -> Pictures:
        """See the prints with the photo's pixels."""
        shrink = prints.shape[3] / (self.photo[1] * (1 - 2 * _MARGIN))
        while shrink > 1.7:  # noqa: PLR2004 (a photo's pixels see all of the print)
            prints = functional.avg_pool2d(prints, 2)
            shrink /= 2
        inverse = torch.linalg.inv(self.photo_from_frame)
        return _sampled(prints, _mapped(inverse, self.photo))

    def laid_back(self, photo: Pictures, chance: Chance) -> Pictures:
        """Draw the photo in the frame: registered, then aligned, neither exactly."""
        count, pixel = len(photo), 2 / self.frame[1]
        wide = chance.field((4, 5), self.frame, count, 2)
        fine = chance.field((10, 14), self.frame, count, 2)
        first = wide * chance.uniform(0.2, 2.5, count, 1, 1, 1)
        rest = wide * chance.uniform(0.0, 0.4, count, 1, 1, 1)
        # A bend that was not followed to its end, now and then.
        far = chance.some(0.08, count) * chance.uniform(0.3, 2.0, count, 1, 1, 1)
        rest = rest + far * chance.field((3, 4), self.frame, count, 2)
        rest = rest + fine * chance.uniform(0.02, 0.35, count, 1, 1, 1)
        places = _mapped(self.photo_from_frame, self.frame)
        shrink = self.photo[1] * (1 - 2 * _MARGIN) / self.frame[1]
        if shrink > 1.5:  # noqa: PLR2004 (as the engine: touchstone.engine.rectification)
            photo = functional.avg_pool2d(photo, 2)
        ratio = torch.tensor([1.0, self.frame[1] / self.frame[0]], device=photo.device)
        off = first.permute(0, 2, 3, 1) * pixel * ratio
        registered = _sampled(photo, places + off * (1 - 2 * _MARGIN))
        back = (rest - first).permute(0, 2, 3, 1) * pixel * ratio
        return _sampled(registered, _grid(self.frame, photo.device) + back)


def _grid(size: tuple[int, int], device: torch.device) -> torch.Tensor:
    """(1, height, width, 2): x and y of each pixel's centre, in [-1, 1]."""
    ys, xs = ((torch.arange(side, device=device) * 2 + 1) / side - 1 for side in size)
    return torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1)[None]


def _mapped(matrix: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(N, height, width, 2): where each pixel's centre lies beyond ``matrix``."""
    grid = _grid(size, matrix.device)
    homogeneous = torch.cat([grid, torch.ones_like(grid[..., :1])], dim=-1)
    found = torch.einsum("nij,mhwj->nhwi", matrix, homogeneous)
    return found[..., :2] / found[..., 2:]


def _sampled(pictures: Pictures, places: torch.Tensor) -> Pictures:
    return functional.grid_sample(
        pictures, places, mode="bilinear", padding_mode="border", align_corners=False
    )


# --- light ----------------------------------------------------------------------------


def _linear(pictures: Pictures) -> torch.Tensor:
    return pictures.clamp(0, 1) ** _GAMMA


def _lit(photo: torch.Tensor, chance: Chance, hardness: torch.Tensor) -> torch.Tensor:
    """Lamp, shade, folds, a second lamp of another colour, gloss."""
    count, size = len(photo), (photo.shape[2], photo.shape[3])
    exposure = 2 ** (
        0.08 + chance.normal(1.0, count, 1, 1, 1) * (0.12 + 0.3 * hardness)
    )
    spread = WARMTH + WARMTH_HARD * hardness
    warmth = chance.normal(1.0, count, 1, 1, 1) * spread
    green = chance.normal(GREEN, count, 1, 1, 1)
    colour = torch.exp(torch.cat([warmth, green, -warmth], dim=1))
    slope = _slope(chance, size, count) * chance.uniform(0, 1, count, 1, 1, 1)
    lamp = 2 ** (slope * (0.3 + 0.7 * hardness))
    folds = chance.field((5, 7), size, count) * chance.uniform(0, 0.06, count, 1, 1, 1)
    tint = chance.uniform(-0.08, 0.08, count, 3, 1, 1) * slope
    edge = _slope(chance, size, count) - chance.uniform(-0.2, 0.9, count, 1, 1, 1)
    soft = torch.sigmoid(edge / chance.uniform(0.04, 0.3, count, 1, 1, 1))
    dark = chance.some(0.3, count) * chance.uniform(0.1, 0.5, count, 1, 1, 1) * soft
    light = photo * exposure * colour * lamp * (1 + folds) * (1 + tint) * (1 - dark)
    gloss = (chance.field((3, 4), size, count) - 1.2).clamp(min=0)
    shines = chance.some(0.35, count) * chance.uniform(0.02, 0.5, count, 1, 1, 1)
    return light + gloss * shines * (0.3 + hardness)


def _slope(chance: Chance, size: tuple[int, int], count: int) -> torch.Tensor:
    """(count, 1, height, width) from about -1 to 1 along some direction."""
    turn = chance.uniform(0, 2 * math.pi, count, 1, 1)
    grid = _grid(size, turn.device)
    return (grid[..., 0] * turn.cos() + grid[..., 1] * turn.sin())[:, None]


# --- lens and sensor ------------------------------------------------------------------

_REACH = 8


def _through_lens(
    photo: torch.Tensor, chance: Chance, hardness: torch.Tensor, *, scale: float
) -> torch.Tensor:
    """Defocus and motion: a disc along a line (see ``simulator.optics.lens_kernel``).

    Args:
        photo: linear light.
        chance: decides the rest.
        hardness: see `frames`.
        scale: of the photo against one of 1280 pixels.
    """
    count = len(photo)
    # A gamma of shape 1.5, near enough: the square of a normal and an exponential.
    gamma = chance.normal(1.0, count, 1, 1) ** 2 / 2 - 0.999 * torch.log(
        chance.uniform(1e-4, 1, count, 1, 1)
    )
    hard = hardness[:, 0]
    defocus = (gamma * (0.28 + 0.7 * hard) * scale).clamp(0, 4)
    moved = chance.some(0.1, count)[:, 0] + chance.some(0.3, count)[:, 0] * hard
    motion = moved.clamp(0, 1) * chance.uniform(0.3, 1, count, 1, 1)
    motion = (motion * (2.4 + 7 * hard) * scale).clamp(0, 2 * _REACH - 8)
    turn = chance.uniform(0, math.pi, count, 1, 1)
    axis = torch.arange(-_REACH, _REACH + 1, device=photo.device).float()
    x, y = axis[None, None, :], axis[None, :, None]
    along = (x * turn.cos() + y * turn.sin()).abs()
    across = y * turn.cos() - x * turn.sin()
    distance = ((along - motion / 2).clamp(min=0) ** 2 + across**2).sqrt()
    kernel = (defocus + 0.5 - distance).clamp(0, 1)
    kernel = kernel / kernel.sum((1, 2), keepdim=True)
    return _convolved(photo, kernel)


def _convolved(photo: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Blur (N, C, H, W) by (N, k, k), around the edge: what lies there is no print."""
    size = (photo.shape[2], photo.shape[3])
    side = kernel.shape[1]
    placed = functional.pad(kernel, (0, size[1] - side, 0, size[0] - side))
    placed = placed.roll((-(side // 2), -(side // 2)), (1, 2))
    spectrum = torch.fft.rfft2(photo) * torch.fft.rfft2(placed)[:, None]
    blurred: torch.Tensor = torch.fft.irfft2(spectrum, s=size)
    return blurred


def _with_noise(
    photo: torch.Tensor, chance: Chance, hardness: torch.Tensor
) -> torch.Tensor:
    """Shot and read noise; colour noise is blotchy, as phones smooth it."""
    count, _, height, width = photo.shape
    sigma = chance.uniform(0.001, 1, count, 1, 1, 1) * (0.006 + 0.022 * hardness)
    amount = (photo[:, 1:2].clamp(min=0) * 4.25 + 0.15).sqrt() * sigma
    fine = chance.normal(1.0, count, 1, height, width)
    small = chance.normal(0.7, count, 3, height // 3, width // 3)
    blotches = functional.interpolate(small, size=(height, width), mode="bilinear")
    return photo + amount * (fine + blotches)


# --- the phone's own picture ----------------------------------------------------------

_LUMA = (0.299, 0.587, 0.114)


def _developed(light: torch.Tensor, chance: Chance, hardness: torch.Tensor) -> Pictures:
    """Camera colours, tone curve, local tone mapping, denoising, sharpening."""
    count = len(light)
    apart = 0.25 + 0.75 * hardness[:, 0, 0]
    mixing = chance.normal(0.035, count, 3, 3) * apart[..., None]
    grey = torch.full((3, 3), 1 / 3, device=light.device)
    eye = torch.eye(3, device=light.device)
    saturation = 1 + chance.normal(0.12, count, 1, 1) * apart[..., None]
    matrix = grey + saturation * (eye - grey) + mixing
    matrix = matrix / matrix.sum(2, keepdim=True)  # white stays white
    light = torch.einsum("nij,njhw->nihw", matrix, light)
    level = light.clamp(0, 1) ** (1 / _GAMMA)
    bent = chance.uniform(0.03, 0.32, count, 1, 1, 1)
    level = level + bent * level * (1 - level) * (2 * level - 1)
    lift = chance.normal(0.03, count, 1, 1, 1) * (0.3 + hardness)
    level = level ** torch.exp(-3 * lift) * (1 - lift.clamp(min=0)) + lift.clamp(min=0)
    mapped = chance.some(0.3, count) * chance.uniform(0, 0.35, count, 1, 1, 1)
    luma = _luma(level)
    wide = functional.interpolate(
        _box(functional.avg_pool2d(luma, 16), 5), size=luma.shape[2:], mode="bilinear"
    )
    level = level + mapped * (0.5 - wide)
    smear = chance.some(0.25, count) * chance.uniform(0.2, 0.8, count, 1, 1, 1)
    level = level + smear * (_box(level, 3) - level)
    crisp = chance.uniform(0.1, 1.0, count, 1, 1, 1)
    crisp = crisp + chance.some(0.15, count) * chance.uniform(0, 1.0, count, 1, 1, 1)
    return (level + crisp * (level - _soft(level))).clamp(0, 1)


def _luma(pictures: Pictures) -> torch.Tensor:
    weights = torch.tensor(_LUMA, device=pictures.device)
    return torch.einsum("c,nchw->nhw", weights, pictures)[:, None]


def _box(pictures: torch.Tensor, side: int) -> torch.Tensor:
    return functional.avg_pool2d(
        pictures, side, stride=1, padding=side // 2, count_include_pad=False
    )


def _soft(pictures: torch.Tensor) -> torch.Tensor:
    """Blur about as a Gaussian of 1.15 px does: two boxes of three."""
    return _box(_box(pictures, 3), 3)


# --- compression ----------------------------------------------------------------------

_LUMA_STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""ITU-T T.81, table K.1, for luma; ``_CHROMA_STEPS`` is table K.2."""
_CHROMA_STEPS = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
_TO_YCC = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)


def _compressed(pictures: Pictures, chance: Chance, hardness: torch.Tensor) -> Pictures:
    least = 82 - 35 * hardness
    quality = least + (97 - least) * chance.uniform(0, 1, len(pictures), 1, 1, 1)
    return jpeg(pictures, quality)


def jpeg(pictures: Pictures, quality: torch.Tensor) -> Pictures:
    """Return what JPEG at ``quality`` (N, 1, 1, 1), 1 to 100, leaves: 4:2:0, 8 bit.

    Args:
        pictures: sides are multiples of 16.
        quality: as libjpeg has it.
    """
    to_ycc = torch.tensor(_TO_YCC, device=pictures.device)
    ycc = torch.einsum("ij,njhw->nihw", to_ycc, (pictures * 255).round())
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100  # noqa: PLR2004
    luma = _quantised(ycc[:, :1] - 128, _LUMA_STEPS, scale) + 128
    chroma = functional.avg_pool2d(ycc[:, 1:], 2)
    chroma = _quantised(chroma, _CHROMA_STEPS, scale)
    chroma = functional.interpolate(chroma, scale_factor=2.0, mode="bilinear")
    back = torch.linalg.inv(to_ycc)
    rgb = torch.einsum("ij,njhw->nihw", back, torch.cat([luma, chroma], dim=1))
    return rgb.round().clamp(0, 255) / 255


def _quantised(
    planes: torch.Tensor,
    steps: tuple[tuple[int, ...], ...],
    scale: torch.Tensor,
) -> torch.Tensor:
    """Round the cosine transform of each block of 8 by 8."""
    count, channels, height, width = planes.shape
    k = torch.arange(8, device=planes.device).float()
    cosines = torch.cos((2 * k[None, :] + 1) * k[:, None] * math.pi / 16) / 2
    cosines[0] /= math.sqrt(2)
    blocks = planes.reshape(count, channels, height // 8, 8, width // 8, 8)
    turned = torch.einsum("ij,nchjwk->nchiwk", cosines, blocks)
    turned = torch.einsum("lk,nchiwk->nchiwl", cosines, turned)
    table = torch.tensor(steps, device=planes.device).float()
    step = (table * scale[:, 0, 0, 0, None, None]).round().clamp(1, 255)
    step = step[:, None, None, :, None, :]
    turned = (turned / step).round() * step
    turned = torch.einsum("lk,nchiwl->nchiwk", cosines, turned)
    turned = torch.einsum("ij,nchiwk->nchjwk", cosines, turned)
    return turned.reshape(count, channels, height, width)

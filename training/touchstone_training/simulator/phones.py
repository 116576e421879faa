"""What a phone's processor makes of the light: colour, tone, denoising, sharpening.

Cameras see the same print in other colours: each has a colour matrix of its own, more
or less saturation, a tone curve, local tone mapping that leaves wide halos (HDR),
smeared detail where noise was taken away, and rims round edges that were sharpened.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_Field = NDArray[np.float32]
_Pixels = NDArray[np.uint8]

_GAMMA = 2.2
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_LUMA = np.array([0.2126, 0.7152, 0.0722])
_MID_GREY = 0.2
_LOCAL_STEP = 16
_LOCAL_RANGE = (0.45, 2.4)
_LEAST = 1e-3
_REFERENCE_SIDE_PX = 1600


@dataclass(frozen=True, slots=True)
class Phone:
    """One phone's processing; the defaults leave the light as it is.

    ``matrix`` (row by row) takes the scene's linear RGB to the camera's and keeps grey
    grey; ``gamma`` bends the tone curve; ``lift`` raises black (share of the scale);
    ``local_tone`` 0 to 1 evens out light over ``local_share`` of the longer side;
    ``smear`` 0 to 1 rubs out fine detail; ``chroma`` shrinks the colour planes by that
    factor; ``halo_px`` is the radius of sharpening, for a long side of 1600 px.
    """

    matrix: tuple[float, ...] = _IDENTITY
    saturation: float = 1.0
    gamma: float = 1.0
    lift: float = 0.0
    local_tone: float = 0.0
    local_share: float = 0.06
    smear: float = 0.0
    chroma: float = 1.0
    halo_px: float = 1.1

    @staticmethod
    def sample(rng: np.random.Generator, *, difficulty: float) -> "Phone":
        """Draw a phone: nearly neutral at difficulty 0, an unkind one at 1."""
        hard = float(np.clip(difficulty, 0, 1))
        cross = rng.normal(0, 0.01 + 0.05 * hard, (3, 3))
        cross -= np.diag(np.diag(cross))
        matrix = np.eye(3) + cross - np.diag(cross.sum(axis=1))
        is_local, is_smeared, is_halved = rng.random(3) < 0.1 + 0.45 * hard
        local, smear = rng.uniform(0.1, 1.0, 2) * (0.15 + 0.5 * hard, 0.4 + 0.5 * hard)
        chroma = rng.uniform(1.5, 2 + 2 * hard)
        return Phone(
            matrix=tuple(float(v) for v in matrix.ravel()),
            saturation=float(np.exp(rng.normal(0.04 * hard, 0.03 + 0.16 * hard))),
            gamma=float(np.exp(rng.normal(0, 0.02 + 0.11 * hard))),
            lift=float(rng.uniform(0, 0.01 + 0.07 * hard)),
            local_tone=float(local) if is_local else 0.0,
            local_share=float(rng.uniform(0.02, 0.12)),
            smear=float(smear) if is_smeared else 0.0,
            chroma=float(chroma) if is_halved else 1.0,
            halo_px=float(rng.uniform(0.7, 1.3 + 1.5 * hard)),
        )

    def colour_matrix(self) -> NDArray[np.float64]:
        """(3, 3): colour matrix and saturation in one."""
        grey = np.outer(np.ones(3), _LUMA)
        vivid = grey + self.saturation * (np.eye(3) - grey)
        return np.asarray(vivid @ np.reshape(self.matrix, (3, 3)))


def evened(light: _Field, phone: Phone) -> _Field:
    """Light after local tone mapping, which brightens dark surroundings."""
    return _evened(light, phone) if phone.local_tone > 0 else light


def toned(light: _Field, *, contrast: float, phone: Phone) -> _Pixels:
    """Linear light, (h, w, 3) with 1 a full sensor, to uint8 by colour and tone alone.

    ``contrast`` 0 is a plain gamma, 1 a strong S-shaped curve.
    """
    matrix = phone.colour_matrix()
    if np.abs(matrix - np.eye(3)).max() > _LEAST:
        light = np.asarray(cv2.transform(light, matrix), np.float32)
    # A square root in float, then a table: as good as a table of 65536, and quicker.
    root = cv2.sqrt(np.maximum(light, 0))
    steps = cv2.convertScaleAbs(root, alpha=255)
    return np.asarray(cv2.LUT(steps, _tone_table(contrast, phone)), np.uint8)


def finished(pixels: _Pixels, *, sharpening: float, phone: Phone) -> _Pixels:
    """Denoised and sharpened; ``sharpening`` weighs the unsharp mask, 0 to 1.5."""
    pixels = _without_colour_noise(_smeared(pixels, phone.smear), phone.chroma)
    if sharpening <= 0:
        return pixels
    radius = phone.halo_px * (max(pixels.shape) / _REFERENCE_SIDE_PX) ** 0.5
    soft = cv2.GaussianBlur(pixels, (0, 0), max(0.6, radius))
    return np.asarray(cv2.addWeighted(pixels, 1 + sharpening, soft, -sharpening, 0))


def _evened(light: _Field, phone: Phone) -> _Field:
    # Local tone mapping: dark surroundings are lifted, bright ones held back.
    height, width = light.shape[:2]
    small = max(4, width // _LOCAL_STEP), max(4, height // _LOCAL_STEP)
    coarse = cv2.resize(light, small, interpolation=cv2.INTER_AREA)
    level = np.asarray(coarse @ _LUMA.astype(np.float32), np.float32)
    radius = max(0.8, phone.local_share * max(small))
    wide = cv2.GaussianBlur(np.clip(level, 0.004, 1), (0, 0), radius)
    gain = (np.float32(_MID_GREY) / wide) ** np.float32(phone.local_tone)
    gain = np.clip(gain, *_LOCAL_RANGE).astype(np.float32)
    full = cv2.resize(gain, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.multiply(light, cv2.merge([full] * 3)), np.float32)


def _tone_table(contrast: float, phone: Phone) -> _Pixels:
    # Over the square root of light, 0 to 255.
    level = np.linspace(0, 1, 256) ** (2 / _GAMMA * phone.gamma)
    curve = level + contrast * 0.35 * level * (1 - level) * (2 * level - 1)
    curve = phone.lift + (1 - phone.lift) * curve
    return np.asarray(np.clip(curve * 255 + 0.5, 0, 255), np.uint8)


def _smeared(pixels: _Pixels, smear: float) -> _Pixels:
    # The middle of each neighbourhood keeps edges and rubs out what is fine.
    if smear <= 0:
        return pixels
    flat = cv2.medianBlur(pixels, 3)
    return np.asarray(cv2.addWeighted(flat, smear, pixels, 1 - smear, 0), np.uint8)


def _without_colour_noise(pixels: _Pixels, chroma: float) -> _Pixels:
    if chroma <= 1:
        return pixels
    height, width = pixels.shape[:2]
    luma, *colours = cv2.split(cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb))
    small = max(2, round(width / chroma)), max(2, round(height / chroma))
    for index, plane in enumerate(colours):
        shrunk = cv2.resize(plane, small, interpolation=cv2.INTER_AREA)
        colours[index] = cv2.resize(shrunk, (width, height))
    joined = cv2.merge([luma, *colours])
    return np.asarray(cv2.cvtColor(joined, cv2.COLOR_YCrCb2RGB), np.uint8)

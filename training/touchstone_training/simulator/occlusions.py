"""Things that lie over a package in the hand of an inspector: fingers and stickers."""

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import magnitude
from touchstone_training.simulator.covers import Cover, warped_cover
from touchstone_training.simulator.noise import fractal_noise

_Field = NDArray[np.float32]
_Pixels = NDArray[np.uint8]
_Matrix = NDArray[np.float64]

_SKIN = (
    (224, 172, 138),
    (198, 142, 108),
    (158, 104, 74),
    (112, 70, 48),
    (236, 192, 164),
)
SKINS = len(_SKIN)
"""Tones of skin there are."""
_TIP_TINT = np.array([0.0, 0.04, 0.06], np.float32)
_NAIL_TONE = np.array([238, 206, 196], np.float32)


def finger(
    rng: np.random.Generator,
    size_px: tuple[int, int],
    *,
    target: tuple[float, float],
    thickness_px: float,
    skin: int = 0,
) -> Cover | None:
    """A finger that enters from the nearest border of the photo.

    Args:
        rng: source of chance.
        size_px: (width, height) of the photo.
        target: where the fingertip lies, photo px.
        thickness_px: width of the finger.
        skin: index of the skin's tone.

    Returns:
        The cover, or None where the finger would miss the photo.
    """
    tip = np.array(target)
    away = tip - np.array(size_px) / 2
    turn = np.arctan2(away[1], away[0]) + rng.normal(0, 0.35)
    direction = np.array([np.cos(turn), np.sin(turn)])
    tail = tip + direction * 1.5 * max(size_px)
    radius = thickness_px / 2
    reach = 1.2 * radius + 3
    low = np.floor(np.clip(np.minimum(tip, tail) - reach, 0, np.array(size_px)))
    high = np.ceil(np.clip(np.maximum(tip, tail) + reach, 0, np.array(size_px)))
    (left, top), (right, bottom) = low.astype(int), high.astype(int)
    if right - left < 2 or bottom - top < 2:  # noqa: PLR2004 - nothing is visible
        return None
    x = np.arange(left, right, dtype=np.float32)[None, :] + np.float32(0.5 - tip[0])
    y = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5 - tip[1])
    along = x * np.float32(direction[0]) + y * np.float32(direction[1])
    across = y * np.float32(direction[0]) - x * np.float32(direction[1])
    widening = radius * (1 + 0.12 * np.clip(along / (4 * radius), 0, 1))
    distance = magnitude(np.minimum(along - radius, 0), across) / widening
    alpha = np.clip((1 - distance) * radius / 1.5 + 0.5, 0, 1)[..., None]
    rounded = np.sqrt(np.clip(1 - distance * distance, 0, 1))
    mottle = fractal_noise(rng, (right - left, bottom - top), cells=6, octaves=3)
    crease = np.cos(np.clip(along / radius - 2.2, -0.5, 0.5) * 2 * np.pi) * 0.05
    tone = (0.55 + 0.45 * rounded) * (1 + 0.07 * mottle) - np.clip(crease, 0, 1)
    tone *= 1 + 0.1 * (across / widening)
    skin_tone = np.asarray(_SKIN[skin % len(_SKIN)], np.float32)
    tip_red = np.exp(-np.clip(along, 0, None) / (2 * radius))[..., None]
    pixels = tone[..., None] * skin_tone * (1 - tip_red * _TIP_TINT)
    nail = _nail(along, across, radius)[..., None]
    pixels = pixels + nail * (_NAIL_TONE * (0.6 + 0.4 * tone[..., None]) - pixels)
    return Cover(
        int(left),
        int(top),
        np.clip(pixels, 0, 255).astype(np.uint8),
        np.asarray(alpha, np.float32),
    )


def _nail(along: _Field, across: _Field, radius: float) -> _Field:
    # How much of the nail lies at each place, in px from the fingertip.
    dx = along / np.float32(0.72 * radius) - np.float32(1.32)
    dy = across / np.float32(0.56 * radius)
    far = (dx * dx) ** 2 + dy * dy
    return np.asarray(np.clip((1 - far) * 6, 0, 0.55), np.float32)


def _sticker_face(rng: np.random.Generator) -> _Pixels:
    colours = ((250, 250, 246), (252, 226, 60), (255, 140, 60), (240, 70, 70))
    paper = colours[int(rng.integers(len(colours)))]
    face = np.full((90, 150, 3), paper, np.uint8)
    price = f"{rng.integers(1, 99)}.{rng.integers(0, 100):02d}"
    ink = (25, 25, 35)
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(face, price, (10, 62), font, 1.5, ink, 3, cv2.LINE_AA)
    code = f"{rng.integers(10**6, 10**7)}"
    cv2.putText(face, code, (12, 82), font, 0.45, ink, 1, cv2.LINE_AA)
    return face


def sticker(
    rng: np.random.Generator,
    size_px: tuple[int, int],
    *,
    photo_from_artwork: _Matrix,
    artwork_px: tuple[int, int],
) -> Cover | None:
    """A price sticker on the artwork; None where it falls outside the photo."""
    face = _sticker_face(rng)
    share = rng.uniform(0.12, 0.24) * min(artwork_px) / face.shape[1]
    turn = rng.normal(0, 0.15)
    shift = rng.uniform(0.1, 0.75, 2) * np.array(artwork_px)
    artwork_from_face = np.array(
        [
            [share * np.cos(turn), -share * np.sin(turn), shift[0]],
            [share * np.sin(turn), share * np.cos(turn), shift[1]],
            [0, 0, 1],
        ]
    )
    return warped_cover(face, photo_from_artwork @ artwork_from_face, size_px)

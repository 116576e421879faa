"""What a camera, a lamp, a file or a hand may do to a photo once more, for training.

No finding may hang on any of it: what is compared stays as different as it was.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone_training.simulator.occlusions import SKINS, finger

Planes = NDArray[np.uint8]
"""(h, w, 8), see `touchstone_training.comparator.aligned`."""


def with_finger(planes: Planes, rng: np.random.Generator) -> Planes:
    """Lay a finger over what is seen: it is no change, nor is what it hides.

    Most are left out before anything is compared; those that are not (in deep shade, in
    glare, on board of their colour), or not wholly, are too few in photographs.
    """
    shown = planes.copy()
    left, top, width, height = cv2.boundingRect(np.ascontiguousarray(planes[..., 6]))
    face = shown[top : top + height, left : left + width]
    laid = finger(
        rng,
        (width, height),
        target=(width * rng.uniform(0.03, 0.97), height * rng.uniform(0.03, 0.97)),
        thickness_px=float(rng.uniform(0.08, 0.3)) * min(width, height),
        skin=int(rng.integers(SKINS)),
    )
    if laid is None:
        return planes
    held = face[laid.rows, laid.columns]
    light = rng.uniform(0.35, 1.5) * rng.uniform(0.85, 1.15, 3)
    skin = np.clip(laid.pixels * light, 0, 255).astype(np.float32)
    beneath = held[..., 3:6]
    held[..., 3:6] = (beneath + laid.alpha * (skin - beneath)).round()
    hides = laid.alpha[..., 0] >= _HIDES
    held[..., 7] *= ~hides
    if rng.random() < _FOUND:
        held[..., 6] *= ~_part_of(hides, rng)
    return shown


def _part_of(finger_: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return what the engine may find of a finger, (h, w): its rim or an end is not."""
    rim = np.ones((int(rng.integers(3, 25)),) * 2, np.uint8)
    found = cv2.erode(finger_.astype(np.uint8), rim, borderValue=1) > 0
    lines = found if rng.integers(2) else found.T
    end = int(rng.uniform(0.3, 1) * len(lines))
    lines[end:] = False
    return found


_FOUND = 0.3
_HIDES = 0.5
"""Share of a pixel that a finger covers from which its print cannot be seen."""


def photographed_once_more(
    planes: Planes, rng: np.random.Generator, *, varied: float
) -> Planes:
    """Do to what is seen, (h, w, 8) planes, what cameras, lamps and files do.

    Args:
        planes: see `touchstone_training.comparator.aligned`.
        rng: source of chance.
        varied: factor of how often each thing is done.
    """
    seen = np.ascontiguousarray(planes[..., 3:6])
    expected = np.ascontiguousarray(planes[..., :3])
    for share, change in _CHANGES:
        if rng.random() < share * varied:
            seen = change(seen, rng)
    if rng.random() < 0.3 * varied:  # a reference from a small scan
        expected = _resampled(expected, rng)
    if rng.random() < 0.15 * varied:  # artwork on a screen is cleaner than print
        expected = _screened(expected, rng)
    return np.dstack([expected, seen, planes[..., 6:]])


def _strayed(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Lay it a fraction of a pixel off, differently at every place."""
    height, width = seen.shape[:2]
    coarse = rng.normal(0, rng.uniform(0.2, 1.0), (5, 5, 2)).astype(np.float32)
    shift = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    return np.asarray(
        cv2.remap(
            seen,
            xs + shift[..., 0],
            ys + shift[..., 1],
            interpolation=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )


def _blurred(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    sigma = float(rng.uniform(0.3, 1.5))
    return np.asarray(cv2.GaussianBlur(seen, (0, 0), sigma), np.uint8)


def _sharpened(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    amount = float(rng.uniform(0.2, 1.6))
    soft = cv2.GaussianBlur(seen, (0, 0), float(rng.uniform(0.8, 1.6)))
    return np.asarray(cv2.addWeighted(seen, 1 + amount, soft, -amount, 0), np.uint8)


def _resampled(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    size, factor = seen.shape[1::-1], rng.uniform(1.2, 3.2)
    small = max(1, round(size[0] / factor)), max(1, round(size[1] / factor))
    shrunk = cv2.resize(seen, small, interpolation=cv2.INTER_AREA)
    way = cv2.INTER_CUBIC if rng.integers(2) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(shrunk, size, interpolation=way), np.uint8)


def _shaded(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light that the relighting did not follow: folds, edges of shadow, gloss."""
    cells = int(rng.integers(3, 9))
    coarse = rng.normal(0, rng.uniform(2, 12), (cells, cells)).astype(np.float32)
    field = cv2.resize(coarse, seen.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.add(seen, cv2.merge([field] * 3), dtype=cv2.CV_8U), np.uint8)


def _toned(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    levels = np.linspace(0, 1, 256)[:, None]
    curve = levels ** rng.uniform(0.85, 1.18, 3) * rng.uniform(0.94, 1.06, 3)
    table = np.clip(curve * 255 + rng.normal(0, 3), 0, 255)
    return np.asarray(cv2.LUT(seen, table[None].astype(np.uint8)), np.uint8)


def _recoloured(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Inks through another camera: a matrix between colours, not a gain for each."""
    saturation = rng.uniform(0.6, 1.35)
    grey = np.full((3, 3), 1 / 3)
    mixing = grey + saturation * (np.eye(3) - grey) + rng.normal(0, 0.04, (3, 3))
    mixing *= 1 / mixing.sum(axis=1, keepdims=True)  # white stays white
    return np.asarray(cv2.transform(seen, mixing.astype(np.float32)), np.uint8)


def _curved(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A camera's own tone curve: any smooth rising one."""
    knots = np.sort(rng.uniform(0, 1, 3)) * 0.5 + np.array([0.2, 0.5, 0.8]) * 0.5
    levels = np.interp(np.linspace(0, 1, 256), [0, 0.25, 0.5, 0.75, 1], [0, *knots, 1])
    soft = cv2.GaussianBlur(levels.astype(np.float32), (1, 41), 0)
    table = np.clip(soft * 255, 0, 255).astype(np.uint8).reshape(1, 256, 1)
    return np.asarray(cv2.LUT(seen, np.repeat(table, 3, axis=2)), np.uint8)


def _bled(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Chroma kept at a fraction of the resolution, as phones and JPEG do."""
    lab = cv2.cvtColor(seen, cv2.COLOR_RGB2YCrCb)
    soft = cv2.GaussianBlur(lab, (0, 0), float(rng.uniform(0.8, 3.5)))
    lab[..., 1:] = soft[..., 1:]
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_YCrCb2RGB), np.uint8)


def _screened(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The dots of a press or the grain of paper, finer than any stroke."""
    height, width = seen.shape[:2]
    pitch, turn = rng.uniform(2.0, 4.5), rng.uniform(0, np.pi)
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    across = np.cos(turn) * xs + np.sin(turn) * ys
    down = np.cos(turn) * ys - np.sin(turn) * xs
    step = 2 * np.pi / pitch
    dots = (np.cos(step * across) + np.cos(step * down)) * rng.uniform(2, 9)
    return np.asarray(cv2.add(seen, cv2.merge([dots] * 3), dtype=cv2.CV_8U), np.uint8)


def _noisy(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    noise = rng.standard_normal(seen.shape, np.float32) * np.float32(rng.uniform(1, 7))
    if rng.integers(2):
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.8), np.float32)
    return np.asarray(cv2.add(seen, noise, dtype=cv2.CV_8U), np.uint8)


def _compressed(seen: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    quality = int(rng.integers(40, 92))
    _, data = cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


_CHANGES = (
    (0.2, _resampled),
    (0.3, _blurred),
    (0.5, _strayed),
    (0.4, _shaded),
    (0.3, _toned),
    (0.3, _recoloured),
    (0.3, _curved),
    (0.25, _bled),
    (0.1, _screened),
    (0.25, _sharpened),
    (0.4, _noisy),
    (0.25, _compressed),
)
"""How often, and what."""

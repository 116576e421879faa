"""The package in front of the camera: pose, bend, side faces, shading.

Frames used here (pixel centres at +0.5 everywhere): *artwork* is the flat print,
*frame* is the plane that touches the package (narrower than the artwork where it bends
away), *photo* is the picture taken. A pinhole camera looks along +z at the frame.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.image import magnitude
from touchstone_training.simulator.cameras import (
    Camera,
    Pose,
    fitted_camera,
    frame_corners,
    photo_from_frame,
)
from touchstone_training.simulator.covers import Cover
from touchstone_training.simulator.noise import smooth_noise
from touchstone_training.simulator.sides import side_faces

SHAPES = ("flat", "carton", "cylinder", "pouch")

_Field = NDArray[np.float32]
_Matrix = NDArray[np.float64]
_Pixels = NDArray[np.uint8]

_COARSE_STEP_PX = 4
_OVERSAMPLING = 1.25
_SHRINK_BELOW = 0.85
_SMOOTH_FROM = 1.5
"""Magnified this much, straight interpolation between pixels would show."""
_FIT_LEAST = 4
_RIM_PX = 2
_FIT_POINTS = 2000


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the photo that is computed, in px."""

    left: int
    top: int
    width: int
    height: int

    def coarse_grid(self) -> tuple[_Matrix, _Matrix]:
        """Photo coordinates on a coarse lattice reaching one cell past each side."""
        step = _COARSE_STEP_PX
        xs = (np.arange(-1, self.width // step + 2) + 0.5) * step + self.left
        ys = (np.arange(-1, self.height // step + 2) + 0.5) * step + self.top
        x, y = np.meshgrid(xs, ys)
        return x, y

    def refine(self, coarse: NDArray[np.floating]) -> _Field:
        """A field on the coarse lattice -> every pixel, (height, width, ...)."""
        step = _COARSE_STEP_PX
        rows, columns = coarse.shape[:2]
        full = cv2.resize(
            coarse.astype(np.float32),
            (columns * step, rows * step),
            interpolation=cv2.INTER_LINEAR,
        )
        return np.asarray(full[step : step + self.height, step : step + self.width])


@dataclass(frozen=True, slots=True)
class Placed:
    """A package laid into the photo: its front, and the sides that lie behind it.

    ``shade`` is a factor of light on the front, ``gloss`` how mirror-like each place
    faces the lamp; both lie on the coarse lattice of ``window``, round the front.
    ``printed`` (h, w) is how much of each pixel of the front the print takes, 0 to 255,
    without the bottle around a label.
    """

    front: Cover
    window: Window
    printed: _Pixels
    shade: _Field
    gloss: _Field
    sides: tuple[Cover, ...]
    photo_from_artwork: _Matrix

    def shown(self, photo_px: tuple[int, int]) -> _Pixels:
        """Return where the photo of (width, height) shows print, (h, w), 0 to 255."""
        mask = np.zeros((photo_px[1], photo_px[0]), np.uint8)
        mask[self.front.rows, self.front.columns] = self.printed
        return mask


def _window(points: _Matrix, photo_px: tuple[int, int]) -> Window:
    # Bent print reaches a little past the flat front.
    margin = 4 + 0.04 * float(np.ptp(points))
    low = np.floor(points.min(axis=0) - margin)
    high = np.ceil(points.max(axis=0) + margin)
    left, top = (int(v) for v in np.clip(low, 0, np.array(photo_px) - 2))
    right, bottom = (int(v) for v in np.clip(high, 2, np.array(photo_px)))
    return Window(left, top, max(2, right - left), max(2, bottom - top))


@dataclass(frozen=True, slots=True)
class _Bend:
    """Where each coarse photo point lies on the artwork, and how light meets it."""

    u: _Matrix  # artwork px
    v: _Matrix
    shade: _Matrix
    gloss: _Matrix


def _flat(x: _Matrix, y: _Matrix, size: tuple[float, float]) -> _Bend:
    ones = np.ones_like(x)
    return _Bend(x * size[0], y * size[1], ones, ones)


def _carton(
    x: _Matrix, y: _Matrix, size: tuple[float, float], rng: np.random.Generator
) -> _Bend:
    # Board bows a little between its edges, and turns away from the lamp at the edge.
    bow = rng.uniform(-0.004, 0.004, 2)
    u = x + bow[0] * np.sin(np.pi * np.clip(y, 0, 1)) * (2 * x - 1)
    v = y + bow[1] * np.sin(np.pi * np.clip(x, 0, 1)) * (2 * y - 1)
    edge = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v))
    shade = 1 - 0.18 * np.exp(-np.clip(edge, 0, 1) / 0.006)
    gentle = 1 + rng.uniform(-0.06, 0.06) * (2 * x - 1)
    return _Bend(u * size[0], v * size[1], shade * gentle, np.ones_like(x))


def _cylinder(
    x: _Matrix,
    y: _Matrix,
    size: tuple[float, float],
    *,
    pose: Pose,
    rng: np.random.Generator,
) -> _Bend:
    # x across the frame is the sine of the angle around the axis; beyond the rim it
    # goes on straight, so that the distance to the rim stays meaningful.
    half = pose.bend
    across = 2 * x - 1
    inside = np.clip(across, -1, 1)
    angle = np.arcsin(inside * np.sin(half))
    u = angle / half + (across - inside)
    radius = size[0] / 2 / half
    sag = radius * (1 - np.cos(angle)) * np.sin(np.radians(pose.tilt_deg))
    lamp = rng.uniform(-0.7, 0.7)
    shade = 0.32 + 0.75 * np.clip(np.cos(angle - lamp), 0, 1)
    gloss = np.exp(-(((angle - lamp * 0.6) / 0.12) ** 2)) * 1.6 + 0.25
    return _Bend((u + 1) / 2 * size[0], y * size[1] + sag, shade, gloss)


def _pouch(
    x: _Matrix, y: _Matrix, size: tuple[float, float], rng: np.random.Generator
) -> _Bend:
    # Film creases: ridged noise in the film's own frame gives a height; its slope both
    # shifts the print and turns the film towards or away from the lamp.
    side = 96
    height = smooth_noise(rng, (side, side), cells=(3, 3))
    for cells in ((5, 2), (2, 6), (9, 5)):
        ridge = smooth_noise(rng, (side, side), cells=cells)
        height += rng.uniform(0.15, 0.5) * (1 - 2 * np.abs(ridge))
    # The print follows the film's slow waves; only light shows its sharp creases.
    slow = np.asarray(cv2.GaussianBlur(height, (0, 0), 6), np.float32)
    sharp = np.asarray(cv2.GaussianBlur(height, (0, 0), 1.5), np.float32)
    slopes = [*np.gradient(slow * 16), *np.gradient(sharp * 16)]
    at_x = (np.clip(x, 0, 1) * (side - 1)).astype(np.float32)
    at_y = (np.clip(y, 0, 1) * (side - 1)).astype(np.float32)
    fields = [
        cv2.remap(np.asarray(f, np.float32), at_x, at_y, cv2.INTER_LINEAR)
        for f in slopes
    ]
    amount = rng.uniform(0.004, 0.012)
    u, v = x + amount * fields[1], y + amount * fields[0]
    lamp = rng.uniform(0, 2 * np.pi)
    facing = fields[3] * np.cos(lamp) + fields[2] * np.sin(lamp)
    across, down = 2 * np.clip(x, 0, 1) - 1, 2 * np.clip(y, 0, 1) - 1
    pillow = 1.08 - 0.35 * across**4 - 0.2 * down**6
    crimp = np.clip((np.abs(down) - 0.93) * 60, 0, 1)
    seal = crimp * np.sin(y * size[1] / max(size) * 500) * 0.06
    shade = np.clip(pillow + 0.16 * facing + seal, 0.2, 1.6)
    gloss = np.clip(facing - 0.5, 0, 1.5) * 1.4 + 0.15
    return _Bend(u * size[0], v * size[1], shade, gloss)


def _bent(
    pose: Pose,
    at: tuple[_Matrix, _Matrix],
    size: tuple[float, float],
    *,
    rng: np.random.Generator,
) -> _Bend:
    x, y = at
    if pose.shape == "cylinder":
        return _cylinder(x, y, size, pose=pose, rng=rng)
    if pose.shape == "pouch":
        return _pouch(x, y, size, rng)
    if pose.shape == "carton":
        return _carton(x, y, size, rng)
    return _flat(x, y, size)


_CORNER_SHARE = {"flat": 0.004, "carton": 0.006, "cylinder": 0.012, "pouch": 0.02}


def _coverage(
    u: _Field, v: _Field, size: tuple[float, float], *, radius: float, scale: float
) -> _Field:
    # Signed distance to a rounded rectangle, turned into the share of a pixel covered.
    dx = np.abs(u - size[0] / 2) - (size[0] / 2 - radius)
    dy = np.abs(v - size[1] / 2) - (size[1] / 2 - radius)
    outside = magnitude(np.maximum(dx, 0), np.maximum(dy, 0))
    distance = radius - outside - np.minimum(np.maximum(dx, dy), 0)
    return np.asarray(np.clip(distance * scale + 0.5, 0, 1), np.float32)


def _rounded(size_px: tuple[int, int], radius_px: float) -> _Pixels:
    # 255 inside a rectangle with rounded corners, (h, w).
    width, height = size_px
    mask = np.full((height, width), 255, np.uint8)
    reach = min(int(np.ceil(radius_px)), width // 2, height // 2)
    away = radius_px - np.arange(reach, dtype=np.float32) - np.float32(0.5)
    far = np.hypot(away[None, :], away[:, None])
    corner = np.clip((radius_px - far + 0.5) * 255, 0, 255).astype(np.uint8)
    mask[:reach, :reach] = corner
    mask[:reach, width - reach :] = corner[:, ::-1]
    mask[height - reach :, :reach] = corner[::-1]
    mask[height - reach :, width - reach :] = corner[::-1, ::-1]
    return mask


def _sampled(
    artwork: _Pixels, bend: _Bend, window: Window, *, scale: float, radius: float
) -> tuple[_Pixels, _Pixels]:
    # The print, (h, w, 3), and how far it covers each pixel, (h, w), 0 to 255.
    # Shrinking first by area is the mipmap: warping a full-size artwork would alias.
    factor = scale * _OVERSAMPLING
    factor = factor if factor < _SHRINK_BELOW else 1.0
    size = (
        max(2, round(artwork.shape[1] * factor)),
        max(2, round(artwork.shape[0] * factor)),
    )
    small = artwork
    if factor < 1:
        area = cv2.INTER_AREA
        small = np.asarray(cv2.resize(artwork, size, interpolation=area), np.uint8)
    # A rim of print that covers nothing keeps edges from darkening.
    rim = _RIM_PX
    padded = cv2.copyMakeBorder(small, rim, rim, rim, rim, cv2.BORDER_REPLICATE)
    cover = _rounded(size, radius * size[0] / artwork.shape[1])
    rimmed = cv2.copyMakeBorder(cover, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=0)
    both = cv2.merge([*cv2.split(padded), rimmed])
    u = window.refine(bend.u * (size[0] / artwork.shape[1]) + (rim - 0.5))
    v = window.refine(bend.v * (size[1] / artwork.shape[0]) + (rim - 0.5))
    way = cv2.INTER_LINEAR if scale < _SMOOTH_FROM else cv2.INTER_CUBIC
    found = cv2.remap(both, u, v, way, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_RGBA2RGB), np.uint8), np.asarray(
        found[..., 3], np.uint8
    )


def _fitted(
    bend: _Bend, grid: tuple[_Matrix, _Matrix], size: tuple[float, float]
) -> _Matrix | None:
    inside = (bend.u > 0) & (bend.u < size[0]) & (bend.v > 0) & (bend.v < size[1])
    count = np.count_nonzero(inside)
    if count < _FIT_LEAST:
        return None
    every = slice(None, None, 1 + count // _FIT_POINTS)
    source = np.c_[bend.u[inside], bend.v[inside]][every]
    target = np.c_[grid[0][inside], grid[1][inside]][every]
    found, _ = cv2.findHomography(source, target, 0)
    matrix = np.asarray(found, np.float64)
    return matrix if matrix.shape == (3, 3) else None


_BODIES = ((88, 46, 18), (236, 236, 232), (38, 74, 46), (32, 34, 38), (176, 196, 206))
"""Amber, white, green, black and pale glass or plastic."""


def _on_body(pixels: _Pixels, label: _Field, rng: np.random.Generator) -> _Pixels:
    # A label's surroundings are the bottle.
    body = np.asarray(_BODIES[int(rng.integers(len(_BODIES)))], np.float32)
    mixed = body + label[..., None] * (pixels.astype(np.float32) - body)
    return np.asarray(mixed, np.uint8)


def place(
    artwork: _Pixels,
    pose: Pose,
    photo_px: tuple[int, int],
    *,
    rng: np.random.Generator,
) -> Placed:
    """Lay the artwork into the photo as the front of a package.

    Args:
        artwork: (H, W, 3) RGB.
        pose: how the package is held.
        photo_px: (width, height) of the photo.
        rng: chance of bows, creases and the lamp's side.
    """
    # To lay a flat print onto a package in the photo, we must:
    #
    # 1. Find the camera that sees the front as large as asked.
    # 2. Ask, on a coarse lattice of the photo, where each ray meets the print.
    # 3. Sample the print there, and how much of each pixel it covers.
    # 4. Show what else comes into view: the sides, or the bottle around a label.
    size = (float(artwork.shape[1]), float(artwork.shape[0]))
    narrow = np.sin(pose.bend) / pose.bend if pose.shape == "cylinder" else 1.0
    frame_px = (size[0] * float(narrow), size[1])
    camera = fitted_camera(pose, frame_px, photo_px)
    to_photo = photo_from_frame(camera, frame_px)
    beyond = float(rng.uniform(0.1, 0.5)) if pose.shape == "cylinder" else 0.0
    reach = (frame_px[0], frame_px[1] * (1 + 2 * beyond))
    window = _window(camera.project(frame_corners(reach)), photo_px)

    grid = window.coarse_grid()
    bend = _bent(pose, _on_frame(grid, to_photo, frame_px), size, rng=rng)
    scale = _scale_of(camera.project(frame_corners(frame_px)), frame_px)
    radius = _CORNER_SHARE[pose.shape] * max(size)
    pixels, label = _sampled(artwork, bend, window, scale=scale, radius=radius)
    alpha = label.astype(np.float32) * np.float32(1 / 255)
    if beyond:
        pixels = _on_body(pixels, alpha, rng)
        around = (size[0], size[1] * (1 + 2 * beyond))
        u, v = window.refine(bend.u), window.refine(bend.v + size[1] * beyond)
        alpha = _coverage(u, v, around, radius=0.1 * size[0], scale=scale)
    fitted = None if pose.shape == "flat" else _fitted(bend, grid, size)
    stretch = np.diag([frame_px[0] / size[0], frame_px[1] / size[1], 1.0])
    return Placed(
        front=Cover(window.left, window.top, pixels, alpha[..., None]),
        window=window,
        printed=label,
        shade=bend.shade.astype(np.float32),
        gloss=bend.gloss.astype(np.float32),
        sides=_sides(artwork, camera, pose, frame_px=frame_px, at=(photo_px, rng)),
        photo_from_artwork=to_photo @ stretch if fitted is None else fitted,
    )


def _on_frame(
    grid: tuple[_Matrix, _Matrix], to_photo: _Matrix, frame_px: tuple[float, float]
) -> tuple[_Matrix, _Matrix]:
    # Photo points as shares of the frame's width and height.
    points = np.stack([grid[0].ravel(), grid[1].ravel(), np.ones(grid[0].size)])
    rays = np.linalg.inv(to_photo) @ points
    x = (rays[0] / rays[2] / frame_px[0]).reshape(grid[0].shape)
    y = (rays[1] / rays[2] / frame_px[1]).reshape(grid[0].shape)
    return x, y


def _scale_of(corners: _Matrix, frame_px: tuple[float, float]) -> float:
    # Photo px per artwork px, averaged over the front.
    area = cv2.contourArea(corners.astype(np.float32))
    return float(np.sqrt(max(area, 1e-6) / (frame_px[0] * frame_px[1])))


def _sides(
    artwork: _Pixels,
    camera: Camera,
    pose: Pose,
    *,
    frame_px: tuple[float, float],
    at: tuple[tuple[int, int], np.random.Generator],
) -> tuple[Cover, ...]:
    if pose.shape != "carton" or pose.depth <= 0:
        return ()
    photo_px, rng = at
    return side_faces(
        artwork, camera, frame_px, photo_px=photo_px, depth=pose.depth, rng=rng
    )

"""What lies about a package: other packages, pictures, patches, on some surface.

All of it is there to be mistaken for the face: it is printed, has corners, and is lit
by the same lamp.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone_training.data import Image, chance
from touchstone_training.simulator.backdrops import backdrop

_MOST_PIECES, _CROWD = 9, 24
_CROWDED = 0.2
_PATCH = 0.5
_REAL_BACKDROP = 0.35
_PICTURE = 0.25
"""Share of the pieces that are cut from pictures instead of from artworks."""


def cluttered(
    rng: np.random.Generator,
    size_px: tuple[int, int],
    *,
    artworks: Sequence[Image],
    backdrops: Sequence[Image],
    most_fill: float,
    is_shop: bool,
) -> Image:
    """Draw what lies behind a package, (height, width, 3).

    Args:
        rng: source of chance.
        size_px: (width, height).
        artworks: whose faces and patches lie about.
        backdrops: pictures that show no package.
        most_fill: the longest that a piece may be, as a share of the longer side: what
            is larger than the package would be taken for the package, and rightly.
        is_shop: a shelf full of packages, instead of some surface.
    """
    if is_shop:
        scene = _shelf(rng, size_px, artworks=artworks, most_fill=most_fill)
    else:
        real = backdrops if backdrops and chance(rng, _REAL_BACKDROP) else ()
        scene = backdrop(rng, size_px, images=real)
    most = _CROWD if chance(rng, _CROWDED) else _MOST_PIECES
    for _ in range(int(rng.integers(0, most))):
        is_picture = bool(backdrops) and chance(rng, _PICTURE)
        source = backdrops if is_picture else artworks
        piece = source[int(rng.integers(len(source)))]
        if is_picture or chance(rng, _PATCH):
            piece = _patch(piece, rng)
        fill = float(rng.uniform(0.15, 1.0)) * most_fill
        _lay(scene, piece, rng, side_px=fill * max(size_px))
    if chance(rng, 0.5):  # out of focus
        scene = np.asarray(
            cv2.GaussianBlur(scene, (0, 0), float(rng.uniform(0.4, 3.0))), np.uint8
        )
    return scene


_LEAST_ROW_PX = 14
_MOST_FACINGS = 5


def _shelf(
    rng: np.random.Generator,
    size_px: tuple[int, int],
    *,
    artworks: Sequence[Image],
    most_fill: float,
) -> Image:
    """Rows of packages, several alike side by side, seen aslant: a shop."""
    side = round(1.5 * max(size_px))
    wall = np.full((side, side, 3), rng.uniform(15, 200, 3).astype(np.uint8), np.uint8)
    top = 0
    while top < side:
        share = float(rng.uniform(0.3, 1.0)) * most_fill
        tall = max(_LEAST_ROW_PX, round(share * max(size_px)))
        _stock(wall, rng, artworks, top=top, tall=tall)
        board = int(rng.integers(0, max(2, tall // 4)))
        colour = rng.uniform(20, 240, 3).astype(np.uint8)
        wall[top + tall : top + tall + board] = colour
        top += tall + board
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    inner = np.array(size_px, np.float32) * rng.uniform(0.9, 1.2)
    turn = rng.uniform(0, 2 * np.pi) if chance(rng, 0.3) else rng.normal(0, 0.15)
    seen = _turned_square(float(inner.max()) * 0.75, float(turn), rng)
    seen = seen + np.asarray(size_px, np.float32) / 2
    matrix = cv2.getPerspectiveTransform(corners, seen.astype(np.float32))
    shelf = cv2.warpPerspective(wall, matrix, size_px, borderMode=cv2.BORDER_REFLECT)
    light = np.linspace(rng.uniform(0.4, 1), rng.uniform(0.4, 1), size_px[1])
    return np.asarray(shelf * light[:, None, None], np.uint8)


def _stock(
    wall: Image,
    rng: np.random.Generator,
    artworks: Sequence[Image],
    *,
    top: int,
    tall: int,
) -> None:
    """Fill one row of the shelf from ``top`` on."""
    left, side = 0, wall.shape[1]
    while left < side:
        face = artworks[int(rng.integers(len(artworks)))]
        wide = max(4, round(face.shape[1] * tall / face.shape[0]))
        small = cv2.resize(face, (wide, tall), interpolation=cv2.INTER_AREA)
        gap = int(rng.integers(0, 4))
        for _ in range(int(rng.integers(1, _MOST_FACINGS))):
            room = wall[top : top + tall, left : left + wide]
            room[:] = small[: room.shape[0], : room.shape[1]]
            left += wide + gap
            if left >= side:
                break


def _turned_square(
    half: float, turn: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    square = square * (1 + rng.uniform(-0.25, 0.25, (4, 1)))
    turning = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(square @ turning.T)


def _patch(piece: Image, rng: np.random.Generator) -> Image:
    height, width = piece.shape[:2]
    wide, tall = (max(8, int(s * rng.uniform(0.15, 0.7))) for s in (width, height))
    x = int(rng.integers(0, max(1, width - wide + 1)))
    y = int(rng.integers(0, max(1, height - tall + 1)))
    return piece[y : y + tall, x : x + wide]


def _lay(
    scene: Image, piece: Image, rng: np.random.Generator, *, side_px: float
) -> None:
    """Lay ``piece`` somewhere, turned, slanted and shaded, its long side so long."""
    height, width = piece.shape[:2]
    scale = side_px / max(height, width)
    small = cv2.resize(
        piece,
        (max(2, round(width * scale)), max(2, round(height * scale))),
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
    )
    small = np.asarray(small * _shade(rng), np.uint8)
    tall, wide = small.shape[:2]
    corners = np.array([[0, 0], [wide, 0], [wide, tall], [0, tall]], np.float32)
    target = _strewn(corners, rng, (scene.shape[1], scene.shape[0]))
    # Only where it comes to lie is looked at: most pieces are small.
    ends = (scene.shape[1], scene.shape[0])
    left, top = (int(v) for v in np.clip(target.min(axis=0) - _RIM_PX, 0, ends))
    right, bottom = (int(v) for v in np.clip(target.max(axis=0) + _RIM_PX, 0, ends))
    if right <= left or bottom <= top:
        return
    room, size_px = scene[top:bottom, left:right], (right - left, bottom - top)
    at = np.array([left, top], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, target - at)
    over = cv2.warpPerspective(small, matrix, size_px, flags=cv2.INTER_LINEAR)
    solid = np.full((tall, wide), 255, np.uint8)
    alpha = cv2.warpPerspective(solid, matrix, size_px, flags=cv2.INTER_LINEAR)
    if chance(rng, 0.3):  # a shadow around it
        rim = cv2.GaussianBlur(alpha, (0, 0), float(rng.uniform(1, _RIM_PX / 2)))
        dark = 1 - rim.astype(np.float32)[..., None] * np.float32(0.5 / 255)
        room[:] = (room * dark).astype(np.uint8)
    np.copyto(room, over, where=(alpha > 127)[..., None])  # noqa: PLR2004 (half)


_RIM_PX = 9
"""How far the shadow of a piece reaches."""


def _shade(rng: np.random.Generator) -> NDArray[np.float32]:
    tint = rng.uniform(0.45, 1.0) * rng.uniform(0.9, 1.0, 3)
    return np.asarray(tint, np.float32)


def _strewn(
    corners: NDArray[np.float32], rng: np.random.Generator, size_px: tuple[int, int]
) -> NDArray[np.float32]:
    turn = rng.uniform(0, 2 * np.pi) if chance(rng, 0.6) else rng.normal(0, 0.1)
    turning = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = corners.mean(axis=0)
    side = float(np.ptp(corners, axis=0).max())
    slant = rng.uniform(-0.08, 0.08, (4, 2)) * side
    place = rng.uniform(-0.1, 1.1, 2) * np.array(size_px)
    return np.asarray((corners - middle + slant) @ turning.T + place, np.float32)


def stained(artwork: Image, rng: np.random.Generator) -> Image:
    """Return the artwork in other tones, so that few designs are many."""
    table = np.linspace(0, 1, 256)[:, None] ** rng.uniform(0.75, 1.3, 3) * 255
    if chance(rng, 0.15):
        table = table[::-1]
    inked = cv2.LUT(artwork, table[None].astype(np.uint8))
    if chance(rng, 0.4):
        inked = inked[..., rng.permutation(3)]
    if chance(rng, 0.15):  # almost unprinted
        share = float(rng.uniform(0.2, 0.7))
        ground = np.full_like(inked, rng.uniform(60, 250, 3).astype(np.uint8))
        inked = cv2.addWeighted(inked, share, ground, 1 - share, 0)
    return np.ascontiguousarray(inked, np.uint8)

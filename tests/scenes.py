"""A world in memory: invented prints, and photographs of them with a known geometry.

A print is a list of elements, so that a counterfeit is a print with one fact changed
and a test knows where. A photograph knows where each point of the print lies in it.
"""

import io
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]

CELL_PX = (96, 80)
TABLE: Colour = (116, 104, 92)


@dataclass(frozen=True)
class Element:
    """Something printed within ``box`` (x, y, width, height)."""

    kind: str
    """``block``, ``ring`` or ``words``."""
    box: Box
    colour: Colour
    text: str


@dataclass(frozen=True)
class Print:
    """A package face; ``elements`` stand one in each cell of a grid, row by row."""

    size_px: tuple[int, int]
    ground: Colour
    elements: tuple[Element, ...]

    @property
    def pixels(self) -> Pixels:
        """(height, width, 3)"""
        width, height = self.size_px
        drawn = np.full((height, width, 3), self.ground, np.uint8)
        for element in self.elements:
            _draw(drawn, element)
        return drawn

    def first(self, kind: str, *, after: int = 0) -> int:
        """The number of the first element of ``kind`` from ``after`` on."""
        numbers = range(after, len(self.elements))
        return next(n for n in numbers if self.elements[n].kind == kind)

    def moved(self, number: int, *, dx: int, dy: int) -> "Print":
        x, y, width, height = self.elements[number].box
        return self._changed(number, box=(x + dx, y + dy, width, height))

    def recoloured(self, number: int, colour: Colour) -> "Print":
        return self._changed(number, colour=colour)

    def reworded(self, number: int, text: str) -> "Print":
        return self._changed(number, text=text)

    def without(self, number: int) -> "Print":
        kept = self.elements[:number] + self.elements[number + 1 :]
        return replace(self, elements=kept)

    def _changed(self, number: int, **fact: Any) -> "Print":
        elements = list(self.elements)
        elements[number] = replace(elements[number], **fact)
        return replace(self, elements=tuple(elements))


def printed(seed: int, *, size_px: tuple[int, int] = (480, 320)) -> Print:
    """Invent a package face; one seed, one face."""
    random = np.random.default_rng(seed)
    columns = max(1, size_px[0] // CELL_PX[0])
    rows = max(1, size_px[1] // CELL_PX[1])
    width, height = size_px[0] // columns, size_px[1] // rows
    elements = []
    for number in range(columns * rows):
        kind = ("block", "words", "ring")[(number + int(random.integers(0, 2))) % 3]
        column, row = number % columns, number // columns
        inset_x, inset_y = (int(random.integers(8, 16)) for _ in range(2))
        box = (
            column * width + inset_x,
            row * height + inset_y,
            width - 2 * inset_x + int(random.integers(-4, 5)),
            height - 2 * inset_y + int(random.integers(-4, 5)),
        )
        text = "".join(chr(int(c)) for c in random.integers(65, 91, 6))
        red, green, blue = (int(c) for c in random.integers(0, 150, 3))
        elements.append(Element(kind, box, (red, green, blue), text))
    red, green, blue = (int(c) for c in random.integers(205, 246, 3))
    return Print(size_px, (red, green, blue), tuple(elements))


def _draw(drawn: Pixels, element: Element) -> None:
    x, y, width, height = element.box
    if element.kind == "block":
        cv2.rectangle(
            drawn, (x, y), (x + width, y + height), element.colour, cv2.FILLED
        )
        _write(drawn, element.text[:3], (x + 5, y + height - 8), (250, 250, 250))
    elif element.kind == "ring":
        centre = x + width // 2, y + height // 2
        cv2.circle(drawn, centre, min(width, height) // 2, element.colour, 4)
        _write(drawn, element.text[:1], (centre[0] - 7, centre[1] + 7), element.colour)
    else:
        for line, words in enumerate((element.text[:4], element.text[2:])):
            at = x, y + (line + 1) * height // 2
            _write(drawn, words, at, element.colour)


def _write(drawn: Pixels, words: str, at: tuple[int, int], colour: Colour) -> None:
    cv2.putText(drawn, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.7, colour, 2, cv2.LINE_AA)


@dataclass(frozen=True)
class Photograph:
    """A picture of a print, and where the print lies in it."""

    pixels: Pixels
    photo_from_print: NDArray[np.float64]
    print_px: tuple[int, int]
    bend: float

    def points(self, points_in_print: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map (n, 2) points of the print to the photo; pixel centres at +0.5."""
        bent = np.array(points_in_print, np.float64)
        if self.bend:
            across = bent[:, 0] / self.print_px[0] * 2 - 1
            seen = np.sin(across * self.bend) / np.sin(self.bend)
            bent[:, 0] = (seen + 1) / 2 * self.print_px[0]
        return _projected(self.photo_from_print, bent)


def photographed(
    shown: Print | Pixels,
    *,
    tilt: float = 0.0,
    turn: float = 0.0,
    zoom: float = 1.15,
    bend: float = 0.0,
    blur: float = 0.5,
    noise: float = 1.0,
    light: float = 0.0,
    frame_px: tuple[int, int] = (640, 480),
    seed: int = 0,
) -> Photograph:
    """Photograph a print on a table.

    Args:
        shown: the print.
        tilt: how much nearer the left edge is than the right, as a share.
        turn: degrees.
        zoom: photo pixels per pixel of the print.
        bend: half the angle of the cylinder that the print is wound on, radians.
        blur: sigma in photo pixels.
        noise: standard deviation in levels.
        light: how much brighter the left edge is than the right, as a share.
        frame_px: (width, height) of the photo.
        seed: of the noise.
    """
    pixels = shown.pixels if isinstance(shown, Print) else shown
    size = pixels.shape[1], pixels.shape[0]
    homography = _view(size, frame_px, tilt=tilt, turn=turn, zoom=zoom)
    made = Photograph(pixels, homography, size, bend)
    seen = _drawn(made, frame_px)
    if blur:
        seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), blur), np.float32)
    ramp = np.linspace(1 + light / 2, 1 - light / 2, frame_px[0])[None, :, None]
    grain = np.random.default_rng(seed).normal(0, noise, seen.shape)
    lit = np.asarray((seen * ramp + grain).clip(0, 255).round(), np.uint8)
    return replace(made, pixels=lit)


def _view(
    size: tuple[int, int],
    frame: tuple[int, int],
    *,
    tilt: float,
    turn: float,
    zoom: float,
) -> NDArray[np.float64]:
    """The homography of a print that is turned, then tilted about its upright axis."""
    centre = np.array([[1, 0, -size[0] / 2], [0, 1, -size[1] / 2], [0, 0, 1]])
    angle = np.deg2rad(turn)
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    turned = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    tilted = np.array([[1, 0, 0], [0, 1, 0], [tilt / (zoom * size[0]), 0, 1]])
    placed = np.array([[1, 0, frame[0] / 2], [0, 1, frame[1] / 2], [0, 0, 1]])
    return np.asarray(placed @ tilted @ turned @ centre, np.float64)


def _drawn(photo: Photograph, frame: tuple[int, int]) -> NDArray[np.float32]:
    xs, ys = np.meshgrid(np.arange(frame[0]) + 0.5, np.arange(frame[1]) + 0.5)
    back = np.asarray(np.linalg.inv(photo.photo_from_print), np.float64)
    sampled = _projected(back, np.column_stack([xs.ravel(), ys.ravel()]))
    width = photo.print_px[0]
    if photo.bend:
        across = (sampled[:, 0] / width * 2 - 1) * np.sin(photo.bend)
        wound = np.arcsin(across.clip(-1, 1)) / photo.bend
        sampled[:, 0] = np.where(abs(across) <= 1, (wound + 1) / 2 * width, -10)
    at = np.asarray(sampled.reshape(frame[1], frame[0], 2) - 0.5, np.float32)
    return np.asarray(
        cv2.remap(
            photo.pixels.astype(np.float32),
            at[..., 0],
            at[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=TABLE,
        ),
        np.float32,
    )


def _projected(
    homography: NDArray[np.float64], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    lifted = np.column_stack([points, np.ones(len(points))]) @ homography.T
    return np.asarray(lifted[:, :2] / lifted[:, 2:], np.float64)


def encoded(pixels: NDArray[Any], file_format: str = "PNG", **options: Any) -> bytes:
    """The bytes of an image file of ``pixels``: uint8 in RGB, or uint16 in grey."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format, **options)
    return buffer.getvalue()

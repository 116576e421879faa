"""Layers of one face, and the sheet that painters lay them on.

An element becomes a few layers: a colour or pixels, seen through a mask. They are kept,
so that a face whose one element changes is not drawn again from the start.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from touchstone_training.simulator.elements import Colour, Element

Mask = NDArray[np.uint8]
Pixels = NDArray[np.uint8]
Rect = tuple[int, int, int, int]
"""left, top, right, bottom in output px; right and bottom are past the end."""

_TURN_LEAST_DEG = 0.05
_FULL = 255
_LAYER_BYTES = 64 << 20
_CANVASES = 4
_ANEW_SHARE = 0.7
"""From this share of the face on, drawing it whole is quicker than mending it."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A colour, or pixels (h, w, 3), at ``left, top``; ``mask`` None is opaque."""

    left: int
    top: int
    size_px: tuple[int, int]
    what: Colour | Pixels
    mask: Mask | None

    @property
    def rect(self) -> Rect:
        """Where it lies."""
        width, height = self.size_px
        return self.left, self.top, self.left + width, self.top + height

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        pixels = 0 if isinstance(self.what, tuple) else self.what.nbytes
        return pixels + (0 if self.mask is None else self.mask.nbytes)


@dataclass(slots=True)
class Sheet:
    """Collects layers; ``scale`` is output px per artwork px."""

    scale: float
    fonts: tuple[Path, ...]
    layers: list[Layer] = field(default_factory=list)

    def box_px(self, element: Element) -> tuple[int, int, int, int]:
        """x, y, width, height of an element in whole output px."""
        x, y, w, h = (v * self.scale for v in element.box)
        left, top = round(x), round(y)
        return left, top, max(1, round(x + w) - left), max(1, round(y + h) - top)

    def ink(self, element: Element, colour: Colour, mask: Mask | None) -> None:
        """Lay a flat colour through a mask of the element's size (None: all of it)."""
        self._add(element, colour, mask)

    def lay(self, element: Element, pixels: Pixels, mask: Mask | None) -> None:
        """Lay pixels (h, w, 3) through a mask (h, w) of the element's size."""
        self._add(element, pixels, mask)

    def _add(self, element: Element, what: Colour | Pixels, mask: Mask | None) -> None:
        left, top, width, height = self.box_px(element)
        turned = abs(element.angle_deg) > _TURN_LEAST_DEG
        if mask is None and (turned or element.opacity < 1):
            mask = np.full((height, width), _FULL, np.uint8)
        if mask is None:
            self.layers.append(Layer(left, top, (width, height), what, None))
            return
        if element.opacity < 1:
            mask = cv2.convertScaleAbs(mask, alpha=element.opacity)
        if turned:
            mask = _turned(mask, element.angle_deg)
            if not isinstance(what, tuple):
                what = _turned(what, element.angle_deg)
        x, y, w, h = cv2.boundingRect(mask)
        if w:
            if not isinstance(what, tuple):
                what = np.ascontiguousarray(what[y : y + h, x : x + w])
            part = np.ascontiguousarray(mask[y : y + h, x : x + w])
            self.layers.append(Layer(left + x, top + y, (w, h), what, part))


def _turned(pixels: NDArray[np.uint8], angle_deg: float) -> NDArray[np.uint8]:
    # About the middle, counter-clockwise; what turns out of the box is lost.
    height, width = pixels.shape[:2]
    centre = (width / 2 - 0.5, height / 2 - 0.5)
    matrix = cv2.getRotationMatrix2D(centre, angle_deg, 1.0)
    way = cv2.INTER_CUBIC
    return np.asarray(cv2.warpAffine(pixels, matrix, (width, height), flags=way))


_Value = TypeVar("_Value")


class _Recent(Generic[_Value]):
    """The last values by key, up to a budget of bytes."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._held = 0
        self._values: OrderedDict[Hashable, tuple[_Value, int]] = OrderedDict()
        self._lock = Lock()

    def get(
        self,
        key: Hashable,
        make: Callable[[], _Value],
        size_of: Callable[[_Value], int],
    ) -> _Value:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]
        made = make()
        with self._lock:
            if key not in self._values:
                size = size_of(made)
                self._values[key] = (made, size)
                self._held += size
            while self._held > self._budget and len(self._values) > 1:
                _, (_, size) = self._values.popitem(last=False)
                self._held -= size
        return made


Painter = Callable[[Sheet, Element], None]
_layers: _Recent[tuple[Layer, ...]] = _Recent(_LAYER_BYTES)


def layers_of(
    element: Element, painter: Painter, *, scale: float, fonts: tuple[Path, ...]
) -> tuple[Layer, ...]:
    """What ``painter`` lays for the element, painted once and kept."""

    def make() -> tuple[Layer, ...]:
        sheet = Sheet(scale, fonts)
        painter(sheet, element)
        return tuple(sheet.layers)

    def size_of(layers: tuple[Layer, ...]) -> int:
        return 512 + sum(layer.nbytes for layer in layers)

    return _layers.get((element, scale, fonts), make, size_of)


@dataclass(frozen=True, slots=True)
class _Canvas:
    key: tuple[tuple[int, int], float, tuple[Path, ...]]
    elements: tuple[Element, ...]
    pixels: Pixels


_canvases: list[_Canvas] = []
_canvas_lock = Lock()


def composed(
    elements: tuple[Element, ...],
    size_px: tuple[int, int],
    *,
    scale: float,
    fonts: tuple[Path, ...],
    layers: Callable[[Element], Sequence[Layer]],
) -> Pixels:
    """The face of ``size_px`` (width, height) that the elements make, in their order.

    A face drawn before that has most of the elements is mended where they differ; the
    pixels are those of drawing it whole.
    """
    key = (size_px, scale, fonts)
    page = (0, 0, *size_px)
    with _canvas_lock:
        known = [canvas for canvas in _canvases if canvas.key == key]
    for canvas in known:
        rects = _differing(canvas.elements, elements, layers)
        if rects is None:
            continue
        rects = [r for r in (_cut(rect, page) for rect in rects) if r is not None]
        if sum(map(_area, rects)) < _ANEW_SHARE * size_px[0] * size_px[1]:
            pixels = canvas.pixels.copy()
            for rect in rects:
                left, top, right, bottom = rect
                pixels[top:bottom, left:right] = _drawn(elements, rect, layers)
            return pixels
    pixels = _drawn(elements, page, layers)
    with _canvas_lock:
        _canvases.insert(0, _Canvas(key, elements, pixels.copy()))
        del _canvases[_CANVASES:]
    return pixels


def _area(rect: Rect) -> int:
    return (rect[2] - rect[0]) * (rect[3] - rect[1])


def _cut(rect: Rect, by: Rect) -> Rect | None:
    left, top = max(rect[0], by[0]), max(rect[1], by[1])
    right, bottom = min(rect[2], by[2]), min(rect[3], by[3])
    return (left, top, right, bottom) if right > left and bottom > top else None


def _differing(
    old: tuple[Element, ...],
    new: tuple[Element, ...],
    layers: Callable[[Element], Sequence[Layer]],
) -> list[Rect] | None:
    # Where faces differ; None if what they share stands in another order.
    shared = Counter(old) & Counter(new)
    if sum(shared.values()) < len(old) // 2:
        return None
    common, changed = [], []
    for elements in (old, new):
        left = Counter(shared)
        kept = []
        for element in elements:
            if left[element] > 0:
                left[element] -= 1
                kept.append(element)
            else:
                changed += [layer.rect for layer in layers(element)]
        common.append(kept)
    return changed if common[0] == common[1] else None


def _drawn(
    elements: tuple[Element, ...],
    rect: Rect,
    layers: Callable[[Element], Sequence[Layer]],
) -> Pixels:
    left, top, right, bottom = rect
    image = PilImage.new("RGB", (right - left, bottom - top), (255, 255, 255))
    for element in elements:
        for layer in layers(element):
            seen = _cut(layer.rect, rect)
            if seen is not None:
                _paste(image, layer, seen, origin=(left, top))
    return np.array(image)


def _paste(
    image: PilImage.Image, layer: Layer, seen: Rect, *, origin: tuple[int, int]
) -> None:
    rows = slice(seen[1] - layer.top, seen[3] - layer.top)
    columns = slice(seen[0] - layer.left, seen[2] - layer.left)
    place = (
        seen[0] - origin[0],
        seen[1] - origin[1],
        seen[2] - origin[0],
        seen[3] - origin[1],
    )
    what = (
        layer.what
        if isinstance(layer.what, tuple)
        else PilImage.fromarray(np.ascontiguousarray(layer.what[rows, columns]))
    )
    if layer.mask is None:
        image.paste(what, place)
    else:
        part = np.ascontiguousarray(layer.mask[rows, columns])
        image.paste(what, place, PilImage.fromarray(part))

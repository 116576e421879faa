"""Layers of one face, and the sheet that painters lay them on.

An element becomes a few layers: a colour or pixels, seen through a mask. They are kept,
so that a face whose one element changes is not drawn again from the start.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
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
            mask = np.asarray(cv2.convertScaleAbs(mask, alpha=element.opacity))
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


class Recent(Generic[_Value]):
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
        """The value of ``key``, made where it is not held."""
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

    def clear(self) -> None:
        """Drop them all."""
        with self._lock:
            self._values.clear()
            self._held = 0


Painter = Callable[[Sheet, Element], None]
_Painted = tuple[Element, tuple[Layer, ...]]
_layers: Recent[tuple[Layer, ...]] = Recent(_LAYER_BYTES)
_font_sets: dict[tuple[Path, ...], int] = {}


def _layers_of(
    element: Element,
    painter: Painter,
    *,
    scale: float,
    fonts: tuple[Path, ...],
    font_set: int,
) -> tuple[Layer, ...]:
    # What the painter lays for the element, painted once and kept.
    def make() -> tuple[Layer, ...]:
        sheet = Sheet(scale, fonts)
        painter(sheet, element)
        return tuple(sheet.layers)

    def size_of(layers: tuple[Layer, ...]) -> int:
        return 512 + sum(layer.nbytes for layer in layers)

    return _layers.get((element, scale, font_set), make, size_of)


@dataclass(frozen=True, slots=True)
class _Canvas:
    key: tuple[tuple[int, int], float, int]
    painted: tuple[_Painted, ...]
    pixels: Pixels


_canvases: list[_Canvas] = []
_canvas_lock = Lock()


def composed(
    elements: tuple[Element, ...],
    size_px: tuple[int, int],
    painter: Painter,
    *,
    scale: float,
    fonts: tuple[Path, ...],
) -> Pixels:
    """The face of ``size_px`` (width, height) that the elements make, in their order.

    A face drawn before that has most of the elements is mended where they differ; the
    pixels are those of drawing it whole.
    """
    font_set = _font_sets.setdefault(fonts, len(_font_sets))
    painted = tuple(
        (e, _layers_of(e, painter, scale=scale, fonts=fonts, font_set=font_set))
        for e in elements
    )
    key = (size_px, scale, font_set)
    page = (0, 0, *size_px)
    with _canvas_lock:
        known = [canvas for canvas in _canvases if canvas.key == key]
    for canvas in known:
        rects = _differing(canvas.painted, painted)
        if rects is None:
            continue
        rects = [r for r in (_cut(rect, page) for rect in rects) if r is not None]
        if sum(map(_area, rects)) < _ANEW_SHARE * size_px[0] * size_px[1]:
            pixels = canvas.pixels.copy()
            for rect in dict.fromkeys(rects):
                left, top, right, bottom = rect
                pixels[top:bottom, left:right] = _drawn(painted, rect)
            return pixels
    pixels = _drawn(painted, page)
    with _canvas_lock:
        _canvases.insert(0, _Canvas(key, painted, pixels.copy()))
        del _canvases[_CANVASES:]
    return pixels


def forget() -> None:
    """Drop every face and layer that is kept."""
    with _canvas_lock:
        _canvases.clear()
    _layers.clear()


def _area(rect: Rect) -> int:
    return (rect[2] - rect[0]) * (rect[3] - rect[1])


def _cut(rect: Rect, by: Rect) -> Rect | None:
    left, top = max(rect[0], by[0]), max(rect[1], by[1])
    right, bottom = min(rect[2], by[2]), min(rect[3], by[3])
    return (left, top, right, bottom) if right > left and bottom > top else None


def _differing(
    old: tuple[_Painted, ...], new: tuple[_Painted, ...]
) -> list[Rect] | None:
    # Where faces differ; None if little is shared, or it stands in another order.
    shared = Counter(e for e, _ in old) & Counter(e for e, _ in new)
    if sum(shared.values()) < len(old) // 2:
        return None
    common: list[list[Element]] = []
    changed: list[Rect] = []
    for painted in (old, new):
        left = Counter(shared)
        kept = []
        for element, layers in painted:
            if left[element] > 0:
                left[element] -= 1
                kept.append(element)
            else:
                changed += [layer.rect for layer in layers]
        common.append(kept)
    return changed if common[0] == common[1] else None


def _drawn(painted: tuple[_Painted, ...], rect: Rect) -> Pixels:
    left, top, right, bottom = rect
    image = PilImage.new("RGB", (right - left, bottom - top), (255, 255, 255))
    for _, layers in painted:
        for layer in layers:
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

"""Lessons made on the device that trains: faces printed, photographed, relit, labelled.

Thousands of pairs a second on a GPU, none of them twice. Every pair goes through the
arithmetic of the engine (relighting) or an imitation of it (registration).
"""

import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch.nn import functional

from touchstone.engine.comparator import WAYS
from touchstone_training.comparator import reprints
from touchstone_training.comparator.darkroom import Chance, Pictures, frames
from touchstone_training.comparator.faces import FACES, FORGED, MASK_PX
from touchstone_training.comparator.network import STRIDE
from touchstone_training.comparator.relighting import relit
from touchstone_training.comparator.scans import scans

_NEAR_CELLS = 5
"""Cells beside a change say neither yes nor no: the change shines into them."""
_GENUINE, _DRAWN, _ALTERED, _CAST, _HALFTONE, _INKJET, _RESCAN = range(7)
GENUINE = "genuine"
SORTS = (GENUINE, "drawn", "altered", "cast", "halftone", "inkjet", "rescan")
"""Names of the sorts of lessons, by number."""
_SHARES = (0.45, 0.27, 0.13, 0.04, 0.04, 0.03, 0.04)
"""Of each sort of lesson, in that order."""
_WAY_OF = {
    _DRAWN: "place",
    _ALTERED: "place",
    _CAST: "cast",
    _HALFTONE: "screen",
    _INKJET: "screen",
    _RESCAN: "softness",
}
_SWAPPED = 0.3
"""Of changed places, those where the reference is changed and the photo is not."""
_FINE = 0.25
"""Of batches, those in which a part fills the frame, at twice the scale."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A batch of pairs with what is known of them."""

    planes: torch.Tensor
    """(N, 7, H, W) uint8, see `touchstone_training.comparator.network`."""
    target: torch.Tensor
    """(N, H / 4, W / 4) float32: 1 where changed."""
    counts: torch.Tensor
    """(N, H / 4, W / 4) float32: 1 where the target is to be learned."""
    told: torch.Tensor
    """(N, 5) float32: 1 for another print, then for each of `WAYS`."""
    sorts: torch.Tensor
    """(N,) which sort of lesson each is."""


class Studio:
    """Keeps the faces drawn last, and makes lessons of them."""

    def __init__(
        self,
        sheets: Iterable[tuple[torch.Tensor, ...]],
        *,
        device: torch.device,
        canvas: tuple[int, int],
        designs: int,
        seed: int,
    ) -> None:
        """Begin to take in sheets.

        Args:
            sheets: see `touchstone_training.comparator.faces`; may have no end.
            device: that trains.
            canvas: (height, width) of a face, twice the compared frame.
            designs: how many are kept; each takes 8 faces of 3 bytes a pixel.
            seed: of prints and photographs.
        """
        height, width = canvas
        small = height // MASK_PX, width // MASK_PX
        self.canvas, self.frame = canvas, (height // 2, width // 2)
        self._pixels = torch.zeros(
            designs, FACES, height, width, 3, dtype=torch.uint8, device=device
        )
        self._changed = torch.zeros(
            designs, FACES, *small, dtype=torch.uint8, device=device
        )
        self._compared = torch.zeros(designs, *small, dtype=torch.uint8, device=device)
        self.taken = 0
        self._chance = Chance.seeded(seed, device)
        self._waiting: queue.Queue[tuple[torch.Tensor, ...]] = queue.Queue(maxsize=24)
        threading.Thread(target=self._listen, args=(sheets,), daemon=True).start()

    def _listen(self, sheets: Iterable[tuple[torch.Tensor, ...]]) -> None:
        for one in sheets:
            self._waiting.put(one)

    def take_in(self, *, at_least: int = 0) -> None:
        """Keep what was drawn meanwhile; wait until ``at_least`` designs are there."""
        while not self._waiting.empty() or self.taken < at_least:
            place = self.taken % len(self._pixels)
            pixels, changed, compared = self._waiting.get()
            self._pixels[place] = pixels.to(self._pixels.device)
            self._changed[place] = changed.to(self._pixels.device)
            self._compared[place] = compared.to(self._pixels.device)
            self.taken += 1

    @torch.no_grad()
    def lesson(self, count: int) -> Lesson:
        """Make ``count`` pairs."""
        # 1. Draw designs and the sort of each pair; its print and its changes.
        # 2. Print, photograph, draw the photo in the frame, relight the reference.
        # 3. Say what is known: changed cells, and the way in which it is another.
        chance = self._chance
        drawn = self._drawn(count)
        is_fine = float(chance.uniform(0, 1, 1)) < _FINE
        if is_fine:
            drawn = self._part(drawn)
        drawn = self._forged(drawn)
        drawn = self._swapped(drawn)
        low, high = (0.55, 1.3) if is_fine else (0.5, 2.3)
        spread = float(chance.uniform(0, 1, 1))
        hardness = chance.uniform(0, 0.85, count, 1, 1, 1)
        hardness = hardness + chance.some(0.05, count) * 0.5
        seen = frames(
            reprints.genuine(drawn.print_, chance, scale=self._scale),
            chance,
            frame=self.frame,
            resolution=low * (high / low) ** spread,
            hardness=hardness,
        )
        reference = drawn.reference if is_fine else _halved(drawn.reference)
        reference = scans(reference, chance)
        compared = functional.interpolate(drawn.compared, size=self.frame)
        valid = _valid(reference, seen, compared, chance)
        expected = relit(
            (reference * 255).round(), (seen * 255).round(), valid * compared
        )
        planes = torch.cat([expected, seen * 255, valid * 255], dim=1)
        planes = planes.round() * (functional.interpolate(drawn.face, self.frame) > 0)
        planes = planes.clamp(0, 255).to(torch.uint8)
        return self.turned(_labelled(planes, valid, drawn))

    def turned(self, lesson: Lesson) -> Lesson:
        """Mirror and turn; now and then other inks, or white on black."""
        return _turned(lesson, self._chance)

    @property
    def _scale(self) -> float:
        return self.canvas[1] / 1400

    def _drawn(self, count: int) -> "_Drawn":
        chance, kept = self._chance, min(self.taken, len(self._pixels))
        which = chance.uniform(0, kept, count).long().clamp(max=kept - 1)
        ends = torch.tensor(_SHARES, device=which.device).cumsum(0)
        sorts = torch.searchsorted(ends, chance.uniform(0, 1, count))
        sorts = sorts.clamp(max=len(_SHARES) - 1)
        forged = 2 + chance.uniform(0, FORGED, count).long().clamp(max=FORGED - 1)
        face = torch.where(sorts == _DRAWN, forged, 1)
        compared = self._compared[which][:, None].float()
        return _Drawn(
            reference=_pictures(self._pixels[which, 0]),
            print_=_pictures(self._pixels[which, face]),
            changed=self._changed[which, face][:, None].float(),
            compared=compared,
            face=_filled(compared),
            sorts=sorts,
        )

    def _part(self, drawn: "_Drawn") -> "_Drawn":
        """Cut a part as large as the frame; where it was changed, if it was."""
        chance = self._chance
        height, width = (side // MASK_PX for side in self.frame)
        weight = drawn.compared * (0.02 + drawn.changed)
        spots = torch.multinomial(
            weight.flatten(1) + 1e-6, 1, generator=chance.generator
        )[:, 0]
        rows, columns = drawn.changed.shape[2:]
        off = chance.uniform(0.1, 0.9, len(spots), 2)
        tops = (spots // columns - (off[:, 0] * height).long()).clamp(0, rows - height)
        lefts = spots % columns - (off[:, 1] * width).long()
        lefts = lefts.clamp(0, columns - width)
        places = list(zip(tops.tolist(), lefts.tolist(), strict=True))

        def cut(maps: torch.Tensor) -> torch.Tensor:
            step = maps.shape[2] // rows
            return torch.stack(
                [
                    one[
                        :,
                        top * step : (top + height) * step,
                        left * step : (left + width) * step,
                    ]
                    for one, (top, left) in zip(maps, places, strict=True)
                ]
            )

        return drawn.each(cut)

    def _forged(self, drawn: "_Drawn") -> "_Drawn":
        """Change the print, or a place of it, as the sort of each lesson says."""
        chance = self._chance
        print_ = drawn.print_.clone()
        changed = drawn.changed.clone()
        makers = {
            _ALTERED: reprints.altered,
            _CAST: reprints.cast,
            _HALFTONE: self._scaled(reprints.halftone),
            _INKJET: self._scaled(reprints.inkjet),
            _RESCAN: self._scaled(reprints.rescan),
        }
        for sort, make in makers.items():
            chosen = (drawn.sorts == sort).nonzero()[:, 0]
            if not len(chosen):
                continue
            severity = chance.uniform(0.05, 1.0, len(chosen), 1, 1, 1)
            before = print_[chosen]
            print_[chosen] = make(before, chance, severity)
            if sort == _ALTERED:
                gap = (print_[chosen] - before).abs().amax(1, keepdim=True)
                apart = (gap > reprints.VISIBLE).float()
                changed[chosen] = functional.max_pool2d(
                    apart, apart.shape[2] // changed.shape[2]
                )
        return drawn.with_print(print_, changed)

    def _scaled(self, make: Callable[..., Pictures]) -> Callable[..., Pictures]:
        return lambda faces, chance, severity: make(
            faces, chance, severity, scale=self._scale
        )

    def _swapped(self, drawn: "_Drawn") -> "_Drawn":
        """Let some references be the changed ones: a difference either way."""
        is_place = (drawn.sorts == _DRAWN) | (drawn.sorts == _ALTERED)
        swapped = self._chance.some(_SWAPPED, len(is_place)) > 0
        swapped = swapped & is_place[:, None, None, None]
        return drawn.with_pair(
            torch.where(swapped, drawn.print_, drawn.reference),
            torch.where(swapped, drawn.reference, drawn.print_),
        )


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What a batch is made of, before any camera."""

    reference: Pictures
    print_: Pictures
    changed: torch.Tensor  # (N, 1, h, w)
    compared: torch.Tensor  # (N, 1, h, w)
    face: torch.Tensor  # (N, 1, h, w)
    sorts: torch.Tensor  # (N,)

    def each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "_Drawn":
        return _Drawn(
            reference=change(self.reference),
            print_=change(self.print_),
            changed=change(self.changed),
            compared=change(self.compared),
            face=change(self.face),
            sorts=self.sorts,
        )

    def with_print(self, print_: Pictures, changed: torch.Tensor) -> "_Drawn":
        return _Drawn(
            self.reference, print_, changed, self.compared, self.face, self.sorts
        )

    def with_pair(self, reference: Pictures, print_: Pictures) -> "_Drawn":
        return _Drawn(
            reference, print_, self.changed, self.compared, self.face, self.sorts
        )


def _pictures(pixels: torch.Tensor) -> Pictures:
    return pixels.permute(0, 3, 1, 2).float() / 255


def _halved(pictures: Pictures) -> Pictures:
    return functional.avg_pool2d(pictures, 2)


def _filled(compared: torch.Tensor) -> torch.Tensor:
    """The whole face: variable regions are holes in what is compared."""
    rows = compared.amax(3, keepdim=True)
    return rows * compared.amax(2, keepdim=True)


def _valid(
    reference: Pictures, seen: Pictures, compared: torch.Tensor, chance: Chance
) -> torch.Tensor:
    """Leave out variable regions, what is burnt out, hands, the very edge."""
    valid = compared.clone()
    burnt = (seen.amin(1, keepdim=True) >= 250 / 255).float()
    burnt = burnt * (reference.amin(1, keepdim=True) < 210 / 255).float()
    wide = functional.avg_pool2d(burnt, 11, stride=1, padding=5) > 0.85  # noqa: PLR2004
    wide = functional.max_pool2d(wide.float(), 15, stride=1, padding=7)
    valid = valid * (1 - wide)
    count, _, height, width = valid.shape
    x = torch.arange(width, device=valid.device)[None, None, None, :] / width
    y = torch.arange(height, device=valid.device)[None, None, :, None] / height
    middle = chance.uniform(0, 1, count, 2, 1, 1)
    size = chance.uniform(0.02, 0.25, count, 2, 1, 1)
    hole = ((x - middle[:, :1]).abs() < size[:, :1]) & (
        (y - middle[:, 1:]).abs() < size[:, 1:]
    )
    valid = valid * (1 - hole.float() * chance.some(0.25, count))
    edge = max(2, round(0.012 * max(height, width)))
    inner = torch.zeros_like(valid)
    inner[:, :, edge:-edge, edge:-edge] = 1
    return valid * inner


def _labelled(planes: torch.Tensor, valid: torch.Tensor, drawn: _Drawn) -> Lesson:
    cells = functional.avg_pool2d(valid, STRIDE)
    changed = functional.interpolate(drawn.changed, size=valid.shape[2:]) * valid
    share = functional.avg_pool2d(changed, STRIDE)
    target = (share > 0.08).float()  # noqa: PLR2004 (more than a speck)
    near = functional.max_pool2d(
        (share > 0).float(), _NEAR_CELLS, stride=1, padding=_NEAR_CELLS // 2
    )
    counts = (cells > 0.9).float() * ((near == 0) | (target > 0)).float()  # noqa: PLR2004
    sorts = drawn.sorts
    told = torch.zeros(len(sorts), 1 + len(WAYS), device=sorts.device)
    is_shown = changed.sum((1, 2, 3)) > STRIDE * STRIDE
    for sort, way in _WAY_OF.items():
        chosen = sorts == sort
        if way == "place":
            chosen = chosen & is_shown
        else:
            counts = counts * (~chosen).float()[:, None, None, None]
        told[:, 0] += chosen.float()
        told[:, 1 + WAYS.index(way)] += chosen.float()
    return Lesson(planes, target[:, 0], counts[:, 0], told, sorts)


def _turned(lesson: Lesson, chance: Chance) -> Lesson:
    coins = chance.uniform(0, 1, 5).tolist()
    planes, maps = lesson.planes, torch.stack([lesson.target, lesson.counts], dim=1)
    axes = [axis for axis, coin in ((2, coins[0]), (3, coins[1])) if coin < 0.5]  # noqa: PLR2004
    if axes:
        planes, maps = planes.flip(axes), maps.flip(axes)
    if coins[2] < 0.5:  # noqa: PLR2004
        planes, maps = planes.transpose(2, 3), maps.transpose(2, 3)
    if coins[3] < 0.15:  # noqa: PLR2004
        planes = planes[:, [1, 2, 0, 4, 5, 3, 6]]
    if coins[4] < 0.05:  # noqa: PLR2004
        planes = torch.cat([255 - planes[:, :6], planes[:, 6:]], dim=1)
    return Lesson(
        planes.contiguous(),
        maps[:, 0].contiguous(),
        maps[:, 1].contiguous(),
        lesson.told,
        lesson.sorts,
    )

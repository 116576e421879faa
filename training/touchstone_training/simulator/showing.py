"""Contact sheets, to be looked at: families, counterfeits and photographs.

A simulator is as good as what it draws, and only eyes see a word that runs out of its
box. Whoever changes how something is drawn looks at these sheets afterwards.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.errors import InvalidInputError
from touchstone_training.simulator.artwork import FAMILY_NAMES, design, render
from touchstone_training.simulator.counterfeits import (
    KINDS,
    WHOLE_PRINT_KINDS,
    Counterfeit,
    counterfeit,
    genuine_print,
)
from touchstone_training.simulator.photography import photograph

Image = NDArray[np.uint8]

SEVERITIES = (0.15, 0.5, 1.0)
DIFFICULTIES = (0.0, 0.4, 1.0)
_GAP_PX = 6
_GREY = 96
_FACE_PX = 900
_LABEL_PX, _LETTER_PX = 14, 9


def _fitted(pixels: Image, cell_px: tuple[int, int]) -> Image:
    # The picture in a grey cell of (width, height), in its upper left corner.
    scale = min(cell_px[0] / pixels.shape[1], cell_px[1] / pixels.shape[0])
    size = (
        max(1, min(cell_px[0], round(pixels.shape[1] * scale))),
        max(1, min(cell_px[1], round(pixels.shape[0] * scale))),
    )
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    cell = np.full((cell_px[1] + _GAP_PX, cell_px[0] + _GAP_PX, 3), _GREY, np.uint8)
    cell[: size[1], : size[0]] = cv2.resize(pixels, size, interpolation=way)
    return cell


def _labelled(cell: Image, words: str) -> Image:
    top = cell.shape[0] - _GAP_PX - _LABEL_PX
    cell[top:, : min(cell.shape[1], _LETTER_PX * len(words))] = 0
    at, white = (3, cell.shape[0] - _GAP_PX), (255, 255, 255)
    cv2.putText(cell, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, white, 1, cv2.LINE_AA)
    return cell


def sheet(rows: Sequence[Sequence[Image]]) -> Image:
    """Rows of cells of one size, joined."""
    return np.vstack([np.hstack(row) for row in rows])


def families_sheet(
    seeds: Sequence[int], *, fonts: Sequence[Path] = (), per_row: int = 6
) -> Image:
    """Every family with each of the seeds."""
    cells = [
        _labelled(
            _fitted(
                render(design(seed, family=family, fonts=fonts), long_side_px=_FACE_PX),
                (400, 360),
            ),
            f"{family} {seed}",
        )
        for family in FAMILY_NAMES
        for seed in seeds
    ]
    while len(cells) % per_row:
        cells.append(np.full_like(cells[0], _GREY))
    return sheet([cells[i : i + per_row] for i in range(0, len(cells), per_row)])


def counterfeits_sheet(seed: int, *, fonts: Sequence[Path] = ()) -> Image:
    """Every kind at each of ``SEVERITIES``: before and after, where it changed."""
    rows = []
    for number, kind in enumerate(KINDS):
        row: list[Image] = []
        for severity in SEVERITIES:
            row += _before_and_after(seed + number, kind, severity, fonts)
        rows.append(row)
    return sheet(rows)


def _before_and_after(
    seed: int, kind: str, severity: float, fonts: Sequence[Path]
) -> tuple[Image, Image]:
    artwork = design(seed, fonts=fonts)
    before = render(artwork, long_side_px=_FACE_PX)
    rng = np.random.default_rng(seed)
    try:
        fake = counterfeit(artwork, kind, rng, severity=severity, long_side_px=_FACE_PX)
    except InvalidInputError:  # this artwork has nothing of that kind
        fake = Counterfeit(before, kind, severity, ())
    place = _around(fake, before.shape)
    words = f"{kind} {severity}" if fake.changed_boxes else f"{kind}: none here"
    cells = [_fitted(picture[place], (260, 170)) for picture in (before, fake.pixels)]
    return _labelled(cells[0], words), cells[1]


def _around(fake: Counterfeit, shape: tuple[int, ...]) -> tuple[slice, slice]:
    # The changed places with some margin; a middle part of prints changed as a whole.
    height, width = shape[:2]
    if not fake.changed_boxes or fake.kind in WHOLE_PRINT_KINDS:
        return slice(height // 4, height // 4 * 3), slice(width // 4, width // 4 * 3)
    boxes = np.array(fake.changed_boxes)
    low = boxes[:, :2].min(axis=0) - _FACE_PX // 40
    high = (boxes[:, :2] + boxes[:, 2:]).max(axis=0) + _FACE_PX // 40
    left, top = (int(v) for v in np.maximum(low, 0))
    right, bottom = (int(v) for v in np.minimum(high, (width, height)))
    return slice(top, bottom), slice(left, right)


def photographs_sheet(
    seed: int, *, fonts: Sequence[Path] = (), columns: int = 5
) -> Image:
    """Photographs of genuine prints, a row for each of ``DIFFICULTIES``."""
    rows = []
    for hard in DIFFICULTIES:
        row = []
        for column in range(columns):
            rng = np.random.default_rng((seed, column, round(hard * 10)))
            artwork = design(int(rng.integers(2**31)), fonts=fonts)
            print_ = genuine_print(render(artwork, long_side_px=1100), rng)
            photo = photograph(print_, rng, size_px=(800, 600), difficulty=hard)
            row.append(_labelled(_fitted(photo.pixels, (480, 360)), f"{hard}"))
        rows.append(row)
    return sheet(rows)


def write_sheets(
    out: Path, *, fonts: Sequence[Path] = (), seed: int = 0
) -> tuple[Path, ...]:
    """Write the three sheets as PNG into the folder ``out``; returns their paths."""
    out.mkdir(parents=True, exist_ok=True)
    sheets = {
        "families": families_sheet(range(seed, seed + 3), fonts=fonts),
        "counterfeits": counterfeits_sheet(seed, fonts=fonts),
        "photographs": photographs_sheet(seed, fonts=fonts),
    }
    paths = []
    for name, pixels in sheets.items():
        path = out / f"{name}.png"
        cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        paths.append(path)
    return tuple(paths)

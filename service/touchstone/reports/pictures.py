"""Pictures of a report: exemplars side by side."""

from collections.abc import Sequence

import cv2
import numpy as np

from touchstone.engine.image import Pixels, resized
from touchstone.engine.pictures import to_png

_PAPER = 255
_INK = (27, 42, 65)
_GAP_PX = 8
_CAPTION_PX = 40


def montage(
    images: Sequence[Pixels],
    captions: Sequence[str] = (),
    *,
    columns: int = 3,
    tile_px: int = 320,
) -> bytes:
    """Lay ``images`` side by side, each whole and in proportion, as PNG.

    Args:
        images: (h, w, 3) each, one at least.
        captions: in ASCII, one for each image, or none; names in other letters belong
            in the text beside the picture.
        columns: at most so many in a row.
        tile_px: side of the square in which each is fitted.
    """
    if not images:
        raise ValueError("a montage needs a picture")
    if captions and len(captions) != len(images):
        raise ValueError("a montage needs a caption for each picture, or none")
    columns = min(columns, len(images))
    height = tile_px + (_CAPTION_PX if captions else 0)
    rows = -(-len(images) // columns)
    sheet = np.full(
        (
            rows * (height + _GAP_PX) - _GAP_PX,
            columns * (tile_px + _GAP_PX) - _GAP_PX,
            3,
        ),
        _PAPER,
        np.uint8,
    )
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        top, left = row * (height + _GAP_PX), column * (tile_px + _GAP_PX)
        tile = sheet[top : top + height, left : left + tile_px]
        _fit(tile[:tile_px], image)
        if captions:
            _write(sheet, captions[number], (left + 2, top + height - 10))
    return to_png(sheet)


def _fit(tile: Pixels, image: Pixels) -> None:
    """Draw ``image`` in the middle of the square ``tile``."""
    side = tile.shape[0]
    scale = side / max(image.shape[:2])
    width, height = (max(1, round(image.shape[axis] * scale)) for axis in (1, 0))
    left, top = (side - width) // 2, (side - height) // 2
    tile[top : top + height, left : left + width] = resized(image, (width, height))


def _write(sheet: Pixels, caption: str, at: tuple[int, int]) -> None:
    text = caption.encode("ascii", "replace").decode("ascii")
    cv2.putText(
        sheet, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.9, _INK, 2, lineType=cv2.LINE_AA
    )

"""Bar codes and matrix codes as coverage masks."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]

_QUIET_MODULES = 9
_CRISP_PITCH_PX = 3
"""Modules at least this wide are drawn in whole px; narrower ones shaded exactly."""
_OVER = 3


@lru_cache(maxsize=256)
def _modules(form: str, content: str) -> NDArray[np.bool_]:
    import zxingcpp  # noqa: PLC0415 - only faces with codes need it

    kind = getattr(zxingcpp.BarcodeFormat, form)
    code = zxingcpp.create_barcode(content, kind)
    grey = np.asarray(
        zxingcpp.write_barcode_to_image(code, scale=1, add_quiet_zones=False)
    )
    dark = grey < 128  # noqa: PLR2004 - black or white
    return dark[dark.shape[0] // 2][None] if form == "EAN13" else dark


def code_mask(form: str, content: str, size_px: tuple[int, int]) -> Mask:
    """Bars or modules of a code (``form`` names zxing's), (h, w) uint8."""
    dark = _modules(form, content)
    rows, columns = dark.shape
    quiet = _QUIET_MODULES if rows == 1 else 2
    pitch = size_px[0] / (columns + 2 * quiet)
    if rows > 1:
        pitch = min(pitch, size_px[1] / (rows + 2 * quiet))
    is_crisp = pitch >= _CRISP_PITCH_PX
    pitch = float(int(pitch)) if is_crisp else pitch
    wide = max(1, round(columns * pitch))
    tall = size_px[1] if rows == 1 else max(1, round(rows * pitch))
    large = np.kron(dark.astype(np.uint8) * 255, np.ones((_OVER, _OVER), np.uint8))
    way = cv2.INTER_NEAREST if is_crisp else cv2.INTER_AREA
    bars = cv2.resize(large, (wide, tall), interpolation=way)
    mask = np.zeros((size_px[1], size_px[0]), np.uint8)
    left, top = (size_px[0] - wide) // 2, (size_px[1] - tall) // 2
    mask[top : top + tall, left : left + wide] = bars
    return mask

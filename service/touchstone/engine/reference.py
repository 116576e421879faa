"""One enrolled reference image, as examinations know it, and the compared frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from touchstone.engine.codes import Box, Code
from touchstone.engine.comparison import CLOSER_SIDE_PX, COMPARISON_SIDE_PX
from touchstone.engine.extent import ground_of
from touchstone.engine.image import Pixels, resized
from touchstone.engine.pair import Mask


@dataclass(frozen=True, slots=True)
class Reference:
    """What the examination needs to know of one enrolled reference image."""

    label: int
    pixels: Pixels
    """The image at working size."""
    size_px: tuple[int, int]
    """(width, height) of the image as enrolled; regions are given in its pixels."""
    is_counterfeit: bool
    variable_regions: tuple[Box, ...] = ()
    """(x, y, width, height) in pixels of the enrolled image: differ by design."""
    gtin: str | None = None
    codes: tuple[Code, ...] = ()
    """Read from `pixels`, their boxes in its frame."""
    product: str = ""
    """Which product it is of; empty if that is not known."""
    product_class: str = ""
    """As `class_of` gives it: the policy may have a threshold of its own for it."""
    framed: Pixels = field(init=False, repr=False)
    """`pixels` in the compared frame, (h, w, 3): the same for every photo."""
    larger: Pixels | None = field(init=False, repr=False)
    """`pixels` in the frame of a closer look, where they have more to show there."""
    ground: Mask | None = field(init=False, repr=False)
    """(h, w) of the compared frame: plain ground around the face, if it shows any."""

    def __post_init__(self) -> None:
        frame = frame_of(self.size_px)
        object.__setattr__(self, "framed", resized(self.pixels, frame))
        larger = None
        if max(self.pixels.shape) >= COMPARISON_SIDE_PX:
            larger = resized(self.pixels, frame_of(self.size_px, CLOSER_SIDE_PX))
        object.__setattr__(self, "larger", larger)
        object.__setattr__(self, "ground", ground_of(self.pixels, frame))


def class_of(category: str) -> str:
    """Return a product's category as policies name classes: ``personal_care``."""
    return "_".join(category.casefold().replace("_", " ").split())


def frame_of(
    size_px: tuple[int, int], side_px: int = COMPARISON_SIDE_PX
) -> tuple[int, int]:
    """Return the (width, height) at which a reference of ``size_px`` is compared.

    Args:
        size_px: (width, height) of the image as enrolled.
        side_px: long side of the frame.
    """
    scale = side_px / max(size_px)
    # Whole multiples shrink by halves and quarters several times faster than others.
    width, height = (max(16, 4 * round(side * scale / 4)) for side in size_px)
    return width, height


def mask_of(
    boxes: Sequence[Box],
    size_px: tuple[int, int],
    frame_px: tuple[int, int],
) -> Mask | None:
    """(height, width) of the frame, true inside any of ``boxes``, widened a little."""
    if not boxes:
        return None
    mask: NDArray[np.bool_] = np.zeros((frame_px[1], frame_px[0]), bool)
    x_scale, y_scale = frame_px[0] / size_px[0], frame_px[1] / size_px[1]
    for x, y, width, height in boxes:
        left, top = int(x * x_scale) - _MARGIN_PX, int(y * y_scale) - _MARGIN_PX
        right = int((x + width) * x_scale) + _MARGIN_PX + 1
        bottom = int((y + height) * y_scale) + _MARGIN_PX + 1
        mask[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = True
    return mask


_MARGIN_PX = 5
"""Registration error that a variable region must not spill over, in frame pixels."""

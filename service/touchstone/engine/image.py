"""Bytes to pixels: the only place where an image is decoded, and how good it is.

Every photograph is hostile until it has been decoded within limits. The header is
read first: format, bytes, pixels, sides and frames are refused there, before any
decoder allocates a picture (a 17 KB PNG can announce 144 megapixels).
"""

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageOps, UnidentifiedImageError

from touchstone.errors import (
    BadImageError,
    ImageBombError,
    ImageTooLargeError,
    NotAnImageError,
    TruncatedImageError,
    UnsupportedFormatError,
)

Pixels: TypeAlias = NDArray[np.uint8]
"""(height, width, 3), RGB, upright."""

# Pillow's own guard only warns up to twice its limit; ours decides, from the header.
PillowImage.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What is accepted; beyond it a file is refused from its header."""

    max_bytes: int = 25_000_000
    max_pixels: int = 50_000_000
    max_side_px: int = 30_000
    min_side_px: int = 16
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "AVIF")


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded picture at working size."""

    pixels: Pixels
    full_size_px: tuple[int, int]
    """Upright (width, height) of the file, before it was reduced."""
    format: str

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height) of `pixels`."""
        return self.pixels.shape[1], self.pixels.shape[0]


def decode(
    data: bytes, *, max_side_px: int = 1280, limits: DecodeLimits | None = None
) -> Photo:
    """Decode ``data`` upright, in RGB, with its long side at most ``max_side_px``.

    JPEG is decoded at the DCT scale (1, 1/2, 1/4, 1/8) that still leaves
    ``max_side_px``, then resized linearly: never 12 megapixels for a 1-megapixel job.
    Pillow reads every header; a whole JPEG of the usual kind is then drawn by OpenCV,
    whose decoder gives the same pixels in two thirds of the time.

    Raises:
        ImageTooLargeError: more bytes than accepted.
        NotAnImageError: no image format that we know.
        UnsupportedFormatError: a known format outside the allowlist.
        ImageBombError: too many pixels, too long a side, or several frames.
        TruncatedImageError: the picture is damaged or cut short.
    """
    limits = limits or DecodeLimits()
    if len(data) > limits.max_bytes:
        raise ImageTooLargeError(
            f"The image has {len(data):,} bytes; at most {limits.max_bytes:,} are "
            "accepted. Send the photograph as a JPEG."
        )
    try:
        # Metadata warnings (broken EXIF, odd palettes) are of no use to a caller,
        # and must not become errors where warnings are.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decode(data, max_side_px, limits)
    except BadImageError:
        raise
    except Exception as error:
        # Pillow raises at least seven types on mutated files (SyntaxError,
        # EOFError, RuntimeError among them): anything from a decoder means damage.
        raise TruncatedImageError(
            "The image is damaged or cut short; send the original file again."
        ) from error


def _decode(data: bytes, max_side_px: int, limits: DecodeLimits) -> Photo:
    with _open(data, limits) as image:
        _check_header(image, limits)
        image_format = _named(image)
        full = image.size
        orientation = image.getexif().get(_ORIENTATION, 1)
        drawn = None
        if image_format == "JPEG" and image.mode in {"RGB", "L"}:
            drawn = _drawn_jpeg(data, full, max_side_px)
        if drawn is None:
            pixels = _reduced(_loaded(image, max_side_px), max_side_px)
        else:
            upright = _UPRIGHT.get(orientation, np.ascontiguousarray)
            pixels = np.ascontiguousarray(upright(_reduced(drawn, max_side_px)))
    full_upright = (full[1], full[0]) if orientation in _TURNED else full
    return Photo(
        pixels=pixels,
        full_size_px=full_upright,
        format=image_format,
    )


_ORIENTATION = 0x0112
_TURNED = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""

_UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
"""How a picture of each EXIF orientation is made upright."""


def _loaded(image: PillowImage.Image, max_side_px: int) -> Pixels:
    if _named(image) == "JPEG":
        shrink = max_side_px / max(image.size)
        width, height = (max(1, int(side * shrink)) for side in image.size)
        image.draft("RGB", (width, height))
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return np.asarray(_to_rgb(image))


_DCT_SCALES = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)
"""Divisors and the bits that ask for them, of which the colour bit makes colour."""

_AS_STORED_RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION


def _drawn_jpeg(
    data: bytes, full_px: tuple[int, int], max_side_px: int
) -> Pixels | None:
    """Decode a JPEG whose header was accepted; None where that is Pillow's to judge.

    OpenCV fills what is missing of a picture cut short with grey and does not say so.
    """
    if not _has_end(data):
        return None
    divisor, flag = next(
        (scale for scale in _DCT_SCALES if max(full_px) // scale[0] >= max_side_px),
        (1, 0),
    )
    drawn = cv2.imdecode(np.frombuffer(data, np.uint8), flag | _AS_STORED_RGB)
    # Should the two ever read one header differently, Pillow's reading stands.
    expected = tuple(-(-side // divisor) for side in full_px[::-1])
    if drawn is None or drawn.shape != (*expected, 3):
        return None
    return np.asarray(drawn, np.uint8)


_START_OF_SCAN = 0xDA
_END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_MAX_SEGMENTS = 4096


def _has_end(data: bytes) -> bool:
    """Tell whether the first picture of a JPEG is closed by its end marker.

    Inside compressed data FF is always followed by 0 or a restart marker, so that the
    first other marker after a scan's header is where the scan ends: another segment of
    a progressive picture, or the end. Thumbnails, which have an end of their own, lie
    in segments before it, and what is appended to a picture comes after its end.
    """
    at = 2
    for _ in range(_MAX_SEGMENTS):
        if at + 4 > len(data) or data[at] != 0xFF:  # noqa: PLR2004 (not a marker)
            return data[at : at + 2] == _END
        marker = data[at + 1]
        if marker == _END[1]:
            return True
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        at += 2 + length
        if marker == _START_OF_SCAN:
            following = _MARKER.search(data, at)
            if following is None:
                return False
            at = following.start()
    return False


def _named(image: PillowImage.Image) -> str:
    # Phones append a thumbnail, depth or gain map to a JPEG (Multi-Picture Format);
    # it is the same photograph, and nothing but its first picture is ever decoded.
    return "JPEG" if image.format == "MPO" else str(image.format)


def _open(data: bytes, limits: DecodeLimits) -> PillowImage.Image:
    try:
        return PillowImage.open(io.BytesIO(data), formats=limits.formats)
    except UnidentifiedImageError:
        pass
    known = _known_format(data)
    accepted = ", ".join(limits.formats)
    if known is not None and known not in limits.formats:
        raise UnsupportedFormatError(
            f"{known} images are not accepted; send one of: {accepted}."
        )
    if known is not None:
        raise TruncatedImageError(
            "The image is damaged or cut short; send the original file again."
        )
    raise NotAnImageError(
        f"This is not an image that we can read; send one of: {accepted}."
    )


# First bytes of formats worth naming in an error; nothing here is ever decoded.
_SIGNATURES: tuple[tuple[bytes, int, str], ...] = (
    (b"\xff\xd8\xff", 0, "JPEG"),
    (b"\x89PNG\r\n\x1a\n", 0, "PNG"),
    (b"WEBP", 8, "WEBP"),
    (b"ftypavif", 4, "AVIF"),
    (b"ftypheic", 4, "HEIC"),
    (b"ftypheix", 4, "HEIC"),
    (b"ftypmif1", 4, "HEIC"),
    (b"GIF8", 0, "GIF"),
    (b"BM", 0, "BMP"),
    (b"II*\x00", 0, "TIFF"),
    (b"MM\x00*", 0, "TIFF"),
    (b"\x00\x00\x00\x0cjP  ", 0, "JPEG 2000"),
    (b"8BPS", 0, "PSD"),
    (b"%!PS", 0, "EPS"),
    (b"%PDF", 0, "PDF"),
    (b"<svg", 0, "SVG"),
    (b"<?xml", 0, "SVG"),
)


def _known_format(data: bytes) -> str | None:
    for signature, offset, name in _SIGNATURES:
        if data[offset : offset + len(signature)] == signature:
            return name
    return None


def _check_header(image: PillowImage.Image, limits: DecodeLimits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels or max(width, height) > limits.max_side_px:
        raise ImageBombError(
            f"The image announces {width:,} x {height:,} pixels; at most "
            f"{limits.max_pixels:,} pixels and {limits.max_side_px:,} a side are "
            "accepted."
        )
    frames = 1 if _named(image) == "JPEG" else getattr(image, "n_frames", 1)
    if frames > 1:
        raise ImageBombError(
            f"The image has {frames:,} frames; send a single photograph."
        )
    if min(width, height) < limits.min_side_px:
        raise BadImageError(
            f"The image has {width:,} x {height:,} pixels; at least "
            f"{limits.min_side_px} a side are needed."
        )


def _to_rgb(image: PillowImage.Image) -> PillowImage.Image:
    """Flatten transparency onto white: packaging artwork is meant for white board."""
    if image.mode.startswith("I;16"):
        # Pillow would clip 16 bits to 8, and a grey scan come out white.
        high_byte = (np.asarray(image) >> 8).astype(np.uint8)
        return PillowImage.fromarray(high_byte).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        board = PillowImage.new("RGBA", rgba.size, "white")
        return PillowImage.alpha_composite(board, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _reduced(pixels: Pixels, max_side_px: int) -> Pixels:
    height, width = pixels.shape[:2]
    shrink = max_side_px / max(height, width)
    if shrink >= 1:
        return np.ascontiguousarray(pixels)
    return resized(
        pixels, (max(1, round(width * shrink)), max(1, round(height * shrink)))
    )


def resized(pixels: Pixels, size_px: tuple[int, int]) -> Pixels:
    """Resize to ``size_px`` (width, height) without aliasing and without AREA's cost.

    Halving by INTER_AREA is exact and fast; at non-integer ratios INTER_AREA costs
    as much as decoding, so the remaining factor (below two) is linear.
    """
    width, height = size_px
    if pixels.shape[1::-1] == (width, height):
        return pixels
    while pixels.shape[1] >= 2 * width and pixels.shape[0] >= 2 * height:
        half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
        pixels = np.asarray(
            cv2.resize(
                pixels[: half[1] * 2, : half[0] * 2], half, interpolation=cv2.INTER_AREA
            ),
            np.uint8,
        )
    if pixels.shape[1::-1] == (width, height):
        return pixels
    return np.asarray(
        cv2.resize(pixels, size_px, interpolation=cv2.INTER_LINEAR), np.uint8
    )


def drawn_from(
    picture: NDArray[np.uint8], places: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Draw what ``picture``, pixels or luma, has at ``places``, or nearest to them.

    Args:
        picture: (rows, columns, 3) or (rows, columns).
        places: (h, w, 2), (x, y) with pixel centres on integers, as cv2 has them.
    """
    # OpenCV moves four channels in half the time of three, to the same values.
    is_colour = picture.ndim == 3  # noqa: PLR2004 (rows, columns, channels)
    if is_colour:
        picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA), np.uint8)
    remap: Any = cv2.remap  # the stubs do not know maps of two channels
    drawn = remap(
        picture,
        places,
        None,
        interpolation=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if is_colour:
        drawn = cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB)
    return np.asarray(drawn, np.uint8)


def moved_by(
    picture: NDArray[np.uint8], shift: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Draw at each place what ``picture`` has at its ``shift``, (h, w, 2), from it."""
    # As complex numbers: both coordinates in one pass along whole rows.
    across, down = (np.arange(n).astype(np.complex64) for n in picture.shape[1::-1])
    places = np.ascontiguousarray(shift).view(np.complex64)[..., 0] + across
    places += 1j * down[:, None]
    return drawn_from(picture, places.view(np.float32).reshape(*places.shape, 2))


def grey(pixels: Pixels) -> NDArray[np.uint8]:
    """Return the luma of ``pixels``: (height, width)."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def darkest(pixels: Pixels) -> NDArray[np.uint8]:
    """Return the smallest channel of each pixel; NumPy takes ten times as long."""
    red, green, blue = cv2.split(pixels)
    return np.asarray(cv2.min(cv2.min(red, green), blue), np.uint8)


def lengths(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """(h, w) of (h, w, 2)."""
    x, y = (np.asarray(one, np.float32) for one in cv2.split(vectors))
    return magnitude(x, y)


def magnitude(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the lengths of vectors (``x``, ``y``), float32 of (h, w).

    The last digit of OpenCV's own hangs on where in memory the answer comes to lie.
    """
    squares = cv2.add(cv2.multiply(x, x), cv2.multiply(y, y))
    return np.asarray(cv2.sqrt(squares), np.float32)

import contextlib
import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scenes import Pixels, encoded, photographed, printed

from touchstone.engine.image import DecodeLimits, decode, lengths, resized
from touchstone.engine.quality import measure_quality
from touchstone.errors import (
    BadImageError,
    ImageBombError,
    ImageTooLargeError,
    NotAnImageError,
    TruncatedImageError,
    UnsupportedFormatError,
)

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF")
SMALL = photographed(printed(1, size_px=(96, 80)), frame_px=(96, 72), zoom=0.8).pixels


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A one-bit PNG whose header says what it says, whatever follows."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), *chunks, chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def blank_png(width: int, height: int) -> bytes:
    """A sound one-bit PNG of nothing: a thousandth of its pixels in bytes."""
    row = b"\0" + b"\0" * (-(-width // 8))
    return png(width, height, chunk(b"IDAT", zlib.compress(row * height, 9)))


# --- what is accepted -----------------------------------------------------------------


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_accepted_format_comes_out_as_upright_rgb(file_format: str) -> None:
    photo = decode(encoded(SMALL, file_format, quality=95))
    assert photo.format == file_format
    assert photo.pixels.shape == (72, 96, 3)
    assert photo.pixels.dtype == np.uint8
    assert photo.full_size_px == photo.size_px == (96, 72)
    assert np.abs(photo.pixels.astype(int) - SMALL).mean() < 8


def test_a_large_photo_is_reduced_and_its_own_size_is_told() -> None:
    photo = decode(encoded(SMALL.repeat(8, 0).repeat(8, 1), "JPEG"), max_side_px=200)
    assert photo.size_px == (200, 150)
    assert photo.full_size_px == (768, 576)


def test_a_small_photo_is_not_enlarged() -> None:
    assert decode(encoded(SMALL), max_side_px=2000).size_px == (96, 72)


def test_an_almost_square_photo_keeps_its_sides_apart() -> None:
    # At an eighth of its size it is 125 x 125: which side was longer is lost there.
    data = encoded(np.zeros((999, 1000, 3), np.uint8), "JPEG")
    assert decode(data, max_side_px=125).full_size_px == (1000, 999)


UPRIGHT_OF: dict[int, Callable[[Pixels], NDArray[np.uint8]]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT_OF)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_every_exif_orientation_is_turned_upright(
    file_format: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = decode(encoded(SMALL, file_format, exif=exif, quality=95))
    upright = UPRIGHT_OF[orientation](SMALL)
    assert photo.full_size_px == (upright.shape[1], upright.shape[0])
    assert np.abs(photo.pixels.astype(int) - upright).mean() < 8


def test_broken_exif_does_not_keep_a_photo_out() -> None:
    data = encoded(SMALL, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xffgarbage")
    assert decode(data).size_px == (96, 72)


@pytest.mark.parametrize(("alpha", "level"), [(0, 255), (128, 127), (255, 0)])
def test_transparency_is_flattened_onto_white(alpha: int, level: int) -> None:
    ink = np.zeros((40, 40, 4), np.uint8)
    ink[..., 3] = alpha
    assert abs(int(decode(encoded(ink)).pixels.max()) - level) <= 1


def test_a_transparent_palette_is_flattened_onto_white() -> None:
    image = Image.new("P", (40, 40), 1)
    image.putpalette([0, 0, 0, 0, 0, 0])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=1)
    assert decode(buffer.getvalue()).pixels.min() == 255


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_other_colour_models_come_out_as_rgb(mode: str) -> None:
    buffer = io.BytesIO()
    is_print = mode in {"CMYK", "YCbCr"}
    Image.fromarray(SMALL).convert(mode).save(buffer, "JPEG" if is_print else "PNG")
    photo = decode(buffer.getvalue())
    assert photo.pixels.shape == SMALL.shape
    assert 60 < photo.pixels.mean() < 220


def test_sixteen_bits_of_grey_are_scaled_and_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    assert abs(float(decode(encoded(ramp)).pixels.mean()) - 127.5) < 1


def test_a_jpeg_with_a_second_picture_for_the_phone_is_one_photograph() -> None:
    buffer = io.BytesIO()
    thumbnail = Image.new("RGB", (16, 12))
    first = Image.fromarray(SMALL)
    first.save(buffer, "MPO", save_all=True, append_images=[thumbnail], quality=95)
    photo = decode(buffer.getvalue())
    assert photo.format == "JPEG"
    assert np.abs(photo.pixels.astype(int) - SMALL).mean() < 8


# --- what is refused ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        (encoded(SMALL), DecodeLimits(max_bytes=100)),
        (b"\0" * 101, DecodeLimits(max_bytes=100)),
    ],
)
def test_too_many_bytes_are_refused(data: bytes, limits: DecodeLimits) -> None:
    with pytest.raises(ImageTooLargeError, match="at most 100 are accepted"):
        decode(data, limits=limits)


@pytest.mark.parametrize("data", [b"", b"a", b"no image at all" * 20, b"\0" * 4000])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(NotAnImageError, match="send one of: JPEG, PNG, WEBP, AVIF"):
        decode(data)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("GIF", encoded(SMALL, "GIF")),
        ("TIFF", encoded(SMALL, "TIFF")),
        ("TIFF", b"MM\0*" + b"\0" * 60),
        ("BMP", encoded(SMALL, "BMP")),
        ("JPEG 2000", encoded(SMALL, "JPEG2000")),
        ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 60),
        ("HEIC", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + b"\0" * 60),
        ("PSD", b"8BPS\0\1" + b"\0" * 60),
        ("EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
        ("PDF", b"%PDF-1.7\n"),
        ("SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("SVG", b"<?xml version='1.0'?><svg/>"),
    ],
)
def test_a_known_format_outside_the_list_is_named(name: str, data: bytes) -> None:
    with pytest.raises(UnsupportedFormatError, match=f"^{name} images are not"):
        decode(data)


def test_a_deployment_may_accept_fewer_formats() -> None:
    with pytest.raises(UnsupportedFormatError, match="send one of: JPEG"):
        decode(encoded(SMALL), limits=DecodeLimits(formats=("JPEG",)))


@pytest.mark.parametrize(
    "limits", [DecodeLimits(max_pixels=96 * 72 - 1), DecodeLimits(max_side_px=95)]
)
@pytest.mark.parametrize("file_format", FORMATS)
def test_more_pixels_than_the_limit_are_refused(
    file_format: str, limits: DecodeLimits
) -> None:
    with pytest.raises(ImageBombError, match="96 x 72"):
        decode(encoded(SMALL, file_format), limits=limits)


def test_exactly_the_limit_is_accepted() -> None:
    limits = DecodeLimits(max_bytes=len(encoded(SMALL)), max_pixels=96 * 72)
    assert decode(encoded(SMALL), limits=limits).size_px == (96, 72)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "AVIF"])
def test_several_frames_are_refused(file_format: str) -> None:
    others = [Image.fromarray(SMALL[::-1]), Image.fromarray(SMALL[:, ::-1])]
    data = encoded(SMALL, file_format, save_all=True, append_images=others)
    with pytest.raises(ImageBombError, match="3 frames"):
        decode(data)


BOMBS = {
    "144 megapixels in 17 KB": blank_png(12_000, 12_000),
    "50,000 x 50,000 in a header": png(50_000, 50_000, chunk(b"IDAT", b"")),
    "a thin strip": png(40_000, 1, chunk(b"IDAT", b"")),
    "a JPEG that says 65,000 x 65,000": encoded(SMALL, "JPEG").replace(
        struct.pack(">HH", 72, 96), struct.pack(">HH", 65_000, 65_000), 1
    ),
    "ten thousand frames": png(
        8, 8, chunk(b"acTL", struct.pack(">II", 10_000, 0)), chunk(b"IDAT", b"")
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(name: str) -> None:
    with pytest.raises(ImageBombError):
        decode(BOMBS[name])


def test_a_text_bomb_is_not_unpacked() -> None:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * 40_000_000, 9))
    with pytest.raises(BadImageError):
        decode(png(8, 8, text, chunk(b"IDAT", zlib.compress(b"\0\0" * 8))))


_PEAK_OF_REFUSALS = """
import resource, sys
from touchstone.engine.image import decode
from touchstone.errors import BadImageError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

bombs = [bytes.fromhex(line) for line in sys.stdin.read().split()]
before = peak()
for bomb in bombs:
    try:
        decode(bomb)
    except BadImageError:
        pass
sys.stdout.write(str(peak() - before))
"""


def test_bombs_are_refused_without_the_memory_that_they_ask_for() -> None:
    # In a process of its own: only there is the peak the bombs' alone.
    lines = "\n".join(bomb.hex() for bomb in BOMBS.values())
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _PEAK_OF_REFUSALS],
        input=lines,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert int(done.stdout) < 20_000, "kilobytes beyond what was needed before"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("file_format", FORMATS)
def test_half_a_picture_is_refused(file_format: str, share: float) -> None:
    data = encoded(SMALL, file_format)
    with pytest.raises(BadImageError):
        decode(data[: int(len(data) * share)])


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_a_picture_cut_short_is_told_from_no_picture(file_format: str) -> None:
    data = encoded(SMALL, file_format)
    with pytest.raises(TruncatedImageError, match="send the original file again"):
        decode(data[: len(data) // 2])


SEEDS = [encoded(SMALL, file_format) for file_format in FORMATS]
TIGHT = DecodeLimits(max_pixels=200_000)


@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.binary(min_size=0, max_size=4)), max_size=5
    ),
    kept=st.floats(0.1, 1),
)
def test_a_mutated_file_is_decoded_or_refused_and_nothing_else(
    seed: bytes, edits: list[tuple[float, bytes]], kept: float
) -> None:
    data = bytearray(seed)
    for place, replacement in edits:
        at = int(place * (len(data) - 1))
        data[at : at + len(replacement)] = replacement
    with contextlib.suppress(BadImageError):
        photo = decode(bytes(data[: int(len(data) * kept)]), limits=TIGHT)
        assert photo.pixels.dtype == np.uint8
        assert photo.pixels.shape[2] == 3


@given(st.binary(max_size=200), st.sampled_from([seed[:16] for seed in SEEDS]))
def test_noise_after_a_signature_is_refused(noise: bytes, signature: bytes) -> None:
    with pytest.raises(BadImageError):
        decode(signature + noise)


# --- sizes and quality ----------------------------------------------------------------


@given(st.integers(1, 120), st.integers(1, 120))
def test_resizing_gives_the_size_asked_for(width: int, height: int) -> None:
    assert resized(SMALL, (width, height)).shape == (height, width, 3)


def test_reducing_does_not_alias() -> None:
    board = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = resized(np.dstack([board] * 3), (50, 50))
    assert small.std() < 5
    assert abs(float(small.mean()) - 127.5) < 2


def test_sharpness_falls_with_blur() -> None:
    face = printed(2).pixels
    sharpness = [
        measure_quality(photographed(face, blur=blur).pixels).sharpness
        for blur in (0, 1.5, 3, 6)
    ]
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[0] > 2 * sharpness[-1]


def test_sharpness_does_not_depend_on_the_light() -> None:
    face = printed(2).pixels
    dim = np.asarray(face * 0.7, np.uint8)
    assert measure_quality(dim).sharpness == pytest.approx(
        measure_quality(face).sharpness, rel=0.1
    )


def test_glare_darkness_and_contrast_are_shares() -> None:
    half = np.zeros((100, 100, 3), np.uint8)
    half[:, :40] = 255
    quality = measure_quality(half)
    assert quality.glare_fraction == pytest.approx(0.4)
    assert quality.dark_fraction == pytest.approx(0.6)
    assert quality.contrast == pytest.approx(1.0)


def test_quality_is_that_of_the_masked_part_alone() -> None:
    half = np.full((100, 100, 3), 120, np.uint8)
    half[:, :50] = 255
    mask = np.zeros((100, 100), bool)
    mask[:, 50:] = True
    quality = measure_quality(half, mask)
    assert quality.glare_fraction == 0


def test_nothing_to_look_at_has_no_quality() -> None:
    quality = measure_quality(SMALL, np.zeros(SMALL.shape[:2], bool))
    assert (quality.sharpness, quality.contrast, quality.dark_fraction) == (0, 0, 1)


@pytest.mark.parametrize("size_px", [(2000, 1), (1, 2000), (400, 15)])
def test_a_strip_is_no_photograph(size_px: tuple[int, int]) -> None:
    strip = io.BytesIO()
    Image.new("RGB", size_px, "white").save(strip, "PNG")
    with pytest.raises(BadImageError, match="a side are needed"):
        decode(strip.getvalue())


@pytest.mark.parametrize("orientation", UPRIGHT_OF)
def test_a_large_jpeg_is_reduced_and_turned(orientation: int) -> None:
    large = resized(SMALL, (SMALL.shape[1] * 9, SMALL.shape[0] * 9))
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = decode(encoded(large, "JPEG", exif=exif, quality=95), max_side_px=96)
    upright = UPRIGHT_OF[orientation](SMALL)
    assert photo.pixels.shape == upright.shape
    assert photo.pixels.flags.c_contiguous
    assert np.abs(photo.pixels.astype(int) - upright).mean() < 8


def test_a_jpeg_cut_short_is_refused_though_a_thumbnail_in_it_is_whole() -> None:
    data = encoded(SMALL, "JPEG", quality=95)
    thumbnail = encoded(SMALL[:16, :16], "JPEG")
    comment = b"\xff\xfe" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = data[:2] + comment + data[2:]
    assert decode(whole).size_px == (SMALL.shape[1], SMALL.shape[0])
    with pytest.raises(TruncatedImageError):
        decode(whole[: len(whole) - len(data) // 3])


@pytest.mark.parametrize("is_progressive", [False, True])
def test_a_jpeg_cut_short_is_refused_though_another_follows_it(
    is_progressive: bool,
) -> None:
    large = resized(SMALL, (640, 480))
    data = encoded(large, "JPEG", quality=90, progressive=is_progressive)
    other = encoded(SMALL, "JPEG")
    assert decode(data + other).size_px == (640, 480)
    with pytest.raises(TruncatedImageError):
        decode(data[: len(data) // 2] + other)


def test_both_decoders_give_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(resized(SMALL, (700, 500)), "JPEG", quality=80)
    by_opencv = decode(data, max_side_px=300)
    monkeypatch.setattr("touchstone.engine.image._has_end", lambda _: False)
    by_pillow = decode(data, max_side_px=300)
    np.testing.assert_array_equal(by_opencv.pixels, by_pillow.pixels)


def test_lengths_are_the_same_wherever_in_memory_they_lie() -> None:
    rng = np.random.default_rng(0)
    vectors = np.asarray(rng.integers(0, 60, (90, 119, 2)), np.float32)
    kept: list[NDArray[Any]] = []
    seen = set()
    for size in range(1, 200):
        # What is kept between them pushes each answer to another place in memory.
        kept.append(np.empty(16 * size, np.uint8))
        answer = lengths(vectors)
        kept.append(answer)
        seen.add(answer.tobytes())
    assert len(seen) == 1
    assert np.allclose(answer, np.linalg.norm(vectors, axis=2))

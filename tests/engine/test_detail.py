"""A closer look at the places most suspected."""

import cv2
import numpy as np
from numpy.typing import NDArray

from touchstone.engine.comparator import Differences
from touchstone.engine.detail import TILE_PX, ZOOM, CloserLook, Detail, most_suspicious
from touchstone.engine.features import Method
from touchstone.engine.image import resized
from touchstone.engine.pair import AlignedPair, aligned_pair
from touchstone.engine.rectification import rectify
from touchstone.engine.registration import Registration

FRAME = (400, 300)
"""(width, height)"""


def artwork() -> NDArray[np.uint8]:
    """Draw (900, 1200, 3): blocks of many sizes on paper."""
    rng = np.random.default_rng(4)
    pixels = np.full((900, 1200, 3), 235, np.uint8)
    for _ in range(220):
        x, y = rng.integers(0, 1180), rng.integers(0, 880)
        w, h = rng.integers(4, 60, 2)
        pixels[y : y + h, x : x + w] = rng.integers(0, 255, 3)
    return pixels


def laid() -> Registration:
    """The photo is the artwork at nine tenths of its size, moved."""
    matrix = np.array([[0.9, 0, 40], [0, 0.9, 25], [0, 0, 1]])
    return Registration(
        photo_from_reference=matrix,
        bend=None,
        method=Method.ORB,
        inliers=200,
        matches=220,
        coverage=1.0,
        residual_px=0.1,
        reference_size_px=(1200, 900),
        photo_size_px=(1200, 900),
    )


def photo_of(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    matrix = laid().photo_from_reference[:2].copy()
    # cv2 puts pixel centres on integers, here they lie at one half.
    matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    warped = cv2.warpAffine(pixels, matrix, (1200, 900), borderValue=(90, 90, 90))
    return np.asarray(warped, np.uint8)


def looked(
    photo: NDArray[np.uint8], reference: NDArray[np.uint8]
) -> tuple[CloserLook, AlignedPair]:
    seen, covered = rectify(photo, laid(), FRAME)
    pair = aligned_pair(resized(reference, FRAME), seen, covered)
    return CloserLook(photo, laid(), reference), pair


class Watching:
    """A comparator that keeps what it is shown."""

    digest = "0" * 64
    provider = "cpu"

    def __init__(self) -> None:
        self.shown: list[AlignedPair] = []

    def differences(self, pair: AlignedPair) -> Differences:
        self.shown.append(pair)
        height, width = pair.valid.shape
        ones = np.ones((height // 2, width // 2), np.float32)
        return Differences(ones, 1.0, 1.0, 1.0, {})


def test_from_close_by_photo_and_reference_lie_over_each_other() -> None:
    reference = artwork()
    closer, pair = looked(photo_of(reference), reference)
    watching = Watching()
    suspicion = np.random.default_rng(1).random((150, 200)).astype(np.float32)
    closer.at(pair, suspicion, watching)
    shown = watching.shown[0]
    inside = shown.valid > 0
    assert inside.mean() > 0.7
    gap = np.abs(shown.expected.astype(float) - shown.seen).mean(axis=2)[inside]
    shifted = np.roll(shown.seen, 2, axis=1)
    apart = np.abs(shown.expected.astype(float) - shifted).mean(axis=2)[inside]
    assert gap.mean() < 0.6 * apart.mean()
    assert gap.mean() < 12


def test_the_place_most_suspected_is_looked_at() -> None:
    suspicion = np.zeros((150, 200), np.float32)
    suspicion[100:108, 30:38] = 5
    valid = np.ones((300, 400), np.float32)
    left, top = most_suspicious(suspicion, valid)[0]
    assert left <= 30
    assert top <= 100
    assert left + TILE_PX // (2 * ZOOM) >= 38
    assert top + TILE_PX // (2 * ZOOM) >= 108


def test_what_cannot_be_compared_is_not_looked_at() -> None:
    suspicion = np.ones((150, 200), np.float32)
    assert most_suspicious(suspicion, np.zeros((300, 400), np.float32)) == ()


def test_a_strip_narrower_than_a_place_has_none() -> None:
    suspicion = np.ones((20, 200), np.float32)
    assert most_suspicious(suspicion, np.ones((40, 400), np.float32)) == ()


def test_a_photo_coarser_than_the_frame_shows_no_more_from_near() -> None:
    reference = artwork()
    closer, _ = looked(photo_of(reference), reference)
    assert closer.shows_more(FRAME)
    assert not closer.shows_more((1100, 825))


def test_what_is_seen_from_near_outweighs_what_was_seen_from_afar() -> None:
    nothing = Differences(np.zeros((160, 240), np.float32), 0, 0, 0, {})
    far = np.full((150, 200), 2, np.float32)
    merged = Detail(nothing, ((10, 20),)).merged(far)
    side = TILE_PX // (2 * ZOOM)
    assert merged[20 : 20 + side, 10 : 10 + side].max() < 2
    assert merged[0, 0] == 2
    assert far.min() == 2

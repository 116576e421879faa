import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from touchstone.engine.alignment import Alignment
from touchstone.engine.comparator import ComparatorManifest, OnnxComparator, planes
from touchstone.engine.normalisation import Cast, relight
from touchstone.engine.pair import AlignedPair
from touchstone.errors import ModelError

SIZE = (90, 130)
"""(height, width), no multiple of what the network needs."""


@pytest.fixture
def manifest(model_dir: Path) -> ComparatorManifest:
    return ComparatorManifest.from_json((model_dir / "comparator.json").read_bytes())


@pytest.fixture
def comparator(model_dir: Path, manifest: ComparatorManifest) -> OnnxComparator:
    model = (model_dir / "comparator.onnx").read_bytes()
    return OnnxComparator.from_bytes(model, manifest, provider="cpu")


def pair(
    expected: NDArray[np.uint8],
    seen: NDArray[np.uint8],
    valid: NDArray[np.float32] | None = None,
) -> AlignedPair:
    everywhere = np.ones(SIZE, np.float32)
    nothing = np.zeros(SIZE, np.float32)
    return AlignedPair(
        expected=expected,
        seen=seen,
        valid=everywhere if valid is None else valid,
        alignment=Alignment(
            np.zeros((*SIZE, 2), np.float32), nothing, 0.0, np.ones(SIZE, bool)
        ),
        light=relight(expected, expected, everywhere).light,
        cast=Cast(0.0, 0.0),
    )


def grey_print() -> NDArray[np.uint8]:
    return np.full((*SIZE, 3), 120, np.uint8)


def with_a_mark(at: tuple[slice, slice]) -> NDArray[np.uint8]:
    pixels = grey_print()
    pixels[at] = 240
    return pixels


MARK = (slice(40, 64), slice(80, 104))


def test_the_network_is_fed_whole_multiples_with_nothing_in_the_margin() -> None:
    fed = planes(grey_print(), with_a_mark(MARK), np.ones(SIZE, np.float32))
    assert fed.shape == (1, 96, 144, 8)
    assert fed.dtype == np.uint8
    assert not fed[0, SIZE[0] :].any()
    assert not fed[0, :, SIZE[1] :].any()
    inner = fed[0, : SIZE[0], : SIZE[1]]
    np.testing.assert_array_equal(inner[..., :3], grey_print())
    np.testing.assert_array_equal(inner[..., 3:6], with_a_mark(MARK))
    assert (inner[..., 6] == 255).all()
    assert not inner[..., 7].any()


def test_a_changed_place_stands_out_where_it_is(comparator: OnnxComparator) -> None:
    same = comparator.differences(pair(grey_print(), grey_print()))
    found = comparator.differences(pair(grey_print(), with_a_mark(MARK)))
    assert found.map.shape == (SIZE[0] // 2, SIZE[1] // 2)
    assert found.map.min() == 0
    y, x = np.unravel_index(int(found.map.argmax()), found.map.shape)
    assert MARK[0].start <= 2 * y < MARK[0].stop
    assert MARK[1].start <= 2 * x < MARK[1].stop
    assert found.peak > same.peak
    assert found.top > same.top
    assert found.whole > same.whole


def test_what_cannot_be_compared_speaks_neither_way(
    comparator: OnnxComparator,
) -> None:
    valid = np.ones(SIZE, np.float32)
    valid[36:68, 76:108] = 0
    hidden = comparator.differences(pair(grey_print(), with_a_mark(MARK), valid))
    same = comparator.differences(pair(grey_print(), grey_print(), valid))
    assert hidden.peak == pytest.approx(same.peak, abs=1e-4)
    assert hidden.map[22:30, 42:50].max() == 0


def test_the_same_pair_gives_the_same_answer(comparator: OnnxComparator) -> None:
    first, second = (
        comparator.differences(pair(grey_print(), with_a_mark(MARK))) for _ in range(2)
    )
    assert (first.peak, first.top, first.whole) == (
        second.peak,
        second.top,
        second.whole,
    )


def test_an_altered_file_is_refused(
    model_dir: Path, manifest: ComparatorManifest
) -> None:
    model = bytearray((model_dir / "comparator.onnx").read_bytes())
    model[-1] ^= 1
    with pytest.raises(ModelError, match="SHA-256"):
        OnnxComparator.from_bytes(bytes(model), manifest)


def test_a_model_of_another_kind_is_refused(model_dir: Path) -> None:
    model = (model_dir / "embedder.onnx").read_bytes()
    named = ComparatorManifest("x", "0", hashlib.sha256(model).hexdigest())
    with pytest.raises(ModelError, match="cannot be fed"):
        OnnxComparator.from_bytes(model, named, provider="cpu")


@pytest.mark.parametrize("name", ["name", "version", "sha256"])
def test_a_manifest_without_one_of_its_fields_is_refused(
    model_dir: Path, name: str
) -> None:
    fields = json.loads((model_dir / "comparator.json").read_bytes())
    del fields[name]
    with pytest.raises(ModelError, match="not usable"):
        ComparatorManifest.from_json(json.dumps(fields))

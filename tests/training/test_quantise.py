"""A network to int8: as good as float32, and the same on every CPU."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from touchstone_training.quantise import (
    LEVELS,
    PAIR_LEVELS,
    Feed,
    _Network,
    neighbours,
    quantised,
    rounded_rows,
)

_SIDE = 16


def _network(seed: int = 0) -> onnx.ModelProto:
    """Build a stem, a residual block as MobileNetV2 has it, and a head.

    The channels that the linear layers write differ a hundredfold.
    """
    random = np.random.default_rng(seed)
    shapes = {
        "stem": (8, 3, 3, 3),
        "first": (8, 8, 1, 1),
        "widen": (16, 8, 1, 1),
        "depthwise": (16, 1, 3, 3),
        "narrow": (8, 16, 1, 1),
        "head": (12, 8, 1, 1),
    }
    weights = {
        name: random.normal(0, np.prod(shape[1:]) ** -0.5, shape)
        for name, shape in shapes.items()
    }
    gains = np.geomspace(0.1, 10, 8)
    for name in ("first", "narrow"):
        weights[name] *= gains[:, None, None, None]
    for name in ("widen", "head"):
        weights[name] /= gains[None, :, None, None]
    biases = {f"{name}_b": random.normal(0, 0.1, shapes[name][0]) for name in shapes}
    limits = {"zero": np.array(0.0), "six": np.array(6.0), "little": np.array(1e-3)}
    nodes = [
        _convolution("stem", "image", stride=2),
        helper.make_node("Clip", ["stem_y", "zero", "six"], ["a"], name="a"),
        _convolution("first", "a"),
        _convolution("widen", "first_y"),
        helper.make_node("Clip", ["widen_y", "zero", "six"], ["b"], name="b"),
        _convolution("depthwise", "b", groups=16),
        helper.make_node("Clip", ["depthwise_y", "zero", "six"], ["c"], name="c"),
        _convolution("narrow", "c"),
        helper.make_node("Add", ["first_y", "narrow_y"], ["sum"], name="sum"),
        _convolution("head", "sum"),
        helper.make_node("Relu", ["head_y"], ["d"], name="d"),
        helper.make_node("GlobalAveragePool", ["d"], ["pooled"], name="pooled"),
        helper.make_node(
            "Add", ["pooled", "little"], ["answer"], name="kept_from_zero"
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [1, 12, 1, 1])],
        [
            numpy_helper.from_array(np.asarray(value, np.float32), name)
            for name, value in (weights | biases | limits).items()
        ],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )


def _convolution(
    name: str, given: str, *, groups: int = 1, stride: int = 1
) -> onnx.NodeProto:
    pad = 1 if name in {"stem", "depthwise"} else 0
    return helper.make_node(
        "Conv",
        [given, name, f"{name}_b"],
        [f"{name}_y"],
        name=name,
        pads=[pad] * 4,
        strides=[stride] * 2,
        group=groups,
    )


def _feeds(count: int, *, seed: int) -> list[Feed]:
    random = np.random.default_rng(seed)
    coarse = random.normal(0, 1, (count, 1, 3, 4, 4)).repeat(4, 3).repeat(4, 4)
    return [{"image": one} for one in coarse.astype(np.float32)]


def _answers(model: onnx.ModelProto, feeds: Sequence[Feed]) -> NDArray[np.float32]:
    session = ort.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.stack([session.run(None, dict(feed))[0].ravel() for feed in feeds])


def _weights(model: onnx.ModelProto) -> dict[str, NDArray[np.int8]]:
    return {
        one.name.removesuffix("_quantized"): numpy_helper.to_array(one)
        for one in model.graph.initializer
        if one.data_type == TensorProto.INT8 and one.name.endswith("_quantized")
    }


@pytest.fixture(scope="module")
def made() -> onnx.ModelProto:
    return quantised(_network(), _feeds(24, seed=1), kept=(0,))


def test_int8_answers_as_float32_does(made: onnx.ModelProto) -> None:
    held_out = _feeds(16, seed=2)
    expected, found = _answers(_network(), held_out), _answers(made, held_out)
    assert np.abs(found - expected).max() < 0.02 * expected.max()


def test_convolutions_but_those_kept_are_int8(made: onnx.ModelProto) -> None:
    assert set(_weights(made)) == {"first", "widen", "depthwise", "narrow", "head"}
    floats = {
        one.name
        for one in made.graph.initializer
        if one.data_type == TensorProto.FLOAT and numpy_helper.to_array(one).ndim == 4
    }
    assert floats == {"stem"}


def test_what_keeps_a_number_from_zero_is_not_rounded(made: onnx.ModelProto) -> None:
    makers = {name: node for node in made.graph.node for name in node.output}
    (last,) = (node for node in made.graph.node if node.name == "kept_from_zero")
    assert all(
        makers[name].op_type != "DequantizeLinear"
        for name in last.input
        if name in makers
    )


def test_quantising_twice_gives_the_same_file(made: onnx.ModelProto) -> None:
    again = quantised(_network(), _feeds(24, seed=1), kept=(0,))
    assert again.SerializeToString() == made.SerializeToString()


def test_only_the_operator_sets_that_are_used_are_named(made: onnx.ModelProto) -> None:
    assert {one.domain for one in made.opset_import} == {""}


def test_equalising_changes_no_answer_and_gives_channels_one_range() -> None:
    feeds = _feeds(8, seed=3)
    expected = _answers(_network(), feeds)
    network = _Network(_network())
    network.equalise(feeds)
    np.testing.assert_allclose(_answers(network.model, feeds), expected, atol=1e-5)
    ranges = np.zeros(8)
    for values in network._watched(["first_y", "narrow_y", "sum"], feeds):
        for found in values.values():
            if found.shape[1] == 8:
                ranges = np.maximum(ranges, np.abs(found).max(axis=(0, 2, 3)))
    np.testing.assert_allclose(ranges, ranges.max(), rtol=1e-4)


def test_a_value_that_an_activation_reads_is_not_scaled() -> None:
    groups = _Network(_network())._linear_groups()
    assert groups == [["first_y", "narrow_y", "sum"]]


# --- rounding -------------------------------------------------------------------------


def test_inputs_are_paired_along_the_channels() -> None:
    assert neighbours((5, 4, 1, 1)).tolist() == [1, 0, 3, 2]
    # Two inputs of 2 by 1 places: 0 and 1 are places of the first, 2 and 3 the second.
    assert neighbours((5, 2, 2, 1)).tolist() == [2, 3, 0, 1]
    assert neighbours((5, 3, 1, 1)).tolist() == [1, 0, 3]  # 3: nobody
    assert neighbours((5, 1, 3, 3)).tolist() == [9] * 9


def _moments(size: int, random: np.random.Generator) -> NDArray[np.float64]:
    inputs = random.normal(size=(400, 3)) @ random.normal(size=(3, size))
    inputs += 0.1 * random.normal(size=inputs.shape)
    return (inputs.T @ inputs / len(inputs))[None]


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_no_two_products_together_overflow_16_bits(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    # Heavy tails, so that large weights meet.
    rows = random.standard_t(2, (1, 6, size)).astype(np.float32)
    beside = neighbours((6, size, 1, 1))
    rounded, step = rounded_rows(
        rows, moments=_moments(size, random), neighbours=beside
    )
    levels = rounded[0] / step[0, :, None]
    np.testing.assert_allclose(levels, levels.round(), atol=1e-6)
    assert np.abs(levels).max() <= LEVELS + 1e-6
    padded = np.concatenate([levels, np.zeros((6, 1))], axis=1)
    both = np.stack([levels, padded[:, beside]])
    assert both.clip(min=0).sum(0).max() <= PAIR_LEVELS + 1e-6
    assert both.clip(max=0).sum(0).min() >= -PAIR_LEVELS - 1e-6


def test_rounding_harms_the_outputs_less_than_rounding_each_weight_alone() -> None:
    random = np.random.default_rng(5)
    rows = random.normal(size=(1, 20, 32)).astype(np.float32)
    moments = _moments(32, random)
    rounded, step = rounded_rows(
        rows, moments=moments, neighbours=neighbours((20, 32, 1, 1))
    )
    alone = (rows / step[:, :, None]).round() * step[:, :, None]

    def harm(made: NDArray[np.float64]) -> float:
        missed = made - rows
        return float(((missed @ moments) * missed).sum())

    assert harm(rounded) < 0.2 * harm(alone)


def test_a_row_of_zeros_stays_zero() -> None:
    rows = np.zeros((1, 2, 4), np.float32)
    rounded, step = rounded_rows(
        rows, moments=np.zeros((1, 4, 4)), neighbours=neighbours((2, 4, 1, 1))
    )
    assert not rounded.any()
    assert (step > 0).all()

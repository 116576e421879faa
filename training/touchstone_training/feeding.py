"""Files fed with the engine's bytes as they lie, not with converted numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from touchstone_training.quantise import without_unused


def fed_with_bytes(
    model: onnx.ModelProto,
    given: str,
    front: Sequence[onnx.NodeProto],
    constants: Mapping[str, NDArray[Any]],
    fed: onnx.ValueInfoProto,
) -> bytes:
    """Put ``front`` before ``model``, and read its bytes as the values of ``given``.

    In int8 those bytes are the quantised values themselves: nothing is converted.

    Args:
        model: changed in place.
        given: its input of numbers; taken out.
        front: from ``fed`` to a value named ``bytes``.
        constants: that ``front`` reads; and ``step`` and ``zero``, of the bytes.
        fed: what is asked for instead.
    """
    graph = model.graph
    place = _taken_out(graph, "QuantizeLinear", given)
    values = place or given
    if place is not None:
        values = _taken_out(graph, "DequantizeLinear", place) or values
    read = helper.make_node("DequantizeLinear", ["bytes", "step", "zero"], [values])
    for number, node in enumerate([*front, read]):
        graph.node.insert(number, node)
    graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items()
    )
    others = [one for one in graph.input if one.name != given]
    del graph.input[:]
    graph.input.extend([fed, *others])
    without_unused(model)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _taken_out(graph: onnx.GraphProto, operator: str, given: str) -> str | None:
    """Take out the node that alone does ``operator`` to ``given``; name its output."""
    for node in graph.node:
        if node.op_type == operator and node.input[0] == given:
            name = str(node.output[0])
            graph.node.remove(node)
            return name
    return None

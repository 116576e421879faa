"""A float32 network to the same in int8: half the time or less, next to nothing lost.

Static, unsigned activations and signed weights per channel, which is what runs fast on
a CPU (Jacob et al., CVPR 2018). Plain rounding would cost more than it may: one weight
that hardly counts, being large, makes the steps of its whole channel coarse. So

1. each channel between two linear layers is scaled to the same range, exactly
   (Nagel et al., ICCV 2019, without their approximation for ReLU6);
2. weights are rounded one after the other, each making good for what the rounding
   before it did to the outputs (Frantar et al., GPTQ, ICLR 2023);
3. no two neighbours become so large that their products overflow: x86 CPUs without
   VNNI add products by pairs, in 16 bits, and would cut them off (``VPMADDUBSW``);
4. ONNX Runtime's own quantiser does the rest.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

Feed: TypeAlias = Mapping[str, NDArray[Any]]
"""The inputs of a network by name, a batch of one."""

LEVELS = 127
"""Of a weight, on either side of zero."""
PAIR_LEVELS = 128
"""Of two neighbours of one sign together: 255 * 128 is the most that 16 bits hold."""
_PLACES = 256
"""Places of a map, drawn for each feed, whose inputs a convolution is rounded for."""
_DAMPING = 0.01
"""Of the mean second moment, added to each: as GPTQ does."""
_SMALLEST_RANGE = 1e-3
"""Of the largest channel's: what hardly speaks is not scaled without end."""
_TINY = 1e-9


def quantised(
    model: onnx.ModelProto, feeds: Sequence[Feed], *, kept: Sequence[int] = ()
) -> onnx.ModelProto:
    """Quantise the convolutions of ``model``, and what adds or cuts their outputs.

    Args:
        model: float32 arithmetic; float16 weights with casts will do.
        feeds: what it is calibrated on; about a hundred.
        kept: places of the convolutions that stay float32, in the order of the file;
            -1 is the last.
    """
    with tempfile.TemporaryDirectory() as folder:
        before, ready, after = (Path(folder) / f"{n}.onnx" for n in range(3))
        onnx.save(model, before)
        quant_pre_process(str(before), str(ready), skip_symbolic_shape=True)
        network = _Network(onnx.load(ready))
        network.equalise(feeds)
        convolutions = network.convolutions(kept)
        steps = network.round_weights(convolutions, feeds)
        onnx.save(network.model, ready)
        quantize_static(
            str(ready),
            str(after),
            _Reader(feeds),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=network.around(convolutions),
            extra_options={"TensorQuantOverrides": steps},
        )
        made = onnx.load(after)
    without_unused(made)
    return made


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self._feeds, None)


class _Network:
    """A graph, with who makes and who reads each of its values."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        graph = model.graph
        self.weights = {one.name: one for one in graph.initializer}
        self.made_by = {name: node for node in graph.node for name in node.output}
        self.read_by: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self.read_by[name].append(node)
        self.inputs = {one.name for one in graph.input}
        self.outputs = {one.name for one in graph.output}

    def convolutions(self, kept: Sequence[int] = ()) -> list[onnx.NodeProto]:
        """Return the convolutions but those at the places of ``kept``."""
        found = [node for node in self.model.graph.node if node.op_type == "Conv"]
        spared = {range(len(found))[place] for place in kept}
        return [node for place, node in enumerate(found) if place not in spared]

    def around(self, convolutions: Sequence[onnx.NodeProto]) -> list[str]:
        """Name ``convolutions``, the sums, and the activations right after either."""
        chosen = {node.name for node in convolutions}
        for node in self.model.graph.node:
            if self._is_sum(node):
                chosen.add(node.name)
            elif node.op_type in {"Clip", "Relu"}:
                before = self.made_by.get(node.input[0])
                if before is not None and before.name in chosen:
                    chosen.add(node.name)
        return sorted(chosen)

    def _is_sum(self, node: onnx.NodeProto) -> bool:
        """Say whether two maps are added; what keeps a division from zero is not."""
        return node.op_type == "Add" and not self.weights.keys() & set(node.input)

    # --- 1. channels of one range ----------------------------------------------------

    def equalise(self, feeds: Sequence[Feed]) -> None:
        """Scale the channels between linear layers to one range, and back again."""
        groups = self._linear_groups()
        names = [name for group in groups for name in group]
        ranges: dict[str, NDArray[np.float32]] = {}
        for values in self._watched(names, feeds):
            for name in names:
                largest = np.abs(values[name]).max(axis=(0, 2, 3))
                ranges[name] = np.maximum(ranges.get(name, largest), largest)
        for group in groups:
            widest = np.max([ranges[name] for name in group], axis=0)
            least = max(_TINY, _SMALLEST_RANGE * float(widest.max()))
            gains = widest.max() / np.maximum(widest, least)
            for name in group:
                self._scale(name, gains)

    def _linear_groups(self) -> list[list[str]]:
        """Values that convolutions make and read, with nothing between but sums.

        What is added must be scaled alike: it is one group.
        """
        groups: list[set[str]] = []
        for node in self.model.graph.node:
            if node.op_type == "Conv":
                joined = {node.output[0]}
            elif self._is_sum(node):
                joined = {*node.input, *node.output}
            else:
                continue
            apart = [group for group in groups if not group & joined]
            near = [group for group in groups if group & joined]
            groups = [*apart, joined.union(*near)]
        return [
            sorted(group) for group in groups if all(self._is_linear(n) for n in group)
        ]

    def _is_linear(self, name: str) -> bool:
        nodes = [self.made_by.get(name), *self.read_by[name]]
        return name not in self.outputs and all(
            node is not None and (node.op_type == "Conv" or self._is_sum(node))
            for node in nodes
        )

    def _scale(self, name: str, gains: NDArray[np.float32]) -> None:
        maker = self.made_by[name]
        if maker.op_type == "Conv":
            for part in maker.input[1:]:
                # Transposed, as the gains are of the first axis.
                self._replace(part, (self.values(part).T * gains).T)
        for reader in self.read_by[name]:
            if reader.op_type == "Conv":
                weights = self.values(reader.input[1])
                groups = int(_attributes(reader).get("group", 1))
                parts = weights.reshape(groups, -1, *weights.shape[1:])
                undone = parts / gains.reshape(groups, 1, -1, 1, 1)
                self._replace(reader.input[1], undone.reshape(weights.shape))

    # --- 2. weights on their grid ----------------------------------------------------

    def round_weights(
        self, convolutions: Sequence[onnx.NodeProto], feeds: Sequence[Feed]
    ) -> dict[str, list[dict[str, Any]]]:
        """Round weights so that outputs, not weights, change least.

        Returns:
            The steps that were rounded to, as ``TensorQuantOverrides`` has them.
        """
        moments = self._second_moments(convolutions, feeds)
        steps = {}
        for node in convolutions:
            name = node.input[1]
            weights = self.values(name)
            rows = weights.reshape(len(moments[node.name]), -1, weights[0].size)
            rounded, step = rounded_rows(
                rows, moments=moments[node.name], neighbours=neighbours(weights.shape)
            )
            self._replace(name, rounded.reshape(weights.shape))
            zero = np.array(0, np.int8)
            steps[name] = [
                {"axis": 0, "scale": np.float32(one), "zero_point": zero}
                for one in step.ravel()
            ]
        return steps

    def _second_moments(
        self, convolutions: Sequence[onnx.NodeProto], feeds: Sequence[Feed]
    ) -> dict[str, NDArray[np.float64]]:
        """Means of x xᵀ over the inputs of each, (groups, n, n) for n weights a row."""
        rng = np.random.default_rng(0)
        names = sorted({node.input[0] for node in convolutions})
        sums: dict[str, Any] = defaultdict(float)
        for values in self._watched(names, feeds):
            for node in convolutions:
                seen = self._patches(node, values[node.input[0]], rng)
                sums[node.name] += seen @ seen.transpose(0, 2, 1) / seen.shape[2]
        return {
            name: np.asarray(total, np.float64) / len(feeds)
            for name, total in sums.items()
        }

    def _patches(
        self, node: onnx.NodeProto, maps: NDArray[np.float32], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """What meets the weights of ``node``, at some places: (groups, n, places)."""
        told = _attributes(node)
        tall, wide = self.values(node.input[1]).shape[2:]
        top, left, bottom, right = told.get("pads", (0, 0, 0, 0))
        down, across = told.get("dilations", (1, 1))
        edged = np.pad(maps[0], ((0, 0), (top, bottom), (left, right)))
        span = ((tall - 1) * down + 1, (wide - 1) * across + 1)
        windows = np.lib.stride_tricks.sliding_window_view(edged, span, axis=(1, 2))
        rows, columns = told.get("strides", (1, 1))
        windows = windows[:, ::rows, ::columns, ::down, ::across]
        places = rng.permutation(windows.shape[1] * windows.shape[2])[:_PLACES]
        seen = windows[:, places // windows.shape[2], places % windows.shape[2]]
        groups = int(told.get("group", 1))
        by_group = seen.reshape(groups, -1, *seen.shape[1:])
        return np.moveaxis(by_group, 2, 4).reshape(groups, -1, len(places))

    # --- what both need --------------------------------------------------------------

    def values(self, name: str) -> NDArray[np.float32]:
        """Return the weights of that name."""
        return np.asarray(numpy_helper.to_array(self.weights[name]), np.float32)

    def _replace(self, name: str, values: NDArray[Any]) -> None:
        made = numpy_helper.from_array(values.astype(np.float32), name)
        self.weights[name].CopyFrom(made)

    def _watched(
        self, names: Iterable[str], feeds: Sequence[Feed]
    ) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Yield the values of ``names`` for each of ``feeds``."""
        asked = [name for name in names if name not in self.inputs]
        told = onnx.ModelProto()
        told.CopyFrom(self.model)
        told.graph.output.extend(
            helper.make_empty_tensor_value_info(name)
            for name in asked
            if name not in self.outputs
        )
        session = ort.InferenceSession(
            told.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        for feed in feeds:
            found = session.run(asked, dict(feed)) if asked else []
            yield {**feed, **dict(zip(asked, found, strict=True))}


def neighbours(shape: Sequence[int]) -> NDArray[np.intp]:
    """Return the place of the weight that each is multiplied together with.

    Args:
        shape: of the weights, (outputs, inputs, height, width). Pairs go along the
            inputs, place by place; single inputs (depthwise) are not paired.

    Returns:
        (n,) places among the n weights of one output; n where there is no neighbour.
    """
    size = int(np.prod(shape[1:]))
    alone = np.full(size, size, np.intp)
    if shape[1] == 1:
        return alone
    along = np.moveaxis(np.arange(size).reshape(shape[1:]), 0, 2).ravel()
    first, second = along[: size // 2 * 2 : 2], along[1::2]
    alone[first], alone[second] = second, first
    return alone


def rounded_rows(
    rows: NDArray[np.float32],
    *,
    moments: NDArray[np.float64],
    neighbours: NDArray[np.intp],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Round weights to a grid, those that matter most first, the rest to make good.

    Args:
        rows: (groups, m, n), m rows of n weights that multiply the same inputs.
        moments: (groups, n, n), the mean of x xᵀ over those inputs.
        neighbours: (n,), see ``neighbours``.

    Returns:
        The weights, and the step of each row that they are multiples of, (groups, m).
    """
    size = rows.shape[2]
    step = np.maximum(_largest(rows, neighbours), _TINY)
    power = np.diagonal(moments, axis1=1, axis2=2)
    order = np.argsort(-power, axis=1, kind="stable")
    damped = moments + np.eye(size) * (_DAMPING * power.mean(1) + _TINY)[:, None, None]
    damped = np.take_along_axis(damped, order[:, :, None], 1)
    damped = np.take_along_axis(damped, order[:, None], 2)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)
    left = np.take_along_axis(rows.astype(np.float64), order[:, None], 2)
    # One more than there are weights: where the neighbour of the lonely stays zero.
    levels = np.zeros((*rows.shape[:2], size + 1))
    group = np.arange(len(rows))
    for at in range(size):
        place = order[:, at]
        beside = levels[group, :, neighbours[place]]
        room = np.minimum(PAIR_LEVELS - np.maximum(beside, 0), LEVELS)
        depth = np.maximum(np.minimum(beside, 0) * -1 - PAIR_LEVELS, -LEVELS)
        level = (left[:, :, at] / step).round().clip(depth, room)
        levels[group, :, place] = level
        missed = (left[:, :, at] - level * step) / upper[:, at, at, None]
        left[:, :, at + 1 :] -= missed[:, :, None] * upper[:, None, at, at + 1 :]
    return levels[:, :, :size] * step[:, :, None], step


def _largest(
    rows: NDArray[np.float32], neighbours: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the least step of each row at which no weight and no pair is too large."""
    alone = np.abs(rows).max(axis=2) / LEVELS
    padded = np.concatenate([rows, np.zeros((*rows.shape[:2], 1), rows.dtype)], axis=2)
    beside = padded[:, :, neighbours]
    above = np.maximum(rows, 0) + np.maximum(beside, 0)
    below = np.minimum(rows, 0) + np.minimum(beside, 0)
    paired = np.maximum(above, -below).max(axis=2) / PAIR_LEVELS
    return np.asarray(np.maximum(alone, paired), np.float64)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def without_unused(model: onnx.ModelProto) -> None:
    """Name only what is used: the optimiser names all operator sets it knows."""
    used = {node.domain for node in model.graph.node} | {""}
    kept = [one for one in model.opset_import if one.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    asked = {name for node in model.graph.node for name in node.input}
    for constant in [one for one in model.graph.initializer if one.name not in asked]:
        model.graph.initializer.remove(constant)

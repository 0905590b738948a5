"""An fp32 graph made int8: weights and the activations that meet them are small integers. Needs onnx.

Each token's activations have a scale of their own, and so has each column of a weight matrix and each row of the embedding table
(vector-wise quantisation, Dettmers et al. 2022, "LLM.int8()"). A token's scale comes from that token alone, so a text says the
same in whatever company it is read.

Given up: ONNX Runtime's ``quantize_dynamic``, which has one scale for all tokens. In every text a few have values that are many
times those of the rest, which is then left with few steps: logits were four times as far from those of fp32, at the same speed
(docs/model-selection.md, int8).

What rounding takes from a matrix shifts its products by about as much for every token, since activations are not zero on average;
the mean shift goes into the bias that follows (bias correction, Nagel et al. 2019, "Data-Free Quantization").

Activations are bytes around 128 and weights from -63 to 63, because a processor without VNNI adds two products in 16 bits:
2 · 255 · 63 fits, 2 · 255 · 127 does not, and would be cut off without a word.
"""

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

ACTIVATIONS = 127
"""Steps on either side of zero."""
WEIGHTS = 63
ROWS = 127
"""Steps of the embedding table, which meets no integers."""
MANY_ROWS = 10_000
"""A table with so many rows is made int8; the small ones (positions, kinds of token) are not worth it."""

_MICROSOFT = "com.microsoft"


def quantise(model: onnx.ModelProto, typical: Mapping[str, NDArray[np.int64]] | None = None) -> None:
    """Make every product with a constant matrix, and every look-up in a large table, one of integers (in place).

    Args:
        model: the fp32 graph.
        typical: inputs of the graph from which the mean activations are taken; biases stay as they are when not given.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    matrices = {  # by what comes of the product
        node.output[0]: numpy_helper.to_array(constants[node.input[1]])
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in constants and len(constants[node.input[1]].dims) == 2
    }
    means = _means(model, [node.input[0] for node in graph.node if node.output[0] in matrices], typical) if typical else {}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    made = _Nodes()
    for node in graph.node:
        table = constants.get(node.input[0]) if node.op_type == "Gather" else None
        if node.output[0] in matrices:
            lost = made.product(node, matrices[node.output[0]])
            if node.input[0] in means:
                made.shift(readers.get(node.output[0], []), constants, means[node.input[0]] @ lost)
        elif table is not None and table.dims[0] >= MANY_ROWS:
            made.look_up(node, numpy_helper.to_array(table))
        else:
            made.nodes.append(node)
    used = {name for node in made.nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    for held, new in ((graph.node, made.nodes), (graph.initializer, [*kept, *made.constants.values()])):
        del held[:]
        held.extend(new)
    if _MICROSOFT not in {opset.domain for opset in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(_MICROSOFT, 1))


def _means(model: onnx.ModelProto, names: list[str], typical: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.float32]]:
    """The mean of each of these values over its rows, when the graph runs on ``typical``."""
    wanted, before = list(dict.fromkeys(names)), len(model.graph.output)
    model.graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in wanted)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    del model.graph.output[before:]
    found = session.run(wanted, dict(typical))
    return {name: value.reshape(-1, value.shape[-1]).mean(0) for name, value in zip(wanted, found, strict=True)}


def _steps(values: NDArray[np.float32], axis: int, steps: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Integers from -steps to steps, and their scales along the other axis; ``axis`` stays in these with length 1."""
    largest = np.abs(values).max(axis=axis, keepdims=True)
    scales = np.where(largest > 0, largest / steps, 1.0).astype(np.float32)
    return np.round(values / scales).astype(np.int8), scales


class _Nodes:
    """The new graph's nodes and constants as they are made."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._quantised: dict[str, tuple[str, str]] = {}
        self._last = self._constant("int8.last_axis", np.array([-1], dtype=np.int64))
        self._least = self._constant("int8.least", np.array(1e-6, dtype=np.float32))
        self._step = self._constant("int8.step", np.array(1 / ACTIVATIONS, dtype=np.float32))
        self._zero = self._constant("int8.zero", np.array(128, dtype=np.uint8))

    def product(self, node: onnx.NodeProto, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """``activations · matrix``: integers times integers, then both scales. Returns what rounding took from the matrix."""
        integers, token_scales = self._tokens(node.input[0])
        columns, scales = _steps(matrix, 0, WEIGHTS)
        name, result = node.input[1], node.output[0]
        inputs = [
            integers,
            self._constant(f"{name}.int8", columns),
            self._step,
            self._constant(f"{name}.scales", scales[0]),
            self._zero,
            self._constant(f"{name}.zeros", np.zeros(columns.shape[1], dtype=np.int8)),
        ]
        self._add("Mul", [self._add("MatMulIntegerToFloat", inputs, f"{result}.int8", domain=_MICROSOFT), token_scales], result)
        return matrix - columns * scales

    def shift(self, readers: list[onnx.NodeProto], constants: Mapping[str, onnx.TensorProto], by: NDArray[np.float32]) -> None:
        """Add to the bias that comes next, where one does; ``readers`` are the nodes that read the product."""
        if len(readers) != 1 or readers[0].op_type not in ("Add", "BiasGelu"):
            return
        for place, name in enumerate(readers[0].input):
            if name in constants and list(constants[name].dims) == list(by.shape):
                bias = numpy_helper.to_array(constants[name]) + by
                # named after its reader: another may have the same bias, and another shift
                readers[0].input[place] = self._constant(f"{readers[0].output[0]}.bias", bias.astype(np.float32))

    def look_up(self, node: onnx.NodeProto, table: NDArray[np.float32]) -> None:
        """Rows of the table, each times its scale."""
        rows, scales = _steps(table, 1, ROWS)
        name, places, result = node.input[0], node.input[1], node.output[0]
        found = self._add("Gather", [self._constant(f"{name}.int8", rows), places], f"{result}.int8")
        scale = self._add("Gather", [self._constant(f"{name}.scales", scales), places], f"{result}.scales")
        self._add("Mul", [self._add("Cast", [found], f"{result}.float", to=onnx.TensorProto.FLOAT), scale], result)

    def _tokens(self, activations: str) -> tuple[str, str]:
        """Each token's activations as bytes, and the largest of each; once, however many matrices they meet."""
        if activations not in self._quantised:
            sizes = self._add("Abs", [activations], f"{activations}.sizes")
            largest = self._add("ReduceMax", [sizes, self._last], f"{activations}.largest", keepdims=1)
            scales = self._add("Max", [largest, self._least], f"{activations}.scales")
            shares = self._add("Div", [activations, scales], f"{activations}.shares")
            integers = self._add("QuantizeLinear", [shares, self._step, self._zero], f"{activations}.int8")
            self._quantised[activations] = integers, scales
        return self._quantised[activations]

    def _add(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _constant(self, name: str, values: NDArray[np.generic]) -> str:
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

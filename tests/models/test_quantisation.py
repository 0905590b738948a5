"""Integers instead of floats, on graphs of one step. What they do to a whole network: test_onnx_export.py, test_runtime.py."""

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.quantisation import MANY_ROWS, quantise

RANDOM = np.random.default_rng(7)
MATRIX = RANDOM.normal(size=(64, 48)).astype(np.float32)
TABLE = RANDOM.normal(size=(MANY_ROWS, 16)).astype(np.float32) * np.linspace(0.01, 5, MANY_ROWS, dtype=np.float32)[:, None]


def one_step(kind: str, held: NDArray[np.float32], at: int) -> onnx.ModelProto:
    """A graph of one node with one constant, which is its input number ``at``."""
    names = ["held", "given"] if at == 0 else ["given", "held"]
    sort = TensorProto.INT64 if kind == "Gather" else TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(kind, names, ["out"])],
        "one step",
        [helper.make_tensor_value_info("given", sort, None)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(held, "held")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(model: onnx.ModelProto, given: NDArray[np.generic]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(["out"], {"given": given})[0]
    return found


@pytest.fixture
def product() -> onnx.ModelProto:
    model = one_step("MatMul", MATRIX, 1)
    quantise(model)
    return model


def test_a_product_is_of_integers_and_near_what_it_was(product: onnx.ModelProto) -> None:
    assert "MatMul" not in {node.op_type for node in product.graph.node}
    assert {
        tensor.name for tensor in product.graph.initializer if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2
    } == set()
    tokens = RANDOM.normal(size=(2, 9, 64)).astype(np.float32)
    expected = tokens @ MATRIX
    assert np.abs(run(product, tokens) - expected).max() < 0.03 * np.abs(expected).max()


def test_one_token_with_large_values_leaves_the_others_as_they_are(product: onnx.ModelProto) -> None:
    tokens = RANDOM.normal(size=(9, 64)).astype(np.float32)
    beside = tokens.copy()
    beside[4] *= 1000
    np.testing.assert_array_equal(np.delete(run(product, tokens), 4, 0), np.delete(run(product, beside), 4, 0))


def test_the_largest_values_there_can_be_are_not_cut_off() -> None:
    model = one_step("MatMul", np.ones((64, 4), dtype=np.float32), 1)
    quantise(model)
    for sign in (1.0, -1.0):
        np.testing.assert_allclose(run(model, np.full((3, 64), sign * 8.0, dtype=np.float32)), sign * 512.0, rtol=1e-5)


def test_nothing_at_all_stays_nothing(product: onnx.ModelProto) -> None:
    assert not run(product, np.zeros((2, 64), dtype=np.float32)).any()


def test_each_row_of_a_table_has_its_own_scale() -> None:
    model = one_step("Gather", TABLE, 0)
    quantise(model)
    found = run(model, np.arange(MANY_ROWS))
    assert (np.abs(found - TABLE).max(1) <= np.abs(TABLE).max(1) / 127 * 0.501).all()
    assert len(model.SerializeToString()) < TABLE.nbytes * 0.6


@pytest.mark.parametrize(("kind", "held", "at"), [("Gather", TABLE[:100], 0), ("MatMul", MATRIX[None], 1), ("Add", MATRIX[0], 1)])
def test_what_is_no_product_and_no_large_table_stays_as_it_is(kind: str, held: NDArray[np.float32], at: int) -> None:
    model = one_step(kind, held, at)
    before = [*model.graph.node]
    quantise(model)
    assert [*model.graph.node] == before
    assert "held" in {tensor.name for tensor in model.graph.initializer}


def test_the_bias_that_follows_takes_up_what_rounding_shifts() -> None:
    """Tokens that all lie near one point, as those of a network do in some dimensions."""
    tokens = (np.linspace(-3, 3, 64) + RANDOM.normal(scale=0.1, size=(200, 64))).astype(np.float32)
    bias = RANDOM.normal(size=48).astype(np.float32)
    expected = tokens @ MATRIX + bias
    shifts = []
    for typical in (None, {"given": tokens[:50]}):
        model = one_step("MatMul", MATRIX, 1)
        model.graph.node[0].output[0] = "product"
        model.graph.node.append(helper.make_node("Add", ["product", "bias"], ["out"]))
        model.graph.initializer.append(numpy_helper.from_array(bias, "bias"))
        quantise(model, typical)  # type: ignore[arg-type]
        assert [output.name for output in model.graph.output] == ["out"]
        shifts.append(np.abs((run(model, tokens) - expected).mean(0)).max())
    assert shifts[1] < shifts[0] / 5


def test_products_that_share_a_bias_are_each_shifted_by_their_own() -> None:
    tokens = (np.linspace(-3, 3, 64) + RANDOM.normal(scale=0.1, size=(200, 64))).astype(np.float32)
    matrices = {"held": MATRIX, "other": MATRIX[::-1].copy()}
    model = one_step("MatMul", MATRIX, 1)
    del model.graph.node[:]
    model.graph.initializer.extend(
        [numpy_helper.from_array(matrices["other"], "other"), numpy_helper.from_array(MATRIX[0], "bias")]
    )
    for name in matrices:
        model.graph.node.append(helper.make_node("MatMul", ["given", name], [f"{name} product"]))
        model.graph.node.append(helper.make_node("Add", [f"{name} product", "bias"], [f"{name} sum"]))
    model.graph.node.append(helper.make_node("Concat", ["held sum", "other sum"], ["out"], axis=1))
    quantise(model, {"given": tokens[:50]})  # type: ignore[dict-item]
    expected = np.concatenate([tokens @ matrix + MATRIX[0] for matrix in matrices.values()], axis=1)
    assert np.abs((run(model, tokens) - expected).mean(0)).max() < 0.1

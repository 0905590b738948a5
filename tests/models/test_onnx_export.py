from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from models.network import SignaalModel
from models.onnx_export import export_onnx
from models.onnx_graph import OUTPUTS, Precision
from models.weights import load_weights
from tests.conftest import SmallRun

SHAPES = [(1, 3), (2, 40), (5, 17)]
"""None of them is the shape the graph was exported with."""


@pytest.fixture(scope="module")
def model(small_run: SmallRun) -> SignaalModel:
    bundle = small_run.result.bundle
    return load_weights(bundle.folder, bundle.manifest.base, small_run.settings.cache_dir)


@pytest.fixture(scope="module")
def modules(model: SignaalModel) -> list[tuple[str, type]]:
    """What the model is made of before it is exported."""
    return [(name, type(module)) for name, module in model.named_modules()]


@pytest.fixture(scope="module")
def exported(
    model: SignaalModel, modules: list[tuple[str, type]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Precision], Path]:
    """The model's graph, alone in its folder, written once for each precision."""

    @cache
    def graph(precision: Precision) -> Path:
        path = tmp_path_factory.mktemp(precision) / "graph.onnx"
        export_onnx(model, path, precision)
        return path

    return graph


def outputs(model: SignaalModel, graph: Path, rows: int, tokens: int) -> list[tuple[np.ndarray, np.ndarray]]:
    generator = torch.Generator().manual_seed(rows)
    ids = torch.randint(5, 200_000, (rows, tokens), generator=generator)
    mask = torch.ones_like(ids)
    mask[-1, tokens // 2 + 1 :] = 0
    with torch.no_grad():
        out = model(ids, mask)
    real = mask.numpy().astype(bool)
    torch_values = [out.logits.numpy(), torch.sigmoid(out.evidence).numpy()[real], out.document_type_logits.numpy()]
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    found = session.run(OUTPUTS, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    return list(zip(torch_values, [found[0], found[1][real], found[2]], strict=True))


def test_fp32_graph_and_torch_agree(model: SignaalModel, exported: Callable[[Precision], Path]) -> None:
    graph = exported("fp32")
    assert list(graph.parent.iterdir()) == [graph]
    for rows, tokens in SHAPES:
        for torch_value, onnx_value in outputs(model, graph, rows, tokens):
            np.testing.assert_allclose(torch_value, onnx_value, atol=1e-4)


def test_int8_graph_stays_near_torch_and_is_a_quarter_of_the_size(
    model: SignaalModel, exported: Callable[[Precision], Path]
) -> None:
    graph = exported("int8")
    assert graph.stat().st_size < 130_000_000
    for rows, tokens in SHAPES:
        for torch_value, onnx_value in outputs(model, graph, rows, tokens):
            np.testing.assert_allclose(torch_value, onnx_value, atol=0.1)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_onnx_runtime_does_not_put_its_slow_layer_normalisation_back(
    exported: Callable[[Precision], Path], tmp_path: Path, precision: Precision
) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(str(exported(precision)), options, providers=["CPUExecutionProvider"])
    kinds = {node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node}
    assert kinds & {"LayerNormalization", "SkipLayerNormalization"} == set()
    assert ("MatMulIntegerToFloat" in kinds) == (precision == "int8")


def test_export_leaves_the_model_as_it_was(
    model: SignaalModel, modules: list[tuple[str, type]], exported: Callable[[Precision], Path]
) -> None:
    exported("fp32")
    assert [(name, type(module)) for name, module in model.named_modules()] == modules

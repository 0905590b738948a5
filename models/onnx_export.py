"""The network written as one ONNX graph: exported, fused, and quantised for int8 (``models.quantisation``). Needs torch.

The word embeddings are most of the weights (384 of 475 MB) and one step of the graph. Exporter and optimiser would copy them a
dozen times, so they work on a table of a few words, and the real one is put in at the end: 11 s instead of 20.

``input_ids, attention_mask`` [batch, tokens] give ``logits`` [batch, labels], ``evidence`` [batch, tokens, labels] (0–1)
and ``document_type_logits`` [batch, document types].
"""

import contextlib
import io
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model
from torch import Tensor, nn

from models.network import SignaalConfig, SignaalModel, encoder_heads
from models.onnx_graph import OUTPUTS, Precision
from models.quantisation import quantise

FEW_WORDS = 100
"""Rows that stand for the whole table of word embeddings."""


class _Graph(nn.Module):
    """Plain tensors in, plain tensors out, which is what the exporter wants."""

    def __init__(self, model: SignaalModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        out = self.model(input_ids=input_ids, attention_mask=attention_mask)
        kind = out.document_type_logits
        if kind is None:
            kind = out.logits.new_zeros((out.logits.shape[0], 0))
        return out.logits, torch.sigmoid(out.evidence), kind


def export_onnx(model: SignaalModel, path: Path, precision: Precision) -> None:
    """Write a merged, evaluation-mode model as an ONNX file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        with _few_words(model) as table, _plain_layer_norms(model):
            graph = _fused(model, Path(scratch) / "plain.onnx")
        onnx.checker.check_model(graph)
        _put_in(graph, table)
        if precision == "int8":
            quantise(graph, _some_tokens(model))
        result = Path(scratch) / "whole.onnx"
        onnx.save_model(graph, result)
        shutil.move(result, path)


def _fused(model: SignaalModel, scratch: Path) -> onnx.ModelProto:
    ids = torch.randint(5, FEW_WORDS, (2, 16))
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    with torch.no_grad(), _quiet():
        torch.onnx.export(
            _Graph(model).eval(),
            (ids, torch.ones_like(ids)),
            str(scratch),
            input_names=["input_ids", "attention_mask"],
            output_names=list(OUTPUTS),
            dynamic_shapes=(axes, axes),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        heads = encoder_heads(cast(SignaalConfig, model.config))
        encoder = model.encoder.config
        fusions = FusionOptions("bert")
        fusions.enable_layer_norm = fusions.enable_skip_layer_norm = False  # see _PlainLayerNorm
        optimised = optimize_model(
            str(scratch),
            "bert",
            num_heads=heads,
            hidden_size=encoder.hidden_size // encoder.num_attention_heads * heads,
            optimization_options=fusions,
        )
        optimised.topological_sort()
    return cast(onnx.ModelProto, optimised.model)


def _some_tokens(model: SignaalModel) -> dict[str, NDArray[np.int64]]:
    """Twelve texts of any 64 tokens: inputs of the graph. Their activations lie where those of real texts do
    (docs/model-selection.md)."""
    encoder = model.encoder.config
    ids = np.random.default_rng(0).integers(5, encoder.vocab_size, (12, 64))
    for place, special in ((0, encoder.bos_token_id), (-1, encoder.eos_token_id)):
        if special is not None:
            ids[:, place] = special
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


class _PlainLayerNorm(nn.Module):
    """Layer normalisation step by step. ONNX Runtime's own operator takes one number after the other on a CPU: in plain steps,
    each of which takes many at a time, an fp32 graph is 6% faster and an int8 graph 12%. The square is a product and no power,
    because with a power ONNX Runtime would see what this is and put its operator back."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, states: Tensor) -> Tensor:
        centred = states - states.mean(-1, keepdim=True)
        spread = torch.sqrt((centred * centred).mean(-1, keepdim=True) + self.norm.eps)
        return centred / spread * self.norm.weight + self.norm.bias


@contextlib.contextmanager
def _plain_layer_norms(model: nn.Module) -> Iterator[None]:
    """The model with its layer normalisations in plain steps; as it was at the end."""
    norms = [
        (parent, name, norm) for parent in model.modules() for name, norm in parent.named_children() if type(norm) is nn.LayerNorm
    ]
    for parent, name, norm in norms:
        setattr(parent, name, _PlainLayerNorm(norm))
    try:
        yield
    finally:
        for parent, name, norm in norms:
            setattr(parent, name, norm)


@contextlib.contextmanager
def _few_words(model: SignaalModel) -> Iterator[Tensor]:
    """Leave the model its first words only; gives the whole table, and puts it back at the end."""
    embedding = model.encoder.get_input_embeddings()
    whole = embedding.weight
    embedding.weight = nn.Parameter(whole[:FEW_WORDS].detach().clone(), requires_grad=False)
    try:
        yield whole.detach()
    finally:
        embedding.weight = whole


def _put_in(graph: onnx.ModelProto, table: Tensor) -> None:
    """The whole table of embeddings where the graph has its first rows.

    Raises:
        RuntimeError: the graph has these rows in no place, or in several.
    """
    rows = table[:FEW_WORDS].numpy()
    places = [
        tensor
        for tensor in graph.graph.initializer
        if list(tensor.dims) == list(rows.shape) and tensor.raw_data and np.array_equal(numpy_helper.to_array(tensor), rows)
    ]
    if len(places) != 1:
        raise RuntimeError(f"The word embeddings are in {len(places)} places of the exported graph.")
    places[0].dims[0] = len(table)
    for noted in [info for info in graph.graph.value_info if info.name == places[0].name]:
        noted.type.tensor_type.shape.dim[0].dim_value = len(table)
    places[0].raw_data = table.numpy().tobytes()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter and optimiser print progress meant for their developers."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnxruntime", "onnx_ir", "root", "")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

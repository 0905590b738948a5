"""The network written as one ONNX graph: exported, fused, quantised. Needs torch.

``input_ids, attention_mask`` [batch, tokens] give ``logits`` [batch, labels], ``evidence`` [batch, tokens, labels] (0–1)
and ``document_type_logits`` [batch, document types]. The int8 graph has per-channel weights and dynamic activations;
``reduce_range`` keeps AVX2 processors without VNNI from overflowing.
"""

import contextlib
import io
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model
from torch import Tensor, nn

from models.network import SignaalModel
from models.onnx_graph import OUTPUTS, Precision


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
    ids = torch.randint(5, 100, (2, 16))
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        plain, fused = Path(scratch) / "plain.onnx", Path(scratch) / "fused.onnx"
        with torch.no_grad(), _quiet():
            torch.onnx.export(
                _Graph(model).eval(),
                (ids, torch.ones_like(ids)),
                str(plain),
                input_names=["input_ids", "attention_mask"],
                output_names=list(OUTPUTS),
                dynamic_shapes=(axes, axes),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        encoder = model.encoder.config
        options = FusionOptions("bert")
        with _quiet():
            optimised = optimize_model(
                str(plain),
                "bert",
                num_heads=encoder.num_attention_heads,
                hidden_size=encoder.hidden_size,
                optimization_options=options,
            )
            optimised.save_model_to_file(str(fused))
        result = fused
        if precision == "int8":
            result = Path(scratch) / "int8.onnx"
            with _quiet():
                quantize_dynamic(fused, result, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
        onnx.checker.check_model(str(result), full_check=False)
        shutil.move(result, path)


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

"""The network as one ONNX graph: exported, fused, quantised, cached.

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
from typing import Literal

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model
from torch import Tensor, nn

from models.bundle import Bundle, load_weights
from models.network import SignaalModel

log = logging.getLogger(__name__)

Precision = Literal["int8", "fp32"]
OUTPUTS = ("logits", "evidence", "document_type_logits")


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


def cached_graph(bundle: Bundle, cache_dir: Path, precision: Precision) -> Path:
    """The ONNX file of a bundle; built once per weights and precision (about a minute), then found in the cache."""
    path = graph_path(bundle.weights_digest, cache_dir, precision)
    if not path.is_file():
        log.info("Building the %s graph of %s %s (once).", precision, bundle.manifest.name, bundle.manifest.version)
        model = load_weights(bundle.folder, bundle.manifest.base, cache_dir)
        export_onnx(model, path, precision)
    return path


def graph_path(weights: str, cache_dir: Path, precision: Precision) -> Path:
    """Where the graph of these weights is cached."""
    return cache_dir / "onnx" / f"{weights[:32]}.{precision}.onnx"

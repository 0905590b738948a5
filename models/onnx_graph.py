"""Where a bundle's ONNX graph is: built once (``models.onnx_export``), then found in the cache."""

import logging
from pathlib import Path
from typing import Literal

from models.bundle import Bundle
from models.errors import BundleError

log = logging.getLogger(__name__)

Precision = Literal["int8", "fp32"]
FORM = 3
"""Of the graphs that are written, counted up when they come to be written otherwise: the cache may hold others."""
OUTPUTS = ("logits", "evidence", "document_type_logits")


def cached_graph(bundle: Bundle, cache_dir: Path, precision: Precision) -> Path:
    """The ONNX file of a bundle; built once per weights and precision (about a minute), then found in the cache.

    Raises:
        BundleError: it must be built, and what builds it is not installed here (the container image for serving, say).
    """
    path = graph_path(bundle.weights_digest, cache_dir, precision)
    if not path.is_file():
        log.info("Building the %s graph of %s %s (once).", precision, bundle.manifest.name, bundle.manifest.version)
        # torch is needed to build a graph, not to run one
        try:
            from models.onnx_export import export_onnx
            from models.weights import load_weights
        except ModuleNotFoundError as error:
            raise BundleError(
                f"There is no {precision} graph of {bundle.manifest.name} {bundle.manifest.version} in {cache_dir}, and "
                f"{error.name}, which builds one, is not installed here. Run 'signaal-serve prepare' where it is, with the same "
                "cache folder, model and precision."
            ) from error

        model = load_weights(bundle.folder, bundle.manifest.base, cache_dir)
        export_onnx(model, path, precision)
    return path


def graph_path(weights: str, cache_dir: Path, precision: Precision) -> Path:
    """Where the graph of these weights is cached."""
    return cache_dir / "onnx" / f"{weights[:32]}.{precision}-{FORM}.onnx"

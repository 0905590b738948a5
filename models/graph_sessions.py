"""ONNX Runtime sessions over one graph: how batches are put on the cores.

On a CPU there are two. ``wide`` runs a batch on all threads, which is quickest for a batch that is alone. ``narrow`` runs it on
the thread that brings it, so that batches run side by side, one a core: threads that work on one batch wait for each other after
each of its operators, and side by side they do not (docs/serving.md, Speed). A batch goes wide when no other is running.

Both read the weights where they lie in a file that is mapped into memory (ONNX Runtime's own format). Two sessions together hold
less memory than one that copies the weights of an ``.onnx`` file, open in a tenth of the time, and processes share the pages.

Threads without work sleep instead of spinning. Spinning is 1 to 2 ms faster for a text that has the machine to itself, and half
as fast where anything else wants the cores: the requests themselves, a caller on the same machine, another container.
"""

import contextlib
import logging
import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.cores import usable_cores
from models.errors import BundleError
from models.onnx_graph import OUTPUTS, Precision

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
MAPPED = {
    "session.load_model_format": "ORT",
    "session.use_ort_model_bytes_directly": "1",
    "session.use_ort_model_bytes_for_initializers": "1",
    "session.use_memory_mapped_ort_model": "1",
}

Device = Literal["auto", "cpu", "cuda"]
Outputs = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]

log = logging.getLogger(__name__)


def providers(device: Device, precision: Precision, available: Sequence[str]) -> list[str]:
    """Where ONNX Runtime is to run a graph, the first choice first. The int8 graph is made for CPUs.

    Raises:
        BundleError: a GPU is demanded, and this ONNX Runtime or precision has none.
    """
    if device == "cuda":
        if CUDA not in available:
            raise BundleError(f"SIGNAAL_DEVICE is {device}, but this ONNX Runtime has no CUDA: install onnxruntime-gpu.")
        if precision == "int8":
            raise BundleError(f"SIGNAAL_DEVICE is {device}, but the int8 graph is made for CPUs: use SIGNAAL_PRECISION=fp32.")
    on_gpu = device != "cpu" and precision == "fp32" and CUDA in available
    return [*([CUDA] if on_gpu else []), CPU]


class GraphSessions:
    """One graph, ready to run batches. Thread-safe.

    Args:
        graph: the ``.onnx`` file. Beside it a copy in ONNX Runtime's own format is made once, for CPUs.
        precision: of the graph.
        threads: how many a CPU uses; 0 for one a core.
        device: where to run.

    Raises:
        BundleError: the file cannot be loaded, or there is no such device.
    """

    def __init__(self, graph: Path, *, precision: Precision, threads: int = 0, device: Device = "cpu") -> None:
        self.on_gpu = False
        threads = threads or usable_cores()
        if CUDA in providers(device, precision, onnxruntime.get_available_providers()):
            self._wide = self._narrow = _session(graph, threads, [CUDA, CPU])
            self.on_gpu = self._wide.get_providers()[0] == CUDA
            if not self.on_gpu:  # its libraries are missing, or no GPU is there: onnxruntime goes to the CPU by itself
                if device == "cuda":
                    raise BundleError("SIGNAAL_DEVICE is cuda, but onnxruntime-gpu cannot use a GPU here; its log says why.")
                log.warning("onnxruntime-gpu cannot use a GPU here; the graph runs on the CPU.")
        if not self.on_gpu:
            self._wide, self._narrow = _on_cpu(graph, threads)
        self.callers = 1 if self.on_gpu else threads
        """How many batches at a time make the most of the device."""
        self._turns = threading.BoundedSemaphore(self.callers)
        self._running = 0
        self._lock = threading.Lock()

    def run(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Outputs:
        """One batch: ``ids`` and ``mask`` [batch, tokens] to logits [batch, labels], evidence [batch, tokens, labels] and
        document-type logits [batch, document types]. Waits while as many run as there should be."""
        with self._turns:
            with self._lock:
                session = self._narrow if self._running else self._wide
                self._running += 1
            try:
                return cast(Outputs, tuple(session.run(OUTPUTS, {"input_ids": ids, "attention_mask": mask})))
            finally:
                with self._lock:
                    self._running -= 1


def _on_cpu(graph: Path, threads: int) -> tuple[Any, Any]:
    """The wide session and the narrow one: of the mapped file, or, where there is none, one session that is both, because each
    would have weights of its own."""
    if file := mapped(graph):
        try:
            wide = _session(file, threads, [CPU])
            return wide, _session(file, 1, [CPU]) if threads > 1 else wide
        except BundleError as error:
            log.warning("%s cannot be used, and goes; the scorer takes more memory. %s", file, error)
            with contextlib.suppress(OSError):
                file.unlink()
    wide = _session(graph, threads, [CPU])
    return wide, wide


def mapped(graph: Path) -> Path | None:
    """The graph in a file whose weights can be used where they lie, beside it; made the first time, in about a second. None where
    that cannot be: a folder that is only for reading, a full disk.

    Its name has the version of ONNX Runtime: what one version writes another need not read.
    """
    path = graph.with_suffix(f".{onnxruntime.__version__}.ort")
    if path.is_file() and path.stat().st_mtime >= graph.stat().st_mtime:
        return path
    try:
        with tempfile.TemporaryDirectory(dir=graph.parent) as scratch:
            made = Path(scratch) / path.name
            options = _options(1)
            # What comes beyond "extended" is made for the very processor it is made on.
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
            options.optimized_model_filepath = str(made)
            options.add_session_config_entry("session.save_model_format", "ORT")
            onnxruntime.InferenceSession(str(graph), options, providers=[CPU])
            with made.open("rb+") as file:  # a name must not be there before what it names
                os.fsync(file.fileno())
            made.replace(path)
    except Exception as error:  # onnxruntime raises its own kinds, none public; what is wrong with the graph itself is said later
        log.warning("%s cannot be made (%s); the scorer takes more memory.", path, error)
        return None
    return path


def _session(file: Path, threads: int, wanted: list[str]) -> Any:
    options = _options(threads)
    if file.suffix == ".ort":
        for key, value in MAPPED.items():
            options.add_session_config_entry(key, value)
    return _open(file, options, wanted)


def _options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _open(file: Path, options: Any, wanted: list[str]) -> Any:
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=wanted)
    except Exception as error:  # onnxruntime raises its own kinds, none public
        raise BundleError(f"The graph {file} cannot be loaded: {error} Delete it; it is built again.") from error

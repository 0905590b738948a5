import sys
from pathlib import Path

import pytest

from models.errors import BundleError
from models.onnx_graph import cached_graph
from tests.conftest import SmallRun

IMPORTS_TORCH = ("models.onnx_export", "models.weights", "models.network")


def test_without_torch_a_graph_that_is_there_is_found(small_run: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    cached_graph(small_run.result.bundle, small_run.settings.cache_dir, "fp32")
    without_torch(monkeypatch)
    assert cached_graph(small_run.result.bundle, small_run.settings.cache_dir, "fp32").is_file()


def test_without_torch_a_graph_that_is_missing_is_an_error_that_says_what_to_do(
    small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_torch(monkeypatch)
    with pytest.raises(BundleError, match=r"no fp32 graph of signaal small in .*, and torch, .* Run 'signaal-serve prepare'"):
        cached_graph(small_run.result.bundle, tmp_path, "fp32")


def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as where it is not installed
    for module in IMPORTS_TORCH:
        monkeypatch.delitem(sys.modules, module, raising=False)

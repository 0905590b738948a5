import logging
import os
import shutil
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from models.errors import BundleError
from models.graph_sessions import GraphSessions, mapped, providers, usable_cores
from models.onnx_graph import OUTPUTS, Precision, cached_graph
from tests.conftest import SmallRun

IDS = np.array([[0, 581, 9393, 2], [0, 27, 2, 1]])
MASK = np.array([[1, 1, 1, 1], [1, 1, 1, 0]])


@pytest.fixture
def graph(small_run: SmallRun, tmp_path: Path) -> Path:
    """A graph in a folder of its own, with no copy beside it."""
    graph = cached_graph(small_run.result.bundle, small_run.settings.cache_dir, "fp32")
    return Path(shutil.copy(graph, tmp_path / "graph.onnx"))


def test_a_batch_gives_the_same_alone_and_beside_another(graph: Path) -> None:
    sessions = GraphSessions(graph, precision="fp32", threads=2)
    alone = sessions.run(IDS, MASK)
    sessions._running = 1
    beside = sessions.run(IDS, MASK)
    for one, other in zip(alone, beside, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_batch_that_is_alone_has_all_threads_and_another_beside_it_has_one(graph: Path) -> None:
    sessions = GraphSessions(graph, precision="fp32", threads=2)
    begun, may_end, ran = Event(), Event(), []

    class Noting:
        def __init__(self, name: str, waits: bool) -> None:
            self.name, self.waits = name, waits

        def run(self, *_: object) -> tuple[str]:
            ran.append(self.name)
            begun.set()
            if self.waits:
                assert may_end.wait(10)
            return (self.name,)

    sessions._wide, sessions._narrow = Noting("wide", waits=True), Noting("narrow", waits=False)
    first = Thread(target=sessions.run, args=(IDS, MASK))
    first.start()
    assert begun.wait(10)
    sessions.run(IDS, MASK)
    may_end.set()
    first.join(10)
    sessions.run(IDS, MASK)
    assert ran == ["wide", "narrow", "wide"]


def test_as_many_callers_as_threads_are_welcome(graph: Path) -> None:
    assert GraphSessions(graph, precision="fp32", threads=3).callers == 3
    assert GraphSessions(graph, precision="fp32").callers == usable_cores()


@pytest.mark.parametrize(
    ("limit", "cores"), [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1), ("1600000 100000", 8), ("", 8), (None, 8)]
)
def test_a_container_with_a_limit_has_as_many_cores_as_it_allows(
    limit: str | None, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    quota = tmp_path / "cpu.max"
    if limit is not None:
        quota.write_text(f"{limit}\n")
    assert usable_cores(quota) == cores


def test_after_a_batch_that_fails_the_next_is_alone_again(graph: Path) -> None:
    sessions = GraphSessions(graph, precision="fp32", threads=2)
    with pytest.raises(Exception, match="indices"):
        sessions.run(IDS + 10**9, MASK)
    assert sessions._running == 0


def test_the_file_for_mapping_is_made_once_and_used_where_it_lies(graph: Path) -> None:
    path = mapped(graph)
    assert path == graph.with_suffix(".ort")
    made = path.stat().st_mtime_ns
    assert mapped(graph) == path
    assert path.stat().st_mtime_ns == made
    sessions = GraphSessions(graph, precision="fp32", threads=2)
    assert str(path) in Path("/proc/self/maps").read_text()
    assert len(sessions.run(IDS, MASK)) == len(OUTPUTS)
    assert [one.name for one in graph.parent.iterdir() if one.is_dir()] == [], "nothing is left behind"


def test_where_nothing_can_be_written_the_graph_itself_is_read(
    graph: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("models.graph_sessions.tempfile.TemporaryDirectory", refuse)
    with caplog.at_level(logging.WARNING):
        assert mapped(graph) == graph
    assert "Read-only file system" in caplog.text
    assert GraphSessions(graph, precision="fp32").run(IDS, MASK)[0].shape[0] == 2


@pytest.mark.parametrize("broken", ["graph.onnx", "graph.ort"])
def test_a_broken_file_is_named(graph: Path, broken: str) -> None:
    graph.with_name(broken).write_bytes(b"no graph at all")
    with pytest.raises(BundleError, match=broken):
        GraphSessions(graph, precision="fp32")


CPU, GPU = "CPUExecutionProvider", "CUDAExecutionProvider"


def test_a_gpu_is_used_where_there_is_one_and_the_graph_is_made_for_it() -> None:
    assert providers("auto", "fp32", [GPU, CPU]) == [GPU, CPU]
    assert providers("auto", "fp32", [CPU]) == [CPU]
    assert providers("auto", "int8", [GPU, CPU]) == [CPU]
    assert providers("cpu", "fp32", [GPU, CPU]) == [CPU]
    assert providers("cuda", "fp32", [GPU, CPU]) == [GPU, CPU]


@pytest.mark.parametrize(("precision", "available", "said"), [("fp32", [CPU], "onnxruntime-gpu"), ("int8", [GPU, CPU], "fp32")])
def test_a_gpu_that_is_demanded_and_not_there_is_an_error(precision: Precision, available: list[str], said: str) -> None:
    with pytest.raises(BundleError, match=said):
        providers("cuda", precision, available)

import os
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Event, Semaphore, Thread

import numpy as np
import pytest

from models.cores import usable_cores
from models.errors import BundleError
from models.graph_sessions import GraphSessions, mapped, providers
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
        np.testing.assert_array_equal(one, other)


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


def test_after_a_batch_that_fails_the_next_is_alone_again(graph: Path) -> None:
    sessions = GraphSessions(graph, precision="fp32", threads=2)
    with pytest.raises(Exception, match="indices"):
        sessions.run(IDS + 10**9, MASK)
    assert sessions._running == 0


def test_no_more_run_at_a_time_than_there_are_threads(graph: Path) -> None:
    sessions = GraphSessions(graph, precision="fp32", threads=2)
    inside, may_end = Semaphore(0), Event()

    class Waiting:
        def run(self, *_: object) -> tuple[()]:
            inside.release()
            assert may_end.wait(10)
            return ()

    sessions._wide = sessions._narrow = Waiting()
    threads = [Thread(target=sessions.run, args=(IDS, MASK)) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert inside.acquire(timeout=10)
    assert inside.acquire(timeout=10)
    assert not inside.acquire(timeout=0.2), "the third waits"
    may_end.set()
    for thread in threads:
        thread.join(10)
    assert inside.acquire(timeout=10)


def test_the_file_for_mapping_is_made_once_and_used_where_it_lies(graph: Path) -> None:
    path = mapped(graph)
    assert path is not None
    made = path.stat().st_mtime_ns
    assert mapped(graph) == path
    assert path.stat().st_mtime_ns == made
    sessions = GraphSessions(graph, precision="fp32", threads=2)
    assert str(path) in Path("/proc/self/maps").read_text()
    assert len(sessions.run(IDS, MASK)) == len(OUTPUTS)
    assert sorted(graph.parent.iterdir()) == sorted([graph, path]), "nothing else is left behind"


def test_a_graph_that_was_built_anew_is_mapped_anew(graph: Path) -> None:
    path = mapped(graph)
    assert path is not None
    os.utime(path, (0, 0))
    assert mapped(graph) == path
    assert path.stat().st_mtime > 0


def test_where_nothing_can_be_written_the_graph_itself_is_read(graph: Path, tmp_path: Path) -> None:
    """By one session: two would have weights of their own. The disk is really full: of a process that may write no large file."""
    script = f"""
import resource
from pathlib import Path
import numpy as np
from models.graph_sessions import GraphSessions
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
sessions = GraphSessions(Path({str(graph)!r}), precision="fp32", threads=2)
assert sessions._wide is sessions._narrow
print(sessions.run(np.array([[0, 581, 2]]), np.ones((1, 3), dtype=np.int64))[0].shape)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(1, ")
    assert "cannot be made" in done.stderr
    assert sorted(tmp_path.iterdir()) == [graph]


def test_a_mapped_file_that_is_broken_goes_and_the_graph_itself_is_read(graph: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = mapped(graph)
    assert path is not None
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert GraphSessions(graph, precision="fp32", threads=2).run(IDS, MASK)[0].shape[0] == 2
    assert path.name in caplog.text
    assert not path.exists()
    assert mapped(graph) == path


def test_a_broken_graph_is_named(graph: Path) -> None:
    graph.write_bytes(b"no graph at all")
    with pytest.raises(BundleError, match=graph.name):
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

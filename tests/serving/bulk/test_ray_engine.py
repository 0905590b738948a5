"""``signaal-serve score-parts`` on a real Ray: started for the job, and as a cluster of two nodes of which one is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from rich.console import Console

from models.runtime import Scorer
from models.settings import ModelSettings
from serving.bulk.job import Job, format_of, score_file
from serving.bulk.journal import Paths, State
from serving.bulk.parts import find_parts
from serving.bulk.parts_job import PartsJob
from serving.bulk.ray_engine import score_parts
from serving.errors import BulkError
from serving.records import Columns
from serving.settings import ServingSettings

pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")

ROOT = Path(__file__).parents[3]
TEXTS = [f"Ad {i}: je paspoort blijft op kantoor en de bus kost {i}00 euro." for i in range(9)]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """For all that Ray writes; short, because it holds sockets."""
    folder = Path(mkdtemp(prefix="ray-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def environment(ray_folder: Path, bundle_folder: Path) -> dict[str, str]:
    mine = {"SIGNAAL_BUNDLE": str(bundle_folder), "SIGNAAL_SERVE_BULK_BATCH": "2", "RAY_TMPDIR": str(ray_folder)}
    return {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | mine


@pytest.fixture
def ads(tmp_path: Path) -> Path:
    """An NDJSON part with a bad line, and a Parquet part below a folder, with a text that is missing."""
    folder = tmp_path / "ads"
    (folder / "day=1").mkdir(parents=True)
    lines = [json.dumps({"id": f"a{i}", "text": text}) for i, text in enumerate(TEXTS)]
    lines[4] = "{oops je paspoort"
    (folder / "a.ndjson").write_text("\n".join(lines), encoding="utf-8")
    rows = [{"id": f"b{i}", "text": None if i == 2 else text} for i, text in enumerate(TEXTS)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "day=1" / "b.parquet")
    return folder


def command(ads: Path, *options: str) -> list[str]:
    code = "from serving.cli import main; main()"
    return [sys.executable, "-c", code, "score-parts", str(ads), "-o", str(ads.parent / "out"), "--workers", "1", *options]


def ended(ads: Path, environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(ads, *options), cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def probabilities(path: Path) -> dict[tuple[int, str], float]:
    """By line and label."""
    results = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {
        (result["line"], label): one["probability"]
        for result in results
        for label, one in (result["indicators"] | result["counter_indicators"]).items()
    }


def local(source: Path, scorer: Scorer, folder: Path, batch: int) -> Path:
    """The result of ``signaal-serve score``."""
    folder.mkdir(exist_ok=True)
    out = folder / f"{source.stem}.ndjson"
    job = Job(source, out, format_of(source), Columns())
    score_file(job, lambda: scorer, ServingSettings(bulk_batch=batch), Console(quiet=True))
    return out


def test_parts_come_out_as_from_score_and_a_broken_one_stops_no_other(
    ads: Path, environment: dict[str, str], ray_folder: Path, scorer: Scorer, tmp_path: Path
) -> None:
    broken = ads / "c.parquet"
    broken.write_bytes(b"je paspoort")
    first = ended(ads, environment)
    assert first.returncode == 2, first.stderr
    assert f"failed: c.parquet: {broken} is not a Parquet file" in first.stderr
    assert "2 parts done" in first.stderr
    assert "16 scored, 2 rejected" in first.stderr
    assert "Traceback" not in first.stderr

    out = tmp_path / "out"
    for source, result in ((ads / "a.ndjson", out / "a.ndjson"), (ads / "day=1" / "b.parquet", out / "day=1" / "b.ndjson")):
        expected = local(source, scorer, tmp_path / "local", batch=5)
        assert probabilities(result) == pytest.approx(probabilities(expected), abs=1e-4)
        assert Paths(result).rejected.read_bytes() == Paths(expected).rejected.read_bytes()

    written = [path for path in ray_folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(path.name.startswith("worker-") for path in written), "Ray left no log, so this shows nothing"
    assert not [path for path in written if b"paspoort" in path.read_bytes()]
    assert "paspoort" not in first.stderr + first.stdout

    done = {path: path.stat().st_mtime_ns for path in out.rglob("*.ndjson")}
    broken.unlink()
    again = ended(ads, environment, "--resume")
    assert again.returncode == 3, again.stderr
    assert "2 were done before" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.ndjson")} == done


def test_a_cluster_that_does_not_answer_is_one_line(ads: Path, environment: dict[str, str]) -> None:
    asked = ended(ads, environment, "--address", "127.0.0.1:9")
    assert asked.returncode == 2
    assert "The Ray cluster 127.0.0.1:9 cannot be used" in asked.stderr
    assert "Traceback" not in asked.stderr


def test_without_ray_the_error_says_what_to_install(
    ads: Path, tmp_path: Path, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BulkError, match=r"ray is not installed.*pip install '\.\[ray\]'"):
        score(ads, tmp_path / "out", bundle_folder)
    assert not (tmp_path / "out").exists()


def score(ads: Path, out: Path, bundle: Path, **options: Any) -> Any:
    job = PartsJob(find_parts(str(ads), out, "ndjson", None).parts, out, None, "ndjson", Columns())
    settings = ServingSettings(bulk_batch=2)
    return score_parts(job, ModelSettings(bundle=str(bundle)), settings, Console(quiet=True), **options)


def many_parts(folder: Path, parts: int, lines: int) -> None:
    folder.mkdir()
    for number in range(parts):
        rows = [json.dumps({"id": f"{number}-{i}", "text": f"{TEXTS[i % 9]} " * (1 + i % 5)}) for i in range(lines)]
        rows[3] = "{oops"
        (folder / f"p{number}.ndjson").write_text("\n".join(rows), encoding="utf-8")


def wait_for_half_a_part(out: Path, alive: Callable[[], bool]) -> None:
    """Until one part is done and another is in its middle."""
    while True:
        assert alive(), "it ended before it could be killed"
        states = [path for path in out.glob("*.state.json") if State.model_validate_json(path.read_bytes()).line > 0]
        if states and any(path.suffix == ".ndjson" and "rejected" not in path.name for path in out.glob("p?.ndjson")):
            return
        time.sleep(0.02)


def assert_as_unbroken(ads: Path, out: Path, scorer: Scorer) -> None:
    for source in sorted(ads.iterdir()):
        expected = local(source, scorer, ads.parent / "local", batch=2)
        assert (out / source.name).read_bytes() == expected.read_bytes()
        assert Paths(out / source.name).rejected.read_bytes() == Paths(expected).rejected.read_bytes()


@pytest.mark.slow
def test_a_killed_job_goes_on_and_does_no_done_part_again(tmp_path: Path, environment: dict[str, str], scorer: Scorer) -> None:
    ads, out = tmp_path / "ads", tmp_path / "out"
    many_parts(ads, parts=3, lines=60)
    process = subprocess.Popen(command(ads), cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_for_half_a_part(out, lambda: process.poll() is None)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    done = {path: path.stat().st_mtime_ns for path in out.glob("p?.ndjson")}
    assert 0 < len(done) < 3
    resumed = ended(ads, environment, "--resume")
    assert resumed.returncode == 3, resumed.stderr
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert_as_unbroken(ads, out, scorer)
    assert {path.name for path in out.iterdir() if path.name.startswith("_")} == {"_job.json", "_job.lock"}


@pytest.mark.slow
def test_a_node_that_is_lost_costs_no_line(
    tmp_path: Path, environment: dict[str, str], scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RAY_TMPDIR", "SIGNAAL_BUNDLE"):
        monkeypatch.setenv(name, environment[name])
    from ray.cluster_utils import Cluster

    ads, out = tmp_path / "ads", tmp_path / "out"
    many_parts(ads, parts=4, lines=60)
    store = {"object_store_memory": 100 * 1024 * 1024}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **store})
    try:
        other = cluster.add_node(num_cpus=1, **store)
        options = ("--address", cluster.address, "--workers", "2")
        process = subprocess.Popen(command(ads, *options), cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        wait_for_half_a_part(out, lambda: process.poll() is None)
        cluster.remove_node(other, allow_graceful=False)
        _, said = process.communicate(timeout=400)
    finally:
        cluster.shutdown()
    assert process.returncode == 3, said
    assert_as_unbroken(ads, out, scorer)

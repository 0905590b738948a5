"""A run against a real MLflow server over HTTP: runs and registry in PostgreSQL, files in an S3-compatible store (moto's)."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.registry import open_scorer, promote, where
from models.settings import ModelSettings
from tests.postgresql import postgresql_programs, postgresql_server
from tests.training.small_data import write_small_data
from tests.waiting import until
from training.run import run
from training.settings import TrainingSettings

pytestmark = pytest.mark.slow

BUCKET = "signaal"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of an S3-compatible store with an empty bucket. Its keys are known to the MLflow server alone."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=address, region_name="us-east-1", **_keys())
    client.create_bucket(Bucket=BUCKET)
    yield address
    server.stop()


def _keys() -> dict[str, str]:
    return {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


@pytest.fixture
def server(s3: str, tmp_path: Path) -> Iterator[str]:
    """Address of the MLflow server, started as docs/training.md says."""
    programs = postgresql_programs()
    if programs is None:
        pytest.skip("NO RUN WITH MLFLOW ON POSTGRESQL: there is no initdb. Install it: apt-get install postgresql")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with postgresql_server(programs) as sockets:
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
            *("--backend-store-uri", f"postgresql+psycopg://signaal@/postgres?host={sockets}"),
            *("--artifacts-destination", f"s3://{BUCKET}/mlflow"),
        ]
        keys = {name.upper(): value for name, value in _keys().items()}
        environment = {**os.environ, **keys, "MLFLOW_S3_ENDPOINT_URL": s3, "AWS_DEFAULT_REGION": "us-east-1"}
        with (tmp_path / "server.log").open("w") as log:
            process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
        try:
            address = f"http://127.0.0.1:{port}"
            until(lambda: _answers(f"{address}/health", process, tmp_path / "server.log"), 300, "an answer of the MLflow server")
            yield address
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # asked kindly, it waits for connections that clients keep
            process.wait(30)


def _answers(address: str, process: "subprocess.Popen[bytes]", log: Path) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except OSError:
        assert process.poll() is None, log.read_text()
        return False


def test_a_run_logs_and_registers_there_and_serving_finds_it(
    server: str, s3: str, model_settings: ModelSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import boto3
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    settings = model_settings.model_copy(update={"mlflow_tracking_uri": server, "bundle": "auto"})
    training = TrainingSettings(
        data=write_small_data(tmp_path / "data.jsonl", texts=16),  # type: ignore[arg-type]
        output=tmp_path / "runs",
        layers=1,
        max_steps=1,
    )
    assert where(settings) == "released", "nothing is registered yet"
    result = run(training, settings)
    assert result is not None
    promote(result.registered_version, settings)

    assert where(settings) == f"models:/signaal/{result.registered_version}"
    scorer = open_scorer(settings)
    assert scorer.identity.run_id == result.bundle.manifest.run_id
    assert scorer.score(["Pickers wanted for the season."])[0].indicators

    client = MlflowClient(server, server)
    logged = client.get_run(str(result.bundle.manifest.run_id))
    assert logged.data.metrics["test/macro_f1"] == pytest.approx(result.figures["macro_f1"])
    assert {item.path for item in client.list_artifacts(logged.info.run_id)} == {"config.yaml", "report"}
    stored = boto3.client("s3", endpoint_url=s3, region_name="us-east-1", **_keys()).list_objects_v2(Bucket=BUCKET)
    names = [item["Key"] for item in stored["Contents"]]
    assert any(name.endswith("report/report.html") for name in names)
    assert any(name.endswith("heads.safetensors") for name in names)
    assert not list(tmp_path.glob("mlruns")), "nothing is kept here"

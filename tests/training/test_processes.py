"""Two processes that train one model (torchrun, gloo), beside one process that does it alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from transformers import TrainingArguments

from tests.training.small_data import write_small_data
from training.configuration import configuration_text
from training.errors import TrainingError
from training.settings import TrainingSettings
from training.trainer import _share_of_batch, one_device

SCRIPT = Path(sys.executable).parent / "signaal-train"


def test_a_batch_is_dealt_out_to_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert _share_of_batch(8) == 4
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(TrainingError, match="cannot be dealt out to 3 processes"):
        _share_of_batch(8)


def test_of_several_gpus_one_is_used_and_the_way_to_use_all_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arguments = TrainingArguments(output_dir=str(tmp_path), report_to="none", use_cpu=True)
    assert one_device(arguments).n_gpu == 0
    assert not caplog.messages
    arguments._n_gpu = 4  # as transformers sets it where there are four
    assert one_device(arguments).n_gpu == 1
    assert "torchrun --nproc-per-node 4" in caplog.text


@pytest.mark.slow
def test_two_processes_come_to_the_same_figures_as_one_within_noise(tmp_path: Path) -> None:
    settings = TrainingSettings(
        data=write_small_data(tmp_path / "data.jsonl", texts=400, held_out=120),  # type: ignore[arg-type]
        output=Path("runs"),
        layers=2,
        epochs=2,
        checkpoint_minutes=0.05,
    )
    alone = figures(tmp_path / "alone", settings, (sys.executable, str(SCRIPT)))
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(SCRIPT))
    together = figures(tmp_path / "together", settings, torchrun)
    print(json.dumps({"alone": alone, "together": together}, indent=1))
    assert together["step"] == alone["step"], "the same batches, dealt out"
    assert together["train/loss"] == pytest.approx(alone["train/loss"], rel=0.02)
    assert together["validation"] == pytest.approx(alone["validation"], abs=0.03)
    assert together["test"] == pytest.approx(alone["test"], abs=0.05), "macro-F1 also depends on where the thresholds fall"


def figures(folder: Path, settings: TrainingSettings, start: tuple[str, ...]) -> dict[str, float]:
    """Of a run in a folder of its own: steps, last training loss, best validation score, macro-F1 on the test split."""
    folder.mkdir()
    (folder / "signaal.yaml").write_text(configuration_text(settings))
    store = f"sqlite:///{folder}/mlflow.db"
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "SIGNAAL_MLFLOW_TRACKING_URI": store, "OMP_NUM_THREADS": "1"}
    command = [*start, "run", "signaal.yaml"]
    done = subprocess.run(command, check=False, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list(folder.glob("runs/bundle-*/manifest.json"))) == 1, "one of them reports"
    client = MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("signaal").experiment_id])
    last = client.get_metric_history(run.info.run_id, "train/loss")[-1]
    return {
        "step": last.step,
        "train/loss": last.value,
        "validation": run.data.metrics["validation/mean_average_precision"],
        "test": run.data.metrics["test/macro_f1"],
    }

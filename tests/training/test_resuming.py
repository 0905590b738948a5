"""A run that is killed goes on as if nothing had been; the same seed gives the same weights."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mlflow.tracking import MlflowClient
from safetensors.torch import load_file

from labeling.corpus_files import corpus_paths, read_corpus
from models.bundle import WEIGHT_FILES, open_bundle
from models.example import write_examples
from models.settings import ModelSettings
from models.taxonomy import packaged_taxonomy
from training.cli import main
from training.configuration import configuration_text, load_settings
from training.data import load_sources
from training.fitting import fit
from training.settings import TrainingSettings

EPOCHS, BATCH, TEXTS = 2, 8, 60
STEPS_AN_EPOCH = -(-TEXTS // BATCH)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> TrainingSettings:
    folder = tmp_path_factory.mktemp("resuming")
    corpus = [item.example for item in read_corpus(corpus_paths())]
    some = [[e for e in corpus if e.split == split] for split in ("train", "validation", "test")]
    examples = [*some[0][::37][:TEXTS], *some[1][::30][:40], *some[2][::30][:40]]
    write_examples(examples, folder / "data.jsonl")
    return TrainingSettings(
        data=folder / "data.jsonl",  # type: ignore[arg-type]
        output=folder / "runs",
        layers=2,
        epochs=EPOCHS,
        batch_size=BATCH,
        checkpoint_minutes=0,
    )


def weights(settings: TrainingSettings, folder: Path, model_settings: ModelSettings) -> dict[str, torch.Tensor]:
    """Of a run that nothing interrupts."""
    taxonomy = packaged_taxonomy()
    data = load_sources(settings.data, taxonomy, seed=settings.seed)
    fit(folder, folder.name, data, taxonomy, settings, model_settings)
    return saved_weights(folder)


def saved_weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{name}/{key}": tensor
        for name in WEIGHT_FILES
        if name.endswith(".safetensors") and (folder / name).is_file()
        for key, tensor in load_file(folder / name).items()
    }


@pytest.fixture(scope="module")
def unbroken(
    settings: TrainingSettings, tmp_path_factory: pytest.TempPathFactory, model_settings: ModelSettings
) -> dict[str, torch.Tensor]:
    return weights(settings, tmp_path_factory.mktemp("unbroken") / "weights", model_settings)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def killed_at_step(step: int, config: Path, folder: Path, environment: dict[str, str]) -> str:
    """Start a run in a process of its own and kill it as soon as its checkpoint of a step is whole; returns the run's id."""
    command = [sys.executable, "-c", "from training.cli import main; main()", "run", str(config)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env={**os.environ, **environment, "PYTHONPATH": os.getcwd()}, cwd=folder, stderr=log)
    deadline = time.monotonic() + 300
    while not (found := list(folder.glob(f"runs/checkpoints-*/checkpoint-{step}/trainer_state.json"))):
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, "no checkpoint in five minutes"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return found[0].parent.parent.name.removeprefix("checkpoints-")


def test_a_run_killed_in_mid_training_goes_on_to_the_same_weights_bit_by_bit(
    settings: TrainingSettings,
    unbroken: dict[str, torch.Tensor],
    model_settings: ModelSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    config = tmp_path / "signaal.yaml"
    config.write_text(configuration_text(settings.model_copy(update={"output": Path("runs")})))
    environment = {"SIGNAAL_MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    run_id = killed_at_step(STEPS_AN_EPOCH + 3, config, tmp_path, environment)
    assert not list(tmp_path.glob("runs/bundle-*"))

    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert call(monkeypatch, "run", "--resume", run_id) == 0
    (folder,) = tmp_path.glob("runs/bundle-*")
    bundle = open_bundle(folder)
    assert same(saved_weights(folder), unbroken)
    assert not list(tmp_path.glob("runs/checkpoints-*")), "a finished run needs none"

    client = MlflowClient(environment["SIGNAAL_MLFLOW_TRACKING_URI"])
    run = client.get_run(str(bundle.manifest.run_id))
    assert run.info.status == "FINISHED"
    assert run.info.run_id.startswith(run_id)
    steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "train/eval_mean_average_precision")]
    assert steps == [STEPS_AN_EPOCH, 2 * STEPS_AN_EPOCH], "each epoch evaluated once, before the kill and after it"
    assert call(monkeypatch, "run", "--resume", run_id) == 2, "it is finished"


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["signaal-train", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    settings: TrainingSettings, unbroken: dict[str, torch.Tensor], model_settings: ModelSettings, tmp_path: Path
) -> None:
    assert same(weights(settings, tmp_path / "again", model_settings), unbroken)
    other = settings.model_copy(update={"seed": settings.seed + 1, "max_steps": 1})
    assert not same(weights(other, tmp_path / "other", model_settings), unbroken)

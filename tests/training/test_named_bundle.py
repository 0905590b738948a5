"""Every command takes a model by any of its names: here by version, number or alias in a real registry that holds the model which
ships. What a command says shows that it opened it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mlflow.tracking import MlflowClient

from models.bundle import RELEASED, open_bundle
from models.network import SignaalModel
from models.settings import ModelSettings
from models.taxonomy import packaged_taxonomy
from tests.training.drift.test_drift_command import scored_lines, write
from tests.training.small_data import write_small_data
from tests.training.test_run import call
from training.named_bundle import pinned
from training.settings import TrainingSettings
from training.trainer import build_model

NAMES = ("models:/signaal/1", "models:/signaal@begun", "1", "released")
MLMODEL = "flavors: {python_function: {artifacts: {bundle: {path: artifacts/bundle}}}}\n"

Said = Callable[..., str]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, model_settings: ModelSettings) -> ModelSettings:
    folder = tmp_path_factory.mktemp("registry")
    shutil.copytree(RELEASED, folder / "model" / "artifacts" / "bundle")
    (folder / "model" / "MLmodel").write_text(MLMODEL)
    settings = model_settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{folder}/mlflow.db", "bundle": "auto"})
    client = MlflowClient(settings.mlflow_tracking_uri, settings.mlflow_tracking_uri)
    client.create_registered_model("signaal")
    client.create_model_version("signaal", source=str(folder / "model"))
    client.set_registered_model_alias("signaal", "begun", "1")
    return settings


@pytest.fixture
def said(registry: ModelSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Said:
    """What a command says in the end, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGNAAL_MLFLOW_TRACKING_URI", registry.mlflow_tracking_uri)
    monkeypatch.setenv("SIGNAAL_CACHE_DIR", str(registry.cache_dir))
    monkeypatch.setenv("COLUMNS", "400")

    def run(code: int, *arguments: str) -> str:
        assert call(monkeypatch, *arguments) == code, capsys.readouterr().err
        return capsys.readouterr().err

    return run


@pytest.mark.parametrize("name", NAMES)
def test_every_command_opens_it(name: str, said: Said, tmp_path: Path) -> None:
    assert "Cannot read the examples none.jsonl" in said(2, "evaluate", name, "none.jsonl")
    assert "Cannot read the examples none.jsonl" in said(2, "recalibrate", name, "--data", "none.jsonl")
    assert "The teacher has 12 encoder layers" in said(2, "distil", name, "--layers", "20")
    sample = write(tmp_path / "sample.jsonl", [line | {"text": "Plukkers gezocht."} for line in scored_lines(1)])
    assert str(open_bundle(RELEASED).identity) in said(2, "drift", sample, sample, "--bundle", name)


def test_noise_opens_it_and_says_what_is_missing(said: Said, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("training.frozen.LEAST_STEPS", 2)
    monkeypatch.setattr("training.frozen.EPOCHS", 1)
    data = write_small_data(tmp_path / "some.jsonl", texts=12, held_out=2)  # too few for ten with a label and ten without it
    assert "No label can be judged" in said(2, "noise", "--data", str(data), "--encoder", "models:/signaal@begun", "--folds", "2")


def test_a_name_that_there_is_not_is_one_line(said: Said) -> None:
    for arguments in (("evaluate", "models:/signaal@nobody", "none.jsonl"), ("distil", "models:/signaal/99")):
        (line,) = said(2, *arguments).splitlines()
        assert line.startswith(f"error: {arguments[1]} cannot be had")


def test_training_starts_from_it_and_an_alias_is_pinned_to_its_version(registry: ModelSettings, base_folder: Path) -> None:
    settings = pinned(TrainingSettings(start_from="models:/signaal@begun"), registry)
    assert settings.start_from == "models:/signaal/1"
    assert pinned(TrainingSettings(), registry).start_from is None

    def attention(start_from: str | None) -> torch.Tensor:
        begun = settings.model_copy(update={"start_from": start_from})
        model: SignaalModel = build_model(base_folder, packaged_taxonomy(), begun, registry)
        return model.attention.bias.detach().clone()

    assert torch.equal(attention("models:/signaal/1"), attention(str(RELEASED)))
    assert not torch.equal(attention("models:/signaal/1"), attention(None))

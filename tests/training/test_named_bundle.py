"""Every command takes a model by any of its names: here by its version or alias in a real registry."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models.example import read_examples, write_examples
from models.network import SignaalModel
from models.registry import promote
from models.taxonomy import packaged_taxonomy
from tests.conftest import SmallRun
from tests.training.drift.test_drift_command import scored_lines, write
from tests.training.test_run import call
from training.named_bundle import pinned
from training.settings import TrainingSettings
from training.trainer import build_model

Said = Callable[..., str]


@pytest.fixture
def said(small_run: SmallRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Said:
    """What a command says in the end, in a folder of its own, with the registry of the small run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGNAAL_MLFLOW_TRACKING_URI", small_run.settings.mlflow_tracking_uri)
    monkeypatch.setenv("COLUMNS", "400")

    def run(code: int, *arguments: str) -> str:
        assert call(monkeypatch, *arguments) == code, capsys.readouterr().err
        return capsys.readouterr().err

    return run


@pytest.fixture
def name(small_run: SmallRun) -> str:
    return f"models:/signaal/{small_run.result.registered_version}"


def test_evaluate_and_recalibrate(small_run: SmallRun, name: str, said: Said) -> None:
    data = str(small_run.data)
    assert f"{small_run.result.figures['macro_f1']:.3f}" in said(0, "evaluate", name, data)
    assert "bundle: runs/bundle-" in said(0, "recalibrate", name, small_run.result.registered_version, "--data", data)


def test_distil(small_run: SmallRun, name: str, said: Said) -> None:
    assert "The teacher has 2 encoder layers" in said(2, "distil", name, "--data", str(small_run.data), "--layers", "9")


def test_drift(small_run: SmallRun, name: str, said: Said, tmp_path: Path) -> None:
    sample = write(tmp_path / "sample.jsonl", [line | {"text": "Plukkers gezocht."} for line in scored_lines(1)])
    assert str(small_run.result.bundle.identity) in said(2, "drift", sample, sample, "--bundle", name)


def test_noise(small_run: SmallRun, name: str, said: Said, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("training.frozen.LEAST_STEPS", 20)
    examples = [example for example in read_examples(small_run.data) if example.lang in ("nl", "en")][:200]
    write_examples(examples, tmp_path / "some.jsonl")
    assert "labels flagged" in said(0, "noise", "--data", "some.jsonl", "--encoder", name, "--folds", "2")


def test_a_name_that_there_is_not_is_one_line(said: Said) -> None:
    for arguments in (("evaluate", "models:/signaal@nobody", "x.jsonl"), ("distil", "models:/signaal/99")):
        (line,) = said(2, *arguments).splitlines()
        assert line.startswith(f"error: {arguments[1]} cannot be had")


def test_training_starts_from_a_registered_model_and_an_alias_is_pinned_to_its_version(
    small_run: SmallRun, name: str, base_folder: Path
) -> None:
    promote(small_run.result.registered_version, small_run.settings, "begun")
    settings = pinned(TrainingSettings(start_from="models:/signaal@begun", layers=2), small_run.settings)
    assert settings.start_from == name

    def weights(start_from: str) -> SignaalModel:
        begun = settings.model_copy(update={"start_from": start_from})
        return build_model(base_folder, packaged_taxonomy(), begun, small_run.settings)

    registered, folder = weights(name).state_dict(), weights(str(small_run.result.bundle.folder)).state_dict()
    assert all(torch.equal(registered[key], folder[key]) for key in registered)
    assert pinned(TrainingSettings(), small_run.settings).start_from is None

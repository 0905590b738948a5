"""The whole way: fine-tune → calibrate → export → evaluate → log → register (serving it is in tests/serving)."""

import json
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from labeling.corpus_files import corpus_paths, read_corpus
from models.base import sha256_of
from models.bundle import open_bundle
from models.example import SPLITS, read_examples, write_examples
from models.runtime import Scorer
from tests.conftest import STEPS, SmallRun
from training.cli import main
from training.configuration import load_settings
from training.errors import TrainingError
from training.provenance import RECALIBRATED, Unseen, read_how, unseen_by
from training.settings import TrainingSettings
from training.tracking import start_run


def test_a_run_leaves_a_sealed_bundle_that_scores(small_run: SmallRun) -> None:
    bundle = open_bundle(small_run.result.bundle.folder)
    assert bundle.manifest.data_digest == sha256_of(small_run.data)
    assert bundle.manifest.base.layers == 2
    (score,) = Scorer.of_bundle(bundle, small_run.settings).score(["Plukkers gezocht voor de kas."])
    assert all(0 < found.probability < 1 for found in score.indicators.values())


def test_training_learns_something_even_in_a_few_steps(small_run: SmallRun) -> None:
    client = MlflowClient(small_run.settings.mlflow_tracking_uri)
    history = client.get_metric_history(small_run.result.bundle.manifest.run_id, "train/loss")
    assert history[-1].step == STEPS
    assert history[-1].value < 0.95 * history[0].value


def test_mlflow_has_parameters_figures_data_and_plots(small_run: SmallRun) -> None:
    client = MlflowClient(small_run.settings.mlflow_tracking_uri)
    run = client.get_run(small_run.result.bundle.manifest.run_id)
    assert run.data.params["lora_rank"] == "16"
    assert run.data.params["data_digest"] == sha256_of(small_run.data)
    for metric in ("test/macro_f1", "test/label/debt_or_fees/f1", "test/language/nl/macro_f1", "baseline/keywords/macro_f1"):
        assert metric in run.data.metrics
    assert run.inputs.dataset_inputs[0].dataset.digest == sha256_of(small_run.data)[:36]
    artifacts = {Path(item.path).name for item in client.list_artifacts(run.info.run_id, "report")}
    assert artifacts >= {
        "report.html",
        "report.json",
        "precision_recall.png",
        "reliability.png",
        "languages.png",
        "comparison.png",
    }


def test_the_registered_model_has_signature_and_example_and_no_pickle(small_run: SmallRun) -> None:
    mlflow.set_tracking_uri(small_run.settings.mlflow_tracking_uri)
    mlflow.set_registry_uri(small_run.settings.mlflow_tracking_uri)
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/signaal/{small_run.result.registered_version}"))
    info = mlflow.models.get_model_info(str(folder))
    assert [column.name for column in info.signature.inputs] == ["text", "language"]
    assert info.saved_input_example_info is not None
    assert not [p for p in folder.rglob("*") if p.suffix in (".pkl", ".pickle", ".pt", ".bin")]


def test_the_report_stands_beside_the_baselines_with_intervals(small_run: SmallRun) -> None:
    facts = json.loads((small_run.result.report.parent / "report.json").read_text())
    assert set(facts["baselines"]) == {"keywords", "tfidf_logistic_regression"}
    for entry in (facts["figures"], *facts["baselines"].values()):
        low, high = entry["macro_f1_interval"]
        assert 0 <= low <= high <= 1
    assert set(facts["figures"]["languages"]) >= {"nl", "en", "de", "fr", "es", "ro", "pt", "pl", "hu", "bg"}
    html = small_run.result.report.read_text()
    assert html.count("data:image/png;base64,") == 4
    assert "95% interval" in html


def test_the_card_says_what_it_is_not_for(small_run: SmallRun) -> None:
    for needed in ("## Not for", "never persons", "Nothing is written about where the texts come from", "macro-F1"):
        assert needed in small_run.result.bundle.card


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["signaal-train", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_evaluate_writes_the_same_figures_again(small_run: SmallRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = str(small_run.result.bundle.folder)
    assert call(monkeypatch, "evaluate", folder, str(small_run.data), "--output", str(tmp_path / "report")) == 0
    facts = json.loads((tmp_path / "report" / "report.json").read_text())
    assert facts["figures"]["macro_f1"] == pytest.approx(small_run.result.figures["macro_f1"], abs=1e-6)
    assert facts["model"]["bundle_digest"] == small_run.result.bundle.digest


def test_a_language_is_trained_if_the_bundle_saw_it_whatever_the_data_are_split_into(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Labels in Italian, which the bundle never saw, in all three splits."""
    monkeypatch.setenv("COLUMNS", "200")
    italian = [item.example for item in read_corpus(corpus_paths()) if item.example.lang == "it"]
    split_of = {scenario: SPLITS[place % 3] for place, scenario in enumerate(dict.fromkeys(e.scenario for e in italian))}
    write_examples([e.model_copy(update={"split": split_of[e.scenario]}) for e in italian], tmp_path / "it.jsonl")
    folder = str(small_run.result.bundle.folder)
    assert call(monkeypatch, "evaluate", folder, str(tmp_path / "it.jsonl"), "--output", str(tmp_path / "report")) == 0
    assert "macro-F1 over the indicators, in languages that training did not see: 0." in capsys.readouterr().err
    figures = json.loads((tmp_path / "report" / "report.json").read_text())["figures"]
    assert {language: entry["zero_shot"] for language, entry in figures["languages"].items()} == {"it": True}
    assert figures["examples"] == figures["languages"]["it"]["examples"] > 0
    assert figures["macro_f1"] == figures["zero_shot_macro_f1"] == figures["languages"]["it"]["macro_f1"]
    assert "All are in languages that training did not see." in (tmp_path / "report" / "report.md").read_text()


def test_a_run_that_could_not_be_evaluated_is_refused_before_it_trains(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGNAAL_MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    write_examples([e for e in read_examples(small_run.data) if e.split != "test" or e.lang == "it"], Path("data.jsonl"))
    assert call(monkeypatch, "run", "--data", "data.jsonl", "--layers", "1", "--max-steps", "1") == 2
    assert "no test text is in a language that training sees: the split 'test' has 'it'" in capsys.readouterr().err
    assert not list(tmp_path.glob("mlflow.db")), "no run has begun"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--data", "/nowhere.jsonl"), "Cannot read the examples /nowhere.jsonl"),
        (("evaluate", "/nowhere", "/nowhere.jsonl"), "/nowhere is not a bundle"),
    ],
)
def test_known_errors_are_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert call(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert message in " ".join(error.split())
    assert "Traceback" not in error


def test_recalibrating_keeps_the_weights_and_fits_the_rest_anew(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("SIGNAAL_MLFLOW_TRACKING_URI", small_run.settings.mlflow_tracking_uri)
    monkeypatch.chdir(small_run.folder)
    old = small_run.result.bundle
    options = ("--data", str(small_run.data), "--output", str(tmp_path), "--version", "again")
    assert call(monkeypatch, "recalibrate", str(old.folder), *options) == 0
    (folder,) = tmp_path.glob("bundle-*")
    new = open_bundle(folder)
    assert new.weights_digest == old.weights_digest
    assert new.calibration == old.calibration, "the same data gives the same fit"
    assert (new.identity.version, new.identity.run_id == old.identity.run_id) == ("again", False)
    assert "macro-F1 over the indicators on unseen test scenarios:" in capsys.readouterr().err


def test_recalibrated_on_other_data_a_bundle_still_says_what_it_was_trained_on(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("SIGNAAL_MLFLOW_TRACKING_URI", small_run.settings.mlflow_tracking_uri)
    monkeypatch.chdir(small_run.folder)
    old, here = small_run.result.bundle, tmp_path / "here.jsonl"
    write_examples([e for e in read_examples(small_run.data) if e.split != "train" or e.lang == "en"], here)
    assert call(monkeypatch, "recalibrate", str(old.folder), "--data", str(here), "--output", str(tmp_path)) == 0
    (folder,) = tmp_path.glob("bundle-*")
    new = open_bundle(folder)
    assert read_how(folder) == {**read_how(old.folder), RECALIBRATED: str(old.identity)}
    assert (new.manifest.data_digest, sha256_of(small_run.data)) == (sha256_of(here), old.manifest.data_digest)
    assert [unseen_by(new, sha256_of(data)) for data in (here, small_run.data)] == [Unseen.NOT_KNOWN, Unseen.BY_ANY]
    assert "macro-F1 over the indicators on the test split:" in capsys.readouterr().err
    assert f"Trained on `corpus.jsonl` (SHA-256 `{old.manifest.data_digest}`). Calibrated on" in new.card
    assert f"The weights are those of {old.identity}" in new.card
    assert not new.metrics["languages"]["nl"]["zero_shot"], "training saw Dutch, if these texts do not show it"
    assert new.metrics["languages"]["uk"]["zero_shot"]


def test_a_bundle_says_how_it_was_trained_and_with_which_data(small_run: SmallRun) -> None:
    how = json.loads((small_run.result.bundle.folder / "training.json").read_text())
    assert (how["method"], how["max_steps"], how["seed"]) == ("lora", STEPS, 17)
    assert how["data"] == [{"file": "corpus.jsonl", "sha256": sha256_of(small_run.data), "share": 1.0}]
    assert str(small_run.folder) not in json.dumps(how), "no place of the machine that trained"
    client = MlflowClient(small_run.settings.mlflow_tracking_uri)
    client.download_artifacts(small_run.result.bundle.manifest.run_id, "config.yaml", str(small_run.folder))
    assert load_settings(small_run.folder / "config.yaml").max_steps == STEPS


def test_a_run_that_the_store_does_not_have_cannot_go_on(small_run: SmallRun) -> None:
    with pytest.raises(TrainingError, match=r"cannot keep this run: .*not found"):
        start_run(TrainingSettings(), small_run.settings, run_id="0" * 32)

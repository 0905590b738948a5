"""The search on the few-layer network: real trials, a real study, a real MLflow store."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import optuna
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from optuna.trial import TrialState

from models.base import DEFAULT_BASE
from models.errors import BundleError
from models.settings import ModelSettings
from tests.conftest import SmallRun
from tests.training.small_data import write_small_data
from training.configuration import load_settings
from training.errors import ConfigurationError, TrainingError
from training.ignored import without_what_the_start_fixes
from training.search import FAILURES, OUT_OF_TIME, REASON, SCORE, STUDY, Watch, search, suggest
from training.settings import Dimension, SearchSettings, TrainingSettings

SPACE = {"head_lr": {"low": 1e-4, "high": 1e-2, "log": True}, "lora_rank": {"choices": [4, 16]}}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingSettings:
    monkeypatch.chdir(tmp_path)
    changes = {
        "data": write_small_data(tmp_path / "data.jsonl", texts=16),
        "output": tmp_path / "runs",
        "layers": 1,
        "max_steps": 2,
        "search": {"space": SPACE, "startup_trials": 2, "trials": 2, "minutes": 30},
    }
    return load_settings(None, changes)


def with_search(settings: TrainingSettings, **changes: object) -> TrainingSettings:
    return settings.model_copy(update={"search": settings.search.model_copy(update=changes)})


def test_a_search_tries_the_configuration_first_goes_on_where_it_was_and_writes_the_best(
    settings: TrainingSettings, model_settings: ModelSettings, tmp_path: Path
) -> None:
    store = model_settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"})
    first = search(settings, store)
    assert [trial.state for trial in first.trials] == [TrialState.COMPLETE] * 2
    assert first.trials[0].params == {"head_lr": settings.head_lr, "lora_rank": settings.lora_rank}

    # As if its process had been killed in a trial: the trial is given up, and its values are tried again.
    study = optuna.load_study(study_name=STUDY, storage=f"sqlite:///{settings.output}/search-default/study.db")
    lost = study.ask(
        {
            "head_lr": optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True),
            "lora_rank": optuna.distributions.CategoricalDistribution((4, 16)),
        }
    )
    (settings.output / "search-default" / "passing-left-behind").mkdir()
    second = search(with_search(settings, trials=3), store)
    assert [trial.state for trial in second.trials] == [*[TrialState.COMPLETE] * 2, TrialState.FAIL, TrialState.COMPLETE]
    assert second.trials[3].params == lost.params
    assert second.best.value == max(trial.value for trial in second.trials if trial.value is not None)
    assert [trial.number for trial in second.trials] == [0, 1, 2, 3]

    best = load_settings(second.config)
    assert {name: getattr(best, name) for name in SPACE} == pytest.approx(second.best.params)
    assert best.model_copy(update=second.trials[0].params) == with_search(settings, trials=3)
    table = pd.read_csv(first.config.with_name("trials.csv"))
    assert table["state"].tolist() == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]
    assert table["value"].max() == pytest.approx(second.best.value)
    assert table["params_head_lr"].tolist() == pytest.approx([trial.params["head_lr"] for trial in second.trials])
    assert not list(settings.output.glob("search-default/passing-*")), "checkpoints go, those of a killed search too"
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in second.plots)
    assert len(second.plots) == 3

    client = MlflowClient(store.mlflow_tracking_uri)
    (experiment,) = [e for e in client.search_experiments() if e.name == "signaal"]
    runs = client.search_runs([experiment.experiment_id])
    (outer,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    inner = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == outer.info.run_id]
    assert len(inner) == 3, "a killed trial's run would be the fourth"
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert outer.data.metrics["best/mean_average_precision"] == pytest.approx(second.best.value)

    with pytest.raises(TrainingError, match="had other data or settings"):
        search(settings.model_copy(update={"batch_size": 4}), store)
    with pytest.raises(TrainingError, match="No trial came to its end"):
        search(with_search(settings, minutes=1e-6), store, name="hurried")
    mlflow.end_run()


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_trial_that_falls_behind_is_stopped_and_the_search_ends_well(
    pruner: str, settings: TrainingSettings, model_settings: ModelSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Real trainings, which are told another score: each trial a lower one than that before it."""
    store = model_settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"})
    told = Watch.on_evaluate

    def falling(watch: Watch, *arguments: Any, metrics: dict[str, float], **more: Any) -> None:
        told(watch, *arguments, metrics={**metrics, SCORE: 0.5 - 0.1 * watch.trial.number}, **more)

    monkeypatch.setattr(Watch, "on_evaluate", falling)
    found = search(
        with_search(settings.model_copy(update={"max_steps": -1, "epochs": 2.0}), pruner=pruner, startup_trials=1), store
    )
    assert [trial.state for trial in found.trials] == [TrialState.COMPLETE, TrialState.PRUNED]
    assert [len(trial.intermediate_values) for trial in found.trials] == [2, 1]
    assert found.best.number == 0
    client = MlflowClient(store.mlflow_tracking_uri)
    (experiment,) = [e for e in client.search_experiments() if e.name == "signaal"]
    (stopped,) = client.search_runs([experiment.experiment_id], "tags.pruned = 'not promising after 1 epochs'")
    assert stopped.info.status == "FINISHED"
    assert not list(settings.output.glob("search-default/passing-*"))


def store_in(folder: Path, model_settings: ModelSettings) -> ModelSettings:
    return model_settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{folder}/mlflow.db"})


def test_a_search_that_starts_from_a_bundle_leaves_alone_what_the_bundle_fixes(
    settings: TrainingSettings, small_run: SmallRun, model_settings: ModelSettings, tmp_path: Path
) -> None:
    begun = settings.model_copy(update={"layers": 2, "start_from": str(small_run.result.bundle.folder)})
    found = search(begun, store_in(tmp_path, model_settings))
    assert [trial.state for trial in found.trials] == [TrialState.COMPLETE] * 2
    assert [set(trial.params) for trial in found.trials] == [{"head_lr"}] * 2
    assert load_settings(found.config).lora_rank == settings.lora_rank


def test_what_a_start_fixes_is_not_searched(caplog: pytest.LogCaptureFixture) -> None:
    begun = TrainingSettings(start_from="released")
    default = SearchSettings().space
    assert set(without_what_the_start_fixes(begun).search.space) == set(default) - {"lora_rank"}
    assert caplog.messages == [
        "The search's space: the model that training starts from fixes lora_rank; the search leaves that as it is."
    ]
    caplog.clear()
    student = TrainingSettings(start_from="released", method="distil")
    either = {**default, "start_from": Dimension(choices=("released", "mine"))}
    for free in (TrainingSettings(), student):
        assert without_what_the_start_fixes(free) == free
    assert not caplog.messages
    assert set(without_what_the_start_fixes(with_search(TrainingSettings(), space=either)).search.space) == set(either) - {
        "lora_rank"
    }
    shape = {"lora_rank": Dimension(choices=(8, 16)), "layers": Dimension(low=2, high=12)}
    with pytest.raises(TrainingError, match="nothing to try: the model that training starts from fixes lora_rank, layers"):
        without_what_the_start_fixes(with_search(begun, space=shape))


def test_a_start_that_is_not_there_is_no_matter_for_trials(
    settings: TrainingSettings, model_settings: ModelSettings, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="nowhere is not a bundle"):
        search(settings.model_copy(update={"start_from": str(tmp_path / "nowhere")}), store_in(tmp_path, model_settings))
    assert not settings.output.exists()


def test_a_trial_that_cannot_be_trained_does_not_end_the_search(
    settings: TrainingSettings, model_settings: ModelSettings, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    bases = Dimension(choices=(str(tmp_path / "empty"), DEFAULT_BASE))
    begun = with_search(settings, space={"base": bases}).model_copy(update={"base": str(tmp_path / "empty")})
    store = store_in(tmp_path, model_settings)
    found = search(with_search(begun, trials=3), store)
    assert found.trials[0].state == TrialState.FAIL, "the configuration as it is"
    assert found.best.params == {"base": DEFAULT_BASE}
    assert "empty has no config.json" in found.trials[0].user_attrs[REASON]
    assert any(line.startswith("Trial 0 failed with {'base':") and "has no config.json" in line for line in caplog.messages)
    client = MlflowClient(store.mlflow_tracking_uri)
    (experiment,) = [e for e in client.search_experiments() if e.name == "signaal"]
    status = {run.info.run_name: run.info.status for run in client.search_runs([experiment.experiment_id])}
    assert status["trial-0"] == "FAILED"
    assert status[f"trial-{found.best.number}"] == "FINISHED"


def test_a_search_whose_trials_all_fail_ends_soon_and_says_why(
    settings: TrainingSettings, model_settings: ModelSettings, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    impossible = settings.model_copy(update={"base": str(tmp_path / "empty")})
    with pytest.raises(TrainingError, match=r"No trial came to its end\. The last failed: The base .* has no config"):
        search(with_search(impossible, trials=None), store_in(tmp_path, model_settings))
    study = optuna.load_study(study_name=STUDY, storage=f"sqlite:///{settings.output}/search-default/study.db")
    assert [trial.state for trial in study.trials] == [TrialState.FAIL] * FAILURES
    assert f"{FAILURES} trials failed one after another: the search ends here." in caplog.messages


def test_a_trial_that_time_ran_out_for_is_tried_again_and_does_not_count(
    settings: TrainingSettings, model_settings: ModelSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Real trainings; in the first search time is over after a step."""
    store, one = store_in(tmp_path, model_settings), with_search(settings, trials=1)
    told = Watch.on_step_end

    def at_once(watch: Watch, *arguments: Any, **more: Any) -> None:
        watch.deadline = 0
        told(watch, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "on_step_end", at_once)
        with pytest.raises(TrainingError, match="No trial came to its end in 30 minutes"):
            search(one, store)
    table = settings.output / "search-default" / "trials.csv"
    assert pd.read_csv(table)["state"].tolist() == ["PRUNED"], "what waits for its turn is none that was tried"
    found = search(one, store)
    assert [trial.state for trial in found.trials] == [TrialState.PRUNED, TrialState.COMPLETE]
    as_it_is = {"head_lr": settings.head_lr, "lora_rank": settings.lora_rank}
    assert [trial.params for trial in found.trials] == [as_it_is, as_it_is]
    assert pd.read_csv(table)["state"].tolist() == ["PRUNED", "COMPLETE"]
    assert len(search(one, store).trials) == 2, "the one trial is done"


def test_what_is_not_promising_stops_early_and_so_does_what_time_runs_out_for() -> None:
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=2))
    step = SimpleNamespace(global_step=1, max_steps=9)
    for score in (0.5, 0.6):
        watch = Watch(study.ask(), deadline=float("inf"))
        watch.on_evaluate(None, step, None, metrics={SCORE: score})  # type: ignore[arg-type]
        watch.on_evaluate(None, step, None, metrics={SCORE: score - 0.2})  # type: ignore[arg-type]
        assert watch.best == score, "the best epoch counts, as in a run"
        study.tell(watch.trial, watch.best)
    worse = Watch(study.ask(), deadline=0)
    with pytest.raises(optuna.TrialPruned, match="not promising after 1 epochs"):
        worse.on_evaluate(None, step, None, metrics={SCORE: 0.1})  # type: ignore[arg-type]
    assert OUT_OF_TIME not in worse.trial.user_attrs
    with pytest.raises(optuna.TrialPruned, match="time is over"):
        worse.on_step_end(None, step, None)  # type: ignore[arg-type]
    assert OUT_OF_TIME in worse.trial.user_attrs
    step.global_step = 9
    worse.on_step_end(None, step, None)  # type: ignore[arg-type]


def test_values_are_of_the_settings_type() -> None:
    trial = optuna.create_study().ask()
    assert isinstance(suggest(trial, "lora_alpha", Dimension(low=8, high=64)), int)
    assert isinstance(suggest(trial, "layers", Dimension(low=1, high=3)), int)
    assert isinstance(suggest(trial, "dropout", Dimension(low=0, high=0.5)), float)
    assert suggest(trial, "method", Dimension(choices=("lora", "head"))) in ("lora", "head")


def test_a_setting_that_has_no_value_is_in_no_range_and_among_no_choices() -> None:
    assert not Dimension(low=4, high=12).holds(TrainingSettings().layers)
    assert not Dimension(choices=(4, 12)).holds(None)
    assert Dimension(low=4, high=12).holds(12)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("{lora_rnak: {choices: [1]}}", "did you mean 'lora_rank'"),
        ("{seed: {low: 1, high: 3}}", "'seed' cannot be searched"),
        ("{dropout: {low: 0.5, high: 0.1}}", "low below high"),
        ("{dropout: {low: 0, high: 0.1, log: true}}", "low must be above 0"),
        ("{dropout: {low: 0, choices: [0.1]}}", "either choices"),
        ("{dropout: {hgih: 0}}", "Did you mean 'high'"),
        ("{dropout: {low: 0, high: 2}}", "dropout cannot be 2.0"),
        ("{lora_rank: {choices: [4, 4.5]}}", "lora_rank cannot be 4.5"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(tmp_path: Path, space: str, message: str) -> None:
    file = tmp_path / "signaal.yaml"
    file.write_text(f"epochs: 1\nsearch:\n  space: {space}\n")
    with pytest.raises(ConfigurationError, match=message) as error:
        load_settings(file)
    assert str(error.value).startswith((f"{file}:2: ", f"{file}:3: "))

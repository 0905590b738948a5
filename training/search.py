"""Hyper-parameter search: Optuna proposes settings, short runs say what they are worth on the validation split.

Proposals come from TPE (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"); the first trial is the
configuration as it is, so that the best is never worse than what there was. The study is an SQLite file beside its results: a
search that was killed goes on. The test split is not looked at.
"""

import hashlib
import json
import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from models.errors import ModelError
from models.settings import ModelSettings
from models.taxonomy import packaged_taxonomy
from training.checkpoints import PASSING, passing_checkpoints
from training.configuration import configuration_text
from training.data import TrainingData, load_sources
from training.errors import TrainingError
from training.fetched import fetched_once
from training.ignored import check_search_space, without_what_the_start_fixes
from training.lock import alone_in
from training.named_bundle import bundle_to_start_from, pinned
from training.processes import process_count
from training.search_plots import draw
from training.settings import Dimension, TrainingSettings
from training.tracking import log_data, start_run
from training.trainer import fine_tune

log = logging.getLogger(__name__)

SCORE = "eval_mean_average_precision"
STUDY = "signaal"
BEST_FILE = "best.yaml"
REASON = "reason"
"""User attribute of a trial: why it could not be trained."""
OUT_OF_TIME = "out_of_time"
"""User attribute of a trial that was stopped because the search's time was over, and not for its score."""
BEGUN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
"""States of a trial that was tried, however it ended."""
FAILURES = 10
"""So many trials that fail one after another end a search: they fail fast, and the next would, too."""


@dataclass(frozen=True)
class SearchResult:
    """What a search found."""

    trials: list[FrozenTrial]
    """All, in the order in which they were begun."""
    best: FrozenTrial
    config: Path
    """A configuration file with the best values."""
    plots: list[Path]


@fetched_once()
def search(settings: TrainingSettings, model_settings: ModelSettings, *, name: str = "default") -> SearchResult:
    """Search ``settings.search.space`` for the best validation score (mean average precision) until the time is over.

    Args:
        settings: the configuration that the trials change.
        model_settings: where models are, and the MLflow store.
        name: of the search; one that is there in ``settings.output`` goes on.

    Raises:
        TrainingError: the search that is there had other data or settings, its space has nothing to try, no trial came to an end
            in time, all failed, it is under way in another process, or several processes were started.
        ExampleError: the data cannot be used.
        ModelError: the model to start from cannot be opened.
    """
    if process_count() > 1:
        raise TrainingError("A search runs in one process: start it without torchrun.")
    settings = without_what_the_start_fixes(settings)
    check_search_space(settings)
    started = time.monotonic()
    settings = pinned(settings, model_settings)
    with bundle_to_start_from(settings, model_settings):
        pass  # one that is not there is said now, and not by each trial
    taxonomy = packaged_taxonomy()
    data = load_sources(settings.data, taxonomy, seed=settings.seed)
    folder = settings.output / f"search-{name}"
    with alone_in(folder, f"The search {name!r}"):
        for left_behind in folder.glob(f"{PASSING}*"):  # by a search that was killed
            shutil.rmtree(left_behind)
        study = _study(folder, settings, data)
        with start_run(settings, model_settings, run_id=study.user_attrs.get("run_id")) as outer:
            if "run_id" not in study.user_attrs:
                log_data(data)
                study.set_user_attr("run_id", outer.info.run_id)
            mlflow.set_tag("search", name)

            budget = settings.search.minutes * 60 - (time.monotonic() - started)
            deadline = time.monotonic() + budget
            done = sum(_is_done(trial) for trial in study.get_trials(deepcopy=False))
            left = None if settings.search.trials is None else max(settings.search.trials - done, 0)

            def objective(trial: Trial) -> float:
                return _score(trial, settings, model_settings, data, folder, deadline)

            study.optimize(objective, n_trials=left, timeout=budget, callbacks=[_say], catch=(ModelError, TrainingError))
            return _finish(study, settings, folder)


def _study(folder: Path, settings: TrainingSettings, data: TrainingData) -> optuna.Study:
    """The study in a folder: a new one, or the one that is there."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a trial that fails would be a warning with a traceback; see _say
    wanted = settings.search
    pruner: optuna.pruners.BasePruner
    if wanted.pruner == "median":
        pruner = optuna.pruners.MedianPruner(n_startup_trials=wanted.startup_trials)
    else:
        pruner = optuna.pruners.HyperbandPruner(max_resource=max(int(settings.epochs), 1))
    study = optuna.create_study(
        storage=f"sqlite:///{folder.resolve()}/study.db",
        study_name=STUDY,
        direction="maximize",
        pruner=pruner,
        load_if_exists=True,
    )
    # A study that goes on must not draw its first numbers again.
    study.sampler = optuna.samplers.TPESampler(
        seed=settings.seed + len(study.trials), n_startup_trials=wanted.startup_trials, multivariate=True
    )
    fixed = settings.model_dump(mode="json", exclude={"data": True, "output": True, "search": {"minutes", "trials"}})
    identity = hashlib.sha256(json.dumps([data.digest, fixed], sort_keys=True).encode()).hexdigest()
    if study.user_attrs.setdefault("identity", identity) != identity:
        raise TrainingError(f"The search in {folder} had other data or settings. Give this one another --name.")
    study.set_user_attr("identity", identity)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):  # its process was killed
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    if not study.trials:
        as_it_is = {name: getattr(settings, name) for name in wanted.space}
        if all(wanted.space[name].holds(value) for name, value in as_it_is.items()):
            study.enqueue_trial(as_it_is)
    return study


def _is_done(trial: FrozenTrial) -> bool:
    """Whether a trial came to its end, or was worth no more. One that was killed, failed, or lacked the time says nothing."""
    pruned = trial.state == TrialState.PRUNED and OUT_OF_TIME not in trial.user_attrs
    return pruned or trial.state == TrialState.COMPLETE


def _score(
    trial: Trial,
    settings: TrainingSettings,
    model_settings: ModelSettings,
    data: TrainingData,
    folder: Path,
    deadline: float,
) -> float:
    """Best validation score of one trial.

    Raises:
        optuna.TrialPruned: it is not promising, or time is over.
        ModelError, TrainingError: no network can be trained with its values.
    """
    chosen = {name: suggest(trial, name, dimension) for name, dimension in settings.search.space.items()}
    tried = settings.changed(**chosen)
    watch = Watch(trial, deadline)
    with mlflow.start_run(run_name=f"trial-{trial.number}", nested=True):
        mlflow.log_params(chosen)
        try:
            with passing_checkpoints(folder) as scratch:
                fine_tune(
                    data.splits,
                    packaged_taxonomy(),
                    tried,
                    model_settings,
                    draws=data.draws,
                    folder=scratch,
                    callbacks=[watch],
                )
        except optuna.TrialPruned as pruned:
            mlflow.set_tag("pruned", str(pruned))
            stopped = pruned
            if OUT_OF_TIME in trial.user_attrs:
                trial.study.enqueue_trial(trial.params)  # first of all when the search goes on
        except (ModelError, TrainingError) as error:
            trial.set_user_attr(REASON, str(error))
            raise
        else:
            return watch.best
    raise stopped  # after the run has ended as it should: a trial that stops early has not failed


def suggest(trial: Trial, name: str, dimension: Dimension) -> Any:
    """A value for a setting, of the setting's own type."""
    if dimension.choices:
        return trial.suggest_categorical(name, dimension.choices)
    assert dimension.low is not None
    assert dimension.high is not None
    if TrainingSettings.model_fields[name].annotation in (int, int | None):
        return trial.suggest_int(name, int(dimension.low), int(dimension.high), log=dimension.log)
    return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)


class Watch(TrainerCallback):
    """Tells Optuna the score after each epoch, and stops what is not promising, or what time runs out for.

    Args:
        trial: what is tried.
        deadline: by ``time.monotonic``.
    """

    def __init__(self, trial: Trial, deadline: float) -> None:
        self.trial = trial
        self.deadline = deadline
        self.scores: list[float] = []

    @property
    def best(self) -> float:
        return max(self.scores)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        self.scores.append(float((metrics or {})[SCORE]))
        self.trial.report(self.best, step=len(self.scores))
        if state.global_step < state.max_steps and self.trial.should_prune():
            raise optuna.TrialPruned(f"not promising after {len(self.scores)} epochs")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if time.monotonic() > self.deadline and state.global_step < state.max_steps:
            self.trial.set_user_attr(OUT_OF_TIME, True)
            raise optuna.TrialPruned("the search's time is over")


def _say(study: optuna.Study, trial: FrozenTrial) -> None:
    """What became of a trial; many that failed one after another are the last."""
    if reason := trial.user_attrs.get(REASON):
        log.warning("Trial %d failed with %s: %s", trial.number, trial.params, reason)
    else:
        score = max(trial.intermediate_values.values(), default=float("nan"))
        log.info("Trial %d (%s): %.4f with %s.", trial.number, trial.state.name.lower(), score, trial.params)
    last = study.get_trials(deepcopy=False, states=BEGUN)[-FAILURES:]
    if len(last) == FAILURES and all(REASON in one.user_attrs for one in last):
        log.warning("%d trials failed one after another: the search ends here.", FAILURES)
        study.stop()


def _finish(study: optuna.Study, settings: TrainingSettings, folder: Path) -> SearchResult:
    table = folder / "trials.csv"
    trials = study.trials_dataframe(attrs=("number", "state", "value", "params", "datetime_start", "duration"))
    trials[trials["state"] != TrialState.WAITING.name].to_csv(table, index=False)
    mlflow.log_artifact(str(table), "search")
    begun = study.get_trials(states=BEGUN)
    if all(trial.state != TrialState.COMPLETE for trial in begun):
        if begun and REASON in begun[-1].user_attrs:
            raise TrainingError(f"No trial came to its end. The last failed: {begun[-1].user_attrs[REASON]}")
        raise TrainingError(
            f"No trial came to its end in {settings.search.minutes:g} minutes. Give --minutes more, or lower epochs; the search "
            f"in {folder} goes on where it is."
        )
    best = study.best_trial
    config = folder / BEST_FILE
    config.write_text(configuration_text(settings.changed(**best.params)), encoding="utf-8")
    plots = draw(study, folder)
    mlflow.log_metrics({"best/mean_average_precision": float(best.value or 0.0), "trials": len(begun)})
    mlflow.set_tags(
        {f"best/{name}": value for name, value in best.params.items()}
    )  # tags, since a search that goes on finds others
    for path in (config, *plots):
        mlflow.log_artifact(str(path), "search")
    return SearchResult(begun, best, config, plots)

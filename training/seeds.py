"""Several seeds: the same run with each, and how much chance moves the figures."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import mean, stdev

import mlflow
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from models.registry import promote
from models.settings import ModelSettings
from training.checkpoints import RunFolder
from training.fetched import fetched_once
from training.named_bundle import pinned
from training.processes import from_first, is_first_process
from training.run import run
from training.settings import TrainingSettings
from training.tracking import start_run

log = logging.getLogger(__name__)

BEST_BY = "validation/mean_average_precision"
"""In MLflow, of each seed's run."""


@dataclass(frozen=True)
class SeedFigure:
    """One figure over the seeds."""

    name: str
    """Of the metric in MLflow, ``test/macro_f1`` say."""
    values: tuple[float, ...]
    """One a seed, in the order of the settings."""

    @property
    def mean(self) -> float:
        return mean(self.values)

    @property
    def spread(self) -> float:
        """Standard deviation of a sample; 0 for one seed."""
        return stdev(self.values) if len(self.values) > 1 else 0.0


@fetched_once()
def run_seeds(settings: TrainingSettings, model_settings: ModelSettings, *, resume: str | None = None) -> list[SeedFigure]:
    """A whole run with each of ``settings.seeds``, nested in one MLflow run that gets mean and spread of every test figure.

    Args:
        settings: what all runs share.
        model_settings: where models are, and the MLflow store.
        resume: id of such an outer run that was killed: seeds that are done are not done again, the one that was in work goes
            on from its last checkpoint.

    Returns:
        The figures, by name; none in a process that only helped to train.

    Raises:
        TrainingError: the run that should go on, or that of a seed, is under way in another process; else as ``run``.
    """
    settings = pinned(settings, model_settings)
    if not is_first_process():
        for seed, inner in from_first(list[tuple[int, str | None]]()):
            run(_with_seed(settings, seed), model_settings, resume=inner)
        return []
    with ExitStack() as until_done:
        if resume is not None:
            until_done.enter_context(RunFolder(settings.output, resume).alone())
        outer = until_done.enter_context(start_run(settings, model_settings, run_id=resume))
        outer_id = outer.info.run_id
        log.info("Run %s of %d seeds.", outer_id, len(settings.seeds))
        kept = RunFolder(settings.output, outer_id)
        kept.begin(settings, outer_id, "", model_settings)
        if resume is None:
            until_done.enter_context(kept.alone())
        client = MlflowClient()
        begun = _inner_runs(client, outer)
        todo: list[tuple[int, str | None]] = []
        for seed in settings.seeds:
            before = begun.get(seed)
            if before is None or before.info.status != "FINISHED":
                going_on = before is not None and RunFolder(settings.output, before.info.run_id).has_begun
                todo.append((seed, before.info.run_id if before is not None and going_on else None))
        for seed, inner in from_first(todo):
            run(_with_seed(settings, seed), model_settings, resume=inner, nested=True)
        begun = _inner_runs(client, outer)
        results = _figures([begun[seed] for seed in settings.seeds])
        mlflow.log_metrics({f"mean/{figure.name}": figure.mean for figure in results})
        mlflow.log_metrics({f"spread/{figure.name}": figure.spread for figure in results})
        if settings.method == "distil":
            _give_alias([begun[seed] for seed in settings.seeds], settings, model_settings)
        kept.remove()
        return results


def _give_alias(students: list[Run], settings: TrainingSettings, model_settings: ModelSettings) -> None:
    """To the student that is best on the validation split, which is not what they are compared on."""
    best = max(students, key=lambda one: float(one.data.metrics[BEST_BY]))
    (version,) = MlflowClient().search_model_versions(f"run_id = '{best.info.run_id}'")
    promote(version.version, model_settings, settings.distillation.alias)
    log.info(
        "The student of seed %s is best on the validation split: version %s has the alias %s.",
        best.data.params["seed"],
        version.version,
        settings.distillation.alias,
    )


def _with_seed(settings: TrainingSettings, seed: int) -> TrainingSettings:
    return settings.model_copy(update={"seed": seed, "seeds": ()})


def _inner_runs(client: MlflowClient, outer: Run) -> dict[int, Run]:
    """The latest run of each seed."""
    found = client.search_runs(
        [outer.info.experiment_id], f"tags.mlflow.parentRunId = '{outer.info.run_id}'", order_by=["attributes.start_time ASC"]
    )
    return {int(one.data.params["seed"]): one for one in found if "seed" in one.data.params}


def _figures(runs: list[Run]) -> list[SeedFigure]:
    """Figures that every run has."""
    names = set.intersection(*(set(one.data.metrics) for one in runs))
    return [
        SeedFigure(name, tuple(float(one.data.metrics[name]) for one in runs))
        for name in sorted(names)
        if name.startswith(("test/", "validation/"))
    ]

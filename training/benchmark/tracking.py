"""What a benchmark leaves in MLflow: a run a data set, and below it a run a seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from training.benchmark.figures import OVERALL
from training.errors import TrainingError
from training.tracking import log_figures

EXPERIMENT = "signaal-bench"


def log_benchmark(facts: dict[str, Any], artifacts: Sequence[Path], tracking_uri: str) -> None:
    """Log a benchmark that is done.

    Args:
        facts: what ``report.json`` says.
        artifacts: files without texts; the first is the report.
        tracking_uri: which store.

    Raises:
        TrainingError: the store does not take it.
    """
    try:
        _log(facts, artifacts, tracking_uri)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        said = str(error).partition("\n")[0]
        raise TrainingError(f"The report is written ({artifacts[0]}), but MLflow does not take it: {said}") from error


def _log(facts: dict[str, Any], artifacts: Sequence[Path], tracking_uri: str) -> None:
    data, task = facts["data"], facts["task"]
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name=Path(data["name"]).stem):
        mlflow.log_params({**facts["settings"], "single": task["single"], "labels": len(task["labels"])})
        texts = {f"texts_{split}": count for split, count in data["texts"].items()}
        mlflow.log_params({"data_digest": data["digest"], **texts})
        for seed in facts["seeds"]:
            with mlflow.start_run(run_name=f"seed {seed['seed']}", nested=True):
                mlflow.log_param("seed", seed["seed"])
                for epoch, point in enumerate(seed["curve"], start=1):
                    metrics = {"train/loss": point["loss"], "validation/score": point["validation_score"]}
                    mlflow.log_metrics(metrics, step=epoch)
                mlflow.log_metrics({f"test/{name}": seed[name] for name in OVERALL})
        log_figures(facts["network"], facts["baselines"])
        for path in artifacts:
            mlflow.log_artifact(str(path), "report")

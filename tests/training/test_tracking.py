"""Figures are logged whatever the languages and labels are called."""

from pathlib import Path

import mlflow
from mlflow.tracking import MlflowClient

from training.tracking import log_figures

ODD = ["nl+en", "", "nl/en", "/", "..", ".", "日本語", "nl "]


def test_mlflow_takes_figures_of_languages_with_odd_codes(tmp_path: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_experiment("names")
    with mlflow.start_run() as run:
        log_figures({"languages": {code: {"macro_f1": 0.5} for code in ODD}}, {})
    metrics = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_run(run.info.run_id).data.metrics
    assert len(metrics) == len(ODD)
    assert {"test/language/nl_en/macro_f1", "test/language/_/macro_f1", "test/language/日本語/macro_f1"} <= set(metrics)

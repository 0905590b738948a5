"""Figures are logged whatever the languages and labels are called."""

from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from training.tracking import log_figures, metric_name

ODD = ["nl+en", "", "nl/en", "/", "..", ".", "日本語", "nl "]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (("test", "language", "nl", "macro_f1"), "test/language/nl/macro_f1"),
        (("test", "language", "nl+en", "macro_f1"), "test/language/nl_en/macro_f1"),
        (("difference", "language_f1", ""), "difference/language_f1/und"),
        (("difference", "language_f1", "nl/"), "difference/language_f1/nl_"),
        (("test", "label", "a", "recall_at_precision_0.9"), "test/label/a/recall_at_precision_0.9"),
    ],
)
def test_a_name_is_kept_where_it_can_be_and_readable_where_not(path: tuple[str, ...], name: str) -> None:
    assert metric_name(*path) == name


def test_mlflow_takes_figures_of_languages_with_odd_codes(tmp_path: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    with mlflow.start_run() as run:
        log_figures({"languages": {code: {"macro_f1": 0.5} for code in ODD}}, {})
        mlflow.log_metrics({metric_name("difference", "language_f1", code): 0.5 for code in ODD})
    metrics = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_run(run.info.run_id).data.metrics
    assert {"test/language/nl_en/macro_f1", "test/language/und/macro_f1", "difference/language_f1/und"} <= set(metrics)

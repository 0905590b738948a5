"""Labels of any kind as names of MLflow metrics, in a real store."""

from pathlib import Path

import mlflow
from hypothesis import given
from hypothesis import strategies as st
from mlflow.tracking import MlflowClient
from mlflow.utils.validation import _validate_metric_name

from training.metric_names import name_parts
from training.tracking import log_figures

LABELS = [
    "新闻",
    "体育",
    "Новости",
    "हिन्दी",
    "",
    " ",
    ".",
    "..",
    "/Arts/Music",
    "/Arts/Film",
    "a|b",
    "a?b",
    "a_b",
    "C++",
    "x" * 300,
    "label",
]


def test_every_label_has_its_figure_in_the_store(tmp_path: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_experiment("names")
    figures = {label: {"f1": place / 100} for place, label in enumerate(LABELS)}
    with mlflow.start_run() as run:
        log_figures({"labels": figures, "languages": {"nl": {"macro_f1": 0.5}}}, {})
    found = MlflowClient().get_run(run.info.run_id).data.metrics
    assert sorted(found.values()) == sorted([0.5, *(entry["f1"] for entry in figures.values())])
    assert found["test/label/新闻/f1"] == 0.0
    assert found["test/label/体育/f1"] == 0.01
    assert found["test/label/_Arts_Music/f1"] == figures["/Arts/Music"]["f1"]
    assert found["test/label/a_b/f1"] == figures["a_b"]["f1"], "a name that is good keeps itself"
    assert found["test/label/a_b_2/f1"] == figures["a?b"]["f1"]
    assert found["test/language/nl/macro_f1"] == 0.5


@given(st.lists(st.text(max_size=150)))
def test_parts_are_unlike_and_good_names_of_one_part(names: list[str]) -> None:
    parts = name_parts(names)
    assert set(parts) == set(names)
    assert len(set(parts.values())) == len(parts)
    for part in parts.values():
        _validate_metric_name(f"test/label/{part}/span_token_f1")
        assert "/" not in part
        assert len(f"test/label/{part}/span_token_f1") <= 250

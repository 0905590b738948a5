"""``signaal-train bench`` on data with slips in it and labels of every kind, from file to report, store and console."""

import json
import logging
from pathlib import Path
from random import Random
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from typer.testing import CliRunner

from models.settings import ModelSettings
from training.benchmark import baseline
from training.benchmark.benchmark import BenchmarkResult, run_benchmark
from training.benchmark.settings import BenchmarkSettings
from training.cli import app
from training.errors import TrainingError

SIGNS = {"新闻": "rain", "体育": "tennis", "/Arts/Music": "opera", "this | that\nand more": "soup", "": "nothing"}


def rows(count: int) -> list[dict[str, Any]]:
    draws, made = Random(1), []
    for number in range(count):
        label = draws.choice(list(SIGNS))
        text = f"we had {SIGNS[label]} for the {number}th time"
        made.append({"text": text, "labels": [label], "spans": [{"start": 7, "end": 7 + len(SIGNS[label]), "label": label}]})
    return made


def written(path: Path, made: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in made), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def ran(model_settings: ModelSettings, tmp_path_factory: pytest.TempPathFactory) -> tuple[BenchmarkResult, str, str]:
    """The result, what was logged, and where its MLflow store is."""
    folder = tmp_path_factory.mktemp("odd")
    made = rows(250)
    made[2] |= {"labels": [], "spans": []}
    made[4]["text"] = ""
    made[6]["spans"].append({"start": 0, "end": 400, "label": made[6]["labels"][0]})
    store = f"sqlite:///{folder}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch, _LogLines() as logged:
        patch.setattr(baseline, "MOST_TEXTS", 100)
        result = run_benchmark(
            written(folder / "odd.jsonl", made),
            BenchmarkSettings(output=folder, layers=1, epochs=1, max_tokens=32),
            model_settings.model_copy(update={"mlflow_tracking_uri": store}),
        )
    return result, "\n".join(logged.lines), store


class _LogLines(logging.Handler):
    """``caplog`` is of one test; a fixture of the module needs its own."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def __enter__(self) -> "_LogLines":
        logger = logging.getLogger("training.benchmark")
        logger.setLevel(logging.INFO)
        logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("training.benchmark").removeHandler(self)


def test_one_line_without_a_label_makes_no_other_task_and_is_reported_with_the_unusable_ones(
    ran: tuple[BenchmarkResult, str, str],
) -> None:
    facts = ran[0].facts
    assert facts["task"]["single"]
    assert sum(facts["data"]["texts"].values()) == 248
    assert [(bad["number"], bad["split"]) for bad in facts["data"]["bad_lines"]] == [(3, "train"), (5, "train")]
    report = ran[0].report.read_text(encoding="utf-8")
    assert "- line 3: labels: there are none, where nearly all lines have exactly one\n- line 5: text:" in report
    assert "Single-label data but for 1 lines, which are not used." in report
    assert "2 lines are not used (3, 5)." in ran[1]
    assert "These are not used: 3. With --multi" in ran[1]


def test_a_span_that_does_not_fit_is_reported_and_the_others_are_measured(ran: tuple[BenchmarkResult, str, str]) -> None:
    assert ran[0].facts["data"]["bad_spans"]["spans"] == 1
    assert "span_token_f1" in ran[0].facts["network"]
    report = ran[0].report.read_text(encoding="utf-8")
    assert "1 spans in 1 lines; the lines were used without them.\n\n- line 7: span 0–400 does not fit a text of" in report
    assert "1 spans in 1 lines are not used (lines 7)." in ran[1]


def test_a_baseline_on_part_of_the_training_texts_says_so(ran: tuple[BenchmarkResult, str, str]) -> None:
    note = "TF-IDF was fitted to 100 training texts, drawn from all"
    assert note in ran[1]
    assert note in ran[0].report.read_text(encoding="utf-8")


def test_tables_are_whole_whatever_a_label_holds(ran: tuple[BenchmarkResult, str, str]) -> None:
    by_label = ran[0].report.read_text(encoding="utf-8").partition("## By label")[2].partition("\n## ")[0].strip().splitlines()
    assert len(by_label) == 2 + len(SIGNS)
    assert {row.replace(r"\|", "").count("|") for row in by_label} == {by_label[0].count("|")}
    assert any(row.startswith(r"| this \| that and more |") for row in by_label)
    assert any(row.startswith("| (empty) |") for row in by_label)


def test_every_label_has_its_figure_in_mlflow(ran: tuple[BenchmarkResult, str, str]) -> None:
    client = MlflowClient(ran[2])
    experiment = client.get_experiment_by_name("signaal-bench")
    assert experiment is not None
    (run,) = [run for run in client.search_runs([experiment.experiment_id]) if run.info.run_name == "odd"]
    figures = {name.split("/")[2] for name in run.data.metrics if name.startswith("test/label/")}
    assert figures == {"新闻", "体育", "_Arts_Music", "this _ that_and more", "_"}


def test_without_the_baseline_the_table_is_shown_before_an_mlflow_that_fails_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNAAL_MLFLOW_TRACKING_URI", "sqlite:////dev/null/mlflow.db")
    monkeypatch.setenv("SIGNAAL_BENCH_LAYERS", "1")
    data = written(tmp_path / "data.jsonl", rows(60))
    result = CliRunner().invoke(app, ["bench", str(data), "--no-baseline", "--epochs", "0.1", "--output", str(tmp_path)])
    assert isinstance(result.exception, TrainingError)
    assert "MLflow does not take it" in str(result.exception)
    assert "this network" in result.output
    assert "commonest label" in result.output
    assert "TF-IDF" not in result.output
    (report,) = tmp_path.glob("data-*/report.md")
    assert "TF-IDF" not in report.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [({"split": "test", "text": ""}, "12 of the 12 lines of the split 'test' cannot be used"), ({"split": "test"}, None)],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_trained(
    change: dict[str, Any], message: str | None, tmp_path: Path
) -> None:
    made = rows(60 if message else 12)
    data = written(tmp_path / "data.jsonl", [*made[:-12], *({**row, **change} for row in made[-12:])])
    with pytest.raises(TrainingError, match=message or "There is no training text"):
        run_benchmark(data, BenchmarkSettings(output=tmp_path), ModelSettings())

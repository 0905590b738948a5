"""``signaal-train bench`` from a file to a report: a real network of one layer, on data that can be learnt."""

import json
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
from mlflow.tracking import MlflowClient
from rich.console import Console
from typer.testing import CliRunner

from models.settings import ModelSettings
from training.benchmark.benchmark import BenchmarkResult, run_benchmark
from training.benchmark.network_folder import SavedNetwork
from training.benchmark.report import console_table
from training.benchmark.settings import BenchmarkSettings
from training.cli import app
from training.errors import TrainingError

SIGNS = {"weather": ["rain", "snow", "wind"], "food": ["bread", "soup", "cheese"], "sport": ["football", "tennis", "rowing"]}
FILLER = ["today", "we", "had", "much", "of", "it", "and", "nobody", "minded", "that", "at", "all", "here"]


def line(draws: Random, labels: list[str], **fields: Any) -> dict[str, Any]:
    """A text with a word of each label, and where it stands."""
    words = draws.sample(FILLER, 6)
    for label in labels:
        words.insert(draws.randrange(len(words)), draws.choice(SIGNS[label]))
    text, spans = " ".join(words), []
    for label in labels:
        word = next(w for w in words if w in SIGNS[label])
        start = sum(len(w) + 1 for w in words[: words.index(word)])
        spans.append({"start": start, "end": start + len(word), "label": label})
    return {"text": text, "labels": labels, "spans": spans, **fields}


@pytest.fixture(scope="module")
def settings(model_settings: ModelSettings, tmp_path_factory: pytest.TempPathFactory) -> ModelSettings:
    return model_settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{tmp_path_factory.mktemp('bench')}/mlflow.db"})


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def single(settings: ModelSettings, tmp_path_factory: pytest.TempPathFactory) -> BenchmarkResult:
    folder, draws = tmp_path_factory.mktemp("single"), Random(1)
    rows = [line(draws, [draws.choice(list(SIGNS))], lang=draws.choice(["en", "nl"])) for _ in range(200)]
    data = written(folder / "topics.jsonl", [{k: v for k, v in row.items() if k != "spans"} for row in rows])
    published = {"source": "Nobody 2020 [table 3]", "accuracy": 0.934, "macro_f1": 0.91}
    data.with_name("topics.published.json").write_text(json.dumps(published))
    return run_benchmark(data, BenchmarkSettings(output=folder, layers=1, epochs=4, seeds=2), settings)


@pytest.fixture(scope="module")
def multi(settings: ModelSettings, tmp_path_factory: pytest.TempPathFactory) -> BenchmarkResult:
    folder, draws = tmp_path_factory.mktemp("multi"), Random(2)
    splits = ["train"] * 8 + ["validation", "test"]
    rows = [line(draws, draws.sample(list(SIGNS), draws.randrange(3)), split=splits[i % 10]) for i in range(200)]
    data = written(folder / "things.jsonl", rows)
    return run_benchmark(data, BenchmarkSettings(output=folder, layers=1, epochs=6, method="full", keep_texts=True), settings)


def test_single_label_data_is_learnt_and_stands_beside_the_baselines(single: BenchmarkResult) -> None:
    facts = single.facts
    assert facts["task"] == {"single": True, "labels": ["food", "sport", "weather"], "spans": False}
    assert facts["network"]["accuracy"] > facts["baselines"]["commonest_label"]["accuracy"] + 0.2
    low, high = facts["network"]["macro_f1_interval"]
    assert low <= facts["network"]["macro_f1"] <= high
    assert facts["network"]["macro_f1_spread"] is not None
    assert [entry["seed"] for entry in facts["seeds"]] == [1, 2]
    assert set(facts["network"]["languages"]) == {"en", "nl"}


def test_multi_label_data_with_spans_has_token_f1(multi: BenchmarkResult) -> None:
    network = multi.facts["network"]
    assert not multi.facts["task"]["single"]
    assert network["micro_f1"] > multi.facts["baselines"]["commonest_label"]["micro_f1"] + 0.1
    assert network["span_token_f1"] > 0.3
    assert network["accuracy_spread"] is None


def test_token_f1_is_not_measured_where_only_training_has_spans(settings: ModelSettings, tmp_path: Path) -> None:
    draws, splits = Random(3), ["train"] * 6 + ["validation", "test"]
    rows = [line(draws, draws.sample(list(SIGNS), draws.randrange(3)), split=splits[i % 8]) for i in range(64)]
    data = written(tmp_path / "marked.jsonl", [row if row["split"] == "train" else {**row, "spans": []} for row in rows])
    result = run_benchmark(data, BenchmarkSettings(output=tmp_path, layers=1, epochs=1), settings)
    assert result.facts["task"]["spans"]
    assert result.facts["network"]["span_token_f1"] is None
    assert "| not measured |" in next(row for row in result.report.read_text().splitlines() if row.startswith("| this network"))
    shown = Console(width=300, file=StringIO())
    shown.print(console_table(result.facts))
    assert "not measured" in cast(StringIO, shown.file).getvalue()


def test_the_report_says_how_splits_were_made_and_is_a_table(single: BenchmarkResult) -> None:
    report = single.report.read_text(encoding="utf-8")
    assert "There was no test split: 20 texts were cut from training, stratified, seed 13." in report
    rows = [row for row in report.splitlines() if row.startswith("| ")]
    assert any(row.startswith("| TF-IDF + logistic regression |") for row in rows)
    assert any(row.startswith("| this network |") and " ± " in row for row in rows)
    assert "\n\n|---" not in report, "a table must not be torn apart"


def test_predictions_hold_ids_and_texts_only_where_asked_for(single: BenchmarkResult, multi: BenchmarkResult) -> None:
    def rows(result: BenchmarkResult) -> list[dict[str, Any]]:
        path = result.report.with_name("predictions-1.jsonl")
        return [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()]

    assert len(rows(single)) == single.facts["data"]["texts"]["test"]
    assert not any("text" in row for row in rows(single))
    assert all("text" in row for row in rows(multi))
    right = sum(row["predicted"] == row["labels"] for row in rows(single)) / len(rows(single))
    assert right == pytest.approx(single.facts["seeds"][0]["accuracy"])


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_the_saved_network_gives_the_same_labels(kind: str, request: pytest.FixtureRequest, settings: ModelSettings) -> None:
    result: BenchmarkResult = request.getfixturevalue(kind)
    draws = Random(7)
    texts = [line(draws, ["food"])["text"] for _ in range(20)]
    saved = SavedNetwork.open(result.report.with_name("network-1"), settings.cache_dir)
    found = saved.labels(texts)
    assert sum("food" in labels for labels in found) >= 14
    assert saved.probabilities(texts).shape == (20, 3)
    if kind == "single":
        assert all(len(labels) == 1 for labels in found)


@pytest.mark.usefixtures("multi")
def test_mlflow_has_the_figures_and_a_run_a_seed(single: BenchmarkResult, settings: ModelSettings) -> None:
    client = MlflowClient(settings.mlflow_tracking_uri)
    experiment = client.get_experiment_by_name("signaal-bench")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    figures = runs["topics"].data.metrics
    assert figures["test/macro_f1"] == pytest.approx(single.facts["network"]["macro_f1"])
    assert "test/label/food/f1" in figures
    assert "baseline/tfidf_logistic_regression/accuracy" in figures
    assert runs["seed 2"].data.tags["mlflow.parentRunId"]
    assert len(client.get_metric_history(runs["seed 2"].info.run_id, "validation/score")) >= 1
    artifacts = {Path(item.path).name for item in client.list_artifacts(runs["topics"].info.run_id, "report")}
    assert artifacts == {"report.md", "report.json", "predictions-1.jsonl", "predictions-2.jsonl"}
    of_texts = {Path(item.path).name for item in client.list_artifacts(runs["things"].info.run_id, "report")}
    assert of_texts == {"report.md", "report.json"}, "texts stay where they are"


def test_data_of_one_name_keep_a_folder_each_and_an_mlflow_that_fails_loses_nothing(
    model_settings: ModelSettings, tmp_path: Path
) -> None:
    nowhere = model_settings.model_copy(update={"mlflow_tracking_uri": "sqlite:////dev/null/mlflow.db"})
    for number in (1, 2):
        draws = Random(number)
        (tmp_path / str(number)).mkdir()
        data = written(tmp_path / str(number) / "topics.jsonl", [line(draws, [draws.choice(list(SIGNS))]) for _ in range(60)])
        with pytest.raises(TrainingError, match=r"The report is written \(.*report.md\), but MLflow does not take it"):
            run_benchmark(data, BenchmarkSettings(output=tmp_path / "out", layers=1, epochs=1), nowhere)
    folders = sorted((tmp_path / "out").iterdir())
    assert len(folders) == 2, "and nothing unfinished"
    for folder in folders:
        facts = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        assert folder.name == f"topics-{facts['data']['digest'][:8]}"
        assert {path.name for path in folder.iterdir()} == {"report.json", "report.md", "network-1", "predictions-1.jsonl"}
        assert len(facts["seeds"][0]["curve"]) == 1


def test_published_figures_stand_below_ours_with_their_source(single: BenchmarkResult) -> None:
    rows = [row for row in single.report.read_text(encoding="utf-8").splitlines() if row.startswith("| ")]
    place = next(number for number, row in enumerate(rows) if row.startswith("| this network |"))
    assert rows[place + 1] == "| published: Nobody 2020 [table 3] | 93.4 | 91.0 | – | – | "
    assert single.facts["published"] == {"source": "Nobody 2020 [table 3]", "accuracy": 0.934, "macro_f1": 0.91}
    shown = Console(width=300, file=StringIO())
    shown.print(console_table(single.facts))
    assert "published: Nobody 2020 [table 3]" in cast(StringIO, shown.file).getvalue()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"source": "x", "accuracy": 93.4}, "accuracy: it should be less than or equal to 1; it is 93.4."),
        ({"accuracy": 0.9}, "source is missing."),
        ({"source": "x"}, ": give at least one of accuracy"),
        ({"source": "x", "f_macro": 0.9}, "there is no figure 'f_macro'. Did you mean 'macro_f1'?"),
    ],
)
def test_published_figures_that_cannot_be_are_refused_before_anything_is_trained(
    given: dict[str, Any], message: str, tmp_path: Path
) -> None:
    figures = tmp_path / "figures.json"
    figures.write_text(json.dumps(given))
    result = CliRunner().invoke(app, ["bench", str(tmp_path / "none.jsonl"), "--published", str(figures)])
    assert isinstance(result.exception, TrainingError)
    assert message in str(result.exception)


def test_a_wrong_option_and_a_missing_file_are_one_line_errors(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["bench", str(tmp_path / "none.jsonl")])
    assert isinstance(result.exception, TrainingError)
    assert "Cannot read the data" in str(result.exception)
    result = CliRunner().invoke(app, ["bench", str(tmp_path / "none.jsonl"), "--method", "magic"])
    assert isinstance(result.exception, TrainingError)
    assert str(result.exception).startswith("on the command line: method:")

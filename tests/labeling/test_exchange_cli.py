import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from labeling.annotation import Annotation
from labeling.cli import app
from labeling.errors import ExchangeError
from labeling.label_studio import NONE_PRESENT

ADS = [{"id": "ad-1", "text": "👍 You pay back the bus first.", "language": "en"}, {"id": "ad-2", "text": "Room to let."}]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["label-studio", *map(str, arguments)])


@pytest.fixture
def ads(tmp_path: Path) -> Path:
    path = tmp_path / "ads.jsonl"
    path.write_text("\n".join(map(json.dumps, ADS)), encoding="utf-8")
    return path


def test_files_to_label_studio_and_back(tmp_path: Path, ads: Path) -> None:
    said = tmp_path / "said.jsonl"
    annotation = Annotation(ad_id="ad-2", annotator="3", labels={"debt_or_fees": False})
    said.write_text(annotation.model_dump_json() + "\n", encoding="utf-8")
    tasks = tmp_path / "tasks.json"
    assert "2 tasks in" in run("to-tasks", ads, tasks, "--annotations", said).output
    result = run("from-tasks", tasks, tmp_path / "back.jsonl", tmp_path / "annotations.jsonl")
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["text"] for line in (tmp_path / "back.jsonl").open(encoding="utf-8")] == [ad["text"] for ad in ADS]
    assert Annotation.model_validate_json((tmp_path / "annotations.jsonl").read_text(encoding="utf-8")) == annotation


def test_what_has_a_problem_is_named_and_the_rest_is_written(tmp_path: Path) -> None:
    good = {"from_name": "labels", "value": {"choices": [NONE_PRESENT]}}
    tasks = [{"id": 1, "data": {"text": "a"}, "annotations": [{"result": [good]}]}, {"id": 2, "data": {}}]
    exported = tmp_path / "export.json"
    exported.write_text(json.dumps(tasks), encoding="utf-8")
    result = run("from-tasks", exported, tmp_path / "ads.jsonl", tmp_path / "annotations.jsonl")
    assert result.exit_code == 1
    assert 'task 2: its data has no "text"' in result.stderr
    assert "1 ads in" in result.stdout
    assert len((tmp_path / "annotations.jsonl").read_text(encoding="utf-8").splitlines()) == 1


def test_the_interface_is_printed_or_written_and_no_file_is_overwritten(tmp_path: Path) -> None:
    printed = run("config").stdout
    assert printed.startswith("<View>")
    path = tmp_path / "interface.xml"
    run("config", path)
    assert path.read_text(encoding="utf-8") == printed
    assert isinstance(run("config", path).exception, ExchangeError)
    assert "is there already" in str(run("config", path).exception)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"id": "x", "text": 3, "note": "secret words"}', "bad.jsonl:1: text: "),
        ("secret words", "bad.jsonl:1: Invalid JSON"),
        ('{"id": "ad-1", "text": "secret words"}\n{"id": ""}', "bad.jsonl:2: id: "),
    ],
)
def test_a_bad_line_is_named_and_not_quoted(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(content, encoding="utf-8")
    error = run("to-tasks", path, tmp_path / "tasks.json").exception
    assert problem in str(error)
    assert "secret" not in str(error)


def test_annotations_of_unknown_ads_and_missing_files_are_said(tmp_path: Path, ads: Path) -> None:
    said = tmp_path / "said.jsonl"
    said.write_text(Annotation(ad_id="ad-9", annotator="3").model_dump_json(), encoding="utf-8")
    assert "ad-9 for one" in str(run("to-tasks", ads, tmp_path / "tasks.json", "--annotations", said).exception)
    assert "Cannot read" in str(run("to-tasks", tmp_path / "none.jsonl", tmp_path / "tasks.json").exception)
    assert "Cannot read" in str(run("from-tasks", tmp_path / "none.json", tmp_path / "a", tmp_path / "b").exception)


def test_labelled_examples_keep_their_language_and_their_labels(tmp_path: Path) -> None:
    examples = tmp_path / "examples.jsonl"
    example = {
        "id": "ad-1",
        "text": "👍 You pay back the bus first.",
        "lang": "nl",
        "labels": ["debt_or_fees"],
        "spans": [{"start": 6, "end": 14, "label": "debt_or_fees"}],
        "document_type": "recruitment_post",
        "split": "train",
    }
    examples.write_text(json.dumps(example) + "\n", encoding="utf-8")
    run("to-tasks", examples, tmp_path / "tasks.json")
    (task,) = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    assert task["data"]["language"] == "nl"
    (final,) = task["annotations"]
    assert final["ground_truth"]
    said = {(r["from_name"], tuple(r["value"].get("choices", r["value"].get("labels")))) for r in final["result"]}
    assert said == {
        ("evidence", ("debt_or_fees",)),
        ("labels", ("debt_or_fees",)),
        ("document_type", ("recruitment_post",)),
    }
    example["labels"] = ["origin"]
    example["spans"] = []
    examples.write_text(json.dumps(example) + "\n", encoding="utf-8")
    assert "lacks origin" in str(run("to-tasks", examples, tmp_path / "other.json").exception)

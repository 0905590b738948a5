"""From lines of many hands to splits and a task."""

import json
from pathlib import Path

import pytest

from training.benchmark.records import BenchmarkExample, read_records
from training.benchmark.splitting import complete_splits
from training.benchmark.task import Task
from training.errors import TrainingError


def lines(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def example(text: str, *labels: str, **fields: object) -> BenchmarkExample:
    return BenchmarkExample.model_validate({"text": text, "labels": list(labels), **fields})


def test_lines_that_cannot_be_used_are_reported_by_number_without_their_text(tmp_path: Path) -> None:
    data = lines(
        tmp_path / "data.jsonl",
        {"text": "fine", "labels": ["a"]},
        '{"text": "secret words", "labels":',
        {"text": "secret words"},
        {"text": "   ", "labels": ["a"]},
        {"text": "secret words", "labels": ["a"], "spans": [{"start": 3, "end": 99, "label": "a"}]},
        "",
        {"text": "fine too", "labels": [], "id": "x"},
    )
    records = read_records(data)
    assert [(e.id, e.text) for e in records.examples] == [("1", "fine"), ("x", "fine too")]
    assert [bad.number for bad in records.bad] == [2, 3, 4, 5]
    assert not any("secret" in bad.reason for bad in records.bad)
    assert "span 3–99" in records.bad[3].reason


def test_other_spellings_of_labels_and_splits_are_understood(tmp_path: Path) -> None:
    data = lines(
        tmp_path / "data.jsonl",
        {"id": 7, "text": "x", "label": 3, "split": "dev", "lang": None},
        {"text": "y", "labels": "pos", "split": "val"},
    )
    first, second = read_records(data).examples
    assert (first.id, first.labels, first.split, first.lang) == ("7", ["3"], "validation", "und")
    assert (second.labels, second.split) == (["pos"], "validation")


def test_a_file_without_a_usable_line_is_an_error_that_says_what_a_line_is(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no line that can be used.*Line 1: labels: Field required"):
        read_records(lines(tmp_path / "data.jsonl", {"text": "x"}))
    with pytest.raises(TrainingError, match="Cannot read"):
        read_records(tmp_path / "missing.jsonl")


def test_missing_splits_are_cut_stratified_and_the_same_for_the_same_seed() -> None:
    examples = [example(f"text {i}", "rare" if i % 10 == 0 else "often", lang="nl" if i % 2 else "en") for i in range(1000)]
    made = complete_splits(examples, seed=1)
    assert {split: len(part) for split, part in made.splits.items()} == {"train": 810, "validation": 90, "test": 100}
    for part in (made.splits["validation"], made.splits["test"]):
        assert sum("rare" in e.labels for e in part) in range(8, 12)
        assert sum(e.lang == "nl" for e in part) in range(len(part) // 2 - 2, len(part) // 2 + 3)
    assert len(made.notes) == 2
    assert complete_splits(examples, seed=1).splits == made.splits != complete_splits(examples, seed=2).splits


def test_of_many_texts_a_twentieth_is_enough_for_validation() -> None:
    def made(texts: int) -> dict[str, int]:
        some = [example(f"text {i}", "a" if i % 2 else "b", split="test" if i < 10 else "train") for i in range(texts + 10)]
        return {split: len(part) for split, part in complete_splits(some, seed=1).splits.items()}

    assert made(5_000) == {"train": 4_500, "validation": 500, "test": 10}
    assert made(6_000) == {"train": 5_700, "validation": 300, "test": 10}
    assert made(60_000) == {"train": 58_000, "validation": 2_000, "test": 10}


def test_equal_texts_are_never_parted_and_the_rarest_stay_in_training() -> None:
    examples = [example(f"Text  {i // 2}" if i % 2 else f"text {i // 2}", "a") for i in range(400)]
    examples += [example("only one", "b"), example("and another", "b")]
    splits = complete_splits(examples, seed=3).splits
    places = {" ".join(e.text.lower().split()): split for split, part in splits.items() for e in part}
    assert all(places[" ".join(e.text.lower().split())] == split for split, part in splits.items() for e in part)
    assert sum("b" in e.labels for e in splits["train"]) == 2


def test_splits_that_are_there_are_kept_and_overlap_with_training_is_said() -> None:
    examples = [example(f"t{i}", "a" if i % 2 else "b", split="train") for i in range(50)]
    examples += [example("t3", "a", split="test"), example("new", "b", split="test"), example("no split", "b")]
    made = complete_splits(examples, seed=1)
    assert [e.text for e in made.splits["test"]] == ["t3", "new"]
    assert len(made.splits["validation"]) == 5
    assert any("1 of the 2 test texts" in note for note in made.notes)
    assert any("1 lines have no split" in note for note in made.notes)


def test_too_few_texts_to_cut_from_is_an_error() -> None:
    with pytest.raises(TrainingError, match="too few to cut one from"):
        complete_splits([example("a", "x"), example("b", "y")], seed=1)


def test_one_label_everywhere_means_single_and_the_user_can_overrule() -> None:
    single = [example("a", "x"), example("b", "y")]
    assert Task.of(single).single
    assert not Task.of(single, "multi").single
    several = [*single, example("c", "x", "y")]
    assert not Task.of(several).single
    with pytest.raises(TrainingError, match="1 texts do not have exactly one label"):
        Task.of(several, "single")
    with pytest.raises(TrainingError, match="nothing can be learnt"):
        Task.of([example("a", "x"), example("b", "x")])


def test_the_matrix_has_the_labels_columns() -> None:
    examples = [example("a", "y"), example("b", "x", "y"), example("c")]
    assert Task.of(examples).matrix(examples).tolist() == [[False, True], [True, True], [False, False]]

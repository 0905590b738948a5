"""From lines of many hands to splits and a task."""

import json
from pathlib import Path

import pytest

from training.benchmark.records import BenchmarkExample, read_records, refuse_what_would_not_compare
from training.benchmark.splitting import complete_splits
from training.benchmark.task import Task, without_odd_lines
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
        {"text": "secret words", "labels": ["a"], "split": "fold 3"},
        "",
        {"text": "fine too", "labels": [], "id": "x"},
        "[1, 2]",
    )
    records = read_records(data)
    assert [(e.id, e.text, e.line) for e in records.examples] == [("1", "fine", 1), ("x", "fine too", 7)]
    assert [(bad.number, bad.split) for bad in records.bad] == [(2, ""), (3, "train"), (4, "train"), (5, "fold 3"), (8, "")]
    assert not any("secret" in bad.reason for bad in records.bad)


def test_other_spellings_of_labels_and_splits_are_understood(tmp_path: Path) -> None:
    data = lines(
        tmp_path / "data.jsonl",
        {"id": 7, "text": "x", "label": 3, "split": "dev", "lang": None},
        {"text": "y", "labels": "pos", "split": "val"},
    )
    first, second = read_records(data).examples
    assert (first.id, first.labels, first.split, first.lang) == ("7", ["3"], "validation", "und")
    assert (second.labels, second.split) == (["pos"], "validation")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        *((name, "validation") for name in ("Validation", "Eval", "evaluation", "valid", "DEV")),
        *(("Train", "train"), (" TEST ", "test")),
        *((nothing, None) for nothing in ("", "  ", None, float("nan"))),
    ],
)
def test_splits_are_read_whatever_their_case_and_none_is_none(written: object, read: str | None, tmp_path: Path) -> None:
    records = read_records(lines(tmp_path / "data.jsonl", {"text": "x", "labels": ["a"], "split": written}))
    assert [e.split for e in records.examples] == [read]


def test_labels_may_be_numbers_as_pandas_writes_them_and_one_may_stand_alone(tmp_path: Path) -> None:
    given: list[object] = [[1.0, 2.0], 3.0, 4, "pos", [5, "neg"]]
    records = read_records(lines(tmp_path / "data.jsonl", *({"text": "x", "labels": labels} for labels in given)))
    assert [e.labels for e in records.examples] == [["1", "2"], ["3"], ["4"], ["pos"], ["5", "neg"]]


def test_a_byte_order_mark_costs_no_line(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text('{"text": "x", "labels": ["a"]}\n', encoding="utf-8-sig")
    records = read_records(data)
    assert (len(records.examples), records.bad) == (1, [])


def test_fields_of_others_are_ignored_whatever_they_are_called(tmp_path: Path) -> None:
    ours = {
        "scenario": 16,
        "document_type": ["x"],
        "shares": "half",
        "hard_negatives": ["a"],
        "line": "first",
        "id": ["no", "id"],
    }
    records = read_records(lines(tmp_path / "data.jsonl", {"text": "x", "labels": ["a"], "lang": 3, **ours}))
    (read,) = records.examples
    assert (read.id, read.lang, read.line, read.scenario, read.hard_negatives) == ("1", "3", 1, "", [])


def test_a_span_that_cannot_be_used_does_not_cost_its_line_and_is_counted(tmp_path: Path) -> None:
    good = {"start": 0, "end": 6, "label": 1}
    bad = [{"start": 0, "end": 6, "label": "b"}, {"start": 2, "end": 2, "label": 1}, {"start": 0, "end": 99, "label": 1}]
    broken = [{"start": -1, "end": 3, "label": 1}, {"start": 0, "end": 3}, "secret", None]
    data = lines(
        tmp_path / "data.jsonl",
        {"text": "secret words", "labels": [1.0], "spans": [*bad, good, *broken]},
        {"text": "secret words", "labels": ["a"], "spans": 0},
        {"text": "secret words", "labels": ["a"], "spans": None},
    )
    records = read_records(data)
    assert [[(span.start, span.end, span.label) for span in e.spans] for e in records.examples] == [[(0, 6, "1")], [], []]
    assert records.bad == []
    assert (records.bad_spans.spans, records.bad_spans.lines) == (8, 2)
    assert [bad.number for bad in records.bad_spans.first] == [1] * 7 + [2]
    assert "span 0–99" in records.bad_spans.first[2].reason
    assert not any("secret" in bad.reason for bad in records.bad_spans.first)


def rows(count: int, **fields: object) -> list[dict[str, object]]:
    return [{"text": f"text {i}", "labels": ["a"], **fields} for i in range(count)]


@pytest.mark.parametrize(
    ("unusable", "what"),
    [
        (rows(3, split="test", text=""), None),
        (rows(6, split="test", text=""), "6 of the 206 lines of the split 'test'"),
        (rows(6, text=""), None),
        (rows(70, text=""), "70 of the 670 lines"),
        (rows(1, split="Dev", labels=None), "1 of the 1 lines of the split 'validation'"),
        (rows(6, split="fold 3"), "6 of the 6 lines of the split 'fold 3'"),
        (["{"] * 70, "70 of the 670 lines"),
    ],
)
def test_a_few_unusable_lines_are_reported_and_more_than_would_still_compare_are_refused(
    unusable: list[object], what: str | None, tmp_path: Path
) -> None:
    data = lines(tmp_path / "data.jsonl", *rows(400, split="train"), *rows(200, split="test"), *unusable)
    records = read_records(data)
    assert len(records.bad) == len(unusable)
    if what is None:
        refuse_what_would_not_compare(records, data)
        return
    with pytest.raises(TrainingError, match=rf"{what} cannot be used.* Line 601: .*take them out of the file"):
        refuse_what_would_not_compare(records, data)


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
    with pytest.raises(TrainingError, match="There is no training text: all 2 texts"):
        complete_splits([example("a", "x", split="test"), example("b", "y", split="validation")], seed=1)


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


def test_a_few_lines_without_exactly_one_label_are_set_aside(caplog: pytest.LogCaptureFixture) -> None:
    plain = [example(f"t{i}", "a" if i % 2 else "b") for i in range(1000)]
    odd = [example("none").model_copy(update={"line": 7}), example("two", "a", "b").model_copy(update={"line": 9})]
    kept, bad = without_odd_lines([odd[0], *plain, odd[1]], "auto")
    assert kept == plain
    assert Task.of(kept).single
    assert [(line.number, line.split) for line in bad] == [(7, "train"), (9, "train")]
    assert "all but 2 of 1002 lines have exactly one label. These are not used: 7, 9." in caplog.text
    assert without_odd_lines([*plain, *odd], "multi") == ([*plain, *odd], [])


def test_many_lines_without_exactly_one_label_are_another_task() -> None:
    plain = [example(f"t{i}", "a" if i % 2 else "b") for i in range(100)]
    odd = [example("none"), example("two", "a", "b")]
    assert not Task.of(without_odd_lines([*plain, *odd], "auto")[0]).single, "2% are no slip"
    kept, bad = without_odd_lines([*plain, *odd], "single")
    assert (kept, len(bad)) == (plain, 2)
    with pytest.raises(TrainingError, match="6 texts do not have exactly one label"):
        Task.of(without_odd_lines([*plain, *(odd * 3)], "single")[0], "single")
    whole_split = [*(plain * 20), example("two", "a", "b", split="test")]
    assert without_odd_lines(whole_split, "auto") == (whole_split, []), "nothing of the test split would be left"


def test_the_matrix_has_the_labels_columns() -> None:
    examples = [example("a", "y"), example("b", "x", "y"), example("c")]
    assert Task.of(examples).matrix(examples).tolist() == [[False, True], [True, True], [False, False]]

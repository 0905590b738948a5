import json
from pathlib import Path

import pytest

from labeling.corpus_files import CorpusExample, corpus_paths, read_corpus, split_of
from labeling.errors import CorpusError

GOOD = {
    "id": "en-0001",
    "scenario": "farm",
    "document_type": "recruitment_post",
    "text": "Farm work. [[debt_or_fees|You owe us 900]].",
}


def corpus_file(folder: Path, *lines: object, name: str = "en.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def corpus() -> list[CorpusExample]:
    return read_corpus(corpus_paths())


def test_a_line_becomes_an_example_with_labels_from_its_markup(tmp_path: Path) -> None:
    (item,) = read_corpus([corpus_file(tmp_path, GOOD)])
    assert item.example.text == "Farm work. You owe us 900."
    assert item.example.labels == ["debt_or_fees"]
    assert item.example.lang == "en"
    assert item.example.split == split_of("farm")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "nl-0001"}, "id: nl-0001 is in the file of language 'en'"),
        ({"id": "x"}, "id: String should match"),
        ({"scenario": "A B"}, "scenario:"),
        ({"document_type": "ad"}, "document_type: 'ad' is none of"),
        ({"text": "[[debts|x]]"}, "'debts' is not a label"),
        ({"text": "[[debt_or_fees|x"}, "is not closed"),
        ({"text": ""}, "text:"),
        ({"extra": 1}, "extra:"),
        ({"hard_negative_for": ["nope"]}, "hard_negative_for: 'nope'"),
        ({"hard_negative_for": ["debt_or_fees"]}, "a hard negative at once"),
        ({"document_type": "prevention_or_news"}, "carries no label"),
    ],
)
def test_a_broken_line_is_reported_with_file_and_line(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = corpus_file(tmp_path, GOOD, {**GOOD, "id": "en-0002", **change})
    with pytest.raises(CorpusError) as error:
        read_corpus([path])
    assert any(problem.startswith(f"{path}:2: ") and message in problem for problem in error.value.problems)


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(CorpusError) as error:
        read_corpus([corpus_file(tmp_path, GOOD, GOOD, "{not json", "[]")])
    assert [problem.split(": ")[0].rsplit(":", 1)[1] for problem in error.value.problems] == ["2", "3", "4"]


def test_a_scenario_is_in_one_split_only(corpus: list[CorpusExample]) -> None:
    splits: dict[str, set[str | None]] = {}
    for item in corpus:
        splits.setdefault(item.example.scenario, set()).add(item.example.split)
    assert all(len(found) == 1 for found in splits.values())


def test_a_split_never_moves() -> None:
    assert [split_of(s) for s in ("farm", "asparagus-bus", "nail-studio", "lorry")] == ["validation", "train", "train", "test"]


def test_every_label_of_the_corpus_has_evidence_and_spans_are_clean(corpus: list[CorpusExample]) -> None:
    for item in corpus:
        example = item.example
        assert set(example.labels) == {span.label for span in example.spans}
        for span in example.spans:
            words = example.text[span.start : span.end]
            assert words == words.strip()


def test_zero_shot_languages_are_only_ever_tested_on(tmp_path: Path) -> None:
    lines = [{**GOOD, "id": f"uk-{n:04}", "scenario": f"s-{n}"} for n in range(20)]
    read = read_corpus([corpus_file(tmp_path, *lines, name="uk.jsonl")])
    assert {item.example.split for item in read} == {"test"}

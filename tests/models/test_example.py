from pathlib import Path

import pytest

from models.errors import ExampleError
from models.example import LabelledExample, Span, read_examples, write_examples


def test_examples_survive_the_file(tmp_path: Path) -> None:
    example = LabelledExample(
        id="a", text="🙂 owe 900", lang="en", labels=["debt"], spans=[Span(start=2, end=9, label="debt")], split="train"
    )
    assert write_examples([example], tmp_path / "sub" / "e.jsonl") == 1
    assert list(read_examples(tmp_path / "sub" / "e.jsonl")) == [example]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "x"}', "labels"),
        ('{"text": "", "labels": []}', "text"),
        ('{"text": "x", "labels": ["a"], "spans": [{"start": 0, "end": 9, "label": "a"}]}', "does not fit"),
        ('{"text": "x", "labels": [], "spans": [{"start": 0, "end": 1, "label": "a"}]}', "the example has not"),
        ('{"text": "x", "labels": [], "split": "dev"}', "split"),
        ("{", "JSON"),
    ],
)
def test_a_broken_line_is_refused_with_its_number(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text('{"text": "fine", "labels": []}\n\n' + line)
    with pytest.raises(ExampleError, match=f"e.jsonl:3: .*{message}"):
        list(read_examples(path))


def test_a_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ExampleError, match=r"Cannot read the examples .*none\.jsonl"):
        list(read_examples(tmp_path / "none.jsonl"))


def test_a_file_in_another_encoding_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "latin.jsonl"
    path.write_bytes('{"text": "é", "labels": []}'.encode("latin-1"))
    with pytest.raises(ExampleError, match=r"latin\.jsonl is not UTF-8"):
        list(read_examples(path))

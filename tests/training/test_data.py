from pathlib import Path

import pytest

from models.example import LabelledExample, write_examples
from models.taxonomy import packaged_taxonomy
from training.data import load_data
from training.errors import TrainingError

TAXONOMY = packaged_taxonomy()


def example(**fields: object) -> LabelledExample:
    return LabelledExample(**{"text": "Pickers wanted.", "labels": [], "split": "train", **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([example(split=None)], "has no split"),
        ([example(labels=["nope"])], "lacks: nope"),
        ([example(document_type="nope")], "unknown document type"),
        ([example(scenario="a"), example(scenario="a", split="test")], "is in two splits"),
        ([example()], "no example in the split validation and test"),
    ],
)
def test_data_that_cannot_be_used_is_refused(tmp_path: Path, examples: list[LabelledExample], message: str) -> None:
    write_examples(examples, tmp_path / "d.jsonl")
    with pytest.raises(TrainingError, match=message):
        load_data(tmp_path / "d.jsonl", TAXONOMY)


def test_the_digest_follows_the_content_and_the_description_stands_beside(tmp_path: Path) -> None:
    def loaded(name: str, text: str) -> tuple[str, str]:
        examples = [example(text=text, split=split, lang="nl") for split in ("train", "validation", "test")]
        write_examples(examples, tmp_path / f"{name}.jsonl")
        data = load_data(tmp_path / f"{name}.jsonl", TAXONOMY)
        assert data.counts == {"train": 1, "validation": 1, "test": 1}
        assert data.languages == {"nl"}
        return data.digest, data.description

    (tmp_path / "b.md").write_text("Written by hand.\n")
    (a, nothing), (b, something), (c, _) = loaded("a", "one"), loaded("b", "one"), loaded("c", "two")
    assert a == b != c
    assert nothing.startswith("Nothing is written")
    assert something == "Written by hand."

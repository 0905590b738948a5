from pathlib import Path

import pytest
import torch

from models.example import LabelledExample, Span, write_examples
from models.network import FREE
from models.taxonomy import packaged_taxonomy
from models.windows import WindowMaker
from training.dataset import WindowCollator, build_dataset, data_digest, label_matrix, load_splits
from training.errors import TrainingError

TAXONOMY = packaged_taxonomy()
DEBT = TAXONOMY.label_ids.index("debt_or_fees")
PAPERS = TAXONOMY.label_ids.index("document_or_earnings_control")
TEXT = "🙂 Pickers: the bus costs 900 and comes off your pay."


def example(**fields: object) -> LabelledExample:
    return LabelledExample(**{"text": TEXT, "labels": [], "split": "train", **fields})  # type: ignore[arg-type]


def marked(text: str, words: str, label: str = "debt_or_fees") -> Span:
    start = text.index(words)
    return Span(start=start, end=start + len(words), label=label)


@pytest.fixture(scope="module")
def maker(base_folder: Path) -> WindowMaker:
    return WindowMaker(base_folder / "tokenizer.json")


def test_a_span_becomes_the_tokens_that_it_covers(maker: WindowMaker) -> None:
    one = example(labels=["debt_or_fees"], spans=[marked(TEXT, "comes off your pay")], document_type="recruitment_post")
    batch = WindowCollator(maker.pad_id)(list(build_dataset([one], TAXONOMY, maker)))
    (window,) = maker.windows([TEXT])
    targets = batch["evidence_targets"][0, :, DEBT]
    covered = [TEXT[s:e] for s, e, target in zip(window.starts, window.ends, targets, strict=True) if target == 1]
    assert " ".join(covered) == "comes off your pay"
    assert batch["labels"][0, DEBT] == 1
    assert batch["labels"].sum() == 1
    assert batch["document_types"].tolist() == [1]


def test_a_label_without_a_span_is_left_free_and_padding_is_never_supervised(maker: WindowMaker) -> None:
    rows = list(build_dataset([example(labels=["debt_or_fees"]), example(text="short", labels=[])], TAXONOMY, maker))
    batch = WindowCollator(maker.pad_id)(rows)
    assert torch.all(batch["evidence_targets"][0, :, DEBT] == FREE)
    assert torch.all(batch["evidence_targets"][0, 1:-1, PAPERS] == 0)
    length = int(batch["attention_mask"][1].sum())
    assert torch.all(batch["evidence_targets"][1, length - 1 :] == FREE)


def test_in_a_long_text_a_label_belongs_to_the_window_of_its_span(maker: WindowMaker) -> None:
    text = "Plain words about the farm and the weather. " * 60 + "You owe us 900."
    one = example(text=text, labels=["debt_or_fees"], spans=[marked(text, "You owe us 900")])
    rows = list(build_dataset([one], TAXONOMY, maker))
    assert len(rows) > 1
    assert [row["labels"][DEBT] for row in rows] == [0.0] * (len(rows) - 1) + [1.0]


def test_label_matrix_follows_the_taxonomy() -> None:
    assert label_matrix([example(labels=["debt_or_fees"])], TAXONOMY.label_ids)[0, DEBT] == 1


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
        load_splits(tmp_path / "d.jsonl", TAXONOMY)


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    write_examples([example()], tmp_path / "a.jsonl")
    write_examples([example()], tmp_path / "b.jsonl")
    write_examples([example(text="other")], tmp_path / "c.jsonl")
    a, b, c = (data_digest(tmp_path / f"{name}.jsonl") for name in "abc")
    assert a == b != c

from pathlib import Path

import pytest
import torch

from models.example import LabelledExample, Span
from models.losses import FREE
from models.taxonomy import packaged_taxonomy
from models.windows import WindowMaker
from training.dataset import TrainingTexts, WindowCollator, build_dataset, label_matrix
from training.sampler import Draw

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


def test_texts_of_one_scenario_have_one_number_and_others_none(maker: WindowMaker) -> None:
    examples = [example(scenario="bus"), example(scenario="bus", text="other"), example(scenario="boat"), example()]
    numbers = WindowCollator(maker.pad_id)(list(build_dataset(examples, TAXONOMY, maker)))["scenarios"].tolist()
    assert numbers[0] == numbers[1] != numbers[2]
    assert numbers[3] == -1


def test_label_matrix_follows_the_taxonomy() -> None:
    assert label_matrix([example(labels=["debt_or_fees"])], TAXONOMY.label_ids)[0, DEBT] == 1


def test_training_texts_are_drawn_anew_each_time_and_their_labels_stay(maker: WindowMaker) -> None:
    one = example(labels=["debt_or_fees"], spans=[marked(TEXT, "comes off your pay")], lang="en")
    data = TrainingTexts([one], TAXONOMY, maker, augment_share=1.0, seed=1)
    draws = [Draw(0, epoch, copy) for epoch in range(6) for copy in range(2)]
    drawn = [data[draw]["windows"] for draw in draws]
    assert drawn == [data[draw]["windows"] for draw in draws], "a run that goes on draws what it would have drawn"
    assert len({tuple(row["input_ids"]) for rows in drawn for row in rows}) > 3
    for rows in drawn:
        assert [row["labels"][DEBT] for row in rows] == [1.0]
        assert WindowCollator(maker.pad_id)([{"windows": rows}])["evidence_targets"][0, :, DEBT].max() == 1


def test_a_mixed_text_is_as_long_as_the_order_is_told_and_joins_its_own_language(maker: WindowMaker) -> None:
    examples = [
        example(id="a", lang="nl", text="Plukkers gezocht."),
        example(id="b", lang="nl", labels=["debt_or_fees"], text="De bus gaat van je loon af."),
        example(id="c", lang="en"),
        example(id="d", lang="en", text="Police: do not pay for a job.", document_type="prevention_or_news"),
        example(id="e", lang="en", text="Shared judgement.", shares={"debt_or_fees": 0.5}),
    ]
    texts = TrainingTexts(examples, TAXONOMY, maker, augment_share=0, mix_share=1, seed=1)
    for draw in (Draw(index, epoch) for index in range(5) for epoch in range(5)):
        (window,) = texts[draw]["windows"]
        alone = len(examples[draw.index].text)
        assert (texts.length_of(draw) > alone) == (draw.index < 3), "a warning and shared judgements stay alone"
        if draw.index > 1:
            assert window["labels"][DEBT] == (0.5 if draw.index == 4 else 0), "Dutch and English are never joined"
    assert {texts[Draw(0, epoch)]["windows"][0]["labels"][DEBT] for epoch in range(9)} == {0.0, 1.0}


def test_a_remixed_text_is_as_long_as_the_order_is_told_and_nothing_is_known_of_its_labels(maker: WindowMaker) -> None:
    examples = [
        example(id="a", lang="en", labels=["debt_or_fees"], document_type="recruitment_post", scenario="bus"),
        example(id="b", lang="en", text="The bus is free. Ask for Jo. You keep your pass."),
        example(id="c", lang="nl", text="Plukkers gezocht. Bel gerust. Woning aanwezig."),
    ]
    texts = TrainingTexts(examples, TAXONOMY, maker, augment_share=0, remix_share=0.5, seed=1)
    draws = [Draw(index, epoch) for index in range(3) for epoch in range(12)]
    drawn = [texts[draw]["windows"][0] for draw in draws]
    whole = [maker.windows([example.text])[0].ids for example in examples]
    assert {row["labelled"] for row in drawn} == {True, False}
    assert len({tuple(row["input_ids"]) for row in drawn}) > 6
    batch = WindowCollator(maker.pad_id)(drawn)
    for place, (draw, row) in enumerate(zip(draws, drawn, strict=True)):
        assert row["input_ids"] == whole[draw.index] or not row["labelled"]
        if not row["labelled"]:
            assert batch["label_weights"][place].max() == 0
            assert bool((batch["evidence_targets"][place] == FREE).all())
            assert (int(batch["document_types"][place]), int(batch["scenarios"][place])) == (-100, -1)
        elif draw.index == 0:
            assert batch["label_weights"][place].min() == 1
            assert int(batch["document_types"][place]) == TAXONOMY.document_type_ids.index("recruitment_post")
    (length,) = {texts.length_of(draw) for draw, row in zip(draws, drawn, strict=True) if draw.index == 2 and row["labelled"]}
    assert length == len(examples[2].text)

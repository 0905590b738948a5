"""Examples that say how many annotators saw a label: the loss aims at the share, the figures stay on the labels."""

from pathlib import Path
from random import Random

import pytest
import torch
from pydantic import ValidationError

from models.example import LabelledExample, Span, read_examples, write_examples
from models.losses import FREE
from models.network import SignaalConfig, new_model
from models.taxonomy import packaged_taxonomy
from models.windows import WindowMaker
from training.augmentation import rewrite
from training.data import load_data
from training.dataset import WindowCollator, build_dataset, label_matrix, rows_of
from training.errors import TrainingError

TAXONOMY = packaged_taxonomy()
DEBT = TAXONOMY.label_ids.index("debt_or_fees")
LURE = TAXONOMY.label_ids.index("coercion_grooming")
TEXT = "Pickers: the bus costs 900 and comes off your pay. Call 06 00 00 00 00."
SPAN = Span(start=27, end=49, label="debt_or_fees")


def example(**fields: object) -> LabelledExample:
    return LabelledExample(**{"text": TEXT, "labels": ["debt_or_fees"], "spans": [SPAN], "split": "train", **fields})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def maker(base_folder: Path) -> WindowMaker:
    return WindowMaker(base_folder / "tokenizer.json")


def test_a_file_keeps_shares_and_an_example_without_them_is_written_as_before(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    write_examples([example(shares={"debt_or_fees": 0.67}), example()], path)
    first, second = read_examples(path)
    assert (first.shares, second.shares) == ({"debt_or_fees": 0.67}, None)
    assert "shares" not in path.read_text(encoding="utf-8").splitlines()[1]


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_is_between_0_and_1(share: float) -> None:
    with pytest.raises(ValidationError):
        example(shares={"debt_or_fees": share})


def test_a_share_of_an_unknown_label_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    write_examples([example(shares={"no_such_label": 0.5})], path)
    with pytest.raises(TrainingError, match="no_such_label"):
        load_data(path, TAXONOMY)


def test_the_target_is_the_share_and_a_minority_label_is_left_free(maker: WindowMaker) -> None:
    one = example(shares={"debt_or_fees": 0.75, "coercion_grooming": 0.25, "minor_age_cue": 0.0})
    batch = WindowCollator(maker.pad_id)(rows_of([one], TAXONOMY, maker))
    assert batch["labels"][0, DEBT] == 0.75
    assert batch["labels"][0, LURE] == 0.25
    assert batch["labels"].sum() == 1.0
    assert (batch["evidence_targets"][0, :, LURE] == FREE).all()
    assert batch["evidence_targets"][0, :, DEBT].max() == 1


def test_a_share_weighs_between_an_absent_and_a_present_label(maker: WindowMaker) -> None:
    rows = rows_of([example(), example(shares={"debt_or_fees": 0.5}), example(labels=[], spans=[])], TAXONOMY, maker)
    weights = WindowCollator(maker.pad_id, [3.0] * 17)(rows)["label_weights"][:, DEBT]
    assert weights.tolist() == [3.0, 2.0, 1.0]


@pytest.mark.parametrize(("share", "weight"), [(None, 5.0), (0.0, 5.0), (0.25, 1.5), (0.5, 2.0)])
def test_a_hard_negative_that_some_annotator_saw_weighs_as_its_share_does(
    maker: WindowMaker, share: float | None, weight: float
) -> None:
    shares = None if share is None else {"coercion_grooming": share}
    rows = rows_of([example(hard_negatives=["coercion_grooming"], shares=shares)], TAXONOMY, maker)
    weights = WindowCollator(maker.pad_id, [3.0] * 17, hard_negative_weight=5.0)(rows)["label_weights"]
    assert weights[0, LURE] == weight


def test_the_loss_is_least_at_the_share(maker: WindowMaker, base_folder: Path) -> None:
    config = SignaalConfig(labels=list(TAXONOMY.label_ids), document_types=list(TAXONOMY.document_type_ids), evidence_weight=0)
    torch.manual_seed(0)
    model = new_model(base_folder, config, layers=1).eval()
    collate = WindowCollator(maker.pad_id)
    hard, soft = (collate(rows_of([one], TAXONOMY, maker)) for one in (example(), example(shares={"debt_or_fees": 0.6})))

    def loss(batch: dict[str, torch.Tensor]) -> float:
        with torch.no_grad():
            return float(model(**{name: batch[name] for name in ("input_ids", "attention_mask", "labels")}).label_loss)

    with torch.no_grad():
        logit = model(input_ids=hard["input_ids"], attention_mask=hard["attention_mask"]).logits[0, DEBT]
    expected = 0.4 * float(logit) / len(TAXONOMY.label_ids)  # of a share s the loss is softplus(z) − s·z
    assert loss(soft) - loss(hard) == pytest.approx(expected, abs=1e-5)
    by_logit = {}
    for shift in (-3.0, 0.0, float(torch.logit(torch.tensor(0.6))), 3.0):
        with torch.no_grad():
            model.attention.bias[DEBT] += shift - logit
        by_logit[shift] = loss(soft)
        with torch.no_grad():
            model.attention.bias[DEBT] -= shift - logit
    assert min(by_logit, key=lambda shift: by_logit[shift]) == pytest.approx(0.405, abs=1e-2)


def test_figures_are_taken_on_hard_labels(maker: WindowMaker) -> None:
    one = example(shares={"debt_or_fees": 0.6, "coercion_grooming": 0.4})
    assert build_dataset([one], TAXONOMY, maker)[0]["labels"][DEBT] == 1.0
    assert sum(build_dataset([one], TAXONOMY, maker)[0]["labels"]) == 1.0
    assert label_matrix([one], TAXONOMY.label_ids).sum() == 1.0


def test_a_label_that_augmentation_adds_has_no_share() -> None:
    one = example(shares={"obfuscated_contact": 0.0, "debt_or_fees": 0.8}, lang="en")
    disguised = rewrite(one, "disguise_numbers", Random(1))
    assert "obfuscated_contact" in disguised.labels
    assert disguised.shares == {"debt_or_fees": 0.8}

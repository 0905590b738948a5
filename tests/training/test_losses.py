"""Runs with other losses: what a step sees, what training does with it, and that validation stays as it is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from models.example import LabelledExample, Span
from models.settings import ModelSettings
from models.taxonomy import packaged_taxonomy
from models.windows import WindowMaker
from tests.training.small_data import write_small_data
from training.data import TrainingData, load_data
from training.dataset import TrainingTexts, WindowCollator, build_dataset
from training.sampler import Draw
from training.settings import Dimension, SearchSettings, TrainingSettings
from training.trainer import fine_tune, of_training

TAXONOMY = packaged_taxonomy()
DEBT = TAXONOMY.label_ids.index("debt_or_fees")
HIDDEN = TAXONOMY.label_ids.index("obfuscated_contact")
OWED = "The bus costs 900, it comes off your pay."
LONG = "Plain words about the farm and the weather. " * 50 + OWED
CONSISTENT = {"consistency_weight": 1.0}


@pytest.fixture(scope="module")
def maker(base_folder: Path) -> WindowMaker:
    return WindowMaker(base_folder / "tokenizer.json")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return load_data(write_small_data(tmp_path_factory.mktemp("losses") / "data.jsonl", texts=16, held_out=8), TAXONOMY)


def owing(text: str, **fields: Any) -> LabelledExample:
    at = text.index(OWED)
    span = Span(start=at, end=at + len(OWED), label="debt_or_fees")
    return LabelledExample(text=text, labels=["debt_or_fees"], spans=[span], split="train", lang="en", **fields)


def texts(examples: list[LabelledExample], maker: WindowMaker, *, twice: bool = True, **how: Any) -> TrainingTexts:
    return TrainingTexts(examples, TAXONOMY, maker, twice=twice, seed=1, **{"augment_share": 1.0, **how})


class Curve(TrainerCallback):
    """What the run logs."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.validation: list[float] = []

    def on_log(self, *arguments: Any, logs: dict[str, float], **more: Any) -> None:
        self.losses += [logs["loss"]] if "loss" in logs else []
        self.validation += [logs["eval_loss"]] if "eval_loss" in logs else []


def trained(data: TrainingData, folder: Path, model_settings: ModelSettings, **changes: Any) -> tuple[Any, Curve]:
    curve = Curve()
    settings = TrainingSettings(layers=1, **changes)
    return fine_tune(data.splits, TAXONOMY, settings, model_settings, folder=folder, callbacks=[curve]), curve


def test_the_first_reading_is_the_one_there_was_and_the_second_another_rewriting_of_the_same_text(maker: WindowMaker) -> None:
    examples = [owing(OWED, scenario="bus"), owing(f"Call now. {OWED}"), owing(f"Pickers. {OWED}")]
    once, twice = (texts(examples, maker, twice=twice, mix_share=0.5) for twice in (False, True))
    draws = [Draw(index, epoch) for index in range(3) for epoch in range(5)]
    assert [once[draw] for draw in draws] == [{"windows": twice[draw]["windows"]} for draw in draws]
    assert [twice[draw] for draw in draws] == [twice[draw] for draw in draws], "a run that goes on draws what it would have drawn"
    differ = sum(twice[draw]["windows"][0]["input_ids"] != twice[draw]["again"][0]["input_ids"] for draw in draws)
    assert differ > 10
    for draw in draws:
        first, second = (twice[draw][reading][0] for reading in ("windows", "again"))
        assert (first["scenario"], first["labels"][DEBT]) == (second["scenario"], second["labels"][DEBT])
    plain = texts(examples, maker, augment_share=0, mix_share=1)
    assert all(plain[draw]["windows"] == plain[draw]["again"] for draw in draws), "what is mixed, is mixed for both"


def test_a_batch_knows_which_window_is_of_which_reading_of_which_text(maker: WindowMaker) -> None:
    examples = [owing(OWED), owing(LONG), owing(f"Pickers. {OWED}")]
    drawn = [texts(examples, maker)[Draw(index, 3)] for index in range(3)]
    batch = WindowCollator(maker.pad_id)(drawn)
    expected: list[int] = []
    for view, windows in enumerate(row[reading] for row in drawn for reading in ("windows", "again")):
        for window in windows:
            place = len(expected)
            assert batch["input_ids"][place, : len(window["input_ids"])].tolist() == window["input_ids"]
            expected.append(view)
    assert batch["views"].tolist() == expected
    assert len(expected) > 6, "the long text has several windows"
    assert all(len(value) == len(expected) for value in batch.values())


def test_a_batch_of_texts_that_are_read_once_is_what_it_was(maker: WindowMaker) -> None:
    collate = WindowCollator(maker.pad_id)
    assert "views" not in collate([texts([owing(OWED)], maker, twice=False)[Draw(0)]])
    assert "views" not in collate(list(build_dataset([owing(OWED)], TAXONOMY, maker)))


def test_a_number_that_one_reading_disguises_is_a_label_of_that_reading(maker: WindowMaker) -> None:
    numbered = LabelledExample(text="Pickers wanted, call 06 12 34 56 78 today.", labels=[], split="train", lang="en")
    drawn = [texts([numbered], maker)[Draw(0, epoch)] for epoch in range(40)]
    pairs = {(row["windows"][0]["labels"][HIDDEN], row["again"][0]["labels"][HIDDEN]) for row in drawn}
    assert pairs >= {(0.0, 0.0), (0.0, 1.0), (1.0, 0.0)}


@pytest.mark.parametrize("how", [{"loss": "focal"}, {"loss": "asymmetric", "label_smoothing": 0.1}, CONSISTENT])
def test_a_run_of_a_few_steps_learns_with_each(
    how: dict[str, Any], data: TrainingData, model_settings: ModelSettings, tmp_path: Path
) -> None:
    of_labels_alone = {"evidence_weight": 0, "contrast_weight": 0, "document_type_weight": 0}
    model, curve = trained(data, tmp_path, model_settings, batch_size=4, **of_labels_alone, **how)
    assert len(curve.losses) == 2, "after ten steps and after twenty"
    assert curve.losses[1] < curve.losses[0]
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_the_loss_on_the_validation_split_is_the_same_whatever_training_aims_at(
    data: TrainingData, model_settings: ModelSettings, tmp_path: Path
) -> None:
    still = {"encoder_lr": 1e-12, "head_lr": 1e-12, "epochs": 1, "seed": 3}
    everything = {"loss": "focal", "label_smoothing": 0.2, **CONSISTENT}
    (plain,), (other,) = (trained(data, tmp_path, model_settings, **still, **how)[1].validation for how in ({}, everything))
    assert plain == pytest.approx(other, rel=1e-6)


def test_a_student_has_the_chosen_label_loss_but_reads_no_text_twice() -> None:
    settings = TrainingSettings(method="distil", start_from="released", loss="focal", focal_gamma=1, consistency_weight=2)
    assert of_training(settings)["label_loss"] == {"kind": "focal", "gamma": 1}
    assert of_training(settings)["consistency_weight"] == 0
    assert "consistency_weight" in settings.unused


def test_options_of_a_loss_that_is_not_chosen_are_ignored() -> None:
    plain = TrainingSettings(asymmetric_margin=0.1)
    assert of_training(plain)["label_loss"] is None
    assert plain.unused >= {"focal_gamma", "asymmetric_gamma_negative", "asymmetric_gamma_positive", "asymmetric_margin"}
    chosen = plain.changed(loss="asymmetric")
    expected = {"kind": "asymmetric", "gamma_negative": 4, "gamma_positive": 0, "margin": 0.1}
    assert of_training(chosen)["label_loss"] == expected
    assert chosen.unused == {"search", "distillation", "focal_gamma"}


def test_losses_can_be_searched() -> None:
    space = {
        "loss": Dimension(choices=("cross_entropy", "focal", "asymmetric")),
        "focal_gamma": Dimension(low=1, high=3),
        "label_smoothing": Dimension(low=0, high=0.2),
        "consistency_weight": Dimension(low=0, high=2),
    }
    assert TrainingSettings(search=SearchSettings(space=space)).search.space == space

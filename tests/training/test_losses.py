"""Runs with other losses: what a step sees, what training does with it, and that validation stays as it is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import EvalPrediction, TrainerCallback

from models.example import LabelledExample, Span
from models.network import SignaalModel, SignaalOutput
from models.settings import ModelSettings
from models.taxonomy import packaged_taxonomy
from models.windows import WindowMaker
from tests.training.small_data import write_small_data
from tests.training.test_run import call
from training.data import TrainingData, load_data
from training.dataset import TrainingTexts, WindowCollator, build_dataset
from training.errors import TrainingError
from training.ignored import check_search_space, ignored, say_what_is_ignored
from training.sampler import Draw
from training.search import search
from training.settings import Dimension, SearchSettings, TrainingSettings
from training.trainer import _validation_metrics, fine_tune, of_training

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
    """What the run logs, and the consistency loss of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.validation: list[float] = []
        self.label_loss: list[float] = []
        self.consistency: list[float | None] = []

    def on_train_begin(self, *arguments: Any, model: SignaalModel, **more: Any) -> None:
        def remember(network: SignaalModel, _: Any, out: SignaalOutput) -> None:
            if network.training:
                self.consistency.append(None if out.consistency_loss is None else out.consistency_loss.item())

        model.register_forward_hook(remember)

    def on_log(self, *arguments: Any, logs: dict[str, float], **more: Any) -> None:
        self.losses += [logs["loss"]] if "loss" in logs else []
        self.validation += [logs["eval_loss"]] if "eval_loss" in logs else []
        self.label_loss += [logs["eval_label_loss"]] if "eval_label_loss" in logs else []


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
    assert len(curve.consistency) == 20
    if how == CONSISTENT:
        assert all(loss is not None and loss > 0 for loss in curve.consistency), "two readings, which dropout makes differ"
    else:
        assert set(curve.consistency) == {None}


def test_the_loss_on_the_validation_split_is_the_same_whatever_training_aims_at(
    data: TrainingData, model_settings: ModelSettings, tmp_path: Path
) -> None:
    still = {"encoder_lr": 1e-12, "head_lr": 1e-12, "epochs": 1, "seed": 3}
    everything = {"loss": "focal", "label_smoothing": 0.2, **CONSISTENT}
    plain, other = (trained(data, tmp_path, model_settings, **still, **how)[1] for how in ({}, everything))
    assert plain.validation == pytest.approx(other.validation, rel=1e-6)
    assert plain.label_loss == pytest.approx(other.label_loss, rel=1e-6)


def test_the_label_loss_on_the_validation_split_knows_no_weights_of_a_run() -> None:
    logits, labels = np.array([[2.0, -1.0, 900.0], [0.5, 3.0, -900.0]]), np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    figures = _validation_metrics(2)(EvalPrediction(predictions=logits, label_ids=labels))
    expected = binary_cross_entropy_with_logits(torch.tensor(logits), torch.tensor(labels))
    assert figures["label_loss"] == pytest.approx(expected.item()), "of all labels, and finite however sure the network is"


def test_weights_of_a_run_change_its_validation_loss_and_not_its_label_loss(
    data: TrainingData, model_settings: ModelSettings, tmp_path: Path
) -> None:
    still = {"encoder_lr": 1e-12, "head_lr": 1e-12, "max_steps": 1, "seed": 3}
    weighed = {"max_label_weight": 10, "evidence_weight": 2, "document_type_weight": 0, "contrast_weight": 0}
    plain, other = (trained(data, tmp_path, model_settings, **still, **how)[1] for how in ({}, weighed))
    assert plain.validation != pytest.approx(other.validation, rel=0.05)
    assert plain.label_loss == pytest.approx(other.label_loss, rel=1e-6)


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


def test_a_run_says_which_of_the_settings_that_were_chosen_it_ignores(caplog: pytest.LogCaptureFixture) -> None:
    say_what_is_ignored(TrainingSettings(focal_gamma=3, asymmetric_margin=0.05))
    assert caplog.messages == ["Ignored, with loss cross_entropy and method lora: focal_gamma."]
    student = TrainingSettings(method="distil", start_from="released", consistency_weight=1, distillation={"remix_share": 0.2})  # type: ignore[arg-type]
    assert ignored(student) == ["consistency_weight"]
    assert ignored(TrainingSettings(loss="focal", focal_gamma=3)) == ignored(TrainingSettings()) == []


def test_a_run_says_so_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    assert call(monkeypatch, "run", "--data", str(tmp_path / "none.jsonl"), "--set", "focal_gamma=3") == 2
    assert "Ignored, with loss cross_entropy and method lora: focal_gamma." in caplog.messages


def searching(space: dict[str, Dimension], **changes: Any) -> TrainingSettings:
    return TrainingSettings(search=SearchSettings(space=space), **changes)


def test_a_search_of_what_no_trial_would_use_is_refused(
    model_settings: ModelSettings, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    gamma = {"focal_gamma": Dimension(low=1, high=3)}
    with pytest.raises(TrainingError, match="nothing to try: no trial would use focal_gamma, with loss cross_entropy"):
        search(searching(gamma, output=tmp_path), model_settings)
    check_search_space(searching({**gamma, "head_lr": Dimension(low=1e-4, high=1e-2)}))
    assert caplog.messages == ["The search's space: no trial would use focal_gamma, with loss cross_entropy and method lora."]
    caplog.clear()
    check_search_space(searching(gamma, loss="focal"))
    check_search_space(searching({**gamma, "loss": Dimension(choices=("cross_entropy", "focal"))}))
    assert caplog.messages == []


def test_losses_can_be_searched() -> None:
    space = {
        "loss": Dimension(choices=("cross_entropy", "focal", "asymmetric")),
        "focal_gamma": Dimension(low=1, high=3),
        "label_smoothing": Dimension(low=0, high=0.2),
        "consistency_weight": Dimension(low=0, high=2),
    }
    assert TrainingSettings(search=SearchSettings(space=space)).search.space == space

"""A student's first weights, and how far it is from its teacher."""

from pathlib import Path

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession

from models.base import DEFAULT_BASE, sha256_of
from models.bundle import BaseReference
from models.network import SignaalConfig, SignaalModel, new_model
from models.onnx_export import export_onnx
from models.settings import ModelSettings
from models.taxonomy import packaged_taxonomy
from models.weights import load_weights, save_weights
from training.distillation.lesson import Lesson
from training.distillation.losses import distance, read, relative_error
from training.distillation.pruning import spared
from training.distillation.student import Shape, new_student, picked_layers, shape_of_student
from training.errors import TrainingError

TAXONOMY = packaged_taxonomy()
BATCH = {
    "input_ids": torch.tensor([[0, 100, 200, 300, 2], [0, 400, 500, 2, 1]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]),
}


@pytest.fixture(scope="module")
def teacher(base_folder: Path) -> SignaalModel:
    torch.manual_seed(1)
    config = SignaalConfig(labels=list(TAXONOMY.label_ids), document_types=list(TAXONOMY.document_type_ids))
    return new_model(base_folder, config, layers=3).eval()


def test_layers_are_picked_evenly_from_the_first_to_the_last() -> None:
    assert picked_layers(12, 4) == [0, 4, 7, 11]
    assert picked_layers(12, 6) == [0, 2, 4, 7, 9, 11]
    assert picked_layers(3, 3) == [0, 1, 2]
    assert picked_layers(12, 1) == [11]


def test_a_student_of_all_layers_reads_as_its_teacher_and_a_smaller_one_does_not(teacher: SignaalModel) -> None:
    mask = BATCH["attention_mask"]
    with torch.no_grad():
        same = distance(read(new_student(teacher, Shape(3, 1536, 12)).eval(), BATCH), read(teacher, BATCH), mask)
        smaller = distance(read(new_student(teacher, Shape(1, 1536, 12)).eval(), BATCH), read(teacher, BATCH, [2]), mask)
    assert same < 1e-8
    assert smaller > 0.1


def test_a_student_keeps_the_teachers_embeddings_and_the_layers_picked(teacher: SignaalModel) -> None:
    student = new_student(teacher, Shape(2, 1536, 12))
    assert student.encoder.config.num_hidden_layers == 2
    assert torch.equal(student.encoder.embeddings.word_embeddings.weight, teacher.encoder.embeddings.word_embeddings.weight)
    for place, layer in enumerate([0, 2]):
        kept = student.encoder.encoder.layer[place].output.dense.weight
        assert torch.equal(kept, teacher.encoder.encoder.layer[layer].output.dense.weight)
    trained = {name for name, p in student.named_parameters() if p.requires_grad}
    assert not any("embeddings" in name for name in trained)


def test_a_narrower_student_is_nearer_to_its_teacher_than_one_with_the_first_neurons_and_heads(teacher: SignaalModel) -> None:
    narrow = new_student(teacher, Shape(3, 768, 6), [BATCH]).eval()
    first = new_student(teacher, Shape(3, 768, 6), [BATCH]).eval()
    for layer, whole in zip(first.encoder.encoder.layer, teacher.encoder.encoder.layer, strict=True):
        wanted = layer.state_dict()
        layer.load_state_dict({n: t[tuple(slice(k) for k in wanted[n].shape)] for n, t in whole.state_dict().items()})
    assert narrow.encoder.encoder.layer[2].intermediate.dense.out_features == 768
    assert narrow.encoder.encoder.layer[2].attention.self.value.out_features == 6 * 32
    with torch.no_grad():
        wanted = read(teacher, BATCH)
        apart, of_first = (distance(read(student, BATCH), wanted, BATCH["attention_mask"]) for student in (narrow, first))
    assert apart < 0.2 * of_first


def test_a_students_shape_is_what_is_asked_for_and_at_most_the_teachers() -> None:
    teacher = Shape(12, 1536, 12)
    assert shape_of_student(teacher, None, None, None) == Shape(12, 416, 6)
    assert shape_of_student(teacher, 4, 1536, 1) == Shape(4, 1536, 1)
    assert shape_of_student(Shape(1, 8, 1), None, None, None) == Shape(1, 8, 1)
    for sizes, message in (
        ((13, None, None), "12 encoder layers"),
        ((1, 2000, None), "1536 neurons"),
        ((1, 1, 13), "12 attention"),
    ):
        with pytest.raises(TrainingError, match=f"The teacher has {message}.*a student cannot have {max(filter(None, sizes))}"):
            shape_of_student(teacher, *sizes)


def test_a_narrower_network_is_saved_and_exported_as_it_is(
    teacher: SignaalModel, base_folder: Path, model_settings: ModelSettings, tmp_path: Path
) -> None:
    narrow = new_student(teacher, Shape(2, 768, 6), [BATCH]).eval()
    export_onnx(narrow, tmp_path / "graph.onnx", "fp32")
    session = InferenceSession(tmp_path / "graph.onnx", providers=["CPUExecutionProvider"])
    logits, *_ = session.run(None, {name: tensor.numpy() for name, tensor in BATCH.items()})
    with torch.no_grad():
        wanted = narrow(**BATCH).logits.numpy()
    assert np.abs(logits - wanted).max() < 1e-4
    save_weights(narrow, tmp_path / "saved")
    base = BaseReference(name=DEFAULT_BASE, tokenizer_sha256=sha256_of(base_folder / "tokenizer.json"), layers=2)
    with torch.no_grad():
        again = load_weights(tmp_path / "saved", base, model_settings.cache_dir)(**BATCH).logits.numpy()
    assert np.abs(again - wanted).max() < 1e-5


def test_neurons_that_say_what_others_say_go_and_nothing_is_lost() -> None:
    chance = np.random.default_rng(4)
    said = chance.normal(size=(400, 6))
    said = np.concatenate([said, said[:, :4] * 2, said[:, :1] + said[:, 5:], np.full((400, 1), 3.0)], axis=1)
    with_one = np.concatenate([said, np.ones((400, 1))], axis=1)
    weight, bias = chance.normal(size=(5, 12)), chance.normal(size=5)
    stay, fitted, fitted_bias = spared(weight, bias, with_one.T @ with_one / 400, 6)
    assert len(stay) == 6
    assert np.abs(said[:, stay] @ fitted.T + fitted_bias - (said @ weight.T + bias)).max() < 0.05


def test_those_that_stay_are_fitted_by_least_squares() -> None:
    chance = np.random.default_rng(5)
    said = np.maximum(chance.normal(size=(900, 12)) @ chance.normal(size=(12, 40)), 0)
    with_one = np.concatenate([said, np.ones((900, 1))], axis=1)
    weight, bias = chance.normal(size=(7, 40)), chance.normal(size=7)
    wanted = said @ weight.T + bias
    stay, fitted, fitted_bias = spared(weight, bias, with_one.T @ with_one / 900, 20)
    reached = ((said[:, stay] @ fitted.T + fitted_bias - wanted) ** 2).mean()
    columns = [*stay, 40]
    best = ((with_one[:, columns] @ np.linalg.lstsq(with_one[:, columns], wanted, rcond=None)[0] - wanted) ** 2).mean()
    assert reached == pytest.approx(best, rel=0.01)
    assert reached < 0.3 * ((said[:, stay] @ weight[:, stay].T + bias - wanted) ** 2).mean()


def test_padding_counts_for_nothing(teacher: SignaalModel) -> None:
    with torch.no_grad():
        wanted, found = read(teacher, BATCH), read(teacher, BATCH)
    for states in found.states:
        states[1, 4] += 100.0
    found.evidence[1, 4] += 100.0
    assert distance(found, wanted, BATCH["attention_mask"]) < 1e-8


def test_who_always_says_the_mean_is_at_one_whatever_the_scale() -> None:
    wanted = torch.tensor([1.0, 2.0, 3.0, 6.0])
    for scale in (0.5, 30.0):
        assert relative_error(torch.full((4,), 3.0) * scale, wanted * scale) == pytest.approx(1.0)


def test_the_layers_below_count_too(teacher: SignaalModel) -> None:
    with torch.no_grad():
        wanted, found = read(teacher, BATCH), read(teacher, BATCH)
    assert len(found.states) == 3
    found.states[0].neg_()
    assert distance(found, wanted, BATCH["attention_mask"]) > 1


def test_a_lesson_brings_the_student_nearer_to_its_teacher_and_leaves_the_teacher_as_it_is(teacher: SignaalModel) -> None:
    student = new_student(teacher, Shape(1, 1536, 12))
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    lesson = Lesson(teacher, student, labels_weight=0.0)
    optimizer = torch.optim.AdamW([p for p in student.parameters() if p.requires_grad], lr=1e-4)
    ids = torch.randint(100, 200, (32, 8), generator=torch.Generator().manual_seed(4))
    unseen = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    labels = {"labels": torch.zeros(6, len(TAXONOMY.label_ids))}

    def apart() -> float:
        student.eval()
        with torch.no_grad():
            return float(distance(read(student, unseen), read(teacher, unseen, [2]), unseen["attention_mask"]))

    began = apart()
    chance = torch.Generator().manual_seed(3)
    for _ in range(40):
        student.train()
        ids = torch.randint(100, 200, (6, 8), generator=chance)
        lesson.loss(student, student, {"input_ids": ids, "attention_mask": torch.ones_like(ids), **labels}).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert apart() < 0.8 * began
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())


def test_the_labels_count_beside_the_teacher(teacher: SignaalModel) -> None:
    student = new_student(teacher, Shape(3, 1536, 12)).eval()
    batch = {**BATCH, "labels": torch.ones(2, len(TAXONOMY.label_ids))}
    with torch.no_grad():
        alone, beside = (float(Lesson(teacher, student, weight).loss(student, student, batch)) for weight in (0.0, 2.0))
        of_labels = float(student(**batch).loss)
    assert alone < 1e-6
    assert beside == pytest.approx(2 * of_labels, rel=1e-4)

"""A student's first weights, and how far it is from its teacher."""

from pathlib import Path

import pytest
import torch

from models.example import LabelledExample, Split
from models.network import SignaalConfig, SignaalModel, new_model
from models.taxonomy import packaged_taxonomy
from models.windows import WindowMaker
from training.distillation.losses import distance, read, relative_error
from training.distillation.settings import DistillationSettings
from training.distillation.student import new_student, picked_layers
from training.distillation.teaching import teach
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
    with pytest.raises(TrainingError, match="cannot have 13"):
        picked_layers(12, 13)


def test_a_student_of_all_layers_reads_as_its_teacher_and_a_smaller_one_does_not(teacher: SignaalModel) -> None:
    mask = BATCH["attention_mask"]
    with torch.no_grad():
        wanted = read(teacher, BATCH)
        same = distance(read(new_student(teacher, 3).eval(), BATCH), wanted, mask)
        smaller = distance(read(new_student(teacher, 1).eval(), BATCH), wanted, mask)
    assert same < 1e-8
    assert smaller > 0.1


def test_a_student_keeps_the_teachers_embeddings_and_the_layers_picked(teacher: SignaalModel) -> None:
    student = new_student(teacher, 2)
    assert student.encoder.config.num_hidden_layers == 2
    assert torch.equal(student.encoder.embeddings.word_embeddings.weight, teacher.encoder.embeddings.word_embeddings.weight)
    for place, layer in enumerate([0, 2]):
        kept = student.encoder.encoder.layer[place].output.dense.weight
        assert torch.equal(kept, teacher.encoder.encoder.layer[layer].output.dense.weight)
    trained = {name for name, p in student.named_parameters() if p.requires_grad}
    assert not any("embeddings" in name for name in trained)


def test_padding_counts_for_nothing(teacher: SignaalModel) -> None:
    with torch.no_grad():
        wanted, found = read(teacher, BATCH), read(teacher, BATCH)
    found.states[1, 4] += 100.0
    found.evidence[1, 4] += 100.0
    assert distance(found, wanted, BATCH["attention_mask"]) < 1e-8


def test_who_always_says_the_mean_is_at_one_whatever_the_scale() -> None:
    wanted = torch.tensor([1.0, 2.0, 3.0, 6.0])
    for scale in (0.5, 30.0):
        assert relative_error(torch.full((4,), 3.0) * scale, wanted * scale) == pytest.approx(1.0)


def test_teaching_brings_the_student_nearer_to_its_teacher(teacher: SignaalModel, base_folder: Path) -> None:
    words = [
        "bus",
        "farm",
        "debt",
        "passport",
        "season",
        "pay",
        "hours",
        "contract",
        "phone",
        "boss",
        "room",
        "fee",
        "work",
        "crew",
        "new",
        "tonight",
    ]
    examples = [
        LabelledExample(
            text=" ".join(words[(i * k) % len(words)] for k in range(1, 9)), labels=["debt_or_fees"] if i % 2 else [], lang="en"
        )
        for i in range(48)
    ]
    splits: dict[Split, list[LabelledExample]] = {"train": examples[:40], "validation": examples[40:], "test": []}
    student = new_student(teacher, 1)
    maker = WindowMaker(base_folder / "tokenizer.json")

    def apart() -> float:
        student.eval()
        with torch.no_grad():
            return float(distance(read(student, BATCH), read(teacher, BATCH), BATCH["attention_mask"]))

    before = apart()
    best = teach(teacher, student, splits, TAXONOMY, maker, DistillationSettings(epochs=4, batch_size=4, labels_weight=0.0))
    assert best.epoch >= 1
    assert apart() < 0.8 * before, "of two texts that it never saw"

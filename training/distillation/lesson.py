"""A run with the method 'distil': the student begins as its teacher, narrower, and learns from it and from the labels.

What the teacher says of texts that it was trained on is little more than their labels. So a share of the texts are sentences of
several texts, which it has not seen together (``training.dataset``): these have no labels, and the student learns from the
teacher alone.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, cast

import torch
from torch import Tensor

from models.bundle import reads_blinded
from models.example import LabelledExample
from models.network import SignaalConfig, SignaalModel, SignaalOutput, use_fused_attention
from models.settings import ModelSettings
from models.taxonomy import Taxonomy
from models.weights import load_weights
from models.windows import WindowMaker, batches, padded
from training.distillation.losses import distance, read
from training.distillation.student import Shape, new_student, picked_layers, shape_of, shape_of_student
from training.errors import TrainingError
from training.named_bundle import bundle_to_start_from
from training.settings import TrainingSettings

TEXTS_TO_PRUNE_BY = 250
"""Ten times as many tokens as a feed-forward layer has neurons."""
TOKENS_AT_ONCE = 8_192


class Lesson:
    """What a student learns from a batch.

    Args:
        teacher: changed in place: it is only read from now on.
        student: begun from it.
        labels_weight: of the examples' own labels.
    """

    def __init__(self, teacher: SignaalModel, student: SignaalModel, labels_weight: float) -> None:
        self._teacher = use_fused_attention(teacher).eval().requires_grad_(False)
        layers, left = (model.encoder.config.num_hidden_layers for model in (teacher, student))
        self._layers = picked_layers(layers, left)
        self._labels_weight = labels_weight

    def loss(self, forward: Callable[..., SignaalOutput], student: SignaalModel, batch: dict[str, Tensor]) -> Tensor:
        """How far a student is from the teacher, and from the labels.

        Args:
            forward: the student, or what several processes have wrapped it in.
            student: itself.
            batch: arguments of ``SignaalModel.forward``.
        """
        ids, mask = batch["input_ids"], batch["attention_mask"]
        with torch.no_grad():
            wanted = read(self._teacher.to(ids.device), {"input_ids": ids, "attention_mask": mask}, self._layers)
        found = read(student, batch, forward=forward)
        return distance(found, wanted, mask) + self._labels_weight * cast(Tensor, found.loss)


def begin(
    texts: Sequence[LabelledExample],
    taxonomy: Taxonomy,
    maker: WindowMaker,
    settings: TrainingSettings,
    model_settings: ModelSettings,
    **training: Any,
) -> tuple[SignaalModel, Lesson]:
    """A student of the model that the run starts from, and its lesson.

    Args:
        texts: some of them are read to find what can be spared.
        taxonomy: the run's labels.
        maker: cuts texts into windows.
        settings: the run's.
        model_settings: where bundles and base encoders are.
        training: what of the student's configuration matters in training.

    Raises:
        TrainingError: the teacher has other labels, another base encoder, or less than the student is to have.
        ModelError: it cannot be loaded.
    """
    with bundle_to_start_from(settings, model_settings) as bundle:
        assert bundle is not None, "checked by TrainingSettings"
        base = bundle.manifest.base
        if bundle.taxonomy.label_ids != taxonomy.label_ids or not reads_blinded(bundle.manifest.format):
            raise TrainingError(f"{bundle.identity} cannot teach: it has other labels than this run's taxonomy, or is too old.")
        if base.name != settings.base:
            raise TrainingError(f"{bundle.identity} reads with the base encoder {base.name}: set base to it.")
        teacher: SignaalModel = load_weights(bundle.folder, base, model_settings.cache_dir)
    shape = student_shape(cast(SignaalConfig, teacher.config), settings)
    some = Random(settings.seed).sample(texts, k=min(TEXTS_TO_PRUNE_BY, len(texts)))
    teacher.config.update(training)  # the student is made of it; the teacher itself only reads
    student = new_student(teacher, shape, reading([example.text for example in some], maker))
    return use_fused_attention(student), Lesson(teacher, student, settings.distillation.labels_weight)


def student_shape(teacher: SignaalConfig, settings: TrainingSettings) -> Shape:
    """What a run makes of a teacher; errors as ``shape_of_student``."""
    wanted = settings.distillation
    return shape_of_student(shape_of(teacher), settings.layers, wanted.intermediate_size, wanted.attention_heads)


def reading(texts: Sequence[str], maker: WindowMaker) -> Iterator[dict[str, Tensor]]:
    """Texts in batches of like length, as arguments of ``SignaalModel.forward``."""
    windows = maker.windows(texts)
    for batch in batches(windows, TOKENS_AT_ONCE):
        ids, mask = padded([windows[i] for i in batch], maker.pad_id)
        yield {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}

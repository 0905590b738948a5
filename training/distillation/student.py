"""A student's first weights: the teacher's layers or some of them, made narrower, and all its output heads.

After Sanh et al. 2019 ("DistilBERT"): a student that begins with layers of its teacher ends far above one that begins anew.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from models.network import SignaalConfig, SignaalModel, encoder_heads, freeze_embeddings
from training.distillation.pruning import narrowed, readers_of, second_moments
from training.errors import TrainingError


def picked_layers(of: int, keep: int) -> list[int]:
    """Which layers a student keeps: evenly spread, the first and the last among them (the last alone for one)."""
    return [of - 1] if keep == 1 else np.linspace(0, of - 1, keep).round().astype(int).tolist()


@dataclass(frozen=True, slots=True)
class Shape:
    """Size of an encoder: its layers, and in each of them neurons of the feed-forward layer and attention heads."""

    layers: int
    neurons: int
    heads: int


NEURONS_KEPT = 0.27
HEADS_KEPT = 0.5
"""Together two fifths of a layer's work."""
NEURONS_A_BLOCK = 16
"""Widths that a processor likes."""


def shape_of(config: SignaalConfig) -> Shape:
    """Of the encoder of a network."""
    return Shape(config.encoder["num_hidden_layers"], config.encoder["intermediate_size"], encoder_heads(config))


def shape_of_student(teacher: Shape, layers: int | None, neurons: int | None, heads: int | None) -> Shape:
    """What is asked for; where nothing is, all layers, 27% of the neurons and half of the heads.

    Raises:
        TrainingError: the teacher has fewer.
    """
    blocks = max(1, round(NEURONS_KEPT * teacher.neurons / NEURONS_A_BLOCK))
    shape = Shape(
        layers or teacher.layers,
        neurons or min(teacher.neurons, blocks * NEURONS_A_BLOCK),
        heads or max(1, round(HEADS_KEPT * teacher.heads)),
    )
    for what, of_teacher, wanted in (
        ("encoder layers", teacher.layers, shape.layers),
        ("neurons in a feed-forward layer", teacher.neurons, shape.neurons),
        ("attention heads in a layer", teacher.heads, shape.heads),
    ):
        if wanted > of_teacher:
            raise TrainingError(f"The teacher has {of_teacher} {what}: a student cannot have {wanted}.")
    return shape


def new_student(teacher: SignaalModel, shape: Shape, batches: Iterable[dict[str, Tensor]] = ()) -> SignaalModel:
    """A network of a shape with the teacher's weights; its embedding tables are frozen.

    Args:
        teacher: merged, in evaluation mode; from now on its embedding tables are frozen, too.
        shape: no larger than the teacher's.
        batches: what the teacher reads to find the neurons and heads that can be spared; needed where some are.
    """
    picked = picked_layers(teacher.encoder.config.num_hidden_layers, shape.layers)
    config = copy.deepcopy(teacher.config)
    config.encoder = {**config.encoder, "num_hidden_layers": shape.layers, "intermediate_size": shape.neurons}
    config.attention_heads = shape.heads
    student = SignaalModel(config)
    for part in ("attention", "document_type"):
        if getattr(teacher, part) is not None:
            getattr(student, part).load_state_dict(getattr(teacher, part).state_dict())
    student.encoder.embeddings.load_state_dict(teacher.encoder.embeddings.state_dict())
    # one table for both: it is 384 MB, and neither changes it
    student.encoder.embeddings.word_embeddings.weight = teacher.encoder.embeddings.word_embeddings.weight
    of_teacher = [teacher.encoder.encoder.layer[layer] for layer in picked]
    moments = second_moments(teacher, [reader for layer in of_teacher for reader in readers_of(layer)], batches)
    for place, layer in enumerate(of_teacher):
        student.encoder.encoder.layer[place].load_state_dict(narrowed(layer, moments, shape.neurons, shape.heads))
    return freeze_embeddings(student)

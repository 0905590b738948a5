"""How far a student is from its teacher.

The mean squared difference of what stands before the sigmoid or softmax (Ba & Caruana 2014, "Do Deep Nets Really Need to be
Deep?"; Kim et al. 2021 found it better than the softened probabilities of Hinton et al. 2015), of five things: the label
logits, the evidence per token, the document-type logits, the token states from which all three are read, and, on the average of
the layers below, the states after each of the student's layers and the one of the teacher's that it began as (Jiao et al. 2020,
"TinyBERT"). Each is divided by the variance of the teacher's, so that the five weigh alike whatever their scale.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.network import SignaalModel, SignaalOutput

SMALLEST_VARIANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Reading:
    """What a network makes of a batch: ``states`` [texts, tokens, hidden] after each of some layers, the last of them the
    encoder's last, ``evidence`` [texts, tokens, labels] before the sigmoid, ``logits`` [texts, labels], ``document_types``
    [texts, types] or None; and ``loss``, where labels were given."""

    states: tuple[Tensor, ...]
    evidence: Tensor
    logits: Tensor
    document_types: Tensor | None
    loss: Tensor | None


def read(
    model: SignaalModel,
    batch: dict[str, Tensor],
    layers: Sequence[int] | None = None,
    *,
    forward: Callable[..., SignaalOutput] | None = None,
) -> Reading:
    """One forward pass, with the token states that ``SignaalModel.forward`` keeps to itself.

    Args:
        model: the network.
        batch: arguments of its ``forward``.
        layers: numbers of the layers whose states are wanted, from 0 to the last; every layer when not given.
        forward: what the network is wrapped in, if it is.
    """
    stack = model.encoder.encoder.layer
    found: list[Tensor] = []
    hooks = [
        stack[layer].register_forward_hook(lambda _module, _inputs, states: found.append(states))
        for layer in (range(len(stack)) if layers is None else layers)
    ]
    try:
        out: Any = (forward or model)(**batch)
    finally:
        for hook in hooks:
            hook.remove()
    return Reading(tuple(found), out.evidence, out.logits, out.document_type_logits, out.loss)


def distance(student: Reading, teacher: Reading, mask: Tensor) -> Tensor:
    """The sum of the five; 0 when both read alike.

    Args:
        student: what is to come nearer.
        teacher: what is to be reached, with the states of as many layers; without gradient.
        mask: [texts, tokens], 1 for real tokens: padding counts for nothing.
    """
    tokens = mask.bool()
    total = relative_error(student.logits, teacher.logits)
    total = total + relative_error(student.evidence[tokens], teacher.evidence[tokens])
    states = [relative_error(of[tokens], wanted[tokens]) for of, wanted in zip(student.states, teacher.states, strict=True)]
    total = total + states[-1]
    if len(states) > 1:
        total = total + torch.stack(states[:-1]).mean()
    if student.document_types is not None and teacher.document_types is not None:
        total = total + relative_error(student.document_types, teacher.document_types)
    return total


def relative_error(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference over the variance of ``wanted``: 1 for whoever always says the mean."""
    wanted = wanted.float()
    return ((found.float() - wanted) ** 2).mean() / wanted.var(correction=0).clamp(min=SMALLEST_VARIANCE)

"""How far a student is from its teacher.

The mean squared difference of what stands before the sigmoid or softmax (Ba & Caruana 2014, "Do Deep Nets Really Need to be
Deep?"; Kim et al. 2021 found it better than the softened probabilities of Hinton et al. 2015), of four things: the label
logits, the evidence per token, the document-type logits, and the token states from which all three are read (Jiao et al. 2020,
"TinyBERT"). Each is divided by the variance of the teacher's, so that the four weigh alike whatever their scale.
"""

from dataclasses import dataclass

from torch import Tensor

from models.network import SignaalModel

SMALLEST_VARIANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Reading:
    """What a network makes of a batch: ``states`` [texts, tokens, hidden], ``evidence`` [texts, tokens, labels] before the
    sigmoid, ``logits`` [texts, labels], ``document_types`` [texts, types] or None; and ``loss``, where labels were given."""

    states: Tensor
    evidence: Tensor
    logits: Tensor
    document_types: Tensor | None
    loss: Tensor | None


def read(model: SignaalModel, batch: dict[str, Tensor]) -> Reading:
    """One forward pass, with the token states that ``SignaalModel.forward`` keeps to itself."""
    found: list[Tensor] = []
    hook = model.encoder.register_forward_hook(lambda _module, _inputs, out: found.append(out.last_hidden_state))
    try:
        out = model(**batch)
    finally:
        hook.remove()
    return Reading(found[0], out.evidence, out.logits, out.document_type_logits, out.loss)


def distance(student: Reading, teacher: Reading, mask: Tensor) -> Tensor:
    """The sum of the four; 0 when both read alike.

    Args:
        student: what is to come nearer.
        teacher: what is to be reached; without gradient.
        mask: [texts, tokens], 1 for real tokens: padding counts for nothing.
    """
    tokens = mask.bool()
    total = relative_error(student.logits, teacher.logits)
    total = total + relative_error(student.evidence[tokens], teacher.evidence[tokens])
    total = total + relative_error(student.states[tokens], teacher.states[tokens])
    if student.document_types is not None and teacher.document_types is not None:
        total = total + relative_error(student.document_types, teacher.document_types)
    return total


def relative_error(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference over the variance of ``wanted``: 1 for whoever always says the mean."""
    wanted = wanted.float()
    return ((found.float() - wanted) ** 2).mean() / wanted.var(correction=0).clamp(min=SMALLEST_VARIANCE)

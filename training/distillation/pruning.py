"""Narrower encoder layers: the neurons and attention heads that can best be spared go, and the others take over what they did.

Optimal Brain Surgeon (Hassibi & Stork 1993) for whole neurons and heads, layer by layer, as in Kurtic et al. 2023, "ZipLM": of a
layer's neurons (or heads) those go whose loss changes the layer's output least when all that stay are fitted anew by least
squares, over the tokens of some texts; then the next. What this gives beside whole layers left out: ``docs/distillation.md``.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.network import SignaalModel

Floats = NDArray[np.float64]
DAMPING = 1e-4
"""Of the mean of the diagonal, added to it: parts that say nothing else would make the matrix singular."""
STEPS = 64
"""Of the parts that are left, one in so many goes at once, for time; one by one is the method as it is written."""


def second_moments(
    model: SignaalModel, readers: Sequence[nn.Module], batches: Iterable[dict[str, Tensor]]
) -> dict[nn.Module, Floats]:
    """Of what each of some linear layers reads, and of a constant 1 as the last: [inputs + 1, inputs + 1], mean over the tokens.

    Args:
        model: in evaluation mode.
        readers: linear layers of it.
        batches: each with ``input_ids`` and ``attention_mask``, [texts, tokens].
    """
    sums: dict[nn.Module, Tensor] = {}
    tokens = 0
    mask = torch.zeros(0)

    def add(reader: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        real = inputs[0][mask.bool()]
        real = torch.cat([real, torch.ones_like(real[:, :1])], dim=1)
        sums[reader] = sums.get(reader, 0.0) + (real.T @ real).double()

    hooks = [reader.register_forward_pre_hook(add) for reader in readers]
    try:
        with torch.no_grad():
            for batch in batches:
                mask = batch["attention_mask"]
                tokens += int(mask.sum())
                model(batch["input_ids"], mask)
    finally:
        for hook in hooks:
            hook.remove()
    return {reader: (total / tokens).cpu().numpy() for reader, total in sums.items()}


def spared(weight: Floats, bias: Floats, moments: Floats, keep: int, size: int = 1) -> tuple[list[int], Floats, Floats]:
    """Which inputs of a linear layer stay, and the weights and bias with which they do the work of all.

    Args:
        weight: [outputs, inputs].
        bias: [outputs].
        moments: [inputs + 1, inputs + 1], as ``second_moments`` gives them.
        keep: how many parts stay.
        size: inputs a part, which stay or go together: 1 for neurons, the size of a head for heads.

    Returns:
        The inputs' numbers, in order; [outputs, keep * size]; [outputs].
    """
    weights = np.concatenate([weight, bias[:, None]], axis=1).astype(np.float64)
    inverse = np.linalg.inv(moments + DAMPING * np.diag(moments).mean() * np.eye(len(moments)))
    stay = np.arange(len(moments))  # the last is the constant, which always stays
    while (parts := (len(stay) - 1) // size) > keep:
        columns = np.arange(parts * size).reshape(parts, size)
        of_parts = weights[:, columns].transpose(1, 0, 2)
        blocks = np.linalg.inv(inverse[columns[:, :, None], columns[:, None, :]])
        errors = np.einsum("pos,pst,pot->p", of_parts, blocks, of_parts, optimize=True)
        go = columns[np.argsort(errors, kind="stable")[: min(max(1, parts // STEPS), parts - keep)]].ravel()
        rows = np.linalg.solve(inverse[np.ix_(go, go)], inverse[go])
        weights = np.delete(weights - weights[:, go] @ rows, go, axis=1)
        inverse = np.delete(np.delete(inverse - inverse[:, go] @ rows, go, axis=0), go, axis=1)
        stay = np.delete(stay, go)
    return stay[:-1].tolist(), weights[:, :-1], weights[:, -1]


def readers_of(layer: Any) -> list[nn.Module]:
    """Of an encoder layer of BERT's form: what reads its neurons, and what reads its heads."""
    return [layer.output.dense, layer.attention.output.dense]


def narrowed(layer: Any, moments: Mapping[nn.Module, Floats], neurons: int, heads: int) -> dict[str, Tensor]:
    """State of an encoder layer of BERT's form with fewer neurons and heads.

    Args:
        layer: one that has more.
        moments: of what its ``readers_of`` read.
        neurons: how many stay.
        heads: how many stay.
    """
    state = dict(layer.state_dict())
    size = layer.attention.self.attention_head_size
    of_neurons, of_heads = map(moments.get, readers_of(layer))
    _narrow(state, "output.dense", ("intermediate.dense",), of_neurons, neurons, 1)
    _narrow(state, "attention.output.dense", [f"attention.self.{of}" for of in ("query", "key", "value")], of_heads, heads, size)
    return state


def _narrow(state: dict[str, Tensor], reader: str, writers: Iterable[str], moments: Floats | None, keep: int, size: int) -> None:
    weight, bias = f"{reader}.weight", f"{reader}.bias"
    if keep * size == state[weight].shape[1]:
        return
    assert moments is not None, "the teacher reads some texts where something is to go"
    stay, *fitted = spared(state[weight].cpu().numpy(), state[bias].cpu().numpy(), moments, keep, size)
    state[weight], state[bias] = (torch.from_numpy(part).to(state[weight]) for part in fitted)
    for writer in writers:
        for name in (f"{writer}.weight", f"{writer}.bias"):
            state[name] = state[name][stay]

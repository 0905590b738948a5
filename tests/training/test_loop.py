"""The plain training loop: which weights it keeps, and when it stops."""

from collections.abc import Sequence
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from models.network import SignaalModel
from training.loop import Best, Loop, Pace

TEXTS, BATCH = 16, 4


class Line(nn.Module):
    """A network of two numbers, one of the encoder and one of the heads."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(1, 1, bias=False)
        self.heads = nn.Linear(1, 1, bias=False)

    def loss(self, rows: list[int]) -> Tensor:
        texts = torch.tensor([[float(row)] for row in rows])
        return (self.heads(self.encoder(texts)) - 2 * texts).pow(2).mean()


def trained(scores: Sequence[float], *, epochs: int, patience: int = 2) -> tuple[Best, list[dict[str, Tensor]], Line]:
    """Train with scores that are told beforehand; what came out, the weights when each was told, and the network."""
    torch.manual_seed(1)
    model = Line()
    loop = Loop(cast(SignaalModel, model), range(1, TEXTS + 1), BATCH, model.loss, torch.Generator().manual_seed(2))
    told = iter(scores)
    seen: list[dict[str, Tensor]] = []

    def score() -> float:
        assert not model.training
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return next(told)

    steps = epochs * TEXTS // BATCH
    return loop.train(Pace(1e-3, 1e-3, 0.01, 0.1, steps, patience), score), seen, model


@pytest.mark.parametrize(
    ("scores", "kept", "epochs"),
    [
        ([0.1, 0.5, 0.3, 0.4, 0.2, 0.1], 2, 5),  # nothing better for two epochs of the second half
        ([0.0, 0.0, 0.0, 0.0, 0.4, 0.6], 6, 6),  # at chance in the first half
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.6], 5, 5),  # and still at chance after it
        ([0.1, 0.6, 0.6, 0.6, 0.6, 0.6], 5, 5),  # of equal ones the later
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 6, 6),
    ],
)
def test_the_weights_of_the_best_epoch_are_kept(scores: list[float], kept: int, epochs: int) -> None:
    best, seen, model = trained(scores, epochs=6)
    assert (best.epoch, best.score) == (kept, scores[kept - 1])
    assert len(best.curve) == len(seen) == epochs
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, seen[kept - 1][name])
    assert not torch.equal(seen[0]["encoder.weight"], seen[1]["encoder.weight"]), "every epoch has moved the weights"


def test_timing_changes_no_weight_and_no_order() -> None:
    plain, _, left = trained([0.1, 0.2], epochs=2)
    torch.manual_seed(1)
    model = Line()
    loop = Loop(cast(SignaalModel, model), range(1, TEXTS + 1), BATCH, model.loss, torch.Generator().manual_seed(2))
    assert loop.seconds_per_epoch() > 0
    told = iter([0.1, 0.2])
    timed = loop.train(Pace(1e-3, 1e-3, 0.01, 0.1, 2 * TEXTS // BATCH, 2), lambda: next(told))
    assert timed.curve == plain.curve
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, left.state_dict()[name], rtol=0, atol=0)

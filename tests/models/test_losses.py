from math import exp, log
from typing import Any

import pytest
import torch
from torch.nn import functional

from models.losses import (
    FREE,
    LABEL_LOSSES,
    asymmetric,
    consistency_loss,
    contrast_loss,
    cross_entropy,
    evidence_loss,
    focal,
    label_loss,
)

LOGITS = torch.tensor([[-3.0, 0.4, 2.0], [5.0, -0.7, 0.0]])
LABELS = torch.tensor([[0.0, 1.0, 0.3], [1.0, 0.0, 0.75]])
WEIGHTS = torch.tensor([[3.0, 1.0, 2.0], [0.0, 1.5, 1.0]])
SAME_AS_CROSS_ENTROPY = [
    {"kind": "cross_entropy"},
    {"kind": "focal", "gamma": 0.0},
    {"kind": "asymmetric", "gamma_negative": 0.0, "gamma_positive": 0.0, "margin": 0.0},
]
EACH: list[dict[str, Any]] = [
    {"kind": "cross_entropy"},
    {"kind": "focal"},
    {"kind": "focal", "gamma": 0.5},
    {"kind": "asymmetric"},
    {"kind": "asymmetric", "gamma_positive": 1.0, "margin": 0.0},
    {"kind": "asymmetric", "gamma_negative": 0.5, "margin": 1e-40},
]
"""Kinds and options."""


def at(logit: float, label: float, **how: Any) -> tuple[float, float]:
    """Loss of one label, and its slope."""
    logits = torch.tensor([[logit]], requires_grad=True)
    loss = label_loss(logits, torch.tensor([[label]]), torch.ones(1, 1), **how)
    loss.backward()
    assert logits.grad is not None
    return loss.item(), logits.grad.item()


def sigmoid(logit: float) -> float:
    return 1 / (1 + exp(-logit))


@pytest.mark.parametrize("how", SAME_AS_CROSS_ENTROPY)
def test_without_focusing_every_label_loss_is_weighted_cross_entropy_and_so_are_its_gradients(how: dict[str, Any]) -> None:
    logits, plain_logits = (LOGITS.clone().requires_grad_() for _ in range(2))
    loss = label_loss(logits, LABELS, WEIGHTS, **how)
    plain = functional.binary_cross_entropy_with_logits(plain_logits, LABELS, weight=WEIGHTS)
    loss.backward()
    plain.backward()
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(logits.grad, plain_logits.grad)


def test_what_a_run_does_by_default_is_bit_by_bit_what_it_was() -> None:
    assert torch.equal(
        label_loss(LOGITS, LABELS, WEIGHTS), functional.binary_cross_entropy_with_logits(LOGITS, LABELS, weight=WEIGHTS)
    )


def test_the_focal_loss_of_one_logit_by_hand() -> None:
    p = sigmoid(1.5)
    assert at(1.5, 1.0, kind="focal")[0] == pytest.approx((1 - p) ** 2 * -log(p), rel=1e-5)
    assert at(1.5, 0.0, kind="focal", gamma=3.0)[0] == pytest.approx(p**3 * -log(1 - p), rel=1e-5)
    assert at(1.5, 0.25, kind="focal", gamma=1.0)[0] == pytest.approx((p - 0.25) * -(0.25 * log(p) + 0.75 * log(1 - p)), rel=1e-5)
    slope = (1 - p) ** 2 * (2 * p * log(p) + p - 1)  # Lin et al. 2017, appendix B
    assert at(1.5, 1.0, kind="focal")[1] == pytest.approx(slope, rel=1e-5)


def test_the_asymmetric_loss_of_one_logit_by_hand() -> None:
    p = sigmoid(0.5)
    shifted = p - 0.05
    absent, slope = at(0.5, 0.0, kind="asymmetric")
    assert absent == pytest.approx(shifted**4 * -log(1 - shifted), rel=1e-5)
    assert slope == pytest.approx(shifted**4 * p * (1 - p) / (1 - shifted), rel=1e-5), "the focusing weight has no gradient"
    assert at(0.5, 1.0, kind="asymmetric")[0] == pytest.approx(-log(p), rel=1e-5)
    assert at(0.5, 1.0, kind="asymmetric", gamma_positive=1.0)[0] == pytest.approx((1 - p) * -log(p), rel=1e-5)
    assert at(0.5, 0.0, kind="asymmetric", gamma_negative=2.0, margin=0.0)[0] == pytest.approx(p**2 * -log(1 - p), rel=1e-5)


def test_an_absent_label_below_the_margin_is_let_go() -> None:
    assert at(-3.0, 0.0, kind="asymmetric") == (0.0, 0.0), "its probability is 0.047"
    assert at(-2.9, 0.0, kind="asymmetric")[0] > 0, "and here 0.052"
    assert at(-3.0, 0.0, kind="asymmetric", gamma_negative=0.0) == (0.0, 0.0)


@pytest.mark.parametrize("how", EACH)
@pytest.mark.parametrize("logit", [-80.0, -1.0, 0.0, 80.0, 120.0])
@pytest.mark.parametrize("label", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradient_are_finite_however_sure_the_network_is(
    how: dict[str, Any], logit: float, label: float, smoothing: float
) -> None:
    loss, slope = at(logit, label, smoothing=smoothing, **how)
    assert 0 <= loss < 200
    assert abs(slope) < 200


@pytest.mark.parametrize("how", [{"kind": "cross_entropy"}, {"kind": "focal"}, {"kind": "asymmetric", "margin": 0.0}])
@pytest.mark.parametrize("share", [0.2, 0.6])
def test_a_share_of_annotators_is_where_the_probability_comes_to_rest(how: dict[str, Any], share: float) -> None:
    rest = log(share / (1 - share))
    assert at(rest, share, **how)[1] == pytest.approx(0, abs=1e-6)
    assert at(rest - 1, share, **how)[1] < 0 < at(rest + 1, share, **how)[1]


def test_by_its_margin_the_asymmetric_loss_rests_a_little_above_the_share() -> None:
    assert at(log(0.6 / 0.4), 0.6, kind="asymmetric")[1] < 0 < at(log(0.65 / 0.35), 0.6, kind="asymmetric")[1]


@pytest.mark.parametrize("how", EACH)
def test_a_label_counts_by_its_weight(how: dict[str, Any]) -> None:
    of_each = LABEL_LOSSES[how["kind"]](LOGITS, LABELS, **{name: value for name, value in how.items() if name != "kind"})
    torch.testing.assert_close(label_loss(LOGITS, LABELS, WEIGHTS, **how), (of_each * WEIGHTS).sum() / 6)


def test_smoothing_draws_targets_towards_one_half() -> None:
    p = sigmoid(2.0)
    assert at(2.0, 1.0, smoothing=0.1)[0] == pytest.approx(-(0.95 * log(p) + 0.05 * log(1 - p)), rel=1e-5)
    assert at(2.0, 0.0, smoothing=0.1)[0] == pytest.approx(-(0.05 * log(p) + 0.95 * log(1 - p)), rel=1e-5)
    assert at(2.0, 0.5, smoothing=0.4) == at(2.0, 0.5), "where annotators are divided nothing changes"
    assert at(log(0.95 / 0.05), 1.0, smoothing=0.1, kind="focal")[1] == pytest.approx(0, abs=1e-6)


def test_a_loss_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="no label loss 'hinge': it should be one of cross_entropy, focal, asymmetric"):
        label_loss(LOGITS, LABELS, WEIGHTS, kind="hinge")


def test_the_losses_of_each_label_have_their_shape() -> None:
    for loss in (cross_entropy, focal, asymmetric):
        assert loss(LOGITS, LABELS).shape == LOGITS.shape


def test_two_readings_that_agree_have_nothing_to_settle_and_others_are_drawn_together() -> None:
    views, labels = torch.tensor([0, 1]), torch.zeros(2, 3)
    same = torch.tensor([[1.0, -80.0, 80.0]]).repeat(2, 1)
    assert consistency_loss(same, labels, views).item() == 0
    logits = torch.tensor([[2.0, -1.0, 80.0], [0.5, -1.0, -80.0]], requires_grad=True)
    loss = consistency_loss(logits, labels, views)
    p, q = sigmoid(2.0), sigmoid(0.5)
    both = p * log(p / q) + (1 - p) * log((1 - p) / (1 - q)) + q * log(q / p) + (1 - q) * log((1 - q) / (1 - p))
    assert loss.item() == pytest.approx((both / 2 + 80) / 3, rel=1e-5), "half of 160 · 1, where both are sure and differ"
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 0] > 0 > logits.grad[1, 0]
    assert logits.grad[:, 1].abs().sum() == 0


def test_readings_are_compared_text_by_text_each_by_its_strongest_window() -> None:
    views = torch.tensor([0, 0, 1, 2, 3, 3, 3])
    logits = torch.tensor([[-2.0], [1.0], [1.0], [-4.0], [-5.0], [-4.0], [-9.0]], requires_grad=True)
    assert consistency_loss(logits, torch.zeros(7, 1), views).item() == 0
    moved = logits + torch.tensor([[0.0], [0.0], [1.0], [0.0], [0.0], [0.0], [0.0]])
    loss = consistency_loss(moved, torch.zeros(7, 1), views)
    alone = consistency_loss(torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1), torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(alone.item() / 2), "the mean over two texts"
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.flatten().nonzero().flatten().tolist() == [1, 2]


def test_a_label_that_only_one_reading_has_does_not_draw_them_together() -> None:
    views = torch.tensor([0, 1])
    logits, labels = torch.tensor([[3.0, 1.0], [-3.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert consistency_loss(logits, labels, views).item() == 0
    assert consistency_loss(logits[:, :1], labels[:, :1], views).item() == 0


def test_evidence_loss_leaves_free_labels_and_padding_alone() -> None:
    scores = torch.zeros(1, 4, 2, requires_grad=True)
    targets = torch.tensor([[[1.0, FREE], [0.0, FREE], [0.0, FREE], [FREE, FREE]]])
    evidence_loss(scores, targets, torch.tensor([[1.0, 1.0]]), torch.ones(1, 2)).backward()
    assert scores.grad is not None
    assert scores.grad[0, 0, 0] < 0 < scores.grad[0, 1, 0]
    assert scores.grad[0, :, 1].abs().sum() == 0
    assert scores.grad[0, 3].abs().sum() == 0


def test_short_and_long_spans_pull_alike() -> None:
    def loss(inside: int) -> float:
        targets = torch.zeros(1, 40, 1)
        targets[0, :inside] = 1.0
        return float(evidence_loss(torch.full((1, 40, 1), -1.0), targets, torch.ones(1, 1), torch.ones(1, 1)))

    assert loss(1) == pytest.approx(loss(20), rel=1e-5)


def test_the_contrast_loss_parts_texts_of_one_scenario_where_their_labels_differ() -> None:
    logits = torch.tensor([[1.0, 0.0], [0.5, 0.0], [0.0, 0.0], [9.0, 9.0]], requires_grad=True)
    labels = torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    loss = contrast_loss(logits, labels, torch.tensor([7, 7, 8, -1]))
    assert loss.item() == pytest.approx(torch.nn.functional.softplus(torch.tensor(4.0 - 0.5)).item())
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] < 0 < logits.grad[1, 0]
    assert logits.grad[:, 1].abs().sum() == logits.grad[2:].abs().sum() == 0, "alike, of another scenario, or of none"


def test_the_contrast_loss_does_not_part_two_readings_of_one_text() -> None:
    """The first text is read twice, once with its number disguised, which adds a label; the second is another of its scenario."""
    logits = torch.tensor([[1.0], [0.5], [0.0], [0.0]], requires_grad=True)
    labels, scenarios = torch.tensor([[1.0], [0.0], [0.0], [0.0]]), torch.tensor([7, 7, 7, 7])
    loss = contrast_loss(logits, labels, scenarios, torch.tensor([0, 1, 2, 3]))
    assert loss.item() == pytest.approx(torch.nn.functional.softplus(torch.tensor(4.0 - 1.0)).item())
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0] < 0 == logits.grad[1] < logits.grad[2] == logits.grad[3]


def test_the_contrast_loss_parts_the_windows_of_one_reading_as_it_does_those_of_a_text_that_is_read_once() -> None:
    logits, labels, scenarios = torch.tensor([[1.0], [0.5]]), torch.tensor([[1.0], [0.0]]), torch.tensor([7, 7])
    once = contrast_loss(logits, labels, scenarios)
    assert contrast_loss(logits, labels, scenarios, torch.tensor([0, 0])) == once > 0


def test_the_contrast_loss_of_a_batch_without_a_pair_is_nothing() -> None:
    assert contrast_loss(torch.ones(2, 1), torch.tensor([[1.0], [0.0]]), torch.tensor([-1, -1])).item() == 0

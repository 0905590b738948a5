"""The losses that the network is trained with: of the labels, of the evidence, between texts of one scenario, and between two
readings of one text.

All start from what stands before the sigmoid, so that no probability is ever rounded to 0 or 1 before its logarithm is taken.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

FREE = -1.0
"""Evidence target of a label that is present without a span: its attention is left free."""
SMALLEST_DISTANCE = 1e-6
"""Of a probability from its target, in the focal loss: below it a power under 1 would have no finite slope."""


def label_loss(
    logits: Tensor, labels: Tensor, weights: Tensor, *, kind: str = "cross_entropy", smoothing: float = 0.0, **options: float
) -> Tensor:
    """Weighted mean over texts and labels of one of the losses below.

    Args:
        logits: [batch, labels].
        labels: [batch, labels], 0/1 or a share of annotators between.
        weights: [batch, labels].
        kind: a name in ``LABEL_LOSSES``.
        smoothing: how far targets are drawn towards one half: the target is ``(1 - smoothing) * label + smoothing / 2``, label
            smoothing as in Szegedy et al. 2016 ("Rethinking the Inception Architecture") for the two classes yes and no.
        options: of that loss.

    Raises:
        ValueError: there is no such loss.
    """
    if kind not in LABEL_LOSSES:
        raise ValueError(f"There is no label loss {kind!r}: it should be one of {', '.join(LABEL_LOSSES)}.")
    targets = (1.0 - smoothing) * labels + smoothing / 2 if smoothing else labels
    return (LABEL_LOSSES[kind](logits, targets, **options) * weights).mean()


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of each label; all of this shape. Least where the probability is the target."""
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def focal(logits: Tensor, targets: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Focal loss (Lin et al. 2017, "Focal Loss for Dense Object Detection"): cross-entropy times the distance between probability
    and target to the power of ``gamma``, so that what is nearly right counts for little. 0 is cross-entropy.

    For targets between 0 and 1 it is the quality focal loss of Li et al. 2020 ("Generalized Focal Loss"), which is the same for 0
    and 1 and, as cross-entropy, least where the probability is the target.
    """
    # |target - probability|, without the rounding of 1 - probability near 1
    distance = (targets * torch.sigmoid(-logits) - (1.0 - targets) * torch.sigmoid(logits)).abs()
    return distance.clamp(min=SMALLEST_DISTANCE) ** gamma * cross_entropy(logits, targets)


def asymmetric(
    logits: Tensor, targets: Tensor, *, gamma_negative: float = 4.0, gamma_positive: float = 0.0, margin: float = 0.05
) -> Tensor:
    """Asymmetric loss (Ridnik et al. 2021, "Asymmetric Loss For Multi-Label Classification"): focal, with a power of its own for
    absent labels, which are many, and these are let go where their probability is below a margin.

    As in the authors' code the weight of the focusing is without gradient, and a target between 0 and 1 has one weight for both
    halves of the cross-entropy: so a share of annotators is still where the probability comes to rest (a little above, by the
    margin). With both powers and the margin 0 it is cross-entropy.

    Args:
        logits: of any shape.
        targets: of that shape, from 0 to 1.
        gamma_negative: power for absent labels.
        gamma_positive: power for present ones; the paper has 0.
        margin: what is taken off the probability of absent labels.
    """
    present = functional.logsigmoid(logits)
    # log of min(1, 1 - probability + margin)
    absent = functional.logsigmoid(-logits)
    absent = torch.logaddexp(absent, torch.full_like(absent, math.log(margin) if margin else -math.inf)).clamp(max=0.0)
    with torch.no_grad():
        wrong = targets * torch.sigmoid(-logits) + (1.0 - targets) * (torch.sigmoid(logits) - margin).clamp(min=0.0)
        focus = wrong ** (targets * gamma_positive + (1.0 - targets) * gamma_negative)
    return -focus * (targets * present + (1.0 - targets) * absent)


LABEL_LOSSES: dict[str, Callable[..., Tensor]] = {"cross_entropy": cross_entropy, "focal": focal, "asymmetric": asymmetric}
"""Name → loss of each label."""


def evidence_loss(scores: Tensor, targets: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Token-wise cross-entropy between evidence and spans.

    For a present label the tokens inside and outside its spans count alike, however short the span is; for an absent
    label no token is evidence, at a tenth of its label's weight, since absent labels are many.

    Args:
        scores: [batch, tokens, labels], before the sigmoid.
        targets: [batch, tokens, labels], 1 / 0 / ``FREE`` (ignored; padding too).
        labels: [batch, labels].
        weights: [batch, labels], the labels' weights; used for absent ones.
    """
    supervised = (targets != FREE).to(scores.dtype)
    loss = functional.binary_cross_entropy_with_logits(scores, targets.clamp(min=0.0), reduction="none") * supervised
    inside = targets.clamp(min=0.0) * supervised
    outside = supervised - inside
    per_pair = (loss * inside).sum(1) / inside.sum(1).clamp(min=1.0) + (loss * outside).sum(1) / outside.sum(1).clamp(min=1.0)
    pair_weight = torch.where(labels > 0.5, 1.0, 0.1 * weights) * (supervised.sum(1) > 0)
    return (per_pair * pair_weight).sum() / pair_weight.sum().clamp(min=1.0)


def contrast_loss(
    logits: Tensor, labels: Tensor, scenarios: Tensor, views: Tensor | None = None, *, margin: float = 4.0
) -> Tensor:
    """Where two texts of one scenario differ in a label, the one that has it should be ``margin`` above the other (a smooth
    hinge, as in RankNet, Burges et al. 2005). Zero when the batch holds no such pair.

    Such texts are often minimal pairs ("we keep your passport" / "you keep your passport"). Label by label their order
    comes out right long before the distance between them is wide enough for one threshold to part them.

    Args:
        logits: [batch, labels].
        labels: [batch, labels], 0/1.
        scenarios: [batch]; -1 is of no scenario.
        views: [batch], where each text is read twice: which reading a window belongs to, as in ``consistency_loss``. Two readings
            of one text may differ in a label (disguising a number adds one), and are no minimal pair: they are left out.
        margin: how far.
    """
    of_one = (scenarios[:, None] == scenarios[None, :]) & (scenarios[:, None] >= 0)
    if views is not None:
        of_one &= (views[:, None] // 2 != views[None, :] // 2) | (views[:, None] == views[None, :])
    differ = of_one[:, :, None] & (labels[:, None, :] > 0.5) & (labels[None, :, :] < 0.5)  # [with, without, labels]
    gaps = (logits[:, None, :] - logits[None, :, :])[differ]
    return functional.softplus(margin - gaps).sum() / max(gaps.numel(), 1)


def consistency_loss(logits: Tensor, labels: Tensor, views: Tensor) -> Tensor:
    """How much two readings of one text differ in what they find: the mean of both Kullback-Leibler divergences between their
    probabilities of a label (Liang et al. 2021, "R-Drop"), mean over texts and labels.

    A reading's probability of a label is that of its strongest window, as in scoring, so both may have windows of their own
    number. Where the readings have different targets (disguising a number adds a label), they are not drawn together.

    Args:
        logits: [windows, labels].
        labels: [windows, labels].
        views: [windows], which reading each is a window of: 0 and 1 are of the first text, 2 and 3 of the second, …
    """

    def of_views(values: Tensor) -> Tensor:  # [texts, 2, labels]
        places = views[:, None].expand_as(values)
        highest = values.new_zeros(int(views.max()) + 1, values.shape[1])
        return highest.scatter_reduce(0, places, values, "amax", include_self=False).view(-1, 2, values.shape[1])

    (first, second), (target, other) = of_views(logits).unbind(1), of_views(labels).unbind(1)
    # KL(p‖q) + KL(q‖p) of two yes-or-no probabilities is (p - q)(logit p - logit q)
    divergence = (torch.sigmoid(first) - torch.sigmoid(second)) * (first - second) / 2
    alike = (target == other).to(divergence.dtype)
    return (divergence * alike).sum() / alike.sum().clamp(min=1.0)

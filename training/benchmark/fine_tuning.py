"""Fine-tuning on a benchmark: the network with the task's labels, its loss, and reading a split with it."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import set_seed

from models.losses import evidence_loss
from models.network import SignaalConfig, SignaalModel, add_lora, freeze_embeddings, new_model, use_fused_attention
from training.benchmark.plan import Plan
from training.benchmark.settings import BenchmarkSettings
from training.benchmark.task import Task
from training.benchmark.tokens import TokenisedSplit
from training.loop import Best, Loop, Pace, device, precision
from training.progress import with_progress

log = logging.getLogger(__name__)

EVALUATION_TOKENS = 8_192
"""Tokens of a batch that is only read, padding included."""
EVALUATION_PAIRS = 32_768
"""Texts times labels of such a batch: each label reads a text with a vector of its own, of which four copies are about
(6 kB a pair in fp32, 200 MB in all)."""
FORWARD_SHARE = 0.35
"""Of a training step's time, what reading alone takes."""

Score = Callable[[NDArray[np.float32]], float]


@dataclass(frozen=True)
class Trained:
    """A network, ready to read (adapters not merged), and how it came about."""

    model: SignaalModel
    plan: Plan
    best: Best


def fine_tune(
    base: Path,
    task: Task,
    train: TokenisedSplit,
    validation: TokenisedSplit,
    score: Score,
    settings: BenchmarkSettings,
    seed: int,
) -> Trained:
    """Train once and give the network of the best validation score.

    Args:
        base: folder of the encoder.
        task: the labels.
        train: what it learns from.
        validation: what decides which epoch is best.
        score: what is to be high on the validation split, from its logits [texts, labels].
        settings: what the plan is made from.
        seed: of weights, order and dropout.
    """
    set_seed(seed)
    plan = Plan.of(len(train), settings)
    model = _build(base, task, plan, settings).to(device())
    loss_of = _loss(model, task, train, settings)
    loop = Loop(model, train.lengths.tolist(), settings.batch_size, loss_of, torch.Generator().manual_seed(seed))
    seconds = loop.seconds_per_epoch() * (1 + FORWARD_SHARE * float(validation.lengths.sum() / train.lengths.sum()))
    plan = plan.within(settings.minutes, seconds)
    log.info(
        "Training %s, seed %d: %d texts, up to %.3g epochs of %d steps, encoder rate %g; at most about %.3g minutes.",
        *(plan.method, seed, len(train), plan.epochs, plan.steps_per_epoch, plan.encoder_lr, plan.epochs * seconds / 60),
    )
    pace = Pace(
        plan.encoder_lr, settings.head_lr, settings.weight_decay, settings.warmup_share, plan.steps, patience=settings.patience
    )
    return Trained(model, plan, loop.train(pace, lambda: score(logits_of(model, validation))))


def _build(base: Path, task: Task, plan: Plan, settings: BenchmarkSettings) -> SignaalModel:
    config = SignaalConfig(
        labels=list(task.labels), document_types=[], evidence_weight=settings.evidence_weight, head_dropout=settings.dropout
    )
    model = use_fused_attention(new_model(base, config, layers=settings.layers))
    if plan.method == "full":
        return freeze_embeddings(model)
    return add_lora(model, rank=settings.lora_rank, alpha=2 * settings.lora_rank, dropout=0.0)


def _loss(model: SignaalModel, task: Task, train: TokenisedSplit, settings: BenchmarkSettings) -> Callable[[list[int]], Tensor]:
    """Cross-entropy over the labels, or for each label; and of the spans, where there are any."""
    spans = task.spans and settings.evidence_weight > 0

    def loss_of(rows: list[int]) -> Tensor:
        batch = {name: tensor.to(device()) for name, tensor in train.batch(rows, evidence=spans).items()}
        labels = batch["labels"]
        with precision():
            out = model(batch["input_ids"], batch["attention_mask"])
        logits = out.logits.float()
        if task.single:
            loss = nn.functional.cross_entropy(logits, labels.argmax(1))
        else:
            loss = nn.functional.binary_cross_entropy_with_logits(logits, labels)
        if spans:
            of_spans = evidence_loss(out.evidence.float(), batch["evidence_targets"], labels, torch.ones_like(labels))
            loss = loss + settings.evidence_weight * of_spans
        return loss

    return loss_of


def logits_of(model: SignaalModel, split: TokenisedSplit) -> NDArray[np.float32]:
    """[texts, labels]"""
    logits = np.zeros(split.truth.shape, dtype=np.float32)
    for rows, out, _ in _read(model, split):
        logits[rows] = out
    return logits


def evidence_of(model: SignaalModel, split: TokenisedSplit) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Row and evidence [tokens, labels], 0–1, of each text, in no order."""
    for rows, _, evidence in _read(model, split):
        for row, scores in zip(rows, torch.sigmoid(evidence).cpu().numpy(), strict=True):
            yield row, scores[: split.lengths[row]]


def texts_at_once(tokens: int, labels: int) -> int:
    """How many texts of up to so many tokens are read together under so many labels; at least one."""
    return max(1, min(EVALUATION_TOKENS // tokens, EVALUATION_PAIRS // labels))


def _read(model: SignaalModel, split: TokenisedSplit) -> Iterator[tuple[list[int], NDArray[np.float32], Tensor]]:
    model.eval()
    order = np.argsort(-split.lengths, kind="stable").tolist()
    batches: list[list[int]] = []
    while order:
        size = texts_at_once(int(split.lengths[order[0]]), split.truth.shape[1])
        batches.append(order[:size])
        order = order[size:]
    with torch.inference_mode(), precision():
        for rows in with_progress(batches, "Reading"):
            batch = split.batch(rows)
            out = model(batch["input_ids"].to(device()), batch["attention_mask"].to(device()))
            yield rows, out.logits.float().cpu().numpy(), cast(Tensor, out.evidence).float()

"""Fine-tuning on a benchmark: a plain loop, because it has less to do than ``transformers.Trainer`` wants to be told.

Like-length batches, AdamW with a rate for the encoder and one for the heads, cosine schedule, the weights of the best
validation score, early stopping. One device: the first GPU (in bf16), or the CPU.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import mlflow
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn
from transformers import get_cosine_schedule_with_warmup, set_seed

from models.network import SignaalConfig, SignaalModel, add_lora, evidence_loss, freeze_embeddings, new_model, use_fused_attention
from training.benchmark.plan import Plan
from training.benchmark.settings import BenchmarkSettings
from training.benchmark.task import Task
from training.benchmark.tokens import TokenisedSplit
from training.sampler import LikeLengthBatches

log = logging.getLogger(__name__)

EVALUATION_TOKENS = 8_192
"""Tokens of a batch that is only read, padding included."""
TIMED_STEPS = 4
FORWARD_SHARE = 0.35
"""Of a training step's time, what reading alone takes."""

Score = Callable[[NDArray[np.float32]], float]


@dataclass(frozen=True)
class Trained:
    """A network, ready to read; which epoch's weights it has, and how long training took."""

    model: SignaalModel
    plan: Plan
    best_epoch: int
    validation_score: float
    seconds: float


def device() -> torch.device:
    """Where to train and read."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fine_tune(
    base: Path,
    task: Task,
    train: TokenisedSplit,
    validation: TokenisedSplit,
    score: Score,
    settings: BenchmarkSettings,
    seed: int,
) -> Trained:
    """Train once and give the network of the best validation score (adapters not merged).

    Args:
        score: what is to be high on the validation split, from its logits [texts, labels].
    """
    set_seed(seed)
    plan = Plan.of(len(train), settings)
    model = _build(base, task, plan, settings).to(device())
    loop = _Loop(model, task, train, settings)
    seconds = loop.seconds_per_token() * (train.lengths.sum() + FORWARD_SHARE * validation.lengths.sum())
    plan = plan.within(settings.minutes, seconds)
    log.info(
        "Training %s, seed %d: %d texts, up to %.3g epochs of %d steps, encoder rate %g; at most about %.3g minutes.",
        *(plan.method, seed, len(train), plan.epochs, plan.steps_per_epoch, plan.encoder_lr, plan.epochs * seconds / 60),
    )
    began = time.monotonic()
    best, best_epoch, since = -1.0, 0, 0
    kept: dict[str, Tensor] = {}
    for epoch in loop.epochs(plan):
        reached = score(logits_of(model, validation))
        log.info("epoch %d: loss %.4f, validation %.4f, %.0f s", epoch, loop.loss, reached, time.monotonic() - began)
        mlflow.log_metrics({"train/loss": loop.loss, "validation/score": reached}, step=epoch)
        if reached > best:
            best, best_epoch, since = reached, epoch, 0
            kept = {n: p.detach().cpu().clone() for n, p in model.named_parameters() if p.requires_grad}
        else:
            since += 1
            if since >= settings.patience:
                break
    model.load_state_dict(kept, strict=False)
    return Trained(model.eval(), plan, best_epoch, best, time.monotonic() - began)


def _build(base: Path, task: Task, plan: Plan, settings: BenchmarkSettings) -> SignaalModel:
    config = SignaalConfig(
        labels=list(task.labels), document_types=[], evidence_weight=settings.evidence_weight, head_dropout=settings.dropout
    )
    model = use_fused_attention(new_model(base, config, layers=settings.layers))
    if plan.method == "full":
        return freeze_embeddings(model)
    return add_lora(model, rank=settings.lora_rank, alpha=2 * settings.lora_rank, dropout=0.0)


class _Loop:
    """The steps of one training, an epoch at a time."""

    def __init__(self, model: SignaalModel, task: Task, train: TokenisedSplit, settings: BenchmarkSettings) -> None:
        self.loss = 0.0
        self._model = model
        self._task = task
        self._train = train
        self._settings = settings
        lengths = train.lengths.tolist()
        self._sampler = LikeLengthBatches(lengths, [""] * len(lengths), settings.batch_size)

    def seconds_per_token(self) -> float:
        """The time of a training step over its tokens, from some random batches; changes no weight."""
        state = torch.get_rng_state()
        rows = torch.randperm(len(self._train)).tolist()
        size = self._settings.batch_size
        tokens, began = 0, 0.0
        for step in range(TIMED_STEPS + 1):
            some = sorted(rows[(step * size) % len(rows) :][:size], key=lambda row: self._train.lengths[row])
            if step == 1:  # the first warms up
                tokens, began = 0, time.monotonic()
            self._loss_of(some).backward()  # type: ignore[no-untyped-call]
            tokens += int(self._train.lengths[some].sum())
        self._model.zero_grad(set_to_none=True)
        torch.set_rng_state(state)
        return (time.monotonic() - began) / tokens

    def epochs(self, plan: Plan) -> Iterator[int]:
        """Number of each epoch, when it is done; the last may be a part of one."""
        settings = self._settings
        groups: dict[str, list[nn.Parameter]] = {"encoder": [], "head": []}
        for name, parameter in self._model.named_parameters():
            if parameter.requires_grad:
                groups["encoder" if name.startswith("encoder.") else "head"].append(parameter)
        rates = {"encoder": plan.encoder_lr, "head": settings.head_lr}
        optimizer = torch.optim.AdamW(
            [{"params": groups[part], "lr": rates[part]} for part in groups], weight_decay=settings.weight_decay
        )
        schedule = get_cosine_schedule_with_warmup(optimizer, int(settings.warmup_share * plan.steps), plan.steps)
        trainable = [*groups["encoder"], *groups["head"]]
        done = epoch = 0
        while done < plan.steps:
            self._model.train()
            losses: list[float] = []
            with Progress(console=Console(stderr=True), transient=True) as progress:
                bar = progress.add_task(f"Epoch {epoch + 1}", total=min(plan.steps_per_epoch, plan.steps - done))
                for rows in self._batches():
                    loss = self._loss_of(rows)
                    loss.backward()  # type: ignore[no-untyped-call]
                    nn.utils.clip_grad_norm_(trainable, 1.0)
                    optimizer.step()
                    schedule.step()
                    optimizer.zero_grad(set_to_none=True)
                    losses.append(float(loss.detach()))
                    progress.advance(bar)
                    done += 1
                    if done == plan.steps:
                        break
            epoch += 1
            self.loss = float(np.mean(losses))
            yield epoch

    def _batches(self) -> Iterator[list[int]]:
        order = list(self._sampler)
        for start in range(0, len(order), self._settings.batch_size):
            yield order[start : start + self._settings.batch_size]

    def _loss_of(self, rows: list[int]) -> Tensor:
        spans = self._task.spans and self._settings.evidence_weight > 0
        batch = {name: tensor.to(device()) for name, tensor in self._train.batch(rows, evidence=spans).items()}
        labels = batch["labels"]
        with _precision():
            out = self._model(batch["input_ids"], batch["attention_mask"])
        logits = out.logits.float()
        if self._task.single:
            loss = nn.functional.cross_entropy(logits, labels.argmax(1))
        else:
            loss = nn.functional.binary_cross_entropy_with_logits(logits, labels)
        if spans:
            weights = torch.ones_like(labels)
            loss = loss + self._settings.evidence_weight * evidence_loss(
                out.evidence.float(), batch["evidence_targets"], labels, weights
            )
        return loss


def _precision() -> torch.autocast:
    # bf16 on a CPU without it is many times slower (measured), so only on a GPU.
    return torch.autocast(device().type, dtype=torch.bfloat16, enabled=device().type == "cuda")


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


def _read(model: SignaalModel, split: TokenisedSplit) -> Iterator[tuple[list[int], NDArray[np.float32], Tensor]]:
    model.eval()
    order = np.argsort(-split.lengths, kind="stable").tolist()
    with Progress(console=Console(stderr=True), transient=True) as progress, torch.inference_mode(), _precision():
        bar = progress.add_task("Reading", total=len(order))
        while order:
            size = max(1, EVALUATION_TOKENS // int(split.lengths[order[0]]))
            rows, order = order[:size], order[size:]
            batch = split.batch(rows)
            out = model(batch["input_ids"].to(device()), batch["attention_mask"].to(device()))
            yield rows, out.logits.float().cpu().numpy(), cast(Tensor, out.evidence).float()
            progress.advance(bar, len(rows))

"""Teaching: the student reads what the teacher reads, augmented anew each time, and learns from it and from the labels."""

import logging
from collections.abc import Callable
from random import Random
from typing import cast

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from sklearn.metrics import average_precision_score
from torch import Tensor
from transformers import set_seed

from models.example import LabelledExample, Split
from models.network import SignaalModel, use_fused_attention
from models.taxonomy import Taxonomy
from models.windows import WindowMaker, batches, padded
from training.augmentation import augmented
from training.dataset import WindowCollator, label_matrix, rows_of
from training.distillation.losses import distance, read
from training.distillation.settings import DistillationSettings
from training.loop import Best, Loop, Pace, device, precision
from training.trainer import positive_weights

log = logging.getLogger(__name__)

MAX_LABEL_WEIGHT = 3.0
HARD_NEGATIVE_WEIGHT = 3.0
"""As in a run's own training (``training.settings``)."""
TOKENS_AT_ONCE = 8_192


def teach(
    teacher: SignaalModel,
    student: SignaalModel,
    splits: dict[Split, list[LabelledExample]],
    taxonomy: Taxonomy,
    maker: WindowMaker,
    settings: DistillationSettings,
) -> Best:
    """Train the student (in place) on the training split; it ends with the weights of the best epoch by mean average
    precision over the indicators on the validation split."""
    set_seed(settings.seed)
    chance = Random(settings.seed)
    examples = splits["train"]
    weights = positive_weights(examples, taxonomy, MAX_LABEL_WEIGHT)
    collator = WindowCollator(maker.pad_id, weights, HARD_NEGATIVE_WEIGHT)
    use_fused_attention(teacher).to(device()).eval().requires_grad_(False)
    use_fused_attention(student).to(device())

    def loss_of(rows: list[int]) -> Tensor:
        texts = [augmented(examples[row], chance, settings.augment_share) for row in rows]
        batch = {name: tensor.to(device()) for name, tensor in collator(rows_of(texts, taxonomy, maker)).items()}
        with precision():
            with torch.no_grad():
                wanted = read(teacher, {name: batch[name] for name in ("input_ids", "attention_mask")})
            found = read(student, batch)
        return distance(found, wanted, batch["attention_mask"]) + settings.labels_weight * cast(Tensor, found.loss)

    order = torch.Generator().manual_seed(settings.seed)
    loop = Loop(student, [len(example.text) for example in examples], settings.batch_size, loss_of, order)
    epochs, seconds = settings.epochs, loop.seconds_per_epoch()
    if settings.minutes is not None:
        epochs = min(epochs, settings.minutes * 60 / seconds)
    log.info("Teaching: %d texts, %.3g epochs, about %.3g minutes.", len(examples), epochs, epochs * seconds / 60)
    pace = Pace(
        settings.encoder_lr,
        settings.head_lr,
        settings.weight_decay,
        settings.warmup_share,
        steps=max(1, round(epochs * loop.steps_per_epoch)),
        patience=settings.patience,
    )
    return loop.train(pace, _mean_average_precision(student, splits["validation"], taxonomy, maker))


def _mean_average_precision(
    student: SignaalModel, examples: list[LabelledExample], taxonomy: Taxonomy, maker: WindowMaker
) -> Callable[[], float]:
    """The validation score: over the indicators that any of the texts has; a text's logit is its highest window's."""
    windows = maker.windows([example.text for example in examples])
    truth = label_matrix(examples, taxonomy.indicator_ids).numpy()
    there = np.flatnonzero(truth.any(axis=0))

    def score() -> float:
        logits = np.full((len(examples), len(taxonomy.label_ids)), -np.inf)
        with torch.inference_mode(), precision():
            for batch in track(list(batches(windows, TOKENS_AT_ONCE)), "Reading", console=Console(stderr=True), transient=True):
                some = [windows[i] for i in batch]
                ids, mask = (torch.from_numpy(part).to(device()) for part in padded(some, maker.pad_id))
                for window, row in zip(some, student(ids, mask).logits.float().cpu().numpy(), strict=True):
                    logits[window.text_index] = np.maximum(logits[window.text_index], row)
        return float(np.mean([average_precision_score(truth[:, i], logits[:, i]) for i in there])) if len(there) else 0.0

    return score

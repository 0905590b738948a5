"""Probabilities out of sample: each text is judged by a model that saw neither it nor any text of its scenario."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.model_selection import StratifiedGroupKFold

from models.base import base_encoder_folder
from models.calibration import fit_platt
from models.example import LabelledExample, Split
from models.network import SignaalModel
from models.settings import ModelSettings
from models.taxonomy import Taxonomy
from models.windows import WindowMaker, batches
from training.checkpoints import passing_checkpoints
from training.dataset import WindowCollator, label_matrix, rows_of
from training.errors import TrainingError
from training.frozen import TOKENS_AT_ONCE, TokenStates, fit_heads, head_logits
from training.progress import with_progress
from training.settings import TrainingSettings
from training.trainer import fine_tune

Array = NDArray[np.float64]
WATCHED = 10
"""One scenario in so many of what a fold trains on is kept to choose the best epoch by, when the encoder is fine-tuned."""


@dataclass(frozen=True)
class Fold:
    """Places of examples: those that are learnt from, and those that are judged."""

    learnt: list[int]
    judged: list[int]


def scenario_groups(examples: Sequence[LabelledExample]) -> list[str]:
    """One name a text, the same for texts of one scenario; a text without a scenario is one of its own."""
    return [example.scenario or f"#{place}" for place, example in enumerate(examples)]


def scenario_folds(examples: Sequence[LabelledExample], folds: int, seed: int) -> list[Fold]:
    """K folds in which no scenario is on both sides, each with about the same share of every language.

    Raises:
        TrainingError: there are fewer scenarios than folds.
    """
    groups = scenario_groups(examples)
    if len(set(groups)) < folds:
        raise TrainingError(f"{len(set(groups))} scenarios do not make {folds} folds; give fewer folds or more texts.")
    texts = Counter(example.lang for example in examples)
    languages = [example.lang if texts[example.lang] >= folds else "few" for example in examples]
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(np.zeros(len(examples)), languages, groups)
    return [Fold(learnt.tolist(), judged.tolist()) for learnt, judged in split]


def calibrated(logits: Array, examples: Sequence[LabelledExample], taxonomy: Taxonomy) -> Array:
    """Probabilities [examples, labels] from logits out of sample: a fit of two numbers a label (``fit_platt``), over all of
    them, which is too little to learn one text's label."""
    fits = fit_platt(logits, label_matrix(examples, taxonomy.label_ids).numpy().astype(np.float64))
    return np.stack([expit(scale * logits[:, i] + bias) for i, (scale, bias) in enumerate(fits)], axis=1)


def with_heads(known: TokenStates, folds: Sequence[Fold], seed: int) -> Array:
    """The cheap way: heads on a frozen encoder for each fold. Logits [examples, labels]."""
    logits = np.empty((len(known.examples), len(known.taxonomy.label_ids)))
    for number, fold in enumerate(with_progress(folds, "Training heads")):
        logits[fold.judged] = head_logits(fit_heads(known, fold.learnt, seed=seed + number), known, fold.judged)
    return logits


def with_fine_tuning(
    examples: Sequence[LabelledExample],
    folds: Sequence[Fold],
    taxonomy: Taxonomy,
    settings: TrainingSettings,
    model_settings: ModelSettings,
) -> Array:
    """The full way: the whole network is fine-tuned for each fold, as ``signaal-train run`` does. Logits [examples, labels]."""
    maker = WindowMaker(base_encoder_folder(settings.base, model_settings.cache_dir) / "tokenizer.json")
    logits = np.empty((len(examples), len(taxonomy.label_ids)))
    for fold in folds:
        with passing_checkpoints(settings.output) as folder:
            model = fine_tune(fold_splits(examples, fold), taxonomy, settings, model_settings, folder=folder)
        logits[fold.judged] = network_logits(model, [examples[i] for i in fold.judged], taxonomy, maker)
    return logits


def fold_splits(examples: Sequence[LabelledExample], fold: Fold) -> dict[Split, list[LabelledExample]]:
    """What a fold learns from as the splits of a training run; a part of it is kept to choose the best epoch by."""
    groups = scenario_groups(examples)
    watched = set(sorted({groups[place] for place in fold.learnt})[::WATCHED])
    splits: dict[Split, list[LabelledExample]] = {"train": [], "validation": [], "test": []}
    for place in fold.learnt:
        splits["validation" if groups[place] in watched else "train"].append(examples[place])
    return splits


def network_logits(model: SignaalModel, examples: Sequence[LabelledExample], taxonomy: Taxonomy, maker: WindowMaker) -> Array:
    """Logits [examples, labels] of a network in torch; of several windows the highest."""
    windows = maker.windows([example.text for example in examples])
    rows = rows_of(examples, taxonomy, maker, soft=False)
    collate = WindowCollator(maker.pad_id)
    logits = np.full((len(examples), len(taxonomy.label_ids)), -np.inf)
    with torch.inference_mode():
        for batch in with_progress(list(batches(windows, TOKENS_AT_ONCE)), "Judging what was held out"):
            inputs = collate([rows[i] for i in batch])
            ids, mask = (inputs[name].to(model.device) for name in ("input_ids", "attention_mask"))
            found = model(input_ids=ids, attention_mask=mask).logits.float().cpu().numpy()
            for window, values in zip(batch, found, strict=True):
                text = windows[window].text_index
                logits[text] = np.maximum(logits[text], values)
    return logits

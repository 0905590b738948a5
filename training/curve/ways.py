"""How a point of a learning curve is trained: heads on a frozen encoder, or the whole network.

In the full way a share gets at least ``LEAST_SHARE`` of the steps that all texts get. With the same number of epochs a tenth of
the texts would get a tenth of the steps, and score low for having been learnt from too briefly, not for being few: the curve
would be too steep, and promise too much of more labels (``training.frozen.LEAST_STEPS`` guards the cheap way against the same).
The same steps for each share would be ten times the epochs for a tenth, which learns it by heart, and cost twice as much in
all; with a third a tenth is read 3.3 times as often, and the whole curve costs 13% more.
"""

import math
from collections.abc import Sequence

from models.base import base_encoder_folder
from models.example import LabelledExample
from models.settings import ModelSettings
from models.taxonomy import Taxonomy
from models.windows import WindowMaker
from training.checkpoints import passing_checkpoints
from training.curve.measure import Array, Train
from training.frozen import FrozenEncoder, fit_heads, head_logits, token_states
from training.out_of_fold import Fold, fold_splits, network_logits
from training.settings import TrainingSettings
from training.trainer import fine_tune

LEAST_SHARE = 1 / 3


def heads_way(examples: Sequence[LabelledExample], taxonomy: Taxonomy, settings: TrainingSettings) -> Train:
    """The cheap way; every text goes through the encoder once."""
    frozen = FrozenEncoder.of_base(settings.base, ModelSettings(), settings.layers)
    known = token_states(frozen, examples, taxonomy)

    def train(learnt: list[int], judged: list[int], seed: int) -> Array:
        return head_logits(fit_heads(known, learnt, seed=seed), known, judged)

    return train


def full_way(examples: Sequence[LabelledExample], taxonomy: Taxonomy, settings: TrainingSettings) -> Train:
    """A fine-tuning for every point, with steps as ``settings_of_share`` says."""
    models = ModelSettings()
    maker = WindowMaker(base_encoder_folder(settings.base, models.cache_dir) / "tokenizer.json")

    def train(learnt: list[int], judged: list[int], seed: int) -> Array:
        splits = fold_splits(examples, Fold(learnt, judged))
        everything = fold_splits(examples, Fold(sorted(set(range(len(examples))) - set(judged)), judged))
        of_share = settings_of_share(settings, len(splits["train"]), len(everything["train"]))
        with passing_checkpoints(settings.output) as folder:
            model = fine_tune(splits, taxonomy, of_share.model_copy(update={"seed": seed}), models, folder=folder)
        return network_logits(model, [examples[place] for place in judged], taxonomy, maker)

    return train


def settings_of_share(settings: TrainingSettings, texts: int, most: int) -> TrainingSettings:
    """Settings with which a share gets ``LEAST_SHARE`` of the steps of all texts, where it would get fewer; unchanged otherwise,
    and where ``max_steps`` says how many there are. Patience grows alike, so that it is not spent after fewer steps.

    Args:
        settings: of the training on all texts.
        texts: how many training texts the share has.
        most: how many there are in all.
    """
    own, least = _steps(settings, texts), math.ceil(LEAST_SHARE * _steps(settings, most))
    if settings.max_steps > 0 or own >= least:
        return settings
    patience = math.ceil(settings.patience * least / max(own, 1))
    return settings.model_copy(update={"max_steps": least, "patience": patience})


def _steps(settings: TrainingSettings, texts: int) -> int:
    """Steps of a training, as ``training.trainer`` counts them."""
    return int(settings.epochs * math.ceil(texts / settings.batch_size))

"""How a point of a learning curve is trained: heads on a frozen encoder, or the whole network."""

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


def heads_way(examples: Sequence[LabelledExample], taxonomy: Taxonomy, settings: TrainingSettings) -> Train:
    """The cheap way; every text goes through the encoder once."""
    frozen = FrozenEncoder.of_base(settings.base, ModelSettings(), settings.layers)
    known = token_states(frozen, examples, taxonomy)

    def train(learnt: list[int], judged: list[int], seed: int) -> Array:
        return head_logits(fit_heads(known, learnt, seed=seed), known, judged)

    return train


def full_way(examples: Sequence[LabelledExample], taxonomy: Taxonomy, settings: TrainingSettings) -> Train:
    """A fine-tuning for every point."""
    models = ModelSettings()
    maker = WindowMaker(base_encoder_folder(settings.base, models.cache_dir) / "tokenizer.json")

    def train(learnt: list[int], judged: list[int], seed: int) -> Array:
        splits = fold_splits(examples, Fold(learnt, judged))
        with passing_checkpoints(settings.output) as folder:
            model = fine_tune(splits, taxonomy, settings.model_copy(update={"seed": seed}), models, folder=folder)
        return network_logits(model, [examples[place] for place in judged], taxonomy, maker)

    return train

"""Settings of a training run: from a configuration file, the environment (``SIGNAAL_TRAIN_*``) or the command line.

Reading a file, and saying what is wrong in it, is ``training.configuration``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.base import DEFAULT_BASE


class DataSource(BaseModel):
    """One labelled-examples file, and how much of it training sees."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path = Field(description="Labelled-examples file (JSON Lines).")
    share: float = Field(
        default=1.0,
        gt=0,
        le=100,
        description="How often an epoch draws a training scenario of this file: 1 each once, 0.25 a quarter of them (chosen by "
        "the seed), 2 each twice. Validation and test examples are always used, once.",
    )


def _as_sources(value: Any) -> Any:
    """A file, or a list of files, is short for sources with share 1."""
    several = [value] if isinstance(value, str | Path | Mapping) or not isinstance(value, Sequence) else value
    return [{"path": one} if isinstance(one, str | Path) else one for one in several]


class TrainingSettings(BaseSettings):
    """Everything that decides what a run gives."""

    model_config = SettingsConfigDict(env_prefix="SIGNAAL_TRAIN_")

    data: Annotated[tuple[DataSource, ...], NoDecode, BeforeValidator(_as_sources)] = Field(
        default=(DataSource(path=Path("data/corpus.jsonl")),),
        min_length=1,
        description="Labelled-examples files (JSON Lines): one file, or a list of files, each with its share. A scenario, and a "
        "text, may be in one split only, over all files together.",
    )
    output: Path = Field(default=Path("runs"), description="Folder for checkpoints, bundles and reports.")

    base: str = Field(default=DEFAULT_BASE, description="Base encoder: the default, a folder, or a hub id.")
    start_from: Path | None = Field(
        default=None,
        description="Bundle whose weights training starts from (models/released, say); fresh adapters and heads when left out.",
    )
    layers: int | None = Field(default=None, ge=1, description="Keep only the first so many encoder layers.")
    method: Literal["lora", "full", "head"] = Field(
        default="lora",
        description="lora: adapters of a few MB on a frozen encoder. full: all but the embedding tables. head: the heads alone, "
        "on the encoder as it is, or as start_from left it.",
    )
    lora_rank: int = Field(default=16, ge=1, description="Rank of the LoRA adapters.")
    lora_alpha: int = Field(default=32, ge=1, description="Scale of the LoRA adapters.")
    lora_dropout: float = Field(
        default=0, ge=0, lt=1, description="Dropout before the adapters; above 0 costs a third more time."
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Dropout of the heads.")

    encoder_lr: float = Field(default=5e-4, gt=0, description="Peak learning rate of the adapters (use about 5e-5 with full).")
    head_lr: float = Field(default=2e-3, gt=0, description="Peak learning rate of the heads.")
    weight_decay: float = Field(default=0.01, ge=0, description="Weight decay of all trained weights.")
    warmup_share: float = Field(default=0.06, ge=0, le=1, description="Share of the steps in which the learning rate rises.")
    batch_size: int = Field(default=8, ge=1, description="Examples a step, over all processes together.")

    augment_share: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="Share of training texts rewritten (disguised, mistyped, without punctuation or diacritics) when drawn.",
    )

    max_label_weight: float = Field(default=3.0, ge=1, description="A rare label's positives weigh at most this much.")
    hard_negative_weight: float = Field(default=3.0, ge=1, description="Weight of a label that the text looks like and has not.")
    evidence_weight: float = Field(default=1.0, ge=0, description="Weight of the span loss; 0 leaves attention free.")
    document_type_weight: float = Field(default=0.3, ge=0, description="Weight of the document-type loss.")
    contrast_weight: float = Field(
        default=0.1, ge=0, description="Weight of the contrast loss between texts of one scenario whose labels differ."
    )

    epochs: float = Field(default=5, gt=0, description="Passes over the training split, at most.")
    max_steps: int = Field(default=-1, description="Stop after so many steps; -1 leaves it to epochs.")
    minutes: float | None = Field(
        default=None,
        gt=0,
        description="Stop training after so many minutes, and keep what was best by then; calibration, evaluation and report "
        "come on top. The learning rate falls over epochs or max_steps: set these to what fits.",
    )
    patience: int = Field(default=4, ge=1, description="Stop when the validation score has not risen for so many epochs.")
    checkpoint_minutes: float = Field(
        default=5,
        ge=0,
        description="Minutes between checkpoints within an epoch (its end always has one); 0 for one at every step. A run that "
        "was killed goes on from the last with --resume.",
    )

    seed: int = Field(default=17, ge=0, description="Seed of weights, order, augmentation and dropout.")
    seeds: tuple[int, ...] = Field(
        default=(),
        description="Several seeds: a whole run with each, nested in one MLflow run, and a table of mean and spread.",
    )

    model_name: str = Field(default="signaal", description="Name in the bundle's manifest.")
    version: str = Field(default="dev", description="Version in the bundle's manifest.")


HEADINGS = {
    "data": "What it learns from, and where things go",
    "base": "The network",
    "encoder_lr": "Optimisation",
    "augment_share": "Augmentation",
    "max_label_weight": "Weights in the loss",
    "epochs": "Budget",
    "seed": "Chance",
    "model_name": "Name",
}
"""Where a section of the written configuration file begins: its first setting, and its heading."""

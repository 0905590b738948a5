"""Settings of a training run, from the environment (``SIGNAAL_TRAIN_*``) or the command line."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.base import DEFAULT_BASE


class TrainingSettings(BaseSettings):
    """Everything that decides what a run gives."""

    model_config = SettingsConfigDict(env_prefix="SIGNAAL_TRAIN_")

    data: Path = Field(default=Path("data/corpus.jsonl"), description="Labelled-examples file (JSON Lines).")
    output: Path = Field(default=Path("runs"), description="Folder for checkpoints, bundles and reports.")
    base: str = Field(default=DEFAULT_BASE, description="Base encoder: the default, a folder, or a hub id.")
    start_from: Path | None = Field(
        default=None,
        description="Bundle whose weights training starts from (models/released, say); fresh adapters and heads when left out.",
    )
    layers: int | None = Field(default=None, ge=1, description="Keep only the first so many encoder layers.")
    method: Literal["lora", "full"] = Field(
        default="lora", description="lora: adapters of a few MB on a frozen encoder. full: all but the embedding tables."
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
    batch_size: int = Field(default=8, ge=1, description="Examples a step.")
    epochs: float = Field(default=5, gt=0, description="Passes over the training split, at most.")
    max_steps: int = Field(default=-1, description="Stop after so many steps; -1 leaves it to epochs.")
    patience: int = Field(default=4, ge=1, description="Stop when the validation score has not risen for so many epochs.")
    warmup_share: float = Field(default=0.06, ge=0, le=1, description="Share of the steps in which the learning rate rises.")
    max_label_weight: float = Field(default=3.0, ge=1, description="A rare label's positives weigh at most this much.")
    hard_negative_weight: float = Field(default=3.0, ge=1, description="Weight of a label that the text looks like and has not.")
    augment_share: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="Share of training texts rewritten (disguised, mistyped, identity-swapped) when drawn.",
    )
    evidence_weight: float = Field(default=1.0, ge=0, description="Weight of the span loss; 0 leaves attention free.")
    contrast_weight: float = Field(
        default=0.1, ge=0, description="Weight of the contrast loss between texts of one scenario whose labels differ."
    )
    seed: int = Field(default=17, description="Seed of weights, order and dropout.")
    model_name: str = Field(default="signaal", description="Name in the bundle's manifest.")
    version: str = Field(default="dev", description="Version in the bundle's manifest.")

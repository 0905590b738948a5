"""Settings of a benchmark, from the environment (``SIGNAAL_BENCH_*``) or the command line."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.base import DEFAULT_BASE

MOST_TOKENS = 512
"""Positions of the encoder."""
USUAL_TOKENS = 256
MANY_LONG = 0.05
"""Share of longer training texts from which reading twice as far is worth its time."""


class BenchmarkSettings(BaseSettings):
    """What decides a benchmark's figures. Texts are normalised as everywhere; blinding and augmentation are off."""

    model_config = SettingsConfigDict(env_prefix="SIGNAAL_BENCH_")

    output: Path = Field(
        default=Path("reports/bench"), description="Folder of reports; in it is a folder a data set, by its name and digest."
    )
    published: Path | None = Field(
        default=None,
        description='Published figures to stand beside ours, {"source": "…", "macro_f1": 0.931}; or as DATASET.published.json.',
    )
    base: str = Field(default=DEFAULT_BASE, description="Base encoder: the default, a folder, or a hub id.")
    layers: int | None = Field(default=None, ge=1, description="Keep only the first so many encoder layers.")
    task: Literal["auto", "single", "multi"] = Field(
        default="auto",
        description="single: a softmax over the labels, the likeliest is given. multi: a sigmoid a label, thresholds from the "
        "validation split. auto: single when all lines, or all but 0.5%, have exactly one label.",
    )
    baseline: bool = Field(
        default=True, description="TF-IDF with logistic regression beside the network; takes minutes with many labels and texts."
    )
    seeds: int = Field(default=1, ge=1, description="Train so many times, with the seeds 1, 2, …; mean and spread are given.")
    split_seed: int = Field(default=13, description="Seed of the splits that are made where the data has none.")
    method: Literal["auto", "lora", "full"] = Field(
        default="auto", description="lora: adapters. full: all but the embedding tables. auto: by the size of the training split."
    )
    epochs: float | None = Field(default=None, gt=0, description="Passes over the training split, at most; by its size.")
    minutes: float | None = Field(
        default=None, gt=0, description="Fewer epochs where training once would take longer than this on this machine."
    )
    batch_size: int = Field(default=16, ge=1, description="Texts a step.")
    encoder_lr: float | None = Field(default=None, gt=0, description="Peak learning rate of encoder or adapters; by the method.")
    head_lr: float = Field(default=1e-3, gt=0, description="Peak learning rate of the heads.")
    lora_rank: int = Field(default=16, ge=1, description="Rank of the LoRA adapters; their scale is twice that.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Dropout of the heads.")
    weight_decay: float = Field(default=0.01, ge=0, description="Weight decay of all trained weights.")
    warmup_share: float = Field(default=0.1, ge=0, le=1, description="Share of the steps in which the learning rate rises.")
    patience: int = Field(default=3, ge=1, description="Stop when the validation score has not risen so many times in a row.")
    evidence_weight: float = Field(default=1.0, ge=0, description="Weight of the span loss, where the data has spans.")
    max_tokens: int | None = Field(
        default=None,
        ge=8,
        le=MOST_TOKENS,
        description=f"Longer texts are cut off; the report says how many. {USUAL_TOKENS} when left out, or {MOST_TOKENS} where "
        f"more than {MANY_LONG:.0%} of the training texts are longer and no --minutes are set.",
    )
    keep_texts: bool = Field(default=False, description="Write the texts, too, into the predictions file.")

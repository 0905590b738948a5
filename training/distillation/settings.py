"""Settings of a distillation, from the environment (``SIGNAAL_DISTIL_*``) or the command line."""

import re
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class DistillationSettings(BaseSettings):
    """What decides what a student becomes."""

    model_config = SettingsConfigDict(env_prefix="SIGNAAL_DISTIL_")

    data: Path = Field(default=Path("data/corpus.jsonl"), description="Labelled-examples file (JSON Lines) with splits.")
    output: Path = Field(default=Path("runs"), description="Folder for the bundle and the report.")
    layers: int = Field(default=4, ge=1, description="Encoder layers of the student.")
    epochs: float = Field(default=8, gt=0, description="Passes over the training split, at most.")
    minutes: float | None = Field(
        default=None, gt=0, description="Fewer epochs where training would take longer than this on this machine."
    )
    batch_size: int = Field(default=8, ge=1, description="Examples a step.")
    encoder_lr: float = Field(default=3e-4, gt=0, description="Peak learning rate of the encoder's layers.")
    head_lr: float = Field(default=1e-3, gt=0, description="Peak learning rate of the heads.")
    weight_decay: float = Field(default=0.01, ge=0, description="Weight decay of all trained weights.")
    warmup_share: float = Field(default=0.06, ge=0, le=1, description="Share of the steps in which the learning rate rises.")
    patience: int = Field(default=4, ge=1, description="Stop when the validation score has not risen for so many epochs.")
    augment_share: float = Field(
        default=0.5, ge=0, le=1, description="Share of training texts rewritten when drawn; the teacher reads them so, too."
    )
    labels_weight: float = Field(default=0.5, ge=0, description="Weight of the examples' own labels beside the teacher.")
    seed: int = Field(default=17, ge=0, description="Seed of order, augmentation and dropout.")
    model_name: str = Field(default="signaal-student", description="Name in the bundle's manifest.")
    alias: str = Field(
        default="student",
        pattern=r"^[A-Za-z][\w-]*$",
        description="Alias that the registered student gets, by which a server finds it; not 'champion'.",
    )
    version: str = Field(default="dev", description="Version in the bundle's manifest.")

    @field_validator("alias")
    @classmethod
    def _asks_no_gate(cls, alias: str) -> str:
        if alias.lower() == "champion":
            raise ValueError("a student gets another alias first; to make it the champion, use signaal-train promote")
        if re.fullmatch(r"latest|v\d+", alias.lower()):
            raise ValueError("MLflow keeps this name for itself; choose another")
        return alias

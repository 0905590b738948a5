"""Settings of the method 'distil', a section of a run's configuration."""

import re

from pydantic import BaseModel, ConfigDict, Field, field_validator


class DistillationSettings(BaseModel):
    """What becomes of the model that a run with the method 'distil' starts from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    intermediate_size: int | None = Field(
        default=None,
        ge=1,
        description="Neurons of each of the student's feed-forward layers; 27% of the teacher's when left out.",
    )
    attention_heads: int | None = Field(
        default=None, ge=1, description="Attention heads of each of its layers; half of the teacher's when left out."
    )
    remix_share: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="Share of the texts drawn that are made of sentences of several: read with the teacher, without labels.",
    )
    labels_weight: float = Field(default=0.5, ge=0, description="Weight of the examples' own labels beside the teacher.")
    alias: str = Field(
        default="student",
        pattern=r"^[A-Za-z][\w-]*$",
        description="Alias that the registered student gets, by which a server finds it; not 'champion'.",
    )

    @field_validator("alias")
    @classmethod
    def _asks_no_gate(cls, alias: str) -> str:
        if alias.lower() == "champion":
            raise ValueError("a student gets another alias first; to make it the champion, use signaal-train promote")
        if re.fullmatch(r"latest|v\d+", alias.lower()):
            raise ValueError("MLflow keeps this name for itself; choose another")
        return alias

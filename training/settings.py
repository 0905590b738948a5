"""Settings of a training run: from a configuration file, the environment (``SIGNAAL_TRAIN_*``) or the command line.

Reading a file, and saying what is wrong in it, is ``training.configuration``.
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.base import DEFAULT_BASE
from training.distillation.settings import DistillationSettings


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


def _as_name(value: Any) -> Any:
    """A folder's path names the bundle in it."""
    return str(value) if isinstance(value, Path) else value


class Dimension(BaseModel):
    """The values that a search may give one setting."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float | None = Field(default=None, description="Least value.")
    high: float | None = Field(default=None, description="Greatest value.")
    log: bool = Field(default=False, description="Try orders of magnitude evenly, as suits learning rates.")
    choices: tuple[int | float | str, ...] = Field(default=(), description="The values, instead of low and high.")

    @model_validator(mode="after")
    def _is_a_range_or_choices(self) -> "Dimension":
        if self.choices:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("give either choices, or low and high")
        elif self.low is None or self.high is None or not self.low < self.high:
            raise ValueError("give low and high (low below high), or choices")
        elif self.log and self.low <= 0:
            raise ValueError("with log, low must be above 0")
        return self

    def holds(self, value: Any) -> bool:
        """Whether a value is among these."""
        if self.choices:
            return value in self.choices
        assert self.low is not None
        assert self.high is not None
        return value is not None and bool(self.low <= value <= self.high)


class SearchSettings(BaseModel):
    """What signaal-train search tries, and for how long."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minutes: float = Field(default=60, gt=0, description="How long the search may take.")
    trials: int | None = Field(default=None, ge=1, description="At most so many trials; no limit but the minutes when left out.")
    pruner: Literal["median", "hyperband"] = Field(
        default="median",
        description="Which trials stop early, by their validation score after each epoch: below the median of the others, or by "
        "hyperband's brackets.",
    )
    startup_trials: int = Field(default=4, ge=1, description="Trials by chance, none stopped early, before it learns from them.")
    space: dict[str, Dimension] = Field(
        default={
            "encoder_lr": Dimension(low=1e-4, high=2e-3, log=True),
            "head_lr": Dimension(low=5e-4, high=1e-2, log=True),
            "lora_rank": Dimension(choices=(8, 16, 32)),
            "augment_share": Dimension(low=0, high=0.8),
            "contrast_weight": Dimension(low=0, high=0.5),
        },
        min_length=1,
        description="Settings, and the values to try: low and high (with log: true for orders of magnitude), or choices.",
    )


NOT_SEARCHED = {
    "data",
    "output",
    "seed",
    "seeds",
    "model_name",
    "version",
    "checkpoint_minutes",
    "minutes",
    "distillation",
    "search",
}
"""Settings that do not make a model better."""

LOSS_OPTIONS = {
    "focal": {"focal_gamma": "gamma"},
    "asymmetric": {
        "asymmetric_gamma_negative": "gamma_negative",
        "asymmetric_gamma_positive": "gamma_positive",
        "asymmetric_margin": "margin",
    },
}
"""Settings that are for one label loss alone, and what ``models.losses`` calls them there."""


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
    start_from: Annotated[str, BeforeValidator(_as_name)] | None = Field(
        default=None,
        description="Model whose weights training starts from: 'released', a bundle folder, models:/signaal/3, "
        "models:/signaal@champion; fresh adapters and heads when left out.",
    )
    layers: int | None = Field(
        default=None, ge=1, description="Keep only the first so many encoder layers; with distil, so many, evenly spread."
    )
    method: Literal["lora", "full", "head", "distil"] = Field(
        default="lora",
        description="lora: adapters of a few MB on a frozen encoder. full: all but the embedding tables. head: the heads alone, "
        "on the encoder as it is, or as start_from left it. distil: a smaller, faster student of start_from, which teaches it.",
    )
    lora_rank: int = Field(default=16, ge=1, description="Rank of the LoRA adapters.")
    lora_alpha: int = Field(default=32, ge=1, description="Scale of the LoRA adapters.")
    lora_dropout: float = Field(
        default=0, ge=0, lt=1, description="Dropout before the adapters; above 0 costs a third more time."
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Dropout of the heads.")

    encoder_lr: float = Field(
        default=5e-4, gt=0, description="Peak learning rate of the adapters (use about 5e-5 with full, 2e-4 with distil)."
    )
    head_lr: float = Field(default=2e-3, gt=0, description="Peak learning rate of the heads (use about 3e-4 with distil).")
    weight_decay: float = Field(default=0.01, ge=0, description="Weight decay of all trained weights.")
    warmup_share: float = Field(default=0.06, ge=0, le=1, description="Share of the steps in which the learning rate rises.")
    batch_size: int = Field(default=8, ge=1, description="Examples a step, over all processes together.")

    augment_share: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="Share of training texts rewritten (disguised, mistyped, without punctuation or diacritics) when drawn.",
    )

    mix_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of training texts that lose sentences in which nothing is marked, and, independently, of those that "
        "are joined with a short text of the same language.",
    )

    loss: Literal["cross_entropy", "focal", "asymmetric"] = Field(
        default="cross_entropy",
        description="Loss of the labels. cross_entropy: plain. focal (Lin et al. 2017): what is nearly right counts less. "
        "asymmetric (Ridnik et al. 2021): that for absent labels, and below a margin they count nothing. Both are smaller than "
        "cross_entropy, so the other losses weigh more beside them. The loss on the validation split is always cross_entropy.",
    )
    focal_gamma: float = Field(default=2, ge=0, description="Power of the focal loss; 0 is cross_entropy.")
    asymmetric_gamma_negative: float = Field(default=4, ge=0, description="Power of the asymmetric loss for absent labels.")
    asymmetric_gamma_positive: float = Field(default=0, ge=0, description="Power of the asymmetric loss for present labels.")
    asymmetric_margin: float = Field(
        default=0.05, ge=0, lt=1, description="An absent label whose probability is below it is nothing to the asymmetric loss."
    )
    label_smoothing: float = Field(
        default=0,
        ge=0,
        lt=0.5,
        description="How far the label loss draws its targets towards one half: 0.1 makes 0.05 and 0.95. In training alone.",
    )
    max_label_weight: float = Field(default=3.0, ge=1, description="A rare label's positives weigh at most this much.")
    hard_negative_weight: float = Field(default=3.0, ge=1, description="Weight of a label that the text looks like and has not.")
    evidence_weight: float = Field(default=1.0, ge=0, description="Weight of the span loss; 0 leaves attention free.")
    document_type_weight: float = Field(default=0.3, ge=0, description="Weight of the document-type loss.")
    contrast_weight: float = Field(
        default=0.1, ge=0, description="Weight of the contrast loss between texts of one scenario whose labels differ."
    )
    consistency_weight: float = Field(
        default=0,
        ge=0,
        description="Weight of the consistency loss (Liang et al. 2021, R-Drop): above 0 a step reads each text twice, rewritten "
        "anew each time (augment_share), and both readings should find the same labels; the other losses are the mean over both. "
        "A step takes about twice the time and memory. distil ignores it.",
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

    distillation: DistillationSettings = Field(
        default=DistillationSettings(), description="What the method 'distil' makes; others ignore it."
    )

    search: SearchSettings = Field(default=SearchSettings(), description="What signaal-train search tries; a run ignores it.")

    @property
    def unused(self) -> set[str]:
        """Settings that such a run ignores."""
        of_other_losses = {name for loss, options in LOSS_OPTIONS.items() if loss != self.loss for name in options}
        return {"search", "consistency_weight" if self.method == "distil" else "distillation", *of_other_losses}

    def changed(self, **values: Any) -> "TrainingSettings":
        """These settings with others among them, checked as those of a file are."""
        return TrainingSettings(**{**self.model_dump(), **values})

    def anchored(self) -> "TrainingSettings":
        """The same with absolute paths, which hold in every folder."""
        names: dict[str, Any] = {
            name: str(Path(value).absolute())
            for name in ("base", "start_from")
            if (value := getattr(self, name)) is not None and value not in (DEFAULT_BASE, "released") and Path(value).is_dir()
        }
        data = tuple(source.model_copy(update={"path": source.path.absolute()}) for source in self.data)
        return self.model_copy(update={**names, "data": data, "output": self.output.absolute()})

    @field_validator("method")
    @classmethod
    def _has_a_teacher(cls, method: str, info: ValidationInfo) -> str:
        if method == "distil" and info.data.get("start_from", "") is None:
            raise ValueError("distil wants a teacher: set start_from to 'released', or to a model of yours")
        return method

    @field_validator("search")
    @classmethod
    def _searches_what_there_is(cls, search: SearchSettings) -> SearchSettings:
        can = set(cls.model_fields) - NOT_SEARCHED
        for name, dimension in search.space.items():
            if name not in can:
                near = difflib.get_close_matches(name, can, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(can))}"
                raise ValueError(f"space: {name!r} cannot be searched; {hint}")
            for value in dimension.choices or (dimension.low, dimension.high):
                try:
                    cls.__pydantic_validator__.validate_assignment(cls.model_construct(), name, value)
                except ValidationError as error:
                    raise ValueError(f"space: {name} cannot be {value!r}: {error.errors()[0]['msg']}") from error
        return search


HEADINGS = {
    "data": "What it learns from, and where things go",
    "base": "The network",
    "encoder_lr": "Optimisation",
    "augment_share": "Augmentation",
    "loss": "The loss",
    "epochs": "Budget",
    "seed": "Chance",
    "model_name": "Name",
    "distillation": "Student",
    "search": "Search",
}
"""Where a section of the written configuration file begins: its first setting, and its heading."""

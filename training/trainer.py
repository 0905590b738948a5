"""The training loop: ``transformers.Trainer`` on the network, with two learning rates and small checkpoints."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import evaluate
import mlflow
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy.special import expit
from torch import Tensor
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from models.base import base_encoder_folder
from models.example import LabelledExample, Split
from models.network import SignaalConfig, SignaalModel, add_lora, freeze_embeddings, new_model, use_fused_attention
from models.settings import ModelSettings
from models.taxonomy import Taxonomy
from models.weights import heads_only, start_from
from models.windows import WindowMaker
from training.checkpoints import STATE, Clock, training_is_over
from training.dataset import TrainingTexts, WindowCollator, build_dataset, label_matrix
from training.distillation.lesson import Lesson, begin
from training.errors import TrainingError
from training.named_bundle import bundle_to_start_from
from training.processes import backend, process_count
from training.sampler import LikeLengthBatches
from training.settings import LOSS_OPTIONS, TrainingSettings

log = logging.getLogger(__name__)

METRIC_FOLDER = str(Path(__file__).parent / "indicator_metric")
CHECKPOINT_WEIGHTS = "trained.safetensors"
NOT_FOR_METRICS = ["evidence", "document_type_logits", "label_loss", "evidence_loss", "document_type_loss", "contrast_loss"]


class SignaalTrainer(Trainer):
    """Trainer with one learning rate for the encoder and one for the heads, texts of like length in a batch, and
    checkpoints that hold only what is trained (7 MB with LoRA instead of 475 MB)."""

    optimizer: torch.optim.Optimizer | None

    def __init__(
        self,
        *args: Any,
        encoder_lr: float,
        head_lr: float,
        order: LikeLengthBatches,
        lesson: Lesson | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._lesson = lesson
        self._rates = {"encoder": encoder_lr, "head": head_lr}
        self._order = order

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], *args: Any, **kwargs: Any) -> Any:
        """The network's own; in training, a student's lesson."""
        if self._lesson is None or not model.training:
            return super().compute_loss(model, inputs, *args, **kwargs)
        return self._lesson.loss(model, self._network, inputs)

    def _get_train_sampler(self, train_dataset: Any = None) -> LikeLengthBatches:
        return self._order

    def _run_epoch(self, *, epoch: int, **kwargs: Any) -> None:
        self._order.epoch = epoch
        super()._run_epoch(epoch=epoch, **kwargs)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            groups: dict[str, list[torch.nn.Parameter]] = {"encoder": [], "head": []}
            for name, parameter in self._network.named_parameters():
                if parameter.requires_grad:
                    groups["encoder" if name.startswith("encoder.") else "head"].append(parameter)
            decay = self.args.weight_decay
            self.optimizer = torch.optim.AdamW(
                [{"params": group, "lr": self._rates[part], "weight_decay": decay} for part, group in groups.items() if group]
            )
        return self.optimizer

    @property
    def _network(self) -> SignaalModel:
        return cast(SignaalModel, self.model)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        if not self.args.should_save:  # another process does
            return
        folder = Path(output_dir or cast(str, self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        trained = {n: p.detach().contiguous() for n, p in self._network.named_parameters() if p.requires_grad}
        save_file(trained, folder / CHECKPOINT_WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self._network.load_state_dict(load_file(Path(resume_from_checkpoint) / CHECKPOINT_WEIGHTS), strict=False)

    def _load_best_model(self) -> None:
        self._load_from_checkpoint(cast(str, self.state.best_model_checkpoint))

    def take_best_of(self, checkpoint: Path) -> None:
        """The weights that were best, of a run whose loop is over."""
        self.state = TrainerState.load_from_json(str(checkpoint / STATE))
        self._load_best_model()


class MlflowCurves(TrainerCallback):
    """Losses and validation scores as MLflow metrics, at the step they were measured."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if mlflow.active_run():
            numbers = {name: float(value) for name, value in (logs or {}).items() if isinstance(value, int | float)}
            mlflow.log_metrics({f"train/{name}": value for name, value in numbers.items()}, step=state.global_step)


def fine_tune(
    splits: dict[Split, list[LabelledExample]],
    taxonomy: Taxonomy,
    settings: TrainingSettings,
    model_settings: ModelSettings,
    *,
    folder: Path,
    draws: Sequence[int] = (),
    checkpoint: Path | None = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> SignaalModel:
    """Fine-tune on the training split; returns the network of the epoch that was best on the validation split
    (adapters not merged). Shows a progress bar; stops early.

    Args:
        splits: the examples; test is not looked at.
        taxonomy: the labels.
        settings: the run's.
        model_settings: where base encoders and bundles are.
        folder: where checkpoints go.
        draws: how often an epoch draws each training text; once each when left out.
        checkpoint: one that training goes on from.
        callbacks: more of them.

    Raises:
        TrainingError: the batch cannot be dealt out to the processes.
    """
    set_seed(settings.seed)
    base = base_encoder_folder(settings.base, model_settings.cache_dir)
    maker = WindowMaker(base / "tokenizer.json")
    texts = splits["train"]
    lesson: Lesson | None = None
    if settings.method == "distil":
        model, lesson = begin(texts, taxonomy, maker, settings, model_settings, **of_training(settings))
    else:
        model = build_model(base, taxonomy, settings, model_settings)
    drawn = TrainingTexts(
        texts,
        taxonomy,
        maker,
        augment_share=settings.augment_share,
        mix_share=settings.mix_share,
        remix_share=settings.distillation.remix_share if lesson else 0,
        twice=of_training(settings)["consistency_weight"] > 0,
        seed=settings.seed,
    )
    order = LikeLengthBatches(
        drawn.length_of,
        [example.scenario for example in texts],
        settings.batch_size,
        draws=draws,
        seed=settings.seed,
    )
    steps = settings.max_steps if settings.max_steps > 0 else int(settings.epochs * -(-len(order) // settings.batch_size))
    arguments = one_device(
        TrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=_share_of_batch(settings.batch_size),
            per_device_eval_batch_size=32,
            num_train_epochs=settings.epochs,
            max_steps=settings.max_steps,
            warmup_steps=int(settings.warmup_share * steps),
            lr_scheduler_type="cosine",
            weight_decay=settings.weight_decay,
            max_grad_norm=1.0,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=2,
            restore_callback_states_from_checkpoint=True,
            load_best_model_at_end=True,
            metric_for_best_model="mean_average_precision",
            logging_steps=10,
            seed=settings.seed,
            remove_unused_columns=False,
            label_names=["labels"],
            report_to="none",
            dataloader_pin_memory=torch.cuda.is_available(),
            use_cpu=not torch.cuda.is_available(),
            ddp_backend=backend().get("backend"),
        )
    )
    trainer = SignaalTrainer(
        model=model,
        args=arguments,
        train_dataset=drawn,
        # By length, so that little of a batch is padding.
        eval_dataset=build_dataset(sorted(splits["validation"], key=lambda example: len(example.text)), taxonomy, maker),
        data_collator=WindowCollator(
            maker.pad_id, positive_weights(texts, taxonomy, settings.max_label_weight), settings.hard_negative_weight
        ),
        compute_metrics=_validation_metrics(len(taxonomy.indicators)),
        callbacks=[
            EarlyStoppingCallback(settings.patience),
            Clock(settings.minutes, settings.checkpoint_minutes),
            MlflowCurves(),
            *callbacks,
        ],
        encoder_lr=settings.encoder_lr,
        head_lr=settings.head_lr,
        order=order,
        lesson=lesson,
    )
    if checkpoint is not None and training_is_over(checkpoint):
        trainer.take_best_of(checkpoint)
    else:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if mlflow.active_run():
        mlflow.log_metric("validation/mean_average_precision", trainer.state.best_metric or 0.0)
    return trainer._network.eval()


def one_device(arguments: TrainingArguments) -> TrainingArguments:
    """Leave it at one device a process: of several GPUs without a launcher, transformers would make threads that share a batch
    (``DataParallel``), which is slow and trains with another batch size than was asked for."""
    if arguments.n_gpu > 1:
        log.warning(
            "There are %d GPUs, and one process uses one. To use all: torchrun --nproc-per-node %d signaal-train run …",
            *(arguments.n_gpu, arguments.n_gpu),
        )
        arguments._n_gpu = 1
    return arguments


def _share_of_batch(batch_size: int) -> int:
    """Examples a step of each process."""
    if batch_size % process_count():
        raise TrainingError(f"A batch of {batch_size} cannot be dealt out to {process_count()} processes: change batch_size.")
    return batch_size // process_count()


def build_model(base: Path, taxonomy: Taxonomy, settings: TrainingSettings, model_settings: ModelSettings) -> SignaalModel:
    """The network to train, set up for the chosen method: fresh, or with the weights of ``settings.start_from``."""
    config = SignaalConfig(
        labels=list(taxonomy.label_ids),
        document_types=list(taxonomy.document_type_ids),
        **of_training(settings),
    )
    model = use_fused_attention(new_model(base, config, layers=settings.layers))
    with bundle_to_start_from(settings, model_settings) as source:
        if settings.method == "head":
            return heads_only(model, source.folder if source else None)
        if settings.method == "full":
            freeze_embeddings(model)
        else:
            add_lora(model, rank=settings.lora_rank, alpha=settings.lora_alpha, dropout=settings.lora_dropout)
        if source is not None:
            start_from(model, source.folder)
        return model


def of_training(settings: TrainingSettings) -> dict[str, Any]:
    """What of a network's configuration matters in training alone."""
    options = {name: getattr(settings, setting) for setting, name in LOSS_OPTIONS.get(settings.loss, {}).items()}
    return {
        "label_loss": {"kind": settings.loss, **options} if settings.loss != "cross_entropy" else None,
        "label_smoothing": settings.label_smoothing,
        "evidence_weight": settings.evidence_weight,
        "document_type_weight": settings.document_type_weight,
        "contrast_weight": settings.contrast_weight,
        "consistency_weight": 0.0 if "consistency_weight" in settings.unused else settings.consistency_weight,
        "head_dropout": settings.dropout,
        "keys_to_ignore_at_inference": NOT_FOR_METRICS,
    }


def positive_weights(examples: list[LabelledExample], taxonomy: Taxonomy, at_most: float) -> list[float]:
    """Weight of a label's positives: the square root of negatives per positive, at most ``at_most``."""
    matrix = label_matrix(examples, taxonomy.label_ids)
    positives = matrix.sum(0).clamp(min=1.0)
    return [float(w) for w in ((len(examples) - positives) / positives).sqrt().clamp(1.0, at_most)]


def _validation_metrics(indicators: int) -> Any:
    """Scores over the indicators, and ``label_loss``: the mean cross-entropy of all labels, nothing weighed, which no setting of
    a run changes (the loss of the validation split has the weights of the run in it)."""
    metric = evaluate.load(METRIC_FOLDER)

    def compute(prediction: EvalPrediction) -> dict[str, float]:
        logits = prediction.predictions[0] if isinstance(prediction.predictions, tuple) else prediction.predictions
        labels = cast(np.ndarray[Any, Any], prediction.label_ids)
        scores = metric.compute(predictions=expit(logits[:, :indicators]), references=labels[:, :indicators])
        assert scores is not None
        figures = {name: scores[name] or 0.0 for name in ("macro_f1", "micro_f1", "mean_average_precision")}
        return {**figures, "label_loss": float(np.mean(np.logaddexp(0.0, logits) - labels * logits))}

    return compute

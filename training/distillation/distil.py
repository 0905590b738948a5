"""A whole distillation: from a bundle to a smaller one, evaluated, sealed and registered, and a table of both."""

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow

from models.bundle import BaseReference, Bundle, reads_blinded, verified_base
from models.network import SignaalModel
from models.registry import promote
from models.runtime import Scorer
from models.settings import ModelSettings
from models.weights import load_weights, save_weights
from models.windows import WindowMaker
from training.data import TrainingData, load_data
from training.distillation.comparison import compare, write_comparison
from training.distillation.settings import DistillationSettings
from training.distillation.student import new_student, picked_layers
from training.distillation.teaching import teach
from training.evaluation import figures
from training.fitting import STARTED_FROM, TRAINING_FILE
from training.run import RunResult, finish, score_with_progress
from training.settings import DataSource, TrainingSettings
from training.tracking import log_data, start_run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DistillationResult:
    """What a distillation gave; ``comparison`` holds the facts of the table in ``table``."""

    run: RunResult
    comparison: dict[str, Any]
    table: Path


def distil(teacher: Bundle, settings: DistillationSettings, model_settings: ModelSettings) -> DistillationResult:
    """Teach a student, seal and register it, and measure both on the test split.

    Raises:
        TrainingError, ExampleError: the data cannot be used, or the teacher has fewer layers than the student is to have.
        BundleError, BaseEncoderError: the teacher cannot be loaded.
    """
    picked = picked_layers(teacher.manifest.base.layers, settings.layers)
    data = load_data(settings.data, teacher.taxonomy)
    base = teacher.manifest.base
    as_run = TrainingSettings(
        data=(DataSource(path=settings.data),),
        output=settings.output,
        base=base.name,
        layers=settings.layers,
        method="full",
        encoder_lr=settings.encoder_lr,
        head_lr=settings.head_lr,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        seed=settings.seed,
        augment_share=settings.augment_share,
        model_name=settings.model_name,
        version=settings.version,
    )
    with start_run(as_run, model_settings) as active:
        mlflow.set_tag("distilled_from", teacher.digest)
        mlflow.log_params({f"distil_{name}": value for name, value in settings.model_dump(mode="json").items()})
        log_data(data)
        folder = settings.output / f"bundle-{active.info.run_id[:8]}"
        shutil.rmtree(folder, ignore_errors=True)
        _make_student(folder, teacher, data, settings, model_settings)
        shutil.copyfile(teacher.folder / "taxonomy.yaml", folder / "taxonomy.yaml")
        layers = ", ".join(str(layer + 1) for layer in picked)
        how = {
            **as_run.model_dump(mode="json", exclude={"output", "start_from", "seeds", "search"}),
            "data": [{"file": file.path.name, "sha256": file.sha256, "share": file.share} for file in data.files],
            STARTED_FROM: f"layers {layers} of {teacher.identity}, which also taught it",
            "distillation": settings.model_dump(mode="json", exclude={"data", "output"}),
        }
        (folder / TRAINING_FILE).write_text(json.dumps(how, indent=1), encoding="utf-8")
        smaller = BaseReference(name=base.name, tokenizer_sha256=base.tokenizer_sha256, layers=settings.layers)
        result = finish(
            folder,
            smaller,
            data,
            teacher.taxonomy,
            as_run,
            model_settings,
            run_id=active.info.run_id,
            bundle_format=teacher.manifest.format,
        )
        promote(result.registered_version, model_settings, settings.alias)
        comparison = _compare(teacher, result, data, model_settings)
        table = write_comparison(result.report.parent, comparison)
        mlflow.log_artifact(str(table), "report")
        mlflow.log_metrics({name: comparison[name] for name in ("times_as_fast", "macro_f1_lost")})
    return DistillationResult(result, comparison, table)


def _make_student(
    folder: Path, bundle: Bundle, data: TrainingData, settings: DistillationSettings, model_settings: ModelSettings
) -> None:
    """Teach and save; both networks are let go, because building the graph needs the memory."""
    base = bundle.manifest.base
    teacher: SignaalModel = load_weights(bundle.folder, base, model_settings.cache_dir)
    student = new_student(teacher, settings.layers)
    tokenizer = verified_base(base, model_settings.cache_dir) / "tokenizer.json"
    maker = WindowMaker(tokenizer, blind=reads_blinded(bundle.manifest.format))
    best = teach(teacher, student, data.splits, bundle.taxonomy, maker, settings)
    log.info("Best epoch %d, validation %.4f, %.0f s.", best.epoch, best.score, best.seconds)
    save_weights(student, folder)


def _compare(teacher: Bundle, result: RunResult, data: TrainingData, model_settings: ModelSettings) -> dict[str, Any]:
    test = data.splits["test"]
    scorers = [Scorer.of_bundle(bundle, model_settings) for bundle in (teacher, result.bundle)]
    raw = score_with_progress(scorers[0].runner, test, "test with the teacher")
    of_teacher = figures(scorers[0], test, raw, trained_languages=data.languages)
    texts = [example.text for example in test]
    return compare((teacher, scorers[0], of_teacher), (result.bundle, scorers[1], result.figures), texts, model_settings)

"""A whole distillation: from a bundle to a smaller one, evaluated, sealed and registered, and a table of both."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import mlflow

from models.bundle import BaseReference, Bundle, reads_blinded, verified_base
from models.network import SignaalModel
from models.registry import promote
from models.settings import ModelSettings
from models.weights import load_weights, save_weights
from models.windows import WindowMaker
from training.comparison import Comparison, compare
from training.comparison_report import write_comparison
from training.data import TrainingData, load_data
from training.distillation.settings import DistillationSettings
from training.distillation.student import new_student, picked_layers
from training.distillation.teaching import teach
from training.measurement import open_contender, read_test_texts
from training.provenance import STARTED_FROM, how_of_run, write_how
from training.run import RunResult, evaluated, registered
from training.settings import DataSource, TrainingSettings
from training.tracking import log_data, start_run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DistillationResult:
    """What a distillation gave."""

    run: RunResult
    comparison: Comparison
    """A is the teacher, B the student."""
    beside_teacher: Path
    """Its report."""


def distil(teacher: Bundle, settings: DistillationSettings, model_settings: ModelSettings) -> DistillationResult:
    """Teach a student, seal it, measure both on the test split, and only then register the student and give it its alias: what
    cannot be compared is not put where a server finds it.

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
            **how_of_run(as_run, data, teacher),
            STARTED_FROM: f"layers {layers} of {teacher.identity}, which also taught it",
            "distillation": settings.model_dump(mode="json", exclude={"data", "output"}),
        }
        write_how(how, folder)
        smaller = BaseReference(name=base.name, tokenizer_sha256=base.tokenizer_sha256, layers=settings.layers)
        student = evaluated(
            folder,
            smaller,
            data,
            teacher.taxonomy,
            as_run,
            model_settings,
            run_id=active.info.run_id,
            bundle_format=teacher.manifest.format,
        )
        comparison = _compare(teacher, student.bundle, settings.data, model_settings)
        report = write_comparison(student.report.parent / "beside-teacher", comparison.to_json())
        mlflow.log_artifacts(str(report.parent), "beside-teacher")
        lost = -(comparison.figures["macro_f1"].difference or 0.0)
        mlflow.log_metrics({"times_as_fast": comparison.speed.throughput_ratio, "macro_f1_lost": lost})
        result = registered(student, model_settings)
        promote(result.registered_version, model_settings, settings.alias)
    return DistillationResult(result, comparison, report)


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


def _compare(teacher: Bundle, student: Bundle, data: Path, settings: ModelSettings) -> Comparison:
    a, b = (open_contender(str(bundle.folder), settings, settings.precision) for bundle in (teacher, student))
    return compare(a, b, read_test_texts(data, teacher.taxonomy), settings)

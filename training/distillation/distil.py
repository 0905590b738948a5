"""What comes after a student's run: it is held against its teacher, and gets its alias."""

from dataclasses import dataclass
from pathlib import Path

import mlflow

from models.registry import promote
from models.settings import ModelSettings
from training.comparison import Comparison, compare
from training.comparison_report import write_comparison
from training.measurement import open_contender, read_test_texts
from training.run import RunResult
from training.tracking import start_run


@dataclass(frozen=True)
class BesideTeacher:
    """A student beside the model that taught it."""

    comparison: Comparison
    """A is the teacher, B the student."""
    report: Path


def hold_against_teacher(result: RunResult, model_settings: ModelSettings) -> BesideTeacher:
    """Measure both on the run's test texts, and give the registered student its alias only then: what cannot be compared is not
    put where a server finds it.

    Raises:
        TrainingError, ExampleError: the files have no test texts any more.
        ModelError: the teacher cannot be opened any more.
    """
    settings = result.settings
    with start_run(settings, model_settings, run_id=result.bundle.manifest.run_id):
        places = (str(settings.start_from), str(result.bundle.folder))
        teacher, student = (open_contender(place, model_settings, model_settings.precision) for place in places)
        texts = read_test_texts(settings.data, teacher.scorer.taxonomy)
        comparison = compare(teacher, student, texts, model_settings)
        report = write_comparison(result.report.parent / "beside-teacher", comparison.to_json())
        mlflow.log_artifacts(str(report.parent), "beside-teacher")
        lost = -(comparison.figures["macro_f1"].difference or 0.0)
        mlflow.log_metrics({"times_as_fast": comparison.speed.throughput_ratio, "macro_f1_lost": lost})
        promote(result.registered_version, model_settings, settings.distillation.alias)
    return BesideTeacher(comparison, report)

"""A student, before it is registered: it is held against its teacher."""

from dataclasses import dataclass
from pathlib import Path

import mlflow

from models.bundle import Bundle
from models.settings import ModelSettings
from training.comparison import Comparison, compare
from training.comparison_report import write_comparison
from training.measurement import open_contender, read_test_texts
from training.settings import TrainingSettings


@dataclass(frozen=True)
class BesideTeacher:
    """A student beside the model that taught it."""

    comparison: Comparison
    """A is the teacher, B the student."""
    report: Path


def hold_against_teacher(
    student: Bundle, folder: Path, settings: TrainingSettings, model_settings: ModelSettings
) -> BesideTeacher:
    """Measure both on the run's test texts, and log what comes out; the student's MLflow run is active.

    Args:
        student: sealed.
        folder: where the report goes, ``beside-teacher/`` in it.
        settings: the run's.
        model_settings: where models are.

    Raises:
        TrainingError, ExampleError: the files have no test texts any more.
        ModelError: the teacher cannot be opened any more.
    """
    places = (str(settings.start_from), str(student.folder))
    teacher, opened = (open_contender(place, model_settings, model_settings.precision) for place in places)
    texts = read_test_texts(settings.data, teacher.scorer.taxonomy)
    comparison = compare(teacher, opened, texts, model_settings)
    report = write_comparison(folder / "beside-teacher", comparison.to_json())
    mlflow.log_artifacts(str(report.parent), "beside-teacher")
    lost = -(comparison.figures["macro_f1"].difference or 0.0)
    mlflow.log_metrics({"times_as_fast": comparison.speed.throughput_ratio, "macro_f1_lost": lost})
    return BesideTeacher(comparison, report)

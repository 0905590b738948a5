"""What a run leaves in MLflow: parameters, figures, plots, the data's digest, and the bundle as a registered model."""

import os
import re
import shutil
import subprocess
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.meta_dataset import MetaDataset
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, DataType, Schema

import models
from models.bundle import Bundle
from models.pyfunc_model import flat_row
from models.registry import BUNDLE_ARTIFACT
from models.runtime import Scorer
from models.settings import ModelSettings
from training.configuration import configuration_text
from training.data import TrainingData
from training.errors import TrainingError
from training.settings import TrainingSettings

EXPERIMENT = "signaal"
BUNDLE_DIGEST_TAG = "bundle_digest"
BUNDLE_VERSION_TAG = "bundle_version"
"""On a registered version: which bundle exactly it holds, and what that calls itself."""
MOST_METRICS = 1000
"""That MLflow takes at once."""
EXAMPLE_TEXT = "Pickers wanted for the season. Hourly pay by the scale, written contract, you keep your own papers."
PYFUNC_REQUIREMENTS = (
    "mlflow", "torch", "transformers", "peft", "onnx", "onnxruntime", "onnxscript", "tokenizers", "safetensors", "scipy", "numpy",
    "pandas", "pydantic", "pydantic-settings", "PyYAML", "regex", "confusable-homoglyphs", "py3langid",
)  # fmt: skip


def start_run(
    settings: TrainingSettings, model_settings: ModelSettings, *, run_id: str | None = None, nested: bool = False
) -> Any:
    """An active MLflow run (a context manager) with the parameters and the whole configuration logged.

    Args:
        settings: the run's.
        model_settings: which store.
        run_id: of a run that goes on; its parameters are there already.
        nested: within the active run.

    Raises:
        TrainingError: the store does not answer, or does not have the run that should go on.
    """
    try:
        mlflow.set_tracking_uri(model_settings.mlflow_tracking_uri)
        mlflow.set_registry_uri(model_settings.mlflow_tracking_uri)
        mlflow.set_experiment(EXPERIMENT)
        if run_id is not None:
            return mlflow.start_run(run_id=run_id, nested=nested)
        run = mlflow.start_run(run_name=f"{settings.method}-{settings.version}", nested=nested)
    except MlflowException as error:
        raise TrainingError(
            f"The MLflow store {model_settings.mlflow_tracking_uri} cannot keep this run: {error.message}"
        ) from error
    sources = ", ".join(f"{source.path} × {source.share:g}" for source in settings.data)
    mlflow.log_params({**settings.model_dump(mode="json", exclude=settings.unused), "data": sources})
    mlflow.log_text(configuration_text(settings), "config.yaml")
    return run


def log_data(data: TrainingData, *, context: str = "training") -> None:
    """The datasets by their digests, and their sizes; their texts stay where they are."""
    for file in data.files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow knows two names for a local file
            source = resolve_dataset_source(file.path.resolve().as_uri())
        mlflow.log_input(MetaDataset(source=source, name=file.path.name, digest=file.sha256[:36]), context=context)
    mlflow.log_params({"data_digest": data.digest, **{f"examples_{split}": count for split, count in data.counts.items()}})


def log_figures(figures: dict[str, Any], baselines: dict[str, Any]) -> None:
    """Every number of the report as a metric: ``test/macro_f1``, ``test/label/debt_or_fees/f1``, ``test/language/nl/…``."""
    numbers: dict[str, float] = {}

    def collect(value: Any, *path: str) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                collect(inner, *path, _SHORT.get(str(name), str(name)))
        elif isinstance(value, int | float):
            numbers[metric_name(*path)] = float(value)

    collect(figures, "test")
    collect(baselines, "baseline")
    names = list(numbers)
    for start in range(0, len(names), MOST_METRICS):
        mlflow.log_metrics({name: numbers[name] for name in names[start : start + MOST_METRICS]})


def metric_name(*path: str) -> str:
    """A metric's name that MLflow takes, whatever labels and languages are called: ``test/language/nl_en/macro_f1`` of ``nl+en``.
    An empty name is ``und`` (undetermined), the code that ISO 639-2 has for a text whose language nobody has told."""
    return "/".join(_NOT_IN_A_NAME.sub("_", name) or "und" for name in path)


_NOT_IN_A_NAME = re.compile(r"^\.+$|[^\w. :-]", re.ASCII)
"""MLflow reads a name as a path, too, so a part of one must be neither ``..`` nor have a slash."""
_SHORT = {"labels": "label", "languages": "language"}


def register(bundle: Bundle, scorer: Scorer, model_settings: ModelSettings) -> str:
    """Log the bundle as a ``pyfunc`` with signature and input example, and register it; returns the version."""
    outputs = [
        ColSpec(DataType.double if isinstance(value, float) else DataType.string, name)
        for name, value in flat_row(scorer.score([EXAMPLE_TEXT])[0]).items()
    ]
    inputs = [ColSpec(DataType.string, "text"), ColSpec(DataType.string, "language", required=False)]
    signature = ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))
    package = Path(models.__file__).parent
    with tempfile.TemporaryDirectory() as scratch:
        code = Path(scratch) / "models"
        shutil.copytree(package, code, ignore=shutil.ignore_patterns("released", "__pycache__"))
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(package / "pyfunc_model.py"),
            artifacts={BUNDLE_ARTIFACT: str(bundle.folder)},
            code_paths=[str(code)],
            signature=signature,
            input_example=pd.DataFrame({"text": [EXAMPLE_TEXT], "language": ["en"]}),
            pip_requirements=[f"{name}=={version(name)}" for name in PYFUNC_REQUIREMENTS],
            registered_model_name=model_settings.registered_model,
        )
    uri, registered = model_settings.mlflow_tracking_uri, str(info.registered_model_version)
    client = MlflowClient(uri, uri)
    for tag, value in ((BUNDLE_DIGEST_TAG, bundle.digest), (BUNDLE_VERSION_TAG, bundle.manifest.version)):
        client.set_model_version_tag(model_settings.registered_model, registered, tag, value)
    return registered


def git_commit() -> str | None:
    """The commit of the code that runs, with ``+`` when the work tree differs from it; None outside a checkout."""
    folder = Path(__file__).parent
    git = ["git", "-C", os.fspath(folder)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")

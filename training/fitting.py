"""The part of a run that trains: from data to saved weights, over interruptions."""

import logging
import shutil
from pathlib import Path

from models.base import base_encoder_folder, sha256_of
from models.bundle import BaseReference
from models.network import SignaalModel
from models.settings import ModelSettings
from models.taxonomy import PACKAGED, Taxonomy
from models.weights import save_weights
from training.checkpoints import RunFolder
from training.data import TrainingData
from training.named_bundle import bundle_to_start_from
from training.processes import from_first
from training.provenance import how_of_run, write_how
from training.settings import TrainingSettings
from training.trainer import fine_tune

log = logging.getLogger(__name__)


def fit(
    folder: Path | None,
    run_id: str,
    data: TrainingData,
    taxonomy: Taxonomy,
    settings: TrainingSettings,
    model_settings: ModelSettings,
) -> BaseReference:
    """Fine-tune from the last checkpoint there is, and save; the network itself is let go, because building its graph needs
    the memory.

    Args:
        folder: where the bundle's weights go; None in a process that only helps to train.
        run_id: of the run in MLflow.
        data: what it learns from.
        taxonomy: the labels.
        settings: the run's.
        model_settings: where base encoders are.
    """
    kept = RunFolder(settings.output, run_id)
    checkpoint = from_first(kept.last_checkpoint())
    if checkpoint:
        log.info("Going on from %s.", checkpoint.name)
    model = fine_tune(
        data.splits,
        taxonomy,
        settings,
        model_settings,
        draws=data.draws,
        folder=kept.path,
        checkpoint=checkpoint,
    )
    tokenizer = base_encoder_folder(settings.base, model_settings.cache_dir) / "tokenizer.json"
    layers = model.encoder.config.num_hidden_layers
    if folder is not None:
        _save(model, folder, data, settings, model_settings)
    return BaseReference(name=settings.base, tokenizer_sha256=sha256_of(tokenizer), layers=layers)


def _save(
    model: SignaalModel, folder: Path, data: TrainingData, settings: TrainingSettings, model_settings: ModelSettings
) -> None:
    """The weights, and how they came to be: the configuration, with the data by digest instead of by place."""
    with bundle_to_start_from(settings, model_settings) as started:
        whole_before = started is not None and "encoder.safetensors" in started.manifest.files
        how = how_of_run(settings, data, started)
    save_weights(model, folder, encoder_as_base=settings.method == "head" and not whole_before)
    shutil.copyfile(PACKAGED, folder / "taxonomy.yaml")
    write_how(how, folder)

"""A whole run: fine-tune, build the graph, calibrate on it, evaluate, report, log, register.

Calibration, thresholds and figures are taken from the ONNX graph that is served, not from the network in torch.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
import numpy as np

from models.base import sha256_of
from models.bundle import (
    FORMAT,
    PROFILE,
    BaseReference,
    Bundle,
    reads_blinded,
    seal,
    verified_base,
    weights_digest,
)
from models.calibration import Calibration, fit_calibration
from models.example import LabelledExample
from models.onnx_export import export_onnx
from models.onnx_graph import graph_path
from models.profile import Profile, TextFacts
from models.registry import promote
from models.runtime import GraphRunner, RawScore, Scorer
from models.scores import ModelIdentity
from models.settings import ModelSettings
from models.taxonomy import Taxonomy, packaged_taxonomy
from models.weights import load_weights
from training.averaging import write_mean
from training.card import model_card
from training.checkpoints import RunFolder
from training.data import TrainingData, check_test_split, load_sources
from training.dataset import document_type_indices, label_matrix
from training.distillation.distil import BesideTeacher, hold_against_teacher
from training.errors import TrainingError
from training.evaluation import choose_evidence_threshold
from training.fetched import fetched_once
from training.fitting import fit
from training.full_evaluation import evaluate_scorer, score_with_progress
from training.named_bundle import pinned
from training.processes import from_first, is_first_process
from training.provenance import STARTED_FROM, how_trained, read_how, trained_languages, unseen
from training.report import write_report
from training.settings import TrainingSettings
from training.tracking import git_commit, log_data, log_figures, register, start_run

log = logging.getLogger(__name__)

_NOT_CARRIED = {"data", "distillation"}
"""Of the settings of a training, what says nothing of the weights that came of it, or is told by the weights themselves."""


@dataclass(frozen=True)
class _Measured:
    bundle: Bundle
    report: Path
    figures: dict[str, Any]
    baselines: dict[str, Any]


@dataclass(frozen=True)
class Evaluated(_Measured):
    """A sealed bundle with its report, which the registry does not know yet."""

    scorer: Scorer


@dataclass(frozen=True)
class RunResult(_Measured):
    """What a run gave."""

    registered_version: str
    settings: TrainingSettings
    """As it ran: an alias in ``start_from`` is the version that it had when the run began."""
    beside_teacher: BesideTeacher | None = None
    """Of a student."""


@fetched_once()
def run(
    settings: TrainingSettings, model_settings: ModelSettings, *, resume: str | None = None, nested: bool = False
) -> RunResult | None:
    """Fine-tune, evaluate, register; the bundle and the report end in ``settings.output``. A student is held against its teacher
    before it is registered, and gets its alias then, unless it is one of several (``training.seeds``).

    Args:
        settings: the run's; when one goes on, those that it began with (``training.checkpoints.interrupted``).
        model_settings: where models are, and the MLflow store.
        resume: id of the MLflow run that goes on from its last checkpoint.
        nested: within the active MLflow run.

    Returns:
        What the run gave; None in a process that only helped to train.

    Raises:
        TrainingError, ExampleError: the data cannot be used, have no test text in a language that training sees, or are not those
            that the run began with.
        TrainingError: the run that should go on is under way in another process.
        BaseEncoderError: the base encoder cannot be had.
        BundleError: the weights to start from do not fit.
    """
    settings = pinned(settings, model_settings)
    taxonomy = packaged_taxonomy()
    data = load_sources(settings.data, taxonomy, seed=settings.seed)
    if resume is None:  # what has been trained already shall come to its end
        check_test_split(data, taxonomy)
    if not is_first_process():
        fit(None, from_first(""), data, taxonomy, settings, model_settings)
        return None
    with ExitStack() as until_done:
        if resume is not None:  # before MLflow is told: a run that is under way elsewhere would be marked as failed
            until_done.enter_context(RunFolder(settings.output, resume).alone())
        active = until_done.enter_context(start_run(settings, model_settings, run_id=resume, nested=nested))
        run_id: str = from_first(active.info.run_id)
        log.info("Run %s: %s. After an interruption: signaal-train run --resume %s", run_id, data.sizes, run_id[:8])
        kept = RunFolder(settings.output, run_id)
        if resume is None:
            log_data(data)
            kept.begin(settings, run_id, data.digest, model_settings)
            until_done.enter_context(kept.alone())
        elif kept.data_digest != data.digest:
            raise TrainingError("The data are not those that the run began with: it cannot go on. Start a new run.")
        folder = _fresh_folder(settings.output, run_id)
        base = fit(folder, run_id, data, taxonomy, settings, model_settings)
        made = evaluated(folder, base, data, taxonomy, settings, model_settings, run_id=run_id)
        beside = None
        if settings.method == "distil":
            beside = hold_against_teacher(made.bundle, made.report.parent, settings, model_settings)
        result = replace(registered(made, settings, model_settings), beside_teacher=beside)
        if beside and not nested:
            promote(result.registered_version, model_settings, settings.distillation.alias)
        kept.remove()
        return result


def recalibrate(bundles: Sequence[Bundle], settings: TrainingSettings, model_settings: ModelSettings) -> RunResult:
    """The weights of a bundle, or the mean of several bundles', with calibration, thresholds and figures from ``settings.data``:
    no training. How the weights came to be is carried along (``training.provenance``).

    Raises:
        TrainingError, ExampleError: the data cannot be used.
        BundleError: a bundle does not say how it was trained, or these cannot be averaged.
    """
    first = bundles[0]
    trained = how_trained(first)
    known = {name: value for name, value in trained.items() if name in TrainingSettings.model_fields and name not in _NOT_CARRIED}
    settings = settings.model_copy(update={**known, "version": settings.version})
    data = load_sources(settings.data, first.taxonomy, seed=settings.seed)
    with start_run(settings, model_settings) as active:
        mlflow.set_tag("recalibrated_from", ", ".join(bundle.digest for bundle in bundles))
        log_data(data, context="calibration")
        folder = _fresh_folder(settings.output, active.info.run_id)
        write_mean(bundles, folder)
        made = evaluated(
            folder,
            first.manifest.base,
            data,
            first.taxonomy,
            settings,
            model_settings,
            run_id=active.info.run_id,
            bundle_format=first.manifest.format,
        )
        return registered(made, settings, model_settings)


def _fresh_folder(output: Path, run_id: str) -> Path:
    folder = output / f"bundle-{run_id[:8]}"
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def registered(what: Evaluated, settings: TrainingSettings, model_settings: ModelSettings) -> RunResult:
    """Register a bundle; the MLflow run that made it is active."""
    version = register(what.bundle, what.scorer, model_settings)
    return RunResult(what.bundle, what.report, what.figures, what.baselines, version, settings)


def evaluated(
    folder: Path,
    base: BaseReference,
    data: TrainingData,
    taxonomy: Taxonomy,
    settings: TrainingSettings,
    model_settings: ModelSettings,
    *,
    run_id: str,
    bundle_format: int = FORMAT,
) -> Evaluated:
    """From saved weights to a sealed bundle and its report, which are also logged; an MLflow run is active."""
    runner = build_runner(folder, base, model_settings, blind=reads_blinded(bundle_format))
    validation = data.splits["validation"]
    raw = score_with_progress(runner, validation, "validation")
    calibration = calibrate(taxonomy, validation, raw)
    identity = ModelIdentity(settings.model_name, settings.version, "", run_id, taxonomy.version)
    scorer = Scorer(runner, taxonomy, calibration, identity)
    how = read_how(folder)
    evaluation = evaluate_scorer(scorer, data, trained_languages(how))

    facts = evaluation.facts(identity, data.digest, unseen(how, data.digest), how.get(STARTED_FROM))
    (folder / "calibration.json").write_text(json.dumps(calibration.to_json(), indent=1), encoding="utf-8")
    (folder / PROFILE).write_text(json.dumps(profile_of(scorer, validation, raw).to_json(), indent=1), encoding="utf-8")
    metrics = {**evaluation.figures, "split": "test", "baselines": evaluation.baselines}
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")
    commit = git_commit()
    card = model_card(
        taxonomy=taxonomy,
        facts=facts,
        how=how,
        name=settings.model_name,
        version=settings.version,
        counts=data.counts,
        data_digest=data.digest,
        data_description=data.description,
        blinded=reads_blinded(bundle_format),
        precision=model_settings.precision,
        git_commit=commit,
    )
    (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    bundle = seal(
        folder,
        format=bundle_format,
        name=settings.model_name,
        version=settings.version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        taxonomy_version=taxonomy.version,
        base=base,
        data_digest=data.digest,
        git_commit=commit,
        run_id=run_id,
    )
    facts["model"] = asdict(bundle.identity)
    report_folder = settings.output / f"report-{run_id[:8]}"
    report = write_report(report_folder, facts, evaluation.draw(report_folder))
    log_figures(evaluation.figures, evaluation.baselines)
    mlflow.log_artifacts(str(report_folder), "report")
    return Evaluated(bundle, report, evaluation.figures, evaluation.baselines, scorer)


def build_runner(folder: Path, base: BaseReference, model_settings: ModelSettings, *, blind: bool = True) -> GraphRunner:
    """The graph of saved weights, put where a server will look for it."""
    files = {path.name: sha256_of(path) for path in folder.iterdir()}
    graph = graph_path(weights_digest(files, base), model_settings.cache_dir, model_settings.precision)
    if not graph.is_file():
        log.info("Building the %s graph.", model_settings.precision)
        export_onnx(load_weights(folder, base, model_settings.cache_dir), graph, model_settings.precision)
    tokenizer = verified_base(base, model_settings.cache_dir) / "tokenizer.json"
    return GraphRunner(
        graph,
        tokenizer,
        precision=model_settings.precision,
        threads=model_settings.threads,
        blind=blind,
        device=model_settings.device,
    )


def calibrate(taxonomy: Taxonomy, examples: list[LabelledExample], raw: list[RawScore]) -> Calibration:
    """Calibration, thresholds and evidence threshold from the validation split."""
    return fit_calibration(
        taxonomy.label_ids,
        np.array([score.logits for score in raw], dtype=np.float64),
        label_matrix(examples, taxonomy.label_ids).numpy().astype(np.float64),
        np.array([score.document_type_logits for score in raw], dtype=np.float64),
        np.array(document_type_indices(examples, taxonomy)),
        choose_evidence_threshold(taxonomy, examples, raw),
        indicators=len(taxonomy.indicators),
    )


def profile_of(scorer: Scorer, examples: list[LabelledExample], raw: list[RawScore]) -> Profile:
    """The reference profile, as a service would see these texts: their language is detected, not told."""
    unknown = scorer.runner.window_maker.unknown_id
    scores = [scorer.answer(example.text, score, evidence=False) for example, score in zip(examples, raw, strict=True)]
    facts = [TextFacts.of(example.text, score.windows, unknown) for example, score in zip(examples, raw, strict=True)]
    return Profile.from_scores(scores, facts)

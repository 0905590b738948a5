"""A whole run: fine-tune, build the graph, calibrate on it, evaluate, report, log, register.

Calibration, thresholds and figures are taken from the ONNX graph that is served, not from the network in torch.
"""

import json
import logging
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
import numpy as np

from models.base import DEFAULT_BASE, base_encoder_folder, sha256_of
from models.bundle import BaseReference, Bundle, seal, weights_digest
from models.calibration import Calibration, fit_calibration
from models.example import LabelledExample, Split
from models.network import SignaalModel, merged
from models.onnx_export import export_onnx
from models.onnx_graph import graph_path
from models.runtime import GraphRunner, RawScore, Scorer
from models.scores import ModelIdentity
from models.settings import ModelSettings
from models.taxonomy import PACKAGED, Taxonomy, packaged_taxonomy
from models.weights import save_weights
from training.baselines import baseline_figures
from training.card import model_card
from training.dataset import data_digest, document_type_indices, label_matrix, load_splits
from training.evaluation import choose_evidence_threshold, figures, predict
from training.plots import draw_all
from training.report import write_report
from training.settings import TrainingSettings
from training.tracking import git_commit, log_data, log_figures, register, start_run
from training.trainer import fine_tune

log = logging.getLogger(__name__)

Splits = dict[Split, list[LabelledExample]]


@dataclass(frozen=True)
class RunResult:
    """What a run gave."""

    bundle: Bundle
    registered_version: str
    report: Path
    figures: dict[str, Any]
    baselines: dict[str, Any]


def run(settings: TrainingSettings, model_settings: ModelSettings) -> RunResult:
    """Do everything; the bundle and the report end in ``settings.output``.

    Raises:
        TrainingError, ExampleError: the data cannot be used.
        BaseEncoderError: the base encoder cannot be had.
    """
    taxonomy = packaged_taxonomy()
    splits = load_splits(settings.data, taxonomy)
    digest = data_digest(settings.data)
    with start_run(settings, model_settings) as active:
        counts = {split: len(examples) for split, examples in splits.items()}
        log.info("Run %s: %s examples.", active.info.run_id, ", ".join(f"{n} {split}" for split, n in counts.items()))
        log_data(settings.data, digest, counts)
        model = fine_tune(splits, taxonomy, settings, model_settings.cache_dir)
        return finish(model, splits, taxonomy, settings, model_settings, run_id=active.info.run_id)


def finish(
    model: SignaalModel,
    splits: Splits,
    taxonomy: Taxonomy,
    settings: TrainingSettings,
    model_settings: ModelSettings,
    *,
    run_id: str | None,
) -> RunResult:
    """From a trained network to a sealed, evaluated and registered bundle."""
    folder = settings.output / f"bundle-{(run_id or 'local')[:8]}"
    shutil.rmtree(folder, ignore_errors=True)
    save_weights(model, folder)
    layers = model.encoder.config.num_hidden_layers
    base_folder = base_encoder_folder(settings.base, model_settings.cache_dir)
    base = BaseReference(name=settings.base, tokenizer_sha256=sha256_of(base_folder / "tokenizer.json"), layers=layers)
    runner = build_runner(model, folder, base, base_folder, model_settings)

    raw = {split: score_with_progress(runner, splits[split], split) for split in ("validation", "test")}
    calibration = calibrate(taxonomy, splits["validation"], raw["validation"])
    digest = data_digest(settings.data)
    identity = ModelIdentity(settings.model_name, settings.version, "", run_id, taxonomy.version)
    scorer = Scorer(runner, taxonomy, calibration, identity)
    results = figures(scorer, splits["test"], raw["test"])
    baselines = baseline_figures(splits, taxonomy)

    commit = git_commit()
    facts = {"model": asdict(identity), "data_digest": digest, "figures": results, "baselines": baselines}
    (folder / "calibration.json").write_text(json.dumps(calibration.to_json(), indent=1), encoding="utf-8")
    shutil.copyfile(PACKAGED, folder / "taxonomy.yaml")
    (folder / "metrics.json").write_text(
        json.dumps({**results, "split": "test", "baselines": baselines}, indent=1), encoding="utf-8"
    )
    card = model_card(
        taxonomy=taxonomy,
        facts=facts,
        name=settings.model_name,
        version=settings.version,
        counts={split: len(examples) for split, examples in splits.items()},
        data_digest=digest,
        data_description=data_description(settings.data),
        base=f"{settings.base} (intfloat/multilingual-e5-small, 4-bit)" if settings.base == DEFAULT_BASE else settings.base,
        settings=settings,
        precision=model_settings.precision,
        git_commit=commit,
    )
    (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    bundle = seal(
        folder,
        name=settings.model_name,
        version=settings.version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        taxonomy_version=taxonomy.version,
        base=base,
        data_digest=digest,
        git_commit=commit,
        run_id=run_id,
    )
    facts["model"] = asdict(bundle.identity)
    report_folder = settings.output / f"report-{(run_id or 'local')[:8]}"
    plots = draw_all(predict(scorer, splits["test"], raw["test"]), results, baselines, report_folder)
    report = write_report(report_folder, facts, plots)
    log_figures(results, baselines)
    mlflow.log_artifacts(str(report_folder), "report")
    return RunResult(bundle, register(bundle, scorer, model_settings), report, results, baselines)


def build_runner(
    model: SignaalModel, folder: Path, base: BaseReference, base_folder: Path, model_settings: ModelSettings
) -> GraphRunner:
    """The graph of freshly saved weights, put where a server will look for it."""
    files = {path.name: sha256_of(path) for path in folder.iterdir()}
    graph = graph_path(weights_digest(files, base), model_settings.cache_dir, model_settings.precision)
    log.info("Building the %s graph.", model_settings.precision)
    export_onnx(merged(model).eval(), graph, model_settings.precision)
    return GraphRunner(graph, base_folder / "tokenizer.json", threads=model_settings.threads)


def score_with_progress(runner: GraphRunner, examples: list[LabelledExample], what: str) -> list[RawScore]:
    """Raw scores of a split, with a progress bar."""
    from rich.progress import track

    raw: list[RawScore] = []
    for start in track(range(0, len(examples), 64), description=f"Scoring {what}", transient=True):
        raw += runner.run([example.text for example in examples[start : start + 64]])
    return raw


def calibrate(taxonomy: Taxonomy, examples: list[LabelledExample], raw: list[RawScore]) -> Calibration:
    """Calibration, thresholds and evidence threshold from the validation split."""
    return fit_calibration(
        taxonomy.label_ids,
        np.array([score.logits for score in raw], dtype=np.float64),
        label_matrix(examples, taxonomy.label_ids).numpy().astype(np.float64),
        np.array([score.document_type_logits for score in raw], dtype=np.float64),
        np.array(document_type_indices(examples, taxonomy)),
        choose_evidence_threshold(taxonomy, examples, raw),
    )


def data_description(data: Path) -> str:
    """What is written about the data beside it (``corpus.jsonl`` → ``corpus.md``), for the model card."""
    beside = data.with_suffix(".md")
    return (
        beside.read_text(encoding="utf-8").strip() if beside.is_file() else "Nothing is written about where the texts come from."
    )


def evaluate_bundle(bundle: Bundle, data: Path, output: Path, model_settings: ModelSettings) -> tuple[Path, dict[str, Any]]:
    """Report of a bundle on the test split of a data file, beside baselines trained on its training split."""
    scorer = Scorer.of_bundle(bundle, model_settings)
    splits = load_splits(data, scorer.taxonomy)
    raw = score_with_progress(scorer.runner, splits["test"], "test")
    results = figures(scorer, splits["test"], raw)
    baselines = baseline_figures(splits, scorer.taxonomy)
    plots = draw_all(predict(scorer, splits["test"], raw), results, baselines, output)
    facts = {"model": asdict(bundle.identity), "data_digest": data_digest(data), "figures": results, "baselines": baselines}
    return write_report(output, facts, plots), results

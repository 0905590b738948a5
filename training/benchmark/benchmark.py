"""A whole benchmark: read, split, tokenise, train with each seed, decide, measure beside the baselines, report, log.

The report is on disk before MLflow is asked for anything, so that hours of training are not lost with a store that fails.
"""

import hashlib
import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.base import base_encoder_folder
from models.settings import ModelSettings
from models.windows import WindowMaker
from training.benchmark import baseline
from training.benchmark.decisions import Decisions
from training.benchmark.figures import OVERALL, Outcome, bootstrap, interval, overall, per_label, per_language
from training.benchmark.fine_tuning import Trained, evidence_of, fine_tune, logits_of
from training.benchmark.network_folder import save_network
from training.benchmark.predictions import write_predictions
from training.benchmark.published import read_published
from training.benchmark.records import first_lines, read_records, refuse_what_would_not_compare
from training.benchmark.report import write_report
from training.benchmark.settings import BenchmarkSettings
from training.benchmark.span_figures import SpanFigures, SpanReader
from training.benchmark.splitting import Splits, complete_splits
from training.benchmark.task import Task, without_odd_lines
from training.benchmark.tokens import TokenisedSplit, most_tokens, tokenise, window_maker
from training.benchmark.tracking import log_benchmark

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeedResult:
    """What training once gave."""

    seed: int
    trained: Trained
    outcome: Outcome
    spans: SpanFigures | None


@dataclass(frozen=True)
class BenchmarkResult:
    """Where the report is, and what it says."""

    report: Path
    facts: dict[str, Any]


def run_benchmark(
    data: Path,
    settings: BenchmarkSettings,
    model_settings: ModelSettings,
    when_written: Callable[[BenchmarkResult], None] = lambda _: None,
) -> BenchmarkResult:
    """Train and measure; all of it ends in ``settings.output/NAME-DIGEST``. What an earlier benchmark on the same data left there
    is replaced when all is done.

    Args:
        data: the file.
        settings: of the benchmark.
        model_settings: where the encoder and MLflow are.
        when_written: gets the result before MLflow is asked for anything, which may fail.

    Raises:
        TrainingError: the data or the published figures cannot be used, or MLflow does not take the figures (the report is
            written all the same).
        BaseEncoderError: the base encoder cannot be had.
    """
    published = read_published(settings.published, data)
    records = read_records(data)
    for bad in records.bad[:10]:
        log.warning("%s:%d is not used: %s", data, bad.number, bad.reason)
    for bad in records.bad_spans.first[:10]:
        log.warning("%s:%d is used without a span: %s", data, bad.number, bad.reason)
    refuse_what_would_not_compare(records, data)
    examples, odd = without_odd_lines(records.examples, settings.task)
    task = Task.of(examples, settings.task)
    made = complete_splits(examples, settings.split_seed)
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    folder = settings.output / f"{data.stem}-{digest[:8]}"
    making = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    base_folder = base_encoder_folder(settings.base, model_settings.cache_dir)
    max_tokens = most_tokens(made.splits["train"], base_folder, settings)
    maker = window_maker(base_folder, max_tokens)
    tokens = {split: tokenise(examples, task, maker, split) for split, examples in made.splits.items()}
    facts: dict[str, Any] = {
        "data": {
            "name": data.name,
            "digest": digest,
            "texts": {split: len(examples) for split, examples in made.splits.items()},
            "bad_lines": [asdict(bad) for bad in sorted(records.bad + odd, key=attrgetter("number"))],
            "bad_spans": asdict(records.bad_spans),
            "notes": made.notes + ([f"Single-label data but for {len(odd)} lines, which are not used."] if odd else []),
            "cut_off": {split: part.cut_off for split, part in tokens.items()},
            "mean_tokens": float(tokens["train"].lengths.mean()),
        },
        "task": {"single": task.single, "labels": list(task.labels), "spans": task.spans},
        "settings": {**settings.model_dump(mode="json", exclude={"output", "published"}), "max_tokens": max_tokens},
    }
    if published is not None:
        facts["published"] = published.model_dump(exclude_none=True)
    train = made.splits["train"]
    fitted = baseline.texts_to_fit(train) if settings.baseline else train
    if len(fitted) < len(train):
        facts["data"]["notes"].append(
            f"TF-IDF was fitted to {len(fitted)} training texts, drawn from all: more take too much memory."
        )
    log.info("%s", _in_words(facts))
    baselines = {"commonest_label": [baseline.commonest(task, made.splits)]}
    if settings.baseline:
        baselines["tfidf_logistic_regression"] = [baseline.tfidf(task, {**made.splits, "train": fitted})]
    seeds = [
        _train_once(task, made.splits, tokens, maker, base_folder, making, settings, seed)
        for seed in range(1, settings.seeds + 1)
    ]
    facts |= _figures(task, made.splits, seeds, baselines)
    written = write_report(making, facts)
    shutil.rmtree(folder, ignore_errors=True)
    report = making.rename(folder) / written.name
    predictions = [] if settings.keep_texts else sorted(folder.glob("predictions-*.jsonl"))
    artifacts = [report, report.with_suffix(".json"), *predictions]
    result = BenchmarkResult(report, facts)
    when_written(result)
    log_benchmark(facts, artifacts, model_settings.mlflow_tracking_uri)
    return result


def _in_words(facts: dict[str, Any]) -> str:
    texts = ", ".join(f"{count} {split}" for split, count in facts["data"]["texts"].items())
    kind = "exactly one label a text" if facts["task"]["single"] else "any number of labels a text"
    spans = ", with spans" if facts["task"]["spans"] else ""
    said = [f"{texts} texts; {len(facts['task']['labels'])} labels, {kind}{spans}.", *facts["data"]["notes"]]
    bad, bad_spans = facts["data"]["bad_lines"], facts["data"]["bad_spans"]
    if bad:
        said.append(f"{len(bad)} lines are not used ({first_lines(line['number'] for line in bad)}).")
    if bad_spans["spans"]:
        first = first_lines(line["number"] for line in bad_spans["first"])
        said.append(f"{bad_spans['spans']} spans in {bad_spans['lines']} lines are not used (lines {first}).")
    return " ".join(said)


def _train_once(
    task: Task,
    splits: Splits,
    tokens: dict[Any, TokenisedSplit],
    maker: WindowMaker,
    base_folder: Path,
    folder: Path,
    settings: BenchmarkSettings,
    seed: int,
) -> SeedResult:
    """Train, decide on the test split, save network and predictions."""
    validation, test = tokens["validation"], tokens["test"]

    def score(logits: NDArray[np.float32]) -> float:
        decisions = Decisions.fitted(task, logits, validation.truth)
        scores = overall(Outcome(decisions.decide(logits), validation.truth, task.single))
        return (scores["micro_f1"] + scores["macro_f1"]) / 2

    trained = fine_tune(base_folder, task, tokens["train"], validation, score, settings, seed)
    model = trained.model
    validation_logits, logits = logits_of(model, validation), logits_of(model, test)
    decisions = Decisions.fitted(task, validation_logits, validation.truth)
    outcome = Outcome(decisions.decide(logits), test.truth, task.single)
    spans = None
    if task.spans:
        on_validation = SpanReader(task, maker, splits["validation"], decisions.decide(validation_logits))
        threshold = on_validation.best_threshold(evidence_of(model, validation))
        spans = SpanReader(task, maker, splits["test"], outcome.decided).figures(evidence_of(model, test), threshold)
    save_network(folder / f"network-{seed}", model, settings.base, base_folder, task, decisions, maker.max_tokens)
    write_predictions(
        folder / f"predictions-{seed}.jsonl",
        task,
        splits["test"],
        outcome,
        decisions.probabilities(logits),
        keep_texts=settings.keep_texts,
    )
    return SeedResult(seed, trained, outcome, spans)


def _figures(task: Task, splits: Splits, seeds: list[SeedResult], baselines: dict[str, list[Outcome]]) -> dict[str, Any]:
    outcomes = [result.outcome for result in seeds]
    drawn = bootstrap(outcomes)
    beside = {name: bootstrap(of_one) for name, of_one in baselines.items()}
    network: dict[str, Any] = _summary(outcomes, drawn)
    labels = [per_label(outcome, task.labels) for outcome in outcomes]
    network["labels"] = {
        label: {name: float(np.mean([one[label][name] for one in labels])) for name in labels[0][label]} for label in task.labels
    }
    network["languages"] = per_language(outcomes, [example.lang for example in splits["test"]])
    if seeds[0].spans is not None:
        of_seeds = [result.spans for result in seeds if result.spans]
        values = [spans.token_f1 for spans in of_seeds if spans.token_f1 is not None]
        network["span_token_f1"] = float(np.mean(values)) if values else None
        network["span_token_f1_spread"] = _spread(values)
        for label in task.labels:
            known = [f1 for spans in of_seeds if (f1 := spans.labels[label]) is not None]
            network["labels"][label]["span_token_f1"] = float(np.mean(known)) if known else None
    return {
        "network": network,
        "seeds": [
            {
                "seed": result.seed,
                "method": result.trained.plan.method,
                "encoder_lr": result.trained.plan.encoder_lr,
                "most_epochs": result.trained.plan.epochs,
                "best_epoch": result.trained.best.epoch,
                "validation_score": result.trained.best.score,
                "minutes": result.trained.best.seconds / 60,
                "curve": [{"loss": loss, "validation_score": score} for loss, score in result.trained.best.curve],
                **overall(result.outcome),
            }
            for result in seeds
        ],
        "baselines": {
            name: {
                **_summary(of_one, beside[name]),
                **{f"network_above_{m}_interval": interval(drawn[m] - beside[name][m]) for m in ("accuracy", "macro_f1")},
            }
            for name, of_one in baselines.items()
        },
    }


def _summary(outcomes: list[Outcome], drawn: dict[str, Any]) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for name in OVERALL:
        values = [overall(outcome)[name] for outcome in outcomes]
        summary |= {
            name: float(np.mean(values)),
            f"{name}_interval": interval(drawn[name]),
            f"{name}_spread": _spread(values),
        }
    return summary


def _spread(values: list[float]) -> float | None:
    """Standard deviation over the seeds; None for one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None

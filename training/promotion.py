"""From a bundle to the champion: compare with the champion, ask the gates, register, move the alias; all of it is in MLflow."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException

from models.bundle import Bundle
from models.errors import ModelError
from models.registry import bundle_at
from models.settings import ModelSettings
from training.champion import Kind, Move, champion_now, move_champion, place_of_champion, talking_to_registry
from training.checks.indicator_check import Pair
from training.comparison import Comparison, compare
from training.comparison_report import write_comparison
from training.errors import TrainingError
from training.gates import Gates, Verdict, judge
from training.measurement import Contender, OpenContender, open_contender, read_test_texts
from training.metric_names import name_parts
from training.named_bundle import open_named
from training.settings import DataSource
from training.tracking import BUNDLE_DIGEST_TAG, EXPERIMENT, log_figures, register

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Promotion:
    """What came of it."""

    candidate: Contender
    verdicts: list[Verdict]
    not_judged: str
    """Why the gates could not be asked (only ever when forced); empty when they were."""
    report: Path | None
    move: Move | None
    """None when it was refused."""

    @property
    def refusals(self) -> list[str]:
        return [f"{v.gate}{f' {v.what}' if v.what else ''}: {v.refusal}" for v in self.verdicts if v.refusal]


def compare_models(
    a: OpenContender, b: OpenContender, data: Path, output: Path, settings: ModelSettings
) -> tuple[Comparison, Path]:
    """Compare, write the report to a folder, and log both to MLflow."""
    texts = read_test_texts([DataSource(path=data)], a.bundle.taxonomy)
    with _mlflow_run(f"compare {a.bundle.manifest.version} {b.bundle.manifest.version}", settings):
        comparison = compare(a, b, texts, settings)
        return comparison, _report(comparison, output, [])


def promote(
    name: str,
    data: Path,
    gates: Gates,
    output: Path,
    settings: ModelSettings,
    *,
    force_reason: str = "",
    pairs: Sequence[Pair] | None = None,
) -> Promotion:
    """Ask the gates, and make a model the champion when all are open, or when there is a reason to force it.

    Args:
        name: as ``measurement.place_of``; a bundle that is not registered is, unless it is refused.
        data: labelled-examples file whose test split decides.
        gates: the limits.
        output: folder of the report.
        force_reason: why it shall be promoted whatever the gates say; kept in MLflow.
        pairs: those of IndicatorCheck when None.

    Raises:
        TrainingError: it is the champion already; the champion is another by the time that it would follow; or the data cannot be
            used, and it is not forced.
        ModelError: a model is not there or is broken; the champion may be when it is forced.
    """
    candidate = open_contender(name, settings, settings.precision)
    now = champion_now(settings)
    if _digest_of_champion(now, settings) == candidate.bundle.digest:
        raise TrainingError(f"{candidate.bundle.identity} is the champion already.")
    with _mlflow_run(f"promote {candidate.bundle.manifest.version}", settings):
        report, verdicts, not_judged = None, [], ""
        try:
            champion = open_contender(place_of_champion(now, settings), settings, settings.precision)
            texts = read_test_texts([DataSource(path=data)], candidate.bundle.taxonomy)
            comparison = compare(champion, candidate, texts, settings, pairs)
            verdicts = judge(comparison, gates)
            report = _report(comparison, output, verdicts)
        except (ModelError, TrainingError) as error:
            if not force_reason:
                raise
            not_judged = str(error)
        refused = Promotion(candidate.closed, verdicts, not_judged, report, None)
        shut = refused.refusals or ([f"not judged: {not_judged}"] if not_judged else [])
        mlflow.set_tags({"gates": "shut" if shut else "open", "force_reason": force_reason})
        if shut and not force_reason:
            return refused
        version = registered_version(candidate.bundle, settings) or _register(candidate, settings)
        kind = Kind.FORCED if shut else Kind.PROMOTED
        # Before the alias moves: should this process end in between, whoever finds a new champion finds also why it is one.
        judged = {"gates": json.dumps(shut) if shut else "open", "forced_because": force_reason if shut else ""}
        _tag_version(version, judged, settings)
        move = move_champion(version, kind, force_reason, settings, instead_of=now)
        _tag_version(version, {"promoted_at": move.at, "promoted_by": move.who}, settings)
        return Promotion(candidate.closed, verdicts, not_judged, report, move)


def registered_version(bundle: Bundle, settings: ModelSettings) -> str | None:
    """The newest version that holds exactly this bundle; None when there is none."""
    with talking_to_registry(settings) as client:
        versions = client.search_model_versions(f"name='{settings.registered_model}'")
        for version in sorted(versions, key=lambda found: -int(found.version)):
            digest = version.tags.get(BUNDLE_DIGEST_TAG)
            if digest is None:  # registered before versions had the tag
                digest = bundle_at(f"models:/{settings.registered_model}/{version.version}", settings).digest
                client.set_model_version_tag(settings.registered_model, version.version, BUNDLE_DIGEST_TAG, digest)
            if digest == bundle.digest:
                return str(version.version)
    return None


def _digest_of_champion(now: str, settings: ModelSettings) -> str | None:
    try:
        return open_named(place_of_champion(now, settings), settings).digest
    except ModelError as error:
        log.warning("The champion, %s, cannot be opened: %s", now, error)
        return None


def _register(candidate: OpenContender, settings: ModelSettings) -> str:
    log_figures(candidate.bundle.metrics, {})
    return register(candidate.bundle, candidate.scorer, settings)


def _report(comparison: Comparison, output: Path, verdicts: list[Verdict]) -> Path:
    facts = comparison.to_json()
    report = write_comparison(output, facts, [asdict(verdict) for verdict in verdicts])
    for side in ("a", "b"):
        mlflow.log_params({f"{side}_{name}": facts[side][name] for name in ("version", "bundle_digest", "place", "precision")})
    mlflow.log_params({"data": facts["data"]["name"], "data_digest": facts["data"]["digest"]})
    mlflow.log_metrics(_numbers(facts))
    mlflow.log_artifacts(str(output), "comparison")
    return report


def _numbers(facts: dict[str, Any]) -> dict[str, float]:
    """Both figures and the difference of everything, as metrics: ``difference/language_f1/nl`` and so on."""
    numbers = {f"speed/{name}": value for name, value in facts["speed"].items()}
    groups = {"": facts["figures"], **{f"{name}/": facts[name] for name in ("label_f1", "language_f1", "indicator_check")}}
    for group, figures in groups.items():
        parts = name_parts(figures)
        for name, found in figures.items():
            for part in ("a", "b", "difference"):
                if found[part] is not None:
                    numbers[f"{part}/{group}{parts[name]}"] = found[part]
    return numbers


def _tag_version(version: str, tags: dict[str, str], settings: ModelSettings) -> None:
    """What whoever looks at the version in MLflow should know."""
    with talking_to_registry(settings) as client:
        for name, value in tags.items():
            client.set_model_version_tag(settings.registered_model, version, name, value)


@contextmanager
def _mlflow_run(name: str, settings: ModelSettings) -> Iterator[None]:
    mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
    mlflow.set_registry_uri(settings.mlflow_tracking_uri)
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name=name):
        yield


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A registered version for the table of models."""

    version: str
    aliases: tuple[str, ...]
    created: datetime
    figures: dict[str, float]
    """Metrics of the run that made it: ``test/macro_f1`` and so on; empty when the run is gone."""
    tags: dict[str, str]
    """The version and digest of its bundle (``training.tracking``), and what came of its promotion."""


def registered_models(settings: ModelSettings) -> list[VersionRow]:
    """All registered versions, newest first."""
    rows: list[VersionRow] = []
    with talking_to_registry(settings) as client:
        try:
            aliases = client.get_registered_model(settings.registered_model).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return []
            raise
        for found in client.search_model_versions(f"name='{settings.registered_model}'"):
            try:
                figures = client.get_run(found.run_id).data.metrics if found.run_id else {}
            except MlflowException:
                figures = {}
            rows.append(
                VersionRow(
                    str(found.version),
                    tuple(sorted(alias for alias, version in aliases.items() if str(version) == str(found.version))),
                    datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
                    figures,
                    dict(found.tags),
                )
            )
    return sorted(rows, key=lambda row: -int(row.version))

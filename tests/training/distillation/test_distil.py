"""``signaal-train distil`` from a bundle to a smaller one that is served by its alias."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from torch import Tensor

from models.bundle import BaseReference, Bundle, open_bundle
from models.example import SPLITS, read_examples, write_examples
from models.network import SignaalModel
from models.registry import bundle_at, where
from models.runtime import Scorer
from models.taxonomy import packaged_taxonomy
from models.weights import load_weights
from tests.conftest import SmallRun
from tests.training.test_run import call
from training.checkpoints import RUN
from training.comparison import Comparison
from training.data import load_data
from training.distillation import distil as distilling
from training.distillation.distil import BesideTeacher
from training.distillation.lesson import Lesson
from training.errors import TrainingError
from training.fitting import fit
from training.provenance import read_how
from training.run import RunResult, run
from training.seeds import run_seeds
from training.settings import TrainingSettings
from training.tracking import register, start_run
from training.trainer import fine_tune


@dataclass(frozen=True)
class WhenCompared:
    alias: str | None
    versions: list[str]
    """Of the registered model."""
    can_go_on: bool
    """Whether the run has something left to go on from."""


@dataclass(frozen=True)
class Distilled:
    run: RunResult
    beside: BesideTeacher
    when_compared: WhenCompared
    fetched: list[str]
    """Places that were asked of the registry, one a download."""
    taught: list[bool]
    """For each lesson, whether the student was in training."""


ALIAS = "teaches"
OWN = "--set encoder_lr=2e-4 --set head_lr=3e-4 --set epochs=2 --layers 1 --intermediate-size 512 --version tiny"


@pytest.fixture(scope="module")
def distilled(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Distilled:
    folder = tmp_path_factory.mktemp("distilled")
    examples = list(read_examples(small_run.data))
    for name, places in (("data", slice(40)), ("more", slice(40, 50))):
        some = [e for split in SPLITS for e in [e for e in examples if e.split == split][places]]
        write_examples(some, folder / f"{name}.jsonl")
    (folder / "wide.yaml").write_text("data: [data.jsonl, {path: more.jsonl, share: 2}]\n")
    store = small_run.settings.mlflow_tracking_uri
    client = MlflowClient(store, store)
    client.set_registered_model_alias("signaal", ALIAS, small_run.result.registered_version)
    seen, fetched, results, taught = [], [], [], []
    compare, download, run_training, lesson = distilling.compare, mlflow.artifacts.download_artifacts, run, Lesson.loss

    def training_begins(*arguments: Any) -> BaseReference:
        other = client.create_model_version("signaal", source=client.get_model_version("signaal", "1").source or "")
        client.set_registered_model_alias("signaal", ALIAS, other.version)
        return fit(*arguments)

    def compared(*arguments: Any) -> Comparison:
        versions = [found.version for found in client.search_model_versions("name = 'signaal'")]
        seen.append(WhenCompared(where(small_run.settings, "student"), versions, any(folder.glob(f"runs/*/{RUN}"))))
        return compare(*arguments)

    def downloaded(*, artifact_uri: str, **rest: Any) -> str:
        fetched.append(artifact_uri)
        return download(artifact_uri=artifact_uri, **rest)

    def ran(*arguments: Any, **named: Any) -> RunResult | None:
        results.append(run_training(*arguments, **named))
        return results[0]

    def given(self: Lesson, forward: Any, student: SignaalModel, batch: dict[str, Tensor]) -> Tensor:
        taught.append(student.training)
        return lesson(self, forward, student, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(Lesson, "loss", given)
        patch.setenv("SIGNAAL_MLFLOW_TRACKING_URI", store)
        patch.setenv("SIGNAAL_CACHE_DIR", str(small_run.settings.cache_dir))
        patch.setattr("training.run.fit", training_begins)
        patch.setattr(distilling, "compare", compared)
        patch.setattr("training.run.run", ran)
        patch.setattr("mlflow.artifacts.download_artifacts", downloaded)
        assert (
            call(patch, "distil", f"models:/signaal@{ALIAS}", "--config", "wide.yaml", "--output", f"{folder}/runs", *OWN.split())
            == 0
        )
    (result,), (when_compared,) = results, seen
    assert result is not None
    assert result.beside_teacher is not None
    return Distilled(result, result.beside_teacher, when_compared, fetched, taught)


def test_the_student_is_a_sealed_bundle_with_the_teachers_outputs(distilled: Distilled, small_run: SmallRun) -> None:
    bundle = open_bundle(distilled.run.bundle.folder)
    assert bundle.manifest.base.layers == 1
    assert bundle.manifest.base.tokenizer_sha256 == small_run.result.bundle.manifest.base.tokenizer_sha256
    (score,) = Scorer.of_bundle(bundle, small_run.settings).score(["Plukkers gezocht: de bus kost 900, dat gaat van je loon af."])
    assert set(score.indicators) == set(small_run.result.bundle.taxonomy.indicator_ids)


def test_it_holds_its_layers_but_not_the_embedding_tables_of_the_base(distilled: Distilled) -> None:
    weights = distilled.run.bundle.folder / "encoder.safetensors"
    assert weights.stat().st_size < 5_000_000, "one narrow layer is 4 MB, the tables would be 384 MB"


def test_its_layers_are_narrower(distilled: Distilled, small_run: SmallRun) -> None:
    student = load_weights(distilled.run.bundle.folder, distilled.run.bundle.manifest.base, small_run.settings.cache_dir)
    (layer,) = student.encoder.encoder.layer
    assert layer.intermediate.dense.out_features == 512
    assert layer.attention.self.query.out_features == 6 * 32


def begun_with(teacher: Bundle) -> str:
    return f"{teacher.identity}, made narrower, which also taught it"


def test_the_bundle_says_who_taught_it(distilled: Distilled, small_run: SmallRun) -> None:
    trained = json.loads((distilled.run.bundle.folder / "training.json").read_text(encoding="utf-8"))
    assert trained["started_from"] == begun_with(small_run.result.bundle)
    assert str(small_run.result.bundle.identity) in distilled.run.bundle.card


def test_what_its_teacher_saw_is_told_and_nobody_says_that_no_training_saw_the_texts(
    distilled: Distilled, small_run: SmallRun
) -> None:
    teacher, student = small_run.result.bundle, distilled.run.bundle
    assert read_how(student.folder)["ancestors"] == [read_how(teacher.folder)["data"]]
    before = begun_with(teacher)
    said = f"this training did not see their scenarios; what was seen before, by {before}, is not looked into here"
    assert f"On test texts ({said}), fp32 graph." in student.card
    assert (
        f"{distilled.run.figures['examples']} test texts; {said}. Bundle"
        in distilled.run.report.with_name("report.md").read_text()
    )
    beside = distilled.beside.report.read_text()
    assert "A was not made from this file." in beside
    assert f"B began with {before}." in beside


def test_a_server_finds_it_by_its_alias(distilled: Distilled, small_run: SmallRun) -> None:
    place = where(small_run.settings, "student")
    assert place == f"models:/signaal/{distilled.run.registered_version}"
    assert bundle_at(place, small_run.settings).digest == distilled.run.bundle.digest


def test_until_it_is_compared_a_server_cannot_find_it_and_the_run_can_go_on(distilled: Distilled) -> None:
    assert distilled.when_compared.alias is None
    assert distilled.run.registered_version not in distilled.when_compared.versions
    assert distilled.when_compared.can_go_on
    assert not list(distilled.run.bundle.folder.parent.glob(f"*/{RUN}")), "it is finished"


def test_it_is_held_against_its_teacher(distilled: Distilled) -> None:
    comparison = distilled.beside.comparison
    assert [contender.bundle.manifest.base.layers for contender in (comparison.a, comparison.b)] == [2, 1]
    assert comparison.speed.b_texts_per_second > 0
    assert "debt_or_fees" in distilled.beside.report.read_text(encoding="utf-8")


def test_an_alias_that_moves_while_it_learns_changes_neither_its_teacher_nor_what_it_is_held_against(
    distilled: Distilled, small_run: SmallRun
) -> None:
    assert where(small_run.settings, ALIAS) not in (None, "models:/signaal/1"), "it has moved"
    trained = json.loads((distilled.run.bundle.folder / "training.json").read_text(encoding="utf-8"))
    assert trained["started_from"] == begun_with(small_run.result.bundle)
    assert distilled.beside.comparison.a.place == "models:/signaal/1"
    assert distilled.run.settings.start_from == "models:/signaal/1"


def test_its_teacher_is_fetched_once_and_not_kept(distilled: Distilled) -> None:
    assert distilled.fetched == ["models:/signaal/1"]
    assert not distilled.beside.comparison.a.bundle.folder.exists()


def test_it_is_held_against_its_teacher_on_the_test_texts_of_every_file(distilled: Distilled) -> None:
    data = distilled.beside.comparison.data
    assert data.name == "data.jsonl, more.jsonl"
    folder = distilled.run.bundle.folder.parents[1]
    test = [e.text for file in ("data", "more") for e in read_examples(folder / f"{file}.jsonl") if e.split == "test"]
    assert [example.text for example in data.examples] == test
    assert len(test) == 50
    assert data.digest == distilled.run.bundle.manifest.data_digest, "the report can say what the student saw of them"


def test_it_learns_from_its_teacher_in_training_and_is_judged_by_the_labels(distilled: Distilled, small_run: SmallRun) -> None:
    history = MlflowClient(small_run.settings.mlflow_tracking_uri).get_metric_history
    run_id = distilled.run.bundle.manifest.run_id
    judged = [metric.step for metric in history(run_id, "train/eval_loss")]
    assert len(judged) == 2, "one an epoch"
    assert distilled.taught == [True] * max(judged), "a lesson a step, and none in an evaluation"


def test_a_student_that_wants_more_than_its_teacher_has_is_refused(small_run: SmallRun, tmp_path: Path) -> None:
    settings = TrainingSettings(
        data=small_run.data, output=tmp_path, method="distil", start_from=str(small_run.result.bundle.folder), layers=5
    )
    with pytest.raises(TrainingError, match="The teacher has 2 encoder layers"):
        fine_tune(
            load_data(small_run.data, packaged_taxonomy()).splits,
            packaged_taxonomy(),
            settings,
            small_run.settings,
            folder=tmp_path,
        )


def test_the_command_is_a_run_with_rates_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[TrainingSettings] = []
    monkeypatch.setattr("training.distillation.cli.start", started.append)
    assert call(monkeypatch, "distil", "released", "--layers", "6", "--attention-heads", "4", "--set", "seed=3") == 0
    (settings,) = started
    assert (settings.method, settings.start_from, settings.layers, settings.seed) == ("distil", "released", 6, 3)
    assert (settings.encoder_lr, settings.head_lr, settings.epochs) == (2e-4, 3e-4, 4)
    assert settings.distillation.attention_heads == 4
    config = tmp_path / "student.yaml"
    config.write_text("epochs: 9\ndistillation: {remix_share: 0.25}\n")
    assert call(monkeypatch, "distil", "released", "--config", str(config), "--alias", "small") == 0
    assert (started[1].epochs, started[1].head_lr) == (9, 3e-4)
    assert (started[1].distillation.remix_share, started[1].distillation.alias) == (0.25, "small")


def test_of_several_students_the_one_that_is_best_on_validation_gets_the_alias(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = small_run.settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"})
    settings = TrainingSettings(data=small_run.data, output=tmp_path, method="distil", start_from="released", seeds=(3, 4, 5))
    scorer = Scorer.of_bundle(small_run.result.bundle, store)

    def taught(one: TrainingSettings, *_: Any, nested: bool, **__: Any) -> None:
        with start_run(one, store, nested=nested):
            mlflow.log_metric("validation/mean_average_precision", {3: 0.4, 4: 0.6, 5: 0.5}[one.seed])
            mlflow.log_metric("test/macro_f1", 0.5)
            register(small_run.result.bundle, scorer, store)

    monkeypatch.setattr("training.seeds.run", taught)
    run_seeds(settings, store)
    assert where(store, "student") == "models:/signaal/2"


@pytest.mark.parametrize(
    ("alias", "message"),
    [("champion", "use signaal-train promote"), ("Champion", "promote"), ("v3", "keeps this name"), ("a b", "pattern")],
)
def test_an_alias_that_it_must_not_have_is_refused_before_it_is_taught(
    alias: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "distil", "released", "--data", "/nowhere.jsonl", "--alias", alias) == 2
    assert message in " ".join(capsys.readouterr().err.split())

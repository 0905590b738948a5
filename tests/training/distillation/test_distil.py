"""``signaal-train distil`` from a bundle to a smaller one that is served by its alias."""

import json
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from models.base import sha256_of
from models.bundle import Bundle, open_bundle
from models.example import read_examples, write_examples
from models.registry import bundle_at, where
from models.runtime import Scorer
from models.settings import ModelSettings
from tests.conftest import SmallRun
from tests.training.test_run import call
from training.comparison import Comparison
from training.distillation import distil as distilling
from training.distillation.distil import DistillationResult, distil
from training.distillation.settings import DistillationSettings
from training.errors import TrainingError
from training.provenance import read_how


@pytest.fixture(scope="module")
def when_compared() -> dict[str, object]:
    """What the registry held when the student was compared with its teacher."""
    return {}


@pytest.fixture(scope="module")
def distilled(
    small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory, when_compared: dict[str, object]
) -> DistillationResult:
    folder = tmp_path_factory.mktemp("distilled")
    examples = list(read_examples(small_run.data))
    some = [e for split in ("train", "validation", "test") for e in [e for e in examples if e.split == split][:40]]
    write_examples(some, folder / "data.jsonl")
    settings = DistillationSettings(data=folder / "data.jsonl", output=folder / "runs", layers=1, epochs=2, version="tiny")
    compare = distilling._compare

    def noted(teacher: Bundle, student: Bundle, data: Path, settings: ModelSettings) -> Comparison:
        when_compared["alias"] = where(settings, "student")
        when_compared["versions"] = len(MlflowClient(settings.mlflow_tracking_uri).search_model_versions("name='signaal'"))
        return compare(teacher, student, data, settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(distilling, "_compare", noted)
        return distil(small_run.result.bundle, settings, small_run.settings)


def test_the_student_is_a_sealed_bundle_with_the_teachers_outputs(distilled: DistillationResult, small_run: SmallRun) -> None:
    bundle = open_bundle(distilled.run.bundle.folder)
    assert bundle.manifest.base.layers == 1
    assert bundle.manifest.base.tokenizer_sha256 == small_run.result.bundle.manifest.base.tokenizer_sha256
    assert bundle.manifest.data_digest == sha256_of(Path(bundle.folder.parents[1] / "data.jsonl"))
    (score,) = Scorer.of_bundle(bundle, small_run.settings).score(["Plukkers gezocht: de bus kost 900, dat gaat van je loon af."])
    assert set(score.indicators) == set(small_run.result.bundle.taxonomy.indicator_ids)


def test_it_holds_its_layers_but_not_the_embedding_tables_of_the_base(distilled: DistillationResult) -> None:
    weights = distilled.run.bundle.folder / "encoder.safetensors"
    assert weights.stat().st_size < 8_000_000, "one layer is 7 MB, the tables would be 384 MB"


def test_the_bundle_says_who_taught_it(distilled: DistillationResult, small_run: SmallRun) -> None:
    trained = json.loads((distilled.run.bundle.folder / "training.json").read_text(encoding="utf-8"))
    assert trained["started_from"] == f"layers 2 of {small_run.result.bundle.identity}, which also taught it"
    assert str(small_run.result.bundle.identity) in distilled.run.bundle.card


def test_what_its_teacher_saw_is_told_and_nobody_says_that_no_training_saw_the_texts(
    distilled: DistillationResult, small_run: SmallRun
) -> None:
    teacher, student = small_run.result.bundle, distilled.run.bundle
    assert read_how(student.folder)["ancestors"] == [read_how(teacher.folder)["data"]]
    before = f"layers 2 of {teacher.identity}, which also taught it"
    said = f"this training did not see their scenarios; what was seen before, by {before}, is not looked into here"
    assert f"On test texts ({said}), fp32 graph." in student.card
    assert (
        f"{distilled.run.figures['examples']} test texts; {said}. Bundle"
        in distilled.run.report.with_name("report.md").read_text()
    )
    beside = distilled.beside_teacher.read_text()
    assert "A was not made from this file." in beside
    assert f"B began with {before}." in beside


def test_a_server_finds_it_by_its_alias(distilled: DistillationResult, small_run: SmallRun) -> None:
    place = where(small_run.settings, "student")
    assert place == f"models:/signaal/{distilled.run.registered_version}"
    assert bundle_at(place, small_run.settings).digest == distilled.run.bundle.digest


def test_it_is_compared_before_anybody_can_find_it(distilled: DistillationResult, when_compared: dict[str, object]) -> None:
    assert when_compared == {"alias": None, "versions": int(distilled.run.registered_version) - 1}


def test_it_is_held_against_its_teacher(distilled: DistillationResult) -> None:
    comparison = distilled.comparison
    assert [contender.bundle.manifest.base.layers for contender in (comparison.a, comparison.b)] == [2, 1]
    assert comparison.speed.b_texts_per_second > 0
    assert "debt_or_fees" in distilled.beside_teacher.read_text(encoding="utf-8")


def test_a_student_with_more_layers_than_its_teacher_is_refused(small_run: SmallRun) -> None:
    with pytest.raises(TrainingError, match="The teacher has 2 encoder layers"):
        distil(small_run.result.bundle, DistillationSettings(data=small_run.data, layers=5), small_run.settings)


@pytest.mark.parametrize(
    ("alias", "message"),
    [("champion", "use signaal-train promote"), ("Champion", "promote"), ("v3", "keeps this name"), ("a b", "pattern")],
)
def test_an_alias_that_it_must_not_have_is_refused_before_it_is_taught(
    alias: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGNAAL_DISTIL_ALIAS", alias)
    assert call(monkeypatch, "distil", "released", "--data", "/nowhere.jsonl") == 2
    assert message in " ".join(capsys.readouterr().err.split())

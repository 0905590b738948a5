import gc
import tempfile
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from models.bundle import RELEASED
from models.errors import BundleError, RegistryError
from models.registry import bundle_at, open_scorer, promote, where
from models.runtime import GraphRunner
from models.settings import ModelSettings
from tests.conftest import SmallRun


def test_without_a_store_the_released_model_is_used(tmp_path: Path) -> None:
    settings = ModelSettings(mlflow_tracking_uri=f"sqlite:///{tmp_path}/none.db")
    assert where(settings) == "released"
    assert bundle_at("released", settings, tmp_path).folder == RELEASED
    assert where(settings, "challenger") is None
    assert not (tmp_path / "none.db").exists()


def test_the_champion_is_found_once_it_is_promoted(small_run: SmallRun) -> None:
    version = small_run.result.registered_version
    assert where(small_run.settings) == "released"
    promote(version, small_run.settings)
    assert where(small_run.settings) == f"models:/signaal/{version}"
    assert open_scorer(small_run.settings).identity == small_run.result.bundle.identity


def test_a_scorer_from_the_registry_leaves_nothing_on_the_disk(
    small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(small_run.result.registered_version, small_run.settings)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scorer = open_scorer(small_run.settings)
    assert not list(tmp_path.iterdir())
    assert scorer.score(["Cat lost near the station."])


def test_an_alias_can_be_another_than_champion(small_run: SmallRun) -> None:
    assert where(small_run.settings, "challenger") is None
    promote(small_run.result.registered_version, small_run.settings, alias="challenger")
    assert where(small_run.settings, "challenger") == f"models:/signaal/{small_run.result.registered_version}"
    named = small_run.settings.model_copy(update={"bundle": "models:/signaal@challenger"})
    assert where(named) == where(small_run.settings, "challenger")


def test_an_unknown_version_cannot_be_promoted(small_run: SmallRun) -> None:
    with pytest.raises(RegistryError, match="version 99"):
        promote("99", small_run.settings)


def test_a_model_that_is_not_there_is_a_clear_error(small_run: SmallRun) -> None:
    settings = small_run.settings.model_copy(update={"bundle": "models:/nothing@champion"})
    with pytest.raises(RegistryError, match="models:/nothing@champion"):
        open_scorer(settings)
    with pytest.raises(BundleError, match="is not a bundle"):
        open_scorer(settings.model_copy(update={"bundle": "/nowhere"}))


def test_a_registered_model_of_another_kind_is_a_clear_error(small_run: SmallRun, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {sklearn: {}}\n")
    client = MlflowClient(small_run.settings.mlflow_tracking_uri, small_run.settings.mlflow_tracking_uri)
    client.create_registered_model("other")
    client.create_model_version("other", source=str(tmp_path))
    with pytest.raises(RegistryError, match="models:/other/1 is no model of Signaal"):
        bundle_at("models:/other/1", small_run.settings)


def test_the_registered_pyfunc_scores_like_the_scorer(small_run: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow.set_tracking_uri(small_run.settings.mlflow_tracking_uri)
    model = mlflow.pyfunc.load_model(f"models:/signaal/{small_run.result.registered_version}")
    texts = ["Plukkers gezocht, het paspoort blijft op kantoor.", "Cat lost near the station."]
    table = model.predict(pd.DataFrame({"text": texts}))
    scores = open_scorer(small_run.settings.model_copy(update={"bundle": str(small_run.result.bundle.folder)})).score(texts)
    for row, score in zip(table.to_dict("records"), scores, strict=True):
        assert row["document_type"] == score.document_type
        for label, found in score.indicators.items():
            assert row[label] == pytest.approx(found.probability, abs=1e-6)
            assert row[f"{label}_status"] == found.status
    assert {column.name for column in model.metadata.signature.outputs} == set(table.columns)


def test_a_pyfunc_that_is_let_go_leaves_no_graph_in_memory(small_run: SmallRun) -> None:
    def graphs() -> int:
        gc.collect()
        return sum(isinstance(found, GraphRunner) for found in gc.get_objects())

    mlflow.set_tracking_uri(small_run.settings.mlflow_tracking_uri)
    before = graphs()
    model = mlflow.pyfunc.load_model(f"models:/signaal/{small_run.result.registered_version}")
    assert len(model.predict(pd.DataFrame({"text": ["Cat lost near the station."]}))) == 1
    assert graphs() == before + 1
    del model
    assert graphs() == before

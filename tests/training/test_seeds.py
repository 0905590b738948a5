"""Several seeds as runs nested in one, also after a kill."""

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from models.settings import ModelSettings
from tests.training.interruption import killed_when
from tests.training.small_data import write_small_data
from training.checkpoints import interrupted
from training.configuration import configuration_text
from training.seeds import SeedFigure, run_seeds
from training.settings import TrainingSettings

SEEDS = (3, 4)


def test_spread_is_that_of_a_sample() -> None:
    figure = SeedFigure("test/macro_f1", (0.5, 0.7))
    assert figure.mean == pytest.approx(0.6)
    assert figure.spread == pytest.approx(0.1 * 2**0.5)
    assert SeedFigure("test/macro_f1", (0.5,)).spread == 0


@pytest.mark.slow
def test_seeds_that_were_killed_in_the_second_go_on_there(
    model_settings: ModelSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = TrainingSettings(
        data=write_small_data(tmp_path / "data.jsonl", texts=32),  # type: ignore[arg-type]
        output=Path("runs"),
        layers=1,
        max_steps=4,
        checkpoint_minutes=0,
        seeds=SEEDS,
    )
    (tmp_path / "signaal.yaml").write_text(configuration_text(settings))
    store = model_settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"})

    def in_second(folder: Path) -> Path | None:
        done = {path.name.removeprefix("report-") for path in folder.glob("runs/report-*")}
        found = folder.glob("runs/checkpoints-*/checkpoint-2/trainer_state.json")
        return next((path for path in found if done and path.parts[-3].removeprefix("checkpoints-") not in done), None)

    killed_when(in_second, tmp_path / "signaal.yaml", tmp_path, {"SIGNAAL_MLFLOW_TRACKING_URI": store.mlflow_tracking_uri})
    (first_bundle,) = tmp_path.glob("runs/bundle-*")
    sealed = (first_bundle / "manifest.json").read_bytes()

    monkeypatch.chdir(tmp_path)
    (outer,) = [path for path in Path("runs").glob("checkpoints-*") if "- 3\n- 4" in (path / "config.yaml").read_text()]
    again, run_id = interrupted(outer.name.removeprefix("checkpoints-"), Path("runs"))
    figures = {figure.name: figure for figure in run_seeds(again, store, resume=run_id)}

    client = MlflowClient(store.mlflow_tracking_uri)
    run = client.get_run(run_id)
    inner = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run_id}'")
    assert sorted(one.data.params["seed"] for one in inner) == ["3", "4"], "neither was begun again"
    assert {one.info.status for one in (run, *inner)} == {"FINISHED"}
    assert (first_bundle / "manifest.json").read_bytes() == sealed
    assert not list(Path("runs").glob("checkpoints-*"))
    scores = [client.get_run(one.info.run_id).data.metrics["test/macro_f1"] for one in inner]
    assert run.data.metrics["mean/test/macro_f1"] == pytest.approx(sum(scores) / 2)
    assert figures["test/macro_f1"].spread == pytest.approx(run.data.metrics["spread/test/macro_f1"])

"""A run that is killed goes on as if nothing had been; the same seed gives the same weights."""

import json
import os
from pathlib import Path

import pytest
import torch
from mlflow.tracking import MlflowClient
from safetensors.torch import load_file

from models.bundle import WEIGHT_FILES, open_bundle
from models.settings import ModelSettings
from models.taxonomy import packaged_taxonomy
from tests.training.interruption import killed_when
from tests.training.small_data import write_small_data
from training.checkpoints import RunFolder, interrupted, passing_checkpoints, training_is_over
from training.cli import main
from training.configuration import configuration_text
from training.data import load_sources
from training.errors import TrainingError
from training.fitting import fit
from training.settings import DataSource, TrainingSettings

EPOCHS, BATCH, TEXTS = 2, 8, 32
STEPS_AN_EPOCH = -(-TEXTS // BATCH)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> TrainingSettings:
    folder = tmp_path_factory.mktemp("resuming")
    return TrainingSettings(
        data=write_small_data(folder / "data.jsonl", texts=TEXTS),  # type: ignore[arg-type]
        output=folder / "runs",
        layers=2,
        epochs=EPOCHS,
        batch_size=BATCH,
        checkpoint_minutes=0,
    )


def weights(settings: TrainingSettings, folder: Path, model_settings: ModelSettings) -> dict[str, torch.Tensor]:
    """Of a run that nothing interrupts."""
    taxonomy = packaged_taxonomy()
    data = load_sources(settings.data, taxonomy, seed=settings.seed)
    fit(folder, folder.name, data, taxonomy, settings, model_settings)
    return saved_weights(folder)


def saved_weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{name}/{key}": tensor
        for name in WEIGHT_FILES
        if name.endswith(".safetensors") and (folder / name).is_file()
        for key, tensor in load_file(folder / name).items()
    }


@pytest.fixture(scope="module")
def unbroken(
    settings: TrainingSettings, tmp_path_factory: pytest.TempPathFactory, model_settings: ModelSettings
) -> dict[str, torch.Tensor]:
    return weights(settings, tmp_path_factory.mktemp("unbroken") / "weights", model_settings)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def killed(settings: TrainingSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Id of a run that was killed in its second epoch; the current folder and MLflow's store are its own."""
    config = tmp_path / "signaal.yaml"
    data = DataSource(path=Path(os.path.relpath(settings.data[0].path, tmp_path)))
    config.write_text(configuration_text(settings.model_copy(update={"output": Path("runs"), "data": (data,)})))
    store = {"SIGNAAL_MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    checkpoint = f"runs/checkpoints-*/checkpoint-{STEPS_AN_EPOCH + 2}/trainer_state.json"
    found = killed_when(lambda folder: next(folder.glob(checkpoint), None), config, tmp_path, store)
    run_id = found.parent.parent.name.removeprefix("checkpoints-")
    assert not list(tmp_path.glob("runs/bundle-*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGNAAL_MLFLOW_TRACKING_URI", store["SIGNAAL_MLFLOW_TRACKING_URI"])
    return run_id


def test_a_run_killed_in_mid_training_goes_on_to_the_same_weights_bit_by_bit(
    killed: str, unbroken: dict[str, torch.Tensor], model_settings: ModelSettings, tmp_path: Path
) -> None:
    settings, run_id = interrupted(killed, Path("runs"))
    assert run_id.startswith(killed)
    data = load_sources(settings.data, packaged_taxonomy(), seed=settings.seed)
    fit(tmp_path / "weights", run_id, data, packaged_taxonomy(), settings, model_settings)
    assert same(saved_weights(tmp_path / "weights"), unbroken)
    (last,) = [RunFolder(settings.output, run_id).last_checkpoint()]
    assert last is not None
    assert training_is_over(last)
    # Killed once more, before there is a bundle: nothing is left to train.
    fit(tmp_path / "again", run_id, data, packaged_taxonomy(), settings, model_settings)
    assert same(saved_weights(tmp_path / "again"), unbroken)


def test_what_a_run_began_with_goes_before_the_environment_wherever_it_goes_on(
    settings: TrainingSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    here = settings.model_copy(update={"output": Path("runs")})
    RunFolder(here.output, "abcdefgh-more").begin(
        here, "abcdefgh-more", "digest", ModelSettings(precision="int8", registered_model="signaal-nl")
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("SIGNAAL_TRAIN_EPOCHS", "9")
    monkeypatch.setenv("SIGNAAL_PRECISION", "fp32")
    again, run_id = interrupted("abcdefgh", tmp_path / "runs")
    assert run_id == "abcdefgh-more"
    assert again == here.model_copy(update={"output": tmp_path / "runs"})
    assert RunFolder(again.output, run_id).data_digest == "digest"
    models = RunFolder(again.output, run_id).model_settings(ModelSettings())
    assert (models.precision, models.registered_model) == ("int8", "signaal-nl")
    assert models.mlflow_tracking_uri == f"sqlite:///{tmp_path}/mlflow.db"
    moved = ModelSettings(mlflow_tracking_uri="sqlite:////moved/mlflow.db")
    assert RunFolder(again.output, run_id).model_settings(moved).mlflow_tracking_uri == "sqlite:////moved/mlflow.db"


def test_paths_of_a_run_hold_in_every_folder_and_an_address_with_a_password_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("encoder", "begun"):
        (tmp_path / folder).mkdir()
    settings = TrainingSettings(
        data="mine.jsonl",  # type: ignore[arg-type]
        output=Path("runs"),
        base="encoder",
        start_from="begun",
    )
    kept = RunFolder(settings.output, "abcdefgh")
    kept.begin(settings, "abcdefgh", "digest", ModelSettings(mlflow_tracking_uri="postgresql://mlflow:geheim@db/mlflow"))
    monkeypatch.chdir("/")
    again, _ = interrupted(str(kept.path), Path("elsewhere"))
    assert [source.path for source in again.data] == [tmp_path / "mine.jsonl"]
    assert (again.base, again.start_from) == (str(tmp_path / "encoder"), str(tmp_path / "begun"))
    assert kept.model_settings(ModelSettings()).mlflow_tracking_uri == ModelSettings().mlflow_tracking_uri
    assert "geheim" not in "".join(file.read_text() for file in kept.path.iterdir())
    named = TrainingSettings(start_from="models:/signaal/3").anchored()
    assert (named.base, named.start_from) == (TrainingSettings().base, "models:/signaal/3")


def test_a_finished_run_that_is_killed_while_its_checkpoints_go_is_no_interrupted_one(
    settings: TrainingSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = settings.model_copy(update={"output": tmp_path})
    kept = RunFolder(tmp_path, "abcdefgh")
    kept.begin(here, "abcdefgh", "digest", ModelSettings())

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            kept.remove()
    assert kept.path.is_dir()
    assert not kept.has_begun
    with pytest.raises(TrainingError, match="Those there are: none"):
        interrupted("abcdefgh", tmp_path)


def test_checkpoints_of_a_training_that_nobody_resumes_go_even_when_it_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with passing_checkpoints(tmp_path / "runs") as folder:
            (folder / "checkpoint-1").mkdir()
            raise TrainingError("no batch")

    with pytest.raises(TrainingError, match="no batch"):
        fail()
    assert not list((tmp_path / "runs").iterdir())


def test_when_its_minutes_are_over_training_stops_and_what_it_has_is_judged(
    settings: TrainingSettings, model_settings: ModelSettings, tmp_path: Path
) -> None:
    hurried = settings.model_copy(update={"minutes": 1e-6, "output": tmp_path})
    weights(hurried, tmp_path / "hurried", model_settings)
    last = RunFolder(tmp_path, "hurried").last_checkpoint()
    assert last is not None
    assert last.name == "checkpoint-1"
    assert training_is_over(last)
    assert json.loads((last / "trainer_state.json").read_text())["best_global_step"] == 1


def test_a_checkpoint_that_was_being_written_is_not_gone_on_from(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "abcdefgh")
    for step, state in ((9, '{"global_step": 9}'), (10, '{"glob'), (11, None)):
        checkpoint = folder.path / f"checkpoint-{step}"
        checkpoint.mkdir(parents=True)
        if state is not None:
            (checkpoint / "trainer_state.json").write_text(state)
    assert folder.last_checkpoint() == folder.path / "checkpoint-9"


def test_going_on_is_refused_where_it_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "run", "--resume", "12345678") == 2
    assert call(monkeypatch, "run", "--resume", "12345678", "--epochs", "3") == 2


@pytest.mark.slow
def test_a_killed_run_goes_on_to_its_bundle_on_the_command_line(
    killed: str, unbroken: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.delenv("SIGNAAL_MLFLOW_TRACKING_URI")
    assert call(monkeypatch, "run", "--resume", killed, "--output", "../runs") == 0
    (folder,) = tmp_path.glob("runs/bundle-*")
    assert same(saved_weights(folder), unbroken)
    assert not list(tmp_path.glob("runs/checkpoints-*")), "a finished run needs none"
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    run = client.get_run(str(open_bundle(folder).manifest.run_id))
    assert run.info.status == "FINISHED"
    assert run.info.run_id.startswith(killed)
    steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "train/eval_mean_average_precision")]
    assert steps == [STEPS_AN_EPOCH, 2 * STEPS_AN_EPOCH], "each epoch evaluated once, before the kill and after it"
    assert call(monkeypatch, "run", "--resume", killed, "--output", "../runs") == 2, "it is finished"


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["signaal-train", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    settings: TrainingSettings, model_settings: ModelSettings, tmp_path: Path
) -> None:
    short = settings.model_copy(update={"max_steps": 2})
    other = short.model_copy(update={"seed": settings.seed + 1})
    first, again, third = (
        weights(one, tmp_path / str(number), model_settings) for number, one in enumerate((short, short, other))
    )
    assert same(first, again)
    assert not same(first, third)

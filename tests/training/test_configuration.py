import logging
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from tests.training.small_data import write_small_data
from tests.training.test_run import call
from training.cli import app
from training.configuration import configuration_text, load_settings, parse_changes
from training.errors import ConfigurationError
from training.ignored import ignored
from training.settings import DataSource, TrainingSettings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "signaal.yaml"


def complaint(file: Path, text: str, **changes: object) -> str:
    file.write_text(text)
    with pytest.raises(ConfigurationError) as error:
        load_settings(file, changes)
    return str(error.value)


def test_init_writes_every_setting_with_its_description_and_loads_to_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    assert CliRunner().invoke(app, ["init", str(file)]).exit_code == 0
    assert load_settings(file) == TrainingSettings()
    words = " ".join(file.read_text().replace("#", " ").split())
    for name, field in (*TrainingSettings.model_fields.items(), *DataSource.model_fields.items()):
        assert field.description
        assert f"{name}:" in words
        assert " ".join(field.description.split()) in words
    written = file.read_text()
    again = CliRunner().invoke(app, ["init", str(file)])
    assert "is there already" in str(again.exception)
    assert file.read_text() == written


def test_make_train_runs_a_configuration_that_loads_to_what_is_written_in_it() -> None:
    (named,) = re.findall(r"^\t\$\(BIN\)/signaal-train run (\S+)$", (ROOT / "Makefile").read_text(), re.M)
    assert named == "training/retraining.yaml"
    written = yaml.safe_load((ROOT / named).read_text(encoding="utf-8"))
    settings = load_settings(ROOT / named)
    (source,) = settings.data
    assert (str(source.path), source.share) == (written.pop("data"), 1)
    assert {name: getattr(settings, name) for name in written} == written
    assert (settings.start_from, settings.epochs) == ("released", 1), "it goes on from the released weights, in one pass"
    assert f"{source.path}: " in (ROOT / "Makefile").read_text(), "make knows how to make its data"
    assert ignored(settings) == []


@pytest.mark.parametrize("comments", [True, False])
def test_a_written_configuration_loads_to_what_was_written(file: Path, comments: bool) -> None:
    settings = TrainingSettings(
        data=(DataSource(path=Path("a b.jsonl"), share=0.5), DataSource(path=Path("é: #.jsonl"))),  # type: ignore[arg-type]
        seeds=(1, 2),
        encoder_lr=5e-5,
        start_from="models:/signaal@champion",
        version="1.0",
        model_name="yes",
        minutes=2.5,
    )
    file.write_text(configuration_text(settings, comments=comments), encoding="utf-8")
    assert load_settings(file) == settings


def test_an_unknown_setting_is_refused_with_its_line_and_a_suggestion(file: Path) -> None:
    message = complaint(file, "epochs: 3\n\n# a comment\nlora_rnak: 8\ndata:\n  - path: a.jsonl\n    shre: 2\n")
    assert f"{file}:4: there is no setting 'lora_rnak'. Did you mean 'lora_rank'?" in message
    assert f"{file}:7: there is no setting 'data.0.shre'. Did you mean 'share'?" in message
    assert "There are data, output, base," in complaint(file, "zzz: 1\n")


def test_a_wrong_value_is_refused_with_its_line(file: Path) -> None:
    message = complaint(file, "method: loar\nepochs: -1\nseeds: [1, two]\ndata:\n- share: 1\n")
    assert f"{file}:1: method: it should be 'lora', 'full', 'head' or 'distil'; it is 'loar'." in message
    assert f"{file}:2: epochs: it should be greater than 0; it is -1." in message
    assert f"{file}:3: seeds.1:" in message
    assert f"{file}:5: data.0.path is missing." in message


def test_a_loss_that_there_is_not_is_refused_with_its_line(file: Path) -> None:
    message = complaint(file, "loss: focl\nlabel_smoothing: 0.5\nconsistency_weight: -1\n")
    assert f"{file}:1: loss: it should be 'cross_entropy', 'focal' or 'asymmetric'; it is 'focl'." in message
    assert f"{file}:2: label_smoothing: it should be less than 0.5; it is 0.5." in message
    assert f"{file}:3: consistency_weight: it should be greater than or equal to 0; it is -1." in message


def test_distil_wants_a_teacher(file: Path) -> None:
    assert f"{file}:2: method: distil wants a teacher: set start_from" in complaint(file, "epochs: 1\nmethod: distil\n")
    file.write_text("method: distil\nstart_from: released\ndistillation: {remix_share: 0.2}\n")
    assert load_settings(file).distillation.remix_share == 0.2
    assert load_settings(file, {"distillation.alias": "small"}).distillation.alias == "small"
    assert ":3: distillation.alias: a student gets another alias first" in complaint(
        file, "method: distil\nstart_from: released\ndistillation: {alias: Champion}\n"
    )


def test_a_commands_own_defaults_come_last(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("epochs: 7\n")
    of_command = {"epochs": 4, "encoder_lr": 2e-4, "head_lr": 3e-4, "seed": 5}
    monkeypatch.setenv("SIGNAAL_TRAIN_HEAD_LR", "0.5")
    settings = load_settings(file, {"seed": 6}, of_command)
    assert (settings.epochs, settings.encoder_lr, settings.head_lr, settings.seed) == (7, 2e-4, 0.5, 6)


def test_a_command_has_its_own_defaults_beside_a_file_that_init_wrote(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.write_text(configuration_text(TrainingSettings()).replace("\nepochs: 5", "\nepochs: 7"))
    with caplog.at_level(logging.INFO):
        settings = load_settings(file, {}, {"epochs": 4, "encoder_lr": 2e-4, "head_lr": 3e-4})
    assert (settings.epochs, settings.encoder_lr, settings.head_lr) == (7, 2e-4, 3e-4)
    assert f"Instead of a run's defaults in {file}, this command's: encoder_lr 0.0002, head_lr 0.0003." in caplog.text
    assert load_settings(file, {"encoder_lr": 5e-4}, {"encoder_lr": 2e-4}).encoder_lr == 5e-4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 1\nepochs: 2\n", ":2: 'epochs' is set twice, here and in line 1"),
        ("epochs: [1\n", ":2: this is not YAML"),
        ("- epochs\n", ":1: a configuration is a list of settings"),
        ("? [a]\n: 1\n", ":1: a name is expected"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(file: Path, text: str, message: str) -> None:
    assert message in complaint(file, text)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Cannot read the configuration"):
        load_settings(tmp_path / "nowhere.yaml")


def test_the_command_line_goes_before_the_environment_and_that_before_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("epochs: 1\nlora_rank: 1\nseed: 1\n")
    monkeypatch.setenv("SIGNAAL_TRAIN_EPOCHS", "2")
    monkeypatch.setenv("SIGNAAL_TRAIN_LORA_RANK", "2")
    monkeypatch.setenv("SIGNAAL_TRAIN_DATA", "from-environment.jsonl")
    settings = load_settings(file, parse_changes(["epochs=3", "encoder_lr=5e-5", "seeds=[4, 5]"]))
    assert (settings.epochs, settings.lora_rank, settings.seed) == (3, 2, 1)
    assert (settings.encoder_lr, settings.seeds) == (5e-5, (4, 5))
    assert settings.data == (DataSource(path=Path("from-environment.jsonl")),)


def test_what_is_wrong_elsewhere_is_said_to_be_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNAAL_TRAIN_BATCH_SIZE", "0")
    message = complaint(file, "epochs: 1\n", epochz=3)
    assert "on the command line: there is no setting 'epochz'. Did you mean 'epochs'?" in message
    assert "SIGNAAL_TRAIN_BATCH_SIZE: batch_size: it should be greater than or equal to 1" in message
    monkeypatch.delenv("SIGNAAL_TRAIN_BATCH_SIZE")
    monkeypatch.setenv("signaal_train_epocsh", "3")
    message = complaint(file, "epochs: 1\n")
    assert message == "SIGNAAL_TRAIN_EPOCSH: there is no setting 'epocsh'. Did you mean 'epochs'?"
    with pytest.raises(ConfigurationError, match="write it as key=value"):
        parse_changes(["epochs"])


def test_data_may_be_a_file_or_several_with_shares(file: Path) -> None:
    file.write_text("data: a.jsonl\n")
    assert load_settings(file).data == (DataSource(path=Path("a.jsonl")),)
    file.write_text("data:\n- a.jsonl\n- {path: b.jsonl, share: 0.5}\n")
    assert load_settings(file).data == (DataSource(path=Path("a.jsonl")), DataSource(path=Path("b.jsonl"), share=0.5))


@pytest.mark.parametrize(
    ("arguments", "variable", "message"),
    [
        (
            ("distil", "released"),
            "SIGNAAL_TRAIN_LAYRES",
            "SIGNAAL_TRAIN_LAYRES: there is no setting 'layres'. Did you mean 'layers'?",
        ),
        (("bench", "no.jsonl"), "SIGNAAL_BENCH_SEDS", "SIGNAAL_BENCH_SEDS: there is no setting 'seds'. Did you mean 'seeds'?"),
        (("noise", "--data", "DATA", "--way", "full"), "SIGNAAL_TRAIN_LORA_RNAK", "Did you mean 'lora_rank'?"),
        (("curve", "--data", "DATA"), "SIGNAAL_TRAIN_LORA_RNAK", "Did you mean 'lora_rank'?"),
        (("recalibrate", "released"), "SIGNAAL_TRAIN_LORA_RNAK", "Did you mean 'lora_rank'?"),
        (("bench", "no.jsonl"), "SIGNAAL_BENCH_LAYERS", "SIGNAAL_BENCH_LAYERS: layers: it should be a valid integer"),
    ],
)
def test_a_misspelt_variable_is_refused_by_the_commands_that_would_read_it(
    arguments: tuple[str, ...], variable: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_small_data(tmp_path / "data.jsonl", texts=8, held_out=2)
    monkeypatch.setenv(variable, "x")
    given = [str(data) if argument == "DATA" else argument for argument in arguments]
    assert message in str(CliRunner().invoke(app, given).exception)


def test_help_says_what_an_options_default_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "run", "--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "(default: lora)" in said
    assert "None" not in said

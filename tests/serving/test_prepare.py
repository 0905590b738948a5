import sys

import pytest

from models.errors import BundleError
from models.settings import ModelSettings
from serving.cli import main
from tests.conftest import SmallRun


def prepare(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["signaal-serve", "prepare"])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


@pytest.fixture
def environment(small_run: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNAAL_BUNDLE", str(small_run.result.bundle.folder))
    monkeypatch.setenv("SIGNAAL_MLFLOW_TRACKING_URI", small_run.settings.mlflow_tracking_uri)
    monkeypatch.setenv("SIGNAAL_SERVE_MODELS", "champion,nobody")


@pytest.mark.usefixtures("environment")
def test_prepare_builds_for_every_alias_and_says_which_has_no_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model_settings: ModelSettings
) -> None:
    assert prepare(monkeypatch) == 0
    assert capsys.readouterr().err.splitlines()[-2:] == [
        f"signaal small (champion) is prepared in {model_settings.cache_dir}.",
        "No model is called nobody.",
    ]


@pytest.mark.usefixtures("environment")
def test_prepare_that_cannot_build_ends_with_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise BundleError("There is no disk.")

    monkeypatch.setattr("serving.cli.open_at", fail)
    assert prepare(monkeypatch) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: There is no disk."

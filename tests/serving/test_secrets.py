"""Settings from files: for what must not be in the environment."""

from pathlib import Path

import pytest

from serving.errors import SettingsError
from serving.settings import load_model_settings, load_settings


def test_a_file_gives_a_setting_and_its_variable_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "signaal_serve_max_ads").write_text("7\n")
    (tmp_path / "signaal_mlflow_tracking_uri").write_text("http://mlflow:5000\n")
    monkeypatch.setenv("SIGNAAL_SECRETS_DIR", str(tmp_path))
    assert load_settings().max_ads == 7
    assert load_model_settings().mlflow_tracking_uri == "http://mlflow:5000"
    monkeypatch.setenv("SIGNAAL_SERVE_MAX_ADS", "8")
    assert load_settings().max_ads == 8


def test_files_are_found_where_kubernetes_puts_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "signaal_serve_max_ads").write_text("7")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "signaal_serve_max_ads").symlink_to("..data/signaal_serve_max_ads")
    monkeypatch.setenv("SIGNAAL_SECRETS_DIR", str(tmp_path))
    assert load_settings().max_ads == 7


def test_a_folder_that_is_not_there_is_an_error_and_not_a_server_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SIGNAAL_SECRETS_DIR", str(tmp_path / "none"))
    for load in (load_settings, load_model_settings):
        with pytest.raises(SettingsError, match=r"^SIGNAAL_SECRETS_DIR: there is no folder .*none"):
            load()

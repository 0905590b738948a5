import re
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from models.settings import ModelSettings
from serving.errors import SettingsError
from serving.settings import ServingSettings, load_settings


def test_the_command_line_wins_over_the_environment_and_that_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNAAL_SERVE_PORT", "1234")
    assert load_settings(host=None, port=None).port == 1234
    assert load_settings(port=4321).port == 4321
    assert load_settings().host == "127.0.0.1"


def test_a_bad_value_is_named_where_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"^--port: "):
        load_settings(port=70_000)
    monkeypatch.setenv("SIGNAAL_SERVE_MAX_ADS", "many")
    with pytest.raises(SettingsError, match=r"^SIGNAAL_SERVE_MAX_ADS: "):
        load_settings()


def test_every_setting_is_described() -> None:
    assert all(field.description for field in ServingSettings.model_fields.values())


@pytest.mark.parametrize(("settings", "prefix"), [(ServingSettings, "SIGNAAL_SERVE_"), (ModelSettings, "SIGNAAL_")])
def test_the_documentation_lists_every_setting_with_its_description(settings: type[BaseSettings], prefix: str) -> None:
    document = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| `.*?` \| (.*) \|$", document, re.MULTILINE))
    for name, field in settings.model_fields.items():
        assert rows[prefix + name.upper()] == field.description

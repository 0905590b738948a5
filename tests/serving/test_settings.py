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


def test_keys_are_demanded_beyond_loopback_and_where_they_are_asked_for() -> None:
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert not load_settings(host=host).wants_keys
        assert load_settings(host=host, auth="keys").wants_keys
        assert not load_settings(host=host, auth="off").wants_keys
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org"):
        assert load_settings(host=host).wants_keys
        with pytest.raises(SettingsError, match=r"^--auth: .* can be reached by other machines"):
            load_settings(host=host, auth="off")


def test_origins_are_named_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().cors_origins == ()
    monkeypatch.setenv("SIGNAAL_SERVE_CORS_ORIGINS", "https://desk.example.org, http://localhost:3000")
    assert load_settings().cors_origins == ("https://desk.example.org", "http://localhost:3000")
    for wrong in ("*", "desk.example.org", "https://*.example.org", "https://desk.example.org/", "null"):
        monkeypatch.setenv("SIGNAAL_SERVE_CORS_ORIGINS", wrong)
        with pytest.raises(SettingsError, match=r"^SIGNAAL_SERVE_CORS_ORIGINS: an origin is"):
            load_settings()


def test_hosts_are_names_without_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNAAL_SERVE_HOSTS", "Desk.example.org, [fd00::1]")
    assert load_settings().hosts == ("desk.example.org", "[fd00::1]")
    for wrong in ("*", "*.example.org", "https://desk.example.org", "desk.example.org:443", "desk.example.org/x", "::1"):
        monkeypatch.setenv("SIGNAAL_SERVE_HOSTS", wrong)
        with pytest.raises(SettingsError, match=r"^SIGNAAL_SERVE_HOSTS: a host is"):
            load_settings()


def test_the_address_of_the_database_is_not_shown_with_the_settings() -> None:
    assert "geheim" not in repr(load_settings(database_url="postgresql://desk:geheim@db/keys"))


def test_the_largest_body_must_fit_into_what_is_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNAAL_SERVE_MAX_BODIES_BYTES", str(2**20))
    with pytest.raises(
        SettingsError, match=r"^SIGNAAL_SERVE_MAX_BODIES_BYTES: the largest body has 8388608 bytes and must fit\."
    ):
        load_settings()
    assert load_settings(max_body_bytes=2**20).max_bodies_bytes == 2**20

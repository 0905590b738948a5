import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models.settings import ModelSettings
from serving.keys.store import Scope
from serving.settings import PREFIX
from tests.serving.deploy.files import DEPLOY, ROOT, SETTINGS, documents, image_environment, stage

COMPOSE: dict[str, Any] = documents(DEPLOY / "compose.yaml")[0]
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
METRICS_KEY = "signaal_metrics_key"
"""The secret that is not made beforehand: a running server makes keys."""


def test_it_fits_the_schema_of_compose_files() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml"]
    subprocess.run(check, check=True, timeout=60)


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_shut_in(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert "privileged" not in service
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    # Docker cannot publish a port of a service that is in internal networks alone; whoever publishes none needs no way out.
    assert ("edge" in service["networks"]) == ("ports" in service)


def test_each_service_that_stays_says_whether_it_is_well() -> None:
    by_image = {"signaal"} if "HEALTHCHECK" in stage("server") else set()
    assert {name for name, one in SERVICES.items() if "healthcheck" in one} | by_image == set(SERVICES) - {"prepare"}


def test_what_services_use_is_defined_and_what_is_defined_is_used() -> None:
    used: dict[str, set[str]] = {"networks": set(), "volumes": set(), "secrets": set()}
    for service in SERVICES.values():
        used["networks"] |= set(service["networks"])
        used["secrets"] |= set(service.get("secrets", []))
        sources = {mount.split(":")[0] for mount in service.get("volumes", [])}
        used["volumes"] |= {source for source in sources if not source.startswith(".")}
        for source in sources - used["volumes"]:
            assert (DEPLOY / source).is_file()
        assert set(service.get("depends_on", {})) <= set(SERVICES)
    for kind, names in used.items():
        assert names == set(COMPOSE[kind])


def test_ports_and_paths_agree_with_the_images() -> None:
    image = image_environment()
    port = image["SIGNAAL_SERVE_PORT"]
    assert SERVICES["signaal"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    for name in ("signaal", "prepare"):
        mounts = dict(mount.split(":")[:2] for mount in SERVICES[name]["volumes"])
        assert mounts["signaal-cache"] == image["SIGNAAL_CACHE_DIR"]
        assert SERVICES[name]["environment"]["SIGNAAL_MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
        ModelSettings(mlflow_tracking_uri=SERVICES[name]["environment"]["SIGNAAL_MLFLOW_TRACKING_URI"])
    (home,) = re.findall(r"^WORKDIR (.*)$", stage("machine"), re.MULTILINE)
    assert f"signaal-data:{home}" in SERVICES["signaal"]["volumes"]
    assert f"mlflow-artifacts:{home}" in SERVICES["mlflow"]["volumes"]
    (command,) = SERVICES["mlflow"]["command"]
    assert "--port 5000 " in command
    assert f" {home}/artifacts " in command
    assert "mlflow:5000" in command.split("--allowed-hosts ")[1]
    for service in ("signaal", "prepare", "mlflow"):
        assert f" AS {SERVICES[service]['build']['target']}\n" in (DEPLOY / "Dockerfile").read_text()
    (scraped,) = documents(DEPLOY / "compose" / "prometheus.yml")[0]["scrape_configs"]
    assert scraped["static_configs"] == [{"targets": [f"signaal:{port}"]}]


def test_prometheus_alone_has_the_key_that_it_asks_with() -> None:
    (scraped,) = documents(DEPLOY / "compose" / "prometheus.yml")[0]["scrape_configs"]
    assert scraped["authorization"] == {"credentials_file": f"/run/secrets/{METRICS_KEY}"}
    assert [name for name, one in SERVICES.items() if METRICS_KEY in one.get("secrets", [])] == ["prometheus"]
    made = f"keys create prometheus --scope {Scope.METRICS} > serving/deploy/secrets/{METRICS_KEY}\n"
    assert made in (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert COMPOSE["secrets"][METRICS_KEY] == {"file": f"./secrets/{METRICS_KEY}"}


def test_the_scorer_has_as_many_threads_as_cores() -> None:
    service = SERVICES["signaal"]
    assert service["environment"]["SIGNAAL_THREADS"] == service["deploy"]["resources"]["limits"]["cpus"]


def test_no_password_is_in_the_file_or_may_be_left_out() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    assert set(re.findall(r"(?<!\$)\$\{([^}]*)\}", text)) == {"TAG:-latest"}
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or str(value).startswith("/run/secrets/")
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())


def test_each_secret_of_the_server_is_a_setting() -> None:
    assert SERVICES["signaal"]["environment"]["SIGNAAL_SECRETS_DIR"] == "/run/secrets"
    assert {name.upper() for name in SERVICES["signaal"]["secrets"]} <= SETTINGS
    assert all(name.upper().startswith(PREFIX) for name in SERVICES["signaal"]["secrets"])


def test_the_secrets_are_made_once_and_kept_from_others(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make = [DEPLOY / "compose" / "make-secrets.sh", folder]
    subprocess.run(make, check=True, timeout=30)
    assert {path.name for path in folder.iterdir()} == set(COMPOSE["secrets"]) - {METRICS_KEY}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    found = {path.name: path.read_text() for path in folder.iterdir()}
    for service, address in (("signaal", "signaal_serve_database_url"), ("mlflow", "mlflow_backend_store_uri")):
        password = found[f"{service}_database_password"]
        assert re.fullmatch(r"[0-9a-f]{64}", password)
        assert found[address] == f"postgresql+psycopg://{service}:{password}@postgres:5432/{service}"
    assert len({value for name, value in found.items() if name.endswith("_password")}) == 4
    again = subprocess.run(make, capture_output=True, text=True, timeout=30, check=False)
    assert again.returncode == 1
    assert "nothing was changed" in again.stderr
    assert {path.name: path.read_text() for path in folder.iterdir()} == found

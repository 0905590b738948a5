"""Without containers: the systemd unit, and the proxy before it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from serving.app import create_app
from serving.settings import ServingSettings
from tests.serving.deploy.files import DEPLOY, ROOT

UNIT = (DEPLOY / "signaal.service").read_text()
NGINX = (DEPLOY / "nginx.conf").read_text()
MOST_EXPOSURE = 15
"""Tenths of a point of systemd's own count, where 100 is wide open."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze: the unit is not checked")


@needs_systemd
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    unit = tmp_path / "signaal.service"
    unit.write_text(re.sub(r"^ExecStart=.*$", "ExecStart=/bin/true", UNIT, flags=re.MULTILINE))
    check = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    assert (check.returncode, check.stderr) == (0, "")


@needs_systemd
def test_the_service_is_shut_in() -> None:
    measure = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSURE}", DEPLOY / "signaal.service"]
    subprocess.run(measure, check=True, timeout=60, stdout=subprocess.DEVNULL)


def test_every_path_of_the_unit_is_made_by_the_steps_on_the_page() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    steps = page[page.index("## Without containers") :]
    clone = "/opt/signaal/src"
    assert "cd /opt/signaal && git clone YOUR-CLONE src && cd src" in steps
    named = set(re.findall(r"/opt/signaal/[\w./-]+", UNIT))
    assert f"{clone}/docs/deployment.md" in named
    for path in named:
        in_clone = path.removeprefix(f"{clone}/")
        assert (ROOT / in_clone).is_file() if in_clone != path else path in steps, path


def test_behind_a_proxy_on_the_same_machine_callers_need_keys() -> None:
    assert "\nEnvironment=SIGNAAL_SERVE_AUTH=keys\n" in UNIT


def test_the_proxy_leaves_bodies_to_the_server_and_keeps_none() -> None:
    settings = ServingSettings()
    (size,) = re.findall(r"client_max_body_size (\d+)m;", NGINX)
    assert int(size) * 1024 * 1024 == settings.max_body_bytes
    (timeout,) = re.findall(r"proxy_read_timeout (\d+)s;", NGINX)
    assert int(timeout) > settings.max_wait_seconds
    assert "\n    proxy_request_buffering off;\n    proxy_buffering off;\n" in NGINX
    assert f"server 127.0.0.1:{settings.port};" in NGINX


def test_the_proxy_knows_the_stream() -> None:
    app = create_app(None, ServingSettings())  # type: ignore[arg-type]  # never started
    (stream,) = {getattr(route, "path", "") for route in app.routes if getattr(route, "path", "").endswith("/stream")}
    assert f"location = {stream} {{\n        client_max_body_size 0;" in NGINX


def test_all_yaml_is_in_order() -> None:
    rules = "{extends: default, rules: {line-length: {max: 160}, document-start: disable, braces: {max-spaces-inside: 1}}}"
    subprocess.run([sys.executable, "-m", "yamllint", "--strict", "-d", rules, DEPLOY], cwd=ROOT, check=True, timeout=60)

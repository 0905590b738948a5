"""``signaal-label first-steps`` and ``web``, as processes."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from tests.labeling.web.conftest import Visitor

COMMAND = [sys.executable, "-c", "from labeling.cli import main; main()"]


def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "SIGNAAL_LABEL_DATABASE_URL": f"sqlite:///{folder}/labeling.db",
        "SIGNAAL_LABEL_ADMIN_PASSWORD": "correct horse battery",
        "PYTHONPATH": str(Path.cwd()),
        "COLUMNS": "200",
    }


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], env=environment(folder), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def test_from_nothing_to_an_ad_on_the_screen(tmp_path: Path) -> None:
    early = run(tmp_path, "web", "--port", "0")
    assert (early.returncode, "signaal-label first-steps" in early.stderr) == (2, True)
    first = run(tmp_path, "first-steps", "--admin", "mira")
    assert first.returncode == 0, first.stderr
    assert "The admin is mira" in first.stdout
    assert "78 invented ads" in first.stdout
    again = run(tmp_path, "first-steps")
    assert (again.returncode, again.stdout) == (0, "")
    server = subprocess.Popen(
        [*COMMAND, "web", "--port", "0"], env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout
        address = re.search(r"http://\S+", server.stdout.readline())
        assert address
        with Visitor(base_url=address[0], timeout=60, transport=httpx.HTTPTransport(retries=5)) as mira:
            assert mira.sign_in("mira").status_code == 303
            assert mira.get("/api/next").json()["ad"]["text"]
    finally:
        server.send_signal(signal.SIGTERM)
        _, log = server.communicate(timeout=60)
    assert "Traceback" not in log
    assert "route=/api/next status=200" in log


def test_a_taken_port_is_told_in_a_line(tmp_path: Path) -> None:
    assert run(tmp_path, "first-steps", "--no-sample").returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = run(tmp_path, "web", "--port", str(taken.getsockname()[1]))
    assert refused.returncode == 2
    assert "Choose another with --port." in refused.stderr
    assert "Traceback" not in refused.stderr

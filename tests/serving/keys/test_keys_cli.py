"""``signaal-serve keys``, and that a server beyond loopback demands them."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from serving.cli import main
from serving.keys.secret import read_token

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def database_of_this_test(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNAAL_SERVE_DATABASE_URL", database)
    monkeypatch.setenv("COLUMNS", "200")


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["signaal-serve", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_a_key_is_made_shown_once_listed_rotated_and_revoked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = ["--ads-per-minute", "60", "--ads-per-day", "900", "--expires", "2090-01-31"]
    assert call(monkeypatch, "keys", "create", "[red]desk", "--scope", "score", "--scope", "feedback", *limits) == 0
    said = capsys.readouterr()
    token = said.out.strip()
    read = read_token(token)
    assert read is not None, "standard output is the key and nothing else"
    assert "shown only now" in said.err

    assert call(monkeypatch, "keys", "list") == 0
    listed = capsys.readouterr().out
    for part in (read.key_id, "[red]desk", "feedback score", "active", "never", "2090-01-31", "60", "0 of 900"):
        assert part in listed
    assert token.rsplit("_", 1)[1] not in listed

    assert call(monkeypatch, "keys", "rotate", read.key_id, "--grace-hours", "2") == 0
    rotated = capsys.readouterr()
    again = read_token(rotated.out.strip())
    assert again is not None
    assert (again.key_id, again.digest != read.digest) == (read.key_id, True)
    assert "The old secret is good until" in rotated.err

    assert call(monkeypatch, "keys", "revoke", read.key_id) == 0
    assert f"The key {read.key_id} ([red]desk) is revoked." in capsys.readouterr().err
    assert call(monkeypatch, "keys", "list") == 0
    assert "revoked" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create", "desk", "--scope", "score", "--expires", "2020-01-01"], "that day has begun"),
        (["create", "a\nb", "--scope", "score"], "1 to 100 printable characters"),
        (["revoke", "0123456789ab"], "There is no key 0123456789ab."),
        (["rotate", "0123456789ab"], "There is no key 0123456789ab."),
        (["rotate", "0123456789ab", "--grace-hours", "721"], "--grace-hours: the old secret may stay good for 0 to 720 hours"),
        (["rotate", "0123456789ab", "--grace-hours", "1e300"], "--grace-hours: the old secret may stay good for 0 to 720 hours"),
        (["rotate", "0123456789ab", "--grace-hours", "nan"], "--grace-hours: the old secret may stay good for 0 to 720 hours"),
        (["rotate", "0123456789ab", "--grace-hours=-1"], "--grace-hours: the old secret may stay good for 0 to 720 hours"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert call(monkeypatch, "keys", *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert says in line


@pytest.mark.parametrize(
    "arguments", [["desk"], ["desk", "--scope", "everything"], ["desk", "--scope", "score", "--ads-per-day", "0"]]
)
def test_a_key_has_a_scope_that_there_is_and_limits_above_zero(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert call(monkeypatch, "keys", "create", *arguments) == 2
    assert capsys.readouterr().out == ""


def test_a_database_that_cannot_be_used_stops_a_server_that_needs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGNAAL_SERVE_AUTH", "keys")
    monkeypatch.setenv("SIGNAAL_SERVE_DATABASE_URL", "sqlite:////nowhere/keys.db")
    assert call(monkeypatch, "api", "--port", "0") == 2
    assert "/nowhere/keys.db cannot be opened" in capsys.readouterr().err


def test_off_is_refused_beyond_loopback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SIGNAAL_SERVE_AUTH", "off")
    for more in ([], ["--allow-remote"]):
        assert call(monkeypatch, "api", "--host", "0.0.0.0", *more) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: SIGNAAL_SERVE_AUTH: 0.0.0.0 can be reached by other machines")


def status(url: str, token: str | None = None) -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_real_server_beyond_loopback_demands_a_key_and_notices_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bundle_folder: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", "from serving.cli import main; main()"]
    with log.open("w") as file:
        server = subprocess.Popen(
            [*command, "api", "--host", "0.0.0.0", "--allow-remote", "--port", "0"],
            cwd=ROOT,
            env=os.environ | {"SIGNAAL_BUNDLE": str(bundle_folder)},
            stderr=file,
        )
    try:
        for _ in range(1200):
            assert server.poll() is None, log.read_text()
            if "is ready as" in log.read_text():
                break
            time.sleep(0.1)
        assert "is ready as" in log.read_text()
        assert "no keys yet" in log.read_text()
        found = re.search(r"listens on http://0\.0\.0\.0:(\d+) ", log.read_text())
        assert found
        address = f"http://127.0.0.1:{found[1]}/v1/model"
        assert call(monkeypatch, "keys", "create", "desk", "--scope", "score") == 0
        token = capsys.readouterr().out.strip()
        assert [status(address), status(address, token)] == [401, 200]
        read = read_token(token)
        assert read
        assert call(monkeypatch, "keys", "revoke", read.key_id) == 0
        until = time.monotonic() + 20
        while status(address, token) == 200:
            assert time.monotonic() < until
            time.sleep(0.2)
        assert status(address, token) == 401
        server.send_signal(signal.SIGTERM)
        server.wait(30)
        assert token.rsplit("_", 1)[1] not in log.read_text()
    finally:
        server.kill()
        server.wait(30)

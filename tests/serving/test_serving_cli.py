"""``signaal-serve`` as a process of its own. Named so because the other rooms have a ``test_cli.py`` too."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.cli import main
from tests.serving.listening import COMMAND, ROOT, Server, serving_process


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["signaal-serve", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


@pytest.fixture
def ads(tmp_path: Path) -> Path:
    path = tmp_path / "ads.ndjson"
    path.write_text('{"id": "a1", "text": "Je paspoort blijft op kantoor."}\n', encoding="utf-8")
    return path


@pytest.fixture
def tampered(tmp_path: Path, bundle_folder: Path) -> Path:
    copy = tmp_path / "tampered"
    shutil.copytree(bundle_folder, copy)
    weights = bytearray((copy / "heads.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "heads.safetensors").write_bytes(weights)
    return copy


@pytest.mark.parametrize("arguments", [["--help"], ["api", "--help"], ["score", "--help"]])
def test_help_is_given(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert call(monkeypatch, *arguments) == 0
    assert "Usage" in capsys.readouterr().out


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_an_address_that_others_can_reach_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    assert call(monkeypatch, "api", "--host", host) == 2
    assert "add --allow-remote" in capsys.readouterr().err
    monkeypatch.setenv("SIGNAAL_SERVE_HOST", host)
    assert call(monkeypatch, "api") == 2


def test_an_address_in_use_is_told_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert call(monkeypatch, "api", "--port", str(port)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: Cannot listen on 127.0.0.1:{port} (")


@pytest.mark.parametrize(
    ("name", "value"), [("SIGNAAL_PRECISION", "int4"), ("SIGNAAL_THREADS", "-1"), ("SIGNAAL_SERVE_BULK_BATCH", "0")]
)
def test_a_bad_setting_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ads: Path, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert call(monkeypatch, "score", str(ads), "-o", str(ads.with_name("out.csv"))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {name}: ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.ndjson", "-o", "out.ndjson"], "There is no file none.ndjson."),
        (["ads.txt", "-o", "out.ndjson"], "does not say its format"),
        (["ads.ndjson", "-o", "out.ndjson", "--format", "xml"], "'xml' is none of ndjson, csv, parquet"),
    ],
)
def test_a_file_that_cannot_be_scored_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ads: Path, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(ads.parent)
    assert call(monkeypatch, "score", *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert says in line


def test_score_ends_with_0_then_2_then_0_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ads: Path, bundle_folder: Path
) -> None:
    monkeypatch.setenv("SIGNAAL_BUNDLE", str(bundle_folder))
    out = ads.with_name("[out].csv")
    assert call(monkeypatch, "score", str(ads), "-o", str(out), "--indicators", "debt_or_fees, states_limits") == 0
    said = capsys.readouterr().err
    assert f"1 scored in 0 s, 0 rejected; results: {out}\n" in said
    assert "debt_or_fees" in said
    assert len(out.read_text().splitlines()) == 2
    assert call(monkeypatch, "score", str(ads), "-o", str(out)) == 2
    assert "is there already" in capsys.readouterr().err
    assert call(monkeypatch, "score", str(ads), "-o", str(out), "--resume") == 0
    assert f"{out} is already complete; there is nothing to do.\n" in capsys.readouterr().err


def test_score_ends_with_3_when_a_line_is_kept_aside(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ads: Path, bundle_folder: Path
) -> None:
    monkeypatch.setenv("SIGNAAL_BUNDLE", str(bundle_folder))
    ads.write_text(ads.read_text() + "oops\n")
    out = ads.with_name("out.parquet")
    assert call(monkeypatch, "score", str(ads), "-o", str(out)) == 3
    said = capsys.readouterr().err
    assert "line 2: Not JSON." in said
    assert f"rejected lines: {out}.rejected.ndjson\n" in said


def test_score_with_a_tampered_bundle_is_one_line_that_names_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ads: Path, tampered: Path
) -> None:
    monkeypatch.setenv("SIGNAAL_BUNDLE", str(tampered))
    assert call(monkeypatch, "score", str(ads), "-o", str(ads.with_name("out.csv"))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (f"error: The bundle {tampered} is broken or was tampered with: heads.safetensors does not match its SHA-256.")
    assert not ads.with_name("out.csv").exists()


def test_api_with_a_tampered_bundle_does_not_start_and_names_the_file(tampered: Path) -> None:
    environment = os.environ | {"SIGNAAL_BUNDLE": str(tampered)}
    ended = subprocess.run(
        [*COMMAND, "api", "--port", "0"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert last.endswith("heads.safetensors does not match its SHA-256.")


@pytest.fixture
def server(tmp_path: Path, bundle_folder: Path) -> Iterator[Server]:
    """A real server on a free port, ready."""
    with serving_process(bundle_folder, tmp_path / "log") as server:
        yield server


def test_a_real_server_answers_keeps_texts_out_of_its_log_and_ends_on_sigterm(server: Server) -> None:
    with urllib.request.urlopen(server.url + "/readyz", timeout=30) as answer:
        assert answer.status == 200
    body = json.dumps({"ads": [{"id": "a1", "text": "Je paspoort blijft op kantoor, geheimtekst."}]}).encode()
    request = urllib.request.Request(server.url + "/v1/score", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.load(answer)["results"][0]["id"] == "a1"

    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /v1/score HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 9999999999\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as raw:  # far too large: refused before it is sent
        raw.sendall(head.encode())
        assert raw.recv(1000).startswith(b"HTTP/1.1 413 ")
    with socket.create_connection((host, int(port)), timeout=30) as raw:  # a caller who leaves in mid-body
        raw.sendall(head.replace("9999999999", "1000").encode() + b'{"ads": "geheimtekst')
    with socket.create_connection((host, int(port)), timeout=30) as raw:
        raw.sendall(b"geheimtekst\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 400 ")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(server.url + "/geheimtekst", timeout=30)

    server.process.send_signal(signal.SIGTERM)
    server.process.wait(30)
    log = server.log.read_text()
    assert "method=POST route=/v1/score status=200" in log
    assert "geheimtekst" not in log
    assert "Traceback" not in log

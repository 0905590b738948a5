"""SIGTERM, seen from outside: a real server, real connections. The log is JSON here, as in a cluster."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from serving.keys.store import KeyStore, Scope
from tests.waiting import until

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from serving.cli import main; main()", "api", "--port", "0"]
SECRET = "geheimtekst"
STREAM_HEAD = b"\r\n".join(
    (
        b"POST /v1/score/stream HTTP/1.1",
        b"Host: localhost",
        b"Content-Type: application/x-ndjson",
        b"Transfer-Encoding: chunked",
        b"\r\n",
    )
)


@dataclass
class Server:
    port: int
    process: "subprocess.Popen[str]"
    log: Path

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, str], Any]:
        """Status, headers (names in small letters) and body of an answer; each over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        raw = answer.read()
        connection.close()
        is_json = "json" in answer.headers["Content-Type"]
        return (
            answer.status,
            {name.lower(): value for name, value in answer.headers.items()},
            json.loads(raw) if is_json else raw.decode(),
        )

    def metric(self, line: str) -> float:
        """Value of one line of /metrics."""
        found = re.search(rf"^{re.escape(line)} (\S+)$", self.ask("GET", "/metrics")[2], re.MULTILINE)
        return float(found[1]) if found else 0.0


@contextmanager
def running(log: Path, bundle: Path, **settings: object) -> Iterator[Server]:
    environment = os.environ | {"SIGNAAL_BUNDLE": str(bundle), "SIGNAAL_SERVE_LOG_FORMAT": "json"}
    environment |= {f"SIGNAAL_SERVE_{name.upper()}": str(value) for name, value in settings.items()}
    with log.open("w") as file:
        process = subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stderr=file, text=True)
    try:
        until(lambda: "is ready as champion." in log.read_text() or process.poll() is not None, 120)
        found = re.search(r"listens on http://127\.0\.0\.1:(\d+) ", log.read_text())
        assert found, log.read_text()
        yield Server(int(found[1]), process, log)
    finally:
        process.kill()
        process.wait(30)


def chunk(line: dict[str, str]) -> bytes:
    data = json.dumps(line).encode() + b"\n"
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_sigterm_answers_what_waits_refuses_what_comes_and_then_ends(tmp_path: Path, bundle_folder: Path) -> None:
    large = {"ads": [{"id": str(i), "text": f"Ad {i} {SECRET}. " + f"Pickers wanted at farm {i}. " * 180} for i in range(64)]}
    small = {"ads": [{"id": "late", "text": f"Too late, {SECRET}."}]}
    with running(tmp_path / "log", bundle_folder, drain_seconds=600, max_wait_seconds=60) as server:
        stream = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        stream.sendall(STREAM_HEAD + chunk({"text": f"First, {SECRET}."}))
        streamed = read_until(stream, b'"line":1,')

        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(server.ask, "POST", "/v1/score", large)
            until(lambda: server.metric("signaal_queue_ads") >= 64)
            server.process.send_signal(signal.SIGTERM)
            until(lambda: server.ask("GET", "/readyz")[0] == 503, 5)
            for method, path, body in (("GET", "/readyz", None), ("POST", "/v1/score", small), ("GET", "/v1/model", None)):
                status, headers, problem = server.ask(method, path, body)
                assert (status, problem["type"]) == (503, "urn:signaal:problem:stopping")
                assert int(headers["retry-after"]) >= 1
                assert headers["connection"] == "close"
            assert not waiting.done(), "the server must be asked while it has something to do"
            assert server.ask("GET", "/healthz")[0] == 200
            assert server.metric('signaal_state{state="stopping"}') == 1
            server.process.send_signal(signal.SIGTERM)  # enough: close the port
            status, _, answer = waiting.result(120)
        assert status == 200
        assert len(answer["results"]) == 64

        while received := stream.recv(65536):
            streamed += received
        assert not streamed.endswith(b"0\r\n\r\n"), "a stream that is not over must not look as if it were"
        server.process.wait(30)
        assert server.process.returncode == -signal.SIGTERM
        log = server.log.read_text()
    assert SECRET not in log
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert len(events) >= len(log.splitlines()) - 2, "all but the greeting, which is for people"
    scored = [one for one in events if one["event"] == "request" and one["route"] == "/v1/score"]
    assert sorted((one["status"], one.get("ads"), one.get("problem")) for one in scored) == [
        (200, 64, None),
        (503, None, "stopping"),
    ]
    assert "Stopping: nothing new is taken, what waits is answered." in [one["event"] for one in events]


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    received = b""
    while mark not in received:
        more = connection.recv(65536)
        assert more, received
        received += more
    return received


def test_lines_of_a_stream_that_are_under_way_are_answered(tmp_path: Path, bundle_folder: Path) -> None:
    with running(tmp_path / "log", bundle_folder, drain_seconds=0, max_wait_seconds=60) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as stream:
            lines = [chunk({"text": f"Line {i}. " + f"Pickers wanted at farm {i}. " * 180}) for i in range(32)]
            stream.sendall(STREAM_HEAD + b"".join(lines))
            received = read_until(stream, b'"line":1,')
            waiting = server.metric("signaal_queue_ads")
            server.process.send_signal(signal.SIGTERM)
            while more := stream.recv(65536):
                received += more
        server.process.wait(30)
    answered = [int(number) for number in re.findall(rb'"line":(\d+),', received)]
    assert answered == list(range(1, len(answered) + 1))
    assert len(answered) > waiting > 0
    assert not received.endswith(b"0\r\n\r\n")


def test_a_stream_that_is_stopped_has_paid_for_what_it_answered_and_says_why_it_ends(tmp_path: Path, bundle_folder: Path) -> None:
    """Of 20 lines 12 are paid, of which 4 are in line, some wait for room in it, and the next waits for the key's minute."""
    address = f"sqlite:///{tmp_path}/keys.db"
    store = KeyStore(address)
    key, token = store.create("crawler", {Scope.SCORE}, ads_per_minute=12, ads_per_day=1000)
    keyed = {"auth": "keys", "database_url": address, "max_waiting_ads": 4, "drain_seconds": 0, "max_wait_seconds": 60}

    def used() -> int:
        return store.used(key.id, datetime.now(UTC).date())

    with running(tmp_path / "log", bundle_folder, **keyed) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as stream:
            head = STREAM_HEAD.replace(b"Host: localhost", f"Host: localhost\r\nAuthorization: Bearer {token}".encode())
            lines = [chunk({"text": f"Line {i}. " + f"Pickers wanted at farm {i}. " * 180}) for i in range(20)]
            stream.sendall(head + b"".join(lines))
            until(lambda: used() == 12)
            server.process.send_signal(signal.SIGTERM)
            received = b""
            while more := stream.recv(65536):
                received += more
        server.process.wait(30)
        assert "unforeseen" not in server.log.read_text()
    *answers, last = (json.loads(line) for line in received.splitlines() if line.startswith(b"{"))
    numbers = [one["line"] for one in answers]
    assert numbers == sorted(set(numbers))
    assert all("indicators" in one for one in answers)
    assert used() == len(answers) < 12
    assert len(answers) >= 4, "what was in line"
    assert last["problem"]["type"] == "urn:signaal:problem:stopping"
    assert last["retry_after"] >= 1
    assert not received.endswith(b"0\r\n\r\n")
    store.close()


def test_ctrl_c_ends_it_at_once_even_with_a_long_drain(tmp_path: Path, bundle_folder: Path) -> None:
    with running(tmp_path / "log", bundle_folder, drain_seconds=60) as server:
        server.process.send_signal(signal.SIGINT)
        server.process.wait(20)
        assert "Traceback" not in server.log.read_text()

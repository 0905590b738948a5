"""Real servers for clients to speak with: the application on a port, a server that says what it is told, a line that breaks."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_RDWR, create_connection, create_server, socket

import uvicorn
from fastapi import FastAPI

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from serving.cli import main; main()"]


@dataclass
class Server:
    """A server in a process of its own."""

    url: str
    process: "subprocess.Popen[str]"
    log: Path


@contextmanager
def serving_process(bundle: Path | str, log: Path, **settings: object) -> Iterator[Server]:
    """``signaal-serve api`` on a free port, ready; ``settings`` become ``SIGNAAL_SERVE_*``."""
    environment = {f"SIGNAAL_SERVE_{name.upper()}": str(value) for name, value in settings.items()}
    with log.open("w") as file:
        process = subprocess.Popen(
            [*COMMAND, "api", "--port", "0"],
            cwd=ROOT,
            env=os.environ | environment | {"SIGNAAL_BUNDLE": str(bundle)},
            stderr=file,
            text=True,
        )
    try:
        for _ in range(1200):
            assert process.poll() is None, log.read_text()
            found = re.search(r"listens on (http://127\.0\.0\.1:[1-9]\d*) ", log.read_text())
            if found and re.search(r"is ready\b", log.read_text()):
                break
            time.sleep(0.1)
        assert found
        yield Server(found[1], process, log)
    finally:
        process.kill()
        process.wait(30)


@contextmanager
def listening(app: FastAPI, certificate: Path | None = None) -> Iterator[str]:
    """``app`` on a free port, its model loaded; gives the address. A certificate (with its key, PEM) makes it HTTPS."""
    with create_server(("127.0.0.1", 0)) as port:
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1, ssl_certfile=certificate)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [port]})
        thread.start()
        try:
            while not (server.started and app.state.fleet.model):
                assert thread.is_alive()
                time.sleep(0.02)
            yield f"{'https' if certificate else 'http'}://127.0.0.1:{port.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)


@dataclass
class Script:
    """What a scripted server answers, one after another (the last again and again), and what it was asked."""

    url: str
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def scripted(port: int = 0) -> Iterator[Script]:
    """A real HTTP server that says what its script tells it."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status, headers, content = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    script = Script(f"http://127.0.0.1:{server.server_port}", [(500, {}, b"")])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()


class BreakingLine:
    """A TCP proxy that cuts each connection after so many bytes of answer; ``None``: never."""

    def __init__(self, url: str, cuts: list[int | None]) -> None:
        self._to, self._cuts = int(url.rpartition(":")[2]), cuts
        self._listener = create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = create_connection(("127.0.0.1", self._to))
            limit = self._cuts[self.connections] if self.connections < len(self._cuts) else None
            self.connections += 1
            threading.Thread(target=_pump, args=(near, far, None), daemon=True).start()
            threading.Thread(target=_pump, args=(far, near, limit), daemon=True).start()


def _pump(source: socket, sink: socket, limit: int | None) -> None:
    passed = 0
    with suppress(OSError):
        while data := source.recv(4096):
            rest = data if limit is None else data[: limit - passed]
            sink.sendall(rest)
            passed += len(rest)
            if limit is not None and passed >= limit:
                break
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(SHUT_RDWR)

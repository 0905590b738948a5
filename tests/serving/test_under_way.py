"""What callers can make a real server hold at once: a mebibyte of bodies here, and six requests; and for how long."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from serving.settings import ServingSettings
from tests.serving.listening import Server, serving_process
from tests.serving.test_fleet import until

MEBIBYTE = 1024 * 1024
LONGEST_LINE = ServingSettings().stream_max_line_bytes
GOOD = {"ads": [{"id": "a1", "text": "Je paspoort blijft op kantoor."}], "indicators": ["document_or_earnings_control"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, bundle_folder: Path) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("under-way") / "log"
    with serving_process(bundle_folder, log, max_requests=6, max_body_bytes=600_000, max_bodies_bytes=MEBIBYTE) as server:
        yield server
        assert "unforeseen" not in server.log.read_text()


@contextmanager
def slow(server: Server, sent: int, announced: int | None = None, path: str = "/v1/score") -> Iterator[socket.socket]:
    """A caller who sends the beginning of a body, and then nothing. One who does not announce how much it is sends chunks."""
    media = "application/x-ndjson" if path.endswith("stream") else "application/json"
    length = "Transfer-Encoding: chunked" if announced is None else f"Content-Length: {announced}"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media}\r\n{length}\r\n\r\n".encode()
    body = b"x" * sent
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30) as connection:
        connection.sendall(head + (body if announced else b"%x\r\n%b\r\n" % (sent, body)))
        yield connection


def ask(server: Server, size: int, *, announced: bool = True) -> httpx.Response:
    """The answer to a body of so many bytes, which is no request for scores: 422 says that it was read."""
    body = json.dumps({"ads": "x" * (size - 11)}).encode()
    headers = {"Content-Type": "application/json"}
    content = body if announced else (body[i : i + 50_000] for i in range(0, size, 50_000))
    return httpx.post(f"{server.url}/v1/score", content=content, headers=headers, timeout=30)


def scores(server: Server) -> int:
    return httpx.post(f"{server.url}/v1/score", json=GOOD, timeout=30).status_code


def is_busy(answer: httpx.Response) -> bool:
    """Whether it says so as every refusal does."""
    if answer.status_code != 503:
        return False
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["x-request-id"]
    assert answer.json()["type"] == "urn:signaal:problem:busy"
    return True


@pytest.mark.parametrize("announced", [True, False])
def test_slow_callers_fill_the_room_for_bodies_and_the_next_hears_busy(server: Server, announced: bool) -> None:
    with slow(server, 450_000, 600_000 if announced else None), slow(server, 450_000):
        until(lambda: is_busy(ask(server, 300_000, announced=announced)))
        assert scores(server) == 200, "there is still room for a small one"
    until(lambda: ask(server, 300_000, announced=announced).status_code == 422)


def test_what_is_announced_and_does_not_come_takes_no_room(server: Server) -> None:
    with ExitStack() as callers:
        for _ in range(5):
            callers.enter_context(slow(server, 10, 600_000))
        assert [ask(server, 500_000).status_code for _ in range(5)] == [422] * 5


def test_unfinished_lines_of_streams_are_counted(server: Server) -> None:
    with ExitStack() as callers:
        for _ in range(MEBIBYTE // LONGEST_LINE):
            callers.enter_context(slow(server, LONGEST_LINE, path="/v1/score/stream"))
        until(lambda: scores(server) == 503)
    until(lambda: scores(server) == 200)


def test_a_stream_is_counted_by_what_it_holds_and_not_by_what_went_through(server: Server) -> None:
    lines = [b'{"text": "Pickers wanted."}' + b" " * 20_000] * 200
    headers = {"Content-Type": "application/x-ndjson"}
    answer = httpx.post(f"{server.url}/v1/score/stream", content=b"\n".join(lines), headers=headers, timeout=60)
    assert answer.text.count('"document_type"') == 200


def test_a_stream_is_not_refused_but_read_when_there_is_room(server: Server) -> None:
    line = json.dumps({"text": "Pickers wanted."}).encode() + b"\n"
    with slow(server, 500_000), slow(server, 500_000), slow(server, MEBIBYTE - 1_000_000) as last:
        until(lambda: scores(server) == 503)
        with slow(server, 0, 2 * len(line), path="/v1/score/stream") as stream:
            stream.sendall(line)
            stream.settimeout(1)
            said = b""
            with suppress(TimeoutError):
                while b'"line":1,' not in said:
                    said += stream.recv(65536)
            assert said.startswith(b"HTTP/1.1 200 ")
            assert b'"line":1,' not in said
            last.close()
            stream.settimeout(30)
            while b'"line":1,' not in said:
                said += stream.recv(65536)


def test_beyond_so_many_requests_all_hear_busy_but_those_who_ask_for_its_health(server: Server) -> None:
    with ExitStack() as callers:
        for path in ("/v1/score", "/v1/score/stream") * 3:
            callers.enter_context(slow(server, 10, 1000, path))
        until(lambda: is_busy(httpx.get(f"{server.url}/v1/model")))
        assert is_busy(httpx.post(f"{server.url}/v1/score", json=GOOD))
        for path in ("/healthz", "/readyz", "/metrics"):
            assert httpx.get(server.url + path).status_code == 200
    until(lambda: scores(server) == 200)
    assert httpx.get(f"{server.url}/v1/model").status_code == 200


@pytest.mark.parametrize(
    ("path", "end"), [("/v1/score", b"The body took more than 1.5 s."), ("/v1/score/stream", b"\r\n0\r\n\r\n")]
)
def test_a_body_may_not_take_too_long_but_a_stream_may(impatient: Server, path: str, end: bytes) -> None:
    pieces = 10
    with slow(impatient, 0, 3 * pieces, path) as caller:
        with suppress(OSError):  # refused before the end
            for _ in range(pieces):
                caller.sendall(b"   ")
                time.sleep(0.3)
        said = b""
        while end not in said:
            more = caller.recv(65536)
            assert more, said
            said += more
    assert said.startswith(b"HTTP/1.1 408 " if path == "/v1/score" else b"HTTP/1.1 200 ")


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory, bundle_folder: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("impatient")
    settings = {
        "body_idle_seconds": 10,
        "max_body_seconds": 1.5,
        "idle_connection_seconds": 2,
        "max_requests": 1,
        "feedback_dir": folder / "feedback",
    }
    with serving_process(bundle_folder, folder / "log", **settings) as server:
        yield server


IDLE = {
    "nothing": b"",
    "half a head": b"GET /healthz HTTP/1.1\r\n",
    "half a head after a request": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\n",
    "a body that nobody reads": b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n",
}


@pytest.mark.parametrize("what", IDLE)
def test_a_connection_without_a_request_is_closed_also_when_something_dribbles_in(impatient: Server, what: str) -> None:
    with socket.create_connection(("127.0.0.1", int(impatient.url.rpartition(":")[2])), timeout=0.3) as connection:
        connection.sendall(IDLE[what])
        for _ in range(40):
            if is_closed(connection):
                return
            with suppress(OSError):
                connection.sendall(b"x: y\r\n" if IDLE[what] else b"")
    raise AssertionError("still open after ten seconds")


ADS = json.dumps({"ads": [{"id": str(i), "text": "Pickers wanted."} for i in range(64)]}).encode()
NEXT = f"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(ADS)}\r\n\r\n"
UNREAD = {
    "a stream": ("/v1/score/stream", (b"no ad" + b" " * 1000 + b"\n") * 50_000, b""),
    "requests in a row": ("/v1/score", ADS, (NEXT.encode() + ADS) * 10_000),
}


@pytest.mark.parametrize("what", UNREAD)
def test_who_sends_and_never_reads_is_cut_off_and_leaves_room_for_the_next(impatient: Server, what: str) -> None:
    path, body, more = UNREAD[what]
    with slow(impatient, 0, len(body), path) as caller:
        until(lambda: is_busy(httpx.get(f"{impatient.url}/v1/model")))
        with pytest.raises(ConnectionError):
            caller.sendall(body + more)
        until(lambda: httpx.get(f"{impatient.url}/v1/model").status_code == 200)


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed, or does so in a moment."""
    try:
        return not connection.recv(65536)
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True

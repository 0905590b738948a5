"""What a hostile or broken caller sends to a real server: a clear 4xx or a closed connection, and no harm to the next caller."""

import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.serving.listening import Server, serving_process

SECRET = "geheimtekst"
GOOD = {"ads": [{"id": "a1", "text": "Je paspoort blijft op kantoor."}], "indicators": ["document_or_earnings_control"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, bundle_folder: Path) -> Iterator[Server]:
    with serving_process(bundle_folder, tmp_path_factory.mktemp("hostile") / "log", body_idle_seconds=1) as server:
        yield server


@pytest.fixture(autouse=True)
def unharmed(server: Server) -> Iterator[None]:
    """After every test the server answers as before, and its log holds no text and no unforeseen error."""
    yield
    answer = httpx.post(f"{server.url}/v1/score", json=GOOD, timeout=30)
    assert answer.status_code == 200
    assert answer.json()["results"][0]["id"] == "a1"
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    assert server.process.poll() is None
    log = server.log.read_text()
    for unwanted in (SECRET, "unforeseen", "Traceback"):
        assert unwanted not in log


def raw(server: Server, *parts: bytes, pause: float = 0, stays: bool = False) -> bytes:
    """Everything that the server says to bytes sent as they are, until it closes; it is read while they are sent. Who does not
    stay says that no more comes."""
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection, ThreadPoolExecutor(1) as reader:
        said = reader.submit(all_that_comes, connection)
        with suppress(OSError):  # refused before the end
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            if not stays:
                connection.shutdown(socket.SHUT_WR)
        return said.result()


def all_that_comes(connection: socket.socket) -> bytes:
    said = b""
    with suppress(ConnectionResetError):
        while data := connection.recv(65536):
            said += data
    return said


def statuses(said: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"(?:^|\n|\})HTTP/1\.1 (\d{3}) ", said)]


def head(length: int | str, *more: str, path: str = "/v1/score", media: str = "application/json") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {media}", f"Content-Length: {length}", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def with_text(text: str) -> bytes:
    return b'{"ads": [{"id": "a1", "text": "' + text.encode() + b'"}]}'


BODIES = {
    "not JSON": (b"ads=" + SECRET.encode(), 400),
    "cut short": (b'{"ads": [{"id": "a1", "text": "geheimtekst', 400),
    "nested deeply, lists": (b"[" * 100_000 + b"]" * 100_000, 400),
    "nested deeply, objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400),
    "nested within an ad": (b'{"ads": [' + b"[" * 150 + b"]" * 150 + b"]}", 422),
    "a huge number": (b'{"ads": ' + b"9" * 5000 + b"}", 400),
    "a huge exponent": (b'{"ads": 1e999999}', 422),
    "a huge number as text": (b'{"ads": [{"id": "a", "text": ' + b"9" * 5000 + b"}]}", 400),
    "a lone surrogate": (with_text(SECRET + "\\ud800"), 400),
    "a surrogate pair the wrong way round": (with_text(SECRET + "\\udc00\\ud800"), 400),
    "a raw null byte": (with_text(SECRET + "\0"), 400),
    "only null characters": (with_text("\\u0000" * 50), 422),
    "UTF-16": (with_text(SECRET).decode().encode("utf-16"), 400),
    "not UTF-8": (with_text(SECRET)[:-5] + b'\xff\xfe"}]}', 400),
    "a prototype": (b'{"__proto__": {"x": 1}, "constructor": 1, "ads": []}', 422),
    "a model that is no name": (b'{"model": "' + b"../" * 200 + b'", "ads": [{"id": "a", "text": "x"}]}', 422),
    "a model that is a list": (b'{"model": [], "ads": [{"id": "a", "text": "x"}]}', 422),
    "the same key twice": (b'{"ads": [], "ads": 5}', 422),
    "a thousand ads": (json.dumps({"ads": [{"id": str(i), "text": SECRET} for i in range(1000)]}).encode(), 422),
    "a thousand fields": (json.dumps({f"f{i}": SECRET for i in range(1000)}).encode(), 422),
}


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_cannot_be_used_is_refused_in_words(server: Server, body: str) -> None:
    content, status = BODIES[body]
    answer = httpx.post(f"{server.url}/v1/score", content=content, headers={"Content-Type": "application/json"}, timeout=30)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert SECRET not in answer.text


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_of_20_megabytes_is_refused_and_not_read_to_its_end(server: Server, announced: bool) -> None:
    size = 20 * 1024 * 1024
    length = head(size) if announced else head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    body = b"x" * size if announced else b"%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n"
    assert statuses(raw(server, length, body)) == [413]


def test_a_stream_of_bad_lines_is_answered_line_by_line(server: Server) -> None:
    bad = [content.replace(b"\n", b" ") for content, _ in BODIES.values()]
    body = b"\n".join([*bad, b"x" * 300_000, b'{"text": "Kitchen help wanted."}'])
    url, headers = f"{server.url}/v1/score/stream", {"Content-Type": "application/x-ndjson"}
    lines = httpx.post(url, content=body, headers=headers, timeout=60).text.splitlines()
    answers = [json.loads(line) for line in lines]
    assert [one["line"] for one in answers] == list(range(1, len(bad) + 3))
    assert all("problem" in one for one in answers[:-1])
    assert "problem" not in answers[-1]
    assert SECRET not in "".join(lines)


@pytest.mark.parametrize("path", ["/v1/score", "/v1/score/stream"])
def test_who_stops_sending_is_given_up(server: Server, path: str) -> None:
    media = "application/json" if path == "/v1/score" else "application/x-ndjson"
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head(1000, path=path, media=media) + b'{"ads": "')
        began = time.monotonic()
        said = all_that_comes(connection)
    assert time.monotonic() - began < 15
    assert statuses(said) == ([408] if path == "/v1/score" else [200])
    assert not said.endswith(b"0\r\n\r\n"), "a stream that was given up must not look complete"


def test_forty_who_dribble_do_not_hold_up_the_others(server: Server) -> None:
    body = json.dumps(GOOD).encode()

    def dribble(_: int) -> list[int]:
        pieces = [body[i : i + 12] for i in range(0, len(body), 12)]
        return statuses(raw(server, head(len(body), "Connection: close"), *pieces, pause=0.1, stays=True))

    with ThreadPoolExecutor(41) as pool:
        slow = [pool.submit(dribble, i) for i in range(40)]
        began = time.monotonic()
        assert httpx.post(f"{server.url}/v1/score", json=GOOD, timeout=30).status_code == 200
        quick = time.monotonic() - began
        assert [one.result(60) for one in slow] == [[200]] * 40
    assert quick < 5


WRONG_HTTP = {
    "a body longer than announced": (head(5, "Connection: close") + b'{"ads": [], "x": 1}', {400, 422}),
    "a body shorter than announced": (head(500) + b'{"ads": []}', {400}),
    "a length that is no number": (head("abc") + b"{}", {400}),
    "a negative length": (head(-5) + b"{}", {400}),
    "two lengths": (head(2, "Content-Length: 7") + b'{"a":1}', {400}),
    "a length and chunks": (head(2, "Transfer-Encoding: chunked", "Connection: close") + b"0\r\n\r\n", {400}),
    "a chunk size that is no number": (
        head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"zz\r\nabc\r\n0\r\n\r\n",
        {400},
    ),
    "garbage": (b"\x16\x03\x01" + SECRET.encode() * 10 + b"\r\n\r\n", {400}),
    "a head of 200 kB": (head(0, *(f"X-{i}: {'a' * 1000}" for i in range(200))), {400, 431}),
    "a null byte in the address": (b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
    "an address that is no UTF-8": (b"GET /%ff%00%fe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", {404}),
    "a method of its own": (b"BREW /v1/score HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", {405}),
}


MAY_BE_CUT_OFF = {"a body shorter than announced"}
"""Only the end of what is sent shows that it is wrong, and who has said that no more comes may find nobody who answers."""


@pytest.mark.parametrize("name", WRONG_HTTP)
def test_wrong_http_is_refused_or_cut_off(server: Server, name: str) -> None:
    request, allowed = WRONG_HTTP[name]
    said = raw(server, request, stays=name not in MAY_BE_CUT_OFF)
    assert statuses(said) or name in MAY_BE_CUT_OFF
    assert set(statuses(said)) <= allowed, said
    assert SECRET.encode() not in said


def test_a_head_of_200_kilobytes_is_refused_in_words_and_the_next_connection_is_served(server: Server) -> None:
    large = head(0, *(f"X-{i}: {SECRET}{'a' * 1000}" for i in range(200)))
    said = raw(server, large[:100_000], large[100_000:], pause=0.2, stays=True)
    assert statuses(said) == [431]
    top, _, body = said.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in top.lower()
    assert json.loads(body)["type"] == "urn:signaal:problem:head-too-large"
    assert SECRET.encode() not in said
    good = json.dumps(GOOD).encode()
    assert statuses(raw(server, head(len(good), "Connection: close") + good, stays=True)) == [200]


def test_a_stream_that_turns_into_nonsense_after_its_first_answer_is_cut_off(server: Server) -> None:
    line = b'{"text": "Kitchen help wanted."}\n'
    start = head(0, path="/v1/score/stream", media="application/x-ndjson")
    start = start.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"%x\r\n" % len(line) + line + b"\r\n"
    said = raw(server, start, b"zz\r\ngeheimtekst\r\n", pause=2, stays=True)
    assert statuses(said) == [200]
    assert b'"line":1,' in said
    assert not said.endswith(b"0\r\n\r\n")


def test_garbage_after_a_good_request_costs_only_its_own_connection(server: Server) -> None:
    body = json.dumps(GOOD).encode()
    garbage = b"\x00\xff garbage geheimtekst\r\n\r\n" + head(len(body)) + body
    found = statuses(raw(server, head(len(body)) + body + garbage, stays=True))
    assert found == [200, 400]


def test_ten_requests_in_a_row_without_waiting_are_answered_in_order(server: Server) -> None:
    body = json.dumps(GOOD).encode()
    last = head(len(body), "Connection: close") + body
    assert statuses(raw(server, (head(len(body)) + body) * 9 + last, stays=True)) == [200] * 10

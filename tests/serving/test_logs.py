"""The form of the log, and that an error is written down without its words."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from models.runtime import Scorer
from serving.envelope import Envelope
from serving.logs import FIELDS, formatter, log_loop_error

OpenClient = Callable[..., TestClient]

ROOT = Path(__file__).parents[2]
SECRET = "geheimtekst"


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    return logging.getLogger("signaal.test").makeRecord(
        "signaal.test", logging.INFO, "file.py", 1, message, args, None, extra=extra
    )


def with_error(error: Exception) -> logging.LogRecord:
    one = record("Something failed.")
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as cause:
            raise error from cause
    except Exception as caught:
        one.exc_info = (type(caught), caught, caught.__traceback__)
    return one


def test_a_request_is_one_line_of_json(open_client: OpenClient, eager_scorer: Scorer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    client = open_client(lambda: eager_scorer)
    body = {"ads": [{"id": "a1", "text": "Ad"}, {"id": "a2", "text": "Other"}], "evidence": False}
    client.post("/v1/score", json=body, headers={"X-Request-ID": "r1"})
    client.post("/v1/score", json={"ads": []}, headers={"X-Request-ID": "r2"})
    lines = [formatter("json").format(one) for one in caplog.records if one.name == "signaal.access"]
    assert not any("\n" in line for line in lines)
    scored, refused = [json.loads(line) for line in lines[-2:]]
    assert scored["time"].endswith("Z")
    assert scored["duration_ms"] >= 0
    del scored["time"], scored["duration_ms"], refused["time"], refused["duration_ms"]
    same = {"event": "request", "level": "info", "logger": "signaal.access", "method": "POST", "route": "/v1/score"}
    assert scored == same | {"request_id": "r1", "status": 200, "ads": 2, "model": eager_scorer.identity.version}
    assert refused == same | {"request_id": "r2", "status": 422, "problem": "invalid-request"}


def test_a_key_id_is_logged_when_there_is_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    app = FastAPI()
    app.add_middleware(Envelope)

    @app.get("/signed")
    async def signed(request: Request) -> None:
        request.state.key_id = "k7"

    TestClient(app).get("/signed")
    (one,) = [one for one in caplog.records if one.name == "signaal.access"]
    assert json.loads(formatter("json").format(one))["key_id"] == "k7"


def test_text_is_the_same_for_people() -> None:
    line = formatter("text").format(record("request", method="GET", status=200))
    assert line.endswith("[info] request [signaal.test] method=GET status=200")


@pytest.mark.parametrize("form", ["json", "text"])
def test_fields_that_are_not_foreseen_are_left_out(form: str) -> None:
    line = formatter(form).format(record("%d done", 3, text=SECRET, color_message=SECRET))  # type: ignore[arg-type]
    assert "3 done" in line
    assert SECRET not in line
    assert "text" not in FIELDS


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_error_is_its_kind_and_the_way_to_it_and_not_its_message(form: str) -> None:
    line = formatter(form).format(with_error(ValueError(f"cannot score {SECRET}")))  # type: ignore[arg-type]
    assert "Something failed." in line
    assert "ValueError" in line
    assert "in with_error" in line
    assert SECRET not in line


def test_an_error_that_nobody_awaits_is_logged_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError(SECRET)

    async def scene() -> None:
        asyncio.get_running_loop().set_exception_handler(log_loop_error)
        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        del task

    asyncio.run(scene())
    (one,) = [one for one in caplog.records if one.name == "signaal.serve"]
    line = formatter("json").format(one)
    assert "Unforeseen ValueError in the event loop." in line
    assert "in fail" in line
    assert SECRET not in line


def test_a_thread_that_dies_prints_nothing_of_its_error() -> None:
    """In a process of its own, since the hook is the interpreter's."""
    code = (
        "import threading\n"
        "from serving.logs import configure_logs\n"
        "configure_logs('json')\n"
        f"thread = threading.Thread(target=lambda: [].index('{SECRET}'), name='signaal-graph')\n"
        "thread.start(); thread.join()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True, cwd=ROOT)
    (line,) = ended.stderr.splitlines()
    assert json.loads(line)["event"] == "Thread signaal-graph ended by an unforeseen ValueError."
    assert SECRET not in line

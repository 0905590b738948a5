"""A real server, killed while callers send: what it acknowledged is there, once. And one whose disk is full: it lives on."""

import http.client
import json
import os
import random
import re
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.serving.feedback.conftest import ad_ids, records

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-c", "from serving.cli import main; main()", "api", "--port", "0"]
SECRET = "geheimtekst"
ITEMS = 3


@dataclass
class Server:
    process: "subprocess.Popen[str]"
    port: int
    log: Path

    def send(self, key: str, items: list[dict[str, Any]]) -> tuple[int, dict[str, str], dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"Content-Type": "application/json", "Idempotency-Key": key}
            connection.request("POST", "/v1/feedback", json.dumps({"items": items}), headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, json.loads(answer.read())
        finally:
            connection.close()


@contextmanager
def serving(folder: Path, log: Path, **settings: str) -> Iterator[Server]:
    """``signaal-serve api``, listening; its model may still be on its way. Killed in the end."""
    environment = os.environ | {"SIGNAAL_SERVE_FEEDBACK_DIR": str(folder), "SIGNAAL_BUNDLE": "released", **settings}
    with log.open("w") as file:
        process = subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stderr=file, text=True)
    try:
        until = time.monotonic() + 180
        while not (found := re.search(r"listens on http://127\.0\.0\.1:(\d+) ", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until
            time.sleep(0.02)
        yield Server(process, int(found[1]), log)
    finally:
        process.kill()
        process.wait(30)


class Desk(threading.Thread):
    """A caller that sends one request after another, each until it is acknowledged, to whichever server there is."""

    def __init__(self, name: str) -> None:
        super().__init__(daemon=True)
        self.desk, self.server, self.over = name, None, False
        self.acknowledged: dict[str, tuple[int, int]] = {}

    server: Server | None

    def run(self) -> None:
        number = 0
        while not self.over:
            key = f"{self.desk}-{number}"
            if self._is_taken(key):
                number += 1

    def _is_taken(self, key: str) -> bool:
        items = [{"id": f"{key}-{i}", "labels": {"debt_or_fees": "present"}} for i in range(ITEMS)]
        if (server := self.server) is None:
            time.sleep(0.01)
            return False
        try:
            status, _, answer = server.send(key, items)
        except (OSError, http.client.HTTPException, ValueError):
            time.sleep(0.01)
            return False
        assert status == 202, answer
        self.acknowledged[key] = answer["first"], answer["last"]
        return True


@pytest.mark.parametrize("times", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_again_and_again_what_was_acknowledged_is_there_once(folder: Path, tmp_path: Path, times: int) -> None:
    desks = [Desk(f"desk{i}") for i in range(4)]
    for desk in desks:
        desk.start()
    chance = random.Random(times)
    for life in range(times):
        with serving(folder, tmp_path / f"log-{life}") as server:
            before = [len(desk.acknowledged) for desk in desks]
            for desk in desks:
                desk.server = server
            until = time.monotonic() + 60
            while any(len(desk.acknowledged) < had + 2 for desk, had in zip(desks, before, strict=True)):
                assert all(desk.is_alive() for desk in desks)
                assert time.monotonic() < until
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.3))
            server.process.kill()
        for desk in desks:
            desk.server = None
    for desk in desks:
        desk.over = True
        desk.join(30)

    found = [ad for ad in ad_ids(folder) if ad is not None]  # read as the last kill left it
    place = {ad: number for number, ad in enumerate(found, start=1)}
    assert len(place) == len(found)
    assert [record.seq for record in records(folder)] == list(range(1, len(found) + 1))
    for desk in desks:
        assert len(desk.acknowledged) >= 2 * times
        for key, (first, last) in desk.acknowledged.items():
            assert [place[f"{key}-{i}"] for i in range(ITEMS)] == list(range(first, last + 1))
    answered = ITEMS * sum(len(desk.acknowledged) for desk in desks)
    assert answered <= len(found) <= answered + ITEMS * len(desks)  # at most the last of each desk had no answer


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="a process's limits can be set from outside on Linux only")
def test_a_full_disk_is_a_503_the_server_lives_on_and_takes_it_later(folder: Path, tmp_path: Path) -> None:
    def item(ad_id: str) -> dict[str, Any]:
        return {"id": ad_id, "labels": {"debt_or_fees": "present"}, "text": f"{SECRET} {ad_id} " * 100}

    with serving(folder, tmp_path / "log", SIGNAAL_SERVE_FEEDBACK_TEXT="accept") as server:
        assert server.send("k1", [item("a1"), item("a2")])[0] == 202
        (segment,) = folder.glob("feedback-*.ndjson")
        size, unlimited = segment.stat().st_size, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        # A file may grow by 500 bytes: the write begins, and cannot end.
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size + 500, resource.RLIM_INFINITY))
        for _ in range(2):
            status, headers, answer = server.send("k2", [item("a3")])
            assert (status, answer["type"]) == (503, "urn:signaal:problem:not-stored")
            assert "the disk is full" in answer["detail"]
            assert int(headers["retry-after"]) > 0
            assert segment.stat().st_size == size
        assert server.send("k1", [item("a1"), item("a2")])[0] == 202
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)
        assert server.send("k2", [item("a3")])[2] == {"accepted": 1, "first": 3, "last": 3}
        log = server.log.read_text()
    assert ad_ids(folder) == ["a1", "a2", "a3"]
    assert "Feedback cannot be stored: File too large." in log
    assert SECRET not in log
    assert "Traceback" not in log

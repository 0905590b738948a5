"""The server itself, as a process of its own with either database: killed amid saves, and asked by twenty reviewers at once."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from labeling.store.database import Database
from labeling.store.tables import Ad, AnnotationVersion, Assignment, AssignmentState, StoredAnnotation
from tests.labeling.conftest import add_account, add_ads, set_project
from tests.labeling.web.conftest import Visitor

COMMAND = [sys.executable, "-c", "from labeling.cli import main; main()", "web", "--port", "0"]
REVIEWERS, SAVES = 4, 50


@contextmanager
def web(address: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``signaal-label web``: the process, and where it listens."""
    environment = {**os.environ, "SIGNAAL_LABEL_DATABASE_URL": address, "PYTHONPATH": str(Path.cwd()), "COLUMNS": "200"}
    with subprocess.Popen(COMMAND, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            listening = re.search(r"http://\S+", process.stdout.readline())
            assert listening
            yield process, listening[0]
        finally:
            process.kill()


def signed_in(server: str, name: str) -> Visitor:
    visitor = Visitor(base_url=server, timeout=60, transport=httpx.HTTPTransport(retries=5))
    assert visitor.sign_in(name).status_code == 303
    return visitor


@pytest.mark.parametrize("after", [5, 60])
def test_no_acknowledged_save_is_lost_when_the_server_is_killed(database: Database, address: str, after: int) -> None:
    set_project(database, overlap=1)
    add_ads(database, REVIEWERS)
    names = [f"person-{n}" for n in range(REVIEWERS)]
    for name in names:
        add_account(database, name)
    acknowledged: dict[int, int] = {}
    enough = threading.Event()

    def save_rapidly(visitor: Visitor) -> None:
        assignment = visitor.get("/api/next").json()["assignment"]
        for version in range(SAVES):
            try:
                answer = visitor.save(assignment, version, comment=f"state {version + 1}")
            except httpx.TransportError:
                return
            assert answer.json()["version"] == version + 1
            acknowledged[assignment] = version + 1
            if sum(acknowledged.copy().values()) >= after:
                enough.set()

    with web(address) as (process, server), ThreadPoolExecutor(REVIEWERS) as pool:
        work = [pool.submit(save_rapidly, visitor) for visitor in [signed_in(server, name) for name in names]]
        assert enough.wait(120)
        process.send_signal(signal.SIGKILL)
        for one in work:
            one.result(60)
    assert after <= sum(acknowledged.values()) < REVIEWERS * SAVES, "the server was to be killed in the middle"

    with web(address) as (_, server):
        for name in names:
            with closing(signed_in(server, name)) as visitor:
                shown = visitor.get("/api/next").json()
                assert shown["version"] >= acknowledged.get(shown["assignment"], 0)
                assert shown["version"] == 0 or shown["annotation"]["comment"] == f"state {shown['version']}"
    with database.read() as session:
        stored = {row.assignment_id: row.version for row in session.scalars(select(StoredAnnotation))}
        history = session.execute(select(AnnotationVersion.assignment_id, AnnotationVersion.version)).tuples().all()
    for assignment, version in acknowledged.items():
        assert stored[assignment] >= version
        assert {v for a, v in history if a == assignment} == set(range(1, stored[assignment] + 1))


def test_twenty_reviewers_at_once_never_get_an_ad_too_often(database: Database, address: str) -> None:
    set_project(database, overlap=2)
    add_ads(database, 20)
    names = [f"person-{n}" for n in range(20)]
    for name in names:
        add_account(database, name)
    start = threading.Barrier(len(names))

    def read_all(visitor: Visitor) -> list[str]:
        start.wait(60)
        read = []
        while (answer := visitor.get("/api/next")).status_code == 200:
            shown = answer.json()
            read.append(shown["ad"]["id"])
            assert visitor.save(shown["assignment"], 0, document_type="other").json()["version"] == 1
            assert visitor.save(shown["assignment"], 1, document_type="other", done=True).json()["done"] is True
        assert answer.status_code == 204
        return read

    with web(address) as (_, server), ThreadPoolExecutor(len(names)) as pool:
        read = list(pool.map(read_all, [signed_in(server, name) for name in names]))
    assert all(len(set(ads)) == len(ads) for ads in read)
    every = [ad for ads in read for ad in ads]
    assert {ad: every.count(ad) for ad in every} == {f"ad-{n}": 2 for n in range(20)}
    with database.read() as session:
        assert set(session.scalars(select(Ad.slots_left))) == {0}
        assert session.query(Assignment).filter(Assignment.state == AssignmentState.DONE).count() == 40

"""``kill -9`` of the process that saves, in the middle of 200 rapid saves by four reviewers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from labeling.store.database import Database
from labeling.store.tables import AnnotationVersion, StoredAnnotation
from tests.labeling.conftest import add_account, add_ads, set_project

PROGRAM = """
import sys
import threading
from datetime import UTC, datetime
from labeling.opinion import Draft
from labeling.store.database import Database
from labeling.work.annotating import save
from labeling.work.assignment import next_assignment

database = Database(sys.argv[1])
printing = threading.Lock()

def work(annotator):
    now = datetime(2026, 11, 28, 12, tzinfo=UTC)
    with database.write() as session:
        assignment = next_assignment(session, annotator, now).id
    for version in range(50):
        with database.write() as session:
            save(session, assignment, annotator, version, Draft(comment=f"state {version + 1}"), done=False, now=now)
        with printing:  # acknowledged: only after the commit
            print(assignment, version + 1, flush=True)

for annotator in sys.argv[2:]:
    threading.Thread(target=work, args=[annotator]).start()
"""


@pytest.mark.parametrize("after", [5, 60])
def test_no_acknowledged_save_is_lost(database: Database, address: str, tmp_path: Path, after: int) -> None:
    set_project(database, overlap=1)
    add_ads(database, 4)
    people = [add_account(database, f"person-{n}") for n in range(4)]
    out = tmp_path / "acknowledged"
    with out.open("wb") as acknowledged:
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, address, *people], stdout=acknowledged, env=os.environ)
        deadline = time.monotonic() + 60
        while out.read_bytes().count(b"\n") < after and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    lines = [line.split() for line in out.read_text().splitlines(keepends=True) if line.endswith("\n")]
    promised: dict[int, int] = {}
    for assignment, version in lines:
        promised[int(assignment)] = max(promised.get(int(assignment), 0), int(version))
    assert after <= sum(promised.values()) < 200, "the process was to be killed in the middle"

    survivor = Database(address)  # another process, as after a restart
    with survivor.read() as session:
        stored = {row.assignment_id: row for row in session.scalars(select(StoredAnnotation))}
        history = session.execute(select(AnnotationVersion.assignment_id, AnnotationVersion.version)).tuples().all()
    survivor.close()
    for assignment, version in promised.items():
        assert stored[assignment].version >= version
        assert stored[assignment].comment == f"state {stored[assignment].version}"
        assert {v for a, v in history if a == assignment} == set(range(1, stored[assignment].version + 1))

"""How fast the labelling room is with 100,000 ads: import, the next ad, a save, the dashboard.

    make bench-labeling                       (SQLite, a file in the temporary folder)
    python -m tests.bench.labeling --url postgresql://…    (an EMPTY database)

Texts are the corpus' own, each with words of its own put in between, so that all differ; their languages are not given, so the
import finds them. Before the next ad is measured, 20 reviewers have read 1,000 ads each, as in the middle of a project with an
overlap of 2: half of the queue's first 13,333 ads are full, and of the others, which wait for a second opinion, each reviewer
passes over what they have read. In a tenth of the opinions a label is present, with its words, and one in ten says otherwise than
the other. Latencies are measured twice: of the whole transaction with its commit, and over HTTP, where ``signaal-label web`` is a
process of its own and the reviewers are signed in. "Dashboard, first" is right after the start, "after a change" has figures to
compute anew.
"""

import argparse
import itertools
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, insert, select, update

from labeling.accounts.registering import make_account
from labeling.accounts.roles import Role
from labeling.corpus_files import corpus_paths, read_corpus
from labeling.intake.importing import import_ads
from labeling.intake.readers import read_rows
from labeling.opinion import Draft
from labeling.project import ProjectSettings
from labeling.store.database import Database
from labeling.store.tables import Account, Ad, AdState, Assignment, AssignmentState, StoredAnnotation
from labeling.web.catalogue import phrases
from labeling.work.annotating import save
from labeling.work.assignment import next_assignment
from labeling.work.grouping import group_ads
from labeling.work.rules import change_project
from models.example import Span
from models.taxonomy import packaged_taxonomy
from tests.labeling.web.conftest import Visitor

ADS = 100_000
REVIEWERS = 20
READ = 1_000
TURNS_ALONE = 150
TURNS_TOGETHER = 10
BENCH_PASSWORD = "a password for nobody"
NOW = datetime.now(UTC)


def write_ads(path: Path, count: int) -> None:
    """A file of ads that all differ."""
    rng = random.Random(0)
    texts = [item.example.text for item in read_corpus(corpus_paths())]
    words = sorted({word for text in texts for word in text.split() if word.isalpha()})
    with path.open("w", encoding="utf-8") as out:
        for number, text in zip(range(count), itertools.cycle(texts), strict=False):
            parts = text.split(" ")
            for _ in range(6):
                parts.insert(rng.randrange(len(parts) + 1), rng.choice(words))
            out.write(json.dumps({"id": f"ad-{number}", "text": " ".join(parts)}, ensure_ascii=False) + "\n")


def in_the_middle_of_a_project(database: Database) -> list[str]:
    """Reviewers who have read what comes first in the queue; their ids."""
    with database.write() as session:
        change_project(session, None, ProjectSettings(overlap=2, gold_share=0, daily_limit=2000), NOW)
        first = make_account(session, "reviewer-0", BENCH_PASSWORD, Role.ANNOTATOR, NOW)
        copied = {column.name: getattr(first, column.name) for column in Account.__table__.columns}
        others = [copied | {"id": f"reviewer{n}", "name": f"reviewer-{n}"} for n in range(1, REVIEWERS)]
        session.execute(insert(Account), others)
    people = [first.id, *(str(other["id"]) for other in others)]
    with database.write() as session:
        queue = session.scalars(select(Ad.number).order_by(Ad.rank).limit(REVIEWERS * READ * 2 // 3)).all()
        turns, opinions, stands = read_ads(queue, people)
        session.execute(insert(Assignment), turns)
        session.execute(insert(StoredAnnotation), opinions)
        session.execute(update(Ad), stands)
        if not database.is_sqlite:
            session.execute(select(func.setval("assignment_id_seq", len(turns))))
    return people


Rows = list[dict[str, Any]]


def read_ads(queue: Sequence[int], people: Sequence[str]) -> tuple[Rows, Rows, Rows]:
    """Turns at ads, the opinions of them, and how the ads stand then: the first is read by two, the next by one, and so on."""
    rng, label_ids, yesterday = random.Random(0), packaged_taxonomy().label_ids, NOW - timedelta(days=1)
    done = {
        "state": AssignmentState.DONE,
        "gold": False,
        "assigned_at": yesterday,
        "leased_until": yesterday,
        "done_at": yesterday,
    }
    turns: Rows = []
    opinions: Rows = []
    stands: Rows = []
    readers = itertools.cycle(people)
    for place, number in enumerate(queue):
        truth, said = {label: rng.random() < 0.1 for label in label_ids}, []
        for _ in range(1 + (place % 2 == 0)):
            labels = {label: there != (rng.random() < 0.1 / len(label_ids)) for label, there in truth.items()}
            spans = [{"start": 0, "end": rng.randrange(4, 9), "label": label} for label, there in labels.items() if there]
            said.append(labels)
            turns.append({"id": len(turns) + 1, "ad_number": number, "account_id": next(readers), **done})
            opinions.append(
                {
                    "assignment_id": len(turns),
                    "version": 1,
                    "labels": labels,
                    "spans": spans,
                    "document_type": "recruitment_post",
                    "comment": "",
                    "seconds": rng.uniform(5, 60),
                    "saved_at": yesterday,
                }
            )
        state = AdState.OPEN if len(said) == 1 else AdState.AGREED if said[0] == said[1] else AdState.DISPUTED
        stands.append({"number": number, "slots_left": 2 - len(said), "state": state})
    return turns, opinions, stands


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def turn(database: Database, annotator: str) -> Iterator[float]:
    """One ad, from asking for it to being done: the milliseconds of each of the three requests."""
    found: list[Assignment] = []

    def ask() -> None:
        with database.write() as session:
            assignment = next_assignment(session, annotator, NOW)
            assert assignment is not None
            found.append(assignment)

    yield timed(ask)
    draft = Draft(labels={"debt_or_fees": True}, spans=(Span(start=0, end=5, label="debt_or_fees"),), comment="a word")
    for version, done in ((0, False), (1, True)):

        def keep(version: int = version, done: bool = done) -> None:
            with database.write() as session:
                save(session, found[0].id, annotator, version, draft, done=done, now=NOW)

        yield timed(keep)


@contextmanager
def pages(database: Database) -> Iterator[str]:
    """``signaal-label web`` as a process; its address."""
    environment = os.environ | {"SIGNAAL_LABEL_DATABASE_URL": database.url.render_as_string(hide_password=False)}
    command = [str(Path(sys.executable).parent / "signaal-label"), "web", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def visited(visitor: Visitor) -> Iterator[float]:
    """One ad over HTTP: the milliseconds of the same three requests as in ``turn``."""
    answers: list[httpx.Response] = []
    yield timed(lambda: answers.append(visitor.get("/api/next")))
    assignment = answers[0].raise_for_status().json()["assignment"]
    said = {"labels": {"debt_or_fees": True}, "spans": [{"start": 0, "end": 5, "label": "debt_or_fees"}], "comment": "a word"}
    for version, done in ((0, False), (1, True)):
        keep = partial(visitor.save, assignment, version, **said, done=done)
        yield timed(lambda keep=keep: answers.append(keep()))  # type: ignore[misc]
        answers[-1].raise_for_status()


def dashboard(visitor: Visitor) -> float:
    """Milliseconds."""
    answers: list[httpx.Response] = []
    taken = timed(lambda: answers.append(visitor.get("/dashboard")))
    answers[0].raise_for_status()
    return taken


def over_http(database: Database) -> Iterator[tuple[str, list[float]]]:
    """What was done, and its milliseconds."""
    names = [f"reviewer-{n}" for n in range(REVIEWERS)]
    with database.write() as session:
        make_account(session, "adjudicator", BENCH_PASSWORD, Role.ADJUDICATOR, NOW)
    with pages(database) as address, ExitStack() as stack:
        visitors = [stack.enter_context(Visitor(base_url=address, timeout=60)) for _ in range(REVIEWERS + 1)]
        for name, visitor in zip([*names, "adjudicator"], visitors, strict=True):
            assert visitor.sign_in(name, BENCH_PASSWORD).status_code == 303
        *reviewers, adjudicator = visitors
        yield "dashboard, first", [dashboard(adjudicator)]
        alone = [list(visited(reviewers[n % REVIEWERS])) for n in range(TURNS_ALONE)]
        for what, milliseconds in zip(("next ad", "save", "done"), zip(*alone, strict=True), strict=True):
            yield f"HTTP: {what}, one at a time", list(milliseconds)
        with ThreadPoolExecutor(REVIEWERS) as pool:
            turns = pool.map(lambda visitor: [list(visited(visitor)) for _ in range(TURNS_TOGETHER)], reviewers)
            together = list(itertools.chain.from_iterable(turns))
        for what, milliseconds in zip(("next ad", "save", "done"), zip(*together, strict=True), strict=True):
            yield f"HTTP: {what}, {REVIEWERS} at once", list(milliseconds)
        changed = []
        for _ in range(10):
            list(visited(reviewers[0]))
            changed.append(dashboard(adjudicator))
        yield "dashboard, after a change", changed
        while phrases("en")["dashboard.counting"] in adjudicator.get("/dashboard").text:
            time.sleep(0.5)
        yield "dashboard, nothing new", [dashboard(adjudicator) for _ in range(10)]


def percentiles(milliseconds: list[float]) -> list[str]:
    return [f"{value:.1f}" for value in np.percentile(milliseconds, [50, 95, 99])]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url")
    parser.add_argument("--ads", type=int, default=ADS)
    arguments = parser.parse_args()
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as folder:
        write_ads(Path(folder, "ads.jsonl"), arguments.ads)
        database = Database(arguments.url or f"sqlite:///{folder}/labeling.db")
        began, cpu_before = time.perf_counter(), sum(os.times()[:4])
        report = import_ads(database, read_rows(Path(folder, "ads.jsonl")), "bench", NOW)
        seconds, cpu = time.perf_counter() - began, sum(os.times()[:4]) - cpu_before
        assert report.imported == arguments.ads, report.problems[:3]
        rate = f"{report.imported / seconds:,.0f} ads/s ({cpu:.1f} s of CPU time, load {os.getloadavg()[0]:.1f})"
        console.print(f"{database.url.get_backend_name()}: {report.imported:,} ads imported in {seconds:.1f} s, {rate}")
        began = time.perf_counter()
        group_ads(database, NOW)
        grouping = time.perf_counter() - began
        both = arguments.ads / (seconds + grouping)
        console.print(f"near-duplicates found in {grouping:.1f} s more: {both:,.0f} ads/s with these")
        people = in_the_middle_of_a_project(database)
        alone = list(zip(*(list(turn(database, people[n % REVIEWERS])) for n in range(TURNS_ALONE)), strict=True))
        with ThreadPoolExecutor(REVIEWERS) as pool:
            turns = pool.map(lambda person: [list(turn(database, person)) for _ in range(TURNS_TOGETHER)], people)
            together = list(zip(*itertools.chain.from_iterable(turns), strict=True))
        visits = list(over_http(database))
        database.close()
    title = f"{arguments.ads:,} ads, {REVIEWERS} reviewers who have read {READ:,} each"
    table = Table("what", "p50, ms", "p95, ms", "p99, ms", title=title)
    for name, measured in (("one at a time", alone), (f"{REVIEWERS} at once", together)):
        for what, milliseconds in zip(("next ad", "save", "done"), measured, strict=True):
            table.add_row(f"{what}, {name}", *percentiles(list(milliseconds)))
    for what, milliseconds in visits:
        table.add_row(what, *percentiles(milliseconds))
    console.print(table, platform.processor() or platform.machine())


if __name__ == "__main__":
    main()

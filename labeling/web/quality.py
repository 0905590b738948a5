"""How far reviewers agree, with one another and with gold items, and each of them over time; kept until an opinion changes."""

import logging
import os
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from labeling.agreement import Agreement, DriftPoint, SpanAgreement, alpha, alpha_by_language, document_type_alpha, drift, span_f1
from labeling.annotation import Annotation
from labeling.store.database import Database
from labeling.store.tables import Assignment, AssignmentState, StoredAnnotation
from labeling.web.figures import Habit, coverage, habits_of, opinions, texts_of
from labeling.work.gold import GoldResult, gold_results
from models.taxonomy import packaged_taxonomy

log = logging.getLogger("signaal.label")

State = tuple[int, int, datetime | None]
"""What changes with every opinion that is done, undone, changed or erased: how many, which, and the latest save."""
FEW = 1000
"""Opinions that are counted in a tenth of a second."""
MOST_SPAN_ADS = 1000
"""Span agreement looks at the latest ads with marks of two reviewers, so that it stays quick."""


@dataclass(frozen=True, slots=True)
class Quality:
    """What all opinions together show."""

    habits: Mapping[str, Habit]
    """Account id → how its person works."""
    coverage: Mapping[str, Mapping[str, int]]
    """Label → language → ads in which at least one reviewer saw it."""
    labels: Mapping[str, Agreement]
    document_type: Agreement
    languages: Mapping[str, Mapping[str, Agreement]]
    """Label → language; only of labels on which there is an alpha at all."""
    spans: Mapping[str, SpanAgreement]
    drift: Mapping[str, list[DriftPoint]]
    """Account id → stretches of a week, in order of time."""
    gold: Mapping[str, GoldResult]
    """Account id → how its person does on gold items."""


class QualityCache:
    """Computes ``Quality`` once for each state of the opinions, beside the pages: in a thread while opinions are few, which is
    quick; from ``FEW`` on in a process of its own, or whoever asks for a page meanwhile would wait for seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._kept: tuple[State, Quality] | None = None
        self._running: threading.Event | None = None

    def get(self, patience: float) -> tuple[Quality | None, bool]:
        """The latest figures there are, and whether they are those of now. It waits for new ones only while opinions are few,
        ``patience`` seconds at most."""
        with self._database.read() as session:
            state = _state(session)
        few = state[0] < FEW
        with self._lock:
            if self._kept and self._kept[0] == state:
                return self._kept[1], True
            if self._running is None:
                self._running = threading.Event()
                threading.Thread(target=self._compute, args=(self._running, few), daemon=True).start()
            running = self._running
        running.wait(patience if few else 0)
        with self._lock:
            return (self._kept[1], self._kept[0] == state) if self._kept else (None, False)

    def _compute(self, finished: threading.Event, few: bool) -> None:
        try:
            kept = _figures(self._database) if few else _figures_of_a_process(self._database)
            with self._lock:
                self._kept = kept
        except Exception as error:
            # Its message may hold what a reviewer wrote. The next visit tries again.
            why = error.why if isinstance(error, _ProcessError) else type(error).__qualname__
            log.error("The figures of the dashboard failed with %s.", why)
        finally:
            with self._lock:
                self._running = None
            finished.set()


class _ProcessError(Exception):
    """``why`` is the name of the error there, without its message."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def _figures(database: Database) -> tuple[State, Quality]:
    with database.read() as session:
        return _state(session), _quality(session)


def _figures_of_a_process(database: Database) -> tuple[State, Quality]:
    """The same, computed by a process that ends with it; when this one is killed, that one still ends.

    Raises:
        _ProcessError: it could not count.
        EOFError: it was killed.
    """
    # Not forked: this process has threads, and a lock that one of them holds would never be free in the child.
    context = get_context("spawn")
    answer, its_end = context.Pipe(duplex=False)
    address = database.url.render_as_string(hide_password=False)
    process = context.Process(target=_send_figures, args=(address, its_end), daemon=True)
    with answer:
        process.start()
        its_end.close()
        try:
            found: tuple[State, Quality] | str = answer.recv()
        finally:
            process.join()
    if isinstance(found, str):
        raise _ProcessError(found)
    return found


def _send_figures(address: str, answer: Connection) -> None:
    """The figures, or the name of the error that was in their way."""
    os.nice(10)  # who reads ads comes first
    try:
        database = Database(address, up_to_date=True)
        try:
            found: tuple[State, Quality] | str = _figures(database)
        finally:
            database.close()
    except Exception as error:
        found = type(error).__qualname__
    answer.send(found)


def _state(session: Session) -> State:
    done = select(func.count(), func.sum(Assignment.id)).where(Assignment.state == AssignmentState.DONE)
    count, total = session.execute(done).one()
    return count, total or 0, session.scalar(select(func.max(StoredAnnotation.saved_at)))


def _quality(session: Session) -> Quality:
    found, taxonomy = opinions(session), packaged_taxonomy()
    shared = [one for one in found.annotations if one.ad_id not in found.gold]
    labels = {label: alpha(shared, label) for label in taxonomy.label_ids}
    return Quality(
        habits=habits_of(found.annotations),
        coverage=coverage(found),
        labels=labels,
        document_type=document_type_alpha(shared),
        languages={
            label: alpha_by_language(shared, label, found.languages)
            for label, of_all in labels.items()
            if of_all.alpha is not None
        },
        spans=_span_agreement(session, shared),
        drift=_by_annotator(drift(shared, timedelta(days=7))),
        gold=gold_results(session),
    )


def _span_agreement(session: Session, annotations: list[Annotation]) -> dict[str, SpanAgreement]:
    marked: dict[str, int] = defaultdict(int)
    for annotation in annotations:
        marked[annotation.ad_id] += bool(annotation.spans)
    latest = [ad for ad, reviewers in marked.items() if reviewers > 1][-MOST_SPAN_ADS:]
    texts = texts_of(session, latest)
    return span_f1([one for one in annotations if one.ad_id in texts], texts)


def _by_annotator(points: list[DriftPoint]) -> dict[str, list[DriftPoint]]:
    own: dict[str, list[DriftPoint]] = defaultdict(list)
    for point in points:
        own[point.annotator].append(point)
    return own

"""What the dashboard counts: how far the work is, who did how much, which labels have examples in which language."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from statistics import median

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from labeling.annotation import Annotation
from labeling.store.tables import Account, Ad, AdState, Assignment, AssignmentState, StoredAnnotation
from labeling.work.passed_over import passed_over_count
from labeling.work.rules import load_project

DAYS = 30
_OPINION = ("labels", "document_type", "spans", "cannot_decide", "comment", "seconds", "saved_at")
"""What an ``Annotation`` has beside whose it is and of which ad."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Ads by state and by language, gold items left out; opinions done on each of the last ``DAYS`` days, the oldest first."""

    states: Mapping[str, int]
    passed_over: int
    """Of the open ones, those that no annotator is left to read."""
    languages: Mapping[str, Mapping[str, int]]
    days: tuple[tuple[date, int], ...]

    @property
    def ads(self) -> int:
        return sum(self.states.values())


@dataclass(frozen=True, slots=True)
class Habit:
    """How one reviewer works: ads they could not decide on, and the median time on an ad; None where none was measured."""

    undecided: int = 0
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """What one reviewer did."""

    id: str
    name: str
    done: int
    skipped: int
    habit: Habit


@dataclass(frozen=True, slots=True)
class Opinions:
    """Every opinion of those who are done, and of which language its ad is."""

    annotations: tuple[Annotation, ...]
    languages: Mapping[str, str]
    """Ad id to language."""
    gold: frozenset[str]
    """Ids of the ads that are gold items."""


def progress(session: Session, now: datetime) -> Progress:
    """How far the work is. Days begin where the project's time zone says."""
    zone = load_project(session).zone
    counted = select(Ad.state, Ad.language, func.count()).where(Ad.gold.is_(None)).group_by(Ad.state, Ad.language)
    states: Counter[str] = Counter({state.value: 0 for state in AdState})
    languages: dict[str, Counter[str]] = defaultdict(Counter)
    for state, language, count in session.execute(counted):
        states[state] += count
        languages[language][state] += count
    today = now.astimezone(zone).date()
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    midnights = [datetime.combine(day, time(), zone).astimezone(UTC) for day in (*days, today + timedelta(days=1))]
    on_day = [func.count().filter(Assignment.done_at >= begin, Assignment.done_at < end) for begin, end in pairwise(midnights)]
    done = session.execute(select(*on_day).where(Assignment.done_at >= midnights[0])).one()
    return Progress(states, passed_over_count(session), dict(sorted(languages.items())), tuple(zip(days, done, strict=True)))


def opinions(session: Session) -> Opinions:
    """Read every opinion that is done. Texts are not read."""
    columns = (getattr(StoredAnnotation, name) for name in _OPINION)
    rows = (
        select(Assignment.account_id, Ad.id, Ad.language, Ad.gold.is_not(None), *columns)
        .join(Assignment, Assignment.id == StoredAnnotation.assignment_id)
        .join(Ad, Ad.number == Assignment.ad_number)
        .where(Assignment.state == AssignmentState.DONE)
        .order_by(Assignment.id)
    )
    annotations, languages, gold = [], {}, set()
    for account_id, ad_id, language, is_gold, *values in session.execute(rows):
        annotations.append(Annotation(ad_id=ad_id, annotator=account_id, **dict(zip(_OPINION, values, strict=True))))
        languages[ad_id] = language
        if is_gold:
            gold.add(ad_id)
    return Opinions(tuple(annotations), languages, frozenset(gold))


def texts_of(session: Session, ad_ids: Sequence[str]) -> dict[str, str]:
    """The texts of some ads, to count tokens in; they go nowhere else."""
    found: dict[str, str] = {}
    for i in range(0, len(ad_ids), 500):
        found |= dict(session.execute(select(Ad.id, Ad.text).where(Ad.id.in_(ad_ids[i : i + 500]))).tuples().all())
    return found


def people(session: Session, habits: Mapping[str, Habit]) -> list[Person]:
    """Everyone who was ever given an ad, by name."""
    counted = select(Assignment.account_id, Assignment.state, func.count()).group_by(Assignment.account_id, Assignment.state)
    states: dict[str, Counter[str]] = defaultdict(Counter)
    for account_id, state, count in session.execute(counted):
        states[account_id][state] += count
    return [
        Person(
            id=account.id,
            name=account.name,
            done=states[account.id][AssignmentState.DONE],
            skipped=states[account.id][AssignmentState.SKIPPED],
            habit=habits.get(account.id, Habit()),
        )
        for account in session.scalars(select(Account).where(Account.id.in_(states)).order_by(Account.name))
    ]


def habits_of(annotations: Iterable[Annotation]) -> dict[str, Habit]:
    """Account id → how its person works."""
    own: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        own[annotation.annotator].append(annotation)
    found = {}
    for annotator, theirs in own.items():
        seconds = [one.seconds for one in theirs if one.seconds is not None]
        found[annotator] = Habit(sum(not one.decided for one in theirs), median(seconds) if seconds else None)
    return found


def coverage(found: Opinions) -> dict[str, Counter[str]]:
    """Label → language → ads in which at least one reviewer saw it."""
    seen: dict[str, set[str]] = defaultdict(set)
    for annotation in found.annotations:
        for label in annotation.present if annotation.decided else ():
            seen[label].add(annotation.ad_id)
    return {label: Counter(found.languages[ad] for ad in ads) for label, ads in seen.items()}

"""Labels that somebody doubts (``doubts.jsonl`` of ``signaal-train noise``), read again: these ads come first, and one that is
settled gets one reader more, who knows nothing of the others and of the doubt; where everyone has read it, an adjudicator."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from labeling.errors import IntakeError
from labeling.store.tables import Account, Ad, AdState, Assignment, AssignmentState
from labeling.work import audit
from labeling.work.assignment import locked_ad
from labeling.work.rules import load_project


@dataclass(slots=True)
class Doubted:
    """What becomes of ads that are doubted; the counts are of ads."""

    first: list[int]
    """Numbers of those that want readers, the most doubtful first."""
    again: int = 0
    """Settled ones that get one reader more; they are among the first."""
    disputed: int = 0
    """Settled ones that go to an adjudicator, because nobody is there who has not read them."""
    decided: int = 0
    """An adjudicator has decided, or was asked to already."""
    enough: int = 0
    """Read once more than the overlap says already, or gold items."""
    unknown: int = 0
    """Not in this room."""


def read_doubts(path: Path) -> list[str]:
    """Ids of the ads, each once, in the order of the file.

    Raises:
        IntakeError: the file cannot be read, or a line has no ``ad_id``.
    """
    found: dict[str, None] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    found[_ad_id(line, f"{path}:{number}")] = None
    except OSError as error:
        raise IntakeError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise IntakeError(f"{path} is not UTF-8.") from error
    return list(found)


def open_doubted(session: Session, ad_ids: Sequence[str], now: datetime) -> Doubted:
    """Find the ads, and let settled ones be read once more. The same doubts a second time open nothing twice."""
    overlap = load_project(session).overlap
    numbers: dict[str, int] = {}
    for start in range(0, len(ad_ids), 500):
        some = select(Ad.id, Ad.number).where(Ad.id.in_(ad_ids[start : start + 500]))
        numbers |= dict(session.execute(some).tuples().all())
    doubted = Doubted([], unknown=len(ad_ids) - len(numbers))
    wanted = set()
    for number in sorted(numbers.values()):  # rows are locked in one order
        ad = locked_ad(session, number)
        if ad.state in (AdState.RESOLVED, AdState.DISPUTED):
            doubted.decided += 1
        elif ad.slots_left > 0:
            wanted.add(number)
        elif ad.state == AdState.AGREED and _readers(session, number) <= overlap:
            audit.record(session, now, None, audit.Action.DOUBTED, number)
            if _somebody_new(session, number):
                ad.slots_left, ad.state = 1, AdState.OPEN
                doubted.again += 1
                wanted.add(number)
            else:
                ad.state = AdState.DISPUTED
                doubted.disputed += 1
        else:
            doubted.enough += 1
    doubted.first = [numbers[ad_id] for ad_id in ad_ids if numbers.get(ad_id, -1) in wanted]
    return doubted


def _ad_id(line: str, where: str) -> str:
    try:
        ad_id = json.loads(line)["ad_id"]
    except (ValueError, TypeError, KeyError):
        raise IntakeError(f"{where} has no ad_id; give the doubts.jsonl that `signaal-train noise` wrote.") from None
    return str(ad_id)


def _readers(session: Session, number: int) -> int:
    done = Assignment.ad_number == number, Assignment.state == AssignmentState.DONE
    return session.scalar(select(func.count()).select_from(Assignment).where(*done)) or 0


def _somebody_new(session: Session, number: int) -> bool:
    has_had_it = exists().where(Assignment.account_id == Account.id, Assignment.ad_number == number)
    return session.scalar(select(Account.id).where(Account.active, ~has_had_it).limit(1)) is not None

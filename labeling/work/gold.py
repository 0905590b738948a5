"""How well reviewers do on gold items: their opinions beside the known answers."""

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from labeling.store.tables import Ad, Assignment, AssignmentState, StoredAnnotation


@dataclass(slots=True)
class GoldResult:
    """Counts over the gold items that one reviewer is done with and could decide; labels are counted over all of them."""

    items: int = 0
    right: int = 0
    """Labels that are there and were seen."""
    missed: int = 0
    """Labels that are there and were called absent."""
    wrong: int = 0
    """Labels that are not there and were called present."""

    @property
    def f1(self) -> float | None:
        """Of the labels called present; None where there was none to find and none was called."""
        counted = 2 * self.right + self.missed + self.wrong
        return 2 * self.right / counted if counted else None


def gold_results(session: Session) -> dict[str, GoldResult]:
    """Account id → result. Labels that a reviewer did not judge (an opt-out) count for nothing."""
    done = (
        select(Assignment.account_id, StoredAnnotation.labels, Ad.gold)
        .join(Ad, Ad.number == Assignment.ad_number)
        .join(StoredAnnotation, StoredAnnotation.assignment_id == Assignment.id)
        .where(Assignment.gold, Assignment.state == AssignmentState.DONE)
        .where(Ad.gold.is_not(None), StoredAnnotation.cannot_decide.is_(None))
    )
    results: dict[str, GoldResult] = defaultdict(GoldResult)
    for account_id, labels, answer in session.execute(done):
        result = results[account_id]
        result.items += 1
        for label, called in labels.items():
            there = answer["labels"].get(label, False)
            result.right += called and there
            result.missed += there and not called
            result.wrong += called and not there
    return dict(results)

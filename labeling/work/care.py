"""Care for the reader: a limit a day, reminders to pause, and labels that one need not judge."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from labeling.errors import AccountError, DraftError
from labeling.store.tables import Account, Assignment
from labeling.work import audit
from labeling.work.comparing import latest_comparisons
from labeling.work.rules import day_begins, load_project
from models.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class Exposure:
    """What someone has been shown: today, how many more today may bring, and whether a pause is due."""

    shown_today: int
    remaining_today: int
    pause: bool


def exposure(session: Session, account: Account, now: datetime) -> Exposure:
    """Counts every ad that was shown: skipped ones too, and those whose opinions an adjudicator compared, each once a day."""
    project = load_project(session)
    limit = project.daily_limit if account.daily_limit is None else min(account.daily_limit, project.daily_limit)
    begin = day_begins(project, now)
    shown = Assignment.account_id == account.id, Assignment.assigned_at >= begin
    compared = latest_comparisons(session, account.id, min(begin, now - timedelta(days=1))).values()
    today = (session.scalar(select(func.count()).where(*shown)) or 0) + sum(at >= begin for at in compared)
    last = select(Assignment.assigned_at).where(Assignment.account_id == account.id).order_by(Assignment.assigned_at.desc())
    read = sorted([*session.scalars(last.limit(project.pause_after)), *compared], reverse=True)[: project.pause_after]
    in_a_row = _without_break([now, *read], timedelta(minutes=project.break_minutes))
    return Exposure(today, max(limit - today, 0), in_a_row >= project.pause_after)


def may_compare(session: Session, account: Account, ad_number: int, now: datetime) -> bool:
    """Whether today's limit allows a look at this ad's opinions; what was looked at today may be looked at again."""
    seen_today = latest_comparisons(session, account.id, day_begins(load_project(session), now))
    return ad_number in seen_today or exposure(session, account, now).remaining_today > 0


def opt_out(session: Session, account: Account, labels: Collection[str], taxonomy: Taxonomy, now: datetime) -> None:
    """Choose the labels that one does not want to judge: ads in which a model sees them go to others, and their absence in
    an opinion means nothing.

    Raises:
        DraftError: one is not of the taxonomy.
    """
    if unknown := [label for label in labels if label not in taxonomy.label_ids]:
        raise DraftError([f"'{label[:64]}' is not a label of the taxonomy." for label in unknown])
    account.opt_outs = [label for label in taxonomy.label_ids if label in labels]
    audit.record(session, now, account.id, audit.Action.ACCOUNT_CHANGED, detail=f"opted out of {len(account.opt_outs)} labels")


def set_daily_limit(session: Session, account: Account, limit: int | None, now: datetime) -> None:
    """One's own limit a day; it can only be below the project's. None: the project's.

    Raises:
        AccountError: it is below 1.
    """
    if limit is not None and limit < 1:
        raise AccountError("The limit must be 1 ad a day or more.", "limit")
    account.daily_limit = limit
    audit.record(session, now, account.id, audit.Action.ACCOUNT_CHANGED, detail="daily limit")


def _without_break(moments: list[datetime], pause: timedelta) -> int:
    """How many of the moments after the first (the latest first) follow one another without a break."""
    count = 0
    for later, earlier in pairwise(moments):
        if later - earlier >= pause:
            break
        count += 1
    return count

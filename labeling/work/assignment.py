"""Which ad a reviewer reads next: blind overlap, gold items mixed in, leases that run out.

Taking an ad is taking one of its slots. The row of the ad is locked for it (``FOR UPDATE SKIP LOCKED``: reviewers who ask at
the same time pass one another by; SQLite has one writer at a time anyway), so no ad is ever with more reviewers than the
overlap says, and no reviewer gets an ad, or a near-duplicate of it, a second time. Locks are taken in the order account,
assignment, ad.
"""

import secrets
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, literal_column, or_, select
from sqlalchemy.orm import Session, aliased, joinedload

from labeling.errors import ClosedError, NotAllowedError, NotFoundError
from labeling.project import ProjectSettings
from labeling.store.tables import Account, Ad, AdState, AnnotationVersion, Assignment, AssignmentState, SuggestedLabel
from labeling.work import audit
from labeling.work.care import exposure
from labeling.work.comparing import has_compared, not_compared_by
from labeling.work.rules import load_project
from labeling.work.settling import settle

_chance = secrets.SystemRandom()
_SWEEP = 100
"""Leases that one request ends at most, so that it stays quick after a night."""


def next_assignment(session: Session, annotator: str, now: datetime) -> Assignment | None:
    """The ad that a reviewer is to read now, with ``ad`` and ``annotation`` loaded; None when nothing is left or the day's
    limit is reached (``care.exposure`` says which).

    What is open stays the next ad until it is done, skipped, or taken over after its lease ran out.

    Raises:
        NotAllowedError: the account is not active.
    """
    account = session.get(Account, annotator, with_for_update=True)
    if account is None or not account.active:
        raise NotAllowedError("This account is not active.")
    project = load_project(session)
    end_leases(session, now)
    open_already = _first(session, annotator, Assignment.state == AssignmentState.OPEN)
    if open_already is not None:
        open_already.leased_until = _lease(project, now)
        return open_already
    if exposure(session, account, now).remaining_today <= 0:
        return None
    assignment = _again(session, annotator, now) or _take(session, account, project, now)
    if assignment is not None:
        assignment.leased_until = _lease(project, now)
        audit.record(session, now, annotator, audit.Action.AD_SHOWN, assignment.ad_number, "gold" if assignment.gold else "")
        session.flush()
        return _first(session, annotator, Assignment.id == assignment.id)
    return None


def own_assignment(session: Session, assignment_id: int, annotator: str, *, lock: bool = False) -> Assignment:
    """A reviewer's own assignment, with ``ad`` and ``annotation`` loaded.

    Raises:
        NotFoundError: there is none of that number.
        NotAllowedError: it is another's.
    """
    wanted = select(Assignment).where(Assignment.id == assignment_id)
    assignment = session.scalar(wanted.with_for_update() if lock else wanted)
    if assignment is None:
        raise NotFoundError(f"There is no assignment {assignment_id}.")
    if assignment.account_id != annotator:
        raise NotAllowedError(f"Assignment {assignment_id} is another reviewer's.")
    return assignment


def skip(session: Session, assignment_id: int, annotator: str, now: datetime) -> None:
    """Give an ad up; another reviewer gets it, this one never again. No reason is asked.

    Raises:
        NotFoundError, NotAllowedError: as ``own_assignment``.
        ClosedError: it is done, or skipped already.
    """
    assignment = own_assignment(session, assignment_id, annotator, lock=True)
    if assignment.state not in (AssignmentState.OPEN, AssignmentState.LAPSED):
        raise ClosedError(f"Assignment {assignment_id} is {assignment.state}.")
    ad = locked_ad(session, assignment.ad_number)
    if assignment.state == AssignmentState.OPEN and not assignment.gold:
        ad.slots_left += 1
    assignment.state = AssignmentState.SKIPPED
    settle(session, ad)
    audit.record(session, now, annotator, audit.Action.SKIPPED, ad.number)


def reopen(session: Session, assignment_id: int, annotator: str, now: datetime) -> Assignment:
    """Undo "done". The slot was kept, so nothing is taken from anyone.

    Raises:
        NotFoundError, NotAllowedError: as ``own_assignment``.
        ClosedError: it is not done, an adjudicator has decided since, or they have seen the other opinions.
    """
    assignment = own_assignment(session, assignment_id, annotator, lock=True)
    ad = locked_ad(session, assignment.ad_number)
    if assignment.state != AssignmentState.DONE or ad.state == AdState.RESOLVED:
        why = "decided by an adjudicator" if ad.state == AdState.RESOLVED else assignment.state
        raise ClosedError(f"Assignment {assignment_id} cannot be opened again: it is {why}.")
    _demand_blind(session, annotator, ad)
    assignment.state, assignment.done_at = AssignmentState.OPEN, None
    assignment.leased_until = _lease(load_project(session), now)
    settle(session, ad)
    audit.record(session, now, annotator, audit.Action.REOPENED, ad.number)
    return assignment


def hold(session: Session, assignment: Assignment, ad: Ad, now: datetime) -> None:
    """Make sure that an assignment is open, both rows locked, and lengthen its lease. One that lapsed takes its slot again
    while there is one.

    Raises:
        ClosedError: it is done, skipped, or lapsed and taken over, decided or compared.
    """
    if assignment.state == AssignmentState.LAPSED:
        _demand_blind(session, assignment.account_id, ad)
        if not assignment.gold and (ad.slots_left <= 0 or ad.state == AdState.RESOLVED):
            raise ClosedError("The time for this ad ran out and another reviewer has taken it over. What you saved is kept.")
        _hold_again(assignment, ad)
    if assignment.state != AssignmentState.OPEN:
        raise ClosedError(f"Assignment {assignment.id} is {assignment.state}.")
    assignment.leased_until = _lease(load_project(session), now)


def end_leases(session: Session, now: datetime) -> None:
    """Let go of ads whose reviewers went away; what they saved is kept. An opinion that was opened again and not changed is
    done, as it was."""
    over = (
        select(Assignment)
        # A literal, so that SQLite sees that the index of open leases will do.
        .where(Assignment.state == literal_column(f"'{AssignmentState.OPEN}'"), Assignment.leased_until < now)
        .order_by(Assignment.leased_until)
        .limit(_SWEEP)
        .with_for_update(skip_locked=True)
    )
    for assignment in sorted(session.scalars(over), key=lambda one: one.ad_number):
        ad = locked_ad(session, assignment.ad_number)
        if (finished := _finished(session, assignment)) is not None:
            assignment.state, assignment.done_at = AssignmentState.DONE, finished.saved_at
            settle(session, ad)
            audit.record(session, now, None, audit.Action.DONE, ad.number, f"version {finished.version}, opened and not changed")
            continue
        assignment.state = AssignmentState.LAPSED
        if not assignment.gold:
            ad.slots_left += 1


def locked_ad(session: Session, number: int) -> Ad:
    """The row of an ad as it is now, locked to the end of the transaction."""
    return session.scalars(
        select(Ad).where(Ad.number == number).with_for_update().execution_options(populate_existing=True)
    ).one()


def _demand_blind(session: Session, annotator: str, ad: Ad) -> None:
    if has_compared(session, annotator, ad.number):
        raise ClosedError("You have seen the other opinions on this ad, so yours stays as it was.")


def _finished(session: Session, assignment: Assignment) -> AnnotationVersion | None:
    """What is stored of an opinion, when it is what was done."""
    if assignment.annotation is None:
        return None
    latest = session.get(AnnotationVersion, (assignment.id, assignment.annotation.version))
    return latest if latest is not None and latest.done else None


def _lease(project: ProjectSettings, now: datetime) -> datetime:
    return now + timedelta(minutes=project.lease_minutes)


def _first(session: Session, annotator: str, condition: ColumnElement[bool]) -> Assignment | None:
    wanted = select(Assignment).where(Assignment.account_id == annotator, condition).order_by(Assignment.id).limit(1)
    return session.scalar(wanted.options(joinedload(Assignment.ad), joinedload(Assignment.annotation)))


def _again(session: Session, annotator: str, now: datetime) -> Assignment | None:
    """An ad of this reviewer that lapsed and still has a slot."""
    lapsed = (
        select(Assignment.id, Assignment.ad_number)
        .join(Assignment.ad)
        .where(Assignment.account_id == annotator, Assignment.state == AssignmentState.LAPSED)
        .where(or_(Assignment.gold, Ad.slots_left > 0), Ad.state != AdState.RESOLVED, not_compared_by(annotator))
        .order_by(Assignment.id)
        .limit(1)
    )
    if (found := session.execute(lapsed).one_or_none()) is None:
        return None
    assignment = own_assignment(session, found.id, annotator, lock=True)
    ad = locked_ad(session, found.ad_number)
    if not assignment.gold and ad.slots_left <= 0:
        return None  # somebody was quicker
    _hold_again(assignment, ad)
    assignment.assigned_at = now
    return assignment


def _hold_again(assignment: Assignment, ad: Ad) -> None:
    assignment.state = AssignmentState.OPEN
    if not assignment.gold:
        ad.slots_left -= 1


def _take(session: Session, account: Account, project: ProjectSettings, now: datetime) -> Assignment | None:
    wants_gold = _chance.random() < project.gold_share
    ad = (_new_gold(session, account) if wants_gold else None) or _new_ad(session, account)
    if ad is None:
        return None
    is_gold = ad.gold is not None
    if not is_gold:
        ad.slots_left -= 1
    assignment = Assignment(
        ad_number=ad.number, account_id=account.id, state=AssignmentState.OPEN, gold=is_gold, assigned_at=now, leased_until=now
    )
    session.add(assignment)
    session.flush()
    return assignment


def _new_ad(session: Session, account: Account) -> Ad | None:
    wanted = Ad.slots_left > 0, Ad.state != AdState.RESOLVED, _not_read_by(account), _wanted_by(account)
    queue = select(Ad).where(*wanted).order_by(Ad.rank, Ad.number).limit(1).execution_options(populate_existing=True)
    ad = session.scalar(queue.with_for_update(of=Ad, skip_locked=True))
    # Near the end of the queue another may just be taking one of several slots of the last ads: those are waited for.
    return ad or session.scalar(queue.with_for_update(of=Ad))


def _new_gold(session: Session, account: Account) -> Ad | None:
    """The gold items come in one order for all, so that their results can be compared early."""
    gold = select(Ad).where(Ad.gold.is_not(None), _not_read_by(account), _wanted_by(account)).order_by(Ad.number).limit(1)
    return session.scalar(gold)


def _not_read_by(account: Account) -> ColumnElement[bool]:
    """Neither the ad itself nor one of its near-duplicates was read, by itself or with others' opinions beside it."""
    own, read = aliased(Assignment), aliased(Ad)
    itself = exists().where(own.account_id == account.id, own.ad_number == Ad.number)
    groups = select(read.group_id).join(own, own.ad_number == read.number)
    groups = groups.where(own.account_id == account.id, read.group_id.is_not(None))
    return and_(~itself, or_(Ad.group_id.is_(None), Ad.group_id.not_in(groups)), not_compared_by(account.id))


def _wanted_by(account: Account) -> ColumnElement[bool]:
    """Ads in which a model sees what the reviewer opted out of are for others."""
    if not account.opt_outs:
        return and_(True)
    seen = exists().where(SuggestedLabel.ad_number == Ad.number, SuggestedLabel.label.in_(account.opt_outs))
    return ~seen

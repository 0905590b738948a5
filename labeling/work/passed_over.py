"""Ads that want another reader when no annotator is left who would be given them."""

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.orm import Session

from labeling.accounts.roles import Role
from labeling.store.tables import Account, Ad, AdState, Assignment, AssignmentState, SuggestedLabel


def passed_over_count(session: Session) -> int:
    """How many: each annotator has skipped or read them, or opted out of a label that the model sees in them. Adjudicators and
    admins are not counted as readers, but may read them; so may a new account. Near-duplicates of what was read are not meant.
    """
    wanted = select(func.count()).where(Ad.state == AdState.OPEN, Ad.slots_left > 0)
    annotators = session.scalars(select(Account).where(Account.active, Account.role == Role.ANNOTATOR)).all()
    for one in annotators:
        had = Assignment.account_id == one.id, Assignment.state.in_((AssignmentState.SKIPPED, AssignmentState.DONE))
        passed_over: list[ColumnElement[bool]] = [Ad.number.in_(select(Assignment.ad_number).where(*had))]
        if one.opt_outs:  # else each open ad would be looked up for nothing
            passed_over.append(exists().where(SuggestedLabel.ad_number == Ad.number, SuggestedLabel.label.in_(one.opt_outs)))
        wanted = wanted.where(or_(*passed_over))
    return (session.scalar(wanted) or 0) if annotators else 0
